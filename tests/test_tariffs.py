"""Tariffs and CO2 intensities that are known beforehand, hour by civil hour."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cosim.errors import InputError, Problem
from cosim.population import Population, Tariffs
from cosim.scenario import Scenario, load_scenario
from cosim.tariffs import intensity_of, series_of, tariffs_of

MONDAY, SPRING, AUTUMN = "2016-01-18", "2016-03-27", "2016-10-30"
BASE = {"retail_eur_per_kwh": 0.20, "feed_in_eur_per_kwh": 0.10}
GROUPS = {"all": {"members": "all", "policy": "rule"}}

Settled = Callable[..., Scenario]


@pytest.fixture
def settled(village: Any) -> Settled:
    """Return a function that makes a scenario of a start, a length and other keys."""

    def make(start: str = MONDAY, days: int = 1, minutes: int = 60, **changes: Any) -> Scenario:
        time = {"start": start, "days": days, "interval_minutes": minutes}
        keys = {"groups": GROUPS, "policies": {"rule": "passive"}} | changes
        return load_scenario(village.write(time=time, **keys)).scenario

    return make


@pytest.fixture
def priced(settled: Settled, population_of: Callable[..., Population]) -> Callable[..., Tariffs]:
    """Return a function that makes one participant's prices from a tariff's periods."""

    def make(*periods: dict[str, Any], **when: Any) -> Tariffs:
        scenario = settled(tariff=BASE | {"periods": list(periods)}, **when)
        return tariffs_of(scenario, population_of(1), scenario.grid())

    return make


def period(begin: float, end: float, retail: float = 0.5, **keys: Any) -> dict[str, Any]:
    return {"hours": [begin, end], "retail_eur_per_kwh": retail} | keys


def hours_at(tariffs: Tariffs, retail: float, day: int = 0, per_hour: int = 1) -> list[float]:
    """Return the hours since midnight of a day's intervals with a retail price."""
    of_day = tariffs.retail_eur_per_kwh[:, 0].reshape(-1, 24 * per_hour)[day]
    return [float(row) / per_hour for row in np.flatnonzero(of_day == retail)]


# ---------------------------------------------------------------- prices


def test_without_periods_prices_are_constant(priced: Callable[..., Tariffs]) -> None:
    tariffs = priced(days=2)
    assert tariffs.retail_eur_per_kwh.shape == tariffs.feed_in_eur_per_kwh.shape == (48, 1)
    assert (tariffs.retail_eur_per_kwh == 0.20).all()
    assert (tariffs.feed_in_eur_per_kwh == 0.10).all()


def test_a_period_holds_from_its_begin_up_to_its_end(priced: Callable[..., Tariffs]) -> None:
    assert hours_at(priced(period(17, 21)), 0.5) == [17, 18, 19, 20]
    assert hours_at(priced(period(0, 24)), 0.5) == list(range(24))
    assert hours_at(priced(period(23, 24)), 0.5) == [23]
    assert hours_at(priced(period(6.5, 7.5), minutes=30), 0.5, per_hour=2) == [6.5, 7.0]
    assert hours_at(priced(period(6, 6.25), minutes=15), 0.5, per_hour=4) == [6.0]


def test_a_period_over_midnight_holds_on_both_sides_of_it(priced: Callable[..., Tariffs]) -> None:
    tariffs = priced(period(22, 6), days=2)
    for day in (0, 1):
        assert hours_at(tariffs, 0.5, day) == [0, 1, 2, 3, 4, 5, 22, 23]
        assert hours_at(tariffs, 0.20, day) == list(range(6, 22))


@pytest.mark.parametrize(
    ("days", "dear"),
    [("all", range(7)), ("weekdays", (0, 1, 2, 3, 4)), ("weekend", (5, 6))],
)
def test_a_period_holds_on_its_days_of_the_week(
    priced: Callable[..., Tariffs], days: str, dear: Any
) -> None:
    tariffs = priced(period(17, 21, days=days), days=7)
    for day in range(7):  # from a Monday
        assert hours_at(tariffs, 0.5, day) == ([17, 18, 19, 20] if day in dear else [])


def test_days_of_the_week_are_civil_days(priced: Callable[..., Tariffs]) -> None:
    """An hour past midnight in Berlin it is Saturday there, still Friday in UTC."""
    tariffs = priced(period(0, 24, days="weekend"), start="2016-01-22 20:00")
    assert hours_at(tariffs, 0.5) == list(range(4, 24))
    tariffs = priced(period(0, 24, days="weekend"), start="2016-01-24 20:00")
    assert hours_at(tariffs, 0.5) == [0, 1, 2, 3]


def test_the_last_period_that_matches_wins(priced: Callable[..., Tariffs]) -> None:
    wide, narrow = period(6, 22, 0.3), period(17, 21, 0.5)
    tariffs = priced(wide, narrow)
    assert hours_at(tariffs, 0.5) == [17, 18, 19, 20]
    assert hours_at(tariffs, 0.3) == [*range(6, 17), 21]
    tariffs = priced(narrow, wide)
    assert hours_at(tariffs, 0.5) == []
    assert hours_at(tariffs, 0.3) == list(range(6, 22))


def test_what_a_period_leaves_out_is_the_tariffs_own(priced: Callable[..., Tariffs]) -> None:
    """Not that of an earlier period which matches, too."""
    feed_in = {"hours": [18, 19], "feed_in_eur_per_kwh": 0.04}
    tariffs = priced(period(17, 21), feed_in)
    assert hours_at(tariffs, 0.5) == [17, 19, 20]
    assert np.flatnonzero(tariffs.feed_in_eur_per_kwh[:, 0] == 0.04).tolist() == [18]
    assert (np.delete(tariffs.feed_in_eur_per_kwh[:, 0], 18) == 0.10).all()


def test_hours_are_those_of_the_day_wherever_the_run_begins(
    priced: Callable[..., Tariffs],
) -> None:
    tariffs = priced(period(17, 21), start="2016-01-18 15:00")
    assert np.flatnonzero(tariffs.retail_eur_per_kwh[:, 0] == 0.5).tolist() == [2, 3, 4, 5]


@pytest.mark.parametrize(
    ("start", "first", "doubled"),
    [(SPRING, 16, 0), (AUTUMN, 18, 2), (MONDAY, 17, 1)],
)
def test_hours_follow_the_clock_where_it_changes(
    priced: Callable[..., Tariffs], start: str, first: int, doubled: int
) -> None:
    """17:00 comes an hour sooner or later; the hour from 2:00 is left out, or comes twice."""
    tariffs = priced(period(17, 21), start=start, minutes=15)
    assert hours_at(tariffs, 0.5, per_hour=4) == [first + k / 4 for k in range(16)]
    night = priced(period(2, 3), start=start, minutes=15)
    assert hours_at(night, 0.5, per_hour=4) == [2 + k / 4 for k in range(4 * doubled)]


def test_a_groups_own_tariff_replaces_the_scenarios_whole(village: Any) -> None:
    own = {"retail_eur_per_kwh": 0.33, "feed_in_eur_per_kwh": 0.01}
    own["periods"] = [{"hours": [10, 12], "feed_in_eur_per_kwh": 0.02}]
    case = village.case(
        groups={
            "some": {"members": ["b", "d"], "policy": "rule", "tariff": own},
            "rest": {"members": "all", "policy": "passive"},
        }
    )
    retail, feed_in = case.tariffs.retail_eur_per_kwh, case.tariffs.feed_in_eur_per_kwh
    hours = np.arange(48) / 2
    for column, name in enumerate(case.population.names):
        if name in {"b", "d"}:
            noon = (hours >= 10) & (hours < 12)
            assert (retail[:, column] == 0.33).all()
            assert np.array_equal(feed_in[:, column], np.where(noon, 0.02, 0.01))
        else:
            evening = (hours >= 17) & (hours < 21)
            assert np.array_equal(retail[:, column], np.where(evening, 0.40, 0.25))
            assert (feed_in[:, column] == 0.06).all()


# ---------------------------------------------------------------- CO2


def intensity(scenario: Scenario, folder: Path = Path()) -> np.ndarray:
    grid = scenario.grid()
    read = {path: file.load(folder, grid, unit)[0] for path, file, unit in series_of(scenario)}
    return intensity_of(scenario, grid, read)


def test_a_constant_intensity_holds_always(settled: Settled) -> None:
    assert np.array_equal(intensity(settled(co2={"kg_per_kwh": 0.31})), np.full(24, 0.31))
    assert np.array_equal(intensity(settled()), np.full(24, 0.4))


HOURLY = [0.1 + 0.01 * hour for hour in range(24)]


@pytest.mark.parametrize("minutes", [15, 60])
def test_an_hourly_intensity_is_that_of_the_civil_hour(settled: Settled, minutes: int) -> None:
    co2 = {"hourly_kg_per_kwh": HOURLY}
    values = intensity(settled(days=2, minutes=minutes, co2=co2))
    assert np.array_equal(values, np.repeat(HOURLY * 2, 60 // minutes))
    values = intensity(settled(start="2016-01-18 15:00", minutes=minutes, co2=co2))
    assert np.array_equal(values, np.repeat(HOURLY[15:] + HOURLY[:15], 60 // minutes))


def test_an_hourly_intensity_follows_the_clock_where_it_changes(settled: Settled) -> None:
    co2 = {"hourly_kg_per_kwh": HOURLY}
    spring, autumn = (intensity(settled(start=day, co2=co2)) for day in (SPRING, AUTUMN))
    assert spring.tolist() == [*HOURLY[:2], *HOURLY[3:], HOURLY[0]]
    assert autumn.tolist() == [*HOURLY[:3], *HOURLY[2:23]]


def grams(rows: int = 24) -> list[float]:
    """Return an intensity that differs in every hour [g/kWh]."""
    return [300.0 + 10.0 * row for row in range(rows)]


def co2_file(folder: Path, values: list[Any], first: str = "00:00", minutes: int = 60) -> Path:
    """Write values by civil time of 18 January from an hour on, return the file's folder."""
    begin = np.datetime64(f"{MONDAY}T{first}")
    times = (begin + np.timedelta64(minutes * row, "m") for row in range(len(values)))
    rows = [f"{time},{value}" for time, value in zip(times, values, strict=True)]
    (folder / "co2.csv").write_text("\n".join(["when,co2", *rows, ""]))
    return folder


def from_file(unit: str = "kg/kWh", **keys: Any) -> dict[str, Any]:
    place = {"format": "plain", "file": "co2.csv", "time_column": "when", "column": "co2"}
    return {"series": place | {"unit": unit, "time_zone": "Europe/Berlin"} | keys}


@pytest.mark.parametrize(("unit", "factor"), [("g/kWh", 1.0), ("kg/kWh", 1e-3)])
def test_an_intensity_from_a_file_is_in_the_unit_it_names(
    settled: Settled, tmp_path: Path, unit: str, factor: float
) -> None:
    folder = co2_file(tmp_path, [factor * value for value in grams()])
    values = intensity(settled(co2=from_file(unit)), folder)
    np.testing.assert_allclose(values, np.array(grams()) / 1e3, rtol=1e-14)


@pytest.mark.parametrize(("unit", "highest"), [("g/kWh", 3000.0), ("kg/kWh", 3.0)])
@pytest.mark.parametrize("share", [1.0, 1.001, -0.001])
def test_an_intensity_that_no_power_station_has_is_refused(
    settled: Settled, tmp_path: Path, unit: str, highest: float, share: float
) -> None:
    folder = co2_file(tmp_path, [*([0.0] * 20), share * highest, 0.0, 0.0, 0.0])
    scenario = settled(co2=from_file(unit))
    if share == 1.0:
        assert intensity(scenario, folder).max() == pytest.approx(3.0, rel=1e-14)
        return
    (problem,) = refused(scenario, folder)
    assert problem.where == "co2.csv:22, column 'co2'"
    assert "outside 0 to 3 kg/kWh" in problem.what
    assert problem.remedy == "check the unit"


def refused(scenario: Scenario, folder: Path) -> tuple[Problem, ...]:
    with pytest.raises(InputError) as caught:
        intensity(scenario, folder)
    return caught.value.problems


def test_grams_taken_for_kilograms_are_refused(settled: Settled, tmp_path: Path) -> None:
    (problem,) = refused(settled(co2=from_file("kg/kWh")), co2_file(tmp_path, grams()))
    assert "(24 rows, the first is line 2)" in problem.what
    assert problem.where == "co2.csv:2, column 'co2'"


def test_times_without_offset_are_those_of_the_files_zone(settled: Settled, tmp_path: Path) -> None:
    folder = co2_file(tmp_path, grams(48))
    for zone, rows in (("Europe/Berlin", slice(2, 26)), ("UTC", slice(1, 25))):
        scenario = settled(start="2016-01-18 02:00", co2=from_file("g/kWh", time_zone=zone))
        np.testing.assert_allclose(intensity(scenario, folder), np.array(grams(48))[rows] / 1e3)


def test_the_file_of_an_intensity_is_named_with_its_hash(village: Any) -> None:
    co2_file(village.folder, grams())
    time = {"start": "2016-07-18", "days": 1, "interval_minutes": 30}
    text = (village.folder / "co2.csv").read_text().replace(MONDAY, time["start"])
    (village.folder / "co2.csv").write_text(text)
    case = village.case(time=time, co2=from_file("g/kWh"))
    assert "co2.csv" in dict(case.files)
    np.testing.assert_allclose(case.profiles.co2_kg_per_kwh, np.repeat(grams(), 2) / 1e3)


def test_a_refused_intensity_points_at_the_file_and_at_the_scenario(village: Any) -> None:
    co2_file(village.folder, [0.4] * 24)  # in January: the run is in July
    with pytest.raises(InputError, match="leaves the data") as caught:
        village.case(co2=from_file())
    (problem,) = caught.value.problems
    assert problem.where == "co2.csv" and "read for " in problem.why and ".yaml:1" in problem.why
