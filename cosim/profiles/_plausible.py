"""Bounds that real homes keep and that a mistaken unit or clock breaks.

A home's mean load lies between 5 W and 200 kW and its peak between 50 W and 1 MW (a day or
longer), so a flat of 0.3 kW taken a thousand times too large or small is refused. PV never
exceeds 1.3 times its rating (bright edges of clouds on a cold day give up to about 1.25), passes
5 % of it on some day of a week, and gives less than 1 % of it between 23:00 and 3:00 civil time,
when the sun is down south of 60 degrees north.
"""

from __future__ import annotations

from datetime import datetime, tzinfo

import numpy as np

from cosim.errors import Problem
from cosim.profiles._homes_table import Home
from cosim.profiles._series import Found, Series
from cosim.timeseries.rows import Rows
from cosim.timeseries.table import Table, flagged

MEAN_LOAD_KW = (0.005, 200.0)
PEAK_LOAD_KW = (0.05, 1000.0)
MOST_KVAR = 1000.0
MOST_PV = 1.3  # of the rating
LEAST_PV_PEAK = 0.05  # of the rating
NIGHT_PV = 0.01  # of the rating
NIGHT_S = (23 * 3600, 27 * 3600)  # from 23:00 to 3:00 on the next day
DAY_S = 86_400
_UNITS = "check the units of the file: kW, W, MW, or kWh and Wh a row"


def implausible(
    table: Table,
    home: Home,
    found: Found,
    series: Series,
    rows: Rows,
    night: np.ndarray | None,
) -> list[Problem]:
    """Return what no home does; ``night`` ``[rows]`` tells when the sun is down, if checked.

    A column with cells that are no numbers is passed over: they are reported already.
    """
    problems: list[Problem] = []
    if np.isfinite(series.load_kw).all():
        plant = home.pv_kwp > 0.0 or home.capacity_kwh > 0.0
        problems += _odd_load(table, found.load, series.load_kw, rows, may_be_zero=plant)
    if found.q and np.isfinite(series.load_kvar).all():
        problems += _odd_q(table, found.q, series.load_kvar)
    if found.pv and np.isfinite(series.pv_kw).all():
        problems += _odd_pv(table, found.pv, series.pv_kw, home.pv_kwp, rows)
        if night is not None and home.pv_kwp:
            problems += _night_pv(table, found.pv, series.pv_kw, home.pv_kwp, night)
    return problems


def nights(rows: Rows, zone: tzinfo) -> np.ndarray:
    """Return which rows ``[rows]`` lie wholly inside the civil night of a zone."""
    first_s, last_s = NIGHT_S
    starts = (rows.first_s + row * rows.step_s for row in range(rows.count))
    times = (datetime.fromtimestamp(start, zone) for start in starts)
    civil_s = np.array([t.hour * 3600 + t.minute * 60 + t.second for t in times])
    civil_s = np.where(civil_s < DAY_S // 2, civil_s + DAY_S, civil_s)
    return np.asarray((civil_s >= first_s) & (civil_s + rows.step_s <= last_s))


def _odd_load(
    table: Table, column: str, load_kw: np.ndarray, rows: Rows, may_be_zero: bool
) -> list[Problem]:
    """Return what no home's load ``[rows]`` does; zero throughout only suits a plant."""
    bad = load_kw < 0.0
    if bad.any():
        what = f"the load is negative: {load_kw[int(bad.argmax())]:g} kW"
        remedy = "give the load alone, without what PV or a battery feeds in"
        return flagged(table, column, bad, what, remedy=remedy)
    mean, peak = float(load_kw.mean()), float(load_kw.max())
    if peak == 0.0 and may_be_zero:
        return []
    least, most = MEAN_LOAD_KW
    least_peak = PEAK_LOAD_KW[0] if rows.count * rows.step_s >= DAY_S else 0.0
    above = load_kw > PEAK_LOAD_KW[1]
    if least <= mean <= most and peak >= least_peak and not above.any():
        return []
    what = f"no home has a load of {mean:,.4g} kW on average and {peak:,.4g} kW at most"
    if above.any():
        return flagged(table, column, above, f"{what}: above {PEAK_LOAD_KW[1]:g} kW", "", _UNITS)
    return [Problem(what, f"{table.file}, column '{column}'", remedy=_UNITS)]


def _odd_pv(
    table: Table, column: str, pv_kw: np.ndarray, pv_kwp: float, rows: Rows
) -> list[Problem]:
    """Return what no PV plant of that rating [kWp] gives ``[rows]``."""
    below, above = pv_kw < 0.0, pv_kw > MOST_PV * pv_kwp
    if below.any():
        what = f"PV is negative: {pv_kw[int(below.argmax())]:g} kW"
        return flagged(table, column, below, what, remedy="give generation as positive numbers")
    if above.any() and pv_kwp == 0.0:
        what = "there is PV, but the home has no pv_kwp"
        return flagged(table, column, above, what, remedy="give pv_kwp in the table of homes")
    peak = float(pv_kw.max())
    if above.any():
        what = f"PV reaches {peak:,.4g} kW, more than {MOST_PV:g} times its {pv_kwp:g} kWp"
        return flagged(table, column, above, what, remedy=f"{_UNITS}; or correct pv_kwp")
    if peak < LEAST_PV_PEAK * pv_kwp and rows.count * rows.step_s >= 7 * DAY_S:
        what = f"PV reaches only {peak:.3g} kW of its {pv_kwp:g} kWp"
        return [Problem(what, f"{table.file}, column '{column}'", remedy=_UNITS)]
    return []


def _odd_q(table: Table, column: str, load_kvar: np.ndarray) -> list[Problem]:
    bad = np.abs(load_kvar) > MOST_KVAR
    what = f"the reactive power exceeds {MOST_KVAR:g} kvar"
    return flagged(table, column, bad, what, remedy="check the unit: kvar, var, Mvar")


def _night_pv(
    table: Table, column: str, pv_kw: np.ndarray, pv_kwp: float, night: np.ndarray
) -> list[Problem]:
    return flagged(
        table,
        column,
        night & (pv_kw > NIGHT_PV * pv_kwp),
        "there is PV between 23:00 and 3:00 in the scenario's zone",
        why="the times of the file may be in another time zone than stated",
        remedy="correct time_zone or label; where the sun does shine then, set night_pv: allow",
    )
