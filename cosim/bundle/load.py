"""Loading a bundle: a border that executes and follows nothing, and refuses what does not fit."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from cosim.bundle.card import (
    CARD,
    CARD_CAP,
    MODEL,
    MODEL_CAP,
    Card,
    Column,
    catalogue_problems,
    names,
)
from cosim.bundle.graph import checked_graph
from cosim.errors import InputError, Problem

#: a golden vector is met within this share of the action's range
TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class Bundle:
    """A checked policy, ready to act."""

    card: Card
    session: Any  # onnxruntime.InferenceSession

    @property
    def files(self) -> tuple[tuple[str, str], ...]:
        """The graph's file and its SHA-256, for the record of a run."""
        return ((f"{self.card.name}/{MODEL}", self.card.model.sha256),)

    @property
    def features(self) -> tuple[str, ...]:
        """The columns of an observation."""
        return names(self.card.features)

    @property
    def actions(self) -> tuple[str, ...]:
        """The columns of a decision."""
        return names(self.card.actions)

    def act(self, observations: np.ndarray) -> np.ndarray:
        """Map observations ``[m, d]`` to decisions ``[m, a]``; float32 inside.

        A row that is not finite, or beyond float32, leads to a row that may not be finite; the
        guard rejects it.
        """
        with np.errstate(over="ignore"):
            values = observations.astype(np.float32)
        (actions,) = self.session.run(("action",), {"observation": values})
        return np.asarray(actions, np.float64)


def load_bundle(folder: Path) -> Bundle:
    """Read and check a bundle; raise InputError naming what does not fit and how to mend it."""
    where = folder / CARD
    card = _parse_card(_read(where, CARD_CAP), where)
    _refuse(catalogue_problems(card), where, card)
    data = _read(folder / MODEL, MODEL_CAP)
    _refuse(_hash_problems(card, data), folder / MODEL, card)
    graph, problems = checked_graph(data, card)
    _refuse(problems, folder / MODEL, card)
    bundle = Bundle(card, _session(graph, card, folder / MODEL))
    _refuse(_behaviour_problems(bundle), folder / MODEL, card)
    return bundle


def _refuse(problems: Sequence[str], where: Path, card: Card | None = None) -> None:
    """Raise InputError for the problems found, if any, with the command that retrains."""
    remedy = f"train it again: {card.training.command}" if card else "export the bundle again"
    if problems:
        raise InputError([Problem(what, str(where), remedy=remedy) for what in problems[:20]])


def _read(path: Path, cap: int) -> bytes:
    """Return the bytes of a regular file of at most ``cap`` bytes."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        with os.fdopen(os.open(path, flags), "rb") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise InputError(Problem("is not a regular file", str(path)))
            data = stream.read(cap + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        remedy = "name a folder that holds card.json and model.onnx"
        raise InputError(Problem(f"cannot be read: {reason}", str(path), remedy=remedy)) from None
    if len(data) > cap:
        raise InputError(Problem(f"is larger than {cap} bytes", str(path)))
    return data


def _parse_card(data: bytes, where: Path) -> Card:
    try:
        return Card.model_validate_json(data)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
    _refuse([_plain(item["loc"], item["msg"]) for item in found], where)
    raise AssertionError("a refused card has at least one problem")


def _plain(place: Sequence[str | int], message: str) -> str:
    """Return one line of printable ASCII, whatever the card's keys hold."""
    steps = ".".join(str(step)[:64] for step in place[:8]) or "card"
    return f"{steps}: {message}".encode("unicode_escape").decode()[:500]


def _hash_problems(card: Card, data: bytes) -> list[str]:
    if len(data) != card.model.size_bytes:
        return [f"holds {len(data)} bytes, the card says {card.model.size_bytes}"]
    if hashlib.sha256(data).hexdigest() != card.model.sha256:
        return ["its sha256 is not the card's: the model was changed or belongs to another card"]
    return []


def _session(graph: bytes, card: Card, where: Path) -> Any:
    # it is read once, at the import: no reports to its vendor, no identifier on the disk
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions share no base
        _refuse([f"cannot be run ({type(error).__name__})"], where, card)
        raise


def _behaviour_problems(bundle: Bundle) -> list[str]:
    """Replay the golden vectors, together and one by one, and probe the trained range."""
    card = bundle.card
    seen = _table([golden.observation for golden in card.golden], bundle.features)
    expected = _table([golden.action for golden in card.golden], bundle.actions)
    low, high = _range(card.actions)
    try:
        together = bundle.act(seen)
        single = np.concatenate([bundle.act(row[None]) for row in seen])
        probed = bundle.act(_probes(card))
    except Exception as error:  # a graph may still fail to run
        return [f"cannot be run ({type(error).__name__})"]
    if probed.shape[1:] != low.shape or together.shape != expected.shape:
        return [f"returns decisions of shape {together.shape}, not {expected.shape}"]
    problems = []
    for got in (together, single):
        off = ~(np.abs(got - expected) <= TOLERANCE * (high - low))  # NaN is off
        problems += [
            f"golden vector {i}: action '{bundle.actions[j]}' is {got[i, j]:.9g}, not "
            f"{expected[i, j]:.9g}"
            for i, j in np.argwhere(off)
        ]
    slack = TOLERANCE * (high - low)
    outside = ~((probed >= low - slack) & (probed <= high + slack)).all(axis=0)
    return problems + [
        f"action '{bundle.actions[j]}' leaves its range within the range of training"
        for j in np.flatnonzero(outside)
    ]


def _table(rows: Sequence[dict[str, float]], names: Sequence[str]) -> np.ndarray:
    return np.array([[row[name] for name in names] for row in rows])


def _range(columns: Sequence[Column]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([c.low for c in columns]), np.array([c.high for c in columns])


def _probes(card: Card) -> np.ndarray:
    """Return observations from the corners and the inside of the range of training."""
    low, high = _range(card.features)
    inside = np.random.Generator(np.random.PCG64(0)).random((62, len(low)))
    share = np.concatenate((np.zeros_like(low)[None], np.ones_like(low)[None], inside))
    return low * (1.0 - share) + high * share
