"""Battery: feasible power, stored energy and losses, for any leading axes ``[..., n]``.

One scalar set-point per battery [kW], > 0 charges, so it never does both at once. The round-trip
efficiency is split evenly: charging stores ``sqrt(eta) * p``, discharging draws
``p / sqrt(eta)``. Self-discharge is first order, ``dE/dt = flow - rate * E``, solved exactly, so
half a step twice equals one step.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numba import guvectorize, vectorize

from cosim.population import Population


@lru_cache(maxsize=64)  # a run knows few lengths: the interval, and its parts around an event
def _factors(population: Population, hours: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return one-way efficiency, share kept and hours of inflow that survive, each ``[n]``.

    The last is ``(1 - exp(-rate*h)) / rate``, which tends to ``h`` without self-discharge.
    """
    rate = population.self_discharge_per_h
    safe = np.where(rate > 0.0, rate, 1.0)
    surviving = np.where(rate > 0.0, -np.expm1(-rate * hours) / safe, hours)
    return np.sqrt(population.efficiency), np.exp(-rate * hours), surviving


def feasible_range_kw(
    population: Population, energy_kwh: np.ndarray, hours: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and highest power [kW] that keep the battery inside its bounds.

    ``energy_kwh`` ``[..., n]`` is the energy now, ``hours`` (> 0) how long the power is held.
    Guard, plant and counters all call this one function.
    """
    low, high = _range(
        energy_kwh,
        *_factors(population, hours),
        population.min_kwh,
        population.max_kwh,
        population.rating_kw,
    )
    return low, high


@guvectorize(
    ["(" + "float64[:]," * 9 + ")"], "(),(),(),(),(),(),()->(),()", cache=True
)  # scalar by scalar, so that any leading axes give the same bits
def _range(energy, root, decay, held, least, most, rating, low, high):  # type: ignore[no-untyped-def]
    """Fill the feasible power of one battery."""
    kept = energy[0] * decay[0]
    high[0] = min(rating[0], max(most[0] - kept, 0.0) / (root[0] * held[0]))
    low[0] = -min(rating[0], max(kept - least[0], 0.0) * root[0] / held[0])


def stored_kwh(
    population: Population, energy_kwh: np.ndarray, battery_kw: np.ndarray, hours: float
) -> np.ndarray:
    """Return the energy [kWh] ``[..., n]`` after holding ``battery_kw`` for ``hours``.

    A feasible power ends inside the bounds up to rounding, which is clipped to the bound.
    """
    stored = _stored(
        energy_kwh,
        battery_kw,
        *_factors(population, hours),
        population.min_kwh,
        population.max_kwh,
    )
    return np.asarray(stored)


@vectorize(["float64(" + ",".join(["float64"] * 7) + ")"], cache=True)
def _stored(energy, power, root, decay, held, least, most):  # type: ignore[no-untyped-def]
    """Return the energy of one battery after a step."""
    kept = energy * decay
    inflow = power * root if power > 0.0 else power / root
    return min(max(kept + inflow * held, min(kept, least)), most)
