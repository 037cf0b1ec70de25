"""The lookout: what is known at DECIDE, the published tariff and the named forecast.

The only place from which the future could leak: it reads row k of load and PV for the forecast of
interval k, and nothing later.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from cosim.arrays import nothing
from cosim.case import Case
from cosim.conditions import Conditions, Factor
from cosim.delivery import pv_most_kw
from cosim.forecasts.base import Forecast, Known
from cosim.guard import Outlook
from cosim.markets.base import Clearing
from cosim.months import Months
from cosim.observe import AHEAD_H, View
from cosim.plant import Plant
from cosim.seeds import Draws
from cosim.settlement import Charges, Prices
from cosim.timegrid import TimeGrid
from cosim.trade import Trade

Factors = Callable[[Factor], np.ndarray]


@dataclass(frozen=True, eq=False)
class Sensed:
    """What battery, meter, line and market tell at DECIDE ``[..., n]``; of the market ``[...]``."""

    energy_kwh: np.ndarray  # expected at the begin of delivery
    load_kw: np.ndarray
    pv_kw: np.ndarray
    vm_pu: np.ndarray
    last_price_eur_per_kwh: np.ndarray
    last_volume_kwh: np.ndarray
    battery_kw: np.ndarray


class Almanac:
    """Tariff, calendar and forecast of runs of some intervals of a case.

    ``first`` is the row of the case at which the run begins, or an array ``[lanes]`` of them; all
    that is returned has these leading axes. The calendar goes on after a run: what lies past its
    end is as at the same time a day before.
    """

    def __init__(self, case: Case, first: np.ndarray | int = 0, intervals: int = 0) -> None:
        self._case, self._first = case, first
        grid, forecast = case.grid, case.scenario.forecast
        assert isinstance(forecast, Forecast)
        self._forecast = forecast
        self._hours, self._weekdays = _civil(grid)
        middle_s = grid.start_s(0) + 0.5 * grid.interval_s
        self._horizon_h = [(middle_s - grid.decide_s(0, t)) / 3600.0 for t in range(grid.rounds)]
        self._rows = _calendar(intervals or grid.intervals, grid.interval_s)
        self._months = Months(grid, first, intervals or grid.intervals)
        self._charged = case.tariffs.charged

    def published(self, k: int, factor: Factors) -> Prices:
        """Return the prices of an interval as published when its gate opens."""
        tariffs, row = self._case.tariffs, self._row(k)
        co2 = self._case.profiles.co2_kg_per_kwh[row]
        retail = tariffs.retail_eur_per_kwh[row] * factor("retail")
        feed_in = tariffs.feed_in_eur_per_kwh[row] * factor("feed_in")
        short, long = tariffs.imbalance.at(row, retail, feed_in)
        share = self._case.scenario.curtailment_compensation
        return Prices(
            retail,
            feed_in,
            co2 if np.ndim(co2) else float(co2),
            short,
            long,
            self._charges(k) if self._charged else None,
            share * np.maximum(feed_in, 0.0) if share else None,
        )

    def begins_month(self, k: int) -> np.ndarray | bool:
        """Say whether an interval begins a run or a civil month, ``[lanes, 1]`` of lanes."""
        return self._months.begins(k)

    def _charges(self, k: int) -> Charges:
        tariffs, row = self._case.tariffs, self._row(k)
        return Charges(
            tariffs.network_eur_per_kwh[row],
            tariffs.taxes_eur_per_kwh[row],
            tariffs.network_local_share,
            tariffs.taxes_local_share,
            tariffs.demand_eur_per_kw_month * self._months.share(k),
            self._case.grid.interval_h,
        )

    def at(
        self,
        k: int,
        prices: Prices,
        sensed: Sensed,
        factor: Factors,
        draws: np.ndarray,
        turn: int = 0,
        held_kwh: np.ndarray | None = None,
    ) -> tuple[Outlook, View]:
        """Return the guard's outlook and the policies' view of a round of interval k.

        ``held_kwh`` ``[..., n]`` was traded in the rounds before, by default nothing.
        """
        case, row = self._case, self._row(k)
        known = Known(
            sensed.load_kw,
            sensed.pv_kw,
            case.profiles.load_kw[row] * factor("load"),
            case.profiles.pv_kw[row] * factor("pv"),
            self._horizon_h[turn],
            draws,
        )
        load, pv = self._forecast.of(known)
        most_kw = pv_most_kw(case.population, factor("pv_share"))
        pv = pv if most_kw is None else np.minimum(pv, most_kw)  # a limit in force is known
        tariffs = case.tariffs
        ahead = np.add.outer(self._rows[1:, k], self._first)  # [AHEAD] or [AHEAD, lanes]
        view = View(
            population=case.population,
            energy_kwh=sensed.energy_kwh,
            measured_load_kw=sensed.load_kw,
            measured_pv_kw=sensed.pv_kw,
            forecast_load_kw=load,
            forecast_pv_kw=pv,
            retail_eur_per_kwh=prices.drawn_eur_per_kwh,
            feed_in_eur_per_kwh=prices.feed_in_eur_per_kwh,
            bid_limit_eur_per_kwh=prices.worth_eur_per_kwh,
            retail_ahead_eur_per_kwh=tariffs.drawn_eur_per_kwh[ahead],
            last_price_eur_per_kwh=sensed.last_price_eur_per_kwh,
            last_volume_kwh=sensed.last_volume_kwh,
            vm_pu=sensed.vm_pu,
            held_kwh=nothing(load.shape) if held_kwh is None else held_kwh,
            interval_h=case.grid.interval_h,
            hour=_per_lane(self._hours[row]),
            weekday=_per_lane(self._weekdays[row]),
            battery_kw=sensed.battery_kw,
        )
        worth, feed_in = prices.worth_eur_per_kwh, prices.feed_in_eur_per_kwh
        return Outlook(sensed.energy_kwh, load, pv, worth, feed_in), view

    def _row(self, k: int) -> np.ndarray | int:
        return self._first + int(self._rows[0, k])


class Lookout:
    """Looks at the plant, the tariff and the last clearing on behalf of guard and policies."""

    def __init__(self, case: Case, plant: Plant, conditions: Conditions) -> None:
        self._case, self._plant, self._conditions = case, plant, conditions
        self._almanac = Almanac(case)
        self._price, self._volume = np.array(np.nan), np.array(0.0)
        self._nothing = np.zeros(len(case.population))
        per_day = max(1, 86_400 // case.grid.interval_s)
        seed, names = case.scenario.seed, case.population.names
        assert isinstance(case.scenario.forecast, Forecast)
        self._draws = Draws(seed, names, "forecast", per_day, case.scenario.forecast.draws)

    def published(self, k: int) -> Prices:
        """Return the prices of an interval as published when its gate opens."""
        return self._almanac.published(k, self._conditions.factor)

    def note(self, clearing: Clearing) -> None:
        """Remember a clearing for the next observations."""
        if clearing.volume_kwh > 0.0:
            self._price = middle_price(clearing)
        self._volume = clearing.volume_kwh

    def begins_month(self, k: int) -> bool:
        """Say whether an interval is the first of the run or of a civil month."""
        return bool(self._almanac.begins_month(k))

    def at(self, k: int, turn: int, prices: Prices, before: Trade | None) -> tuple[Outlook, View]:
        """Return the guard's outlook and the policies' view of a round of interval k.

        ``before`` is what the rounds before traded, None in the first.
        """
        plant = self._plant
        expected = plant.expected_kwh(self._case.grid.start_s(k))
        market = (self._price, self._volume)
        sensed = Sensed(expected, *self._measured(), plant.vm_pu, *market, plant.battery_kw)
        draws = self._draws.at(k)
        held = self._nothing if before is None else before.total.fills_kwh
        return self._almanac.at(k, prices, sensed, self._conditions.factor, draws, turn, held)

    def measured_kvar(self) -> np.ndarray:
        """Return the reactive load flowing now ``[n]``, which is taken to last."""
        running = self._plant.running
        return self._nothing if running is None else running.flow.load_kvar

    def _measured(self) -> tuple[np.ndarray, np.ndarray]:
        """Return load and PV flowing now ``[n]``; zero before the first delivery."""
        running = self._plant.running
        if running is None:
            return self._nothing, self._nothing
        return running.flow.load_kw, running.flow.pv_kw


def middle_price(clearing: Clearing) -> np.ndarray:
    """Return the price that is observed of a clearing ``[...]``, between buyers' and sellers'."""
    return 0.5 * (clearing.buy_price_eur_per_kwh + clearing.sell_price_eur_per_kwh)


@lru_cache(maxsize=8)  # many runs may begin in one long case
def _civil(grid: TimeGrid) -> tuple[np.ndarray, np.ndarray]:
    """Return civil hours and weekdays of all intervals."""
    return grid.local_hours(), grid.local_weekdays()


def _per_lane(value: np.ndarray) -> np.ndarray | float:
    """Return a value of each lane ready to stand beside its prosumers, ``[lanes, 1]``."""
    return value[..., None] if np.ndim(value) else float(value)


def _calendar(intervals: int, interval_s: int) -> np.ndarray:
    """Return the rows ``[1 + AHEAD, T + 1]`` of each interval and some hours after it.

    Rows past the run's end are those of the same time a day before; so is interval T, the one
    that would come next.
    """
    per_day = max(1, 86_400 // interval_s)
    steps = np.array([h * 3600 // interval_s for h in (0, *AHEAD_H)])
    rows = np.arange(intervals + 1) + steps[:, None]
    days_over = np.maximum(0, -(-(rows - intervals + 1) // per_day))
    return np.clip(rows - days_over * per_day, 0, intervals - 1)
