"""What a file with time series or homes holds, in lines to print."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from cosim.errors import InputError, Problem
from cosim.profiles._ausgrid_file import read_records, recognised
from cosim.profiles._ausgrid_homes import Customer, chosen
from cosim.timeseries.clock import read_clock
from cosim.timeseries.formats import FORMATS, recognise
from cosim.timeseries.rows import Rows
from cosim.timeseries.table import HEADER_LINE, Table, flagged, missing, open_table, read
from cosim.verbs._common import columns

_HEAD = ("series", "rows", "step", "begin", "end", "mean", "least", "most", "unit", "energy kWh")
#: what the names of a user's own columns end with, the unit, and its bounds
_UNITS = (
    ("eur_per_kwh", "EUR/kWh", -5.0, 5.0),
    ("eur_per_mwh", "EUR/MWh", -5e3, 5e3),
    ("eur_mwh", "EUR/MWh", -5e3, 5e3),
    ("kg_per_kwh", "kg/kWh", 0.0, 3.0),
    ("g_per_kwh", "g/kWh", 0.0, 3e3),
    ("kwh", "kWh", -1e9, 1e9),
    ("kw", "kW", -1e9, 1e9),
    ("mw", "MW", -1e9, 1e9),
)
#: kWh of a row of one hour, and whether a row of another length has as much
_KWH = {"kW": (1.0, False), "MW": (1e3, False), "kWh": (1.0, True)}
_ANY = ("", -1e15, 1e15)


def description(file: Path, zone: str) -> str:
    """Return the description of a file; raise InputError when nothing in it can be used.

    ``zone`` is that of times without offset, in files of no known format.
    """
    try:
        if recognised(file):
            return _homes(file)
        name = recognise(file)
        return _known(file, name) if name else _unknown(file, zone)
    except csv.Error as error:
        raise InputError(Problem("the file is malformed", str(file), why=str(error))) from None


def _known(file: Path, name: str) -> str:
    """Return the description of a file in one of the formats, each of its series."""
    whole = FORMATS[name].model_validate({"file": file})
    sheet = whole.sheet(Path())
    problems: list[Problem] = []
    lines: list[tuple[str, ...]] = [_HEAD]
    for variant in whole.variants(sheet):
        try:
            found = variant.series(sheet)
        except InputError as error:
            problems += error.problems
            continue
        label = " ".join([found.column, *variant.pick.values()])
        lines.append(_line(label, found.rows, found.values, found.unit))
    problems = list(dict.fromkeys(problems))
    if len(lines) == 1:
        raise InputError(problems or Problem("the file has no series", str(file)))
    head = f"{file}: format {name}, {len(sheet.rows)} rows, SHA-256 {sheet.table.sha256[:16]}"
    left = [f"not usable: {problem}" for problem in problems]
    return "\n".join([head, columns(lines, indent=2, numbers=5), *left])


def _unknown(file: Path, zone_name: str) -> str:
    """Return the description of a CSV file of the user's own."""
    try:
        zone = ZoneInfo(zone_name)
    except (KeyError, ValueError, OSError):
        raise InputError(Problem(f"unknown time zone {zone_name!r}", "--zone")) from None
    table = open_table(Path(), file)
    time_column = _time_column(table)
    times, _, _ = read(table, time_column, ())
    rows = read_clock(table, time_column, times, zone, "start")
    problems: list[Problem] = []
    lines: list[tuple[str, ...]] = [_HEAD]
    for column in table.header:
        if column == time_column:
            continue
        line, some = _plain_line(table, time_column, column, rows)
        problems += some
        lines += [line] if line else []
    if len(lines) == 1 or any("outside" in problem.what for problem in problems):
        raise InputError(problems or Problem("the file has no column of numbers", str(file)))
    offset = f"times without offset read as {zone.key}"
    head = f"{file}: format plain, {rows.count} rows, SHA-256 {table.sha256[:16]}; {offset}"
    left = [f"not usable: {problem}" for problem in problems]
    return "\n".join([head, columns(lines, indent=2, numbers=5), *left])


def _plain_line(
    table: Table, time_column: str, column: str, rows: Rows
) -> tuple[tuple[str, ...] | None, list[Problem]]:
    """Return the line of a column, None when it holds no numbers, and what is wrong with it."""
    problems = missing(table, (column,))
    if problems:
        return None, problems
    _, values, problems = read(table, time_column, (column,))
    if problems:
        return None, problems
    bare = column.lower().replace("[", "_").replace("]", "").replace("/", "_per_").replace(" ", "")
    unit, low, high = next(((u, lo, hi) for end, u, lo, hi in _UNITS if bare.endswith(end)), _ANY)
    what = f"the value lies outside {low:g} to {high:g} {unit}"
    outside = (values[:, 0] < low) | (values[:, 0] > high)
    problems = flagged(table, column, outside, what, remedy="check the unit")
    return _line(column, rows, values[:, 0], unit), problems


def _time_column(table: Table) -> str:
    """Return the first column whose first cell is a time; raise InputError when there is none."""
    _, cells = next(table.rows(), (0, []))
    for column, cell in zip(table.header, cells, strict=False):
        try:
            datetime.fromisoformat(cell.strip())
        except ValueError:
            continue
        if not cell.strip().isdigit() and table.header.count(column) == 1:
            return column
    names = ", ".join(sorted({*FORMATS, "ausgrid"} - {"plain"}))
    raise InputError(
        Problem(
            "no column holds times, and the header is of no known format",
            table.at(HEADER_LINE),
            why=f"the known formats are {names}",
            remedy="write times like 2016-01-31 23:45 in a comma-separated file",
        )
    )


def _line(label: str, rows: Rows, values: np.ndarray, unit: str) -> tuple[str, ...]:
    """Return one line of the table of series."""
    hours = rows.step_s / 3600.0
    energy = ""
    if unit in _KWH:
        kwh, of_row = _KWH[unit]
        energy = f"{values.sum() * kwh * (1.0 if of_row else hours):,.0f}"
    numbers = (f"{number:,.6g}" for number in (values.mean(), values.min(), values.max()))
    span = rows.shown(rows.first_s), rows.shown(rows.end_s)
    return (label, str(rows.count), f"{rows.step_s / 60:g} min", *span, *numbers, unit, energy)


def _homes(file: Path) -> str:
    """Return the description of a solar home file; customers that cannot be used are named."""
    records = read_records(Path(), file)
    usable, problems = list[Customer](), list[Problem]()
    for number in records.customers():
        try:
            usable += chosen(records, (number,))
        except InputError as error:
            problems += error.problems
    if not usable:
        raise InputError(problems)
    first, last = (date.fromordinal(int(day)) for day in (records.day.min(), records.day.max()))
    days = (last - first).days + 1
    lines = [
        f"{file}: format ausgrid, {len(records.day):,} rows, SHA-256 {records.table.sha256[:16]}",
        f"  days       {first} to {last}: {days}, half hours",
        f"  customers  {len(usable) + len({p.what.split(':')[0] for p in problems})}, "
        f"{len(usable)} usable; {_with(usable, 'GG')} with PV, {_with(usable, 'CL')} with "
        "controlled load",
        *_energy(usable),
        *(f"not usable: {problem}" for problem in problems),
    ]
    return "\n".join(lines)


def _with(customers: Sequence[Customer], category: str) -> int:
    return sum(category in customer.kw for customer in customers)


def _energy(customers: Sequence[Customer]) -> list[str]:
    """Return the lines on energy, capacity and missing days of the usable customers."""

    def mean_kwh(power_kw: list[np.ndarray]) -> str:
        kwh = [float(np.nansum(kw)) / 2.0 for kw in power_kw]
        return f"{np.mean(kwh):,.0f} kWh a customer" if kwh else "none"

    solar = [customer for customer in customers if "GG" in customer.kw]
    gaps = sum(int((rows < 0).sum()) for each in customers for rows in each.rows.values())
    peak = max(float(np.nanmax(customer.load_kw, initial=0.0)) for customer in customers)
    capacity = sum(customer.pv_kwp for customer in solar)
    parts = {name: [c.kw[name] for c in customers if name in c.kw] for name in ("GC", "CL", "GG")}
    load = [kw for name in ("GC", "CL") for kw in parts[name]]
    total = sum(float(np.nansum(kw)) / 2.0 for kw in load) / len(customers)
    return [
        f"  load       {total:,.0f} kWh a customer, {peak:.1f} kW at most",
        f"  of it      GC {mean_kwh(parts['GC'])}; CL {mean_kwh(parts['CL'])} that has it",
        f"  PV         {mean_kwh(parts['GG'])} that has it, {capacity:,.0f} kWp in all",
        f"  missing    {gaps} rows of a day",
    ]
