"""The graph of a bundle: dense layers and row-wise arithmetic of bounded size, nothing else."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

import numpy as np

from cosim.bundle.card import MODEL_CAP, Card
from cosim.bundle.wire import fields_within

OPSETS, IR_VERSIONS = range(13, 22), range(7, 12)
MOST_NODES, MOST_WIDTH, MOST_WEIGHTS = 256, 4096, MODEL_CAP // 4
MOST_INPUTS = 8 * MOST_NODES  # of all nodes together
#: operators a graph may use, with the attributes each may carry
OPERATORS: dict[str, frozenset[str]] = {
    "Gemm": frozenset({"alpha", "beta", "transA", "transB"}),
    "Gather": frozenset({"axis"}),
    "Concat": frozenset({"axis"}),
    "Elu": frozenset({"alpha"}),
    "HardSigmoid": frozenset({"alpha", "beta"}),
    "LeakyRelu": frozenset({"alpha"}),
    "Selu": frozenset({"alpha", "gamma"}),
    **dict.fromkeys(
        ("Abs", "Add", "Clip", "Div", "Erf", "Identity", "MatMul", "Max", "Min", "Mul", "Neg",
         "Relu", "Sigmoid", "Softplus", "Softsign", "Sub", "Tanh"),
        frozenset(),
    ),
}  # fmt: skip


def checked_graph(data: bytes, card: Card) -> tuple[bytes, list[str]]:
    """Return the graph, written out again without anything unknown, and what is wrong with it."""
    import onnx

    try:
        fields_within(data, onnx.ModelProto.DESCRIPTOR)
    except ValueError as error:
        return b"", [f"is no model this program reads ({error})"]
    try:
        model = onnx.ModelProto.FromString(data)
        model.DiscardUnknownFields()
        problems = _model_problems(model) or _graph_problems(model.graph)
        problems = problems or _interface_problems(model, card)
        if not problems:
            del model.graph.value_info[:]
            onnx.checker.check_model(model)
            problems = _shape_problems(model)
        return model.SerializeToString(deterministic=True), problems
    except Exception as error:  # whatever hostile bytes do to a parser, they are refused
        return b"", [f"is no model this program reads ({type(error).__name__})"]


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
    if sum(len(node.input) for node in graph.node) > MOST_INPUTS:
        problems.append(f"its nodes have more than {MOST_INPUTS} inputs")
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


def notes_of(card: Card) -> dict[str, str]:
    """Return the names that are written into a model, so that no other card can claim it."""
    notes = {
        "features": ",".join(column.name for column in card.features),
        "actions": ",".join(column.name for column in card.actions),
    }
    return notes | ({"agents": "\n".join(card.agents)} if card.agents else {})


def _interface_problems(model: Any, card: Card) -> list[str]:
    """Hold inputs, outputs and the names written into the model against the card."""
    graph, problems = model.graph, []
    before = [(state.name, state.width) for state in card.states]
    after = [(state.after, state.width) for state in card.states]
    for what, ports, wanted in (
        ("inputs", graph.input, [("observation", len(card.observed)), *before]),
        ("outputs", graph.output, [("action", len(card.decided)), *after]),
    ):
        if [entry.name for entry in ports] != [name for name, _ in wanted]:
            problems.append(f"its {what} must be {', '.join(name for name, _ in wanted)}")
            continue
        problems += [
            f"'{name}' must be float32 [batch, {width}], as the card says"
            for entry, (name, width) in zip(ports, wanted, strict=True)
            if not _is_batch(entry.type, width)
        ]
    return problems + _note_problems(model, notes_of(card))


def _note_problems(model: Any, expected: dict[str, str]) -> list[str]:
    """Say where the names in the model are not those of the card."""
    notes, problems = {entry.key: entry.value for entry in model.metadata_props}, []
    for what, listed in expected.items():
        mark = "\n" if what == "agents" else ","
        pairs = zip_longest(
            notes.get(what, "").split(mark), listed.split(mark), fillvalue="nothing"
        )
        problems += [
            f"{what}: the model has {old[:64]!a} where the card has '{new}'"
            for old, new in pairs
            if old != new
        ]
    if len(notes) != len(model.metadata_props) or set(notes) != set(expected):
        listed = " and ".join(f"'{key}'" for key in expected)
        problems.append(f"its notes must be {listed}, once each")
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
