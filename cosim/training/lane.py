"""A lane: one simulation whose policy is the learner, taken a decision at a time.

The learner sits at the desk as a policy like any other, so it sees the world of a run. The
simulation runs in a thread of its own that only ever moves while the learner waits.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from queue import SimpleQueue
from typing import Any

import numpy as np
from pydantic import PrivateAttr

from cosim.case import Case, Seat
from cosim.plant import Solve
from cosim.policy import Policy, PolicyContext, check_names
from cosim.simulation import Interval, Simulation


class _LeftError(BaseException):
    """The learner has left the chair; not an Exception, which would be the policy's fault."""


class _Chair(Policy):
    """The learner's place at the desk: hands observations out and takes decisions in."""

    wanted: tuple[str, ...]

    _observations: SimpleQueue[Any] = PrivateAttr(default_factory=SimpleQueue)
    _decisions: SimpleQueue[Any] = PrivateAttr(default_factory=SimpleQueue)

    @property
    def features(self) -> tuple[str, ...]:  # type: ignore[override]
        """The learner's features."""
        return self.wanted

    def act(
        self, observations: np.ndarray, context: PolicyContext, memory: Any
    ) -> tuple[np.ndarray, Any]:
        """Wait for the learner's decisions."""
        self._observations.put(observations)
        decisions = self._decisions.get()
        if decisions is None:
            raise _LeftError
        return decisions, memory


class Purse:
    """A recorder that adds up what the served prosumers' intervals were worth to them.

    Worth is minus the settled bill, minus wear, plus the change of the stored energy at a fixed
    value: over a run it is the worth of the run, and emptying the battery earns nothing.
    """

    def __init__(self, case: Case, rows: np.ndarray, value_eur_per_kwh: np.ndarray) -> None:
        self._rows, self._value = rows, value_eur_per_kwh
        self.energy_kwh = case.population.initial_kwh[rows]
        self._worth_eur = np.zeros(len(rows))

    def take(self) -> np.ndarray:
        """Return the worth [EUR] ``[m]`` settled since the last call."""
        taken, self._worth_eur = self._worth_eur, np.zeros(len(self._rows))
        return taken

    def interval(self, interval: Interval) -> None:
        """Add one settled interval."""
        bills, rows = interval.bills, self._rows
        energy = interval.metered.energy_kwh[rows]
        self._worth_eur -= bills.bill_eur[rows] + bills.wear_eur[rows]
        self._worth_eur += self._value * (energy - self.energy_kwh)
        self.energy_kwh = energy

    def solve(self, solve: Solve) -> None:
        """Ignore load flows."""

    def event(self, second: int, kind: str, details: dict[str, Any]) -> None:
        """Ignore the event log."""


def stored_value(case: Case, rows: np.ndarray) -> np.ndarray:
    """Return what a stored kWh is taken to be worth ``[m]`` [EUR/kWh].

    The lowest retail price, less the discharging half of the round trip: what is stored can be
    bought for more and used for as much, so neither emptying nor filling a battery earns.
    """
    lowest = case.tariffs.retail_eur_per_kwh[:, rows].min(axis=0)
    return np.asarray(lowest * np.sqrt(case.population.efficiency[rows]))


class Lane:
    """One simulation after another with the learner in one seat.

    An interval is settled after the next decision is due, so a step's worth is that of the
    interval before; the last step brings the last two.
    """

    def __init__(self, seat: str, features: tuple[str, ...]) -> None:
        self._seat, self._features = seat, features
        self._chair: _Chair | None = None
        self._thread: threading.Thread | None = None

    def reset(self, case: Case) -> np.ndarray:
        """Start a run and return its first observations ``[m, d]``."""
        self.close()
        chair = _Chair(wanted=self._features)
        check_names(chair)
        self._chair = chair
        seats = tuple(_seated(seat, self._seat, chair) for seat in case.seats)
        rows = next(seat.rows for seat in seats if seat.name == self._seat)
        self._purse = Purse(case, rows, stored_value(case, rows))
        simulation = Simulation(replace(case, seats=seats), self._purse)
        self._thread = threading.Thread(target=_run, args=(simulation, chair), daemon=True)
        self._thread.start()
        observations = self._next()
        assert observations is not None
        return observations

    def step(self, decisions: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
        """Answer the desk; return the next observations, None at the end, and worth ``[m]``."""
        assert self._chair is not None
        self._chair._decisions.put(decisions)
        return self._next(), self._purse.take()

    def close(self) -> None:
        """End the run."""
        if self._chair is not None and self._thread is not None:
            self._chair._decisions.put(None)
            self._thread.join()
        self._chair = self._thread = None

    def _next(self) -> np.ndarray | None:
        assert self._chair is not None
        item = self._chair._observations.get()
        if isinstance(item, BaseException):
            raise item
        return None if item is None else np.asarray(item)


def _seated(seat: Seat, name: str, policy: Policy) -> Seat:
    return replace(seat, policy=policy) if seat.name == name else seat


def _run(simulation: Simulation, chair: _Chair) -> None:
    """Run to the end and say so; what goes wrong is raised where the learner waits."""
    try:
        simulation.run()
        chair._observations.put(None)
    except _LeftError:
        pass
    except BaseException as error:  # the thread has nobody else to tell
        chair._observations.put(error)
