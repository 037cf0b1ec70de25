"""What perfect foresight foresees: everybody's load less PV, and all prices of a period."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cosim.arrays import freeze
from cosim.case import Case
from cosim.plant import Solve
from cosim.policy import Policy, PolicyContext
from cosim.seats import Seat
from cosim.simulation import Interval, Simulation


@dataclass(frozen=True, eq=False)
class World:
    """A period as it came, arrays ``[T, n]``.

    ``charge_eur_per_kwh`` (network charges and taxes) falls due on every kWh drawn, its
    ``local_share`` also on what is bought locally. ``fed_share`` is the share of an interval with
    supply; without it a battery rests.
    """

    net_kw: np.ndarray  # load - PV
    retail_eur_per_kwh: np.ndarray
    feed_in_eur_per_kwh: np.ndarray
    charge_eur_per_kwh: np.ndarray
    local_share: np.ndarray
    fed_share: np.ndarray
    interval_h: float

    def __post_init__(self) -> None:
        freeze(self)

    @property
    def buy_eur_per_kwh(self) -> np.ndarray:
        """What a kWh from the supplier costs, charges included."""
        return self.retail_eur_per_kwh + self.charge_eur_per_kwh

    @property
    def local_eur_per_kwh(self) -> np.ndarray:
        """What is due on a kWh bought locally, beside its price."""
        return self.charge_eur_per_kwh * self.local_share


def world_of(
    case: Case,
    charge_eur_per_kwh: np.ndarray | float = 0.0,
    local_share: np.ndarray | float = 0.0,
) -> World:
    """Return the world of a case: of its data, or as metered where the scenario disturbs it."""
    net, tariffs = case.profiles.load_kw - case.profiles.pv_kw, case.tariffs
    retail, feed_in = tariffs.retail_eur_per_kwh, tariffs.feed_in_eur_per_kwh
    fed = np.ones_like(net)
    if case.scenario.disturbances:
        net, retail, feed_in, fed = _metered(case)
    charge, local = (np.zeros_like(net) + due for due in (charge_eur_per_kwh, local_share))
    return World(net, retail.copy(), feed_in.copy(), charge, local, fed, case.grid.interval_h)


def charged_world(case: Case) -> World:
    """Return the world of a case with network charges and taxes on drawn energy."""
    tariffs = case.tariffs
    charge = tariffs.network_eur_per_kwh + tariffs.taxes_eur_per_kwh
    local = (
        tariffs.network_eur_per_kwh * tariffs.network_local_share
        + tariffs.taxes_eur_per_kwh * tariffs.taxes_local_share
    )
    return world_of(case, charge, local / np.where(charge > 0.0, charge, 1.0))


class _Idle(Policy):
    """Nobody uses a battery."""

    actions = ("battery_kw", "quantity_kwh")

    def act(
        self, observations: np.ndarray, context: PolicyContext, memory: Any
    ) -> tuple[np.ndarray, Any]:
        """Return zeros."""
        return np.zeros((len(context.ids), 2)), memory


class _Meters:
    """A recorder that keeps what was metered and what it cost."""

    def __init__(self) -> None:
        self.rows: list[tuple[np.ndarray, ...]] = []

    def interval(self, interval: Interval) -> None:
        """Keep the power drawn, the prices and the share with supply of one interval."""
        metered, prices = interval.metered, interval.trade.asked.prices
        self.rows.append((
            metered.load_kwh - metered.pv_kwh,
            prices.retail_eur_per_kwh,
            prices.feed_in_eur_per_kwh,
            1.0 - metered.dead_share,
        ))  # fmt: skip

    def solve(self, solve: Solve) -> None:
        """Ignore load flows."""

    def event(self, second: int, kind: str, details: dict[str, Any]) -> None:
        """Ignore the event log."""


def _metered(case: Case) -> tuple[np.ndarray, ...]:
    """Return net power, prices and supply of a run in which every battery rests."""
    seat = Seat("nobody", _Idle(), np.arange(len(case.population)))  # nor any supervisor
    meters = _Meters()
    Simulation(replace(case, seats=(seat,)), meters).run()
    net, retail, feed_in, fed = (np.stack(column) for column in zip(*meters.rows, strict=True))
    return net / case.grid.interval_h, retail, feed_in, fed
