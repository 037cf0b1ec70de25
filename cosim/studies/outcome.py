"""One run of one entrant on one trial, and what is kept of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from cosim.arrays import freeze
from cosim.case import Case
from cosim.feeder.state import SolveStatus
from cosim.metrics import Facts, savings
from cosim.metrics.statistics import total
from cosim.plant import Solve
from cosim.record import MemoryRecorder
from cosim.simulation import Interval, Recorder, Simulation
from cosim.studies.trials import Entrant, seated
from cosim.training.lane import Purse, stored_value


class Measure(NamedTuple):
    """Unit and meaning of a figure; all are per day."""

    unit: str
    meaning: str


#: the figures of a run, in their order
MEASURES = {
    "community_eur": Measure("EUR", "bills and wear of all, less what was gained in storage"),
    "owners_eur": Measure("EUR", "the same of the prosumers in the judged seat"),
    "gained_kwh": Measure("kWh", "what the owners' batteries hold more at the end"),
    "breach_min": Measure("min", "time with any limit of the feeder broken"),
    "breach_element_min": Measure("min", "the same, each element for itself"),
    "requests": Measure("-", "decisions of the owners"),
    "request_breaches": Measure("-", "faults in what policies requested"),
    "interventions": Measure("-", "requests the guard changed"),
    "intervention_kwh": Measure("kWh", "battery energy the guard changed"),
    "throughput_kwh": Measure("kWh", "energy in and out of the batteries"),
    "co2_kg": Measure("kg", "CO2 of upstream energy"),
    "import_kwh": Measure("kWh", "from upstream"),
    "losses_kwh": Measure("kWh", "losses of the feeder"),
    "traded_kwh": Measure("kWh", "traded in the local market"),
    "possible_kwh": Measure("kWh", "most that neighbours could have traded, by the meters"),
    "undeliverable_kwh": Measure("kWh", "traded beyond that, interval by interval"),
    "imbalance_gain_eur": Measure("EUR", "owners' gain from trades the meter does not back"),
    "unsolved": Measure("-", "load flows without a solution"),
}

_SUMS = {
    "request_breaches": "request_breaches",
    "interventions": "interventions",
    "intervention_kwh": "intervention_kwh",
    "co2_kg": "co2_kg",
    "import_kwh": "slack_import_kwh",
    "losses_kwh": "losses_kwh",
    "traded_kwh": "volume_kwh",
    "possible_kwh": "possible_kwh",
}


@dataclass(frozen=True, eq=False)
class Outcome:
    """The figures of a run ``[measures]`` and what each prosumer saved ``[n]`` [EUR], per day."""

    figures: np.ndarray
    savings_eur: np.ndarray

    def __post_init__(self) -> None:
        freeze(self)

    def __getitem__(self, measure: str) -> float:
        return float(self.figures[list(MEASURES).index(measure)])


def outcome(drawn: Case, seat: str, entrant: Entrant, days: int) -> Outcome:
    """Run an entrant in the seat of a trial's case and return what came of it."""
    case = seated(drawn, seat, entrant)
    rows = next(own.rows for own in case.seats if own.name == seat)
    return watched(case, rows, days)


def watched(case: Case, rows: np.ndarray, days: int) -> Outcome:
    """Run a case as it is; ``rows`` are the owners judged."""
    recorder, everybody = MemoryRecorder(case), np.arange(len(case.population))
    gains = _Gains(rows, recorder)
    purse = Purse(case, everybody, stored_value(case, everybody), gains)
    books = Simulation(case, purse).run()
    cost = -purse.take()
    stored = purse.energy_kwh - case.population.initial_kwh
    facts = recorder.finish(books, {}).facts
    found = {
        "community_eur": cost.sum(),
        "owners_eur": cost[rows].sum(),
        "gained_kwh": stored[rows].sum(),
        "requests": len(rows) * case.grid.intervals * case.grid.rounds,
        "imbalance_gain_eur": gains.eur,
        **_of_facts(facts),
    }
    values = np.array([float(found[name]) for name in MEASURES]) / days
    return Outcome(values, savings(facts) / days)


def _of_facts(facts: Facts) -> dict[str, float]:
    """Return the figures that are sums of recorded ones."""
    series, solve = facts.interval, facts.solve
    outside = np.stack([solve[name] for name in _OUTSIDE])
    minutes = solve["duration_s"] / 60.0
    volume, possible = series["volume_kwh"], series["possible_kwh"]
    return {
        **{name: total(series[column]) for name, column in _SUMS.items()},
        "breach_min": float(minutes[(outside > 0.0).any(axis=0)].sum()),
        "breach_element_min": float((np.nan_to_num(outside) * minutes).sum()),
        "throughput_kwh": total(series["charge_kwh"]) + total(series["discharge_kwh"]),
        "undeliverable_kwh": total(np.maximum(volume - possible, 0.0)),
        "unsolved": float((solve["status"] == SolveStatus.COLLAPSE).sum()),
    }


_OUTSIDE = ("buses_under", "buses_over", "lines_over", "trafos_over")


class _Gains:
    """A recorder that adds up what some prosumers gain from imbalance, and passes all on."""

    def __init__(self, rows: np.ndarray, also: Recorder) -> None:
        self._rows, self._also, self.eur = rows, also, 0.0

    def interval(self, interval: Interval) -> None:
        """Add one settled interval."""
        self.eur += float(imbalance_gain_eur(interval)[self._rows].sum())
        self._also.interval(interval)

    def solve(self, solve: Solve) -> None:
        """Pass a load flow on."""
        self._also.solve(solve)

    def event(self, second: int, kind: str, details: dict[str, Any]) -> None:
        """Pass a line of the event log on."""
        self._also.event(second, kind, details)


def imbalance_gain_eur(interval: Interval) -> np.ndarray:
    """Return what each gained by trading what the meter does not back ``[n]`` [EUR].

    Of each fill the part that is imbalance earned the price of the trade and cost that of
    imbalance, instead of nothing at all.
    """
    clearing, bills = interval.trade.total, interval.bills
    traded = clearing.fills_kwh != 0.0
    price = np.where(traded, clearing.payment_eur, 0.0) / np.where(traded, clearing.fills_kwh, 1.0)
    return np.asarray(bills.imbalance_kwh * price - bills.imbalance_eur)
