"""What a supervisor sees: false alarms on held-out days, and detection of a ladder of shifts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cosim.safety.fit import Observed, persistent
from cosim.safety.shifts import Shift, ladder
from cosim.supervisor import Statistics

#: a shift that moves every observation by less than this share of its spread is none
MATERIAL = 1e-3


@dataclass(frozen=True)
class Share:
    """A share of days with the Clopper-Pearson interval at 95 %."""

    hit: int
    of: int
    low: float
    high: float


@dataclass(frozen=True)
class Detection:
    """How a shift is seen: days, delay from its first effect [h], and share of prosumers."""

    shift: str
    days: Share
    delay_h: float  # median over the days on which it was seen; NaN: never
    slow_h: float  # the delay that 95 % of them keep
    prosumers: float  # share of prosumer days with an alarm


def false_alarms(statistics: Statistics, seen: Observed) -> Share:
    """Return the days with an alarm among days on which nothing was wrong."""
    above = persistent(statistics, seen) > statistics.threshold
    alarm = np.asarray(np.any(above, axis=(1, 2)))
    return share_of(int(alarm.sum()), len(alarm))


def detections(
    statistics: Statistics, seen: Observed, shifts: Mapping[str, Shift] | None = None
) -> list[Detection]:
    """Return how each shift of the days is seen; days it does not change are left out."""
    wanted = ladder(seen.features) if shifts is None else shifts
    return [_detection(statistics, seen, name, shift) for name, shift in wanted.items()]


def share_of(hit: int, of: int, level: float = 0.95) -> Share:
    """Return a share and its Clopper-Pearson interval (Biometrika 1934, 26:404)."""
    tail = 0.5 * (1.0 - level)
    low = 0.0 if hit == 0 else _solve(lambda p: _at_least(hit, of, p) - tail)
    high = 1.0 if hit == of else _solve(lambda p: tail - (1.0 - _at_least(hit + 1, of, p)))
    return Share(hit, of, low, high)


def table(alarms: Share, found: list[Detection]) -> str:
    """Return the report as text."""
    lines = [
        f"false alarms on days without fault: {_text(alarms)}",
        "",
        f"{'shift':<55} {'days seen':>30} {'delay h':>8} {'95 % h':>7} {'prosumers':>10}",
    ]
    lines += [
        f"{d.shift:<55} {_text(d.days):>30} {d.delay_h:>8.2f} {d.slow_h:>7.2f} {d.prosumers:>9.0%}"
        for d in found
    ]
    return "\n".join(lines)


def _detection(statistics: Statistics, seen: Observed, name: str, shift: Shift) -> Detection:
    falsified = shift(seen.observations, seen.features)
    unit = seen.observations.std((0, 1, 2))
    size = np.abs(falsified - seen.observations)
    moved = np.any(size > MATERIAL * np.maximum(unit, 1e-9), axis=(2, 3))
    touched = np.asarray(np.any(moved, axis=1))
    first = moved.argmax(1)[touched]
    shifted = Observed(seen.features, falsified, seen.hours, seen.days).some(touched)
    if not touched.any():
        return Detection(name, share_of(0, 0), math.nan, math.nan, 0.0)
    above = persistent(statistics, shifted) > statistics.threshold
    step = np.arange(above.shape[1])
    above &= (step >= first[:, None])[..., None]  # an earlier alarm is none of this shift
    alarm = np.any(above, axis=2)
    hit = np.asarray(np.any(alarm, axis=1))
    delay = (alarm.argmax(1) - first)[hit] * 24.0 / above.shape[1]
    median, slow = np.quantile(delay, (0.5, 0.95)) if len(delay) else (math.nan, math.nan)
    return Detection(
        name,
        share_of(int(hit.sum()), len(hit)),
        float(median),
        float(slow),
        float(above.any(1).mean()),
    )


def _text(share: Share) -> str:
    if not share.of:
        return "changes nothing on these days"
    mean = share.hit / share.of
    return f"{share.hit}/{share.of} = {mean:.1%} ({share.low:.1%}-{share.high:.1%})"


def _at_least(hit: int, of: int, p: float) -> float:
    """Return the probability of at least ``hit`` successes."""
    if p <= 0.0 or p >= 1.0:
        return float(hit <= (0 if p <= 0.0 else of))
    logs = (
        math.lgamma(of + 1) - math.lgamma(i + 1) - math.lgamma(of - i + 1)
        + i * math.log(p) + (of - i) * math.log1p(-p)
        for i in range(hit, of + 1)
    )  # fmt: skip
    return math.fsum(math.exp(log) for log in logs)


def _solve(rising: object) -> float:
    """Return the root in [0, 1] of a rising function, to 1e-12."""
    assert callable(rising)
    low, high = 0.0, 1.0
    while high - low > 1e-12:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if rising(middle) < 0.0 else (low, middle)
    return 0.5 * (low + high)
