"""What a scenario may hold at a place, followed through its models and plug-ins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from cosim import plugins


def known_keys(
    root: type[BaseModel], tree: Mapping[str, Any], path: Sequence[str | int]
) -> list[str]:
    """Return the keys allowed at a path of a scenario of type ``root``."""
    model = _model_at(root, tree, path)
    if model is None:
        return []
    keys = list(model.model_fields)
    return [*keys, "kind"] if issubclass(model, plugins.Plugin) else keys


def known_field(
    root: type[BaseModel], tree: Mapping[str, Any], path: Sequence[str | int]
) -> FieldInfo | None:
    """Return the field of a model that a path leads to; None for anything else."""
    model = _model_at(root, tree, path[:-1])
    return None if model is None else model.model_fields.get(str(path[-1]))


def _model_at(
    root: type[BaseModel], tree: Mapping[str, Any], path: Sequence[str | int]
) -> type[BaseModel] | None:
    model: Any = root
    node: Any = tree
    for step in path:
        node = node[step] if _indexes(node, step) else None
        kind = plugins.KIND_OF_FIELD.get(str(step)) if model is root else None
        model = _PluginPlace(kind).at(node) if kind else _descend(model, step, node)
        model = _alternative(model, node) or model
        if model is None:
            return None
    return model if isinstance(model, type) and issubclass(model, BaseModel) else None


def _indexes(node: Any, step: str | int) -> bool:
    if isinstance(node, Mapping):
        return step in node
    return isinstance(node, list | tuple) and isinstance(step, int) and step < len(node)


def _descend(model: Any, step: str | int, node: Any) -> Any:
    """Return the type under a key or index of a model or container annotation."""
    if isinstance(model, type) and issubclass(model, BaseModel):
        field = model.model_fields.get(str(step))
        return field and field.annotation
    if isinstance(model, _PluginPlace):
        return model.at(node)
    arguments = [item for item in get_args(model) if item is not type(None)]
    if get_origin(model) in {dict, tuple}:
        return arguments[-1] if get_origin(model) is dict else arguments[0]
    return None


def _alternative(annotation: Any, node: Any) -> type[BaseModel] | None:
    """Return the model of an annotation, of several the one whose ``format`` a node names."""
    models = list(_models(annotation))
    named = node.get("format") if isinstance(node, Mapping) else None
    fitting = (m for m in models if "format" in m.model_fields
               and m.model_fields["format"].default == named)  # fmt: skip
    return next(fitting, models[0] if models else None)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) not in {dict, tuple, list}:
        for item in get_args(annotation):
            yield from _models(item)


@dataclass(frozen=True)
class _PluginPlace:
    """A place in the scenario where plug-ins of one kind stand, directly or in a container."""

    kind: str

    def at(self, node: Any) -> Any:
        name = node.get("kind") if isinstance(node, Mapping) else None
        if not isinstance(name, str):
            return self
        return plugins.load(self.kind, name) if name in plugins.names(self.kind) else self
