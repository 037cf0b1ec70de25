"""What calibrating takes from which days, and what its report counts, on days made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import t as student

from agents.self_consumption import SelfConsumption
from cosim.errors import InputError
from cosim.oversight import Oversight, Supervised
from cosim.safety.calibrate import calibration
from cosim.safety.fit import (
    Observed,
    all_scores,
    calibrated,
    fitted,
    persistent,
    standing,
)
from cosim.safety.report import Detection, detections, false_alarms
from cosim.safety.value import Outcome
from cosim.safety.worth import _worth, held_out, value_table
from cosim.supervisor import Statistics
from cosim.training.days import Kind

FEATURE = ("forecast_net_kw",)
STEPS = 24


def observed(values: np.ndarray) -> Observed:
    """Return days of one feature ``[days, steps, rows]``, from midnight on."""
    days, steps, _ = values.shape
    hours = np.tile(np.arange(steps) * 24.0 / steps, (days, 1))
    return Observed(FEATURE, values[..., None], hours, np.arange(days))


def plain(threshold: float, k: int = 1, m: int = 1) -> Statistics:
    """Return statistics whose score is the square of the one feature."""
    one = np.ones((1, 1))
    return Statistics(
        FEATURE, 0.0 * one, one[None], np.inf * one, 0.0, threshold, k, m, hysteresis=0.5
    )


# ------------------------------------------------------------------ which days are for what

#: 40 days: 10 of each kind, NEITHER included
PART = np.arange(40) % 4


def noise() -> np.ndarray:
    """Return 40 days of two prosumers, in general position."""
    return np.random.default_rng(5).normal(5.0, 1.0, (40, STEPS, 2))


def calibrated_with(kind: Kind, factor: float) -> dict[str, object]:
    """Return what calibrating writes if the days of one kind are ``factor`` times as large."""
    values = noise() * np.where(kind == PART, factor, 1.0)[:, None, None]
    found = calibration(observed(values), PART, 3600, blocks=1, alarm_rate=0.2)
    return found.supervision.model_dump()


@pytest.mark.parametrize("kind", [Kind.TEST, Kind.NEITHER])
def test_held_out_days_leave_no_trace_in_what_is_written(kind: Kind) -> None:
    assert calibrated_with(kind, 50.0) == calibrated_with(kind, 1.0)


def test_days_of_calibration_set_the_threshold_and_nothing_else() -> None:
    one, other = calibrated_with(Kind.CALIBRATE, 1.0), calibrated_with(Kind.CALIBRATE, 50.0)
    assert {name for name in one if one[name] != other[name]} == {"threshold_day"}
    assert one["calibration_days"] == 10


def test_the_fit_is_that_of_the_days_a_learner_may_see() -> None:
    found = calibration(observed(noise()), PART, 3600, blocks=1, alarm_rate=0.2)
    expected = noise()[PART == Kind.TRAIN].mean()
    assert found.supervision.statistics().mean[0, 0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("spread", "hit"), [(10.0, 10), (0.1, 0)])
def test_false_alarms_are_counted_on_the_test_days(spread: float, hit: int) -> None:
    """All of them if they scatter ten times as much as others, none if a tenth as much."""
    values = 5.0 + (noise() - 5.0) * np.where(PART == Kind.TEST, spread, 1.0)[:, None, None]
    found = calibration(observed(values), PART, 3600, blocks=1, alarm_rate=0.2).false_alarms
    assert (found.hit, found.of) == (hit, 10)


# ------------------------------------------------------------------ threshold and standstill


@pytest.mark.parametrize(
    ("days", "rate", "rank"),
    [(19, 0.05, 19), (19, 0.1, 18), (19, 0.25, 15), (20, 0.05, 20), (4, 0.5, 3), (99, 0.05, 95)],
)
def test_the_threshold_is_the_score_of_the_conformal_rank(
    days: int, rate: float, rank: int
) -> None:
    """The ``ceil((n + 1) (1 - rate))``-th least of the day scores 1, 4, 9, ..., in any order."""
    values = np.zeros((days, STEPS, 1))
    values[:, 7, 0] = np.random.default_rng(1).permutation(np.arange(1.0, days + 1))
    seen = observed(values)
    found = calibrated(plain(np.inf), seen, rate)
    assert found.threshold == rank**2
    assert false_alarms(found, seen).hit == days - rank


def test_a_rank_beyond_the_last_day_is_refused() -> None:
    with pytest.raises(InputError, match="18 calibration days are too few"):
        calibrated(plain(np.inf), observed(np.ones((18, STEPS, 1))), 0.05)


def test_a_standstill_scores_like_an_unusual_day_times_its_length() -> None:
    """Even at the mean, where the distance is 0: the score of the 95 % day for each interval."""
    values = np.random.default_rng(2).normal(5.0, 1.0, (40, STEPS, 2))
    found = fitted(observed(values), blocks=1, k=1, m=1)
    mean, precision = found.mean[0, 0], found.precision[0, 0, 0]
    usual = np.sort(((values - mean) ** 2 * precision).max((1, 2)))
    assert found.run_score == pytest.approx(usual[38], rel=1e-12)
    assert found.longest_run.tolist() == [[1.0]]
    frozen = all_scores(found, observed(np.full((1, STEPS, 1), mean)))[0, :, 0]
    length = np.arange(1, STEPS + 1)
    np.testing.assert_allclose(frozen, np.where(length > 1, found.run_score * length, 0.0))


# ------------------------------------------------------------------ what counts as seen


def from_noon(values: np.ndarray, change: np.ndarray) -> Detection:
    """Return how a change ``[days, 12, rows]`` of the afternoons is seen, at a threshold of 50."""

    def shift(seen: np.ndarray, features: tuple[str, ...]) -> np.ndarray:
        result = seen.copy()
        result[:, STEPS // 2 :, :, 0] += change
        return result

    return detections(plain(50.0), observed(values), {"made up": shift})[0]


def test_an_alarm_before_the_shift_is_no_detection() -> None:
    values = np.zeros((3, STEPS, 2))
    values[:, 2] = 10.0  # an alarm of everybody, long before noon
    assert false_alarms(plain(50.0), observed(values)).hit == 3
    found = from_noon(values, np.ones((3, STEPS // 2, 2)))
    assert (found.days.hit, found.days.of, found.prosumers) == (0, 3, 0.0)
    assert np.isnan(found.delay_h) and np.isnan(found.slow_h)


def test_delay_counts_from_the_begin_of_the_shift() -> None:
    """Seen 2 h and 4 h after noon, by one of two prosumers each; unseen on the third day."""
    values = np.zeros((3, STEPS, 2))
    values[:, 2] = 10.0
    change = np.ones((3, STEPS // 2, 2))
    change[0, 2, 0] = change[1, 4, 1] = 10.0
    found = from_noon(values, change)
    assert (found.days.hit, found.days.of) == (2, 3)
    assert found.delay_h == pytest.approx(3.0, abs=1e-12)
    assert found.slow_h == pytest.approx(3.9, abs=1e-12)
    assert found.prosumers == pytest.approx(2 / 6)


# ------------------------------------------------------------------ who is away


def test_who_is_present_is_remembered_and_who_is_absent_stands_still() -> None:
    """Two intervals above the threshold of one's own make an alarm, others away or not."""
    how = Supervised(plain(50.0, k=2, m=2), "self_consumption", 9, SelfConsumption())
    oversight = Oversight(how, "rule", ("a", "b", "c"))

    def rung(here: list[int], value: float = 10.0) -> list[int]:
        seen = np.full((len(here), 1), value)
        return oversight.look(seen, 12.0, 0, np.array(here)).rung.tolist()

    assert rung([0, 2]) == [-1, -1]
    assert rung([0]) == [0]
    assert rung([1, 2]) == [-1, 0]  # the second of c's own, the first of b's
    assert rung([0, 1, 2], 0.0) == [0, -1, 0]
    everybody = oversight.look(np.zeros((3, 1)), 12.0, 0, slice(None))
    assert everybody.rung.tolist() == [-1, -1, -1]
    assert [note.details["prosumer"] for note in everybody.notes] == ["a", "c"]


# ------------------------------------------------------------------ what it is worth


@pytest.mark.parametrize("days", [4, 6])
def test_what_a_supervisor_saves_has_an_interval_where_there_are_days_for_one(
    days: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cost and time with a broken limit, paired by day; fewer than five days say nothing."""
    spread = np.arange(days, dtype=float)

    def made_up(*_: object, supervised: bool, **__: object) -> Outcome:
        help_ = 3.0 + spread if supervised else 0.0 * spread
        return Outcome(10.0 + spread - help_, 60.0 + 0.0 * spread - 2.0 * help_, 0.5 + 0.0 * spread)

    monkeypatch.setattr("cosim.safety.worth.outcome", made_up)
    found = _worth(None, "rule", range(days), "made up", None, 0)  # type: ignore[arg-type]
    mean = 3.0 + spread.mean()
    assert (found.saved_eur.value, found.saved_min.value) == (mean, 2.0 * mean)
    assert found.cost_eur[0] - found.cost_eur[1] == pytest.approx(mean)
    line = value_table([found], days).splitlines()[2]
    if days < 5:
        assert line.count("(n/a)") == 2
        return
    half = student.ppf(0.975, days - 1) * spread.std(ddof=1) / np.sqrt(days)
    assert found.saved_eur.low == pytest.approx(mean - half, abs=0.35 * half)
    assert found.saved_eur.high == pytest.approx(mean + half, abs=0.35 * half)
    assert f"{mean:.2f} ({found.saved_eur.low:.2f} to {found.saved_eur.high:.2f})" in line
    assert f"{2.0 * mean:.1f} ({found.saved_min.low:.1f} to {found.saved_min.high:.1f})" in line


def test_what_stands_starts_anew_at_civil_midnight() -> None:
    """In summer 24 h of a run end an hour after it; clocks set back make no new day."""
    values = np.full((3, STEPS, 1), 5.0)
    summer = (np.arange(STEPS) + 1.0) % 24.0
    october = np.concatenate((np.arange(3.0), [2.0], np.arange(3.0, 23.0)))
    hours = np.stack((np.arange(STEPS) * 1.0, summer, october))
    seen = Observed(FEATURE, values[..., None], hours, np.arange(3))
    runs = standing(seen)[:, :, 0, 0]
    assert runs[0].tolist() == runs[2].tolist() == list(range(1, 25))
    assert runs[1].tolist() == [*range(1, 24), 1]
    seen.observations.setflags(write=True)
    seen.observations[:, -2:] = 10.0  # two of the last two are above, if they are of one day
    kept = persistent(plain(50.0, k=2, m=2), seen)[:, -1, 0]
    assert (kept > 50.0).tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("days", "count", "expected"),
    [(None, 3, [2, 6, 14]), (None, 1, [2]), ([10, 6, 7, 10, 99], 2, [6, 10])],
)
def test_the_value_is_taken_on_test_days_alone(
    days: list[int] | None, count: int, expected: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Evenly from them; no day of training or calibration, and none beyond the last."""
    part = np.array([Kind.TRAIN, Kind.CALIBRATE, Kind.TEST, Kind.NEITHER] * 5)
    monkeypatch.setattr("cosim.safety.worth.kinds", lambda case: part)
    case: Any = None
    assert held_out(case, days, count) == expected
    with pytest.raises(InputError, match="of the 2 that are held out"):
        held_out(case, [0, 1, 2, 3, 6], 3)
