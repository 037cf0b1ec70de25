"""Voltages, loadings, episodes, and the four ledgers of safety."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cosim.feeder.state import SolveStatus
from cosim.metrics.base import Facts, kpi, sums
from cosim.metrics.statistics import extreme, total

#: kinds of episodes that are breaches of a grid limit; the other kind is no_supply
GRID_KINDS = ("undervoltage", "overvoltage", "line_loading", "trafo_loading")


def _highest(name: str) -> Callable[[Facts], float]:
    return lambda facts: extreme(np.fmax, facts.solve[name])


def _lowest(name: str) -> Callable[[Facts], float]:
    return lambda facts: extreme(np.fmin, facts.solve[name])


def _minutes(name: str) -> Callable[[Facts], float]:
    return lambda facts: total(facts.solve[name] * facts.solve["duration_s"]) / 60.0


for _name in ("vm_max_pu", "line_max_percent", "trafo_max_percent"):
    kpi(_name)(_highest(_name))
kpi("vm_min_pu")(_lowest("vm_min_pu"))
for _name, _column in {
    "undervoltage_bus_minutes": "buses_under",
    "overvoltage_bus_minutes": "buses_over",
    "line_over_minutes": "lines_over",
    "trafo_over_minutes": "trafos_over",
}.items():
    kpi(_name)(_minutes(_column))
sums(
    {
        name: name
        for name in (
            "request_breaches", "interventions", "intervention_kwh", "delivery_deviations",
            "device_breaches", "fallback_intervals", "fallback_impossible", "fallback_locked_out",
            "fallback_kwh",
            "network_interventions", "network_kwh",
        )
    }
)  # fmt: skip


@kpi("unsolved_steps")
def _unsolved_steps(facts: Facts) -> float:
    return float((facts.solve["status"] == SolveStatus.COLLAPSE).sum())


@kpi("violations")
def _violations(facts: Facts) -> float:
    return float(len(facts.violations["kind"]))


@kpi("grid_breaches")
def _grid_breaches(facts: Facts) -> float:
    return float(np.isin(facts.violations["kind"], GRID_KINDS).sum())
