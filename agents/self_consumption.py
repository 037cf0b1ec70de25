"""Self-consumption rule: charge what PV leaves over, discharge what the load lacks."""

from __future__ import annotations

from typing import Any

import numpy as np

from cosim.policy import Policy, PolicyContext


class SelfConsumption(Policy):
    """The battery follows the forecast net load; the rest is traded at the tariff's limits."""

    features = ("forecast_net_kw",)

    def act(
        self, observations: np.ndarray, context: PolicyContext, memory: Any
    ) -> tuple[np.ndarray, Any]:
        """Return the battery power that cancels the forecast net load."""
        return -observations, memory
