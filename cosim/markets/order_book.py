"""Order book: a continuous double auction with price-time priority.

Orders meet one by one as they arrive; an order trades at the prices of those that wait in the book,
best price first, then the one that came first, and what is left of it waits. Orders of one second
are ranked by a keyed draw, never by who was registered first. An order of 0 kWh cancels what the
prosumer still has in the book. What has not traded when the book closes goes to the grid.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import ClassVar

import numpy as np
from numba import njit
from pydantic import Field

from cosim.markets.base import Clearing, Market, MarketContext, Orders, clip_to_tariff


class OrderBook(Market):
    """Continuous trading until the gate closes."""

    arrival_order: ClassVar[bool] = True

    replace: bool = Field(False, description="a later order takes the place of the earlier's rest")

    rounds: int = Field(
        1,
        ge=1,
        le=12,
        description="gates before each delivery, sharing its lead: at each one, policies decide "
        "anew and trade what their position still lacks",
    )

    @property
    def turns(self) -> int:
        """In how many rounds a delivery is traded."""
        return self.rounds

    def clear(self, orders: Orders, context: MarketContext) -> Clearing:
        """Let the orders arrive; what each has traded, and at which mean prices."""
        quantity = np.atleast_2d(orders.quantity_kwh)
        limit = np.atleast_2d(clip_to_tariff(orders, context))
        lanes, count = quantity.shape[:-1], quantity.shape[-1]
        rows = (-1, count) if count else (int(np.prod(lanes)), 0)
        arrival = np.broadcast_to(orders.arrival_s, quantity.shape).reshape(rows)
        draw = np.broadcast_to(orders.draw, quantity.shape).reshape(rows)
        quantity, limit = quantity.reshape(rows), limit.reshape(rows)
        fills, paid = np.zeros(quantity.shape), np.zeros(quantity.shape)
        turnover = np.zeros((len(quantity), 2))
        for lane in range(len(quantity)):
            order = np.lexsort((orders.prosumer, draw[lane], arrival[lane]))
            turnover[lane] = _trade(
                order, orders.prosumer, quantity[lane], limit[lane], self.replace, fills[lane],
                paid[lane],
            )  # fmt: skip
        shape = orders.quantity_kwh.shape
        volume, value = turnover.reshape((*shape[:-1], 2)).transpose(-1, *range(len(shape) - 1))
        price = value / np.where(volume > 0.0, volume, np.nan)
        return Clearing(
            fills.reshape(shape), paid.reshape(shape), volume.copy(), price, price.copy()
        )


@njit(cache=True)
def _cancel(row, before, left):  # type: ignore[no-untyped-def]
    """Take what a prosumer's earlier orders still have out of the book."""
    while row >= 0:
        left[row] = 0.0
        row = before[row]


@njit(cache=True)
def _trade(order, prosumer, quantity, limit, replace, fills, paid):  # type: ignore[no-untyped-def]
    """Fill ``fills`` and ``paid`` of one book; return traded energy and money."""
    left, before = np.abs(quantity), np.full(len(order), -1)
    newest = np.full(prosumer.max() + 1 if len(order) else 0, -1)
    bids, asks = [(0.0, 0, 0)], [(0.0, 0, 0)]  # (rank of the price, time, row)
    bids.pop()
    asks.pop()
    volume, value = 0.0, 0.0
    for time in range(len(order)):
        i = order[time]
        if replace or quantity[i] == 0.0:
            _cancel(newest[prosumer[i]], before, left)
        else:
            before[i] = newest[prosumer[i]]
        newest[prosumer[i]] = i
        buys = quantity[i] > 0.0
        waiting = asks if buys else bids
        while left[i] > 0.0 and len(waiting) > 0:
            j = waiting[0][2]
            if left[j] > 0.0 and (limit[i] - limit[j] if buys else limit[j] - limit[i]) < 0.0:
                break
            energy = min(left[i], left[j])
            sign = 1.0 if buys else -1.0
            for row, share in ((i, sign * energy), (j, -sign * energy)):
                fills[row] += share
                paid[row] += share * limit[j]
                left[row] -= energy
            volume += energy
            value += energy * limit[j]
            if left[j] <= 0.0:
                heappop(waiting)
        if left[i] > 0.0:
            heappush(bids if buys else asks, (-limit[i] if buys else limit[i], time, i))
    for i in range(len(order)):  # many parts may add up to a little more than the whole
        fills[i] = min(max(fills[i], -abs(quantity[i])), abs(quantity[i]))
    return volume, value
