"""The guard: requested decision -> executable decision, with what was changed and why.

It sits in the world, for every policy. Batteries are projected onto what the plant can hold for
the whole interval, orders onto the forecast surplus or deficit and the prosumer's own tariff.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosim.arrays import freeze
from cosim.physics.battery import feasible_range_kw
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
) -> Guarded:
    """Project a decision onto what is feasible; idempotent, for any leading axes.

    ``own_quantity`` and ``own_price`` ``[n]`` are True where the policy chooses them; elsewhere
    the forecast position is ordered, at retail when short and at feed-in when long. Under
    ``physical_trades`` an order lies between zero and that position.
    A row with any non-finite entry is rejected whole: battery idle, no order.
    """
    from cosim.compiled import guard_row

    low, high = feasible_range_kw(population, outlook.energy_kwh, hours)
    with np.errstate(invalid="ignore"):  # requests may be NaN; that is what is looked for
        battery_kw, quantity, price, position, reason = guard_row(
            requested.battery_kw,
            requested.quantity_kwh,
            requested.price_eur_per_kwh,
            own_quantity,
            own_price,
            low,
            high,
            population.rating_kw,
            outlook.load_kw - outlook.pv_kw,
            outlook.retail_eur_per_kwh,
            outlook.feed_in_eur_per_kwh,
            hours,
            physical_trades,
            _FLAGS,
        )
    return Guarded(Decision(battery_kw, quantity, price), position, reason)
