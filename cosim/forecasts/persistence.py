"""Persistence: the coming interval will be as the present moment."""

from __future__ import annotations

import numpy as np

from cosim.forecasts.base import Forecast, Known


class Persistence(Forecast):
    """Load and PV measured at the decision; 0 before the first delivery."""

    def of(self, known: Known) -> tuple[np.ndarray, np.ndarray]:
        """Return what flows now."""
        return known.measured_load_kw, known.measured_pv_kw
