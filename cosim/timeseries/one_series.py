"""One column of a CSV file over the run's intervals: prices, intensities and the like."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from cosim.errors import InputError
from cosim.timegrid import TimeGrid
from cosim.timeseries.clock import read_clock
from cosim.timeseries.rows import misfits, on_grid, touched
from cosim.timeseries.table import collect, flagged, missing, open_table, read


class OneSeries(NamedTuple):
    """Where a series stands, its zone if its times carry no offset, and what it may hold."""

    file: Path
    time_column: str
    column: str
    zone: str
    low: float
    high: float
    unit: str

    def load(self, folder: Path, grid: TimeGrid) -> tuple[np.ndarray, tuple[str, str]]:
        """Return the values ``[T]``, means over each interval, and the file with its SHA-256.

        Every row of the file is checked. Raises InputError with all problems found.
        """
        table = open_table(folder, self.file)
        problems = missing(table, (self.time_column, self.column))
        if problems:
            raise InputError(problems)
        times, values, problems = read(table, self.time_column, (self.column,))
        with np.errstate(invalid="ignore"):
            outside = (values[:, 0] < self.low) | (values[:, 0] > self.high)
        what = f"the value lies outside {self.low:g} to {self.high:g} {self.unit}"
        problems += flagged(table, self.column, outside, what, remedy="check the unit")
        with collect(problems):
            rows = read_clock(table, self.time_column, times, ZoneInfo(self.zone), "start")
            problems += misfits(rows, grid, table.file)
        if problems:
            raise InputError(problems)
        first, stop = touched(rows, grid)
        return on_grid(values[first:stop], rows, grid)[:, 0], (table.file, table.sha256)
