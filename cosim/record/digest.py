"""The digest of a run: a SHA-256 chain over the values of its tables, a day at a time.

It covers column names, raw values and names of things, in a fixed order; every NaN counts as the
same and -0.0 as 0.0. Timings, paths, figures, file encoding and the choice of tables leave it
alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cosim.record.tables import Table, Text

START = hashlib.sha256(b"cosim run digest 1").hexdigest()


def day_digest(tables: Mapping[str, Table], events: Sequence[tuple[int, str, Any]]) -> str:
    """Return the digest of one day's tables and events."""
    pieces: list[Any] = []
    for table, columns in tables.items():
        pieces += _pieces(table, columns)
    pieces.append(json.dumps(list(events), sort_keys=True, default=str).encode())
    return hashlib.sha256(b"".join(pieces)).hexdigest()


def chained(days: Sequence[str]) -> str:
    """Return the digest of a run: each day's digest hashed onto that of the days before."""
    link = START
    for day in days:
        link = hashlib.sha256((link + day).encode()).hexdigest()
    return link


def _pieces(table: str, columns: Table) -> list[Any]:
    """Return the bytes of a table: names and shape, then floats, then the rest."""
    head, floats, rest = [table], [], []
    for name, column in columns.items():
        if name == "time":  # it follows from start_s or interval
            continue
        values = column.codes if isinstance(column, Text) else column
        head += [name, values.dtype.str, str(len(values))]
        if isinstance(column, Text):
            head += column.names
        if values.dtype.kind == "f":
            floats.append(values)
        else:
            rest.append(np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<")))
    return ["\x1f".join(head).encode(), _canonical(floats), *rest]


def _canonical(columns: list[np.ndarray]) -> np.ndarray:
    """Return columns joined, with one kind of NaN and of zero."""
    joined = np.concatenate([np.zeros(0), *columns])
    joined += 0.0  # turns -0.0 into 0.0
    np.copyto(joined, np.nan, where=np.isnan(joined))
    return joined.astype("<f8", copy=False)
