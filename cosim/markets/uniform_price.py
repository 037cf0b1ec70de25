"""Uniform-price (k-) double auction: one price, exact budget balance, nobody beyond their limit.

Bids fall, asks rise; m is the last unit with bid >= ask and
``price = (1-k)*max(a_m, b_{m+1}) + k*min(b_m, a_{m+1})``, a missing neighbour dropping out
(Wilson 1985, doi:10.2307/1911013; Rustichini et al. 1994, doi:10.2307/2951633). Orders at the
marginal price share what is left of it pro rata. The largest volume among the welfare optima is
traded.
"""

from __future__ import annotations

import numpy as np
from numba import guvectorize, njit
from pydantic import Field

from cosim.markets.base import Clearing, Market, MarketContext, Orders, clip_to_tariff

#: energy below this share of a side's total is rounding, not an order left in the book
_DUST = 1e-12


class UniformPrice(Market):
    """The k-double auction; ``k`` moves the price from the sellers' (0) to the buyers' limit."""

    k: float = Field(default=0.5, ge=0.0, le=1.0, description="share of the price range [-]")

    def clear(self, orders: Orders, context: MarketContext) -> Clearing:
        """Clear the book; ties at the margin are rationed pro rata, never drawn."""
        quantity = orders.quantity_kwh
        limit = clip_to_tariff(orders, context)
        ranks = _ascending(limit, orders.prosumer, quantity)
        fills = np.empty(quantity.shape)
        price, volume = np.empty(quantity.shape[:-1]), np.empty(quantity.shape[:-1])
        if quantity.shape[-1] == 0:
            price[...], volume[...] = np.nan, 0.0
        else:
            _clear(quantity, limit, ranks, self.k, fills, price, volume)
        payment = fills * np.where(volume > 0.0, price, 0.0)[..., None]
        return Clearing(fills, payment, volume, price, price.copy())


def _ascending(limit: np.ndarray, owner: np.ndarray, quantity: np.ndarray) -> np.ndarray:
    """Return the order by (limit, owner, quantity), so that sums do not depend on rows' order."""
    if (owner[1:] > owner[:-1]).all():  # rows stand by owner, as the simulation sends them
        return np.argsort(limit, axis=-1, kind="stable")
    return np.lexsort((quantity, np.broadcast_to(owner, quantity.shape), limit), axis=-1)


@njit(cache=True)
def _next_level(quantity, limit, ranks, place, step, side, dust):  # type: ignore[no-untyped-def]
    """Return where the next price level of a side ends, its price and its energy (0: no more)."""
    level, size = 0.0, 0.0
    while 0 <= place < len(ranks):
        i = ranks[place]
        if side * quantity[i] > 0.0:
            if limit[i] != level:
                if size > dust:
                    break
                level, size = limit[i], 0.0
            size += side * quantity[i]
        place += step
    return place, level, size if size > dust else 0.0


@guvectorize(
    ["(float64[:], float64[:], int64[:], float64, float64[:], float64[:], float64[:])"],
    "(m),(m),(m),()->(m),(),()",
    cache=True,
)
def _clear(quantity, limit, ranks, k, fills, price, volume):  # type: ignore[no-untyped-def]
    """Match one book. ``ranks`` sorts rows by (limit, owner, quantity) ascending."""
    sides = np.zeros(2)
    for i in ranks:
        fills[i] = 0.0
        sides[int(quantity[i] > 0.0)] += abs(quantity[i])
    dust = _DUST * max(sides[0], sides[1])
    price[0], volume[0] = np.nan, 0.0

    # Walk both curves by price level: bids from the top, asks from the bottom.
    top, bid, bid_size = _next_level(quantity, limit, ranks, len(ranks) - 1, -1, 1.0, dust)
    bottom, ask, ask_size = _next_level(quantity, limit, ranks, 0, 1, -1.0, dust)
    bid_left, ask_left = bid_size, ask_size
    last_bid, last_ask, bid_share, ask_share = 0.0, 0.0, 1.0, 1.0
    while bid_left > dust and ask_left > dust and bid >= ask:
        step = min(bid_left, ask_left)
        volume[0] += step
        bid_left -= step
        ask_left -= step
        last_bid, last_ask, bid_share, ask_share = bid, ask, 1.0, 1.0
        if bid_left > dust:
            bid_share = 1.0 - bid_left / bid_size
        else:
            top, bid, bid_size = _next_level(quantity, limit, ranks, top, -1, 1.0, dust)
            bid_left = bid_size
        if ask_left > dust:
            ask_share = 1.0 - ask_left / ask_size
        else:
            bottom, ask, ask_size = _next_level(quantity, limit, ranks, bottom, 1, -1.0, dust)
            ask_left = ask_size
    if volume[0] <= 0.0:
        return

    # The next unit is what is left of the marginal level, or the next level, if there is one.
    low = max(last_ask, bid) if bid_left > dust else last_ask
    high = min(last_bid, ask) if ask_left > dust else last_bid
    price[0] = min(max(low + k * (high - low), low), high)
    for i in ranks:
        if quantity[i] > 0.0 and limit[i] >= last_bid:
            fills[i] = quantity[i] * (bid_share if limit[i] == last_bid else 1.0)
        elif quantity[i] < 0.0 and limit[i] <= last_ask:
            fills[i] = quantity[i] * (ask_share if limit[i] == last_ask else 1.0)
