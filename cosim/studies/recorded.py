"""What an audit looks at: runs kept interval by interval, and what a check says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cosim.case import Case
from cosim.plant import Solve
from cosim.simulation import Interval, Simulation
from cosim.training.lane import stored_value


@dataclass(frozen=True)
class Check:
    """One check: what was asked, whether it holds, its figure, and the bound held against."""

    name: str
    holds: bool
    figure: float
    bound: float
    unit: str
    meaning: str


@dataclass(frozen=True, eq=False)
class Record:
    """A run, interval by interval, and the case it was of."""

    case: Case
    rows: np.ndarray  # the judged owners
    intervals: tuple[Interval, ...]


def check(name: str, figure: float, bound: float, unit: str, meaning: str) -> Check:
    """Return a check that holds where the figure is at most the bound."""
    return Check(name, bool(figure <= bound), float(figure), float(bound), unit, meaning)


def recorded(case: Case, seat: str, intervals: int | None = None) -> Record:
    """Run a case, or its first ``intervals``, and keep every interval."""
    diary = _Diary()
    Simulation(case, diary).run(intervals=intervals)
    rows = next(own.rows for own in case.seats if own.name == seat)
    return Record(case, rows, tuple(diary.intervals))


class _Diary:
    """A recorder that keeps the intervals."""

    def __init__(self) -> None:
        self.intervals: list[Interval] = []

    def interval(self, interval: Interval) -> None:
        """Keep one."""
        self.intervals.append(interval)

    def solve(self, solve: Solve) -> None:
        """Ignore load flows."""

    def event(self, second: int, kind: str, details: dict[str, Any]) -> None:
        """Ignore the event log."""


def cost_eur(run: Record) -> float:
    """Return the community's cost [EUR]: bills and wear, less what was gained in storage."""
    value = stored_value(run.case, np.arange(len(run.case.population)))
    stored = run.intervals[-1].metered.energy_kwh - run.case.population.initial_kwh
    bills = sum(float((i.bills.bill_eur + i.bills.wear_eur).sum()) for i in run.intervals)
    return bills - float((value * stored).sum())


def turnover_eur(runs: Sequence[Record]) -> float:
    """Return the sum of what everybody paid or earned [EUR], at least 1."""
    paid = (float(np.abs(i.bills.bill_eur).sum()) for run in runs for i in run.intervals)
    return max(1.0, sum(paid))
