"""When the periods of a tariff hold, by the civil clock and calendar of a run's intervals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import get_args

import numpy as np

from cosim.arrays import freeze
from cosim.prices import second_of_day
from cosim.tariff_sections import Period
from cosim.timegrid import TimeGrid
from cosim.times import Weekday

_WEEKDAYS: tuple[str, ...] = get_args(Weekday)
_NAMED = {"weekdays": _WEEKDAYS[:5], "weekend": _WEEKDAYS[5:], "all": _WEEKDAYS}


@dataclass(frozen=True, eq=False)
class Calendar:
    """What clock and calendar show at the start of each interval, arrays ``[T]``."""

    second: np.ndarray  # of the day
    weekday: np.ndarray  # Monday 0; a holiday is a Sunday
    month: np.ndarray  # January 1

    def __post_init__(self) -> None:
        freeze(self)


def calendar_of(grid: TimeGrid, holidays: Iterable[date] = ()) -> Calendar:
    """Return the calendar of a run's intervals."""
    dates = grid.local_dates()
    free = np.isin(dates, np.array(list(holidays), dtype="datetime64[D]"))
    return Calendar(
        second=np.round(grid.local_hours() * 3600.0).astype(int),
        weekday=np.where(free, 6, grid.local_weekdays()).astype(int),
        month=dates.astype("datetime64[M]").astype(int) % 12 + 1,
    )


def holds(period: Period, calendar: Calendar) -> np.ndarray:
    """Return in which intervals a period holds ``[T]``.

    Hours over midnight belong to the day on which each of them lies.
    """
    begin, end = map(second_of_day, period.hours)
    seconds = calendar.second
    if begin < end:
        inside = (seconds >= begin) & (seconds < end)
    else:
        inside = (seconds >= begin) | (seconds < end)
    days = _NAMED[period.days] if isinstance(period.days, str) else period.days
    inside &= np.isin(calendar.weekday, [_WEEKDAYS.index(day) for day in days])
    if period.months is not None:
        inside &= np.isin(calendar.month, sorted({m for span in period.months for m in span}))
    return np.asarray(inside)
