"""The lookout: what is known at DECIDE, the published tariff and the named forecast.

The only place from which the future could leak: it reads row k of load and PV for the forecast of
interval k, and nothing later.
"""

from __future__ import annotations

import numpy as np

from cosim.case import Case
from cosim.conditions import Conditions
from cosim.forecasts.base import Forecast, Known
from cosim.guard import Outlook
from cosim.markets.base import Clearing
from cosim.observe import AHEAD_H, View
from cosim.plant import Plant
from cosim.seeds import Draws
from cosim.settlement import Prices


class Lookout:
    """Looks at the plant, the tariff and the last clearing on behalf of guard and policies."""

    def __init__(self, case: Case, plant: Plant, conditions: Conditions) -> None:
        self._case, self._plant, self._conditions = case, plant, conditions
        self._hours = case.grid.local_hours()
        self._weekdays = case.grid.local_weekdays()
        self._price, self._volume = np.array(np.nan), np.array(0.0)
        grid, forecast = case.grid, case.scenario.forecast
        assert isinstance(forecast, Forecast)
        self._forecast = forecast
        self._horizon_h = (grid.start_s(0) - grid.decide_s(0)) / 3600.0 + 0.5 * grid.interval_h
        per_day = max(1, 86_400 // grid.interval_s)
        seed, names = case.scenario.seed, case.population.names
        self._draws = Draws(seed, names, "forecast", per_day, forecast.draws)
        self._ahead = _rows_ahead(case.grid.intervals, case.grid.interval_s)

    def published(self, k: int) -> Prices:
        """Return the prices of an interval as published when its gate opens."""
        tariffs, factor = self._case.tariffs, self._conditions.factor
        return Prices(
            tariffs.retail_eur_per_kwh[k] * factor("retail"),
            tariffs.feed_in_eur_per_kwh[k] * factor("feed_in"),
            float(self._case.profiles.co2_kg_per_kwh[k]),
        )

    def note(self, clearing: Clearing) -> None:
        """Remember a clearing for the next observations."""
        if clearing.volume_kwh > 0.0:
            self._price = 0.5 * (clearing.buy_price_eur_per_kwh + clearing.sell_price_eur_per_kwh)
        self._volume = clearing.volume_kwh

    def at(self, k: int, prices: Prices) -> tuple[Outlook, View]:
        """Return the guard's outlook and the policies' view of interval k."""
        plant, case = self._plant, self._case
        load, pv = self._measured()
        expected = plant.expected_kwh(case.grid.start_s(k))
        forecast_load, forecast_pv = self._forecast.of(
            Known(
                load,
                pv,
                case.profiles.load_kw[k] * self._conditions.factor("load"),
                case.profiles.pv_kw[k] * self._conditions.factor("pv"),
                self._horizon_h,
                self._draws.at(k),
            )
        )
        retail, feed_in = prices.retail_eur_per_kwh, prices.feed_in_eur_per_kwh
        view = View(
            population=case.population,
            energy_kwh=expected,
            measured_load_kw=load,
            measured_pv_kw=pv,
            forecast_load_kw=forecast_load,
            forecast_pv_kw=forecast_pv,
            retail_eur_per_kwh=retail,
            feed_in_eur_per_kwh=feed_in,
            retail_ahead_eur_per_kwh=case.tariffs.retail_eur_per_kwh[self._ahead[:, k]],
            last_price_eur_per_kwh=self._price,
            last_volume_kwh=self._volume,
            vm_pu=plant.vm_pu,
            interval_h=case.grid.interval_h,
            hour=float(self._hours[k]),
            weekday=float(self._weekdays[k]),
            battery_kw=plant.battery_kw,
        )
        return Outlook(expected, forecast_load, forecast_pv, retail, feed_in), view

    def measured_kvar(self) -> np.ndarray:
        """Return the reactive load flowing now ``[n]``, which is taken to last."""
        running = self._plant.running
        nothing = np.zeros(len(self._case.population))
        return nothing if running is None else running.flow.load_kvar

    def _measured(self) -> tuple[np.ndarray, np.ndarray]:
        """Return load and PV flowing now ``[n]``; zero before the first delivery."""
        running = self._plant.running
        if running is None:
            nothing = np.zeros(len(self._case.population))
            return nothing, nothing
        return running.flow.load_kw, running.flow.pv_kw


def _rows_ahead(intervals: int, interval_s: int) -> np.ndarray:
    """Return the tariff rows ``[AHEAD, T]`` some hours after each interval.

    The calendar goes on after the run: rows past its end are those of the same time a day before.
    """
    per_day = max(1, 86_400 // interval_s)
    rows = np.arange(intervals) + np.array([h * 3600 // interval_s for h in AHEAD_H])[:, None]
    days_over = np.maximum(0, -(-(rows - intervals + 1) // per_day))
    return np.clip(rows - days_over * per_day, 0, intervals - 1)
