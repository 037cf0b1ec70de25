"""The rows of an Ausgrid solar home file: a day of a customer's meter each, kWh a half hour.

A title line, then ``Customer,Generator Capacity,Postcode,Consumption Category,date,0:30,...,
23:30,0:00`` and in later years ``Row Quality``. GC is general consumption, CL controlled load,
GG gross generation; the labels are the ends of the half hours. Dates are ``1-Jul-10`` in the
file of 2010-11 and ``1/07/2011`` (day first) in later ones.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np

from cosim.errors import InputError, Problem
from cosim.regular_files import opened
from cosim.timeseries.table import FIRST_LINE, HEADER_LINE, Table, flagged, open_table, read

SLOTS = 48  # half hours of a day
CATEGORIES = ("GC", "CL", "GG")
CUSTOMER, CAPACITY, CATEGORY, DATE = (
    "Customer",
    "Generator Capacity",
    "Consumption Category",
    "date",
)
LABELS = tuple(f"{half // 2 % 24}:{half % 2 * 30:02}" for half in range(1, SLOTS + 1))
HEADER = (CUSTOMER, CAPACITY, "Postcode", CATEGORY, DATE, *LABELS)
_LAST = "Row Quality"
_DATE = re.compile(r"([0-9]{1,2})(?:/([0-9]{1,2})/([0-9]{4})|-([A-Za-z]{3})-([0-9]{2}))")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MOST_KWH = 500.0  # of a half hour: 1 MW
_HEAD_BYTES = 8192


@dataclass(frozen=True, eq=False)
class Records:
    """The rows of a file, arrays ``[rows]``; ``kwh`` is ``[rows, 48]``."""

    table: Table
    first_line: int  # of the rows
    customer: np.ndarray
    capacity_kwp: np.ndarray
    category: np.ndarray  # index into CATEGORIES
    day: np.ndarray  # proleptic ordinal, as date.toordinal gives it
    kwh: np.ndarray

    def at(self, row: int, column: str = "") -> str:
        """Return the place of a row in the file."""
        return self.table.at(row + self.first_line, column)

    def customers(self) -> list[int]:
        """Return the numbers of the customers, sorted."""
        return [int(number) for number in np.unique(self.customer)]


def recognised(path: Path) -> bool:
    """Return whether the head of a file is that of an Ausgrid solar home file."""
    try:
        with opened(path) as stream:
            head = stream.read(_HEAD_BYTES).decode("utf-8-sig", errors="replace")
    except (OSError, ValueError):
        return False
    start = ",".join(HEADER[:5]).lower()
    return any(line.lower().startswith(start) for line in head.splitlines()[:2])


def read_records(folder: Path, file: Path) -> Records:
    """Read a file; every cell is checked. Raises InputError with all problems found.

    Clean files take the fast way of ``table.read``, about 1 s for the 270,000 rows of a year.
    """
    try:
        table, above = _below_title(open_table(folder, file))
    except csv.Error as error:
        raise InputError(Problem("the header is malformed", str(file), why=str(error))) from None
    try:
        dates, values, problems = read(table, DATE, (CUSTOMER, CAPACITY, *LABELS))
        categories, _, _ = read(table, CATEGORY, ())
    except InputError as error:
        raise InputError(_moved(error.problems, table, above)) from None
    day, some = _days(table, dates)
    problems += some
    known = {name: index for index, name in enumerate(CATEGORIES)}
    category = np.array([known.get(name.strip(), -1) for name in categories])
    unknown = category < 0
    what = f"{categories[int(unknown.argmax())][:40]!r} is no category"
    remedy = f"known: {', '.join(CATEGORIES)}"
    problems += flagged(table, CATEGORY, unknown, what, remedy=remedy)
    problems += _odd_numbers(table, values)
    if problems:
        raise InputError(_moved(problems, table, above))
    customer = values[:, 0].astype(np.int64)
    first_line = FIRST_LINE + above
    return Records(table, first_line, customer, values[:, 1], category, day, values[:, 2:])


def _below_title(table: Table) -> tuple[Table, int]:
    """Return the table that begins with the header, and how many lines stand above it."""
    above = 0 if table.header[:1] == HEADER[:1] else 1
    text = table.text.partition("\n")[2] if above else table.text
    line = text.partition("\n")[0].rstrip("\r")
    header = tuple(cell.strip() for cell in next(csv.reader([line]), []))
    plain = tuple(re.sub("^0(?=[0-9]:)", "", name) for name in header)
    if plain not in {HEADER, (*HEADER, _LAST)}:
        place = table.at(HEADER_LINE + above)
        differs = next((h for h, p in zip(HEADER, plain, strict=False) if h != p), "Row Quality")
        what = f"this is not the header of a solar home file, first at '{differs}'"
        remedy = f"a title line, then {','.join(HEADER[:6])},...,{LABELS[-2]},{LABELS[-1]}"
        raise InputError(Problem(what, place, remedy=remedy))
    if "\n" not in text:
        raise InputError(Problem("the file has no row below its header", table.at(HEADER_LINE)))
    return replace(table, header=plain, text=text), above


def _days(table: Table, dates: Sequence[str]) -> tuple[np.ndarray, list[Problem]]:
    ordinals = {text: _ordinal(text.strip()) for text in set(dates)}
    day = np.array([ordinals[text] for text in dates], dtype=np.int64)
    what = f"{dates[int((day == 0).argmax())][:40]!r} is not a date"
    return day, flagged(table, DATE, day == 0, what, remedy="like 1-Jul-10 or 1/07/2011")


def _ordinal(text: str) -> int:
    """Return a day's ordinal, 0 if the text is no date."""
    match = _DATE.fullmatch(text)
    if match is None or (match[4] and match[4].lower() not in _MONTHS):
        return 0
    month = _MONTHS.index(match[4].lower()) + 1 if match[4] else int(match[2])
    year = 2000 + int(match[5]) if match[5] else int(match[3])
    try:
        return date(year, month, int(match[1])).toordinal() if 1900 < year < 2200 else 0
    except ValueError:
        return 0


def _odd_numbers(table: Table, values: np.ndarray) -> list[Problem]:
    """Return numbers that are no customer, or no energy of a half hour."""
    with np.errstate(invalid="ignore"):
        odd = (values[:, 0] % 1.0 != 0.0) | (values[:, 0] < 1.0) | (values[:, 0] > 1e9)
        problems = flagged(table, CUSTOMER, np.isfinite(values[:, 0]) & odd, "this is no customer")
        least, most = values.min(axis=0), values.max(axis=0)
        for place, label in enumerate((CAPACITY, *LABELS), start=1):
            if least[place] < 0.0:
                problems += flagged(table, label, values[:, place] < 0.0, "the value is negative")
            if place > 1 and most[place] > _MOST_KWH:
                what = f"no home has more than {_MOST_KWH:g} kWh in a half hour"
                bad = values[:, place] > _MOST_KWH
                problems += flagged(table, label, bad, what, remedy="check the unit: kWh")
    return problems


def _moved(problems: Sequence[Problem], table: Table, above: int) -> list[Problem]:
    """Return problems whose lines count from the header at the lines of the file."""
    place = re.compile(f"(?<=^{re.escape(table.file)}:)[0-9]+")
    first = re.compile(r"(?<=the first is line )[0-9]+")

    def below(match: re.Match[str]) -> str:
        return str(int(match[0]) + above)

    return [
        replace(p, where=place.sub(below, p.where), what=first.sub(below, p.what)) for p in problems
    ]
