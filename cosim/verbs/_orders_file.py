"""Orders from a CSV file: every mistake at once, by row and column.

Quantities > 0 buy and < 0 sell [kWh], prices are limits [EUR/kWh]. Beside the three columns that
every auction reads there are optional ones; a file may have them all, and each mechanism reads
its own.
"""

from __future__ import annotations

import csv
import io
import math
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from cosim.errors import InputError, Problem, did_you_mean

PROSUMER, QUANTITY, PRICE = "prosumer", "quantity_kwh", "price_eur_per_kwh"
ARRIVAL, PARTNER, METERED = "arrival_s", "partner", "metered_kwh"
RETAIL, FEED_IN = "retail_eur_per_kwh", "feed_in_eur_per_kwh"
COLUMNS = (PROSUMER, QUANTITY, PRICE)
OPTIONAL = (ARRIVAL, PARTNER, METERED, RETAIL, FEED_IN)
LARGEST_FILE_BYTES = 64 * 2**20
MAX_PROBLEMS = 100
PLAUSIBLE_EUR_PER_KWH = 5.0
IMPLAUSIBLE = "prices are in EUR/kWh: 140 EUR/MWh is 0.14, 14 ct/kWh is 0.14"
ENDLESS = "whoever fed in what was just drawn would earn without end"
_NUMBER = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")


class Bound(NamedTuple):
    """What a number may be; far beyond any book, and far from where sums overflow."""

    largest: float
    unit: str
    remedy: str = "check the unit"


BOUNDS = {
    QUANTITY: Bound(1e9, "kWh"),
    METERED: Bound(1e9, "kWh"),
    PRICE: Bound(1e6, "EUR/kWh"),
    ARRIVAL: Bound(1e9, "s"),
    RETAIL: Bound(PLAUSIBLE_EUR_PER_KWH, "EUR/kWh", IMPLAUSIBLE),
    FEED_IN: Bound(PLAUSIBLE_EUR_PER_KWH, "EUR/kWh", IMPLAUSIBLE),
}


class Tariff(NamedTuple):
    """The supplier's prices [EUR/kWh]."""

    feed_in: float
    retail: float


@dataclass(frozen=True)
class Row:
    """One order; numbers that are not given are None, and '' is no partner."""

    prosumer: str
    quantity_kwh: float
    price_eur_per_kwh: float | None
    arrival_s: float | None
    partner: str
    metered_kwh: float | None
    tariff: Tariff


def read_orders(path: str, priced: bool, tariff: Tariff, problems: list[Problem]) -> list[Row]:
    """Return the rows of the file in its order; append every mistake to ``problems``.

    ``priced`` says whether each order needs a limit price; ``tariff`` is that of rows without
    one of their own.
    """
    file = "standard input" if path == "-" else path
    try:
        text = _text(path, file)
        header, lines = _split(text, file)
    except InputError as error:
        problems.extend(error.problems)
        return []
    found = _header_problems(header, file, priced)
    if found:
        problems.extend(found)
        return []
    table = _Table(header, priced, tariff, found)
    for _, cells in lines:
        table.prosumers.add(dict(zip(header, cells, strict=False)).get(PROSUMER, "").strip())
    rows = [table.row(cells, f"{file}:{number}") for number, cells in lines]
    if len(found) > MAX_PROBLEMS:
        found = [*found[:MAX_PROBLEMS], Problem(f"{len(found) - MAX_PROBLEMS} more problems", file)]
    problems.extend(found)
    return [row for row in rows if row]


# ---------------------------------------------------------------- text and header


def _text(path: str, file: str) -> str:
    content = _content(path, file)
    if len(content) > LARGEST_FILE_BYTES:
        raise InputError(Problem(f"the file is larger than {LARGEST_FILE_BYTES} bytes", file))
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError(Problem("the file is UTF-16 text", file, remedy="save it as UTF-8"))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        what = "this is not UTF-8 text"
        raise InputError(Problem(what, f"{file}:{line}", remedy="save it as UTF-8")) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InputError(Problem("the file contains a NUL character", f"{file}:{line}"))
    return text


def _content(path: str, file: str) -> bytes:
    if path == "-":
        return sys.stdin.buffer.read(LARGEST_FILE_BYTES + 1)
    place = Path(path)
    try:
        if place.is_dir():
            raise InputError(Problem("this is a folder, not a file", file))
        with place.open("rb") as stream:
            return stream.read(LARGEST_FILE_BYTES + 1)
    except FileNotFoundError:
        near = [p.name for p in place.parent.glob("*.csv")] if place.parent.is_dir() else []
        remedy = did_you_mean(place.name, near)
        raise InputError(Problem("the file does not exist", file, remedy=remedy)) from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise InputError(Problem("the file cannot be read", repr(file)[:200], why)) from None


def _split(text: str, file: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header and the non-empty rows with their line numbers."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows = list(_rows(reader, file))
    if not rows:
        remedy = "write a header line: " + ",".join(COLUMNS)
        raise InputError(Problem("the file is empty", file, remedy=remedy))
    return [cell.strip() for cell in rows[0][1]], rows[1:]


def _rows(reader: Any, file: str) -> Iterator[tuple[int, list[str]]]:
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, cells
    except csv.Error as error:
        where = f"{file}:{reader.line_num}"
        raise InputError(Problem(f"this is not CSV: {error}", where)) from None


def _header_problems(header: list[str], file: str, priced: bool) -> list[Problem]:
    where = f"{file}:1"
    if len(header) == 1 and re.search("[;\t|]", header[0]):
        remedy = "separate the columns with commas, and write decimals with a point"
        return [Problem("the file is not separated by commas", where, remedy=remedy)]
    found = []
    for name in dict.fromkeys(header):
        if header.count(name) > 1:
            what = f"the column '{name}' stands {header.count(name)} times in the header"
            found.append(Problem(what, where, remedy="keep one of them"))
        if name not in COLUMNS + OPTIONAL:
            left = [column for column in COLUMNS + OPTIONAL if column not in header]
            remedy = did_you_mean(name, left or COLUMNS)
            found.append(Problem(f"unknown column {name!r}", where, remedy=remedy))
    wanted = COLUMNS if priced else COLUMNS[:2]
    found += [
        Problem(f"missing column '{name}'", where, remedy="the columns are " + ",".join(COLUMNS))
        for name in wanted
        if name not in header
    ]
    return found


# ---------------------------------------------------------------- rows


@dataclass
class _Table:
    """Turns the rows of a file into orders, one after the other, and collects the problems."""

    header: list[str]
    priced: bool
    tariff: Tariff
    found: list[Problem]
    prosumers: set[str] = field(default_factory=set)  # everybody in the file
    named_by: set[str] = field(default_factory=set)  # prosumers that have named a partner

    def row(self, cells: list[str], where: str) -> Row | None:
        """Return one order, or None with the reasons appended to ``found``."""
        if len(cells) != len(self.header):
            what = f"{len(cells)} cells where the header has {len(self.header)} columns"
            remedy = "write decimals with a point, and quote a text that holds a comma"
            self.found.append(Problem(what, where, remedy=remedy))
            return None
        known = len(self.found)
        cell = dict(zip(self.header, (text.strip() for text in cells), strict=True))
        name = cell[PROSUMER]
        if not name or not name.isprintable():
            what = "a name with invisible characters" if name else "no name"
            self._refuse(what, where, PROSUMER, remedy="name the prosumer")
        needed = {QUANTITY, ARRIVAL, METERED} | ({PRICE} if self.priced else set())
        value = {
            column: self._number(cell[column], where, column, column in needed)
            for column in BOUNDS
            if column in cell
        }
        row = Row(
            name,
            value[QUANTITY] or 0.0,
            value.get(PRICE),
            self._arrival(value.get(ARRIVAL), where),
            self._partner(cell, where),
            value.get(METERED),
            self._tariff(value, where),
        )
        return row if len(self.found) == known else None

    def _number(self, text: str, where: str, column: str, needed: bool) -> float | None:
        if not text:
            if needed:
                self._refuse("the cell is empty", where, column, remedy="write a number")
            return None
        value = float(text) if len(text) <= 100 and _NUMBER.fullmatch(text) else math.nan
        if math.isfinite(value):
            bound = BOUNDS[column]
            if abs(value) <= bound.largest:
                return value
            what = f"{text[:60]!r} is beyond {bound.largest:g} {bound.unit}"
            self._refuse(what, where, column, remedy=bound.remedy)
            return None
        comma = re.fullmatch(r"[-+]?[0-9]+,[0-9]+", text)
        remedy = "write decimals with a point" if comma else "write a finite number such as 0.14"
        self._refuse(f"{text[:60]!r} is not a finite number", where, column, remedy=remedy)
        return None

    def _arrival(self, second: float | None, where: str) -> float | None:
        if second is not None and second < 0.0:
            remedy = "count the seconds from when the book opens"
            self._refuse(f"{second:g} s is before the book opens", where, ARRIVAL, remedy=remedy)
        return second

    def _partner(self, cell: dict[str, str], where: str) -> str:
        name, owner = cell.get(PARTNER, ""), cell[PROSUMER]
        if not name:
            return ""
        if name == owner:
            self._refuse(f"{name[:60]!r} names itself", where, PARTNER, remedy="name another one")
        elif name not in self.prosumers:
            what, remedy = f"no order of {name[:60]!r}", did_you_mean(name, self.prosumers)
            self._refuse(what, where, PARTNER, remedy=remedy)
        elif owner in self.named_by:
            what = f"{owner[:60]!r} names a partner for the second time"
            self._refuse(what, where, PARTNER, remedy="name the partner in one order only")
        self.named_by.add(owner)
        return name

    def _tariff(self, value: dict[str, float | None], where: str) -> Tariff:
        """Return a row's tariff: its own prices, and those of the command line for the rest."""
        feed_in, retail = value.get(FEED_IN), value.get(RETAIL)
        own = Tariff(
            self.tariff.feed_in if feed_in is None else feed_in,
            self.tariff.retail if retail is None else retail,
        )
        if own != self.tariff and own.feed_in > own.retail:
            what = f"feed-in {own.feed_in:g} above retail {own.retail:g} EUR/kWh"
            column, remedy = FEED_IN if retail is None else RETAIL, "feed-in is at most retail"
            self._refuse(what, where, column, ENDLESS, remedy)
        return own

    def _refuse(self, what: str, where: str, column: str, why: str = "", remedy: str = "") -> None:
        self.found.append(Problem(what, f"{where}, column '{column}'", why, remedy))
