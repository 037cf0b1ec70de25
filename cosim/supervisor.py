"""The supervisor: does a policy see what it knows, and what is done where it does not.

Per prosumer and interval: are the observations finite and within what their features can be; how
far are they from those of the calibration, in the same part of the day; have they stood still for
longer than ever. An alarm needs ``k`` of the last ``m`` intervals above the threshold, which is a
conformal quantile over whole *days*: days are the exchangeable unit, intervals are not. Everything
begins anew each civil day, as it did in the calibration.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from cosim.arrays import freeze
from cosim.observe import FEATURES

#: what stands in for a policy, mildest first
LADDER = ("self_consumption", "idle", "grid_only")


@dataclass(frozen=True, eq=False)
class Statistics:
    """What observations look like; ``d`` features, ``B`` equal parts of the civil day.

    ``longest_run`` is the longest time a feature stood still in the calibration's days, in
    intervals and by the part of the day it lasted to; a run that much longer than it scores
    ``run_score`` times their ratio. Scores are squared Mahalanobis distances [-].
    """

    features: tuple[str, ...]
    mean: np.ndarray  # [B, d]
    precision: np.ndarray  # [B, d, d]
    longest_run: np.ndarray  # [B, d]
    run_score: float
    threshold: float
    k: int
    m: int
    hysteresis: float  # an alarm ends when all of the last m scores are below this share

    def __post_init__(self) -> None:
        freeze(self)

    def block(self, hour: float) -> int:
        """Return the part of the day of a civil hour."""
        return int(hour * len(self.mean) / 24.0) % len(self.mean)


@dataclass(frozen=True, eq=False)
class Memory:
    """What judging remembers of each prosumer, ``[r]`` rows; NaN: no interval yet."""

    recent: np.ndarray  # [r, m] last scores, oldest first
    last: np.ndarray  # [r, d] last observation
    run: np.ndarray  # [r, d] intervals for which it has stood
    alarm: np.ndarray  # bool [r]
    alarms: np.ndarray  # [r] alarms begun today
    day: np.ndarray  # [r] the day they belong to

    def __post_init__(self) -> None:
        freeze(self)

    def taken(self, rows: np.ndarray | slice) -> Memory:
        """Return the memory of some of the prosumers."""
        return Memory(**{name: value[rows] for name, value in vars(self).items()})

    def put(self, rows: np.ndarray | slice, part: Memory) -> Memory:
        """Return the memory with that of some prosumers replaced."""
        values = {name: value.copy() for name, value in vars(self).items()}
        for name, value in vars(part).items():
            values[name][rows] = value
        return Memory(**values)


@dataclass(frozen=True, eq=False)
class Verdict:
    """What was found in one interval, ``[r]`` rows."""

    rejected: np.ndarray  # bool: not finite, or outside what a feature can be
    score: np.ndarray  # infinite where rejected
    alarm: np.ndarray  # bool: under alarm after this interval
    begun: np.ndarray  # bool: since this interval
    alarms: np.ndarray  # alarms begun today

    def __post_init__(self) -> None:
        freeze(self)


def fresh(statistics: Statistics, rows: int) -> Memory:
    """Return the memory before the first interval."""
    d = len(statistics.features)
    return Memory(
        np.full((rows, statistics.m), np.nan),
        np.full((rows, d), np.nan),
        np.zeros((rows, d)),
        np.zeros(rows, dtype=bool),
        np.zeros(rows, dtype=np.int64),
        np.full(rows, -1, dtype=np.int64),
    )


def judge(
    statistics: Statistics, observations: np.ndarray, hour: float, day: int, memory: Memory
) -> tuple[Verdict, Memory]:
    """Judge observations ``[r, d]`` of the interval at a civil hour of a day; see the module."""
    memory = _of_today(memory, day)
    rejected = _rejected(statistics.features, observations)
    run = stood(observations, memory.last, memory.run)
    score = scores(statistics, observations, run, statistics.block(hour))
    score = np.where(rejected, np.inf, score)
    recent = np.concatenate((memory.recent[:, 1:], score[:, None]), axis=1)
    over = (recent > statistics.threshold).sum(1) >= statistics.k
    calm = (recent <= statistics.hysteresis * statistics.threshold).all(1)
    alarm = over | (memory.alarm & ~calm)
    begun = alarm & ~memory.alarm
    alarms = memory.alarms + begun
    after = Memory(recent, np.array(observations), run, alarm, alarms, memory.day)
    return Verdict(rejected, score, alarm, begun, alarms), after


def stood(now: np.ndarray, before: np.ndarray, run: np.ndarray) -> np.ndarray:
    """Return for how many intervals values have stood; 0 does not count: PV may be 0 for days."""
    return np.where((now == before) & (now != 0.0), run + 1.0, 1.0)


def scores(
    statistics: Statistics, observations: np.ndarray, run: np.ndarray, block: int
) -> np.ndarray:
    """Return the score of observations ``[..., d]``, NaN where they are not finite."""
    from cosim.compiled import squared_distance

    with np.errstate(invalid="ignore"):  # infinities are rejected by whoever asks
        distance = squared_distance(
            observations, statistics.mean[block], statistics.precision[block]
        )
    longer = (run / statistics.longest_run[block]).max(-1)
    frozen = np.where(longer > 1.0, statistics.run_score * longer, 0.0)
    return np.asarray(np.maximum(distance, frozen))


def most_off(statistics: Statistics, observation: np.ndarray, run: np.ndarray, hour: float) -> str:
    """Return the feature that makes a row's score: the one that contributes most to it."""
    block = statistics.block(hour)
    impossible = _impossible(statistics.features, observation)
    if impossible.any():
        return statistics.features[int(impossible.argmax())]
    delta = observation - statistics.mean[block]
    share = delta * (statistics.precision[block] @ delta)
    longer = run / statistics.longest_run[block]
    frozen = np.where(longer > 1.0, statistics.run_score * longer, 0.0)
    return statistics.features[int(np.maximum(share, frozen).argmax())]


def usual(statistics: Statistics, observations: np.ndarray, hour: float) -> np.ndarray:
    """Return observations whose impossible entries are the calibration's means."""
    wrong = _impossible(statistics.features, observations)
    return np.where(wrong, statistics.mean[statistics.block(hour)], observations)


def rungs(verdict: Verdict, first: str, lockout_alarms: int) -> np.ndarray:
    """Return what stands in for the policy ``[r]``: -1 the policy itself, else a rung of LADDER.

    Each further alarm of a day goes one rung down; from the ``lockout_alarms``-th on, the last
    rung holds until the day ends, alarm or not.
    """
    start = LADDER.index(first)
    locked = verdict.alarms >= lockout_alarms
    deeper = np.minimum(start + np.maximum(verdict.alarms - 1, 0), len(LADDER) - 1)
    rung = np.where(verdict.alarm | verdict.rejected, deeper, -1)
    return np.where(locked, len(LADDER) - 1, rung)


def _of_today(memory: Memory, day: int) -> Memory:
    """Return the memory at an interval of a day; of the day before only the alarm is left."""
    new = memory.day != day
    if not new.any():
        return memory
    return replace(
        memory,
        recent=np.where(new[:, None], np.nan, memory.recent),
        last=np.where(new[:, None], np.nan, memory.last),
        run=np.where(new[:, None], 0.0, memory.run),
        alarms=np.where(new, 0, memory.alarms),
        day=np.full(len(new), day, dtype=np.int64),
    )


#: rounding that takes an observation out of its range by so much is no fault
SLACK = 1e-9


@lru_cache(maxsize=64)
def _ranges(features: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return what features can be at least and at most, finite."""
    largest = np.finfo(float).max
    low = np.array([max(FEATURES[name].low - SLACK, -largest) for name in features])
    high = np.array([min(FEATURES[name].high + SLACK, largest) for name in features])
    return low, high


def _impossible(features: tuple[str, ...], observations: np.ndarray) -> np.ndarray:
    low, high = _ranges(features)
    return np.asarray(~((observations >= low) & (observations <= high)))  # NaN is impossible


def _rejected(features: tuple[str, ...], observations: np.ndarray) -> np.ndarray:
    return np.asarray(_impossible(features, observations).any(-1))
