"""What every market keeps, whichever files there are: a new mechanism is tested once it exists.

Mechanisms may ignore limit prices, so the promise to each prosumer is their tariff: nobody buys
above retail or sells below feed-in.
"""

from __future__ import annotations

import numpy as np
import pytest

from cosim import plugins
from cosim.markets.base import Clearing, Market, MarketContext, Orders, average_prices

#: options to test beside the defaults, or instead of them where there are none
OPTIONS: dict[str, list[dict]] = {
    "uniform_price": [{}, {"k": 0.2}, {"trade_reduction": "mcafee"}],
    "liquidity_pool": [{}, {"spread_eur_per_kwh": 0.03}, {"pricing": "dynamic"}],
    "supply_demand_ratio": [{}, {"form": "linear"}, {"form": "compensated"}],
}
Book = tuple[Orders, MarketContext]


@pytest.fixture(
    params=[
        (name, options) for name in plugins.names("market") for options in OPTIONS.get(name, [{}])
    ],
    ids=lambda pair: f"{pair[0]}{pair[1] or ''}",
)
def market(request: pytest.FixtureRequest) -> Market:
    """Return each mechanism there is, with each set of options."""
    name, options = request.param
    value = plugins.load("market", name).model_validate(options)
    assert isinstance(value, Market)
    return value


def book(seed: int, shape: tuple[int, ...]) -> Book:
    """Return random orders of one tariff; prices beyond it, empty orders and ties included."""
    rng = np.random.default_rng(seed)
    m, side = shape[-1], rng.choice([-1.0, 0.0, 0.0, 0.0, 1.0])
    quantity = rng.normal(0.0, 10.0 ** rng.integers(-3, 3), shape)
    quantity = np.abs(quantity) * side if side else quantity
    quantity = np.where(rng.random(shape) < 0.2, 0.0, quantity)
    feed_in, retail = np.sort(rng.uniform(0.01, 0.5, 2))
    partner = np.minimum(np.arange(m) ^ 1, m - 1)  # neighbours name each other, some nobody
    orders = Orders(
        np.arange(m),
        quantity,
        rng.choice([0.1, 0.2, rng.uniform(-0.2, 0.8)], shape),
        rng.integers(0, 60, shape).astype(float),
        partner=np.where(rng.random(m) < 0.2, -1, partner),
    )
    return orders, MarketContext(np.full(shape, retail), np.full(shape, feed_in))


def books() -> list[Book]:
    sizes = np.random.default_rng(0).integers(0, 30, 200)
    return [book(seed, (int(size),)) for seed, size in enumerate(sizes)]


def arranged(value: Book, index: object) -> Book:
    """Return a book with its rows, or one of its lanes, picked."""
    orders, context = value
    return (
        Orders(
            orders.prosumer[index],
            orders.quantity_kwh[..., index],
            orders.price_eur_per_kwh[..., index],
            orders.arrival_s[..., index],
            orders.draw[..., index],
            orders.partner[index],
        ),
        MarketContext(*(x[..., index] for x in vars(context).values())),
    )


def equal(one: Clearing, other: Clearing) -> bool:
    pairs = zip(vars(one).values(), vars(other).values(), strict=True)
    return all(np.array_equal(a, b, equal_nan=True) for a, b in pairs)


def test_energy_and_money_balance(market: Market) -> None:
    for orders, context in books():
        cleared = market.clear(orders, context)
        scale = 1e-9 * (1.0 + np.abs(orders.quantity_kwh).sum())
        assert abs(cleared.fills_kwh.sum()) <= scale
        assert cleared.payment_eur.sum() >= -scale  # the market never runs a deficit
        assert cleared.volume_kwh == pytest.approx(np.maximum(cleared.fills_kwh, 0.0).sum())
        for price, side in (
            (cleared.buy_price_eur_per_kwh, cleared.fills_kwh > 0.0),
            (cleared.sell_price_eur_per_kwh, cleared.fills_kwh < 0.0),
        ):
            paid, energy = cleared.payment_eur[side].sum(), cleared.fills_kwh[side].sum()
            assert np.isnan(price) == (cleared.volume_kwh == 0.0)
            assert np.isnan(price) or paid == pytest.approx(price * energy)


def test_average_prices_close_the_community(market: Market) -> None:
    """What buyers pay is what sellers earn, after the rest went to the grid: p_buy D + f (S - V)
    = p_sell S + u (D - V) + fees."""
    for orders, context in books():
        cleared = market.clear(orders, context)
        demand = np.maximum(orders.quantity_kwh, 0.0).sum()
        supply = np.maximum(-orders.quantity_kwh, 0.0).sum()
        volume, fees = cleared.volume_kwh, cleared.payment_eur.sum()
        if demand == 0.0 or supply == 0.0:
            assert volume == 0.0
            continue
        buy, sell = average_prices(orders, cleared, context)
        retail, feed_in = context.retail_eur_per_kwh[0], context.feed_in_eur_per_kwh[0]
        paid = buy * demand + feed_in * (supply - volume)
        earned = sell * supply + retail * (demand - volume) + fees
        assert paid == pytest.approx(earned, abs=1e-9 * (1.0 + demand + supply))


def test_no_fill_exceeds_its_order_and_no_price_the_tariff(market: Market) -> None:
    for orders, context in books():
        cleared = market.clear(orders, context)
        fills, paid = cleared.fills_kwh, cleared.payment_eur
        assert np.isfinite(fills).all()
        assert np.isfinite(paid).all()
        assert (fills * orders.quantity_kwh >= 0.0).all()
        assert (np.abs(fills) <= np.abs(orders.quantity_kwh)).all()
        if not market.within_tariff:
            continue
        rounding = 1e-12 * np.abs(fills)
        tariff = np.where(fills > 0.0, context.retail_eur_per_kwh, context.feed_in_eur_per_kwh)
        assert (paid <= fills * tariff + rounding).all()


def test_the_order_of_rows_changes_no_bit(market: Market) -> None:
    for seed, value in enumerate(books()):
        mixed = np.random.default_rng(seed).permutation(len(value[0].prosumer))
        first, second = market.clear(*value), market.clear(*arranged(value, mixed))
        assert np.array_equal(first.fills_kwh[mixed], second.fills_kwh)
        assert np.array_equal(first.payment_eur[mixed], second.payment_eur)
        assert first.volume_kwh == second.volume_kwh


def test_leading_axes_equal_single_books_bit_for_bit(market: Market) -> None:
    for seed in range(20):
        orders, context = book(seed, (3, 2, seed))
        whole = market.clear(orders, context)
        for lane in np.ndindex(3, 2):
            single = market.clear(
                Orders(
                    orders.prosumer,
                    *(x[lane] for x in list(vars(orders).values())[1:-1]),
                    orders.partner,
                ),
                MarketContext(*(x[lane] for x in vars(context).values())),
            )
            assert equal(single, Clearing(*(x[lane] for x in vars(whole).values())))


@pytest.mark.parametrize("sign", [-1.0, 0.0, 1.0])
@pytest.mark.parametrize("size", [0, 1, 5])
def test_one_side_alone_trades_nothing(market: Market, sign: float, size: int) -> None:
    ones = np.ones(size)
    orders = Orders(np.arange(size), sign * ones, 0.2 * ones, 0.0 * ones)
    cleared = market.clear(orders, MarketContext(0.3 * ones, 0.1 * ones))
    assert cleared.fills_kwh.shape == cleared.payment_eur.shape == (size,)
    assert not cleared.fills_kwh.any()
    assert not cleared.payment_eur.any()
    assert cleared.volume_kwh == 0.0
    assert np.isnan(cleared.buy_price_eur_per_kwh)
    assert np.isnan(cleared.sell_price_eur_per_kwh)


def test_clearing_is_a_pure_function(market: Market) -> None:
    for orders, context in books()[:50]:
        kept = [x.copy() for x in (*vars(orders).values(), *vars(context).values())]
        first = market.clear(orders, context)
        assert equal(first, market.clear(orders, context))
        now = (*vars(orders).values(), *vars(context).values())
        assert all(np.array_equal(a, b) for a, b in zip(kept, now, strict=True))
        for value in vars(first).values():
            assert not isinstance(value, np.ndarray) or not value.flags.writeable
