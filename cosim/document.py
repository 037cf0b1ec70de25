"""A YAML file, its bases and its overrides as one plain tree that knows every line.

A file may name one base with ``extends:``; ``--set a.b=value`` is one more document laid on
top, by the rules of :mod:`cosim.overlay`. What YAML is read and refused is said in
:mod:`cosim.yaml_nodes`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from cosim.errors import InputError, Problem, did_you_mean
from cosim.overlay import kinds_first, merge, override, parse_override
from cosim.yaml_nodes import (
    MAX_BYTES,
    Node,
    Position,
    parse_mapping,
    place_of,
    shown,
    too_large,
)

MAX_BASES = 8
SUFFIXES = (".yaml", ".yml")

Path = tuple[str | int, ...]


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

    def at(self, path: Path) -> Position:
        """Return where a value stands, or the nearest one around it."""
        while path and path not in self.positions:
            path = path[:-1]
        return self.positions[path]

    def folder(self, path: Path = ()) -> FilePath:
        """Return the folder of the file that says a value; overrides count as the first file."""
        at = self.at(path)
        return FilePath(at.file if at.line else self.files[0][0]).resolve().parent


def read_document(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Document:
    """Read a YAML file, merge it over the bases it extends, and lay the overrides on top.

    Overrides that set a ``kind`` go first, as they may replace their mapping; the others
    apply in the order given.

    Raises InputError with every problem found in the files and the overrides.
    """
    log = _Log()
    root = _load(FilePath(path), "", (), log)
    parsed = [parse_override(text, log.problems) for text in overrides]
    changes = sorted((change for change in parsed if change), key=kinds_first)
    if root is not None:
        for change in changes:
            root = override(root, change, 0, log.problems)
    return _document(root, log)


def parse_text(text: str, file: str) -> Document:
    """Read one YAML text; ``file`` names it in positions, and ``extends`` is left as a key.

    Raises InputError with every problem found.
    """
    content = text.encode("utf-8", "surrogatepass")
    log = _Log(files=[(file, hashlib.sha256(content).hexdigest())])
    return _document(parse_mapping(text, file, log.problems), log)


# ---------------------------------------------------------------- nodes and trees


@dataclass
class _Log:
    """What reading leaves behind besides the tree."""

    problems: list[Problem] = field(default_factory=list)
    files: list[tuple[str, str]] = field(default_factory=list)


def _document(root: Node | None, log: _Log) -> Document:
    if log.problems or root is None:
        raise InputError(log.problems)
    positions: dict[Path, Position] = {}
    keys: dict[Path, Position] = {}
    tree = _flatten(root, (), positions, keys)
    return Document(tree, positions, keys, tuple(log.files))


def _flatten(
    node: Node, path: Path, positions: dict[Path, Position], keys: dict[Path, Position]
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


def _grown(value: Any, path: Path, document: Document) -> Node:
    """Return the node of a value; the reverse of flattening."""
    if isinstance(value, dict):
        below: Any = {name: _grown(v, (*path, name), document) for name, v in value.items()}
    elif isinstance(value, list):
        below = [_grown(item, (*path, index), document) for index, item in enumerate(value)]
    else:
        below = value
    return Node(below, document.positions[path], document.key_positions.get(path))


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
    return _document(merge(base, over._replace(key=None)), log)


# ---------------------------------------------------------------- files and extends


def _load(path: FilePath, where: str, chain: tuple[str, ...], log: _Log) -> Node | None:
    """Return the merged root of a file and its bases; ``where`` names whoever asked for it."""
    try:
        text = _read_text(path, where, log)
    except InputError as error:
        log.problems.extend(error.problems)
        return None
    root = parse_mapping(text, str(path), log.problems)
    if root is None or "extends" not in root.value:
        return root
    asked = root.value.pop("extends")
    base = _load_base(path, asked, (*chain, os.path.realpath(path)), log)
    return root if base is None else merge(base, root)


def _load_base(path: FilePath, asked: Node, chain: tuple[str, ...], log: _Log) -> Node | None:
    name, where = asked.value, str(asked.position)
    if not isinstance(name, str) or not name.endswith(SUFFIXES):
        what = f"extends must name one .yaml or .yml file, got {shown(asked.value)}"
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
        raise InputError(too_large(str(path)))
    log.files.append((str(path), hashlib.sha256(content).hexdigest()))
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line, column = place_of(content[: error.start].decode("utf-8"), error.start)
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
        what = f"file {shown(str(path))} cannot be read: {getattr(error, 'strerror', error)}"
    raise InputError(Problem(what, where, remedy=remedy))


def _similar_file(path: FilePath) -> str:
    names: list[str] = []
    with contextlib.suppress(OSError):
        names = [name for name in os.listdir(path.parent) if name.endswith(SUFFIXES)]
    return did_you_mean(path.name, names)
