"""What the bidders, thresholds and the rolling optimum decide where it can be worked out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cosim import plugins
from cosim.observe import AHEAD_H
from cosim.policy import Policy, PolicyContext


def policy(kind: str, **options: Any) -> Policy:
    value = plugins.load("policy", kind).model_validate(options)
    assert isinstance(value, Policy)
    return value.bound(Path(), 3600)


def home(**more: float) -> dict[str, float]:
    """Return what a home observes: 5 kW, 10 kWh, half full, 0.20 for hours, and no wear."""
    return {
        "forecast_net_kw": 1.0, "forecast_load_kw": 1.0, "forecast_pv_kw": 0.0,
        "measured_load_kw": 1.0, "measured_pv_kw": 0.0, "energy_kwh": 5.0, "min_kwh": 0.0,
        "max_kwh": 10.0, "rating_kw": 5.0, "efficiency": 0.81, "self_discharge_per_h": 0.0,
        "wear_eur_per_kwh": 0.0, "most_charge_kw": 5.0, "most_discharge_kw": 4.5,
        "retail_eur_per_kwh": 0.20, "bid_limit_eur_per_kwh": 0.20, "feed_in_eur_per_kwh": 0.10,
        "last_price_eur_per_kwh": 0.15, "last_volume_kwh": 0.0,
        "last_fill_kwh": 0.0, "held_kwh": 0.0,
    } | {f"{price}_in_{h}h_eur_per_kwh": value for h in AHEAD_H
         for price, value in (("retail", 0.20), ("feed_in", 0.10))} | more  # fmt: skip


def ahead(**prices: float) -> dict[str, float]:
    return {f"retail_in_{key[1:]}h_eur_per_kwh": price for key, price in prices.items()}


def act(
    own: Policy, seen: dict[str, float], memory: Any = None, interval: int = 0, draw: float = 0.0
) -> tuple[dict[str, float], Any]:
    row = np.array([[seen[name] for name in own.features]])
    context = PolicyContext(np.arange(1), interval, 1.0, np.full((1, own.draws), draw))
    decided, after = own.act(row, context, own.start(1) if memory is None else memory)
    return dict(zip(own.actions, decided[0].tolist(), strict=True)), after


def power(own: Policy, seen: dict[str, float]) -> float:
    return act(own, seen)[0]["battery_kw"]


# ---------------------------------------------------------------- price threshold


def test_parts_of_the_range_decide_what_is_cheap_and_dear() -> None:
    own, late = policy("price_threshold"), {"h3": 0.5}
    assert power(own, home(**ahead(**late))) == 5.0  # three hours before the dear one
    assert power(own, home(**ahead(h4=0.5))) == 0.0
    assert power(policy("price_threshold", charge_within_h=4), home(**ahead(h4=0.5))) == 5.0
    for last in ({}, {"h1": 0.5}, {f"h{h}": 0.5 for h in range(1, 12)}):  # however long it lasts
        assert power(own, home(retail_eur_per_kwh=0.5, **ahead(**last))) == -1.0
    assert power(own, home(retail_eur_per_kwh=0.4, **ahead(h1=0.5))) == 0.0  # 2/3 of the way
    assert power(own, home(retail_eur_per_kwh=0.43, **ahead(h1=0.5))) == -1.0
    assert power(own, home(retail_eur_per_kwh=0.27, **ahead(h1=0.5))) == 5.0
    assert power(own, home(retail_eur_per_kwh=0.28, **ahead(h1=0.5))) == 0.0
    assert power(own, home()) == 0.0  # a flat tariff is neither
    assert power(own, home(forecast_net_kw=-2.0)) == 2.0


def test_thresholds_follow_the_level_of_prices() -> None:
    """The same rule at twice the price and at prices moved by a charge."""
    own = policy("price_threshold")
    for factor, charge in ((2.0, 0.0), (1.0, 0.3), (0.5, -0.2)):
        for now, later in ((0.2, 0.5), (0.5, 0.2), (0.43, 0.5), (0.3, 0.5)):
            plain = {"retail_eur_per_kwh": now} | ahead(h1=later)
            moved = {name: factor * price + charge for name, price in (home() | plain).items()
                     if name.startswith("retail")}  # fmt: skip
            assert power(own, home(**plain)) == power(own, home() | moved)


def test_quantiles_take_the_place_of_parts_of_the_range() -> None:
    own = policy("price_threshold", charge_quantile=0.25, discharge_quantile=0.75)
    three = {f"h{h}": 0.5 for h in range(1, 4)}
    assert power(own, home(**ahead(**three, h4=0.5))) == 5.0
    assert power(own, home(**ahead(**three))) == 0.0  # three hours are no quarter of thirteen
    assert power(own, home(retail_eur_per_kwh=0.5, **ahead(**three))) == -1.0


def test_a_peak_seller_spreads_what_it_sells_and_always_covers_its_load() -> None:
    own = policy("price_threshold", feeds_in=True, discharge_share=0.5)
    dear = {"retail_eur_per_kwh": 0.5}
    assert power(own, home(**dear)) == -2.5
    assert power(own, home(**dear, forecast_net_kw=3.0)) == -3.0
    assert power(own, home(**dear, most_discharge_kw=1.0)) == -1.0
    assert power(own, home(**dear, forecast_net_kw=-2.0)) == -2.5


def test_prices_of_the_options_take_the_place_of_others() -> None:
    options = {"charge_below_eur_per_kwh": 0.2, "discharge_above_eur_per_kwh": 0.3}
    assert power(policy("price_threshold", **options), home()) == 5.0
    assert power(policy("price_threshold", **options, charge_share=0.2), home()) == 1.0
    dear = home(retail_eur_per_kwh=0.3)
    assert power(policy("price_threshold", **options), dear) == -1.0
    assert power(policy("price_threshold", **options, feeds_in=True), dear) == -4.5


def test_crossed_thresholds_are_refused() -> None:
    crossed = {"charge_below_eur_per_kwh": 0.4, "discharge_above_eur_per_kwh": 0.3}
    quantiles = {"charge_quantile": 0.8, "discharge_quantile": 0.7}
    for options in ({"charge_range": 0.8}, quantiles, crossed):
        with pytest.raises(ValueError, match="must hold"):
            policy("price_threshold", **options)


# ---------------------------------------------------------------- truthful


def test_the_truthful_bid_is_what_the_last_kwh_is_worth() -> None:
    """Half the efficiency either way is 0.9: stored for 0.50 later, a kWh is worth 0.405 now."""
    own = policy("truthful")
    found, _ = act(own, home(**ahead(h4=0.5)))
    assert found == {"battery_kw": 5.0, "price_eur_per_kwh": 0.20}  # worth 0.405: retail at most
    found, _ = act(own, home(forecast_net_kw=-8.0, **ahead(h4=0.21)))
    assert found == {"battery_kw": 5.0, "price_eur_per_kwh": 0.10}  # full: worth feed-in
    found, _ = act(own, home())  # 0.20 now and later: covers its load, could give more
    assert found["battery_kw"] == -1.0
    found, _ = act(own, home(most_discharge_kw=0.4))
    assert found == {"battery_kw": -0.4, "price_eur_per_kwh": 0.20}
    prices = {"retail_eur_per_kwh": 0.21, "bid_limit_eur_per_kwh": 0.21}
    waiting = home(wear_eur_per_kwh=0.03, feed_in_eur_per_kwh=0.05, **prices)
    charged = home(retail_eur_per_kwh=0.30, bid_limit_eur_per_kwh=0.22, most_discharge_kw=0.4)
    found, _ = act(own, charged)  # charges that a neighbour's energy owes as well are no part of it
    assert found["price_eur_per_kwh"] == 0.22
    found, _ = act(own, waiting | ahead(h2=0.22))
    assert found == {"battery_kw": -0.0, "price_eur_per_kwh": pytest.approx(0.21)}


# ---------------------------------------------------------------- zero intelligence plus

#: nothing is drawn
ALIKE = {"rate_spread": 0.0, "momentum_spread": 0.0, "margin_spread": 0.0}


def test_margins_rise_after_a_good_clearing_and_fall_after_a_lost_one() -> None:
    own = policy("zero_intelligence_plus", **ALIKE, momentum=0.0, step=0.0, rate=0.5)
    seller = home(forecast_net_kw=-8.0)
    first, memory = act(own, seller)
    assert first["price_eur_per_kwh"] == pytest.approx(0.12)  # feed-in and 0.2 of the band
    good = seller | {"last_price_eur_per_kwh": 0.16, "last_volume_kwh": 1.0}
    second, after = act(own, good, memory, 1)
    assert second["price_eur_per_kwh"] == pytest.approx(0.14)  # half of the way to 0.16
    outbid = seller | {"last_price_eur_per_kwh": 0.12, "last_volume_kwh": 1.0}
    third, _ = act(own, outbid, after, 2)
    assert third["price_eur_per_kwh"] == pytest.approx(0.13)
    assert memory[0, 0] == 0.2  # memories are values
    buyer = home(forecast_net_kw=8.0)
    bid, bought = act(own, buyer)
    assert bid["price_eur_per_kwh"] == pytest.approx(0.18)
    better, _ = act(own, buyer | {"last_price_eur_per_kwh": 0.12, "last_volume_kwh": 1.0}, bought)
    assert better["price_eur_per_kwh"] == pytest.approx(0.15)


def test_without_trade_those_who_had_an_order_come_down() -> None:
    own = policy("zero_intelligence_plus", **ALIKE, momentum=0.0, step=0.1, margin=0.5, rate=1.0)
    seller = home(forecast_net_kw=-8.0)
    _, memory = act(own, seller)
    _, after = act(own, seller, memory, 1, draw=0.5)
    assert after[0, 0] == pytest.approx(0.5 * 0.95 - 0.05)
    assert after[0, 1] == 0.5  # as a buyer it had no order


def test_momentum_carries_the_last_step_on() -> None:
    """Gamma 0.4, beta 0.5: of each step 0.6 is new and 0.4 of the one before is added to it."""
    own = policy("zero_intelligence_plus", **ALIKE, momentum=0.4, step=0.0, rate=0.5)
    seller = home(forecast_net_kw=-8.0)
    _, memory = act(own, seller)
    good = seller | {"last_price_eur_per_kwh": 0.16, "last_volume_kwh": 1.0}  # 0.6 of the band
    _, once = act(own, good, memory, 1)
    assert once[0, 0] == pytest.approx(0.2 + 0.6 * 0.5 * (0.6 - 0.2))  # 0.32
    _, twice = act(own, good, once, 2)
    step = 0.4 * 0.12 + 0.6 * 0.5 * (0.6 - 0.32)
    assert twice[0, 0] == pytest.approx(0.32 + step)


def test_traders_draw_what_they_are_from_the_ranges_of_the_paper_once() -> None:
    own = policy("zero_intelligence_plus")
    features = own.features
    rows = np.tile([home(forecast_net_kw=-8.0)[name] for name in features], (500, 1))
    draws = np.random.default_rng(3).random((2, 500, own.draws))
    _, first = own.act(rows, PolicyContext(np.arange(500), 0, 1.0, draws[0]), own.start(500))
    ranges = {0: (0.05, 0.35), 1: (0.05, 0.35), 7: (0.1, 0.5), 8: (0.0, 0.1)}
    for column, (low, high) in ranges.items():
        found = first[:, column]
        assert low <= found.min() < low + 0.02 * (high - low) + 1e-3
        assert high - 0.02 * (high - low) - 1e-3 < found.max() <= high
        assert found.mean() == pytest.approx(0.5 * (low + high), abs=0.05 * (high - low))
    assert np.abs(np.corrcoef(first[:, list(ranges)].T) - np.eye(4)).max() < 0.2
    _, second = own.act(rows, PolicyContext(np.arange(500), 1, 1.0, draws[1]), first)
    assert np.array_equal(first[:, 7:], second[:, 7:])


# ---------------------------------------------------------------- rolling optimum


def test_it_charges_for_a_peak_only_as_far_as_that_will_be_used() -> None:
    """Empty, a load of 1 kW and one dear hour: it takes what one hour of load draws from it."""
    own = policy("model_predictive", horizon_h=3, terminal="none", trading="tariff")
    seen = home(energy_kwh=0.0, **ahead(h1=0.5, h2=0.20))
    assert power(own, seen) == pytest.approx(1.0 / 0.81)
    assert power(own, home(energy_kwh=0.0, **ahead(h1=0.24, h2=0.20))) == 0.0


def test_without_a_value_in_the_end_it_empties_and_with_one_it_does_not() -> None:
    price = ahead(h1=0.20)
    options = {"horizon_h": 1.0}
    sells = home(forecast_load_kw=0.0)
    assert power(policy("model_predictive", terminal="none", **options), sells | price) == -4.5
    assert power(policy("model_predictive", terminal="lowest", **options), sells | price) == 0.0


def test_it_expects_what_it_measured_at_the_same_time_a_day_before() -> None:
    own = policy("model_predictive", horizon_h=2, terminal="none", trading="tariff")
    memory = own.start(1)
    for hour in range(25):  # 3 kW at noon, else nothing; seen an interval later
        load = 3.0 if hour - 1 == 12 else 0.0
        _, memory = act(own, home(measured_load_kw=load), memory, hour)
    seen = home(energy_kwh=0.0, forecast_load_kw=0.0, measured_load_kw=0.0, **ahead(h1=0.5))
    at_eleven, _ = act(own, seen, memory, 24 + 11)
    at_nine, _ = act(own, seen, memory, 24 + 9)
    assert at_eleven["battery_kw"] == pytest.approx(3.0 / 0.81)
    assert at_nine["battery_kw"] == 0.0


def test_what_is_left_is_worth_what_a_discharged_kwh_yields_of_it() -> None:
    """At 0.90 one way, a stored kWh left is worth 0.20 x 0.90; giving it now yields feed-in x 0.90.

    So it is sold at 0.21 and kept at 0.19. Without the root it would be kept up to 0.22.
    """
    own = policy("model_predictive", horizon_h=1, terminal="lowest", trading="tariff")
    for feed_in, expected in ((0.19, 0.0), (0.199, 0.0), (0.201, -4.5), (0.21, -4.5)):
        sells = home(forecast_load_kw=0.0, feed_in_eur_per_kwh=feed_in)
        assert power(own, sells | {"retail_eur_per_kwh": 0.20}) == expected, feed_in


def test_it_waits_for_a_better_feed_in_price_that_is_published() -> None:
    own = policy("model_predictive", horizon_h=2, terminal="none", trading="tariff")
    sells = home(forecast_load_kw=0.0, energy_kwh=4.0, most_discharge_kw=3.6)
    assert power(own, sells | {"feed_in_in_1h_eur_per_kwh": 0.11}) == 0.0
    assert power(own, sells | {"feed_in_in_1h_eur_per_kwh": 0.09}) == pytest.approx(-3.6)


def test_it_expects_neighbours_to_take_a_share_of_its_rating() -> None:
    """It charges for a dear hour what its load and half its rating will draw, at 0.81."""
    own = policy("model_predictive", horizon_h=3, terminal="none")
    assert own.trading == "local"  # type: ignore[attr-defined]
    seen = home(energy_kwh=0.0, **ahead(h1=0.5, h2=0.20))
    assert power(own, seen) == pytest.approx((1.0 + 2.5) / 0.81)
    assert power(
        policy("model_predictive", horizon_h=3, terminal="none", room_share=0.2), seen
    ) == (pytest.approx((1.0 + 1.0) / 0.81))


def test_price_and_room_of_the_market_are_learned() -> None:
    """It sells half its rating in a dear hour; what comes of it is worked out by hand."""
    from agents.model_predictive import _BUYS, _PLACE, _SELLS

    own = policy("model_predictive", horizon_h=2)
    dear = home(retail_eur_per_kwh=0.5, bid_limit_eur_per_kwh=0.5, energy_kwh=8.0,
                forecast_load_kw=0.0, **ahead(h1=0.2))  # fmt: skip
    sold, memory = act(own, dear)
    assert sold["battery_kw"] == pytest.approx(-2.5)  # a part at 0.42, the rest would earn 0.10
    told = dear | {"last_volume_kwh": 9.0}

    def after(**seen: float) -> tuple[float, float]:
        _, learned = act(own, told | seen, memory, 1)
        assert learned[0, -1, _BUYS] == 0.5
        return learned[0, -1, _PLACE], learned[0, -1, _SELLS]

    scarce = after(last_price_eur_per_kwh=0.46, last_fill_kwh=-2.5)
    assert scarce == pytest.approx((0.9, 0.55))  # a tenth more may be had
    glut = after(last_price_eur_per_kwh=0.14, last_fill_kwh=-1.5)
    assert glut == pytest.approx((0.8, 0.3))  # its own doing: no news of the price
    nobody = after(last_volume_kwh=0.0, last_fill_kwh=0.0)
    assert nobody == pytest.approx((0.8, 0.05))
    middle = after(last_price_eur_per_kwh=0.30, last_fill_kwh=-2.5)
    assert middle == pytest.approx((0.5, 0.5))


def test_charges_that_a_neighbours_energy_owes_are_no_gain_of_a_sale() -> None:
    """Of 0.5, 0.36 are charges owed all the same: the band ends at 0.14, and a sale brings 0.132.

    So nothing is charged at 0.20 to be sold, as it is where nothing is owed.
    """
    own = policy("model_predictive", horizon_h=3, terminal="none")
    seen = home(energy_kwh=0.0, forecast_load_kw=0.0, **ahead(h1=0.5, h2=0.20))
    assert power(own, seen) == pytest.approx(2.5 / 0.81)
    owed = seen | {"retail_eur_per_kwh": 0.20, "bid_limit_eur_per_kwh": -0.16}
    assert power(own, owed) == 0.0
