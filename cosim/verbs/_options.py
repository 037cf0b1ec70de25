"""A plug-in with options from the command line, checked like one in a scenario."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pydantic import ValidationError

from cosim import plugins
from cosim.document import Document, Path
from cosim.errors import InputError, Problem
from cosim.plugins import Plugin
from cosim.validation import problems_from_validation
from cosim.yaml_nodes import Position, parse_nodes


def plugin_of(kind: str, item: str | dict[str, Any], place: str) -> Plugin:
    """Return the plug-in of a name or ``{kind: NAME, option: value}``; ``place`` is the option.

    Raises InputError with every problem, as a scenario that holds the item does.
    """
    name = item if isinstance(item, str) else str(item["kind"])
    plugin = plugins.load(kind, name)
    tree = {} if isinstance(item, str) else {k: v for k, v in item.items() if k != "kind"}
    at = Position(place, 0, 0)
    positions = dict.fromkeys(_paths(tree), at)
    known = list(plugin.model_fields)
    try:
        return plugin.model_validate(tree)
    except ValidationError as error:
        document = Document(tree, positions, positions, ())
        told = problems_from_validation(error, document, lambda path: () if path else known)
    raise InputError(told)


def _paths(tree: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the paths of all values in a tree, its own among them."""
    yield path
    below: Any = tree.items() if isinstance(tree, dict) else ()
    for step, value in enumerate(tree) if isinstance(tree, list) else below:
        yield from _paths(value, (*path, step))


def plugin_with_options(
    kind: str, name: str, options: Sequence[str], problems: list[Problem]
) -> Plugin | None:
    """Return the plug-in ``name`` with ``key=value`` options, or None with the ``problems``."""
    document = _document(options, problems)
    try:
        plugin = plugins.load(kind, name)
    except InputError as error:
        problems += [
            Problem(problem.what, f"--{kind}", problem.why, problem.remedy)
            for problem in error.problems
        ]
        return None
    try:
        return plugin.model_validate(document.tree)
    except ValidationError as error:
        known = list(plugin.model_fields)
        problems += problems_from_validation(error, document, lambda path: () if path else known)
        return None


def _always(at: Position) -> Callable[[Any], Position]:
    return lambda mark: at


def _document(options: Sequence[str], problems: list[Problem]) -> Document:
    """Return the options as a document whose positions name the option itself."""
    tree: dict[str, Any] = {}
    positions: dict[Path, Position] = {(): Position("--option", 0, 0)}
    for text in options:
        shown = text[:80] if text.isprintable() else repr(text)[:80]
        at = Position(f"--option {shown}", 0, 0)
        key, equals, written = text.partition("=")
        key = key.strip()
        node = parse_nodes(written, _always(at), problems) if equals and key else None
        if node is None or isinstance(node.value, dict | list):
            problems.append(Problem("this is not an option", str(at), remedy="write key=value"))
        elif key in tree:
            problems.append(Problem(f"the option '{key}' is given twice", str(at)))
        else:
            tree[key] = node.value
            positions[(key,)] = at
    return Document(tree, positions, dict(positions), ())
