"""Homes from two CSV files of the user's own: a table of homes and their time series.

The table has one row for each home: ``name``, ``bus`` and, if there is PV or a battery,
``pv_kwp``, ``capacity_kwh``, ``rating_kw`` (default: capacity in two hours), ``efficiency``
(round trip, default 0.95) and ``self_discharge_per_day`` (a share, default 0). The time series
have one row for each time and a column for each home's load and PV, found by a pattern or named
in ``columns``. The length of a row is found in the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
from pydantic import Field, field_validator

from cosim.errors import InputError, Problem, did_you_mean
from cosim.profiles._homes_table import Home, read_homes
from cosim.profiles._plausible import implausible, nights
from cosim.profiles._series import Columns, Found, Series, Units, find_columns
from cosim.profiles.base import Homes, ProfileSource
from cosim.timegrid import TimeGrid
from cosim.times import Zone
from cosim.timeseries.clock import read_clock
from cosim.timeseries.rows import Rows, misfits, on_grid, touched
from cosim.timeseries.table import Table, collect, missing, open_table, read


class CsvHomes(ProfileSource):
    """Homes, batteries, load and PV from the user's CSV files."""

    homes: Path = Field(description="table of the homes, one row each")
    profiles: Path = Field(description="time series, one row for each time")
    time_column: str = Field("time", description="column of the time")
    time_zone: Zone = Field("UTC", description="zone of times without offset")
    label: Literal["start", "end"] = Field("start", description="what a time marks of its row")
    units: Units = Field(Units(), description="units of load, PV and reactive load")
    load_columns: str = Field("load_{name}", description="pattern of the load columns")
    pv_columns: str = Field("pv_{name}", description="pattern, needed where pv_kwp > 0")
    q_columns: str = Field("q_{name}", description="pattern; where absent, power_factor holds")
    columns: dict[str, Columns] = Field({}, description="columns of single homes, by home name")
    power_factor: float = Field(default=1.0, gt=0.0, le=1.0, description="of the load, inductive")
    night_pv: Literal["refuse", "allow"] = Field("refuse", description="PV output in the dark")

    @field_validator("load_columns", "pv_columns", "q_columns")
    @classmethod
    def _names_the_home(cls, pattern: str) -> str:
        if "{name}" not in pattern:
            raise ValueError(f"'{pattern}' must contain {{name}}")
        return pattern

    def load(self, grid: TimeGrid, simbench_code: str, folder: Path) -> Homes:
        """Return the homes over the run's intervals.

        Every value of the files is checked, also those outside the run. Raises InputError with
        all problems found.
        """
        homes, found, tables = self._open(folder)
        table = tables[1]
        names = sorted({column for each in found for column in each.columns()})
        times, values, problems = read(table, self.time_column, names)
        with collect(problems):
            zone = ZoneInfo(self.time_zone)
            rows = read_clock(table, self.time_column, times, zone, self.label)
            place = {name: position for position, name in enumerate(names)}
            series = [
                each.series(home, values, place, self.units, rows.step_s, self.power_factor)
                for home, each in zip(homes, found, strict=True)
            ]
            night = nights(rows, grid.zone) if self.night_pv == "refuse" else None
            for home, each, given in zip(homes, found, series, strict=True):
                problems += implausible(table, home, each, given, rows, night)
            problems += misfits(rows, grid, table.file)
        if problems:
            raise InputError(problems)
        return _homes(homes, series, rows, grid, tables)

    def _open(self, folder: Path) -> tuple[list[Home], list[Found], tuple[Table, Table]]:
        """Return the homes, the columns of each, and both files; nothing is read of the series."""
        problems: list[Problem] = []
        with collect(problems):
            homes_table = open_table(folder, self.homes)
            homes = read_homes(homes_table)
        with collect(problems):
            table = open_table(folder, self.profiles)
            problems += missing(table, [self.time_column])
        if problems:
            raise InputError(problems)
        patterns = Columns(load=self.load_columns, pv=self.pv_columns, q=self.q_columns)
        found = [find_columns(home, self.columns.get(home.name), patterns, table) for home in homes]
        problems += self._unknown_homes(homes)
        problems += missing(table, [column for each in found for column in each.columns()])
        if problems:
            raise InputError(problems)
        return homes, found, (homes_table, table)

    def _unknown_homes(self, homes: Sequence[Home]) -> list[Problem]:
        known = [home.name for home in homes]
        return [
            Problem(
                f"'columns' names the unknown home '{name}'",
                str(self.homes),
                remedy=did_you_mean(name, known),
            )
            for name in self.columns
            if name not in known
        ]


def _homes(
    homes: Sequence[Home],
    series: Sequence[Series],
    rows: Rows,
    grid: TimeGrid,
    tables: Sequence[Table],
) -> Homes:
    """Return the homes over the intervals of the grid."""
    first, stop = touched(rows, grid)

    def over_grid(columns: list[np.ndarray]) -> np.ndarray:
        return on_grid(np.column_stack([column[first:stop] for column in columns]), rows, grid)

    return Homes(
        names=tuple(home.name for home in homes),
        buses=tuple(home.bus for home in homes),
        load_kw=over_grid([each.load_kw for each in series]),
        load_kvar=over_grid([each.load_kvar for each in series]),
        pv_kw=over_grid([each.pv_kw for each in series]),
        pv_kwp=np.array([home.pv_kwp for home in homes]),
        capacity_kwh=np.array([home.capacity_kwh for home in homes]),
        rating_kw=np.array([home.rating_kw for home in homes]),
        efficiency=np.array([home.efficiency for home in homes]),
        self_discharge_per_day=np.array([home.self_discharge_per_day for home in homes]),
        files=tuple((table.file, table.sha256) for table in tables),
    )
