"""Noisy: what comes, times an error that grows with the square root of the horizon.

The factor is lognormal with mean 1, so that a forecast is right on average, never negative, and 0
where nothing comes; its standard deviation is ``error * sqrt(horizon / 1 h)``. Errors of load and
PV, of prosumers and of intervals are independent, drawn from each prosumer's own stream.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from cosim.forecasts.base import Forecast, Known


class Noisy(Forecast):
    """The interval's load and PV with a calibrated error."""

    draws: ClassVar[int] = 4

    load_error: float = Field(
        0.2, ge=0.0, le=2.0, description="standard deviation one hour ahead, of the load [-]"
    )
    pv_error: float = Field(
        0.1, ge=0.0, le=2.0, description="standard deviation one hour ahead, of the PV output [-]"
    )

    def of(self, known: Known) -> tuple[np.ndarray, np.ndarray]:
        """Return what comes, times the error."""
        growth = np.sqrt(known.horizon_h)
        return (
            known.coming_load_kw * _factor(self.load_error * growth, known.draws[..., :2]),
            known.coming_pv_kw * _factor(self.pv_error * growth, known.draws[..., 2:]),
        )


def _factor(deviation: float, uniform: np.ndarray) -> np.ndarray:
    """Return lognormal factors of mean 1 and a standard deviation, from two uniform draws each."""
    sigma = np.sqrt(np.log1p(deviation**2))
    radius = np.sqrt(-2.0 * np.log1p(-uniform[..., 0]))
    normal = radius * np.cos(2.0 * np.pi * uniform[..., 1])  # Box and Muller 1958
    return np.asarray(np.exp(sigma * normal - 0.5 * sigma**2))
