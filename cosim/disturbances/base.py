"""What a disturbance is and what it may do to the world.

A disturbance is a frozen value with a ``run(world)`` generator: it waits for ``world.at(...)``,
acts through the facade's verbs, and keeps the undo each verb returns. It can act at any second;
the facade closes the running part of the delivery before anything changes.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Annotated, Any, Protocol

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field
from simpy import Event

from cosim.plugins import Plugin
from cosim.senses import Sensor
from cosim.times import Moment

Undo = Callable[[], None]


class World(Protocol):
    """The facade a disturbance acts through. Rows are those of the named groups; empty: all."""

    @property
    def now_s(self) -> int:
        """The present simulation second."""

    @property
    def end_s(self) -> int:
        """The last second of the run."""

    def at(self, when: datetime | int) -> Event:
        """Return the event of an instant or a simulation second, before all deadlines on it.

        What begins with the run, or before it, is in force before the first gate opens.
        """

    def second_of(self, when: datetime) -> int:
        """Return the simulation second of an instant."""

    def daily(self, hour: float) -> list[int]:
        """Return the seconds at which the civil clock shows ``hour``, < 0 on the day before."""

    def uniform(self, purpose: str) -> np.ndarray:
        """Return one draw in [0, 1) per prosumer ``[n]``, keyed by seed, prosumer and purpose."""

    def scale_load(self, factor: np.ndarray | float, groups: Sequence[str] = ()) -> Undo:
        """Multiply load from now on."""

    def scale_pv(self, factor: np.ndarray | float, groups: Sequence[str] = ()) -> Undo:
        """Multiply PV output from now on."""

    def limit_pv(self, share: float, groups: Sequence[str] = ()) -> Undo:
        """Let PV feed no more than a share of its size; the lowest limit in force counts."""

    def scale_prices(self, retail: float = 1.0, feed_in: float = 1.0) -> Undo:
        """Multiply the supplier's prices from the next gate that opens."""

    def lose_orders(self, probability: float, groups: Sequence[str] = ()) -> Undo:
        """Lose each order with a probability."""

    def delay_orders(self, seconds: int, groups: Sequence[str] = ()) -> Undo:
        """Delay each order on its way."""

    def delay_limits(self, seconds: int, groups: Sequence[str] = ()) -> Undo:
        """Let limits on PV, and their lifting, reach the homes later."""

    def hold_prices(self, groups: Sequence[str] = ()) -> Undo:
        """Let prices be told as they were at the gate before; settlement knows the true ones."""

    def hold_sensor(self, name: Sensor, silent: bool, groups: Sequence[str] = ()) -> Undo:
        """Let a sensor read what it read at the gate before; silent: without new time stamps."""

    def bias_sensor(
        self, name: Sensor, factor: float, offset: float, groups: Sequence[str] = ()
    ) -> Undo:
        """Let a sensor read ``factor`` times the truth plus ``offset``, and never below 0."""

    def swap_features(self, one: str, other: str, groups: Sequence[str] = ()) -> Undo:
        """Exchange two features in what policies see."""

    def ask_more(self, factor: float, greed: float, groups: Sequence[str] = ()) -> Undo:
        """Scale what is ordered, and shade its limit price, before the guard."""

    def forge_orders(self, factor: float, shift: float, groups: Sequence[str] = ()) -> Undo:
        """Scale orders and shift their limit prices [EUR/kWh], behind the guard."""

    def open_line(self, name: str) -> Undo:
        """Open a line at both ends."""

    def cut_supply(self) -> Undo:
        """Switch the upstream supply off."""

    def log(self, kind: str, **details: Any) -> None:
        """Write a line to the run's event log."""


class Disturbance(Plugin):
    """Abstract disturbance from ``start`` to ``end``; one file in this folder per kind.

    The scenario, which knows the zone, refuses an end that is not after the start.
    """

    start: Moment = Field(description="when it begins")
    end: Moment = Field(description="when it is over")

    @property
    def price_factors(self) -> tuple[float, float]:
        """Factors on retail and feed-in prices; the scenario refuses those that cross them."""
        return 1.0, 1.0

    @abstractmethod
    def run(self, world: World) -> Generator[Event, None, None]:
        """Act on the world; a SimPy process."""


def named(disturbances: Iterable[Any]) -> Iterator[tuple[Disturbance, str]]:
    """Name each disturbance by kind and begin, so that its draws do not depend on the others."""
    seen: Counter[str] = Counter()
    for disturbance in disturbances:
        assert isinstance(disturbance, Disturbance)
        name = f"{disturbance.kind()} {disturbance.start.isoformat()}"
        seen[name] += 1
        yield disturbance, f"{name} {seen[name]}"


def _pair(value: Any) -> Any:
    return (value, value) if isinstance(value, int | float) else value


def _ordered(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] > value[1]:
        raise ValueError(
            f"the range [{value[0]:g}, {value[1]:g}] is the wrong way round: "
            f"write [{value[1]:g}, {value[0]:g}]"
        )
    return value


_Factor = Annotated[float, Field(ge=0.0, le=20.0)]

#: one number, or [low, high] drawn per prosumer
Spread = Annotated[
    tuple[_Factor, _Factor],
    BeforeValidator(_pair, json_schema_input_type=_Factor | tuple[_Factor, _Factor]),
    AfterValidator(_ordered),
]


def drawn(world: World, spread: tuple[float, float], purpose: str) -> np.ndarray:
    """Return a value per prosumer ``[n]``, uniform between the ends of a spread."""
    low, high = spread
    return low + (high - low) * world.uniform(purpose)
