"""Uniform-price (k-) double auction: one price, exact budget balance, nobody beyond their limit.

Bids fall, asks rise; m is the last unit with bid >= ask and
``price = (1-k)*max(a_m, b_{m+1}) + k*min(b_m, a_{m+1})``, a missing neighbour dropping out
(Wilson 1985, doi:10.2307/1911013; Rustichini et al. 1994, doi:10.2307/2951633). Orders at the
marginal price share what is left of it pro rata. The largest volume among the welfare optima is
traded.
"""

from __future__ import annotations

import numpy as np
from numba import guvectorize
from pydantic import Field

from cosim.markets.base import Clearing, Market, MarketContext, Orders, clip_to_tariff

#: energy below this share of a side's total is rounding, not an order left in the book
_DUST = 1e-12


class UniformPrice(Market):
    """The k-double auction; ``k`` moves the price from the sellers' (0) to the buyers' limit (1)."""

    k: float = Field(default=0.5, ge=0.0, le=1.0, description="share of the price range [-]")

    def clear(self, orders: Orders, context: MarketContext) -> Clearing:
        """Clear the book; ties at the margin are rationed pro rata, never drawn."""
        quantity = orders.quantity_kwh
        limit = clip_to_tariff(orders, context)
        owner = np.broadcast_to(orders.prosumer, quantity.shape)
        ranks = np.lexsort((quantity, owner, limit), axis=-1)
        fills = np.empty(quantity.shape)
        price, volume = np.empty(quantity.shape[:-1]), np.empty(quantity.shape[:-1])
        if quantity.shape[-1] == 0:
            price[...], volume[...] = np.nan, 0.0
        else:
            _clear(quantity, limit, ranks, self.k, fills, price, volume)
        payment = fills * np.where(volume > 0.0, price, 0.0)[..., None]
        return Clearing(fills, payment, volume, price, price.copy())


@guvectorize(
    ["(float64[:], float64[:], int64[:], float64, float64[:], float64[:], float64[:])"],
    "(m),(m),(m),()->(m),(),()",
    cache=True,
)
def _clear(quantity, limit, ranks, k, fills, price, volume):  # type: ignore[no-untyped-def]
    """Match one book. ``ranks`` sorts rows by (limit, owner, quantity) ascending."""
    count = quantity.size
    requested = 0.0
    offered = 0.0
    for j in range(count):
        i = ranks[j]
        fills[i] = 0.0
        if quantity[i] > 0.0:
            requested += quantity[i]
        else:
            offered -= quantity[i]
    price[0] = np.nan
    volume[0] = 0.0
    dust = _DUST * max(requested, offered)

    # Walk both curves by price level: bids from the top, asks from the bottom.
    top, bottom = count - 1, 0
    bid_left, ask_left = 0.0, 0.0  # unmatched energy at the current level
    bid_level, ask_level = 0.0, 0.0
    bid_size, ask_size = 0.0, 0.0  # whole energy at the current level
    last_bid, last_ask = np.nan, np.nan  # prices of the last matched unit
    last_bid_size, last_ask_size, last_bid_left, last_ask_left = 0.0, 0.0, 0.0, 0.0
    while True:
        while bid_left <= dust and top >= 0:
            i = ranks[top]
            if quantity[i] <= 0.0:
                top -= 1
                continue
            bid_level, bid_size = limit[i], 0.0
            while top >= 0 and (quantity[ranks[top]] <= 0.0 or limit[ranks[top]] == bid_level):
                if quantity[ranks[top]] > 0.0:
                    bid_size += quantity[ranks[top]]
                top -= 1
            bid_left = bid_size
        while ask_left <= dust and bottom < count:
            i = ranks[bottom]
            if quantity[i] >= 0.0:
                bottom += 1
                continue
            ask_level, ask_size = limit[i], 0.0
            while bottom < count and (
                quantity[ranks[bottom]] >= 0.0 or limit[ranks[bottom]] == ask_level
            ):
                if quantity[ranks[bottom]] < 0.0:
                    ask_size -= quantity[ranks[bottom]]
                bottom += 1
            ask_left = ask_size
        if bid_left <= dust or ask_left <= dust or bid_level < ask_level:
            break
        step = min(bid_left, ask_left)
        volume[0] += step
        bid_left -= step
        ask_left -= step
        last_bid, last_bid_size, last_bid_left = bid_level, bid_size, bid_left
        last_ask, last_ask_size, last_ask_left = ask_level, ask_size, ask_left
    if volume[0] <= 0.0:
        return

    # The unit after the margin: what is left of the current level, or the next level.
    low, high = last_ask, last_bid
    if bid_left > dust:
        low = max(low, bid_level)
    if ask_left > dust:
        high = min(high, ask_level)
    price[0] = (1.0 - k) * low + k * high
    bid_share = 1.0 if last_bid_left <= dust else 1.0 - last_bid_left / last_bid_size
    ask_share = 1.0 if last_ask_left <= dust else 1.0 - last_ask_left / last_ask_size
    for i in range(count):
        if quantity[i] > 0.0 and limit[i] >= last_bid:
            fills[i] = quantity[i] * (bid_share if limit[i] == last_bid else 1.0)
        elif quantity[i] < 0.0 and limit[i] <= last_ask:
            fills[i] = quantity[i] * (ask_share if limit[i] == last_ask else 1.0)
