"""A rehearsal: what the disturbances of a run do to each of its intervals, found out beforehand.

Disturbances are processes that may act at any second. Where they only scale load, PV and prices or
disturb messages, and load and PV only between two deliveries, all they do to an interval is known
before the run, and lanes can take it as arrays. Anything else is refused, by name and second.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import simpy

from cosim.case import Case
from cosim.conditions import Conditions, Factor
from cosim.disturbances.base import named
from cosim.errors import InputError, Problem
from cosim.facade import Facade
from cosim.senses import Fault
from cosim.simulation import DEADLINE, MAIL

_AT_OPEN: tuple[Factor, ...] = ("retail", "feed_in")
_MEDDLING: tuple[Factor, ...] = ("wanted_factor", "greed", "order_factor", "order_shift")
_AT_DECIDE: tuple[Factor, ...] = ("load", "pv", "pv_share", "order_survival", *_MEDDLING)
_AT_START: tuple[Factor, ...] = ("load", "pv", "pv_share")

#: who asks: a quantity and the gate at which it is read
Reading = tuple[str, str]


@dataclass(frozen=True, eq=False)
class Course:
    """Factors and delays ``[n]`` of each interval of a run, and of the one that would follow.

    ``told`` are the faults of what is told at each DECIDE, ``meddled`` says whether anything ever
    touches orders.
    """

    readings: dict[Reading, list[np.ndarray]]
    told: list[tuple[Fault, ...]]
    meddled: bool

    def at(self, gate: str, name: str, k: int) -> np.ndarray:
        """Return a factor, or the ``delay``, as it stands at a gate of interval k."""
        return self.readings[gate, name][k]

    def faults(self, k: int) -> tuple[Fault, ...]:
        """Return the faults of what is told at DECIDE of interval k."""
        return self.told[k]

    @property
    def faulty(self) -> bool:
        """Whether anything told is ever at fault."""
        return any(self.told)


def rehearse(case: Case) -> Course:
    """Return what the disturbances of a case do; raise InputError for what lanes cannot do."""
    return _Stage(case).played()


@dataclass
class _Log:
    """Takes what disturbances log, which is of no use here."""

    lines: int = 0

    def event(self, second: int, kind: str, details: dict[str, Any]) -> None:
        """Count one line of the event log."""
        self.lines += 1


@dataclass(frozen=True)
class _NoFeeder:
    """Stands where the feeder would: its topology may be read, not changed."""

    topology: Any
    stage: _Stage

    def restore(self, topology: Any) -> None:
        """Refuse to switch."""
        self.stage.refuse("it switches the feeder")


@dataclass
class _Stage:
    """The world as far as disturbances can reach it, without prosumers; see `facade.Running`."""

    case: Case
    recorder: _Log = field(default_factory=_Log)

    def __post_init__(self) -> None:
        case = self.case
        self.env = simpy.Environment(initial_time=case.grid.open_s(0) - 1)
        self.conditions = Conditions(len(case.population))
        self.feeder: Any = _NoFeeder(case.feeder.topology, self)
        self._acting = ""
        self._readings: dict[Reading, list[np.ndarray]] = {}
        self._told: list[tuple[Fault, ...]] = []
        self._meddled = False
        disturbances = case.scenario.disturbances
        for rank, (disturbance, name) in enumerate(named(disturbances), -len(disturbances)):
            self.env.process(self._watched(disturbance.run(Facade(self, rank, name)), name))

    def played(self) -> Course:
        """Let the disturbances act to the end of the run; return what was read at the gates."""
        grid, names = self.case.grid, [*_AT_DECIDE, "delay"]
        for k in range(grid.intervals):
            self._read_at(grid.open_s(k), "open", _AT_OPEN)
            self._read_at(grid.decide_s(k), "decide", names)
            self._read_at(grid.start_s(k), "start", _AT_START)
        for gate, wanted in (("open", _AT_OPEN), ("decide", names), ("start", _AT_START)):
            self._read_at(grid.end_s, gate, wanted, MAIL)
        self.env.run(until=self.due(grid.end_s, MAIL + 1))
        return Course(self._readings, self._told, self._meddled)

    def due(self, second: int, priority: int) -> simpy.Event:
        """Return an event at a second, ranked among those of the same second."""
        event = simpy.Event(self.env)
        event._ok, event._value = True, None
        self.env.schedule(event, priority=priority, delay=second - self.env.now)  # type: ignore[arg-type]
        acting = self._acting

        def acts_again(event: simpy.Event) -> None:
            self._acting = acting

        event.callbacks.append(acts_again)
        return event

    def before_change(self) -> None:
        """Refuse a change while a delivery runs."""
        now, grid = int(self.env.now), self.case.grid
        if 0 < now < grid.end_s and now % grid.interval_s:
            self.refuse("it acts on load, PV or lines while a delivery runs")

    def refuse(self, what: str) -> None:
        """Raise InputError naming who acts, and when."""
        when = self.case.grid.utc(int(self.env.now)).astimezone(self.case.grid.zone)
        raise InputError(
            Problem(
                f"lanes cannot play the disturbance '{self._acting}'",
                why=f"{what} ({when:%Y-%m-%d %H:%M:%S})",
                remedy="use the environments of cosim.envs, which can, or let it act "
                "where intervals begin",
            )
        )

    def _watched(self, process: Any, name: str) -> Any:
        """Pass the events of a disturbance on, and remember who is acting."""
        value = None
        while True:
            self._acting = name
            try:
                event = process.send(value)
            except StopIteration:
                return
            value = yield event

    def _read_at(self, second: int, gate: str, names: Any, rank: int = DEADLINE) -> None:
        """Keep what stands at a gate when it comes."""

        def read(event: simpy.Event) -> None:
            conditions = self.conditions
            if gate == "decide":
                self._told.append(conditions.faults)
                self._meddled |= conditions.active(*_MEDDLING)
            for name in names:
                value = conditions.delay_s if name == "delay" else conditions.factor(name)
                self._readings.setdefault((gate, name), []).append(value)

        self.due(second, rank).callbacks.append(read)
