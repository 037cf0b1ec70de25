"""The calendar of learning: what is kept from a learner does not reach it in any way."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from operator import attrgetter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosim.bundle.parts import Calendar
from cosim.case import Case
from cosim.episode import window
from cosim.errors import InputError
from cosim.training.days import (
    CALENDAR,
    EVERY_DAY,
    Kind,
    blinded,
    blocks,
    drawn_episode,
    drawn_episodes,
    kind_of,
    kinds,
    training_days,
)

DAYS = 16
COLUMNS = ("load_kw", "load_kvar", "pv_kw", "co2_kg_per_kwh")
PRICES = ("retail_eur_per_kwh", "feed_in_eur_per_kwh", "network_eur_per_kwh", "taxes_eur_per_kwh")


#: prices of imbalance on the first day
IMBALANCE = {"short_eur_per_kwh": 0.5, "long_eur_per_kwh": 0.02}


@pytest.fixture(scope="module")
def fortnight(village: Any, learners: dict[str, Any]) -> Case:
    """Return the village over 16 days of May, each day with load and prices of its own."""
    return weeks(village.case(**learners))


def weeks(case: Case, days: int = DAYS) -> Case:
    """Return a case of one day made longer, every day a tenth more than the one before."""
    per_day = len(case.profiles.load_kw)
    shift = np.repeat(1.0 + 0.1 * np.arange(days), per_day)

    def long(values: np.ndarray, by: np.ndarray = shift) -> np.ndarray:
        tiled = np.tile(values, (days, *[1] * (values.ndim - 1)))
        return tiled * by.reshape(-1, *[1] * (values.ndim - 1))

    start = case.grid.start - timedelta(days=70)  # 2016-05-09 in Berlin
    prices = {name: long(np.full(per_day, price)) for name, price in IMBALANCE.items()}
    return replace(
        case,
        grid=replace(case.grid, start=start, intervals=days * per_day),
        profiles=replace(case.profiles, **{n: long(getattr(case.profiles, n)) for n in COLUMNS}),
        tariffs=replace(
            case.tariffs,
            **{n: long(getattr(case.tariffs, n)) for n in PRICES},
            imbalance=replace(case.tariffs.imbalance, **prices),
        ),
    )


def poisoned(case: Case, factor: float) -> Case:
    """Return a case in which all that happens on days kept from learners is another thing."""
    rows = np.repeat(kinds(case) != Kind.TRAIN, 86_400 // case.grid.interval_s)

    def other(values: np.ndarray) -> np.ndarray:
        changed = values.copy()
        changed[rows] = changed[rows] * factor + 0.5
        return changed

    return replace(
        case,
        profiles=replace(case.profiles, **{n: other(getattr(case.profiles, n)) for n in COLUMNS}),
        tariffs=replace(
            case.tariffs,
            **{n: other(getattr(case.tariffs, n)) for n in PRICES},
            imbalance=replace(
                case.tariffs.imbalance,
                **{n: other(getattr(case.tariffs.imbalance, n)) for n in IMBALANCE},
            ),
        ),
    )


@given(st.dates(date(1990, 1, 1), date(2060, 12, 31)))
def test_each_civil_day_serves_one_purpose_whatever_scenario_holds_it(day: date) -> None:
    week = any(
        (day - date(day.year, month, 18)).days in range(7) for month in (1, 7)
    )  # fmt: skip
    place = (day - date(2016, 1, 1)).days % 8
    expected = (
        Kind.TEST if week or place in {3, 7} else Kind.CALIBRATE if place == 2 else Kind.TRAIN
    )
    assert kind_of(day) == expected
    assert kind_of(day, EVERY_DAY) == Kind.TRAIN


def test_a_leap_day_and_the_turn_of_the_year_are_counted() -> None:
    calendar = Calendar(test=(), calibrate=(), test_weeks=("02-29", "12-29"))
    held = [date(2016, 2, 29), date(2017, 3, 1), date(2016, 12, 31), date(2017, 1, 4)]
    free = [date(2017, 2, 28), date(2017, 1, 5), date(2016, 12, 28)]
    assert [kind_of(d, calendar) for d in held] == [Kind.TEST] * 4
    assert [kind_of(d, calendar) for d in free] == [Kind.TRAIN] * 3


def test_days_of_a_case_keep_their_civil_date_in_summer_time(fortnight: Case) -> None:
    found = kinds(fortnight)
    assert found.tolist() == [kind_of(date(2016, 5, 9) + timedelta(days=d)) for d in range(DAYS)]
    assert set(found) == {Kind.TRAIN, Kind.CALIBRATE, Kind.TEST}
    noon = replace(
        fortnight, grid=replace(fortnight.grid, start=fortnight.grid.start + timedelta(hours=12))
    )
    pairs = zip(found, [*found[1:], kind_of(date(2016, 5, 25))], strict=True)
    assert kinds(noon).tolist() == [a if a == b else Kind.NEITHER for a, b in pairs]


def test_what_is_learnt_from_does_not_hold_the_days_that_are_kept(fortnight: Case) -> None:
    one, other = (blinded(case) for case in (fortnight, poisoned(fortnight, 7.0)))
    free = np.flatnonzero(kinds(fortnight) == Kind.TRAIN)
    for part, names in (
        ("profiles", COLUMNS), ("tariffs", PRICES), ("tariffs.imbalance", tuple(IMBALANCE)),
    ):  # fmt: skip
        mine, others, true = (attrgetter(part)(each) for each in (one, other, fortnight))
        for name in names:
            shown = getattr(mine, name)
            assert shown.tobytes() == getattr(others, name).tobytes()
            days = shown.reshape(DAYS, -1)
            real = getattr(true, name).reshape(DAYS, -1)
            assert np.array_equal(days[free], real[free])
            assert all(any(np.array_equal(day, real[d]) for d in free) for day in days)


def test_no_observation_of_a_test_day_reaches_the_learner(fortnight: Case) -> None:
    """Whatever happens on the days that are kept, observations and rewards are the same bits."""
    pytest.importorskip("stable_baselines3")
    from cosim.training.settings import Settings
    from cosim.training.train import Request, world_of

    settings = Settings(episode_days=2)
    seen = []
    for case in (fortnight, poisoned(fortnight, 9.0)):
        request = Request("learner", "ppo", settings, case.loaded.folder, 1, 3, lanes=3)
        env, scaling = world_of(case, request)
        told = [env.reset()]
        for _ in range(2 * 48 * 3):
            scaled, rewards, _, infos = env.step(np.full((env.num_envs, 1), 0.3, np.float32))
            told += [scaled, rewards]
            ends = [info["terminal_observation"] for info in infos if len(info) > 3]
            told += [np.stack(ends)] if ends else []
        seen.append(b"".join(part.tobytes() for part in told))
        assert max(item.high for item in scaling.inputs if item.name == "forecast_load_kw" or
                   item.name == "forecast_net_kw") <= fortnight.profiles.load_kw.max()  # fmt: skip
    assert seen[0] == seen[1]


def test_a_test_day_does_show_where_nothing_is_kept(fortnight: Case) -> None:
    """The proof above could fail: without a calendar the poison is seen."""
    rows = fortnight.seats[0].rows
    shown = [blinded(case, EVERY_DAY) for case in (fortnight, poisoned(fortnight, 9.0))]
    loads = [case.profiles.load_kw[:, rows].max() for case in shown]
    assert loads[1] > 2.0 * loads[0]


def test_episodes_are_drawn_from_training_days_alone(fortnight: Case) -> None:
    free = kinds(fortnight) == Kind.TRAIN
    firsts = blocks(training_days(fortnight), 2)
    assert firsts == [d for d in range(DAYS - 1) if free[d] and free[d + 1]]
    random = np.random.Generator(np.random.PCG64(3))
    drawn = {drawn_episode(fortnight, 2, random).first for _ in range(200)}
    drawn_too = {e.first for n in range(50) for e in drawn_episodes(fortnight, 2, firsts, 1, n, 4)}
    assert drawn == drawn_too == set(firsts)
    assert window(fortnight, min(drawn), 2).grid.intervals == 96


def test_training_on_days_that_are_kept_is_refused_by_name(fortnight: Case) -> None:
    held = np.flatnonzero(kinds(fortnight) != Kind.TRAIN)
    with pytest.raises(InputError, match=f"kept from it: {held[0]}, {held[1]}\n"):
        training_days(fortnight, CALENDAR, [0, int(held[0]), int(held[1])])
    with pytest.raises(InputError, match="day 16 is not among"):
        training_days(fortnight, CALENDAR, [16])
    only = window(fortnight, int(held[0]), 1)
    with pytest.raises(InputError, match="no 1 training days"):
        blinded(only)


def test_a_calendar_that_contradicts_itself_is_refused() -> None:
    for wrong in ({"test": (9,)}, {"test": (2,)}, {"test_weeks": ("02-30",)}):
        with pytest.raises(ValueError, match=r"outside|both|day"):
            Calendar(**wrong)  # type: ignore[arg-type]
