"""Who acts on what nobody can know yet is found out, whenever and at whatever it looks."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from pydantic import PrivateAttr

from cosim.case import Case
from cosim.policy import Policy, PolicyContext
from cosim.seeds import Draws, Reseeded
from cosim.simulation import Simulation
from cosim.studies.future import instants, other_future
from cosim.studies.recorded import Check, recorded
from cosim.studies.trials import Entrant, Trial, drawn_case, seated
from cosim.studies.unmoved import no_look_ahead
from cosim.verbs._entrants import BASELINES, CHOSEN, NO_MARKET, _bound

Peek = Callable[[Simulation, int], Any]
PER_DAY = 48
SHOCK = {"kind": "price_shock", "start": "2016-07-18T17:20", "end": "2016-07-18T20:00"}
LOSS = {"kind": "message_loss", "start": "2016-07-18T02:00", "end": "2016-07-18T03:00",
        "probability": 0.5}  # fmt: skip


@pytest.fixture(scope="module")
def days(village: Any, days_of_village: dict[str, Any]) -> Callable[..., Case]:
    """Return what loads the village over some days with keys of its scenario replaced."""
    begin = datetime(2016, 7, 17, 22)
    hours = ((begin + timedelta(hours=k), 100 + 3 * k) for k in range(6 * 24 + 2))
    lines = ["time,value", *(f"{time:%Y-%m-%dT%H:%MZ},{price}" for time, price in hours)]
    (village.folder / "hourly.csv").write_text("\n".join(lines) + "\n")

    def load(**changes: Any) -> Case:
        found: Case = village.case(**days_of_village | changes)
        return found

    return load


def hourly(unit: str) -> dict[str, str]:
    return {"format": "plain", "file": "hourly.csv", "unit": unit}


DAY_AHEAD = {"tariff": {"day_ahead": {"series": hourly("EUR/MWh")}}}


class Peeker(Policy):
    """Charges by what it is shown by a simulation that it should not know."""

    actions = ("battery_kw",)
    _peek: Peek = PrivateAttr()

    def act(
        self, observations: np.ndarray, context: PolicyContext, memory: Any
    ) -> tuple[np.ndarray, Any]:
        frame: Any = sys._getframe()
        while not isinstance(frame.f_locals.get("self"), Simulation):
            frame = frame.f_back
        seen = np.asarray(self._peek(frame.f_locals["self"], context.interval), dtype=float)
        return np.broadcast_to(seen, len(context.ids))[:, None], memory


def looking(case: Case, peek: Peek, *trials: Trial) -> Check:
    """Return what the check says of a policy that peeks, over some trials."""
    policy = Peeker()
    policy._peek = peek
    return judged(case, policy, *trials)


def judged(case: Case, policy: Policy, *trials: Trial) -> Check:
    drawn = [drawn_case(case, trial) for trial in trials or (Trial(0, 1, 1),)]
    entrant = Entrant("it", policy, True)
    return no_look_ahead([recorded(seated(each, "rule", entrant), "rule") for each in drawn],
                         "rule")  # fmt: skip


def load_of_next(simulation: Simulation, k: int) -> float:
    load = simulation.case.profiles.load_kw
    return float(load[min(k + 1, len(load) - 1), 0])


@pytest.mark.parametrize("part", range(8))
def test_a_look_at_any_time_of_day_is_seen(days: Callable[..., Case], part: int) -> None:
    """One interval ahead, within three hours only."""
    hours = range(part * PER_DAY // 8, (part + 1) * PER_DAY // 8)
    last = PER_DAY - 1
    found = looking(days(), lambda sim, k: load_of_next(sim, k) if k in hours and k < last else 0.0)
    assert not found.holds and found.figure >= 1


def test_a_look_in_the_second_trial_is_seen(days: Callable[..., Case]) -> None:
    case, trials = days(), (Trial(0, 1, 1), Trial(4, 1, 2))
    second = drawn_case(case, trials[1]).grid.start

    def peek(simulation: Simulation, k: int) -> float:
        return load_of_next(simulation, k) if simulation.case.grid.start == second else 0.0

    assert looking(case, peek, trials[0]).holds
    assert not looking(case, peek, *trials).holds


def test_a_threshold_on_tomorrow_is_seen(days: Callable[..., Case]) -> None:
    """Sums of many draws hardly change; the common factor moves them."""
    case = days()
    usual = float(case.profiles.load_kw.mean())

    def peek(simulation: Simulation, k: int) -> float:
        coming = simulation.case.profiles.load_kw[k + 1 :]
        return float(len(coming) >= PER_DAY and coming.mean() > 1.5 * usual)

    assert not looking(case, peek, Trial(0, 2, 1)).holds


def test_prices_are_secret_until_they_are_published(days: Callable[..., Case]) -> None:
    case, trial = days(**DAY_AHEAD), Trial(0, 2, 1)

    def tomorrow(from_k: int, to_k: int) -> Peek:
        def peek(simulation: Simulation, k: int) -> float:
            prices = simulation.case.tariffs.retail_eur_per_kwh
            return float(prices[k + PER_DAY, 0]) if from_k <= k < to_k else 0.0

        return peek

    assert not looking(case, tomorrow(0, 12), trial).holds
    assert not looking(case, tomorrow(25, 27), trial).holds  # just before one o'clock
    assert looking(case, tomorrow(27, PER_DAY), trial).holds  # gates of 13:30 on open after it
    assert looking(days(), tomorrow(0, PER_DAY), trial).holds, "a tariff is known for ever"
    feed_in = looking(case, lambda sim, k: sim.case.tariffs.feed_in_eur_per_kwh[-1, 0], trial)
    assert not feed_in.holds


@pytest.mark.parametrize("hit", [SHOCK, LOSS])
def test_a_disturbance_to_come_is_a_secret(days: Callable[..., Case], hit: dict[str, Any]) -> None:
    """Those who shelter in the half hour before it begins; who reacts to it is honest."""
    case = days(disturbances=[hit])
    begin_s = case.grid.second_of(case.scenario.local(datetime.fromisoformat(hit["start"])))

    def coming(simulation: Simulation, k: int) -> float:
        left = begin_s - simulation.env.now
        return float(bool(simulation.case.scenario.disturbances) and 0 < left <= 1800)

    def under_way(simulation: Simulation, k: int) -> float:
        conditions = simulation.conditions
        return float(conditions.active("retail") or conditions.disturbed_messages)

    assert not looking(case, coming).holds
    assert looking(case, under_way).holds


def test_draws_to_come_are_a_secret(days: Callable[..., Case]) -> None:
    noisy = days(forecast="noisy", latency={"min_s": 0, "max_s": 20})
    secrets: tuple[Peek, ...] = (
        lambda sim, k: sim._lookout._draws.at(k + 1)[0, 0],
        lambda sim, k: sim._post._latency.at(k)[0, 0],
        lambda sim, k: sim._post._message.at(k)[0, 0],
    )
    for secret in secrets:
        assert not looking(noisy, secret).holds
    assert looking(noisy, lambda sim, k: sim._lookout._draws.at(k)[0, 0]).holds
    assert judged(noisy, _bound(noisy, "random")).holds


def test_what_no_forecast_tells_is_a_secret(days: Callable[..., Case]) -> None:
    """The interval itself under persistence; its intensity to come; imbalance not yet billed."""

    def own(simulation: Simulation, k: int) -> float:
        return float(simulation.case.profiles.pv_kw[k].sum())

    assert looking(days(), own).holds
    assert not looking(days(forecast="persistence"), own).holds
    assert not looking(days(), lambda sim, k: sim.case.profiles.co2_kg_per_kwh[-1]).holds

    def short(back: int) -> Peek:
        def peek(simulation: Simulation, k: int) -> float:
            prices = simulation.case.tariffs.imbalance.short_eur_per_kwh
            return 0.0 if prices is None or k < back else float(prices[k - back])

        return peek

    series = days(imbalance={"series": hourly("EUR/MWh")})
    assert [looking(series, short(back)).holds for back in (0, 1, 2)] == [False, False, True]
    fixed = days(imbalance={"short_eur_per_kwh": 0.5, "long_eur_per_kwh": 0.1})
    assert looking(fixed, short(0)).holds


def test_a_look_in_the_first_round_is_seen(days: Callable[..., Case]) -> None:
    case = days(market={"kind": "order_book", "rounds": 2})

    def peek(simulation: Simulation, k: int) -> float:
        first = simulation.env.now == simulation.case.grid.decide_s(k, 0)
        return load_of_next(simulation, k) if first else 0.0

    assert not looking(case, peek).holds


@pytest.mark.parametrize("name", [*(n for n in BASELINES if n != NO_MARKET), "shared_ppo"])
def test_the_honest_pass_where_much_is_secret(days: Callable[..., Case], name: str) -> None:
    trained = name == "shared_ppo"
    item: Any = {"kind": "onnx", "bundle": name} if trained else CHOSEN.get(name, name)
    time = {"start": "2016-07-18", "days": 6, "interval_minutes": 15 if trained else 60}
    hits = [SHOCK, {"kind": "cold_snap", "start": "2016-07-18T09:00", "end": "2016-07-19T09:00"}]
    case = days(**DAY_AHEAD, forecast="noisy", latency={"min_s": 0, "max_s": 20},
                disturbances=hits, market="order_book", time=time)  # fmt: skip
    found = judged(case, _bound(case, item), Trial(0, 2, 1))
    assert found.holds, found


def test_instants_cover_the_run_and_the_eves(days: Callable[..., Case]) -> None:
    case = drawn_case(days(**DAY_AHEAD, disturbances=[SHOCK]), Trial(0, 2, 3))
    found = instants(case)
    assert set(np.array(found) * 8 // case.grid.intervals) == set(range(8))
    assert 34 in found, "17:20 comes after the decision on 17:00 and before that on 17:30"
    assert 26 in found and 26 + PER_DAY not in found, "what is published last is for no day here"
    assert found == instants(case) == sorted(set(found))
    assert instants(drawn_case(case, Trial(0, 1, 4))) != instants(drawn_case(case, Trial(0, 1, 5)))


def test_the_past_stays_as_it_is(days: Callable[..., Case]) -> None:
    case = drawn_case(days(**DAY_AHEAD, disturbances=[SHOCK]), Trial(0, 2, 3))
    k = 20
    other = other_future(case, k)
    for name in ("load_kw", "load_kvar", "pv_kw"):
        one, two = (getattr(each.profiles, name) for each in (case, other))
        assert np.array_equal(one[: k + 1], two[: k + 1])
        assert (one[k + 1 :] != two[k + 1 :])[one[k + 1 :] != 0.0].all()
    one, two = (each.tariffs.retail_eur_per_kwh for each in (case, other))
    assert np.array_equal(one[:PER_DAY], two[:PER_DAY]) and (one != two)[PER_DAY:].all()
    assert (two >= other.tariffs.feed_in_eur_per_kwh).all()
    assert not other.scenario.disturbances and case.scenario.disturbances


def test_draws_change_from_an_interval_on_and_nowhere_else() -> None:
    plain, other = (Draws(seed, ("a", "b"), "x", 4, 2) for seed in (1, 2))
    changed = Draws(1, ("a", "b"), "x", 4, 2, Reseeded(6, 2))
    for k in (0, 5, 6, 7, 5, 9, 4):
        assert np.array_equal(changed.at(k), (plain if k < 6 else other).at(k))
