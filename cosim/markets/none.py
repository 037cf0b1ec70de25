"""No market: everything is bought from and sold to the grid. The baseline of savings."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from cosim.markets.base import Clearing, Market, MarketContext, Orders


class NoMarket(Market):
    """Nothing trades."""

    limit_prices: ClassVar[bool] = False

    def clear(self, orders: Orders, context: MarketContext) -> Clearing:
        """Return a clearing without fills."""
        nothing = np.zeros_like(orders.quantity_kwh)
        no_price = np.full(nothing.shape[:-1], np.nan)
        return Clearing(nothing, nothing.copy(), nothing.sum(-1), no_price, no_price.copy())
