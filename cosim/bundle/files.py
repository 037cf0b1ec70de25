"""Files of unknown origin: regular ones of bounded size, and zip archives of known members."""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

from cosim.errors import InputError, Problem

MOST_MEMBERS = 64
_READABLE = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_ENCRYPTED = 0x1


def read_file(path: Path, cap: int, remedy: str = "") -> bytes:
    """Return the bytes of a regular file of at most ``cap`` bytes, or raise InputError."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        with os.fdopen(os.open(path, flags), "rb") as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise InputError(Problem("is not a regular file", shown(path), remedy=remedy))
            data = stream.read(cap + 1) if status.st_size <= cap else None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(Problem(f"cannot be read: {reason}", shown(path), remedy=remedy)) from None
    if data is None or len(data) > cap:
        raise InputError(Problem(f"is larger than {cap} bytes", shown(path)))
    return data


def read_zip(data: bytes, where: Path, caps: Mapping[str, int]) -> dict[str, bytes]:
    """Return the members named in ``caps`` that a zip archive holds, each at most its cap.

    Nothing is written to disk and nothing else is unpacked, but an archive that holds anything
    suspicious is refused as a whole: names that lead elsewhere, links, a name twice, encryption.
    """
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            entries = archive.infolist()
            problem = _problem(entries)
            if problem:
                raise InputError(Problem(problem, shown(where)))
            return {
                entry.filename: _member(archive, entry, caps[entry.filename], where)
                for entry in entries
                if entry.filename in caps
            }
    except InputError:
        raise
    except (zipfile.BadZipFile, zlib.error, OSError, ValueError, EOFError,
            NotImplementedError, RuntimeError, OverflowError, IndexError) as error:  # fmt: skip
        kind = type(error).__name__
        raise InputError(Problem(f"is no zip archive this program reads ({kind})", shown(where),
                                 remedy="save the model again")) from None  # fmt: skip


def _problem(entries: list[zipfile.ZipInfo]) -> str:
    """Say what is suspicious about the entries of an archive, empty if nothing is."""
    if len(entries) > MOST_MEMBERS:
        return f"holds more than {MOST_MEMBERS} files"
    found = [entry.filename for entry in entries]
    if len(set(found)) < len(found):
        return "holds two files of one name"
    for entry in entries:
        label, name = f"member {entry.filename[:64]!a}", entry.filename.replace("\\", "/")
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if name.startswith("/") or ":" in name or ".." in name.split("/") or "\0" in name:
            return f"{label} leads out of the archive"
        if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
            return f"{label} is a link or a device"
        if entry.flag_bits & _ENCRYPTED or entry.compress_type not in _READABLE:
            return f"{label} is encrypted or packed in a way that is not read"
    return ""


def _member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, cap: int, where: Path) -> bytes:
    """Return the bytes of a member; what its header says of its size is not believed."""
    with archive.open(entry) as stream:
        data = stream.read(cap + 1)
    if len(data) > cap:
        problem = f"member {entry.filename!a} unpacks to more than {cap} bytes"
        raise InputError(Problem(problem, shown(where)))
    return data


def shown(path: Path) -> str:
    """Return a path as one line of printable text."""
    return str(path).encode("unicode_escape").decode()[:500]
