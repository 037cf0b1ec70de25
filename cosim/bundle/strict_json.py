"""JSON of unknown origin: bounded depth, unique keys, no NaN, no numbers without end."""

from __future__ import annotations

import json
import re
from typing import Any

DEEPEST = 24
#: a text, or one without an end: what always matches is tried once at each place
_TEXTS = re.compile(rb'"(?:[^"\\]|\\.)*(?:"|\\?\Z)', re.DOTALL)


def strict_json(data: bytes) -> Any:
    """Return what a JSON text holds; raise ValueError saying in one line what is wrong with it."""
    depth = _depth(data)
    if depth > DEEPEST:
        raise ValueError(f"is nested deeper than {DEEPEST} levels")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_constant)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        raise ValueError(f"is no JSON: {error.msg} at {place}") from None
    except RecursionError:
        raise ValueError("is nested too deeply") from None


def _depth(data: bytes) -> int:
    """Return how deeply brackets are nested outside of texts."""
    deepest = depth = 0
    for mark in re.findall(rb"[\[\]{}]", _TEXTS.sub(b"", data)):
        depth += 1 if mark in b"[{" else -1
        deepest = max(deepest, depth)
        if deepest > DEEPEST:
            break
    return deepest


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"holds the key {twice[:64]!a} twice")
    return found


def _constant(name: str) -> float:
    raise ValueError(f"holds {name}, which is no number")
