"""Trained actors as values, and the graph they become: dense layers, cells, activations.

The graph is written node by node with standard operators, so what runs is what stands here. Raw
named features go in, physical actions come out; neither torch nor its exporter is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cosim.bundle.card import State

OPSET, IR_VERSION = 17, 8
RATING = "rating_kw"


@dataclass(frozen=True, eq=False)
class Dense:
    """``y = x W' + b``; weight ``[out, in]`` and bias ``[out]`` in float32."""

    weight: np.ndarray
    bias: np.ndarray


@dataclass(frozen=True)
class Activation:
    """A function of single values, by its plain name, with its one parameter where it has one."""

    name: str
    parameter: float | None = None


@dataclass(frozen=True, eq=False)
class Cell:
    """A recurrent layer of one step, with torch's weights: ``rnn`` (tanh), ``gru`` or ``lstm``.

    ``ih`` reads the input, ``hh`` the hidden state; their rows are the gates one after the other.
    """

    kind: str
    ih: Dense
    hh: Dense

    @property
    def width(self) -> int:
        """The size of the hidden state."""
        return int(self.hh.weight.shape[1])


Layer = Dense | Activation | Cell


@dataclass(frozen=True, eq=False)
class Normal:
    """Statistics ``[d]`` an observation is normalised with: ``(x - mean) / sqrt(var + epsilon)``.

    The result is clipped to ``clip`` on both sides. ``low`` and ``high`` ``[d]`` bound what was met
    in training before it was normalised, where that is known.
    """

    mean: np.ndarray
    var: np.ndarray
    clip: float = 10.0
    epsilon: float = 1e-8
    low: np.ndarray | None = None
    high: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Actor:
    """A trained actor acting deterministically.

    Its last layer is squashed by tanh and stretched to ``low`` to ``high`` ``[a]``, or clipped to
    them. With ``of_rating`` the result is a share of the battery's rating.
    """

    layers: tuple[Layer, ...]
    low: np.ndarray
    high: np.ndarray
    squash: bool
    normal: Normal | None = None
    of_rating: bool = False


@dataclass(frozen=True)
class Ports:
    """The named columns of a graph; ``blind`` features are not shown to the network."""

    features: tuple[str, ...]
    actions: tuple[str, ...]
    agents: tuple[str, ...] = ()
    blind: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """For how many prosumers the network decides at once."""
        return max(1, len(self.agents))

    def columns(self, picked: Sequence[str]) -> np.ndarray:
        """Return the positions of some features, agent by agent."""
        own = np.array([self.features.index(name) for name in picked])
        starts = np.arange(self.count)[:, None] * len(self.features)
        return np.asarray((starts + own).ravel(), np.int64)


class Sketch:
    """The nodes and constants of a graph being written."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.states: list[State] = []

    def constant(self, values: Any, kind: type = np.float32) -> str:
        """Add a constant and return its name."""
        from onnx import numpy_helper

        name = f"c{len(self.constants)}"
        array: np.ndarray = np.ascontiguousarray(np.asarray(values, kind))
        self.constants.append(numpy_helper.from_array(array.reshape(np.shape(values)), name))
        return name

    def put(
        self,
        operator: str,
        *inputs: str,
        output: str = "",
        options: Mapping[str, Any] | None = None,
    ) -> str:
        """Add a node and return the name of its output."""
        from onnx import helper

        name = output or f"v{len(self.nodes)}"
        node = helper.make_node(operator, list(inputs), [name])
        node.attribute.extend(helper.make_attribute(k, v) for k, v in (options or {}).items())
        self.nodes.append(node)
        return name

    def dense(self, value: str, layer: Dense) -> str:
        """Add a dense layer."""
        arrays = (self.constant(layer.weight), self.constant(layer.bias))
        return self.put("Gemm", value, *arrays, options={"transB": 1})


Write = Callable[[Sketch, str, float], str]


def _plain(operator: str) -> Write:
    return lambda sketch, value, _: sketch.put(operator, value)


def _with(operator: str, option: str) -> Write:
    return lambda sketch, value, parameter: sketch.put(operator, value, options={option: parameter})


def _silu(sketch: Sketch, value: str, _: float) -> str:
    return sketch.put("Mul", value, sketch.put("Sigmoid", value))


def _mish(sketch: Sketch, value: str, _: float) -> str:
    return sketch.put("Mul", value, sketch.put("Tanh", sketch.put("Softplus", value)))


def _gelu(sketch: Sketch, value: str, _: float) -> str:
    error = sketch.put("Erf", sketch.put("Mul", value, sketch.constant(np.sqrt(0.5))))
    half = sketch.put("Mul", value, sketch.constant(0.5))
    return sketch.put("Mul", half, sketch.put("Add", error, sketch.constant(1.0)))


def _clip(sketch: Sketch, value: str, low: float, high: float) -> str:
    return sketch.put("Clip", value, sketch.constant(low), sketch.constant(high))


#: name -> how it is written, and its parameter's value where none is given (that of torch)
ACTIVATIONS: dict[str, tuple[Write, float | None]] = {
    "tanh": (_plain("Tanh"), None),
    "relu": (_plain("Relu"), None),
    "elu": (_with("Elu", "alpha"), 1.0),
    "leakyrelu": (_with("LeakyRelu", "alpha"), 0.01),
    "sigmoid": (_plain("Sigmoid"), None),
    "silu": (_silu, None),
    "gelu": (_gelu, None),
    "mish": (_mish, None),
    "selu": (_plain("Selu"), None),
    "softplus": (_plain("Softplus"), None),
    "softsign": (_plain("Softsign"), None),
    "hardtanh": (lambda sketch, value, bound: _clip(sketch, value, -bound, bound), 1.0),
    "relu6": (lambda sketch, value, _: _clip(sketch, value, 0.0, 6.0), None),
    "identity": (_plain("Identity"), None),
}


def to_graph(actor: Actor, ports: Ports) -> tuple[bytes, tuple[State, ...]]:
    """Return the graph of an actor between raw features and physical actions, and its states."""
    sketch = Sketch()
    value = "observation"
    if ports.blind:
        shown = [name for name in ports.features if name not in ports.blind]
        value = _columns(sketch, value, ports.columns(shown))
    if actor.normal is not None:
        value = normalised(sketch, value, actor.normal)
    for layer in actor.layers:
        value = put_layer(sketch, value, layer)
    value = bounded(sketch, value, actor)
    if actor.of_rating:
        columns = np.repeat(ports.columns([RATING]), len(ports.actions))
        value = sketch.put("Mul", value, _columns(sketch, "observation", columns))
    sketch.put("Identity", value, output="action")
    return finished(sketch, ports), tuple(sketch.states)


def _columns(sketch: Sketch, value: str, positions: np.ndarray) -> str:
    return sketch.put("Gather", value, sketch.constant(positions, np.int64), options={"axis": 1})


def normalised(sketch: Sketch, value: str, normal: Normal) -> str:
    """Add the normalisation of observations.

    The statistics are float64 and the graph is float32: the mean is subtracted in two parts, so
    that a large mean beside a small spread costs no digits.
    """
    mean = normal.mean.astype(np.float64)[None, :]
    head = mean.astype(np.float32)
    value = sketch.put("Sub", value, sketch.constant(head))
    value = sketch.put("Sub", value, sketch.constant(mean - head))
    spread = np.sqrt(normal.var.astype(np.float64) + normal.epsilon)[None, :]
    value = sketch.put("Div", value, sketch.constant(spread))
    return _clip(sketch, value, -normal.clip, normal.clip)


def put_layer(sketch: Sketch, value: str, layer: Layer) -> str:
    """Add a layer."""
    if isinstance(layer, Dense):
        return sketch.dense(value, layer)
    if isinstance(layer, Activation):
        write, usual = ACTIVATIONS[layer.name]
        parameter = usual if layer.parameter is None else layer.parameter
        return write(sketch, value, 0.0 if parameter is None else parameter)
    return {"rnn": _rnn, "gru": _gru, "lstm": _lstm}[layer.kind](sketch, value, layer)


def _state(sketch: Sketch, name: str, width: int) -> State:
    state = State(name=f"{name}_{len(sketch.states)}", width=width)
    sketch.states.append(state)
    return state


def _gates(sketch: Sketch, value: str, layer: Dense, count: int) -> list[str]:
    """Add the part of each gate that one input has."""
    weights, biases = np.split(layer.weight, count), np.split(layer.bias, count)
    return [sketch.dense(value, Dense(w, b)) for w, b in zip(weights, biases, strict=True)]


def _rnn(sketch: Sketch, value: str, cell: Cell) -> str:
    hidden = _state(sketch, "hidden", cell.width)
    total = sketch.put("Add", sketch.dense(value, cell.ih), sketch.dense(hidden.name, cell.hh))
    return sketch.put("Tanh", total, output=hidden.after)


def _gru(sketch: Sketch, value: str, cell: Cell) -> str:
    hidden = _state(sketch, "hidden", cell.width)
    (r, z, n), (hr, hz, hn) = (
        _gates(sketch, value, cell.ih, 3), _gates(sketch, hidden.name, cell.hh, 3)
    )  # fmt: skip
    reset, update = (sketch.put("Sigmoid", sketch.put("Add", *pair)) for pair in ((r, hr), (z, hz)))
    new = sketch.put("Tanh", sketch.put("Add", n, sketch.put("Mul", reset, hn)))
    kept = sketch.put("Mul", update, sketch.put("Sub", hidden.name, new))
    return sketch.put("Add", new, kept, output=hidden.after)


def _lstm(sketch: Sketch, value: str, cell: Cell) -> str:
    hidden, inner = (_state(sketch, name, cell.width) for name in ("hidden", "cell"))
    pairs = zip(_gates(sketch, value, cell.ih, 4), _gates(sketch, hidden.name, cell.hh, 4),
                strict=True)  # fmt: skip
    i, f, g, o = (sketch.put("Add", *pair) for pair in pairs)
    i, f, o = (sketch.put("Sigmoid", gate) for gate in (i, f, o))
    taken = sketch.put("Mul", i, sketch.put("Tanh", g))
    after = sketch.put("Add", sketch.put("Mul", f, inner.name), taken, output=inner.after)
    return sketch.put("Mul", o, sketch.put("Tanh", after), output=hidden.after)


def bounded(sketch: Sketch, value: str, actor: Actor) -> str:
    """Add what leads from the last layer to the action space, in the order of its framework."""
    low, high = (np.asarray(end, np.float32)[None, :] for end in (actor.low, actor.high))
    if actor.squash:
        share = sketch.put("Add", sketch.put("Tanh", value), sketch.constant(1.0))
        half = sketch.put("Mul", share, sketch.constant(0.5))
        reach = sketch.put("Mul", half, sketch.constant(high - low))
        return sketch.put("Add", reach, sketch.constant(low))
    return sketch.put("Min", sketch.put("Max", value, sketch.constant(low)), sketch.constant(high))


def finished(sketch: Sketch, ports: Ports) -> bytes:
    """Return the model of a sketch, with its columns and states as inputs and outputs."""
    from onnx import TensorProto, helper

    def tensor(name: str, width: int) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", width])

    wide, decided = ports.count * len(ports.features), ports.count * len(ports.actions)
    graph = helper.make_graph(
        sketch.nodes,
        "policy",
        [tensor("observation", wide), *(tensor(s.name, s.width) for s in sketch.states)],
        [tensor("action", decided), *(tensor(s.after, s.width) for s in sketch.states)],
        sketch.constants,
    )
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    notes = {"features": ",".join(ports.features), "actions": ",".join(ports.actions)}
    helper.set_model_props(
        model, notes | ({"agents": "\n".join(ports.agents)} if ports.agents else {})
    )
    return bytes(model.SerializeToString(deterministic=True))
