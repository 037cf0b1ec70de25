"""An episode: some days of a loaded case, with a seed and a filling of the batteries of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cosim.case import Case
from cosim.errors import InputError, Problem
from cosim.population import Profiles


@dataclass(frozen=True, eq=False)
class Episode:
    """Days of a case from its ``first``; ``share`` ``[n]`` is how full each battery begins.

    The seed is that of all draws during the run; who belongs to which group was drawn before.
    Raises InputError for days, seeds and shares that no run has.
    """

    first: int
    days: int
    seed: int
    share: np.ndarray | None = None  # of the battery's range, 0 to 1; None: as the scenario says

    def __post_init__(self) -> None:
        share = np.zeros(0) if self.share is None else np.asarray(self.share, dtype=float)
        wrong = [
            Problem(f"an episode's {what} is {value}", remedy=remedy)
            for what, value, remedy, holds in (
                ("first day", self.first, "days are counted from 0", self.first >= 0),
                ("length", f"{self.days} days", "at least 1", self.days >= 1),
                ("seed", self.seed, "at least 0", self.seed >= 0),
            )
            if not holds
        ]
        outside = ~((share >= 0.0) & (share <= 1.0))  # NaN, too
        if outside.any():
            what = f"{share[outside].flat[0]:g} of a battery's range"
            wrong.append(Problem(f"an episode begins with {what}", remedy="shares are 0 to 1"))
        if wrong:
            raise InputError(wrong)


def whole(case: Case) -> Episode:
    """Return the episode that is the run of the case itself."""
    return Episode(0, case.grid.end_s // 86_400, case.scenario.seed)


def check_within(case: Case, episode: Episode) -> None:
    """Raise InputError where an episode has days that a case does not have."""
    days, last = case.grid.end_s // 86_400, episode.first + episode.days - 1
    if last >= days:
        what = f"an episode of days {episode.first} to {last} in a scenario of {days} days"
        raise InputError(Problem(what, why=f"its days are 0 to {days - 1}",
                                 remedy="begin earlier, or lengthen time.days"))  # fmt: skip


def initial_kwh(case: Case, episode: Episode) -> np.ndarray:
    """Return what the batteries hold at the begin of an episode ``[n]`` [kWh].

    Raises InputError where shares and prosumers do not fit.
    """
    people = case.population
    if episode.share is None:
        return people.initial_kwh
    if np.shape(episode.share) not in {(), (len(people),)}:
        what = f"fillings of shape {np.shape(episode.share)} for {len(people)} prosumers"
        raise InputError(Problem(what, remedy="one share for each, or one for all"))
    return people.min_kwh + episode.share * (people.max_kwh - people.min_kwh)


def lived(case: Case, episode: Episode) -> Case:
    """Return the case of an episode, ready to run; feeder, seats and all that was loaded stay."""
    scenario = case.scenario.model_copy(update={"seed": episode.seed})
    cut = window(case, episode.first, episode.days, episode.share)
    return replace(cut, loaded=replace(case.loaded, scenario=scenario))


def window(case: Case, first: int, days: int, initial_share: np.ndarray | None = None) -> Case:
    """Return the case cut down to some days, batteries filled to a share of their range ``[n]``.

    Only what was loaded is cut: the feeder, the seats and the seed stay. Raises InputError for
    days the case does not have.
    """
    check_within(case, Episode(first, days, case.scenario.seed))
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
