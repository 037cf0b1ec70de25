"""The calendar of learning: which days train, which are only ever tested, and cutting them out.

Day ``d`` is the d-th 24 hours of the training scenario. Every fourth day is a test day, and so
are one winter and one summer week, whole.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cosim.case import Case
from cosim.population import Profiles

WINTER_WEEK = range(17, 24)
SUMMER_WEEK = range(199, 206)


def is_test_day(day: int) -> bool:
    """Say whether a day is held out of all training."""
    return day % 4 == 3 or day in WINTER_WEEK or day in SUMMER_WEEK


def training_blocks(days: int, length: int) -> list[int]:
    """Return the first days of all runs of ``length`` training days."""
    return [
        first
        for first in range(days - length + 1)
        if not any(is_test_day(day) for day in range(first, first + length))
    ]


def window(case: Case, first: int, days: int, initial_share: np.ndarray) -> Case:
    """Return the case cut down to some days, batteries filled to a share of their range ``[n]``.

    Only what was loaded is cut: the feeder, the seats and the seed stay.
    """
    per_day = 86_400 // case.grid.interval_s
    rows = slice(first * per_day, (first + days) * per_day)
    begin = case.grid.utc(case.grid.start_s(rows.start))
    profiles, people = case.profiles, case.population
    stored = people.min_kwh + initial_share * (people.max_kwh - people.min_kwh)
    return replace(
        case,
        grid=replace(case.grid, start=begin, intervals=rows.stop - rows.start),
        profiles=Profiles(
            profiles.load_kw[rows],
            profiles.load_kvar[rows],
            profiles.pv_kw[rows],
            profiles.co2_kg_per_kwh[rows],
        ),
        tariffs=case.tariffs.window(rows),
        population=replace(people, initial_kwh=stored),
    )
