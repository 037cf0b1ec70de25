"""Periods by month, weekday and holiday; two- and three-period tariffs at their borders."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cosim.errors import InputError
from cosim.periods import calendar_of, holds
from cosim.population import Population, Tariffs
from cosim.scenario import load_scenario
from cosim.tariff_sections import Period, Tariff
from cosim.tariffs import tariffs_of
from cosim.timegrid import TimeGrid

BERLIN = ZoneInfo("Europe/Berlin")
MONDAY, SPRING, AUTUMN = "2016-01-18", "2016-03-27", "2016-10-30"
PAGE = Path(__file__).parent.parent / "docs" / "scenarios.md"
PEAK, FLAT, VALLEY = 0.21, 0.14, 0.10


def documented(words: str) -> dict[str, Any]:
    """Return the tariff shown on the page after some words; dates as text, as YAML 1.2 reads."""
    after = PAGE.read_text(encoding="utf-8").partition(words)[2]
    block = after.partition("```yaml\n")[2].partition("```")[0]
    tariff = yaml.safe_load(block)["tariff"]
    return json.loads(json.dumps(tariff, default=str))


TWO_PERIODS = documented("A tariff of two periods:")
THREE_PERIODS = documented("A tariff of three periods,")
Priced = Callable[..., Tariffs]


@pytest.fixture
def priced(village: Any, population_of: Callable[..., Population]) -> Priced:
    """Return a function that makes the prices of one participant."""

    def make(tariff: dict[str, Any], start: str, days: int = 1, minutes: int = 15) -> Tariffs:
        time = {"start": start, "days": days, "interval_minutes": minutes}
        groups = {"all": {"members": "all", "policy": "rule"}}
        keys = {"groups": groups, "policies": {"rule": "passive"}, "tariff": tariff}
        scenario = load_scenario(village.write(time=time, **keys)).scenario
        return tariffs_of(scenario, population_of(1), scenario.grid())

    return make


def clock(start: str, days: int, minutes: int = 15) -> list[datetime]:
    """Return the civil times of a run's intervals, counted in UTC."""
    begin = datetime.fromisoformat(start).replace(tzinfo=BERLIN).astimezone(UTC)
    steps = days * 1440 // minutes
    return [(begin + timedelta(minutes=minutes * k)).astimezone(BERLIN) for k in range(steps)]


def three_period_price(time: datetime) -> float:
    """Return the price by the words of the tariff, not by its periods."""
    free = time.strftime("%Y-%m-%d") in THREE_PERIODS["holidays"]
    if time.weekday() >= 5 or free or time.hour < 8:
        return VALLEY
    return PEAK if 10 <= time.hour < 14 or 18 <= time.hour < 22 else FLAT


@pytest.mark.parametrize("start", [MONDAY, SPRING, AUTUMN])
def test_the_two_period_tariff(priced: Priced, start: str) -> None:
    tariffs = priced(TWO_PERIODS, start)
    wanted = [0.50 if 17 <= time.hour < 21 else 0.20 for time in clock(start, 1)]
    assert tariffs.retail_eur_per_kwh[:, 0].tolist() == wanted
    assert (tariffs.feed_in_eur_per_kwh == 0.10).all()


def test_the_two_period_tariff_at_its_borders(priced: Priced) -> None:
    retail = priced(TWO_PERIODS, MONDAY).retail_eur_per_kwh[:, 0]
    assert retail[[67, 68, 83, 84]].tolist() == [0.20, 0.50, 0.50, 0.20]  # 16:45 17 20:45 21


@pytest.mark.parametrize(
    ("start", "days"),
    [(MONDAY, 7), ("2016-01-04", 7), ("2016-03-25", 4), ("2016-10-28", 4), ("2016-10-10", 4)],
)
def test_the_three_period_tariff(priced: Priced, start: str, days: int) -> None:
    """Weekends, holidays on weekdays, and the weekends on which clocks change."""
    found = priced(THREE_PERIODS, start, days).retail_eur_per_kwh[:, 0]
    assert found.tolist() == [three_period_price(time) for time in clock(start, days)]


def test_the_three_period_tariff_at_its_borders(priced: Priced) -> None:
    retail = priced(THREE_PERIODS, MONDAY, minutes=60).retail_eur_per_kwh[:, 0]
    steps = {h: (retail[h - 1], retail[h]) for h in range(1, 24) if retail[h - 1] != retail[h]}
    assert steps == {
        8: (VALLEY, FLAT),
        10: (FLAT, PEAK),
        14: (PEAK, FLAT),
        18: (FLAT, PEAK),
        22: (PEAK, FLAT),
    }


@pytest.mark.parametrize(
    ("months", "numbers"),
    [
        ([1, 2], {1, 2}),
        (["jul"], {7}),
        (["Nov-Mar"], {11, 12, 1, 2, 3}),
        (["4-6", 9], {4, 5, 6, 9}),
        (["dec-dec"], {12}),
        (["jan-dec"], set(range(1, 13))),
    ],
)
def test_months_by_number_name_and_span(months: list[Any], numbers: set[int]) -> None:
    period = Period.model_validate({"hours": [0, 24], "months": months})
    start = datetime(2016, 1, 1, tzinfo=BERLIN).astimezone(UTC)
    grid = TimeGrid(start, 3600, 366 * 24, 60, BERLIN)
    inside = holds(period, calendar_of(grid))
    shown = {time.month for time, held in zip(clock("2016-01-01", 366, 60), inside, strict=True)
             if held}  # fmt: skip
    assert shown == numbers
    assert inside.sum() == sum(time.month in numbers for time in clock("2016-01-01", 366, 60))


def test_months_turn_at_civil_midnight(priced: Priced) -> None:
    summer = {"hours": [0, 24], "months": ["jul-aug"], "retail_eur_per_kwh": 0.4}
    tariff = TWO_PERIODS | {"periods": [summer]}
    retail = priced(tariff, "2016-06-30 22:00", minutes=60).retail_eur_per_kwh[:, 0]
    assert retail.tolist() == [0.20, 0.20, *[0.4] * 22]


def test_holidays_are_sundays_from_midnight_to_midnight(priced: Priced) -> None:
    """A Wednesday: neither a weekday nor the Wednesday of a list."""
    wednesday = {"hours": [0, 24], "days": ["wed"], "retail_eur_per_kwh": 0.3}
    sunday = {"hours": [0, 24], "days": ["sun"], "retail_eur_per_kwh": 0.4}
    tariff = TWO_PERIODS | {"periods": [wednesday, sunday]}
    for holidays, inside in (([], 0.3), (["2016-01-20"], 0.4)):
        run = priced(tariff | {"holidays": holidays}, "2016-01-19 23:00", minutes=60, days=2)
        retail = run.retail_eur_per_kwh[:, 0]
        assert retail.tolist() == [0.20, *[inside] * 24, *[0.20] * 23]


@given(
    st.sets(st.integers(1, 12), min_size=1),
    st.sets(st.sampled_from(["mon", "tue", "wed", "thu", "fri", "sat", "sun"]), min_size=1),
    st.sets(st.dates(date(2016, 3, 20), date(2016, 4, 10)), max_size=5),
    st.tuples(st.integers(0, 24), st.integers(0, 24)).filter(lambda hours: hours[0] != hours[1]),
)
def test_any_calendar_is_that_of_the_standard_library(
    months: set[int], days: set[str], holidays: set[date], hours: tuple[int, int]
) -> None:
    keys = {"hours": list(hours), "months": sorted(months), "days": sorted(days)}
    grid = TimeGrid(datetime(2016, 3, 25, tzinfo=BERLIN).astimezone(UTC), 3600, 240, 60, BERLIN)
    found = holds(Period.model_validate(keys), calendar_of(grid, holidays))
    for time, held in zip(clock("2016-03-25", 10, 60), found, strict=True):
        name = "sun" if time.date() in holidays else time.strftime("%a").lower()
        begin, end = hours
        late = begin <= time.hour < end if begin < end else not end <= time.hour < begin
        assert held == (late and name in days and time.month in months)


# ---------------------------------------------------------------- network charges


def test_a_period_of_the_network_charge_leaves_the_suppliers_prices(priced: Priced) -> None:
    """And those of the supplier leave the network charge."""
    periods = [
        {"hours": [17, 21], "retail_eur_per_kwh": 0.50},
        {"hours": [18, 20], "network_eur_per_kwh": 0.15},
        {"hours": [19, 22], "feed_in_eur_per_kwh": 0.04},
    ]
    tariffs = priced(
        {"periods": periods, "network_eur_per_kwh": 0.08, "taxes_eur_per_kwh": 0.05}
        | {"retail_eur_per_kwh": 0.20},
        MONDAY,
        minutes=60,
    )
    hours = np.arange(24)
    retail, feed_in = tariffs.retail_eur_per_kwh[:, 0], tariffs.feed_in_eur_per_kwh[:, 0]
    assert np.flatnonzero(retail == 0.50).tolist() == [17, 18]  # the last period wins at 19
    assert np.flatnonzero(feed_in == 0.04).tolist() == [19, 20, 21]
    network = np.where((hours >= 18) & (hours < 20), 0.15, 0.08)
    assert np.array_equal(tariffs.network_eur_per_kwh[:, 0], network)
    assert (tariffs.taxes_eur_per_kwh == 0.05).all()


# ---------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("period", "fragments"),
    [
        ({"months": [0]}, ["must be a month", "got 0"]),
        ({"months": [13]}, ["must be a month", "got 13"]),
        ({"months": ["june"]}, ["must be a month", "'june'"]),
        ({"months": ["jan-feb-mar"]}, ["must be a month"]),
        ({"months": [True]}, ["must be a month"]),
        ({"months": [1.5]}, ["must be a month"]),
        ({"months": []}, ["at least 1 items"]),
        ({"months": "jan"}, ["must be a list"]),
        ({"days": ["monday"]}, ["'mon'", "monday"]),
        ({"days": []}, ["at least 1 items"]),
        ({"days": "weekday"}, ["weekdays"]),
        ({"network_eur_per_kwh": -0.1}, ["at least 0"]),
    ],
)
def test_a_wrong_calendar_is_refused(village: Any, period: Any, fragments: list[str]) -> None:
    tariff = TWO_PERIODS | {"periods": [{"hours": [0, 6]} | period]}
    with pytest.raises(InputError) as caught:
        load_scenario(village.write(tariff=tariff))
    for fragment in fragments:
        assert fragment in str(caught.value)


@pytest.mark.parametrize("holiday", ["2016-02-30", "25.12.2016", 20161225, "1600-01-01", True])
def test_a_wrong_holiday_is_refused(village: Any, holiday: Any) -> None:
    with pytest.raises(InputError, match=r"must be a date|outside the years"):
        load_scenario(village.write(tariff=TWO_PERIODS | {"holidays": [holiday]}))


def test_a_tariff_without_new_keys_has_none_of_their_effects() -> None:
    tariff = Tariff()
    assert (tariff.network_eur_per_kwh, tariff.taxes_eur_per_kwh) == (0.0, 0.0)
    assert (tariff.network_local_share, tariff.taxes_local_share) == (1.0, 1.0)
    assert tariff.demand_eur_per_kw_month == 0.0 and tariff.day_ahead is None
    assert tariff.holidays == ()
