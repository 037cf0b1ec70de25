"""Bundles: a trained policy as a folder of ``card.json`` and ``model.onnx``.

The graph takes raw named features ``[m, d]`` and returns physical named actions ``[m, a]``;
normalisation, squashing and clipping are inside. Loading is a border: the files are bytes of
unknown origin, nothing in them is executed or followed, and what does not fit is refused with
InputError. What is run is the graph that was checked: dense layers and row-wise arithmetic of
bounded size, written out again without anything unknown.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from cosim.errors import InputError, Problem, did_you_mean
from cosim.observe import ACTIONS, FEATURES, Quantity

#: raised whenever clock, signs, settlement or market change what a decision means
SEMANTICS = 1
CARD, MODEL = "card.json", "model.onnx"
CARD_CAP, MODEL_CAP = 1 << 20, 16 << 20  # bytes
#: a golden vector is met within this share of the action's range
TOLERANCE = 1e-6
OPSETS, IR_VERSIONS = range(13, 22), range(7, 12)
MOST_NODES, MOST_WIDTH, MOST_WEIGHTS = 256, 4096, MODEL_CAP // 4
#: operators a graph may use, with the attributes each may carry
OPERATORS: dict[str, frozenset[str]] = {
    "Gemm": frozenset({"alpha", "beta", "transA", "transB"}),
    "Gather": frozenset({"axis"}),
    "Concat": frozenset({"axis"}),
    "Elu": frozenset({"alpha"}),
    "LeakyRelu": frozenset({"alpha"}),
    **dict.fromkeys(
        ("Abs", "Add", "Clip", "Div", "Identity", "MatMul", "Max", "Min", "Mul", "Neg", "Relu",
         "Sigmoid", "Sub", "Tanh"),
        frozenset(),
    ),
}  # fmt: skip

Text = Annotated[str, StringConstraints(pattern=r"^[\x20-\x7e]{1,2000}\z")]
Word = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}\z")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}\z")]
Seeds = Annotated[
    tuple[Annotated[int, Field(ge=0, lt=2**63)], ...], Field(min_length=1, max_length=1000)
]


class Part(BaseModel):
    """Base of the card's parts: frozen, strict, no unknown keys, no infinities."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Column(Part):
    """A feature or an action as it was trained: its meaning and the range it was trained in."""

    name: Word
    unit: Text
    meaning: Text
    low: float
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> Column:
        if not self.low < self.high:
            raise ValueError(f"{self.name}: low {self.low} must be below high {self.high}")
        return self


class ModelFile(Part):
    """The graph: its file beside the card, and what vouches for its bytes."""

    file: Literal["model.onnx"]
    sha256: Sha256
    size_bytes: int = Field(gt=0, le=MODEL_CAP)


class Timing(Part):
    """The clock the policy was trained on."""

    interval_s: int = Field(ge=1, le=86_400)


class Training(Part):
    """How the policy came to be, and the command that does it again."""

    scenario: Text
    scenario_sha256: Sha256
    seeds: Seeds
    steps: int = Field(ge=0, lt=2**63, description="decisions of single prosumers")
    wall_s: float = Field(ge=0.0)
    command: Text
    notes: tuple[Text, ...]


class Figure(Part):
    """One measure over one period, for every policy it was taken of."""

    period: Text
    measure: Text
    unit: Text
    values: dict[Word, float] = Field(min_length=1)


class Evaluation(Part):
    """What was measured, on which days and seeds, against which rules, and what it does not say."""

    measured: Text
    against: tuple[Word, ...] = Field(min_length=1)
    days: tuple[Text, ...] = Field(min_length=1)
    seeds: Seeds
    figures: tuple[Figure, ...] = Field(min_length=1)
    caveats: tuple[Text, ...] = Field(min_length=1)


class Golden(Part):
    """An observation and the action it leads to, by name."""

    observation: dict[Word, float]
    action: dict[Word, float]


class Card(Part):
    """The policy card; ``card.json`` holds exactly this."""

    schema_version: Literal[1]
    name: Word
    version: Text
    licence: Text
    framework: Text
    algorithm: Text
    model: ModelFile
    scope: Literal["agent"]
    timing: Timing
    features: tuple[Column, ...] = Field(min_length=1, max_length=256)
    actions: tuple[Column, ...] = Field(min_length=1, max_length=16)
    training: Training
    evaluation: Evaluation
    golden: tuple[Golden, ...] = Field(min_length=8, max_length=256)
    semantics_sha256: Sha256

    @model_validator(mode="after")
    def _consistent(self) -> Card:
        features = _names(self.features)
        for columns in (features, _names(self.actions)):
            if len(set(columns)) < len(columns):
                raise ValueError(f"a name stands twice among {', '.join(columns)}")
        for index, golden in enumerate(self.golden):
            if set(golden.observation) != set(features):
                raise ValueError(f"golden vector {index} does not have exactly the features")
            if set(golden.action) != set(_names(self.actions)):
                raise ValueError(f"golden vector {index} does not have exactly the actions")
        return self


def _names(columns: Sequence[Column]) -> tuple[str, ...]:
    return tuple(column.name for column in columns)


def semantics_sha256(features: Sequence[str], actions: Sequence[str]) -> str:
    """Return the hash of what features and actions mean here, in their order."""
    lines = [f"semantics {SEMANTICS}"]
    for catalogue, names in ((FEATURES, features), (ACTIONS, actions)):
        entries: list[Quantity] = [catalogue[name] for name in names]
        lines += [repr((q.name, q.unit, float(q.low), float(q.high), q.meaning)) for q in entries]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class Bundle:
    """A checked policy, ready to act."""

    card: Card
    session: Any  # onnxruntime.InferenceSession

    @property
    def features(self) -> tuple[str, ...]:
        """The columns of an observation."""
        return _names(self.card.features)

    @property
    def actions(self) -> tuple[str, ...]:
        """The columns of a decision."""
        return _names(self.card.actions)

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
    _refuse(_catalogue_problems(card), where, card)
    data = _read(folder / MODEL, MODEL_CAP)
    _refuse(_hash_problems(card, data), folder / MODEL, card)
    graph = _checked_graph(data, card, folder / MODEL)
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


# ---------------------------------------------------------------- card against this world


def _catalogue_problems(card: Card) -> list[str]:
    """Say which features and actions do not mean here what they meant in training."""
    problems: list[str] = []
    for kind, columns, catalogue in (
        ("feature", card.features, FEATURES),
        ("action", card.actions, ACTIONS),
    ):
        for column in columns:
            found = _column_problems(column, catalogue)
            problems += [f"{kind} '{column.name}' {problem}" for problem in found]
    features, actions = _names(card.features), _names(card.actions)
    if not problems and card.semantics_sha256 != semantics_sha256(features, actions):
        listed = ", ".join(features + actions)
        return [f"clock, market or order of columns differ from those of training ({listed})"]
    return problems


def _column_problems(column: Column, catalogue: Mapping[str, Quantity]) -> list[str]:
    known = catalogue.get(column.name)
    if known is None:
        return [f"does not exist here; {did_you_mean(column.name, catalogue)}"]
    pairs = (("unit", column.unit, known.unit), ("meaning", column.meaning, known.meaning))
    found = [
        f"has the {what} '{here}' here, not '{old}'" for what, old, here in pairs if old != here
    ]
    if not known.low <= column.low < column.high <= known.high:
        found.append(
            f"was trained from {column.low} to {column.high}, which lies outside "
            f"{known.low} to {known.high}"
        )
    return found


# ---------------------------------------------------------------- the graph


def _checked_graph(data: bytes, card: Card, where: Path) -> bytes:
    """Return the graph, checked and written out again without anything unknown."""
    import onnx

    try:
        model = onnx.ModelProto.FromString(data)
        model.DiscardUnknownFields()
        problems = _model_problems(model) or _graph_problems(model.graph)
        problems = problems or _interface_problems(model, card)
        if not problems:
            del model.graph.value_info[:]
            onnx.checker.check_model(model)
            problems = _shape_problems(model)
        graph = model.SerializeToString(deterministic=True)
    except Exception as error:  # whatever hostile bytes do to a parser, they are refused
        problems = [f"is no model this program reads ({type(error).__name__})"]
    _refuse(problems, where, card)
    return graph


def _model_problems(model: Any) -> list[str]:
    """Refuse foreign domains, functions, training graphs and versions out of range."""
    problems = []
    if model.ir_version not in IR_VERSIONS:
        problems.append(f"IR version {model.ir_version} is not supported")
    domains = [(entry.domain, entry.version) for entry in model.opset_import]
    if len(domains) != 1 or domains[0][0] or domains[0][1] not in OPSETS:
        allowed = f"{OPSETS.start} to {OPSETS.stop - 1}"
        problems.append(f"must use the standard operators, version {allowed}, and nothing else")
    for field in ("functions", "training_info", "configuration"):
        if len(getattr(model, field, ())):
            problems.append(f"holds {field}, which a policy does not need")
    return problems


def _graph_problems(graph: Any) -> list[str]:
    """Refuse all but dense layers and row-wise arithmetic on constants of bounded size."""
    if len(graph.node) > MOST_NODES or len(graph.initializer) > MOST_NODES:
        return [f"has more than {MOST_NODES} nodes or constants"]
    if len(graph.sparse_initializer) or len(graph.quantization_annotation):
        return ["holds sparse or quantized constants"]
    problems = [p for constant in graph.initializer for p in _constant_problems(constant)]
    sizes = {constant.name: int(np.prod(constant.dims)) for constant in graph.initializer}
    if len(sizes) < len(graph.initializer):
        problems.append("two constants have the same name")
    work = sum(sizes.get(name, 0) for node in graph.node for name in node.input)
    if work > MOST_WEIGHTS:
        problems.append(f"uses more than {MOST_WEIGHTS} weights")
    return problems + [p for node in graph.node for p in _node_problems(node, sizes)]


def _constant_problems(constant: Any) -> list[str]:
    import onnx

    label = f"constant {constant.name[:64]!a}"
    if constant.data_location != onnx.TensorProto.DEFAULT or len(constant.external_data):
        return [f"{label} points to a file outside the model"]
    if constant.data_type not in {onnx.TensorProto.FLOAT, onnx.TensorProto.INT64}:
        return [f"{label} is neither float32 nor int64"]
    if len(constant.dims) > 2 or any(not 1 <= size <= MOST_WEIGHTS for size in constant.dims):
        return [f"{label} has the shape {list(constant.dims)[:8]}"]
    if constant.HasField("segment") or np.prod(constant.dims, dtype=float) > MOST_WEIGHTS:
        return [f"{label} is too large"]
    if not np.isfinite(onnx.numpy_helper.to_array(constant)).all():
        return [f"{label} holds values that are not finite"]
    return []


def _node_problems(node: Any, sizes: dict[str, int]) -> list[str]:
    import onnx

    label = f"operator {node.op_type[:64]!a}"
    if node.domain or node.op_type not in OPERATORS:
        return [f"{label} of domain {node.domain[:64]!a} is not allowed"]
    problems = []
    if len(node.output) != 1 or node.overload:
        problems.append(f"{label} must have one output")
    for attribute in node.attribute:
        plain = attribute.type in {onnx.AttributeProto.FLOAT, onnx.AttributeProto.INT}
        if attribute.name not in OPERATORS[node.op_type] or not plain or attribute.ref_attr_name:
            problems.append(f"{label}: attribute {attribute.name[:64]!a} is not allowed")
    if node.op_type in {"Gemm", "MatMul", "Gather"} and (
        node.input[0] in sizes or any(name not in sizes for name in node.input[1:])
    ):
        problems.append(f"{label}: all but the first input must be constants")
    if node.op_type in {"Gather", "Concat"} and [a.i for a in node.attribute] != [1]:
        problems.append(f"{label} must work along axis 1")
    return problems


def _interface_problems(model: Any, card: Card) -> list[str]:
    """Hold input, output and the names written into the model against the card."""
    graph, problems = model.graph, []
    notes = {entry.key: entry.value for entry in model.metadata_props}
    for what, columns, ports, port in (
        ("features", card.features, graph.input, "observation"),
        ("actions", card.actions, graph.output, "action"),
    ):
        if [entry.name for entry in ports] != [port]:
            problems.append(f"must have the one {what} tensor '{port}'")
        elif not _is_batch(ports[0].type, len(columns)):
            problems.append(f"'{port}' must be float32 [batch, {len(columns)}], as the card says")
        pairs = zip_longest(notes.get(what, "").split(","), _names(columns), fillvalue="nothing")
        problems += [
            f"{what}: the model has {old[:64]!a} where the card has '{new}'"
            for old, new in pairs
            if old != new
        ]
    if len(notes) != len(model.metadata_props) or set(notes) != {"features", "actions"}:
        problems.append("its notes must be 'features' and 'actions', once each")
    return problems


def _is_batch(kind: Any, width: int) -> bool:
    """Say whether a type is float32 ``[batch, width]`` with a free batch size."""
    import onnx

    if kind.WhichOneof("value") != "tensor_type":
        return False
    dims = kind.tensor_type.shape.dim
    return bool(
        kind.tensor_type.elem_type == onnx.TensorProto.FLOAT
        and len(dims) == 2
        and dims[0].dim_param == "batch"
        and dims[1].dim_value == width
    )


def _shape_problems(model: Any) -> list[str]:
    """Refuse values that are not ``[batch, width]``: rows would mix or memory explode."""
    import onnx

    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    graph = inferred.graph
    known = {entry.name: entry.type for entry in (*graph.value_info, *graph.output)}
    problems = []
    for node in graph.node:
        kind = known.get(node.output[0])
        if kind is None or not any(_is_batch(kind, width) for width in _widths(kind)):
            problems.append(f"{node.op_type} leads to a value that is not float32 [batch, width]")
    return problems


def _widths(kind: Any) -> list[int]:
    """Return the last size of a matrix, if it is one a policy may have."""
    sizes = [dim.dim_value for dim in kind.tensor_type.shape.dim][1:2]
    return [size for size in sizes if 1 <= size <= MOST_WIDTH]


# ---------------------------------------------------------------- the running model


def _session(graph: bytes, card: Card, where: Path) -> Any:
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
