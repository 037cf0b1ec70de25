"""Disturbances whose every interval is known beforehand: whom they hit, by how much, and when."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cosim.case import Case, load_case
from cosim.scenario import load_scenario

SCENARIO = Path(__file__).resolve().parents[1] / "scenarios" / "plain_winter_day.yaml"
DAY = "2016-07-18"
HOURS = np.arange(48) / 2  # of the day, at the begin of each interval of the village
OWNERS = np.isin(list("abcdefghij"), list("abc"))
Ran = Callable[..., "Day"]


class Day:
    """A day of the village: its case, and quantities of all intervals ``[T, n]``."""

    def __init__(self, case: Case, diary: Any) -> None:
        self.case, self.diary = case, diary

    def metered(self, name: str) -> np.ndarray:
        return np.stack([getattr(kept.metered, name) for kept in self.diary.intervals])

    def priced(self, name: str) -> np.ndarray:
        kept = self.diary.intervals
        return np.stack([getattr(each.trade.asked.prices, name) for each in kept])

    def traded(self, name: str) -> np.ndarray:
        return np.stack([getattr(kept.trade, name) for kept in self.diary.intervals])

    def travelled_s(self) -> np.ndarray:
        """Return how long each order travelled from the decision of its interval."""
        arrival = np.stack([kept.trade.asked.arrival_s for kept in self.diary.intervals])
        return arrival - np.array([[self.case.grid.decide_s(k)] for k in range(len(arrival))])


@pytest.fixture
def ran(village: Any, diary_of: Any) -> Ran:
    """Return a function that runs the village's day with one disturbance."""

    def run(kind: str, start: str, end: str, **options: Any) -> Day:
        disturbance = {"kind": kind, "start": f"{DAY} {start}", "end": f"{DAY} {end}"} | options
        case = village.case(disturbances=[disturbance])
        return Day(case, diary_of(case))

    return run


def share_of(begin: float, end: float) -> np.ndarray:
    """Return the share of each interval that lies between two hours ``[T, 1]``."""
    inside = np.minimum(HOURS + 0.5, end) - np.maximum(HOURS, begin)
    return np.maximum(inside, 0.0)[:, None] / 0.5


# ---------------------------------------------------------------- price shock


@pytest.mark.parametrize(("retail_factor", "feed_in_factor"), [(2.5, 1.5), (3.0, 1.0)])
def test_a_price_shock_scales_both_prices_from_the_next_gate_that_opens(
    ran: Ran, retail_factor: float, feed_in_factor: float
) -> None:
    """Gates open a minute early: that of 16:00 before the shock, that of 19:00 before its end."""
    day = ran(
        "price_shock", "16:00", "19:00",
        retail_factor=retail_factor, feed_in_factor=feed_in_factor,
    )  # fmt: skip
    hit = (HOURS > 16.0) & (HOURS <= 19.0)
    retail = np.where((HOURS >= 17.0) & (HOURS < 21.0), 0.40, 0.25)
    for name, plain, factor in (
        ("retail_eur_per_kwh", retail, retail_factor),
        ("feed_in_eur_per_kwh", 0.06, feed_in_factor),
    ):
        wanted = (plain * np.where(hit, factor, 1.0))[:, None]
        np.testing.assert_allclose(day.priced(name), np.repeat(wanted, 10, axis=1), rtol=1e-14)


def test_shocked_prices_are_the_ones_billed(ran: Ran) -> None:
    day = ran("price_shock", "10:00", "14:00", retail_factor=4.0, feed_in_factor=3.0)
    shocked = [kept for kept in day.diary.intervals if 10.0 < HOURS[kept.index] <= 14.0]
    assert len(shocked) == 8
    for kept in shocked:
        imbalance, net = kept.bills.imbalance_kwh, kept.metered.net_kwh
        for energy, amount in ((imbalance, "imbalance_eur"), (net, "baseline_eur")):
            price = np.where(energy > 0.0, 4.0 * 0.25, 3.0 * 0.06)
            np.testing.assert_allclose(getattr(kept.bills, amount), energy * price, rtol=1e-12)
        assert (kept.trade.orders.price_eur_per_kwh[3:] >= 0.18 - 1e-12).all()


# ---------------------------------------------------------------- messages


def test_lost_messages_are_those_of_the_groups_named(ran: Ran) -> None:
    day = ran("message_loss", "10:00", "14:00", probability=1.0, groups=["owners"])
    arrived = day.traded("arrived")
    hit = (HOURS > 10.0) & (HOURS <= 14.0)  # orders leave a minute before delivery
    assert np.array_equal(arrived, ~(hit[:, None] & OWNERS))
    fills = np.stack([kept.trade.clearing.fills_kwh for kept in day.diary.intervals])
    assert not fills[hit][:, OWNERS].any() and fills[hit][:, ~OWNERS].any()


def test_delayed_messages_are_those_of_the_groups_named(ran: Ran) -> None:
    day = ran(
        "message_loss", "10:00", "14:00", probability=0.0, delay_s=37, groups=["owners", "wild"]
    )
    hit = (HOURS > 10.0) & (HOURS <= 14.0)
    named = np.array([group in {"owners", "wild"} for group in day.case.population.groups])
    assert named.any() and not named.all()
    assert np.array_equal(day.travelled_s(), np.where(hit[:, None] & named, 37.0, 0.0))
    assert day.traded("arrived").all()  # in time: 58 s are left


def test_messages_that_travel_longer_than_the_gate_is_open_are_late(ran: Ran) -> None:
    for delay_s, late in ((57, False), (58, True)):
        day = ran("message_loss", "10:00", "14:00", probability=0.0, delay_s=delay_s)
        hit = (HOURS > 10.0) & (HOURS <= 14.0)
        wanted = ~(hit[:, None] & np.ones(10, dtype=bool)) if late else np.ones((48, 10), bool)
        assert np.array_equal(day.traded("arrived"), wanted)


def test_messages_are_lost_as_often_as_is_said(ran: Ran) -> None:
    day = ran("message_loss", "00:00", "23:59", probability=0.25)
    lost = np.isinf(day.travelled_s())
    assert 0.18 < lost.mean() < 0.32  # of 480 orders
    assert len({tuple(column) for column in lost.T.tolist()}) == 10


# ---------------------------------------------------------------- PV and load


def test_pv_collapses_in_the_groups_named_while_it_lasts(ran: Ran) -> None:
    day = ran("pv_collapse", "10:10", "14:00", pv_factor=0.25, groups=["owners"])
    factor = np.where(OWNERS, 1.0 - 0.75 * share_of(10 + 1 / 6, 14), 1.0)
    wanted = day.case.profiles.pv_kw * 0.5 * factor
    assert wanted[24][OWNERS].sum() > 0.5 and wanted[24][~OWNERS].sum() > 0.5
    np.testing.assert_allclose(day.metered("pv_kwh"), wanted, rtol=1e-12)
    np.testing.assert_allclose(day.metered("load_kwh"), day.case.profiles.load_kw * 0.5, rtol=1e-12)


def test_pv_collapses_everywhere_where_no_group_is_named(ran: Ran) -> None:
    day = ran("pv_collapse", "10:00", "14:00", pv_factor=0.25)
    wanted = day.case.profiles.pv_kw * 0.5 * (1.0 - 0.75 * share_of(10, 14))
    np.testing.assert_allclose(day.metered("pv_kwh"), wanted, rtol=1e-12)


def test_factors_between_two_ends_are_drawn_for_each_home(ran: Ran) -> None:
    day = ran("pv_collapse", "10:00", "14:00", pv_factor=[0.3, 0.6])
    sunny = day.case.profiles.pv_kw[24] > 0.0
    share = (day.metered("pv_kwh") / np.maximum(day.case.profiles.pv_kw * 0.5, 1e-9))[20:28, sunny]
    np.testing.assert_allclose(share, np.broadcast_to(share[0], share.shape), rtol=1e-12)
    assert share.min() >= 0.3 and share.max() <= 0.6
    assert len(np.unique(share[0].round(9))) == sunny.sum() > 5


SNAP = {"load_factor": 1.5, "evening_factor": 1.2, "evening_hours": [18, 21]}


def snapped(day: Day, factor: np.ndarray) -> None:
    """Check all loads of a day against a factor ``[T, n]`` or ``[T, 1]``."""
    wanted = day.case.profiles.load_kw * 0.5 * factor
    np.testing.assert_allclose(day.metered("load_kwh"), wanted, rtol=1e-12)
    np.testing.assert_allclose(day.metered("pv_kwh"), day.case.profiles.pv_kw * 0.5, rtol=1e-12)


@pytest.mark.parametrize("groups", [[], ["owners"]])
def test_a_cold_snap_raises_load_and_evenings_of_the_groups_named(
    ran: Ran, groups: list[str]
) -> None:
    day = ran("cold_snap", "09:20", "23:00", groups=groups, **SNAP)
    factor = 1.0 + 0.5 * share_of(9 + 1 / 3, 23) + 0.3 * share_of(18, 21)
    snapped(day, np.where(OWNERS | (not groups), factor, 1.0))


@pytest.mark.parametrize(
    ("start", "end", "begin", "over"),
    [
        ("12:00", "19:00", 18.0, 19.0),  # over before the evening is
        ("18:45", "23:00", 18.75, 21.0),  # begins within the evening
        ("18:45", "19:15", 18.75, 19.25),
        ("21:00", "23:00", 21.0, 21.0),
        ("12:00", "18:00", 18.0, 18.0),
    ],
)
def test_the_evening_counts_as_far_as_the_snap_covers_it(
    ran: Ran, start: str, end: str, begin: float, over: float
) -> None:
    first, last = (int(time[:2]) + int(time[3:]) / 60 for time in (start, end))
    day = ran("cold_snap", start, end, **SNAP)
    snapped(day, 1.0 + 0.5 * share_of(first, last) + 0.3 * share_of(begin, over))


def test_an_evening_over_midnight_counts_on_both_sides_of_it(ran: Ran) -> None:
    """Also the one that is under way when the run begins."""
    day = ran("cold_snap", "00:00", "23:00", **SNAP | {"evening_hours": [22, 2]})
    evening = share_of(0, 2) + share_of(22, 23)
    snapped(day, 1.0 + 0.5 * share_of(0, 23) + 0.3 * evening)


def test_evenings_come_every_day_at_the_hour_that_clocks_show(diary_of: Any) -> None:
    """Over the night on which clocks go back an evening begins 25 hours after the last one."""
    snap = "{kind: cold_snap, load_factor: 1.5, evening_factor: 1.2, evening_hours: [18, 21], "
    snap += "start: 2016-10-29 19:00, end: 2016-10-31 22:30}"
    overrides = ("time={start: 2016-10-29, days: 3}", f"disturbances=[{snap}]")
    case = load_case(load_scenario(SCENARIO, overrides))
    load = Day(case, diary_of(case)).metered("load_kwh")
    quarter = np.arange(288) / 4
    cold = (quarter >= 19) & (quarter < 49 + 22.5)
    evening = (quarter >= 19) & (quarter < 21)
    evening |= (quarter >= 24 + 19) & (quarter < 24 + 22)  # an hour more since midnight
    evening |= (quarter >= 49 + 18) & (quarter < 49 + 21)
    factor = np.where(cold, 1.5, 1.0) * np.where(evening, 1.2, 1.0)
    np.testing.assert_allclose(load, case.profiles.load_kw * 0.25 * factor[:, None], rtol=1e-12)
