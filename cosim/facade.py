"""The facade between disturbances and the world: it books what ran before anything changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Protocol

import numpy as np
from simpy import Environment, Event

from cosim.case import Case
from cosim.conditions import Conditions, Factor
from cosim.feeder.feeder import Feeder
from cosim.feeder.settings import check_name
from cosim.seeds import uniforms

Undo = Callable[[], None]


class Running(Protocol):
    """What the facade needs of a simulation."""

    case: Case
    env: Environment
    feeder: Feeder
    conditions: Conditions

    def due(self, second: int, priority: int) -> Event:
        """Return an event at a second, ranked among those of the same second."""

    def before_change(self) -> None:
        """Book the delivery up to now, and have the load flow solved again."""

    @property
    def recorder(self) -> Log:
        """Who keeps the event log."""


class Log(Protocol):
    """What the facade needs of a recorder."""

    def event(self, second: int, kind: str, details: dict[str, Any]) -> None:
        """Take one line of the event log."""


class Facade:
    """What one disturbance may do; see :class:`cosim.disturbances.base.World`.

    ``rank`` orders disturbances that act on one second; ``name`` keys its draws.
    """

    def __init__(self, simulation: Running, rank: int, name: str) -> None:
        self._simulation, self._rank, self._name = simulation, rank, name
        self._case, self._base = simulation.case, simulation.feeder.topology

    @property
    def now_s(self) -> int:
        """The present simulation second; 0 while the run is being set up."""
        return max(0, int(self._simulation.env.now))

    @property
    def end_s(self) -> int:
        """The last second of the run."""
        return self._case.grid.end_s

    def second_of(self, when: datetime) -> int:
        """Return the simulation second of an instant; naive times are civil."""
        return self._case.grid.second_of(self._case.scenario.local(when))

    def at(self, when: datetime | int) -> Event:
        """Return the event of an instant; an instant that has passed is now.

        What begins with the run, or before it, is due before the first gate opens.
        """
        second = when if isinstance(when, int) else self.second_of(when)
        present = int(self._simulation.env.now)
        return self._simulation.due(second if second > self.now_s else present, self._rank)

    def daily(self, hour: float) -> list[int]:
        """Return the seconds at which the civil clock shows ``hour``.

        They begin, below 0, on the day before the run, for what is under way when it begins.
        """
        grid = self._case.grid
        first = grid.start.astimezone(grid.zone).replace(hour=0, minute=0, second=0, tzinfo=None)
        moments = (
            (first + timedelta(days=day, hours=hour)).replace(tzinfo=grid.zone)
            for day in range(-1, grid.end_s // 86_400 + 2)
        )
        seconds = (grid.second_of(moment) for moment in moments)
        return [second for second in seconds if second <= grid.end_s]

    def uniform(self, purpose: str) -> np.ndarray:
        """Return one draw in [0, 1) per prosumer ``[n]``, keyed by prosumer and purpose."""
        names = self._case.population.names
        return uniforms(self._case.scenario.seed, names, f"{self._name} {purpose}", 0, (1,))[0]

    def scale_load(self, factor: np.ndarray | float, groups: Sequence[str] = ()) -> Undo:
        """Multiply load from now on."""
        return self._scale("load", factor, groups)

    def scale_pv(self, factor: np.ndarray | float, groups: Sequence[str] = ()) -> Undo:
        """Multiply PV output from now on."""
        return self._scale("pv", factor, groups)

    def limit_pv(self, share: float, groups: Sequence[str] = ()) -> Undo:
        """Let PV feed no more than a share of its size; the lowest limit in force counts."""
        self._simulation.before_change()
        values = np.where(self._rows(groups), share, np.inf)
        return self._undoing(self._simulation.conditions.put("pv_share", values))

    def scale_prices(self, retail: float = 1.0, feed_in: float = 1.0) -> Undo:
        """Multiply the supplier's prices from the next gate that opens."""
        conditions = self._simulation.conditions
        undo = [
            conditions.put("retail", np.asarray(retail)),
            conditions.put("feed_in", np.asarray(feed_in)),
        ]

        def restore() -> None:
            for take_off in undo:
                take_off()

        return restore

    def lose_orders(self, probability: float, groups: Sequence[str] = ()) -> Undo:
        """Lose each order with a probability."""
        survival = 1.0 - np.where(self._rows(groups), probability, 0.0)
        return self._simulation.conditions.put("order_survival", survival)

    def delay_orders(self, seconds: int, groups: Sequence[str] = ()) -> Undo:
        """Delay each order on its way."""
        return self._simulation.conditions.delay(np.where(self._rows(groups), seconds, 0))

    def open_line(self, name: str) -> Undo:
        """Open a line at both ends, until all that opened it have closed it."""
        return self._outage(name)

    def cut_supply(self) -> Undo:
        """Switch the upstream supply off, until all that cut it have restored it."""
        return self._outage()

    def log(self, kind: str, **details: Any) -> None:
        """Write a line to the run's event log."""
        self._simulation.recorder.event(self.now_s, kind, details)

    def _rows(self, groups: Sequence[str]) -> np.ndarray:
        own = self._case.population.groups
        return np.array([not groups or group in groups for group in own])

    def _scale(self, name: Factor, factor: np.ndarray | float, groups: Sequence[str]) -> Undo:
        values = np.where(self._rows(groups), factor, 1.0)
        self._simulation.before_change()
        take_off = self._simulation.conditions.put(name, values)
        return self._undoing(take_off)

    def _outage(self, *lines: str) -> Undo:
        for name in lines:
            check_name(name, self._case.network.lines, "line")
        self._simulation.before_change()
        lift = self._simulation.conditions.outage(*lines)
        self._switch()

        def restored() -> None:
            lift()
            self._switch()

        return self._undoing(restored)

    def _switch(self) -> None:
        """Bring the feeder to the topology that the outages leave."""
        conditions, base = self._simulation.conditions, self._base
        lines = base.open_lines | conditions.open_lines
        topology = replace(base, open_lines=lines, supply=base.supply and conditions.supply)
        self._simulation.feeder.restore(topology)

    def _undoing(self, revert: Undo) -> Undo:
        """Return an undo that books the delivery before it reverts."""

        def undo() -> None:
            self._simulation.before_change()
            revert()

        return undo
