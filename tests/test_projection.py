"""The joint projection: least change, checked by other solvers, and fewer breaches in a run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize

from cosim.feeder.feeder import Feeder
from cosim.feeder.limits import Limits, breaches
from cosim.feeder.linear import Entries
from cosim.feeder.sources import load_network
from cosim.feeder.state import GridState
from cosim.population import Population
from cosim.projection import (
    TOLERANCE_PERCENT,
    TOLERANCE_PU,
    Forecast,
    NetworkGuard,
    Ties,
    _Problem,
    least_change,
    project,
)
from cosim.reason import Reason


def problem(seed: int) -> tuple[np.ndarray, ...]:
    """Return wanted, low, high, and limits ``a @ x <= b`` that a point within bounds keeps."""
    draw = np.random.default_rng(seed)
    n, rows = draw.integers(1, 6), draw.integers(1, 5)
    low, high = -draw.uniform(0.0, 5.0, n), draw.uniform(0.0, 5.0, n)
    wanted = draw.uniform(low, high)
    a = draw.normal(size=(rows, n))
    a /= np.abs(a).max(axis=1)[:, None]
    inside = draw.uniform(low, high)
    return wanted, low, high, a, a @ inside + draw.uniform(0.0, 0.5, rows)


@given(st.integers(0, 10_000))
@settings(max_examples=60)
def test_it_is_the_nearest_point_that_another_solver_finds(seed: int) -> None:
    wanted, low, high, a, b = problem(seed)
    found = least_change(wanted, low, high, a, b)
    assert (found >= low).all() and (found <= high).all()
    assert (a @ found <= b + 1e-6).all()
    other = minimize(
        lambda x: 0.5 * ((x - wanted) ** 2).sum(),
        wanted,
        jac=lambda x: x - wanted,
        bounds=list(zip(low, high, strict=True)),
        method="SLSQP",
        constraints={"type": "ineq", "fun": lambda x: b - a @ x, "jac": lambda x: -a},
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert other.success
    np.testing.assert_allclose(found, other.x, atol=1e-5)


@given(st.integers(0, 10_000))
@settings(max_examples=40)
def test_where_no_point_keeps_the_limits_the_excess_is_least(seed: int) -> None:
    wanted, low, high, a, _ = problem(seed)
    best = np.minimum(a * low, a * high).sum(axis=1)
    b = best - np.random.default_rng(seed).uniform(0.1, 3.0, len(a))
    found = least_change(wanted, low, high, a, b)
    n, rows = len(wanted), len(b)
    cost = np.concatenate((np.zeros(n), np.ones(rows)))
    bounds = [*zip(low, high, strict=True), *[(0.0, None)] * rows]
    other = linprog(cost, A_ub=np.hstack((a, -np.eye(rows))), b_ub=b, bounds=bounds)
    assert np.maximum(a @ found - b, 0.0).sum() == pytest.approx(other.fun, abs=1e-4)


def test_what_keeps_the_limits_is_let_be() -> None:
    wanted = np.array([1.0, -2.0])
    kept = least_change(wanted, wanted - 5.0, wanted + 5.0, np.eye(2), wanted + 1.0)
    np.testing.assert_allclose(kept, wanted, atol=1e-6)
    none = np.zeros((0, 2))
    assert np.array_equal(least_change(wanted, wanted, wanted, none, np.zeros(0)), wanted)


FEEDERS = ("create_kerber_landnetz_freileitung_1", "create_kerber_dorfnetz")


def entries(matrix: np.ndarray) -> Entries:
    row, column = np.indices(matrix.shape).reshape(2, -1)
    return Entries(row, column, matrix.ravel())


@given(st.integers(0, 10_000))
@settings(max_examples=60)
def test_tied_unknowns_change_nothing_but_the_form(seed: int) -> None:
    """The programme with unknowns beside the set-points, and with these eliminated."""
    wanted, low, high, a, b = problem(seed)
    draw = np.random.default_rng(seed)
    n, k = len(wanted), len(b) + int(draw.integers(0, 4))
    matrix = np.eye(k) + 0.3 * draw.normal(size=(k, k)) / np.sqrt(k)
    drawn, right = draw.normal(size=(k, n)), draw.normal(size=k)
    follow = np.linalg.solve(matrix, np.column_stack((drawn, right)))  # u = follow @ (-x, 1)
    beside = draw.normal(size=(len(b), k))
    own = a + beside @ follow[:, :n]
    ties = Ties(k, entries(np.hstack((drawn, matrix))), right)
    found = least_change(
        wanted, low, high, entries(np.hstack((own, beside))), b + beside @ follow[:, n], ties
    )
    np.testing.assert_allclose(found, least_change(wanted, low, high, a, b), atol=1e-6)


def stressed(
    name: str, seed: int, n: int, population_of: Any
) -> tuple[Population, NetworkGuard, Forecast, np.ndarray]:
    """Return batteries that charge all at once, on limits which that breaks."""
    network = load_network("pandapower", name)
    feeder, draw = Feeder(network), np.random.default_rng(seed)
    others = np.setdiff1d(np.arange(len(network.buses)), [network.slack_bus])
    people = replace(population_of(n), bus=draw.choice(others, n))
    high = draw.uniform(1.0, 4.0, n)
    load = draw.uniform(0.0, 1.0, n)

    def state(battery_kw: np.ndarray) -> GridState:
        p = np.bincount(people.bus, -load - battery_kw, len(network.buses))
        return feeder.solve(p, 0.3 * np.bincount(people.bus, -load, len(network.buses)))

    idle, full = state(0.0 * high), state(high)
    share = draw.uniform(0.3, 0.9)
    limits = Limits(
        float(np.nanmin(idle.vm_pu) * (1 - share) + np.nanmin(full.vm_pu) * share),
        1.2,
        float(idle.line_loading_percent.max() * (1 - share)
              + full.line_loading_percent.max() * share),
        100.0 * len(others),
    )  # fmt: skip
    expected = Forecast(load, 0.3 * load, 0.0 * load, -high, high)
    return people, NetworkGuard(feeder, limits), expected, high


@given(st.integers(0, 10_000), st.sampled_from(FEEDERS))
@settings(max_examples=25)
def test_limits_are_kept_on_real_feeders(population_of: Any, seed: int, name: str) -> None:
    people, guard, expected, high = stressed(name, seed, 12, population_of)
    found = project(people, guard, expected, high)
    assert found is not None and found.broken > 0
    assert found.solved and found.left == 0.0
    assert (found.battery_kw <= high).all() and (found.battery_kw >= -high).all()
    buses = len(guard.feeder.network.buses)
    p = np.bincount(people.bus, -expected.load_kw - found.battery_kw, buses)
    state = guard.feeder.solve(p, np.bincount(people.bus, -expected.load_kvar, buses))
    assert np.nanmin(state.vm_pu) >= guard.limits.vm_min_pu - TOLERANCE_PU
    assert state.line_loading_percent.max() <= guard.limits.line_percent + TOLERANCE_PERCENT
    assert project(people, guard, expected, found.battery_kw) is None
    assert project(people, guard, expected, 0.0 * high) is None


@given(st.integers(0, 10_000), st.sampled_from(FEEDERS))
@settings(max_examples=15)
def test_a_round_finds_what_a_dense_programme_of_slopes_finds(
    population_of: Any, seed: int, name: str
) -> None:
    """Slopes as differences of the load flow, and no unknowns but the set-points."""
    people, guard, expected, high = stressed(name, seed, 6, population_of)
    problem = _Problem(people, guard, expected)
    excess = problem.excess(high)
    rows = excess > 1.0
    found = problem.nearest(high, high, excess, rows)
    step = 1e-3 * np.eye(6)
    a = np.column_stack(
        [(problem.excess(high + d)[rows] - problem.excess(high - d)[rows]) / 2e-3 for d in step]
    )
    other = least_change(high, -high, high, a, a @ high - excess[rows])
    np.testing.assert_allclose(found, other, atol=1e-5)


def test_hopeless_limits_are_broken_as_little_as_can_be(population_of: Any) -> None:
    people, guard, expected, high = stressed(FEEDERS[0], 5, 12, population_of)
    hopeless = replace(guard, limits=replace(guard.limits, vm_min_pu=1.15))
    found = project(people, hopeless, expected, high)
    assert found is not None and found.solved and found.left > 0.0
    np.testing.assert_allclose(found.battery_kw, -high, atol=1e-4)  # all that they have


def test_a_meshed_feeder_is_projected_too(population_of: Any) -> None:
    people, guard, expected, high = stressed("case33bw", 3, 12, population_of)
    for name in sorted(guard.feeder.topology.open_lines)[:2]:
        guard.feeder.close_line(name)
    assert guard.feeder.engine == "pandapower"
    buses = len(guard.feeder.network.buses)

    def lowest(battery_kw: np.ndarray) -> float:
        p = np.bincount(people.bus, -expected.load_kw - battery_kw, buses)
        q = np.bincount(people.bus, -expected.load_kvar, buses)
        return float(np.nanmin(guard.feeder.solve(p, q).vm_pu))

    high = 100.0 * high
    expected = replace(expected, low_kw=-high, high_kw=high)
    limits = Limits(0.5 * (lowest(high) + lowest(0.0 * high)), 1.2, 1e9, 1e9)
    found = project(people, NetworkGuard(guard.feeder, limits), expected, high)
    assert found is not None and found.left == 0.0
    assert lowest(found.battery_kw) == pytest.approx(limits.vm_min_pu, abs=2 * TOLERANCE_PU)


CASE: dict[str, Any] = {
    "time": {"start": "2016-07-18", "days": 1, "interval_minutes": 30},
    "policies": {"eager": {"kind": "time_of_use", "charge_share": 1.0}, "passive": "passive"},
    "groups": {
        "owners": {"members": "battery", "policy": "eager"},
        "rest": {"members": "all", "policy": "passive"},
    },
    "disturbances": [],
}


def minutes(case: Any, diary: Any) -> float:
    """Return for how long any limit was broken."""
    return (
        sum(
            solve.end_s - solve.start_s
            for solve in diary.solves
            if breaches(solve.grid, case.limits).any
        )
        / 60.0
    )


def tight(village: Any, **guard: Any) -> Any:
    """Return a case whose lines cannot carry all batteries charging at once."""
    feeder = {
        "source": "pandapower",
        "name": "four_loads_with_branches_out",
        "limits": {"line_percent": LINE_PERCENT},
    }
    return village.case(**CASE, feeder=feeder, guard=guard)


LINE_PERCENT = 16.0


def test_an_overloaded_feeder_has_fewer_breaches(village: Any, diary_of: Any) -> None:
    before, after = tight(village), tight(village, network="project")
    plain, kept = diary_of(before), diary_of(after)
    assert minutes(before, plain) > 120.0
    assert minutes(after, kept) <= 0.5 * minutes(before, plain)
    moved = [i.trade.guarded.moved_kw for i in kept.intervals]
    flagged = [i.trade.guarded.reason & Reason.NETWORK != 0 for i in kept.intervals]
    for change, flag in zip(moved, flagged, strict=True):
        assert np.array_equal(flag, np.zeros_like(flag) if change is None else change != 0.0)
    assert any(flag.any() for flag in flagged)
    assert "network_projection" in {kind for _, kind in kept.events}
    for interval in kept.intervals:  # orders follow the position after the projection
        guarded, order = interval.trade.guarded, interval.trade.orders.quantity_kwh
        assert (np.abs(order) <= np.abs(guarded.position_kwh) + 1e-12).all()
        assert (order * guarded.position_kwh >= 0.0).all()


def test_without_a_limit_in_danger_no_bit_changes(village: Any, diary_of: Any) -> None:
    plain, guarded = village.case(**CASE), village.case(**CASE, guard={"network": "project"})
    for one, other in zip(diary_of(plain).intervals, diary_of(guarded).intervals, strict=True):
        assert one.bills.bill_eur.tobytes() == other.bills.bill_eur.tobytes()
        assert one.trade.guarded.decision.battery_kw.tobytes() == (
            other.trade.guarded.decision.battery_kw.tobytes()
        )
        assert other.trade.guarded.moved_kw is None


def test_the_projection_is_what_a_general_solver_finds_on_the_feeder(
    village: Any, diary_of: Any
) -> None:
    """Against SLSQP on the load flow itself, not on its linearisation."""
    from cosim.case import network_guard
    from cosim.physics.battery import feasible_range_kw

    case = tight(village, network="project")
    guard = network_guard(case, case.feeder)
    assert guard is not None
    people = case.population
    low, high = feasible_range_kw(people, 0.5 * people.max_kwh, 0.5)
    k = 8
    load, pv = case.profiles.load_kw[k], case.profiles.pv_kw[k]
    expected = Forecast(load, np.zeros_like(load), pv, low, high)
    found = project(people, guard, expected, high)
    assert found is not None and found.left == 0.0 and found.broken > 0

    def line(x: np.ndarray) -> np.ndarray:
        p = np.bincount(people.bus, pv - load - x, len(case.network.buses))
        return guard.limits.line_percent - case.feeder.solve(p, 0.0 * p).line_loading_percent

    other = minimize(
        lambda x: ((x - high) ** 2).sum(),
        high,
        jac=lambda x: 2.0 * (x - high),
        method="SLSQP",
        bounds=list(zip(low, high, strict=True)),
        constraints={"type": "ineq", "fun": line},
        options={"ftol": 1e-12, "maxiter": 300},
    )
    ours = ((found.battery_kw - high) ** 2).sum()
    assert other.success
    assert ours == pytest.approx(other.fun, rel=0.03)
    assert (line(found.battery_kw) >= -0.2).all()


def test_what_batteries_cannot_mend_is_said(village: Any, diary_of: Any) -> None:
    feeder = {
        "source": "pandapower",
        "name": "four_loads_with_branches_out",
        "limits": {"line_percent": 1.0},
    }
    case = village.case(**CASE, feeder=feeder, guard={"network": "project"})
    diary = diary_of(case)
    told = [p.told(0.5) for i in diary.intervals for p in i.trade.projections]
    assert told and not all(one["kept"] for one in told)
    assert all(one["solved"] for one in told)
