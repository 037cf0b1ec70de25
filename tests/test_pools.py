"""Pools and ratios: published prices, budget balance, and what one form is of another."""

from __future__ import annotations

import numpy as np
import pytest

from cosim.markets._pool import Pool
from cosim.markets.base import MarketContext, Orders, average_prices
from cosim.markets.bill_sharing import BillSharing
from cosim.markets.liquidity_pool import LiquidityPool
from cosim.markets.mid_market_rate import MidMarketRate
from cosim.markets.supply_demand_ratio import SupplyDemandRatio

POOLS: list[Pool] = [
    SupplyDemandRatio(),
    SupplyDemandRatio(form="linear"),
    SupplyDemandRatio(form="compensated"),
    MidMarketRate(),
    LiquidityPool(),
    LiquidityPool(spread_eur_per_kwh=0.04),
    LiquidityPool(pricing="dynamic"),
    BillSharing(),
]
#: ratio of supply to demand -> average (sell, buy) of Liu 2017, linear, mid-market rate and
#: compensated with c = 0.01, at f = 0.05, u = 0.14
VECTORS = {
    0.25: [(0.0966, 0.1291), (0.1175, 0.1344), (0.0950, 0.1288), (0.1050, 0.1313)],
    0.5: [(0.0737, 0.1068), (0.0950, 0.1175), (0.0950, 0.1175), (0.0840, 0.1120)],
    0.75: [(0.0596, 0.0797), (0.0725, 0.0894), (0.0950, 0.1063), (0.0700, 0.0875)],
    1.0: [(0.0500, 0.0500), (0.0500, 0.0500), (0.0950, 0.0950), (0.0600, 0.0600)],
    2.0: [(0.0500, 0.0500), (0.0500, 0.0500), (0.0725, 0.0950), (0.0550, 0.0600)],
}


def two_sided(supply: np.ndarray, demand: np.ndarray) -> Orders:
    quantity = np.stack([demand, -supply], axis=-1)
    return Orders(np.arange(2), quantity, np.zeros_like(quantity), np.zeros_like(quantity))


def tariff(feed_in: np.ndarray, retail: np.ndarray) -> MarketContext:
    return MarketContext(*(np.stack([price, price], axis=-1) for price in (retail, feed_in)))


@pytest.mark.parametrize("ratio", VECTORS)
@pytest.mark.parametrize("column", range(4))
def test_average_prices_are_the_published_ones(ratio: float, column: int) -> None:
    orders = two_sided(np.array(ratio), np.array(1.0))
    context = tariff(np.array(0.05), np.array(0.14))
    buy, sell = average_prices(orders, POOLS_OF_VECTORS[column].clear(orders, context), context)
    assert (float(sell), float(buy)) == pytest.approx(VECTORS[ratio][column], abs=1e-4)


POOLS_OF_VECTORS = [POOLS[0], POOLS[1], POOLS[3], POOLS[2]]


@pytest.mark.parametrize("pool", POOLS, ids=repr)
def test_budgets_balance_over_random_situations(pool: Pool) -> None:
    """``p_buy D + f (S - V) = p_sell S + u (D - V) + fees``, 100,000 draws, 1e-12."""
    random = np.random.default_rng(7)
    supply, demand = random.uniform(1e-3, 10.0, (2, 100_000))
    feed_in, retail = np.sort(random.uniform(-0.05, 0.6, (2, 100_000)), axis=0)
    orders, context = two_sided(supply, demand), tariff(feed_in, retail)
    cleared = pool.clear(orders, context)
    buy, sell = average_prices(orders, cleared, context)
    volume, fees = cleared.volume_kwh, cleared.payment_eur.sum(-1)
    assert np.array_equal(volume, np.minimum(supply, demand))
    error = buy * demand + feed_in * (supply - volume)
    error -= sell * supply + retail * (demand - volume) + fees
    assert np.abs(error).max() <= 1e-12 * 10.0
    keeps = isinstance(pool, LiquidityPool) and pool != LiquidityPool()
    assert (fees.max() > 1e-3) == keeps and fees.min() >= -1e-12
    if pool.within_tariff:
        assert (buy <= retail + 1e-12).all() and (sell >= feed_in - 1e-12).all()


def test_without_compensation_the_compensated_form_is_liu_s() -> None:
    random = np.random.default_rng(8)
    orders = two_sided(*random.uniform(0.0, 5.0, (2, 1000)))
    context = tariff(*np.sort(random.uniform(0.01, 0.6, (2, 1000)), axis=0))
    liu = SupplyDemandRatio().clear(orders, context)
    other = SupplyDemandRatio(form="compensated", compensation_eur_per_kwh=0.0)
    assert np.array_equal(liu.payment_eur, other.clear(orders, context).payment_eur)


def test_without_a_spread_the_liquidity_pool_is_the_mid_market_rate() -> None:
    random = np.random.default_rng(9)
    orders = two_sided(*random.uniform(0.0, 5.0, (2, 1000)))
    context = tariff(*np.sort(random.uniform(-0.1, 0.6, (2, 1000)), axis=0))
    one, other = (pool.clear(orders, context) for pool in (LiquidityPool(), MidMarketRate()))
    assert np.array_equal(one.payment_eur, other.payment_eur)


@pytest.mark.parametrize(("feed_in", "retail"), [(0.0, 0.2), (-0.05, 0.2), (0.1, 0.1)])
@pytest.mark.parametrize("form", ["liu_2017", "compensated"])
def test_forms_that_divide_by_the_feed_in_fall_back_to_the_linear_one(
    form: str, feed_in: float, retail: float
) -> None:
    orders = two_sided(np.array(1.0), np.array(3.0))
    context = tariff(np.array(feed_in), np.array(retail))
    cleared = SupplyDemandRatio(form=form).clear(orders, context)
    assert cleared.buy_price_eur_per_kwh == pytest.approx((feed_in - retail) / 3.0 + retail)


def test_where_tariffs_differ_the_narrowest_band_suits_all() -> None:
    orders = Orders(np.arange(3), np.array([1.0, 1.0, -2.0]), np.zeros(3), np.zeros(3))
    context = MarketContext(np.array([0.5, 0.3, 0.9]), np.array([0.2, 0.2, 0.1]))
    cleared = MidMarketRate().clear(orders, context)
    assert cleared.buy_price_eur_per_kwh == pytest.approx(0.5 * (0.1 + 0.3))
    none_left = MarketContext(np.array([0.5, 0.3, 0.9]), np.array([0.2, 0.2, 0.4]))
    assert MidMarketRate().clear(orders, none_left).volume_kwh == 0.0


def test_the_dynamic_gain_follows_the_surplus_within_its_bounds() -> None:
    supply = np.array([1.0, 1.0, 1.0, 9.0])
    demand = np.array([1.0, 9.0, 1.0, 1.0])
    feed_in, retail = np.full(4, 0.10), np.array([0.30, 0.30, 0.12, 0.90])
    pool = LiquidityPool(pricing="dynamic", base_delta_eur_per_kwh=0.05)
    cleared = pool.clear(two_sided(supply, demand), tariff(feed_in, retail))
    delta = np.array([0.05, 0.01, 0.01, 0.08])  # balance; least; half of the band; most
    assert cleared.sell_price_eur_per_kwh == pytest.approx(feed_in + delta)
    assert cleared.buy_price_eur_per_kwh == pytest.approx(retail - delta)


def test_where_a_form_has_no_price_linear_stands_in_and_is_told() -> None:
    """Feed-in below nothing: Liu's form divides by it. Lanes are told apart; no trade, no word."""
    orders = Orders(
        np.arange(2), np.array([[1.0, -2.0], [1.0, -2.0], [0.0, -2.0]]), np.zeros((3, 2)),
        np.zeros((3, 2)),
    )  # fmt: skip
    retail, feed_in = np.full((3, 2), 0.2), np.array([[0.05] * 2, [-0.05] * 2, [-0.05] * 2])
    context = MarketContext(retail, feed_in)
    for form in ("liu_2017", "compensated"):
        clearing = SupplyDemandRatio(form=form).clear(orders, context)
        assert np.asarray(clearing.fallback).tolist() == [False, True, False]
    linear = SupplyDemandRatio(form="linear").clear(orders, context)
    assert not np.any(linear.fallback)
    stood_in = SupplyDemandRatio(form="liu_2017").clear(orders, context)
    assert stood_in.sell_price_eur_per_kwh[1] == linear.sell_price_eur_per_kwh[1]
