"""The simulation: the only place that knows the order of things.

SimPy processes meet at shared gates: the desk opens for all who have supply (OPEN) and asks the
policies (DECIDE), prosumers send their orders, the market closes (CLOSE), the feeder delivers and
meters. Disturbances come first on a second, then re-solving, then deadlines.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import simpy

from cosim.books import Books
from cosim.case import Case, network_guard
from cosim.conditions import Conditions
from cosim.delivery import Metered
from cosim.desk import Desk
from cosim.disturbances.base import named
from cosim.facade import Facade
from cosim.feeder.state import SolveStatus
from cosim.lookout import Lookout
from cosim.plant import Plant, Solve
from cosim.post import Post
from cosim.settlement import Bills, Prices
from cosim.trade import Asked, Meddling, Trade, settle_trade, trade

#: priorities on one second; SimPy's own events have 0 and 1, disturbances are below
RESOLVE, DEADLINE, MAIL = 5, 10, 11  # an order that arrives in the second of CLOSE is late

Process = Generator[simpy.Event, None, None]


@dataclass(frozen=True, eq=False)
class Interval:
    """Everything that happened in one interval, handed to the recorder after METER."""

    index: int
    trade: Trade
    metered: Metered
    bills: Bills


class Recorder(Protocol):
    """What the simulation tells; see :mod:`cosim.record`."""

    def interval(self, interval: Interval) -> None:
        """Take one settled interval."""

    def solve(self, solve: Solve) -> None:
        """Take one load flow."""

    def event(self, second: int, kind: str, details: dict[str, Any]) -> None:
        """Take one line of the event log."""


class Simulation:
    """One run of a case; :meth:`run` drives it to its end."""

    def __init__(self, case: Case, recorder: Recorder) -> None:
        self.case, self.recorder, self.books = case, recorder, Books()
        disturbances, n = case.scenario.disturbances, len(case.population)
        self.feeder = case.feeder.twin()
        self.env = simpy.Environment(initial_time=case.grid.open_s(0) - 1)
        self.conditions = Conditions(n)
        self.plant = Plant(
            case.population,
            case.profiles,
            case.grid,
            self.feeder,
            self.conditions,
            self._solved,
            case.scenario.losses,
        )
        self._desk, self._post = Desk(case), Post(case, self.conditions)
        self._lookout = Lookout(case, self.plant, self.conditions)
        self._network = network_guard(case, self.feeder)
        self._decided = self.env.event()
        self._present: np.ndarray | None = None  # rows with supply at OPEN; None: all
        self._seated: list[bool] | None = None  # the same for the processes, which hold no arrays
        self._due_s: list[float] | None = None  # when each order arrives; None: all at once
        self._bags: dict[int, list[int]] = {}  # arrival second -> rows
        self._arrived: list[int] = []  # rows whose order is with the market
        self._asked: Asked | None = None
        self._traded: Trade | None = None
        self._peak_kw = np.zeros(n)  # highest mean power drawn in an interval of the month
        self._resolving = self._collapsed = False
        self._progress: Callable[[int], None] = lambda second: None
        for rank, (disturbance, name) in enumerate(named(disturbances), -len(disturbances)):
            self.env.process(disturbance.run(Facade(self, rank, name)))
        for row in range(n):
            self.env.process(self._prosumer(row))
        for process in (self._policies(), self._market(), self._feeder()):
            self.env.process(process)

    def run(
        self,
        progress: Callable[[int], None] = lambda second: None,
        intervals: int | None = None,
    ) -> Books:
        """Run to the end of the last delivery, or that of so many ``intervals``.

        ``progress`` is told the second of each METER.
        """
        grid, self._progress = self.case.grid, progress
        end_s = grid.start_s(grid.intervals if intervals is None else intervals)
        self.env.run(until=self.due(end_s, MAIL + 1))
        return self.books

    # ------------------------------------------------------------ processes

    def _prosumer(self, row: int) -> Process:
        """Send the order once it is decided, unless cut off when the desk opened."""
        while True:
            yield self._decided
            if self._seated is not None and not self._seated[row]:
                continue
            if self._due_s is None:
                self._arrived.append(row)
            else:
                self._send(row, self._due_s[row])

    def _policies(self) -> Process:
        """Open the desk, then ask every policy once in each round of trading."""
        grid = self.case.grid
        for k in range(grid.intervals):
            yield self.due(grid.open_s(k), DEADLINE)
            prices = self._lookout.published(k)
            dead = self.plant.dead
            self._present = ~dead if dead.any() else None
            self._seated = None if self._present is None else self._present.tolist()
            for turn in range(grid.rounds):
                yield self.due(grid.decide_s(k, turn), DEADLINE)
                self._arrived, self._bags = [], {}
                self._asked = self._ask(k, turn, prices)
                self._due_s = None if self._post.instant else self._asked.arrival_s.tolist()
                decided, self._decided = self._decided, self.env.event()
                decided.succeed()

    def _market(self) -> Process:
        """Freeze the book at CLOSE and clear it."""
        grid = self.case.grid
        for k in range(grid.intervals):
            for turn in range(grid.rounds):
                yield self.due(grid.close_s(k, turn), DEADLINE)
                self._traded = self._clear(self._traded if turn else None)
                if not self.case.market.on_metered:  # else it clears with the meter
                    self._lookout.note(self._traded.clearing)

    def _feeder(self) -> Process:
        """Deliver each interval and meter it when it ends."""
        running: Trade | None = None
        grid = self.case.grid
        for k in range(grid.intervals):
            yield self.due(grid.start_s(k), DEADLINE)
            assert self._traded is not None
            if running is not None:
                self._meter(k - 1, running)
            running = self._traded
            self.plant.begin(k, running.guarded.decision.battery_kw)
        yield self.due(grid.end_s, DEADLINE)
        if running is not None:
            self._meter(grid.intervals - 1, running)

    # ------------------------------------------------------------ steps

    def _ask(self, k: int, turn: int, prices: Prices) -> Asked:
        gate = k * self.case.grid.rounds + turn
        outlook, view = self._lookout.at(k, turn, prices, self._traded if turn else None)
        answer = self._desk.ask(view, self._present, gate)
        for note in answer.notes:
            self.tell(note.kind, note.details)
        return Asked(
            prices,
            outlook,
            answer.decision,
            answer.own_quantity,
            answer.own_price,
            self._post.arrival_s(gate, self.case.grid.decide_s(k, turn)),
            self._post.draw(gate),
            answer.supervised,
            view.battery_kw,
            self._lookout.measured_kvar(),
            self._meddling(),
            answer.overruled,
        )

    def _meddling(self) -> Meddling | None:
        """Return what disturbances make of orders decided now."""
        conditions = self.conditions
        if conditions.active("wanted_factor", "greed", "order_factor", "order_shift"):
            return Meddling.read(conditions.factor)
        return None

    def _clear(self, before: Trade | None) -> Trade:
        """Return the trade of the open round, which follows the one ``before``."""
        case, asked = self.case, self._asked
        assert asked is not None
        arrived = np.zeros(len(case.population), dtype=bool)
        arrived[self._arrived] = True
        traded = trade(
            case.population,
            case.market,
            asked,
            arrived,
            case.grid.interval_h,
            physical_trades=case.scenario.trade_limit == "physical",
            held_kwh=None if before is None else before.total.fills_kwh,
            network=self._network,
        )
        for told in traded.projections:
            self.tell("network_projection", told.told(case.grid.interval_h))
        return traded if before is None else replace(traded, earlier=before.rounds)

    def _send(self, row: int, second: float) -> None:
        """Put an order in the bag of its arrival second; bags of one second share an event."""
        if second >= self.case.grid.end_s:  # lost, or after everything
            return
        bag = self._bags.get(int(second))
        if bag is None:
            bag = self._bags[int(second)] = []
            arrived, rows = self._arrived, bag
            self.due(int(second), MAIL).callbacks.append(lambda event: arrived.extend(rows))
        bag.append(row)

    def _meter(self, k: int, traded: Trade) -> None:
        case, metered, peak_kw = self.case, self.plant.meter(), self._peak_kw
        if self._lookout.begins_month(k):
            peak_kw = np.zeros_like(peak_kw)
        traded, settled, bills = settle_trade(
            case.population, case.market, traded, metered, peak_kw
        )
        if case.market.on_metered:
            self._lookout.note(traded.clearing)
        self._lookout.billed(bills.bill_eur)
        self._peak_kw = bills.peak_kw
        self.books.close(k, traded.total, settled, bills, traded.asked.prices, peak_kw)
        self.recorder.interval(Interval(k, traded, metered, bills))
        self._progress(self.case.grid.start_s(k + 1))

    # ------------------------------------------------------------ events

    def due(self, second: int, priority: int) -> simpy.Event:
        """Return an event at a second, ranked among those of the same second."""
        event = simpy.Event(self.env)
        event._ok, event._value = True, None
        self.env.schedule(event, priority=priority, delay=second - self.env.now)  # type: ignore[arg-type]
        return event

    def _solved(self, solve: Solve) -> None:
        """Hand a load flow on; where a collapse begins, say how much load would have a solution."""
        collapsed = bool(solve.grid.status == SolveStatus.COLLAPSE)
        if collapsed and not self._collapsed:
            factor = self.feeder.largest_load_factor(solve.p_kw, solve.q_kvar)
            self.tell("collapse", {"since_s": solve.start_s, "largest_load_factor": factor})
        self._collapsed = collapsed
        self.recorder.solve(solve)

    def tell(self, kind: str, details: dict[str, Any]) -> None:
        """Write a line to the event log."""
        self.recorder.event(int(self.env.now), kind, details)

    def before_change(self) -> None:
        """Book the delivery up to now; the changed world is solved again once per second."""
        now = int(self.env.now)
        if self.plant.running is None or now >= self.case.grid.end_s:
            return
        self.plant.hold(now)
        if not self._resolving and now < self.plant.until_s:  # else the next delivery solves
            self._resolving = True
            self.due(now, RESOLVE).callbacks.append(self._resolve)

    def _resolve(self, event: simpy.Event) -> None:
        self._resolving = False
        self.plant.deliver()
