"""Do nothing: the battery stays idle and no order is sent."""

from __future__ import annotations

from typing import Any

import numpy as np

from cosim.policy import Policy, PolicyContext


class DoNothing(Policy):
    """Idle battery, no trade: the supplier's tariff bill and nothing else."""

    actions = ("battery_kw", "quantity_kwh")

    def act(
        self, observations: np.ndarray, context: PolicyContext, memory: Any
    ) -> tuple[np.ndarray, Any]:
        """Return zeros."""
        return np.zeros((len(context.ids), 2)), memory
