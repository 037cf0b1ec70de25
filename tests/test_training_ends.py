"""How episodes of a learner end: truncated where the world goes on, at an end where none follows.

What stable-baselines3 makes of that counts: it adds the value of what would follow to the reward of
a truncated step, and of no other.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

import torch

from cosim.case import Case
from cosim.observe import encode
from cosim.training.board import logger_of
from cosim.training.days import EVERY_DAY
from cosim.training.learner import Plan, _model
from cosim.training.settings import Ppo, Sac, Settings
from cosim.training.signals import learnt_scaling
from cosim.training.vec_env import Place, SharedVecEnv

Horizon = Literal["open", "closed"]
DAY = 48  # intervals
WORTH = 1000.0  # of any state, to the critic
GAMMA = 0.25


def world(case: Case, horizon: Horizon, joint: bool = False) -> SharedVecEnv:
    rows = case.seats[0].rows
    scaling = learnt_scaling(case, rows, Settings().features, "feasible")
    return SharedVecEnv(case, "learner", scaling, lanes=2, days=1, seed=4, joint=joint,
                        calendar=EVERY_DAY, horizon=horizon)  # fmt: skip


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("horizon", ["open", "closed"])
def test_the_horizon_says_how_an_episode_ends(home: Case, horizon: Horizon, joint: bool) -> None:
    env = world(home, horizon, joint)
    env.reset()
    random = np.random.default_rng(6)
    for step in range(2 * DAY):
        lived, ends = env._world, step % DAY == DAY - 1
        action = random.uniform(-1, 1, (env.num_envs, *env.action_space.shape))
        seen, _, done, infos = env.step(action)
        assert done.shape == (env.num_envs,) and done.all() == done.any() == ends
        for info in infos:
            assert info.get("TimeLimit.truncated", False) is (ends and horizon == "open")
            assert ("terminal_observation" in info) == ends
        if not ends:
            continue
        after = encode(lived.view, env._scaling.features, env._rows)
        last = env._scaling(after.reshape(-1, after.shape[-1])).reshape(env.num_envs, -1)
        np.testing.assert_array_equal([info["terminal_observation"] for info in infos], last)
        begun = world(home, horizon, joint).go_to(Place(env.place.episode, env.place.actions[:0]))
        np.testing.assert_array_equal(seen, begun)
        assert env.place.episode == 2 + step // DAY and not len(env.place.actions)
        assert not np.array_equal(seen, last)


def told_by(env: SharedVecEnv) -> list[tuple[Any, ...]]:
    """Return a list in which everything is kept that an environment tells from now on."""
    kept: list[tuple[Any, ...]] = []
    real = env.step_wait

    def step_wait() -> Any:
        told = real()
        kept.append((told[0].copy(), told[1].copy(), told[2].copy(), told[3]))
        return told

    env.step_wait = step_wait  # type: ignore[method-assign]
    return kept


def learning(env: SharedVecEnv, algorithm: Any, folder: Path) -> Any:
    settings = Settings(
        layers=(8,),
        critic_layers=(8,),
        ppo=Ppo(n_steps=2 * DAY, batch_size=96, n_epochs=1, gamma=GAMMA, gae_lambda=1.0),
        sac=Sac(learning_starts=100_000, buffer_size=2000),
    )
    model = _model(env, Plan(algorithm, settings, 1, 0, folder, {}))
    model.set_logger(logger_of(None))
    return model


@pytest.mark.parametrize("horizon", ["open", "closed"])
def test_ppo_adds_the_value_of_what_follows_where_something_does(
    home: Case, horizon: Horizon, tmp_path: Path
) -> None:
    env = world(home, horizon)
    model = learning(env, "ppo", tmp_path)
    with torch.no_grad():
        model.policy.value_net.weight.zero_()
        model.policy.value_net.bias.fill_(WORTH)
    told = told_by(env)
    model.learn(2 * DAY * env.num_envs)
    paid = np.array([rewards for _, rewards, _, _ in told])
    added = model.rollout_buffer.rewards - paid
    due = np.zeros_like(paid)
    due[[DAY - 1, 2 * DAY - 1]] = GAMMA * WORTH if horizon == "open" else 0.0
    np.testing.assert_allclose(added, due, rtol=0, atol=1e-3)
    # the return of a step is what is paid from it on, to the end of its own episode
    returns = model.rollout_buffer.returns.reshape(env.num_envs, 2 * DAY).T
    expected = np.zeros_like(paid)
    for first in (0, DAY):
        later = np.zeros(env.num_envs)
        for step in reversed(range(first, first + DAY)):
            expected[step] = later = (paid + due)[step] + GAMMA * later
    np.testing.assert_allclose(returns, expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("horizon", ["open", "closed"])
def test_sac_looks_beyond_an_end_where_something_follows(
    home: Case, horizon: Horizon, tmp_path: Path
) -> None:
    env = world(home, horizon)
    model = learning(env, "sac", tmp_path)
    told = told_by(env)
    model.learn((DAY + 2) * env.num_envs)
    memory, last = model.replay_buffer, DAY - 1
    final = np.zeros(DAY + 2, bool)
    final[last] = horizon == "closed"
    sampled = memory._get_samples(np.arange(DAY + 2))
    np.testing.assert_array_equal(sampled.dones.numpy()[:, 0], final)
    ends = [info["terminal_observation"] for info in told[last][3]]
    np.testing.assert_array_equal(memory.next_observations[last], ends)
    np.testing.assert_array_equal(memory.next_observations[last + 1], told[last + 1][0])
    np.testing.assert_array_equal(memory.observations[last + 1], told[last][0])
