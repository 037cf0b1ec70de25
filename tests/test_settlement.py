"""Settlement: the tariff's bill without trade, no worse with it, and books that always close."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosim.books import CLOSING_TOLERANCE, Books
from cosim.delivery import Metered
from cosim.errors import RunError
from cosim.markets.base import Clearing, Market, MarketContext, Orders
from cosim.markets.none import NoMarket
from cosim.markets.uniform_price import UniformPrice
from cosim.population import Population
from cosim.settlement import Bills, Prices, settle

PopulationOf = Callable[..., Population]
MeteredOf = Callable[..., Metered]


@dataclass(frozen=True)
class Trade:
    """One interval up to its clearing, and the draws that decide what is metered of it."""

    prices: Prices
    clearing: Clearing
    limits: np.ndarray
    noise: np.ndarray
    dead_share: np.ndarray
    losses_kwh: float

    def metered(self, metered_of: MeteredOf) -> Metered:
        """Return meters that deviate: by outages, curtailment and errors of forecast."""
        net = (self.clearing.fills_kwh + self.noise) * (1.0 - self.dead_share)
        return metered_of(net, self.dead_share, self.losses_kwh)


def trade(seed: int, market: Market | None = None, size: int | None = None) -> Trade:
    """Return a random interval: a book, its clearing, and what goes wrong at delivery."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 25)) if size is None else size
    scale = 10.0 ** rng.integers(-3, 4)
    quantity = rng.normal(0.0, scale, n) * (rng.random(n) < 0.8)
    feed_in = rng.uniform(-0.1, 0.15, n)
    retail = feed_in + rng.uniform(0.0, 0.4, n)
    price = feed_in + (retail - feed_in) * rng.random(n)
    orders = Orders(np.arange(n), quantity, price, np.zeros(n))
    auction = UniformPrice(k=float(rng.random())) if market is None else market
    noise = rng.normal(0.0, scale, n) * rng.choice([0.0, 0.01, 1.0])
    dead = np.where(rng.random(n) < rng.choice([0.0, 0.3, 1.0]), rng.choice([1.0, rng.random()]), 0)
    return Trade(
        Prices(retail, feed_in, float(rng.uniform(0.0, 0.8))),
        auction.clear(orders, MarketContext(retail, feed_in)),
        price,
        noise,
        dead,
        float(rng.uniform(0.0, 0.1) * scale),
    )


seeds = st.integers(0, 2**32)


@given(seeds)
def test_energy_and_money_close_whatever_is_metered(
    population_of: PopulationOf, metered_of: MeteredOf, seed: int
) -> None:
    given_trade = trade(seed)
    metered, clearing = given_trade.metered(metered_of), given_trade.clearing
    n = len(clearing.fills_kwh)
    bills = settle(population_of(n), clearing, metered, given_trade.prices)
    books = Books()
    books.close(0, clearing, metered, bills, given_trade.prices)
    assert max(books.energy_error, books.money_error) <= CLOSING_TOLERANCE == 1e-9
    # energy, home by home: what was traded, handed back and had of the supplier is what was used
    scale = 1.0 + np.abs(metered.net_kwh).sum() + np.abs(clearing.fills_kwh).sum()
    rest = bills.supply_kwh + bills.imbalance_kwh
    parts = bills.traded_kwh + bills.closeout_kwh + rest
    assert np.abs(parts - metered.net_kwh).max() <= 1e-12 * scale
    # money, once more from the prices alone
    paid = math.fsum(bills.bill_eur)
    supplier = math.fsum(
        energy * (retail if energy > 0.0 else feed_in)
        for energy, retail, feed_in in zip(
            rest,
            given_trade.prices.retail_eur_per_kwh,
            given_trade.prices.feed_in_eur_per_kwh,
            strict=True,
        )
    )
    back = math.fsum(-clearing.payment_eur * given_trade.dead_share)
    assert paid == pytest.approx(supplier + back, abs=1e-9 * scale)
    assert books.supplier_eur == pytest.approx(supplier + back, abs=1e-9 * scale)
    assert books.operator_eur == pytest.approx(0.0, abs=1e-9 * scale)


@given(seeds)
def test_without_trade_the_bill_is_exactly_that_of_the_tariff(
    population_of: PopulationOf, metered_of: MeteredOf, seed: int
) -> None:
    idle = trade(seed, market=NoMarket())
    metered, prices = idle.metered(metered_of), idle.prices
    bills = settle(population_of(len(metered.net_kwh)), idle.clearing, metered, prices)
    net = metered.load_kwh - metered.pv_kwh + metered.charge_kwh - metered.discharge_kwh
    tariff = net * np.where(net > 0.0, prices.retail_eur_per_kwh, prices.feed_in_eur_per_kwh)
    assert np.array_equal(bills.bill_eur, tariff)
    assert np.array_equal(bills.baseline_eur, tariff)
    assert bills.bill_eur.sum() == tariff.sum()


@given(seeds)
def test_nobody_who_delivers_is_worse_off_than_at_the_tariff(
    population_of: PopulationOf, metered_of: MeteredOf, seed: int
) -> None:
    given_trade = trade(seed)
    metered = metered_of(given_trade.clearing.fills_kwh)
    n = len(metered.net_kwh)
    bills = settle(population_of(n), given_trade.clearing, metered, given_trade.prices)
    slack = 1e-12 * (1.0 + np.abs(bills.baseline_eur))
    assert (bills.bill_eur <= bills.baseline_eur + slack).all()
    assert not bills.supply_eur.any() and not bills.imbalance_eur.any()


@given(seeds)
def test_a_dead_interval_costs_nothing(
    population_of: PopulationOf, metered_of: MeteredOf, seed: int
) -> None:
    dead = replace(trade(seed), dead_share=np.ones(1))
    metered = dead.metered(metered_of)
    bills = settle(population_of(len(metered.net_kwh)), dead.clearing, metered, dead.prices)
    assert not bills.bill_eur.any()
    assert not bills.supply_kwh.any() and not bills.imbalance_kwh.any()


@given(seeds)
def test_shares_of_the_communitys_co2_sum_to_it(
    population_of: PopulationOf, metered_of: MeteredOf, seed: int
) -> None:
    given_trade = trade(seed)
    metered, prices = given_trade.metered(metered_of), given_trade.prices
    n = len(metered.net_kwh)
    bills = settle(population_of(n), given_trade.clearing, metered, prices)
    whole = float(metered.slack_import_kwh) * float(prices.co2_kg_per_kwh)
    assert bills.co2_kg.sum() == pytest.approx(whole, rel=1e-12)
    assert (bills.co2_kg >= 0.0).all()


def co2_of(
    population_of: PopulationOf, metered: Metered, fills_kwh: list[float], intensity: float = 0.5
) -> np.ndarray:
    """Return the shares of CO2 of an interval traded at 0.15."""
    fills, at = np.array(fills_kwh), np.array(0.15)
    clearing = Clearing(fills, fills * 0.15, np.maximum(fills, 0.0).sum(), at, at)
    prices = Prices(np.full(len(fills), 0.3), np.full(len(fills), 0.1), intensity)
    return settle(population_of(len(fills)), clearing, metered, prices).co2_kg


def test_co2_is_carried_by_what_each_draws_from_the_supplier(
    population_of: PopulationOf, metered_of: MeteredOf
) -> None:
    """8 kWh drawn less 2 fed in, and 0.4 lost: 6.4 kWh from upstream at 0.5 kg/kWh."""
    metered = metered_of(np.array([6.0, 2.0, -2.0, 0.0]), losses_kwh=0.4)
    shares = co2_of(population_of, metered, [0.0] * 4)
    assert shares == pytest.approx([2.4, 0.8, 0.0, 0.0], rel=1e-14)
    assert co2_of(population_of, metered, [0.0] * 4, 0.25) == pytest.approx(shares / 2)


def test_co2_leaves_out_what_was_bought_of_neighbours_and_counts_what_was_not_delivered(
    population_of: PopulationOf, metered_of: MeteredOf
) -> None:
    """Drawn are 6 - 4, 3 - 0 and -2 + 4: the first bought 4, the third sold 4 and had but 2."""
    metered = metered_of(np.array([6.0, 3.0, -2.0]))
    shares = co2_of(population_of, metered, [4.0, 0.0, -4.0])
    assert shares == pytest.approx(0.5 * np.array([2.0, 3.0, 2.0]), rel=1e-14)


def test_co2_leaves_out_what_was_handed_back_in_an_outage(
    population_of: PopulationOf, metered_of: MeteredOf
) -> None:
    """A buyer of 4, dead half of the time, draws 3: 2 were delivered, 1 is the supplier's."""
    metered = metered_of(np.array([3.0, 3.0, -4.0]), np.array([0.5, 0.0, 0.0]))
    shares = co2_of(population_of, metered, [4.0, 0.0, -4.0])
    assert shares == pytest.approx(0.5 * 2.0 * np.array([0.25, 0.75, 0.0]), rel=1e-14)


def test_co2_of_losses_alone_is_carried_by_all_alike(
    population_of: PopulationOf, metered_of: MeteredOf
) -> None:
    metered = metered_of(np.array([2.0, -2.0]), losses_kwh=0.4)
    assert co2_of(population_of, metered, [2.0, -2.0]) == pytest.approx([0.1, 0.1], rel=1e-14)


def test_without_import_from_upstream_there_is_no_co2(
    population_of: PopulationOf, metered_of: MeteredOf
) -> None:
    metered = metered_of(np.array([2.0, -5.0]))
    assert co2_of(population_of, metered, [0.0, 0.0]).tolist() == [0.0, 0.0]


def test_a_bill_worked_by_hand(population_of: PopulationOf, metered_of: MeteredOf) -> None:
    """A buyer of 4 kWh at 0.15 who is dead a quarter of the time and meters 3.5 kWh."""
    at, share = np.array(0.15), np.array([0.25, 0.0])
    fills = np.array([4.0, -4.0])
    clearing = Clearing(fills, fills * 0.15, np.array(4.0), at, at)
    prices = Prices(np.array([0.3, 0.3]), np.array([0.1, 0.1]), 0.5)
    metered = metered_of(np.array([3.5, -5.0]), share)
    bills = settle(population_of(2), clearing, metered, prices)
    assert bills.closeout_kwh == pytest.approx([-1.0, 0.0])
    assert bills.supply_kwh == pytest.approx([0.5, -1.0])
    assert not bills.imbalance_kwh.any()
    assert bills.trade_eur == pytest.approx([0.60, -0.60])
    assert bills.closeout_eur == pytest.approx([-0.15, 0.0])
    assert bills.supply_eur == pytest.approx([0.15, -0.10])
    assert bills.bill_eur == pytest.approx([0.60, -0.70])
    assert bills.baseline_eur == pytest.approx([1.05, -0.50])
    Books().close(0, clearing, metered, bills, prices)


def test_leading_axes_equal_single_intervals_bit_for_bit(
    population_of: PopulationOf, metered_of: MeteredOf
) -> None:
    lanes = [trade(seed, size=9) for seed in range(6)]
    meters = [lane.metered(metered_of) for lane in lanes]

    def stacked(kind: type, values: list) -> object:
        names = [field.name for field in fields(kind)]
        return kind(*(np.stack([getattr(v, name) for v in values]) for name in names))

    prices = Prices(
        np.stack([lane.prices.retail_eur_per_kwh for lane in lanes]),
        np.stack([lane.prices.feed_in_eur_per_kwh for lane in lanes]),
        np.array([lane.prices.co2_kg_per_kwh for lane in lanes]),
    )
    homes = population_of(9, wear_eur_per_kwh=0.02)
    whole = settle(
        homes, stacked(Clearing, [t.clearing for t in lanes]), stacked(Metered, meters), prices
    )
    for i, (lane, metered) in enumerate(zip(lanes, meters, strict=True)):
        single = settle(homes, lane.clearing, metered, lane.prices)
        for name, value in vars(single).items():
            np.testing.assert_allclose(getattr(whole, name)[i], value, rtol=1e-14, err_msg=name)


# ---------------------------------------------------------------- books that were cooked

LINES = ("trade_eur", "closeout_eur", "imbalance_eur", "closeout_kwh", "imbalance_kwh")


def an_interval(
    population_of: PopulationOf, metered_of: MeteredOf
) -> tuple[Clearing, Metered, Bills, Prices]:
    """Return an interval in which everybody trades, is dead for a while and deviates."""
    base = next(t for t in map(trade, range(1000)) if (t.clearing.fills_kwh != 0.0).sum() > 5)
    some = replace(base, dead_share=np.full(len(base.limits), 0.25))
    metered = some.metered(metered_of)
    bills = settle(population_of(len(base.limits)), some.clearing, metered, some.prices)
    return some.clearing, metered, bills, some.prices


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("change", [1e-6, -1e-6, 1.0])
def test_the_books_refuse_every_line_that_was_changed(
    population_of: PopulationOf, metered_of: MeteredOf, line: str, change: float
) -> None:
    clearing, metered, bills, prices = an_interval(population_of, metered_of)
    Books().close(0, clearing, metered, bills, prices)
    scale = max(1.0, np.abs(bills.bill_eur).sum(), np.abs(metered.net_kwh).sum())
    for row in np.flatnonzero(clearing.fills_kwh):
        cooked = getattr(bills, line).copy()
        cooked[row] += change * scale * (10.0 if line.endswith("kwh") else 1.0)
        with pytest.raises(RunError, match="interval 7: the books do not close"):
            Books().close(7, clearing, metered, replace(bills, **{line: cooked}), prices)


@pytest.mark.parametrize(
    "name", ["load_kwh", "pv_kwh", "charge_kwh", "discharge_kwh", "slack_import_kwh", "losses_kwh"]
)
def test_the_books_refuse_a_meter_that_was_changed(
    population_of: PopulationOf, metered_of: MeteredOf, name: str
) -> None:
    clearing, metered, bills, prices = an_interval(population_of, metered_of)
    value = getattr(metered, name) + 1e-6 * max(1.0, np.abs(metered.net_kwh).sum())
    with pytest.raises(RunError, match="feeder energy"):
        Books().close(0, clearing, replace(metered, **{name: value}), bills, prices)


@pytest.mark.parametrize("line", ["trade_eur", "closeout_eur", "imbalance_eur"])
def test_the_books_refuse_money_moved_from_one_prosumer_to_another(
    population_of: PopulationOf, metered_of: MeteredOf, line: str
) -> None:
    clearing, metered, bills, prices = an_interval(population_of, metered_of)
    moved = getattr(bills, line).copy()
    moved[0] += 1e-3
    moved[1] -= 1e-3
    with pytest.raises(RunError, match="money"):
        Books().close(0, clearing, metered, replace(bills, **{line: moved}), prices)


@pytest.mark.parametrize("line", ["traded_kwh", "closeout_kwh", "imbalance_kwh"])
def test_the_books_refuse_energy_moved_from_one_prosumer_to_another(
    population_of: PopulationOf, metered_of: MeteredOf, line: str
) -> None:
    clearing, metered, bills, prices = an_interval(population_of, metered_of)
    moved = getattr(bills, line).copy()
    moved[0] += 1e-3
    moved[1] -= 1e-3
    with pytest.raises(RunError, match="do not close"):
        Books().close(0, clearing, metered, replace(bills, **{line: moved}), prices)


def test_the_books_refuse_a_market_that_makes_energy(
    population_of: PopulationOf, metered_of: MeteredOf
) -> None:
    clearing, metered, bills, prices = an_interval(population_of, metered_of)
    made = clearing.fills_kwh + 1e-6 * np.abs(metered.net_kwh).sum()
    with pytest.raises(RunError, match="trades"):
        Books().close(0, replace(clearing, fills_kwh=made), metered, bills, prices)


def test_an_unsolved_interval_is_counted_not_checked(
    population_of: PopulationOf, metered_of: MeteredOf
) -> None:
    clearing, metered, bills, prices = an_interval(population_of, metered_of)
    books = Books()
    unsolved = replace(metered, losses_kwh=np.array(np.nan))
    books.close(0, clearing, unsolved, bills, prices)
    assert books.unsolved_intervals == 1
    assert books.energy_error <= CLOSING_TOLERANCE
