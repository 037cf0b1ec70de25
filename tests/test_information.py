"""Disturbances of information: what is told, to whom and when; and that the world is as it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydantic import PrivateAttr

from cosim import plugins
from cosim.books import CLOSING_TOLERANCE
from cosim.case import Case
from cosim.errors import InputError
from cosim.observe import FEATURES
from cosim.policy import Policy, PolicyContext
from cosim.reason import Reason
from cosim.seats import Seat
from cosim.simulation import Simulation

T, N = 48, 10
OWNERS = np.isin(list("abcdefghij"), list("abc"))
HOURS = np.arange(T) / 2
HIT = {"start": "2016-07-18 10:00", "end": "2016-07-18 14:00", "groups": ["owners"]}
LATER = np.outer(HOURS > 10.0, np.ones(N, dtype=bool))
INSIDE = (HOURS > 10.0) & (HOURS <= 14.0)  # gates open a minute before delivery
DiaryOf = Callable[[Case], Any]


class Spy(Policy):
    """Sees everything, and does what it would do if nobody looked."""

    features = tuple(FEATURES)
    actions = ("battery_kw",)
    reacts: bool = False

    _seen: np.ndarray = PrivateAttr()

    def model_post_init(self, context: Any) -> None:
        self._seen = np.full((T, N, len(FEATURES)), np.nan)

    def act(
        self, observations: np.ndarray, context: PolicyContext, memory: Any
    ) -> tuple[np.ndarray, Any]:
        self._seen[context.interval, context.ids] = observations
        told = dict(zip(FEATURES, observations.T, strict=True))
        pull = np.sin(context.interval + np.asarray(context.ids))
        if self.reacts:  # wants more than there is room for, by what it is told
            pull = 40.0 * np.sin(told["soc"] + told["measured_pv_kw"] + told["retail_eur_per_kwh"])
        return pull[:, None], memory


class Watched:
    """A day of the village with a spy in every seat."""

    def __init__(self, case: Case, diary_of: DiaryOf, reacts: bool = False) -> None:
        spy = Spy(reacts=reacts)
        self.case = replace(case, seats=(Seat("spy", spy, np.arange(N)),))
        self.kept = diary_of(self.case)
        self._seen = spy._seen

    def seen(self, name: str) -> np.ndarray:
        """Return a feature of all intervals ``[T, n]``."""
        return self._seen[..., list(FEATURES).index(name)]


@pytest.fixture(scope="module")
def watch(village: Any, diary_of: DiaryOf) -> Callable[..., Watched]:
    def run(*disturbances: dict[str, Any], reacts: bool = False, **changes: Any) -> Watched:
        return Watched(village.case(disturbances=list(disturbances), **changes), diary_of, reacts)

    return run


@pytest.fixture(scope="module")
def plain(watch: Callable[..., Watched]) -> Watched:
    return watch()


def same_world(one: Watched, other: Watched) -> None:
    """Nothing but what policies see differs, where they take no notice of it."""
    for a, b in zip(one.kept.intervals, other.kept.intervals, strict=True):
        for name, value in vars(a.metered).items():
            assert np.array_equal(value, getattr(b.metered, name)), name
        assert np.array_equal(a.bills.bill_eur, b.bills.bill_eur)


def only_differs_at(one: np.ndarray, other: np.ndarray, where: np.ndarray) -> None:
    differs = one != other
    assert differs.any() and not differs[~where].any()


SHOWN = {
    "load_kw": "measured_load_kw",
    "pv_kw": "measured_pv_kw",
    "energy_kwh": "energy_kwh",
    "vm_pu": "vm_pu",
}


@pytest.mark.parametrize("sensor", SHOWN)
def test_a_frozen_sensor_shows_what_it_showed_at_the_gate_before(
    watch: Callable[..., Watched], plain: Watched, sensor: str
) -> None:
    day = watch({"kind": "frozen_sensor", "sensor": sensor, **HIT})
    wanted, here = plain.seen(SHOWN[sensor]).copy(), np.outer(INSIDE, OWNERS)
    wanted[here] = np.broadcast_to(wanted[np.argmax(INSIDE) - 1], wanted.shape)[here]
    assert np.array_equal(day.seen(SHOWN[sensor]), wanted)
    only_differs_at(day.seen(SHOWN[sensor]), plain.seen(SHOWN[sensor]), here)
    age = np.where(here, np.cumsum(INSIDE)[:, None] * 1800.0, 0.0)
    assert np.array_equal(day.seen("measurement_age_s"), age)
    assert not day.seen("price_age_s").any()
    same_world(day, plain)


def test_a_sensor_that_goes_on_sending_has_no_age(watch: Callable[..., Watched]) -> None:
    silent = watch({"kind": "frozen_sensor", "sensor": "load_kw", **HIT})
    sending = watch({"kind": "frozen_sensor", "sensor": "load_kw", "silent": False, **HIT})
    assert silent.seen("measurement_age_s").any() and not sending.seen("measurement_age_s").any()
    assert np.array_equal(silent.seen("measured_load_kw"), sending.seen("measured_load_kw"))


@pytest.mark.parametrize(("sensor", "factor", "offset"), [
    ("load_kw", 1.5, 0.25), ("pv_kw", 0.0, 0.0), ("energy_kwh", 0.5, 1.0), ("vm_pu", 1.0, -0.05),
    ("load_kw", 1.0, -1.0),
])  # fmt: skip
def test_a_biased_sensor_is_off_by_factor_and_offset(
    watch: Callable[..., Watched], plain: Watched, sensor: str, factor: float, offset: float
) -> None:
    bias = {"sensor": sensor, "factor": factor, "offset": offset}
    day, here = watch({"kind": "biased_sensor", **bias, **HIT}), np.outer(INSIDE, OWNERS)
    true = plain.seen(SHOWN[sensor])
    wanted = np.where(here, np.maximum(true * factor + offset, 0.0), true)
    assert np.array_equal(day.seen(SHOWN[sensor]), wanted)
    only_differs_at(day.seen(SHOWN[sensor]), true, here)
    same_world(day, plain)


def test_what_is_derived_from_a_reading_is_wrong_with_it(watch: Callable[..., Watched]) -> None:
    plain = watch(forecast="persistence")
    load = {"kind": "biased_sensor", "sensor": "load_kw", "factor": 2.0}
    energy = {"kind": "biased_sensor", "sensor": "energy_kwh", "factor": 0.0}
    volt = {"kind": "biased_sensor", "sensor": "vm_pu", "offset": 0.01}
    day = watch(*(each | HIT for each in (load, energy, volt)), forecast="persistence")
    here = np.outer(INSIDE, OWNERS)
    for name in ("forecast_load_kw", "forecast_net_kw", "soc", "most_discharge_kw",
                 "vm_above_min_pu", "vm_below_max_pu"):  # fmt: skip
        only_differs_at(day.seen(name), plain.seen(name), here)
    same_world(day, plain)  # the guard's own forecast is made of the true load


def test_stale_prices_are_told_while_the_true_ones_are_billed(
    watch: Callable[..., Watched],
) -> None:
    shock = {"kind": "price_shock", "start": "2016-07-18 11:00", "end": "2016-07-18 13:00"}
    true, day = watch(shock), watch(shock, {"kind": "stale_prices", **HIT})
    here, hit = np.outer(INSIDE, OWNERS), (HOURS > 11.0) & (HOURS <= 13.0)
    retail = np.where(np.outer(hit, OWNERS), 0.25, true.seen("retail_eur_per_kwh"))
    assert np.array_equal(day.seen("retail_eur_per_kwh"), retail)
    ahead = "retail_in_4h_eur_per_kwh"  # 0.40 from 17:00 is in sight from 13:00, unless stale
    only_differs_at(day.seen(ahead), true.seen(ahead), here)
    assert (day.seen("price_age_s")[INSIDE][:, OWNERS] == np.arange(1, 9)[:, None] * 1800).all()
    assert not day.seen("measurement_age_s").any() and not day.seen("price_age_s")[~here].any()
    for one, other in zip(day.kept.intervals, true.kept.intervals, strict=True):
        a, b = one.trade.asked.prices, other.trade.asked.prices
        assert np.array_equal(a.retail_eur_per_kwh, b.retail_eur_per_kwh)
        stale = hit[one.index] & OWNERS
        assert (one.trade.orders.price_eur_per_kwh[stale] <= 0.25).all()
        short = one.bills.imbalance_kwh > 0.0
        price = one.bills.imbalance_eur[short] / one.bills.imbalance_kwh[short]
        np.testing.assert_allclose(price, a.retail_eur_per_kwh[short], rtol=1e-9)


def test_a_stale_feed_stands_still_for_feed_in_too(watch: Callable[..., Watched]) -> None:
    dear = {"hours": [17, 21], "retail_eur_per_kwh": 0.4, "feed_in_eur_per_kwh": 0.2}
    tariff = {"retail_eur_per_kwh": 0.25, "feed_in_eur_per_kwh": 0.06, "periods": [dear]}
    true, day = watch(tariff=tariff), watch({"kind": "stale_prices", **HIT}, tariff=tariff)
    fed = "feed_in_in_4h_eur_per_kwh"  # 0.20 from 17:00
    only_differs_at(day.seen(fed), true.seen(fed), np.outer(INSIDE, OWNERS))
    assert (day.seen(fed)[INSIDE][:, OWNERS] == 0.06).all()


def test_swapped_columns_change_places_and_swap_again(
    watch: Callable[..., Watched], plain: Watched
) -> None:
    one = {"kind": "swapped_columns", "features": ["soc", "hour_sin"], **HIT}
    two = {"kind": "swapped_columns", "features": ["hour_sin", "vm_pu"], **HIT}
    soc, sine, volt = (plain.seen(name) for name in ("soc", "hour_sin", "vm_pu"))
    here = np.outer(INSIDE, OWNERS)
    day = watch(one)
    assert np.array_equal(day.seen("soc"), np.where(here, sine, soc))
    assert np.array_equal(day.seen("hour_sin"), np.where(here, soc, sine))
    both = watch(one, two)
    assert np.array_equal(both.seen("soc"), np.where(here, sine, soc))
    assert np.array_equal(both.seen("hour_sin"), np.where(here, volt, sine))
    assert np.array_equal(both.seen("vm_pu"), np.where(here, soc, volt))
    back = watch(one, one)
    assert np.array_equal(back._seen, plain._seen)
    same_world(both, plain)


def test_a_freeze_on_a_bias_holds_the_bias_and_a_bias_on_a_freeze_moves_it(
    watch: Callable[..., Watched], plain: Watched
) -> None:
    at = list(HOURS)
    bias = {"kind": "biased_sensor", "sensor": "load_kw", "offset": 1.0,
            "start": "2016-07-18 10:00", "end": "2016-07-18 12:00"}  # fmt: skip
    freeze = {"kind": "frozen_sensor", "sensor": "load_kw",
              "start": "2016-07-18 11:00", "end": "2016-07-18 14:00"}  # fmt: skip
    for disturbances in ((bias, freeze), (freeze, bias)):
        seen = watch(*disturbances).seen("measured_load_kw")
        stood = plain.seen("measured_load_kw")[at.index(11.0)] + 1.0
        for hour in (11.5, 12.0, 12.5, 14.0):
            assert np.array_equal(seen[at.index(hour)], stood)
        assert np.array_equal(seen[at.index(14.5)], plain.seen("measured_load_kw")[29])
    late = {**bias, "start": "2016-07-18 12:00", "end": "2016-07-18 13:00"}
    seen = watch(freeze, late).seen("measured_load_kw")
    stood = plain.seen("measured_load_kw")[at.index(11.0)]
    assert np.array_equal(seen[at.index(12.5)], stood + 1.0)
    assert np.array_equal(seen[at.index(13.5)], stood)


def test_what_policies_are_told_never_drives_a_device_beyond_what_it_can(
    watch: Callable[..., Watched],
) -> None:
    """The policy asks by what it is told for far too much; guard and plant keep the battery."""
    faults = [
        {"kind": "biased_sensor", "sensor": "energy_kwh", "factor": 3.0, "offset": 5.0},
        {"kind": "frozen_sensor", "sensor": "pv_kw"},
        {"kind": "swapped_columns", "features": ["soc", "retail_eur_per_kwh"]},
    ]
    day = watch(*(each | HIT for each in faults), reacts=True)
    people = day.case.population
    cut = 0
    for kept in day.kept.intervals:
        stored = kept.metered.energy_kwh
        assert (stored >= people.min_kwh - 1e-12).all() and (stored <= people.max_kwh + 1e-12).all()
        cut += int((kept.trade.guarded.reason & (Reason.RATING | Reason.ENERGY) != 0).sum())
    assert cut > 50
    only_differs_at(day.seen("soc"), watch(reacts=True).seen("soc"), LATER)


# ---------------------------------------------------------------- limits that come late

CURTAILED = {"kind": "curtailment", "start": "2016-07-18 11:00", "end": "2016-07-18 12:00",
             "pv_share": 0.1}  # fmt: skip


def test_a_limit_acts_and_is_lifted_as_late_as_its_signal(village: Any, diary_of: DiaryOf) -> None:
    late = {"kind": "delayed_limit", "delay_s": 1200, **HIT}
    case = village.case(disturbances=[late, CURTAILED])
    free = village.case()
    most = 0.1 * case.population.pv_kwp
    curtailed = np.stack([kept.metered.curtailed_kwh for kept in diary_of(case).intervals])
    over = np.maximum(free.profiles.pv_kw - most, 0.0)
    hours = np.zeros((T, N))
    hours[22:24, ~OWNERS] = 0.5  # 11:00 to 12:00 on time
    hours[[22, 23, 24], :3] = np.array([[1 / 6], [0.5], [1 / 3]])  # 11:20 to 12:20
    np.testing.assert_allclose(curtailed, over * hours, atol=1e-12)
    assert curtailed[22][OWNERS].any()


@pytest.mark.parametrize("delay_s", [3600, 4000, 7000])
def test_what_was_lifted_before_it_came_never_comes(
    village: Any, diary_of: DiaryOf, delay_s: int
) -> None:
    """The delay is over when the limit is lifted: the lifting overtakes the order."""
    late = {"kind": "delayed_limit", "delay_s": delay_s,
            "start": "2016-07-18 10:00", "end": "2016-07-18 11:30"}  # fmt: skip
    diary = diary_of(village.case(disturbances=[late, CURTAILED]))
    assert not any(kept.metered.curtailed_kwh.any() for kept in diary.intervals)


# ---------------------------------------------------------------- orders


def orders(day: Any, name: str) -> np.ndarray:
    return np.stack([getattr(kept.trade.orders, name) for kept in day.intervals])


@pytest.mark.parametrize("trade_limit", ["physical", "none"])
def test_forged_orders_leave_the_guard_alone_and_settle_as_imbalance(
    village: Any, diary_of: DiaryOf, trade_limit: str
) -> None:
    forged = {"kind": "spoofed_bids", "quantity_factor": 3.0, **HIT}
    plain = diary_of(village.case(trade_limit=trade_limit))
    day = diary_of(village.case(trade_limit=trade_limit, disturbances=[forged]))
    here = np.outer(INSIDE, OWNERS)
    quantity = orders(plain, "quantity_kwh")
    sent = orders(day, "quantity_kwh")
    np.testing.assert_allclose(sent[:21], quantity[:21], atol=0)
    guarded = np.stack([kept.trade.guarded.decision.quantity_kwh for kept in day.intervals])
    assert np.array_equal(sent, guarded * np.where(here, 3.0, 1.0))
    beyond = 0.0
    for kept, hit in zip(day.intervals, INSIDE, strict=True):
        bills = kept.bills
        traded = bills.traded_kwh + bills.closeout_kwh + bills.supply_kwh + bills.imbalance_kwh
        np.testing.assert_allclose(traded, kept.metered.net_kwh, atol=1e-12)
        if hit:
            fills, net = kept.trade.clearing.fills_kwh[OWNERS], kept.metered.net_kwh[OWNERS]
            beyond += np.abs(fills).sum() - np.minimum(np.abs(fills), np.abs(net)).sum()
    assert beyond > 1.0


def test_forged_limits_stay_within_the_tariff(village: Any, diary_of: DiaryOf) -> None:
    for shift in (0.05, -0.05, 5.0):
        forged = {"kind": "spoofed_bids", "quantity_factor": 1.0,
                  "price_shift_eur_per_kwh": shift, **HIT}  # fmt: skip
        day = diary_of(village.case(disturbances=[forged]))
        for kept in (each for each, hit in zip(day.intervals, INSIDE, strict=True) if hit):
            own = kept.trade.guarded.decision.price_eur_per_kwh
            wanted = np.where(OWNERS, np.clip(own + shift, 0.06, 0.25), own)
            assert np.array_equal(kept.trade.orders.price_eur_per_kwh, wanted)


def test_the_greedy_shade_their_limits_and_the_guard_holds_their_quantities(
    village: Any, diary_of: DiaryOf
) -> None:
    greedy = {"kind": "greedy_neighbours", "greed": 0.25, "quantity_factor": 2.0, **HIT}
    for trade_limit, factor in (("physical", 1.0), ("none", 2.0)):
        plain = diary_of(village.case(trade_limit=trade_limit))
        day = diary_of(village.case(trade_limit=trade_limit, disturbances=[greedy]))
        here = np.outer(INSIDE, OWNERS)
        quantity = orders(day, "quantity_kwh")
        same = np.where(here, factor, 1.0) * orders(plain, "quantity_kwh")
        np.testing.assert_allclose(quantity, same, rtol=1e-12, atol=1e-15)
        price = orders(day, "price_eur_per_kwh")[INSIDE][:, OWNERS]
        buys = quantity[INSIDE][:, OWNERS] > 0.0
        wanted = np.where(buys, 0.25 - 0.25 * 0.19, 0.06 + 0.25 * 0.19)
        np.testing.assert_allclose(price, wanted, rtol=1e-12)
        same_prices = orders(plain, "price_eur_per_kwh")[~here]
        assert np.array_equal(orders(day, "price_eur_per_kwh")[~here], same_prices)
        flags = np.stack([kept.trade.guarded.reason for kept in day.intervals])
        cut = (flags & Reason.QUANTITY != 0)[INSIDE][:, OWNERS]
        assert cut.any() == (trade_limit == "physical")


@pytest.mark.parametrize("market", plugins.names("market"))
def test_books_close_under_every_market(village: Any, new_diary: Any, market: str) -> None:
    """Stale prices put limits outside the true tariff, forged orders trade what nobody has."""
    whole = {"start": "2016-07-18 08:00", "end": "2016-07-18 20:00"}
    false = [
        {"kind": "price_shock", "start": "2016-07-18 09:00", "end": "2016-07-18 12:00",
         "retail_factor": 0.5},
        {"kind": "stale_prices", **whole, "groups": ["owners"]},
        {"kind": "spoofed_bids", **whole, "groups": ["wild"]},
        {"kind": "greedy_neighbours", **whole, "groups": ["others"], "quantity_factor": 3.0},
    ]  # fmt: skip
    simulation = Simulation(village.case(market=market, disturbances=false), new_diary())
    books = simulation.run()
    assert max(books.money_error, books.energy_error) <= CLOSING_TOLERANCE


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"kind": "biased_sensor", "sensor": "load_kw"}, "not off"),
        ({"kind": "biased_sensor", "sensor": "lode_kw", "factor": 2.0}, "load_kw"),
        ({"kind": "swapped_columns", "features": ["soc", "soc"]}, "itself"),
        ({"kind": "swapped_columns", "features": ["soc", "vm_pux"]}, "did you mean 'vm_pu'"),
        ({"kind": "spoofed_bids", "quantity_factor": 1.0}, "nothing is forged"),
        ({"kind": "greedy_neighbours", "greed": 0.0}, "nobody is greedy"),
        ({"kind": "delayed_limit", "delay_s": 0}, "at least 1"),
        ({"kind": "pv_collapse", "pv_factor": [0.6, 0.3]}, r"write \[0.3, 0.6\]"),
    ],
)
def test_what_would_do_nothing_or_cannot_be_is_refused(
    village: Any, options: dict[str, Any], why: str
) -> None:
    window = {"start": "2016-07-18 10:00", "end": "2016-07-18 14:00"}
    with pytest.raises(InputError, match=why):
        village.case(disturbances=[options | window])
