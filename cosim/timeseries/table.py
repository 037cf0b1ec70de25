"""CSV files as arrays: what cannot be read as a number is named by file, column and line.

Lines are counted from 1, the header. Clean files go through pyarrow; anything it does not take
is read again cell by cell, to say exactly what is wrong.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cosim.errors import InputError, Problem, did_you_mean
from cosim.regular_files import opened

HEADER_LINE = 1
FIRST_LINE = 2  # of the data
_NUMBER = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
_LONGEST_REMEDY = 300


@dataclass(frozen=True)
class Table:
    """A CSV file: its name as the user wrote it, its hash, column names and text."""

    file: str
    sha256: str
    header: tuple[str, ...]
    text: str  # no byte order mark, no empty lines at the end

    def at(self, line: int, column: str = "") -> str:
        """Return a place in the file."""
        return f"{self.file}:{line}" + (f", column '{column}'" if column else "")

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield each row below the header with the line it ends on."""
        reader = csv.reader(io.StringIO(self.text, newline=""), strict=True)
        next(reader, None)
        for cells in reader:
            yield reader.line_num, cells


@contextmanager
def collect(problems: list[Problem]) -> Iterator[None]:
    """Add the problems of an InputError raised inside, and go on after it."""
    try:
        yield
    except InputError as error:
        problems += error.problems


def open_table(folder: Path, name: Path) -> Table:
    """Read a CSV file; raise InputError when it is missing, not UTF-8 text or without rows."""
    content = _content(folder / name, name)
    try:
        text = content.decode("utf-8-sig").rstrip(" \t\r\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        what = "this is not UTF-8 text"
        raise InputError(Problem(what, f"{name}:{line}", remedy="save as UTF-8")) from None
    head, newline, _ = text.partition("\n")
    if not newline:
        raise InputError(Problem("the file has no row below its header", f"{name}:{HEADER_LINE}"))
    header = tuple(cell.strip() for cell in next(csv.reader([head])))
    return Table(str(name), hashlib.sha256(content).hexdigest(), header, text)


def missing(table: Table, columns: Sequence[str]) -> list[Problem]:
    """Return a problem for each wanted column that the file has not exactly once."""
    found = []
    for column in dict.fromkeys(columns):
        times = table.header.count(column)
        if times > 1:
            what = f"the file has the column '{column}' {times} times"
            found.append(Problem(what, table.at(HEADER_LINE), remedy="rename or remove one"))
        if times == 0:
            what = f"the file has no column '{column}'"
            found.append(Problem(what, table.at(HEADER_LINE), remedy=_closest(column, table)))
    return found


def read(
    table: Table, text: str, numbers: Sequence[str]
) -> tuple[list[str], np.ndarray, list[Problem]]:
    """Return one column as text, others as numbers ``[rows, columns]``, and what is wrong.

    The columns must exist. Cells that are not finite numbers are NaN, with one problem for each
    column that has any. Raises InputError for malformed rows.
    """
    return _read_fast(table, text, numbers) or _read_slowly(table, text, numbers)


def flagged(
    table: Table, column: str, bad: np.ndarray, what: str, why: str = "", remedy: str = ""
) -> list[Problem]:
    """Return the problem of the rows where ``bad`` ``[rows]`` holds, none if there are none."""
    lines = np.flatnonzero(bad) + FIRST_LINE
    if not lines.size:
        return []
    text = f"{what} ({_rows(lines.size)}, the first is line {lines[0]})"
    return [Problem(text, table.at(int(lines[0]), column), why, remedy)]


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def _closest(column: str, table: Table) -> str:
    if len(table.header) == 1 and re.search("[;\t]", table.header[0]):
        return "separate the columns with commas, and write decimals with a point"
    remedy = did_you_mean(column, set(table.header))
    return remedy if len(remedy) <= _LONGEST_REMEDY else remedy[:_LONGEST_REMEDY] + " ..."


def _content(path: Path, name: Path) -> bytes:
    try:
        with opened(path) as stream:
            return stream.read()
    except (FileNotFoundError, NotADirectoryError):
        near = [p.name for p in path.parent.glob("*.csv")] if path.parent.is_dir() else []
        remedy = did_you_mean(path.name, near)
        raise InputError(Problem("the file does not exist", str(name), remedy=remedy)) from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        problem = Problem("the file cannot be read", str(name), why=why)
        raise InputError(problem) from None


def _read_fast(
    table: Table, text: str, numbers: Sequence[str]
) -> tuple[list[str], np.ndarray, list[Problem]] | None:
    """Return what ``read`` does for a clean file, None for any other."""
    import pyarrow as pa
    from pyarrow import csv as arrow

    names = [str(position) for position in range(len(table.header))]
    wanted = {names[table.header.index(column)]: pa.float64() for column in numbers}
    label = names[table.header.index(text)]
    try:
        found = arrow.read_csv(
            pa.py_buffer(table.text.encode()),
            read_options=arrow.ReadOptions(column_names=names, skip_rows=1),
            convert_options=arrow.ConvertOptions(
                include_columns=[label, *wanted],
                column_types={**wanted, label: pa.string()},
                null_values=[],
            ),
        )
    except pa.ArrowInvalid:
        return None
    values = np.empty((found.num_rows, len(numbers)))
    for position, column in enumerate(numbers):
        values[:, position] = found[names[table.header.index(column)]].to_numpy()
    if found.num_rows != table.text.count("\n") or not np.isfinite(values).all():
        return None  # empty lines, line breaks in cells, nan or inf
    return found[label].to_pylist(), values, []


def _read_slowly(
    table: Table, text: str, numbers: Sequence[str]
) -> tuple[list[str], np.ndarray, list[Problem]]:
    """Return what ``read`` does, cell by cell."""
    label, *places = (table.header.index(column) for column in (text, *numbers))
    rows = _checked_rows(table)
    values = np.array([[_number(cells[place]) for place in places] for cells in rows])
    values = values.reshape(len(rows), len(places))
    problems = []
    for position, column in enumerate(numbers):
        bad = np.isnan(values[:, position])
        shown = rows[int(bad.argmax())][places[position]][:40]
        what = f"{shown!r} is not a finite number" if shown.strip() else "the cell is empty"
        problems += flagged(table, column, bad, what, remedy="give a number with a point")
    return [cells[label] for cells in rows], values, problems


def _checked_rows(table: Table) -> list[list[str]]:
    """Return the cells of each row; raise InputError unless each fills one line and the header."""
    rows: list[list[str]] = []
    lines = [HEADER_LINE]
    odd: list[int] = []
    try:
        for line, cells in table.rows():
            if len(cells) != len(table.header) or line != lines[-1] + 1:
                odd.append(len(rows))
            rows.append(cells)
            lines.append(line)
    except csv.Error as error:
        where = table.at(lines[-1] + 1)
        raise InputError(Problem("the row is malformed", where, why=str(error))) from None
    if odd:
        line = lines[odd[0]] + 1
        what = f"the row has {len(rows[odd[0]])} cells on one line, or a cell on several lines"
        what = f"{what} ({_rows(len(odd))}, the first is line {line})"
        remedy = f"give each row on one line, with {len(table.header)} cells like the header"
        raise InputError(Problem(what, table.at(line), remedy=remedy))
    return rows


def _number(cell: str) -> float:
    """Return a cell's finite number, or NaN."""
    value = float(cell) if _NUMBER.fullmatch(cell.strip(" \t")) else math.nan
    return value if math.isfinite(value) else math.nan
