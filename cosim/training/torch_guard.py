"""The guard's differentiable twin, for learners: the same projection on torch tensors.

In float64 its values are those of :func:`cosim.guard.guard` bit for bit. Gradients are those of
the branch taken; at a kink that is the side of the request, so a feasible request has slope 1. A
row that is not finite gets gradient 0. It has no ``held_kwh``: what was traded for the interval in
earlier rounds is not taken off the position, so it is the guard of the first round.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from cosim.physics.battery import factors
from cosim.population import Population
from cosim.reason import Reason

Tensor = torch.Tensor


@dataclass(frozen=True, eq=False)
class TorchDecision:
    """Battery power [kW], order [kWh] and limit price [EUR/kWh], each ``[..., n]``."""

    battery_kw: Tensor
    quantity_kwh: Tensor
    price_eur_per_kwh: Tensor


@dataclass(frozen=True, eq=False)
class TorchOutlook:
    """The fields of :class:`cosim.guard.Outlook`, ``[..., n]``; they may carry gradients."""

    energy_kwh: Tensor
    load_kw: Tensor
    pv_kw: Tensor
    retail_eur_per_kwh: Tensor
    feed_in_eur_per_kwh: Tensor


@dataclass(frozen=True, eq=False)
class TorchGuarded:
    """The executable decision, the position behind it, and Reason flags (int16)."""

    decision: TorchDecision
    position_kwh: Tensor
    reason: Tensor


def torch_feasible_range_kw(
    population: Population,
    energy_kwh: Tensor,
    hours: float,
    before_kw: Tensor | None = None,
    pv_kw: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the lowest and highest power [kW], see :func:`feasible_range_kw`."""
    root, decay, held = (_like(value, energy_kwh) for value in factors(population, hours))
    least, most, rating = (
        _like(value, energy_kwh)
        for value in (population.min_kwh, population.max_kwh, population.rating_kw)
    )
    kept = energy_kwh * decay
    zero = torch.zeros_like(kept)
    high = _min(rating, _max(most - kept, zero) / (root * held))
    low = -_min(rating, _max(kept - least, zero) * root / held)
    if population.inverter_kva is not None and pv_kw is not None:
        inverter = _like(population.inverter_kva, kept)
        low = _max(low, _min(pv_kw, inverter) - inverter)
        high = _min(high, pv_kw + inverter)
    if population.ramp_kw is None or before_kw is None:
        return low, high
    ramp = _like(population.ramp_kw, kept)
    down = _min(_max(low, before_kw - ramp), high)
    up = _max(_min(high, before_kw + ramp), low)
    return down, up


def torch_guard(
    population: Population,
    outlook: TorchOutlook,
    requested: TorchDecision,
    hours: float,
    *,
    own_quantity: Tensor,
    own_price: Tensor,
    physical_trades: bool = True,
    before_kw: Tensor | None = None,
) -> TorchGuarded:
    """Project a decision onto what is feasible; the contract is that of :func:`guard`."""
    energy, pv = outlook.energy_kwh, outlook.pv_kw
    low, high = torch_feasible_range_kw(population, energy, hours, before_kw, pv)
    rating = _like(population.rating_kw, low)
    wanted = (requested.battery_kw, requested.quantity_kwh, requested.price_eur_per_kwh)
    finite = torch.isfinite(wanted[0]) & torch.isfinite(wanted[1]) & torch.isfinite(wanted[2])
    power = torch.where(finite, wanted[0], 0.0)
    battery = _min(_max(power, low), high)
    fed = pv
    if population.inverter_kva is not None:
        fed = _min(pv, _like(population.inverter_kva, low) + battery)
    position = (outlook.load_kw - fed + battery) * hours
    order = torch.where(finite, torch.where(own_quantity, wanted[1], position), 0.0)
    zero = torch.zeros_like(position)
    quantity = order
    if physical_trades:
        quantity = _min(_max(order, _min(position, zero)), _max(position, zero))
    retail, feed_in = outlook.retail_eur_per_kwh, outlook.feed_in_eur_per_kwh
    tariff = torch.where(quantity > 0.0, retail, feed_in)
    limit = torch.where(finite & own_price, wanted[2], tariff)
    price = _min(_max(limit, feed_in), retail)
    flags = (
        (~finite, Reason.NOT_FINITE),
        (power.abs() > rating, Reason.RATING),
        ((battery != power) & (battery.abs() < rating), Reason.ENERGY),
        (quantity != order, Reason.QUANTITY),
        (price != limit, Reason.PRICE),
    )
    reason = sum(mask.to(torch.int16) * int(flag) for mask, flag in flags)
    assert isinstance(reason, Tensor)
    ramped = population.ramp_kw is not None and before_kw is not None
    if ramped or population.inverter_kva is not None:
        lowest, highest = torch_feasible_range_kw(population, energy, hours)
        free = _min(_max(power, lowest), highest)
        lowest, highest = torch_feasible_range_kw(population, energy, hours, None, pv)
        room = _min(_max(power, lowest), highest)
        cut = (free != power) & (free.abs() < rating)
        reason = torch.where(cut, reason | int(Reason.ENERGY), reason & ~int(Reason.ENERGY))
        reason = torch.where(room != free, reason | int(Reason.INVERTER), reason)
        reason = torch.where(room != battery, reason | int(Reason.RAMP), reason)
    return TorchGuarded(TorchDecision(battery, quantity, price), position, reason)


def _like(values: np.ndarray, tensor: Tensor) -> Tensor:
    return torch.tensor(np.asarray(values), dtype=tensor.dtype, device=tensor.device)


def _max(a: Tensor, b: Tensor) -> Tensor:
    """Return the larger, the first of equals: its bits and its slope are those of a branch."""
    return torch.where(b > a, b, a)


def _min(a: Tensor, b: Tensor) -> Tensor:
    """Return the smaller, the first of equals."""
    return torch.where(b < a, b, a)
