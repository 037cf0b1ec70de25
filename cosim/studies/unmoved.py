"""Checks of decisions: the world run again with something changed that must make no difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from pydantic import PrivateAttr

from cosim.case import Case
from cosim.policy import Policy, PolicyContext
from cosim.reason import Reason
from cosim.seeds import generator
from cosim.simulation import Interval
from cosim.studies.recorded import Check, Record, check, cost_eur, recorded, turnover_eur
from cosim.studies.trials import Entrant, seated

#: executed power may differ from what was asked for without a reason by this [kW]
_SAME_KW = 1e-6
#: where in a run the future is changed [share]
_LOOKS = (0.25, 0.5, 0.75)


def guard_in_the_open(runs: Sequence[Record], seat: str) -> Check:
    """Ask for what was executed, and for nothing else: the cost must be the same.

    So a gain is that of feasible decisions. Infinite where a request was not finite, or was
    changed without a reason.
    """
    asked, changed, moved_kwh, asked_kwh = 0, 0, 0.0, 0.0
    honest = True
    for run in runs:
        for each in run.intervals:
            wanted, given, reason = _request(run, each)
            off = np.abs(wanted - given) > _SAME_KW
            honest &= not ((off & (reason == 0)) | ((reason & Reason.NOT_FINITE) != 0)).any()
            asked, changed = asked + len(wanted), changed + int((reason != 0).sum())
            moved_kwh += float(np.nansum(np.abs(wanted - given))) * run.case.grid.interval_h
            asked_kwh += float(np.nansum(np.abs(wanted))) * run.case.grid.interval_h
    differs = max(abs(cost_eur(_echoed(run, seat)) - cost_eur(run)) for run in runs)
    return check(
        "the guard in the open", differs if honest else np.inf, 1e-6 * turnover_eur(runs), "EUR",
        "difference if only what was executed is asked for; the guard changed "
        f"{changed} of {asked} requests, {moved_kwh:.1f} of {asked_kwh:.1f} kWh",
    )  # fmt: skip


def _request(run: Record, interval: Interval) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the battery power [kW] wanted and given, and the reasons of the guard ``[m]``."""
    trade = interval.trade
    wanted, given = trade.asked.requested.battery_kw, trade.guarded.decision.battery_kw
    return wanted[run.rows], given[run.rows], trade.guarded.reason[run.rows]


class _Echo(Policy):
    """Asks for what was executed in another run, orders included."""

    offered: tuple[str, ...]
    _given: np.ndarray = PrivateAttr()  # [T, n, a]

    @property
    def actions(self) -> tuple[str, ...]:  # type: ignore[override]
        """Those of the policy whose echo it is."""
        return self.offered

    def act(
        self, observations: np.ndarray, context: PolicyContext, memory: Any
    ) -> tuple[np.ndarray, Any]:
        """Return what was executed."""
        return self._given[context.interval, context.ids], memory


def _echoed(run: Record, seat: str) -> Record:
    """Run the case again with the seat asking for what it was given.

    Where a delivery is traded in rounds the decisions of each would be needed: the run itself.
    """
    if run.case.grid.rounds > 1:
        return run
    own = next(each for each in run.case.seats if each.name == seat)
    echo = _Echo(offered=own.policy.actions)
    echo._given = np.stack([
        np.stack([getattr(each.trade.guarded.decision, name) for name in echo.offered], axis=-1)
        for each in run.intervals
    ])  # fmt: skip
    return recorded(seated(run.case, seat, Entrant(seat, echo)), seat)


def no_look_ahead(runs: Sequence[Record], seat: str) -> Check:
    """Change all that comes after what is forecast; not one decision before may change."""
    moved = sum(_moved(run, seat, share) for run in runs[:1] for share in _LOOKS)
    return check(
        "no look into the future", float(moved), 0.0, "-",
        f"decisions that changed with load and PV beyond the forecast, at {len(_LOOKS)} instants",
    )  # fmt: skip


def _moved(run: Record, seat: str, share: float) -> int:
    """Return how many requests up to an instant depend on what comes later."""
    last = int(share * run.case.grid.intervals)
    again = recorded(_other_future(run.case, last + 1), seat)
    moved = 0
    for one, other in zip(run.intervals[: last + 1], again.intervals, strict=False):
        pairs = zip(_requests(one, run.rows), _requests(other, run.rows), strict=True)
        moved += int(np.logical_or.reduce([(a != b) & ~(np.isnan(a) & np.isnan(b))
                                           for a, b in pairs]).sum())  # fmt: skip
    return moved


def _requests(interval: Interval, rows: np.ndarray) -> tuple[np.ndarray, ...]:
    wanted = interval.trade.asked.requested
    every = (wanted.battery_kw, wanted.quantity_kwh, wanted.price_eur_per_kwh)
    return tuple(values[rows] for values in every)


def _other_future(case: Case, first: int) -> Case:
    """Return the case with load, PV and CO2 drawn anew from an interval on."""
    profiles, scenario = case.profiles, case.scenario
    changed = {}
    for name in ("load_kw", "load_kvar", "pv_kw", "co2_kg_per_kwh"):
        values = np.array(getattr(profiles, name))
        random = generator(scenario.seed, "audit", name)
        values[first:] *= random.uniform(0.5, 1.5, values[first:].shape)
        changed[name] = values
    return replace(case, profiles=replace(profiles, **changed))
