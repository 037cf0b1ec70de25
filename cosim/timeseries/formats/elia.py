"""Power as Elia's open data platform exports it: quarter hours of Belgium and its regions.

Semicolons, times in ISO 8601 with an offset, newest first, MW. Solar and wind files have rows
of several regions, of which one is picked.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import ClassVar, Literal, Self
from zoneinfo import ZoneInfo

import numpy as np
from pydantic import Field

from cosim.errors import InputError, Problem, did_you_mean
from cosim.timegrid import TimeGrid
from cosim.timeseries.formats._sheet import Sheet, only
from cosim.timeseries.formats.base import Quantity, Series, SeriesFile
from cosim.timeseries.table import HEADER_LINE, Table

_POWER = Quantity("kW", 1e3, -1e9, 1e9)
_USUAL = ("measured & upscaled", "total load")
_CAPACITY = "monitored capacity"
_MOST_LOAD_FACTOR = 1.2


class Elia(SeriesFile):
    """Power of one region in kW, or its share of the monitored capacity."""

    DELIMITER: ClassVar[str] = ";"
    KEYS: ClassVar[tuple[str, ...]] = (
        "Region",
        "Offshore/onshore",
        "Grid connection type",
        "Resolution code",
    )

    format: Literal["elia"] = "elia"
    column: str | None = Field(
        None, description="column of the power; default: Measured & Upscaled, or Total Load"
    )
    quantity: Literal["power", "load_factor"] = Field(
        "power", description="power [kW], or its share of the monitored capacity [-]"
    )

    @classmethod
    def fits(cls, header: Sequence[str]) -> bool:
        """Return whether times, a code of resolution and a power are there."""
        names = {name.lower() for name in header}
        return {"datetime", "resolution code"} <= names and bool(names & set(_USUAL))

    def variants(self, sheet: Sheet) -> list[Self]:
        """Return one file for each region, and each with its load factor if there is one."""
        keys = [key for key in self.KEYS if key in sheet.table.header]
        keys = [key for key in keys if len(sheet.kinds(key)) > 1]
        shares = any(name.lower() == _CAPACITY for name in sheet.table.header)
        return [
            self.model_copy(
                update={"pick": dict(zip(keys, kinds, strict=True)), "quantity": quantity}
            )
            for kinds in product(*(sheet.kinds(key) for key in keys))
            for quantity in (("power", "load_factor") if shares else ("power",))
        ]

    def time_columns(self, table: Table) -> tuple[str, ...]:
        """Return the column of the time."""
        found = [name for name in table.header if name.lower() == "datetime"]
        return (only(table, found, "times (Datetime)", "export the data set as CSV"),)

    def value_column(self, table: Table) -> tuple[str, Quantity]:
        """Return the column of the power."""
        wanted = (self.column.lower(),) if self.column else _USUAL
        found = [name for name in table.header if name.lower() in wanted]
        if self.column and not found:
            what, remedy = f"no column '{self.column}'", did_you_mean(self.column, table.header)
            raise InputError(Problem(what, table.at(HEADER_LINE), remedy=remedy))
        return only(table, found, "power", "name it in 'column'"), _POWER

    def iso_times(self, texts: Sequence[str], zone: ZoneInfo) -> list[str]:
        """Return the times as they are: ISO 8601."""
        return list(texts)

    def series(self, sheet: Sheet, grid: TimeGrid | None = None) -> Series:
        """Return the power, or what it is of the capacity; raise InputError with all problems."""
        power = super().series(sheet, grid)
        if self.quantity == "power":
            return power
        table = sheet.table
        columns = [name for name in table.header if name.lower() == _CAPACITY]
        column = only(table, columns, "monitored capacity", "take quantity: power")
        whole = self.model_copy(update={"quantity": "power", "column": column})
        capacity = super(Elia, whole).series(sheet)
        none = capacity.values <= 0.0
        share = power.values / np.where(none, 1.0, capacity.values)
        bad = none | (share < 0.0) | (share > _MOST_LOAD_FACTOR)
        if bad.any():
            what = f"the power is not 0 to {_MOST_LOAD_FACTOR:g} times the monitored capacity"
            when = power.rows.shown(power.rows.first_s + int(bad.argmax()) * power.rows.step_s)

            raise InputError(Problem(f"{what} (first at {when})", table.file))
        return Series(table, power.column, power.rows, share, "1")
