"""The time axis of the figures: ticks at round civil times, named by weekday and date."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from cosim.report.data import RunData

#: so many ticks are legible side by side
MOST_TICKS = 8
_MINUTES = (5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 7 * 1440, 14 * 1440)
_MONTHS = (1, 2, 3, 6, 12, 24, 60, 120)


def time_axis(axes: Any, data: RunData) -> None:
    """Name the times of an axis (and of those that share it) in the scenario's civil time."""
    first, last = data.edges[0], data.edges[-1]
    places, names = ticks(first, last, data.zone)
    axes.set_xlim(first, last)
    axes.set_xticks(places, names)
    axes.set_xlabel(f"civil time, {data.zone.key}, {_years(first, last, data.zone)}")


def ticks(
    first: np.datetime64, last: np.datetime64, zone: ZoneInfo
) -> tuple[np.ndarray, list[str]]:
    """Return places (UTC) and names of at most :data:`MOST_TICKS` + 1 ticks from first to last.

    Days begin at midnight of the zone, weeks on Monday. Midnights are named like "Mon 18 Jan",
    other times like "06:00", the first with its date below, and months, where only these fit,
    like "Jan 2016".
    """
    begin, end = _civil(first, zone), _civil(last, zone)
    span = end - begin
    step = next((m for m in _MINUTES if span <= MOST_TICKS * timedelta(minutes=m)), None)
    chosen = _by_minutes(begin, end, step) if step else _by_months(begin, end)
    seconds = {int(moment.replace(tzinfo=zone).timestamp()) for moment in chosen}
    places = np.array(sorted(seconds), dtype="datetime64[s]")
    places = places[(places >= first) & (places <= last)]
    moments = [_civil(place, zone) for place in places]
    return places, [_name(moment, bool(step), i == 0) for i, moment in enumerate(moments)]


def _civil(when: np.datetime64, zone: ZoneInfo) -> datetime:
    """Return a UTC time as civil time without its zone."""
    second = int(when.astype("datetime64[s]").astype(np.int64))
    return datetime.fromtimestamp(second, UTC).astimezone(zone).replace(tzinfo=None)


def _by_minutes(begin: datetime, end: datetime, step: int) -> Iterator[datetime]:
    """Yield civil times from the midnight (the Monday, for weeks) before begin until end."""
    moment = begin.replace(hour=0, minute=0, second=0, microsecond=0)
    if step >= 7 * 1440:
        moment -= timedelta(days=moment.weekday())
    while moment <= end:
        yield moment
        moment += timedelta(minutes=step)


def _by_months(begin: datetime, end: datetime) -> Iterator[datetime]:
    months = 12 * (end.year - begin.year) + end.month - begin.month
    step = next((m for m in _MONTHS if months <= MOST_TICKS * m), _MONTHS[-1])
    for month in range(0, months + 1, step):
        year, index = divmod(begin.month - 1 + month, 12)
        yield datetime(begin.year + year, index + 1, 1)


def _name(moment: datetime, days: bool, first: bool) -> str:
    if not days:
        return f"{moment:%b %Y}"
    day = f"{moment:%a} {moment.day} {moment:%b}"
    if (moment.hour, moment.minute) == (0, 0):
        return day
    return f"{moment:%H:%M}\n{day}" if first else f"{moment:%H:%M}"


def _years(first: np.datetime64, last: np.datetime64, zone: ZoneInfo) -> str:
    begin = _civil(first, zone).year
    end = (_civil(last, zone) - timedelta(seconds=1)).year
    return str(begin) if begin == end else f"{begin} to {end}"
