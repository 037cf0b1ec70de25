"""YAML text to a plain tree in which every key and value knows its line; hardened.

Scalars follow the YAML 1.2 core schema: only true and false are booleans, ``no`` and dates are
text, ``010`` is ten. Tags, anchors, aliases, merge keys, duplicate keys and several documents
in one file are refused, and size, depth and node count are capped: a scenario needs none of
them, and each either hides a mistake or lets a small file grow without bound.

A file may name one base with ``extends:``; ``--set a.b=value`` is one more document laid on
top. One rule merges both: mappings merge key by key, anything else replaces, ``null`` removes
a key of the base, and a mapping whose ``kind`` differs from the base's replaces it whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import re
import shlex
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, NamedTuple

import pydantic
import yaml

from cosim.errors import InputError, Problem, did_you_mean

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_NODES = 20_000
MAX_NUMBER_LENGTH = 100  # characters; such an integer still converts to a finite float
MAX_BASES = 8
MAX_PROBLEMS = 100
SUFFIXES = (".yaml", ".yml")

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the input, 1-based; line 0 is a whole ``--set`` argument, named by ``file``."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True)
class Document:
    """A tree of dict, list, str, int, float, bool and None, and where each part was written.

    ``positions`` are those of the values, ``key_positions`` those of the keys; ``()`` is the
    root. ``files`` holds every file read and the SHA-256 of its content, in order of reading.
    """

    tree: dict[str, Any]
    positions: dict[Path, Position]
    key_positions: dict[Path, Position]
    files: tuple[tuple[str, str], ...]


def read_document(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Document:
    """Read a YAML file, merge it over the bases it extends, and lay the overrides on top.

    Overrides that set a ``kind`` go first, as they may replace their mapping; the others
    apply in the order given.

    Raises InputError with every problem found in the files and the overrides.
    """
    log = _Log()
    root = _load(FilePath(path), "", (), log)
    parsed = [_parse_override(text, log.problems) for text in overrides]
    changes = sorted((change for change in parsed if change), key=_kinds_first)
    if root is not None:
        for change in changes:
            root = _override(root, change, 0, log.problems)
    return _document(root, log)


def parse_text(text: str, file: str) -> Document:
    """Read one YAML text; ``file`` names it in positions, and ``extends`` is left as a key.

    Raises InputError with every problem found.
    """
    content = text.encode("utf-8", "surrogatepass")
    log = _Log(files=[(file, hashlib.sha256(content).hexdigest())])
    return _document(_parse_mapping(text, file, log.problems), log)


# ---------------------------------------------------------------- nodes


class _Node(NamedTuple):
    """A value, where it stands, and where its key stands."""

    value: Any  # dict[str, _Node], list[_Node] or a scalar
    position: Position
    key: Position | None = None


@dataclass
class _Log:
    """What reading leaves behind besides the tree."""

    problems: list[Problem] = field(default_factory=list)
    files: list[tuple[str, str]] = field(default_factory=list)


def _document(root: _Node | None, log: _Log) -> Document:
    if log.problems or root is None:
        raise InputError(log.problems)
    positions: dict[Path, Position] = {}
    keys: dict[Path, Position] = {}
    tree = _flatten(root, (), positions, keys)
    return Document(tree, positions, keys, tuple(log.files))


def _flatten(
    node: _Node, path: Path, positions: dict[Path, Position], keys: dict[Path, Position]
) -> Any:
    positions[path] = node.position
    if node.key is not None:
        keys[path] = node.key
    if isinstance(node.value, dict):
        return {
            name: _flatten(below, (*path, name), positions, keys)
            for name, below in node.value.items()
        }
    if isinstance(node.value, list):
        return [
            _flatten(item, (*path, index), positions, keys) for index, item in enumerate(node.value)
        ]
    return node.value


def _shown(value: object) -> str:
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
        raise ValueError(f"{_shown(text)} is not a finite number")
    return value


# ---------------------------------------------------------------- characters

# What an editor does not show or YAML does not allow: controls, line breaks that only some
# programs count as such, byte order marks, lone surrogates.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]"
)


def _place_of(text: str, index: int) -> tuple[int, int]:
    """Return the 1-based line and column of a character."""
    before = text[:index].replace("\r\n", "\n").replace("\r", "\n")
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def _character_problem(text: str, file: str) -> Problem | None:
    found = _INVISIBLE.search(text)
    if found is None:
        return None
    more = len(_INVISIBLE.findall(text)) - 1
    return Problem(
        f"invisible character U+{ord(found[0]):04X}" + (f" (and {more} more)" if more else ""),
        str(Position(file, *_place_of(text, found.start()))),
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

    def root(self) -> _Node | None:
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

    def _node(self, event: Any, depth: int, key: Position | None = None) -> _Node:
        at = self._place(event.start_mark)
        self._check_caps(at, depth)
        self._refuse_marks(event, at)
        if isinstance(event, yaml.AliasEvent):
            return _Node(None, at, key)
        if isinstance(event, yaml.ScalarEvent):
            return _Node(self._scalar(event, at), at, key)
        if isinstance(event, yaml.SequenceStartEvent):
            return _Node(self._items(depth + 1), at, key)
        return _Node(self._entries(depth + 1), at, key)

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
            name, remedy = f"tag {_shown(event.tag)}", "delete it; the schema knows the type"
        else:
            return
        self._report(f"{name} is not allowed", at, remedy)

    def _scalar(self, event: Any, at: Position) -> str | int | float | bool | None:
        text: str = event.value
        if found := _INVISIBLE.search(text):
            self._report(f"invisible character U+{ord(found[0]):04X} in a text", at, "delete it")
        if event.style:  # quoted or a block
            return text
        try:
            return _resolve(text)
        except ValueError as error:
            self._report(str(error), at, "write a finite number, or quote the text")
            return text

    def _items(self, depth: int) -> list[_Node]:
        items = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(event, depth))
        return items

    def _entries(self, depth: int) -> dict[str, _Node]:
        entries: dict[str, _Node] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            name, at = self._key(event, depth)
            if name in entries:
                first = entries[name].key
                why = f"it stands at {first} already"
                self._report(f"duplicate key {_shown(name)}", at, "keep one of the two", why)
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
            self._report(
                f"a key must be text, got {text}" if text else "a key is empty",
                at,
                f'quote it: "{text}"' if text else "write a key before the ':'",
            )
        return None, at


def _parse(text: str, place: _Place, problems: list[Problem]) -> _Node | None:
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


def _parse_mapping(text: str, file: str, problems: list[Problem]) -> _Node | None:
    """Return the root mapping of a file's text, or None with the reason in ``problems``."""
    text = text.removeprefix("\ufeff")
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        problems.append(_too_large(file))
        return None
    if problem := _character_problem(text, file):
        problems.append(problem)
        return None
    known = len(problems)
    root = _parse(text, lambda mark: Position(file, mark.line + 1, mark.column + 1), problems)
    if root is not None and isinstance(root.value, dict):
        return root
    if root is not None:
        what, where = f"the top level must be a mapping, got {_kind_of(root)}", str(root.position)
        problems.append(Problem(what, where, remedy="write 'key: value' lines"))
    elif len(problems) == known:
        problems.append(Problem("the file is empty", file, remedy="write 'key: value' lines"))
    return None


def _too_large(file: str) -> Problem:
    return Problem(f"the file is larger than {MAX_BYTES} bytes", file)


def _kind_of(node: _Node) -> str:
    return "a list" if isinstance(node.value, list) else _shown(node.value)


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


# ---------------------------------------------------------------- files and extends


def _load(path: FilePath, where: str, chain: tuple[str, ...], log: _Log) -> _Node | None:
    """Return the merged root of a file and its bases; ``where`` names whoever asked for it."""
    try:
        text = _read_text(path, where, log)
    except InputError as error:
        log.problems.extend(error.problems)
        return None
    root = _parse_mapping(text, str(path), log.problems)
    if root is None or "extends" not in root.value:
        return root
    asked = root.value.pop("extends")
    base = _load_base(path, asked, (*chain, os.path.realpath(path)), log)
    return root if base is None else _merge(base, root)


def _load_base(path: FilePath, asked: _Node, chain: tuple[str, ...], log: _Log) -> _Node | None:
    name, where = asked.value, str(asked.position)
    if not isinstance(name, str) or not name.endswith(SUFFIXES):
        what = f"extends must name one .yaml or .yml file, got {_shown(asked.value)}"
    elif os.path.realpath(path.parent / name) in chain:
        what = f"{name!r} extends itself, directly or through its bases"
    elif len(chain) > MAX_BASES:
        what = f"more than {MAX_BASES} files extend each other"
    else:
        return _load(path.parent / name, where, chain, log)
    log.problems.append(Problem(what, where))
    return None


def _read_text(path: FilePath, where: str, log: _Log) -> str:
    """Return the text of a regular UTF-8 file, noting its checksum.

    Raises InputError when it cannot be read.
    """
    content = _read_bytes(path, where)
    if len(content) > MAX_BYTES:
        raise InputError(_too_large(str(path)))
    log.files.append((str(path), hashlib.sha256(content).hexdigest()))
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line, column = _place_of(content[: error.start].decode("utf-8"), error.start)
        at = str(Position(str(path), line, column))
        remedy = "save the file as UTF-8"
        raise InputError(Problem("this byte is not UTF-8 text", at, "", remedy)) from None


def _read_bytes(path: FilePath, where: str) -> bytes:
    remedy = ""
    try:
        if stat.S_ISREG(path.stat().st_mode):
            with path.open("rb") as stream:
                return stream.read(MAX_BYTES + 1)
        what = f"{str(path)!r} is not a regular file"
    except FileNotFoundError:
        what, remedy = f"file {str(path)!r} does not exist", _similar_file(path)
    except (OSError, ValueError) as error:
        what = f"file {_shown(str(path))} cannot be read: {getattr(error, 'strerror', error)}"
    raise InputError(Problem(what, where, remedy=remedy))


def _similar_file(path: FilePath) -> str:
    names: list[str] = []
    with contextlib.suppress(OSError):
        names = [name for name in os.listdir(path.parent) if name.endswith(SUFFIXES)]
    return did_you_mean(path.name, names)


# ---------------------------------------------------------------- merging


def _merge(base: _Node, child: _Node) -> _Node:
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
            merged[name] = _merge(merged[name], node)
    return _Node(merged, child.position, child.key)


def _kind_changes(base: dict[str, _Node], child: dict[str, _Node]) -> bool:
    """Return whether both name a kind and differ: the base's other keys belong to the old one."""
    return "kind" in base and "kind" in child and base["kind"].value != child["kind"].value


def overlaid(document: Document, path: Path) -> Document:
    """Return the document with its part at ``path`` laid over it, by the rules of ``extends``.

    The top-level key the path begins with is left out of the result; positions are kept.
    """
    root = _grown(document.tree, (), document)
    base = root._replace(value={k: v for k, v in root.value.items() if k != path[0]})
    over = root
    for step in path:
        over = over.value[step]
    log = _Log(files=list(document.files))
    return _document(_merge(base, over._replace(key=None)), log)


def _grown(value: Any, path: Path, document: Document) -> _Node:
    """Return the node of a value; the reverse of flattening."""
    if isinstance(value, dict):
        below: Any = {name: _grown(v, (*path, name), document) for name, v in value.items()}
    elif isinstance(value, list):
        below = [_grown(item, (*path, index), document) for index, item in enumerate(value)]
    else:
        below = value
    return _Node(below, document.positions[path], document.key_positions.get(path))


# ---------------------------------------------------------------- overrides


class _Change(NamedTuple):
    """One ``--set``: the steps to the value, and the value."""

    steps: tuple[str, ...]
    value: _Node


def _kinds_first(change: _Change) -> int:
    """Return the sorting key that puts kinds first, outer ones before inner ones."""
    return len(change.steps) if change.steps[-1] == "kind" else MAX_DEPTH + 1


def _parse_override(text: str, problems: list[Problem]) -> _Change | None:
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
    return None if value is None else _Change(steps, value)


def _parse_value(text: str, at: Position, problems: list[Problem]) -> _Node | None:
    what = ""
    if len(text) > MAX_BYTES or _INVISIBLE.search(text):
        what = "the value is too long or contains invisible characters"
    else:
        known = len(problems)
        node = _parse(text, lambda _: at, problems)
        if node is None and len(problems) == known:
            what = "there is no value after '='"
        elif node and isinstance(node.value, dict | list) and text.lstrip()[0] not in "[{":
            what = "the value is neither one word nor [a, list] nor {a: mapping}"
        else:
            return node and node._replace(key=at)
    remedy = "write null to remove the key, and quote a text: key='\"my text\"'"
    problems.append(Problem(what, str(at), remedy=remedy))
    return None


def _override(node: _Node, change: _Change, done: int, problems: list[Problem]) -> _Node:
    """Return the node with the change applied below it; ``done`` steps lead to the node."""
    step, last = change.steps[done], done + 1 == len(change.steps)
    if isinstance(node.value, list):
        index = _index(node.value, change, done, problems)
        if index is None:
            return node
        items = list(node.value)
        items[index] = (
            _merge(items[index], change.value._replace(key=None))
            if last
            else _override(items[index], change, done + 1, problems)
        )
        return node._replace(value=items)
    if not isinstance(node.value, dict):
        above, where = ".".join(change.steps[:done]), str(change.value.position)
        what = f"'{above}' is {_shown(node.value)} and has no key {_shown(step)}"
        problems.append(Problem(what, where, remedy=f"set '{above}' to a mapping first"))
        return node
    if last:
        return _merge(node, node._replace(value={step: change.value}))
    below = node.value.get(step)
    if below is None or below.value is None:
        below = _Node({}, change.value.position, change.value.position)
    return node._replace(value={**node.value, step: _override(below, change, done + 1, problems)})


def _index(items: list[_Node], change: _Change, done: int, problems: list[Problem]) -> int | None:
    step, above = change.steps[done], ".".join(change.steps[:done])
    if re.fullmatch("[0-9]{1,9}", step) and int(step) < len(items):
        return int(step)
    what = f"'{above}' is a list and has no item {_shown(step)}"
    remedy = f"items are numbered 0 to {len(items) - 1}" if items else "the list is empty"
    problems.append(Problem(what, str(change.value.position), remedy=remedy))
    return None


# ---------------------------------------------------------------- validation errors


class _Failure(NamedTuple):
    """One error of pydantic, and the path of the value it is about."""

    details: Any
    path: Path
    document: Document
    known: Callable[[Path], Iterable[str]]

    @property
    def name(self) -> str:
        """Return the last part of the location: the key in question, if there is one."""
        return "".join(str(step) for step in self.details["loc"][-1:])

    @property
    def context(self) -> dict[str, Any]:
        """Return the limits and names of the error, whole numbers without a fraction."""
        return {
            name: int(value) if isinstance(value, float) and value.is_integer() else value
            for name, value in self.details.get("ctx", {}).items()
        }


def _nothing_known(path: Path) -> Iterable[str]:
    return ()


def problems_from_validation(
    error: pydantic.ValidationError,
    document: Document,
    known: Callable[[Path], Iterable[str]] = _nothing_known,
) -> list[Problem]:
    """Return each error of a validated tree at its own line, in the order of the lines.

    ``known`` returns the names allowed in the mapping at a path, for "did you mean".
    Alternatives of a union that fail on one value make one problem.
    """
    found: list[tuple[Position, Problem]] = []
    unions: dict[Path, list[_Failure]] = {}
    for details in error.errors(include_url=False):
        path = _path_of(details["loc"], document.tree)
        failure = _Failure(details, path, document, known)
        if _wanted(failure):
            unions.setdefault(path, []).append(failure)
        else:
            found.append(_EXPLAINED.get(details["type"], _explain_refusal)(failure))
    found += [_expectation(failures) for failures in unions.values()]
    found.sort(key=lambda item: (item[0].file, item[0].line, item[0].column))
    return list(dict.fromkeys(problem for _, problem in found))


def _path_of(loc: tuple[int | str, ...], tree: Any) -> Path:
    """Return the part of a location that leads through the tree.

    Names of union branches and validators, which pydantic puts between, lead nowhere and are
    skipped.
    """
    path: list[str | int] = []
    for step in loc:
        inside = isinstance(step, int) and isinstance(tree, list) and 0 <= step < len(tree)
        if inside or (isinstance(tree, dict) and step in tree):
            path.append(step)
            tree = tree[step]
    return tuple(path)


def _missing(name: str, at: Position) -> tuple[Position, Problem]:
    return at, Problem(f"missing key {_shown(name)}", str(at), remedy=f"add '{name}: ...' here")


def _explain_missing(failure: _Failure) -> tuple[Position, Problem]:
    parent = _path_of(failure.details["loc"][:-1], failure.document.tree)
    return _missing(failure.name, failure.document.positions[parent])


def _explain_extra(failure: _Failure) -> tuple[Position, Problem]:
    path, name = failure.path, failure.name
    written = path[-1:] == (name,)  # else a validator put it there
    at = failure.document.key_positions.get(path) or failure.document.positions[path]
    remedy = did_you_mean(name, failure.known(path[:-1] if written else path))
    return at, Problem(f"unknown key {_shown(name)}", str(at), remedy=remedy)


def _explain_tag(failure: _Failure) -> tuple[Position, Problem]:
    """Explain a mapping whose ``kind`` is missing or names nothing."""
    path, positions, context = failure.path, failure.document.positions, failure.context
    key = str(context["discriminator"]).strip("'")
    at = positions.get((*path, key)) or positions[path]
    if "tag" not in context:
        return _missing(key, at)
    remedy = did_you_mean(str(context["tag"]), _quoted(context["expected_tags"]))
    return at, Problem(f"unknown {key} {_shown(context['tag'])}", str(at), remedy=remedy)


def _explain_refusal(failure: _Failure) -> tuple[Position, Problem]:
    """Keep the words of the validator that refused the value."""
    at = failure.document.positions[failure.path]
    words = re.sub("^(Value error|Assertion failed), ", "", failure.details["msg"])
    return at, Problem(words or "this value is not allowed", str(at))


_EXPLAINED: dict[str, Callable[[_Failure], tuple[Position, Problem]]] = {
    "missing": _explain_missing,
    "extra_forbidden": _explain_extra,
    "union_tag_invalid": _explain_tag,
    "union_tag_not_found": _explain_tag,
}

_MUST_BE = {
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "a whole number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("list_type", "tuple_type", "set_type", "frozen_set_type"), "a list"),
    **dict.fromkeys(
        ("dict_type", "model_type", "model_attributes_type", "dataclass_type"), "a mapping"
    ),
    "string_type": "text",
    "none_required": "null",
    "greater_than": "greater than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "multiple_of": "a multiple of {multiple_of}",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "too_short": "at least {min_length} items long",
    "too_long": "at most {max_length} items long",
    "string_too_short": "a text of at least {min_length} characters",
    "string_too_long": "a text of at most {max_length} characters",
    "string_pattern_mismatch": "a text that matches {pattern}",
}


def _wanted(failure: _Failure) -> str:
    """Return what pydantic says the value should be; empty when it says something else."""
    template = _MUST_BE.get(failure.details["type"])
    if template is not None:
        return template.format_map(failure.context)
    _, _, words = str(failure.details["msg"]).partition("Input should be ")
    return words


def _expectation(failures: list[_Failure]) -> tuple[Position, Problem]:
    """Return the problem of a value that is none of what was expected of it."""
    details, path, document, _ = failures[0]
    at = document.positions[path]
    if failures[0].name == "[key]":
        at = document.key_positions.get(path, at)
    value = details["input"]
    wanted = " or ".join(dict.fromkeys(_wanted(failure) for failure in failures))
    names = [name for failure in failures for name in _quoted(failure.context.get("expected"))]
    remedy = did_you_mean(value, names) if isinstance(value, str) else ""
    subject = ".".join(str(step) for step in path) + " " if path else ""
    what = f"{subject}must be {wanted}, got {_shown(value)}"
    return at, Problem(what, str(at), remedy=remedy)


def _quoted(words: object) -> list[str]:
    """Return the names that pydantic lists in single quotes."""
    return re.findall(r"'([^']*)'", str(words))
