"""Perfect for one interval: its mean load and PV are known, nothing later."""

from __future__ import annotations

import numpy as np

from cosim.forecasts.base import Forecast, Known


class PerfectInterval(Forecast):
    """Load and PV of the coming interval, without error."""

    def of(self, known: Known) -> tuple[np.ndarray, np.ndarray]:
        """Return what comes."""
        return known.coming_load_kw, known.coming_pv_kw
