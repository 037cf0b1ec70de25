"""The training environment of stable-baselines3: a slot for each served prosumer of each lane."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv

from cosim.case import Case
from cosim.lanes import Lanes
from cosim.observe import encode
from cosim.training.days import drawn_episode
from cosim.training.export import Scaling
from cosim.training.lane import Chair, seated, stored_value, worth_eur
from cosim.training.signals import named_terms, reach_of, rewards_of


class SharedVecEnv(VecEnv):
    """Lanes of training days drawn from the case, all prosumers of a seat acting by one policy.

    An observation is scaled; an action in [-1, 1] is a share of what the prosumer can do, see
    :mod:`cosim.training.signals`. The reward of a step is that of the interval decided on. Episodes
    end by truncation, all lanes together: ``terminal_observation`` is that of the interval that
    would follow. ``infos`` hold the reward's terms, which sum to it.
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
        actions: tuple[str, ...] = ("battery_kw",),
    ) -> None:
        self._rows = next(item.rows for item in case.seats if item.name == seat)
        self._seat, self._scaling, self._days, self._team = seat, scaling, days, team
        self._reach = reach_of(case, self._rows, actions)
        self._case = seated(case, self._rows, Chair(wanted=scaling.features, offered=actions))
        self._value = np.zeros(len(case.population))
        self._value[self._rows] = stored_value(case, self._rows)
        self._lanes, self._random = lanes, np.random.Generator(np.random.PCG64(seed))
        width = len(scaling.features)
        self.raw = np.zeros((0, width))  # the observations last handed out
        self.render_mode = None
        super().__init__(
            lanes * len(self._rows),
            spaces.Box(-scaling.limit, scaling.limit, (width,), np.float32),
            spaces.Box(-1.0, 1.0, (len(actions),), np.float32),
        )

    def reset(self) -> np.ndarray:
        """Start every lane on days of its own, batteries filled by chance."""
        if self._seeds[0] is not None:
            self._random = np.random.Generator(np.random.PCG64(self._seeds[0]))
        self._reset_seeds()
        self._reset_options()
        self.reset_infos = [{} for _ in range(self.num_envs)]
        return self._begun()

    def step_async(self, actions: np.ndarray) -> None:
        """Take the actions of all slots."""
        shape = (self._lanes, len(self._rows), len(self._reach.names))
        self._decisions = self._reach(actions.reshape(shape))

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Live through an interval in all lanes; all of them end together and begin anew."""
        step = self._world.step({self._seat: self._decisions})
        after = step.metered.energy_kwh
        worth = worth_eur(step.bills, step.before_kwh, after, self._value)[:, self._rows]
        rating = self._case.population.rating_kw[self._rows]
        terms = rewards_of(worth, rating, self._team).reshape(self.num_envs, -1)
        infos: list[dict[str, Any]] = [{"reward_terms": row} for row in named_terms(terms)]
        done, scaled = self._world.done, self._seen()
        if done:
            for info, row in zip(infos, scaled, strict=True):
                info |= {"terminal_observation": row, "TimeLimit.truncated": True}
            scaled = self._begun()
        return scaled, terms.sum(-1), np.full(self.num_envs, done), infos

    def close(self) -> None:
        """Do nothing: lanes are values."""

    def _begun(self) -> np.ndarray:
        drawn = [drawn_episode(self._case, self._days, self._random) for _ in range(self._lanes)]
        self._world = Lanes(self._case, drawn)
        return self._seen()

    def _seen(self) -> np.ndarray:
        seen = encode(self._world.view, self._scaling.features, self._rows)
        seen *= self._world.present[self._rows, None]
        self.raw = seen.reshape(self.num_envs, -1)
        return self._scaling(self.raw)

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Return an attribute, the same for all slots asked for."""
        return [getattr(self, attr_name)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Refuse: slots have no attributes of their own."""
        raise NotImplementedError("slots have no attributes of their own")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> Any:
        """Refuse: slots have no methods of their own."""
        raise NotImplementedError("slots have no methods of their own")

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """Return that no slot is wrapped."""
        return [False] * len(list(self._get_indices(indices)))
