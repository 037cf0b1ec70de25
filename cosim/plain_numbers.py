"""Numbers of a scenario are numbers: neither true nor false, nor text that looks like one.

pydantic would take ``true`` for 1 and the text ``1_000``, which YAML 1.2 does not read as a
number, for a thousand.
"""

from __future__ import annotations

from typing import Any

from pydantic_core import PydanticKnownError, core_schema

_ERRORS = {"int": "int_type", "float": "float_type"}


def _not_int(value: Any) -> Any:
    return _checked(value, "int")


def _not_float(value: Any) -> Any:
    return _checked(value, "float")


_CHECKS = {"int": _not_int, "float": _not_float}


def plain_numbers(schema: Any) -> Any:
    """Return a core schema whose numbers refuse booleans and text, wherever they stand in it."""
    if isinstance(schema, list | tuple):
        return type(schema)(plain_numbers(item) for item in schema)
    if not isinstance(schema, dict):
        return schema
    kind = schema.get("type")
    if kind == "function-before" and schema["function"].get("function") in _CHECKS.values():
        return schema
    if isinstance(kind, str) and kind in _CHECKS:
        return core_schema.no_info_before_validator_function(_CHECKS[kind], schema)
    skipped = ("metadata", "serialization", "default")
    return {key: v if key in skipped else plain_numbers(v) for key, v in schema.items()}


def _checked(value: Any, kind: str) -> Any:
    if isinstance(value, bool | str | bytes):
        raise PydanticKnownError(_ERRORS[kind])
    return value
