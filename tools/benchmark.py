"""Measure cosim against baselines in the same run, and print how many times faster it is.

python tools/benchmark.py
python tools/benchmark.py --quick --only loop,parts --json benchmark.json

Compared are runs of one world: a January day of 118 participants on 129 buses. A ratio is printed
only where both sides came to the same results. Times are medians, with the range of the repetitions
in brackets; on a busy machine ratios are steadier than times. Needs the extra ``test`` for the load
flows of others.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # finds what lies beside this file as tools.*

if TYPE_CHECKING:
    from cosim.case import Case
    from tools._plain_loop import Home, PlainLoop

SCENARIO = ROOT / "scenarios" / "plain_winter_day.yaml"
LATENCY = (1, 30)  # shortest and longest travel of an order [s]; all arrive before the gate closes
YEAR_INTERVALS = 35_136  # quarter hours of a leap year
LANES = 64
SHORTEST_S = 0.02  # of a measurement
AGREEMENT = 1e-6  # p.u., kWh and EUR: two sides that differ by more are not compared
HELP_GOAL_S, FIRST_INTERVAL_GOAL_S = 0.3, 2.0

KERNEL = "kernel: SimPy, orchestration"
#: part of an interval -> the functions whose time it is, without what they call of other parts
PARTS = {
    "policies: desk, lookout, guard": (
        "cosim.desk:Desk.ask", "cosim.lookout:Lookout.at", "cosim.lookout:Lookout.published",
        "cosim.lookout:Lookout.note", "cosim.guard:guard",
    ),
    "market: book, clearing": ("cosim.trade:trade",),
    "plant: batteries, flows, meters": (
        "cosim.plant:Plant.begin", "cosim.plant:Plant.hold", "cosim.plant:Plant.meter",
    ),
    "load flow": ("cosim.feeder.feeder:Feeder.solve",),
    "books: settlement, closing": ("cosim.settlement:settle", "cosim.settlement:Books.close"),
    "recording: kept, reduced": (
        "cosim.record.recorder:DayRecorder.interval", "cosim.record.recorder:DayRecorder.solve",
    ),
}  # fmt: skip


class BenchmarkError(Exception):
    """A comparison that would not be honest, or could not be made."""


# ---------------------------------------------------------------- measuring


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


# ---------------------------------------------------------------- the world


class Kept:
    """A recorder that keeps what both loops are compared by."""

    def __init__(self) -> None:
        self.volume_kwh: list[float] = []
        self.vm_pu: list[np.ndarray] = []
        self.bill_eur: list[np.ndarray] = []

    def interval(self, interval: Any) -> None:
        """Take one settled interval."""
        self.volume_kwh.append(float(interval.trade.clearing.volume_kwh))
        self.bill_eur.append(interval.bills.bill_eur)

    def solve(self, solve: Any) -> None:
        """Take one load flow."""
        self.vm_pu.append(solve.grid.vm_pu)

    def event(self, second: int, kind: str, details: dict[str, Any]) -> None:
        """Take one line of the event log; nothing happens here."""


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


# ---------------------------------------------------------------- 1. the loop


def loop_rows(world: World) -> Iterator[Row]:
    """Compare whole runs of the day: same volumes, voltages and bills, results kept in memory."""
    from cosim.record import MemoryRecorder
    from cosim.simulation import Simulation

    steps, repeats = world.case.grid.intervals, 1 if world.quick else 3
    late = load(f"latency.min_s={LATENCY[0]}", f"latency.max_s={LATENCY[1]}")
    for name, against, case, init, latency_s in (
        ("an interval of the loop", "SimPy + runpp", world.case, "auto", (0, 0)),
        ("", 'SimPy + runpp(init="results")', world.case, "results", (0, 0)),
        ("with random latencies of orders", "SimPy + runpp, the same", late, "auto", LATENCY),
    ):
        note = _same_results(world, case, init, latency_s)

        def ours(case: Case = case) -> object:
            return Simulation(case, MemoryRecorder(case)).run()

        mine, theirs = list[float](), list[float]()
        ours()
        for _ in range(repeats):  # in turns, so that both meet the same load of the machine
            mine += [seconds(ours) for _ in range(7)]
            theirs.append(seconds(world.plain(steps, init, latency_s).run))
        plain = Sample(tuple(theirs)).times(1.0 / steps)
        if not name.startswith("with") and init == "auto":
            world.plain_step_s = plain.median
        yield Row(name, "us", Sample(tuple(mine)).times(1e6 / steps), plain.times(1e6), against,
                  note=note)  # fmt: skip


def _same_results(world: World, case: Case, init: str, latency_s: tuple[int, int]) -> str:
    """Run both once; return how well they agree."""
    from cosim.simulation import Simulation

    kept = Kept()
    Simulation(case, kept).run()
    plain = world.plain(case.grid.intervals, init, latency_s).run()
    pairs = (
        ("cleared volumes", kept.volume_kwh, plain.volume_kwh, "kWh"),
        ("voltages", kept.vm_pu, plain.vm_pu, "p.u."),
        ("bills", kept.bill_eur, plain.bill_eur, "EUR"),
    )
    if not sum(plain.volume_kwh) > 0.0:
        raise BenchmarkError("nothing was traded: the comparison would show little")
    found = [f"{require_agreement(what, a, b):.0e} {unit}" for what, a, b, unit in pairs]
    return "differ by " + ", ".join(found)


# ---------------------------------------------------------------- 2. the parts


class Stopwatch:
    """Adds up the time of parts, each without the parts that it calls."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()  # of a part
        self.calling: Counter[str] = Counter()  # from a part
        self._running = [KERNEL]
        self._since = time.perf_counter()

    def begin(self) -> None:
        """Start with the kernel."""
        self._since = time.perf_counter()

    def end(self) -> None:
        """Book what ran last."""
        self._book()

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with its time booked for a part."""

        def wrapper(*arguments: Any, **named: Any) -> Any:
            self._book()
            self.calling[self._running[-1]] += 1
            self.calls[part] += 1
            self._running.append(part)
            try:
                return function(*arguments, **named)
            finally:
                self._book()
                self._running.pop()

        return wrapper

    def net(self, cost: tuple[float, float]) -> dict[str, float]:
        """Return the seconds without what measuring costs, per call: the called, the caller."""
        return {
            part: taken - cost[0] * self.calls[part] - cost[1] * self.calling[part]
            for part, taken in self.seconds.items()
        }

    def _book(self) -> None:
        now = time.perf_counter()
        self.seconds[self._running[-1]] += now - self._since
        self._since = now


def wrapper_cost(count: int = 20_000) -> tuple[float, float]:
    """Return what one timed call adds to the part called and to the part that calls [s]."""

    def nothing() -> None:
        pass

    watch, bare = Stopwatch(), time.perf_counter()
    for _ in range(count):
        nothing()
    bare = time.perf_counter() - bare
    timed = watch.timed("called", nothing)
    watch.begin()
    for _ in range(count):
        timed()
    watch.end()
    return watch.seconds["called"] / count, (watch.seconds[KERNEL] - bare) / count


@contextmanager
def instrumented(watch: Stopwatch) -> Iterator[None]:
    """Let the functions of all parts be timed, wherever cosim has imported them."""
    undo: list[tuple[Any, str, Any]] = []
    try:
        for part, places in PARTS.items():
            for place in places:
                for owner, name in _holders(place):
                    original = getattr(owner, name)
                    undo.append((owner, name, original))
                    setattr(owner, name, watch.timed(part, original))
        yield
    finally:
        for owner, name, original in undo:
            setattr(owner, name, original)


def _holders(place: str) -> list[tuple[Any, str]]:
    """Return where a function is to be replaced: its class, or each module that imported it."""
    module_name, _, path = place.partition(":")
    owner_name, _, name = path.rpartition(".")
    try:
        owner = import_module(module_name)
        owner = getattr(owner, owner_name) if owner_name else owner
        function = getattr(owner, name)
    except (ImportError, AttributeError) as error:
        raise BenchmarkError(f"{place} is gone: name its new place in PARTS") from error
    if owner_name:
        return [(owner, name)]
    modules = [module for key, module in sys.modules.items() if key.startswith("cosim.")]
    return [(module, name) for module in modules if getattr(module, name, None) is function]


def parts_rows(world: World) -> Iterator[Row]:
    """Tell where the time of an interval goes.

    The parts are measured in runs that keep their results in memory. A recorder on disk writes on
    a thread of its own, which takes time from whatever runs beside it: only the whole shows that.
    """
    case = load(f"time.days={2 if world.quick else 7}")
    cost, scale = wrapper_cost(), 1e6 / case.grid.intervals
    memory, disk = list[float](), list[float]()
    parts: dict[str, list[float]] = {part: [] for part in (KERNEL, *PARTS)}
    memory_run(case)
    for _ in range(3 if world.quick else 7):
        memory.append(memory_run(case))
        disk.append(recorded_run(case)["simulate"])
        watch = Stopwatch()
        with instrumented(watch):
            memory_run(case, watch)
        for part, taken in watch.net(cost).items():
            parts[part].append(taken)
    silent = [part for part, taken in parts.items() if not taken]
    if silent:
        raise BenchmarkError(f"never called: {', '.join(silent)}; see PARTS")
    whole = Sample(tuple(memory)).times(scale)
    samples = {part: Sample(tuple(taken)).times(scale) for part, taken in parts.items()}
    for part, sample in samples.items():
        yield Row(f"  {part}", "us", sample, note=f"{sample.median / whole.median:.0%}")
    total = sum(sample.median for sample in samples.values())
    yield Row("an interval, results in memory", "us", whole,
              note=f"parts add up to {total / whole.median:.1%}")  # fmt: skip
    recorded = Sample(tuple(disk)).times(scale)
    yield Row("an interval, recorded on disk", "us", recorded,
              note=f"{digits(recorded.median - whole.median)} us more")  # fmt: skip


def memory_run(case: Case, watch: Stopwatch | None = None) -> float:
    """Run a case with its results in memory, under a watch; return the seconds."""
    from cosim.record import MemoryRecorder
    from cosim.simulation import Simulation

    simulation = Simulation(case, MemoryRecorder(case))
    gc.collect()
    if watch is not None:
        watch.begin()
    begin = time.perf_counter()
    simulation.run()
    taken = time.perf_counter() - begin
    if watch is not None:
        watch.end()
    return taken


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


# ---------------------------------------------------------------- 3. a year, and memory


def year_rows(world: World) -> Iterator[Row]:
    """Project a recorded year from a week, and show how memory grows with the weeks."""
    many = 3 if world.quick else 8
    few = [child("--child-weeks", "1") for _ in range(1 if world.quick else 3)]
    long = child("--child-weeks", str(many))
    plain = Sample((world.plain_step_s * YEAR_INTERVALS,))
    for name, runs in (("a week", few), (f"{many} weeks", [long])):
        year = tuple(
            run["load"] + (run["simulate"] + run["finish"]) * YEAR_INTERVALS / run["intervals"]
            for run in runs
        )
        yield Row(f"a recorded year, projected from {name}", "s", Sample(year), plain,
                  "SimPy + runpp, unrecorded", note="each in a process of its own")  # fmt: skip
    memory = statistics.median(run["memory_mb"] for run in few)
    growth = (long["memory_mb"] - memory) / (many - 1)
    yield Row("peak memory of a recorded week", "MB", Sample((memory,)))
    yield Row(f"peak memory of {many} recorded weeks", "MB", Sample((long["memory_mb"],)),
              note=f"{growth:+.1f} MB a week")  # fmt: skip


def child_weeks(weeks: int) -> dict[str, float]:
    """Run and record some weeks in this process; return seconds and peak memory."""
    begin = time.perf_counter()
    case = load(f"time.days={7 * weeks}")
    loaded = time.perf_counter() - begin
    taken = recorded_run(case)
    return {
        "load": loaded, **taken, "intervals": case.grid.intervals, "memory_mb": peak_memory_mb()
    }  # fmt: skip


def peak_memory_mb() -> float:
    """Return the most memory this process has held.

    Linux's ``ru_maxrss`` begins with what the parent held, so its own high-water mark is read.
    """
    status = Path("/proc/self/status")
    if status.exists():
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return float(fields["VmHWM"].split()[0]) / 1024.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # macOS counts bytes


def child(*arguments: str) -> dict[str, float]:
    """Run this file in a process of its own and return what it prints."""
    printed = run_python(str(Path(__file__).resolve()), *arguments)
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


# ---------------------------------------------------------------- 4. the load flow


def loadflow_rows(world: World) -> Iterator[Row]:
    """Compare new injections to all voltages and loadings, state after state and in lanes."""
    from tools._plain_loop import LightSim2Grid, MissingPackageError, PowerGridModel, build_net

    case = world.case
    p, q = injections(case)
    net = build_net(case.scenario.feeder.name, [int(bus) for bus in case.network.bus_index])
    feeder, repeats = case.feeder.twin(), 5 if world.quick else 15
    vm_pu = feeder.solve(p, q).vm_pu
    one = sampled(lambda: each(feeder.solve, p, q), repeats).times(1e6 / LANES)
    many = sampled(lambda: feeder.solve(p, q), repeats).times(1e6 / LANES)
    few = slice(0, 4)
    yield _versus("a load flow, alone", one, lambda: each(partial(reference, net), p[few], q[few]),
                  "pandapower.runpp", vm_pu[few], min(repeats, 7))  # fmt: skip
    for package, engine, methods in (
        ("power-grid-model", PowerGridModel, ("newton_raphson", "iterative_current")),
        ("lightsim2grid", LightSim2Grid, ("newton_raphson",)),
    ):
        try:
            other = engine(net)
        except MissingPackageError as error:
            yield Row("a load flow, alone and in lanes", against=package, note=str(error))
            continue
        for method in methods:
            alone, batch = partial(other.solve_one, method), partial(other.solve_many, method)
            name = f"{package} {method.replace('_', ' ')}"
            yield _versus("a load flow, alone", one, partial(each, alone, p, q), name,
                          vm_pu, repeats)  # fmt: skip
            yield _versus(f"a load flow, {LANES} lanes", many, partial(batch, p, q),
                          f"{name}, batch", vm_pu, repeats)  # fmt: skip


def each(solve: Callable[..., Any], p: np.ndarray, q: np.ndarray) -> list[Any]:
    """Solve one state after the other; no two in turn are the same."""
    return [solve(p_kw, q_kvar) for p_kw, q_kvar in zip(p, q, strict=True)]


def _versus(
    what: str,
    ours: Sample,
    other: Callable[[], Any],
    against: str,
    vm_pu: np.ndarray,
    repeats: int,
) -> Row:
    """Return the row of an engine that gives the same voltages ``[states, b]``."""
    try:
        difference = require_agreement("voltages", other(), vm_pu)
    except BenchmarkError as error:
        return Row(what, against=against, note=f"refused: {error}", refused=True)
    return Row(what, "us", ours, sampled(other, repeats).times(1e6 / len(vm_pu)), against,
               note=f"differ by {difference:.0e} p.u.")  # fmt: skip


def injections(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Return the injections of the day's middle without batteries, two arrays ``[LANES, b]``."""
    profiles, bus = case.profiles, case.population.bus
    first = max(0, (case.grid.intervals - LANES) // 2)
    rows = slice(first, first + LANES)
    found = []
    for kw in (profiles.pv_kw - profiles.load_kw, -profiles.load_kvar):
        at_buses = np.zeros((LANES, len(case.network.buses)))
        np.add.at(at_buses.T, bus, kw[rows].T)
        found.append(at_buses)
    return found[0], found[1]


def reference(net: Any, p_kw: np.ndarray, q_kvar: np.ndarray) -> np.ndarray:
    """Return the voltages of a plain pandapower run, loads at every bus."""
    from tools._plain_loop import run_load_flow

    net.load["p_mw"], net.load["q_mvar"] = p_kw / -1e3, q_kvar / -1e3
    run_load_flow(net)
    voltages: np.ndarray = net.res_bus.vm_pu.to_numpy(copy=True)
    return voltages


# ---------------------------------------------------------------- 5. start-up


def start_rows(world: World) -> Iterator[Row]:
    """Measure processes from their start, caches warm."""
    repeats = 3 if world.quick else 5
    name = str(SCENARIO.relative_to(ROOT))

    def wall(*arguments: str, repeats: int = repeats) -> Sample:
        return sampled(lambda: run_python(*arguments), repeats)

    yield Row("python -m cosim --help", "s", wall("-m", "cosim", "--help"), wall("-c", "pass"),
              "python -c pass", HELP_GOAL_S)  # fmt: skip
    imports = wall("-c", "import simpy, pandapower", repeats=3)
    child("--child-first", "0")
    first = Sample(tuple(
        child("--child-first", repr(time.time()))["seconds"] for _ in range(repeats)
    ))  # fmt: skip
    yield Row("process start to first interval settled", "s", first, imports,
              "import simpy, pandapower", FIRST_INTERVAL_GOAL_S)  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        run = ("-m", "cosim", "run", name, "--quiet", "--out", folder)
        yield Row("python -m cosim run, a day, no figures", "s", wall(*run, "--no-figures"))
        yield Row("python -m cosim run, a day, with figures", "s", wall(*run, repeats=2))


def child_first(began: float) -> dict[str, float]:
    """Return the seconds from ``began`` to the first settled interval of a recorded run."""
    from cosim.record import RunRecorder
    from cosim.simulation import Simulation

    case = load()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "run"
        place.mkdir()
        recorder = RunRecorder(case, place, latest=False)
        settled: list[float] = []

        def stop(second: int) -> None:
            settled.append(time.time())
            raise KeyboardInterrupt

        try:
            Simulation(case, recorder).run(stop)
        except KeyboardInterrupt:
            recorder.abort()
    return {"seconds": settled[0] - began}


# ---------------------------------------------------------------- output


SECTIONS: dict[str, tuple[str, Callable[[World], Iterator[Row]]]] = {
    "loop": ("The loop, per interval", loop_rows),
    "parts": ("Where the time of an interval goes", parts_rows),
    "year": ("A year, and memory", year_rows),
    "loadflow": ("The load flow, per state of 129 buses", loadflow_rows),
    "start": ("Start-up", start_rows),
}
HEADINGS = ("what", "ours", "baseline", "ratio", "goal", "against, and remarks")


def machine() -> dict[str, Any]:
    """Return what the figures were measured on."""
    packages = ("numpy", "numba", "simpy", "pandapower", "power-grid-model", "lightsim2grid")
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "python": platform.python_version(),
        **{name: _version(name) for name in packages},
    }


def _cpu() -> str:
    """Return the model of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def digits(value: float) -> str:
    """Return a number with three significant digits, never as a power of ten."""
    if value == 0.0 or abs(value) >= 100.0:
        return f"{value:.0f}"
    return f"{value:.{max(0, 2 - int(np.floor(np.log10(abs(value)))))}f}"


def shown(sample: Sample | None, unit: str) -> str:
    """Return a median with its unit, and the range where there were several."""
    if sample is None:
        return ""
    text = f"{digits(sample.median)} {unit}"
    if len(sample.values) == 1:
        return text
    return f"{text} ({digits(min(sample.values))}..{digits(max(sample.values))})"


def cells(row: Row) -> tuple[str, ...]:
    """Return a row as text."""
    goal = ""
    if row.goal is not None:
        goal = f"< {digits(row.goal)} {row.unit}: {'reached' if row.reached else 'MISSED'}"
    return (
        row.what,
        shown(row.ours, row.unit),
        shown(row.baseline, row.unit),
        "" if row.ratio is None else f"{digits(row.ratio)} x",
        goal,
        "; ".join(text for text in (row.against, row.note) if text),
    )


def table(found: dict[str, list[Row]]) -> str:
    """Return all sections as aligned text."""
    texts = {name: [cells(row) for row in rows] for name, rows in found.items()}
    everything = [HEADINGS, *(row for rows in texts.values() for row in rows)]
    widths = [max(len(row[i]) for row in everything) for i in range(len(HEADINGS))]

    def line(row: Sequence[str]) -> str:
        return "  ".join(
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        ).rstrip()

    lines = [line(HEADINGS)]
    for name, rows in texts.items():
        lines += ["", SECTIONS[name][0], *map(line, rows)]
    return "\n".join(lines)


def as_json(found: dict[str, list[Row]], about: dict[str, Any]) -> dict[str, Any]:
    """Return machine and rows as plain values."""
    return {
        "machine": about,
        "sections": {
            name: [asdict(row) | {"ratio": row.ratio, "reached": row.reached} for row in rows]
            for name, rows in found.items()
        },
    }


def measured(world: World, names: Sequence[str]) -> dict[str, list[Row]]:
    """Return the rows of sections; a section ends where a comparison is refused."""
    found: dict[str, list[Row]] = {}
    for name in names:
        found[name] = []
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        try:
            found[name].extend(SECTIONS[name][1](world))
        except BenchmarkError as error:
            found[name].append(Row("refused", note=str(error), refused=True))
    return found


def sections(text: str) -> list[str]:
    """Return the sections named in an option."""
    names = [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in SECTIONS]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"unknown section {', '.join(unknown)}; there are {', '.join(SECTIONS)}"
        )
    return names


def main(words: Sequence[str] | None = None) -> int:
    """Measure and print; return 1 where a comparison was refused."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", type=sections, default=list(SECTIONS), metavar="SECTION,...",
                        help=f"of {', '.join(SECTIONS)}")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, shorter runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the same as JSON")
    parser.add_argument("--child-weeks", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--child-first", type=float, help=argparse.SUPPRESS)
    arguments = parser.parse_args(words)
    if arguments.child_weeks is not None:
        print(json.dumps(child_weeks(arguments.child_weeks)))
        return 0
    if arguments.child_first is not None:
        print(json.dumps(child_first(arguments.child_first)))
        return 0
    about = machine()
    found = measured(World(arguments.quick), arguments.only)
    print(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in about.items()))
    print("Medians, range in brackets; on a busy machine trust ratios more than times.\n")
    print(table(found))
    if arguments.json is not None:
        text = json.dumps(as_json(found, about), indent=2)
        arguments.json.write_text(text + "\n", encoding="utf-8")
    return int(any(row.refused for rows in found.values() for row in rows))


if __name__ == "__main__":
    sys.exit(main())
