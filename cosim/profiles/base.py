"""What every profile source gives: homes on buses, with their load, PV and batteries."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cosim.arrays import freeze
from cosim.plugins import Plugin
from cosim.timegrid import TimeGrid


@dataclass(frozen=True, eq=False)
class Homes:
    """Participants as a source knows them; arrays ``[n]`` and ``[T, n]`` over the time grid.

    Load (kW, kvar) and PV (kW) are means over each interval, >= 0 but for ``load_kvar``.
    ``capacity_kwh`` is 0 for a home without battery.
    """

    names: tuple[str, ...]
    buses: tuple[str, ...]
    load_kw: np.ndarray
    load_kvar: np.ndarray
    pv_kw: np.ndarray
    pv_kwp: np.ndarray
    capacity_kwh: np.ndarray
    rating_kw: np.ndarray
    efficiency: np.ndarray
    self_discharge_per_day: np.ndarray
    files: tuple[tuple[str, str], ...] = ()  # (name, sha256) of what was read

    def __post_init__(self) -> None:
        freeze(self)


class ProfileSource(Plugin):
    """Abstract source; one file in this folder per source."""

    @abstractmethod
    def load(self, grid: TimeGrid, simbench_code: str, folder: Path) -> Homes:
        """Return the homes over the run's intervals.

        ``simbench_code`` is that of the scenario's network, empty if it comes from elsewhere;
        relative file names start from ``folder``. Raises InputError naming file, column and row
        for anything implausible.
        """
