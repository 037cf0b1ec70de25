"""Names of files in a scenario: each is looked for beside the file that says it.

What reads them knows one folder, that of the scenario which is run. Names that a base in another
folder says are therefore made relative to it.
"""

from __future__ import annotations

import os
from pathlib import Path as FilePath
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from cosim.document import Document, Path
from cosim.known_keys import known_field


def beside_the_run(root: type[BaseModel], source: Document, folder: FilePath) -> dict[str, Any]:
    """Return the tree of a scenario of type ``root``, names of files relative to ``folder``."""
    if all(FilePath(name).resolve().parent == folder for name, _ in source.files):
        return source.tree

    def moved(value: Any, path: Path) -> Any:
        if isinstance(value, dict):
            return {name: moved(below, (*path, name)) for name, below in value.items()}
        if isinstance(value, list):
            return [moved(item, (*path, index)) for index, item in enumerate(value)]
        there = source.folder(path)
        if not isinstance(value, str) or there == folder:
            return value
        field = known_field(root, source.tree, path)
        names_file = field is not None and _is_name(field, there / value)
        return os.path.relpath(there / value, folder) if names_file else value

    tree: dict[str, Any] = moved(source.tree, ())
    return tree


def _is_name(field: FieldInfo, place: FilePath) -> bool:
    """Return whether a field names a file.

    A text marked as a path may also be something else, such as a trained policy that comes with
    the program: it is a file where there is one.
    """
    if FilePath in (field.annotation, *get_args(field.annotation)):
        return True
    return field.json_schema_extra == {"format": "path"} and place.exists()
