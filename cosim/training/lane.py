"""A lane: one simulation in which the learner sits at the desk, taken a decision at a time.

The learner is a policy like any other, so it sees the world of a run. The simulation runs in a
thread of its own that only ever moves while the learner waits.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from queue import SimpleQueue
from typing import Any

import numpy as np
from pydantic import PrivateAttr

from cosim.arrays import freeze
from cosim.case import Case
from cosim.lookout import Lookout
from cosim.markets.base import Clearing
from cosim.observe import encode
from cosim.plant import Solve
from cosim.policy import Policy, PolicyContext, check_names
from cosim.seats import Seat
from cosim.settlement import Bills
from cosim.simulation import Interval, Recorder, Simulation

#: what an interval is worth to a prosumer, in the order of the columns of :func:`worth_eur`
TERMS = ("bill", "wear", "stored")


class _LeftError(BaseException):
    """The learner has left the chair; not an Exception, which would be the policy's fault."""


class Chair(Policy):
    """The learner's place at the desk: hands observations out and takes decisions in."""

    wanted: tuple[str, ...]
    offered: tuple[str, ...] = ("battery_kw",)

    _observations: SimpleQueue[Any] = PrivateAttr(default_factory=SimpleQueue)
    _decisions: SimpleQueue[Any] = PrivateAttr(default_factory=SimpleQueue)

    @property
    def features(self) -> tuple[str, ...]:  # type: ignore[override]
        """The learner's features."""
        return self.wanted

    @property
    def actions(self) -> tuple[str, ...]:  # type: ignore[override]
        """The learner's actions."""
        return self.offered

    def act(
        self, observations: np.ndarray, context: PolicyContext, memory: Any
    ) -> tuple[np.ndarray, Any]:
        """Wait for the learner's decisions."""
        self._observations.put((observations, context))
        decisions = self._decisions.get()
        if decisions is None:
            raise _LeftError
        return decisions, memory


def seated(case: Case, rows: np.ndarray, chair: Chair) -> Case:
    """Return the case with the chair serving some rows; the other seats keep the rest of theirs.

    Where it takes a whole seat it takes its name, else it is the ``learner``.
    """
    check_names(chair)
    left = [replace(s, rows=s.rows[~np.isin(s.rows, rows)]) for s in case.seats]
    names = [seat.name for seat in case.seats if np.array_equal(seat.rows, rows)]
    learner = Seat(names[0] if names else "learner", chair, rows)
    return replace(case, seats=(*(seat for seat in left if len(seat.rows)), learner))


def worth_eur(
    bills: Bills, before_kwh: np.ndarray, after_kwh: np.ndarray, value_eur_per_kwh: np.ndarray
) -> np.ndarray:
    """Return what an interval was worth to each prosumer, by :data:`TERMS` ``[..., n, 3]`` [EUR].

    Minus the settled bill, minus wear, plus the change of the stored energy at a fixed value: over
    a run it is the worth of the run, and emptying the battery earns nothing.
    """
    stored = value_eur_per_kwh * (after_kwh - before_kwh)
    return np.stack([-bills.bill_eur, -bills.wear_eur, stored], axis=-1)


def stored_value(case: Case, rows: np.ndarray) -> np.ndarray:
    """Return what a stored kWh is taken to be worth ``[m]`` [EUR/kWh].

    The lowest retail price, less the discharging half of the round trip: what is stored can be
    bought for more and used for as much, so neither emptying nor filling a battery earns.
    """
    lowest = case.tariffs.retail_eur_per_kwh[:, rows].min(axis=0)
    return np.asarray(lowest * np.sqrt(case.population.efficiency[rows]))


class Purse:
    """A recorder that adds up what intervals were worth to some prosumers; see `worth_eur`.

    What it is told it tells ``also``, another recorder, if there is one.
    """

    def __init__(
        self,
        case: Case,
        rows: np.ndarray,
        value_eur_per_kwh: np.ndarray,
        also: Recorder | None = None,
    ) -> None:
        self.rows, self._value, self._also = rows, np.zeros(len(case.population)), also
        self._value[rows] = value_eur_per_kwh
        self._energy_kwh = case.population.initial_kwh
        self._worth_eur = np.zeros((len(rows), len(TERMS)))
        self.cleared: tuple[Clearing, ...] = ()  # the last one that traded, and the last

    @property
    def energy_kwh(self) -> np.ndarray:
        """What the prosumers' batteries hold after the last settled interval ``[m]``."""
        return self._energy_kwh[self.rows]

    def take_terms(self) -> np.ndarray:
        """Return the worth by terms [EUR] ``[m, 3]`` settled since the last call."""
        taken, self._worth_eur = self._worth_eur, np.zeros_like(self._worth_eur)
        return taken

    def take(self) -> np.ndarray:
        """Return the worth [EUR] ``[m]`` settled since the last call."""
        return np.asarray(self.take_terms().sum(axis=-1))

    def interval(self, interval: Interval) -> None:
        """Add one settled interval."""
        after = interval.metered.energy_kwh
        for each in interval.trade.rounds:
            traded = [clearing for clearing in self.cleared if clearing.volume_kwh > 0.0]
            self.cleared = (*traded[-1:], each.clearing)
        worth = worth_eur(interval.bills, self._energy_kwh, after, self._value)
        self._worth_eur += worth[self.rows]
        self._energy_kwh = after
        if self._also is not None:
            self._also.interval(interval)

    def solve(self, solve: Solve) -> None:
        """Pass a load flow on."""
        if self._also is not None:
            self._also.solve(solve)

    def event(self, second: int, kind: str, details: dict[str, Any]) -> None:
        """Pass a line of the event log on."""
        if self._also is not None:
            self._also.event(second, kind, details)


@dataclass(frozen=True, eq=False)
class Turn:
    """What the learner is told: observations ``[m, d]`` before an interval's gate closes.

    An interval with several rounds of trading has several turns.
    Whoever has no supply is not at the desk: ``present`` ``[m]`` is False, the row is 0 and what
    is decided for it is not asked. ``over`` says that the run has ended; the observations are then
    those of the interval that would follow, by the calendar of a day before.
    """

    interval: int
    observations: np.ndarray
    present: np.ndarray
    over: bool = False

    def __post_init__(self) -> None:
        freeze(self)


class Lane:
    """One simulation after another with the learner serving some prosumers.

    An interval is settled after the next decision is due, so a step's worth is that of the
    interval before; the last step brings the last two. Stored energy counts at
    ``value_eur_per_kwh`` ``[m]``; ``record`` makes a recorder that is told
    of each run what a run's own recorder would be.
    """

    def __init__(
        self,
        rows: np.ndarray,
        value_eur_per_kwh: np.ndarray,
        features: tuple[str, ...],
        actions: tuple[str, ...] = ("battery_kw",),
        record: Callable[[Case], Recorder] | None = None,
    ) -> None:
        self._rows, self._value = rows, value_eur_per_kwh
        self._features, self._actions = features, actions
        self._record = record
        self._end: weakref.finalize[Any, Any] | None = None
        self._turn: Turn | None = None

    def reset(self, case: Case) -> Turn:
        """Start a run and return the learner's first turn."""
        self.close()
        chair = Chair(wanted=self._features, offered=self._actions)
        own = seated(case, self._rows, chair)
        also = self._record(own) if self._record else None
        purse = Purse(own, self._rows, self._value, also)
        thread = threading.Thread(target=_run, args=(own, purse, chair), daemon=True)
        self._chair, self._purse = chair, purse
        self._end = weakref.finalize(self, _ended, chair, thread)  # also where nobody closes
        thread.start()
        return self._next()

    def step(self, decisions: np.ndarray) -> tuple[Turn, np.ndarray]:
        """Answer the desk with ``[m, a]``; return the next turn, and worth by terms ``[m, 3]``."""
        if self._turn is None or self._turn.over:
            raise RuntimeError("there is nothing to decide: call reset() first")
        self._chair._decisions.put(decisions[self._turn.present])
        return self._next(), self._purse.take_terms()

    def close(self) -> None:
        """End the run and its thread."""
        if self._end is not None:
            self._end()
        self._end = self._turn = None

    def _next(self) -> Turn:
        item = self._chair._observations.get()
        if isinstance(item, BaseException):
            self.close()
            raise item
        if not isinstance(item, Turn):
            observations, context = item
            present = np.isin(self._rows, context.ids)
            whole = np.zeros((len(self._rows), len(self._features)))
            whole[present] = observations
            item = Turn(context.interval, whole, present)
        self._turn = item
        return item


def _last_turn(case: Case, simulation: Simulation, purse: Purse, chair: Chair) -> Turn:
    """Return what would be observed of the interval after the last, everything settled."""
    lookout = Lookout(case, simulation.plant, simulation.conditions)
    for clearing in purse.cleared:
        lookout.note(clearing)
    after, rows = case.grid.intervals, purse.rows
    _, view = lookout.at(after, 0, lookout.published(after), None)
    seen, present = encode(view, chair.features, rows), ~simulation.plant.dead[rows]
    return Turn(after, seen * present[:, None], present, over=True)


def _ended(chair: Chair, thread: threading.Thread) -> None:
    """Leave the chair and wait for the thread to notice."""
    chair._decisions.put(None)
    if thread is not threading.current_thread():  # which may be the one that collects a lane
        thread.join()


def _run(case: Case, purse: Purse, chair: Chair) -> None:
    """Run to the end and say so; what goes wrong is raised where the learner waits."""
    try:
        simulation = Simulation(case, purse)
        simulation.run()
        chair._observations.put(_last_turn(case, simulation, purse, chair))
    except _LeftError:
        pass
    except BaseException as error:  # the thread has nobody else to tell
        chair._observations.put(error)
