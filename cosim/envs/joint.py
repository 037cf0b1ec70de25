"""Gymnasium: one learner decides for all prosumers of a policy at once."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from cosim.case import Case
from cosim.envs.world import Record, Told, World
from cosim.training.days import CALENDAR, Calendar
from cosim.training.export import Scaling
from cosim.training.lane import rows_of
from cosim.training.signals import OBSERVED, named_terms


class JointEnv(gymnasium.Env[np.ndarray, np.ndarray]):
    """The run of a case with the learner in the seat of a policy.

    Observations and actions are those of its prosumers in a row, in the scenario's order; the
    reward is what all of them together are worth per kW of their ratings. Whoever has no supply
    shows the scaled observation of nought, and ``info["present"]`` says so. Otherwise as
    :class:`cosim.envs.SingleEnv`.
    """

    metadata = {"render_modes": []}  # noqa: RUF012  # declared so by the base class

    def __init__(
        self,
        case: Case,
        seat: str,
        *,
        features: tuple[str, ...] = OBSERVED,
        scaling: Scaling | None = None,
        actions: tuple[str, ...] = ("battery_kw",),
        days: int | None = None,
        record: Record | None = None,
        calendar: Calendar = CALENDAR,
    ) -> None:
        rows = rows_of(case, seat)
        self.world = World(
            case,
            rows,
            features=features,
            scaling=scaling,
            actions=actions,
            team=1.0,
            days=days,
            record=record,
            calendar=calendar,
        )
        self.observation_space = self.world.space_seen(len(rows))
        self.action_space = self.world.space_done(len(rows))
        self.render_mode = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode."""
        super().reset(seed=seed)
        told = self.world.begin(self.np_random)
        return told.observations.ravel(), _info(told)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Decide for all, and run on to the next decision."""
        told = self.world.step(self.world.actions_of(action, len(self.world.rows)))
        reward = float(told.rewards[0].sum())  # the same for all of a team
        return told.observations.ravel(), reward, False, told.over, _info(told)

    def close(self) -> None:
        """End the episode and its thread."""
        self.world.close()


def _info(told: Told) -> dict[str, Any]:
    """Return the interval to be decided on, who is at the desk, and the terms of the reward."""
    terms = named_terms(told.rewards)[0]
    return {"interval": told.interval, "present": told.present, **terms}
