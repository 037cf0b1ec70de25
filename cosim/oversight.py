"""Oversight of a seat at the desk: the supervisor's memory, the stand-ins, and what it tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cosim import supervisor
from cosim.observe import View, encode
from cosim.policy import Policy, PolicyContext
from cosim.reason import Reason
from cosim.supervisor import LADDER, Statistics

#: how an event calls the policy itself
POLICY = "policy"


@dataclass(frozen=True, eq=False)
class Supervised:
    """How a policy is supervised: statistics, the first stand-in, alarms until it is locked out.

    ``rule`` is the policy behind the rung ``self_consumption``. ``prosumers`` is how many the
    calibration had, None: not known.
    """

    statistics: Statistics
    fallback: str
    lockout_alarms: int
    rule: Policy
    prosumers: int | None = None


@dataclass(frozen=True, eq=False)
class Note:
    """One line for the event log."""

    kind: str
    details: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Look:
    """What oversight makes of an interval: observations fit to act on, and rungs ``[m]``."""

    observations: np.ndarray
    rung: np.ndarray  # -1: the policy itself
    reason: np.ndarray  # Reason flags, int16: why another acts; 0: nobody does
    notes: tuple[Note, ...]


class Oversight:
    """Judges what one seat sees and says who acts for whom."""

    def __init__(self, how: Supervised, policy: str, names: tuple[str, ...]) -> None:
        self._how, self._policy, self._names = how, policy, names
        self._memory = supervisor.fresh(how.statistics, len(names))
        self._rung = np.full(len(names), -1)

    def look(
        self, observations: np.ndarray, hour: float, day: int, here: np.ndarray | slice
    ) -> Look:
        """Judge the observations ``[m, d]`` of the rows that are ``here``."""
        how, part = self._how, self._memory.taken(here)
        verdict, after = supervisor.judge(how.statistics, observations, hour, day, part)
        self._memory = self._memory.put(here, after)
        rung = supervisor.rungs(verdict, how.fallback, how.lockout_alarms)
        rows = np.arange(len(self._names))[here]
        changed = np.flatnonzero(rung != self._rung[rows])
        notes = tuple(
            self._note(rows[i], int(rung[i]), verdict, after, observations, hour, i)
            for i in changed.tolist()
        )
        self._rung = self._rung.copy()
        self._rung[rows] = rung
        safe = observations
        if verdict.rejected.any():
            safe = supervisor.usual(how.statistics, observations, hour)
        return Look(safe, rung, self._reason(verdict, rung), notes)

    def _reason(self, verdict: supervisor.Verdict, rung: np.ndarray) -> np.ndarray:
        """Say why somebody else acts, as flags ``[m]``: FALLBACK alone for an alarm."""
        locked = verdict.alarms >= self._how.lockout_alarms
        why = np.where(verdict.rejected, Reason.IMPOSSIBLE, 0)
        why = np.where(locked, Reason.LOCKED_OUT, why) | Reason.FALLBACK
        return np.where(rung >= 0, why, 0).astype(np.int16)

    def _note(
        self,
        row: int,
        rung: int,
        verdict: supervisor.Verdict,
        memory: supervisor.Memory,
        observations: np.ndarray,
        hour: float,
        i: int,
    ) -> Note:
        """Say who acts now, and why: the feature that is most off, and by how much."""
        how, score = self._how, float(verdict.score[i])
        old = int(self._rung[row])
        details = {
            "policy": self._policy,
            "prosumer": self._names[row],
            "acted": POLICY if old < 0 else LADDER[old],
            "acts": POLICY if rung < 0 else LADDER[rung],
            "why": _why(how, verdict, i, rung),
            "alarms_today": int(verdict.alarms[i]),
            "score": round(score, 3) if np.isfinite(score) else None,
            "threshold": round(how.statistics.threshold, 3),
        }
        if rung >= 0:
            details["most_off"] = supervisor.most_off(
                how.statistics, observations[i], memory.run[i], hour
            )
        return Note("supervisor", details)


def _why(how: Supervised, verdict: supervisor.Verdict, i: int, rung: int) -> str:
    if rung < 0:
        return "calm"
    if verdict.alarms[i] >= how.lockout_alarms:
        return "locked out"
    return "impossible observation" if verdict.rejected[i] else "alarm"


def stand_in(
    how: Supervised, view: View, rows: np.ndarray, rung: np.ndarray, interval: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return battery power [kW] of the rows under a rung >= 0, and who sends no order.

    Where the rule's own inputs are not finite the battery idles.
    """
    seen = encode(view, how.rule.features, rows)
    usable = np.isfinite(seen).all(-1)
    draws = np.zeros((len(rows), how.rule.draws))
    context = PolicyContext(rows, interval, view.interval_h, draws)
    power, _ = how.rule.act(np.where(usable[:, None], seen, 0.0), context, None)
    ruled = usable & (rung == LADDER.index("self_consumption"))
    return np.where(ruled, power[:, 0], 0.0), rung == LADDER.index("grid_only")
