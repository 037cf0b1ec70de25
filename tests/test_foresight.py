"""Nobody sees the future: what lies beyond a named forecast moves no bit of an observation.

A spy sits at the desk of a real simulation and notes every feature of every interval. Then the
world is changed from some row on, and all that was seen before must be the same, bit for bit;
the change must show as soon as it may, or the test would prove nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydantic import PrivateAttr

from cosim.case import Case
from cosim.observe import AHEAD_H, FEATURES, LAGS
from cosim.policy import Policy, PolicyContext
from cosim.seats import Seat

DiaryOf = Callable[[Case], Any]
INTERVALS, PER_HOUR, HOMES = 48, 2, 10
#: in the dark, in the morning, at noon, in the evening
MOMENTS = (1, 15, 24, 37)
DISTANT = {f"{name}_in_{h}h_eur_per_kwh" for name in ("retail", "feed_in") for h in AHEAD_H}
FORECASTS = ("perfect_interval", "persistence", "noisy")


class Spy(Policy):
    """Asks for every feature, notes what it is told, and reacts to all but distant prices."""

    features = tuple(FEATURES)
    actions = ("battery_kw", "price_eur_per_kwh")

    _seen: np.ndarray = PrivateAttr()

    def model_post_init(self, context: Any) -> None:
        self._seen = np.full((INTERVALS, HOMES, len(FEATURES)), np.nan)

    def act(
        self, observations: np.ndarray, context: PolicyContext, memory: Any
    ) -> tuple[np.ndarray, Any]:
        self._seen[context.interval, context.ids] = observations
        told = dict(zip(FEATURES, observations.T, strict=True))
        near = [told[name] for name in FEATURES if name not in DISTANT]
        mood = np.sin(np.sum(near, axis=0))
        price = told["feed_in_eur_per_kwh"] + 0.1 * (1.0 + mood)
        return np.stack([mood - told["forecast_net_kw"], price], axis=-1), memory


def watched(case: Case, diary_of: DiaryOf) -> tuple[np.ndarray, Any]:
    """Return all observations ``[T, n, d]`` of a case with a spy in every seat; NaN: not asked."""
    spy = Spy()
    kept = diary_of(replace(case, seats=(Seat("spy", spy, np.arange(HOMES)),)))
    return spy._seen, kept


def from_row(values: np.ndarray, row: int, factor: float = 1.37) -> np.ndarray:
    """Return values multiplied from a row on."""
    changed = values.copy()
    changed[row:] = changed[row:] * factor + 0.01
    return changed


def with_profiles(case: Case, row: int) -> Case:
    """Return a case whose load, PV, reactive load and CO2 intensity differ from a row on."""
    columns = {name: from_row(value, row) for name, value in vars(case.profiles).items()}
    return replace(case, profiles=replace(case.profiles, **columns))


def with_tariffs(case: Case, **rows: int) -> Case:
    columns = {f"{name}_eur_per_kwh": row for name, row in rows.items()}
    changed = {name: from_row(getattr(case.tariffs, name), row) for name, row in columns.items()}
    return replace(case, tariffs=replace(case.tariffs, **changed))


def unseen_until(one: tuple[np.ndarray, Any], other: tuple[np.ndarray, Any], last: int) -> None:
    """Observations, guard's outlooks and orders are equal up to and including an interval."""
    assert one[0][: last + 1].tobytes() == other[0][: last + 1].tobytes()
    for a, b in zip(one[1].intervals[: last + 1], other[1].intervals[: last + 1], strict=True):
        pairs = [(a.trade.asked.outlook, b.trade.asked.outlook), (a.trade.orders, b.trade.orders)]
        for first, second in pairs:
            for name, value in vars(first).items():
                assert value.tobytes() == getattr(second, name).tobytes(), name


def columns_changed(one: np.ndarray, other: np.ndarray) -> set[str]:
    """Return the features that differ anywhere in two observations ``[n, d]``."""
    return {
        name
        for j, name in enumerate(FEATURES)
        if not np.array_equal(one[:, j], other[:, j], equal_nan=True)
    }


@pytest.fixture(scope="module", params=FORECASTS)
def told(request: pytest.FixtureRequest, village: Any) -> Case:
    """Return the village under each forecast."""
    return village.case(forecast=request.param)


@pytest.fixture(scope="module")
def plain(told: Case, diary_of: DiaryOf) -> tuple[np.ndarray, Any]:
    return watched(told, diary_of)


@pytest.mark.parametrize("moment", MOMENTS)
def test_weather_and_habits_beyond_the_forecast_are_unseen(
    told: Case, plain: tuple, moment: int, diary_of: DiaryOf
) -> None:
    perfect = told.scenario.forecast.kind() != "persistence"
    first_unknown = moment + 1 if perfect else moment
    unseen_until(plain, watched(with_profiles(told, first_unknown), diary_of), moment)


@pytest.mark.parametrize("moment", MOMENTS)
def test_the_forecast_and_the_past_are_seen(
    told: Case, plain: tuple, moment: int, diary_of: DiaryOf
) -> None:
    perfect = told.scenario.forecast.kind() != "persistence"
    last_known = moment if perfect else moment - 1
    seen, _ = watched(with_profiles(told, last_known), diary_of)
    changed = columns_changed(seen[moment], plain[0][moment])
    assert "forecast_load_kw" in changed
    assert ("measured_load_kw" in changed) == (not perfect)
    later = columns_changed(seen[moment + 1], plain[0][moment + 1])
    assert later >= {"measured_load_kw", "forecast_load_kw", "energy_kwh", "vm_pu"}


@pytest.mark.parametrize("moment", MOMENTS)
def test_prices_not_yet_published_are_unseen(
    told: Case, plain: tuple, moment: int, diary_of: DiaryOf
) -> None:
    ahead = moment + max(AHEAD_H) * PER_HOUR + 1
    if ahead < INTERVALS:
        both = with_tariffs(told, retail=ahead, feed_in=ahead)
        unseen_until(plain, watched(both, diary_of), moment)


@pytest.mark.parametrize("moment", [1, 15, 23])
@pytest.mark.parametrize("hours", AHEAD_H)
@pytest.mark.parametrize("price", ["retail", "feed_in"])
def test_a_published_price_is_seen_at_its_own_distance_only(
    told: Case, plain: tuple, moment: int, hours: int, price: str, diary_of: DiaryOf
) -> None:
    row, column = moment + hours * PER_HOUR, f"{price}_eur_per_kwh"
    values = getattr(told.tariffs, column).copy()
    values[row] += 0.05
    case = replace(told, tariffs=replace(told.tariffs, **{column: values}))
    seen, _ = watched(case, diary_of)
    for k in range(row):
        distances = [h for h in AHEAD_H if k + h * PER_HOUR == row]
        names = {f"{price}_in_{h}h_eur_per_kwh" for h in distances}
        assert columns_changed(seen[k], plain[0][k]) == names
    assert column in columns_changed(seen[row], plain[0][row])


@pytest.mark.parametrize("moment", MOMENTS)
def test_bills_and_clearings_are_seen_when_they_are_made(
    plain: tuple[np.ndarray, Any], moment: int
) -> None:
    """At DECIDE the clearing before is known, and the bill of the delivery before the present."""
    seen, kept = plain
    columns = dict(zip(FEATURES, np.moveaxis(seen[moment], -1, 0), strict=True))
    trades = [interval.trade for interval in kept.intervals]
    assert np.array_equal(columns["last_fill_kwh"], trades[moment - 1].clearing.fills_kwh)
    bill = kept.intervals[moment - 2].bills.bill_eur if moment > 1 else np.zeros(HOMES)
    assert np.array_equal(columns["last_bill_eur"], bill)
    for lag in range(2, LAGS + 1):
        before = trades[moment - lag].clearing if moment >= lag else None
        volume = 0.0 if before is None else before.volume_kwh
        assert (columns[f"volume_{lag}_back_kwh"] == volume).all()
        if before is not None and volume > 0.0:
            middle = (before.buy_price_eur_per_kwh + before.sell_price_eur_per_kwh) / 2
            assert np.allclose(columns[f"price_{lag}_back_eur_per_kwh"], middle, rtol=1e-15)


@pytest.mark.parametrize("moment", MOMENTS)
def test_present_prices_are_seen(told: Case, plain: tuple, moment: int, diary_of: DiaryOf) -> None:
    seen, _ = watched(with_tariffs(told, retail=moment, feed_in=moment), diary_of)
    changed = columns_changed(seen[moment], plain[0][moment])
    assert changed >= {"retail_eur_per_kwh", "feed_in_eur_per_kwh"}


#: two seconds after DECIDE of the interval that begins at 13:30, and at the gate of that interval
HIT_S = 13 * 3600 + 1800 - 57
DISTURBANCES = (
    {"kind": "cold_snap"},
    {"kind": "pv_collapse"},
    {"kind": "price_shock"},
    {"kind": "supply_outage"},
    {"kind": "line_outage", "line": "line3"},
    {"kind": "message_loss", "probability": 1.0},
    {"kind": "stale_prices"},
    {"kind": "frozen_sensor", "sensor": "load_kw"},
    {"kind": "biased_sensor", "sensor": "pv_kw", "offset": 1.0},
    {"kind": "swapped_columns", "features": ["soc", "vm_pu"]},
    {"kind": "spoofed_bids"},
    {"kind": "greedy_neighbours"},
)


@pytest.mark.parametrize("hit", DISTURBANCES, ids=lambda d: d["kind"])
def test_a_disturbance_is_unseen_before_it_begins(
    told: Case, plain: tuple, hit: dict[str, Any], village: Any, diary_of: DiaryOf
) -> None:
    clock = f"2016-07-18 {HIT_S // 3600:02}:{HIT_S // 60 % 60:02}:{HIT_S % 60:02}"
    window = {"start": clock, "end": "2016-07-18 18:00"}
    case = village.case(forecast=told.scenario.forecast.kind(), disturbances=[hit | window])
    last = 27  # whose gates came before it
    assert told.grid.decide_s(last) < HIT_S < told.grid.close_s(last)
    disturbed = watched(case, diary_of)
    if hit["kind"] == "message_loss":  # the orders were under way already
        unseen_until(plain, disturbed, last)
    else:
        assert disturbed[0][: last + 1].tobytes() == plain[0][: last + 1].tobytes()
    assert columns_changed(disturbed[0][last + 2], plain[0][last + 2])
