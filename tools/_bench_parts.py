"""Where the time of an interval goes: the parts of the program, each without what it calls."""

from __future__ import annotations

import gc
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from tools._bench_common import (
    BenchmarkError,
    Row,
    Sample,
    World,
    digits,
    load,
    recorded_run,
    sampled,
)

if TYPE_CHECKING:
    from cosim.case import Case

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
    "books: settlement, closing": ("cosim.settlement:settle", "cosim.books:Books.close"),
    "recording: kept, reduced": (
        "cosim.record.recorder:DayRecorder.interval", "cosim.record.recorder:DayRecorder.solve",
    ),
}  # fmt: skip


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
    yield projection_row(case)


def projection_row(case: Case) -> Row:
    """Tell what a joint projection costs: all batteries charge, limits half way from idle."""
    from cosim.feeder.limits import Limits
    from cosim.projection import Forecast, NetworkGuard, project

    people, load_kw = case.population, case.profiles.load_kw[0]
    full, nothing = people.rating_kw, 0.0 * people.rating_kw
    p_kw = np.stack([-load_kw, -load_kw - full])
    p_kw = np.stack([np.bincount(people.bus, row, len(case.network.buses)) for row in p_kw])
    state = case.feeder.solve(p_kw, 0.0 * p_kw)
    lowest, line = np.nanmin(state.vm_pu, axis=-1).mean(), state.line_loading_percent.max(-1).mean()
    trafo = state.trafo_loading_percent.max(-1).mean()
    guard = NetworkGuard(case.feeder, Limits(lowest, 1.2, line, trafo))
    expected = Forecast(load_kw, nothing, nothing, -full, full)
    found = project(people, guard, expected, full)
    if found is None or found.left > 0.0:
        raise BenchmarkError("the projection had nothing to do, or could not do it")
    sample = sampled(lambda: project(people, guard, expected, full), 9).times(1e3)
    note = f"{(full > 0.0).sum()} batteries, {found.broken} limits, rounds: {found.rounds}"
    return Row("a projection, where limits are in danger", "ms", sample, note=note)


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
