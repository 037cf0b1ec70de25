"""The prosumers: their constants and their state.

Signs everywhere: net import ``n = load - pv + charge - discharge`` (> 0 needs energy);
battery power > 0 charges; orders > 0 buy.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cosim.arrays import freeze


@dataclass(frozen=True, eq=False)
class Population:
    """Constants of the participants, frozen arrays ``[n]``.

    A participant without battery has ``capacity_kwh == 0`` and ``rating_kw == 0``.
    """

    names: tuple[str, ...]
    buses: tuple[str, ...]
    groups: tuple[str, ...]
    bus: np.ndarray  # index into the feeder's buses
    capacity_kwh: np.ndarray
    rating_kw: np.ndarray
    efficiency: np.ndarray  # round trip, 0..1
    min_kwh: np.ndarray
    max_kwh: np.ndarray
    initial_kwh: np.ndarray
    self_discharge_per_h: np.ndarray  # share of the stored energy lost in an hour
    wear_eur_per_kwh: np.ndarray  # per kWh of throughput
    pv_kwp: np.ndarray
    ramp_kw: np.ndarray | None = None  # largest change from interval to interval; None: no limit

    def __post_init__(self) -> None:
        freeze(self)

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def alone_at_bus(self) -> bool:
        """Whether no two participants share a bus."""
        return len(np.unique(self.bus)) == len(self.bus)

    def rows_of(self, groups: set[str]) -> np.ndarray:
        """Return the indices of the participants whose group is among ``groups``."""
        return np.array([i for i, g in enumerate(self.groups) if g in groups], dtype=np.intp)


@dataclass(frozen=True, eq=False)
class Profiles:
    """What weather and habits do: frozen arrays over the run's intervals.

    Power is the mean over an interval [kW, kvar]; prices and intensity hold for an interval.
    Shapes ``[T, n]`` for the participants and ``[T]`` for the community.
    """

    load_kw: np.ndarray
    load_kvar: np.ndarray
    pv_kw: np.ndarray
    co2_kg_per_kwh: np.ndarray  # [T]

    def __post_init__(self) -> None:
        freeze(self)


@dataclass(frozen=True, eq=False)
class Tariffs:
    """What the supplier asks and pays for each interval, frozen arrays ``[T, n]`` [EUR/kWh]."""

    retail_eur_per_kwh: np.ndarray
    feed_in_eur_per_kwh: np.ndarray

    def __post_init__(self) -> None:
        freeze(self)
