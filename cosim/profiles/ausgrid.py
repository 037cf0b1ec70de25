"""Homes of an Ausgrid solar home file: 300 customers near Sydney, half hours of 2010 to 2013.

Load is general consumption and controlled load, PV the gross generation, ``pv_kwp`` the
generator's capacity; a customer without generation rows has no PV. There are no batteries.

The labels follow the clock on the wall of Sydney, with daylight saving: the sun in them stands
highest at 12:45 to 13:00 in summer and at noon in winter, and habits keep the hour all year.
Each day has 48 values, though: in spring the two of the hour that the clock leaves out are
passed over, in autumn those of the hour shown twice hold for both. ``time_zone: Etc/GMT-10``
takes the labels as standard time instead; another zone, with ``shift_days`` and the run's own,
moves the homes to where a study is.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from pydantic import Field, field_validator

from cosim.errors import InputError, Problem
from cosim.profiles._ausgrid_file import SLOTS, read_records
from cosim.profiles._ausgrid_homes import Customer, chosen, missing_days
from cosim.profiles._plausible import nights
from cosim.profiles._simbench_cache import year_rows
from cosim.profiles.base import Homes, ProfileSource
from cosim.timegrid import TimeGrid
from cosim.times import Zone
from cosim.timeseries.rows import Rows, misfits, on_grid, touched

STEP_S = 1800
_MOST_NIGHT_SHARE = 0.05  # of PV's energy: what meters give in the dark is a hundredth


class Ausgrid(ProfileSource):
    """Customers of an Ausgrid solar home file, one home each."""

    file: Path = Field(description="solar home file as published, a year of half hours")
    customers: int | tuple[int, ...] | None = Field(
        None, description="numbers of the customers, or how many, by number; default: all"
    )
    buses: tuple[str, ...] | None = Field(
        None,
        description="buses that the customers take in turn; default, on a simbench network: "
        "those of simbench's own homes, in its order",
    )
    time_zone: Zone = Field("Australia/Sydney", description="zone whose clock the labels show")
    shift_days: int = Field(
        0, ge=-40_000, le=40_000, description="days added to the dates; 7 x n keeps weekdays [d]"
    )

    @field_validator("customers")
    @classmethod
    def _some(cls, value: int | tuple[int, ...] | None) -> int | tuple[int, ...] | None:
        if value is not None and (value < 1 if isinstance(value, int) else not value):
            raise ValueError("choose at least one customer")
        if isinstance(value, tuple) and len(set(value)) < len(value):
            raise ValueError("a customer is named twice")
        return value

    @field_validator("buses")
    @classmethod
    def _some_bus(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is not None and not all(value or ("",)):
            raise ValueError("name at least one bus")
        return value

    def load(self, grid: TimeGrid, simbench_code: str, folder: Path) -> Homes:
        """Return the homes over the run's intervals.

        Every cell of the file is checked, the days of the run for being there. Raises
        InputError with all problems found.
        """
        buses = self._buses(simbench_code)
        records = read_records(folder, self.file)
        customers = chosen(records, self.customers)
        zone = ZoneInfo(self.time_zone)
        first, last = int(records.day.min()), int(records.day.max())
        rows = _rows(first + self.shift_days, last + self.shift_days, zone)
        problems = misfits(rows, grid, records.table.file)
        if problems:
            raise InputError(problems)
        run = range(*touched(rows, grid))
        cells = label_cells(rows, run, date.fromordinal(first + self.shift_days))
        problems += missing_days(records, customers, np.unique(cells // SLOTS))
        if not problems:
            dark = nights(Rows(rows.first_s + run[0] * STEP_S, STEP_S, len(run), zone), grid.zone)
            problems += _sunny_nights(customers, cells, dark, grid, self.time_zone)
        if problems:
            raise InputError(problems)
        file = (records.table.file, records.table.sha256)
        return _homes(customers, buses, cells, rows, grid, file)

    def _buses(self, simbench_code: str) -> Sequence[str]:
        if self.buses is not None:
            return self.buses
        if not simbench_code:
            what = "solar homes need 'buses', because the network is not simbench's"
            remedy = "name buses of the network; see: python -m cosim list buses SCENARIO"
            raise InputError(Problem(what, remedy=remedy))
        return tuple(dict.fromkeys(year_rows(simbench_code, 0, 1).constants.buses))


def _rows(first_day: int, last_day: int, zone: tzinfo) -> Rows:
    """Return the half hours from the first midnight to that after the last day."""
    begin, end = (
        int(datetime.combine(date.fromordinal(day), time(), zone).timestamp())
        for day in (first_day, last_day + 1)
    )
    return Rows(begin, STEP_S, (end - begin) // STEP_S, zone)


def label_cells(rows: Rows, run: range, first_day: date) -> np.ndarray:
    """Return for each row of a run where the clock of its zone finds it, ``days * 48 + slot``."""
    origin = datetime.combine(first_day, time(), UTC)
    half_hour = timedelta(seconds=STEP_S)
    begin = datetime.fromtimestamp(rows.first_s, UTC)
    clock = ((begin + row * half_hour).astimezone(rows.zone) for row in run)
    return np.array([(shown.replace(tzinfo=UTC) - origin) // half_hour for shown in clock])


def _sunny_nights(
    customers: Sequence[Customer], cells: np.ndarray, dark: np.ndarray, grid: TimeGrid, zone: str
) -> list[Problem]:
    """Return the problem of PV that comes at night by the clock of the scenario."""
    pv_kw = sum((customer.pv_kw[cells] for customer in customers), np.zeros(len(cells)))
    if pv_kw[dark].sum() <= _MOST_NIGHT_SHARE * pv_kw.sum():
        return []
    share = pv_kw[dark].sum() / pv_kw.sum()
    what = f"{share:.0%} of the PV comes between 23:00 and 3:00 in the scenario's zone {grid.zone}"
    remedy = f"set time.zone: {zone} in the scenario, or time_zone here to that of the scenario"
    return [Problem(what, why=f"the labels are read as {zone}", remedy=remedy)]


def _homes(
    customers: Sequence[Customer],
    buses: Sequence[str],
    cells: np.ndarray,
    rows: Rows,
    grid: TimeGrid,
    file: tuple[str, str],
) -> Homes:
    load_kw = np.column_stack([customer.load_kw[cells] for customer in customers])
    pv_kw = np.column_stack([customer.pv_kw[cells] for customer in customers])
    load_kw = on_grid(load_kw, rows, grid)
    n = len(customers)
    return Homes(
        names=tuple(f"customer_{customer.number}" for customer in customers),
        buses=tuple(buses[position % len(buses)] for position in range(n)),
        load_kw=load_kw,
        load_kvar=np.zeros_like(load_kw),
        pv_kw=on_grid(pv_kw, rows, grid),
        pv_kwp=np.array([customer.pv_kwp for customer in customers]),
        capacity_kwh=np.zeros(n),
        rating_kw=np.zeros(n),
        efficiency=np.ones(n),
        self_discharge_per_day=np.zeros(n),
        files=(file,),
    )
