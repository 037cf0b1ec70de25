"""The joint projection: least change, checked by other solvers, and fewer breaches in a run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize

from cosim.feeder.limits import breaches
from cosim.projection import least_change
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
    from cosim.projection import Forecast, project

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
