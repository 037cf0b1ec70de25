"""The ledgers of safety kept apart: what policies asked, what guard and supervisor made of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cosim.case import Case, network_guard
from cosim.guard import guard
from cosim.population import Population
from cosim.reason import SUPERVISED, Reason
from cosim.record import MemoryRecorder
from cosim.record.day import Day, Scope, stack
from cosim.record.ledgers import device_breaches
from cosim.record.tables import tables_of
from cosim.simulation import Simulation
from cosim.supervision import Supervision
from cosim.trade import Asked, Meddling, Trade, trade

HOURS = 0.25
TIME = {"start": "2016-07-18", "days": 1, "interval_minutes": 15}


def wild(village: Any, **more: Any) -> Case:
    """Return a case whose batteries ask at random for more than they have."""
    groups = {
        "wild": {"members": "battery", "policy": "wild", **more.pop("group", {})},
        "rest": {"members": "all", "policy": "passive"},
    }
    policies = {"wild": "random", "passive": "passive"}
    return village.case(time=TIME, policies=policies, groups=groups, disturbances=[], **more)


def cleared(case: Case, asked: Asked, **how: Any) -> Trade:
    """Return the trade of an interval of a case, all orders in time."""
    everybody = np.ones(len(case.population), dtype=bool)
    return trade(case.population, case.market, asked, everybody, HOURS, **how)


def faultless(case: Case, diary: Any, k: int) -> Asked:
    """Return an interval in which everybody asks for what the guard would give them anyway."""
    told = diary.intervals[k].trade
    ones = np.ones(len(case.population), dtype=bool)
    asked = replace(told.asked, requested=told.guarded.decision)
    return replace(asked, own_quantity=ones, own_price=ones)


# ------------------------------------------------------------------ 1: what policies asked for


def test_what_the_feeder_needs_is_no_fault_of_a_request(village: Any, diary_of: Any) -> None:
    """A battery that is moved for a line has its order cut; its policy asked for nothing wrong."""
    case = wild(village)
    tight = replace(case.limits, line_percent=0.5)
    network = replace(network_guard(_projecting(village), case.feeder.twin()), limits=tight)
    diary, moved, cut = diary_of(case), 0, 0
    for k in range(40, 60):
        asked = faultless(case, diary, k)
        assert not cleared(case, asked).guarded.reason.any()
        kept = cleared(case, asked, network=network)
        assert not kept.faults.any()
        moved += int((kept.guarded.reason & Reason.NETWORK != 0).sum())
        cut += int((kept.guarded.reason & Reason.QUANTITY != 0).sum())
    assert moved > 20 and cut > 0


def _projecting(village: Any) -> Case:
    return wild(village, guard={"network": "project"})


def test_a_greedy_neighbour_s_disturbance_is_no_fault_of_a_policy(
    village: Any, diary_of: Any
) -> None:
    case = wild(village)
    asked = faultless(case, diary_of(case), 50)
    ones = np.ones(len(case.population))
    greed = Meddling(3.0 * ones, 0.0 * ones, ones, 0.0 * ones)
    told = cleared(case, replace(asked, meddling=greed))
    ordered = asked.requested.quantity_kwh != 0.0
    assert ordered.any() and not told.faults.any()
    assert np.array_equal(told.guarded.reason & Reason.QUANTITY != 0, ordered)


def test_a_rejected_row_stays_rejected_under_a_greedy_disturbance(
    village: Any, diary_of: Any
) -> None:
    """Greed takes no order from a row that is no number: battery idle and nothing ordered."""
    case = wild(village)
    asked = faultless(case, diary_of(case), 50)
    row = int(np.flatnonzero(asked.requested.quantity_kwh)[0])
    price = asked.requested.price_eur_per_kwh.copy()
    price[row] = np.nan
    wrong = replace(asked.requested, price_eur_per_kwh=price)
    ones = np.ones(len(case.population))
    greed = Meddling(3.0 * ones, 0.5 * ones, ones, 0.0 * ones)
    plain = cleared(case, replace(asked, requested=wrong)).guarded.decision
    told = cleared(case, replace(asked, requested=wrong, meddling=greed))
    assert told.guarded.decision.price_eur_per_kwh[row] == plain.price_eur_per_kwh[row]
    assert told.guarded.decision.battery_kw[row] == told.orders.quantity_kwh[row] == 0.0
    assert told.guarded.reason[row] == told.faults[row] == Reason.NOT_FINITE


def test_a_request_that_is_no_number_has_no_other_fault(village: Any, diary_of: Any) -> None:
    """With a ramp its battery cannot stop at once, which is no second fault."""
    case = wild(village, group={"battery": {"ramp_kw_per_interval": 0.1}})
    told = diary_of(case).intervals[50].trade
    power = np.full(len(case.population), np.nan)
    asked = replace(told.asked, requested=replace(told.asked.requested, battery_kw=power))
    assert (cleared(case, asked).faults == Reason.NOT_FINITE).all()


@pytest.mark.parametrize(
    ("battery", "kpi", "flag"),
    [
        ({"ramp_kw_per_interval": 0.5}, "request_over_ramp", Reason.RAMP),
        ({"inverter_kva": 1.0}, "request_over_inverter", Reason.INVERTER),
    ],
)
def test_requests_beyond_ramp_and_inverter_are_counted_and_devices_keep_them(
    village: Any, diary_of: Any, battery: dict[str, float], kpi: str, flag: Reason
) -> None:
    case = wild(village, group={"battery": battery})
    recorder = MemoryRecorder(case)
    outcome = recorder.finish(Simulation(case, recorder).run(), {})
    flags = np.array([i.trade.guarded.reason & flag != 0 for i in diary_of(case).intervals])
    assert outcome.facts.interval[kpi].sum() == flags.sum() > 50
    single = [
        n for n in outcome.facts.interval if n.startswith("request_") and n != "request_breaches"
    ]
    assert outcome.kpis["request_breaches"] == sum(
        outcome.facts.interval[name].sum() for name in single
    )
    assert outcome.kpis["device_breaches"] == 0.0


# ------------------------------------------------------------------ 2: what the supervisor did


def overseen(village: Any, tmp_path: Path, **how: Any) -> Case:
    """Return the case with a supervisor that is never content."""
    d = 4
    path = tmp_path / "never.json"
    never = Supervision(
        blocks_per_day=1, interval_s=900, mean=((1e6,) * d,), threshold_day=1.0,
        features=("rating_kw", "forecast_net_kw", "bid_limit_eur_per_kwh", "feed_in_eur_per_kwh"),
        precision=(tuple(tuple(map(float, row)) for row in np.eye(d)),), alarm_rate=0.05,
        calibration_days=20, persistence_k=1, persistence_m=1, hysteresis=0.5,
    )  # fmt: skip
    path.write_text(never.model_dump_json())
    return wild(village, supervisors={"wild": {"statistics": str(path), **how}})


@pytest.mark.parametrize("fallback", ["self_consumption", "idle"])
def test_under_supervision_the_policy_s_own_request_is_on_record(
    village: Any, tmp_path: Path, diary_of: Any, fallback: str
) -> None:
    case = overseen(village, tmp_path, fallback=fallback)
    diary = diary_of(case)
    rows = next(seat.rows for seat in case.seats if seat.name == "wild")
    seen = np.zeros(len(case.population), dtype=bool)
    seen[rows] = True
    free = diary_of(wild(village))
    for k, (one, other) in enumerate(zip(diary.intervals, free.intervals, strict=True)):
        told, asked = one.trade, one.trade.asked
        own = asked.by_policies
        if k == 0:  # the same state: the same requests
            assert np.array_equal(own.quantity_kwh, other.trade.asked.requested.quantity_kwh)
            assert np.array_equal(told.faults, other.trade.faults)
            assert told.faults[rows].any()
        assert np.array_equal(asked.supervised == Reason.FALLBACK, seen)
        outlook, before = asked.outlook, asked.battery_kw
        alone = guard(
            case.population, outlook, own, HOURS, own_quantity=seen, own_price=seen,
            before_kw=before,
        )  # fmt: skip
        assert np.array_equal(told.faults, alone.reason)
        step = told.guarded.decision.battery_kw - alone.decision.battery_kw
        assert np.array_equal(told.overruled_kw, step)
        assert not step[~seen].any()
    stacked = stack(Day(0, diary.intervals, diary.solves), Scope(case))
    table = tables_of(stacked, Scope(case))["interventions"]
    assert len(table["requested_kw"]) == 96 * len(rows)
    wanted = np.array([i.trade.asked.by_policies.battery_kw[rows] for i in diary.intervals])
    assert np.array_equal(table["requested_kw"], wanted.ravel())
    stood = np.array([i.trade.asked.requested.battery_kw[rows] for i in diary.intervals])
    assert np.array_equal(table["stand_in_kw"], stood.ravel())
    assert stood.any() == (fallback == "self_consumption")
    assert "RATING" in {name.split("|")[0] for name in table["faults"].names}
    recorder = MemoryRecorder(case)
    outcome = recorder.finish(Simulation(case, recorder).run(), {})
    moved = sum(np.abs(i.trade.overruled_kw).sum() for i in diary.intervals) * HOURS
    assert outcome.kpis["fallback_kwh"] == pytest.approx(moved, rel=1e-12) and moved > 10.0
    assert outcome.kpis["fallback_intervals"] == 96 * len(rows)
    assert outcome.kpis["fallback_locked_out"] == outcome.kpis["fallback_impossible"] == 0.0
    assert outcome.kpis["request_breaches"] > 96  # what the policy asked, not its stand-in
    cut = sum((i.trade.guarded.reason & ~SUPERVISED != 0).sum() for i in diary.intervals)
    assert outcome.kpis["interventions"] == cut < 96


def test_why_stand_ins_decide_is_counted(village: Any, tmp_path: Path) -> None:
    """Locked out by the first alarm: the run knows of one reason only; impossible ones apart."""
    case = overseen(village, tmp_path, lockout_alarms=1)
    first = next(seat for seat in case.seats if seat.name == "wild").rows[0]

    def sensors(observations: np.ndarray, rows: np.ndarray, interval: int) -> np.ndarray:
        wrong = (rows == first) & (10 <= interval < 15)
        return np.where(wrong[:, None], np.nan, observations)

    def kpis(case: Case) -> dict[str, float]:
        seats = tuple(
            replace(s, sensors=sensors) if s.supervisor is not None else s for s in case.seats
        )
        recorder = MemoryRecorder(replace(case, seats=seats))
        return recorder.finish(Simulation(replace(case, seats=seats), recorder).run(), {}).kpis

    locked = kpis(case)
    assert locked["fallback_locked_out"] == locked["fallback_intervals"] > 0.0
    assert locked["fallback_impossible"] == 0.0
    patient = kpis(overseen(village, tmp_path, lockout_alarms=9))
    assert (patient["fallback_impossible"], patient["fallback_locked_out"]) == (5.0, 0.0)


# ------------------------------------------------------------------ 3: what devices did


def test_a_ramp_that_is_not_kept_is_found_in_recorded_energies(
    population_of: Callable[..., Population],
) -> None:
    """1 kW an interval; what ran empty or full, and what is not known, is let be."""
    home = population_of(1, capacity_kwh=20.0, rating_kw=10.0, max_kwh=20.0, ramp_kw=1.0)
    power = np.array([0.0, 1.0, 3.0, 3.0, -3.0, -4.0, 0.0, np.nan, 4.0, 0.0, 1.0])[:, None]
    executed = np.where(np.isnan(power), 2.0, power)
    energy = np.full_like(power, 10.0)
    energy[6], energy[9] = 0.0, 20.0  # run empty, and full
    recorded = {
        "pv_kwh": np.zeros_like(power),
        "charge_kwh": np.maximum(executed, 0.0) * HOURS,
        "discharge_kwh": np.maximum(-executed, 0.0) * HOURS,
        "energy_kwh": energy,
        "before_kwh": energy - executed * HOURS,
        "steady_kw": power,
        "before_kw": np.concatenate((np.zeros((1, 1)), power[:-1])),
    }
    found = device_breaches(recorded, home, HOURS)[:, 0]
    assert np.flatnonzero(found).tolist() == [2, 4]
    free = replace(home, ramp_kw=None)
    assert not device_breaches(recorded, free, HOURS).any()
    shared = replace(home, inverter_kva=np.array([3.0]))  # at 3 kW it has no more room
    assert np.flatnonzero(device_breaches(recorded, shared, HOURS)[:, 0]).tolist() == [5, 8]


def test_a_plant_without_its_ramp_is_found_out(village: Any) -> None:
    """The recorder holds what flowed against the limits of the case, over midnight too."""
    case = wild(village, group={"battery": {"ramp_kw_per_interval": 0.5}})

    def breaches(ran: Case) -> float:
        recorder = MemoryRecorder(case)
        return recorder.finish(Simulation(ran, recorder).run(), {}).kpis["device_breaches"]

    assert breaches(case) == 0.0
    free = replace(case, population=replace(case.population, ramp_kw=None))
    assert breaches(free) > 100.0
