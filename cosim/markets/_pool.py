"""What pools share: everybody trades pro rata at prices set by supply, demand and tariff.

The smaller side trades whole, the larger one in proportion to its orders; the rest of it is left to
the grid. A pool reads quantities only.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cosim.markets.base import Clearing, Market, MarketContext, Orders


@dataclass(frozen=True, eq=False)
class Situation:
    """What a pool's prices depend on, ``[...]``: energy on either side [kWh], tariff [EUR/kWh].

    Where tariffs differ, the band is the one that suits everybody who trades: from the highest
    feed-in price of the sellers to the lowest retail price of the buyers.
    """

    supply_kwh: np.ndarray
    demand_kwh: np.ndarray
    feed_in_eur_per_kwh: np.ndarray
    retail_eur_per_kwh: np.ndarray

    @property
    def ratio(self) -> np.ndarray:
        """Supply by demand; only read where both sides are there."""
        return self.supply_kwh / np.where(self.demand_kwh > 0.0, self.demand_kwh, 1.0)


class Pool(Market):
    """Abstract pool; a mechanism states its prices."""

    limit_prices: ClassVar[bool] = False

    @abstractmethod
    def prices(self, at: Situation) -> tuple[np.ndarray, np.ndarray]:
        """Return what sellers get and buyers pay for traded energy ``[...]`` [EUR/kWh]."""

    def clear(self, orders: Orders, context: MarketContext) -> Clearing:
        """Match pro rata; nothing trades where no price suits both sides."""
        quantity = orders.quantity_kwh
        at = situation(quantity, context)
        open_ = (at.supply_kwh > 0.0) & (at.demand_kwh > 0.0)
        open_ &= at.feed_in_eur_per_kwh <= at.retail_eur_per_kwh
        with np.errstate(divide="ignore", invalid="ignore"):
            sell, buy = (np.where(open_, price, np.nan) for price in self.prices(at))
        volume = np.where(open_, np.minimum(at.supply_kwh, at.demand_kwh), 0.0)
        bought = _share(volume, at.demand_kwh)[..., None]
        sold = _share(volume, at.supply_kwh)[..., None]
        fills = np.where(quantity > 0.0, quantity * bought, quantity * sold)
        price = np.where(quantity > 0.0, buy[..., None], sell[..., None])
        payment = np.where(fills == 0.0, 0.0, fills * price)
        return Clearing(fills, payment, volume, buy, sell)


def situation(quantity: np.ndarray, context: MarketContext) -> Situation:
    """Return supply, demand and the common tariff band of a book ``[..., m]``."""
    ordered = np.sort(quantity, axis=-1)  # sums that do not depend on the order of rows
    band = (
        np.where(quantity < 0.0, context.feed_in_eur_per_kwh, -np.inf).max(-1, initial=-np.inf),
        np.where(quantity > 0.0, context.retail_eur_per_kwh, np.inf).min(-1, initial=np.inf),
    )
    return Situation(np.maximum(-ordered, 0.0).sum(-1), np.maximum(ordered, 0.0).sum(-1), *band)


def _share(volume: np.ndarray, side: np.ndarray) -> np.ndarray:
    """Return the traded share of a side, at most 1."""
    return np.minimum(volume / np.where(side > 0.0, side, 1.0), 1.0)
