"""Self-consumption rule: charge what PV leaves over, discharge what the load lacks."""

from __future__ import annotations

from typing import Any

import numpy as np

from cosim.policy import Policy, PolicyContext


class SelfConsumption(Policy):
    """The battery follows the forecast net load as far as it can; the rest is traded."""

    features = ("forecast_net_kw", "most_charge_kw", "most_discharge_kw")

    def act(
        self, observations: np.ndarray, context: PolicyContext, memory: Any
    ) -> tuple[np.ndarray, Any]:
        """Return the battery power that comes nearest to cancelling the forecast net load."""
        net, most_charge, most_discharge = observations.T
        return np.clip(-net, -most_discharge, most_charge)[:, None], memory
