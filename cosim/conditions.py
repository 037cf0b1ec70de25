"""What disturbances do to the world: factors that stack up and are taken off again.

One object per run, written by the disturbances' facade only. Every read gives plain arrays
``[n]``; changing a factor replaces them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np

from cosim.senses import Fault

#: what all that is active comes to: products, and as `_COMBINED` says
Factor = Literal[
    "load",
    "pv",
    "pv_share",
    "retail",
    "feed_in",
    "order_survival",
    "limit_delay",
    "wanted_factor",
    "greed",
    "order_factor",
    "order_shift",
]
FACTORS: tuple[Factor, ...] = get_args(Factor)
_Key = Factor | Literal["delay"]

#: of nothing active, and how two go together; others are products
_COMBINED: dict[_Key, tuple[float, np.ufunc]] = {
    "pv_share": (np.inf, np.minimum),  # of PV the lowest share of its size that may be fed
    "delay": (0.0, np.add),
    "limit_delay": (0.0, np.add),
    "greed": (0.0, np.maximum),
    "order_shift": (0.0, np.add),
}
_PRODUCT: tuple[float, np.ufunc] = (1.0, np.multiply)


class Conditions:
    """All active factors, order delays, outages and faults of what is told; arrays ``[n]``."""

    def __init__(self, count: int) -> None:
        self._count = count
        keys: tuple[_Key, ...] = (*FACTORS, "delay")
        self._active: dict[_Key, list[np.ndarray]] = {name: [] for name in keys}
        self._combined = {name: np.full(count, _COMBINED.get(name, _PRODUCT)[0]) for name in keys}
        self._outages: list[tuple[str, ...]] = []
        self.faults: tuple[Fault, ...] = ()
        self.disturbed_messages = False

    @property
    def delay_s(self) -> np.ndarray:
        """The sum of all delays of orders ``[n]``."""
        return self._combined["delay"]

    def factor(self, name: Factor) -> np.ndarray:
        """Return the combined factor ``[n]``."""
        return self._combined[name]

    def active(self, *names: Factor) -> bool:
        """Say whether any of these is put on."""
        return any(self._active[name] for name in names)

    def put(self, name: Factor, value: np.ndarray) -> Callable[[], None]:
        """Put a factor ``[n]`` on, or a limit; return what takes it off again."""
        return self._put(name, value)

    def delay(self, seconds: np.ndarray) -> Callable[[], None]:
        """Delay orders by ``seconds`` ``[n]``; return what ends it."""
        return self._put("delay", seconds)

    def fault(self, fault: Fault) -> Callable[[], None]:
        """Let a fault change what is told; return what ends it."""
        self.faults = (*self.faults, fault)

        def undo() -> None:
            self.faults = tuple(each for each in self.faults if each is not fault)

        return undo

    @property
    def open_lines(self) -> frozenset[str]:
        """The lines that at least one outage keeps open."""
        return frozenset(name for outage in self._outages for name in outage)

    @property
    def supply(self) -> bool:
        """Whether no outage keeps the supply off."""
        return () not in self._outages

    def outage(self, *lines: str) -> Callable[[], None]:
        """Put an outage on, of lines or without any of the supply; return what takes it off."""
        self._outages.append(lines)
        return lambda: self._outages.remove(lines)

    def _put(self, name: _Key, value: np.ndarray) -> Callable[[], None]:
        entry = np.array(np.broadcast_to(value, self._count), dtype=float)
        self._active[name].append(entry)
        self._combine(name)

        def undo() -> None:
            self._active[name] = [item for item in self._active[name] if item is not entry]
            self._combine(name)

        return undo

    def _combine(self, name: _Key) -> None:
        neutral, combine = _COMBINED.get(name, _PRODUCT)
        whole = np.full(self._count, neutral)
        for entry in self._active[name]:
            whole = combine(whole, entry)
        self._combined[name] = whole
        self.disturbed_messages = bool(self._active["delay"] or self._active["order_survival"])
