"""Rounds of trading: each delivery is traded several times, and settled once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from cosim.case import Case
from cosim.desk import Desk
from cosim.errors import InputError
from cosim.observe import View
from cosim.record import MemoryRecorder
from cosim.record.day import Day, Scope, stack
from cosim.record.tables import tables_of
from cosim.simulation import Simulation


def case_of(village: Any, rounds: int, **more: Any) -> Case:
    """Return the village whose book opens ten minutes ahead, everybody on the simplest rule."""
    changes = {
        "time": {"start": "2016-07-18", "days": 1, "interval_minutes": 30,
                 "gate_lead_seconds": 600},
        "market": {"kind": "order_book", "rounds": rounds},
        "policies": {"rule": "passive", "passive": "passive", "random": "passive"},
        "latency": {"min_s": 0, "max_s": 0},
        "disturbances": [],
        "forecast": {"kind": "noisy", "load_error": 0.6, "pv_error": 0.6},
    }  # fmt: skip
    return village.case(**(changes | more))


def test_rounds_share_the_lead_and_none_touches_another(village: Any) -> None:
    grid = case_of(village, 4).grid
    seconds = [s for turn in range(4) for s in (grid.decide_s(7, turn), grid.close_s(7, turn))]
    assert grid.open_s(7) < seconds[0] and seconds[-1] == grid.start_s(7) - 1
    assert all(one < other for one, other in pairwise(seconds))
    lengths = [b - a for a, b in zip(seconds[::2], seconds[1::2], strict=True)]
    assert max(lengths) - min(lengths) <= 1 and min(lengths) >= 147
    single = case_of(village, 1).grid
    assert (single.decide_s(3), single.close_s(3)) == (single.open_s(3) + 1, single.start_s(3) - 1)


@pytest.mark.parametrize(("rounds", "lead"), [(4, 11), (12, 35)])
def test_rounds_that_do_not_fit_are_refused(village: Any, rounds: int, lead: int) -> None:
    time = {"start": "2016-07-18", "days": 1, "interval_minutes": 30, "gate_lead_seconds": lead}
    with pytest.raises(InputError, match=f"{rounds} rounds of trading in {lead} s"):
        case_of(village, rounds, time=time)
    time["gate_lead_seconds"] = 3 * rounds
    assert case_of(village, rounds, time=time).grid.rounds == rounds


def test_an_order_is_for_what_the_position_still_lacks(village: Any, diary_of: Any) -> None:
    kept = diary_of(case_of(village, 3))
    later = 0
    for interval in kept.intervals:
        held = np.zeros(10)
        for number, turn in enumerate(interval.trade.rounds):
            outlook = turn.asked.outlook
            position = (outlook.load_kw - outlook.pv_kw) * 0.5
            assert turn.orders.quantity_kwh == pytest.approx(position - held, abs=1e-12)
            later += number > 0 and bool((turn.clearing.fills_kwh != 0.0).any())
            held = held + turn.clearing.fills_kwh
        assert interval.bills.traded_kwh == pytest.approx(held, abs=1e-12)
        paid = sum(turn.clearing.payment_eur for turn in interval.trade.rounds)
        assert interval.bills.trade_eur == pytest.approx(paid, abs=1e-12)
        volume = float(interval.trade.total.volume_kwh)
        assert volume == pytest.approx(np.maximum(held, 0.0).sum(), abs=1e-12)
    assert later > 20


HOURLY = {"start": "2016-07-18", "days": 1, "interval_minutes": 60, "gate_lead_seconds": 3590}


def test_forecasts_err_less_near_delivery_and_leave_less_imbalance(
    village: Any, diary_of: Any
) -> None:
    """Horizons of 90, 75, 60 and 45 minutes to the middle of the delivery."""

    def imbalance(kept: Any) -> float:
        return sum(float(np.abs(i.bills.imbalance_kwh).sum()) for i in kept.intervals)

    many, one = (diary_of(case_of(village, rounds, time=HOURLY)) for rounds in (4, 1))
    errors = [
        [np.log(t.asked.outlook.load_kw / i.metered.load_kwh).std() for t in i.trade.rounds]
        for i in many.intervals
    ]
    first, *_, last = np.mean(errors, axis=0)
    sigma = [np.sqrt(np.log1p(0.36 * hours)) for hours in (1.5, 0.75)]
    assert first / last == pytest.approx(sigma[0] / sigma[1], rel=0.01)
    assert imbalance(many) < 0.9 * imbalance(one)


def test_what_was_bought_and_sold_again_is_no_volume(village: Any, diary_of: Any) -> None:
    """Gross turnover of the rounds exceeds what changes hands in the end."""
    kept = diary_of(case_of(village, 6))
    gross = sum(float(t.clearing.volume_kwh) for i in kept.intervals for t in i.trade.rounds)
    net = sum(float(i.trade.total.volume_kwh) for i in kept.intervals)
    assert net < gross - 0.1


def test_one_round_is_what_it_was_without_rounds(village: Any, diary_of: Any) -> None:
    plain = diary_of(case_of(village, 1, market="order_book"))
    single = diary_of(case_of(village, 1))
    for one, other in zip(plain.intervals, single.intervals, strict=True):
        assert np.array_equal(one.bills.bill_eur, other.bills.bill_eur)
        assert not one.trade.earlier and one.trade.total is one.trade.clearing


def test_a_late_order_misses_its_round_and_no_other(village: Any, diary_of: Any) -> None:
    """A round takes 150 s; an order that travels longer is not in any later book."""
    kept = diary_of(case_of(village, 4, latency={"min_s": 140, "max_s": 180}))
    grid = case_of(village, 4).grid
    seen = set()
    for interval in kept.intervals:
        for number, turn in enumerate(interval.trade.rounds):
            in_time = turn.asked.arrival_s < grid.close_s(interval.index, number)
            assert np.array_equal(turn.arrived, in_time)
            seen |= set(in_time.tolist())
            assert not turn.clearing.fills_kwh[~in_time].any()
    assert seen == {True, False}


def test_tables_tell_the_rounds_apart_and_figures_add_them_up(
    village: Any, diary_of: Callable[[Case], Any]
) -> None:
    case = case_of(village, 3, policies={"rule": "random", "passive": "random", "random": "random"})
    kept, scope = diary_of(case), Scope(case)
    stacked = stack(Day(0, kept.intervals, kept.solves), scope)
    tables = tables_of(stacked, scope)
    market, orders, trades = (tables[name] for name in ("market", "orders", "trades"))
    assert market["round"].tolist() == [0, 1, 2] * 48 and set(orders["round"]) == {0, 1, 2}
    fills = np.stack([t.clearing.fills_kwh for i in kept.intervals for t in i.trade.rounds])
    assert trades["energy_kwh"].sum() == pytest.approx(0.0, abs=1e-9)
    assert np.maximum(trades["energy_kwh"], 0.0).sum() == pytest.approx(np.maximum(fills, 0).sum())
    recorder = MemoryRecorder(case)
    books = Simulation(case, recorder).run()
    kpis = recorder.finish(books, {}).kpis
    assert kpis["orders_sent"] == len(orders["quantity_kwh"])
    net = np.maximum(fills.reshape(48, 3, 10).sum(1), 0.0).sum()
    assert kpis["traded_kwh"] == pytest.approx(net)
    changed = tables["interventions"]
    assert np.isnan(changed["executed_kw"]).sum() == (changed["round"] < 2).sum() > 0
    reasons = sum((t.guarded.reason != 0).sum() for i in kept.intervals for t in i.trade.rounds)
    assert kpis["interventions"] == reasons
    assert books.money_error <= 1e-9


def test_lanes_say_that_they_know_one_round_only(village: Any) -> None:
    from cosim.episode import whole
    from cosim.lanes import Lanes

    case = case_of(village, 2)
    with pytest.raises(InputError, match="2 rounds"):
        Lanes(case, [replace(whole(case))])


def test_check_doubts_rounds_that_end_before_any_order_arrives(
    village: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    from cosim.__main__ import main

    time = {"start": "2016-07-18", "days": 1, "interval_minutes": 30, "gate_lead_seconds": 60}
    for rounds, late in ((12, True), (1, False)):
        market = {"kind": "order_book", "rounds": rounds}
        path = village.write(time=time, market=market, latency={"min_s": 5, "max_s": 9})
        assert main(["check", str(path)]) == 0
        assert ("every order travels 5 s or longer and is late" in capsys.readouterr().err) is late


def test_policies_see_what_they_hold_and_how_far_delivery_is(
    village: Any, diary_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[View] = []
    ask = Desk.ask

    def watched(desk: Desk, view: View, *rest: Any) -> Any:
        seen.append(view)
        return ask(desk, view, *rest)

    monkeypatch.setattr(Desk, "ask", watched)
    kept = diary_of(case_of(village, 3, time=HOURLY))
    turns = [turn for interval in kept.intervals for turn in interval.trade.rounds]
    assert len(seen) == len(turns) == 72
    for number, view in enumerate(seen):
        before = turns[number - number % 3 : number]
        held = sum((turn.clearing.fills_kwh for turn in before), np.zeros(10))
        assert view.held_kwh == pytest.approx(held, abs=1e-12)
        horizon_s = 1800 + 3590 - (number % 3) * 3590 // 3 - 1
        assert view.horizon_h == pytest.approx(horizon_s / 3600, abs=1e-9)
    assert any(view.held_kwh.any() for view in seen)
