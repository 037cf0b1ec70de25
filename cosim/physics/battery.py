"""Battery: feasible power, stored energy and losses, for any leading axes ``[..., n]``.

One scalar set-point per battery [kW], > 0 charges, so it never does both at once. The round-trip
efficiency is split evenly: charging stores ``sqrt(eta) * p``, discharging draws
``p / sqrt(eta)``. Self-discharge is first order, ``dE/dt = flow - rate * E``, solved exactly, so
half a step twice equals one step.
"""

from __future__ import annotations

import numpy as np

from cosim.population import Population


def _effective_hours(population: Population, hours: float) -> np.ndarray:
    """Hours of inflow that survive self-discharge: ``(1 - exp(-rate*h)) / rate``, ``[n]``."""
    rate = population.self_discharge_per_h
    safe = np.where(rate > 0.0, rate, 1.0)
    return np.where(rate > 0.0, -np.expm1(-rate * hours) / safe, hours)


def feasible_range_kw(
    population: Population, energy_kwh: np.ndarray, hours: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and highest power [kW] that keep the battery inside its bounds.

    ``energy_kwh`` ``[..., n]`` is the energy now, ``hours`` (> 0) how long the power is held.
    Guard, plant and counters all call this one function.
    """
    root = np.sqrt(population.efficiency)
    held = _effective_hours(population, hours)
    kept = energy_kwh * np.exp(-population.self_discharge_per_h * hours)
    room = np.maximum(population.max_kwh - kept, 0.0)
    stock = np.maximum(kept - population.min_kwh, 0.0)
    high = np.minimum(population.rating_kw, room / (root * held))
    low = -np.minimum(population.rating_kw, stock * root / held)
    return low, high


def stored_kwh(
    population: Population, energy_kwh: np.ndarray, battery_kw: np.ndarray, hours: float
) -> np.ndarray:
    """Return the energy [kWh] ``[..., n]`` after holding ``battery_kw`` for ``hours``.

    A feasible power ends inside the bounds up to rounding, which is clipped to the bound.
    """
    root = np.sqrt(population.efficiency)
    inflow = np.where(battery_kw > 0.0, battery_kw * root, battery_kw / root)
    kept = energy_kwh * np.exp(-population.self_discharge_per_h * hours)
    after = kept + inflow * _effective_hours(population, hours)
    return np.clip(after, np.minimum(kept, population.min_kwh), population.max_kwh)
