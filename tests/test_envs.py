"""The learning environments: the world of a run, in the forms that learners expect."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pettingzoo")
pytest.importorskip("stable_baselines3")

from gymnasium.utils.env_checker import check_env
from pettingzoo.test import parallel_api_test, parallel_seed_test
from pydantic import PrivateAttr
from stable_baselines3 import PPO
from stable_baselines3.common.env_checker import check_env as check_env_of_sb3

from cosim.books import Books
from cosim.case import Case
from cosim.envs import CommunityEnv, JointEnv, SingleEnv
from cosim.episode import lived
from cosim.errors import InputError, PluginError
from cosim.lanes import Lanes
from cosim.policy import Policy, PolicyContext
from cosim.record import MemoryRecorder
from cosim.seats import Seat
from cosim.simulation import Simulation
from cosim.training.board import logger_of
from cosim.training.days import EVERY_DAY, blocks, drawn_episode, drawn_episodes, training_days
from cosim.training.lane import TERMS, Lane, Purse, stored_value
from cosim.training.signals import OBSERVED, reach_of, rewards_of, scaling_of
from cosim.training.vec_env import SharedVecEnv

OUTAGES = [
    {"kind": "line_outage", "start": "2016-07-18T06:10", "end": "2016-07-18T09:20",
     "line": "line3"},
    {"kind": "supply_outage", "start": "2016-07-18T12:07", "end": "2016-07-18T14:20"},
]  # fmt: skip


def mood(scaled: np.ndarray, actions: int) -> np.ndarray:
    """Return actions ``[m, a]`` that depend on every bit of scaled observations."""
    total = scaled.astype(np.float64).cumsum(-1)[:, -1:]
    return np.sin(total + np.arange(actions)).astype(np.float32)


class AtTheDesk(Policy):
    """Does at the desk what the learner of a test does in the chair."""

    features = OBSERVED
    actions = ("battery_kw", "price_eur_per_kwh")

    _scaling: Any = PrivateAttr()
    _reach: Any = PrivateAttr()
    _rows: np.ndarray = PrivateAttr()

    def act(
        self, observations: np.ndarray, context: PolicyContext, memory: Any
    ) -> tuple[np.ndarray, Any]:
        whole = np.zeros((len(self._rows), 2))
        here = np.isin(self._rows, context.ids)
        whole[here] = mood(self._scaling(observations), 2)
        return self._reach(whole)[here], memory


def run_at_the_desk(case: Case, rows: np.ndarray) -> tuple[str, np.ndarray]:
    """Return digest and worth of a run with the test's policy in the scenario's seats."""
    policy = AtTheDesk()
    policy._scaling, policy._rows = scaling_of(case, rows), rows
    policy._reach = reach_of(case, rows, policy.actions)
    left = [replace(s, rows=np.setdiff1d(s.rows, rows)) for s in case.seats]
    seats = (*(seat for seat in left if len(seat.rows)), Seat("desk", policy, rows))
    own = replace(case, seats=seats)
    recorder = MemoryRecorder(own, digest=True)
    purse = Purse(own, rows, stored_value(case, rows), recorder)
    Simulation(own, purse).run()
    return recorder.finish(Books(), {}).digest, purse.take_terms()


def terms_of(info: dict[str, Any]) -> list[float]:
    """Return the terms of a reward."""
    return [info[f"reward_{term}"] for term in TERMS]


def members(case: Case, seat: str) -> np.ndarray:
    return next(each.rows for each in case.seats if each.name == seat)


class Notes:
    """Makes recorders that also take a digest, and keeps them."""

    def __init__(self) -> None:
        self.made: list[MemoryRecorder] = []

    def __call__(self, case: Case) -> MemoryRecorder:
        self.made.append(MemoryRecorder(case, digest=True))
        return self.made[-1]

    def digest(self) -> str:
        return self.made[-1].finish(Books(), {}).digest


# ---------------------------------------------------------------- the same world as a run


@pytest.fixture(scope="module", params=[[], OUTAGES], ids=["calm", "outages"])
def case(request: pytest.FixtureRequest, village: Any) -> Case:
    """The village with late orders and noisy forecasts, with and without outages."""
    loaded: Case = village.case(disturbances=request.param, latency={"max_s": 70}, forecast="noisy")
    return loaded


TWO = ("battery_kw", "price_eur_per_kwh")


def test_one_prosumer_learns_in_the_world_of_a_run(case: Case) -> None:
    notes = Notes()
    env = SingleEnv(case, "c", actions=TWO, record=notes)
    seen, info = env.reset(seed=1)
    total, over, steps = np.zeros(len(TERMS)), False, 0
    while not over:
        assert info["interval"] >= steps
        seen, reward, ended, over, info = env.step(mood(seen[None], 2)[0])
        assert not ended and abs(sum(terms_of(info)) - reward) <= 1e-12
        total += terms_of(info)
        steps += 1
    digest, worth = run_at_the_desk(case, np.array([2]))
    assert notes.digest() == digest
    rating = case.population.rating_kw[[2]]
    np.testing.assert_allclose(total, rewards_of(worth, rating, 0.0)[0], rtol=0, atol=1e-10)
    cut_off = 48 - steps  # intervals whose gates the prosumer missed
    assert (cut_off == 0) == (not case.scenario.disturbances)


def test_a_whole_seat_learns_in_the_world_of_a_run(case: Case) -> None:
    rows, notes = members(case, "rule"), Notes()
    env = JointEnv(case, "rule", actions=TWO, record=notes)
    seen, info = env.reset()
    total, over, away = 0.0, False, 0
    while not over:
        away += (~info["present"]).sum()
        seen, reward, _, over, info = env.step(mood(seen.reshape(len(rows), -1), 2).ravel())
        assert abs(sum(terms_of(info)) - reward) <= 1e-12
        total += reward
    digest, worth = run_at_the_desk(case, rows)
    assert notes.digest() == digest
    community = 10.0 * worth.sum() / case.population.rating_kw[rows].sum()
    assert total == pytest.approx(community, abs=1e-9)
    assert bool(away) == bool(case.scenario.disturbances)


def test_rounds_of_trading_are_steps_of_their_own(village: Any) -> None:
    case = village.case(market={"kind": "order_book", "rounds": 3})
    rows, notes = members(case, "rule"), Notes()
    env = JointEnv(case, "rule", actions=TWO, record=notes)
    (seen, info), over, steps = env.reset(), False, 0
    while not over:
        assert info["interval"] == steps // 3
        seen, _, _, over, info = env.step(mood(seen.reshape(len(rows), -1), 2).ravel())
        steps += 1
    assert steps == 3 * 48 and notes.digest() == run_at_the_desk(case, rows)[0]


def test_agents_learn_in_the_world_of_a_run(case: Case) -> None:
    rows, notes = members(case, "rule"), Notes()
    env = CommunityEnv(case, "rule", actions=TWO, record=notes, team=0.25)
    seen, infos = env.reset()
    total = np.zeros(len(rows))
    while env.agents:
        actions = mood(np.stack(list(seen.values())), 2)
        assert all(infos[a]["present"] or (seen[a] == env.world.scaling(np.zeros((1, 14)))).all()
                   for a in env.agents)  # fmt: skip
        seen, rewards, ended, over, infos = env.step(dict(zip(env.agents, actions, strict=True)))
        for agent, reward in rewards.items():
            assert abs(sum(terms_of(infos[agent])) - reward) <= 1e-12
        assert not any(ended.values()) and len(set(over.values())) == 1
        total += list(rewards.values())
    digest, worth = run_at_the_desk(case, rows)
    assert notes.digest() == digest
    expected = rewards_of(worth, case.population.rating_kw[rows], 0.25).sum(-1)
    np.testing.assert_allclose(total, expected, rtol=0, atol=1e-9)


# ---------------------------------------------------------------- what learners expect


@pytest.fixture(scope="module")
def calm(village: Any) -> Case:
    loaded: Case = village.case()
    return loaded


@pytest.mark.parametrize("days", [None, 1])
def test_the_checkers_of_gymnasium_and_stable_baselines_are_content(
    calm: Case, days: int | None
) -> None:
    some = {"days": days, "calendar": EVERY_DAY}
    for env in (SingleEnv(calm, "a", **some), JointEnv(calm, "random", **some)):
        check_env(env, skip_render_check=True)
        check_env_of_sb3(env)
        env.close()


def test_the_checkers_of_pettingzoo_are_content(calm: Case) -> None:
    env = CommunityEnv(calm, "rule", days=1, calendar=EVERY_DAY)
    parallel_api_test(env, num_cycles=100)
    env.close()
    made: list[CommunityEnv] = []

    def new() -> CommunityEnv:
        made.append(CommunityEnv(calm, "rule", days=1, calendar=EVERY_DAY))
        return made[-1]

    parallel_seed_test(new)
    for env in made:
        env.close()


def test_seeds_draw_episodes(calm: Case) -> None:
    env = SingleEnv(calm, "a", days=1, calendar=EVERY_DAY)
    one, again, other = (env.reset(seed=seed)[0] for seed in (3, 3, 4))
    after = env.reset()[0]
    assert np.array_equal(one, again)
    assert len({seen.tobytes() for seen in (one, other, after)}) == 3
    env.close()
    whole = SingleEnv(calm, "a")
    assert np.array_equal(whole.reset(seed=3)[0], whole.reset(seed=4)[0])
    whole.close()


MAKERS: list[Callable[[Case], Any]] = [
    lambda case: SingleEnv(case, "a"),
    lambda case: JointEnv(case, "rule"),
    lambda case: CommunityEnv(case, "rule"),
]


@pytest.mark.parametrize("make", MAKERS)
def test_no_thread_outlives_its_environment(calm: Case, make: Callable[[Case], Any]) -> None:
    before = set(threading.enumerate())
    env = make(calm)
    env.reset()
    env.reset()  # mid-episode
    assert len(set(threading.enumerate()) - before) == 1
    env.close()
    env.close()
    assert not set(threading.enumerate()) - before
    env.reset()
    del env
    gc.collect()
    assert not set(threading.enumerate()) - before


def test_what_cannot_be_learnt_is_refused(calm: Case, village: Any) -> None:
    with pytest.raises(InputError, match="unknown participant 'aa'"):
        SingleEnv(calm, "aa")
    with pytest.raises(InputError, match="served by a policy 'rul'"):
        JointEnv(calm, "rul")
    with pytest.raises(InputError, match="e has no battery"):
        SingleEnv(calm, "e")
    with pytest.raises(InputError, match="unknown action 'charge_kw'"):
        SingleEnv(calm, "a", actions=("charge_kw",))
    with pytest.raises(InputError, match="unknown feature 'socc'"):
        SingleEnv(calm, "a", features=("socc", "rating_kw"))
    with pytest.raises(InputError, match="9 training days in a row"):
        SingleEnv(calm, "a", days=9, calendar=EVERY_DAY).reset()
    with pytest.raises(RuntimeError, match="reset"):
        SingleEnv(calm, "a").step(np.zeros(1))


def test_an_error_of_the_world_reaches_the_learner(calm: Case) -> None:
    class Broken(Policy):
        def act(self, observations: np.ndarray, context: PolicyContext, memory: Any) -> Any:
            if context.interval == 3:
                raise ValueError("three")
            return np.zeros((len(context.ids), 1)), memory

    seats = tuple(replace(s, policy=Broken()) if s.name == "passive" else s for s in calm.seats)
    before = set(threading.enumerate())
    env = SingleEnv(replace(calm, seats=seats), "a")
    env.reset()
    with pytest.raises(PluginError, match="failed in interval 3: ValueError: three"):
        for _ in range(9):
            env.step(np.zeros(1))
    assert not set(threading.enumerate()) - before


# ---------------------------------------------------------------- lanes for stable-baselines3


def vec_env(case: Case, **options: Any) -> SharedVecEnv:
    rows = members(case, "rule")
    given = {
        "lanes": 3,
        "days": 1,
        "seed": 8,
        "team": 0.5,
        "actions": TWO,
        "calendar": EVERY_DAY,
    } | options
    return SharedVecEnv(case, "rule", scaling_of(case, rows), **given)


@pytest.mark.parametrize("market", ["uniform_price", "bill_sharing"])
def test_slots_see_and_earn_what_the_chair_does_and_at_once(village: Any, market: str) -> None:
    """Lanes pay the reward of an interval when it is decided; the chair a step later."""
    case = village.case(market=market, latency={"max_s": 70}, forecast="noisy")
    rows, rating = members(case, "rule"), case.population.rating_kw[members(case, "rule")]
    env = vec_env(case)
    episodes = drawn_episodes(case, 1, blocks(training_days(case, EVERY_DAY), 1), 8, 1, 3)
    lanes = [Lane(rows, stored_value(case, rows), OBSERVED, TWO) for _ in episodes]
    turns = [lane.reset(lived(case, e)) for lane, e in zip(lanes, episodes, strict=True)]
    scaled, paid, due = env.reset(), [], []
    raw, done = env.raw, np.zeros(1, dtype=bool)
    reach = reach_of(case, rows, TWO)
    while not done.all():
        np.testing.assert_allclose(
            raw, np.concatenate([turn.observations for turn in turns]), rtol=0, atol=1e-9
        )
        actions = mood(scaled, 2)
        split = np.split(actions, 3)
        told = [lane.step(reach(part)) for lane, part in zip(lanes, split, strict=True)]
        turns = [turn for turn, _ in told]
        due.append(np.concatenate([rewards_of(worth, rating, 0.5) for _, worth in told]))
        scaled, rewards, done, infos = env.step(actions)
        raw = env.raw
        terms = np.array([terms_of(info) for info in infos])
        assert np.abs(terms.sum(-1) - rewards).max() <= 1e-12
        paid.append(terms)
    assert len(paid) == 48 and all(turn.over for turn in turns)
    np.testing.assert_allclose(paid[:-2], due[1:-1], rtol=0, atol=1e-9)  # on time
    np.testing.assert_allclose(paid[-2] + paid[-1], due[-1], rtol=0, atol=1e-9)
    last = np.stack([info["terminal_observation"] for info in infos])
    beyond = env._scaling(np.concatenate([turn.observations for turn in turns]))
    np.testing.assert_allclose(last, beyond, rtol=0, atol=1e-6)


def test_lanes_end_by_truncation_and_begin_anew(calm: Case) -> None:
    env = vec_env(calm)
    first = env.reset()
    assert env.num_envs == 3 * len(members(calm, "rule")) == len(first)
    for step in range(96):
        scaled, rewards, done, infos = env.step(np.zeros((env.num_envs, 2), np.float32))
        ends = step in {47, 95}
        assert np.isfinite(rewards).all() and done.all() == done.any() == ends
        for info in infos:
            assert ("terminal_observation" in info) == ends
            assert info.get("TimeLimit.truncated", False) == ends
        assert scaled.shape == first.shape and scaled.dtype == np.float32
        assert not np.array_equal(scaled, first)
        if ends:
            assert not np.array_equal(np.stack([i["terminal_observation"] for i in infos]), scaled)


def test_the_seed_of_a_learner_decides_what_lanes_live_through(calm: Case) -> None:
    env = vec_env(calm)
    env.seed(4)
    one = env.reset()
    env.seed(4)
    assert np.array_equal(one, env.reset())
    assert not np.array_equal(one, env.reset())
    assert np.array_equal(vec_env(calm).reset(), vec_env(calm).reset())


def test_ppo_learns_over_lanes_of_slots(calm: Case) -> None:
    env = vec_env(calm)
    model = PPO("MlpPolicy", env, n_steps=64, batch_size=96, n_epochs=1, seed=1, device="cpu")
    before = [p.detach().clone() for p in model.policy.parameters()]
    model.set_logger(logger_of(None))
    model.learn(2 * 64 * env.num_envs)
    assert model.num_timesteps == 2 * 64 * env.num_envs
    changed = [bool((a != b).any()) for a, b in zip(before, model.policy.parameters(), strict=True)]
    assert any(changed)


def test_lanes_need_training_days(calm: Case) -> None:
    with pytest.raises(InputError, match="2 training days in a row"):
        vec_env(calm, days=2).reset()
    assert Lanes(calm, [drawn_episode(calm, 1, np.random.Generator(np.random.PCG64(1)), EVERY_DAY)])
