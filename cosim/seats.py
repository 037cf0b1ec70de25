"""Seats at the desk: policies ready to act, whom they serve, and who supervises them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import Any

import numpy as np

from cosim import plugins
from cosim.errors import InputError, Problem
from cosim.oversight import Supervised
from cosim.policy import Policy, check_names
from cosim.population import Population
from cosim.scenario import Scenario
from cosim.sections import SupervisorSection
from cosim.supervision import problems_with, read_supervision
from cosim.timegrid import TimeGrid

#: observations ``[m, d]``, rows ``[m]`` of the population, interval -> what a policy sees instead
Sensors = Callable[[np.ndarray, np.ndarray, int], np.ndarray]


@dataclass(frozen=True, eq=False)
class Seat:
    """A policy at the desk and the rows it serves, in ascending order."""

    name: str
    policy: Policy
    rows: np.ndarray
    supervisor: Supervised | None = None
    sensors: Sensors | None = None  # falsifies what the policy sees, for studies


def bound(policy: Any, grid: TimeGrid, folder: FilePath) -> Policy:
    """Return a policy ready to act; raise InputError where it cannot."""
    assert isinstance(policy, Policy)
    try:
        ready = policy.bound(folder, grid.interval_s)
    except InputError as error:  # where the scenario names it comes first
        raise InputError([_within(problem, folder) for problem in error.problems]) from None
    check_names(ready)
    return ready


def _within(problem: Problem, folder: FilePath) -> Problem:
    """Return a problem of a file as one of whatever names the file."""
    if not problem.where:
        return problem
    place = problem.where.removeprefix(f"{folder}/")
    return replace(problem, what=f"{place}: {problem.what}", where="")


def supervised(
    policy: Policy, section: SupervisorSection, grid: TimeGrid, folder: FilePath
) -> tuple[Supervised, tuple[tuple[str, str], ...]]:
    """Return how a policy is supervised, and the files that say so."""
    given = policy.supervision
    files: tuple[tuple[str, str], ...] = ()
    if section.statistics is not None:
        given, sha256 = read_supervision(folder / section.statistics)
        files = ((section.statistics.name, sha256),)
    if given is None:
        what = f"nothing is known of what the policy '{policy.kind()}' has seen"
        remedy = "write a file with 'cosim policy calibrate' and name it under 'statistics'"
        raise InputError(Problem(what, remedy=remedy))
    wrong = problems_with(given, policy.features, grid.interval_s)
    if grid.rounds > 1:
        what = f"a policy that is asked in {grid.rounds} rounds cannot be supervised"
        wrong.append(Problem(what, remedy="trade in one round, or leave its supervisor out"))
    if wrong:
        raise InputError(wrong)
    rule = plugins.load("policy", "self_consumption")()
    assert isinstance(rule, Policy)
    how = Supervised(
        given.statistics(), section.fallback, section.lockout_alarms, rule, given.prosumers
    )
    return how, files


def seats_of(
    scenario: Scenario,
    population: Population,
    policies: dict[str, Policy],
    overseen: dict[str, Supervised],
) -> tuple[Seat, ...]:
    """Return the seats of the policies that serve anybody."""
    seats = []
    for name, policy in policies.items():
        groups = {g for g, group in scenario.groups.items() if group.policy == name}
        rows = population.rows_of(groups)
        if len(rows):
            seats.append(Seat(name, policy, rows, overseen.get(name)))
    return tuple(seats)
