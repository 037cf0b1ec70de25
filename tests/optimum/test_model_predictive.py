"""The rolling optimum beside the rule and the optimum in hindsight, under day-ahead prices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cosim import plugins
from cosim.case import Case, load_case
from cosim.markets.base import Market
from cosim.optimum.plan import optimum
from cosim.policy import Policy
from cosim.scenario import load_scenario
from cosim.studies.matrix import Job, Matrix, run_matrix
from cosim.studies.trials import Entrant, drawn_case


def entrant(case: Case, name: str, kind: str, market: str | None, **options: Any) -> Entrant:
    policy = plugins.load("policy", kind).model_validate(options)
    closed = None if market is None else plugins.load("market", market)()
    assert isinstance(policy, Policy) and (closed is None or isinstance(closed, Market))
    ready = policy.bound(case.loaded.folder, case.grid.interval_s)
    return Entrant(name, ready, market=closed)


@pytest.fixture(scope="module")
def matrix() -> Matrix:
    case = load_case(load_scenario("scenarios/day_ahead.yaml"))
    entrants = (
        entrant(case, "rule alone", "self_consumption", "none"),
        entrant(case, "tariff alone", "model_predictive", "none", trading="tariff"),
        entrant(case, "local alone", "model_predictive", "none"),
        entrant(case, "rule", "self_consumption", None),
        entrant(case, "tariff", "model_predictive", None, trading="tariff"),
        entrant(case, "local", "model_predictive", None),
    )
    return run_matrix(Job(case, "rule", entrants, (0,), 2, (101,)))


def cost(matrix: Matrix, name: str) -> float:
    return float(matrix.of(name, "community_eur")[0, 0])


def test_without_neighbours_it_lies_between_the_rule_and_hindsight(matrix: Matrix) -> None:
    best = float(matrix.foreseen("alone_bound_eur")[0, 0])
    assert best < cost(matrix, "tariff alone") < cost(matrix, "rule alone")
    gap = cost(matrix, "rule alone") - best
    assert cost(matrix, "rule alone") - cost(matrix, "tariff alone") > 0.25 * gap


def test_planning_with_neighbours_pays_where_there_are_some(matrix: Matrix) -> None:
    best = float(matrix.foreseen("together_bound_eur")[0, 0])
    assert best < cost(matrix, "local") < cost(matrix, "tariff") < cost(matrix, "rule")


def test_expecting_neighbours_who_are_not_there_is_soon_unlearned(matrix: Matrix) -> None:
    loss = cost(matrix, "local alone") - cost(matrix, "tariff alone")
    assert loss < 0.1 * abs(cost(matrix, "tariff alone"))


def test_it_burns_no_energy(matrix: Matrix) -> None:
    """Under prices below zero it moves more than the rule, and less than the plan in hindsight."""
    case = drawn_case(matrix.job.case, matrix.job.trials[0])
    plan = optimum(case, peer_to_peer=False).battery_kw
    planned_kwh = float(np.abs(plan).sum()) * case.grid.interval_h / 2  # a day
    moved = {name: float(matrix.of(name, "throughput_kwh")[0, 0]) for name in ("rule", "tariff")}
    assert moved["rule"] < moved["tariff"] < planned_kwh


def test_it_learns_of_neighbours_in_several_rounds_too() -> None:
    """In the last round hardly anybody has an order left, which is no sign of empty markets."""
    rounds = "market={kind: order_book, rounds: 3}"
    case = load_case(load_scenario("scenarios/day_ahead.yaml", [rounds]))
    entrants = (
        entrant(case, "tariff", "model_predictive", None, trading="tariff"),
        entrant(case, "local", "model_predictive", None),
    )
    found = run_matrix(Job(case, "rule", entrants, (0,), 2, (101,), foresight=False))
    assert cost(found, "local") < 0.9 * cost(found, "tariff")


def test_it_plans_by_the_tariff_where_the_market_takes_no_orders() -> None:
    """Bills that are shared by meters tell nothing of what an order would have been filled."""
    case = load_case(load_scenario("scenarios/day_ahead.yaml", ["market=bill_sharing"]))
    entrants = (
        entrant(case, "tariff", "model_predictive", None, trading="tariff"),
        entrant(case, "local", "model_predictive", None),
    )
    found = run_matrix(Job(case, "rule", entrants, (0,), 1, (101,), foresight=False))
    assert cost(found, "local") == cost(found, "tariff")
