"""The table of homes: one row each, with its bus, PV and battery.

Sizes outside the bounds here are mistakes of unit rather than homes: a thousand times more or
less than usual falls outside.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cosim.errors import InputError, Problem, did_you_mean
from cosim.timeseries.table import HEADER_LINE, Table, missing

HOURS = 2.0  # of full charge: the rating of a battery whose rating is not given
EFFICIENCY = 0.95  # round trip, of a battery whose efficiency is not given

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?|\.[0-9]+")
_Check = Callable[[float], bool]
_BOUNDS: dict[str, tuple[_Check, str]] = {
    "pv_kwp": (lambda v: v == 0 or 0.1 <= v <= 1000, "0, or 0.1 to 1,000 kWp"),
    "capacity_kwh": (lambda v: v == 0 or 0.5 <= v <= 1000, "0, or 0.5 to 1,000 kWh"),
    "rating_kw": (lambda v: v >= 0, "0 kW or more"),
    "efficiency": (lambda v: 0.5 <= v <= 1, "a share of 0.5 to 1, not percent"),
    "self_discharge_per_day": (lambda v: 0 <= v <= 0.1, "a share of 0 to 0.1, not percent"),
}
COLUMNS = ("name", "bus", *_BOUNDS)


@dataclass(frozen=True)
class Home:
    """One row of the table; ``line`` is where it stands."""

    line: int
    name: str
    bus: str
    pv_kwp: float
    capacity_kwh: float
    rating_kw: float
    efficiency: float
    self_discharge_per_day: float


def read_homes(table: Table) -> list[Home]:
    """Return the homes of a table; empty cells and absent columns take the default.

    Raises InputError with every problem: columns, names, numbers and sizes.
    """
    problems = missing(table, ("name", "bus"))
    for column in table.header:
        if column not in COLUMNS:
            what, remedy = f"unknown column '{column}'", did_you_mean(column, COLUMNS)
            problems.append(Problem(what, table.at(HEADER_LINE), remedy=remedy))
    if problems:
        raise InputError(problems)
    homes = [_home(table, line, cells, problems) for line, cells in _rows(table, problems)]
    problems += _twice(table, homes)
    if problems:
        raise InputError(problems)
    return homes


def _rows(table: Table, problems: list[Problem]) -> Iterable[tuple[int, list[str]]]:
    try:
        for line, cells in table.rows():
            if len(cells) == len(table.header):
                yield line, [cell.strip() for cell in cells]
            else:
                what = f"the row has {len(cells)} cells, the header {len(table.header)}"
                problems.append(Problem(what, table.at(line)))
    except csv.Error as error:
        problems.append(Problem("the file is malformed", table.file, why=str(error)))


def _home(table: Table, line: int, cells: list[str], problems: list[Problem]) -> Home:
    row = dict(zip(table.header, cells, strict=True))
    if not _NAME.fullmatch(row["name"]):
        what = f"{row['name'][:40]!r} is not a name"
        remedy = "use letters, digits, '_', '-' and '.', beginning with a letter or digit"
        problems.append(Problem(what, table.at(line, "name"), remedy=remedy))
    if not row["bus"]:
        problems.append(Problem("the home has no bus", table.at(line, "bus")))

    def number(column: str, default: float) -> float:
        return _number(table, line, column, row.get(column, ""), default, problems)

    capacity_kwh = number("capacity_kwh", 0.0)
    has_battery = capacity_kwh > 0.0
    home = Home(
        line,
        row["name"],
        row["bus"],
        pv_kwp=number("pv_kwp", 0.0),
        capacity_kwh=capacity_kwh,
        rating_kw=number("rating_kw", capacity_kwh / HOURS),
        efficiency=number("efficiency", EFFICIENCY if has_battery else 1.0),
        self_discharge_per_day=number("self_discharge_per_day", 0.0),
    )
    problems += _odd_battery(table, home)
    return home


def _number(
    table: Table, line: int, column: str, cell: str, default: float, problems: list[Problem]
) -> float:
    if not cell:
        return default
    allowed, bounds = _BOUNDS[column]
    if not _NUMBER.fullmatch(cell):
        what = f"{cell[:40]!r} is not a number"
    elif not allowed(float(cell)):
        what = f"{column} is {cell[:40]}"
    else:
        return float(cell)
    problems.append(Problem(what, table.at(line, column), remedy=f"give {bounds}"))
    return default


def _odd_battery(table: Table, home: Home) -> list[Problem]:
    """Return the problem of a rating that does not suit the capacity."""
    hourly = home.rating_kw / home.capacity_kwh if home.capacity_kwh else 0.0
    where = table.at(home.line, "rating_kw")
    if home.rating_kw and not home.capacity_kwh:
        what = f"rating_kw is {home.rating_kw:g} without a battery"
        return [Problem(what, where, remedy="give capacity_kwh, or leave rating_kw empty")]
    if home.capacity_kwh and not 0.02 <= hourly <= 20.0:
        what = f"{home.rating_kw:g} kW would take {home.capacity_kwh:g} kWh: {_hours(hourly)}"
        return [Problem(what, where, remedy="check the units: kW and kWh")]
    return []


def _hours(hourly: float) -> str:
    return f"{1.0 / hourly:.3g} hours" if hourly else "never"


def _twice(table: Table, homes: list[Home]) -> list[Problem]:
    """Return a problem for each home whose name an earlier one has, and for a table of none."""
    first: dict[str, int] = {}
    found = []
    for home in homes:
        line = first.setdefault(home.name, home.line)
        if line != home.line and home.name:
            what = f"the home '{home.name}' is already on line {line}"
            found.append(Problem(what, table.at(home.line, "name"), remedy="rename one of them"))
    return found
