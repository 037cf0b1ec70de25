"""The compiled operation of a battery against HiGHS, and against trying everything."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from cosim.optimum.storage import best_powers, tariff


def battery(rng: np.random.Generator) -> dict[str, float]:
    """Return a battery and an interval's length, drawn."""
    hours, rate = rng.choice([0.25, 0.5, 1.0]), rng.choice([0.0, 0.001, 0.01])
    capacity = rng.uniform(2.0, 20.0)
    return {
        "hours": hours,
        "root": np.sqrt(rng.uniform(0.5, 1.0)),
        "decay": np.exp(-rate * hours),
        "held": (1.0 - np.exp(-rate * hours)) / rate if rate else hours,
        "least": rng.choice([0.0, 0.1]) * capacity,
        "most": rng.uniform(0.5, 1.0) * capacity,
        "rating": rng.uniform(0.5, 8.0),
        "wear": rng.choice([0.0, 0.02]),
        "terminal": rng.choice([0.0, 0.2, 0.3]),
    }


def planned(start: float, net: Any, buy: Any, sell: Any, own: dict[str, float]) -> tuple:
    """Return the compiled answer for one battery: power and cost."""
    return planned_at(start, net, tariff(np.asarray(buy), np.asarray(sell)), own)


def planned_at(start: float, net: Any, prices: np.ndarray, own: dict[str, float]) -> tuple:
    """Return the same at prices of neighbours and tariff ``[H, 6]``."""
    net = np.asarray(net, dtype=float)[None]
    rows = (net, np.asarray(prices, dtype=float)[None])
    rest = [np.array([own[k]]) for k in
            ("root", "decay", "held", "least", "most", "rating", "wear", "terminal")]  # fmt: skip
    power, cost = best_powers(
        np.array([start]), *rows, np.array([net.shape[1]]), own["hours"], *rest
    )  # fmt: skip
    return float(power[0]), float(cost[0])


def by_highs(
    start: float,
    net: Any,
    buy: Any,
    sell: Any,
    own: dict[str, float],
    first: float | None = None,
    near: tuple[Any, Any, Any, Any] | None = None,
) -> float:
    """Return the optimum of the same problem as a programme, the first power given or not.

    ``near`` are price and most power bought of neighbours, and sold to them.
    """
    n, zero, one = len(net), np.zeros((len(net),) * 2), np.eye(len(net))
    before = own["decay"] * np.eye(n, k=-1)
    dynamics = [-own["root"] * own["held"] * one, own["held"] / own["root"] * one, one - before]
    balance = [-one, one, zero, one, -one]
    a = np.block([[*dynamics, zero, zero], balance])
    b = np.concatenate([np.zeros(n), net])
    b[0] = start * own["decay"]
    wear = np.full(n, own["wear"])
    end = np.zeros(n)
    end[-1] = -own["terminal"] / own["hours"]
    cost = np.concatenate([wear, wear, end, buy, -np.asarray(sell)]) * own["hours"]
    bounds = [(0.0, own["rating"])] * (2 * n) + [(own["least"], own["most"])] * n
    bounds += [(0.0, None)] * (2 * n)
    if near is not None:
        a = np.block([a, np.vstack([zero, one]), np.vstack([zero, -one])])
        cost = np.concatenate([cost, own["hours"] * near[0], -own["hours"] * near[2]])
        bounds += [(0.0, most) for most in (*near[1], *near[3])]
    if first is not None:
        bounds[0], bounds[n] = (max(first, 0.0),) * 2, (max(-first, 0.0),) * 2
    found = linprog(cost, A_eq=a, b_eq=b, bounds=bounds)
    assert found.status == 0, found.message
    return float(found.fun)


@settings(max_examples=60)
@given(st.integers(0, 10**6))
def test_it_costs_what_highs_finds_and_its_first_power_is_optimal(seed: int) -> None:
    rng = np.random.default_rng(seed)
    own, n = battery(rng), int(rng.integers(1, 25))
    start = rng.uniform(own["least"] / own["decay"], own["most"])
    net = rng.normal(0.0, 3.0, n).round(2)
    buy, sell = rng.choice([0.2, 0.3, 0.5], n), rng.choice([0.05, 0.1, 0.2], n)
    power, cost = planned(start, net, buy, sell, own)
    assert cost == pytest.approx(by_highs(start, net, buy, sell, own), abs=1e-8)
    assert cost == pytest.approx(by_highs(start, net, buy, sell, own, power), abs=1e-7)


@settings(max_examples=60)
@given(st.integers(0, 10**6))
def test_neighbours_give_and_take_up_to_a_power_as_highs_finds(seed: int) -> None:
    """Against a programme with two more flows in each interval, of limited power."""
    rng = np.random.default_rng(seed)
    own, n = battery(rng), int(rng.integers(1, 25))
    start = rng.uniform(own["least"] / own["decay"], own["most"])
    net = rng.normal(0.0, 3.0, n).round(2)
    far_sell, sell, buy, far_buy = np.sort(rng.choice([0.05, 0.1, 0.2, 0.3, 0.5], (4, n)), axis=0)
    most_bought, most_sold = rng.choice([0.0, 0.5, 2.0, 20.0], (2, n))
    prices = np.stack((far_buy, buy, most_bought, far_sell, sell, most_sold), axis=1)
    power, cost = planned_at(start, net, prices, own)
    near = (buy, most_bought, sell, most_sold)
    assert cost == pytest.approx(by_highs(start, net, far_buy, far_sell, own, near=near), abs=1e-8)
    fixed = by_highs(start, net, far_buy, far_sell, own, power, near)
    assert cost == pytest.approx(fixed, abs=1e-7)


@pytest.mark.parametrize("seed", range(12))
def test_negative_prices_of_the_present_are_taken_as_they_are(seed: int) -> None:
    """One interval, any prices: no power on a fine grid is better, and the power found is real."""
    rng = np.random.default_rng(seed)
    own = battery(rng)
    start = rng.uniform(own["least"] / own["decay"], own["most"])
    net, (buy, sell) = rng.normal(0.0, 3.0), rng.uniform(-0.5, 0.5, 2)
    power, cost = planned(start, [net], [buy], [sell], own)
    tried = np.append(np.linspace(-own["rating"], own["rating"], 4001), power)
    change = np.where(tried > 0.0, tried * own["root"], tried / own["root"]) * own["held"]
    end = start * own["decay"] + change
    position = net + tried
    price = np.where(position > 0.0, buy, sell)
    costs = own["hours"] * (price * position + own["wear"] * np.abs(tried))
    costs -= own["terminal"] * end
    inside = (end >= own["least"] - 1e-9) & (end <= own["most"] + 1e-9)
    assert inside[-1]
    assert cost == pytest.approx(costs[-1], abs=1e-9)
    assert cost <= costs[inside].min() + 1e-9


def test_whole_kilowatt_hours_against_trying_everything() -> None:
    """Without losses and with whole numbers the optimum is among the whole powers: try them all."""
    own = dict.fromkeys(("hours", "root", "decay", "held"), 1.0) | {
        "least": 0.0, "most": 3.0, "rating": 2.0, "wear": 0.01, "terminal": 0.15,
    }  # fmt: skip
    rng = np.random.default_rng(3)
    for _ in range(10):
        net = rng.integers(-3, 4, 5)
        buy, sell = rng.choice([0.2, 0.3, 0.5], 5), rng.choice([0.05, 0.1], 5)
        best = np.inf
        for powers in product(range(-2, 3), repeat=5):
            energy = 1.0 + np.cumsum(powers)
            if energy.min() < 0.0 or energy.max() > 3.0:
                continue
            position = net + np.array(powers)
            cost = position * np.where(position > 0, buy, sell) + 0.01 * np.abs(powers)
            best = min(best, cost.sum() - 0.15 * energy[-1])
        assert planned(1.0, net, buy, sell, own)[1] == pytest.approx(best, abs=1e-12)
