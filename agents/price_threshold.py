"""Price threshold: charge at or below a low price, discharge at or above a high one.

The thresholds are prices of their own, or places among the published ones, the present price and
those of the next 12 hours: quantiles, or parts of the way from the lowest to the highest, which
see a dear hour for as long as it lasts, however short. Between them the battery takes up a
surplus and otherwise rests.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from pydantic import Field, model_validator

from cosim.observe import AHEAD_H
from cosim.policy import Policy, PolicyContext

_AHEAD = tuple(f"retail_in_{h}h_eur_per_kwh" for h in AHEAD_H if h <= 12)
_PRICE = "instead of the place among the published prices"


class PriceThreshold(Policy):
    """Charges when power is cheap and discharges when it is dear, by thresholds of its own.

    It charges from the grid only as long before a dear hour as it is told, so that until then
    there is room for PV. Where both thresholds are equal, as under a flat tariff, no price is
    cheap or dear.
    """

    scale: Literal["quantile", "range"] = Field(
        "quantile", description="what places among the published prices are: parts of the "
        "hours, or of the way from the lowest to the highest price",
    )  # fmt: skip
    charge_quantile: float = Field(0.25, ge=0.0, le=1.0, description="of the published prices [-]")
    discharge_quantile: float = Field(
        0.75, ge=0.0, le=1.0, description="of the published prices [-]"
    )
    charge_below_eur_per_kwh: float | None = Field(None, description=_PRICE)
    discharge_above_eur_per_kwh: float | None = Field(None, description=_PRICE)
    charge_share: float = Field(1.0, gt=0.0, le=1.0, description="of the rating, when cheap [-]")
    charge_within_h: int = Field(
        12, ge=1, le=12, description="charge where a dear hour is so near; 12: whenever cheap [h]"
    )
    feeds_in: bool = Field(False, description="discharge beyond the own load, when dear")
    discharge_share: float = Field(
        1.0, gt=0.0, le=1.0, description="of the rating, when dear and it feeds in [-]"
    )

    features = (
        "forecast_net_kw",
        "rating_kw",
        "most_charge_kw",
        "most_discharge_kw",
        "retail_eur_per_kwh",
        *_AHEAD,
    )

    @model_validator(mode="after")
    def _ordered(self) -> PriceThreshold:
        if self.charge_quantile > self.discharge_quantile:
            raise ValueError("charge_quantile <= discharge_quantile must hold")
        low, high = self.charge_below_eur_per_kwh, self.discharge_above_eur_per_kwh
        if low is not None and high is not None and low > high:
            raise ValueError("charge_below_eur_per_kwh <= discharge_above_eur_per_kwh must hold")
        return self

    def act(
        self, observations: np.ndarray, context: PolicyContext, memory: Any
    ) -> tuple[np.ndarray, Any]:
        """Return the battery power of the thresholds."""
        net, rating, most_charge, most_discharge, now = observations[:, :5].T
        prices = observations[:, 4:]
        low = self._threshold(self.charge_below_eur_per_kwh, prices, self.charge_quantile)
        high = self._threshold(self.discharge_above_eur_per_kwh, prices, self.discharge_quantile)
        near = prices[:, : self.charge_within_h + 1].max(axis=1) >= high
        soon = near if self.charge_within_h < 12 else np.ones(len(prices), dtype=bool)
        cheap, dear = (now <= low) & (low < high) & soon, (now >= high) & (low < high)
        surplus = np.maximum(-net, 0.0)
        charging = np.maximum(surplus, self.charge_share * rating)
        fed = np.maximum(net, self.discharge_share * rating)  # at least the own load
        discharging = -fed if self.feeds_in else -net
        power = np.where(dear, discharging, np.where(cheap, charging, surplus))
        return np.clip(power, -most_discharge, most_charge)[:, None], memory

    def _threshold(self, price: float | None, prices: np.ndarray, place: float) -> np.ndarray:
        """Return thresholds ``[m]``: a price, or a place among the published ones ``[m, 1 + H]``.

        A quantile is one of the prices.
        """
        if price is not None:
            return np.full(len(prices), price)
        if self.scale == "range":
            lowest, highest = prices.min(axis=1), prices.max(axis=1)
            return np.asarray(lowest + place * (highest - lowest))
        rank = int(np.rint(place * (prices.shape[1] - 1)))
        return np.asarray(np.sort(prices, axis=1)[:, rank])
