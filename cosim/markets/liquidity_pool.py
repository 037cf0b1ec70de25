"""Liquidity pool: pro rata at the mid-market rate, with a spread that stays with the operator.

``fixed`` takes half of ``spread`` from either side of the middle. ``dynamic`` narrows the
prosumers' gain to ``delta`` above feed-in and below retail, which grows with surplus:
``delta = clip(base_delta * (1 + (S - D) / (S + D)), 0.01, 0.08)``, at most half of the band.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from cosim.markets._pool import Pool, Situation

_LOWEST, _HIGHEST = 0.01, 0.08  # of delta [EUR/kWh]


class LiquidityPool(Pool):
    """A pool whose operator may keep a spread."""

    pricing: Literal["fixed", "dynamic"] = Field("fixed", description="how the spread is set")
    spread_eur_per_kwh: float = Field(
        0.0, ge=0.0, le=1.0, description="between both prices, when fixed"
    )
    base_delta_eur_per_kwh: float = Field(
        0.03, ge=0.0, le=1.0, description="gain of either side in balance, when dynamic"
    )

    def prices(self, at: Situation) -> tuple[np.ndarray, np.ndarray]:
        """Return the prices of sellers and buyers; both stay within the tariff band."""
        feed_in, retail = at.feed_in_eur_per_kwh, at.retail_eur_per_kwh
        half = 0.5 * (retail - feed_in)
        if self.pricing == "dynamic":
            surplus = (at.supply_kwh - at.demand_kwh) / (at.supply_kwh + at.demand_kwh)
            delta = np.clip(self.base_delta_eur_per_kwh * (1.0 + surplus), _LOWEST, _HIGHEST)
            delta = np.minimum(delta, half)
            return feed_in + delta, retail - delta
        kept = np.minimum(0.5 * self.spread_eur_per_kwh, half)
        middle = 0.5 * (feed_in + retail)
        return middle - kept, middle + kept
