"""Uniform-price (k-) double auction: one price, exact budget balance, nobody beyond their limit.

Bids fall, asks rise; m is the last unit with bid >= ask and
``price = (1-k)*max(a_m, b_{m+1}) + k*min(b_m, a_{m+1})``, a missing neighbour dropping out
(Wilson 1985, doi:10.2307/1911013; Rustichini et al. 1994, doi:10.2307/2951633). The largest
volume among the welfare optima is traded.

With ``trade_reduction: mcafee`` the orders at both marginal prices are dropped whole, buyers pay
the marginal bid and sellers get the marginal ask, and the difference stays with the operator: at
fixed quantities nobody gains by misstating a price (McAfee 1992, doi:10.1016/0022-0531(92)90091-U;
for many units Huang, Scheller-Wolf, Sycara 2002, doi:10.1111/1467-8640.t01-1-00206).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from cosim.markets._curves import Crossing, cross
from cosim.markets.base import Clearing, Market, MarketContext, Orders


class UniformPrice(Market):
    """The k-double auction; ``k`` moves the price from the sellers' (0) to the buyers' limit."""

    k: float = Field(default=0.5, ge=0.0, le=1.0, description="share of the price range [-]")
    trade_reduction: Literal["none", "mcafee"] = Field(
        "none", description="mcafee: truthful, at the cost of the marginal orders; k plays no part"
    )

    def clear(self, orders: Orders, context: MarketContext) -> Clearing:
        """Clear the book; ties at the margin are rationed pro rata, never drawn."""
        crossing = cross(orders, context)
        if self.trade_reduction == "mcafee":
            return _reduced(orders.quantity_kwh, crossing)
        low = np.maximum(crossing.last_ask, crossing.next_bid)
        high = np.minimum(crossing.last_bid, crossing.next_ask)
        price = np.minimum(np.maximum(low + self.k * (high - low), low), high)
        payment = crossing.fills_kwh * price[..., None]
        traded = np.where(crossing.volume_kwh > 0.0, price, np.nan)
        return Clearing(crossing.fills_kwh, payment, crossing.volume_kwh, traded, traded.copy())


def _reduced(quantity: np.ndarray, crossing: Crossing) -> Clearing:
    """Return the clearing without the marginal orders, the longer side rationed pro rata."""
    limit, trades = crossing.limit_eur_per_kwh, (crossing.volume_kwh > 0.0)[..., None]
    buys = (quantity > 0.0) & (limit > crossing.last_bid[..., None]) & trades
    sells = (quantity < 0.0) & (limit < crossing.last_ask[..., None]) & trades
    kept = np.where(buys | sells, quantity, 0.0)
    ordered = np.sort(kept, axis=-1)  # sums that do not depend on the order of rows
    demand, supply = np.maximum(ordered, 0.0).sum(-1), np.maximum(-ordered, 0.0).sum(-1)
    volume = np.minimum(demand, supply)
    side = np.where(kept > 0.0, demand[..., None], supply[..., None])
    share = np.minimum(volume[..., None] / np.where(side > 0.0, side, 1.0), 1.0)
    fills = kept * share
    price = np.where(kept > 0.0, crossing.last_bid[..., None], crossing.last_ask[..., None])
    open_ = volume > 0.0
    return Clearing(
        fills,
        fills * price,
        volume,
        np.where(open_, crossing.last_bid, np.nan),
        np.where(open_, crossing.last_ask, np.nan),
    )
