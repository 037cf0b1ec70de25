"""The recorders: they keep references while the simulation runs and work a day at a time.

The simulation's values are frozen, so recording one is appending a reference. When a day is full
it is stacked and reduced; a run folder digests and writes it on a thread of its own.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cosim.errors import OutputError, RunError
from cosim.metrics import Facts, measure
from cosim.record import manifest
from cosim.record.day import Day, Scope, stack, steady_kw
from cosim.record.digest import chained, day_digest
from cosim.record.events import EVENTS, append_events
from cosim.record.facts import DayFacts, extremes_of, facts_of, summarise
from cosim.record.folder import MANIFEST, lock, point_latest, unlock, write_json
from cosim.record.tables import TABLES, Table, check_tables, tables_of

if TYPE_CHECKING:
    from cosim.books import Books
    from cosim.case import Case
    from cosim.plant import Solve
    from cosim.simulation import Interval

#: days that may wait for the writer before the simulation waits for it
WAITING_DAYS = 2


@dataclass(frozen=True, eq=False)
class RunSummary:
    """The outcome of a run: key figures, digest, and where the results are (None: in memory).

    ``digest`` is empty where the recorder was not asked for one. NaN means "not measured".
    """

    name: str
    kpis: dict[str, float]
    facts: Facts
    digest: str
    folder: Path | None = None


class DayRecorder(ABC):
    """Abstract recorder that hands over whole days; implements ``cosim.simulation.Recorder``."""

    def __init__(self, case: Case) -> None:
        self.scope = Scope(case)
        self._per_day = max(1, 86_400 // case.grid.interval_s)
        self._day = Day(0)

    def solve(self, solve: Solve) -> None:
        """Take one load flow."""
        self._day.solves.append(solve)

    def event(self, second: int, kind: str, details: dict[str, Any]) -> None:
        """Take one line of the event log."""
        self._day.events.append((second, kind, dict(details)))

    def interval(self, interval: Interval) -> None:
        """Take one settled interval; the last of a day hands the day over."""
        self._day.intervals.append(interval)
        if len(self._day.intervals) == self._per_day:
            self._hand_over()

    def _hand_over(self) -> None:
        full = self._day
        last = full.intervals[-1]
        solves = sum(solve.interval == last.index for solve in full.solves)
        before_kw = steady_kw(last.metered, solves, self.scope.case.grid.interval_h)
        self._day = Day(full.number + 1, [], [], [], last.metered.energy_kwh, before_kw)
        self._take(full)

    def _flush(self) -> None:
        """Hand over what is settled of the day that has begun, and all events."""
        day = self._day
        if not day.intervals:
            return
        last = day.intervals[-1].index
        day.solves[:] = [solve for solve in day.solves if solve.interval <= last]
        self._hand_over()

    @abstractmethod
    def _take(self, day: Day) -> None:
        """Work on a day; nothing else refers to it any more."""


class MemoryRecorder(DayRecorder):
    """Keeps what the key figures need, and the digest on request; nothing goes to disk."""

    def __init__(self, case: Case, digest: bool = False) -> None:
        super().__init__(case)
        self._digest = digest
        self._facts: list[DayFacts] = []
        self._digests: list[str] = []

    def finish(self, books: Books, timings: dict[str, float]) -> RunSummary:
        """Return the key figures of the run."""
        self._flush()
        facts = _facts(self._facts, self.scope)
        digest = chained(self._digests) if self._digest else ""
        return RunSummary(self.scope.case.scenario.name, measure(facts), facts, digest)

    def _take(self, day: Day) -> None:
        stacked = stack(day, self.scope)
        self._facts.append(summarise(stacked, self.scope))
        if self._digest:
            self._digests.append(day_digest(tables_of(stacked, self.scope), day.events))


class RunRecorder(DayRecorder):
    """Writes a run folder: part files as days pass, key figures and manifest at the end.

    The manifest says ``complete: false`` until :meth:`finish` has written everything else. A
    writer thread encodes and writes, which leaves Python's lock free; its errors surface at one
    of the next days or at the end, as OutputError.
    """

    def __init__(self, case: Case, folder: Path, *, latest: bool = True) -> None:
        super().__init__(case)
        names = case.scenario.record
        self.folder = folder
        self._latest = latest
        self._tables = TABLES if names is None else check_tables(names)
        lock(folder)
        self._manifest = manifest.opening(self.scope, self._tables, _now())
        self._facts: list[DayFacts] = []
        self._days: list[str] = []  # digests of the days that are on disk
        self._columns: dict[str, tuple[str, ...]] = {}
        self._waiting: deque[Future[str]] = deque()
        self._busy_s = 0.0
        self._closed = False
        try:
            self._write_manifest()
        except OutputError:
            unlock(folder)
            raise
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="record")
        self._writer.submit(import_module, "cosim.record.parquet")  # slow to import

    def finish(self, books: Books, timings: dict[str, float]) -> RunSummary:
        """Write what is left, the key figures and the closing manifest; return the summary."""
        try:
            return self._finish(books, timings)
        finally:
            self._close()

    def abort(self, reason: str = "interrupted") -> None:
        """Write what is settled, as far as possible; the run stays marked as incomplete."""
        if self._closed:
            return
        with suppress(OutputError):
            self._flush()
        with suppress(OutputError):
            self._drain(0)
        self._manifest |= self._digests()
        self._manifest |= {"interrupted_at": _now(), "reason": reason}
        with suppress(OutputError):
            self._write_manifest()
        self._close()

    def _finish(self, books: Books, timings: dict[str, float]) -> RunSummary:
        from cosim.record.outputs import write_kpis, write_results

        self._flush()
        self._drain(0)
        scope, facts = self.scope, _facts(self._facts, self.scope)
        kpis = measure(facts)
        write_results(self.folder, facts, extremes_of(self._facts), scope)
        write_kpis(self.folder / "kpi.csv", kpis)
        append_events(self.folder / EVENTS, self._day.events, scope)
        write_json(self.folder / "columns.json", manifest.columns_json(self._columns))
        self._manifest |= self._digests() | manifest.closing(scope.case, books)
        self._write_summary(kpis)
        self._manifest |= {
            "complete": True,
            "finished_at": _now(),
            "timings_s": {**timings, "record": self._busy_s},
        }
        self._write_manifest()
        if self._latest:
            point_latest(self.folder)
        name = scope.case.scenario.name
        return RunSummary(name, kpis, facts, self._manifest["digest"], self.folder)

    def _take(self, day: Day) -> None:
        from cosim.record.parquet import arrow_table

        begin = time.perf_counter()
        stacked = stack(day, self.scope)
        tables = tables_of(stacked, self.scope)
        self._facts.append(summarise(stacked, self.scope))
        parts = {name: arrow_table(tables[name]) for name in self._tables}
        self._columns = {name: tuple(part.column_names) for name, part in parts.items()}
        self._busy_s += time.perf_counter() - begin
        self._drain(WAITING_DAYS - 1)
        self._waiting.append(self._writer.submit(self._write, day, tables, parts))

    def _drain(self, leave: int) -> None:
        """Wait until at most ``leave`` days are left with the writer; raise what went wrong."""
        while len(self._waiting) > leave:
            self._days.append(self._waiting.popleft().result())

    def _write(self, day: Day, tables: dict[str, Table], parts: dict[str, Any]) -> str:
        """Write one day and return its digest; runs on the writer thread."""
        from cosim.record.parquet import write_part

        for name, part in parts.items():
            write_part(self.folder / name / f"day-{day.number:04d}.parquet", part)
        append_events(self.folder / EVENTS, day.events, self.scope)
        return day_digest(tables, day.events)

    def _digests(self) -> dict[str, Any]:
        written = self._facts[: len(self._days)]
        return {
            "intervals_recorded": sum(len(day.interval["interval"]) for day in written),
            "digest": chained(self._days),
            "day_digests": self._days,
        }

    def _write_summary(self, kpis: dict[str, float]) -> None:
        content = {
            "scenario": self.scope.case.scenario.name,
            "run": self.folder.name,
            "digest": self._manifest["digest"],
            "kpis": {name: _plain(value) for name, value in kpis.items()},
        }
        write_json(self.folder / "summary.json", content)

    def _write_manifest(self) -> None:
        write_json(self.folder / MANIFEST, self._manifest)

    def _close(self) -> None:
        self._closed = True
        self._writer.shutdown(cancel_futures=True)
        unlock(self.folder)


def _facts(days: list[DayFacts], scope: Scope) -> Facts:
    if not days:
        raise RunError("nothing was recorded: the run ended before its first interval was settled")
    return facts_of(days, scope)


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
