"""Carbon intensity as Electricity Maps exports it, whose column names change from year to year.

``Datetime (UTC)`` and ``Carbon Intensity gCO2eq/kWh (direct)`` or ``(LCA)``, newer ``(Life
cycle)``, with capitals and a subscript here and there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field

from cosim.timeseries.formats._sheet import Sheet, only
from cosim.timeseries.formats.base import Quantity, SeriesFile
from cosim.timeseries.table import Table

#: no power station emits more than 3 kg/kWh, and over its life cycle any emits a few grams
_KG_PER_KWH = Quantity("kg/kWh", 1e-3, 0.0, 3.0)
_LEAST_LIFE_CYCLE = 0.002
_WORDS = {"direct": ("direct",), "life_cycle": ("lca", "lifecycle")}


class ElectricityMaps(SeriesFile):
    """Carbon intensity of one zone, in kg/kWh."""

    KEYS: ClassVar[tuple[str, ...]] = ("Zone id", "Zone Id", "zone_id")

    format: Literal["electricity_maps"] = "electricity_maps"
    emissions: Literal["life_cycle", "direct"] = Field(
        "life_cycle", description="with those of building and fuel supply, or of operation alone"
    )

    @classmethod
    def fits(cls, header: Sequence[str]) -> bool:
        """Return whether a time in UTC and a carbon intensity are there."""
        return bool(_times(header)) and any("carbonintensity" in _bare(name) for name in header)

    def variants(self, sheet: Sheet) -> list[Self]:
        """Return one file for each zone, direct and life cycle."""
        picks: list[dict[str, str]] = [{}]
        for key in self.KEYS:
            if key in sheet.table.header and len(kinds := sheet.kinds(key)) > 1:
                picks = [{key: kind} for kind in kinds]
        return [
            self.model_copy(update={"pick": pick, "emissions": emissions})
            for pick in picks
            for emissions in _WORDS
            if _intensities(sheet.table.header, emissions)
        ]

    def time_columns(self, table: Table) -> tuple[str, ...]:
        """Return the column of the time in UTC."""
        return (only(table, _times(table.header), "times in UTC", "export the data anew"),)

    def value_column(self, table: Table) -> tuple[str, Quantity]:
        """Return the column of the chosen emissions."""
        found = _intensities(table.header, self.emissions)
        what = f"carbon intensity ({self.emissions.replace('_', ' ')})"
        column = only(table, found, what, "choose emissions: direct or life_cycle")
        peak = _LEAST_LIFE_CYCLE if self.emissions == "life_cycle" else 0.0
        return column, _KG_PER_KWH._replace(peak=peak)

    def iso_times(self, texts: Sequence[str], zone: ZoneInfo) -> list[str]:
        """Return the times as they are: ISO 8601."""
        return list(texts)


def _bare(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())


def _times(header: Sequence[str]) -> list[str]:
    return [name for name in header if re.fullmatch("datetime(utc)?", _bare(name))]


def _intensities(header: Sequence[str], emissions: str) -> list[str]:
    found = (name for name in header if "carbonintensity" in _bare(name))
    return [name for name in found if any(_bare(name).endswith(w) for w in _WORDS[emissions])]
