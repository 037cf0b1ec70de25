"""What disturbances do to the world: factors that stack up and are taken off again.

One object per run, written by the disturbances' facade only. Every read gives plain arrays
``[n]``; changing a factor replaces them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np

#: products of what is active, and of PV the lowest share of its size that may be fed
Factor = Literal["load", "pv", "pv_share", "retail", "feed_in", "order_survival"]
FACTORS: tuple[Factor, ...] = get_args(Factor)


#: the factor of nothing active
_NEUTRAL: dict[Factor, float] = {"pv_share": np.inf}


class Conditions:
    """Products of all active factors and the sum of all active order delays, ``[n]`` each."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._active: dict[Factor | Literal["delay"], list[np.ndarray]] = {"delay": []}
        self._active |= {name: [] for name in FACTORS}
        self._combined = {name: np.full(count, _NEUTRAL.get(name, 1.0)) for name in FACTORS}
        self._outages: list[tuple[str, ...]] = []
        self.delay_s = np.zeros(count)
        self.disturbed_messages = False

    def factor(self, name: Factor) -> np.ndarray:
        """Return the combined factor ``[n]``."""
        return self._combined[name]

    def put(self, name: Factor, value: np.ndarray) -> Callable[[], None]:
        """Put a factor ``[n]`` on, or a limit; return what takes it off again."""
        return self._put(name, value)

    def delay(self, seconds: np.ndarray) -> Callable[[], None]:
        """Delay orders by ``seconds`` ``[n]``; return what ends it."""
        return self._put("delay", seconds)

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

    def _put(self, name: Factor | Literal["delay"], value: np.ndarray) -> Callable[[], None]:
        entry = np.array(np.broadcast_to(value, self._count), dtype=float)
        self._active[name].append(entry)
        self._combine(name)

        def undo() -> None:
            self._active[name] = [item for item in self._active[name] if item is not entry]
            self._combine(name)

        return undo

    def _combine(self, name: Factor | Literal["delay"]) -> None:
        if name == "delay":
            self.delay_s = np.sum([np.zeros(self._count), *self._active[name]], axis=0)
        else:
            combine = np.minimum if name == "pv_share" else np.multiply
            whole = np.full(self._count, _NEUTRAL.get(name, 1.0))
            for entry in self._active[name]:
                whole = combine(whole, entry)
            self._combined[name] = whole
        self.disturbed_messages = bool(self._active["delay"] or self._active["order_survival"])
