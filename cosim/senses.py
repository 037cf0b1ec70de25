"""What reaches guard and policies of meters, sensors and price feed, and what faults make of it.

Readings are arrays ``[..., n]`` by name. A fault lasts while it is listed; those that began later
act on what the earlier ones leave. Nothing here touches the world: plant and guard know devices as
they are, settlement knows prices as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np

from cosim.arrays import freeze

#: what a sensor of a home reads, by unit
Sensor = Literal["load_kw", "pv_kw", "energy_kwh", "vm_pu"]
SENSORS: tuple[Sensor, ...] = get_args(Sensor)
#: what the price feed tells
PRICES = (
    "retail_eur_per_kwh",
    "feed_in_eur_per_kwh",
    "bid_limit_eur_per_kwh",
    "retail_ahead_eur_per_kwh",
    "feed_in_ahead_eur_per_kwh",
)


@dataclass(frozen=True, eq=False)
class Fault:
    """A fault of some readings, or the exchange of two features, at ``rows`` (bool ``[n]``)."""

    act: Literal["hold", "bias", "swap"]
    names: tuple[str, ...]
    rows: np.ndarray
    factor: float = 1.0
    offset: float = 0.0
    silent: bool = True  # a reading that is held has no new time stamps

    def __post_init__(self) -> None:
        freeze(self)


class Reading(NamedTuple):
    """A value ``[..., n]`` and the second since which it is known ``[..., n]`` or one for all."""

    value: np.ndarray
    since_s: np.ndarray | float


class Swap(NamedTuple):
    """Two features exchanged at ``rows``, bool ``[..., n]``."""

    one: str
    other: str
    rows: np.ndarray


Told = Mapping[str, Reading]
#: from what is true to what is told
Hearing = Callable[[Mapping[str, np.ndarray]], Told]


class Senses:
    """Tells readings as faults let them through; remembers what it told last."""

    def __init__(self) -> None:
        self._last: Told | None = None
        self._held: dict[Fault, Told] = {}

    def told(self, true: Mapping[str, np.ndarray], faults: Sequence[Fault], now_s: int) -> Told:
        """Return the readings of a gate; what is held stands as it was told at the gate before.

        Where nothing was told before, it stands as it is at its first gate.
        """
        now = {name: Reading(value, float(now_s)) for name, value in true.items()}
        held: dict[Fault, Told] = {}
        for fault in faults:
            if fault.act == "bias":
                now |= {name: _biased(now[name], fault) for name in fault.names}
            elif fault.act == "hold":
                before = self._held.get(fault) or dict(self._last or now)
                held[fault] = {name: before[name] for name in fault.names}
                now |= {name: _stood(now[name], held[fault][name], fault) for name in fault.names}
        self._held, self._last = held, now
        return now


class LaneSenses:
    """The same for lanes: readings ``[..., lanes, n]``, each lane with faults of its own."""

    def __init__(self, lanes: int) -> None:
        self._lanes = [Senses() for _ in range(lanes)]

    def told(
        self, true: Mapping[str, np.ndarray], faults: Sequence[Sequence[Fault]], now_s: int
    ) -> Told:
        """Return the readings of a gate of all lanes."""
        each = [
            senses.told({name: value[..., i, :] for name, value in true.items()}, faults[i], now_s)
            for i, senses in enumerate(self._lanes)
        ]
        return {name: _stacked([told[name] for told in each]) for name in true}


def swaps(faults: Sequence[Fault]) -> tuple[Swap, ...]:
    """Return the exchanges among faults, in their order."""
    return tuple(
        Swap(fault.names[0], fault.names[1], fault.rows) for fault in faults if fault.act == "swap"
    )


def lane_swaps(faults: Sequence[Sequence[Fault]]) -> tuple[Swap, ...]:
    """Return the exchanges of all lanes, rows ``[lanes, n]``; each keeps the order of its lane."""
    found = []
    for lane, own in enumerate(faults):
        for swap in swaps(own):
            rows = np.zeros((len(faults), len(swap.rows)), dtype=bool)
            rows[lane] = swap.rows
            found.append(swap._replace(rows=rows))
    return tuple(found)


def age_s(told: Told, names: Sequence[str], now_s: int) -> np.ndarray | float:
    """Return how long ago the oldest of some readings was new ``[..., n]``, or one for all."""
    return now_s - np.minimum.reduce(np.broadcast_arrays(*(told[name].since_s for name in names)))


def _stood(now: Reading, before: Reading, fault: Fault) -> Reading:
    value = np.where(fault.rows, before.value, now.value)
    if not fault.silent:
        return Reading(value, now.since_s)
    return Reading(value, np.where(fault.rows, before.since_s, now.since_s))


def _biased(now: Reading, fault: Fault) -> Reading:
    """Return a reading off by factor and offset; nothing that is read here goes below 0."""
    wrong = np.maximum(now.value * fault.factor + fault.offset, 0.0)
    return now._replace(value=np.where(fault.rows, wrong, now.value))


def _stacked(readings: Sequence[Reading]) -> Reading:
    shape = readings[0].value.shape[-1:]
    since = np.stack([np.broadcast_to(reading.since_s, shape) for reading in readings])
    return Reading(np.stack([reading.value for reading in readings], axis=-2), since)
