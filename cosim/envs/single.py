"""Gymnasium: one prosumer learns, all others follow the policies of the scenario."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from cosim.case import Case
from cosim.envs.world import Record, Told, World, row_of
from cosim.training.days import CALENDAR, Calendar
from cosim.training.export import Scaling
from cosim.training.signals import OBSERVED, named_terms


class SingleEnv(gymnasium.Env[np.ndarray, np.ndarray]):
    """The run of a case with the learner deciding for one prosumer.

    A step answers the desk and runs on to the prosumer's next decision; see docs/environments.md.
    Its reward is that of the interval before, which has just been settled; the last step brings
    the last two. Episodes end by truncation only.
    """

    metadata = {"render_modes": []}  # noqa: RUF012  # declared so by the base class

    def __init__(
        self,
        case: Case,
        prosumer: str,
        *,
        features: tuple[str, ...] = OBSERVED,
        scaling: Scaling | None = None,
        actions: tuple[str, ...] = ("battery_kw",),
        days: int | None = None,
        record: Record | None = None,
        calendar: Calendar = CALENDAR,
    ) -> None:
        self.world = World(
            case,
            row_of(case, prosumer),
            features=features,
            scaling=scaling,
            actions=actions,
            days=days,
            record=record,
            calendar=calendar,
        )
        self.observation_space = self.world.space_seen()
        self.action_space = self.world.space_done()
        self.render_mode = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode."""
        super().reset(seed=seed)
        told = self.world.begin(self.np_random)
        return told.observations[0], _info(told)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Decide, and run on to the next decision."""
        told = self.world.step(self.world.actions_of(action))
        reward = float(told.rewards.sum())
        return told.observations[0], reward, False, told.over, _info(told)

    def close(self) -> None:
        """End the episode and its thread."""
        self.world.close()


def _info(told: Told) -> dict[str, Any]:
    """Return the interval to be decided on and the terms of the reward."""
    return {"interval": told.interval, **named_terms(told.rewards)[0]}
