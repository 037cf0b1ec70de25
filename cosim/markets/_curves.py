"""Crossing the curves of bids and asks: what auctions share.

Bids fall, asks rise, and the last unit with bid >= ask is the margin. Orders at a marginal price
share what is left of it pro rata; nothing is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from cosim.array_kernels import guvectorize
from cosim.markets.base import MarketContext, Orders, clip_to_tariff

#: energy below this share of a side's total is rounding, not an order left in the book
_DUST = 1e-12


@dataclass(frozen=True, eq=False)
class Crossing:
    """Where the curves of a book cross: fills ``[..., m]``; volume and margins ``[...]``.

    ``next_bid`` and ``next_ask`` are those of the first unmatched unit; where there is none, they
    are the last ask and the last bid. Prices mean nothing where the volume is 0.
    """

    limit_eur_per_kwh: np.ndarray  # [..., m], clipped to the tariff
    fills_kwh: np.ndarray
    volume_kwh: np.ndarray
    last_bid: np.ndarray
    last_ask: np.ndarray
    next_bid: np.ndarray
    next_ask: np.ndarray


def cross(orders: Orders, context: MarketContext) -> Crossing:
    """Return where the tariff-clipped curves of a book cross."""
    quantity, limit = orders.quantity_kwh, clip_to_tariff(orders, context)
    if quantity.shape[-1] == 0:
        nothing = np.zeros(quantity.shape[:-1])
        return Crossing(limit, np.zeros_like(quantity), *(nothing.copy() for _ in range(5)))
    ranks = _ascending(limit, orders.prosumer, quantity)
    fills, margin = _match(quantity, limit, ranks, np.zeros(5))
    return Crossing(limit, fills, *(margin[..., j] for j in range(5)))


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
    ["(float64[:], float64[:], int64[:], float64[:], float64[:], float64[:])"],
    "(m),(m),(m),(f)->(m),(f)",
)
def _match(quantity, limit, ranks, width, fills, margin):  # type: ignore[no-untyped-def]
    """Match one book; ``ranks`` sorts rows by (limit, owner, quantity) ascending.

    ``margin`` is filled with volume, last matched bid and ask, and the bid and ask of the next
    unit, which are those of the last where there is no next; ``width`` only gives its length.
    """
    sides = np.zeros(2)
    for i in ranks:
        fills[i] = 0.0
        sides[int(quantity[i] > 0.0)] += abs(quantity[i])
    dust = _DUST * max(sides[0], sides[1])
    margin[:] = 0.0

    # Walk both curves by price level: bids from the top, asks from the bottom.
    top, bid, bid_size = _next_level(quantity, limit, ranks, len(ranks) - 1, -1, 1.0, dust)
    bottom, ask, ask_size = _next_level(quantity, limit, ranks, 0, 1, -1.0, dust)
    bid_left, ask_left = bid_size, ask_size
    last_bid, last_ask, bid_share, ask_share = 0.0, 0.0, 1.0, 1.0
    while bid_left > dust and ask_left > dust and bid >= ask:
        step = min(bid_left, ask_left)
        margin[0] += step
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
    if margin[0] <= 0.0:
        return
    margin[1], margin[2] = last_bid, last_ask
    margin[3] = bid if bid_left > dust else last_ask
    margin[4] = ask if ask_left > dust else last_bid
    for i in ranks:
        if quantity[i] > 0.0 and limit[i] >= last_bid:
            fills[i] = quantity[i] * (bid_share if limit[i] == last_bid else 1.0)
        elif quantity[i] < 0.0 and limit[i] <= last_ask:
            fills[i] = quantity[i] * (ask_share if limit[i] == last_ask else 1.0)
