"""Worlds the tests share: a village of ten homes on a small feeder, and bare populations."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

from cosim.case import Case, load_case
from cosim.delivery import Metered
from cosim.plant import Solve
from cosim.population import Population
from cosim.scenario import load_scenario
from cosim.simulation import Interval, Simulation

settings.register_profile("cosim", deadline=None, derandomize=True)
settings.load_profile("cosim")

START = datetime(2016, 7, 17, 22, tzinfo=UTC)  # midnight in Berlin, a Monday
SCENARIO: dict[str, Any] = {
    "name": "village",
    "seed": 7,
    "time": {"start": "2016-07-18", "days": 1, "interval_minutes": 30},
    "feeder": {"source": "pandapower", "name": "four_loads_with_branches_out"},
    "profiles": {"kind": "csv_homes", "homes": "homes.csv", "profiles": "series.csv"},
    "tariff": {
        "retail_eur_per_kwh": 0.25,
        "feed_in_eur_per_kwh": 0.06,
        "periods": [{"hours": [17, 21], "retail_eur_per_kwh": 0.40}],
    },
    "market": "uniform_price",
    "policies": {"rule": "self_consumption", "random": "random", "passive": "passive"},
    "groups": {
        "owners": {"members": ["a", "b", "c"], "policy": "rule"},
        "wild": {"members": "battery", "policy": "random"},
        "others": {"members": "all", "policy": "passive"},
    },
}


@dataclass
class Village:
    """Writes scenarios of the village into its folder; ``homes`` is how many take part."""

    folder: Path
    homes: int = 10

    def __post_init__(self) -> None:
        self._numbers = count()
        names = [chr(ord("a") + i) for i in range(self.homes)]
        table = ["name,bus,pv_kwp,capacity_kwh,rating_kw,efficiency,self_discharge_per_day"]
        for i, name in enumerate(names):  # the last two share a bus; every third has no PV
            solar = i % 3 != 2
            battery = f"{6 + i},{3 + i / 4},0.9,0.02" if i % 5 != 4 else ",,,"
            table.append(f"{name},bus{3 + min(i, 7)},{4 + i if solar else 0},{battery}")
        hours = np.arange(27 * 4) / 4
        series = {}
        for i, name in enumerate(names):  # drawn one home after the other: more leave these alone
            draws = np.random.default_rng([11, i]).uniform(0.2, 2.0, len(hours))
            series[f"load_{name}"] = draws.round(4)
            if i % 3 != 2:
                sun = np.maximum(np.sin((hours - 6.0) / 12.0 * np.pi), 0.0)
                series[f"pv_{name}"] = ((4 + i) * 0.8 * sun * (0.6 + 0.2 * draws)).round(4)
        lines = [",".join(["time", *series])]
        for k in range(len(hours)):
            time = START + timedelta(minutes=15 * k)
            cells = [str(column[k]) for column in series.values()]
            lines.append(",".join([f"{time:%Y-%m-%dT%H:%MZ}", *cells]))
        self.folder.mkdir(exist_ok=True)
        (self.folder / "homes.csv").write_text("\n".join(table) + "\n")
        (self.folder / "series.csv").write_text("\n".join(lines) + "\n")
        self._write_solar_homes()

    def _write_solar_homes(self) -> None:
        """Write two days of two customers as a solar home file."""
        halves = np.arange(48)
        labels = [f"{half // 2 % 24}:{half % 2 * 30:02}" for half in range(1, 49)]
        names = "Customer,Generator Capacity,Postcode,Consumption Category,date"
        lines = ["solar homes", ",".join([names, *labels])]
        sun = np.maximum(np.sin((halves / 2 - 6.0) / 12.0 * np.pi), 0.0)
        for customer, category, kwh in (
            (1, "GC", 0.1 + halves / 100), (1, "GG", 0.6 * sun), (2, "GC", 0.5 - halves / 200),
        ):  # fmt: skip
            for day in ("18", "19"):
                cells = [str(value) for value in kwh.round(4)]
                lines.append(",".join([f"{customer},1.5,2000,{category},{day}/07/2016", *cells]))
        (self.folder / "solar.csv").write_text("\n".join(lines) + "\n")

    def write(self, **changes: Any) -> Path:
        """Write a scenario with top-level keys replaced, return its file (JSON is YAML, too)."""
        path = self.folder / f"village{next(self._numbers)}.yaml"
        path.write_text(json.dumps(SCENARIO | changes))
        return path

    def case(self, **changes: Any) -> Case:
        """Load the village with top-level keys of its scenario replaced."""
        return load_case(load_scenario(self.write(**changes)))


@pytest.fixture(scope="session")
def village(tmp_path_factory: pytest.TempPathFactory) -> Village:
    """Return the village of ten homes."""
    return Village(tmp_path_factory.mktemp("village"))


@pytest.fixture(scope="session")
def village_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Village]:
    """Return a village with another number of homes; those they have in common are equal."""
    return lambda homes: Village(tmp_path_factory.mktemp(f"village-{homes}"), homes)


@pytest.fixture(scope="session")
def learners() -> dict[str, Any]:
    """Return the sections of a scenario in which all owners of batteries learn."""
    return {
        "policies": {"learner": "self_consumption", "passive": "passive"},
        "groups": {
            "owners": {"members": "battery", "policy": "learner"},
            "others": {"members": "all", "policy": "passive"},
        },
    }


@pytest.fixture(scope="session")
def home(village_of: Callable[[int], Village], learners: dict[str, Any]) -> Case:
    """Return a village of four homes with batteries, which learn, and one without."""
    return village_of(5).case(**learners, co2={"kg_per_kwh": 0.4})


@dataclass
class Diary:
    """A recorder that keeps everything it is told."""

    intervals: list[Interval] = field(default_factory=list)
    solves: list[Solve] = field(default_factory=list)
    events: list[tuple[int, str]] = field(default_factory=list)

    def interval(self, interval: Interval) -> None:
        """Keep an interval."""
        self.intervals.append(interval)

    def solve(self, solve: Solve) -> None:
        """Keep a load flow."""
        self.solves.append(solve)

    def event(self, second: int, kind: str, details: dict[str, Any]) -> None:
        """Keep an event."""
        self.events.append((second, kind))


@pytest.fixture(scope="session")
def new_diary() -> Callable[[], Diary]:
    """Return what makes an empty diary."""
    return Diary


@pytest.fixture(scope="session")
def diary_of() -> Callable[[Case], Diary]:
    """Return a function that runs a case and returns its diary."""

    def run(case: Case) -> Diary:
        kept = Diary()
        Simulation(case, kept).run()
        return kept

    return run


@pytest.fixture(scope="session")
def population_of() -> Callable[..., Population]:
    """Return a function that makes a population of ``n``; what is not given is 0, or full use."""

    def make(n: int, **constants: Any) -> Population:
        columns = ("capacity_kwh", "rating_kw", "self_discharge_per_h", "wear_eur_per_kwh")
        values = dict.fromkeys((*columns, "pv_kwp", "min_kwh"), 0.0) | {"efficiency": 1.0}
        values["max_kwh"] = constants.get("capacity_kwh", 0.0)
        values["initial_kwh"] = constants.get("min_kwh", 0.0)
        values |= constants
        return Population(
            names=tuple(f"home{i}" for i in range(n)),
            buses=("bus",) * n,
            groups=("all",) * n,
            bus=np.zeros(n, dtype=np.intp),
            **{name: np.array(np.broadcast_to(x, n), float) for name, x in values.items()},
        )

    return make


@pytest.fixture(scope="session")
def metered_of() -> Callable[..., Metered]:
    """Return a function that makes the meters of a net import ``[..., n]`` without losses."""

    def make(net_kwh: np.ndarray, dead_share: Any = 0.0, losses_kwh: float = 0.0) -> Metered:
        net, nothing = np.asarray(net_kwh, float), np.zeros(np.shape(net_kwh))
        upstream = net.sum(-1) + losses_kwh
        return Metered(
            load_kwh=np.maximum(net, 0.0),
            pv_kwh=np.maximum(-net, 0.0),
            charge_kwh=nothing,
            discharge_kwh=nothing.copy(),
            unserved_kwh=nothing.copy(),
            dead_share=np.array(np.broadcast_to(dead_share, net.shape), float),
            energy_kwh=nothing.copy(),
            slack_import_kwh=np.asarray(np.maximum(upstream, 0.0)),
            slack_export_kwh=np.asarray(np.maximum(-upstream, 0.0)),
            losses_kwh=np.full(np.shape(upstream), losses_kwh),
        )

    return make
