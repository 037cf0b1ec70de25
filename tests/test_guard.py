"""The guard: whatever is asked for, what leaves it can be done, and it says what it changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cosim.delivery import flows
from cosim.guard import Decision, Guarded, Outlook, guard
from cosim.physics.battery import feasible_range_kw, stored_kwh
from cosim.population import Population
from cosim.reason import Reason

PopulationOf = Callable[..., Population]
N = 6
NOT_FINITE = (float("nan"), float("inf"), float("-inf"))


@dataclass(frozen=True)
class Scene:
    """A population, what is known, what is wanted, and whose quantity and price are their own."""

    constants: dict[str, np.ndarray]
    outlook: Outlook
    requested: Decision
    own_quantity: np.ndarray
    own_price: np.ndarray
    hours: float
    physical: bool

    def guarded(self, population_of: PopulationOf, **changes: Any) -> Guarded:
        scene = replace(self, **changes)
        return guard(
            population_of(N, **scene.constants),
            scene.outlook,
            scene.requested,
            scene.hours,
            own_quantity=scene.own_quantity,
            own_price=scene.own_price,
            physical_trades=scene.physical,
        )

    @property
    def finite(self) -> np.ndarray:
        return np.isfinite(list(vars(self.requested).values())).all(0)


def column(low: float, high: float) -> st.SearchStrategy[np.ndarray]:
    return arrays(float, N, elements=st.floats(low, high))


def wanted(size: float) -> st.SearchStrategy[np.ndarray]:
    """Return requests of all sizes, some of them no numbers."""
    plain = st.floats(-size, size)
    wild = st.one_of(st.floats(-1e300, 1e300), st.sampled_from((*NOT_FINITE, 0.0, -0.0)))
    return arrays(float, N, elements=st.one_of(plain, plain, plain, wild))


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    capacity = draw(column(0.5, 50.0)) * draw(arrays(bool, N))
    low, high = np.sort([draw(column(0.0, 1.0)), draw(column(0.0, 1.0))], axis=0) * capacity
    constants = {
        "capacity_kwh": capacity,
        "rating_kw": np.where(capacity > 0.0, draw(column(0.1, 30.0)), 0.0),
        "efficiency": draw(column(0.4, 1.0)),
        "min_kwh": low,
        "max_kwh": high,
        "self_discharge_per_h": draw(st.sampled_from((0.0, 0.01))),
    }
    feed_in = draw(column(-0.1, 0.2))
    outlook = Outlook(
        np.clip(low + draw(column(0.0, 1.0)) * (high - low), low, high),
        draw(column(0.0, 20.0)),
        draw(column(0.0, 20.0)),
        feed_in + draw(column(0.0, 0.5)),
        feed_in,
    )
    requested = Decision(draw(wanted(40.0)), draw(wanted(10.0)), draw(wanted(0.6)))
    own = draw(arrays(bool, N)), draw(arrays(bool, N))
    return Scene(constants, outlook, requested, *own, draw(st.sampled_from((0.25, 1.0))),
                 draw(st.booleans()))  # fmt: skip


def equal(one: object, other: object) -> bool:
    """Return whether two values hold the same bits."""
    pairs = zip(vars(one).values(), vars(other).values(), strict=True)
    return all(a.tobytes() == b.tobytes() for a, b in pairs)


@given(scenes())
def test_what_leaves_the_guard_passes_it_unchanged(
    population_of: PopulationOf, scene: Scene
) -> None:
    once = scene.guarded(population_of)
    all_own = np.ones(N, dtype=bool)
    twice = scene.guarded(
        population_of, requested=once.decision, own_quantity=all_own, own_price=all_own
    )
    assert equal(twice.decision, once.decision)
    assert twice.position_kwh.tobytes() == once.position_kwh.tobytes()
    assert not twice.reason.any()


@given(scenes())
def test_the_battery_can_do_what_the_guard_lets_through(
    population_of: PopulationOf, scene: Scene
) -> None:
    home, energy, hours = population_of(N, **scene.constants), scene.outlook.energy_kwh, scene.hours
    power = scene.guarded(population_of).decision.battery_kw
    low, high = feasible_range_kw(home, energy, hours)
    assert ((low <= power) & (power <= high)).all()
    nothing = np.zeros(N)
    flow = flows(home, energy, power, nothing, nothing, nothing, nothing.astype(bool), hours)
    assert np.array_equal(flow.battery_kw, power)  # the plant executes it exactly
    after = stored_kwh(home, energy, power, hours)
    leaked = energy * np.exp(-home.self_discharge_per_h * hours)
    assert (after <= home.max_kwh).all()
    assert (after >= np.minimum(home.min_kwh, leaked * (1.0 - 1e-12))).all()


@given(scenes())
def test_a_feasible_power_is_let_through_and_another_goes_to_the_nearest(
    population_of: PopulationOf, scene: Scene
) -> None:
    home = population_of(N, **scene.constants)
    low, high = feasible_range_kw(home, scene.outlook.energy_kwh, scene.hours)
    done, asked = scene.guarded(population_of).decision.battery_kw, scene.requested.battery_kw
    inside, finite = (asked >= low) & (asked <= high), scene.finite
    assert np.array_equal(done[finite & inside], asked[finite & inside])
    assert np.array_equal(done[finite & (asked > high)], high[finite & (asked > high)])
    assert np.array_equal(done[finite & (asked < low)], low[finite & (asked < low)])


@given(scenes())
def test_a_row_with_anything_that_is_no_number_idles(
    population_of: PopulationOf, scene: Scene
) -> None:
    guarded, rejected = scene.guarded(population_of), ~scene.finite
    for value in vars(guarded.decision).values():
        assert np.isfinite(value).all()
    assert not guarded.decision.battery_kw[rejected].any()
    assert not guarded.decision.quantity_kwh[rejected].any()
    assert (guarded.reason[rejected] == Reason.NOT_FINITE).all()
    assert not (guarded.reason[~rejected] & Reason.NOT_FINITE).any()


@given(scenes())
def test_an_order_lies_between_zero_and_the_forecast_position(
    population_of: PopulationOf, scene: Scene
) -> None:
    guarded = scene.guarded(population_of, physical=True)
    quantity, position = guarded.decision.quantity_kwh, guarded.position_kwh
    look, power = scene.outlook, guarded.decision.battery_kw
    assert np.array_equal(position, (look.load_kw - look.pv_kw + power) * scene.hours)
    assert (quantity * np.sign(position) >= 0.0).all()
    assert (np.abs(quantity) <= np.abs(position)).all()
    asked = scene.requested.quantity_kwh
    taken = scene.finite & scene.own_quantity & (np.minimum(position, 0) <= asked)
    taken &= asked <= np.maximum(position, 0)
    assert np.array_equal(quantity[taken], asked[taken])


@given(scenes())
def test_without_a_trade_limit_the_quantity_is_the_policys(
    population_of: PopulationOf, scene: Scene
) -> None:
    guarded = scene.guarded(population_of, physical=False)
    own = scene.finite & scene.own_quantity
    assert np.array_equal(guarded.decision.quantity_kwh[own], scene.requested.quantity_kwh[own])


@given(scenes())
def test_who_leaves_quantity_and_price_out_orders_the_position_at_the_tariff(
    population_of: PopulationOf, scene: Scene
) -> None:
    guarded, look = scene.guarded(population_of), scene.outlook
    rest = scene.finite & ~scene.own_quantity
    assert np.array_equal(guarded.decision.quantity_kwh[rest], guarded.position_kwh[rest])
    price, buys = guarded.decision.price_eur_per_kwh, guarded.decision.quantity_kwh > 0.0
    tariff = np.where(buys, look.retail_eur_per_kwh, look.feed_in_eur_per_kwh)
    plain = ~scene.own_price | ~scene.finite
    assert np.array_equal(price[plain], tariff[plain])


@given(scenes())
def test_the_limit_price_lies_within_the_own_tariff(
    population_of: PopulationOf, scene: Scene
) -> None:
    price, look = scene.guarded(population_of).decision.price_eur_per_kwh, scene.outlook
    assert (price >= look.feed_in_eur_per_kwh).all()
    assert (price <= look.retail_eur_per_kwh).all()
    asked, own = scene.requested.price_eur_per_kwh, scene.finite & scene.own_price
    clipped = np.clip(asked[own], look.feed_in_eur_per_kwh[own], look.retail_eur_per_kwh[own])
    assert np.array_equal(price[own], clipped)


@given(scenes())
def test_a_reason_stands_exactly_where_something_was_changed(
    population_of: PopulationOf, scene: Scene
) -> None:
    guarded, asked = scene.guarded(population_of), scene.requested
    done, finite = guarded.decision, scene.finite

    def given_for(*reasons: Reason) -> np.ndarray:
        return (guarded.reason & sum(reasons)).astype(bool)[finite]

    moved = (done.battery_kw != asked.battery_kw)[finite]
    assert np.array_equal(given_for(Reason.RATING, Reason.ENERGY), moved)
    rating = population_of(N, **scene.constants).rating_kw
    too_strong = (np.abs(asked.battery_kw) > rating)[finite]
    assert np.array_equal(given_for(Reason.RATING), too_strong)
    resized = (done.quantity_kwh != asked.quantity_kwh) & scene.own_quantity
    assert np.array_equal(given_for(Reason.QUANTITY), resized[finite])
    repriced = (done.price_eur_per_kwh != asked.price_eur_per_kwh) & scene.own_price
    assert np.array_equal(given_for(Reason.PRICE), repriced[finite])
    assert not given_for(Reason.OUTAGE, Reason.LATE_CHANGE).any()


@pytest.mark.parametrize(
    ("asked", "done", "reason"),
    [
        (3.0, 3.0, Reason.NONE),
        (7.0, 5.0, Reason.RATING),
        (-4.0, -2.0 * 0.9, Reason.ENERGY),  # 2 kWh left: 1.8 kWh at the terminals within the hour
        (-6.0, -1.8, Reason.RATING | Reason.ENERGY),
        (float("inf"), 0.0, Reason.NOT_FINITE),
    ],
)
def test_examples_worked_by_hand(
    population_of: PopulationOf, asked: float, done: float, reason: Reason
) -> None:
    home = population_of(1, capacity_kwh=10.0, rating_kw=5.0, efficiency=0.81)
    one = np.ones(1)
    outlook = Outlook(2.0 * one, one, 0.0 * one, 0.3 * one, 0.1 * one)
    none = np.zeros(1, dtype=bool)
    requested = Decision(np.array([asked]), np.zeros(1), np.zeros(1))
    guarded = guard(home, outlook, requested, 1.0, own_quantity=none, own_price=none)
    assert guarded.decision.battery_kw == pytest.approx(done)
    assert guarded.reason == reason


@settings(max_examples=25)
@given(st.lists(scenes(), min_size=4, max_size=4))
def test_leading_axes_equal_single_rows_bit_for_bit(
    population_of: PopulationOf, drawn: list[Scene]
) -> None:
    first = drawn[0]
    lanes = [replace(s, constants=first.constants, hours=first.hours, physical=first.physical,
                     own_quantity=first.own_quantity, own_price=first.own_price)
             for s in drawn]  # fmt: skip

    def stacked(name: str, kind: type) -> Any:
        columns = zip(*(vars(getattr(lane, name)).values() for lane in lanes), strict=True)
        return kind(*(np.stack(column).reshape(2, 2, N) for column in columns))

    whole = replace(
        first, outlook=stacked("outlook", Outlook), requested=stacked("requested", Decision)
    ).guarded(population_of)
    for lane, place in zip(lanes, np.ndindex(2, 2), strict=True):
        single = lane.guarded(population_of)
        for name, value in vars(single.decision).items():
            assert getattr(whole.decision, name)[place].tobytes() == value.tobytes()
        assert whole.reason[place].tobytes() == single.reason.tobytes()
        assert whole.position_kwh[place].tobytes() == single.position_kwh.tobytes()
