"""The extracted year of a simbench net on disk: one array to map, one header that vouches for it.

A run maps the array and reads its own days only; each day has its checksum in the header. What
is damaged, or was made by other versions, is made again. Warm, nothing of pandapower is imported.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import re
import zlib
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from cosim.errors import InputError, Problem
from cosim.feeder.checks import source_hash, versions
from cosim.feeder.network import write_atomically
from cosim.feeder.sources import cache_dir
from cosim.profiles._simbench_extract import ROWS, STEP_S, Constants, extract_year

DAY_ROWS = 86_400 // STEP_S
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


@dataclass(frozen=True, eq=False)
class Year:
    """The homes of a net with the values ``[rows, width]`` of some of the year's rows."""

    constants: Constants
    values: np.ndarray
    sha256: str  # of the whole year


def year_rows(code: str, first: int, stop: int) -> Year:
    """Return the rows ``first`` to ``stop`` of a net's year, extracted at the first time.

    Raises InputError for a code simbench does not have.
    """
    if not _CODE.fullmatch(code):
        raise InputError(Problem(f"{code[:100]!r} is not a simbench code"))
    stem = cache_dir() / "simbench" / f"{code}-{_key()}"
    with contextlib.suppress(OSError, EOFError, ValueError, TypeError, KeyError):
        return _read(stem, first, stop)
    constants, values = extract_year(code)
    digest = _digest(constants, values)
    with contextlib.suppress(OSError):
        _write(stem, constants, values, digest)
    return Year(constants, values[first:stop], digest)


def _key() -> str:
    """Return a hash of the versions and the code that make the extraction."""
    own = (Path(__file__).parent / "_simbench_extract.py").read_bytes()
    content = versions().encode() + source_hash("extract", "sources").encode() + own
    return hashlib.sha256(content).hexdigest()[:16]


def _digest(constants: Constants, values: np.ndarray) -> str:
    return hashlib.sha256(_text(constants) + np.ascontiguousarray(values).tobytes()).hexdigest()


def _text(constants: Constants) -> bytes:
    return json.dumps(asdict(constants), sort_keys=True).encode()


def _write(stem: Path, constants: Constants, values: np.ndarray, digest: str) -> None:
    """Write the array, then its header, each atomically; two writers write the same bytes."""
    days = np.ascontiguousarray(values).reshape(-1, DAY_ROWS, values.shape[1])
    checksums = [zlib.crc32(day.tobytes()) for day in days]
    body = {"constants": asdict(constants), "days": checksums, "sha256": digest}
    seal = zlib.crc32(json.dumps(body, sort_keys=True).encode())
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=False)
    write_atomically(stem.with_name(stem.name + ".npy"), buffer.getvalue())
    header = json.dumps({"body": body, "seal": seal}, sort_keys=True)
    write_atomically(stem.with_name(stem.name + ".json"), header.encode())
    for old in stem.parent.glob(stem.name[: -len(_key())] + "[0-9a-f]" * len(_key()) + ".*"):
        if old.stem != stem.name:  # of other versions: some 80 MB each
            old.unlink()


def _read(stem: Path, first: int, stop: int) -> Year:
    """Return rows of a written year; raise ValueError, TypeError or KeyError if damaged."""
    header = json.loads(stem.with_name(stem.name + ".json").read_bytes())
    body = header["body"]
    if zlib.crc32(json.dumps(body, sort_keys=True).encode()) != header["seal"]:
        raise ValueError("the header is damaged")
    constants = Constants(**{f.name: tuple(body["constants"][f.name]) for f in fields(Constants)})
    mapped = np.load(stem.with_name(stem.name + ".npy"), mmap_mode="r", allow_pickle=False)
    if mapped.shape != (ROWS, constants.width) or mapped.dtype != np.float64:
        raise ValueError("the array is damaged")
    first_day, stop_day = first // DAY_ROWS, -(-stop // DAY_ROWS)
    values = np.array(mapped[first_day * DAY_ROWS : stop_day * DAY_ROWS])
    days = values.reshape(-1, DAY_ROWS, constants.width)
    if [zlib.crc32(day.tobytes()) for day in days] != body["days"][first_day:stop_day]:
        raise ValueError("the array is damaged")
    start = first_day * DAY_ROWS
    return Year(constants, values[first - start : stop - start], body["sha256"])
