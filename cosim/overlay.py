"""One tree laid over another: what a child file, a variant and ``--set`` do to their base.

Mappings merge key by key, anything else replaces, ``null`` removes a key of the base, and a
mapping whose ``kind`` differs from the base's replaces it whole.
"""

from __future__ import annotations

import re
import shlex
from typing import NamedTuple

from cosim.errors import Problem
from cosim.yaml_nodes import (
    INVISIBLE,
    MAX_BYTES,
    MAX_DEPTH,
    Node,
    Position,
    parse_nodes,
    shown,
)


def merge(base: Node, child: Node) -> Node:
    """Return the child laid over the base; every position follows the winner."""
    if not isinstance(base.value, dict) or not isinstance(child.value, dict):
        return child
    if _kind_changes(base.value, child.value):
        return child
    merged = dict(base.value)
    for name, node in child.value.items():
        if name not in merged:
            merged[name] = node
        elif node.value is None:
            del merged[name]
        else:
            merged[name] = merge(merged[name], node)
    return Node(merged, child.position, child.key)


def _kind_changes(base: dict[str, Node], child: dict[str, Node]) -> bool:
    """Return whether both name a kind and differ: the base's other keys belong to the old one."""
    return "kind" in base and "kind" in child and base["kind"].value != child["kind"].value


class Change(NamedTuple):
    """One ``--set``: the steps to the value, and the value."""

    steps: tuple[str, ...]
    value: Node


def kinds_first(change: Change) -> int:
    """Return the sorting key that puts kinds first, outer ones before inner ones."""
    return len(change.steps) if change.steps[-1] == "kind" else MAX_DEPTH + 1


def parse_override(text: str, problems: list[Problem]) -> Change | None:
    """Return a ``key.path=value`` argument, or None with the reason in ``problems``."""
    short = text if len(text) <= 80 else text[:77] + "..."
    at = Position("--set " + (shlex.quote(short) if short.isprintable() else repr(short)), 0, 0)
    name, equals, written = text.partition("=")
    steps = tuple(step.strip() for step in name.split("."))
    named = all(steps) and name.isprintable() and len(steps) <= MAX_DEPTH
    if not (equals and named):
        what, remedy = "this is not an override", "write key.path=value"
        problems.append(Problem(what, str(at), remedy=remedy))
        return None
    value = _parse_value(written, at, problems)
    return None if value is None else Change(steps, value)


def _parse_value(text: str, at: Position, problems: list[Problem]) -> Node | None:
    what = ""
    if len(text) > MAX_BYTES or INVISIBLE.search(text):
        what = "the value is too long or contains invisible characters"
    else:
        known = len(problems)
        node = parse_nodes(text, lambda _: at, problems)
        if node is None and len(problems) == known:
            what = "there is no value after '='"
        elif node and isinstance(node.value, dict | list) and text.lstrip()[0] not in "[{":
            what = "the value is neither one word nor [a, list] nor {a: mapping}"
        else:
            return node and node._replace(key=at)
    remedy = "write null to remove the key, and quote a text: key='\"my text\"'"
    problems.append(Problem(what, str(at), remedy=remedy))
    return None


def override(node: Node, change: Change, done: int, problems: list[Problem]) -> Node:
    """Return the node with the change applied below it; ``done`` steps lead to the node."""
    step, last = change.steps[done], done + 1 == len(change.steps)
    if isinstance(node.value, list):
        index = _index(node.value, change, done, problems)
        if index is None:
            return node
        items = list(node.value)
        items[index] = (
            merge(items[index], change.value._replace(key=None))
            if last
            else override(items[index], change, done + 1, problems)
        )
        return node._replace(value=items)
    if not isinstance(node.value, dict):
        above, where = ".".join(change.steps[:done]), str(change.value.position)
        what = f"'{above}' is {shown(node.value)} and has no key {shown(step)}"
        problems.append(Problem(what, where, remedy=f"set '{above}' to a mapping first"))
        return node
    if last:
        return merge(node, node._replace(value={step: change.value}))
    below = node.value.get(step)
    if below is None or below.value is None:
        below = Node({}, change.value.position, change.value.position)
    return node._replace(value={**node.value, step: override(below, change, done + 1, problems)})


def _index(items: list[Node], change: Change, done: int, problems: list[Problem]) -> int | None:
    step, above = change.steps[done], ".".join(change.steps[:done])
    if re.fullmatch("[0-9]{1,9}", step) and int(step) < len(items):
        return int(step)
    what = f"'{above}' is a list and has no item {shown(step)}"
    remedy = f"items are numbered 0 to {len(items) - 1}" if items else "the list is empty"
    problems.append(Problem(what, str(change.value.position), remedy=remedy))
    return None
