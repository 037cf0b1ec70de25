"""Passive participant: no battery use, its forecast position goes to the market."""

from __future__ import annotations

from typing import Any

import numpy as np

from cosim.policy import Policy, PolicyContext


class Passive(Policy):
    """Idle battery; orders the forecast position at the tariff's limits. For plain consumers."""

    def act(
        self, observations: np.ndarray, context: PolicyContext, memory: Any
    ) -> tuple[np.ndarray, Any]:
        """Return an idle battery."""
        return np.zeros((len(context.ids), 1)), memory
