"""The order book against a plain loop over lists, and what every trader can rely on."""

from __future__ import annotations

import numpy as np
import pytest

from cosim.markets.base import MarketContext, Orders
from cosim.markets.order_book import OrderBook

WIDE = (10.0, -10.0)


def orders(rows: list[tuple[int, float, float, float]], draw: list[float] | None = None) -> Orders:
    """Return a book of (prosumer, quantity, limit, second)."""
    owner, quantity, limit, second = (np.array(column) for column in zip(*rows, strict=True))
    given = None if draw is None else np.array(draw)
    return Orders(owner, quantity.astype(float), limit, second.astype(float), given)


def context(count: int, retail: float = WIDE[0], feed_in: float = WIDE[1]) -> MarketContext:
    return MarketContext(np.full(count, retail), np.full(count, feed_in))


def brute_force(
    book: Orders, bounds: MarketContext, replace: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Walk through the arrivals with lists, looking through the whole book each time."""
    limit = np.where(
        book.quantity_kwh > 0,
        np.minimum(book.price_eur_per_kwh, bounds.retail_eur_per_kwh),
        np.maximum(book.price_eur_per_kwh, bounds.feed_in_eur_per_kwh),
    )
    fills, paid = np.zeros(len(limit)), np.zeros(len(limit))
    waiting: list[list] = []  # [row, left, time]
    keys = sorted(range(len(limit)), key=lambda i: (book.arrival_s[i], book.draw[i],
                                                    book.prosumer[i], i))  # fmt: skip
    for time, i in enumerate(keys):
        if replace or book.quantity_kwh[i] == 0.0:
            waiting = [w for w in waiting if book.prosumer[w[0]] != book.prosumer[i]]
        left, sign = abs(book.quantity_kwh[i]), np.sign(book.quantity_kwh[i])
        while left > 0.0:
            other = [w for w in waiting if np.sign(book.quantity_kwh[w[0]]) == -sign
                     and sign * limit[i] >= sign * limit[w[0]]]  # fmt: skip
            if not other:
                break
            best = min(other, key=lambda w: (sign * limit[w[0]], w[2]))
            energy = min(left, best[1])
            left -= energy
            best[1] -= energy
            for row, share in ((i, sign * energy), (best[0], -sign * energy)):
                fills[row] += share
                paid[row] += share * limit[best[0]]
            waiting = [w for w in waiting if w[1] > 0.0]
        if left > 0.0:
            waiting.append([i, left, time])
    return fills, paid


def random_book(random: np.random.Generator) -> tuple[Orders, MarketContext]:
    count = int(random.integers(0, 14))
    grid = random.choice([True, False])
    quantity = random.normal(0.0, 2.0, count)
    quantity = np.round(quantity) if grid else quantity
    limit = random.uniform(-0.1, 0.6, count)
    limit = np.round(limit, 1) if grid else limit
    return (
        Orders(
            random.integers(0, max(1, count // 2), count), quantity, limit,
            random.integers(0, 5, count).astype(float), random.random(count),
        ),
        MarketContext(random.uniform(0.2, 0.5, count), random.uniform(-0.1, 0.2, count)),
    )  # fmt: skip


@pytest.mark.parametrize("replace", [False, True])
def test_small_books_trade_as_a_plain_loop_says(replace: bool) -> None:
    random, market, traded = np.random.default_rng(11), OrderBook(replace=replace), 0
    for _ in range(3000):
        book, bounds = random_book(random)
        cleared = market.clear(book, bounds)
        fills, paid = brute_force(book, bounds, replace)
        np.testing.assert_allclose(cleared.fills_kwh, fills, rtol=0, atol=1e-12)
        np.testing.assert_allclose(cleared.payment_eur, paid, rtol=0, atol=1e-12)
        traded += bool(cleared.volume_kwh > 0.0)
    assert traded > 1000


def holds(count: int) -> None:
    """Nobody beyond their limit or order, energy and money balanced, in random books."""
    random, market = np.random.default_rng(12), OrderBook()
    for _ in range(count):
        book, bounds = random_book(random)
        cleared = market.clear(book, bounds)
        fills = cleared.fills_kwh
        assert abs(fills.sum()) <= 1e-12 and abs(cleared.payment_eur.sum()) <= 1e-12
        assert (np.abs(fills) <= np.abs(book.quantity_kwh)).all()
        assert (fills * book.quantity_kwh >= 0.0).all()
        bid = np.minimum(book.price_eur_per_kwh, bounds.retail_eur_per_kwh)
        ask = np.maximum(book.price_eur_per_kwh, bounds.feed_in_eur_per_kwh)
        limit = np.where(fills > 0.0, bid, ask)
        assert (cleared.payment_eur <= fills * limit + 1e-12).all()


def test_ten_thousand_books_keep_limits_and_balance() -> None:
    holds(10_000)


@pytest.mark.slow
def test_a_hundred_thousand_books_keep_limits_and_balance() -> None:
    holds(100_000)


def test_the_better_price_comes_first_and_then_the_earlier_order() -> None:
    book = orders([(0, -1, 0.2, 0), (1, -1, 0.1, 2), (2, -1, 0.1, 1), (3, 1.5, 0.3, 3)])
    cleared = OrderBook().clear(book, context(4))
    assert cleared.fills_kwh.tolist() == [0.0, -0.5, -1.0, 1.5]
    assert cleared.payment_eur[3] == pytest.approx(0.15)


def test_a_trade_has_the_price_of_the_order_that_waited() -> None:
    for first, second in (((0, 1, 0.3, 0), (1, -1, 0.1, 1)), ((1, -1, 0.1, 0), (0, 1, 0.3, 1))):
        cleared = OrderBook().clear(orders([first, second]), context(2))
        assert cleared.buy_price_eur_per_kwh == first[2]


def test_orders_of_one_second_are_ranked_by_their_draw() -> None:
    rows = [(0, -1, 0.1, 5), (1, -1, 0.1, 5), (2, 1, 0.2, 6)]
    for draw, seller in (([0.2, 0.7, 0.0], 0), ([0.7, 0.2, 0.0], 1)):
        cleared = OrderBook().clear(orders(rows, draw), context(3))
        assert np.flatnonzero(cleared.fills_kwh < 0.0).tolist() == [seller]


def test_an_order_of_nothing_cancels_what_waits() -> None:
    rows = [(0, -1, 0.1, 0), (0, 0, 0.0, 1), (1, 1, 0.2, 2)]
    assert OrderBook().clear(orders(rows), context(3)).volume_kwh == 0.0
    assert OrderBook().clear(orders([rows[0], rows[2]]), context(2)).volume_kwh == 1.0


def test_a_later_order_takes_the_place_of_the_earlier_where_it_should() -> None:
    rows = [(0, -1, 0.1, 0), (0, -1, 0.3, 1), (1, 2, 0.2, 2)]
    assert OrderBook().clear(orders(rows), context(3)).volume_kwh == 1.0
    assert OrderBook(replace=True).clear(orders(rows), context(3)).volume_kwh == 0.0
