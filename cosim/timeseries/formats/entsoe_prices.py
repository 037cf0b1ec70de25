"""Day-ahead prices as the ENTSO-E transparency platform exports them, before and after 2024.

Comma-separated; ``MTU (CET/CEST)`` holds ``01/01/2024 00:00 - 01/01/2024 01:00``, with seconds
or a mark ``(CET)`` in newer files. A day on which clocks go back shows an hour twice, in order;
``-`` and ``n/e`` stand for missing values, and for the hour that clocks skip.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field

from cosim.errors import InputError, Problem
from cosim.timeseries.formats._sheet import Sheet, only
from cosim.timeseries.formats.base import PRICE, Quantity, SeriesFile
from cosim.timeseries.table import HEADER_LINE, Table

_MTU = re.compile(r"MTU(?: \(([A-Z/]+)\))?", re.IGNORECASE)
_PRICE = re.compile(r"(day-ahead )?price\b.*[\[(]([A-Z]{3})/MWh[\])]", re.IGNORECASE)
_START = re.compile(
    r"([0-9]{2})[./]([0-9]{2})[./]([0-9]{4}) ([0-9]{2}:[0-9]{2}(?::00)?)(?: \(([A-Z]+)\))? - .+"
)
_ZONES = {
    "UTC": "UTC",
    "CET/CEST": "Europe/Brussels",
    "WET/WEST": "Europe/Lisbon",
    "EET/EEST": "Europe/Athens",
    "CET": "Etc/GMT-1",
}


class EntsoePrices(SeriesFile):
    """Day-ahead prices of one bidding zone, in EUR/kWh."""

    KEYS: ClassVar[tuple[str, ...]] = ("Area", "Sequence", "Currency", "BZN")

    format: Literal["entsoe_prices"] = "entsoe_prices"
    eur_per_unit: float | None = Field(
        None, gt=0.0, description="EUR for a unit of the file's currency; needed unless it is EUR"
    )

    @classmethod
    def fits(cls, header: Sequence[str]) -> bool:
        """Return whether there are market time units and prices per MWh."""
        units = any(_MTU.fullmatch(name) for name in header)
        return units and any(_PRICE.match(name) for name in header)

    def variants(self, sheet: Sheet) -> list[Self]:
        """Return one file for each area and sequence."""
        found = [self]
        for key in self.KEYS:
            if key in sheet.table.header and len(kinds := sheet.kinds(key)) > 1:
                picks = [(file, kind) for file in found for kind in kinds]
                found = [f.model_copy(update={"pick": {**f.pick, key: k}}) for f, k in picks]
        return found

    def zone(self, table: Table) -> ZoneInfo:
        """Return the zone that the header of the times names."""
        (column,) = self.time_columns(table)
        match = _MTU.fullmatch(column)
        named = (match[1] if match else None) or "CET/CEST"
        if named.upper() not in _ZONES:
            what = f"the zone '{named}' of the times is not known"
            remedy = f"export with one of {', '.join(_ZONES)}"
            raise InputError(Problem(what, table.at(HEADER_LINE), remedy=remedy))
        return ZoneInfo(_ZONES[named.upper()])

    def time_columns(self, table: Table) -> tuple[str, ...]:
        """Return the column of market time units."""
        found = [name for name in table.header if _MTU.fullmatch(name)]
        return (only(table, found, "market time units (MTU)", "export the prices anew"),)

    def value_column(self, table: Table) -> tuple[str, Quantity]:
        """Return the column of day-ahead prices, converted to EUR/kWh."""
        found = [name for name in table.header if _PRICE.match(name)]
        column = only(table, found, "day-ahead prices", "export day-ahead prices")
        match = _PRICE.match(column)
        currency = match[2].upper() if match else "EUR"
        if currency != "EUR" and self.eur_per_unit is None:
            what = f"the prices are in {currency}/MWh"
            remedy = f"give eur_per_unit, the EUR for one {currency}"
            raise InputError(Problem(what, table.at(HEADER_LINE), remedy=remedy))
        return column, PRICE._replace(factor=1e-3 * (self.eur_per_unit or 1.0))

    def iso_times(self, texts: Sequence[str], zone: ZoneInfo) -> list[str]:
        """Return the starts of the units, with offsets if any row marks its own."""
        matches = [_START.fullmatch(text) for text in texts]
        marked = any(match is not None and match[5] for match in matches)
        times = []
        for text, match in zip(texts, matches, strict=True):
            iso = f"{match[3]}-{match[2]}-{match[1]}T{match[4]}" if match else text
            summer = match is None or match[5] is None or match[5].endswith("ST")
            times.append(_with_offset(iso, zone, fold=0 if summer else 1) if marked else iso)
        return times


def _with_offset(iso: str, zone: ZoneInfo, fold: int) -> str:
    """Return a civil time with its offset; ``fold`` tells the first of two from the second."""
    try:
        return datetime.fromisoformat(iso).replace(tzinfo=zone, fold=fold).isoformat()
    except ValueError:
        return iso
