"""The border for pandapower files: nothing in a file may name code to run or files to read.

pandapower's reader imports and instantiates whatever ``_module`` and ``_class`` say, also in
text nested inside text; only tables and the net itself are let through.
"""

from __future__ import annotations

import json
from typing import Any

from cosim.errors import InputError, Problem

ALLOWED = {
    ("pandapower.auxiliary", "pandapowerNet"),
    ("pandas.core.frame", "DataFrame"),
    ("pandas", "DataFrame"),
    ("pandas.core.series", "Series"),
    ("pandas", "Series"),
    ("numpy", "array"),
}
TABLE_KEYS = {
    "_module",
    "_class",
    "_object",
    "orient",
    "dtype",
    "is_multiindex",
    "is_multicolumn",
    "index_name",
    "index_names",
    "column_name",
    "column_names",
    "typ",
}
MAX_DEPTH = 40


class _RefusedError(ValueError):
    """Something in the file is not allowed."""


def check_net_json(text: str, where: str) -> None:
    """Raise ``InputError`` unless the text is a harmless pandapower net."""
    try:
        top = json.loads(text, object_pairs_hook=_unique)
        if not isinstance(top, dict) or top.get("_class") != "pandapowerNet":
            raise _RefusedError("it does not hold a pandapower net")
        _check(top, 0)
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, _RefusedError) else f"not readable JSON: {error}"
        raise InputError(
            Problem(
                "the file cannot be used as a network",
                where=where,
                why=reason or "it is nested too deeply",
                remedy="write it with pandapower.to_json(net, file) from a net without "
                "controllers and other objects",
            )
        ) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a key given twice: two readers might choose differently."""
    result = dict(pairs)
    if len(result) < len(pairs):
        raise _RefusedError("a key is given twice")
    return result


def _check(value: Any, depth: int) -> None:
    """Walk through objects, lists and text that is itself JSON."""
    if depth > MAX_DEPTH:
        raise _RefusedError("it is nested too deeply")
    if isinstance(value, dict):
        if "_module" in value or "_class" in value:
            _check_object(value)
        for key, inner in value.items():
            _check(key, depth + 1)
            _check(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _check(inner, depth + 1)
    elif isinstance(value, str):
        _check_text(value, depth)


def _check_text(value: str, depth: int) -> None:
    """Walk into text that is JSON; refuse text that merely looks like an object."""
    if value.lstrip()[:1] in ("{", "["):
        try:
            inner = json.loads(value, object_pairs_hook=_unique)
        except _RefusedError:
            raise
        except ValueError:
            inner = None
        if inner is not None:
            _check(inner, depth + 1)
            return
    if "_module" in value and "_class" in value:
        raise _RefusedError("text in it looks like an object")


def _check_object(value: dict[str, Any]) -> None:
    """Refuse objects of other kinds, and tables that are read from somewhere else."""
    pair = (value.get("_module"), value.get("_class"))
    if pair not in ALLOWED:
        raise _RefusedError(f"it holds an object of the kind {pair[0]}.{pair[1]}")
    content = value.get("_object")
    if pair[1] in ("DataFrame", "Series"):
        unknown = set(value) - TABLE_KEYS
        if unknown:
            raise _RefusedError(f"a table in it has the option '{sorted(unknown)[0]}'")
        if not isinstance(content, str) or content.lstrip()[:1] not in ("{", "["):
            raise _RefusedError("a table in it is not given in place")
        json.loads(content)
    elif pair[1] == "pandapowerNet" and not isinstance(content, dict):
        raise _RefusedError("the net in it is not given in place")
