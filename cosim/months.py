"""Civil months, over which network operators bill the highest power drawn."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

import numpy as np

from cosim.timegrid import TimeGrid


class Months:
    """The months of runs of some intervals of a grid.

    ``first`` is the row at which the run begins, or an array ``[lanes]`` of them. A month is
    charged for the part of it that a run covers.
    """

    def __init__(self, grid: TimeGrid, first: np.ndarray | int, intervals: int) -> None:
        rows = np.add.outer(np.atleast_1d(first), np.arange(intervals + 1))
        ids = _months(grid)[np.minimum(rows, grid.intervals - 1)]  # and the one after the end
        shares = np.stack([_shares(run[:-1], grid) for run in ids])
        changes = np.diff(ids, axis=1, prepend=ids[:, :1] - 1) != 0
        single = np.ndim(first) == 0
        self._shares = shares[0] if single else shares.T[..., None]
        self._changes = changes[0] if single else changes.T[..., None]

    def share(self, k: int) -> np.ndarray | float:
        """Return which part of its month the run covers, ``[lanes, 1]`` of lanes, 0..1."""
        return self._shares[min(k, len(self._shares) - 1)]

    def begins(self, k: int) -> np.ndarray | bool:
        """Say whether interval k is the first of the run or of a month, ``[lanes, 1]`` of lanes."""
        return self._changes[k]


@lru_cache(maxsize=8)  # many runs may begin in one long case
def _months(grid: TimeGrid) -> np.ndarray:
    """Return the civil month in which each interval begins ``[T]``, months since 1970."""
    return grid.local_dates().astype("datetime64[M]").astype(int)


def _shares(months: np.ndarray, grid: TimeGrid) -> np.ndarray:
    """Return which part of its month a run covers, for each of its intervals ``[T]``."""
    known, counts = np.unique(months, return_counts=True)
    hours = np.array([_hours(month, grid) for month in known.tolist()])
    return np.asarray((counts * grid.interval_h / hours)[np.searchsorted(known, months)])


def _hours(month: int, grid: TimeGrid) -> float:
    """Return the length of a civil month [h], clock changes included."""
    begin, end = (
        datetime(1970 + m // 12, m % 12 + 1, 1, tzinfo=grid.zone) for m in (month, month + 1)
    )
    return (end.astimezone(UTC) - begin.astimezone(UTC)).total_seconds() / 3600.0
