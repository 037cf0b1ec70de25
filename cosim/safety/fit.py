"""From observations of many days to the supervisor's statistics.

Days are of two kinds: means, covariances and longest standstills come from the *fitting* days, the
threshold from the *calibration* days, which the fit has not seen. Where both kinds and the days to
come are exchangeable, a new day raises an alarm with a probability of at most ``alarm_rate``
(split conformal prediction, Vovk, Gammerman and Shafer 2005, doi:10.1007/b106715).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from cosim.arrays import freeze
from cosim.errors import InputError, Problem
from cosim.supervisor import Statistics, scores, stood


@dataclass(frozen=True, eq=False)
class Observed:
    """Observations of whole days: ``[days, steps, r, d]``, civil hours ``[days, steps]``."""

    features: tuple[str, ...]
    observations: np.ndarray
    hours: np.ndarray
    days: np.ndarray  # [days], which they were

    def __post_init__(self) -> None:
        freeze(self)

    def some(self, picked: np.ndarray) -> Observed:
        """Return some of the days."""
        return Observed(
            self.features, self.observations[picked], self.hours[picked], self.days[picked]
        )


def fitted(
    seen: Observed, blocks: int = 24, k: int = 3, m: int = 4, hysteresis: float = 0.5
) -> Statistics:
    """Return the statistics of the days, with an infinite threshold."""
    block = _blocks(seen, blocks)
    d = len(seen.features)
    mean, precision = np.empty((blocks, d)), np.empty((blocks, d, d))
    longest = np.full((blocks, d), np.inf)
    runs, scale = standing(seen), _scale(seen.observations)
    for b in range(blocks):
        rows = seen.observations[block == b].reshape(-1, d)
        if len(rows) < 2 * d:
            what = f"{len(rows)} observations in part {b} of {blocks} of the day are too few"
            raise InputError(Problem(what, remedy="calibrate on more days, or on fewer blocks"))
        mean[b], precision[b] = _shrunk(rows, scale)
        longest[b] = runs[block == b].reshape(-1, d).max(0)
    plain = Statistics(seen.features, mean, precision, longest, 0.0, math.inf, k, m, hysteresis)
    usual = np.sort(day_scores(plain, seen))
    return replace(plain, run_score=float(usual[int(0.95 * len(usual))]))


def calibrated(statistics: Statistics, seen: Observed, alarm_rate: float) -> Statistics:
    """Return the statistics with the conformal threshold of the calibration's days.

    Raises InputError where there are too few days for the rate: ``ceil((n + 1) * (1 - rate))``
    must not exceed ``n``.
    """
    worst = np.sort(day_scores(statistics, seen))
    rank = math.ceil((len(worst) + 1) * (1.0 - alarm_rate) - 1e-9)
    if rank > len(worst):
        least = math.ceil(1.0 / alarm_rate - 1.0 - 1e-9)
        what = f"{len(worst)} calibration days are too few for one alarm in {1 / alarm_rate:g} days"
        raise InputError(Problem(what, remedy=f"take at least {least}, or a higher rate"))
    return replace(statistics, threshold=float(worst[rank - 1]))


def day_scores(statistics: Statistics, seen: Observed) -> np.ndarray:
    """Return each day's statistic ``[days]``: the least threshold without an alarm."""
    return np.asarray(persistent(statistics, seen).max((1, 2)))


def persistent(statistics: Statistics, seen: Observed) -> np.ndarray:
    """Return the k-th largest of the last m scores of the civil day ``[days, steps, r]``."""
    found, m, k = all_scores(statistics, seen), statistics.m, statistics.k
    last = np.zeros((*found.shape, m))
    since = _since_midnight(seen.hours)
    for back in range(min(m, found.shape[1])):
        same = (since >= back)[:, back:, None]
        last[:, back:, :, back] = np.where(same, found[:, : found.shape[1] - back], 0.0)
    return np.asarray(np.partition(last, m - k, axis=-1)[..., m - k])


def all_scores(statistics: Statistics, seen: Observed) -> np.ndarray:
    """Return the score of every observation ``[days, steps, r]``."""
    block = _blocks(seen, len(statistics.mean))
    runs = standing(seen)
    result = np.empty(seen.observations.shape[:-1])
    for b in range(len(statistics.mean)):
        at = block == b
        result[at] = scores(statistics, seen.observations[at], runs[at], b)
    return result


def standing(seen: Observed) -> np.ndarray:
    """Return for how many intervals of its civil day each value has stood, itself included."""
    values, since = seen.observations, _since_midnight(seen.hours)
    runs = np.ones(values.shape)
    for step in range(1, values.shape[1]):
        stands = stood(values[:, step], values[:, step - 1], runs[:, step - 1])
        runs[:, step] = np.where((since[:, step] > 0)[:, None, None], stands, 1.0)
    return runs


def _since_midnight(hours: np.ndarray) -> np.ndarray:
    """Return how many intervals of a civil day went before ``[days, steps]``, of those observed.

    Days are 24 h of the run: where clocks were changed since its begin, civil midnight lies within.
    """
    since = np.zeros(hours.shape, dtype=np.intp)
    for step in range(1, hours.shape[1]):
        later = hours[:, step] - hours[:, step - 1] > -12.0  # clocks set back are no midnight
        since[:, step] = np.where(later, since[:, step - 1] + 1, 0)
    return since


def _blocks(seen: Observed, blocks: int) -> np.ndarray:
    return np.asarray((seen.hours * blocks / 24.0).astype(np.intp) % blocks)


def _scale(observations: np.ndarray) -> np.ndarray:
    """Return a unit for each feature ``[d]``: its spread, or a twentieth of a constant."""
    flat = observations.reshape(-1, observations.shape[-1])
    spread, size = flat.std(0), np.abs(flat.mean(0))
    constant = np.where(size > 0.0, 0.05 * size, 1.0)
    return np.where(spread > 1e-9 * np.maximum(size, 1e-3), spread, constant)


def _shrunk(rows: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and precision of rows ``[n, d]``, the covariance shrunk to a multiple of 1.

    Ledoit and Wolf 2004 (doi:10.1016/S0047-259X(03)00096-4), closed form, in units of ``scale``;
    what is constant in a part of the day gets the spread that the shrinkage leaves it.
    """
    n, d = rows.shape
    centre = rows.mean(0)
    x = (rows - centre) / scale
    sample = x.T @ x / n
    level = np.trace(sample) / d
    target = max(level, 1e-6) * np.eye(d)
    spread = ((sample - target) ** 2).sum()
    error = ((x**2).T @ (x**2) / n - sample**2).sum() / n
    share = min(1.0, max(error / spread, 1e-6)) if spread > 0.0 else 1.0
    precision = np.linalg.inv((1.0 - share) * sample + share * target)
    precision = 0.5 * (precision + precision.T) / np.outer(scale, scale)
    return centre, precision
