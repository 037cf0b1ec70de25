"""The guard: requested decision -> executable decision, with what was changed and why.

It sits in the world, for every policy. Batteries are projected onto what the plant can hold for
the whole interval, orders onto the forecast surplus or deficit and the prosumer's own tariff.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag

import numpy as np
from numba import guvectorize

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


#: as plain numbers, which compiled code can hold
NOT_FINITE, RATING, ENERGY, QUANTITY, PRICE = (
    int(flag)
    for flag in (Reason.NOT_FINITE, Reason.RATING, Reason.ENERGY, Reason.QUANTITY, Reason.PRICE)
)


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
    low, high = feasible_range_kw(population, outlook.energy_kwh, hours)
    with np.errstate(invalid="ignore"):  # requests may be NaN; that is what is looked for
        battery_kw, quantity, price, position, reason = _guard(
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
        )
    return Guarded(Decision(battery_kw, quantity, price), position, reason)


_FLOAT, _BOOL = "float64[:],", "boolean[:],"


@guvectorize(
    ["(" + 3 * _FLOAT + 2 * _BOOL + 7 * _FLOAT + _BOOL + 4 * _FLOAT + "int8[:])"],
    ",".join(["()"] * 13) + "->" + ",".join(["()"] * 5),
    cache=True,
)  # scalar by scalar, so that any leading axes give the same bits
def _guard(  # type: ignore[no-untyped-def]
    wanted_kw, wanted_kwh, wanted_price, own_quantity, own_price, low, high, rating, net_kw,
    retail, feed_in, hours, physical, battery_kw, quantity, price, position, reason,
):  # fmt: skip
    """Project the decision of one prosumer."""
    finite = (
        np.isfinite(wanted_kw[0]) and np.isfinite(wanted_kwh[0]) and np.isfinite(wanted_price[0])
    )
    power = wanted_kw[0] if finite else 0.0
    battery_kw[0] = min(max(power, low[0]), high[0])
    position[0] = (net_kw[0] + battery_kw[0]) * hours[0]
    order = wanted_kwh[0] if own_quantity[0] else position[0]
    order = order if finite else 0.0
    quantity[0] = order
    if physical[0]:
        quantity[0] = min(max(order, min(position[0], 0.0)), max(position[0], 0.0))
    limit = retail[0] if quantity[0] > 0.0 else feed_in[0]
    limit = wanted_price[0] if finite and own_price[0] else limit
    price[0] = min(max(limit, feed_in[0]), retail[0])
    reason[0] = NOT_FINITE if not finite else 0
    if abs(power) > rating[0]:
        reason[0] |= RATING
    if battery_kw[0] != power and abs(battery_kw[0]) < rating[0]:
        reason[0] |= ENERGY
    if quantity[0] != order:
        reason[0] |= QUANTITY
    if price[0] != limit:
        reason[0] |= PRICE
