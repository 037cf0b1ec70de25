"""Judging policies on days they never saw: the same days, fillings and world for each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cosim.case import Case
from cosim.episode import window
from cosim.policy import Policy
from cosim.seeds import generator
from cosim.simulation import Simulation
from cosim.training.lane import Purse, stored_value


@dataclass(frozen=True)
class Period:
    """A run to judge on: some days in a row."""

    first: int
    days: int = 1


@dataclass(frozen=True, eq=False)
class Costs:
    """Cost [EUR per day] ``[periods, seeds]``: bills and wear, less what the batteries gained.

    ``owners`` are the prosumers of the judged seat, ``community`` is everybody; ``gained_kwh`` is
    what the owners' batteries hold more at the end than at the begin, per day.
    """

    owners: np.ndarray
    community: np.ndarray
    gained_kwh: np.ndarray


def judge(
    case: Case,
    seat: str,
    policies: Mapping[str, Policy],
    periods: Sequence[Period],
    seeds: Sequence[int],
) -> dict[str, Costs]:
    """Return the costs of each policy in a seat; a seed draws how full the batteries begin.

    Stored energy counts at :func:`stored_value` of the period, as for perfect foresight.
    """
    return {
        name: Costs(*np.moveaxis(np.array([
            [_cost(case, seat, policy, period, seed) for seed in seeds]
            for period in periods
        ]), -1, 0))
        for name, policy in policies.items()
    }  # fmt: skip


def cut_for(case: Case, period: Period, seed: int) -> Case:
    """Return the run of a period, batteries filled by a draw of seed and first day."""
    share = generator(seed, "judge", "filling", period.first).random(len(case.population))
    return window(case, period.first, period.days, share)


def _cost(
    case: Case, seat: str, policy: Policy, period: Period, seed: int
) -> tuple[float, float, float]:
    cut = cut_for(case, period, seed)
    seats = tuple(
        replace(s, policy=policy, supervisor=None) if s.name == seat else s for s in cut.seats
    )
    rows = next(s.rows for s in seats if s.name == seat)
    everybody = np.arange(len(case.population))
    purse = Purse(cut, everybody, stored_value(cut, everybody))  # the optimum's own value
    Simulation(replace(cut, seats=seats), purse).run()
    cost = -purse.take()
    gained = purse.energy_kwh - cut.population.initial_kwh
    sums = (cost[rows].sum(), cost.sum(), gained[rows].sum())
    return tuple(float(value) / period.days for value in sums)  # type: ignore[return-value]


def paired_interval(
    difference: np.ndarray, seed: int = 0, draws: int = 5000
) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of a mean difference ``[periods, seeds]``.

    Whole periods are drawn, then seeds within them are averaged: days are the unit of chance.
    """
    means = difference.mean(axis=1)
    random = np.random.Generator(np.random.PCG64(seed))
    picked = random.integers(0, len(means), (draws, len(means)))
    low, high = np.quantile(means[picked].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)
