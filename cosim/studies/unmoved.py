"""Checks of decisions: the world run again with something changed that must make no difference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import PrivateAttr

from cosim.observe import ACTIONS
from cosim.policy import Policy, PolicyContext
from cosim.reason import SUPERVISED, Reason
from cosim.simulation import Interval
from cosim.studies.future import instants, other_future
from cosim.studies.recorded import Check, Record, check, cost_eur, recorded, turnover_eur
from cosim.studies.trials import Entrant, seated
from cosim.trade import Trade

#: executed power may differ from what was asked for without a reason by this [kW]
_SAME_KW = 1e-6


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
    """Return the battery power [kW] wanted and given, and the reasons of the guard ``[m]``.

    Where a stand-in decided it is what that wanted: whoever decides, the guard must be honest.
    """
    trade = interval.trade
    wanted, given = trade.asked.requested.battery_kw, trade.guarded.decision.battery_kw
    return wanted[run.rows], given[run.rows], trade.guarded.reason[run.rows] & ~SUPERVISED


class _Echo(Policy):
    """Asks for what was executed in another run, orders included: also for none at all."""

    actions = tuple(ACTIONS)

    _given: np.ndarray = PrivateAttr()  # [T, n, a]

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
    echo = _Echo()
    echo._given = np.stack([
        np.stack([getattr(each.trade.guarded.decision, name) for name in echo.actions], axis=-1)
        for each in run.intervals
    ])  # fmt: skip
    return recorded(seated(run.case, seat, Entrant(seat, echo)), seat)


def no_look_ahead(runs: Sequence[Record], seat: str) -> Check:
    """Change all that is unknown at a decision; not one request up to it may change."""
    looks = [(run, k) for run in runs for k in instants(run.case)]
    moved = sum(_moved(run, seat, k) for run, k in looks)
    return check(
        "no look into the future", float(moved), 0.0, "-",
        "requests that change with load, PV, prices, draws and disturbances not known when they "
        f"are made, at {len(looks)} instants of {len(runs)} trials",
    )  # fmt: skip


def _moved(run: Record, seat: str, k: int) -> int:
    """Return how many requests up to interval k depend on what is unknown when it is decided."""
    again = recorded(other_future(run.case, k), seat, k + 1)
    before = zip(run.intervals[: k + 1], again.intervals, strict=True)
    rounds = (
        pair
        for one, other in before
        for pair in zip(one.trade.rounds, other.trade.rounds, strict=True)
    )
    return sum(_changed(one, other, run.rows) for one, other in rounds)


def _changed(one: Trade, other: Trade, rows: np.ndarray) -> int:
    """Return for how many prosumers the requests of two rounds of trading differ."""
    pairs = zip(_requests(one, rows), _requests(other, rows), strict=True)
    differs = [(a != b) & ~(np.isnan(a) & np.isnan(b)) for a, b in pairs]
    return int(np.logical_or.reduce(differs).sum())


def _requests(trade: Trade, rows: np.ndarray) -> tuple[np.ndarray, ...]:
    wanted = trade.asked.requested
    every = (wanted.battery_kw, wanted.quantity_kwh, wanted.price_eur_per_kwh)
    return tuple(values[rows] for values in every)
