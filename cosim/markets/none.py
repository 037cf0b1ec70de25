"""No market: everything is bought from and sold to the grid. The baseline of savings."""

from __future__ import annotations

from typing import ClassVar

from cosim.markets.base import Clearing, Market, MarketContext, Orders, nothing_traded


class NoMarket(Market):
    """Nothing trades."""

    limit_prices: ClassVar[bool] = False

    def clear(self, orders: Orders, context: MarketContext) -> Clearing:
        """Return a clearing without fills."""
        return nothing_traded(orders.quantity_kwh)
