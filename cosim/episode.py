"""An episode: some days of a loaded case, with a seed and a filling of the batteries of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cosim.case import Case
from cosim.population import Profiles


@dataclass(frozen=True, eq=False)
class Episode:
    """Days of a case from its ``first``; ``share`` ``[n]`` is how full each battery begins.

    The seed is that of all draws during the run; who belongs to which group was drawn before.
    """

    first: int
    days: int
    seed: int
    share: np.ndarray | None = None  # of the battery's range; None: as the scenario says


def whole(case: Case) -> Episode:
    """Return the episode that is the run of the case itself."""
    return Episode(0, case.grid.end_s // 86_400, case.scenario.seed)


def initial_kwh(case: Case, episode: Episode) -> np.ndarray:
    """Return what the batteries hold at the begin of an episode ``[n]`` [kWh]."""
    people = case.population
    if episode.share is None:
        return people.initial_kwh
    return people.min_kwh + episode.share * (people.max_kwh - people.min_kwh)


def lived(case: Case, episode: Episode) -> Case:
    """Return the case of an episode, ready to run; feeder, seats and all that was loaded stay."""
    scenario = case.scenario.model_copy(update={"seed": episode.seed})
    cut = window(case, episode.first, episode.days, episode.share)
    return replace(cut, loaded=replace(case.loaded, scenario=scenario))


def window(case: Case, first: int, days: int, initial_share: np.ndarray | None = None) -> Case:
    """Return the case cut down to some days, batteries filled to a share of their range ``[n]``.

    Only what was loaded is cut: the feeder, the seats and the seed stay.
    """
    per_day = 86_400 // case.grid.interval_s
    rows = slice(first * per_day, (first + days) * per_day)
    begin = case.grid.utc(case.grid.start_s(rows.start))
    profiles = case.profiles
    stored = initial_kwh(case, Episode(first, days, case.scenario.seed, initial_share))
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
        population=replace(case.population, initial_kwh=stored),
    )
