"""Time-of-use threshold: charge when power is cheap, discharge when it is dear."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from cosim.observe import AHEAD_H
from cosim.policy import Policy, PolicyContext

_AHEAD = tuple(f"retail_in_{h}h_eur_per_kwh" for h in AHEAD_H if h <= 12)


class TimeOfUse(Policy):
    """Compare the retail price with the published prices of the next 12 hours.

    Where a later price beats the present one by more than the round trip costs, and none before it
    is lower, charge at ``charge_share`` of the rating; where the price is the highest ahead, cover
    the load from the battery; in between follow the self-consumption rule's surplus charging.
    """

    charge_share: float = Field(default=0.5, gt=0.0, le=1.0, description="of the rating [-]")

    features = (
        "forecast_net_kw",
        "rating_kw",
        "efficiency",
        "most_charge_kw",
        "most_discharge_kw",
        "retail_eur_per_kwh",
        *_AHEAD,
    )

    def act(
        self, observations: np.ndarray, context: PolicyContext, memory: Any
    ) -> tuple[np.ndarray, Any]:
        """Return the battery power of the threshold rule."""
        net, rating, efficiency, most_charge, most_discharge, now = observations[:, :6].T
        later = observations[:, 6:]
        ahead, until = later.max(axis=1), later.argmax(axis=1)[:, None]
        before = np.take_along_axis(np.minimum.accumulate(later, axis=1), until, axis=1)[:, 0]
        surplus = np.maximum(-net, 0.0)
        cheap = (now < ahead * efficiency - 1e-12) & (now <= before + 1e-12)
        dear = now >= ahead - 1e-12
        charging = np.maximum(surplus, self.charge_share * rating)
        power = np.where(cheap, charging, np.where(dear, -net, surplus))
        return np.clip(power, -most_discharge, most_charge)[:, None], memory
