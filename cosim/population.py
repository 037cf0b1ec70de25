"""The prosumers: their constants and their state.

Signs everywhere: net import ``n = load - pv + charge - discharge`` (> 0 needs energy);
battery power > 0 charges; orders > 0 buy.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from cosim.arrays import freeze
from cosim.imbalance import Imbalance


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
    inverter_kva: np.ndarray | None = None  # shared by PV and battery; None: no limit

    def __post_init__(self) -> None:
        freeze(self)

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def ranks(self) -> np.ndarray:
        """The rows of the participants ``[n]``."""
        rows = np.arange(len(self))
        rows.setflags(write=False)
        return rows

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
    """What supplier and network operator ask and pay: frozen arrays ``[T, n]`` and ``[n]``.

    Energy drawn costs retail, network and taxes; energy fed in earns the feed-in price. Of what
    comes from neighbours, the local shares of network charge and taxes are due.
    """

    retail_eur_per_kwh: np.ndarray  # the supplier's price of energy
    feed_in_eur_per_kwh: np.ndarray
    network_eur_per_kwh: np.ndarray  # the network operator's, per kWh drawn
    taxes_eur_per_kwh: np.ndarray  # taxes and levies, per kWh drawn
    network_local_share: np.ndarray  # [n], of the network charge due on energy of neighbours
    taxes_local_share: np.ndarray  # [n]
    demand_eur_per_kw_month: np.ndarray  # [n], per kW of a month's highest mean power drawn
    imbalance: Imbalance
    published_hour: np.ndarray | None = None  # [n], of the day before; NaN: always known

    def __post_init__(self) -> None:
        freeze(self)

    @cached_property
    def drawn_eur_per_kwh(self) -> np.ndarray:
        """What a kWh drawn from the supplier costs, charges and taxes included ``[T, n]``."""
        return self.retail_eur_per_kwh + self.network_eur_per_kwh + self.taxes_eur_per_kwh

    @cached_property
    def worth_eur_per_kwh(self) -> np.ndarray:
        """What a kWh of a neighbour is worth at most: retail and charges it spares ``[T, n]``."""
        network = self.network_eur_per_kwh * (1.0 - self.network_local_share)
        taxes = self.taxes_eur_per_kwh * (1.0 - self.taxes_local_share)
        return self.retail_eur_per_kwh + network + taxes

    @cached_property
    def charged(self) -> bool:
        """Whether network operator or state ask for anything."""
        asked = (self.network_eur_per_kwh, self.taxes_eur_per_kwh, self.demand_eur_per_kw_month)
        return any(bool(each.any()) for each in asked)

    def window(self, rows: slice) -> Tariffs:
        """Return the same tariffs over some of the intervals."""
        return replace(
            self,
            retail_eur_per_kwh=self.retail_eur_per_kwh[rows],
            feed_in_eur_per_kwh=self.feed_in_eur_per_kwh[rows],
            network_eur_per_kwh=self.network_eur_per_kwh[rows],
            taxes_eur_per_kwh=self.taxes_eur_per_kwh[rows],
            imbalance=self.imbalance.window(rows),
        )
