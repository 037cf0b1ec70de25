"""The uniform-price auction against optima it does not know of.

Two references, neither of which walks the curves as the mechanism does. A linear programme (HiGHS)
gives volume and welfare of 1,500 books. Duality gives volume, welfare and the range of clearing
prices of many thousands: at a price p the market holds ``min(D(p), S(p))``, the volume is its
maximum, the welfare is the least value of ``sum(q * max(0, gain at p))``, and every p that attains
it clears the market. Duality itself is held against the programme on the same 1,500 books.

Quantities are multiples of a power of two and prices whole cents, so the references are exact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.optimize import linprog

from cosim.delivery import Metered
from cosim.markets.base import Clearing, MarketContext, Orders
from cosim.markets.uniform_price import UniformPrice
from cosim.population import Population
from cosim.settlement import Prices, settle

GRAIN = 2.0**-10  # kWh


@dataclass(frozen=True)
class Book:
    """Orders and tariffs ``[..., m]``; prices are whole cents."""

    owner: np.ndarray
    quantity: np.ndarray
    price: np.ndarray
    retail: np.ndarray
    feed_in: np.ndarray

    @property
    def limit(self) -> np.ndarray:
        """Limit prices after everybody's own tariff."""
        bids, asks = np.minimum(self.price, self.retail), np.maximum(self.price, self.feed_in)
        return np.where(self.quantity > 0.0, bids, asks)

    def rows(self, index: object) -> Book:
        return Book(self.owner[index], *(x[..., index] for x in self._values()))

    def lane(self, index: int) -> Book:
        return Book(self.owner, *(x[index].copy() for x in self._values()))

    def _values(self) -> tuple[np.ndarray, ...]:
        return self.quantity, self.price, self.retail, self.feed_in

    def clear(self, k: float = 0.5) -> Clearing:
        orders = Orders(self.owner, self.quantity, self.price, np.zeros(len(self.owner)))
        return UniformPrice(k=k).clear(orders, MarketContext(self.retail, self.feed_in))


def random_books(rng: np.random.Generator, lanes: int, size: int) -> Book:
    """Return books of all sorts: ties, empty orders, one side only, tiny beside huge."""
    shape = (lanes, size)
    sort = rng.integers(0, 6, (lanes, 1))
    whole = rng.integers(-4096, 4097, shape) * GRAIN
    quantity = np.select(
        [sort == 1, sort == 2, sort == 3, sort == 4],
        [
            np.sign(whole) * 0.5 * rng.integers(0, 4, shape),  # equal and empty orders
            np.abs(whole) * rng.choice([-1.0, 1.0], (lanes, 1)),  # one side only
            whole * np.exp2(rng.integers(-8, 9, shape)),  # tiny beside huge
            np.where(rng.random(shape) < 0.5, 0.0, whole),
        ],
        whole,
    )
    quantity = quantity * np.exp2(rng.choice([0, 0, -30, 25], (lanes, 1)))
    cents = np.where(sort % 2 == 0, rng.integers(8, 12, shape), rng.integers(-10, 45, shape))
    feed_in = rng.integers(-5, 12, shape)
    retail = feed_in + rng.integers(0, 40, shape)
    owner = np.arange(size) if rng.random() < 0.5 else rng.integers(0, size, size)
    return Book(owner, quantity, cents / 100.0, retail / 100.0, feed_in / 100.0)


def stacks(count: int, seed: int) -> list[Book]:
    """Return stacks of 50 books, ``count`` books in all, of 1 to 24 orders each."""
    rng = np.random.default_rng(seed)
    return [random_books(rng, 50, int(rng.integers(1, 25))) for _ in range(count // 50)]


@dataclass(frozen=True)
class Optimum:
    """What the best allocation of each lane is worth; prices are NaN where nothing trades."""

    volume: np.ndarray
    welfare: np.ndarray
    low: np.ndarray
    high: np.ndarray


def dual_optimum(book: Book) -> Optimum:
    """Return the optimum by duality, looking at every limit price as a candidate ``[L, p, m]``."""
    limit, candidate = book.limit[:, None, :], book.limit[:, :, None]
    bids = np.maximum(book.quantity, 0.0)[:, None, :]
    asks = np.maximum(-book.quantity, 0.0)[:, None, :]
    demand, above = (bids * (limit >= candidate)).sum(2), (bids * (limit > candidate)).sum(2)
    supply, below = (asks * (limit <= candidate)).sum(2), (asks * (limit < candidate)).sum(2)
    volume = np.minimum(demand, supply).max(1)
    gains = bids * np.maximum(limit - candidate, 0.0) + asks * np.maximum(candidate - limit, 0.0)
    clears = (above <= supply) & (below <= demand) & (book.quantity != 0.0)
    prices = np.where(clears, book.limit, np.nan)
    some = volume > 0.0
    low, high = np.full(len(volume), np.nan), np.full(len(volume), np.nan)
    low[some], high[some] = np.nanmin(prices[some], 1), np.nanmax(prices[some], 1)
    return Optimum(volume, np.where(some, gains.sum(2).min(1), 0.0), low, high)


def programme(limit: np.ndarray, quantity: np.ndarray) -> tuple[float, float]:
    """Return (volume, welfare) of the linear programme; a tenth of a cent a unit breaks ties."""
    scale = np.abs(quantity).max()
    if scale == 0.0:
        return 0.0, 0.0
    bonus = np.where(quantity > 0.0, limit + 0.001, limit)
    found = linprog(
        -bonus,
        A_eq=np.ones((1, len(limit))),
        b_eq=[0.0],
        bounds=np.sort(np.stack([np.zeros_like(quantity), quantity / scale], axis=1), axis=1),
        method="highs",
    )
    assert found.status == 0
    return float(np.maximum(found.x, 0.0).sum()) * scale, float(limit @ found.x) * scale


def largest(book: Book) -> np.ndarray:
    """Return the scale of each lane's energies."""
    return np.abs(book.quantity).sum(-1)


def test_duality_and_the_linear_programme_agree() -> None:
    for book in stacks(1500, seed=1):
        best, scale = dual_optimum(book), np.abs(book.quantity).max(-1)
        for lane, row in enumerate(book.limit):
            volume, welfare = programme(row, book.quantity[lane])
            tolerance = 1e-6 * scale[lane] * len(row)  # HiGHS' own
            assert best.volume[lane] == pytest.approx(volume, abs=tolerance)
            assert best.welfare[lane] == pytest.approx(welfare, abs=tolerance)


def holds_what_it_promises(book: Book, cleared: Clearing, k: float) -> None:
    """One price, nobody outside their limit, closed sums, and the optimum."""
    fills, price, scale = cleared.fills_kwh, cleared.buy_price_eur_per_kwh, largest(book)
    assert np.array_equal(price, cleared.sell_price_eur_per_kwh, equal_nan=True)
    trades = cleared.volume_kwh > 0.0
    assert np.array_equal(np.isnan(price), ~trades)
    at = np.where(trades, price, 0.0)[..., None]
    assert np.array_equal(cleared.payment_eur, fills * at)
    assert ((fills > 0.0) <= (at <= book.limit)).all()
    assert ((fills < 0.0) <= (at >= book.limit)).all()
    assert (fills * book.quantity >= 0.0).all()
    assert (np.abs(fills) <= np.abs(book.quantity)).all()
    assert (np.abs(fills.sum(-1)) <= 1e-12 * scale).all()
    assert (np.abs(cleared.payment_eur.sum(-1)) <= 1e-12 * scale).all()
    best = dual_optimum(book)
    close = {"rtol": 0.0, "atol": 1e-12 * float(scale.max(initial=1.0))}
    np.testing.assert_allclose(cleared.volume_kwh, best.volume, rtol=1e-12, atol=0.0)
    np.testing.assert_allclose(np.maximum(fills, 0.0).sum(-1), best.volume, **close)
    welfare = (fills * book.limit).sum(-1)
    assert (np.abs(welfare - best.welfare) <= 1e-12 * scale).all()
    expected = (1.0 - k) * best.low + k * best.high
    np.testing.assert_allclose(price, expected, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("k", [0.0, 0.3, 0.5, 1.0])
def test_random_books_clear_at_the_optimum(k: float) -> None:
    for book in stacks(2500, seed=int(2 + 10 * k)):
        holds_what_it_promises(book, book.clear(k), k)


@pytest.mark.slow
def test_a_hundred_thousand_books_clear_at_the_optimum() -> None:
    for seed in range(100, 110):
        for book in stacks(10_000, seed):
            k = float(np.random.default_rng(seed).random())
            holds_what_it_promises(book, book.clear(k), k)


def test_every_share_of_a_range_that_is_one_price_is_that_price() -> None:
    shares = np.random.default_rng(0).random(300)
    for cents in range(1, 60, 7):
        price = np.array([cents, cents]) / 100.0
        tie = Book(np.arange(2), np.array([1.0, -1.0]), price, np.ones(2), np.zeros(2))
        for k in shares:
            assert tie.clear(float(k)).buy_price_eur_per_kwh == cents / 100.0


def test_leading_axes_equal_single_books_bit_for_bit() -> None:
    for book in stacks(2500, seed=3):
        whole = book.clear()
        for lane in range(len(book.quantity)):
            single = book.lane(lane).clear()
            for name, value in vars(single).items():
                assert np.array_equal(getattr(whole, name)[lane], value, equal_nan=True), name
    two_axes = random_books(np.random.default_rng(4), 6, 8)
    cubed = Book(two_axes.owner, *(x.reshape(2, 3, 8) for x in two_axes._values()))
    assert np.array_equal(cubed.clear().fills_kwh.reshape(6, 8), two_axes.clear().fills_kwh)


def uneven(rng: np.random.Generator, size: int) -> Book:
    """Return a book whose sums round, with a few owners, prices and quantities twice."""
    quantity = rng.normal(0.0, 1.0, size) * 10.0 ** rng.integers(-3, 3, size)
    price = rng.choice([0.1, 0.15, 0.2, rng.random()], size)
    twin = rng.integers(0, size, size // 3)
    quantity[: len(twin)], price[: len(twin)] = quantity[twin], price[twin]
    owner = rng.integers(0, max(1, size // 2), size)
    return Book(owner, quantity, price, np.full(size, 0.3), np.full(size, 0.05))


def test_the_order_of_rows_changes_no_bit() -> None:
    rng = np.random.default_rng(5)
    for trial in range(2000):
        book = uneven(rng, int(rng.integers(2, 30)))
        if trial % 2:  # as the simulation sends them: one row each, by owner
            book = Book(np.arange(len(book.owner)), *book._values())
        mixed = rng.permutation(len(book.owner))
        first, second = book.clear(), book.rows(mixed).clear()
        assert np.array_equal(first.fills_kwh[mixed], second.fills_kwh)
        assert np.array_equal(first.payment_eur[mixed], second.payment_eur)
        assert first.volume_kwh == second.volume_kwh
        assert np.array_equal(
            first.buy_price_eur_per_kwh, second.buy_price_eur_per_kwh, equal_nan=True
        )


def test_energies_that_round_still_balance_and_keep_every_limit() -> None:
    rng = np.random.default_rng(6)
    for _ in range(2000):
        book, k = uneven(rng, int(rng.integers(2, 40))), float(rng.random())
        cleared = book.clear(k)
        fills, price, scale = cleared.fills_kwh, cleared.buy_price_eur_per_kwh, largest(book)
        assert abs(fills.sum()) <= 1e-11 * scale
        assert (np.abs(fills) <= np.abs(book.quantity)).all()
        assert (price <= book.limit[fills > 0.0]).all()
        assert (price >= book.limit[fills < 0.0]).all()
        best = dual_optimum(Book(book.owner, *(x[None] for x in book._values())))
        assert cleared.volume_kwh == pytest.approx(best.volume[0], abs=1e-11 * scale)
        assert (fills * book.limit).sum() == pytest.approx(best.welfare[0], abs=1e-11 * scale)


def test_an_empty_order_changes_nothing() -> None:
    rng = np.random.default_rng(7)
    for _ in range(1000):
        book = uneven(rng, int(rng.integers(1, 20)))
        place = int(rng.integers(0, len(book.owner) + 1))
        new = (int(rng.integers(0, 20)), rng.choice([0.0, -0.0]), rng.random(), 0.3, 0.05)
        values = (book.owner, *book._values())
        more = Book(*(np.insert(x, place, v) for x, v in zip(values, new, strict=True)))
        first, second = book.clear(), more.clear()
        assert second.fills_kwh[place] == second.payment_eur[place] == 0.0
        assert np.array_equal(first.fills_kwh, np.delete(second.fills_kwh, place))
        assert first.volume_kwh == second.volume_kwh
        assert np.array_equal(
            first.buy_price_eur_per_kwh, second.buy_price_eur_per_kwh, equal_nan=True
        )


# ---------------------------------------------------------------- worked examples


def by_hand(*orders: tuple[float, float]) -> Book:
    """Return a book of (quantity, price) under a wide tariff."""
    quantity, price = (np.array(column) for column in zip(*orders, strict=True))
    size = len(quantity)
    return Book(np.arange(size), quantity, price, np.full(size, 1.0), np.full(size, -1.0))


@pytest.mark.parametrize(
    ("orders", "volume", "low", "high"),
    [
        # asks .10 and .18, bids .20 and .12: a matcher of pairs would trade two units
        ([(-1, 0.10), (-1, 0.18), (1, 0.20), (1, 0.12)], 1.0, 0.12, 0.18),
        ([(1, 0.20), (-1, 0.10)], 1.0, 0.10, 0.20),  # no neighbours: the pair's own range
        ([(2, 0.20), (-1, 0.10)], 1.0, 0.20, 0.20),  # scarce: a bid left over sets the price
        ([(1, 0.20), (-2, 0.10)], 1.0, 0.10, 0.10),  # plenty: an ask left over sets it
        ([(1, 0.20), (1, 0.16), (-1, 0.10)], 1.0, 0.16, 0.20),
        ([(1, 0.20), (-1, 0.10), (-1, 0.14)], 1.0, 0.10, 0.14),
        ([(1, 0.15), (-1, 0.15)], 1.0, 0.15, 0.15),
        ([(3, 0.30), (2, 0.22), (-4, 0.12), (-2, 0.25)], 4.0, 0.22, 0.22),
        ([(3, 0.30), (1, 0.22), (1, 0.14), (-2, 0.12), (-2, 0.16)], 4.0, 0.16, 0.22),
    ],
)
def test_prices_of_examples_worked_by_hand(
    orders: list[tuple[float, float]], volume: float, low: float, high: float
) -> None:
    for k, price in ((0.0, low), (0.5, (low + high) / 2), (1.0, high)):
        cleared = by_hand(*orders).clear(k)
        assert cleared.volume_kwh == volume
        assert cleared.buy_price_eur_per_kwh == pytest.approx(price, abs=1e-15)


def test_a_tie_at_the_margin_is_shared_pro_rata() -> None:
    cleared = by_hand((1, 0.30), (2, 0.20), (4, 0.20), (-4, 0.10), (-9, 0.25)).clear()
    assert cleared.fills_kwh == pytest.approx([1.0, 1.0, 2.0, -4.0, 0.0])
    assert cleared.buy_price_eur_per_kwh == pytest.approx(0.20)


def test_an_order_is_clipped_to_its_own_tariff() -> None:
    owner, quantity = np.arange(3), np.array([1.0, 1.0, -1.0])
    price, feed_in = np.array([9.0, 0.5, -9.0]), np.array([0.0, 0.0, 0.1])
    book = Book(owner, quantity, price, np.array([0.2, 0.9, 0.9]), feed_in)
    cleared = book.clear()
    assert cleared.fills_kwh == pytest.approx([0.0, 1.0, -1.0])
    assert cleared.buy_price_eur_per_kwh == pytest.approx((0.2 + 0.5) / 2)


def test_a_book_with_nobody_or_one_side_trades_nothing() -> None:
    for book in (by_hand((1, 0.2), (2, 0.3)), by_hand((-1, 0.2), (-2, 0.3)), by_hand((0, 0.2))):
        cleared = book.clear()
        assert not cleared.fills_kwh.any()
        assert cleared.volume_kwh == 0.0
        assert np.isnan(cleared.buy_price_eur_per_kwh)
    empty = by_hand((1, 0.2)).rows(slice(0, 0)).clear()
    assert empty.fills_kwh.shape == (0,)
    assert np.isnan(empty.buy_price_eur_per_kwh)


# ---------------------------------------------------------------- wash trades


def test_wash_trades_at_the_unchanged_price_earn_nothing(
    population_of: Callable[..., Population], metered_of: Callable[..., Metered]
) -> None:
    """Whoever has no open position to close only loses by trades that cancel out."""

    def bills(book: Book, fills: np.ndarray, price: float, net: np.ndarray) -> np.ndarray:
        at = np.asarray(price)
        clearing = Clearing(fills, fills * price, np.maximum(fills, 0.0).sum(), at, at)
        prices = Prices(book.retail, book.feed_in, 0.0)
        return settle(population_of(len(net)), clearing, metered_of(net), prices).bill_eur

    rng = np.random.default_rng(8)
    tried = 0
    while tried < 500:
        size = int(rng.integers(2, 20))
        book = uneven(rng, size)
        cleared = book.clear()
        if cleared.volume_kwh == 0.0:
            continue
        tried += 1
        price, (i, j) = float(cleared.buy_price_eur_per_kwh), rng.permutation(size)[:2]
        assert (book.feed_in <= price).all() and (price <= book.retail).all()
        side = rng.choice([-1.0, 0.0, 1.0])  # what the pair has left over has one direction
        metered = cleared.fills_kwh + side * rng.random(size)
        added = np.zeros(size)
        added[i] = rng.normal() * 10.0 ** rng.integers(-2, 3)
        added[j] = -added[i]
        before = bills(book, cleared.fills_kwh, price, metered)
        after = bills(book, cleared.fills_kwh + added, price, metered)
        scale = 1e-12 * (1.0 + np.abs(after).max())
        assert after[i] + after[j] >= before[i] + before[j] - scale
        if side == 0.0:
            assert (after >= before - scale).all()
