"""Imbalance, charges, losses and curtailment, and bills rebuilt from the ledger alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cosim.books import CLOSING_TOLERANCE, Books
from cosim.case import Case
from cosim.delivery import deliver, pv_most_kw
from cosim.errors import RunError
from cosim.losses import loss_shares_kw
from cosim.markets.base import Clearing
from cosim.months import Months
from cosim.record import RunRecorder, new_run_folder
from cosim.results import load_run
from cosim.settlement import ACCOUNTS, LINES, Charges, Prices, settle
from cosim.simulation import Simulation
from cosim.timegrid import TimeGrid

MARKETS = (
    "none", "uniform_price", "pay_as_bid", "order_book", "liquidity_pool", "mid_market_rate",
    "supply_demand_ratio", "bill_sharing", "bilateral",
)  # fmt: skip


def traded_at(price: float, *fills: float) -> Clearing:
    """Return a clearing of fills at one price."""
    energy, at = np.array(fills), np.array(price)
    return Clearing(energy, energy * price, np.array(np.maximum(energy, 0.0).sum()), at, at.copy())


def prices_of(n: int, **more: Any) -> Prices:
    return Prices(np.full(n, 0.30), np.full(n, 0.10), 0.0, **more)


def charges_of(n: int, demand: float = 0.0, local: float = 1.0) -> Charges:
    return Charges(
        np.full(n, 0.08), np.full(n, 0.04), np.full(n, local), np.full(n, 1.0),
        np.full(n, demand), 0.5,
    )  # fmt: skip


# ---------------------------------------------------------------- imbalance


def test_what_the_meter_does_not_back_is_imbalance_and_the_rest_is_supply(
    population_of: Any, metered_of: Any
) -> None:
    """Sellers of 2 who fed 3, 1 and -1 (drew); buyers of 2 who drew 3, 1 and -1 (fed)."""
    clearing = traded_at(0.2, -2.0, -2.0, -2.0, 2.0, 2.0, 2.0)
    metered = metered_of([-3.0, -1.0, 1.0, 3.0, 1.0, -1.0])
    prices = prices_of(6, short_eur_per_kwh=np.full(6, 0.5), long_eur_per_kwh=np.full(6, 0.02))
    bills = settle(population_of(6), clearing, metered, prices)
    assert bills.imbalance_kwh == pytest.approx([0.0, 1.0, 2.0, 0.0, -1.0, -2.0])
    assert bills.supply_kwh == pytest.approx([-1.0, 0.0, 1.0, 1.0, 0.0, -1.0])
    assert bills.imbalance_eur == pytest.approx([0.0, 0.5, 1.0, 0.0, -0.02, -0.04])
    assert bills.supply_eur == pytest.approx([-0.1, 0.0, 0.3, 0.3, 0.0, -0.1])
    Books().close(0, clearing, metered, bills, prices)


@given(st.integers(0, 2**32))
def test_who_does_not_trade_pays_the_tariff_whatever_imbalance_costs(
    population_of: Any, metered_of: Any, seed: int
) -> None:
    random = np.random.default_rng(seed)
    net = random.normal(size=7)
    metered, nothing = metered_of(net), traded_at(0.2, *np.zeros(7))
    dear = prices_of(7, short_eur_per_kwh=random.normal(size=7), long_eur_per_kwh=np.full(7, -9.0))
    bills = settle(population_of(7), nothing, metered, dear)
    plain = settle(population_of(7), nothing, metered, prices_of(7))
    assert np.array_equal(bills.bill_eur, plain.bill_eur)
    assert np.array_equal(bills.bill_eur, net * np.where(net > 0.0, 0.30, 0.10))


@given(st.integers(0, 2**32))
def test_wash_trades_never_pay_between_the_imbalance_prices(
    population_of: Any, metered_of: Any, seed: int
) -> None:
    """Two trade more with each other than meters back: their joint bill never falls."""
    random = np.random.default_rng(seed)
    long, price, short = np.sort(random.uniform(-0.1, 0.5, 3))
    feed_in, retail = sorted((max(long, price - 0.2), min(short, price + 0.2)))
    prices = Prices(
        np.full(2, retail), np.full(2, feed_in), 0.0, np.full(2, short), np.full(2, long)
    )
    net = random.normal(size=2)
    backed, wash = max(net[0], -net[1], 0.0), abs(random.normal())
    metered, people = metered_of(net), population_of(2)

    def joint(extra: float) -> float:
        clearing = traded_at(price, backed + extra, -backed - extra)
        return float(settle(people, clearing, metered, prices).bill_eur.sum())

    assert joint(wash) - joint(0.0) == pytest.approx(wash * (short - long), abs=1e-12)


def test_outside_them_wash_trades_pay_and_the_run_says_what_they_gained(village: Any) -> None:
    """Short at 0.05: whoever sells what they do not have buys it back for less."""
    quiet = village.case(market="uniform_price", forecast="persistence")
    cheap = village.case(
        market="uniform_price", forecast="persistence",
        imbalance={"short_eur_per_kwh": 0.05, "long_eur_per_kwh": 0.01},
    )  # fmt: skip
    gains = []
    for case in (quiet, cheap):
        kept = _Memory(case)
        Simulation(case, kept.recorder).run()
        gains.append(kept.kpis()["imbalance_gain_eur"])
    assert gains[0] < 0.0 < gains[1] - gains[0]


class _Memory:
    """A run in memory and its key figures."""

    def __init__(self, case: Case) -> None:
        from cosim.record import MemoryRecorder

        self.recorder = MemoryRecorder(case)

    def kpis(self) -> dict[str, float]:
        """Return the key figures."""
        return self.recorder.finish(Books(), {}).kpis


# ---------------------------------------------------------------- charges


def test_charges_by_hand(population_of: Any, metered_of: Any) -> None:
    """A buyer of 1 drew 3 in half an hour; local energy owes a quarter of the network charge."""
    clearing, metered = traded_at(0.2, 1.0, -1.0), metered_of([3.0, -1.0])
    prices = prices_of(2, charges=charges_of(2, demand=5.0, local=0.25))
    peak = np.array([4.0, 4.0])
    bills = settle(population_of(2), clearing, metered, prices, peak)
    assert bills.network_eur == pytest.approx([(2.0 + 0.25) * 0.08, 0.0])
    assert bills.taxes_eur == pytest.approx([3.0 * 0.04, 0.0])
    assert bills.demand_eur == pytest.approx([(6.0 - 4.0) * 5.0, 0.0])
    assert bills.peak_kw == pytest.approx([6.0, 4.0])
    assert bills.bill_eur[0] == pytest.approx(0.2 + 2.0 * 0.3 + 2.25 * 0.08 + 0.12 + 10.0)
    assert bills.baseline_eur[0] == pytest.approx(3.0 * (0.3 + 0.08 + 0.04) + 10.0)
    assert prices.worth_eur_per_kwh == pytest.approx(0.30 + 0.75 * 0.08)
    assert prices.drawn_eur_per_kwh == pytest.approx(0.42)
    books = Books()
    books.close(0, clearing, metered, bills, prices, peak)
    assert (books.network_eur, books.state_eur) == pytest.approx((0.18 + 10.0, 0.12))


def test_local_shares_count_only_what_was_drawn(population_of: Any, metered_of: Any) -> None:
    """Buying 5 and drawing 2 spares the charge of 2, not of 5."""
    clearing, metered = traded_at(0.2, 5.0, -5.0), metered_of([2.0, -5.0])
    bills = settle(
        population_of(2), clearing, metered, prices_of(2, charges=charges_of(2, local=0.0))
    )
    assert bills.network_eur == pytest.approx([0.0, 0.0])
    assert bills.taxes_eur == pytest.approx([0.08, 0.0])


@pytest.mark.parametrize("line", list(LINES))
def test_the_books_refuse_every_line_that_was_changed(
    line: str, population_of: Any, metered_of: Any
) -> None:
    clearing = traded_at(0.2, -2.0, 2.0, 1.0, -1.0)
    metered = replace(
        metered_of([-1.0, 3.0, -0.5, 2.0], losses_kwh=0.1),
        curtailed_kwh=np.array([0.5, 0.0, 0.2, 0.1]),
        loss_share_kwh=np.array([0.02, 0.03, 0.03, 0.02]),
        dead_share=np.array([0.0, 0.2, 0.0, 0.1]),
    )
    prices = prices_of(
        4, short_eur_per_kwh=np.full(4, 0.4), long_eur_per_kwh=np.full(4, 0.05),
        charges=charges_of(4, demand=2.0, local=0.5), compensation_eur_per_kwh=np.full(4, 0.1),
    )  # fmt: skip
    bills = settle(population_of(4), clearing, metered, prices)
    books = Books()
    books.close(0, clearing, metered, bills, prices)
    assert max(books.energy_error, books.money_error) <= 1e-12
    assert all(getattr(bills, f"{name}_eur").any() for name in LINES)
    moved = getattr(bills, f"{line}_eur").copy()
    moved[0] += 1e-6
    moved[1] -= 1e-6
    with pytest.raises(RunError, match="money"):
        Books().close(0, clearing, metered, replace(bills, **{f"{line}_eur": moved}), prices)


def grid_over(start: str, days: int, zone: str = "Europe/Berlin") -> TimeGrid:
    civil = ZoneInfo(zone)
    begin = datetime.fromisoformat(start).replace(tzinfo=civil)
    return TimeGrid(begin, 1800, days * 48, 60, civil)


def test_months_are_charged_for_what_was_run_of_them() -> None:
    grid = grid_over("2016-01-30 00:00", 4)
    months = Months(grid, 0, grid.intervals)
    assert [k for k in range(192) if months.begins(k)] == [0, 96]
    assert months.share(0) == pytest.approx(2 / 31) and months.share(191) == pytest.approx(2 / 29)
    lanes = Months(grid, np.array([0, 48]), 96)
    assert lanes.share(0)[:, 0] == pytest.approx([2 / 31, 1 / 31])
    assert lanes.begins(48)[:, 0].tolist() == [False, True]


def test_a_month_comes_to_its_highest_power_times_the_rate(village: Any, diary_of: Any) -> None:
    """What falls due, from the meters of the run alone: 8 hours of April, 16 of May."""
    case = village.case(tariff={"retail_eur_per_kwh": 0.3, "demand_eur_per_kw_month": 6.2})
    begin = datetime(2016, 4, 30, 16, tzinfo=case.grid.zone)
    kept = diary_of(replace(case, grid=replace(case.grid, start=begin)))
    drawn = np.stack([np.maximum(i.metered.net_kwh, 0.0) for i in kept.intervals]) / 0.5
    due = np.stack([i.bills.demand_eur for i in kept.intervals])
    assert drawn[:16].any() and drawn[16:].any()
    assert due[:16].sum(0) == pytest.approx(drawn[:16].max(0) * 6.2 * 8 / 24 / 30)
    assert due[16:].sum(0) == pytest.approx(drawn[16:].max(0) * 6.2 * 16 / 24 / 31)
    assert (due > 0.0).sum() < due.size / 4


def test_charges_cannot_be_spared_by_trades_on_paper(population_of: Any, metered_of: Any) -> None:
    """One draws 2 and buys 1 of another who feeds nothing in: the seller owes what was spared."""
    clearing, metered = traded_at(0.15, 1.0, -1.0), metered_of([2.0, 0.0])
    prices = prices_of(2, charges=charges_of(2, local=0.4))
    bills, idle = (
        settle(population_of(2), each, metered, prices)
        for each in (clearing, traded_at(0.15, 0, 0))
    )
    assert bills.network_eur == pytest.approx([1.4 * 0.08, 0.6 * 0.08])
    assert bills.bill_eur.sum() == pytest.approx(idle.bill_eur.sum(), abs=1e-15)
    Books().close(0, clearing, metered, bills, prices)


@given(st.integers(0, 2**32))
def test_trades_on_paper_never_pay_where_short_is_dear_and_long_is_cheap(
    population_of: Any, metered_of: Any, seed: int
) -> None:
    """Energy that two have not is traded between them, on top of what they could: no gain."""
    random = np.random.default_rng(seed)
    feed_in, retail = np.sort(random.uniform(-0.1, 0.5, 2))
    share = random.random(2)
    charges = Charges(
        np.full(2, random.random()), np.full(2, random.random()), np.full(2, share[0]),
        np.full(2, share[1]), np.zeros(2), 0.5,
    )  # fmt: skip
    prices = Prices(
        np.full(2, retail), np.full(2, feed_in), 0.0, np.full(2, retail + random.random()),
        np.full(2, feed_in - random.random()), charges,
    )  # fmt: skip
    net, price = random.normal(size=2), random.uniform(feed_in, retail)
    real = max(min(net[0], -net[1]), 0.0)
    metered, people = metered_of(net), population_of(2)

    def joint(fill: float) -> float:
        return float(settle(people, traded_at(price, fill, -fill), metered, prices).bill_eur.sum())

    assert joint(real + random.exponential()) >= joint(real) - 1e-12
    assert joint(-random.exponential()) >= joint(0.0) - 1e-12 or min(-net[0], net[1]) > 0.0


def test_what_spares_taxes_and_charges_is_what_a_neighbour_is_worth() -> None:
    charges = Charges(*(np.array([x]) for x in (0.08, 0.05, 0.25, 0.4, 0.0)), 0.5)
    assert charges.spared_eur_per_kwh == pytest.approx([0.75 * 0.08 + 0.6 * 0.05])


def test_a_whole_month_is_charged_whole_whatever_its_clocks_do() -> None:
    for start, days in (("2016-03-01", 31), ("2016-10-01", 31), ("2016-02-01", 29)):
        grid = grid_over(f"{start} 00:00", days)
        hours = 1 if start == "2016-10-01" else -1 if start == "2016-03-01" else 0
        whole = replace(grid, intervals=days * 48 + 2 * hours)
        months = Months(whole, 0, whole.intervals)
        assert months.share(0) == pytest.approx(1.0, abs=1e-12)
        assert months.share(whole.intervals - 1) == pytest.approx(1.0, abs=1e-12)


def test_shared_losses_belong_to_the_baseline_too(population_of: Any, metered_of: Any) -> None:
    metered = replace(
        metered_of([2.0, -1.0], losses_kwh=0.1), loss_share_kwh=np.array([0.07, 0.03])
    )
    bills = settle(population_of(2), traded_at(0.2, 0.0, 0.0), metered, prices_of(2))
    assert bills.baseline_eur == pytest.approx([2.07 * 0.3, -0.1 + 0.03 * 0.3])
    assert bills.bill_eur == pytest.approx(bills.baseline_eur)
    twice = replace(metered, loss_share_kwh=2.0 * metered.loss_share_kwh)
    wrong = settle(population_of(2), traded_at(0.2, 0.0, 0.0), twice, prices_of(2))
    with pytest.raises(RunError, match="feeder energy"):
        Books().close(0, traded_at(0.2, 0.0, 0.0), twice, wrong, prices_of(2))


def test_an_outage_takes_nothing_of_what_is_cleared_on_the_meter(
    village: Any, diary_of: Any
) -> None:
    outage = {"kind": "supply_outage", "start": "2016-07-18 11:40", "end": "2016-07-18 11:55"}
    kept = diary_of(village.case(market="bill_sharing", disturbances=[outage]))
    hit = kept.intervals[23]
    assert (hit.metered.dead_share > 0.4).all() and hit.bills.traded_kwh.any()
    assert not hit.bills.closeout_kwh.any() and not hit.bills.closeout_eur.any()


# ---------------------------------------------------------------- losses


def loaded(case: Case) -> Any:
    """Return the feeder and what flows at noon."""
    feeder, k = case.feeder.twin(), 25
    profiles, hours = case.profiles, case.grid.interval_h
    return feeder, deliver(
        case.population, feeder, case.population.initial_kwh,
        np.zeros(len(case.population)), profiles.load_kw[k], profiles.load_kvar[k],
        profiles.pv_kw[k], hours,
    )  # fmt: skip


def test_losses_are_shared_by_the_stated_rule(village: Any) -> None:
    case = village.case()
    feeder, delivery = loaded(case)
    losses = float(delivery.grid.losses_kw)
    assert losses > 0.0
    assert loss_shares_kw("supplier", case.population, feeder, delivery) is None
    equal = loss_shares_kw("equal", case.population, feeder, delivery)
    assert equal == pytest.approx(np.full(len(case.population), losses / len(case.population)))
    marginal = loss_shares_kw("marginal", case.population, feeder, delivery)
    assert marginal is not None and marginal.sum() == pytest.approx(losses, rel=1e-12)
    assert marginal.std() > 0.01 * losses / len(case.population)


def test_marginal_shares_are_the_slopes_of_the_losses(village: Any) -> None:
    """Against pandapower: half the change of the losses as one home's injection is scaled."""
    case = village.case()
    drawn = case.profiles.load_kw * 2.0  # mostly reactive, so that its sign counts
    case = replace(case, profiles=replace(case.profiles, load_kvar=drawn))
    feeder, delivery = loaded(case)
    marginal = loss_shares_kw("marginal", case.population, feeder, delivery)
    from cosim.feeder.feeder import Feeder

    reference = Feeder(case.network, engine="pandapower")
    slopes = []
    for i, bus in enumerate(case.population.bus):
        losses = []
        for step in (0.02, -0.02):
            p, q = delivery.p_kw.copy(), delivery.q_kvar.copy()
            p[bus] -= step * delivery.flow.net_kw[i]
            q[bus] -= step * delivery.flow.load_kvar[i]
            losses.append(float(reference.solve(p, q).losses_kw))
        slopes.append(0.5 * (losses[0] - losses[1]) / 0.04)
    rest = float(delivery.grid.losses_kw) - sum(slopes)
    idle = float(feeder.solve(0.0 * delivery.p_kw, 0.0 * delivery.q_kvar).losses_kw)
    assert rest == pytest.approx(idle, rel=0.05)  # the transformer's, at no load
    assert marginal == pytest.approx(np.array(slopes) + rest / len(slopes), abs=1e-4)


@pytest.mark.parametrize("rule", ["equal", "marginal"])
def test_a_run_bills_all_its_losses_and_the_dead_carry_none(
    village: Any, diary_of: Any, rule: str
) -> None:
    outage = {"kind": "line_outage", "line": "line3", "start": "2016-07-18 10:10:10"}
    kept = diary_of(village.case(losses=rule, disturbances=[outage | {"end": "2016-07-18 12:00"}]))
    for interval in kept.intervals:
        share, whole = interval.bills.losses_kwh, float(interval.metered.losses_kwh)
        assert share.sum() == pytest.approx(whole, rel=1e-9)
        dead = interval.metered.dead_share == 1.0
        assert not share[dead].any()
        retail = interval.trade.asked.prices.retail_eur_per_kwh
        assert interval.bills.losses_eur == pytest.approx(share * retail)
    assert any((i.metered.dead_share == 1.0).any() for i in kept.intervals)


# ---------------------------------------------------------------- curtailment


def test_curtailed_energy_is_handed_back_and_paid_for(population_of: Any, metered_of: Any) -> None:
    """Sold 2, fed in 0.5, 1.2 were curtailed: that is handed back, the missing 0.3 is imbalance."""
    clearing = traded_at(0.2, -2.0, 2.0)
    metered = replace(metered_of([-0.5, 2.0]), curtailed_kwh=np.array([1.2, 0.0]))
    prices = prices_of(
        2, short_eur_per_kwh=np.full(2, 0.5), compensation_eur_per_kwh=np.full(2, 0.1)
    )
    bills = settle(population_of(2), clearing, metered, prices)
    assert bills.closeout_kwh == pytest.approx([1.2, 0.0])
    assert bills.closeout_eur == pytest.approx([0.24, 0.0])
    assert bills.imbalance_kwh == pytest.approx([0.3, 0.0])
    assert bills.compensation_eur == pytest.approx([-0.12, 0.0])
    assert bills.bill_eur[0] == pytest.approx(-0.4 + 0.24 + 0.15 - 0.12)
    Books().close(0, clearing, metered, bills, prices)


def test_pv_feeds_no_more_than_its_limit_to_the_second(village: Any, diary_of: Any) -> None:
    """10 minutes at most a fifth of the installed power; the lowest limit counts."""
    window = {"kind": "curtailment", "start": "2016-07-18 12:05:00"}
    case = village.case(disturbances=[
        window | {"end": "2016-07-18 12:15:00", "pv_share": 0.2},
        window | {"end": "2016-07-18 12:10:00", "pv_share": 0.3},
    ])  # fmt: skip
    plain, kept = diary_of(village.case()), diary_of(case)
    at = 24
    assert plain.intervals[at].metered.pv_kwh.any()
    full, most = case.profiles.pv_kw[at], 0.2 * case.population.pv_kwp
    held_back = np.maximum(full - most, 0.0) * 10 / 60
    assert held_back.any()
    metered = kept.intervals[at].metered
    assert metered.curtailed_kwh == pytest.approx(held_back, rel=1e-12)
    assert metered.pv_kwh + metered.curtailed_kwh == pytest.approx(full * 0.5, rel=1e-12)
    for k, other in enumerate(kept.intervals):
        if k != at:
            assert not other.metered.curtailed_kwh.any()


def test_nothing_is_curtailed_where_there_is_no_supply(village: Any, diary_of: Any) -> None:
    window = {"start": "2016-07-18 12:00", "end": "2016-07-18 12:30"}
    kept = diary_of(village.case(
        disturbances=[
            {"kind": "curtailment", "pv_share": 0.1, **window}, {"kind": "supply_outage", **window},
        ],
        curtailment_compensation=1.0,
    ))  # fmt: skip
    assert not kept.intervals[24].metered.curtailed_kwh.any()
    assert kept.intervals[24].metered.dead_share == pytest.approx(np.ones(10))


def test_compensation_is_a_share_of_the_feed_in_price_and_never_a_charge(
    village: Any, diary_of: Any
) -> None:
    window = {"start": "2016-07-18 12:00", "end": "2016-07-18 12:30"}
    for feed_in, paid in ((0.08, 0.5 * 0.08), (-0.02, 0.0)):
        kept = diary_of(village.case(
            disturbances=[{"kind": "curtailment", "pv_share": 0.1, **window}],
            curtailment_compensation=0.5,
            tariff={"retail_eur_per_kwh": 0.3, "feed_in_eur_per_kwh": feed_in},
        ))  # fmt: skip
        bills = kept.intervals[24].bills
        assert bills.curtailed_kwh.any()
        assert bills.compensation_eur == pytest.approx(-paid * bills.curtailed_kwh, abs=1e-15)


def test_no_limit_is_no_limit(population_of: Any) -> None:
    people = population_of(3, pv_kwp=np.array([0.0, 2.0, 4.0]))
    assert pv_most_kw(people, np.full(3, np.inf)) is None
    most = pv_most_kw(people, np.array([0.0, np.inf, 0.5]))
    assert most is not None and most.tolist() == [0.0, np.inf, 2.0]


# ---------------------------------------------------------------- whole runs

scenarios = st.fixed_dictionaries({
    "market": st.sampled_from([
        *MARKETS, {"kind": "order_book", "rounds": 3},
        {"kind": "uniform_price", "trade_reduction": "mcafee"},
        {"kind": "liquidity_pool", "spread_eur_per_kwh": 0.02},
    ]),
    "trade_limit": st.sampled_from(["physical", "none"]),
    "losses": st.sampled_from(["supplier", "equal", "marginal"]),
    "forecast": st.sampled_from(["perfect_interval", "persistence", "noisy"]),
    "curtailment_compensation": st.sampled_from([0.0, 0.5, 1.0]),
    "seed": st.integers(0, 1000),
    "imbalance": st.sampled_from([
        {}, {"markup_eur_per_kwh": 0.07},
        {"short_eur_per_kwh": 0.6, "long_eur_per_kwh": -0.05},
    ]),
    "tariff": st.sampled_from([
        {"retail_eur_per_kwh": 0.2},
        {"retail_eur_per_kwh": 0.2, "network_eur_per_kwh": 0.08, "taxes_eur_per_kwh": 0.03,
         "network_local_share": 0.3, "taxes_local_share": 0.5, "demand_eur_per_kw_month": 4.0},
    ]),
    "disturbances": st.lists(st.sampled_from([
        {"kind": "curtailment", "pv_share": 0.1, "start": "2016-07-18 10:00",
         "end": "2016-07-18 13:20:07"},
        {"kind": "supply_outage", "start": "2016-07-18 11:11:11", "end": "2016-07-18 11:47"},
        {"kind": "line_outage", "line": "line3", "start": "2016-07-18 08:11",
         "end": "2016-07-18 19:00:01"},
        {"kind": "pv_collapse", "pv_factor": 0.2, "start": "2016-07-18 12:05",
         "end": "2016-07-18 14:00"},
        {"kind": "message_loss", "probability": 0.3, "start": "2016-07-18 06:00",
         "end": "2016-07-18 20:00"},
    ]), max_size=3, unique_by=lambda each: each["kind"]),
})  # fmt: skip


def rebuilt(ledger: pd.DataFrame) -> pd.Series:
    """Return each prosumer's bill from debits and credits alone."""
    accounts = set(ACCOUNTS)
    paid = ledger[~ledger["debit"].isin(accounts)].groupby("debit", observed=True)["amount_eur"]
    got = ledger[~ledger["credit"].isin(accounts)].groupby("credit", observed=True)["amount_eur"]
    return paid.sum().astype(float).sub(got.sum().astype(float), fill_value=0.0)


def _accounts_hold_what_the_books_say(ledger: pd.DataFrame, books: Books) -> None:
    """The pool is left with nothing, its operator with what it kept."""
    got = ledger.groupby("credit")["amount_eur"].sum()
    balance = got.sub(ledger.groupby("debit")["amount_eur"].sum(), fill_value=0.0)
    told = {
        "market": 0.0, "operator": books.operator_eur, "supplier": books.supplier_eur,
        "network": books.network_eur, "state": books.state_eur,
    }  # fmt: skip
    assert set(told) == set(ACCOUNTS)
    for account, amount in told.items():
        scale = max(1.0, float(got.get(account, 0.0)))
        assert float(balance.get(account, 0.0)) == pytest.approx(amount, abs=1e-9 * scale), account


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(changes=scenarios)
def test_every_bill_is_rebuilt_from_the_ledger(
    changes: dict[str, Any], village: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    case = village.case(
        policies={"rule": "random", "passive": "random", "random": "random"},
        record=["prosumers", "ledger"],
        **changes,
    )
    folder = new_run_folder(tmp_path_factory.mktemp("money"), case.scenario.name)
    recorder = RunRecorder(case, folder)
    books = Simulation(case, recorder).run()
    summary = recorder.finish(books, {})
    assert max(books.energy_error, books.money_error) <= CLOSING_TOLERANCE
    run = load_run(folder)
    ledger, each = run.table("ledger"), run.table("prosumers")
    ledger["debit"], ledger["credit"] = ledger["debit"].astype(str), ledger["credit"].astype(str)
    bills = each.groupby(each["prosumer"].astype(str))["bill_eur"].sum()
    again = rebuilt(ledger).reindex(bills.index).fillna(0.0)
    assert np.abs(again - bills).max() <= 1e-9 * max(1.0, bills.abs().max())
    total = float(again.sum())
    assert total == pytest.approx(summary.kpis["bill_eur"], abs=1e-9 * max(1.0, abs(total)))
    received = books.supplier_eur + books.operator_eur + books.network_eur + books.state_eur
    assert total == pytest.approx(received, abs=1e-9 * max(1.0, abs(received)))
    _accounts_hold_what_the_books_say(ledger, books)
    columns = {"trade": "traded_kwh", "demand": "", "compensation": "curtailed_kwh"}
    for line in LINES:
        quantity, posted = columns.get(line, f"{line}_kwh"), ledger[ledger["line"] == line]
        if quantity:
            whole = float(each[quantity].abs().sum())
            gap = float(posted["energy_kwh"].sum()) - float(each[quantity].sum())
            assert abs(gap) <= 1e-9 * max(1.0, whole), line
        owed = np.where(posted["debit"] == posted["prosumer"].astype(str), 1.0, -1.0)
        gap = float((owed * posted["amount_eur"]).sum()) - float(each[f"{line}_eur"].sum())
        assert abs(gap) <= 1e-9 * max(1.0, float(each[f"{line}_eur"].abs().sum())), line
    # double entry: all accounts together come to nothing, and energy is the meter's
    accounts = (
        ledger.groupby("debit")["amount_eur"]
        .sum()
        .sub(ledger.groupby("credit")["amount_eur"].sum(), fill_value=0.0)
    )
    assert abs(accounts.sum()) <= 1e-9 * max(1.0, ledger["amount_eur"].sum())
    own = ledger[ledger["line"].isin(["trade", "closeout", "supply", "imbalance"])]
    energy = own.groupby(own["prosumer"].astype(str))["energy_kwh"].sum()
    meter = each.groupby(each["prosumer"].astype(str))["net_kwh"].sum()
    gap = meter.sub(energy, fill_value=0.0)
    assert np.abs(gap).max() <= 1e-9 * max(1.0, meter.abs().max())
