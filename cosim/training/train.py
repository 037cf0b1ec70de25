"""A training from scenario to bundle: the world, the learner, the export."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cosim.bundle.card import CARD, Training
from cosim.bundle.load import Bundle
from cosim.case import Case
from cosim.errors import InputError, OutputError, Problem, did_you_mean
from cosim.scenario import LoadedScenario
from cosim.training import checkpoint
from cosim.training.days import Kind, blinded, blocks, kinds, no_days, training_days
from cosim.training.export import Description, Scaling, to_onnx, worked_out, write_bundle
from cosim.training.learner import Learnt, News, Plan, Stop, learn
from cosim.training.settings import Algorithm, Settings
from cosim.training.signals import learnt_scaling
from cosim.training.vec_env import Deal, SharedVecEnv

CURVE = "learning_curve.csv"
TENSORBOARD = "tensorboard"
GOLDEN = 12


@dataclass(frozen=True)
class Request:
    """What a user asks for; ``steps`` are decisions of single prosumers."""

    policy: str
    algorithm: Algorithm
    settings: Settings
    out: Path
    steps: int
    seed: int
    lanes: int
    days: tuple[int, ...] | None = None
    every_s: float = 60.0
    tensorboard: bool = False
    licence: str = "not stated"
    command: str = ""


def trainee(case: Case, wanted: str | None) -> str:
    """Return the policy to be trained, by default the only one that serves a battery."""
    rating = case.population.rating_kw
    seats = {seat.name: seat.rows for seat in case.seats}
    able = [name for name, rows in seats.items() if rating[rows].any()]
    if wanted is None and len(able) == 1:
        return able[0]
    if wanted is None:
        what = "no policy of the scenario serves a battery"
        if able:
            what = f"several policies serve batteries: {', '.join(able)}"
        raise InputError(Problem(what, "--policy", remedy="name the one to be trained"))
    if wanted not in seats:
        what = f"no participant is served by a policy '{wanted}'"
        raise InputError(Problem(what, "--policy", remedy=did_you_mean(wanted, seats)))
    return wanted


def train(
    case: Case,
    request: Request,
    *,
    resume: bool = False,
    told: Callable[[News], None] = lambda news: None,
    said: Callable[[str, str], None] = lambda phase, text: None,
    stop: Stop | None = None,
) -> Bundle:
    """Train, write the bundle and its learning curve; return the bundle, not judged yet.

    Raises InputError where scenario and request do not fit, StoppedError when asked to stop.
    """
    check_folder(request.out, resume)
    env, scaling = world_of(case, request)
    checkpoint.make_folder(request.out)
    with checkpoint.alone(request.out):
        return _trained(case, request, env, scaling, resume, told, said, stop)


def _trained(
    case: Case,
    request: Request,
    env: SharedVecEnv,
    scaling: Scaling,
    resume: bool,
    told: Callable[[News], None],
    said: Callable[[str, str], None],
    stop: Stop | None,
) -> Bundle:
    """Train in a folder that nobody else writes into."""
    check_folder(request.out, resume)  # anew: another training may just have ended
    slots = env.num_envs
    said("training", _opening(case, request, env))
    plan = Plan(
        algorithm=request.algorithm,
        settings=request.settings,
        seed=request.seed,
        slot_steps=-(-request.steps // env.agents_each),
        folder=request.out,
        asked=_asked(case.loaded, request, slots),
        every_s=request.every_s,
        tensorboard=request.out / TENSORBOARD if request.tensorboard else None,
    )
    learnt = learn(env, plan, resume=resume, told=told, stop=stop)
    said("trained", f"{learnt.slot_steps * env.agents_each} decisions in {learnt.wall_s:.0f} s")
    bundle = _bundled(case, request, env, scaling, learnt)
    (request.out / checkpoint.FILE).unlink(missing_ok=True)
    return bundle


def world_of(case: Case, request: Request) -> tuple[SharedVecEnv, Scaling]:
    """Return the learner's world, and what it sees; neither depends on held-out days."""
    chosen = request.settings
    rows = next(seat.rows for seat in case.seats if seat.name == request.policy)
    if not blocks(training_days(case, chosen.calendar, request.days), chosen.episode_days):
        raise no_days(chosen.episode_days)
    shown = blinded(case, chosen.calendar)
    scaling = learnt_scaling(shown, rows, chosen.features, chosen.share_of)
    env = SharedVecEnv(
        case,
        request.policy,
        scaling,
        lanes=request.lanes,
        days=chosen.episode_days,
        seed=request.seed,
        joint=request.algorithm == "ppo_joint",
        deal=Deal(chosen.reward, chosen.team, chosen.community),
        calendar=chosen.calendar,
        wanted=request.days,
        fillings=chosen.fillings,
        horizon=chosen.horizon,
    )
    return env, scaling


def check_folder(folder: Path, resume: bool) -> None:
    """Raise InputError where a folder holds a policy, or a training that is not to be resumed.

    Or none, where one is to be resumed.
    """
    if (folder / CARD).exists() or (folder.exists() and not folder.is_dir()):
        raise InputError(
            Problem(f"'{folder}' exists already", "--out", remedy="name another place")
        )
    if not resume and (folder / checkpoint.FILE).exists():
        raise InputError(
            Problem(f"'{folder}' holds a training that was interrupted", "--out",
                    remedy="go on with --resume, or name another place")
        )  # fmt: skip
    if resume:
        checkpoint.check_there(folder)


def _opening(case: Case, request: Request, env: SharedVecEnv) -> str:
    counts = np.bincount(kinds(case, request.settings.calendar), minlength=len(Kind))
    each = f" of {env.agents_each} prosumers" if env.agents_each > 1 else ""
    rollout = request.settings.rollout(request.algorithm) * env.num_envs * env.agents_each
    whole = -(-request.steps // rollout)
    return (
        f"{request.policy} by {request.algorithm}: {env.num_envs} slots{each}; "
        f"{whole * rollout} decisions, in {whole} rollout{'s'[: whole != 1]} of {rollout}; "
        f"{counts[Kind.TRAIN]} days to train on, {counts[Kind.CALIBRATE]} for calibration, "
        f"{counts[Kind.TEST]} for tests"
    )


def _asked(loaded: LoadedScenario, request: Request, slots: int) -> dict[str, str]:
    """Return what must be the same for a training to be resumed, as text by name."""
    settings = request.settings.model_dump(mode="json")
    return {
        "scenario": digest_of(loaded),
        "overrides": repr(loaded.source.tree),
        "policy": request.policy,
        "algorithm": request.algorithm,
        "seed": str(request.seed),
        "lanes": f"{request.lanes} ({slots} slots)",
        "days": str(request.days),
        **{f"setting {name}": str(value) for name, value in settings.items()},
    }


def digest_of(loaded: LoadedScenario) -> str:
    """Return the SHA-256 of a scenario's file, of several the hash of their hashes."""
    digests = [digest for _, digest in loaded.source.files]
    joined = "\n".join(digests).encode()
    return digests[0] if len(digests) == 1 else hashlib.sha256(joined).hexdigest()


def _bundled(
    case: Case, request: Request, env: SharedVecEnv, scaling: Scaling, learnt: Learnt
) -> Bundle:
    """Write the bundle and its curve."""
    joint = request.algorithm == "ppo_joint"
    rows = next(seat.rows for seat in case.seats if seat.name == request.policy)
    agents = tuple(case.population.names[row] for row in rows) if joint else ()
    model = to_onnx(learnt.policy, scaling, agents)
    seen = learnt.seen[np.linspace(0, len(learnt.seen) - 1, GOLDEN).astype(int)]
    expected = worked_out(learnt.policy, scaling, seen, agents)
    _write_curve(request.out, learnt.curve)
    said_of = description(case, request, learnt, learnt.slot_steps * env.agents_each)
    return write_bundle(request.out, model, scaling, seen, said_of, agents, expected)


def _write_curve(folder: Path, curve: Sequence[dict[str, float]]) -> None:
    """Write the learning curve: decisions, seconds, mean reward per decision and its terms."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(curve[0]) if curve else ["steps"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(curve)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CURVE).write_text(stream.getvalue())
    except OSError as error:
        raise OutputError(f"cannot write '{folder / CURVE}': {error.strerror}") from None


def description(case: Case, request: Request, learnt: Learnt, steps: int) -> Description:
    """Return what the card says beside the model."""
    import stable_baselines3
    import torch

    chosen = request.settings
    own = chosen.sac if request.algorithm == "sac" else chosen.ppo
    words = {
        "ppo": "PPO, one policy for all",
        "ppo_joint": "PPO, one policy for all at once",
        "sac": "SAC, one policy for all",
    }
    weights = ", ".join(f"{n} {getattr(chosen.reward, n):g}" for n in chosen.reward.names)
    days = "all training days" if request.days is None else f"days {list(request.days)}"
    return Description(
        name=word(request.out.name),
        version="1",
        licence=_ascii(request.licence) or "not stated",
        framework=f"stable-baselines3 {stable_baselines3.__version__}, "
        f"torch {torch.__version__.partition('+')[0]}",
        algorithm=f"{words[request.algorithm]}, layers {', '.join(map(str, chosen.layers))}",
        interval_s=case.grid.interval_s,
        training=Training(
            scenario=_ascii(str(case.loaded.source.files[0][0])),
            scenario_sha256=digest_of(case.loaded),
            seeds=(request.seed,),
            steps=steps,
            wall_s=round(learnt.wall_s, 1),
            command=_ascii(request.command)[:2000] or "python -m cosim train",
            notes=(
                f"reward: {weights}; own worth, {chosen.team:g} that of all learners, "
                f"{chosen.community:g} that of everybody",
                f"an action is a share of what is {chosen.share_of}",
                f"episodes of {chosen.episode_days} days, batteries filled "
                f"{'by chance' if chosen.fillings == 'drawn' else 'as the scenario says'}; {days}; "
                f"{request.lanes} lanes",
                _ascii(f"hyperparameters {own.model_dump()}")[:2000],
            ),
            calendar=chosen.calendar,
        ),
    )


def word(text: str) -> str:
    """Return a name as cards have it, made of a folder's."""
    import re

    plain = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    return (plain if plain[:1].isalpha() else f"policy_{plain}").strip("_")[:64]


def _ascii(text: str) -> str:
    return text.encode("unicode_escape").decode()


__all__: list[Any] = [
    "CURVE", "TENSORBOARD", "Request", "check_folder", "digest_of", "train", "trainee",
]  # fmt: skip
