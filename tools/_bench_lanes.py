"""Lanes beside the simulation they stand for, and beside the learner they feed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from tools._bench_common import BenchmarkError, Row, Sample, World, load, seconds

if TYPE_CHECKING:
    from cosim.case import Case
    from cosim.episode import Episode
    from cosim.training.vec_env import SharedVecEnv

LANES = 64
GOAL_NS = 1_000.0  # for a prosumer-step: a million of them per second
LATENCY = ("latency.min_s=1", "latency.max_s=30")
LEARNER_STEPS = 32  # of an episode, in each rollout


def lanes_rows(world: World) -> Iterator[Row]:
    """Measure a prosumer-step: one prosumer through one interval, market and load flow included."""
    repeats = 3 if world.quick else 7
    for name, overrides in (
        (f"a prosumer-step, {LANES} lanes", ()),
        ("with random latencies of orders", LATENCY),
        ("a prosumer-step, one lane", ()),
    ):
        case = load(*overrides) if overrides else world.case
        count = 1 if "one" in name else LANES
        agreed = _agreement(case)
        mine, alone = _lanes_s(case, count, repeats), _alone_s(case, repeats)
        goal = None if count == 1 else GOAL_NS
        note = f"{_millions(mine)} M prosumer-steps/s; {agreed}"
        yield Row(name, "ns", mine.times(1e9), alone.times(1e9), "one simulation in SimPy", goal,
                  note)  # fmt: skip
    yield from _learner_rows(world, repeats)


def _episodes(case: Case, count: int) -> list[Episode]:
    from cosim.episode import Episode

    random = np.random.Generator(np.random.PCG64(1))
    return [Episode(0, 1, seed, random.uniform(size=len(case.population))) for seed in range(count)]


def _steps(case: Case, count: int) -> int:
    return count * case.grid.intervals * len(case.population)


def _lanes_s(case: Case, count: int, repeats: int) -> Sample:
    """Return the time of a prosumer-step in lanes, drawing and looking included [s]."""
    from cosim.lanes import Lanes

    episodes = _episodes(case, count)

    def day() -> None:
        lanes = Lanes(case, episodes)
        while not lanes.done:
            lanes.step()

    day()
    return Sample(tuple(seconds(day) for _ in range(repeats))).times(1.0 / _steps(case, count))


def _alone_s(case: Case, repeats: int) -> Sample:
    """Return the time of a prosumer-step in a simulation that records nothing [s]."""
    from cosim.episode import lived
    from cosim.simulation import Simulation

    own = lived(case, _episodes(case, 1)[0])

    def day() -> None:
        Simulation(own, _Kept()).run()

    day()
    return Sample(tuple(seconds(day) for _ in range(repeats))).times(1.0 / _steps(case, 1))


class _Kept:
    """A recorder that keeps the bills."""

    def __init__(self) -> None:
        self.bill_eur: list[np.ndarray] = []

    def interval(self, interval: Any) -> None:
        """Take one settled interval."""
        self.bill_eur.append(interval.bills.bill_eur)

    def solve(self, solve: Any) -> None:
        """Take one load flow."""

    def event(self, second: int, kind: str, details: dict[str, Any]) -> None:
        """Take one line of the event log."""


def _agreement(case: Case) -> str:
    """Live through the day both ways in a few lanes; refuse to compare what is not the same."""
    from cosim.episode import lived
    from cosim.lanes import Lanes
    from cosim.simulation import Simulation

    episodes = _episodes(case, 3)
    lanes, bills, worst = Lanes(case, episodes), list[np.ndarray](), 0.0
    while not lanes.done:
        bills.append(lanes.step().bills.bill_eur)
    for lane, episode in enumerate(episodes):
        kept = _Kept()
        Simulation(lived(case, episode), kept).run()
        difference = np.abs(np.stack(bills)[:, lane] - np.stack(kept.bill_eur)).max()
        worst = max(worst, float(difference))
    if not worst <= 1e-9:
        raise BenchmarkError(f"bills of lanes and of single runs differ by {worst:.2g} EUR")
    return f"bills differ by {worst:.0e} EUR"


def _learner_rows(world: World, repeats: int) -> Iterator[Row]:
    """Compare what PPO takes of a prosumer-step with what the world takes of it."""
    try:
        import stable_baselines3
        import torch
    except ImportError:
        yield Row("a learner's decision", note="needs the extra 'train'")
        return
    torch.set_num_threads(1)
    env = _vec_env(world.case)
    alone = _env_s(env, repeats)
    times = [_ppo_s(env) for _ in range(1 if world.quick else 3)]
    collect, update = (Sample(tuple(pair[part] for pair in times)) for part in (0, 1))
    both = Sample(tuple(sum(pair) for pair in times))
    about = f"stable-baselines3 {stable_baselines3.__version__}, 2 x 64 tanh, 5 epochs, one thread"
    yield Row(f"the environment alone, {env.num_envs:,} slots", "ns", alone.times(1e9),
              note=f"{_millions(alone)} M decisions/s, every prosumer learns")  # fmt: skip
    yield Row("PPO collects with it", "ns", alone.times(1e9), collect.times(1e9),
              "collecting as a whole", note=about)  # fmt: skip
    yield Row("PPO collects and learns", "ns", alone.times(1e9), both.times(1e9),
              "collecting and learning as a whole",
              note=f"{_millions(both)} M decisions/s, learning {update.median / both.median:.0%} "
              "of it")  # fmt: skip


def _vec_env(case: Case) -> SharedVecEnv:
    """Return lanes in which every prosumer learns."""
    from dataclasses import replace

    from cosim.training.days import EVERY_DAY
    from cosim.training.signals import scaling_of
    from cosim.training.vec_env import SharedVecEnv

    everybody = np.arange(len(case.population))
    whole = replace(case, seats=(replace(case.seats[0], rows=everybody),))
    scaling = scaling_of(case, everybody)
    return SharedVecEnv(whole, case.seats[0].name, scaling, lanes=LANES, days=1, seed=1,
                        calendar=EVERY_DAY)  # fmt: skip


def _env_s(env: SharedVecEnv, repeats: int) -> Sample:
    """Return the time of a slot's step under idle actions [s]."""
    idle = np.zeros((env.num_envs, 1), np.float32)
    env.reset()

    def several() -> None:
        for _ in range(LEARNER_STEPS):
            env.step(idle)

    several()
    times = Sample(tuple(seconds(several) for _ in range(repeats)))
    return times.times(1.0 / (LEARNER_STEPS * env.num_envs))


def _ppo_s(env: SharedVecEnv) -> tuple[float, float]:
    """Return the time of a slot's step in one rollout and in its update [s]."""
    from stable_baselines3 import PPO
    from stable_baselines3.common.callbacks import BaseCallback

    from cosim.training.board import logger_of

    marks: list[float] = []

    class Watch(BaseCallback):
        """Marks begin and end of the rollout."""

        def _on_rollout_start(self) -> None:
            marks.append(time.perf_counter())

        def _on_rollout_end(self) -> None:
            marks.append(time.perf_counter())

        def _on_step(self) -> bool:
            return True

    model = PPO("MlpPolicy", env, n_steps=LEARNER_STEPS, batch_size=4096, n_epochs=5, seed=1,
                device="cpu")  # fmt: skip
    model.set_logger(logger_of(None))
    model.learn(LEARNER_STEPS * env.num_envs, callback=Watch())
    end, steps = time.perf_counter(), LEARNER_STEPS * env.num_envs
    return (marks[1] - marks[0]) / steps, (end - marks[1]) / steps


def _millions(sample: Sample) -> str:
    """Return how many million steps a second a time of one is."""
    return f"{1e-6 / sample.median:.2g}"
