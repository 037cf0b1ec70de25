"""What the environments share: episodes of a case in which the learner sits at the desk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral

import numpy as np
from gymnasium import spaces

from cosim.arrays import freeze
from cosim.case import Case
from cosim.episode import lived, whole
from cosim.errors import InputError, Problem, did_you_mean
from cosim.simulation import Recorder
from cosim.training.days import CALENDAR, Calendar, blinded, drawn_episode
from cosim.training.export import Scaling
from cosim.training.lane import Lane, Turn, stored_value
from cosim.training.signals import OBSERVED, decided, reach_of, rewards_of, scaling_of

Record = Callable[[Case], Recorder]


@dataclass(frozen=True, eq=False)
class Told:
    """What a step tells of each served prosumer.

    Scaled observations ``[m, d]``, rewards by terms ``[m, 3]``, and who is at the desk ``[m]``.
    """

    observations: np.ndarray
    rewards: np.ndarray
    present: np.ndarray
    interval: int
    over: bool

    def __post_init__(self) -> None:
        freeze(self)


class World:
    """Runs of a case with the learner serving some rows, one after another.

    Without ``days`` every episode is the run of the case itself, with the scenario's own seed and
    fillings; with it, so many training days are drawn, with a seed and fillings of their own, and
    nothing is seen of the days that the calendar keeps from learners. Raises InputError for less
    than a day, and for a ``team`` that is no share.
    """

    def __init__(
        self,
        case: Case,
        rows: np.ndarray,
        *,
        features: Sequence[str] = OBSERVED,
        scaling: Scaling | None = None,
        actions: Sequence[str] = ("battery_kw",),
        team: float = 0.0,
        days: int | None = None,
        record: Record | None = None,
        calendar: Calendar = CALENDAR,
    ) -> None:
        _check(days, team)
        case = case if days is None else blinded(case, calendar)
        self.calendar = calendar
        self.case, self.rows, self.days, self.team = case, rows, days, team
        self.scaling = scaling or scaling_of(case, rows, features)
        self.reach = reach_of(case, rows, actions)
        names, value = self.scaling.features, stored_value(case, rows)
        self._raw = np.zeros((len(rows), len(names)))  # what is to be decided on, unscaled
        self._lane = Lane(rows, value, names, self.reach.names, record)

    def space_seen(self, count: int = 1) -> spaces.Box:
        """Return the space of the observations of some prosumers, flat."""
        limit, width = self.scaling.limit, len(self.scaling.inputs)
        return spaces.Box(-limit, limit, (count * width,), np.float32)

    def space_done(self, count: int = 1) -> spaces.Box:
        """Return the space of the actions of some prosumers, flat."""
        return spaces.Box(-1.0, 1.0, (count * len(self.reach.names),), np.float32)

    def begin(self, random: np.random.Generator) -> Told:
        """Start an episode; nothing is worth anything yet."""
        if self.days is None:
            episode = whole(self.case)
        else:
            episode = drawn_episode(self.case, self.days, random, self.calendar)
        turn = self._lane.reset(lived(self.case, episode))
        return self._told(turn, np.zeros((len(self.rows), 3)))

    def step(self, shares: np.ndarray) -> Told:
        """Decide by actions in [-1, 1] ``[m, a]``, and run on to the next decision."""
        turn, worth = self._lane.step(decided(self.reach, self.scaling, shares, self._raw))
        rating = self.case.population.rating_kw[self.rows]
        return self._told(turn, rewards_of(worth, rating, self.team))

    def actions_of(self, given: object, count: int = 1, whose: str = "") -> np.ndarray:
        """Return the actions of some prosumers ``[count, a]``, given flat as their space has them.

        Raises ValueError for any other shape, before anything is decided.
        """
        actions = np.asarray(given, dtype=float)
        shape = (count * len(self.reach.names),)
        if actions.shape != shape:
            raise ValueError(f"an action{whose} has the shape {shape}, not {actions.shape}")
        return actions.reshape(count, -1)

    def close(self) -> None:
        """End the episode and its thread."""
        self._lane.close()

    def _told(self, turn: Turn, rewards: np.ndarray) -> Told:
        self._raw, seen = turn.observations, self.scaling(turn.observations)
        return Told(seen, rewards, turn.present, turn.interval, turn.over)


def _check(days: int | None, team: float) -> None:
    """Raise InputError for a length that is no number of days and a share that is none."""
    wrong = []
    if days is not None and not (isinstance(days, Integral) and days >= 1):
        remedy = "a whole number from 1 on; None: the run as it is"
        wrong.append(Problem(f"episodes of {days!r} days", "days", remedy=remedy))
    if not 0.0 <= team <= 1.0:
        wrong.append(Problem(f"a share of {team!r} of the team's worth", "team", remedy="0 to 1"))
    if wrong:
        raise InputError(wrong)


def row_of(case: Case, prosumer: str) -> np.ndarray:
    """Return the row of a prosumer ``[1]``; raise InputError for an unknown name."""
    names = case.population.names
    if prosumer not in names:
        raise InputError(
            Problem(f"unknown participant '{prosumer}'", remedy=did_you_mean(prosumer, names))
        )
    return np.array([names.index(prosumer)])
