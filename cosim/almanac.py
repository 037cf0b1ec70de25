"""The almanac: prices as published, calendar and forecast, and the view that follows from them.

The only place from which the future could leak: it reads row k of load and PV for the forecast of
interval k, and nothing later.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np

from cosim.case import Case
from cosim.conditions import Factor
from cosim.delivery import pv_most_kw
from cosim.forecasts.base import Forecast, Known
from cosim.guard import Outlook
from cosim.known import Past, Sensed
from cosim.months import Months
from cosim.observe import AHEAD_H, View
from cosim.publication import shown_rows
from cosim.senses import PRICES, SENSORS, Hearing, Swap, age_s
from cosim.settlement import Charges, Prices
from cosim.timegrid import TimeGrid

Factors = Callable[[Factor], np.ndarray]


class _Told(NamedTuple):
    """What policies are told of devices and prices ``[..., n]``, and how old that is."""

    load_kw: np.ndarray
    pv_kw: np.ndarray
    energy_kwh: np.ndarray
    vm_pu: np.ndarray
    drawn_eur_per_kwh: np.ndarray
    feed_in_eur_per_kwh: np.ndarray
    worth_eur_per_kwh: np.ndarray
    read_ahead: Callable[[], np.ndarray]
    read_feed_in_ahead: Callable[[], np.ndarray]
    price_age_s: np.ndarray | float = 0.0
    measurement_age_s: np.ndarray | float = 0.0


def _true(
    sensed: Sensed,
    prices: Prices,
    read_ahead: Callable[[], np.ndarray],
    read_feed_in_ahead: Callable[[], np.ndarray],
) -> _Told:
    """Return the truth."""
    return _Told(
        sensed.load_kw,
        sensed.pv_kw,
        sensed.energy_kwh,
        sensed.vm_pu,
        prices.drawn_eur_per_kwh,
        prices.feed_in_eur_per_kwh,
        prices.worth_eur_per_kwh,
        read_ahead,
        read_feed_in_ahead,
    )


def _heard(hear: Hearing, true: _Told, decide_s: int) -> _Told:
    """Return what faults let through of the truth."""
    values = (*true[:7], true.read_ahead(), true.read_feed_in_ahead())
    names = (*SENSORS, *PRICES)
    found = hear(dict(zip(names, values, strict=True)))
    load, pv, energy, vm, drawn, feed_in, worth, *ahead = (found[name].value for name in names)
    return _Told(
        load,
        pv,
        energy,
        vm,
        drawn,
        feed_in,
        worth,
        partial(np.asarray, ahead[0]),
        partial(np.asarray, ahead[1]),
        age_s(found, PRICES, decide_s),
        age_s(found, SENSORS, decide_s),
    )


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
        self._hours, self._weekdays, self._year = _civil(grid)
        self._decide_s = [[grid.decide_s(k, t) for t in range(grid.rounds)] for k in (0, 1)]
        middle_s = grid.start_s(0) + 0.5 * grid.interval_s
        self._horizon_h = [(middle_s - grid.decide_s(0, t)) / 3600.0 for t in range(grid.rounds)]
        self._rows = _calendar(intervals or grid.intervals, grid.interval_s)
        self._months = Months(grid, first, intervals or grid.intervals)
        self._charged = case.tariffs.charged
        self._shown = shown_rows(case.tariffs, grid, first, self._rows)
        limits = case.limits
        self._vm_limits_pu = (limits.vm_min_pu, limits.vm_max_pu)

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
        past: Past,
        factor: Factors,
        draws: np.ndarray,
        turn: int = 0,
        held_kwh: np.ndarray | None = None,
        hear: Hearing | None = None,
        exchanged: tuple[Swap, ...] = (),
    ) -> tuple[Outlook, View]:
        """Return the guard's outlook and the policies' view of a round of interval k.

        ``held_kwh`` ``[..., n]`` was traded in the rounds before, by default nothing. ``hear``
        tells what is told of devices and prices, by default the truth; the guard knows devices as
        they are, and prices as they are told.
        """
        most_kw = pv_most_kw(self._case.population, factor("pv_share"))
        expect = partial(self._expected, k, turn, factor, draws, most_kw)
        load, pv = told_of = expect(sensed.load_kw, sensed.pv_kw)
        told = _true(sensed, prices, partial(self._ahead, k), partial(self._feed_in_ahead, k))
        if hear is not None:
            told = _heard(hear, told, self.decide_s(k, turn))
            told_of = expect(told.load_kw, told.pv_kw)
        held_kwh = np.zeros_like(load) if held_kwh is None else held_kwh
        view = self._view(k, turn, told, told_of, sensed, past, held_kwh, most_kw, exchanged)
        worth, feed_in = told.worth_eur_per_kwh, told.feed_in_eur_per_kwh
        return Outlook(sensed.energy_kwh, load, pv, worth, feed_in), view

    def _expected(
        self,
        k: int,
        turn: int,
        factor: Factors,
        draws: np.ndarray,
        most_kw: np.ndarray | None,
        load_kw: np.ndarray,
        pv_kw: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the forecast of interval k from what meters tell of load and PV."""
        profiles, row = self._case.profiles, self._row(k)
        known = Known(
            load_kw,
            pv_kw,
            profiles.load_kw[row] * factor("load"),
            profiles.pv_kw[row] * factor("pv"),
            self._horizon_h[turn],
            draws,
        )
        load, pv = self._forecast.of(known)
        return load, pv if most_kw is None else np.minimum(pv, most_kw)  # a limit is known

    def _view(
        self,
        k: int,
        turn: int,
        told: _Told,
        expected: tuple[np.ndarray, np.ndarray],
        sensed: Sensed,
        past: Past,
        held_kwh: np.ndarray,
        most_kw: np.ndarray | None,
        exchanged: tuple[Swap, ...],
    ) -> View:
        row, case = self._row(k), self._case
        return View(
            population=case.population,
            energy_kwh=told.energy_kwh,
            measured_load_kw=told.load_kw,
            measured_pv_kw=told.pv_kw,
            forecast_load_kw=expected[0],
            forecast_pv_kw=expected[1],
            retail_eur_per_kwh=told.drawn_eur_per_kwh,
            feed_in_eur_per_kwh=told.feed_in_eur_per_kwh,
            bid_limit_eur_per_kwh=told.worth_eur_per_kwh,
            read_ahead=told.read_ahead,
            read_feed_in_ahead=told.read_feed_in_ahead,
            vm_pu=told.vm_pu,
            held_kwh=held_kwh,
            interval_h=case.grid.interval_h,
            hour=_per_lane(self._hours[row]),
            weekday=_per_lane(self._weekdays[row]),
            battery_kw=sensed.battery_kw,
            past_prices_eur_per_kwh=past.prices_eur_per_kwh,
            past_volumes_kwh=past.volumes_kwh,
            last_fill_kwh=past.fill_kwh,
            last_bill_eur=past.bill_eur,
            price_age_s=told.price_age_s,
            measurement_age_s=told.measurement_age_s,
            pv_most_kw=most_kw,
            curtailed_kw=sensed.curtailed_kw,
            vm_limits_pu=self._vm_limits_pu,
            line_loading_percent=sensed.line_loading_percent,
            trafo_loading_percent=sensed.trafo_loading_percent,
            horizon_h=self._horizon_h[turn],
            year_share=_per_lane(self._year[row]),
            swaps=exchanged,
        )

    def decide_s(self, k: int, turn: int = 0) -> int:
        """Return the second of a run at which a round of interval k is decided."""
        first, second = self._decide_s[0][turn], self._decide_s[1][turn]
        return first + k * (second - first)

    def _ahead(self, k: int) -> np.ndarray:
        """Return the published prices of the next hours ``[AHEAD, ..., n]``, all included."""
        tariffs, rows = self._case.tariffs, self._rows_ahead(k)
        if not self._shown:
            return tariffs.drawn_eur_per_kwh[rows]
        retail = self._shown_ahead(k, tariffs.retail_eur_per_kwh)
        return retail + tariffs.network_eur_per_kwh[rows] + tariffs.taxes_eur_per_kwh[rows]

    def _feed_in_ahead(self, k: int) -> np.ndarray:
        """Return the published feed-in prices of the next hours ``[AHEAD, ..., n]``."""
        return self._shown_ahead(k, self._case.tariffs.feed_in_eur_per_kwh)

    def _shown_ahead(self, k: int, prices: np.ndarray) -> np.ndarray:
        """Return what is shown of prices ``[T, n]`` in the next hours, the published ones."""
        found = prices[self._rows_ahead(k)]
        for columns, shown in self._shown:
            found[..., columns] = prices[shown[k]][..., columns]
        return found

    def _rows_ahead(self, k: int) -> np.ndarray:
        """Return the rows of the case in the next hours, ``[AHEAD]`` or ``[AHEAD, lanes]``."""
        return np.add.outer(self._rows[1:, k], self._first)

    def _row(self, k: int) -> np.ndarray | int:
        return self._first + int(self._rows[0, k])


@lru_cache(maxsize=8)  # many runs may begin in one long case
def _civil(grid: TimeGrid) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return civil hours, weekdays and shares of the year gone by, of all intervals."""
    return grid.local_hours(), grid.local_weekdays(), grid.local_year_shares()


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
