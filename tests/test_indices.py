"""Indices of a run: welfare against a linear programme, the rest against plain loops and by hand.

Where no run is needed, ``Facts`` are written down with intervals of 12 hours.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

from cosim.case import Case
from cosim.markets.base import MarketContext, Orders, welfare_eur
from cosim.markets.pay_as_bid import PayAsBid
from cosim.markets.uniform_price import UniformPrice
from cosim.metrics import KPIS, Facts
from cosim.metrics.statistics import concentration
from cosim.record import MemoryRecorder
from cosim.record.day import largest_welfare_eur
from cosim.record.recorder import RunSummary
from cosim.simulation import Simulation


def a(*values: float) -> np.ndarray:
    return np.array(values, dtype=float)


def figure(name: str, facts: Facts) -> float:
    return KPIS[name].function(facts)


def facts_of(
    interval: dict[str, Any] | None = None,
    prosumer: dict[str, Any] | None = None,
    interval_h: float = 12.0,
) -> Facts:
    return Facts(interval_h, interval or {}, {}, prosumer or {}, {})


# ---------------------------------------------------------------- welfare


def random_book(seed: int, lanes: int = 40) -> tuple[Orders, MarketContext]:
    """Return books of 1 to 20 orders, some empty, with tariffs of their own and equal prices."""
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 21))
    shape = (lanes, size)
    quantity = rng.normal(size=shape) * (rng.random(shape) < 0.8)
    price = rng.integers(0, 50, shape) / 100.0
    retail = rng.integers(25, 40, shape) / 100.0
    feed_in = rng.integers(5, 15, shape) / 100.0
    orders = Orders(np.arange(size), quantity, price, np.zeros(shape))
    return orders, MarketContext(retail, feed_in)


def programme(quantity: np.ndarray, limit: np.ndarray) -> float:
    """Return the most that balanced fills within the orders are worth, by HiGHS."""
    bounds = [(min(q, 0.0), max(q, 0.0)) for q in quantity]
    found = linprog(-limit, A_eq=np.ones((1, len(limit))), b_eq=[0.0], bounds=bounds)
    assert found.status == 0
    return -found.fun


@pytest.mark.parametrize("seed", range(10))
def test_the_largest_welfare_is_that_of_the_linear_programme(seed: int) -> None:
    orders, context = random_book(seed)
    largest = largest_welfare_eur(orders, context)
    for lane, quantity in enumerate(orders.quantity_kwh):
        bid = np.minimum(orders.price_eur_per_kwh, context.retail_eur_per_kwh)[lane]
        ask = np.maximum(orders.price_eur_per_kwh, context.feed_in_eur_per_kwh)[lane]
        best = programme(quantity, np.where(quantity > 0.0, bid, ask))
        assert largest[lane] == pytest.approx(best, abs=1e-8)


@pytest.mark.parametrize("market", [UniformPrice(), PayAsBid()])
@pytest.mark.parametrize("seed", range(5))
def test_an_auction_loses_no_welfare(market: Any, seed: int) -> None:
    orders, context = random_book(seed)
    reached = welfare_eur(orders, market.clear(orders, context), context)
    np.testing.assert_allclose(reached, largest_welfare_eur(orders, context), rtol=0, atol=1e-12)


def test_a_truthful_auction_loses_what_it_drops() -> None:
    """Bids of 1 kWh at 0.30 and 0.28, asks at 0.10 and 0.22: the second pair is dropped."""
    orders = Orders(np.arange(4), a(1, 1, -1, -1), a(0.30, 0.28, 0.10, 0.22), np.zeros(4))
    context = MarketContext(np.full(4, 0.35), np.full(4, 0.05))
    reduced = UniformPrice(trade_reduction="mcafee").clear(orders, context)
    lost = largest_welfare_eur(orders, context) - welfare_eur(orders, reduced, context)
    assert lost == pytest.approx(0.28 - 0.22)


def finished(case: Case) -> RunSummary:
    recorder = MemoryRecorder(case)
    return recorder.finish(Simulation(case, recorder).run(), {})


def test_a_run_loses_no_welfare_with_one_price_and_all_of_it_without_a_market(village: Any) -> None:
    auction, none = (finished(village.case(market=kind)) for kind in ("uniform_price", "none"))
    assert np.abs(auction.facts.interval["welfare_loss_eur"]).max() < 1e-12
    assert auction.kpis["welfare_eur"] > 0.1
    assert none.kpis["welfare_eur"] == 0.0
    assert none.kpis["welfare_loss_eur"] == pytest.approx(auction.kpis["welfare_eur"])


@pytest.mark.parametrize("kind", ["mid_market_rate", "supply_demand_ratio", "bill_sharing"])
def test_no_mechanism_beats_the_best_clearing(village: Any, kind: str) -> None:
    assert (finished(village.case(market=kind)).facts.interval["welfare_loss_eur"] > -1e-9).all()


# ---------------------------------------------------------------- who gains


def test_savings_are_measured_against_all_that_meters_made_possible(village: Any) -> None:
    """At one tariff for all, trading is worth retail - feed-in for each kWh exchanged."""
    run = finished(village.case(market="uniform_price"))
    series = run.facts.interval
    spread = series["retail_eur_per_kwh"] - series["feed_in_eur_per_kwh"]
    np.testing.assert_allclose(series["possible_eur"], spread * series["possible_kwh"], atol=1e-12)
    worth = float(spread @ series["possible_kwh"])
    assert run.kpis["value_tapping_index"] == pytest.approx(run.kpis["savings_eur"] / worth)
    assert 0.0 < run.kpis["value_tapping_index"] <= 1.0 + 1e-9


def test_savings_by_prosumer() -> None:
    """Savings of 3, 0 (but for rounding), -1 and 2 EUR."""
    bills = {"baseline_eur": a(5, 1, 1, 0), "bill_eur": a(2, 1 + 1e-15, 2, -2)}
    facts = facts_of(prosumer=bills, interval={"possible_eur": a(5, 3)})
    assert figure("lowest_saving_eur", facts) == -1.0
    assert figure("highest_saving_eur", facts) == 3.0
    assert figure("losing_prosumers", facts) == 1.0
    assert figure("participation_willingness_index", facts) == 0.5
    assert figure("value_tapping_index", facts) == pytest.approx(4.0 / 8.0)


def equality_by_loops(bills: np.ndarray) -> float:
    income = [-bill - min(0.0, -max(bills)) for bill in bills]
    apart = sum(abs(x - y) for x in income for y in income)
    return 1.0 - apart / (2 * len(income) * sum(income))


@pytest.mark.parametrize("seed", range(20))
def test_equality_against_plain_loops(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bills = rng.normal(rng.normal() * 3.0, 1.0, size=int(rng.integers(2, 15)))
    found = figure("equality_index", facts_of(prosumer={"bill_eur": bills}))
    assert found == pytest.approx(equality_by_loops(bills))
    assert 0.0 <= found <= 1.0


def test_equal_bills_are_equal() -> None:
    for bills in (a(2, 2, 2), a(-2, -2), a(0, 0), a(3)):
        assert figure("equality_index", facts_of(prosumer={"bill_eur": bills})) == 1.0


# ---------------------------------------------------------------- concentration and prices


@pytest.mark.parametrize(
    ("traded", "expected"),
    [((5, 0, 0), 10_000.0), ((2, 2, 2, 2), 2_500.0), ((3, 1), 5_625.0 + 625.0)],
)
def test_concentration(traded: tuple[float, ...], expected: float) -> None:
    assert concentration(a(*traded)) == pytest.approx(expected)
    both = facts_of(prosumer={"sold_kwh": a(*traded), "bought_kwh": a(1, 1)})
    assert figure("hhi_sellers", both) == pytest.approx(expected)
    assert figure("hhi_buyers", both) == pytest.approx(5_000.0)


def test_concentration_follows_the_fills_of_a_run(village: Any, diary_of: Any) -> None:
    case = village.case(market="uniform_price")
    fills = np.array([i.trade.clearing.fills_kwh for i in diary_of(case).intervals])
    kpis = finished(village.case(market="uniform_price")).kpis
    for name, side in (("hhi_buyers", 1.0), ("hhi_sellers", -1.0)):
        amounts = [sum(max(side * fill, 0.0) for fill in column) for column in fills.T]
        shares = [100.0 * amount / sum(amounts) for amount in amounts]
        assert kpis[name] == pytest.approx(sum(share**2 for share in shares))


def test_prices_of_intervals_without_trade_do_not_count() -> None:
    series = {"price_eur_per_kwh": a(0.1, 0.9, 0.3, np.nan), "volume_kwh": a(1, 0, 3, 0)}
    facts = facts_of(interval=series)
    assert figure("price_std_eur_per_kwh", facts) == pytest.approx(0.1)
    assert figure("lowest_price_eur_per_kwh", facts) == 0.1
    assert figure("highest_price_eur_per_kwh", facts) == 0.3


def test_nothing_traded_is_not_measured() -> None:
    silent = {"price_eur_per_kwh": a(np.nan), "volume_kwh": a(0), "possible_eur": a(0)}
    nobody = {"sold_kwh": a(0, 0), "bought_kwh": a(0, 0), "bill_eur": a(1), "baseline_eur": a(1)}
    facts = facts_of(silent, nobody)
    for name in ("price_std_eur_per_kwh", "lowest_price_eur_per_kwh", "highest_price_eur_per_kwh",
                 "hhi_sellers", "hhi_buyers", "value_tapping_index"):  # fmt: skip
        assert math.isnan(figure(name, facts)), name


# ---------------------------------------------------------------- the community's profile


def test_energy_balance() -> None:
    """An exchange of 2 + 1 kWh with 10 + 2 kWh of demand and 6 + 2 kWh of supply."""
    series = {"load_kwh": a(6, 4), "charge_kwh": a(0, 2), "pv_kwh": a(4, 2),
              "discharge_kwh": a(0, 2), "net_kwh": a(2, -1)}  # fmt: skip
    assert figure("energy_balance_index", facts_of(interval=series)) == pytest.approx(1 - 3 / 20)


def test_the_profile_of_the_upstream_power() -> None:
    """Two days and a half of 12 h intervals: peaks of 4, 3 and 0 kW."""
    series = {"interval": np.arange(5), "slack_p_kw": a(4, -2, 1, 3, -6)}
    facts = facts_of(interval=series)
    assert figure("daily_peak_import_kw", facts) == pytest.approx(7 / 3)
    assert figure("highest_ramp_kw", facts) == 9.0
    assert figure("load_factor", facts) == pytest.approx((4 + 2 + 1 + 3 + 6) / 5 / 6)


def test_unsolved_intervals_are_left_out_of_the_profile() -> None:
    nan = np.nan
    series = {"interval": np.arange(6), "slack_p_kw": a(nan, nan, 1, nan, 2, 4)}
    facts = facts_of(interval=series)
    assert figure("daily_peak_import_kw", facts) == pytest.approx((1 + 4) / 2)
    assert figure("highest_ramp_kw", facts) == 2.0
    assert figure("load_factor", facts) == pytest.approx(7 / 3 / 4)
    never = facts_of(interval={"interval": np.arange(2), "slack_p_kw": a(nan, nan)})
    for name in ("daily_peak_import_kw", "highest_ramp_kw", "load_factor"):
        assert math.isnan(figure(name, never)), name


def test_days_are_told_apart_at_any_length_of_interval() -> None:
    for minutes in (5, 10, 15, 20, 30, 60):
        per_day = 1440 // minutes
        power = np.repeat(a(1, 5, 3), per_day)
        series = {"interval": np.arange(len(power)), "slack_p_kw": power}
        facts = facts_of(interval=series, interval_h=minutes / 60)
        assert figure("daily_peak_import_kw", facts) == pytest.approx(3.0)
