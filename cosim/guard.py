"""The guard: requested decision -> executable decision, with what was changed and why.

It sits in the world, for every policy. Batteries are projected onto what the plant can hold for
the whole interval, orders onto the forecast surplus or deficit and the prosumer's own tariff.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosim.arrays import freeze
from cosim.physics.battery import feasible_range_kw, pv_fed_kw
from cosim.population import Population
from cosim.reason import Reason


@dataclass(frozen=True, eq=False)
class Decision:
    """What prosumers want: battery power [kW], order [kWh] and limit price, each ``[..., n]``."""

    battery_kw: np.ndarray
    quantity_kwh: np.ndarray
    price_eur_per_kwh: np.ndarray

    def __post_init__(self) -> None:
        freeze(self)


@dataclass(frozen=True, eq=False)
class Guarded:
    """The executable decision, the forecast position it was held against, and the reasons."""

    decision: Decision
    position_kwh: np.ndarray  # forecast net import after the battery, [..., n]
    reason: np.ndarray  # Reason flags, int16 [..., n]
    moved_kw: np.ndarray | None = None  # by the joint projection [..., n]; None: nowhere

    def __post_init__(self) -> None:
        freeze(self)


@dataclass(frozen=True, eq=False)
class Outlook:
    """What the guard knows of an interval: expected energy, forecasts and published tariff."""

    energy_kwh: np.ndarray
    load_kw: np.ndarray
    pv_kw: np.ndarray
    retail_eur_per_kwh: np.ndarray
    feed_in_eur_per_kwh: np.ndarray


_FLAGS = np.array(
    [Reason.NOT_FINITE, Reason.RATING, Reason.ENERGY, Reason.QUANTITY, Reason.PRICE], dtype=np.int16
)


def guard(
    population: Population,
    outlook: Outlook,
    requested: Decision,
    hours: float,
    *,
    own_quantity: np.ndarray,
    own_price: np.ndarray,
    physical_trades: bool = True,
    held_kwh: np.ndarray | None = None,
    before_kw: np.ndarray | None = None,
) -> Guarded:
    """Project a decision onto what is feasible; idempotent, for any leading axes.

    ``own_quantity`` and ``own_price`` ``[n]`` are True where the policy chooses them; elsewhere
    the forecast position is ordered, at retail when short and at feed-in when long. Under
    ``physical_trades`` an order lies between zero and that position. ``held_kwh`` ``[..., n]``
    was traded before and is no longer part of it. ``before_kw`` is what the batteries do now,
    for their ramp limits.
    A row with any non-finite entry is rejected whole: battery idle, or as near to it as its ramp
    allows, and no order.
    """
    from cosim.compiled import guarded

    energy, pv_kw = outlook.energy_kwh, outlook.pv_kw
    low, high = feasible_range_kw(population, energy, hours, before_kw, pv_kw)
    if population.inverter_kva is not None:
        power = np.where(_finite(requested), requested.battery_kw, 0.0)
        pv_kw = pv_fed_kw(population, pv_kw, np.minimum(np.maximum(power, low), high))
    net_kw = outlook.load_kw - pv_kw
    if held_kwh is not None:
        net_kw = net_kw - held_kwh / hours
    with np.errstate(invalid="ignore"):  # requests may be NaN; that is what is looked for
        battery_kw, quantity, price, position, reason = guarded(
            requested.battery_kw,
            requested.quantity_kwh,
            requested.price_eur_per_kwh,
            own_quantity,
            own_price,
            low,
            high,
            population.rating_kw,
            net_kw,
            outlook.retail_eur_per_kwh,
            outlook.feed_in_eur_per_kwh,
            hours,
            physical_trades,
            _FLAGS,
        )
    ramped = population.ramp_kw is not None and before_kw is not None
    if ramped or population.inverter_kva is not None:
        free = feasible_range_kw(population, energy, hours)
        room = feasible_range_kw(population, energy, hours, None, outlook.pv_kw)
        reason = _told_apart(population, requested, battery_kw, (free, room), reason)
    return Guarded(Decision(battery_kw, quantity, price), position, reason)


def _finite(requested: Decision) -> np.ndarray:
    """Return where all that is requested is a number."""
    wanted = (requested.battery_kw, requested.quantity_kwh, requested.price_eur_per_kwh)
    return np.logical_and.reduce(np.broadcast_arrays(*(np.isfinite(each) for each in wanted)))


def _told_apart(
    population: Population,
    requested: Decision,
    battery_kw: np.ndarray,
    ranges: tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]],
    reason: np.ndarray,
) -> np.ndarray:
    """Return the reasons told apart: what energy, then inverter, then the ramp alone asked for.

    ``ranges`` are those of the energy alone, and of energy and inverter.
    """
    power = np.where(reason & Reason.NOT_FINITE, 0.0, requested.battery_kw)
    free, room = (np.minimum(np.maximum(power, low), high) for low, high in ranges)
    cut = (free != power) & (np.abs(free) < population.rating_kw)
    reason = np.where(cut, reason | Reason.ENERGY, reason & ~Reason.ENERGY)
    reason = np.where(room != free, reason | Reason.INVERTER, reason)
    return np.where(room != battery_kw, reason | Reason.RAMP, reason).astype(np.int16)
