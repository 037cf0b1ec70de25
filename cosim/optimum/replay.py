"""A plan at the desk: its batteries in the co-simulation, everything else as in any run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from pydantic import PrivateAttr

from cosim.case import Case
from cosim.policy import Policy, PolicyContext
from cosim.seats import Seat


class Replay(Policy):
    """Holds the power planned for each prosumer and interval; orders the forecast position."""

    _battery_kw: np.ndarray = PrivateAttr()

    @classmethod
    def of(cls, battery_kw: np.ndarray) -> Replay:
        """Return the policy of a plan ``[T, n]`` [kW] for a case's own intervals and prosumers."""
        policy = cls()
        policy._battery_kw = battery_kw
        return policy

    def act(
        self, observations: np.ndarray, context: PolicyContext, memory: Any
    ) -> tuple[np.ndarray, Any]:
        """Return what was planned."""
        return self._battery_kw[context.interval, context.ids][:, None], memory


def replayed(case: Case, battery_kw: np.ndarray) -> Case:
    """Return the case with everybody following a plan ``[T, n]``."""
    seat = Seat("plan", Replay.of(battery_kw), np.arange(len(case.population)))
    return replace(case, seats=(seat,))
