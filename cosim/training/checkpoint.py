"""Checkpoints: all that a training needs to go on as if it had never stopped, in one file.

The file holds tensors and plain values only and is read as such: nothing in it is run. It replaces
the one before at once, so that there is a whole one at any moment.
"""

from __future__ import annotations

import ast
import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cosim.errors import InputError, OutputError, Problem
from cosim.training.vec_env import Place

FILE = "checkpoint.pt"
#: what a user would call it
_CALLED = {"overrides": "what the scenario and --set say"}
_ABSENT, _MOST_TOLD = "nothing", 5
BUFFER = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")


@dataclass(frozen=True)
class Checkpoint:
    """A training between two updates; ``asked`` is what it was asked for, as text by name."""

    asked: dict[str, str]
    rollouts: int
    slot_steps: int
    updates: int
    wall_s: float
    place: Place
    weights: dict[str, Any]  # state dictionaries and tensors of the learner
    buffer: dict[str, Any]  # of an off-policy learner
    seen: np.ndarray  # [g, d], observations kept for the golden vectors
    curve: list[dict[str, float]]
    sums: dict[str, float]  # of rewards since the curve's last row, over ``count`` slot steps
    count: int


def weights_of(model: Any) -> dict[str, Any]:
    """Return copies of all that a stable-baselines3 model has learnt, optimizers included."""
    import copy

    parts, tensors = model._get_torch_save_params()
    found = {name: copy.deepcopy(_part(model, name).state_dict()) for name in parts}
    return found | {name: getattr(model, name).detach().clone() for name in tensors}


def put_weights(model: Any, weights: dict[str, Any]) -> None:
    """Give a model what :func:`weights_of` returned."""
    parts, tensors = model._get_torch_save_params()
    for name in parts:
        _part(model, name).load_state_dict(weights[name])
    for name in tensors:
        getattr(model, name).data.copy_(weights[name])


def _part(model: Any, name: str) -> Any:
    for step in name.split("."):
        model = getattr(model, step)
    return model


def buffer_of(model: Any) -> dict[str, Any]:
    """Return what an off-policy learner remembers; nothing of others."""
    import torch

    memory = getattr(model, "replay_buffer", None)
    if memory is None:
        return {}
    used = memory.buffer_size if memory.full else memory.pos
    held = {name: torch.from_numpy(getattr(memory, name)[:used].copy()) for name in BUFFER}
    return held | {"pos": memory.pos, "full": memory.full}


def put_buffer(model: Any, held: dict[str, Any]) -> None:
    """Give an off-policy learner what it remembered."""
    if not held:
        return
    memory = model.replay_buffer
    for name in BUFFER:
        getattr(memory, name)[: len(held[name])] = held[name].numpy()
    memory.pos, memory.full = held["pos"], held["full"]


def make_folder(folder: Path) -> None:
    """Make the folder of a training; raise OutputError now where nothing could be written later."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(f"cannot write into '{folder}': {error.strerror or error}") from None


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other trainings out of a folder; raise InputError where one is under way in it.

    The lock is the process's own: none is left behind however it ends.
    """
    try:
        import fcntl
    except ImportError:  # no locks of files here
        yield
        return
    held = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            what = f"another training is under way in '{folder}'"
            raise InputError(Problem(what, "--out", remedy="name another place")) from None
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(held)


def write(folder: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint in place of the one before; raise OutputError where that fails."""
    import torch

    values = dict(vars(checkpoint))
    place = values.pop("place")
    values |= {
        "episode": place.episode,
        "actions": torch.from_numpy(np.array(place.actions)),
        "seen": torch.from_numpy(np.array(checkpoint.seen)),
    }
    trial = folder / f".{FILE}.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with trial.open("wb") as file:
            torch.save(values, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(trial, folder / FILE)
    except (OSError, RuntimeError) as error:
        with contextlib.suppress(OSError):
            trial.unlink(missing_ok=True)
        raise OutputError(f"cannot write '{folder / FILE}': {error}") from None


def check_there(folder: Path) -> None:
    """Raise InputError where a folder holds no training that was interrupted."""
    if not (folder / FILE).is_file():
        raise InputError(
            Problem("there is no training to resume", str(folder),
                    remedy="leave --resume out, or name the folder of the training as --out")
        )  # fmt: skip


def read(folder: Path, asked: dict[str, str]) -> Checkpoint:
    """Return the checkpoint of a folder; raise InputError where it is of another training."""
    import torch

    check_there(folder)
    file = folder / FILE
    try:
        values = torch.load(file, weights_only=True)
        actions, episode = values.pop("actions").numpy(), values.pop("episode")
        seen = values.pop("seen").numpy()
        found = Checkpoint(place=Place(episode, actions), seen=seen, **values)
    except Exception as error:  # whatever is wrong with the bytes, it is no checkpoint
        what = f"is no checkpoint this program reads ({type(error).__name__})"
        remedy = "train anew in another folder"
        raise InputError(Problem(what, str(file), remedy=remedy)) from None
    problems = [
        Problem(f"{_CALLED.get(name, name)} is not that of the training to resume", str(file),
                _differs(name, was, now),
                "ask for the same, or train anew in another folder")
        for name in sorted({*found.asked, *asked})
        for was, now in [(found.asked.get(name, "nothing"), asked.get(name, "nothing"))]
        if was != now
    ]  # fmt: skip
    if problems:
        raise InputError(problems)
    return found


def _told_apart(was: str, now: str) -> str:
    """Say which keys of a scenario differ, of both trees as Python prints them."""
    try:
        old, new = (_leaves(ast.literal_eval(text)) for text in (was, now))
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return "they differ"
    keys = [key for key in {**old, **new} if old.get(key, _ABSENT) != new.get(key, _ABSENT)]
    told = [f"{key} was {old.get(key, _ABSENT)}, asked for is {new.get(key, _ABSENT)}"
            for key in keys[:_MOST_TOLD]]  # fmt: skip
    more = len(keys) - _MOST_TOLD
    return "; ".join(told) + (f"; and {more} more" if more > 0 else "") or "they differ"


def _leaves(tree: Any, path: str = "") -> dict[str, str]:
    """Return the values of a tree by their dotted keys."""
    if not isinstance(tree, dict) or not tree:
        return {path: repr(tree)[:80]}
    found: dict[str, str] = {}
    for key, value in tree.items():
        found |= _leaves(value, f"{path}.{key}" if path else str(key))
    return found


def _differs(name: str, was: str, now: str) -> str:
    if name == "overrides":  # the whole scenario as it was put together
        return _told_apart(was, now)
    long = max(len(was), len(now)) > 200
    return "they differ" if long else f"it was {was}, asked for is {now}"
