"""What the supervisor is worth: cost and breaches with and without it, with and without faults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cosim.case import Case
from cosim.feeder.limits import breaches
from cosim.plant import Solve
from cosim.safety.collect import cut_out, seated
from cosim.safety.shifts import Shift
from cosim.seats import Sensors
from cosim.simulation import Interval, Simulation


@dataclass(frozen=True, eq=False)
class Outcome:
    """Runs of some days: what the owners pay [EUR/day], breaches [min/day], time in fallback."""

    cost_eur: np.ndarray  # [runs], bills and wear less the gain in stored energy
    breach_min: np.ndarray  # [runs], minutes with any limit of the feeder broken
    fallback: np.ndarray  # [runs], share of prosumer intervals decided by a stand-in


class Till:
    """A recorder that adds up what the owners pay, and the time with a broken limit."""

    def __init__(self, case: Case, rows: np.ndarray, value_eur_per_kwh: np.ndarray) -> None:
        self._case, self._rows, self._value = case, rows, value_eur_per_kwh
        self._energy = case.population.initial_kwh[rows]
        self.cost_eur = self.breach_s = 0.0
        self.stood_in = self.decided = 0

    def interval(self, interval: Interval) -> None:
        """Add one settled interval."""
        rows, bills = self._rows, interval.bills
        energy = interval.metered.energy_kwh[rows]
        gain = self._value * (energy - self._energy)
        self.cost_eur += float((bills.bill_eur[rows] + bills.wear_eur[rows] - gain).sum())
        self._energy = energy
        supervised = interval.trade.asked.supervised
        self.stood_in += 0 if supervised is None else int(np.count_nonzero(supervised[rows]))
        self.decided += len(rows)

    def solve(self, solve: Solve) -> None:
        """Add the time of a load flow that breaks a limit."""
        if breaches(solve.grid, self._case.limits).any:
            self.breach_s += solve.end_s - solve.start_s

    def event(self, second: int, kind: str, details: dict[str, Any]) -> None:
        """Ignore the event log."""


def outcome(
    case: Case,
    seat: str,
    days: Sequence[int],
    *,
    supervised: bool,
    shift: Shift | None = None,
    length: int = 1,
    seed: int = 0,
) -> Outcome:
    """Return what single days, or runs of ``length`` days, come to in a case.

    ``shift`` falsifies what the policy sees, on every day; the world, the guard and the stand-ins
    keep the truth. Stored energy counts at the lowest retail price, as in judging policies.
    """
    found = [_run(case, seat, day, length, supervised, shift, seed) for day in days]
    return Outcome(*(np.array(column) for column in zip(*found, strict=True)))


def _run(
    case: Case,
    seat: str,
    first: int,
    length: int,
    supervised: bool,
    shift: Shift | None,
    seed: int,
) -> tuple[float, float, float]:
    from cosim.training.lane import stored_value

    cut = cut_out(case, first, length, seed)
    served = seated(cut, seat)
    changed = replace(
        served,
        supervisor=served.supervisor if supervised else None,
        sensors=shift and falsifier(shift, served.policy.features, 86_400 // cut.grid.interval_s),
    )
    seats = tuple(changed if s.name == seat else s for s in cut.seats)
    till = Till(cut, served.rows, stored_value(cut, served.rows))
    Simulation(replace(cut, seats=seats), till).run()
    return (
        till.cost_eur / length,
        till.breach_s / 60.0 / length,
        till.stood_in / max(till.decided, 1),
    )


def falsifier(shift: Shift, features: tuple[str, ...], per_day: int) -> Sensors:
    """Return sensors that show a shift as far as it can be done as time goes on.

    The shift is given the day so far, what is to come being as it is now. A late clock begins with
    the first observation of the run.
    """
    day: list[np.ndarray] = []

    def sense(observations: np.ndarray, rows: np.ndarray, interval: int) -> np.ndarray:
        step = interval % per_day
        if step == 0 and interval > 0:
            day.clear()
        day.append(observations)
        whole = np.array([*day, *[observations] * (per_day - len(day))])
        late = len(day) - 1
        return np.ascontiguousarray(shift(whole[None], features)[0, late])

    return sense
