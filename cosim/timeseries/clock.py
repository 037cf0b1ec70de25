"""Time columns: from what a file writes to rows of equal length in Unix time.

Times with an offset are taken as they are. Times without one follow a zone's civil clock: the
hour that autumn repeats is resolved by order, the hour that spring leaves out must not occur.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np

from cosim.errors import InputError, Problem
from cosim.timeseries.rows import Rows
from cosim.timeseries.table import FIRST_LINE, Table, flagged

Label = Literal["start", "end"]


def read_clock(
    table: Table, column: str, texts: Sequence[str], zone: ZoneInfo, label: Label
) -> Rows:
    """Return the rows that a column of ISO 8601 times describes.

    ``label`` tells whether a time is the start or the end of its row. Raises InputError with
    every kind of mistake found: no time, offsets in some rows only, a time the zone's clock
    never shows, repeated, missing, unordered or uneven rows.
    """
    times = _parsed(table, column, texts)
    aware = np.array([time.tzinfo is not None for time in times])
    if aware.any() and not aware.all():
        odd = aware if aware.sum() * 2 < aware.size else ~aware
        what = "the time has an offset" if odd is aware else "the time has no offset"
        raise InputError(flagged(table, column, odd, what, why="the other rows differ"))
    never, problems = np.zeros(len(times), dtype=bool), list[Problem]()
    if aware.all():
        unix_s = np.array([int(time.timestamp()) for time in times], dtype=np.int64)
    else:
        unix_s, never = _from_civil(times, zone)
        problems += _never_shown(table, column, times, never, zone)
    step_s, uneven = _step(table, column, unix_s, never)
    if problems or uneven:
        raise InputError([*problems, *uneven])
    first_s = int(unix_s[0]) - (step_s if label == "end" else 0)
    return Rows(first_s, step_s, len(times), zone)


def _parsed(table: Table, column: str, texts: Sequence[str]) -> list[datetime]:
    parsed = [_time(text) for text in texts]
    if None in parsed:
        bad = np.array([time is None for time in parsed])
        what = f"{texts[int(bad.argmax())][:40]!r} is not a time in whole seconds"
        remedy = "write ISO 8601, like 2016-01-31 23:45 or 2016-01-31T23:45+01:00"
        raise InputError(flagged(table, column, bad, what, remedy=remedy))
    return [time for time in parsed if time is not None]


def _time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text.strip())
        whole = time.microsecond == 0 and 1900 < time.year < 2200
    except ValueError:
        return None
    return time if whole else None


def _from_civil(times: list[datetime], zone: ZoneInfo) -> tuple[np.ndarray, np.ndarray]:
    """Return Unix times of a civil clock, and which of the times it never shows."""
    wall_s = np.array(times, dtype="datetime64[s]").astype(np.int64)
    before_s = _offsets_s(times, zone, fold=0)
    after_s = _offsets_s(times, zone, fold=1)
    unix_s = wall_s - before_s
    for row in np.flatnonzero(before_s > after_s).tolist():  # shown twice: is the first past?
        if row and unix_s[row] <= unix_s[row - 1]:
            unix_s[row] = wall_s[row] - after_s[row]
    return unix_s, before_s < after_s


def _never_shown(
    table: Table, column: str, times: list[datetime], never: np.ndarray, zone: ZoneInfo
) -> list[Problem]:
    time = times[int(never.argmax())]
    offset = time.replace(tzinfo=zone).utcoffset() or timedelta()
    return flagged(
        table,
        column,
        never,
        f"'{time}' does not exist in {zone.key}",
        why="clocks go forward there",
        remedy="if the file keeps one offset all year, name a zone that does, "
        f"like time_zone: {_fixed_zone(offset // timedelta(seconds=1))}",
    )


def _offsets_s(times: list[datetime], zone: ZoneInfo, fold: int) -> np.ndarray:
    second = timedelta(seconds=1)
    offsets = (time.replace(tzinfo=zone, fold=fold).utcoffset() for time in times)
    return np.array([0 if o is None else o // second for o in offsets], dtype=np.int64)


def _fixed_zone(offset_s: int) -> str:
    hours, rest = divmod(offset_s, 3600)
    if rest or not hours:
        return "UTC"
    return f"Etc/GMT{'-' if hours > 0 else '+'}{abs(hours)}"  # these names count westwards


def _step(
    table: Table, column: str, unix_s: np.ndarray, never: np.ndarray
) -> tuple[int, list[Problem]]:
    """Return the length of a row [s], the most frequent one, and what does not follow it.

    Rows after those whose time is ``never`` shown are passed over.
    """
    ahead_s = np.diff(unix_s)
    lengths, counts = np.unique(ahead_s[ahead_s > 0], return_counts=True)
    if not lengths.size:
        what = "the file needs at least two rows in order of time"
        return 0, [Problem(what, table.at(FIRST_LINE, column), remedy="put the earliest first")]
    step_s = int(lengths[counts.argmax()])
    ahead_s = np.concatenate([[step_s], np.where(never[:-1], step_s, ahead_s)])
    gap = int((ahead_s > step_s).argmax())
    lost = f"rows of {step_s} s are missing before this one: {ahead_s[gap] / step_s - 1.0:g}"
    twice = "a day on which clocks go back shows one hour twice, in order"
    kinds = (
        (ahead_s > step_s, lost, twice, "fill the gap"),
        (ahead_s == 0, "the time is that of the row before", "", "remove the duplicate"),
        (ahead_s < 0, "the time lies before that of the row above", "", "sort the rows by time"),
        ((ahead_s > 0) & (ahead_s < step_s), f"the row comes early, rows have {step_s} s", "", ""),
    )
    found = [
        problem
        for bad, what, why, remedy in kinds
        for problem in flagged(table, column, bad, what, why, remedy)
    ]
    return step_s, found
