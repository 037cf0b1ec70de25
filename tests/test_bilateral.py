"""Preferred partners: hand-computed books, pairs against a plain loop, and a scenario with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cosim.case import Case, load_case
from cosim.errors import InputError
from cosim.markets.base import MarketContext, Orders
from cosim.markets.bilateral import Bilateral
from cosim.markets.mid_market_rate import MidMarketRate
from cosim.scenario import load_scenario

FEED_IN, RETAIL = 0.06, 0.30


def book(rows: list[tuple[float, float, int]]) -> tuple[Orders, MarketContext]:
    """Return a book of (quantity, limit, rank of the partner)."""
    quantity, limit, partner = (np.array(column) for column in zip(*rows, strict=True))
    count = len(rows)
    orders = Orders(np.arange(count), quantity, limit, np.zeros(count), partner=partner)
    return orders, MarketContext(np.full(count, RETAIL), np.full(count, FEED_IN))


def test_partners_trade_the_smaller_of_both_at_the_middle_of_their_limits() -> None:
    cleared = Bilateral().clear(*book([(2.0, 0.28, 1), (-3.0, 0.10, 0)]))
    assert cleared.fills_kwh == pytest.approx([2.0, -2.0])
    assert cleared.payment_eur == pytest.approx([2.0 * 0.19, -2.0 * 0.19])
    assert cleared.buy_price_eur_per_kwh == pytest.approx(0.19)
    assert cleared.sell_price_eur_per_kwh == pytest.approx(0.19)


def test_limits_are_cut_to_the_own_tariff_first() -> None:
    cleared = Bilateral().clear(*book([(1.0, 9.0, 1), (-1.0, -9.0, 0)]))
    assert cleared.buy_price_eur_per_kwh == pytest.approx((RETAIL + FEED_IN) / 2.0)


def test_what_is_left_goes_to_the_pool_at_the_mid_market_rate() -> None:
    """The pair trades 2 at 0.19; the seller's third kWh meets 4 kWh of demand at 0.18."""
    cleared = Bilateral().clear(
        *book([(2.0, 0.28, 1), (-3.0, 0.10, 0), (1.0, 0.30, -1), (3.0, 0.30, -1)])
    )
    assert cleared.fills_kwh == pytest.approx([2.0, -3.0, 0.25, 0.75])
    assert cleared.payment_eur == pytest.approx([0.38, -0.56, 0.045, 0.135])
    assert cleared.volume_kwh == pytest.approx(3.0)
    assert cleared.buy_price_eur_per_kwh == pytest.approx(0.56 / 3.0)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((1.0, 0.10, 1), (-1.0, 0.20, 0)),  # the bid is below the ask
        ((1.0, 0.30, 1), (-1.0, 0.10, -1)),  # only one of them names the other
        ((1.0, 0.30, -1), (-1.0, 0.10, 0)),
        ((1.0, 0.30, -1), (-1.0, 0.10, -1)),
        ((1.0, 0.30, 0), (-1.0, 0.10, 1)),  # each names itself
        ((1.0, 0.30, 7), (-1.0, 0.10, 8)),  # nobody has these ranks
    ],
)
def test_others_meet_in_the_pool(one: Any, other: Any) -> None:
    cleared = Bilateral().clear(*book([one, other]))
    assert cleared.fills_kwh == pytest.approx([1.0, -1.0])
    assert cleared.buy_price_eur_per_kwh == pytest.approx(0.18)


@pytest.mark.parametrize(("first", "second"), [(1.0, 2.0), (-1.0, -2.0), (0.0, -2.0), (0.0, 0.0)])
def test_partners_on_one_side_have_nothing_to_trade(first: float, second: float) -> None:
    cleared = Bilateral().clear(*book([(first, 0.30, 1), (second, 0.06, 0)]))
    assert not cleared.fills_kwh.any() and np.isnan(cleared.buy_price_eur_per_kwh)


def test_without_partners_it_is_the_mid_market_rate() -> None:
    random = np.random.default_rng(3)
    rows = [(random.normal(), random.uniform(0.0, 0.4), -1) for _ in range(40)]
    one, other = Bilateral().clear(*book(rows)), MidMarketRate().clear(*book(rows))
    assert np.array_equal(one.fills_kwh, other.fills_kwh)
    assert np.array_equal(one.payment_eur, other.payment_eur)


def test_random_books_trade_as_a_plain_loop_says() -> None:
    random, met = np.random.default_rng(5), 0
    for _ in range(1000):
        count = int(random.integers(2, 7))
        partner = random.integers(-1, count, count)
        orders, context = book(
            [(random.normal(), random.uniform(0.0, 0.4), int(p)) for p in partner]
        )
        fills, paid = np.zeros(count), np.zeros(count)
        for i in range(count):
            for j in range(count):
                q = orders.quantity_kwh
                if i == j or partner[i] != j or partner[j] != i or not q[i] > 0.0 > q[j]:
                    continue
                bid = min(orders.price_eur_per_kwh[i], RETAIL)
                ask = max(orders.price_eur_per_kwh[j], FEED_IN)
                if bid >= ask:
                    energy, met = min(q[i], -q[j]), met + 1
                    fills[i], fills[j] = energy, -energy
                    paid[i], paid[j] = energy * (bid + ask) / 2.0, -energy * (bid + ask) / 2.0
        left = Orders(
            orders.prosumer, orders.quantity_kwh - fills, orders.price_eur_per_kwh, np.zeros(count)
        )
        pooled, cleared = MidMarketRate().clear(left, context), Bilateral().clear(orders, context)
        assert cleared.fills_kwh == pytest.approx(fills + pooled.fills_kwh)
        assert cleared.payment_eur == pytest.approx(paid + pooled.payment_eur)
    assert met > 50


# ---------------------------------------------------------------- in a scenario


def market(*pairs: list[Any]) -> dict[str, Any]:
    return {"kind": "bilateral", "partners": list(pairs)}


def test_partners_of_a_scenario_trade_with_each_other(
    village: Any, diary_of: Callable[[Case], Any]
) -> None:
    case = village.case(market=market(["a", "f"], ["h", "c"]))
    names = case.population.names
    kept, met = diary_of(case), 0
    for interval in kept.intervals:
        orders = interval.trade.orders
        named = {names[i]: names[j] for i, j in enumerate(orders.partner) if j >= 0}
        assert named == {"a": "f", "f": "a", "h": "c", "c": "h"}
        one, other = names.index("a"), names.index("f")
        q = orders.quantity_kwh
        if np.sign(q[one]) == -np.sign(q[other]) != 0.0:
            met += 1
            fills = np.abs(interval.trade.clearing.fills_kwh[[one, other]])
            assert (fills >= min(abs(q[one]), abs(q[other])) - 1e-12).all()
    assert met > 0


@pytest.mark.parametrize(
    ("pairs", "fragments"),
    [
        ([["a", "bb"]], [":1:", "the market names unknown participant 'bb'", "did you mean 'b'?"]),
        ([["a", "zzz"], ["q", "b"]], ["unknown participant 'zzz'", "unknown participant 'q'"]),
        ([["a", "a"]], ["'a' stands twice"]),
        ([["a", "b"], ["b", "c"]], ["'b' stands twice"]),
        ([["a"]], ["market.partners.0 must be at least 2 items long"]),
        ([["a", "b", "c"]], ["market.partners.0 must be at most 2 items long"]),
        (["ab"], [":1:", "market.partners.0", "a list"]),
        ([[1, "b"]], [":1:", "market.partners.0.0 must be text, got 1"]),
    ],
)
def test_wrong_partners_are_refused_at_their_place(
    village: Any, pairs: list[Any], fragments: list[str]
) -> None:
    path = village.write(market=market(*pairs))
    with pytest.raises(InputError) as refused:
        load_case(load_scenario(path))
    for fragment in fragments:
        assert fragment in str(refused.value)
    column = path.read_text().index('"partners"')
    at = str(refused.value).split(f"{path.name}:1:")[1]
    assert int(at.split(":")[0]) > column
