"""Lists on the command line: numbers and ranges, and plug-ins with options."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from cosim.errors import InputError, Problem
from cosim.yaml_nodes import INVISIBLE, Node, Position, parse_nodes, shown

#: says what is wrong with the kind of an item, and what would be right; None where nothing is
Refusal = Callable[[str], tuple[str, str] | None]


def numbers(text: str, option: str) -> tuple[int, ...]:
    """Return the numbers of a list like ``0-6,9``, each once; raise InputError for others."""
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not (first.isdecimal() and (last.isdecimal() or not dash) and len(part) < 20):
            remedy = "write numbers and ranges, like 0-6,9"
            raise InputError(Problem(f"'{part}' is no number", option, remedy=remedy))
        ends = int(first), int(last or first)
        if ends[1] - ends[0] > 100_000:
            raise InputError(Problem(f"'{part}' is too long a range", option))
        found += range(ends[0], ends[1] + 1)
    if len(set(found)) < len(found) or not found:
        why = "a number stands twice" if found else "a range runs backwards"
        raise InputError(Problem(f"'{text}' is no list of numbers", option, why))
    return tuple(found)


def plugins_of(text: str, option: str, what: str, refusal: Refusal) -> dict[str, Any]:
    """Return the items of a list of names and ``{kind: NAME, option: value}`` by their labels.

    ``what`` says what each is. Raises InputError with every problem found.
    """
    at = Position(option, 0, 0)
    if INVISIBLE.search(text):
        raise InputError(Problem("invisible characters", option, remedy="type it anew"))
    problems: list[Problem] = []
    node = parse_nodes(f"[{text}]", lambda mark: at, problems)
    items = _plain(node) if node else []
    found: dict[str, Any] = {}
    for item in items:
        kind = item.get("kind") if isinstance(item, dict) else item
        if not isinstance(kind, str):
            wrong = f"{shown(item)} is no {what}", "write names, or {kind: NAME, option: value}"
        elif refused := refusal(kind):
            wrong = refused
        elif label(item) in found:
            wrong = f"'{label(item)}' stands twice", "keep one of them"
        else:
            found[label(item)] = item
            continue
        problems.append(Problem(wrong[0], option, remedy=wrong[1]))
    if not items and not problems:
        problems.append(Problem(f"no {what}", option, remedy="write names, with commas"))
    if problems:
        raise InputError(problems)
    return found


def label(item: Any) -> str:
    """Return how an item is called: its kind and its options."""
    if isinstance(item, str):
        return item
    options = (
        f"{name}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in item.items()
        if name != "kind"
    )
    return " ".join([item["kind"], *options])


def _plain(node: Node) -> Any:
    if isinstance(node.value, dict):
        return {name: _plain(below) for name, below in node.value.items()}
    return [_plain(item) for item in node.value] if isinstance(node.value, list) else node.value


def words(text: str) -> Sequence[str]:
    """Return the words of a list with commas."""
    return [word.strip() for word in text.split(",") if word.strip()]
