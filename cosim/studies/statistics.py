"""What paired runs allow to say: robust means, intervals and tests, with periods as the unit.

Values are ``[periods, seeds]``: seeds of one period share its weather and its load, so whole
periods are drawn and flipped, and the seeds go with them. Everything is a function of its inputs
and a seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: of confidence, everywhere
LEVEL = 0.95
#: periods below which no interval is given: resamples of so few say little of what was not seen
LEAST_PERIODS = 5
#: resamples of a bootstrap and flips of a test that is too large to be done exactly
DRAWS = 5000
FLIPS = 20_000
#: largest number of periods whose signs are flipped in every way
_EXACT = 14


@dataclass(frozen=True)
class Estimate:
    """A value with its interval of confidence :data:`LEVEL`; NaN ends where none is given."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Resamples:
    """Periods drawn with replacement within strata, ``rows`` ``[draws, periods]``.

    ``levels`` are the two probabilities whose quantiles bound an interval: those of the expanded
    percentile interval, which gives a bootstrap of few periods the width of Student's t
    (Hesterberg 2015, The American Statistician 69(4), 371-386, doi:10.1080/00031305.2015.1089789).
    """

    rows: np.ndarray
    levels: tuple[float, float]

    def interval(self, value: float, drawn: np.ndarray) -> Estimate:
        """Return an estimate with the interval of what the resamples ``[draws]`` gave."""
        periods = self.rows.shape[1]
        if periods < LEAST_PERIODS or not np.isfinite(drawn).all():
            return Estimate(value, np.nan, np.nan)
        low, high = np.quantile(drawn, self.levels)
        return Estimate(value, float(min(low, value)), float(max(high, value)))

    def mean(self, values: np.ndarray) -> Estimate:
        """Return the mean of ``[periods, seeds]``."""
        means = values.mean(axis=1)
        return self.interval(float(means.mean()), means[self.rows].mean(axis=1))

    def middle(self, values: np.ndarray) -> Estimate:
        """Return the interquartile mean of ``[periods, seeds]``, all runs together."""
        drawn = values[self.rows].reshape(len(self.rows), -1)
        return self.interval(float(interquartile_mean(values.ravel())), interquartile_mean(drawn))

    def share(self, part: np.ndarray, whole: np.ndarray, least: float) -> Estimate:
        """Return the mean of ``part`` by that of ``whole``; NaN where that is below ``least``."""
        parts, wholes = part.mean(axis=1), whole.mean(axis=1)
        if wholes.mean() < least:
            return Estimate(np.nan, np.nan, np.nan)
        divisor = wholes[self.rows].mean(axis=1)
        drawn = parts[self.rows].mean(axis=1) / np.where(divisor < least, np.nan, divisor)
        return self.interval(float(parts.mean() / wholes.mean()), drawn)


def resamples(strata: Sequence[int], seed: int = 0, draws: int = DRAWS) -> Resamples:
    """Return resamples of periods, each stratum keeping its number of them.

    ``strata`` ``[periods]`` says to which each period belongs; where one has fewer than
    :data:`LEAST_PERIODS` periods, all are drawn as one.
    """
    from scipy.special import ndtr, stdtrit

    label = np.asarray(strata)
    _, counts = np.unique(label, return_counts=True)
    if counts.min() < LEAST_PERIODS:
        label = np.zeros_like(label)
    periods, free = len(label), max(len(label) - len(np.unique(label)), 1)
    random = np.random.Generator(np.random.PCG64(seed))
    rows = np.empty((draws, periods), dtype=np.intp)
    for each in np.unique(label):
        own = np.flatnonzero(label == each)
        rows[:, own] = own[random.integers(0, len(own), (draws, len(own)))]
    far = np.sqrt(periods / free) * stdtrit(free, 0.5 + 0.5 * LEVEL)
    tail = float(ndtr(-far))
    return Resamples(rows, (tail, 1.0 - tail))


def interquartile_mean(values: np.ndarray) -> np.ndarray:
    """Return the mean of the middle half along the last axis: a quarter is cut at either end.

    Agarwal et al. (2021), Deep RL at the edge of the statistical precipice, arXiv:2108.13264.
    """
    count = values.shape[-1]
    cut = count // 4
    return np.asarray(np.sort(values, axis=-1)[..., cut : count - cut].mean(axis=-1))


def flip_test(differences: np.ndarray, seed: int = 0) -> float:
    """Return the two-sided p of a paired permutation test of a mean difference, by period.

    ``differences`` is ``[periods, seeds]``. If the two policies were the same, the sign of a
    period's difference would be a coin's. All signs are tried for few periods, else
    :data:`FLIPS` drawn ones and the one observed (Phipson, Smyth 2010, doi:10.2202/1544-6115.1585).
    """
    means = differences.mean(axis=1)
    periods, observed = len(means), abs(means.sum())
    if periods <= _EXACT:
        signs = 1.0 - 2.0 * ((np.arange(2**periods)[:, None] >> np.arange(periods)) & 1)
    else:
        random = np.random.Generator(np.random.PCG64(seed))
        signs = 1.0 - 2.0 * random.integers(0, 2, (FLIPS, periods))
    near = 1e-12 * max(float(np.abs(means).sum()), 1e-300)
    reached = int((np.abs(signs @ means) >= observed - near).sum())
    return reached / len(signs) if periods <= _EXACT else (reached + 1) / (len(signs) + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number (Holm 1979); NaN is left out and stays.

    A step-down of Bonferroni's: valid however the tests depend on each other.
    """
    given = np.array(p_values, dtype=float)
    tested = np.flatnonzero(~np.isnan(given))
    order = tested[np.argsort(given[tested], kind="stable")]
    raised = given[order] * np.arange(len(order), 0, -1)
    given[order] = np.minimum(np.maximum.accumulate(raised), 1.0) if len(order) else raised
    return [float(p) for p in given]
