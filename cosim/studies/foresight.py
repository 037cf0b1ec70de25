"""Perfect foresight of a trial: the least cost with and without neighbours, and its proof."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosim.case import Case
from cosim.optimum.grid import TOLERANCE_PERCENT
from cosim.optimum.plan import optimum
from cosim.optimum.replay import replayed
from cosim.optimum.world import charged_world
from cosim.studies.outcome import watched


@dataclass(frozen=True)
class Foresight:
    """Least costs of the community in hindsight [EUR/day], and what their plan costs when run.

    No plan of all batteries costs less than ``together_bound_eur``; ``together_eur`` is that of the
    plan found. ``alone``: everybody for themselves, without neighbours. ``replayed_eur`` is the
    cost of the plan in the co-simulation, ``replayed_losses_eur`` what the feeder's losses would
    cost at the mean retail price, which the programme does not know.
    """

    together_eur: float
    together_bound_eur: float
    alone_eur: float
    alone_bound_eur: float
    replayed_eur: float
    replayed_losses_kwh: float
    replayed_losses_eur: float


def foresight(drawn: Case, days: int) -> Foresight:
    """Return what a trial's case would have cost its community with perfect foresight."""
    world = charged_world(drawn)
    together = optimum(drawn, world=world)
    alone = optimum(drawn, peer_to_peer=False, world=world)
    run = watched(replayed(drawn, together.battery_kw), np.arange(len(drawn.population)), days)
    retail = float(drawn.tariffs.drawn_eur_per_kwh.mean())
    return Foresight(
        together.cost_eur / days,
        together.bound_eur / days,
        alone.cost_eur / days,
        alone.bound_eur / days,
        run["community_eur"],
        run["losses_kwh"],
        run["losses_kwh"] * retail,
    )


@dataclass(frozen=True)
class Limited:
    """The same with neighbours and within the limits of the feeder [EUR/day].

    ``limited_bound_eur`` holds as far as loadings are convex and voltages linear in the batteries'
    power, ``limited_gap`` is that of the certificate, relative to the cost.
    ``limited_excess_percent`` is the largest breach of a limit in the AC load flow, negative where
    all are kept. Where no plan keeps them there is no bound, and the cost is that of a plan which
    breaks them least.
    """

    limited_eur: float
    limited_bound_eur: float
    limited_gap: float
    limited_excess_percent: float


def limited(drawn: Case, days: int) -> Limited:
    """Return what a trial's case would have cost, had its batteries kept the feeder's limits."""
    plan = optimum(drawn, world=charged_world(drawn), limits=drawn.limits)
    assert plan.excess_percent is not None
    kept = plan.excess_percent <= TOLERANCE_PERCENT
    bound = plan.bound_eur / days if kept else np.nan
    return Limited(plan.cost_eur / days, bound, plan.gap, plan.excess_percent)


def unknown_to_it(case: Case) -> list[str]:
    """Say which costs of a scenario the programme leaves out; without them its bound still holds.

    Only an imbalance price better than the tariff could make a policy cheaper than the bound.
    """
    left = []
    if case.tariffs.demand_eur_per_kw_month.any():
        left.append("the demand charge")
    if case.scenario.losses != "supplier":
        left.append("billed losses")
    if case.scenario.guard.network != "none":
        left.append("limits of the feeder, which the guard keeps")
    return left
