"""Battery: feasible power, stored energy and losses, for any leading axes ``[..., n]``.

One scalar set-point per battery [kW], > 0 charges, so it never does both at once. The round-trip
efficiency is split evenly: charging stores ``sqrt(eta) * p``, discharging draws
``p / sqrt(eta)``. Self-discharge is first order, ``dE/dt = flow - rate * E``, solved exactly, so
half a step twice equals one step.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from cosim.population import Population


@lru_cache(maxsize=64)  # a run knows few lengths: the interval, and its parts around an event
def factors(population: Population, hours: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return one-way efficiency, share kept and hours of inflow that survive, each ``[n]``.

    The last is ``(1 - exp(-rate*h)) / rate``, which tends to ``h`` without self-discharge.
    """
    rate = population.self_discharge_per_h
    safe = np.where(rate > 0.0, rate, 1.0)
    surviving = np.where(rate > 0.0, -np.expm1(-rate * hours) / safe, hours)
    return np.sqrt(population.efficiency), np.exp(-rate * hours), surviving


def feasible_range_kw(
    population: Population,
    energy_kwh: np.ndarray,
    hours: float,
    before_kw: np.ndarray | None = None,
    pv_kw: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and highest power [kW] that keep the battery inside its bounds.

    ``energy_kwh`` ``[..., n]`` is the energy now, ``hours`` (> 0) how long the power is held,
    ``before_kw`` the power executed in the interval before, from which the ramp limit counts;
    None: without ramp limit; ``pv_kw`` what PV can give, beside which the inverter must have room,
    None: without that limit. Where energy and inverter allow nothing within the ramp, they decide.
    Guard, plant and features all call this one function.
    """
    from cosim.compiled import battery_range

    low, high = battery_range(
        energy_kwh,
        *factors(population, hours),
        population.min_kwh,
        population.max_kwh,
        population.rating_kw,
    )
    if population.inverter_kva is not None and pv_kw is not None:
        most = population.inverter_kva
        low = np.maximum(low, np.minimum(pv_kw, most) - most)
        high = np.minimum(high, pv_kw + most)
    if population.ramp_kw is None or before_kw is None:
        return low, high
    down = np.minimum(np.maximum(low, before_kw - population.ramp_kw), high)
    up = np.maximum(np.minimum(high, before_kw + population.ramp_kw), low)
    return down, up


def pv_fed_kw(population: Population, pv_kw: np.ndarray, battery_kw: np.ndarray) -> np.ndarray:
    """Return what PV gives ``[..., n]`` [kW] beside a battery in its feasible range.

    PV and battery share an inverter on its direct-current side: at power factor 1 its apparent
    power is that of ``pv - battery``, and PV beyond it that does not charge the battery is lost.
    """
    if population.inverter_kva is None:
        return pv_kw
    return np.minimum(pv_kw, population.inverter_kva + battery_kw)


def stored_kwh(
    population: Population, energy_kwh: np.ndarray, battery_kw: np.ndarray, hours: float
) -> np.ndarray:
    """Return the energy [kWh] ``[..., n]`` after holding ``battery_kw`` for ``hours``.

    A feasible power ends inside the bounds up to rounding, which is clipped to the bound.
    """
    from cosim.compiled import battery_stored

    stored = battery_stored(
        energy_kwh,
        battery_kw,
        *factors(population, hours),
        population.min_kwh,
        population.max_kwh,
    )
    return np.asarray(stored)
