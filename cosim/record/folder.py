"""The run folder: made exclusively, locked while written, never overwritten.

Files appear whole: they are written under a temporary name and then renamed. What cannot be
written becomes an :class:`~cosim.errors.OutputError`; nothing that is already there is touched.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cosim.errors import OutputError

MANIFEST = "manifest.json"
LOCK = "run.lock"
LATEST = "latest"
_NAME = re.compile(r"[a-z0-9_][a-z0-9_-]*\Z")


def new_run_folder(root: Path, scenario_name: str, prefix: str = "") -> Path:
    """Make and return ``root/<scenario>/<prefix><UTC time>-<counter>``, which nobody else has."""
    if not _NAME.match(scenario_name):
        raise OutputError(f"'{scenario_name}' is no name for a folder (a-z, 0-9, _ and -)")
    parent = root / scenario_name
    with writing(parent):
        parent.mkdir(parents=True, exist_ok=True)
        if not parent.resolve().is_relative_to(root.resolve()):
            raise OutputError(f"{parent} leads out of {root}; remove the link")
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        for counter in range(1, 10_000):
            folder = parent / f"{prefix}{stamp}-{counter:02d}"
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
                return folder
    raise OutputError(f"cannot find a free name for a run in {parent}")


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn any OSError while writing ``path`` into an OutputError that says what to do."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"cannot write {path}: {reason}\n    what was written before is intact\n"
            "    remedy: free some space or choose another output folder"
        ) from error


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that takes its place when the block succeeds."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    with writing(path):
        path.parent.mkdir(exist_ok=True)
        try:
            yield temporary
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


def write_bytes(path: Path, content: Any) -> None:
    """Write a file whole or not at all; ``content`` is anything with a buffer."""
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.write(content)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    write_bytes(path, text.encode())


def write_json(path: Path, content: Any) -> None:
    """Write JSON whole or not at all; NaN is refused, use None for what was not measured."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def lock(folder: Path) -> None:
    """Claim a run folder for this process; refuse one in use or with results."""
    path = folder / LOCK
    with writing(folder):
        for _ in range(2):
            try:
                with open(path, "x", encoding="ascii") as file:
                    file.write(f"{os.getpid()}\n")
                break
            except FileExistsError:
                _take_over(path)
        else:
            raise OutputError(f"{folder} was taken by another run")
    if (folder / MANIFEST).exists():
        unlock(folder)
        raise OutputError(f"{folder} holds the results of a run; results are never overwritten")


def unlock(folder: Path) -> None:
    """Give a run folder free."""
    with contextlib.suppress(OSError):
        (folder / LOCK).unlink(missing_ok=True)


def _take_over(path: Path) -> None:
    """Remove the lock of a process that is gone; refuse that of a living one."""
    try:
        owner = int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        owner = 0
    if owner == 0 or _alive(owner):
        raise OutputError(
            f"{path.parent} is in use by another run (process {owner or 'unknown'})\n"
            f"    remedy: wait for it, or remove {LOCK} if there is no such run"
        )
    path.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    if os.name != "posix":
        return True  # no harmless way to ask
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # it lives, but is not ours
    return True


def point_latest(folder: Path) -> None:
    """Let ``latest`` beside a run folder point to it: a link, or a text file without links."""
    latest = folder.parent / LATEST
    with replacing(latest) as temporary:
        try:
            temporary.symlink_to(folder.name, target_is_directory=True)
        except OSError:
            temporary.write_text(folder.name + "\n", encoding="utf-8")
