"""The post between prosumers and the market: latency, loss and delay of orders.

Draws are keyed by prosumer and interval. Without latency and disturbances nothing is drawn.
"""

from __future__ import annotations

import numpy as np

from cosim.case import Case
from cosim.conditions import Conditions
from cosim.seeds import Draws

LOST = float("inf")


class Post:
    """Tells how long each prosumer's order travels in an interval."""

    def __init__(self, case: Case, conditions: Conditions) -> None:
        latency = case.scenario.latency
        self._low, self._span = latency.min_s, latency.max_s - latency.min_s + 1
        self._conditions = conditions
        seed, names = case.scenario.seed, case.population.names
        per_day = max(1, 86_400 // case.grid.interval_s)
        self._latency = Draws(seed, names, "latency", per_day, 1)
        self._message = Draws(seed, names, "message", per_day, 1)
        self._rank = Draws(seed, names, "rank", per_day, 1 if case.market.arrival_order else 0)
        self._nobody = np.zeros(len(names))
        self._instant = latency.max_s == 0

    @property
    def instant(self) -> bool:
        """Whether every order arrives in the second it is sent."""
        return self._instant and not self._conditions.disturbed_messages

    def draw(self, interval: int) -> np.ndarray:
        """Return what ranks orders of one second ``[n]``; 0 where the market does not ask."""
        drawn = self._rank.at(interval)
        return drawn[:, 0] if drawn.shape[1] else self._nobody

    def arrival_s(self, interval: int, sent_s: int) -> np.ndarray:
        """Return the second each order arrives ``[n]``, LOST where it vanishes."""
        if self.instant:
            return np.full(len(self._conditions.delay_s), float(sent_s))
        seconds = sent_s + self._low + self._conditions.delay_s
        if not self._instant:
            seconds = seconds + np.floor(self._latency.at(interval)[:, 0] * self._span)
        survival = self._conditions.factor("order_survival")
        return np.where(self._message.at(interval)[:, 0] < survival, seconds, LOST)
