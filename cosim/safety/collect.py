"""Observing a policy at work: weeks cut out of a scenario, each with batteries filled by chance.

Days of a week follow each other: what is left of the day before, in the batteries and as the last
price, is part of what is normal. So is a first day, of which every scenario has one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from pydantic import PrivateAttr

from cosim.case import Case
from cosim.episode import window
from cosim.errors import InputError, Problem, did_you_mean
from cosim.plant import Solve
from cosim.policy import Policy, PolicyContext, Seating
from cosim.safety.fit import Observed
from cosim.seats import Seat
from cosim.seeds import generator
from cosim.simulation import Interval, Simulation


class Watched(Policy):
    """A policy that acts as the inner one does and keeps what it saw."""

    _inner: Policy = PrivateAttr()
    _seen: list[np.ndarray] = PrivateAttr(default_factory=list)

    @property
    def features(self) -> tuple[str, ...]:  # type: ignore[override]
        """The inner policy's features."""
        return self._inner.features

    @property
    def actions(self) -> tuple[str, ...]:  # type: ignore[override]
        """The inner policy's actions."""
        return self._inner.actions

    @property
    def draws(self) -> int:  # type: ignore[override]
        """The inner policy's draws."""
        return self._inner.draws

    def seated(self, seating: Seating) -> Watched:
        """Return what watches the inner policy in its seat; both keep into one list."""
        self._inner = self._inner.seated(seating)
        return self

    def start(self, count: int) -> Any:
        """Return the inner policy's first memory."""
        return self._inner.start(count)

    def act(
        self, observations: np.ndarray, context: PolicyContext, memory: Any
    ) -> tuple[np.ndarray, Any]:
        """Keep the observations and let the inner policy act."""
        self._seen.append(observations)
        return self._inner.act(observations, context, memory)


class Deaf:
    """A recorder that keeps nothing."""

    def interval(self, interval: Interval) -> None:
        """Ignore intervals."""

    def solve(self, solve: Solve) -> None:
        """Ignore load flows."""

    def event(self, second: int, kind: str, details: dict[str, Any]) -> None:
        """Ignore the event log."""


def collect(
    case: Case,
    seat: str,
    days: Sequence[int],
    seed: int = 0,
    progress: Callable[[int], None] = lambda day: None,
) -> Observed:
    """Return what the policy in a seat sees on each of the days, in runs of at most a week.

    The fillings at the begin of a run are drawn by ``seed`` and day. The scenario's disturbances
    would be no part of what is normal: the case must have none.
    """
    served = seated(case, seat)
    rows: list[np.ndarray] = []
    hours: list[np.ndarray] = []
    for first, count in runs_of(days):
        cut = cut_out(case, first, count, seed)
        watched = Watched()
        watched._inner = served.policy
        seats = tuple(
            replace(s, policy=watched, supervisor=None) if s.name == seat else s for s in cut.seats
        )
        Simulation(replace(cut, seats=seats), Deaf()).run()
        rows += np.split(np.array(watched._seen), count)
        hours += np.split(cut.grid.local_hours(), count)
        progress(first + count - 1)
    return Observed(served.policy.features, np.array(rows), np.array(hours), np.array(sorted(days)))


#: days of a run at most
WEEK = 7


def runs_of(days: Sequence[int]) -> list[tuple[int, int]]:
    """Return first day and length of the runs that cover the days, each at most a week."""
    found: list[tuple[int, int]] = []
    for day in sorted(days):
        first, count = found[-1] if found else (day, 0)
        if found and day == first + count and count < WEEK:
            found[-1] = (first, count + 1)
        else:
            found.append((day, 1))
    return found


def cut_out(case: Case, first: int, count: int, seed: int) -> Case:
    """Return some days of a case, batteries filled by a draw of seed and first day."""
    share = generator(seed, "calibrate", "filling", first).random(len(case.population))
    return window(case, first, count, share)


def seated(case: Case, name: str) -> Seat:
    """Return the seat of a policy that serves somebody; raise InputError for others."""
    known = {seat.name: seat for seat in case.seats}
    if name not in known:
        what = f"no policy '{name}' serves anybody"
        raise InputError(Problem(what, "--policy", remedy=did_you_mean(name, known)))
    return known[name]
