"""From recorded values to key figures: pure functions of :class:`Facts`.

A figure whose input was not recorded is NaN, "not measured"; none falls back to zero. Sums over
load flows leave out those without a solution, which ``unsolved_steps`` counts. Units and
meanings are held by :data:`cosim.glossary.KPIS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from cosim import glossary
from cosim.feeder.state import SolveStatus

Columns = Mapping[str, np.ndarray]

#: kinds of episodes that are breaches of a grid limit; the other kind is no_supply
GRID_KINDS = ("undervoltage", "overvoltage", "line_loading", "trafo_loading")


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


# ---------------------------------------------------------------- helpers on arrays


def total(values: np.ndarray) -> float:
    """Return the sum of what was measured; NaN when nothing was."""
    known = values[~np.isnan(values)]
    return float(known.sum()) if len(known) else float("nan")


def ratio(part: float, whole: float) -> float:
    """Return ``part / whole``; NaN when the whole is (almost) nothing."""
    return part / whole if abs(whole) > 1e-9 else float("nan")


def extreme(pick: np.ufunc, values: np.ndarray) -> float:
    """Return the ``np.fmin`` or ``np.fmax`` of what was measured; NaN when nothing was."""
    return float(pick.reduce(values)) if len(values) else float("nan")


def gini(values: np.ndarray) -> float:
    """Return the Gini coefficient ``[n]`` in 0..1, for values of any sign.

    ``sum |x_i - x_j| / (2 (n - 1) sum |x_i|)``: the usual coefficient where no value is negative
    (with n - 1 for n), and never above 1 where some are. NaN for fewer than two values or zeros.
    Raffinetti, Siletti, Vernizzi (2015), Statistical Methods & Applications 24(3), 507-521.
    """
    n = len(values)
    ordered = np.sort(values)
    differences = 2.0 * float((2.0 * np.arange(n) - n + 1.0) @ ordered)
    return ratio(differences, 2.0 * (n - 1) * float(np.abs(values).sum()))


def jain(values: np.ndarray) -> float:
    """Return Jain's index of fairness ``[n]`` in 1/n..1; a value below 0 counts as 0.

    ``(sum x)^2 / (n sum x^2)``. NaN when nobody has a positive value.
    Jain, Chiu, Hawe (1984), DEC Research Report TR-301.
    """
    gained = np.maximum(values, 0.0)
    return ratio(float(gained.sum()) ** 2, len(values) * float((gained**2).sum()))


def _sum(name: str) -> Callable[[Facts], float]:
    return lambda facts: total(facts.interval[name])


def _highest(name: str) -> Callable[[Facts], float]:
    return lambda facts: extreme(np.fmax, facts.solve[name])


def _lowest(name: str) -> Callable[[Facts], float]:
    return lambda facts: extreme(np.fmin, facts.solve[name])


def _minutes(name: str) -> Callable[[Facts], float]:
    return lambda facts: total(facts.solve[name] * facts.solve["duration_s"]) / 60.0


for _name, _column in {
    **{
        name: name
        for name in (
            "bill_eur", "wear_eur", "operator_surplus_eur", "welfare_eur", "orders_sent",
            "orders_late_or_lost", "load_kwh", "pv_kwh", "losses_kwh", "co2_kg",
            "stored_change_kwh", "unserved_kwh", "request_breaches", "interventions",
            "intervention_kwh", "delivery_deviations", "device_breaches",
        )
    },
    "baseline_bill_eur": "baseline_eur",
    "traded_kwh": "volume_kwh",
    "import_kwh": "slack_import_kwh",
    "export_kwh": "slack_export_kwh",
}.items():  # fmt: skip
    kpi(_name)(_sum(_column))
for _name in ("vm_max_pu", "line_max_percent", "trafo_max_percent"):
    kpi(_name)(_highest(_name))
kpi("vm_min_pu")(_lowest("vm_min_pu"))
kpi("peak_import_kw")(_highest("import_kw"))
kpi("peak_export_kw")(_highest("export_kw"))
for _name, _column in {
    "undervoltage_bus_minutes": "buses_under",
    "overvoltage_bus_minutes": "buses_over",
    "line_over_minutes": "lines_over",
    "trafo_over_minutes": "trafos_over",
}.items():
    kpi(_name)(_minutes(_column))


# ---------------------------------------------------------------- key figures of their own


def savings(facts: Facts) -> np.ndarray:
    """Return what each prosumer saved against the bill without trading ``[n]`` [EUR]."""
    return facts.prosumer["baseline_eur"] - facts.prosumer["bill_eur"]


@kpi("savings_eur")
def _savings_eur(facts: Facts) -> float:
    return total(savings(facts))


@kpi("savings_percent")
def _savings_percent(facts: Facts) -> float:
    return 100.0 * ratio(_savings_eur(facts), abs(total(facts.interval["baseline_eur"])))


@kpi("gini_savings")
def _gini_savings(facts: Facts) -> float:
    return gini(savings(facts))


@kpi("jain_savings")
def _jain_savings(facts: Facts) -> float:
    return jain(savings(facts))


@kpi("traded_share_percent")
def _traded_share(facts: Facts) -> float:
    volume, possible = facts.interval["volume_kwh"], facts.interval["possible_kwh"]
    return 100.0 * ratio(total(np.minimum(volume, possible)), total(possible))


@kpi("undeliverable_kwh")
def _undeliverable(facts: Facts) -> float:
    volume, possible = facts.interval["volume_kwh"], facts.interval["possible_kwh"]
    return total(np.maximum(volume - possible, 0.0))


@kpi("mean_price_eur_per_kwh")
def _mean_price(facts: Facts) -> float:
    price, volume = facts.interval["price_eur_per_kwh"], facts.interval["volume_kwh"]
    return ratio(total(price * volume), total(volume))


@kpi("mean_retail_eur_per_kwh")
def _mean_retail(facts: Facts) -> float:
    return float(np.mean(facts.interval["retail_eur_per_kwh"]))


@kpi("mean_feed_in_eur_per_kwh")
def _mean_feed_in(facts: Facts) -> float:
    return float(np.mean(facts.interval["feed_in_eur_per_kwh"]))


@kpi("silent_intervals")
def _silent_intervals(facts: Facts) -> float:
    series = facts.interval
    both = (series["offered_kwh"] > 0.0) & (series["requested_kwh"] > 0.0)
    return float((both & (series["volume_kwh"] == 0.0)).sum())


@kpi("losses_percent")
def _losses_percent(facts: Facts) -> float:
    series = facts.interval
    solved = ~np.isnan(series["losses_kwh"])
    entered = series["slack_import_kwh"] + series["fed_in_kwh"]
    return 100.0 * ratio(total(series["losses_kwh"]), float(entered[solved].sum()))


@kpi("self_consumption_percent")
def _self_consumption(facts: Facts) -> float:
    exported = total(np.maximum(-facts.interval["net_kwh"], 0.0))
    return 100.0 * (1.0 - ratio(exported, total(facts.interval["pv_kwh"])))


@kpi("self_sufficiency_percent")
def _self_sufficiency(facts: Facts) -> float:
    drawn = total(np.maximum(facts.interval["net_kwh"], 0.0))
    return 100.0 * (1.0 - ratio(drawn, total(facts.interval["load_kwh"])))


@kpi("outage_prosumer_hours")
def _outage_prosumer_hours(facts: Facts) -> float:
    prosumers = len(facts.prosumer["bill_eur"])
    return total(facts.interval["dead_share"]) * prosumers * facts.interval_h


@kpi("unsolved_steps")
def _unsolved_steps(facts: Facts) -> float:
    return float((facts.solve["status"] == SolveStatus.COLLAPSE).sum())


@kpi("violations")
def _violations(facts: Facts) -> float:
    return float(len(facts.violations["kind"]))


@kpi("grid_breaches")
def _grid_breaches(facts: Facts) -> float:
    return float(np.isin(facts.violations["kind"], GRID_KINDS).sum())
