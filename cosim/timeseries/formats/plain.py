"""Any CSV file with a column of ISO 8601 times, the starts of its rows, and one of values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field

from cosim.errors import InputError
from cosim.times import Zone
from cosim.timeseries.formats._sheet import Sheet
from cosim.timeseries.formats.base import PRICE, Quantity, SeriesFile
from cosim.timeseries.table import Table, missing

_QUANTITIES = {
    "EUR/kWh": PRICE._replace(factor=1.0),
    "EUR/MWh": PRICE,
    "ct/kWh": PRICE._replace(factor=1e-2),
    "kg/kWh": Quantity("kg/kWh", 1.0, 0.0, 3.0),
    "g/kWh": Quantity("kg/kWh", 1e-3, 0.0, 3.0),
    "kW": Quantity("kW", 1.0, -1e9, 1e9),
    "MW": Quantity("kW", 1e3, -1e9, 1e9),
    "1": Quantity("1", 1.0, -1e9, 1e9),
}
Unit = Literal["EUR/kWh", "EUR/MWh", "ct/kWh", "kg/kWh", "g/kWh", "kW", "MW", "1"]


class Plain(SeriesFile):
    """A column of the user's own CSV file, with the unit stated."""

    format: Literal["plain"] = "plain"
    time_column: str = Field("time", description="column of the time")
    column: str = Field("value", description="column of the values")
    time_zone: Zone = Field("UTC", description="zone of times without offset")
    unit: Unit = Field(description="unit in the file")

    @classmethod
    def fits(cls, header: Sequence[str]) -> bool:
        """Return False: what no other format claims may be plain."""
        return False

    def variants(self, sheet: Sheet) -> list[Self]:
        """Return the file itself."""
        return [self]

    def zone(self, table: Table) -> ZoneInfo:
        """Return the stated zone."""
        return ZoneInfo(self.time_zone)

    def time_columns(self, table: Table) -> tuple[str, ...]:
        """Return the named column; raise InputError if either is not there once."""
        problems = missing(table, (self.time_column, self.column))
        if problems:
            raise InputError(problems)
        return (self.time_column,)

    def value_column(self, table: Table) -> tuple[str, Quantity]:
        """Return the named column in the stated unit."""
        return self.column, _QUANTITIES[self.unit]

    def iso_times(self, texts: Sequence[str], zone: ZoneInfo) -> list[str]:
        """Return the times as they are."""
        return list(texts)
