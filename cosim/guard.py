"""The guard: requested decision -> executable decision, with what was changed and why.

It sits in the world, for every policy. Batteries are projected onto what the plant can hold for
the whole interval, orders onto the forecast surplus or deficit and the prosumer's own tariff.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag

import numpy as np

from cosim.arrays import freeze
from cosim.physics.battery import feasible_range_kw
from cosim.population import Population


class Reason(IntFlag):
    """Why a request was changed; flags add up."""

    NONE = 0
    NOT_FINITE = 1
    RATING = 2
    ENERGY = 4
    QUANTITY = 8
    PRICE = 16
    OUTAGE = 32  # at delivery: the dead part of the feeder is off
    LATE_CHANGE = 64  # at delivery: the world changed after the decision


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
    reason: np.ndarray  # Reason flags, int8 [..., n]

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
    finite = (
        np.isfinite(requested.battery_kw)
        & np.isfinite(requested.quantity_kwh)
        & np.isfinite(requested.price_eur_per_kwh)
    )
    wanted_kw = np.where(finite, requested.battery_kw, 0.0)
    low, high = feasible_range_kw(population, outlook.energy_kwh, hours)
    battery_kw = np.minimum(np.maximum(wanted_kw, low), high)
    position = (outlook.load_kw - outlook.pv_kw + battery_kw) * hours
    wanted_kwh = np.where(own_quantity, requested.quantity_kwh, position)
    wanted_kwh = np.where(finite, wanted_kwh, 0.0)
    if physical_trades:
        quantity = np.minimum(
            np.maximum(wanted_kwh, np.minimum(position, 0.0)), np.maximum(position, 0.0)
        )
    else:
        quantity = wanted_kwh
    retail, feed_in = outlook.retail_eur_per_kwh, outlook.feed_in_eur_per_kwh
    price = np.where(
        finite & own_price, requested.price_eur_per_kwh, np.where(quantity > 0.0, retail, feed_in)
    )
    bounded = np.minimum(np.maximum(price, feed_in), retail)
    over_rating = np.abs(wanted_kw) > population.rating_kw
    reason = (
        ~finite * np.int8(Reason.NOT_FINITE)
        + over_rating * np.int8(Reason.RATING)
        + ((battery_kw != wanted_kw) & (np.abs(battery_kw) < population.rating_kw))
        * np.int8(Reason.ENERGY)
        + (quantity != wanted_kwh) * np.int8(Reason.QUANTITY)
        + (bounded != price) * np.int8(Reason.PRICE)
    )
    return Guarded(Decision(battery_kw, quantity, bounded), position, reason)
