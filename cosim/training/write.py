"""Writing a bundle: the card, golden vectors from the graph as it runs, checked when written."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cosim.bundle.card import (
    CARD,
    MODEL,
    Card,
    Column,
    Evaluation,
    Golden,
    ModelFile,
    State,
    Supervision,
    Timing,
    Training,
    semantics_sha256,
)
from cosim.bundle.load import Bundle, put_bundle
from cosim.observe import ACTIONS, FEATURES, Quantity
from cosim.training.second import check


@dataclass(frozen=True)
class Description:
    """What a card says beside the model: who made it, from what, and how well it does."""

    name: str
    version: str
    licence: str
    framework: str
    algorithm: str
    interval_s: int
    training: Training
    evaluation: Evaluation | None = None
    gate_lead_s: int | None = None
    supervision: Supervision | None = None


@dataclass(frozen=True)
class Columns:
    """What goes into a graph and comes out of it, with the ranges met in training.

    ``agents`` make it a joint policy; one who is absent is shown as zeros, or the nearest value of
    training.
    """

    features: tuple[Column, ...]
    actions: tuple[Column, ...]
    agents: tuple[str, ...] = ()
    states: tuple[State, ...] = ()


def feature_column(name: str, low: float, high: float) -> Column:
    """Return the column of a known feature with the range it was trained in."""
    return _column(FEATURES[name], low, high)


def action_column(name: str, low: float, high: float) -> Column:
    """Return the column of a known action with its range."""
    return _column(ACTIONS[name], low, high)


def _column(quantity: Quantity, low: float, high: float) -> Column:
    return Column(
        name=quantity.name, unit=quantity.unit, meaning=quantity.meaning, low=low, high=high
    )


def write(
    folder: Path,
    model: bytes,
    columns: Columns,
    seen: np.ndarray,
    said: Description,
    expected: np.ndarray | None = None,
) -> Bundle:
    """Write a bundle and return it loaded; ``seen`` ``[m >= 8, d]`` become golden vectors.

    ``expected`` ``[m, a]`` are the actions as worked out otherwise; the graph is held against them.

    Nothing is put in its place before it has passed every check of loading. Raises InputError when
    it does not, OutputError when the folder cannot be written.
    """
    golden = _golden(model, columns, seen)
    if expected is not None:
        _agree(columns, golden, expected)
    card = _card(model, columns, said, golden)
    content = {MODEL: model, CARD: (card.model_dump_json(indent=1) + "\n").encode()}
    return put_bundle(folder, content)


def _agree(columns: Columns, golden: Sequence[Golden], expected: np.ndarray) -> None:
    """Raise InputError where golden vectors have other actions than those expected."""
    names = _each(columns, columns.actions)
    got = np.array([[vector.action[name] for name in names] for vector in golden])
    reach = np.array([column.high - column.low for column in columns.actions])
    check(got, expected, np.resize(reach, len(names)), names)


def _golden(model: bytes, columns: Columns, seen: np.ndarray) -> tuple[Golden, ...]:
    """Return what the graph does with the observations, one after the other with its memory."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    memory = {s.name: np.zeros((1, s.width), np.float32) for s in columns.states}
    outputs = ["action", *(state.after for state in columns.states)]
    found = []
    for row in seen:
        feed = {"observation": row[None].astype(np.float32), **memory}
        action, *after = session.run(outputs, feed)
        later = {s.name: values for s, values in zip(columns.states, after, strict=True)}
        found.append(_vector(columns, row, action[0], memory, later))
        memory = later
    return tuple(found)


def _vector(
    columns: Columns, row: np.ndarray, action: np.ndarray, before: Any, after: Any
) -> Golden:
    return Golden(
        observation=_named(_each(columns, columns.features), row),
        action=_named(_each(columns, columns.actions), action),
        state=_rows(before),
        state_after=_rows(after),
    )


def _rows(memory: dict[str, np.ndarray]) -> dict[str, tuple[float, ...]] | None:
    return {name: tuple(values[0].tolist()) for name, values in memory.items()} or None


def _each(columns: Columns, listed: Sequence[Column]) -> list[str]:
    own = [column.name for column in listed]
    return [f"{agent}:{name}" for agent in columns.agents for name in own] or own


def _named(names: Sequence[str], values: np.ndarray) -> dict[str, float]:
    return dict(zip(names, np.asarray(values, float).tolist(), strict=True))


def _card(model: bytes, columns: Columns, said: Description, golden: tuple[Golden, ...]) -> Card:
    timing = Timing(interval_s=said.interval_s, gate_lead_s=said.gate_lead_s)
    digest = hashlib.sha256(model).hexdigest()
    shown = {c.name: float(np.clip(0.0, c.low, c.high)) for c in columns.features}
    listed = [[c.name for c in part] for part in (columns.features, columns.actions)]
    return Card(
        schema_version=1,
        name=said.name,
        version=said.version,
        licence=said.licence,
        framework=said.framework,
        algorithm=said.algorithm,
        model=ModelFile(file="model.onnx", sha256=digest, size_bytes=len(model)),
        scope="joint" if columns.agents else "agent",
        agents=columns.agents,
        absent=shown if columns.agents else None,
        timing=timing,
        features=columns.features,
        actions=columns.actions,
        states=columns.states,
        training=said.training,
        evaluation=said.evaluation,
        supervision=said.supervision,
        golden=golden,
        semantics_sha256=semantics_sha256(listed[0], listed[1], timing),
    )
