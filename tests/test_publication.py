"""Day-ahead prices: those of the next civil day are unseen before the hour of publication."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from cosim.almanac import Almanac
from cosim.case import Case
from cosim.episode import Episode, lived
from cosim.observe import AHEAD_H

ZONE = ZoneInfo("Europe/Berlin")
PER_HOUR = 2


@pytest.fixture(scope="module")
def priced(village: Any) -> Callable[..., Case]:
    """Return a case of some days whose price is a number of its own in every hour."""

    def make(start: str = "2016-07-18", days: int = 3, **day_ahead: Any) -> Case:
        begin = datetime.fromisoformat(start).replace(tzinfo=ZONE)
        first = (begin.astimezone(ZoneInfo("UTC"))).replace(minute=0)
        lines = ["time,value"]
        for k in range(days * 24 + 2):
            lines.append(f"{first + timedelta(hours=k):%Y-%m-%dT%H:%MZ},{100 + k}")
        name = f"spot-{start[:10]}-{start[11:13]}.csv"
        (village.folder / name).write_text("\n".join(lines) + "\n")
        series = {"format": "plain", "file": name, "unit": "EUR/MWh"}
        homes = _longer(village.folder, first, days)
        return village.case(
            time={"start": start, "days": days, "interval_minutes": 30},
            tariff={"day_ahead": {"series": series, **day_ahead}, "network_eur_per_kwh": 0.5,
                    "periods": [{"hours": [0, 6], "network_eur_per_kwh": 1.0}]},
            profiles={"kind": "csv_homes", "homes": "homes.csv", "profiles": homes},
        )  # fmt: skip

    return make


def _longer(folder: Path, first: datetime, days: int) -> str:
    """Write the village's series once more, day after day from an hour on; return its name."""
    head, *rows = (folder / "series.csv").read_text().splitlines()
    cells = [row.split(",", 1)[1] for row in rows[:96]]
    lines = [head]
    past = (first.hour - 22) * 4  # the rows begin at 22:00 UTC
    for k in range(days * 96 + 8):
        lines.append(
            f"{first + timedelta(minutes=15 * k):%Y-%m-%dT%H:%MZ},{cells[(past + k) % 96]}"
        )
    name = f"long-{first:%Y-%m-%d-%H}.csv"
    (folder / name).write_text("\n".join(lines) + "\n")
    return name


def ahead_of(case: Case, k: int) -> np.ndarray:
    """Return what is shown of the hours ahead of interval k, of the first home ``[AHEAD]``."""
    return Almanac(case)._ahead(k)[:, 0]


def feed_in_of(case: Case, k: int) -> np.ndarray:
    """Return what is shown of the feed-in prices of these hours."""
    return Almanac(case)._feed_in_ahead(k)[:, 0]


def civil(case: Case, k: int) -> datetime:
    return case.grid.utc(case.grid.start_s(k)).astimezone(ZONE)


def row_of(case: Case, when: datetime) -> int:
    """Return the interval that begins at a civil time."""
    return case.grid.second_of(when) // case.grid.interval_s


@pytest.mark.parametrize("hour", [0.0, 13.0, 17.5])
@pytest.mark.parametrize("start", ["2016-07-18", "2016-10-29"])  # clocks go back on the second day
def test_unpublished_prices_are_those_of_the_present_day(
    priced: Callable[..., Case], start: str, hour: float
) -> None:
    """Against the sentence itself, interval by interval, by the civil calendar."""
    case = priced(start, published_hour=hour)
    energy, network = case.tariffs.retail_eur_per_kwh[:, 0], case.tariffs.network_eur_per_kwh[:, 0]
    feed_in = case.tariffs.feed_in_eur_per_kwh[:, 0]
    hidden = 0
    for k in range(case.grid.intervals - max(AHEAD_H) * PER_HOUR):
        decided = case.grid.utc(case.grid.decide_s(k)).astimezone(ZONE)
        shown = ahead_of(case, k)
        for i, hours in enumerate(AHEAD_H):
            row = k + hours * PER_HOUR
            target = civil(case, row)
            known = target.date() <= decided.date() or (
                target.date() == decided.date() + timedelta(days=1)
                and decided.hour + decided.minute / 60 >= hour
            )
            day_before = (target.replace(tzinfo=None) - timedelta(days=1)).replace(tzinfo=ZONE)
            earlier = row_of(case, day_before)
            if earlier != (twin := row_of(case, day_before.replace(fold=1))):
                earlier = twin  # the hour that comes twice: 24 hours ago it was the second
            read = row if known else earlier if earlier >= 0 else k
            assert shown[i] == pytest.approx(energy[read] + network[row], rel=1e-15), (k, hours)
            hidden += not known
            assert feed_in_of(case, k)[i] == feed_in[read], (k, hours)
    assert (hidden > 0) == (hour > 12.0)


def test_what_came_before_the_run_is_unknown(priced: Callable[..., Case]) -> None:
    case = priced("2016-07-18 10:00", days=1)
    energy = case.tariffs.retail_eur_per_kwh[:, 0]
    shown = ahead_of(case, 1) - case.tariffs.network_eur_per_kwh[1, 0]
    row = 1 + np.array(AHEAD_H[:12]) * PER_HOUR
    assert np.array_equal(shown.round(12), energy[row].round(12))  # up to 22:30 of the same day
    late = ahead_of(case, 4)  # 12:00: midnight is twelve hours ahead, and not yet published
    assert late[-1] == pytest.approx(energy[4] + 1.0)
    assert ahead_of(case, 8)[-1] == pytest.approx(energy[32] + 1.0)  # at 14:00 it is


def test_tomorrow_moves_nothing_before_its_hour(priced: Callable[..., Case]) -> None:
    """The perturbation: tomorrow's prices change, and until 13 o'clock nobody can tell."""
    from dataclasses import replace

    case = priced()
    retail = case.tariffs.retail_eur_per_kwh.copy()
    retail[48:] += 0.7
    other = replace(case, tariffs=replace(case.tariffs, retail_eur_per_kwh=retail))
    same = [np.array_equal(Almanac(case)._ahead(k), Almanac(other)._ahead(k)) for k in range(48)]
    assert same[:27] == [True] * 27  # the gates of 13:00 open a minute before
    assert same[27:] == [False] * 21
    paid = case.tariffs.feed_in_eur_per_kwh.copy()
    paid[48:] += 0.7
    fed = replace(case, tariffs=replace(case.tariffs, feed_in_eur_per_kwh=paid))
    pairs = ((Almanac(case)._feed_in_ahead(k), Almanac(fed)._feed_in_ahead(k)) for k in range(48))
    assert [np.array_equal(*pair) for pair in pairs] == same
    before = priced(published_hour=0)
    retail = before.tariffs.retail_eur_per_kwh.copy()
    retail[48:] += 0.7
    early = replace(before, tariffs=replace(before.tariffs, retail_eur_per_kwh=retail))
    seen = [np.array_equal(Almanac(before)._ahead(k), Almanac(early)._ahead(k)) for k in (23, 24)]
    assert seen == [True, False]


@pytest.mark.parametrize("start", ["2016-07-18 06:00", "2016-10-29"])
def test_episodes_and_lanes_are_shown_the_same(priced: Callable[..., Case], start: str) -> None:
    case = priced(start)
    firsts = (2, 0, 1)
    lanes = Almanac(case, np.array(firsts) * 48, 48)
    for lane, first in enumerate(firsts):
        own = Almanac(lived(case, Episode(first, 1, 3)))
        for k in range(49):
            assert np.array_equal(lanes._ahead(k)[:, lane], own._ahead(k))
            assert np.array_equal(lanes._feed_in_ahead(k)[:, lane], own._feed_in_ahead(k))


def test_a_group_with_a_tariff_of_its_own_knows_its_prices(
    village: Any, priced: Callable[..., Case]
) -> None:
    priced("2016-07-18")
    series = {"format": "plain", "file": "spot-2016-07-18-.csv", "unit": "EUR/MWh"}
    groups = {
        "spot": {"members": ["a", "b"], "policy": "passive",
                 "tariff": {"day_ahead": {"series": series, "published_hour": 15}}},
        "fixed": {"members": "all", "policy": "passive"},
    }  # fmt: skip
    case = village.case(groups=groups)
    hours = case.tariffs.published_hour
    assert hours is not None
    assert (hours[:2] == 15.0).all() and np.isnan(hours[2:]).all()
    plain = village.case()
    for k in (20, 30, 47):
        assert np.array_equal(Almanac(case)._ahead(k)[:, 2:], Almanac(plain)._ahead(k)[:, 2:])
