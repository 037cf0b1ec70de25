"""Both days on which clocks change, in four time zones, and what a clock cannot show."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

ZONES = {
    "Europe/Berlin": ("2023-03-26", "2023-10-29"),
    "America/New_York": ("2023-03-12", "2023-11-05"),
    "Australia/Sydney": ("2023-10-01", "2023-04-02"),
    "Australia/Lord_Howe": ("2023-10-01", "2023-04-02"),  # half an hour only
}
CHANGES = [
    (zone, day, shorter)
    for zone, days in ZONES.items()
    for day, shorter in zip(days, (True, False), strict=True)
]


def civil_day(zone: str, day: str, step_min: int) -> tuple[datetime, list[str]]:
    """Return the begin of a civil day and its civil times, as a clock on the wall shows them."""
    begin = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone))
    end = (begin + timedelta(days=1)).timestamp()
    at, times = begin.timestamp(), []
    while at < end:
        times.append(f"{datetime.fromtimestamp(at, ZoneInfo(zone)):%Y-%m-%d %H:%M}")
        at += step_min * 60
    return begin, times


@pytest.mark.parametrize(
    ("zone", "day", "shorter", "step_min"),
    [
        (*change, step_min)
        for change in CHANGES
        for step_min in (15, 30, 60)
        if change[0] != "Australia/Lord_Howe" or step_min < 60
    ],
)
def test_days_on_which_clocks_change(
    study: Any, new_grid: Any, zone: str, day: str, shorter: bool, step_min: int
) -> None:
    half = zone == "Australia/Lord_Howe"
    begin, times = civil_day(zone, day, step_min)
    hours = 24 + (-1 if shorter else 1) * (0.5 if half else 1)
    assert len(times) == hours * 60 / step_min
    study.fill(times, step_min / 60).options = {"time_zone": zone, "night_pv": "allow"}
    homes = study.load(new_grid(begin, step_min * 60, len(times), zone))
    np.testing.assert_array_equal(homes.load_kw[:, 0], study.values("load_a"))
    energy_kwh = homes.load_kw.sum() * step_min / 60
    wanted_kwh = (study.values("load_a") + study.values("load_b")).sum() * step_min / 60
    assert energy_kwh == pytest.approx(wanted_kwh, rel=1e-9)


@pytest.mark.parametrize(("zone", "day", "shorter"), CHANGES)
@pytest.mark.parametrize("label", ["start", "end"])
def test_civil_and_offset_times_mean_the_same(
    study: Any, new_grid: Any, zone: str, day: str, shorter: bool, label: str
) -> None:
    begin, _ = civil_day(zone, day, 15)
    count = 23 * 4
    late = 1 if label == "end" else 0
    instants = [
        datetime.fromtimestamp(begin.timestamp() + (k + late) * 900, ZoneInfo(zone))
        for k in range(count)
    ]
    grid = new_grid(begin, 900, count, zone)
    study.options = {"time_zone": zone, "label": label, "night_pv": "allow"}
    civil = study.fill([f"{t:%Y-%m-%dT%H:%M}" for t in instants]).load(grid)
    offset = study.fill([t.isoformat() for t in instants]).load(grid)
    utc = study.fill([f"{t.astimezone(UTC):%Y-%m-%dT%H:%M}Z" for t in instants]).load(grid)
    np.testing.assert_array_equal(civil.load_kw, offset.load_kw)
    np.testing.assert_array_equal(civil.load_kw, utc.load_kw)


def test_a_fixed_clock_is_no_civil_clock_in_spring(study: Any, new_grid: Any) -> None:
    begin = datetime(2023, 3, 26, tzinfo=ZoneInfo("Europe/Berlin"))
    times = [f"2023-03-26 {k // 4:02}:{k % 4 * 15:02}" for k in range(96)]
    study.fill(times).options = {"time_zone": "Europe/Berlin"}
    never = study.problem(new_grid(begin, 900, 92))
    assert never.where == "series.csv:10, column 'time'"
    assert "'2023-03-26 02:00:00' does not exist in Europe/Berlin (4 rows" in never.what
    assert "Etc/GMT-1" in never.remedy
    study.options = {"time_zone": "Etc/GMT-1"}
    study.load(new_grid(begin, 900, 96))


def test_a_fixed_clock_is_no_civil_clock_in_autumn(study: Any, new_grid: Any) -> None:
    begin = datetime(2023, 10, 29, tzinfo=ZoneInfo("Europe/Berlin"))
    times = [f"2023-10-29 {k // 4:02}:{k % 4 * 15:02}" for k in range(96)]
    study.fill(times).options = {"time_zone": "Europe/Berlin"}
    problem = study.problem(new_grid(begin, 900, 90))
    assert problem.where == "series.csv:14, column 'time'"
    assert "900 s are missing before this one: 4 (" in problem.what
    assert "clocks go back" in problem.why


def test_an_hour_shown_three_times(study: Any, new_grid: Any) -> None:
    begin, times = civil_day("Europe/Berlin", "2023-10-29", 60)
    study.fill([*times[:4], "2023-10-29 02:00", *times[4:]], 1.0)
    study.options = {"time_zone": "Europe/Berlin", "night_pv": "allow"}
    problem = study.problem(new_grid(begin, 3600, 24))
    assert problem.where == "series.csv:6, column 'time'"
    assert "that of the row before" in problem.what
