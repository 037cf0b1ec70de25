"""The facts of a run, what a key figure is, and how it is registered and measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from cosim import glossary
from cosim.metrics.statistics import total

Columns = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Facts:
    """What the key figures need of a run.

    ``interval`` holds community figures ``[T]`` (the columns of evaluation_results.csv),
    ``solve`` figures of each load flow ``[S]``, ``prosumer`` totals ``[n]``, ``violations`` the
    episodes ``[v]``.
    """

    interval_h: float
    interval: Columns
    solve: Columns
    prosumer: Columns
    violations: Columns


@dataclass(frozen=True)
class Kpi:
    """A key figure: its name, unit and meaning, and how it comes from the facts."""

    name: str
    unit: str
    meaning: str
    function: Callable[[Facts], float]


KPIS: dict[str, Kpi] = {}


def measure(facts: Facts) -> dict[str, float]:
    """Return every key figure in the order of the glossary; NaN where it was not measured."""
    return {name: _measured(KPIS[name], facts) for name in glossary.KPIS}


def _measured(kpi: Kpi, facts: Facts) -> float:
    try:
        return float(kpi.function(facts))
    except KeyError:  # an input that was not recorded
        return float("nan")


def kpi(name: str) -> Callable[[Callable[[Facts], float]], Callable[[Facts], float]]:
    """Register a function as the key figure ``name``, which the glossary must explain."""
    known = glossary.KPIS[name]

    def register(function: Callable[[Facts], float]) -> Callable[[Facts], float]:
        KPIS[name] = Kpi(name, known.unit, known.meaning, function)
        return function

    return register


def sums(columns: Mapping[str, str]) -> None:
    """Register key figures that are the sum of a column over the intervals: name -> column."""
    for name, column in columns.items():
        kpi(name)(_sum(column))


def _sum(column: str) -> Callable[[Facts], float]:
    return lambda facts: total(facts.interval[column])
