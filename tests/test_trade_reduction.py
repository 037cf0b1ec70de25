"""McAfee's trade reduction and pay-as-bid, beside the uniform price they share curves with."""

from __future__ import annotations

import numpy as np
import pytest

from cosim.markets.base import Clearing, Market, MarketContext, Orders
from cosim.markets.pay_as_bid import PayAsBid
from cosim.markets.uniform_price import UniformPrice

REDUCED = UniformPrice(trade_reduction="mcafee")


def cleared(market: Market, quantity: np.ndarray, price: np.ndarray) -> Clearing:
    count = len(quantity)
    orders = Orders(np.arange(count), quantity, price, np.zeros(count))
    return market.clear(orders, MarketContext(np.full(count, 5.0), np.full(count, -5.0)))


def random_book(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    count = int(random.integers(2, 12))
    quantity = random.choice([-2.0, -1.0, 1.0, 2.0], count) * random.choice([1.0, 0.7], count)
    price = random.uniform(0.0, 1.0, count)
    return quantity, np.round(price, 1) if random.random() < 0.5 else price


def utility(result: Clearing, row: int, value: float) -> float:
    return float(value * result.fills_kwh[row] - result.payment_eur[row])


def best_gain(market: Market, books: int) -> float:
    """Return what misstating a price gains at best, over prosumers and random books."""
    random, best = np.random.default_rng(3), 0.0
    for _ in range(books):
        quantity, value = random_book(random)
        honest = cleared(market, quantity, value)
        for row in range(len(quantity)):
            others = np.delete(value, row)
            near = np.concatenate([others - 1e-6, others, others + 1e-6, random.uniform(0, 1, 3)])
            for told in near:
                price = value.copy()
                price[row] = told
                gain = utility(cleared(market, quantity, price), row, value[row])
                best = max(best, gain - utility(honest, row, value[row]))
    return best


def test_nobody_gains_by_misstating_a_price_under_trade_reduction() -> None:
    assert best_gain(REDUCED, 250) <= 1e-12


def test_the_uniform_price_can_be_moved_by_misstating() -> None:
    """The test above can fail: without the reduction there is something to gain."""
    assert best_gain(UniformPrice(), 40) > 0.01


def test_the_reduction_drops_the_marginal_orders_and_leaves_their_surplus() -> None:
    """Bids 1 at .9, .7, .5; asks 1 at .1, .3, .4: two of three pairs trade at .5 and .4."""
    quantity = np.array([1.0, 1.0, 1.0, -1.0, -1.0, -1.0])
    price = np.array([0.9, 0.7, 0.5, 0.1, 0.3, 0.4])
    result = cleared(REDUCED, quantity, price)
    assert result.fills_kwh.tolist() == [1.0, 1.0, 0.0, -1.0, -1.0, 0.0]
    assert result.buy_price_eur_per_kwh == 0.5 and result.sell_price_eur_per_kwh == 0.4
    assert result.payment_eur.sum() == pytest.approx(0.2)


def test_the_longer_side_of_what_is_left_is_rationed() -> None:
    quantity = np.array([3.0, 1.0, 1.0, -1.0, -1.0, -4.0])
    price = np.array([0.9, 0.9, 0.5, 0.1, 0.1, 0.4])
    result = cleared(REDUCED, quantity, price)
    assert result.fills_kwh == pytest.approx([1.5, 0.5, 0.0, -1.0, -1.0, 0.0])


@pytest.mark.parametrize("market", [REDUCED, PayAsBid()], ids=["reduced", "pay_as_bid"])
def test_the_operator_never_loses_and_nobody_is_beyond_their_limit(market: Market) -> None:
    random, surplus = np.random.default_rng(4), 0.0
    for _ in range(10_000):
        quantity, price = random_book(random)
        result = cleared(market, quantity, price)
        assert result.payment_eur.sum() >= -1e-12
        assert abs(result.fills_kwh.sum()) <= 1e-12
        assert (result.payment_eur <= result.fills_kwh * price + 1e-12).all()
        assert (result.fills_kwh * quantity >= 0).all()
        surplus += float(result.payment_eur.sum())
    assert surplus > 100.0


def test_pay_as_bid_fills_as_the_uniform_auction_and_pays_everybody_their_limit() -> None:
    random = np.random.default_rng(5)
    for _ in range(500):
        quantity, price = random_book(random)
        one, other = cleared(UniformPrice(), quantity, price), cleared(PayAsBid(), quantity, price)
        assert np.array_equal(one.fills_kwh, other.fills_kwh)
        assert np.array_equal(other.payment_eur, other.fills_kwh * price)
        if other.volume_kwh > 0.0:
            bought = other.fills_kwh > 0.0
            mean = other.payment_eur[bought].sum() / other.fills_kwh[bought].sum()
            assert other.buy_price_eur_per_kwh == pytest.approx(mean)
