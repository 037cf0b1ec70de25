"""Learning with stable-baselines3 over lanes, such that it can stop and go on at any moment.

Each rollout draws from streams of its own, keyed by seed and number, and begins at a known place
of a known episode: a training that was interrupted ends with the bits of one that was not.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from cosim.training import checkpoint
from cosim.training.board import logger_of
from cosim.training.checkpoint import Checkpoint
from cosim.training.settings import Algorithm, Settings
from cosim.training.vec_env import Place, SharedVecEnv

#: observations kept for golden vectors
KEPT = 64


@dataclass(frozen=True)
class News:
    """How far a training is: ``steps`` are decisions of single prosumers; mean reward per step."""

    steps: int
    wall_s: float
    reward: float


@dataclass(frozen=True)
class Plan:
    """A training to be made: how long, where checkpoints go and how often."""

    algorithm: Algorithm
    settings: Settings
    seed: int
    slot_steps: int  # decisions of slots, at least
    folder: Path
    asked: dict[str, str]
    every_s: float = 60.0
    tensorboard: Path | None = None


class Stop(Protocol):
    """Whether somebody asked the training to stop."""

    @property
    def asked(self) -> bool:
        """True once it is to stop."""


@dataclass(frozen=True)
class Never:
    """Nobody asks the training to stop."""

    asked: bool = False


class StoppedError(BaseException):
    """The training stopped as asked; its checkpoint is written."""


@dataclass
class Learnt:
    """What came of a training: the policy of the library, what it saw, and how it went."""

    policy: Any
    seen: np.ndarray
    curve: list[dict[str, float]]
    slot_steps: int
    wall_s: float


def learn(
    env: SharedVecEnv,
    plan: Plan,
    *,
    resume: bool = False,
    told: Callable[[News], None] = lambda news: None,
    stop: Stop | None = None,
) -> Learnt:
    """Train, from the last checkpoint with ``resume``; raise StoppedError when asked to stop."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # of two, one would wait
    try:
        model = _model(env, plan)
        logbook = _Logbook(env, plan, told, stop or Never())
        if resume:
            logbook.take_up(model, checkpoint.read(plan.folder, plan.asked))
        left = plan.slot_steps - model.num_timesteps
        if left > 0:
            _lived(model, left, logbook, resume)
        return Learnt(
            model.policy, logbook.seen, logbook.curve, model.num_timesteps, logbook.wall_s
        )
    finally:
        torch.set_num_threads(threads)


def _lived(model: Any, left: int, logbook: _Logbook, resume: bool) -> None:
    """Let a model learn for so many slot steps."""
    logger = logger_of(logbook.plan.tensorboard, logbook.decided(model) + 1 if resume else 0)
    model.set_logger(logger)
    try:  # the library's own log would stand at steps of its own
        model.learn(
            left, callback=logbook.callback(), log_interval=None, reset_num_timesteps=not resume
        )
        logbook.finished(model)
    finally:
        logger.close()


def _model(env: SharedVecEnv, plan: Plan) -> Any:
    """Return the untrained model."""
    from stable_baselines3 import PPO, SAC
    from torch import nn

    model: Any
    chosen = plan.settings
    nets = {"pi": list(chosen.layers)}
    if plan.algorithm == "sac":
        own = chosen.sac.model_dump()
        nets["qf"] = list(chosen.critic_layers)
        model = SAC(
            "MlpPolicy", env, train_freq=1, seed=plan.seed, device="cpu",
            policy_kwargs={"net_arch": nets}, **own,
        )  # fmt: skip
    else:
        own = chosen.ppo.model_dump()
        rate, end = own.pop("learning_rate"), own.pop("learning_rate_end")
        spread = own.pop("log_std_init")
        nets["vf"] = list(chosen.critic_layers)
        own["batch_size"] = divisor(own["n_steps"] * env.num_envs, own["batch_size"])
        kwargs = {"net_arch": nets, "log_std_init": spread, "activation_fn": nn.Tanh}
        model = PPO(
            "MlpPolicy", env, seed=plan.seed, device="cpu", policy_kwargs=kwargs,
            learning_rate=lambda left: end + (rate - end) * left, **own,
        )  # fmt: skip
    return model


def divisor(number: int, most: int) -> int:
    """Return the largest divisor of a number that is at most another."""
    return next(size for size in range(min(number, most), 0, -1) if number % size == 0)


@dataclass
class _Logbook:
    """What is kept of a training on the way."""

    env: SharedVecEnv
    plan: Plan
    told: Callable[[News], None]
    stop: Stop
    seen: np.ndarray = field(init=False)
    curve: list[dict[str, float]] = field(default_factory=list)
    rollouts: int = 0
    before_s: float = 0.0  # spent before it was resumed

    def __post_init__(self) -> None:
        self.seen = np.zeros((0, self.env.agents_each * self.env.raw.shape[-1]))
        self.begun = self.written = time.monotonic()
        self.last: Checkpoint | None = None
        self.sums: dict[str, float] = {}
        self.count = 0

    @property
    def wall_s(self) -> float:
        """Seconds of training so far."""
        return self.before_s + time.monotonic() - self.begun

    def callback(self) -> Any:
        """Return what the library tells of each step."""
        from stable_baselines3.common.callbacks import BaseCallback

        logbook = self

        class Told(BaseCallback):
            """Passes on what happens."""

            def _on_rollout_start(self) -> None:
                logbook.between(self.model)

            def _on_step(self) -> bool:
                logbook.stepped(self.model, self.locals["infos"])
                return True

        return Told()

    def between(self, model: Any) -> None:
        """Key the draws of the next rollout; write a checkpoint where one is due, or stop."""
        from stable_baselines3.common.utils import set_random_seed

        due = time.monotonic() - self.written >= self.plan.every_s
        if self.count >= self._stretch():
            self._note(model)
        if _on_policy(model) or due or self.stop.asked:
            self.last = self._state(model)
        if due or self.stop.asked:
            self._write()
        if self.stop.asked:
            raise StoppedError
        self.rollouts += 1
        draw = f"{self.plan.seed}\x1flearner\x1frollout\x1f{self.rollouts}"
        seed = int.from_bytes(hashlib.sha256(draw.encode()).digest()[:4], "little")
        set_random_seed(seed)
        model.action_space.seed(seed)

    def stepped(self, model: Any, infos: list[dict[str, Any]]) -> None:
        """Add a step of all slots to the curve, and keep an observation now and then."""
        for info in infos:
            for name, value in info.items():
                if name.startswith("reward_"):
                    self.sums[name] = self.sums.get(name, 0.0) + value
        self.count += len(infos)
        steps = model.num_timesteps // len(infos)
        if steps % self._spacing(len(infos)) == 0 and len(self.seen) < 4 * KEPT:
            self.seen = np.concatenate([self.seen, self.env.some_row(steps)])
        if self.stop.asked and self.last is not None and _on_policy(model):
            self._write()
            raise StoppedError
        if steps % 16 == 0:
            mean = sum(self.sums.values()) / max(1, self.count)
            self.told(News(self.decided(model), self.wall_s, mean))

    def finished(self, model: Any) -> None:
        """Add what is left to the curve, and write the last checkpoint."""
        self._note(model)
        self.last = self._state(model)
        self._write()

    def take_up(self, model: Any, found: Checkpoint) -> None:
        """Go on where a checkpoint was written."""
        checkpoint.put_weights(model, found.weights)
        checkpoint.put_buffer(model, found.buffer)
        model.num_timesteps, model._n_updates = found.slot_steps, found.updates
        model._last_obs = self.env.go_to(found.place)
        starts = not len(found.place.actions)
        model._last_episode_starts = np.full(self.env.num_envs, starts)
        self.rollouts, self.before_s = found.rollouts, found.wall_s
        self.seen, self.curve = found.seen, list(found.curve)
        self.sums, self.count = dict(found.sums), found.count

    def decided(self, model: Any) -> int:
        """Return how many decisions of single prosumers were made."""
        return int(model.num_timesteps) * self.env.agents_each

    def _spacing(self, slots: int) -> int:
        return max(1, self.plan.slot_steps // slots // KEPT)

    def _stretch(self) -> int:
        """Return how many slot steps a row of the learning curve stands for."""
        return math.ceil(self.plan.slot_steps / 200)

    def _note(self, model: Any) -> None:
        """Add a row to the learning curve."""
        means = {name: total / self.count for name, total in self.sums.items()}
        decided = self.decided(model)
        row = {"wall_s": round(self.wall_s, 3), "reward": sum(means.values())} | means
        self.curve.append({"steps": float(decided)} | row)
        self.sums, self.count = {}, 0
        for name, value in row.items():
            model.logger.record(f"cosim/{name}", value)
        model.logger.dump(decided)

    def _state(self, model: Any) -> Checkpoint:
        return Checkpoint(
            self.plan.asked, self.rollouts, model.num_timesteps, model._n_updates, self.wall_s,
            self.env.place, checkpoint.weights_of(model), checkpoint.buffer_of(model),
            self.seen, list(self.curve), dict(self.sums), self.count,
        )  # fmt: skip

    def _write(self) -> None:
        assert self.last is not None
        checkpoint.write(self.plan.folder, replace(self.last, wall_s=self.wall_s))
        self.written = time.monotonic()


def _on_policy(model: Any) -> bool:
    return getattr(model, "replay_buffer", None) is None


__all__ = ["Learnt", "News", "Place", "Plan", "Stop", "StoppedError", "learn"]
