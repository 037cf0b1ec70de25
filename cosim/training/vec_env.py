"""The training environment of stable-baselines3 over lanes: a slot for each prosumer, or lane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any, Literal

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv

from cosim.arrays import freeze
from cosim.case import Case
from cosim.errors import InputError, Problem
from cosim.lanes import Lanes, Step
from cosim.observe import encode
from cosim.training.days import (
    CALENDAR,
    Calendar,
    blinded,
    blocks,
    drawn_episodes,
    training_days,
)
from cosim.training.export import Scaling
from cosim.training.lane import Chair, rows_of, seated, stored_value
from cosim.training.signals import decided, named_terms, reach_of, rewards_of
from cosim.training.terms import PLAIN, Weights, terms_eur


@dataclass(frozen=True)
class Deal:
    """What a reward is made of: the terms' weights, and the shares of others' worth in it."""

    weights: Weights = PLAIN
    team: float = 0.0  # share of all learners' worth
    community: float = 0.0  # share of everybody's


@dataclass(frozen=True, eq=False)
class Place:
    """Where a training stands: its episode, and the actions in it so far ``[steps, slots, a]``."""

    episode: int
    actions: np.ndarray

    def __post_init__(self) -> None:
        freeze(self)


class SharedVecEnv(VecEnv):
    """Lanes of training days drawn from the case, all prosumers of a seat acting by one policy.

    An observation is scaled; an action in [-1, 1] is a share of what the prosumer can do, see
    :mod:`cosim.training.signals`. The reward of a step is that of the interval decided on. Episodes
    end by truncation, all lanes together: ``terminal_observation`` is that of the interval that
    would follow. ``infos`` hold the reward's terms, ``reward_<term>``, which sum to it.

    ``joint``: a slot is a lane; observations and actions of the prosumers stand in a row, and the
    reward is that of all together. Days that the calendar keeps from the learner are overwritten
    before anything is read of the case; of the others, ``wanted`` alone are lived through.
    ``fillings``: how full batteries begin, by chance or as the scenario says. ``horizon``: after
    an episode the world goes on, or, ``closed``, nothing counts but what is stored. Raises
    InputError for numbers that mean nothing, a seat that is none and days that there are not.
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
        joint: bool = False,
        deal: Deal | None = None,
        calendar: Calendar = CALENDAR,
        wanted: Sequence[int] | None = None,
        fillings: Literal["drawn", "scenario"] = "drawn",
        horizon: Literal["open", "closed"] = "open",
    ) -> None:
        _check(lanes, days, deal or Deal(team=team))
        self._fillings, self._open = fillings, horizon == "open"
        self._firsts = blocks(training_days(case, calendar, wanted), days)
        case = blinded(case, calendar)
        self._rows = rows_of(case, seat)
        self._seat, self._scaling, self._days = seat, scaling, days
        self._deal = deal or Deal(team=team)
        if joint:
            self._deal = replace(self._deal, team=1.0 - self._deal.community)
        self._reach = reach_of(case, self._rows, actions)
        self._case = seated(case, self._rows, Chair(wanted=scaling.features, offered=actions))
        self._value = np.zeros(len(case.population))
        self._value[self._rows] = stored_value(case, self._rows)
        self._lanes, self._seed, self._episode = lanes, seed, 0
        self._slots, each = (lanes, len(self._rows)) if joint else (lanes * len(self._rows), 1)
        self.agents_each = each  # prosumers of a slot
        width = len(scaling.features)
        self.raw = np.zeros((0, width))  # the observations last handed out, of each prosumer
        self._given: list[np.ndarray] = []
        self.render_mode = None
        super().__init__(
            self._slots,
            spaces.Box(-scaling.limit, scaling.limit, (each * width,), np.float32),
            spaces.Box(-1.0, 1.0, (each * len(actions),), np.float32),
        )

    @property
    def place(self) -> Place:
        """Where the training stands; see :meth:`go_to`."""
        shape = (0, self.num_envs, *self.action_space.shape)  # type: ignore[misc]
        given = np.stack(self._given) if self._given else np.zeros(shape, np.float32)
        return Place(self._episode, given)

    def go_to(self, place: Place) -> np.ndarray:
        """Live through the episode of a place again up to it; return the observations."""
        self._episode = place.episode
        seen = self._begun()
        for actions in place.actions:
            self._world.step({self._seat: self._decisions(actions)})
            self._given.append(actions)
            seen = self._seen()
        return seen

    def some_row(self, number: int) -> np.ndarray:
        """Return what one slot last saw, raw ``[1, each * d]``; which one goes round by number."""
        return self.raw.reshape(self._slots, -1)[None, number % self._slots]

    def reset(self) -> np.ndarray:
        """Start every lane on days of its own, batteries filled by chance."""
        if self._seeds[0] is not None:
            self._seed, self._episode = self._seeds[0], 0
        self._reset_seeds()
        self._reset_options()
        self.reset_infos = [{} for _ in range(self.num_envs)]
        return self._next()

    def step_async(self, actions: np.ndarray) -> None:
        """Take the actions of all slots; raise ValueError for any other shape."""
        given = np.array(actions, np.float32)
        shape = (self.num_envs, *self.action_space.shape)  # type: ignore[misc]
        if given.shape != shape:
            raise ValueError(f"actions have the shape {shape}, not {given.shape}")
        self._given.append(given)

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Live through an interval in all lanes; all of them end together and begin anew."""
        step = self._world.step({self._seat: self._decisions(self._given[-1])})
        terms = self._rewards(step)
        infos: list[dict[str, Any]] = [*named_terms(terms, self._deal.weights.names)]
        done, scaled = self._world.done, self._seen()
        if done:
            for info, row in zip(infos, scaled, strict=True):
                info |= {"terminal_observation": row, "TimeLimit.truncated": self._open}
            scaled = self._next()
        return scaled, terms.sum(-1), np.full(self.num_envs, done), infos

    def close(self) -> None:
        """Do nothing: lanes are values."""

    def _decisions(self, actions: np.ndarray) -> np.ndarray:
        """Return physical decisions ``[lanes, m, a]`` of the actions of all slots."""
        shape = (self._lanes, len(self._rows), -1)
        return decided(self._reach, self._scaling, actions.reshape(shape), self.raw.reshape(shape))

    def _rewards(self, step: Step) -> np.ndarray:
        """Return the rewards by terms ``[slots, T]`` of an interval."""
        deal, rows = self._deal, self._rows
        worth = terms_eur(self._case, step, self._value, rows, deal.weights)
        everybody = worth.sum(-2) if deal.community else None
        rating = self._case.population.rating_kw[rows]
        terms = rewards_of(worth[:, rows], rating, deal.team, everybody, deal.community)
        if self._slots == self._lanes:
            return np.ascontiguousarray(terms[:, 0])  # the same for all of a team
        return terms.reshape(self._slots, -1)

    def _next(self) -> np.ndarray:
        self._episode += 1
        return self._begun()

    def _begun(self) -> np.ndarray:
        drawn = drawn_episodes(
            self._case, self._days, self._firsts, self._seed, self._episode, self._lanes
        )
        if self._fillings == "scenario":
            drawn = [replace(episode, share=None) for episode in drawn]
        self._world, self._given = Lanes(self._case, drawn), []
        return self._seen()

    def _seen(self) -> np.ndarray:
        seen = encode(self._world.view, self._scaling.features, self._rows)
        seen *= self._world.present[self._rows, None]
        self.raw = seen.reshape(-1, seen.shape[-1])
        return self._scaling(self.raw).reshape(self.num_envs, -1)

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


def _check(lanes: int, days: int, deal: Deal) -> None:
    """Raise InputError for counts below 1, and shares that are none."""
    wrong = [
        Problem(f"{count!r} {what}", what, remedy="a whole number from 1 on")
        for what, count in (("lanes", lanes), ("days", days))
        if not (isinstance(count, Integral) and count >= 1)
    ]
    shares = {"team": deal.team, "community": deal.community}
    wrong += [
        Problem(f"a share of {share!r}", what, remedy="0 to 1")
        for what, share in shares.items()
        if not 0.0 <= share <= 1.0
    ]
    if not wrong and deal.team + deal.community > 1.0:
        wrong.append(Problem("team and community are shares: together at most 1", "team"))
    if wrong:
        raise InputError(wrong)
