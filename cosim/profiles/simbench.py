"""Homes of a simbench net: its measured and modelled profiles of 2016, in quarter hours.

A bus with load, PV or storage is one participant; all its loads (household, heat pump, charging)
are one. Row i starts i quarter hours after 2016-01-01T00:00+01:00: the data set's own labels
show daylight saving, but the sun in it keeps one clock, and each row lasts a quarter hour.
Code BSD-3, data ODbL: see simbench.de.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
from pydantic import Field

from cosim.errors import InputError, Problem
from cosim.profiles._simbench_cache import year_rows
from cosim.profiles._simbench_extract import ROWS, STEP_S
from cosim.profiles.base import Homes, ProfileSource
from cosim.timegrid import TimeGrid
from cosim.timeseries.rows import Rows, misfits, on_grid, touched

_ZONE = timezone(timedelta(hours=1))
YEAR = Rows(int(datetime(2016, 1, 1, tzinfo=_ZONE).timestamp()), STEP_S, ROWS, _ZONE)


class Simbench(ProfileSource):
    """Loads, PV and batteries that come with a simbench net.

    Simbench's storages are PV behind a battery: each becomes PV and a battery, or with
    ``battery: false`` the PV alone.
    """

    code: str | None = Field(None, description="simbench code; default: the scenario's network")
    battery: bool = Field(True, description="keep the batteries of the storages")

    def load(self, grid: TimeGrid, simbench_code: str, folder: Path) -> Homes:
        """Return the homes over the run's intervals; raise InputError outside the year 2016."""
        code = self.code or simbench_code
        if not code:
            what = "simbench profiles need a 'code', because the network is not simbench's"
            raise InputError(Problem(what, remedy="name one, like code: 1-LV-rural3--2-sw"))
        problems = misfits(YEAR, grid, f"simbench {code}")
        if problems:
            raise InputError(problems)
        year = year_rows(code, *touched(YEAR, grid))
        constants, n = year.constants, len(year.constants.names)
        values = on_grid(year.values, YEAR, grid)
        pv_kw = np.zeros((grid.intervals, n))
        pv_kw[:, list(constants.pv_homes)] = values[:, 2 * n :]
        used = 1.0 if self.battery else 0.0
        return Homes(
            names=constants.names,
            buses=constants.buses,
            load_kw=values[:, :n].copy(),
            load_kvar=values[:, n : 2 * n].copy(),
            pv_kw=pv_kw,
            pv_kwp=np.array(constants.pv_kwp),
            capacity_kwh=np.array(constants.capacity_kwh) * used,
            rating_kw=np.array(constants.rating_kw) * used,
            efficiency=np.array(constants.efficiency),
            self_discharge_per_day=np.array(constants.self_discharge_per_day),
            files=((f"simbench:{code}", year.sha256),),
        )
