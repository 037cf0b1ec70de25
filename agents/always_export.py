"""Always export: the battery discharges whenever it holds energy and never charges."""

from __future__ import annotations

from typing import Any

import numpy as np

from cosim.policy import Policy, PolicyContext


class AlwaysExport(Policy):
    """Discharge with all the battery can give for the interval."""

    features = ("most_discharge_kw",)

    def act(
        self, observations: np.ndarray, context: PolicyContext, memory: Any
    ) -> tuple[np.ndarray, Any]:
        """Return full discharge."""
        return -observations, memory
