"""One tree laid over another: what a child file, a variant and ``--set`` do to their base.

Mappings merge key by key, anything else replaces, ``null`` removes a key of the base, and a
mapping whose ``kind`` or ``format`` differs from the base's replaces it whole. A plug-in's plain
name is short for a mapping with that ``kind``. Variants are layers themselves: they keep their
``null``.
"""

from __future__ import annotations

import re
import shlex
from typing import NamedTuple

from cosim import plugins
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

#: keys that say what the other keys of their mapping mean: a plug-in's, a series'
KINDS = ("kind", "format")
#: steps to a value, from the root of the scenario
Path = tuple[str, ...]


def merge(base: Node | None, child: Node, path: Path = ()) -> Node:
    """Return the child laid over the base at ``path``; every position follows the winner."""
    if not isinstance(child.value, dict):
        return child
    merged = _kept(base and _spelled_out(base, path), child)
    for name, node in child.value.items():
        if node.value is not None:
            merged[name] = merge(merged.get(name), node, (*path, name))
        elif name in merged:
            del merged[name]
        elif _in_variant(path):
            merged[name] = node
    return Node(merged, child.position, child.key)


def _kept(base: Node | None, child: Node) -> dict[str, Node]:
    """Return what a mapping laid over the base leaves of it: nothing where the kind changes."""
    if base is None or not isinstance(base.value, dict):
        return {}
    for key in KINDS:
        kinds = [node.value[key].value for node in (base, child) if key in node.value]
        if any(kind != kinds[0] for kind in kinds):
            return {}
    return dict(base.value)


def _spelled_out(node: Node, path: Path) -> Node:
    """Return a plug-in's plain name as the mapping it is short for, anything else as it is."""
    if isinstance(node.value, str) and plugins.is_place(path):
        return node._replace(value={"kind": Node(node.value, node.position)})
    return node


def _in_variant(path: Path) -> bool:
    """Return whether a path lies inside a variant, whose ``null`` is for the scenario below it."""
    return path[:1] == ("variants",) and len(path) > 1


class Change(NamedTuple):
    """One ``--set``: the steps to the value, and the value."""

    steps: Path
    value: Node


def kinds_first(change: Change) -> int:
    """Return the sorting key that puts kinds first, outer ones before inner ones."""
    return len(change.steps) if change.steps[-1] in KINDS else MAX_DEPTH + 1


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
    path, step, last = change.steps[:done], change.steps[done], done + 1 == len(change.steps)
    node = _spelled_out(node, path)
    if isinstance(node.value, list):
        index = _index(node.value, change, done, problems)
        if index is None:
            return node
        items = list(node.value)
        items[index] = (
            merge(items[index], change.value._replace(key=None), change.steps)
            if last
            else override(items[index], change, done + 1, problems)
        )
        return node._replace(value=items)
    if not isinstance(node.value, dict):
        above, where = ".".join(path), str(change.value.position)
        what = f"'{above}' is {shown(node.value)} and has no key {shown(step)}"
        problems.append(Problem(what, where, remedy=f"set '{above}' to a mapping first"))
        return node
    if last:
        return merge(node, node._replace(value={step: change.value}), path)
    below = node.value.get(step)
    if below is None and change.value.value is None and change.steps[0] != "variants":
        return node  # there is nothing to remove
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
