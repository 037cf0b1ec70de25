"""The post between prosumers and the market: latency, loss and delay of orders.

Draws are keyed by prosumer and gate, a round of trading. Without latency and disturbances nothing
is drawn.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from cosim.case import Case
from cosim.conditions import Conditions
from cosim.draws import draws_of
from cosim.sections import Latency

LOST = float("inf")


class Post:
    """Tells how long each prosumer's order travels in an interval."""

    def __init__(self, case: Case, conditions: Conditions) -> None:
        self._section = latency = case.scenario.latency
        self._conditions = conditions
        names, ranked = case.population.names, int(case.market.arrival_order)
        drawn = partial(draws_of, case, names, rounds=case.grid.rounds, early=1)  # after DECIDE
        self._latency, self._message = drawn("latency", 1), drawn("message", 1)
        self._rank = drawn("rank", ranked)
        self._nobody = np.zeros(len(names))
        self._instant = latency.max_s == 0

    @property
    def instant(self) -> bool:
        """Whether every order arrives in the second it is sent."""
        return self._instant and not self._conditions.disturbed_messages

    def draw(self, gate: int) -> np.ndarray:
        """Return what ranks orders of one second ``[n]``; 0 where the market does not ask."""
        drawn = self._rank.at(gate)
        return drawn[:, 0] if drawn.shape[1] else self._nobody

    def arrival_s(self, gate: int, sent_s: int) -> np.ndarray:
        """Return the second each order arrives ``[n]``, LOST where it vanishes."""
        conditions = self._conditions
        if self.instant:
            return np.full(len(conditions.delay_s), float(sent_s))
        travel = None if self._instant else self._latency.at(gate)[..., 0]
        return arrival_s(
            self._section,
            sent_s,
            travel,
            conditions.delay_s,
            self._message.at(gate)[..., 0],
            conditions.factor("order_survival"),
        )


def arrival_s(
    latency: Latency,
    sent_s: int,
    travel: np.ndarray | None,
    delay_s: np.ndarray,
    message: np.ndarray,
    survival: np.ndarray,
) -> np.ndarray:
    """Return the second each order arrives ``[..., n]``, LOST where it vanishes.

    ``travel`` and ``message`` are uniform draws, of the time on the way and of its survival;
    ``travel`` is None where orders take no time.
    """
    seconds = sent_s + latency.min_s + delay_s
    if travel is not None:
        seconds = seconds + np.floor(travel * (latency.max_s - latency.min_s + 1))
    return np.where(message < survival, seconds, LOST)


def in_time(arrival: np.ndarray, close_s: int) -> np.ndarray:
    """Return whose orders are in the book when it closes: those of an earlier second."""
    return np.floor(arrival) < close_s
