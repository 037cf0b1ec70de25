"""Files with one time series in the formats of their publishers: one module each.

A format is a frozen value that knows its file and its options: ``load(folder, grid)`` gives the
values on the grid of a run, ``FORMATS`` the formats by name.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated

from pydantic import Field

from cosim.regular_files import opened
from cosim.timeseries.formats.base import Series, SeriesFile
from cosim.timeseries.formats.electricity_maps import ElectricityMaps
from cosim.timeseries.formats.elia import Elia
from cosim.timeseries.formats.entsoe_prices import EntsoePrices
from cosim.timeseries.formats.plain import Plain
from cosim.timeseries.formats.smard import Smard

__all__ = ["FORMATS", "AnySeries", "Series", "SeriesFile", "recognise"]

FORMATS: dict[str, type[SeriesFile]] = {
    each.name(): each for each in (ElectricityMaps, Elia, EntsoePrices, Plain, Smard)
}
#: what a scenario writes: a mapping whose ``format`` names one of them
AnySeries = Annotated[
    ElectricityMaps | Elia | EntsoePrices | Plain | Smard, Field(discriminator="format")
]
_HEAD_BYTES = 65_536


def recognise(path: Path) -> str | None:
    """Return the name of the format whose header a file has, None if it is nobody's.

    Only the head is read; a file that cannot be read or is no text is nobody's.
    """
    try:
        with opened(path) as stream:
            head = stream.read(_HEAD_BYTES).decode("utf-8-sig", errors="replace")
        line = head.partition("\n")[0].rstrip("\r")
        for name, each in FORMATS.items():
            cells = next(csv.reader([line], delimiter=each.DELIMITER), [])
            if each.fits([cell.strip() for cell in cells]):
                return name
    except (OSError, ValueError, csv.Error):
        return None
    return None
