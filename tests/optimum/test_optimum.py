"""Perfect foresight: a bound nobody beats, reached by its own plan in the co-simulation."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cosim import plugins
from cosim.case import Case
from cosim.feeder.limits import Limits
from cosim.optimum.grid import TOLERANCE_PERCENT, excess_percent
from cosim.optimum.linear import Programme
from cosim.optimum.plan import optimum
from cosim.optimum.replay import replayed
from cosim.optimum.world import world_of
from cosim.population import Population
from cosim.seats import Seat
from cosim.simulation import Simulation
from cosim.training.lane import Purse, stored_value

BUDGET_BALANCED = ("mid_market_rate", "uniform_price", "supply_demand_ratio", "bill_sharing")
RULES = sorted(set(plugins.names("policy")) - {"onnx"})


def cost_eur(case: Case) -> float:
    """Return what a run costs the community, stored energy valued as judges do."""
    rows = np.arange(len(case.population))
    purse = Purse(case, rows, stored_value(case, rows))
    Simulation(case, purse).run()
    return -float(purse.take().sum())


def under(case: Case, market: str) -> Case:
    return replace(case, market=plugins.load("market", market)())  # type: ignore[arg-type]


def with_policy(case: Case, kind: str) -> Case:
    policy: Any = plugins.load("policy", kind)()
    seat = Seat("all", policy.bound(Path(), case.grid.interval_s), np.arange(len(case.population)))
    return replace(case, seats=(seat,))


@pytest.fixture(scope="module")
def case(village: Any) -> Case:
    return village.case(tariff={
        "retail_eur_per_kwh": 0.25, "feed_in_eur_per_kwh": 0.06,
        "periods": [{"hours": [17, 21], "retail_eur_per_kwh": 0.40}],
    }, policies={"rule": "passive"}, groups={
        "owners": {"members": "all", "policy": "rule", "battery": {"wear_eur_per_kwh": 0.02}},
    })  # fmt: skip


@pytest.fixture(scope="module")
def together(case: Case) -> Any:
    return optimum(case)


@pytest.fixture(scope="module")
def alone(case: Case) -> Any:
    return optimum(case, peer_to_peer=False)


def test_the_plan_alone_costs_in_the_co_simulation_what_was_promised(
    case: Case, alone: Any
) -> None:
    assert abs(alone.gap) < 1e-9
    assert cost_eur(under(replayed(case, alone.battery_kw), "none")) == pytest.approx(
        alone.cost_eur, rel=1e-6
    )


@pytest.mark.parametrize("market", BUDGET_BALANCED)
def test_the_community_plan_costs_what_was_promised_where_everything_is_traded(
    case: Case, together: Any, market: str
) -> None:
    assert abs(together.gap) < 1e-9
    assert cost_eur(under(replayed(case, together.battery_kw), market)) == pytest.approx(
        together.cost_eur, rel=1e-6
    )


@pytest.mark.parametrize("kind", RULES)
def test_no_policy_costs_less_than_the_bounds(
    case: Case, together: Any, alone: Any, kind: str
) -> None:
    own = with_policy(case, kind)
    assert cost_eur(under(own, "none")) >= alone.bound_eur - 1e-9
    assert cost_eur(under(own, "mid_market_rate")) >= together.bound_eur - 1e-9


def test_trading_and_foresight_are_worth_something_here(
    case: Case, together: Any, alone: Any
) -> None:
    rule = with_policy(case, "self_consumption")
    assert together.cost_eur < alone.cost_eur < cost_eur(under(rule, "none"))
    assert together.cost_eur < cost_eur(under(rule, "mid_market_rate"))


def test_energy_may_not_be_missing_where_that_is_the_rule(case: Case) -> None:
    free, kept = optimum(case), optimum(case, terminal="kept")
    run = Purse(case, np.arange(10), np.zeros(10))
    Simulation(replayed(case, kept.battery_kw), run).run()
    assert (run.energy_kwh >= case.population.initial_kwh - 1e-6).all()
    paid = -float(run.take().sum())
    assert paid == pytest.approx(kept.cost_eur, rel=1e-6)  # nothing of it is stored energy
    assert free.cost_eur <= kept.cost_eur + 1e-9  # as energy gained is worth nothing less than 0


def tiny(case: Case, steps: int, prices: Any, net: Any) -> tuple[Case, Any]:
    """Return a case of two homes with loss-free batteries of 2 kWh, and a world of whole kWh."""
    two = np.ones(2)
    people = Population(
        names=("a", "b"), buses=("x", "x"), groups=("g", "g"), bus=np.zeros(2, dtype=np.intp),
        capacity_kwh=2 * two, rating_kw=two, efficiency=two.copy(), min_kwh=0 * two,
        max_kwh=2 * two, initial_kwh=two.copy(), self_discharge_per_h=0 * two,
        wear_eur_per_kwh=0.01 * two, pv_kwp=0 * two,
    )  # fmt: skip
    world = world_of(case)
    retail, feed_in = prices
    small = replace(
        world, net_kw=net, retail_eur_per_kwh=retail, feed_in_eur_per_kwh=feed_in,
        charge_eur_per_kwh=np.zeros((steps, 2)), local_share=np.zeros((steps, 2)),
        fed_share=np.ones((steps, 2)), interval_h=1.0,
    )  # fmt: skip
    tariffs = replace(case.tariffs, retail_eur_per_kwh=retail, feed_in_eur_per_kwh=feed_in)
    return replace(case, population=people, tariffs=tariffs), small


def brute_force(case: Case, world: Any, *, peer_to_peer: bool) -> float:
    """Try every plan of whole powers of two homes; trades are as good as any could be."""
    steps, value = len(world.net_kw), stored_value(case, np.arange(2))
    paths = [
        (np.array(p), 1 + np.cumsum(p)) for p in product((-1, 0, 1), repeat=steps)
        if (1 + np.cumsum(p)).min() >= 0 and (1 + np.cumsum(p)).max() <= 2
    ]  # fmt: skip
    best = np.inf
    for (p, e), (q, g) in product(paths, paths):
        power = np.stack([p, q], axis=1)
        position = world.net_kw + power
        drawn, fed = np.maximum(position, 0), np.maximum(-position, 0)
        cost = (drawn * world.retail_eur_per_kwh - fed * world.feed_in_eur_per_kwh).sum()
        if peer_to_peer:  # the one draws what the other feeds in, where both gain
            for i, j in ((0, 1), (1, 0)):
                gain = world.retail_eur_per_kwh[:, i] - world.feed_in_eur_per_kwh[:, j]
                cost -= (np.minimum(drawn[:, i], fed[:, j]) * np.maximum(gain, 0)).sum()
        cost += 0.01 * np.abs(power).sum() - value @ [e[-1] - 1, g[-1] - 1]
        best = min(best, cost)
    return float(best)


@pytest.mark.parametrize("peer_to_peer", [True, False])
@pytest.mark.parametrize("prices", ["equal", "differing", "negative"])
def test_tiny_communities_against_trying_everything(
    case: Case, peer_to_peer: bool, prices: str
) -> None:
    rng = np.random.default_rng(5)
    binaries = 0
    for _ in range(4):
        retail = rng.choice([0.2, 0.3, 0.5], (4, 1)) * np.ones(2)
        feed_in = rng.choice([0.05, 0.1], (4, 1)) * np.ones(2)
        if prices == "differing":
            retail, feed_in = retail * [1.0, 1.4], feed_in * [1.0, 0.5]
        if prices == "negative":
            retail = retail - 0.35
            feed_in = np.minimum(feed_in, retail - 0.05)
        own, world = tiny(case, 4, (retail, feed_in), rng.integers(-2, 3, (4, 2)).astype(float))
        plan = optimum(own, peer_to_peer=peer_to_peer, world=world)
        binaries += plan.binaries
        assert plan.status == "optimal" and abs(plan.gap) < 1e-6
        expected = brute_force(own, world, peer_to_peer=peer_to_peer)
        assert plan.cost_eur == pytest.approx(expected, abs=1e-6)
    assert (binaries > 0) or prices != "differing" or not peer_to_peer


def test_burning_energy_at_negative_prices_is_no_plan(case: Case) -> None:
    """A full, lossy battery at a price below zero: the relaxation would charge and discharge."""
    own, world = tiny(case, 2, (np.full((2, 2), -0.5), np.full((2, 2), -0.6)), np.full((2, 2), 3.0))
    people = replace(own.population, efficiency=np.full(2, 0.5), initial_kwh=np.full(2, 2.0))
    plan = optimum(replace(own, population=people), peer_to_peer=False, world=world)
    assert plan.status == "optimal" and abs(plan.gap) < 1e-6
    # discharge somewhat in the first hour, charge what then fits in the second: the best of those
    costs = []
    root, value = np.sqrt(0.5), stored_value(own, np.arange(1))[0] * np.sqrt(0.5)
    for first in np.linspace(-1.0, 0.0, 101):
        room = -first / root
        second = min(1.0, room / root)
        position = 3.0 + np.array([first, second])
        gained = second * root - room
        costs.append(-0.5 * position.sum() + 0.01 * (second - first) - value * gained)
    assert plan.cost_eur == pytest.approx(2.0 * min(costs), abs=1e-3)


def test_the_bound_is_true_for_any_prices_of_the_rows() -> None:
    from cosim.optimum.linear import lower_bound

    rng = np.random.default_rng(2)
    from scipy.sparse import csr_array

    cost, matrix = rng.normal(size=6), csr_array(rng.normal(size=(3, 6)))
    low, high = np.zeros(6), np.ones(6)
    inside = rng.random(6)
    right = matrix @ inside
    none = (csr_array((0, 6)), np.zeros(0), np.zeros(0))
    built = Programme()
    x = built.columns((6,), cost, low, high)
    built.equal(right, *((np.full(3, x[j]), matrix.toarray()[:, j]) for j in range(6)))
    best = built.solve()
    assert best.cost_eur == pytest.approx(best.bound_eur, abs=1e-9)
    for _ in range(50):
        bound = lower_bound(cost, low, high, (matrix, right, rng.normal(size=3)), none)
        assert bound <= best.cost_eur + 1e-12


def test_limits_of_the_feeder_are_kept_by_the_ac_load_flow(case: Case, together: Any) -> None:
    net = case.profiles.load_kw - case.profiles.pv_kw
    idle, wanted = (excess_percent(case, x, Limits()) for x in (net, net + together.battery_kw))
    first = 2 * len(case.network.buses)
    lines = slice(first, first + len(case.network.lines))
    highest = min(100.0 + x[:, lines].max() for x in (idle, wanted))
    limits = Limits(line_percent=0.95 * highest)  # too little for either
    plan = optimum(case, limits=limits)
    assert plan.rounds > 1
    assert plan.excess_percent <= TOLERANCE_PERCENT
    assert plan.penalty_eur == 0.0
    assert excess_percent(case, net + plan.battery_kw, limits).max() <= TOLERANCE_PERCENT
    assert together.cost_eur < plan.cost_eur


def test_limits_no_battery_can_keep_are_said_and_not_hidden(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cosim.optimum.linear.TIME_LIMIT_S", 0.5)
    plan = optimum(case, limits=Limits(line_percent=3.0))
    assert plan.excess_percent > TOLERANCE_PERCENT and plan.penalty_eur > 0.0
    assert plan.cost_eur + plan.penalty_eur >= plan.bound_eur - 1e-6


SHOCK = {"kind": "price_shock", "start": "2016-07-18 12:00", "end": "2016-07-18 20:00"}
COLLAPSE = {"kind": "pv_collapse", "start": "2016-07-18 10:00", "end": "2016-07-18 15:00"}


def test_disturbed_scenarios_are_foreseen_as_they_were_metered(village: Any) -> None:
    disturbed = village.case(disturbances=[SHOCK, COLLAPSE])
    alone = optimum(disturbed, peer_to_peer=False)
    assert alone.cost_eur > optimum(village.case(), peer_to_peer=False).cost_eur
    run = cost_eur(under(replayed(disturbed, alone.battery_kw), "none"))
    assert run == pytest.approx(alone.cost_eur, rel=1e-6)
    shocked = village.case(disturbances=[SHOCK])
    together = optimum(shocked)
    run = cost_eur(under(replayed(shocked, together.battery_kw), "mid_market_rate"))
    assert run == pytest.approx(together.cost_eur, rel=1e-6)


def test_orders_do_not_foresee_what_the_plan_does(village: Any) -> None:
    """A collapse within a traded interval: orders rest on the forecast, so the bound is not met."""
    case = village.case(disturbances=[COLLAPSE])
    plan = optimum(case)
    run = cost_eur(under(replayed(case, plan.battery_kw), "mid_market_rate"))
    assert plan.bound_eur < run < 1.1 * plan.cost_eur


def test_charges_on_drawn_energy_raise_the_cost_and_local_shares_lower_the_gain(case: Case) -> None:
    costs = [optimum(case, world=world_of(case, 0.1, share)).cost_eur for share in (0.0, 0.5, 1.0)]
    assert optimum(case).cost_eur < costs[0] < costs[1] < costs[2]
