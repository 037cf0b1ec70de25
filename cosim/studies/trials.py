"""Trials: the periods and seeds on which every policy is run, and who sits in the judged seat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cosim.case import Case
from cosim.episode import Episode, lived
from cosim.errors import InputError, Problem
from cosim.markets.base import Market
from cosim.oversight import Supervised
from cosim.policy import Policy
from cosim.seats import Seat
from cosim.seeds import generator


@dataclass(frozen=True)
class Trial:
    """Some days of a case from its ``first``, with a seed of all draws and of the fillings."""

    first: int
    days: int
    seed: int


@dataclass(frozen=True, eq=False)
class Entrant:
    """Who is judged: a policy for the seat and, for some, a market other than the scenario's.

    A candidate is what the study is about, the others are there to be compared with.
    """

    name: str
    policy: Policy
    candidate: bool = False
    market: Market | None = None
    supervisor: Supervised | None = None


def drawn_case(case: Case, trial: Trial) -> Case:
    """Return the case of a trial: its days, its draws, and batteries filled by its seed.

    The draws are those of :func:`cosim.training.judge.judge`.
    """
    share = generator(trial.seed, "judge", "filling", trial.first).random(len(case.population))
    return lived(case, Episode(trial.first, trial.days, trial.seed, share))


def seated(case: Case, seat: str, entrant: Entrant) -> Case:
    """Return the case with an entrant in a seat; all other seats stay as they are."""
    seats = tuple(
        replace(own, policy=entrant.policy, supervisor=entrant.supervisor)
        if own.name == seat
        else own
        for own in case.seats
    )
    return replace(case, seats=seats, market=entrant.market or case.market)


def seat_of(case: Case, name: str | None) -> Seat:
    """Return the seat to judge: the one named, or the only one that serves batteries.

    Raises InputError where there is no such seat, or more than one to choose from.
    """
    able = (case.population.rating_kw > 0.0) & (case.population.capacity_kwh > 0.0)
    served = [seat for seat in case.seats if name in (None, seat.name) and able[seat.rows].any()]
    if name is None and len(served) > 1:  # whoever leaves the battery alone is not meant
        served = [seat for seat in served if seat.policy.kind() not in {"passive", "do_nothing"}]
    if len(served) == 1:
        return served[0]
    known = ", ".join(f"'{seat.name}'" for seat in case.seats)
    if name is None:
        what, why = "which policy's place is to be judged?", f"{len(served)} serve batteries"
    elif name in {seat.name for seat in case.seats}:
        what, why = f"nobody in the seat '{name}' has a battery", "no policy can differ there"
    else:
        what, why = f"no seat '{name}'", "no group has a policy of that name"
    raise InputError(Problem(what, "--seat", why, f"name one of {known}"))


def strata_of(case: Case, periods: Sequence[int]) -> list[int]:
    """Return the quarter of the year in which each period begins."""
    begins = (case.grid.utc(first * 86_400).astimezone(case.grid.zone) for first in periods)
    return [(begin.month - 1) // 3 for begin in begins]
