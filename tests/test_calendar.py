"""Civil time: days of 23 and 25 hours, offsets, evenings under way, and what begins with the run.

In 2016 clocks in Berlin went forward on 27 March and back on 30 October.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cosim.case import load_case
from cosim.errors import InputError
from cosim.facade import Facade
from cosim.scenario import Scenario, load_scenario
from cosim.simulation import Simulation

WINTER = Path(__file__).resolve().parents[1] / "scenarios" / "plain_winter_day.yaml"
DAY = "2016-07-18"


def scenario(start: str, days: int, *disturbances: str, interval: int = 60) -> Scenario:
    """Return a scenario that starts at some time; each disturbance says kind, start and end."""
    time = f"time={{start: '{start}', days: {days}, interval_minutes: {interval}}}"
    overrides = [time, f"disturbances=[{', '.join(disturbances)}]"]
    return load_scenario(WINTER, overrides).scenario


def outage(start: str, end: str) -> str:
    return f"{{kind: supply_outage, start: '{start}', end: '{end}'}}"


def refusal(start: str, days: int, *disturbances: str) -> str:
    with pytest.raises(InputError) as caught:
        scenario(start, days, *disturbances)
    return str(caught.value)


# ---------------------------------------------------------------- the run's end and order

#: begin and days of a run over a change of clocks, its end by the clock, and the second after it
CHANGES = (
    ("2016-10-29", 2, "2016-10-30 23:00:00+01:00", "2016-10-30 23:00:01"),
    ("2016-03-26", 2, "2016-03-28 01:00:00+02:00", "2016-03-28 01:00:01"),
    ("2016-10-30", 1, "2016-10-30 23:00:00+01:00", "2016-10-30 23:00:01"),
    ("2016-03-27", 1, "2016-03-28 01:00:00+02:00", "2016-03-28 01:00:01"),
)


@pytest.mark.parametrize(("start", "days", "end", "after"), CHANGES)
def test_a_run_ends_after_its_hours_whatever_clocks_do(
    start: str, days: int, end: str, after: str
) -> None:
    made = scenario(start, days, outage(start, end), outage(start, end[:19]))
    grid = made.grid()
    assert grid.second_of(made.civil(made.disturbances[1].end)) == grid.end_s == days * 86_400
    message = refusal(start, days, outage(start, after))
    assert f"end {after}" in message
    assert f"the run lasts from {made.begin} to {end}" in message


@pytest.mark.parametrize(("start", "days"), [(start, days) for start, days, _, _ in CHANGES])
def test_nothing_begins_before_the_run(start: str, days: int) -> None:
    before = {"2016-10-29": "28", "2016-03-26": "25", "2016-10-30": "29", "2016-03-27": "26"}
    early = f"{start[:8]}{before[start]} 23:59:59"
    assert f"start {early}" in refusal(start, days, outage(early, f"{start} 01:00"))


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2016-07-18T10:00+02:00", "2016-07-18T09:30+00:00"),  # 8:00 to 9:30 UTC
        ("2016-07-18 10:00", "2016-07-18T08:00:01+00:00"),
        ("2016-07-18T07:59:59+00:00", "2016-07-18 10:00"),
    ],
)
def test_times_with_different_offsets_are_in_order(start: str, end: str) -> None:
    (disturbance,) = scenario("2016-07-18", 1, outage(start, end)).disturbances
    assert disturbance.kind() == "supply_outage"


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [
        ("2016-07-18T10:00+00:00", "2016-07-18T11:00+05:00", "12:00:00+02:00 must be before"),
        ("2016-07-18 10:00", "2016-07-18T08:00+00:00", "10:00:00+02:00 must be before end 2016"),
        ("2016-07-18T08:00+00:00", "2016-07-18 10:00", "10:00:00+02:00 must be before end 2016"),
        ("2016-07-18 10:00", "2016-07-18 10:00", "must be before"),
    ],
)
def test_times_with_different_offsets_out_of_order(start: str, end: str, said: str) -> None:
    assert said in refusal("2016-07-18", 1, outage(start, end))


@pytest.mark.parametrize(("start", "end"), [("01:30", "03:00"), ("01:59:59", "03:00:00")])
def test_the_hour_that_clocks_leave_out_has_no_length(start: str, end: str) -> None:
    day = "2016-03-27"
    made = scenario(day, 1, outage(f"{day} {start}", f"{day} {end}"))
    seconds = [made.grid().second_of(made.civil(getattr(made.disturbances[0], name)))
               for name in ("start", "end")]  # fmt: skip
    clock = [int(t[:2]) * 3600 + int(t[3:5]) * 60 + int(t[6:] or 0) for t in (start, end)]
    assert np.diff(seconds) == np.diff(clock) - 3600
    assert "must be before" in refusal(day, 1, outage(f"{day} 02:30", f"{day} 03:15"))


# ---------------------------------------------------------------- evenings


def facade_of(case: Any, diary: Any) -> Facade:
    return Facade(Simulation(case, diary), -1, "test")


def test_an_hour_of_the_day_is_known_from_the_day_before(
    village: Any, new_diary: Callable[[], Any]
) -> None:
    facade = facade_of(village.case(), new_diary())
    assert facade.daily(19.0) == [-5 * 3600, 19 * 3600]
    assert facade.daily(0.0) == [-86_400, 0, 86_400]
    assert facade.daily(24.0) == [0, 86_400]


SNAP = {"kind": "cold_snap", "load_factor": 1.5, "evening_factor": 1.2}


@pytest.mark.parametrize(
    ("hours", "start", "end", "cold"),
    [
        ([22, 2], "00:00", "23:30", [(0, 2), (22, 23.5)]),  # under way when the run begins
        ([22, 2], "00:00", "24:00", [(0, 2), (22, 24)]),  # and when it ends
        ([22, 2], "01:00", "03:00", [(1, 2)]),
        ([18, 24], "00:00", "19:00", [(18, 19)]),  # ended as the run began
        ([5, 5], "00:00", "24:00", [(0, 24)]),
    ],
)
def test_an_evening_under_way_counts(
    hours: list[float], start: str, end: str, cold: list[tuple[float, float]],
    village: Any, diary_of: Any,
) -> None:  # fmt: skip
    last = "2016-07-19" if end == "24:00" else f"{DAY} {end}"
    snap = SNAP | {"evening_hours": hours, "start": f"{DAY} {start}", "end": last}
    case = village.case(disturbances=[snap])
    begins = np.arange(48) / 2
    first, over = (float(t[:2]) + float(t[3:]) / 60 for t in (start, end))
    factor = np.where((begins >= first) & (begins < over), 1.5, 1.0)
    for begin, stop in cold:
        factor[(begins >= begin) & (begins < stop)] *= 1.2
    diary = diary_of(case)
    load = np.stack([kept.metered.load_kwh for kept in diary.intervals])
    np.testing.assert_allclose(load, case.profiles.load_kw * 0.5 * factor[:, None], rtol=1e-12)
    seconds = [second for second, kind in diary.events if kind == "cold_snap"]
    assert seconds == sorted(seconds)
    assert (seconds[0], seconds[-1]) == (first * 3600, over * 3600)


def test_a_run_from_seven_in_the_evening_begins_in_it(diary_of: Any) -> None:
    snap = "{kind: cold_snap, load_factor: 1.0, evening_factor: 1.2, start: 2016-01-18 19:00, "
    overrides = ("time.start=2016-01-18 19:00", f"disturbances=[{snap}end: 2016-01-19 12:00}}]")
    case = load_case(load_scenario(WINTER, overrides))
    load = np.stack([kept.metered.load_kwh for kept in diary_of(case).intervals])
    factor = np.where(np.arange(96) < 8, 1.2, 1.0)
    np.testing.assert_allclose(load, case.profiles.load_kw * 0.25 * factor[:, None], rtol=1e-12)


# ---------------------------------------------------------------- what begins with the run


@pytest.mark.parametrize(("start", "first"), [("00:00:00", 0), ("00:00:01", 1), ("00:30:00", 2)])
def test_a_shock_from_the_begin_reaches_the_first_interval(
    start: str, first: int, village: Any, diary_of: Any
) -> None:
    shock = {"kind": "price_shock", "start": f"{DAY} {start}", "end": f"{DAY} 02:00"}
    diary = diary_of(village.case(disturbances=[shock | {"retail_factor": 3.0}]))
    retail = [kept.trade.asked.prices.retail_eur_per_kwh for kept in diary.intervals[:6]]
    shocked = np.isclose(np.stack(retail), 0.75).all(axis=1)
    # the gates of the last interval before two o'clock open before that
    assert shocked.tolist() == [first <= k < 5 for k in range(6)]
    began = datetime.fromisoformat(f"{DAY} {start}") - datetime.fromisoformat(DAY)
    assert diary.events == [(began.seconds, "price_shock"), (7200, "price_shock")]


def test_who_is_cut_off_from_the_begin_is_not_asked(village: Any, diary_of: Any) -> None:
    cut = {"kind": "supply_outage", "start": DAY, "end": f"{DAY} 00:45"}
    diary = diary_of(village.case(disturbances=[cut]))
    assert diary.events == [(0, "supply_outage"), (2700, "supply_outage")]
    assert not diary.intervals[0].trade.clearing.fills_kwh.any()
    np.testing.assert_array_equal(diary.intervals[0].metered.dead_share, 1.0)
    np.testing.assert_array_equal(diary.intervals[1].metered.dead_share, 0.5)


# ---------------------------------------------------------------- periods of a tariff


@pytest.mark.parametrize("minutes", [5, 15, 30, 60])
def test_periods_begin_and_end_where_intervals_do(minutes: int) -> None:
    hours = [17 + minutes / 60, 24]
    periods = f"tariff.periods=[{{hours: {hours}, retail_eur_per_kwh: 0.3}}]"
    overrides = [periods, f"time.interval_minutes={minutes}"]
    case = load_case(load_scenario(WINTER, overrides))
    dear = case.tariffs.retail_eur_per_kwh[:, 0] == 0.3
    assert dear.sum() == (7 * 60 - minutes) // minutes


def test_clocks_that_change_by_half_an_hour_move_the_borders() -> None:
    """Lord Howe Island went forward by half an hour on 2 October."""
    time = "time={start: 2016-10-01, days: 2, interval_minutes: 60, zone: Australia/Lord_Howe}"
    periods = "tariff.periods=[{hours: [17, 21]}]"
    with pytest.raises(InputError, match="17 h lies inside a market interval of 60 min"):
        load_scenario(WINTER, [time, periods])
    load_scenario(WINTER, [time.replace("60", "30"), periods])
