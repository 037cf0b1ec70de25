"""Parquet part files: one per table and day, written whole or not at all.

Floats are stored as float64, names as dictionaries, times as UTC milliseconds; NaN becomes null.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from cosim.record.folder import write_bytes
from cosim.record.tables import Column, Table, Text

_UTC = pa.timestamp("ms", tz="UTC")


def write_part(path: Path, table: Any) -> None:
    """Write one day of a table, as Arrow, to a Parquet file."""
    sink = pa.BufferOutputStream()  # encoding in memory is twice as fast as into a file
    pq.write_table(
        table,
        sink,
        compression="zstd",
        use_dictionary=[name for name in table.column_names if _is_names(table.schema, name)],
        write_statistics=False,
        store_schema=False,
    )
    write_bytes(path, sink.getvalue())


def write_csv(path: Path, table: Table) -> None:
    """Write a small table as CSV; nulls are empty."""
    sink = pa.BufferOutputStream()
    pacsv.write_csv(arrow_table(table), sink)
    write_bytes(path, sink.getvalue())


def arrow_table(table: Table) -> Any:
    """Return a table as Arrow."""
    return pa.table({name: _arrow(column) for name, column in table.items()})


def _is_names(schema: Any, column: str) -> bool:
    return bool(pa.types.is_dictionary(schema.field(column).type))


@lru_cache(maxsize=64)
def _names(names: tuple[str, ...]) -> Any:
    return pa.array(names, pa.string())


def _arrow(column: Column) -> Any:
    if isinstance(column, Text):
        return pa.DictionaryArray.from_arrays(pa.array(column.codes), _names(column.names))
    if column.dtype.kind == "M":
        return pa.array(column, _UTC)
    if column.dtype.kind == "U":
        return pa.array(column.tolist(), pa.string())
    if column.dtype.kind == "f" and np.isnan(column).any():
        return pa.array(column, from_pandas=True)
    return pa.array(column)
