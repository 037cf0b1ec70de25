"""A graph is held against its weights before its card is written; golden vectors are exact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cosim.bundle.behaviour import behaviour_problems
from cosim.bundle.card import CARD, Card, Training
from cosim.bundle.load import load_bundle
from cosim.errors import InputError
from cosim.training import network
from cosim.training.network import (
    ACTIVATIONS,
    Activation,
    Actor,
    Cell,
    Dense,
    Normal,
    Ports,
    to_graph,
)
from cosim.training.second import answers
from cosim.training.write import Columns, Description, action_column, feature_column, write

FEATURES = ("soc", "forecast_net_kw", "rating_kw")
LOW, HIGH = np.array([0.0, -8.0, 1.0]), np.array([1.0, 12.0, 6.0])


def dense(out: int, given: int, seed: int) -> Dense:
    draw = np.random.default_rng(seed)
    return Dense(
        draw.normal(0.0, 0.7, (out, given)).astype(np.float32),
        draw.normal(0.0, 0.3, out).astype(np.float32),
    )


def cell(kind: str, width: int) -> Cell:
    gates = {"rnn": 1, "gru": 3, "lstm": 4}[kind] * width
    return Cell(kind, dense(gates, 3, 5), dense(gates, width, 6))


def actor(*middle: Any, squash: bool = False, of_rating: bool = False) -> Actor:
    """Return an actor with layers in the middle and one dense layer after them."""
    normal = Normal(np.array([0.5, 1.0, 3.0]), np.array([0.1, 9.0, 2.0]), clip=5.0)
    one = np.ones(1, np.float32)
    return Actor((*middle, dense(1, 6, 9)), -2 * one, 3 * one, squash, normal, of_rating)


def seen(count: int = 16) -> np.ndarray:
    return LOW + (HIGH - LOW) * np.random.default_rng(3).random((count, 3))


def written(folder: Path, made: Actor, graph: bytes, states: Any, **ranges: float) -> None:
    ports = Ports(FEATURES, ("battery_kw",))
    low, high = ranges.get("low", -18.0), ranges.get("high", 18.0)
    columns = Columns(
        tuple(feature_column(n, a, b) for n, a, b in zip(FEATURES, LOW, HIGH, strict=True)),
        (action_column("battery_kw", low, high),), states=states,
    )  # fmt: skip
    training = Training(
        scenario=None,
        scenario_sha256=None,
        seeds=(0,),
        steps=0,
        wall_s=None,
        command="none",
        notes=(),
    )
    said = Description("second", "1", "none", "none", "PPO", 900, training)
    write(folder, graph, columns, seen(), said, answers(made, ports, seen()))


MIDDLES = {
    **{name: (dense(6, 3, 1), Activation(name), dense(6, 6, 2)) for name in ACTIVATIONS},
    "hardtanh of 2": (dense(6, 3, 1), Activation("hardtanh", 2.0)),
    "elu of 0.3": (dense(6, 3, 1), Activation("elu", 0.3)),
    **{kind: (cell(kind, 6),) for kind in ("rnn", "gru", "lstm")},
}


@pytest.mark.parametrize("name", MIDDLES)
def test_every_layer_means_the_same_in_graph_and_numpy(name: str, tmp_path: Path) -> None:
    ports = Ports(FEATURES, ("battery_kw",))
    for options in ({}, {"squash": True, "of_rating": True}):
        made = actor(*MIDDLES[name], **options)
        written(tmp_path / str(len(options)), made, *to_graph(made, ports))
    assert np.ptp(answers(made, ports, seen())) > 0.5  # nor is it all at one bound


def other_mean(sketch: Any, value: str, normal: Normal) -> str:
    return sketch.put("Sub", value, sketch.constant(normal.mean.astype(np.float32)[None]))


@pytest.mark.parametrize(
    ("where", "what", "wrong"),
    [
        ("ACTIVATIONS", "elu", (lambda s, v, p: s.put("Elu", v), 1.0)),
        ("normalised", None, other_mean),
        ("bounded", None, lambda s, v, a: s.put("Tanh", v)),
    ],
)
def test_a_graph_that_is_not_its_weights_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, what: str | None, wrong: Any
) -> None:
    """Its own golden vectors would have confirmed it."""
    made = actor(dense(6, 3, 1), Activation("elu", 0.3))
    if what is None:
        monkeypatch.setattr(network, where, wrong)
    else:
        monkeypatch.setitem(getattr(network, where), what, wrong)
    graph = to_graph(made, Ports(FEATURES, ("battery_kw",)))
    with pytest.raises(InputError, match="otherwise than the weights: 'battery_kw'"):
        written(tmp_path / "bundle", made, *graph)
    assert not (tmp_path / "bundle" / CARD).exists()


@pytest.mark.parametrize("reach", [20.0, 1e9])
@pytest.mark.parametrize("error", [0.0, 1e-3])
def test_a_card_that_promises_a_wide_range_is_held_to_its_golden_vectors_all_the_same(
    tmp_path: Path, reach: float, error: float
) -> None:
    made = actor(dense(6, 3, 1), Activation("tanh"))
    graph = to_graph(made, Ports(FEATURES, ("battery_kw",)))
    written(tmp_path, made, *graph, low=-reach, high=reach)
    card: Card = load_bundle(tmp_path).card
    golden = [
        g.model_copy(update={"action": {"battery_kw": g.action["battery_kw"] + error}})
        for g in card.golden
    ]
    actions = np.array([[g.action["battery_kw"]] for g in card.golden])
    whole = seen()

    def step(observations: np.ndarray, memory: Any) -> tuple[np.ndarray, Any]:
        places = [int(np.abs(whole - row).sum(1).argmin()) for row in observations]
        return actions[places], None

    found = behaviour_problems(
        card.model_copy(update={"golden": tuple(golden)}), step, lambda rows: None
    )
    assert len(found) == (0 if error == 0.0 else 2 * len(golden))
