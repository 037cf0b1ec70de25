"""The least cost of a period in hindsight, and the plan of all batteries that reaches it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import perf_counter
from typing import Literal

import numpy as np

from cosim.arrays import freeze
from cosim.case import Case
from cosim.feeder.limits import Limits
from cosim.optimum.community import PENALTY_EUR, Cuts, Terms, others_eur, programme
from cosim.optimum.grid import TOLERANCE_PERCENT, cuts_of, excess_percent, joined, no_cuts
from cosim.optimum.world import World, world_of
from cosim.training.lane import stored_value

#: rounds of linearising the feeder's limits
_ROUNDS = 8
#: the same once some limit cannot be kept: more would only move the breach about
_HOPELESS_ROUNDS = 3


@dataclass(frozen=True, eq=False)
class Plan:
    """The batteries' power ``[T, n]`` (> 0 charges), what it costs, and the certificate.

    ``cost_eur`` is the community's: bills and wear, less what the batteries gained at
    ``terminal``'s value. No plan costs less than ``bound_eur``; ``gap`` is what lies between,
    relative to the cost. ``excess_percent`` is the largest breach of a limit in the AC load flow,
    None where no limits were asked for; ``penalty_eur`` is what breaches that no battery can avoid
    weigh in the bound, and not in the cost.
    """

    battery_kw: np.ndarray
    cost_eur: float
    bound_eur: float
    gap: float
    status: str
    binaries: int
    rounds: int
    excess_percent: float | None
    penalty_eur: float
    seconds: float

    def __post_init__(self) -> None:
        freeze(self)


@dataclass(frozen=True, eq=False)
class _Found:
    """What one programme gives: power ``[T, m]`` of some owners, costs and certificate."""

    battery_kw: np.ndarray
    cost_eur: float
    bound_eur: float
    penalty_eur: float
    binaries: int
    status: str


def optimum(
    case: Case,
    *,
    peer_to_peer: bool = True,
    limits: Limits | None = None,
    terminal: Literal["valued", "kept"] = "valued",
    world: World | None = None,
) -> Plan:
    """Return the least-cost plan of a case that knows everything beforehand.

    ``terminal``: stored energy counts as in :func:`cosim.studies.outcome.watched`, or may not be
    less at the end than at the begin. ``limits`` are kept by the AC load flow within 0.02 %,
    where batteries can. ``world`` is what is foreseen, that of the case by default.
    Raises RunError where there is no such plan.
    """
    began = perf_counter()
    world = world_of(case) if world is None else world
    everybody = np.arange(len(case.population))
    terms = Terms(stored_value(case, everybody), terminal == "kept")
    owners = np.flatnonzero((case.population.rating_kw > 0) & (case.population.capacity_kwh > 0))
    cuts, rounds, excess = no_cuts(len(owners)), 0, None
    while True:
        found = _solve(case, world, owners, terms, cuts, peer_to_peer)
        rounds += 1
        if limits is None:
            break
        net = world.net_kw.copy()
        net[:, owners] += found.battery_kw
        over = excess_percent(case, net, limits)
        excess = float(over.max())
        new = cuts_of(case, net, found.battery_kw, owners, limits, over)
        most = _ROUNDS if found.penalty_eur == 0.0 else _HOPELESS_ROUNDS
        if excess <= TOLERANCE_PERCENT or rounds >= most or not len(new.right):
            break
        cuts = joined(cuts, new)
    battery_kw = np.zeros_like(world.net_kw)
    battery_kw[:, owners] = found.battery_kw
    gap = (found.cost_eur + found.penalty_eur - found.bound_eur) / max(1.0, abs(found.cost_eur))
    return Plan(
        battery_kw, found.cost_eur, found.bound_eur, gap, found.status, found.binaries, rounds,
        excess, found.penalty_eur, perf_counter() - began,
    )  # fmt: skip


def _solve(
    case: Case, world: World, owners: np.ndarray, terms: Terms, cuts: Cuts, peer_to_peer: bool
) -> _Found:
    """Solve for all owners at once, or one after the other where nothing joins them."""
    if peer_to_peer or len(cuts.right):
        return _solved(case, world, owners, terms, cuts, peer_to_peer)
    parts = [
        _solved(case, _only(world, i), np.array([i]), terms, no_cuts(1), False) for i in owners
    ]
    others = others_eur(world, owners)
    return _Found(
        np.concatenate([np.zeros((len(world.net_kw), 0)), *(p.battery_kw for p in parts)], axis=1),
        sum(p.cost_eur for p in parts) + others,
        sum(p.bound_eur for p in parts) + others,
        0.0,
        sum(p.binaries for p in parts),
        min((p.status for p in parts if p.status != "optimal"), default="optimal"),
    )


def _only(world: World, row: int) -> World:
    """Return the world with nobody but one prosumer in it."""
    alone = np.zeros_like(world.net_kw)
    alone[:, row] = world.net_kw[:, row]
    return replace(world, net_kw=alone)


def _solved(
    case: Case, world: World, owners: np.ndarray, terms: Terms, cuts: Cuts, peer_to_peer: bool
) -> _Found:
    """Build and solve one programme."""
    built, columns = programme(
        world, case.population, owners, terms, cuts, peer_to_peer=peer_to_peer
    )
    solution = built.solve()
    penalty = PENALTY_EUR * float(solution.values[columns.slack].sum())
    battery_kw = solution.values[columns.charge] - solution.values[columns.discharge]
    return _Found(
        battery_kw,
        solution.cost_eur - penalty,
        solution.bound_eur,
        penalty,
        solution.binaries,
        solution.status,
    )
