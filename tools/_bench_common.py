"""What all sections of the benchmark share: samples, rows of the table, the world, whole runs."""

from __future__ import annotations

import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from cosim.case import Case
    from tools._plain_loop import Home, PlainLoop

ROOT = Path(__file__).resolve().parent.parent
SCENARIO = ROOT / "scenarios" / "plain_winter_day.yaml"
SHORTEST_S = 0.02  # of a measurement
AGREEMENT = 1e-6  # p.u., kWh and EUR: two sides that differ by more are not compared


class BenchmarkError(Exception):
    """A comparison that would not be honest, or could not be made."""


@dataclass(frozen=True)
class Sample:
    """Repeated measurements of one quantity."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle value, which every ratio uses."""
        return statistics.median(self.values)

    def times(self, factor: float) -> Sample:
        """Return the sample in another unit."""
        return Sample(tuple(value * factor for value in self.values))


@dataclass(frozen=True)
class Row:
    """One line of the table: ours, the baseline's, and what was to be reached."""

    what: str
    unit: str = ""
    ours: Sample | None = None
    baseline: Sample | None = None
    against: str = ""
    goal: float | None = None  # ours is to stay below
    note: str = ""
    refused: bool = False  # no comparison would have been honest

    @property
    def ratio(self) -> float | None:
        """How many times the baseline takes what ours takes."""
        if self.ours is None or self.baseline is None:
            return None
        return self.baseline.median / self.ours.median

    @property
    def reached(self) -> bool | None:
        """Whether the goal is reached; None where there is none."""
        return None if self.goal is None or self.ours is None else self.ours.median < self.goal


def seconds(step: Callable[[], object]) -> float:
    """Return how long a step takes."""
    gc.collect()
    begin = time.perf_counter()
    step()
    return time.perf_counter() - begin


def sampled(step: Callable[[], object], repeats: int) -> Sample:
    """Return the time of a step [s], short ones many times a measurement, after a warm-up."""
    step()
    inner = max(1, round(SHORTEST_S / seconds(step)))

    def several() -> None:
        for _ in range(inner):
            step()

    return Sample(tuple(seconds(several) / inner for _ in range(repeats)))


def largest_difference(one: Any, other: Any) -> float:
    """Return the largest absolute difference of two sets of numbers."""
    first, second = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
    if first.shape != second.shape:
        raise BenchmarkError(f"results of shapes {first.shape} and {second.shape}")
    return float(np.abs(first - second).max())


def require_agreement(what: str, one: Any, other: Any) -> float:
    """Return the largest difference; refuse to compare what does not agree."""
    difference = largest_difference(one, other)
    if not difference <= AGREEMENT:  # NaN does not agree, either
        raise BenchmarkError(f"{what} differ by {difference:.2g}, more than {AGREEMENT:g}")
    return difference


@dataclass
class World:
    """The day that is compared, for both sides; made when first needed."""

    quick: bool

    @cached_property
    def case(self) -> Case:
        """The day as cosim loads it."""
        return load()

    @cached_property
    def buses(self) -> list[int]:
        """The participants' buses by pandapower index."""
        return [int(bus) for bus in self.case.network.bus_index[self.case.population.bus]]

    @cached_property
    def net(self) -> Any:
        """The net of the plain loop, built once."""
        from tools._plain_loop import build_net

        return build_net(self.case.scenario.feeder.name, self.buses)

    def plain(
        self, steps: int, init: str = "auto", latency_s: tuple[int, int] = (0, 0)
    ) -> PlainLoop:
        """Return the plain loop over the first steps, its homes as new."""
        from tools._plain_loop import PlainLoop

        grid, k = self.case.grid, getattr(self.case.market, "k", 0.5)
        homes = [self._home(row) for row in range(len(self.case.population))]
        return PlainLoop(self.net, homes, steps, grid.interval_s, k, init, latency_s)

    @cached_property
    def plain_step_s(self) -> float:
        """Seconds of a step of the plain loop, from a few unless the section loop has set it."""
        return sampled(lambda: self.plain(12).run(), 3).median / 12

    def _home(self, row: int) -> Home:
        from tools._plain_loop import Home

        case = self.case
        people, profiles, tariffs = case.population, case.profiles, case.tariffs
        series = (
            profiles.load_kw, profiles.load_kvar, profiles.pv_kw,
            tariffs.retail_eur_per_kwh, tariffs.feed_in_eur_per_kwh,
        )  # fmt: skip
        constants = (
            people.initial_kwh, people.min_kwh, people.max_kwh, people.rating_kw,
            people.efficiency, people.self_discharge_per_h,
        )  # fmt: skip
        return Home(
            self.buses[row],
            *(values[:, row].tolist() for values in series),
            *(float(values[row]) for values in constants),
        )


def load(*overrides: str) -> Case:
    """Load the scenario with overrides."""
    from cosim.case import load_case
    from cosim.scenario import load_scenario

    return load_case(load_scenario(SCENARIO, list(overrides)))


def recorded_run(case: Case) -> dict[str, float]:
    """Run a case into a folder that is thrown away; return the seconds of its phases."""
    from cosim.record import RunRecorder
    from cosim.simulation import Simulation

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "run"
        place.mkdir()
        recorder = RunRecorder(case, place, latest=False)
        simulation = Simulation(case, recorder)
        gc.collect()
        begin = time.perf_counter()
        books = simulation.run()
        ran = time.perf_counter()
        recorder.finish(books, {})
        return {"simulate": ran - begin, "finish": time.perf_counter() - ran}


def child(*arguments: str) -> dict[str, float]:
    """Run the benchmark in a process of its own and return what it prints."""
    printed = run_python(str(ROOT / "tools" / "benchmark.py"), *arguments)
    found: dict[str, float] = json.loads(printed.splitlines()[-1])
    return found


def run_python(*arguments: str) -> str:
    """Run Python in the project's folder and return its output."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        raise BenchmarkError(f"python {' '.join(arguments)[:80]} failed: {last}")
    return done.stdout


def digits(value: float) -> str:
    """Return a number with three significant digits, never as a power of ten."""
    if value == 0.0 or abs(value) >= 100.0:
        return f"{value:.0f}"
    return f"{value:.{max(0, 2 - int(np.floor(np.log10(abs(value)))))}f}"
