"""What a scenario may hold at a place, followed through its models and plug-ins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from cosim import plugins

#: in ``json_schema_extra`` of a text that may name a file or folder, as of every ``Path``
PATH_FORMAT = {"format": "path"}


def known_keys(
    root: type[BaseModel], tree: Mapping[str, Any], path: Sequence[str | int]
) -> list[str]:
    """Return the keys allowed at a path of a scenario of type ``root``."""
    model = _model_at(root, tree, path)
    if model is None:
        return []
    keys = list(model.model_fields)
    return [*keys, "kind"] if issubclass(model, plugins.Plugin) else keys


def may_name_a_file(
    root: type[BaseModel], tree: Mapping[str, Any], path: Sequence[str | int]
) -> bool:
    """Return whether the text at a path of a scenario may be the name of a file or folder."""
    model = _model_at(root, tree, path[:-1])
    field = model and model.model_fields.get(str(path[-1]))
    if field is None:
        return False
    is_path = Path in (field.annotation, *get_args(field.annotation))
    return is_path or field.json_schema_extra == PATH_FORMAT
