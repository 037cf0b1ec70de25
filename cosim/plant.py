"""The plant: the one writer of stored energy, between the meters and the load flow.

Power is constant between events. Whatever changes the world calls :meth:`Plant.hold` first, so
the part that ran is booked, and :meth:`Plant.deliver` after, so flows and load flow are new.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cosim.conditions import Conditions
from cosim.delivery import Delivery, Metered, Part, advance, deliver, meter, pv_most_kw
from cosim.feeder.feeder import Feeder
from cosim.feeder.state import GridState
from cosim.losses import Rule, loss_shares_kw
from cosim.population import Population, Profiles
from cosim.timegrid import TimeGrid


@dataclass(frozen=True, eq=False)
class Solve:
    """One load flow and how long it held: injections per bus ``[b]``, > 0 into the network."""

    interval: int
    start_s: int
    end_s: int
    p_kw: np.ndarray
    q_kvar: np.ndarray
    grid: GridState
    topology: object


class Plant:
    """Batteries, loads and PV on the feeder; ``on_solve`` is told of every load flow that held."""

    def __init__(
        self,
        population: Population,
        profiles: Profiles,
        grid: TimeGrid,
        feeder: Feeder,
        conditions: Conditions,
        on_solve: Callable[[Solve], None],
        losses: Rule = "supplier",
    ) -> None:
        self._population, self._profiles, self._grid = population, profiles, grid
        self._feeder, self._conditions, self._on_solve = feeder, conditions, on_solve
        self._rule: Rule = losses
        self.energy_kwh = population.initial_kwh
        self.running: Delivery | None = None
        self._setpoint_kw = np.zeros(len(population))
        self._before_kw = self._setpoint_kw  # executed at the end of the interval before
        self._interval = 0
        self._since_s = 0
        self._topology: object = None
        self._parts: list[Part] = []
        self._loss_share_kw: np.ndarray | None = None

    @property
    def until_s(self) -> int:
        """The second in which the running delivery ends."""
        return self._grid.start_s(self._interval + 1)

    @property
    def dead(self) -> np.ndarray:
        """Prosumers without supply, bool ``[n]``."""
        return self._feeder.dead[self._population.bus]

    @property
    def battery_kw(self) -> np.ndarray:
        """Power of the batteries now ``[n]``; idle before the first delivery."""
        return self._setpoint_kw if self.running is None else self.running.flow.battery_kw

    @property
    def vm_pu(self) -> np.ndarray:
        """Voltage at each prosumer's bus of the running load flow ``[n]``, NaN when dead."""
        if self.running is None:
            return np.ones(len(self._population))
        return self.running.grid.vm_pu[self._population.bus]

    def begin(self, interval: int, setpoint_kw: np.ndarray) -> None:
        """Take the set-points of an interval, at its first second."""
        self._before_kw = self.battery_kw
        self._interval, self._setpoint_kw = interval, setpoint_kw
        self._since_s = self._grid.start_s(interval)
        self._parts = []
        self.deliver()

    def deliver(self) -> None:
        """Let power flow from the present second on: project, then solve the load flow."""
        k, profiles, conditions = self._interval, self._profiles, self._conditions
        load = conditions.factor("load")
        self.running = deliver(
            self._population,
            self._feeder,
            self.energy_kwh,
            self._setpoint_kw,
            profiles.load_kw[k] * load,
            profiles.load_kvar[k] * load,
            profiles.pv_kw[k] * conditions.factor("pv"),
            (self.until_s - self._since_s) / 3600.0,
            pv_most_kw(self._population, conditions.factor("pv_share")),
            self._before_kw,
        )
        self._loss_share_kw = loss_shares_kw(
            self._rule, self._population, self._feeder, self.running
        )
        self._topology = self._feeder.topology

    def expected_kwh(self, second: int) -> np.ndarray:
        """Return the stored energy at a later second if nothing changes ``[n]``."""
        if self.running is None:
            return self.energy_kwh
        hours = (second - self._since_s) / 3600.0
        return advance(self._population, self.energy_kwh, self.running.flow, hours)

    def hold(self, now_s: int) -> None:
        """Book what ran since the last event, up to ``now_s``."""
        ran = self.running
        if ran is None or now_s == self._since_s:
            return
        hours = (now_s - self._since_s) / 3600.0
        self.energy_kwh = advance(self._population, self.energy_kwh, ran.flow, hours)
        slack_kw, losses_kw = float(ran.grid.slack_p_kw), float(ran.grid.losses_kw)
        self._parts.append(Part(ran.flow, hours, slack_kw, losses_kw, self._loss_share_kw))
        self._on_solve(
            Solve(
                self._interval, self._since_s, now_s, ran.p_kw, ran.q_kvar, ran.grid, self._topology
            )
        )
        self._since_s = now_s

    def meter(self) -> Metered:
        """Return the energies of the interval that has just ended."""
        self.hold(self.until_s)
        return meter(self._parts, self.energy_kwh)
