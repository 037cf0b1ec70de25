"""What policies remember stays with its prosumer, also while that one is away from the desk."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from pydantic import PrivateAttr

from cosim.policy import Policy, PolicyContext
from cosim.seats import Seat
from cosim.simulation import Simulation

OUTAGE = {"kind": "line_outage", "start": "2016-07-18T06:10", "end": "2016-07-18T09:20",
          "line": "line3"}  # fmt: skip
NOBODY = -1.0


class Diarist(Policy):
    """Remembers who it is, how often it was asked, and a trace of all it has seen."""

    features = ("soc", "forecast_net_kw", "vm_pu")

    _asked: list[tuple[int, np.ndarray, np.ndarray, np.ndarray]] = PrivateAttr(default_factory=list)

    def start(self, count: int) -> np.ndarray:
        return np.tile([NOBODY, 0.0, 0.0], (count, 1))

    def act(
        self, observations: np.ndarray, context: PolicyContext, memory: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        trace = 0.9 * memory[:, 2] + np.sin(observations.sum(-1))
        after = np.stack([context.ids.astype(float), memory[:, 1] + 1.0, trace], axis=-1)
        self._asked.append((context.interval, np.array(context.ids), np.array(memory), after))
        return np.zeros((len(context.ids), 1)), after


def test_who_is_away_keeps_what_is_remembered_of_them(village: Any, new_diary: Any) -> None:
    case, policy = village.case(disturbances=[OUTAGE]), Diarist()
    rows = np.arange(1, len(case.population))  # places in the batch are not rows
    left = replace(case.seats[0], rows=np.array([0]))
    Simulation(replace(case, seats=(left, Seat("diary", policy, rows))), new_diary()).run()

    last = {int(row): np.array([NOBODY, 0.0, 0.0]) for row in rows}
    away: dict[int, list[int]] = {int(row): [] for row in rows}
    assert [interval for interval, *_ in policy._asked] == list(range(case.grid.intervals))
    for interval, ids, before, after in policy._asked:
        assert len(before) == len(ids)
        for row, held, kept in zip(ids.tolist(), before, after, strict=True):
            assert np.array_equal(held, last[row]), f"row {row} in interval {interval}"
            last[row] = kept
        for row in set(rows.tolist()) - set(ids.tolist()):
            away[row].append(interval)

    gone = [row for row, intervals in away.items() if intervals]
    assert 0 < len(gone) < len(rows), "the outage sends some away, not all"
    for row, intervals in away.items():
        assert intervals == list(range(intervals[0], intervals[-1] + 1)) if intervals else True
        assert not intervals or intervals[-1] < case.grid.intervals - 1, "they come back"
        assert last[row][1] == case.grid.intervals - len(intervals)
