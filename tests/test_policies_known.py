"""What each rule decides for prosumers whose decision can be worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cosim import plugins
from cosim.observe import AHEAD_H
from cosim.policy import Policy, PolicyContext

HOUR = 0.5


def rule(kind: str, **options: Any) -> Policy:
    policy = plugins.load("policy", kind).model_validate(options)
    assert isinstance(policy, Policy)
    return policy.bound(Path(__file__).parent, 1800)


def decided(policy: Policy, *rows: dict[str, float], draws: Any = None) -> dict[str, list[float]]:
    """Return the actions of some prosumers by name, from observations by name."""
    seen = np.array([[row[name] for name in policy.features] for row in rows], dtype=float)
    drawn = np.zeros((len(rows), 0)) if draws is None else np.array(draws, dtype=float)
    assert drawn.shape == (len(rows), policy.draws)
    context = PolicyContext(np.arange(len(rows)), 0, HOUR, drawn)
    actions, _ = policy.act(seen.reshape(len(rows), -1), context, policy.start(len(rows)))
    return {name: actions[:, i].tolist() for i, name in enumerate(policy.actions)}


def home(net: float, charge: float = 3.0, discharge: float = 2.0, **more: float) -> dict[str, Any]:
    """Return what a home with a battery of 5 kW observes, its price the same for 12 hours."""
    return {
        "forecast_net_kw": net,
        "rating_kw": 5.0,
        "efficiency": 0.81,
        "most_charge_kw": charge,
        "most_discharge_kw": discharge,
        "retail_eur_per_kwh": 0.20,
        "bid_limit_eur_per_kwh": 0.20,
        "feed_in_eur_per_kwh": 0.10,
    } | more


def later(**prices: float) -> dict[str, float]:
    """Return published prices: 0.20 in all hours ahead but those given, like ``h6=0.5``."""
    return {f"retail_in_{h}h_eur_per_kwh": prices.get(f"h{h}", 0.20) for h in AHEAD_H}


# ---------------------------------------------------------------- self-consumption


def test_self_consumption_follows_the_net_load_as_far_as_the_battery_can() -> None:
    homes = [home(net) for net in (-1.5, -4.0, 0.0, 1.25, 7.0)]
    assert decided(rule("self_consumption"), *homes) == {"battery_kw": [1.5, 3.0, 0.0, -1.25, -2.0]}


def test_an_empty_battery_does_not_discharge_and_a_full_one_does_not_charge() -> None:
    for kind in ("self_consumption", "time_of_use"):
        homes = [home(2.0, discharge=0.0) | later(), home(-2.0, charge=0.0) | later()]
        assert np.abs(decided(rule(kind), *homes)["battery_kw"]).tolist() == [0.0, 0.0]


# ---------------------------------------------------------------- time of use


def test_time_of_use_charges_where_a_later_price_pays_for_the_round_trip() -> None:
    """At 81 %, what costs 0.20 now must cost more than 0.2469 later."""
    worth, vain = later(h6=0.25), later(h6=0.2469)
    assert 0.20 < 0.25 * 0.81 and 0.20 > 0.2469 * 0.81
    for ahead, power in ((worth, 2.5), (vain, 0.0)):  # half the rating of 5 kW, or idle
        assert decided(rule("time_of_use"), home(1.0) | ahead)["battery_kw"] == [power]


def test_time_of_use_waits_for_the_cheapest_hour_before_the_dearest() -> None:
    """A cheaper hour behind the dearest one is none to wait for."""
    for ahead, power in (
        (later(h2=0.19, h6=0.5), 0.0),
        (later(h2=0.20, h6=0.5), 2.5),
        (later(h6=0.5, h7=0.19), 2.5),
    ):
        assert decided(rule("time_of_use"), home(1.0) | ahead)["battery_kw"] == [power]


def test_the_round_trip_is_the_batterys_own() -> None:
    ahead = later(h1=0.25)
    good, poor = home(1.0, efficiency=0.81), home(1.0, efficiency=0.79)
    assert decided(rule("time_of_use"), good | ahead, poor | ahead)["battery_kw"] == [2.5, 0.0]


@pytest.mark.parametrize("hour", AHEAD_H)
def test_time_of_use_looks_at_every_price_that_is_published(hour: int) -> None:
    ahead = later(**{f"h{hour}": 0.50})
    assert decided(rule("time_of_use"), home(1.0) | ahead)["battery_kw"] == [2.5]


def test_time_of_use_charges_more_than_its_share_from_a_larger_surplus() -> None:
    ahead = later(h3=0.5)
    homes = [home(net, charge=9.0) | ahead for net in (-2.0, -4.0)]
    assert decided(rule("time_of_use"), *homes)["battery_kw"] == [2.5, 4.0]
    assert decided(rule("time_of_use", charge_share=0.1), *homes)["battery_kw"] == [2.0, 4.0]
    assert decided(rule("time_of_use"), home(-4.0) | ahead)["battery_kw"] == [3.0]  # its most


def test_time_of_use_covers_the_load_where_no_later_price_is_higher() -> None:
    """It takes up a surplus at any price, and never discharges more than the load."""
    equal, falling = later(), dict.fromkeys(later(), 0.10)
    for ahead in (equal, falling):
        homes = [home(net) | ahead for net in (1.25, 7.0, -1.5)]
        assert decided(rule("time_of_use"), *homes)["battery_kw"] == [-1.25, -2.0, 1.5]


def test_time_of_use_waits_where_a_later_price_is_higher_but_not_by_enough() -> None:
    ahead = later(h2=0.22)
    homes = [home(net) | ahead for net in (1.25, -1.5)]
    assert decided(rule("time_of_use"), *homes)["battery_kw"] == [0.0, 1.5]


# ---------------------------------------------------------------- the others


def test_always_export_gives_all_it_can() -> None:
    homes = [home(-4.0, discharge=power) for power in (2.0, 0.0)]
    assert decided(rule("always_export"), *homes) == {"battery_kw": [-2.0, 0.0]}


def test_zero_intelligence_draws_its_price_within_the_tariff_and_its_power_by_the_rule() -> None:
    homes = [home(net) for net in (-1.5, -4.0, 1.25, 7.0)]
    found = decided(rule("zero_intelligence"), *homes, draws=[[0.0], [0.25], [0.5], [1.0]])
    assert found["battery_kw"] == [1.5, 3.0, -1.25, -2.0]
    assert found["price_eur_per_kwh"] == pytest.approx([0.10, 0.125, 0.15, 0.20], rel=1e-14)
    assert set(found) == {"battery_kw", "price_eur_per_kwh"}


def test_zero_intelligence_bids_differently_each_time_and_always_within_the_tariff(
    village: Any, diary_of: Any
) -> None:
    diary = diary_of(village.case(policies={"rule": "zero_intelligence", "random": "passive",
                                            "passive": "passive"}))  # fmt: skip
    prices = np.stack([kept.trade.guarded.decision.price_eur_per_kwh for kept in diary.intervals])
    asked = np.stack([kept.trade.asked.requested.price_eur_per_kwh for kept in diary.intervals])
    retail = np.stack([kept.trade.asked.prices.retail_eur_per_kwh for kept in diary.intervals])
    assert np.array_equal(prices[:, :3], asked[:, :3])  # the guard has nothing to correct
    share = (prices[:, :3] - 0.06) / (retail[:, :3] - 0.06)
    assert share.min() >= 0.0 and share.max() <= 1.0
    assert share.min() < 0.1 and share.max() > 0.9 and 0.4 < share.mean() < 0.6
    assert len(np.unique(share)) == share.size
    drawn_alone = np.corrcoef(share.T) - np.eye(3)
    assert np.abs(drawn_alone).max() < 0.6  # each home has draws of its own


def test_random_draws_power_quantity_and_price_around_the_middle() -> None:
    """1.5 ratings and 1.5 positions wide; prices from a quarter of the spread outside it."""
    homes = [home(-3.0)] * 3
    found = decided(rule("random"), *homes, draws=[[0.0] * 3, [0.5] * 3, [1.0] * 3])
    assert found["battery_kw"] == [-7.5, 0.0, 7.5]
    assert found["quantity_kwh"] == [-6.0, 0.0, 6.0]  # 1.5 x (3 + 5) kW for half an hour
    assert found["price_eur_per_kwh"] == pytest.approx([0.075, 0.15, 0.225], rel=1e-14)
    narrow = decided(rule("random", spread=0.5), homes[0], draws=[[0.0, 1.0, 0.5]])
    assert (narrow["battery_kw"], narrow["quantity_kwh"]) == ([-2.5], [2.0])
    assert narrow["price_eur_per_kwh"] == pytest.approx([0.15], rel=1e-14)


def test_each_action_of_random_has_a_draw_of_its_own() -> None:
    base = decided(rule("random"), home(1.0), draws=[[0.3, 0.3, 0.3]])
    for column, name in enumerate(("battery_kw", "quantity_kwh", "price_eur_per_kwh")):
        draws = [0.3, 0.3, 0.3]
        draws[column] = 0.9
        found = decided(rule("random"), home(1.0), draws=[draws])
        assert [key for key in found if found[key] != base[key]] == [name]


def test_do_nothing_orders_nothing_and_passive_leaves_the_order_to_the_forecast() -> None:
    assert decided(rule("do_nothing"), {}, {}) == {
        "battery_kw": [0.0, 0.0],
        "quantity_kwh": [0.0, 0.0],
    }
    assert decided(rule("passive"), {}, {}) == {"battery_kw": [0.0, 0.0]}


def test_passive_trades_its_position_at_the_tariffs_limits(village: Any, diary_of: Any) -> None:
    case = village.case(policies=dict.fromkeys(("rule", "random", "passive"), "passive"))
    for k, kept in enumerate(diary_of(case).intervals):
        position = (case.profiles.load_kw[k] - case.profiles.pv_kw[k]) * HOUR
        orders = kept.trade.orders
        np.testing.assert_allclose(orders.quantity_kwh, position, rtol=1e-14)
        limit = np.where(position > 0.0, 0.40 if 34 <= k < 42 else 0.25, 0.06)
        assert np.array_equal(orders.price_eur_per_kwh, limit)
