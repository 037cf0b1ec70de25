"""What every format gives: one series of a file, in the project's units, on the grid of a run."""

from __future__ import annotations

import math
import re
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self
from zoneinfo import ZoneInfo

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler

from cosim.errors import InputError, Problem
from cosim.plain_numbers import plain_numbers
from cosim.timegrid import TimeGrid
from cosim.timeseries.clock import read_clock
from cosim.timeseries.formats._sheet import MISSING, Sheet, at_lines, open_sheet, picked_rows
from cosim.timeseries.rows import Rows, misfits, on_grid, touched
from cosim.timeseries.table import FIRST_LINE, Table, collect, flagged

_NUMBER = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")


class Quantity(NamedTuple):
    """What a column holds: its values times ``factor`` are in ``unit`` and within the bounds.

    ``peak`` is what the largest of them (without sign) reaches in a day or longer: a smaller
    one is a mistake of unit.
    """

    unit: str
    factor: float
    low: float
    high: float
    peak: float = 0.0


#: EUR/MWh: the harmonised limits of day-ahead prices, widened; 1 EUR/MWh on some hour of a day
PRICE = Quantity("EUR/kWh", 1e-3, -5.0, 5.0, 0.001)


@dataclass(frozen=True, eq=False)
class Series:
    """A series as the file has it: ``values`` ``[rows]`` in ``unit``."""

    table: Table = field(repr=False)
    column: str
    rows: Rows
    values: np.ndarray
    unit: str


class SeriesFile(BaseModel):
    """Abstract file with a time series; one module in this folder per format.

    ``KEYS`` are columns that tell rows apart, like a region, in the spelling of the files.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> Any:
        """Take numbers for numbers only."""
        return plain_numbers(handler(source))

    DELIMITER: ClassVar[str] = ","
    KEYS: ClassVar[tuple[str, ...]] = ()

    file: Path = Field(description="file with the series")
    pick: dict[str, str] = Field({}, description="value by column, where rows of several stand")
    shift_days: int = Field(
        0,
        ge=-40_000,
        le=40_000,
        description="24 h days added to its times; 7 x n keeps weekdays [d]",
    )

    @classmethod
    def name(cls) -> str:
        """Return the format's name: that of its module."""
        return cls.__module__.rpartition(".")[2]

    @classmethod
    @abstractmethod
    def fits(cls, header: Sequence[str]) -> bool:
        """Return whether a header, split at the format's delimiter, is of this format."""

    @abstractmethod
    def variants(self, sheet: Sheet) -> list[Self]:
        """Return this file once for each series it holds, to look at all of them."""

    @abstractmethod
    def time_columns(self, table: Table) -> tuple[str, ...]:
        """Return the columns of the start of a row; raise InputError if there are none."""

    @abstractmethod
    def value_column(self, table: Table) -> tuple[str, Quantity]:
        """Return the column of the series, and what it holds; raise InputError if unclear."""

    @abstractmethod
    def iso_times(self, texts: Sequence[str], zone: ZoneInfo) -> list[str]:
        """Return times in ISO 8601; what is no time stays as it is."""

    def zone(self, table: Table) -> ZoneInfo:
        """Return the zone of times without offset."""
        return ZoneInfo("UTC")

    def plain_number(self, cell: str, table: Table) -> str:
        """Return a cell as a number with a point and no other separator."""
        return cell

    def sheet(self, folder: Path) -> Sheet:
        """Read the file; raise InputError when it is not a table of this format."""
        return open_sheet(folder, self.file, self.DELIMITER)

    def load(
        self, folder: Path, grid: TimeGrid, unit: str | None = None
    ) -> tuple[np.ndarray, tuple[str, str]]:
        """Return the values ``[T]``, means over each interval, and the file with its SHA-256.

        Every row of the series is checked, and that it is in ``unit`` if one is named. Raises
        InputError with all problems found.
        """
        series = self.series(self.sheet(folder), grid)
        if unit not in {None, series.unit}:
            what = f"the series '{series.column}' is in {series.unit}, here {unit} is wanted"
            remedy = "take another file, column or unit"
            raise InputError(Problem(what, series.table.file, remedy=remedy))
        first, stop = touched(series.rows, grid)
        values = on_grid(series.values[first:stop, np.newaxis], series.rows, grid)[:, 0]
        return values, (series.table.file, series.table.sha256)

    def series(self, sheet: Sheet, grid: TimeGrid | None = None) -> Series:
        """Return the series of an open file, all of it; raise InputError with all problems.

        One of them is that the rows do not serve the intervals of ``grid``, if one is given.
        """
        table, problems = sheet.table, list[Problem]()
        time_columns = self.time_columns(table)
        column, quantity = self.value_column(table)
        chosen = picked_rows(sheet, [key for key in self.KEYS if key in table.header], self.pick)
        zone = self.zone(table)
        parts = [sheet.texts(name, chosen) for name in time_columns]
        times = self.iso_times([" ".join(words) for words in zip(*parts, strict=True)], zone)
        cells = sheet.texts(column, chosen)
        order = _in_order(times, cells, zone)
        times, cells = [times[row] for row in order], [cells[row] for row in order]
        values = np.array([_number(self.plain_number(cell, table)) for cell in cells])
        values *= quantity.factor
        problems += _no_numbers(table, column, values, cells)
        problems += _outside(table, column, values, quantity)
        with collect(problems):
            rows = read_clock(table, time_columns[0], times, zone, "start")
            rows = replace(rows, first_s=rows.first_s + self.shift_days * 86_400)
            problems += _too_small(table, column, values, quantity, rows)
            problems += [] if grid is None else misfits(rows, grid, table.file)
        if problems:
            lines = chosen[order] + FIRST_LINE
            raise InputError(at_lines(problems, table, lines))
        return Series(table, column, rows, values, quantity.unit)


def _number(text: str) -> float:
    """Return a finite number, or NaN."""
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    return value if math.isfinite(value) else math.nan


def _in_order(times: Sequence[str], cells: Sequence[str], zone: ZoneInfo) -> list[int]:
    """Return the rows in the order they are read.

    Times with an offset, which publishers list newest first, are sorted; rows that say nothing
    about an hour that the zone's clock leaves out are passed over.
    """
    rows = list(range(len(times)))
    parsed = [_parsed(time) for time in times]
    if all(time is not None and time.tzinfo is not None for time in parsed):
        return sorted(rows, key=lambda row: parsed[row].timestamp())  # type: ignore[union-attr]
    empty = (row for row in rows if cells[row].lower() in MISSING)
    never = {row for row in empty if _never_shown(parsed[row], zone)}
    return [row for row in rows if row not in never] if never else rows


def _parsed(time: str) -> datetime | None:
    try:
        return datetime.fromisoformat(time)
    except ValueError:
        return None


def _never_shown(time: datetime | None, zone: ZoneInfo) -> bool:
    if time is None or time.tzinfo is not None:
        return False
    back = time.replace(tzinfo=zone).astimezone(UTC).astimezone(zone)
    return back.replace(tzinfo=None) != time


def _no_numbers(
    table: Table, column: str, values: np.ndarray, cells: Sequence[str]
) -> list[Problem]:
    missing = np.array([cell.lower() in MISSING for cell in cells])
    bad = ~np.isfinite(values) & ~missing
    what = f"{cells[int(bad.argmax())][:40]!r} is not a finite number"
    remedy = "take the rows out at the ends of the file, fill them elsewhere"
    return [
        *flagged(table, column, missing, "the value is missing", remedy=remedy),
        *flagged(table, column, bad, what, remedy="take the file as it was published"),
    ]


def _outside(table: Table, column: str, values: np.ndarray, quantity: Quantity) -> list[Problem]:
    with np.errstate(invalid="ignore"):
        bad = (values < quantity.low) | (values > quantity.high)
    what = (
        f"{values[int(bad.argmax())]:g} {quantity.unit} lies outside {quantity.low:g} to "
        f"{quantity.high:g} {quantity.unit}"
    )
    return flagged(table, column, bad, what, remedy="check the unit")


def _too_small(
    table: Table, column: str, values: np.ndarray, quantity: Quantity, rows: Rows
) -> list[Problem]:
    if not np.isfinite(values).all() or rows.count * rows.step_s < 86_400:
        return []
    peak = float(np.abs(values).max())
    if peak >= quantity.peak:
        return []
    what = f"the largest value is {peak:g} {quantity.unit}"
    return [Problem(what, f"{table.file}, column '{column}'", remedy="check the unit")]
