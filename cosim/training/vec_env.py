"""The training environment of stable-baselines3: a slot for each served prosumer of each lane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv

from cosim.case import Case
from cosim.episode import window
from cosim.training.days import training_blocks
from cosim.training.export import Scaling
from cosim.training.lane import Lane

#: rewards are worth per kW of rating [EUR/kW] times this, so that all sizes learn alike
REWARD_SCALE = 10.0


class SharedVecEnv(VecEnv):
    """Lanes of training days drawn from the year, all prosumers of a seat acting by one policy.

    An observation is scaled; an action in [-1, 1] is the battery power as a share of the rating.
    A reward is the prosumer's own worth, and to the share ``team`` that of the seat as a whole:
    alone, each would sell until the price is gone for all.
    """

    def __init__(
        self,
        case: Case,
        seat: str,
        scaling: Scaling,
        *,
        lanes: int,
        days: int,
        seed: int,
        team: float = 0.0,
    ) -> None:
        self._case, self._scaling, self._days, self._team = case, scaling, days, team
        self._rows = next(item.rows for item in case.seats if item.name == seat)
        self._lanes = [Lane(seat, scaling.features) for _ in range(lanes)]
        year = case.grid.end_s // 86_400
        self._blocks = np.array(training_blocks(year, days))
        self._random = np.random.Generator(np.random.PCG64(seed))
        self._rating = np.tile(case.population.rating_kw[self._rows], lanes)
        self.raw = np.zeros((0, len(scaling.features)))  # the observations last handed out
        width = len(scaling.features)
        self.render_mode = None
        super().__init__(
            lanes * len(self._rows),
            spaces.Box(-scaling.limit, scaling.limit, (width,), np.float32),
            spaces.Box(-1.0, 1.0, (1,), np.float32),
        )

    def reset(self) -> np.ndarray:
        """Start every lane on days of its own, batteries filled by chance."""
        return self._seen([lane.reset(self._draw()) for lane in self._lanes])

    def step_async(self, actions: np.ndarray) -> None:
        """Take the actions of all slots."""
        power = actions.astype(float) * self._rating[:, None]
        self._decisions = np.split(power, len(self._lanes))

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Run on to the next decision; all lanes end together and begin anew."""
        pairs = zip(self._lanes, self._decisions, strict=True)
        steps = [lane.step(decisions) for lane, decisions in pairs]
        rewards = np.concatenate([self._rewards(worth) for _, worth in steps])
        done = steps[0][0] is None
        infos: list[dict[str, Any]] = [{} for _ in rewards]
        if done:
            last = self._scaling(self.raw)
            infos = [{"terminal_observation": row} for row in last]
            scaled = self.reset()
        else:
            scaled = self._seen([seen for seen, _ in steps if seen is not None])
        return scaled, rewards, np.full(len(rewards), done), infos

    def close(self) -> None:
        """End all lanes."""
        for lane in self._lanes:
            lane.close()

    def _rewards(self, worth_eur: np.ndarray) -> np.ndarray:
        """Return the rewards of one lane's prosumers from their worth ``[m]``."""
        rating = self._case.population.rating_kw[self._rows]
        own, whole = worth_eur / rating, worth_eur.sum() / rating.sum()
        return (REWARD_SCALE * (own + self._team * (whole - own))).astype(np.float32)

    def _draw(self) -> Case:
        first = int(self._random.choice(self._blocks))
        share = self._random.uniform(size=len(self._case.population))
        return window(self._case, first, self._days, share)

    def _seen(self, observations: Sequence[np.ndarray]) -> np.ndarray:
        self.raw = np.concatenate(observations)
        return self._scaling(self.raw)

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Return an attribute, the same for all slots."""
        return [getattr(self, attr_name)] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Refuse: slots have no attributes of their own."""
        raise NotImplementedError("slots have no attributes of their own")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> Any:
        """Refuse: slots have no methods of their own."""
        raise NotImplementedError("slots have no methods of their own")

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """Return that no slot is wrapped."""
        return [False] * self.num_envs
