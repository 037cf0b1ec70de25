"""Export: a stable-baselines3 PPO policy with its input scaling becomes a bundle.

The graph is written node by node, so what runs is what stands here: raw features in, battery
power in kW out. Neither torch's exporter nor torch itself is needed to run it.
"""

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
    Timing,
    Training,
    semantics_sha256,
)
from cosim.bundle.load import Bundle, load_bundle
from cosim.errors import PluginError
from cosim.observe import ACTIONS, FEATURES

OPSET, IR_VERSION = 17, 8
RATING = "rating_kw"
#: below this rating [kW] a ratio to the rating is taken to this
LEAST_RATING_KW = 0.1


@dataclass(frozen=True)
class Input:
    """One feature as the network sees it: ``(value [/ rating] - offset) / scale``, clipped.

    ``low`` and ``high`` bound the values met in training, in the feature's own unit.
    """

    name: str
    low: float
    high: float
    offset: float = 0.0
    scale: float = 1.0
    per_rating: bool = False


@dataclass(frozen=True)
class Scaling:
    """Scaling of raw observations ``[m, d]`` in float32, the same in training and in the graph."""

    inputs: tuple[Input, ...]
    limit: float = 5.0

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(item.name for item in self.inputs)

    @property
    def rating(self) -> int:
        """The column of the battery's rating."""
        return self.features.index(RATING)

    def constants(self) -> dict[str, np.ndarray]:
        """Return the constants of the graph's first nodes, all ``[1, d]`` float32."""
        per = np.array([[item.per_rating for item in self.inputs]], np.float32)
        return {
            "per_rating": per,
            "not_per_rating": np.float32(1.0) - per,
            "offset": np.array([[item.offset for item in self.inputs]], np.float32),
            "factor": np.array([[1.0 / item.scale for item in self.inputs]], np.float32),
        }

    def __call__(self, observations: np.ndarray) -> np.ndarray:
        """Return what the network sees, float32 ``[m, d]``."""
        values, c = observations.astype(np.float32), self.constants()
        safe = np.maximum(values[:, self.rating, None], np.float32(LEAST_RATING_KW))
        ratio = values / (safe * c["per_rating"] + c["not_per_rating"])
        return np.clip((ratio - c["offset"]) * c["factor"], -self.limit, self.limit)


def to_onnx(policy: Any, scaling: Scaling) -> bytes:
    """Return the graph of a stable-baselines3 ``MlpPolicy`` acting deterministically.

    Its single action in [-1, 1] is the battery power as a share of the rating.
    """
    import onnx
    from onnx import TensorProto, helper

    nodes, constants = _head(scaling)
    value = "scaled"
    for index, (kind, arrays) in enumerate(_layers(policy)):
        after = f"layer_{index}"
        names = [f"{after}_weight", f"{after}_bias"] if arrays else []
        constants.update(zip(names, arrays, strict=True))
        options: dict[str, Any] = {"transB": 1} if arrays else {}
        nodes.append(helper.make_node(kind, [value, *names], [after], **options))
        value = after
    constants |= {"minus_one": np.float32(-1.0), "one": np.float32(1.0)}
    nodes.append(helper.make_node("Clip", [value, "minus_one", "one"], ["share"]))
    nodes.append(helper.make_node("Mul", ["share", "rating"], ["action"]))
    tensors = [onnx.numpy_helper.from_array(np.asarray(a), n) for n, a in constants.items()]
    width = len(scaling.inputs)
    graph = helper.make_graph(
        nodes,
        "policy",
        [helper.make_tensor_value_info("observation", TensorProto.FLOAT, ["batch", width])],
        [helper.make_tensor_value_info("action", TensorProto.FLOAT, ["batch", 1])],
        tensors,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )
    notes = {"features": ",".join(scaling.features), "actions": "battery_kw"}
    helper.set_model_props(model, notes)
    return bytes(model.SerializeToString(deterministic=True))


def _head(scaling: Scaling) -> tuple[list[Any], dict[str, Any]]:
    """Return the nodes from raw features to what the network sees, with their constants."""
    from onnx import helper

    constants: dict[str, Any] = dict(scaling.constants())
    constants["rating_column"] = np.array([scaling.rating], np.int64)
    constants["least_rating"] = np.float32(LEAST_RATING_KW)
    constants |= {"floor": np.float32(-scaling.limit), "ceiling": np.float32(scaling.limit)}
    nodes = [
        helper.make_node("Gather", ["observation", "rating_column"], ["rating"], axis=1),
        helper.make_node("Max", ["rating", "least_rating"], ["safe_rating"]),
        helper.make_node("Mul", ["safe_rating", "per_rating"], ["rating_divisor"]),
        helper.make_node("Add", ["rating_divisor", "not_per_rating"], ["divisor"]),
        helper.make_node("Div", ["observation", "divisor"], ["ratio"]),
        helper.make_node("Sub", ["ratio", "offset"], ["centred"]),
        helper.make_node("Mul", ["centred", "factor"], ["unclipped"]),
        helper.make_node("Clip", ["unclipped", "floor", "ceiling"], ["scaled"]),
    ]
    return nodes, constants


def _layers(policy: Any) -> list[tuple[str, tuple[np.ndarray, ...]]]:
    """Return operator and weights of each layer from features to the mean action."""
    from torch import nn

    found: list[tuple[str, tuple[np.ndarray, ...]]] = []
    for layer in (*policy.mlp_extractor.policy_net, policy.action_net):
        if isinstance(layer, nn.Linear):
            arrays = (layer.weight.detach().numpy().copy(), layer.bias.detach().numpy().copy())
            found.append(("Gemm", arrays))
        elif isinstance(layer, nn.Tanh | nn.ReLU):
            found.append(("Tanh" if isinstance(layer, nn.Tanh) else "Relu", ()))
        else:
            raise PluginError(f"cannot export a layer of kind {type(layer).__name__}")
    return found


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
    evaluation: Evaluation


def write_bundle(
    folder: Path, model: bytes, scaling: Scaling, seen: np.ndarray, description: Description
) -> Bundle:
    """Write a bundle and return it loaded; ``seen`` ``[m >= 8, d]`` become golden vectors.

    The golden actions come from the model as it runs, and loading replays them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MODEL).write_bytes(model)
    card = _card(model, scaling, description, seen, _run(model, seen))
    (folder / CARD).write_text(card.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return load_bundle(folder)


def _run(model: bytes, observations: np.ndarray) -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (actions,) = session.run(["action"], {"observation": observations.astype(np.float32)})
    return np.asarray(actions, float)


def _card(
    model: bytes, scaling: Scaling, said: Description, seen: np.ndarray, acted: np.ndarray
) -> Card:
    rating = scaling.inputs[scaling.rating].high
    actions = ("battery_kw",)
    return Card(
        schema_version=1,
        name=said.name,
        version=said.version,
        licence=said.licence,
        framework=said.framework,
        algorithm=said.algorithm,
        model=ModelFile(
            file="model.onnx", sha256=hashlib.sha256(model).hexdigest(), size_bytes=len(model)
        ),
        scope="agent",
        timing=Timing(interval_s=said.interval_s),
        features=tuple(
            _column(FEATURES[item.name], item.low, item.high) for item in scaling.inputs
        ),
        actions=tuple(_column(ACTIONS[name], -rating, rating) for name in actions),
        training=said.training,
        evaluation=said.evaluation,
        golden=tuple(
            Golden(observation=_named(scaling.features, row), action=_named(actions, action))
            for row, action in zip(seen, acted, strict=True)
        ),
        semantics_sha256=semantics_sha256(scaling.features, actions),
    )


def _column(quantity: Any, low: float, high: float) -> Column:
    return Column(
        name=quantity.name, unit=quantity.unit, meaning=quantity.meaning, low=low, high=high
    )


def _named(names: Sequence[str], values: np.ndarray) -> dict[str, float]:
    return dict(zip(names, values.tolist(), strict=True))
