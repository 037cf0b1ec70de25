"""PettingZoo: each prosumer of a policy is an agent of its own, all of them decide at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.utils import seeding
from pettingzoo import ParallelEnv

from cosim.case import Case
from cosim.envs.world import Record, Told, World
from cosim.training.days import CALENDAR, Calendar
from cosim.training.export import Scaling
from cosim.training.lane import rows_of
from cosim.training.signals import OBSERVED, named_terms

Infos = dict[str, dict[str, Any]]


class CommunityEnv(ParallelEnv[str, np.ndarray, np.ndarray]):
    """The run of a case in which the prosumers of a policy are the agents, by their names.

    ``team`` is the share of all agents' worth in each one's reward. An agent without supply stays:
    its observation is that of nought, its action is not asked, and its info says ``present``
    False. Otherwise as :class:`cosim.envs.SingleEnv`.
    """

    metadata = {"render_modes": [], "name": "cosim_community_v0"}  # noqa: RUF012

    def __init__(
        self,
        case: Case,
        seat: str,
        *,
        features: tuple[str, ...] = OBSERVED,
        scaling: Scaling | None = None,
        actions: tuple[str, ...] = ("battery_kw",),
        team: float = 0.0,
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
            team=team,
            days=days,
            record=record,
            calendar=calendar,
        )
        self.possible_agents = [case.population.names[row] for row in rows]
        self.agents: list[str] = []
        self.observation_spaces = {name: self.world.space_seen() for name in self.possible_agents}
        self.action_spaces = {name: self.world.space_done() for name in self.possible_agents}
        self.render_mode = None
        self._random, _ = seeding.np_random()

    def observation_space(self, agent: str) -> spaces.Box:
        """Return the space of an agent's observations."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Box:
        """Return the space of an agent's actions."""
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], Infos]:
        """Start an episode."""
        if seed is not None:
            self._random, _ = seeding.np_random(seed)
        told = self.world.begin(self._random)
        self.agents = list(self.possible_agents)
        return self._by_agent(told.observations), self._infos(told)

    def step(
        self, actions: dict[str, np.ndarray]
    ) -> tuple[dict[str, np.ndarray], dict[str, float], dict[str, bool], dict[str, bool], Infos]:
        """Take every agent's action, and run on to the next decision."""
        if not self.agents:
            raise RuntimeError("there is nothing to decide: call reset() first")
        missing = [name for name in self.agents if name not in actions]
        if missing:
            raise ValueError(f"no action of {len(missing)} agents, first of '{missing[0]}'")
        given = [
            self.world.actions_of(actions.get(name), whose=f" of '{name}'")[0]
            for name in self.agents
        ]
        told = self.world.step(np.array(given))
        rewards = self._by_agent(told.rewards.sum(-1).tolist())
        over = dict.fromkeys(self.agents, told.over)
        ended = dict.fromkeys(self.agents, False)
        if told.over:
            self.agents = []
        return self._by_agent(told.observations), rewards, ended, over, self._infos(told)

    def close(self) -> None:
        """End the episode and its thread."""
        self.world.close()

    def _by_agent(self, values: Any) -> dict[str, Any]:
        return dict(zip(self.possible_agents, values, strict=True))

    def _infos(self, told: Told) -> Infos:
        terms = named_terms(told.rewards)
        return self._by_agent(
            {"interval": told.interval, "present": bool(present), **term}
            for present, term in zip(told.present, terms, strict=True)
        )
