"""What a policy sees and says: named features and actions with units and ranges.

A feature is a function of the :class:`View`, which holds only what is known at DECIDE: the
prosumer's own state and measurements, the published tariff, the market's past and a *named
forecast* of the coming interval. Nothing else of the future can be reached from it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cosim.physics.battery import feasible_range_kw
from cosim.population import Population


@dataclass(frozen=True, eq=False)
class View:
    """All that is known at DECIDE of one interval; arrays ``[..., n]`` unless stated."""

    population: Population
    energy_kwh: np.ndarray  # expected at the begin of delivery
    measured_load_kw: np.ndarray
    measured_pv_kw: np.ndarray
    forecast_load_kw: np.ndarray
    forecast_pv_kw: np.ndarray
    retail_eur_per_kwh: np.ndarray  # network charges and taxes included
    feed_in_eur_per_kwh: np.ndarray
    bid_limit_eur_per_kwh: np.ndarray  # what a neighbour's kWh is worth at most
    retail_ahead_eur_per_kwh: np.ndarray  # published tariff of the next hours [AHEAD, ..., n]
    last_price_eur_per_kwh: np.ndarray  # [...]; NaN before the first trade
    last_volume_kwh: np.ndarray  # [...]
    held_kwh: np.ndarray  # traded in earlier rounds for the interval, > 0 bought
    vm_pu: np.ndarray  # own bus, last load flow; NaN in a dead part
    interval_h: float
    hour: np.ndarray | float  # civil hour of the begin of delivery, [..., 1] of lanes
    weekday: np.ndarray | float
    battery_kw: np.ndarray | None = None  # now, from which ramp limits count

    @cached_property
    def feasible_kw(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest battery power that can be held for the interval."""
        return feasible_range_kw(self.population, self.energy_kwh, self.interval_h, self.battery_kw)


#: hours ahead for which the published tariff can be observed
AHEAD_H = tuple(range(1, 13))


@dataclass(frozen=True)
class Quantity:
    """A feature or an action: name, unit, plausible range, and what it means."""

    name: str
    unit: str
    low: float
    high: float
    meaning: str


@dataclass(frozen=True)
class Feature(Quantity):
    """A quantity that can be read from a view."""

    read: Callable[[View], np.ndarray | float]


def _soc(view: View) -> np.ndarray:
    capacity = view.population.capacity_kwh
    return np.where(capacity > 0.0, view.energy_kwh / np.where(capacity > 0.0, capacity, 1.0), 0.0)


def _ahead(index: int) -> Callable[[View], np.ndarray]:
    return lambda view: view.retail_ahead_eur_per_kwh[index]


_INF = float("inf")
FEATURES: dict[str, Feature] = {
    f.name: f
    for f in (
        Feature("soc", "-", 0, 1, "state of charge expected at delivery", _soc),
        Feature("energy_kwh", "kWh", 0, _INF, "stored energy expected at delivery",
                lambda v: v.energy_kwh),
        Feature("capacity_kwh", "kWh", 0, _INF, "battery capacity",
                lambda v: v.population.capacity_kwh),
        Feature("rating_kw", "kW", 0, _INF, "battery power rating",
                lambda v: v.population.rating_kw),
        Feature("efficiency", "-", 0, 1, "battery round-trip efficiency",
                lambda v: v.population.efficiency),
        Feature("min_kwh", "kWh", 0, _INF, "least energy the battery discharges to",
                lambda v: v.population.min_kwh),
        Feature("max_kwh", "kWh", 0, _INF, "most energy the battery charges to",
                lambda v: v.population.max_kwh),
        Feature("self_discharge_per_h", "1/h", 0, 1, "share of the stored energy lost in an hour",
                lambda v: v.population.self_discharge_per_h),
        Feature("wear_eur_per_kwh", "EUR/kWh", 0, _INF, "battery wear per kWh of throughput",
                lambda v: v.population.wear_eur_per_kwh),
        Feature("most_charge_kw", "kW", 0, _INF,
                "highest power the battery can charge with for the whole interval",
                lambda v: v.feasible_kw[1]),
        Feature("most_discharge_kw", "kW", 0, _INF,
                "highest power the battery can discharge with for the whole interval",
                lambda v: -v.feasible_kw[0]),
        Feature("pv_kwp", "kW", 0, _INF, "installed PV", lambda v: v.population.pv_kwp),
        Feature("measured_load_kw", "kW", 0, _INF, "own load now", lambda v: v.measured_load_kw),
        Feature("measured_pv_kw", "kW", 0, _INF, "own PV now", lambda v: v.measured_pv_kw),
        Feature("forecast_load_kw", "kW", 0, _INF, "forecast mean load of the interval",
                lambda v: v.forecast_load_kw),
        Feature("forecast_pv_kw", "kW", 0, _INF, "forecast mean PV of the interval",
                lambda v: v.forecast_pv_kw),
        Feature("forecast_net_kw", "kW", -_INF, _INF, "forecast load minus PV",
                lambda v: v.forecast_load_kw - v.forecast_pv_kw),
        Feature("retail_eur_per_kwh", "EUR/kWh", -_INF, _INF, "retail price of the interval",
                lambda v: v.retail_eur_per_kwh),
        Feature("bid_limit_eur_per_kwh", "EUR/kWh", -_INF, _INF,
                "what a kWh of a neighbour is worth at most: retail price and charges it spares",
                lambda v: v.bid_limit_eur_per_kwh),
        Feature("feed_in_eur_per_kwh", "EUR/kWh", -_INF, _INF, "feed-in price of the interval",
                lambda v: v.feed_in_eur_per_kwh),
        *(
            Feature(f"retail_in_{h}h_eur_per_kwh", "EUR/kWh", -_INF, _INF,
                    f"published retail price {h} h after the interval", _ahead(i))
            for i, h in enumerate(AHEAD_H)
        ),
        Feature("last_price_eur_per_kwh", "EUR/kWh", -_INF, _INF,
                "last clearing price; retail before the first trade",
                lambda v: np.where(np.isnan(v.last_price_eur_per_kwh)[..., None],
                                   v.retail_eur_per_kwh, v.last_price_eur_per_kwh[..., None])),
        Feature("held_kwh", "kWh", -_INF, _INF,
                "energy traded for the interval in earlier rounds, > 0 bought",
                lambda v: v.held_kwh),
        Feature("last_volume_kwh", "kWh", 0, _INF, "energy traded in the last clearing",
                lambda v: v.last_volume_kwh[..., None]),
        Feature("vm_pu", "p.u.", 0, 2, "voltage at the own bus, 1 in a dead part",
                lambda v: np.where(np.isnan(v.vm_pu), 1.0, v.vm_pu)),
        Feature("hour_sin", "-", -1, 1, "sine of the hour of day",
                lambda v: np.sin(v.hour * (np.pi / 12.0))),
        Feature("hour_cos", "-", -1, 1, "cosine of the hour of day",
                lambda v: np.cos(v.hour * (np.pi / 12.0))),
        Feature("weekend", "-", 0, 1, "1 on Saturday and Sunday",
                lambda v: np.asarray(v.weekday) >= 5.0),
    )
}  # fmt: skip

ACTIONS: dict[str, Quantity] = {
    a.name: a
    for a in (
        Quantity("battery_kw", "kW", -_INF, _INF, "battery power, > 0 charges"),
        Quantity("quantity_kwh", "kWh", -_INF, _INF,
                 "energy to order, > 0 buys; left out: the forecast position"),
        Quantity("price_eur_per_kwh", "EUR/kWh", -_INF, _INF,
                 "limit price; left out: retail for buyers, feed-in for sellers"),
    )
}  # fmt: skip


def encode(view: View, names: Sequence[str], rows: np.ndarray | slice) -> np.ndarray:
    """Return the observations ``[..., m, d]`` of the rows, one column per named feature."""
    columns = np.empty((*view.energy_kwh.shape, len(names)))
    for j, name in enumerate(names):
        columns[..., j] = FEATURES[name].read(view)
    return np.ascontiguousarray(columns[..., rows, :])
