"""Simbench's year of homes: what a net's load, PV and storage tables mean, bus by bus.

The "storage" of simbench's scenarios 1 and 2 is no battery but the net feed-in of PV behind
one: it only ever discharges. Each becomes PV of the same rating, with the PV profile that its
own profile's name tells, and a battery of its capacity that charges in two hours. Simbench
writes 0.95 in ``efficiency_percent``: it is taken as the share that a round trip returns.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cosim.errors import InputError, Problem, RunError
from cosim.feeder.sources import load_network, simbench_net

STEP_S = 900
ROWS = 35_136  # the leap year 2016
FIRST_LABEL = "01.01.2016 00:00"
HOURS = 2.0  # of full charge
_STORAGE = re.compile(r"Storage_(PV\d+)_")
_PV = re.compile(r"PV\d+")


@dataclass(frozen=True)
class Constants:
    """What does not change over the year; ``n`` homes, PV is stored for those that have any."""

    names: tuple[str, ...]
    buses: tuple[str, ...]
    pv_homes: tuple[int, ...]  # [m], positions among the homes
    pv_kwp: tuple[float, ...]  # [n]
    capacity_kwh: tuple[float, ...]
    rating_kw: tuple[float, ...]
    efficiency: tuple[float, ...]
    self_discharge_per_day: tuple[float, ...]

    @property
    def width(self) -> int:
        """Return the columns of the values: load [kW] and [kvar] of each home, PV [kW]."""
        return 2 * len(self.names) + len(self.pv_homes)


def extract_year(code: str) -> tuple[Constants, np.ndarray]:
    """Return the homes of a simbench net and their values ``[rows, width]`` over the year.

    Raises InputError for an unknown code or a net whose generation is not all PV.
    """
    net = simbench_net(code)
    loads, plants, storages = (_in_service(net, table) for table in ("load", "sgen", "storage"))
    _check_data(net, code, plants, storages)
    used = {int(bus) for table in (loads, plants, storages) for bus in table.bus}
    network = load_network("simbench", code)
    index = [int(bus) for bus in network.bus_index]
    places = [place for place, bus in enumerate(index) if bus in used]
    home = {index[place]: position for position, place in enumerate(places)}
    buses = tuple(network.buses[place] for place in places)

    demand = net.profiles["load"]
    load_kw = _per_home(demand, loads.profile + "_pload", loads.p_mw * loads.scaling, loads, home)
    load_kvar = _per_home(
        demand, loads.profile + "_qload", loads.q_mvar * loads.scaling, loads, home
    )
    sun = net.profiles["renewables"]
    pv_kw = _per_home(sun, plants.profile, plants.p_mw * plants.scaling, plants, home)
    numbers = storages.profile.astype(str).str.extract(_STORAGE, expand=False)
    pv_kw += _per_home(sun, numbers, storages.sn_mva, storages, home)

    pv_kwp = _summed(plants, plants.sn_mva, home) + _summed(storages, storages.sn_mva, home)
    pv_homes = np.flatnonzero(pv_kwp > 0.0)
    constants = Constants(
        names=home_names(buses),
        buses=buses,
        pv_homes=tuple(pv_homes.tolist()),
        pv_kwp=tuple(pv_kwp.tolist()),
        **_batteries(storages, home),
    )
    # some charging profiles go down to -0.04 W: rounding of their authors
    load_kw = np.maximum(load_kw, 0.0)
    values = np.concatenate([load_kw, load_kvar, pv_kw[:, pv_homes]], axis=1)
    if not np.isfinite(values).all():
        raise RunError(f"simbench's profiles for {code} hold values that are not finite")
    return constants, values


def home_names(buses: Sequence[str]) -> tuple[str, ...]:
    """Return unique names ``[a-z0-9_]+`` for buses: "LV3.101 Bus 12" is bus_12.

    The first word, which names the subnet, is kept where names would not differ without it.
    """
    short = [_slug(bus.partition(" ")[2] or bus) for bus in buses]
    long = [_slug(bus) for bus in buses]
    for names in (short, long):
        if len(set(names)) == len(names):
            return tuple(names)
    return tuple(f"{name}_{position}" for position, name in enumerate(long))


def _slug(name: str) -> str:
    return re.sub("[^a-z0-9]+", "_", name.lower()).strip("_") or "bus"


def _in_service(net: Any, table: str) -> Any:
    frame = net[table]
    return frame[frame.in_service.astype(bool)]


def _check_data(net: Any, code: str, plants: Any, storages: Any) -> None:
    demand, sun = net.profiles["load"], net.profiles["renewables"]
    for profiles in (demand, sun):
        if len(profiles) != ROWS or profiles["time"].iloc[0] != FIRST_LABEL:
            raise RunError("this version of simbench has other profiles than those of 2016")
    other = {str(name) for name in plants.profile if not _PV.fullmatch(str(name))}
    other |= {str(name) for name in storages.profile if not _STORAGE.match(str(name))}
    if other:
        raise InputError(
            Problem(
                f"simbench {code} has generation or storage other than PV: "
                + ", ".join(sorted(other)),
                remedy="choose a low-voltage net, like 1-LV-rural3--2-sw",
            )
        )


def _per_home(
    profiles: Any, names: Any, factors_mw: Any, elements: Any, home: dict[int, int]
) -> np.ndarray:
    """Return ``[rows, homes]`` in kW: each element's profile times its factor, summed by bus."""
    total = np.zeros((len(profiles), len(home)))
    for name, factor, bus in zip(names, factors_mw, elements.bus, strict=True):
        total[:, home[int(bus)]] += profiles[name].to_numpy(dtype=np.float64) * float(factor) * 1e3
    return total


def _summed(elements: Any, values_mw: Any, home: dict[int, int]) -> np.ndarray:
    """Return the sum over each home's elements ``[homes]``, in kW or kWh."""
    total = np.zeros(len(home))
    for value, bus in zip(values_mw, elements.bus, strict=True):
        total[home[int(bus)]] += float(value) * 1e3
    return total


def _batteries(storages: Any, home: dict[int, int]) -> dict[str, tuple[float, ...]]:
    """Return the battery constants; shares are averaged by capacity where a home has several."""
    capacity = _summed(storages, storages.max_e_mwh, home)
    held = np.where(capacity > 0.0, capacity, 1.0)
    arrays = {"capacity_kwh": capacity, "rating_kw": capacity / HOURS}
    for field, column, unit, default in (
        ("efficiency", "efficiency_percent", 1.0, 1.0),
        ("self_discharge_per_day", "self-discharge_percent_per_day", 0.01, 0.0),
    ):
        share = _summed(storages, storages.max_e_mwh * storages[column] * unit, home) / held
        arrays[field] = np.where(capacity > 0.0, share, default)
    return {field: tuple(array.tolist()) for field, array in arrays.items()}
