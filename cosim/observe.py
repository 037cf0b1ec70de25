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
from cosim.senses import Swap


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
    read_ahead: Callable[[], np.ndarray]  # what gives the published tariff of the next hours
    read_feed_in_ahead: Callable[[], np.ndarray]
    held_kwh: np.ndarray  # traded in earlier rounds for the interval, > 0 bought
    vm_pu: np.ndarray  # own bus, last load flow; NaN in a dead part
    interval_h: float
    hour: np.ndarray | float  # civil hour of the begin of delivery, [..., 1] of lanes
    weekday: np.ndarray | float
    battery_kw: np.ndarray | None  # now, from which ramp limits count
    past_prices_eur_per_kwh: Sequence[np.ndarray]  # LAGS of [...], the last first
    past_volumes_kwh: Sequence[np.ndarray]
    last_fill_kwh: np.ndarray | float
    last_bill_eur: np.ndarray | float  # of the interval settled last
    price_age_s: np.ndarray | float
    measurement_age_s: np.ndarray | float
    pv_most_kw: np.ndarray | None  # the network operator's limit, infinite where none
    curtailed_kw: np.ndarray | float  # now
    vm_limits_pu: tuple[float, float]
    line_loading_percent: np.ndarray | None  # of all lines [..., l], last load flow
    trafo_loading_percent: np.ndarray | None
    horizon_h: float  # from the decision to the middle of the interval
    year_share: np.ndarray | float  # days since New Year over those of the year, [..., 1]
    swaps: tuple[Swap, ...]  # features that a fault exchanges

    @cached_property
    def retail_ahead_eur_per_kwh(self) -> np.ndarray:
        """Published tariff of the next hours ``[AHEAD, ..., n]``; read when a policy asks."""
        return self.read_ahead()

    @cached_property
    def feed_in_ahead_eur_per_kwh(self) -> np.ndarray:
        """Published feed-in prices of the next hours, in the same shape."""
        return self.read_feed_in_ahead()

    @cached_property
    def feasible_kw(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest battery power that can be held for the interval."""
        return feasible_range_kw(
            self.population,
            self.energy_kwh,
            self.interval_h,
            self.battery_kw,
            self.forecast_pv_kw,
        )


#: hours ahead for which the published tariff can be observed
AHEAD_H = tuple(range(1, 13))
#: clearings that can be observed, the last one included
LAGS = 4
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


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


def _retail(index: int) -> Callable[[View], np.ndarray]:
    return lambda view: view.retail_ahead_eur_per_kwh[index]


def _feed_in(index: int) -> Callable[[View], np.ndarray]:
    return lambda view: view.feed_in_ahead_eur_per_kwh[index]


def _past_price(lag: int) -> Callable[[View], np.ndarray]:
    def read(view: View) -> np.ndarray:
        price = np.asarray(view.past_prices_eur_per_kwh[lag])[..., None]
        return np.where(np.isnan(price), view.retail_eur_per_kwh, price)

    return read


def _past_volume(lag: int) -> Callable[[View], np.ndarray]:
    return lambda view: np.asarray(view.past_volumes_kwh[lag])[..., None]


def _highest(loading: np.ndarray | None) -> np.ndarray | float:
    """Return the highest loading ``[..., 1]`` [%], 0 where there is none."""
    if loading is None:
        return 0.0
    return np.asarray(np.nan_to_num(loading).max(axis=-1, initial=0.0, keepdims=True))


def _on(weekday: int) -> Callable[[View], np.ndarray]:
    return lambda view: np.asarray(view.weekday) == weekday


def _vm_pu(view: View) -> np.ndarray:
    return np.where(np.isnan(view.vm_pu), 1.0, view.vm_pu)


def _pv_limit(view: View) -> np.ndarray:
    installed = view.population.pv_kwp
    return installed if view.pv_most_kw is None else np.minimum(view.pv_most_kw, installed)


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
            Feature(f"{name}_in_{h}h_eur_per_kwh", "EUR/kWh", -_INF, _INF,
                    f"published {price} price {h} h after the interval", read(i))
            for name, price, read in (
                ("retail", "retail", _retail),
                ("feed_in", "feed-in", _feed_in),
            )
            for i, h in enumerate(AHEAD_H)
        ),
        Feature("last_price_eur_per_kwh", "EUR/kWh", -_INF, _INF,
                "last clearing price; retail before the first trade",
                _past_price(0)),
        Feature("held_kwh", "kWh", -_INF, _INF,
                "energy traded for the interval in earlier rounds, > 0 bought",
                lambda v: v.held_kwh),
        Feature("last_volume_kwh", "kWh", 0, _INF, "energy traded in the last clearing",
                _past_volume(0)),
        Feature("vm_pu", "p.u.", 0, 2, "voltage at the own bus, 1 in a dead part",
                lambda v: np.where(np.isnan(v.vm_pu), 1.0, v.vm_pu)),
        Feature("hour_sin", "-", -1, 1, "sine of the hour of day",
                lambda v: np.sin(v.hour * (np.pi / 12.0))),
        Feature("hour_cos", "-", -1, 1, "cosine of the hour of day",
                lambda v: np.cos(v.hour * (np.pi / 12.0))),
        Feature("weekend", "-", 0, 1, "1 on Saturday and Sunday",
                lambda v: np.asarray(v.weekday) >= 5.0),
        *(
            Feature(name, "-", 0, 1, f"1 on {name.capitalize()}", _on(day))
            for day, name in enumerate(WEEKDAYS)
        ),
        Feature("year_sin", "-", -1, 1, "sine of the day of the year",
                lambda v: np.sin(v.year_share * (2.0 * np.pi))),
        Feature("year_cos", "-", -1, 1, "cosine of the day of the year",
                lambda v: np.cos(v.year_share * (2.0 * np.pi))),
        Feature("has_battery", "-", 0, 1, "1 with a battery",
                lambda v: v.population.capacity_kwh > 0.0),
        Feature("has_pv", "-", 0, 1, "1 with PV", lambda v: v.population.pv_kwp > 0.0),
        *(
            Feature(f"price_{lag + 1}_back_eur_per_kwh", "EUR/kWh", -_INF, _INF,
                    f"clearing price {lag + 1} clearings ago, or the last one before it; retail "
                    "before the first trade", _past_price(lag))
            for lag in range(1, LAGS)
        ),
        *(
            Feature(f"volume_{lag + 1}_back_kwh", "kWh", 0, _INF,
                    f"energy traded {lag + 1} clearings ago", _past_volume(lag))
            for lag in range(1, LAGS)
        ),
        Feature("last_fill_kwh", "kWh", -_INF, _INF,
                "own energy traded in the last clearing, > 0 bought", lambda v: v.last_fill_kwh),
        Feature("last_bill_eur", "EUR", -_INF, _INF,
                "own bill of the interval settled last, > 0 paid", lambda v: v.last_bill_eur),
        Feature("pv_limit_kw", "kW", 0, _INF,
                "highest PV power the network operator lets feed now; installed PV without limit",
                _pv_limit),
        Feature("curtailed_kw", "kW", 0, _INF, "own PV that the network operator holds back now",
                lambda v: v.curtailed_kw),
        Feature("vm_above_min_pu", "p.u.", -2, 2,
                "voltage at the own bus above the lower limit; of 1 p.u. in a dead part",
                lambda v: _vm_pu(v) - v.vm_limits_pu[0]),
        Feature("vm_below_max_pu", "p.u.", -2, 2,
                "voltage at the own bus below the upper limit; of 1 p.u. in a dead part",
                lambda v: v.vm_limits_pu[1] - _vm_pu(v)),
        Feature("line_loading_percent", "%", 0, _INF,
                "highest line loading of the feeder in the last load flow; 0 where it has none",
                lambda v: _highest(v.line_loading_percent)),
        Feature("trafo_loading_percent", "%", 0, _INF,
                "highest transformer loading of the feeder in the last load flow; 0 where it has "
                "none", lambda v: _highest(v.trafo_loading_percent)),
        Feature("price_age_s", "s", 0, _INF, "how long the price feed has stood still; 0: it has "
                "not", lambda v: v.price_age_s),
        Feature("measurement_age_s", "s", 0, _INF,
                "how long a sensor has been silent, the longest of them; 0: none is",
                lambda v: v.measurement_age_s),
        Feature("forecast_horizon_h", "h", 0, _INF,
                "time from the decision to the middle of the interval", lambda v: v.horizon_h),
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
        columns[..., j] = _read(view, name, view.swaps)
    return np.ascontiguousarray(columns[..., rows, :])


def _read(view: View, name: str, swaps: Sequence[Swap]) -> np.ndarray | float:
    """Return a feature as it is shown, after the exchanges."""
    if not swaps:
        return FEATURES[name].read(view)
    *before, last = swaps
    own = _read(view, name, before)
    if name not in last[:2]:
        return own
    return np.where(
        last.rows, _read(view, last.other if name == last.one else last.one, before), own
    )
