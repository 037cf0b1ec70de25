"""The calendar of learning: which days train, which are kept from the learner, and its episodes.

A day of a scenario is a run of 24 hours from its start; it belongs to the civil date in which it
lies but for an hour, which daylight saving may shift. One that lies in two serves nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from enum import IntEnum

import numpy as np

from cosim.bundle.parts import Calendar
from cosim.case import Case
from cosim.episode import Episode
from cosim.errors import InputError, Problem
from cosim.population import Profiles
from cosim.seeds import generator
from cosim.timegrid import TimeGrid

__all__ = ["CALENDAR", "EVERY_DAY", "Calendar", "Kind", "blinded", "drawn_episode", "kinds"]

#: every fourth day and two weeks for tests, every eighth day for calibration
CALENDAR = Calendar()
#: nothing is kept from the learner: for tests of learning itself
EVERY_DAY = Calendar(cycle_days=1, test=(), calibrate=(), test_weeks=())
ORIGIN = date(2016, 1, 1)


class Kind(IntEnum):
    """What a day is for."""

    TRAIN = 0
    CALIBRATE = 1
    TEST = 2
    NEITHER = 3  # lies in days of two kinds


def kind_of(day: date, calendar: Calendar = CALENDAR) -> Kind:
    """Return what a civil day is for."""
    for week in calendar.test_weeks:
        month, number = (int(part) for part in week.split("-"))
        for year in (day.year - 1, day.year):
            if 0 <= (day - _first(year, month, number)).days < 7:
                return Kind.TEST
    place = (day - ORIGIN).days % calendar.cycle_days
    if place in calendar.test:
        return Kind.TEST
    return Kind.CALIBRATE if place in calendar.calibrate else Kind.TRAIN


def _first(year: int, month: int, day: int) -> date:
    """Return a date of a year; the 29th of February is the 1st of March where there is none."""
    return date(year, month, 1) + timedelta(days=day - 1)


def kinds(case: Case, calendar: Calendar = CALENDAR) -> np.ndarray:
    """Return what each day of a case is for ``[days]``, by :class:`Kind`."""
    return kinds_on(case.grid, calendar)


def kinds_on(grid: TimeGrid, calendar: Calendar = CALENDAR) -> np.ndarray:
    """Return what each day of a run is for ``[days]``, by :class:`Kind`."""
    found = []
    for day in range(grid.end_s // 86_400):
        first, last = (grid.utc(day * 86_400 + s).astimezone(grid.zone) for s in (3600, 82_799))
        one, other = (kind_of(moment.date(), calendar) for moment in (first, last))
        found.append(one if one == other else Kind.NEITHER)
    return np.array(found, dtype=int)


def blocks(free: Sequence[bool] | np.ndarray, length: int) -> list[int]:
    """Return the first days of all runs of ``length`` days that are free ``[days]``."""
    free = np.asarray(free, dtype=bool)
    return [d for d in range(len(free) - length + 1) if free[d : d + length].all()]


def training_days(
    case: Case, calendar: Calendar = CALENDAR, wanted: Sequence[int] | None = None
) -> np.ndarray:
    """Return on which days of a case a learner may be ``[days]``; ``wanted``: on these only.

    Raises InputError where one of those is kept from it, or does not exist.
    """
    return training_days_on(case.grid, calendar, wanted)


def training_days_on(
    grid: TimeGrid, calendar: Calendar = CALENDAR, wanted: Sequence[int] | None = None
) -> np.ndarray:
    """Return the same of a run whose data are not loaded."""
    free = kinds_on(grid, calendar) == Kind.TRAIN
    if wanted is None:
        return np.asarray(free)
    missing = [day for day in wanted if not 0 <= day < len(free)]
    if missing:
        what = f"day {missing[0]} is not among the {len(free)} days of the scenario"
        raise InputError(Problem(what, "--days", remedy="days are counted from 0"))
    leaks = [day for day in wanted if not free[day]]
    if leaks:
        listed = ", ".join(map(str, leaks[:12])) + (", ..." if len(leaks) > 12 else "")
        raise InputError(
            Problem(f"training would see days that are kept from it: {listed}", "--days",
                    "they are for tests or calibration; what is learnt on them cannot be judged",
                    f"take some of {_listed(np.flatnonzero(free))}")
        )  # fmt: skip
    return np.isin(np.arange(len(free)), wanted)


def _listed(days: np.ndarray) -> str:
    return ", ".join(map(str, days[:12])) + (", ..." if len(days) > 12 else "") or "other days"


def blinded(case: Case, calendar: Calendar = CALENDAR) -> Case:
    """Return the case with each day that is kept from a learner overwritten by a training day.

    What is learnt from it, ranges and draws included, cannot depend on what happened on the others.
    Raises InputError where there is no training day.
    """
    free = kinds(case, calendar) == Kind.TRAIN
    if not free.any():
        raise no_days(1)
    shown = np.flatnonzero(free)
    source = shown[np.searchsorted(shown, np.arange(len(free)), side="right") - 1]
    per_day = 86_400 // case.grid.interval_s
    rows = (source[:, None] * per_day + np.arange(per_day)).ravel()
    profiles, tariffs = case.profiles, case.tariffs
    columns = ("retail_eur_per_kwh", "feed_in_eur_per_kwh", "network_eur_per_kwh",
               "taxes_eur_per_kwh")  # fmt: skip
    priced = {name: getattr(tariffs, name)[rows] for name in columns}
    imbalance = tariffs.imbalance
    short, long = (
        None if price is None else price[rows]
        for price in (imbalance.short_eur_per_kwh, imbalance.long_eur_per_kwh)
    )
    shown_too = replace(imbalance, short_eur_per_kwh=short, long_eur_per_kwh=long)
    return replace(
        case,
        profiles=Profiles(
            profiles.load_kw[rows],
            profiles.load_kvar[rows],
            profiles.pv_kw[rows],
            profiles.co2_kg_per_kwh[rows],
        ),
        tariffs=replace(tariffs, **priced, imbalance=shown_too),
    )


def drawn_episode(
    case: Case,
    days: int,
    random: np.random.Generator,
    calendar: Calendar = CALENDAR,
    wanted: Sequence[int] | None = None,
) -> Episode:
    """Return training days in a row, drawn with a seed and fillings of the batteries."""
    firsts = blocks(training_days(case, calendar, wanted), days)
    if not firsts:
        raise no_days(days)
    first = int(random.choice(firsts))
    share = random.uniform(size=len(case.population))
    return Episode(first, days, int(random.integers(2**31)), share)


def drawn_episodes(
    case: Case, days: int, firsts: Sequence[int], seed: int, number: int, lanes: int
) -> list[Episode]:
    """Return the ``number``-th episodes of all lanes, from the first days that are free.

    They depend on seed and number alone, so that a training can go on anywhere.
    """
    if not firsts:
        raise no_days(days)
    random = generator(seed, "learner", "episodes", number)
    return [
        Episode(int(random.choice(firsts)), days, int(random.integers(2**31)),
                random.uniform(size=len(case.population)))
        for _ in range(lanes)
    ]  # fmt: skip


def no_days(days: int) -> InputError:
    """Return the error of a case without so many training days in a row."""
    return InputError(
        Problem(f"the scenario has no {days} training days in a row",
                why="some days are kept for tests and calibration, see docs/training.md",
                remedy="lengthen time.days, take other days, or shorter episodes")
    )  # fmt: skip
