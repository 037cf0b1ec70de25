"""The differentiable guard: the numpy guard's values bit for bit, and gradients that are true."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cosim.guard import Decision, Guarded, Outlook, guard
from cosim.population import Population

torch = pytest.importorskip("torch")
from cosim.training.torch_guard import (  # noqa: E402
    TorchDecision,
    TorchGuarded,
    TorchOutlook,
    torch_feasible_range_kw,
    torch_guard,
)

PopulationOf = Callable[..., Population]
N, LANES = 50, 2000  # 100,000 rows
WILD = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e300, -1e300, 5e-324])


def people(population_of: PopulationOf, draw: np.random.Generator, n: int = N) -> Population:
    """Return homes of all kinds, some without a battery, some with self-discharge."""
    capacity = draw.uniform(0.5, 50.0, n) * (draw.random(n) < 0.8)
    low, high = np.sort(draw.random((2, n)), axis=0) * capacity
    return population_of(
        n,
        capacity_kwh=capacity,
        rating_kw=np.where(capacity > 0.0, draw.uniform(0.1, 30.0, n), 0.0),
        efficiency=draw.uniform(0.4, 1.0, n),
        min_kwh=low,
        max_kwh=high,
        self_discharge_per_h=0.01 * (draw.random(n) < 0.5),
    )


def scene(
    home: Population, draw: np.random.Generator, shape: tuple[int, ...], wild: float = 0.1
) -> tuple[Outlook, Decision]:
    """Return outlooks and requests of the shape, some entries wild, some exactly at a bound."""
    width = home.max_kwh - home.min_kwh
    share = np.where(draw.random(shape) < 0.2, draw.integers(0, 2, shape), draw.random(shape))
    feed_in = draw.uniform(-0.1, 0.2, shape)
    outlook = Outlook(
        np.clip(home.min_kwh + share * width, home.min_kwh, home.max_kwh),
        draw.uniform(0.0, 20.0, shape),
        draw.uniform(0.0, 20.0, shape),
        feed_in + draw.uniform(0.0, 0.5, shape) * (draw.random(shape) < 0.9),
        feed_in,
    )
    wanted = []
    for size in (40.0, 10.0, 0.6):
        values = draw.uniform(-size, size, shape)
        odd = draw.random(shape) < wild / 3.0
        wanted.append(np.where(odd, draw.choice(WILD, shape), values))
    return outlook, Decision(*wanted)


def tensors(value: Any, kind: type) -> Any:
    return kind(*(torch.tensor(np.array(array)) for array in vars(value).values()))


def both(
    home: Population, outlook: Outlook, requested: Decision, hours: float, physical: bool,
    own: tuple[np.ndarray, np.ndarray],
) -> tuple[Guarded, TorchGuarded]:  # fmt: skip
    plain = guard(
        home, outlook, requested, hours,
        own_quantity=own[0], own_price=own[1], physical_trades=physical,
    )  # fmt: skip
    twin = torch_guard(
        home, tensors(outlook, TorchOutlook), tensors(requested, TorchDecision), hours,
        own_quantity=torch.tensor(own[0]), own_price=torch.tensor(own[1]),
        physical_trades=physical,
    )  # fmt: skip
    return plain, twin


def same_bits(plain: Guarded, twin: TorchGuarded) -> None:
    pairs = [(plain.position_kwh, twin.position_kwh), (plain.reason, twin.reason)]
    pairs += [(v, getattr(twin.decision, name)) for name, v in vars(plain.decision).items()]
    for one, other in pairs:
        assert one.tobytes() == other.numpy().tobytes()


@pytest.mark.parametrize("hours", [0.25, 1.0])
@pytest.mark.parametrize("physical", [True, False])
def test_a_hundred_thousand_rows_have_the_same_bits(
    population_of: PopulationOf, hours: float, physical: bool
) -> None:
    draw = np.random.default_rng(int(4 * hours) + physical)
    home = people(population_of, draw)
    outlook, requested = scene(home, draw, (LANES, N))
    own = draw.random(N) < 0.5, draw.random(N) < 0.5
    plain, twin = both(home, outlook, requested, hours, physical, own)
    same_bits(plain, twin)
    assert (plain.reason == 1).any()
    everybody = np.ones(N, dtype=bool)
    again, twice = both(home, outlook, plain.decision, hours, physical, (everybody, everybody))
    same_bits(again, twice)
    for name, value in vars(plain.decision).items():  # idempotent
        assert getattr(twice.decision, name).numpy().tobytes() == value.tobytes()


def away_from_kinks(
    home: Population, outlook: Outlook, requested: Decision, hours: float
) -> np.ndarray:
    """Return the rows in which no branch turns within a thousandth of anything."""
    from cosim.physics.battery import feasible_range_kw

    low, high = feasible_range_kw(home, outlook.energy_kwh, hours)
    ends = [np.abs(requested.battery_kw - end) for end in (low, high)]
    full = [np.abs(np.abs(end) - home.rating_kw) for end in (low, high)]
    edges = [outlook.energy_kwh - home.min_kwh, home.max_kwh - outlook.energy_kwh]
    power = np.clip(requested.battery_kw, low, high)
    position = (outlook.load_kw - outlook.pv_kw + power) * hours
    orders = [
        np.abs(position),
        np.abs(requested.quantity_kwh),
        np.abs(requested.quantity_kwh - position),
    ]
    prices = [
        np.abs(requested.price_eur_per_kwh - outlook.retail_eur_per_kwh),
        np.abs(requested.price_eur_per_kwh - outlook.feed_in_eur_per_kwh),
    ]
    return np.min([*ends, *full, *edges, *orders, *prices], axis=0) > 1e-3


@pytest.mark.parametrize("physical", [True, False])
def test_gradients_are_those_of_differences(population_of: PopulationOf, physical: bool) -> None:
    draw = np.random.default_rng(5)
    home = people(population_of, draw)
    outlook, requested = scene(home, draw, (N,), wild=0.0)
    smooth = away_from_kinks(home, outlook, requested, 0.5)
    assert smooth.sum() > 10
    own = torch.tensor(draw.random(N) < 0.7)
    inputs = [
        torch.tensor(np.array(value))
        for value in (*vars(outlook).values(), *vars(requested).values())
    ]

    def outcome(*changed: Any) -> tuple[Any, ...]:
        whole = [
            torch.where(torch.tensor(smooth), c, i) for c, i in zip(changed, inputs, strict=True)
        ]
        found = torch_guard(
            home,
            TorchOutlook(*whole[:5]),
            TorchDecision(*whole[5:]),
            0.5,
            own_quantity=own,
            own_price=own,
            physical_trades=physical,
        )
        return (*vars(found.decision).values(), found.position_kwh)

    wanted = [value.clone().requires_grad_(True) for value in inputs]
    assert torch.autograd.gradcheck(outcome, wanted, eps=1e-6, atol=1e-6)


def slope_of_power(home: Population, energy: float, asked: float) -> float:
    """Return the derivative of the executed power by the requested one."""
    one = torch.ones(1, dtype=torch.float64)
    wanted = torch.tensor([asked], dtype=torch.float64, requires_grad=True)
    none = torch.zeros(1, dtype=torch.bool)
    found = torch_guard(
        home,
        TorchOutlook(energy * one, one, 0.0 * one, 0.3 * one, 0.1 * one),
        TorchDecision(wanted, 0.0 * one, 0.0 * one),
        1.0,
        own_quantity=none,
        own_price=none,
    )
    found.decision.battery_kw.sum().backward()
    return float(wanted.grad)


def test_at_a_kink_the_slope_is_that_of_the_feasible_side(population_of: PopulationOf) -> None:
    home = population_of(1, capacity_kwh=10.0, rating_kw=5.0, efficiency=0.81)
    energy = torch.tensor([2.0], dtype=torch.float64)
    low, high = (float(value) for value in torch_feasible_range_kw(home, energy, 1.0))
    assert (low, high) == pytest.approx((-1.8, 5.0))
    for asked, slope in (
        (low, 1.0),
        (high, 1.0),
        (0.0, 1.0),
        (np.nextafter(high, 9.0), 0.0),
        (np.nextafter(low, -9.0), 0.0),
        (np.inf, 0.0),
        (np.nan, 0.0),
    ):
        assert slope_of_power(home, 2.0, float(asked)) == slope


def test_an_order_bound_passes_its_slope_to_the_battery(population_of: PopulationOf) -> None:
    """Ordering too much: the order is the position, which moves with the battery."""
    home = population_of(1, capacity_kwh=10.0, rating_kw=5.0, efficiency=0.81)
    one = torch.ones(1, dtype=torch.float64)
    power = torch.tensor([1.0], dtype=torch.float64, requires_grad=True)
    yes = torch.ones(1, dtype=torch.bool)
    found = torch_guard(
        home,
        TorchOutlook(2.0 * one, one, 0.0 * one, 0.3 * one, 0.1 * one),
        TorchDecision(power, 99.0 * one, 0.2 * one),
        0.5,
        own_quantity=yes,
        own_price=yes,
    )
    found.decision.quantity_kwh.sum().backward()
    assert float(power.grad) == 0.5


def test_single_precision_is_close(population_of: PopulationOf) -> None:
    draw = np.random.default_rng(6)
    home = people(population_of, draw)
    outlook, requested = scene(home, draw, (N,), wild=0.0)
    yes = torch.ones(N, dtype=torch.bool)

    def done(dtype: Any) -> Any:
        look = TorchOutlook(*(t.to(dtype) for t in vars(tensors(outlook, TorchOutlook)).values()))
        want = TorchDecision(
            *(t.to(dtype) for t in vars(tensors(requested, TorchDecision)).values())
        )
        return torch_guard(home, look, want, 0.25, own_quantity=yes, own_price=yes).decision

    for name, value in vars(done(torch.float32)).items():
        assert value.dtype == torch.float32
        exact = getattr(done(torch.float64), name)
        np.testing.assert_allclose(value.numpy(), exact.numpy(), rtol=1e-4, atol=1e-4)
