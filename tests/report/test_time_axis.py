"""Ticks at round civil times, through the changes of the clock and over any span."""

from zoneinfo import ZoneInfo

import numpy as np
import pytest

from cosim.report._time_axis import MOST_TICKS, ticks

BERLIN = ZoneInfo("Europe/Berlin")


def at(text):
    return np.datetime64(text, "ms")


def test_a_week_is_named_by_days():
    places, names = ticks(at("2016-01-17T23:00"), at("2016-01-24T23:00"), BERLIN)
    assert names == [
        "Mon 18 Jan", "Tue 19 Jan", "Wed 20 Jan", "Thu 21 Jan", "Fri 22 Jan", "Sat 23 Jan",
        "Sun 24 Jan", "Mon 25 Jan",
    ]  # fmt: skip
    assert (np.diff(places) == np.timedelta64(1, "D")).all()
    assert places[0] == at("2016-01-17T23:00")


def test_a_day_is_named_by_hours():
    _, names = ticks(at("2016-01-17T23:00"), at("2016-01-18T23:00"), BERLIN)
    assert names == [
        "Mon 18 Jan", "03:00", "06:00", "09:00", "12:00", "15:00", "18:00", "21:00", "Tue 19 Jan",
    ]  # fmt: skip


def test_some_hours_tell_their_day():
    _, names = ticks(at("2016-01-18T06:30"), at("2016-01-18T11:00"), BERLIN)
    assert names == ["08:00\nMon 18 Jan", "09:00", "10:00", "11:00", "12:00"]


@pytest.mark.parametrize(("day", "hours"), [("2016-03-27", 23), ("2016-10-30", 25)])
def test_days_begin_at_civil_midnight_when_the_clock_changes(day, hours):
    begin = np.datetime64(day, "D") - np.timedelta64(3, "D")
    places, names = ticks(begin, begin + np.timedelta64(7, "D"), BERLIN)
    lengths = dict(zip(names[:-1], np.diff(places) // np.timedelta64(1, "h"), strict=True))
    changed = {name: length for name, length in lengths.items() if length != 24}
    assert list(changed.values()) == [hours]
    assert next(iter(changed)).startswith("Sun ")


@pytest.mark.parametrize("day", ["2016-03-27", "2016-10-30"])
def test_hours_of_a_day_when_the_clock_changes_rise_and_are_true(day):
    begin = np.datetime64(day, "D") - np.timedelta64(2, "h")
    places, names = ticks(begin, begin + np.timedelta64(7, "h"), BERLIN)
    assert (np.diff(places) > np.timedelta64(0, "s")).all()
    assert len(set(names)) == len(names) == len(places)


@pytest.mark.parametrize("days", [0.02, 0.3, 1, 3, 10, 16, 17, 31, 60, 112, 113, 366, 1500, 9000])
def test_any_span_has_a_few_ticks_inside_it(days):
    first = at("2016-01-31T23:00")
    last = first + np.timedelta64(round(days * 86400), "s")
    places, names = ticks(first, last, BERLIN)
    assert 2 <= len(places) <= MOST_TICKS + 1
    assert len(names) == len(places)
    dates = [name for name in names if ":" not in name]
    assert len(set(dates)) == len(dates)
    assert (places >= first).all() and (places <= last).all()


def test_weeks_begin_on_monday_and_years_are_named_by_months():
    _, names = ticks(at("2016-01-05T23:00"), at("2016-02-25T23:00"), BERLIN)
    assert all(name.startswith("Mon ") for name in names)
    _, names = ticks(at("2015-12-31T23:00"), at("2016-12-31T23:00"), BERLIN)
    assert names[:2] == ["Jan 2016", "Mar 2016"] and names[-1] == "Jan 2017"
