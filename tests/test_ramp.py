"""The ramp limit: one range for guard, plant and learners, and nothing changes without it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosim.delivery import flows
from cosim.guard import Decision, Outlook, guard
from cosim.physics.battery import feasible_range_kw
from cosim.population import Population
from cosim.reason import Reason

PopulationOf = Callable[..., Population]
N = 40


def drawn(population_of: PopulationOf, seed: int, ramp: Any) -> tuple[Any, ...]:
    """Return homes, an outlook, requests and the power before; a third of the requests wild."""
    draw = np.random.default_rng(seed)
    capacity = draw.uniform(0.5, 30.0, N)
    home = population_of(
        N,
        capacity_kwh=capacity,
        rating_kw=draw.uniform(0.5, 10.0, N),
        max_kwh=capacity,
        efficiency=draw.uniform(0.6, 1.0, N),
        self_discharge_per_h=0.001,
        **({} if ramp is None else {"ramp_kw": ramp * draw.uniform(0.5, 2.0, N)}),
    )
    zero = np.zeros(N)
    energy = capacity * draw.choice([0.0, 1.0, 0.5, 0.01, 0.99], N)
    outlook = Outlook(energy, draw.uniform(0, 5, N), zero, zero + 0.3, zero + 0.1)
    power = draw.uniform(-15.0, 15.0, N)
    power = np.where(draw.random(N) < 0.2, draw.choice([np.nan, np.inf, 0.0, -0.0], N), power)
    before = np.clip(draw.uniform(-12.0, 12.0, N), -home.rating_kw, home.rating_kw)
    return home, outlook, Decision(power, zero, zero), before


def guarded(home: Population, outlook: Outlook, request: Decision, before: Any) -> Any:
    none = np.zeros(N, dtype=bool)
    return guard(home, outlook, request, 0.25, own_quantity=none, own_price=none, before_kw=before)


@given(st.integers(0, 10_000), st.sampled_from([0.2, 1.0, 5.0]))
def test_power_stays_within_the_ramp_unless_the_energy_forces_it(
    population_of: PopulationOf, seed: int, ramp: float
) -> None:
    home, outlook, request, before = drawn(population_of, seed, ramp)
    assert home.ramp_kw is not None
    free = feasible_range_kw(home, outlook.energy_kwh, 0.25)
    low, high = feasible_range_kw(home, outlook.energy_kwh, 0.25, before)
    assert ((free[0] <= low) & (low <= high) & (high <= free[1])).all()
    done = guarded(home, outlook, request, before)
    power = done.decision.battery_kw
    assert ((low <= power) & (power <= high)).all()
    reached = (before - home.ramp_kw <= free[1]) & (before + home.ramp_kw >= free[0])
    assert (np.abs(power - before)[reached] <= home.ramp_kw[reached] + 1e-12).all()
    nearest = np.where(before > power, free[1], free[0])
    assert np.array_equal(power[~reached], nearest[~reached])
    nothing = np.zeros(N)
    flow = flows(
        home,
        outlook.energy_kwh,
        power,
        nothing,
        nothing,
        nothing,
        nothing.astype(bool),
        0.25,
        before_kw=before,
    )
    assert np.array_equal(flow.battery_kw, power)  # the plant executes it exactly
    again = guarded(home, outlook, done.decision, before)
    assert again.decision.battery_kw.tobytes() == power.tobytes()
    assert not again.reason.any()


@given(st.integers(0, 10_000))
def test_the_reason_tells_the_ramp_from_the_energy(population_of: PopulationOf, seed: int) -> None:
    home, outlook, request, before = drawn(population_of, seed, 1.0)
    done, plain = guarded(home, outlook, request, before), guarded(home, outlook, request, None)
    ramped = done.decision.battery_kw != plain.decision.battery_kw
    assert np.array_equal((done.reason & Reason.RAMP) != 0, ramped)
    assert np.array_equal(done.reason & ~Reason.RAMP, plain.reason)


@given(st.integers(0, 10_000))
def test_without_a_ramp_no_bit_changes(population_of: PopulationOf, seed: int) -> None:
    home, outlook, request, before = drawn(population_of, seed, None)
    with_, without = (guarded(home, outlook, request, b) for b in (before, None))
    endless, *_ = drawn(population_of, seed, np.inf)
    for done in (with_, guarded(endless, outlook, request, before)):
        for name, value in vars(without.decision).items():
            assert np.array_equal(getattr(done.decision, name), value)
        assert np.array_equal(done.reason, without.reason)


def test_the_differentiable_twin_has_the_same_bits(population_of: PopulationOf) -> None:
    torch = pytest.importorskip("torch")
    from cosim.training.torch_guard import TorchDecision, TorchOutlook, torch_guard

    none = torch.zeros(N, dtype=torch.bool)
    for seed in range(200):
        home, outlook, request, before = drawn(population_of, seed, 1.0)
        plain = guarded(home, outlook, request, before)
        twin = torch_guard(
            home,
            TorchOutlook(*(torch.tensor(v) for v in vars(outlook).values())),
            TorchDecision(*(torch.tensor(np.array(v)) for v in vars(request).values())),
            0.25,
            own_quantity=none,
            own_price=none,
            before_kw=torch.tensor(before),
        )
        assert plain.decision.battery_kw.tobytes() == twin.decision.battery_kw.numpy().tobytes()
        assert plain.reason.tobytes() == twin.reason.numpy().tobytes()


def powers(diary: Any) -> np.ndarray:
    """Return the mean power of the batteries in each interval ``[T, n]``."""
    return np.array(
        [(i.metered.charge_kwh - i.metered.discharge_kwh) / 0.25 for i in diary.intervals]
    )


def test_a_run_keeps_the_ramp(village: Any, diary_of: Any) -> None:
    common = {
        "time": {"start": "2016-07-18", "days": 1, "interval_minutes": 15},
        "policies": {"wild": "random", "passive": "passive"},
        "disturbances": [],
    }

    def case(**battery: Any) -> Any:
        groups = {
            "wild": {"members": "battery", "policy": "wild", "battery": battery},
            "rest": {"members": "all", "policy": "passive"},
        }
        return village.case(**common, groups=groups)

    limited, free = case(ramp_kw_per_interval=0.5), case()
    assert free.population.ramp_kw is None
    diary = diary_of(limited)
    power, batteries = powers(diary), limited.population.capacity_kwh > 0.0
    assert limited.population.ramp_kw[batteries].max() == 0.5
    stored = np.array([i.metered.energy_kwh for i in diary.intervals])
    people = limited.population
    inside = (stored > people.min_kwh + 1e-9) & (stored < people.max_kwh - 1e-9)
    change = np.abs(np.diff(power, axis=0, prepend=0.0))
    assert (change[inside] <= 0.5 + 1e-9).all()  # at a bound the energy decides
    assert (np.abs(np.diff(powers(diary_of(free)), axis=0)) > 2.0).any()
    flags = [i.trade.guarded.reason & Reason.RAMP != 0 for i in diary.intervals]
    assert np.array(flags)[:, batteries].mean() > 0.3
    for interval in diary.intervals:  # guarded is executed
        done = (interval.metered.charge_kwh - interval.metered.discharge_kwh) / 0.25
        np.testing.assert_allclose(done, interval.trade.guarded.decision.battery_kw, atol=1e-9)
