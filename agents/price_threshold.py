"""Price threshold: charge at or below a low price, discharge at or above a high one.

The thresholds are places among the published prices, the present one and those of the next 12
hours: parts of the way from the lowest to the highest, which see dear hours for as long as they
last, or quantiles; or they are prices of their own. Between them the battery takes up a surplus
and otherwise rests. With ``feeds_in`` and a ``discharge_share`` it is a peak seller.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field, model_validator

from cosim.observe import AHEAD_H
from cosim.policy import Policy, PolicyContext

_AHEAD = tuple(f"retail_in_{h}h_eur_per_kwh" for h in AHEAD_H if h <= 12)
_RANGE = "part of the way from the lowest to the highest published price [-]"
_QUANTILE = "of the published prices, instead of a part of their range [-]"
_PRICE = "instead of a place among the published prices"


class PriceThreshold(Policy):
    """Charges when power is cheap and discharges when it is dear, by thresholds of its own.

    It charges from the grid only some hours before a dear one, so that until then there is room
    for PV; below a price of its own, whenever that is met. Where both thresholds are equal, as
    under a flat tariff, no price is cheap or dear.
    """

    charge_range: float = Field(0.25, ge=0.0, le=1.0, description=_RANGE)
    discharge_range: float = Field(0.75, ge=0.0, le=1.0, description=_RANGE)
    charge_quantile: float | None = Field(None, ge=0.0, le=1.0, description=_QUANTILE)
    discharge_quantile: float | None = Field(None, ge=0.0, le=1.0, description=_QUANTILE)
    charge_below_eur_per_kwh: float | None = Field(None, description=_PRICE)
    discharge_above_eur_per_kwh: float | None = Field(None, description=_PRICE)
    charge_share: float = Field(1.0, gt=0.0, le=1.0, description="of the rating, when cheap [-]")
    charge_within_h: int = Field(
        3, ge=1, le=12, description="from the grid only where a dear hour is so near [h]"
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
        for low, high in (
            ("charge_range", "discharge_range"),
            ("charge_quantile", "discharge_quantile"),
            ("charge_below_eur_per_kwh", "discharge_above_eur_per_kwh"),
        ):
            one, other = getattr(self, low), getattr(self, high)
            if one is not None and other is not None and one > other:
                raise ValueError(f"{low} <= {high} must hold")
        return self

    def act(
        self, observations: np.ndarray, context: PolicyContext, memory: Any
    ) -> tuple[np.ndarray, Any]:
        """Return the battery power of the thresholds."""
        net, rating, most_charge, most_discharge, now = observations[:, :5].T
        prices = observations[:, 4:]
        low = _threshold(
            prices, self.charge_range, self.charge_quantile, self.charge_below_eur_per_kwh
        )
        high = _threshold(
            prices, self.discharge_range, self.discharge_quantile, self.discharge_above_eur_per_kwh
        )
        soon = prices[:, : self.charge_within_h + 1].max(axis=1) >= high
        soon |= self.charge_below_eur_per_kwh is not None
        cheap, dear = (now <= low) & (low < high) & soon, (now >= high) & (low < high)
        surplus = np.maximum(-net, 0.0)
        charging = np.maximum(surplus, self.charge_share * rating)
        fed = np.maximum(net, self.discharge_share * rating)  # at least the own load
        discharging = -fed if self.feeds_in else -net
        power = np.where(dear, discharging, np.where(cheap, charging, surplus))
        return np.clip(power, -most_discharge, most_charge)[:, None], memory


def _threshold(
    prices: np.ndarray, part: float, quantile: float | None, price: float | None
) -> np.ndarray:
    """Return the thresholds ``[m]``: a price, or a place among the published ones ``[m, 1 + H]``.

    A quantile is one of the prices.
    """
    if price is not None:
        return np.full(len(prices), price)
    if quantile is None:
        lowest, highest = prices.min(axis=1), prices.max(axis=1)
        return np.asarray(lowest + part * (highest - lowest))
    rank = int(np.rint(quantile * (prices.shape[1] - 1)))
    return np.asarray(np.sort(prices, axis=1)[:, rank])
