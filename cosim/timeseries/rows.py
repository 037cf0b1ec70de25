"""From the rows of a data set to the intervals of a run: shorter ones hold, longer ones average.

Both keep the energy: a row of mean power held over its parts, or the mean of whole rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo

import numpy as np

from cosim.errors import Problem
from cosim.timegrid import TimeGrid


@dataclass(frozen=True)
class Rows:
    """Rows back to back: row i covers ``[first_s + i * step_s, first_s + (i + 1) * step_s)``.

    ``first_s`` counts seconds of Unix time; messages show times in ``zone``.
    """

    first_s: int
    step_s: int
    count: int
    zone: tzinfo

    @property
    def end_s(self) -> int:
        """End of the last row, Unix time [s]."""
        return self.first_s + self.count * self.step_s

    def shown(self, unix_s: int) -> str:
        """Return an instant as a person would write it."""
        return datetime.fromtimestamp(unix_s, self.zone).isoformat(timespec="minutes")


def misfits(rows: Rows, grid: TimeGrid, where: str) -> list[Problem]:
    """Return why the rows cannot serve the run's intervals; empty when they can."""
    found = []
    start_s = _start_s(grid)
    end_s = start_s + grid.end_s
    if start_s < rows.first_s or end_s > rows.end_s:
        span = f"{rows.shown(rows.first_s)} to {rows.shown(rows.end_s)}"
        what = f"the run from {rows.shown(start_s)} to {rows.shown(end_s)} leaves the data"
        remedy = f"the data are available from {span}: move the start or shorten the run"
        found.append(Problem(what, where, remedy=remedy))
    if grid.interval_s % rows.step_s and rows.step_s % grid.interval_s:
        what = f"an interval of {grid.interval_s} s does not fit rows of {rows.step_s} s"
        remedy = "choose an interval that divides the rows, or a multiple of them"
        found.append(Problem(what, where, remedy=remedy))
    elif past := (start_s - rows.first_s) % min(grid.interval_s, rows.step_s):
        what = f"the run starts {past} s after the begin of a row"
        remedy = f"start at {rows.shown(start_s - past)}"
        found.append(Problem(what, where, remedy=remedy))
    return found


def touched(rows: Rows, grid: TimeGrid) -> tuple[int, int]:
    """Return the first row the run needs and the one after the last; the rows must fit."""
    offset_s = _start_s(grid) - rows.first_s
    return offset_s // rows.step_s, -(-(offset_s + grid.end_s) // rows.step_s)


def on_grid(values: np.ndarray, rows: Rows, grid: TimeGrid) -> np.ndarray:
    """Return ``[T, n]`` means over the run's intervals from the ``touched`` rows ``[r, n]``."""
    if grid.interval_s >= rows.step_s:
        parts = grid.interval_s // rows.step_s
        shaped = values.reshape(grid.intervals, parts, values.shape[1])
        return np.array(shaped[:, 0] if parts == 1 else shaped.mean(axis=1))
    into_s = (_start_s(grid) - rows.first_s) % rows.step_s
    return np.asarray(values[(into_s + np.arange(grid.intervals) * grid.interval_s) // rows.step_s])


def _start_s(grid: TimeGrid) -> int:
    return int(grid.start.timestamp())
