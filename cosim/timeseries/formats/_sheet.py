"""The cells of a file whose layout is somebody else's: any delimiter, rows in any order.

Lines are counted from 1, the header, and every row stands on one line.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cosim.errors import InputError, Problem, did_you_mean
from cosim.timeseries.table import FIRST_LINE, HEADER_LINE, Table, open_table

#: what the publishers write for a value that is missing
MISSING = frozenset({"", "-", "n/e", "n/a", "na", "nan", "null", "none"})


@dataclass(frozen=True, eq=False)
class Sheet:
    """A file's header, as its table has it, and the cells of the rows below."""

    table: Table
    rows: list[list[str]]

    def texts(self, column: str, chosen: np.ndarray) -> list[str]:
        """Return the cells of a column in the ``chosen`` rows, counted from 0."""
        place = self.table.header.index(column)
        return [self.rows[row][place].strip() for row in chosen.tolist()]

    def kinds(self, column: str) -> list[str]:
        """Return the different cells of a column, in order of appearance."""
        place = self.table.header.index(column)
        return list(dict.fromkeys(cells[place].strip() for cells in self.rows))


def open_sheet(folder: Path, file: Path, delimiter: str) -> Sheet:
    """Read a file; raise InputError when it is missing, not UTF-8 text, empty or malformed."""
    try:
        table = open_table(folder, file)
        reader = csv.reader(io.StringIO(table.text, newline=""), delimiter=delimiter, strict=True)
        header, *rows = list(reader)
    except csv.Error as error:
        raise InputError(Problem("the file is malformed", str(file), why=str(error))) from None
    table = replace(table, header=tuple(cell.strip() for cell in header))
    odd = [row for row, cells in enumerate(rows) if len(cells) != len(header)]
    several_lines = reader.line_num != len(rows) + HEADER_LINE
    if odd or several_lines:
        row = odd[0] if odd else _first_broken(rows)
        what = f"the row has {len(rows[row])} cells, the header {len(header)}"
        if not odd:
            what = "the row has a cell on several lines"
        remedy = "the file may be cut off, or saved anew by a program: take the original"
        raise InputError(Problem(what, table.at(row + FIRST_LINE), remedy=remedy))
    return Sheet(table, rows)


def _first_broken(rows: Sequence[Sequence[str]]) -> int:
    broken = (row for row, cells in enumerate(rows) if any("\n" in cell for cell in cells))
    return next(broken, 0)


def only(table: Table, columns: Sequence[str], wanted: str, remedy: str) -> str:
    """Return the one column there must be; ``wanted`` says what it holds.

    Raises InputError when there is none, when there are several, or two of the same name.
    """
    if len(columns) == 1:
        return columns[0]
    found = ", ".join(f"'{column}'" for column in columns[:20])
    what = f"the file has {len(columns)} columns of {wanted}" if columns else f"no {wanted}"
    why = f"they are {found}" if columns else ""
    raise InputError(Problem(what, table.at(HEADER_LINE), why=why, remedy=remedy))


def picked_rows(sheet: Sheet, keys: Sequence[str], pick: dict[str, str]) -> np.ndarray:
    """Return the rows that hold what ``pick`` says, by column.

    A column of ``keys`` with several values needs a pick. Raises InputError for an unknown
    column or value, and where a pick is needed.
    """
    table, problems = sheet.table, list[Problem]()
    chosen = np.ones(len(sheet.rows), dtype=bool)
    for column, value in pick.items():
        if column not in keys:
            what = f"pick names '{column}', which does not choose among rows here"
            remedy = did_you_mean(column, keys)
            problems.append(Problem(what, table.at(HEADER_LINE), remedy=remedy))
            continue
        place = table.header.index(column)
        chosen &= np.array([cells[place].strip() == value for cells in sheet.rows])
        if value not in (kinds := sheet.kinds(column)):
            what = f"no row has {value!r} in the column '{column}'"
            problems.append(Problem(what, table.file, remedy=did_you_mean(value, kinds)))
    for column in keys:
        if column not in pick and len(kinds := sheet.kinds(column)) > 1:
            what = f"the column '{column}' has {len(kinds)} different values"
            remedy = f"pick one, like pick: {{{column}: {kinds[0]}}}; {did_you_mean('', kinds)}"
            problems.append(Problem(what, table.at(HEADER_LINE), remedy=remedy))
    if not problems and not chosen.any():
        problems.append(Problem(f"no row has all of {pick}", table.file))
    if problems:
        raise InputError(problems)
    return np.flatnonzero(chosen)


def at_lines(problems: Iterable[Problem], table: Table, lines: np.ndarray) -> list[Problem]:
    """Return problems of chosen rows at the lines they stand on.

    The problems count the rows as if they followed the header; ``lines`` ``[rows]`` are their
    lines in the file.
    """

    def moved(found: re.Match[str]) -> str:
        row = int(found[2]) - FIRST_LINE
        return found[1] + str(lines[row] if 0 <= row < len(lines) else found[2])

    place, first = re.compile(f"^({re.escape(table.file)}:)([0-9]+)"), r"(first is line )([0-9]+)"
    return [
        replace(
            problem, where=place.sub(moved, problem.where), what=re.sub(first, moved, problem.what)
        )
        for problem in problems
    ]
