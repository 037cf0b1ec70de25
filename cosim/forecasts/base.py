"""What a forecast is: load and PV of the coming interval, as seen when the policies decide."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cosim.arrays import freeze
from cosim.plugins import Plugin


@dataclass(frozen=True, eq=False)
class Known:
    """What a forecast of one interval is made from, ``[n]`` [kW].

    ``coming`` is what the profiles and the disturbances begun so far say of the interval, which no
    prosumer knows: a forecast that is not perfect adds its error to it. ``horizon_h`` is the time
    from the decision to the middle of delivery; ``draws`` ``[n, draws]`` are keyed by prosumer.
    """

    measured_load_kw: np.ndarray  # flowing at the decision
    measured_pv_kw: np.ndarray
    coming_load_kw: np.ndarray  # mean of the interval
    coming_pv_kw: np.ndarray
    horizon_h: float
    draws: np.ndarray

    def __post_init__(self) -> None:
        freeze(self)


class Forecast(Plugin):
    """Abstract forecast; one file in this folder per kind.

    ``draws`` is the number of uniform draws wanted per prosumer and interval.
    """

    draws: ClassVar[int] = 0

    @abstractmethod
    def of(self, known: Known) -> tuple[np.ndarray, np.ndarray]:
        """Return the forecast load and PV of the interval ``[n]`` [kW], neither below 0."""
