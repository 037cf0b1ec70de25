"""A small study of two homes in CSV files, to be spoilt by the tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from cosim.errors import InputError, Problem
from cosim.profiles.base import Homes
from cosim.profiles.csv_homes import CsvHomes
from cosim.timegrid import TimeGrid

START = datetime(2023, 6, 5, tzinfo=UTC)
HOMES = "name,bus,pv_kwp,capacity_kwh,rating_kw\na,Bus 1,5,10,5\nb,Bus 2,,,\n"
COLUMNS = ("time", "load_a", "pv_a", "load_b")


def time_grid(
    start: datetime = START, interval_s: int = 900, intervals: int = 96, zone: str = "UTC"
) -> TimeGrid:
    return TimeGrid(start, interval_s, intervals, 60, ZoneInfo(zone))


def sun(hours: np.ndarray) -> np.ndarray:
    """A sunny day between 6:00 and 18:00, as a share of the rating."""
    return np.maximum(np.sin((hours % 24 - 6) / 12 * np.pi), 0.0) * 0.8


@dataclass
class Study:
    """The files as cells, which a test changes, writes and loads."""

    folder: Path
    homes: str = HOMES
    header: list[str] = field(default_factory=lambda: list(COLUMNS))
    rows: list[list[str]] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)

    def fill(self, times: list[str], step_h: float = 0.25, seed: int = 0) -> Study:
        """Give every time a load of home a and b and PV of a, the sun by row number."""
        random = np.random.default_rng(seed)
        hours = np.arange(len(times)) * step_h
        load = random.uniform(0.05, 1.0, (len(times), 2)).round(4)
        pv = (5 * sun(hours)).round(4)
        self.rows = [
            [time, str(load[k, 0]), str(pv[k]), str(load[k, 1])] for k, time in enumerate(times)
        ]
        return self

    def values(self, column: str) -> np.ndarray:
        place = self.header.index(column)
        return np.array([float(row[place]) for row in self.rows])

    def write(self) -> None:
        (self.folder / "homes.csv").write_text(self.homes)
        lines = [",".join(cells) for cells in (self.header, *self.rows)]
        (self.folder / "series.csv").write_text("\n".join(lines) + "\n")

    def load(self, grid: TimeGrid | None = None) -> Homes:
        self.write()
        plugin = CsvHomes.model_validate(
            {"homes": "homes.csv", "profiles": "series.csv", **self.options}
        )
        return plugin.load(grid or time_grid(), "any feeder", self.folder)

    def problems(self, grid: TimeGrid | None = None) -> tuple[Problem, ...]:
        with pytest.raises(InputError) as caught:
            self.load(grid)
        return caught.value.problems

    def problem(self, grid: TimeGrid | None = None) -> Problem:
        (only,) = self.problems(grid)
        return only


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """One week of UTC quarter hours."""
    times = [f"{START + timedelta(minutes=15 * k):%Y-%m-%d %H:%M}" for k in range(7 * 96)]
    return Study(tmp_path).fill(times)


@pytest.fixture
def new_grid() -> Callable[..., TimeGrid]:
    return time_grid
