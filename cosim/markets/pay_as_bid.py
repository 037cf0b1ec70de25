"""Pay-as-bid auction: who trades is settled as in the uniform auction, at everybody's own limit.

Buyers pay their bid and sellers get their ask, both within their tariff; the difference is the
market operator's surplus.
"""

from __future__ import annotations

import numpy as np

from cosim.markets._curves import cross
from cosim.markets.base import Clearing, Market, MarketContext, Orders


class PayAsBid(Market):
    """A double auction with discriminatory prices."""

    def clear(self, orders: Orders, context: MarketContext) -> Clearing:
        """Clear the book; ties at the margin are rationed pro rata, never drawn."""
        crossing = cross(orders, context)
        fills = crossing.fills_kwh
        payment = fills * crossing.limit_eur_per_kwh
        volume = np.where(crossing.volume_kwh > 0.0, crossing.volume_kwh, np.nan)
        bought = np.sort(np.where(fills > 0.0, payment, 0.0), axis=-1).sum(-1)
        sold = -np.sort(np.where(fills < 0.0, payment, 0.0), axis=-1).sum(-1)
        return Clearing(fills, payment, crossing.volume_kwh, bought / volume, sold / volume)
