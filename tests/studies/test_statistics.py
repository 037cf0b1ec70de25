"""Statistics against scipy, examples done by hand, and the coverage they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from cosim.studies.statistics import (
    FLIPS,
    LEAST_PERIODS,
    flip_test,
    holm,
    interquartile_mean,
    resamples,
)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50))
def test_the_interquartile_mean_is_scipys(values: list[float]) -> None:
    expected = stats.trim_mean(values, 0.25)
    assert interquartile_mean(np.array(values)) == pytest.approx(expected, rel=1e-12, abs=1e-6)


def test_the_interquartile_mean_by_hand() -> None:
    values = np.array([100.0, 1.0, 2.0, 3.0, 4.0, 5.0, -70.0, 6.0])  # 2..5 are left
    assert interquartile_mean(values) == 3.5


@pytest.mark.parametrize("periods", [2, 5, 9])
def test_few_periods_are_tested_exactly_as_scipy_does(periods: int) -> None:
    for seed in range(5):
        means = np.random.default_rng(seed).normal(0.5, 1.0, periods)
        found = stats.permutation_test(
            (means,), np.sum, permutation_type="samples", n_resamples=np.inf
        )
        assert flip_test(means[:, None]) == pytest.approx(found.pvalue, abs=1e-12)


def test_many_periods_are_tested_as_scipy_does_up_to_chance() -> None:
    means = np.random.default_rng(3).normal(0.3, 1.0, 40)
    found = stats.permutation_test((means,), np.sum, permutation_type="samples",
                                   n_resamples=FLIPS, rng=np.random.default_rng(1))  # fmt: skip
    spread = math.sqrt(found.pvalue * (1.0 - found.pvalue) / FLIPS)
    assert flip_test(means[:, None]) == pytest.approx(found.pvalue, abs=8.0 * spread)
    assert flip_test(means[:, None]) == flip_test(means[:, None])


def test_no_p_of_drawn_flips_is_zero() -> None:
    """The signs observed count among those drawn (Phipson and Smyth 2010)."""
    assert flip_test(np.full((40, 1), 1.0)) == 1.0 / (FLIPS + 1)
    assert flip_test(np.zeros((40, 1))) == 1.0


def test_signs_by_hand() -> None:
    """All of one sign: only all kept and all flipped reach it, 2 of 16."""
    assert flip_test(np.array([[1.0], [2.0], [3.0], [4.0]])) == 2 / 16
    assert flip_test(np.array([[1.0], [-1.0]])) == 1.0
    assert flip_test(np.zeros((3, 2))) == 1.0
    seeds = np.array([[0.0, 2.0], [1.0, 3.0]])  # only the periods' means 1 and 2 count
    assert flip_test(seeds) == flip_test(np.array([[1.0], [2.0]])) == 0.5


def test_the_test_keeps_its_level() -> None:
    random = np.random.default_rng(8)
    ps = np.array([flip_test(random.normal(0.0, 1.0, (8, 2))) for _ in range(800)])
    for level in (0.05, 0.2):
        share = (ps <= level).mean()
        assert share <= level + 3.0 * math.sqrt(level * (1.0 - level) / len(ps))


def test_holm_by_hand() -> None:
    """0.01 x 4, 0.02 x 3, 0.03 x 2 and never less than before, 0.5 x 1."""
    found = holm([0.03, 0.01, math.nan, 0.5, 0.02])
    assert found[:2] == pytest.approx([0.06, 0.04]) and math.isnan(found[2])
    assert found[3:] == pytest.approx([0.5, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0] and holm([]) == []


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12))
def test_holm_lies_between_the_plain_p_and_bonferronis(ps: list[float]) -> None:
    for p, raised in zip(ps, holm(ps), strict=True):
        assert p <= raised <= min(1.0, p * len(ps)) + 1e-15


def test_percentiles_are_scipys_bootstrap_but_for_the_expansion() -> None:
    values = np.random.default_rng(5).gamma(2.0, 1.0, 60)
    drawn = resamples([0] * 60, seed=1)
    found = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=20_000,
                            rng=np.random.default_rng(2))  # fmt: skip
    mine = values[drawn.rows].mean(axis=1)
    low, high = np.quantile(mine, [0.025, 0.975])
    assert (low, high) == pytest.approx(found.confidence_interval, abs=0.02)
    wide = drawn.mean(values[:, None])
    assert wide.low < low < wide.value < high < wide.high


def test_the_expansion_is_students() -> None:
    """For normal data the interval tends to the t interval of the mean."""
    values = np.random.default_rng(6).normal(0.0, 1.0, 12)
    drawn = resamples([0] * 12, seed=1, draws=40_000)
    found = drawn.mean(values[:, None])
    t = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert found.high - found.low == pytest.approx(t.high - t.low, rel=0.12)


@pytest.mark.parametrize(
    ("periods", "seeds", "skewed"), [(7, 1, False), (7, 3, False), (20, 2, False), (40, 1, True)]
)
def test_intervals_cover_what_they_promise(periods: int, seeds: int, skewed: bool) -> None:
    """Period effects shared by seeds: an interval that took seeds for days would be too short."""
    random, held, times = np.random.default_rng(periods), 0, 600
    for each in range(times):
        shape = (periods, 1)
        day = random.exponential(2.0, shape) - 2.0 if skewed else random.normal(0.0, 2.0, shape)
        values = day + random.normal(0.0, 0.5, (periods, seeds))
        found = resamples([0] * periods, seed=each, draws=600).mean(values)
        held += found.low <= 0.0 <= found.high
    assert 0.90 <= held / times <= 0.985, held / times


def test_strata_keep_their_share() -> None:
    strata = [0] * 6 + [3] * 10
    drawn = resamples(strata, draws=200)
    assert ((drawn.rows < 6).sum(axis=1) == 6).all()
    apart = np.where(np.arange(16) < 6, 100.0, 0.0)[:, None] + np.arange(16)[:, None] * 0.01
    one = resamples([0] * 16, draws=2000)
    assert drawn.mean(apart).high - drawn.mean(apart).low < 0.1
    assert one.mean(apart).high - one.mean(apart).low > 20.0
    few = resamples([0] * 12 + [1] * 4, draws=200)  # too few to be a stratum of their own
    assert len({(row < 12).sum() for row in few.rows}) > 1


def test_too_few_periods_have_no_interval() -> None:
    few = resamples([0] * (LEAST_PERIODS - 1))
    found = few.mean(np.ones((LEAST_PERIODS - 1, 3)))
    assert found.value == 1.0 and math.isnan(found.low) and math.isnan(found.high)


def test_shares_of_small_gaps_are_not_given() -> None:
    drawn = resamples([0] * 6, draws=300)
    part, whole = np.full((6, 1), 3.0), np.full((6, 1), 4.0)
    assert drawn.share(part, whole, 0.01).value == 0.75
    assert math.isnan(drawn.share(part, whole * 1e-4, 0.01).value)
    uneven = np.array([[5.0], [0.0], [0.0], [0.0], [0.0], [0.0]])  # some resamples have no gap
    found = drawn.share(uneven, uneven, 0.01)
    assert found.value == 1.0 and math.isnan(found.low)


def test_all_runs_count_in_the_interquartile_mean() -> None:
    values = np.arange(24.0).reshape(8, 3)
    found = resamples([0] * 8, draws=500).middle(values)
    assert found.value == stats.trim_mean(values.ravel(), 0.25)
    assert found.low < found.value < found.high
