"""The inverter that PV and battery share: one range for guard, plant and learners."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosim.delivery import flows
from cosim.episode import whole
from cosim.guard import Decision, Guarded, Outlook, guard
from cosim.lanes import Lanes
from cosim.physics.battery import feasible_range_kw, pv_fed_kw
from cosim.population import Population
from cosim.reason import Reason
from cosim.record import MemoryRecorder
from cosim.record.ledgers import device_breaches
from cosim.simulation import Simulation

PopulationOf = Callable[..., Population]
N, HOURS = 40, 0.25
NONE = np.zeros(N, dtype=bool)


def drawn(population_of: PopulationOf, seed: int) -> tuple[Population, Outlook, Decision, Any]:
    """Return homes with inverters, some endless, PV below and above them, and wild requests."""
    draw = np.random.default_rng(seed)
    capacity = draw.choice([0.0, 5.0, 20.0], N)
    home = population_of(
        N,
        capacity_kwh=capacity,
        rating_kw=np.where(capacity > 0.0, draw.uniform(0.5, 10.0, N), 0.0),
        max_kwh=capacity,
        efficiency=draw.uniform(0.6, 1.0, N),
        inverter_kva=draw.choice([2.0, 5.0, 8.0, np.inf], N),
    )
    zero = np.zeros(N)
    energy = capacity * draw.choice([0.0, 1.0, 0.5, 0.02], N)
    pv = draw.uniform(0.0, 12.0, N) * draw.choice([0.0, 1.0], N)
    power = draw.uniform(-15.0, 15.0, N)
    power = np.where(draw.random(N) < 0.15, draw.choice([np.nan, np.inf, 0.0], N), power)
    outlook = Outlook(energy, draw.uniform(0, 5, N), pv, zero + 0.3, zero + 0.1)
    before = np.clip(draw.uniform(-12.0, 12.0, N), -home.rating_kw, home.rating_kw)
    return home, outlook, Decision(power, zero, zero), before


def guarded(home: Population, outlook: Outlook, asked: Decision, before: Any = None) -> Guarded:
    return guard(home, outlook, asked, HOURS, own_quantity=NONE, own_price=NONE, before_kw=before)


@given(st.integers(0, 100_000), st.sampled_from([None, 0.5, 3.0]))
def test_what_flows_fits_through_the_inverter(
    population_of: PopulationOf, seed: int, ramp: float | None
) -> None:
    """With the reactive power of the inverter at 0, p^2 + q^2 <= s^2 is |pv - battery| <= s."""
    home, outlook, asked, before = drawn(population_of, seed)
    if ramp is not None:
        home = replace(home, ramp_kw=np.full(N, ramp))
    assert home.inverter_kva is not None
    zero = np.zeros(N)
    set_kw = np.where(np.isfinite(asked.battery_kw), asked.battery_kw, 0.0)
    ran = flows(home, outlook.energy_kwh, set_kw, outlook.load_kw, zero, outlook.pv_kw, NONE,
                HOURS, None, before)  # fmt: skip
    assert (np.abs(ran.pv_kw - ran.battery_kw) <= home.inverter_kva * (1 + 1e-12)).all()
    assert (ran.pv_kw >= 0.0).all() and (ran.pv_kw <= outlook.pv_kw).all()
    assert not ran.curtailed_kw.any()
    lost = ran.pv_kw < outlook.pv_kw  # only where the inverter is full
    full = np.isclose(ran.pv_kw - ran.battery_kw, home.inverter_kva, rtol=1e-12)
    assert full[lost].all()
    first = np.minimum(outlook.pv_kw, home.inverter_kva)  # PV goes first
    assert (ran.pv_kw >= first - 1e-12).all()
    free = feasible_range_kw(home, outlook.energy_kwh, HOURS)
    assert ((free[0] <= ran.battery_kw) & (ran.battery_kw <= free[1])).all()


@given(st.integers(0, 100_000), st.sampled_from([None, 0.5, 3.0]))
def test_the_guard_is_the_plant_and_says_why(
    population_of: PopulationOf, seed: int, ramp: float | None
) -> None:
    home, outlook, asked, before = drawn(population_of, seed)
    home = home if ramp is None else replace(home, ramp_kw=np.full(N, ramp))
    done = guarded(home, outlook, asked, before)
    power = done.decision.battery_kw
    zero = np.zeros(N)
    ran = flows(home, outlook.energy_kwh, power, outlook.load_kw, zero, outlook.pv_kw, NONE,
                HOURS, None, before)  # fmt: skip
    assert np.array_equal(ran.battery_kw, power)
    np.testing.assert_allclose(done.position_kwh, ran.net_kw * HOURS, rtol=0, atol=1e-12)
    again = guarded(home, outlook, replace(asked, battery_kw=power), before)
    assert np.array_equal(again.decision.battery_kw, power)
    assert not (again.reason & (Reason.INVERTER | Reason.RATING | Reason.ENERGY)).any()
    request = np.where(done.reason & Reason.NOT_FINITE, 0.0, asked.battery_kw)
    low, high = feasible_range_kw(home, outlook.energy_kwh, HOURS)
    alone = np.clip(request, low, high)
    kva = home.inverter_kva
    room = np.clip(alone, np.minimum(outlook.pv_kw, kva) - kva, outlook.pv_kw + kva)
    assert np.array_equal((done.reason & Reason.INVERTER) != 0, room != alone)


def test_known_homes(population_of: PopulationOf) -> None:
    """Of 5 kVA: PV 3 leaves 2 to discharge; PV 7 none, and 2 of it charge or are lost."""
    home = population_of(4, capacity_kwh=20.0, rating_kw=10.0, max_kwh=20.0, inverter_kva=5.0)
    energy, pv = np.full(4, 10.0), np.array([0.0, 3.0, 7.0, 7.0])
    low, high = feasible_range_kw(home, energy, HOURS, None, pv)
    assert low.tolist() == [-5.0, -2.0, 0.0, 0.0]
    assert high.tolist() == [5.0, 8.0, 10.0, 10.0]
    assert pv_fed_kw(home, pv, np.array([-5.0, -2.0, 0.0, 1.5])).tolist() == [0.0, 3.0, 5.0, 6.5]


@given(st.integers(0, 100_000))
def test_without_one_nothing_changes(population_of: PopulationOf, seed: int) -> None:
    home, outlook, asked, before = drawn(population_of, seed)
    plain = replace(home, inverter_kva=None)
    endless = replace(home, inverter_kva=np.full(N, np.inf))
    one, other = (guarded(each, outlook, asked, before) for each in (plain, endless))
    for name, value in vars(one.decision).items():
        assert value.tobytes() == getattr(other.decision, name).tobytes(), name
    assert one.position_kwh.tobytes() == other.position_kwh.tobytes()
    assert one.reason.tobytes() == other.reason.tobytes()


@given(st.integers(0, 100_000), st.sampled_from([None, 0.5, 3.0]))
def test_the_torch_twin_does_the_same(
    population_of: PopulationOf, seed: int, ramp: float | None
) -> None:
    torch = pytest.importorskip("torch")
    from cosim.training.torch_guard import TorchDecision, TorchOutlook, torch_guard

    home, outlook, asked, before = drawn(population_of, seed)
    home = home if ramp is None else replace(home, ramp_kw=np.full(N, ramp))
    done = guarded(home, outlook, asked, before)
    columns = {name: torch.tensor(value) for name, value in vars(outlook).items()}
    wanted = {name: torch.tensor(value) for name, value in vars(asked).items()}
    none = torch.zeros(N, dtype=torch.bool)
    # fmt: off
    twin = torch_guard(home, TorchOutlook(**columns), TorchDecision(**wanted), HOURS,
                       own_quantity=none, own_price=none, before_kw=torch.tensor(before))
    # fmt: on
    assert np.array_equal(twin.decision.battery_kw.numpy(), done.decision.battery_kw)
    assert np.array_equal(twin.position_kwh.numpy(), done.position_kwh)
    assert np.array_equal(twin.reason.numpy(), done.reason)


def shared(village: Any, **changes: Any) -> Any:
    groups = {
        "owners": {"members": ["a", "b", "c"], "policy": "rule", "battery": {"inverter_kva": 2.0}},
        "wild": {"members": "battery", "policy": "random", "battery": {"inverter_kva": 3.0}},
        "others": {"members": "all", "policy": "passive"},
    }
    return village.case(groups=groups, **changes)


def test_a_run_keeps_it_also_where_the_world_changes_while_power_flows(
    village: Any, diary_of: Any
) -> None:
    cloud = {"kind": "pv_collapse", "start": "2016-07-18 11:07:30", "end": "2016-07-18 13:50:10",
             "pv_factor": 0.2}  # fmt: skip
    case = shared(village, disturbances=[cloud], forecast="persistence")
    kva = case.population.inverter_kva
    assert np.array_equal(kva[:4], [2.0, 2.0, 2.0, 3.0]) and np.isinf(kva[4])
    diary, free = diary_of(case), diary_of(village.case(disturbances=[cloud]))
    flagged, lost = 0, 0.0
    for kept, other in zip(diary.intervals, free.intervals, strict=True):
        m = kept.metered
        through = np.abs(m.pv_kwh - m.charge_kwh + m.discharge_kwh)
        assert (through <= 0.5 * kva * (1 + 1e-12)).all()
        flagged += int((kept.trade.guarded.reason & Reason.INVERTER != 0).sum())
        lost += float((other.metered.pv_kwh - m.pv_kwh).sum())
        assert not m.curtailed_kwh.any()
    assert flagged > 5 and lost > 1.0


def test_lanes_keep_it_as_runs_do(village: Any, diary_of: Any) -> None:
    case = shared(village)
    diary, lanes = diary_of(case), Lanes(case, [whole(case)])
    for kept in diary.intervals:
        step = lanes.step()
        for name in ("pv_kwh", "charge_kwh", "discharge_kwh"):
            np.testing.assert_allclose(
                getattr(step.metered, name)[0], getattr(kept.metered, name), rtol=0, atol=1e-9
            )
        assert np.array_equal(step.trade.guarded.reason[0], kept.trade.guarded.reason)


def test_the_feasible_power_that_policies_see_knows_it(village: Any) -> None:
    case = shared(village)
    view = Lanes(case, [whole(case)]).view
    low, high = view.feasible_kw
    want = feasible_range_kw(case.population, view.energy_kwh, 0.5, view.battery_kw,
                             view.forecast_pv_kw)  # fmt: skip
    assert np.array_equal(low, want[0]) and np.array_equal(high, want[1])
    assert low[0, :4].tolist() == [-2.0, -2.0, -2.0, -3.0]  # at night, by the inverter alone


def test_a_breach_is_found_in_recorded_energies(population_of: PopulationOf) -> None:
    home = population_of(3, capacity_kwh=20.0, rating_kw=10.0, max_kwh=20.0, inverter_kva=4.0)
    zero = np.zeros((1, 3))
    recorded = {
        "pv_kwh": np.array([[1.0, 1.0, 0.5]]),
        "charge_kwh": zero,
        "discharge_kwh": np.array([[0.0, 0.1, 0.5]]),
        "energy_kwh": zero,
        "before_kwh": np.array([[0.0, 0.2, 0.6]]),
    }
    home = replace(home, min_kwh=np.zeros(3))
    assert device_breaches(recorded, home, HOURS).tolist() == [[False, True, False]]
    free = replace(home, inverter_kva=None)
    assert not device_breaches(recorded, free, HOURS).any()


def test_a_recorded_run_has_no_breach(village: Any) -> None:
    case = shared(village)
    recorder = MemoryRecorder(case)
    books = Simulation(case, recorder).run()
    assert recorder.finish(books, {}).kpis["device_breaches"] == 0.0
