"""When the prices of the next day are published, and what is shown of them before.

The day-ahead auction of a civil day is over at a civil hour of the day before. Until then the
prices of the next day are shown as those of the same civil hours of the present day; what lies
before the run is not known, and the price of the interval itself stands in.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache

import numpy as np

from cosim.observe import AHEAD_H
from cosim.population import Tariffs
from cosim.timegrid import TimeGrid

DAY_S = 86_400


def shown_rows(
    tariffs: Tariffs, grid: TimeGrid, first: np.ndarray | int, rows: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return prosumers who wait for prices, and the rows they are shown of each hour ahead.

    The rows are ``[T + 1, AHEAD]``, or ``[T + 1, AHEAD, lanes]`` where runs begin at several
    ``first`` rows of the case; one entry for each hour of publication, none where all is known.
    ``rows`` ``[1 + AHEAD, T + 1]`` are what would be read of a published price.
    """
    hours = tariffs.published_hour
    if hours is None:
        return []
    found = []
    for hour in np.unique(hours[np.isfinite(hours)]).tolist():
        each = [_shown(grid, int(begin), hour, rows) for begin in np.atleast_1d(first)]
        stacked = each[0] if np.ndim(first) == 0 else np.stack(each, axis=-1)
        found.append((np.flatnonzero(hours == hour), stacked))
    return found


def unpublished(tariffs: Tariffs, grid: TimeGrid, k: int) -> np.ndarray:
    """Return which prices nobody knows when interval k is decided, bool ``[T, n]``.

    That of the interval itself, and those before it, are known.
    """
    count = grid.intervals
    hours = np.nan if tariffs.published_hour is None else tariffs.published_hour
    wall_s = _walls(grid.utc(0), grid.zone, grid.interval_s, count)
    decided_s = wall_s[k] - grid.start_s(k) + grid.decide_s(k, grid.rounds - 1)
    days_on = wall_s // DAY_S - decided_s // DAY_S
    known = np.where(np.isnan(hours), np.inf, decided_s % DAY_S >= np.multiply(hours, 3600.0))
    unknown = (days_on[:, None] > known) & (np.arange(count) > k)[:, None]
    return np.broadcast_to(unknown, tariffs.retail_eur_per_kwh.shape)


def _shown(grid: TimeGrid, first: int, hour: float, rows: np.ndarray) -> np.ndarray:
    """Return the rows ``[T + 1, AHEAD]`` of a run that begins at a row of the case."""
    step, count = grid.interval_s, rows.shape[1]
    pad = (DAY_S + 3600) // step  # a civil day has up to 25 h
    after = max(AHEAD_H) * 3600 // step
    wall_s = _walls(grid.utc(grid.start_s(first - pad)), grid.zone, step, pad + count + after)
    k = np.arange(count)[:, None]
    target = k + np.array(AHEAD_H) * 3600 // step
    decided_s = wall_s[pad + k] - grid.lead_s + 1
    tomorrow = wall_s[pad + target] // DAY_S > decided_s // DAY_S
    unknown = tomorrow & (decided_s % DAY_S < hour * 3600.0)
    before = target - DAY_S // step
    drift_s = wall_s[pad + target] - DAY_S - wall_s[pad + before]  # where clocks change
    before = before + drift_s // step
    standing_in = np.where(before < 0, np.minimum(k, count - 2), before)
    return first + np.where(unknown, standing_in, rows[1:].T)


@lru_cache(maxsize=64)  # many runs begin on few days
def _walls(begin: datetime, zone: tzinfo, step_s: int, count: int) -> np.ndarray:
    """Return what civil clocks show in steps from an instant, in seconds since 1970."""
    times = (begin + timedelta(seconds=k * step_s) for k in range(count))
    shown = (time.astimezone(zone).replace(tzinfo=UTC) for time in times)
    return np.array([int(time.timestamp()) for time in shown])
