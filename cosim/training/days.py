"""The calendar of learning: which days train, which are only ever tested, and drawing episodes.

Day ``d`` is the d-th 24 hours of the training scenario. Every fourth day is a test day, and so
are one winter and one summer week, whole.
"""

from __future__ import annotations

import numpy as np

from cosim.case import Case
from cosim.episode import Episode
from cosim.errors import InputError, Problem

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


def drawn_episode(case: Case, days: int, random: np.random.Generator) -> Episode:
    """Return training days in a row, drawn with a seed and fillings of the batteries."""
    blocks = training_blocks(case.grid.end_s // 86_400, days)
    if not blocks:
        raise InputError(
            Problem(f"the scenario has no {days} training days in a row",
                    why="every fourth day and two weeks are held out for tests",
                    remedy="lengthen time.days, or take shorter episodes")
        )  # fmt: skip
    first = int(random.choice(blocks))
    share = random.uniform(size=len(case.population))
    return Episode(first, days, int(random.integers(2**31)), share)
