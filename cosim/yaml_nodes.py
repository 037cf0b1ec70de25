"""YAML text to nodes: every key and value with its line; hardened.

Scalars follow the YAML 1.2 core schema: only true and false are booleans, ``no`` and dates are
text, ``010`` is ten. Tags, anchors, aliases, merge keys, duplicate keys and several documents
in one file are refused, and size, depth and node count are capped: a scenario needs none of
them, and each either hides a mistake or lets a small file grow without bound.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import yaml

from cosim.errors import InputError, Problem

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_NODES = 20_000
MAX_NUMBER_LENGTH = 100  # characters; such an integer still converts to a finite float
MAX_PROBLEMS = 100


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the input, 1-based; line 0 is a whole ``--set`` argument, named by ``file``."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


class Node(NamedTuple):
    """A value, where it stands, and where its key stands."""

    value: Any  # dict[str, Node], list[Node] or a scalar
    position: Position
    key: Position | None = None


def shown(value: object) -> str:
    """Return the value as its author would write it, cut to 60 characters."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


# ---------------------------------------------------------------- scalars

_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGERS = (
    (re.compile(r"[-+]?[0-9]+"), 10),
    (re.compile(r"0o[0-7]+"), 8),
    (re.compile(r"0x[0-9a-fA-F]+"), 16),
)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NON_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


def _resolve(text: str) -> str | int | float | bool | None:
    """Return the value of a plain scalar in the YAML 1.2 core schema.

    Raises ValueError for a number that is not finite or absurdly long.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    for pattern, radix in _INTEGERS:
        if pattern.fullmatch(text):
            return int(_short(text), radix if radix == 10 else 0)
    if _FLOAT.fullmatch(text):
        return _finite(float(_short(text)), text)
    return _finite(math.inf, text) if _NON_FINITE.fullmatch(text) else text


def _short(text: str) -> str:
    if len(text) > MAX_NUMBER_LENGTH:
        raise ValueError(f"a number of {len(text)} characters")
    return text


def _finite(value: float, text: str) -> float:
    if not math.isfinite(value):
        raise ValueError(f"{shown(text)} is not a finite number")
    return value


# ---------------------------------------------------------------- characters

# What an editor does not show or YAML does not allow: controls, line breaks that only some
# programs count as such, byte order marks, lone surrogates.
INVISIBLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]"
)


def place_of(text: str, index: int) -> tuple[int, int]:
    """Return the 1-based line and column of a character."""
    before = text[:index].replace("\r\n", "\n").replace("\r", "\n")
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def _character_problem(text: str, file: str) -> Problem | None:
    found = INVISIBLE.search(text)
    if found is None:
        return None
    more = len(INVISIBLE.findall(text)) - 1
    return Problem(
        f"invisible character U+{ord(found[0]):04X}" + (f" (and {more} more)" if more else ""),
        str(Position(file, *place_of(text, found.start()))),
        remedy="delete it, or save the file as plain UTF-8 text",
    )


# ---------------------------------------------------------------- events to nodes

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_Place = Callable[[Any], Position]  # where a mark of the YAML parser is


class _Builder:
    """Builds nodes from the events of one YAML text and collects the problems on the way."""

    def __init__(self, events: Iterator[Any], place: _Place, problems: list[Problem]) -> None:
        self._events = events
        self._place = place
        self._problems = problems
        self._count = 0

    def root(self) -> Node | None:
        """Return the root of the only document, or None when there is none.

        Raises InputError when a cap is passed and reading has to stop.
        """
        next(self._events)  # the stream starts
        event = next(self._events)
        if isinstance(event, yaml.StreamEndEvent):
            return None
        root = self._node(next(self._events), 0)
        next(self._events)  # the document ends
        event = next(self._events)
        if not isinstance(event, yaml.StreamEndEvent):
            at = self._place(event.start_mark)
            self._report("a second document begins here", at, "keep one document in a file")
        return root

    def _report(self, what: str, at: Position, remedy: str, why: str = "") -> None:
        self._problems.append(Problem(what, str(at), why, remedy))
        if len(self._problems) >= MAX_PROBLEMS:
            raise InputError(f"more than {MAX_PROBLEMS} problems; reading stopped here")

    def _node(self, event: Any, depth: int, key: Position | None = None) -> Node:
        at = self._place(event.start_mark)
        self._check_caps(at, depth)
        self._refuse_marks(event, at)
        if isinstance(event, yaml.AliasEvent):
            return Node(None, at, key)
        if isinstance(event, yaml.ScalarEvent):
            return Node(self._scalar(event, at), at, key)
        if isinstance(event, yaml.SequenceStartEvent):
            return Node(self._items(depth + 1), at, key)
        return Node(self._entries(depth + 1), at, key)

    def _check_caps(self, at: Position, depth: int) -> None:
        self._count += 1
        if depth > MAX_DEPTH:
            raise InputError(Problem(f"nested deeper than {MAX_DEPTH} levels", str(at)))
        if self._count > MAX_NODES:
            raise InputError(Problem(f"more than {MAX_NODES} keys and values", str(at)))

    def _refuse_marks(self, event: Any, at: Position) -> None:
        if isinstance(event, yaml.AliasEvent):
            name, remedy = f"alias '*{event.anchor}'", "write the value out, or quote the text"
        elif event.anchor is not None:
            name, remedy = f"anchor '&{event.anchor}'", "delete it, or quote the text"
        elif event.tag is not None:
            name, remedy = f"tag {shown(event.tag)}", "delete it; the schema knows the type"
        else:
            return
        self._report(f"{name} is not allowed", at, remedy)

    def _scalar(self, event: Any, at: Position) -> str | int | float | bool | None:
        text: str = event.value
        if found := INVISIBLE.search(text):
            self._report(f"invisible character U+{ord(found[0]):04X} in a text", at, "delete it")
        if event.style:  # quoted or a block
            return text
        try:
            return _resolve(text)
        except ValueError as error:
            self._report(str(error), at, "write a finite number, or quote the text")
            return text

    def _items(self, depth: int) -> list[Node]:
        items = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(event, depth))
        return items

    def _entries(self, depth: int) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            name, at = self._key(event, depth)
            if name in entries:
                first = entries[name].key
                why = f"it stands at {first} already"
                self._report(f"duplicate key {shown(name)}", at, "keep one of the two", why)
            node = self._node(next(self._events), depth, at)
            if name is not None:
                entries.setdefault(name, node)
        return entries

    def _key(self, event: Any, depth: int) -> tuple[str | None, Position]:
        """Return the text of a key, None where it is none, and its position."""
        known = len(self._problems)
        name, at, _ = self._node(event, depth)
        if isinstance(name, str) and (name != "<<" or event.style):
            return name, at
        if name == "<<":
            self._report("merge key '<<' is not allowed", at, "write the keys out, or use extends")
        elif isinstance(name, dict | list):
            self._report("a key must be text, not a list or mapping", at, "write it as plain text")
        elif len(self._problems) == known:
            text = event.value
            comma = "; a decimal comma? write 0.2" if isinstance(name, int) else ""
            self._report(
                f"a key must be text, got {text}" if text else "a key is empty",
                at,
                f'quote it: "{text}"' + comma if text else "write a key before the ':'",
            )
        return None, at


def parse_nodes(text: str, place: _Place, problems: list[Problem]) -> Node | None:
    """Return the root node of a YAML text; None when it is empty or reading had to stop."""
    events = yaml.parse(text, Loader=_LOADER)
    try:
        return _Builder(events, place, problems).root()
    except yaml.YAMLError as error:
        problems.append(_syntax_problem(error, text, place))
    except InputError as stop:
        problems.extend(stop.problems)
    finally:
        events.close()
    return None


def parse_mapping(text: str, file: str, problems: list[Problem]) -> Node | None:
    """Return the root mapping of a file's text, or None with the reason in ``problems``."""
    text = text.removeprefix("\ufeff")
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        problems.append(too_large(file))
        return None
    if problem := _character_problem(text, file):
        problems.append(problem)
        return None
    known = len(problems)
    root = parse_nodes(text, lambda mark: Position(file, mark.line + 1, mark.column + 1), problems)
    if root is not None and isinstance(root.value, dict):
        return root
    if root is not None:
        what, where = f"the top level must be a mapping, got {_kind_of(root)}", str(root.position)
        problems.append(Problem(what, where, remedy="write 'key: value' lines"))
    elif len(problems) == known:
        problems.append(Problem("the file is empty", file, remedy="write 'key: value' lines"))
    return None


def too_large(file: str) -> Problem:
    """Return the problem of a file beyond the cap."""
    return Problem(f"the file is larger than {MAX_BYTES} bytes", file)


def _kind_of(node: Node) -> str:
    return "a list" if isinstance(node.value, list) else shown(node.value)


# ---------------------------------------------------------------- syntax errors in plain words

_INDENT = "start all keys of one mapping in the same column, and close every quote and bracket"
_SYNTAX = (  # part of the parser's words, our words, remedy
    ("mapping values are not allowed", "a ':' is not allowed here", "indent the keys of one "
     "mapping alike, and quote a text that contains ': '"),
    ("sequence entries are not allowed", "a list cannot begin on this line", "write the first "
     "'- item' on a line of its own"),
    ("found unexpected end of stream", "a quote is opened but never closed", "close the quote"),
    ("',' or ']'", "a list opened with '[' is not closed here", "write ',' or ']'"),
    ("',' or '}'", "a mapping opened with '{' is not closed here", "write ',' or '}'"),
    ("escape", "unknown escape in a double-quoted text", "write '\\\\' for a backslash, or use "
     "single quotes"),
    ("could not find expected ':'", "a key without ':'", "write 'key: value'"),
    ("alphabetic or numeric", "a value cannot start with '*' or '&'", "quote the text"),
    ("tag", "tags ('!...') are not allowed", "delete it, or quote the text"),
    ("document start", "text after the end of the document", "keep one document in a file"),
    ("incompatible YAML", "unknown YAML version", "delete the '%YAML' line"),
    ("node content", "a value is expected here", "write a value, or quote the text"),
    ("expected key", "a key is expected here", _INDENT),
    ("'-' indicator", "a list item '- ...' is expected here", _INDENT),
    ("block end", "a key or list item is expected here", _INDENT),
)  # fmt: skip


def _syntax_problem(error: yaml.YAMLError, text: str, place: _Place) -> Problem:
    """Return the parser's error in our words, at its line and column."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return Problem("this is not YAML text", remedy="save the file as plain UTF-8 text")
    begun = getattr(error, "context_mark", None)
    why = ""
    if begun is not None and (begun.line, begun.column) != (mark.line, mark.column):
        why = f"what is wrong here begins at {place(begun)}"
    what, remedy = _syntax_words(str(getattr(error, "problem", "")), _character_at(text, mark))
    return Problem(what, str(place(mark)), why, remedy)


def _syntax_words(words: str, character: str) -> tuple[str, str]:
    if character == "\t" and ("token" in words or "tab " in words):
        return "a tab is used as indentation", "indent with spaces"
    if "cannot start any token" in words:
        return f"a value cannot start with '{character}'", "quote the text"
    for part, what, remedy in _SYNTAX:
        if part in words:
            return what, remedy
    return f"this is not valid YAML: {words}", ""


def _character_at(text: str, mark: Any) -> str:
    lines = text.splitlines()
    return lines[mark.line][mark.column : mark.column + 1] if mark.line < len(lines) else ""
