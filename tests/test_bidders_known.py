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
    } | {f"retail_in_{h}h_eur_per_kwh": 0.20 for h in AHEAD_H} | more  # fmt: skip


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


def test_quantiles_of_the_published_prices_decide_what_is_cheap_and_dear() -> None:
    own, dear = policy("price_threshold"), {f"h{h}": 0.5 for h in range(6, 13)}
    assert power(own, home(**ahead(**dear))) == 5.0
    assert power(own, home(retail_eur_per_kwh=0.5, **ahead(**dear))) == -1.0
    assert power(own, home()) == 0.0  # a flat tariff is neither
    assert power(own, home(forecast_net_kw=-2.0)) == 2.0


def test_prices_of_the_options_take_the_place_of_quantiles() -> None:
    options = {"charge_below_eur_per_kwh": 0.2, "discharge_above_eur_per_kwh": 0.3}
    assert power(policy("price_threshold", **options), home()) == 5.0
    assert power(policy("price_threshold", **options, charge_share=0.2), home()) == 1.0
    dear = home(retail_eur_per_kwh=0.3)
    assert power(policy("price_threshold", **options), dear) == -1.0
    assert power(policy("price_threshold", **options, feeds_in=True), dear) == -4.5


def test_crossed_thresholds_are_refused() -> None:
    crossed = {"charge_below_eur_per_kwh": 0.4, "discharge_above_eur_per_kwh": 0.3}
    for options in ({"charge_quantile": 0.8}, crossed):
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


def test_margins_rise_after_a_good_clearing_and_fall_after_a_lost_one() -> None:
    own = policy("zero_intelligence_plus", momentum=0.0, step=0.0, margin=0.2, rate=0.5)
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
    own = policy("zero_intelligence_plus", momentum=0.0, step=0.1, margin=0.5, rate=1.0)
    seller = home(forecast_net_kw=-8.0)
    _, memory = act(own, seller)
    _, after = act(own, seller, memory, 1, draw=0.5)
    assert after[0, 0] == pytest.approx(0.5 * 0.95 - 0.05)
    assert after[0, 1] == 0.5  # as a buyer it had no order


# ---------------------------------------------------------------- rolling optimum


def test_it_charges_for_a_peak_only_as_far_as_that_will_be_used() -> None:
    """Empty, a load of 1 kW and one dear hour: it takes what one hour of load draws from it."""
    own = policy("model_predictive", horizon_h=3, terminal="none")
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
    own = policy("model_predictive", horizon_h=2, terminal="none")
    memory = own.start(1)
    for hour in range(25):  # 3 kW at noon, else nothing; seen an interval later
        load = 3.0 if hour - 1 == 12 else 0.0
        _, memory = act(own, home(measured_load_kw=load), memory, hour)
    seen = home(energy_kwh=0.0, forecast_load_kw=0.0, measured_load_kw=0.0, **ahead(h1=0.5))
    at_eleven, _ = act(own, seen, memory, 24 + 11)
    at_nine, _ = act(own, seen, memory, 24 + 9)
    assert at_eleven["battery_kw"] == pytest.approx(3.0 / 0.81)
    assert at_nine["battery_kw"] == 0.0
