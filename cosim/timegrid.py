"""Time: integer seconds from the scenario's start, market intervals and their deadlines.

Delivery of interval k is exactly ``[t_k, t_k + dt)`` with ``t_k = k * interval_s``. Its gates
OPEN, DECIDE and CLOSE lie before ``t_k`` by the scenario's lead, each on a second of its own;
METER falls on ``t_k + dt``. This is the only place that knows when anything is due.
"""

from __future__ import annotations

from calendar import isleap
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

import numpy as np


@dataclass(frozen=True)
class TimeGrid:
    """The market intervals of a run.

    ``start`` is tz-aware; ``zone`` is the civil zone in which tariffs, time-of-day features and
    the calendar are read. Each delivery is traded in ``rounds``, which share the lead equally.
    """

    start: datetime
    interval_s: int
    intervals: int
    lead_s: int
    zone: tzinfo
    rounds: int = 1

    @property
    def interval_h(self) -> float:
        """Length of an interval [h]."""
        return self.interval_s / 3600.0

    @property
    def end_s(self) -> int:
        """End of the last delivery [s]."""
        return self.intervals * self.interval_s

    def start_s(self, interval: int) -> int:
        """Begin of delivery of an interval [s]."""
        return interval * self.interval_s

    def open_s(self, interval: int) -> int:
        """Second at which the gate OPENs: prices are published, prosumers queue at the desk."""
        return self.start_s(interval) - self.lead_s

    def decide_s(self, interval: int, turn: int = 0) -> int:
        """Second at which the policies DECIDE in a round."""
        return self.open_s(interval) + turn * self.lead_s // self.rounds + 1

    def close_s(self, interval: int, turn: int = -1) -> int:
        """Second at which the book of a round CLOSEs, by default the last.

        An order that arrives then or later is late.
        """
        number = turn % self.rounds + 1
        return self.open_s(interval) + number * self.lead_s // self.rounds - 1

    def utc(self, second: int) -> datetime:
        """UTC instant of a simulation second."""
        return self.start.astimezone(UTC) + timedelta(seconds=second)

    def second_of(self, when: datetime) -> int:
        """Return the simulation second of a tz-aware instant."""
        return round((when - self.start).total_seconds())

    def local_hours(self) -> np.ndarray:
        """Civil hour of day at the start of each interval ``[T]``, in [0, 24)."""
        return self._civil(lambda t: t.hour + t.minute / 60.0 + t.second / 3600.0)

    def local_weekdays(self) -> np.ndarray:
        """Civil weekday at the start of each interval ``[T]``, Monday 0."""
        return self._civil(lambda t: float(t.weekday()))

    def local_year_shares(self) -> np.ndarray:
        """Share of the civil year gone by at the start of each interval's day ``[T]``."""
        return self._civil(lambda t: (t.timetuple().tm_yday - 1) / (365 + isleap(t.year)))

    def local_dates(self) -> np.ndarray:
        """Civil date at the start of each interval ``[T]``, as ``datetime64[D]``."""
        return self._civil(lambda t: np.datetime64(t.date()))

    def _civil(self, read: object) -> np.ndarray:
        assert callable(read)
        step = timedelta(seconds=self.interval_s)
        begin = self.start.astimezone(UTC)
        times = (begin + k * step for k in range(self.intervals))
        return np.array([read(t.astimezone(self.zone)) for t in times])
