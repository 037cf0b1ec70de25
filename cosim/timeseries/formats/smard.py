"""Market data as SMARD.de exports them, in English or German, older and newer.

Semicolons, a byte order mark, one column for each area: ``Germany/Luxembourg[EUR/MWh]``. The
English files have a 12-hour clock, commas between thousands and the month before the day; the
German ones the reverse. Civil time of Berlin: the hour that autumn repeats stands twice.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field

from cosim.errors import InputError, Problem, did_you_mean
from cosim.timeseries.formats._sheet import Sheet, only
from cosim.timeseries.formats.base import PRICE, Quantity, SeriesFile
from cosim.timeseries.table import HEADER_LINE, Table

_STARTS = (
    ("Start date",),
    ("Date", "Time of day"),
    ("Date", "Start"),
    ("Datum von",),
    ("Datum", "Uhrzeit"),
    ("Datum", "Anfang"),
)
_AREA = re.compile(r"(.+?) ?\[(?:€|EUR)/MWh\].*")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_ENGLISH = re.compile(
    r"(?:([A-Z][a-z]{2})[a-z]*\.? ([0-9]{1,2}), |([0-9]{1,2})/([0-9]{1,2})/)([0-9]{4}),? "
    r"([0-9]{1,2}):([0-9]{2}) ?([AP])M"
)
_GERMAN = re.compile(r"([0-9]{2})\.([0-9]{2})\.([0-9]{4}) ([0-9]{2}:[0-9]{2})")
_NUMBER = re.compile(r"(-?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+))(?:\.([0-9]+))?")
_GERMAN_NUMBER = re.compile(r"(-?(?:[0-9]{1,3}(?:\.[0-9]{3})+|[0-9]+))(?:,([0-9]+))?")


class Smard(SeriesFile):
    """Day-ahead prices of one area, in EUR/kWh."""

    DELIMITER: ClassVar[str] = ";"

    format: Literal["smard"] = "smard"
    area: str | None = Field(
        None, description="area as the column names it, like Germany/Luxembourg; default: the only"
    )

    @classmethod
    def fits(cls, header: Sequence[str]) -> bool:
        """Return whether the columns of time and of an area's price are there."""
        timed = any(set(names) <= set(header) for names in _STARTS)
        return timed and any(_AREA.fullmatch(name) for name in header)

    def variants(self, sheet: Sheet) -> list[Self]:
        """Return one file for each area."""
        areas = dict.fromkeys(_areas(sheet.table).values())
        return [self.model_copy(update={"area": area}) for area in areas]

    def zone(self, table: Table) -> ZoneInfo:
        """Return the zone of Berlin."""
        return ZoneInfo("Europe/Berlin")

    def time_columns(self, table: Table) -> tuple[str, ...]:
        """Return the column of the start, or those of date and time of day."""
        for names in _STARTS:
            if set(names) <= set(table.header):
                return names
        return (only(table, (), "column of dates", "export the data as CSV"),)

    def value_column(self, table: Table) -> tuple[str, Quantity]:
        """Return the column of the area; raise InputError when it is not there or not clear."""
        areas = _areas(table)
        found = [name for name, area in areas.items() if self.area in {None, area}]
        known = list(dict.fromkeys(areas.values()))
        if self.area is not None and not found:
            what, remedy = f"there is no area '{self.area}'", did_you_mean(self.area, known)
            raise InputError(Problem(what, table.at(HEADER_LINE), remedy=remedy))
        remedy = f"name one in area: {did_you_mean('', known)}"
        column = only(table, found, "prices", remedy)
        if table.header.count(column) > 1:
            what = f"the file has the column '{column}' {table.header.count(column)} times"
            raise InputError(Problem(what, table.at(HEADER_LINE), remedy="remove one"))
        return column, PRICE

    def iso_times(self, texts: Sequence[str], zone: ZoneInfo) -> list[str]:
        """Return the starts, read by the clock of either language."""
        return [_english(text) or _german(text) or text for text in texts]

    def plain_number(self, cell: str, table: Table) -> str:
        """Return a cell without separators between thousands, by the language of the header."""
        match = (_GERMAN_NUMBER if table.header[0].startswith("Datum") else _NUMBER).fullmatch(cell)
        return f"{re.sub('[.,]', '', match[1])}.{match[2] or 0}" if match else f"'{cell}'"


def _areas(table: Table) -> dict[str, str]:
    matches = {name: _AREA.fullmatch(name) for name in table.header}
    return {name: match[1] for name, match in matches.items() if match}


def _english(text: str) -> str | None:
    match = _ENGLISH.fullmatch(text)
    if match is None:
        return None
    word, named_day, month, day, year, hour, minute, half = match.groups()
    if word is not None and word.lower() not in _MONTHS:
        return None
    number = _MONTHS.index(word.lower()) + 1 if word else int(month)
    hours = int(hour) % 12 + (12 if half == "P" else 0)
    if not 1 <= int(hour) <= 12:
        return None
    return f"{year}-{number:02}-{int(named_day or day):02}T{hours:02}:{minute}"


def _german(text: str) -> str | None:
    match = _GERMAN.fullmatch(text)
    return f"{match[3]}-{match[2]}-{match[1]}T{match[4]}" if match else None
