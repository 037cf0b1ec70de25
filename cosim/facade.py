"""The facade between disturbances and the world: it books what ran before anything changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol

import numpy as np
from simpy import Environment, Event

from cosim.case import Case
from cosim.conditions import Conditions, Factor
from cosim.feeder.feeder import Feeder
from cosim.feeder.settings import check_name
from cosim.observe import FEATURES
from cosim.seeds import uniforms
from cosim.senses import PRICES, Fault, Sensor

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
        limit = _Limit(self._simulation, self._rank, share, self._rows(groups))
        limit.send(True)
        return lambda: limit.send(False)

    def delay_limits(self, seconds: int, groups: Sequence[str] = ()) -> Undo:
        """Let limits on PV, and their lifting, reach the homes later."""
        values = np.where(self._rows(groups), seconds, 0)
        return self._simulation.conditions.put("limit_delay", values)

    def hold_prices(self, groups: Sequence[str] = ()) -> Undo:
        """Let prices be told as they were at the gate before."""
        return self._fault(Fault("hold", PRICES, self._rows(groups)))

    def hold_sensor(self, name: Sensor, silent: bool, groups: Sequence[str] = ()) -> Undo:
        """Let a sensor read what it read at the gate before."""
        return self._fault(Fault("hold", (name,), self._rows(groups), silent=silent))

    def bias_sensor(
        self, name: Sensor, factor: float, offset: float, groups: Sequence[str] = ()
    ) -> Undo:
        """Let a sensor read ``factor`` times the truth plus ``offset``, and never below 0."""
        return self._fault(Fault("bias", (name,), self._rows(groups), factor, offset))

    def swap_features(self, one: str, other: str, groups: Sequence[str] = ()) -> Undo:
        """Exchange two features in what policies see."""
        for name in (one, other):
            check_name(name, tuple(FEATURES), "feature")
        return self._fault(Fault("swap", (one, other), self._rows(groups)))

    def ask_more(self, factor: float, greed: float, groups: Sequence[str] = ()) -> Undo:
        """Scale what is ordered, and shade its limit price, before the guard."""
        rows, put = self._rows(groups), self._simulation.conditions.put
        return _all_of(
            put("wanted_factor", np.where(rows, factor, 1.0)),
            put("greed", np.where(rows, greed, 0.0)),
        )

    def forge_orders(self, factor: float, shift: float, groups: Sequence[str] = ()) -> Undo:
        """Scale orders and shift their limit prices [EUR/kWh], behind the guard."""
        rows, put = self._rows(groups), self._simulation.conditions.put
        return _all_of(
            put("order_factor", np.where(rows, factor, 1.0)),
            put("order_shift", np.where(rows, shift, 0.0)),
        )

    def scale_prices(self, retail: float = 1.0, feed_in: float = 1.0) -> Undo:
        """Multiply the supplier's prices from the next gate that opens."""
        conditions = self._simulation.conditions
        return _all_of(
            conditions.put("retail", np.asarray(retail)),
            conditions.put("feed_in", np.asarray(feed_in)),
        )

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

    def _fault(self, fault: Fault) -> Undo:
        return self._simulation.conditions.fault(fault)

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


class _Limit:
    """A limit on PV as it reaches the homes: orders and their lifting may be under way.

    What was lifted before its order came stays lifted.
    """

    def __init__(self, simulation: Running, rank: int, share: float, rows: np.ndarray) -> None:
        self._simulation, self._rank, self._share, self._rows = simulation, rank, share, rows
        self._holds, self._lifted = np.zeros_like(rows), np.zeros_like(rows)
        self._take_off: Undo = lambda: None

    def send(self, on: bool) -> None:
        """Tell all homes, each as late as signals are at present."""
        delay = self._simulation.conditions.factor("limit_delay")
        now = max(0, int(self._simulation.env.now))
        late = np.unique(delay[self._rows & (delay > 0.0)]).astype(int)
        for seconds in late.tolist():
            part = self._rows & (delay == seconds)
            event = self._simulation.due(now + seconds, self._rank)
            event.callbacks.append(partial(self._arrives, on, part))
        self._arrive(on, self._rows & (delay == 0.0))

    def _arrives(self, on: bool, part: np.ndarray, event: Event) -> None:
        self._arrive(on, part)

    def _arrive(self, on: bool, part: np.ndarray) -> None:
        if not part.any():
            return
        self._simulation.before_change()
        if on:
            self._holds |= part & ~self._lifted
        else:
            self._lifted |= part
            self._holds &= ~part
        self._take_off()
        values = np.where(self._holds, self._share, np.inf)
        put = self._simulation.conditions.put
        self._take_off = put("pv_share", values) if self._holds.any() else lambda: None


def _all_of(*undo: Undo) -> Undo:
    """Return what undoes all of these."""

    def restore() -> None:
        for take_off in undo:
            take_off()

    return restore
