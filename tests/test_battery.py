"""The battery: exact in time, never beyond its bounds, and never more out than in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cosim.physics.battery import feasible_range_kw, stored_kwh
from cosim.population import Population

PopulationOf = Callable[..., Population]
shares = st.floats(0.0, 1.0)
hours = st.one_of(st.sampled_from((1 / 3600, 0.25, 0.5, 1.0)), st.floats(1 / 3600, 12.0))


@dataclass(frozen=True)
class Cell:
    """One battery: sizes, bounds as shares, and where it stands between them."""

    capacity: float
    rating: float
    efficiency: float
    low: float
    high: float
    filling: float
    leak: float  # per hour

    def population(self, population_of: PopulationOf) -> Population:
        return population_of(
            1,
            capacity_kwh=self.capacity,
            rating_kw=self.rating,
            efficiency=self.efficiency,
            min_kwh=self.low * self.capacity,
            max_kwh=self.high * self.capacity,
            self_discharge_per_h=self.leak,
        )

    @property
    def energy(self) -> np.ndarray:
        low, high = self.low * self.capacity, self.high * self.capacity
        return np.array([min(low + self.filling * (high - low), high)])


@st.composite
def cells(draw: st.DrawFn, leak: st.SearchStrategy[float] | None = None) -> Cell:
    low, high = sorted((draw(shares), draw(shares)))
    losing = st.one_of(st.just(0.0), st.floats(1e-6, 0.05)) if leak is None else leak
    return Cell(
        draw(st.floats(0.5, 500.0)),
        draw(st.floats(0.1, 500.0)),
        draw(st.floats(0.31, 1.0)),
        low,
        high,
        draw(shares),
        draw(losing),
    )


tight_cells = cells(leak=st.just(0.0))


def between(low: np.ndarray, high: np.ndarray, share: float) -> np.ndarray:
    return np.clip(low + share * (high - low), low, high)


@given(cells(), hours, shares)
def test_half_a_step_twice_equals_one_step(
    population_of: PopulationOf, cell: Cell, length: float, share: float
) -> None:
    home = cell.population(population_of)
    power = between(*feasible_range_kw(home, cell.energy, length), share)
    once = stored_kwh(home, cell.energy, power, length)
    half = stored_kwh(home, cell.energy, power, length / 2)
    twice = stored_kwh(home, half, power, length / 2)
    assert abs(twice - once) <= 1e-12 * cell.capacity


@given(cells(), hours, st.floats(-2.0, 2.0))
def test_no_feasible_power_leaves_the_bounds(
    population_of: PopulationOf, cell: Cell, length: float, wanted: float
) -> None:
    home, energy = cell.population(population_of), cell.energy
    low, high = feasible_range_kw(home, energy, length)
    assert -cell.rating <= low <= 0.0 <= high <= cell.rating
    after = stored_kwh(home, energy, np.clip(wanted * cell.rating, low, high), length)
    assert after <= home.max_kwh
    leaked = energy * np.exp(-cell.leak * length)  # nobody can keep an idle battery from leaking
    assert after >= np.minimum(home.min_kwh, leaked * (1.0 - 1e-12))


@given(cells(), hours)
@example(Cell(10.0, 5.0, 0.9, 0.0, 1.0, 0.5, 0.0), 1 / 3600)
@example(Cell(10.0, 5.0, 0.9, 0.0, 1.0, 0.5, 0.0), 12.0)
def test_the_feasible_range_is_tight(
    population_of: PopulationOf, cell: Cell, length: float
) -> None:
    """Either end is the rating, or it leads exactly to a bound."""
    home, energy = cell.population(population_of), cell.energy
    low, high = feasible_range_kw(home, energy, length)
    small = 1e-12 * cell.capacity
    if high < cell.rating:
        assert abs(stored_kwh(home, energy, high, length) - home.max_kwh) <= small
    kept = energy * np.exp(-cell.leak * length)
    if low > -cell.rating:
        bottom = np.minimum(home.min_kwh, kept)
        assert abs(stored_kwh(home, energy, low, length) - bottom) <= small


@given(tight_cells, hours, st.floats(0.01, 1.0))
def test_what_comes_back_of_a_round_trip_is_the_efficiency(
    population_of: PopulationOf, cell: Cell, length: float, share: float
) -> None:
    home, begin = cell.population(population_of), np.array([cell.low * cell.capacity])
    power = share * feasible_range_kw(home, begin, length)[1]
    full = stored_kwh(home, begin, power, length)
    gained = full - begin
    assert gained <= power * length * (1.0 + 1e-12) + 1e-12 * cell.capacity
    # discharge what went in, as slowly as the rating asks for
    drawn = power * length * cell.efficiency
    longer = length * max(1.0, float(drawn[0] / length / cell.rating))
    back = stored_kwh(home, full, -drawn / longer, longer)
    assert back == pytest.approx(begin, abs=1e-12 * cell.capacity)


@given(cells(), hours, shares)
def test_no_less_is_drawn_than_stored_and_no_more_delivered_than_taken_out(
    population_of: PopulationOf, cell: Cell, length: float, share: float
) -> None:
    home, energy = cell.population(population_of), cell.energy
    power = between(*feasible_range_kw(home, energy, length), share)
    change = stored_kwh(home, energy, power, length) - energy
    assert change <= power * length + 1e-12 * cell.capacity


@given(cells(), hours)
def test_an_idle_battery_leaks_exponentially(
    population_of: PopulationOf, cell: Cell, length: float
) -> None:
    home = cell.population(population_of)
    after = stored_kwh(home, cell.energy, np.zeros(1), length)
    assert after == pytest.approx(cell.energy * np.exp(-cell.leak * length), rel=1e-13)


@pytest.mark.parametrize("power", [4.0, -3.0])
def test_a_leaking_battery_under_power_follows_its_differential_equation(
    population_of: PopulationOf, power: float
) -> None:
    cell = Cell(100.0, 5.0, 0.81, 0.0, 1.0, 0.5, 0.02)
    home = cell.population(population_of)
    flow = power * 0.9 if power > 0 else power / 0.9
    energy, steps = 50.0, 200_000
    for _ in range(steps):  # midpoint rule over 6 h
        middle = energy + 3.0 / steps * (flow - 0.02 * energy)
        energy += 6.0 / steps * (flow - 0.02 * middle)
    assert stored_kwh(home, cell.energy, np.array([power]), 6.0) == pytest.approx(energy, rel=1e-9)


def test_the_default_battery_by_hand(population_of: PopulationOf) -> None:
    home = population_of(1, capacity_kwh=13.5, rating_kw=5.0, efficiency=0.9, min_kwh=1.5)
    low, high = feasible_range_kw(home, np.array([12.5]), 0.5)
    assert high == pytest.approx(1.0 / (np.sqrt(0.9) * 0.5))
    assert low == pytest.approx(-5.0)
    assert feasible_range_kw(home, np.array([2.5]), 0.5)[0] == pytest.approx(-np.sqrt(0.9) / 0.5)
    assert stored_kwh(home, np.array([5.0]), np.array([4.0]), 0.5) == pytest.approx(
        5.0 + 2.0 * np.sqrt(0.9)
    )


def test_who_has_no_battery_can_do_nothing(population_of: PopulationOf) -> None:
    home = population_of(1)
    low, high = feasible_range_kw(home, np.zeros(1), 0.25)
    assert low == high == 0.0
    assert stored_kwh(home, np.zeros(1), np.zeros(1), 0.25) == 0.0


def test_leading_axes_equal_single_batteries_bit_for_bit(population_of: PopulationOf) -> None:
    rng = np.random.default_rng(0)
    size = rng.uniform(1.0, 50.0, 7)
    constants = {
        "capacity_kwh": size,
        "rating_kw": rng.uniform(0.5, 30.0, 7),
        "efficiency": rng.uniform(0.5, 1.0, 7),
        "self_discharge_per_h": rng.choice([0.0, 0.01], 7),
    }
    homes = population_of(7, **constants)
    energy = rng.uniform(0.0, 1.0, (4, 3, 7)) * size
    low, high = feasible_range_kw(homes, energy, 0.25)
    power = np.clip(rng.normal(0.0, 10.0, energy.shape), low, high)
    after = stored_kwh(homes, energy, power, 0.25)
    for lane in np.ndindex(4, 3):
        assert np.array_equal(feasible_range_kw(homes, energy[lane], 0.25), (low[lane], high[lane]))
        for i in range(7):
            one = population_of(1, **{name: value[i] for name, value in constants.items()})
            single = stored_kwh(one, energy[lane][[i]], power[lane][[i]], 0.25)
            assert single == after[lane][i]
