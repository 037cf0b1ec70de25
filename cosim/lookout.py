"""The lookout: what is known at DECIDE, the published tariff and the named forecast.

The only place from which the future could leak: it reads row k of load and PV for the forecast of
interval k, and nothing later.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np

from cosim.arrays import freeze
from cosim.case import Case
from cosim.conditions import Conditions, Factor
from cosim.delivery import Delivery, pv_most_kw
from cosim.draws import draws_of
from cosim.forecasts.base import Forecast, Known
from cosim.guard import Outlook
from cosim.markets.base import Clearing
from cosim.months import Months
from cosim.observe import AHEAD_H, LAGS, View
from cosim.plant import Plant
from cosim.publication import shown_rows
from cosim.senses import PRICES, SENSORS, Hearing, Senses, Swap, age_s, swaps
from cosim.settlement import Charges, Prices
from cosim.timegrid import TimeGrid
from cosim.trade import Trade

Factors = Callable[[Factor], np.ndarray]


@dataclass(frozen=True, eq=False)
class Past:
    """What is known of clearings and bills; of the market LAGS of ``[...]``, the last first."""

    prices_eur_per_kwh: tuple[np.ndarray, ...]  # of the last that traded; NaN before the first
    volumes_kwh: tuple[np.ndarray, ...]
    fill_kwh: np.ndarray  # [..., n], own, in the last clearing
    bill_eur: np.ndarray  # [..., n], own, of the interval settled last

    def __post_init__(self) -> None:
        freeze(self)

    def after(self, clearing: Clearing) -> Past:
        """Return what is known after a clearing."""
        volume = np.asarray(clearing.volume_kwh)
        price = np.where(volume > 0.0, middle_price(clearing), self.prices_eur_per_kwh[0])
        return Past(
            (price, *self.prices_eur_per_kwh[:-1]),
            (volume, *self.volumes_kwh[:-1]),
            clearing.fills_kwh,
            self.bill_eur,
        )


def nothing_past(shape: tuple[int, ...]) -> Past:
    """Return what is known before the first clearing; ``shape`` is ``[..., n]``."""
    unknown, none = np.full(shape[:-1], np.nan), np.zeros(shape[:-1])
    return Past((unknown,) * LAGS, (none,) * LAGS, np.zeros(shape), np.zeros(shape))


@dataclass(frozen=True, eq=False)
class Sensed:
    """What battery, meter, line and feeder tell at DECIDE ``[..., n]``; ``[...]`` of the feeder."""

    energy_kwh: np.ndarray  # expected at the begin of delivery
    load_kw: np.ndarray
    pv_kw: np.ndarray
    vm_pu: np.ndarray
    battery_kw: np.ndarray
    curtailed_kw: np.ndarray
    line_loading_percent: np.ndarray | None  # of all lines [..., l]
    trafo_loading_percent: np.ndarray | None


def sensed(energy_kwh: np.ndarray, running: Delivery | None, bus: np.ndarray) -> Sensed:
    """Return what is sensed while a delivery runs; nothing flows before the first."""
    if running is None:
        zero = np.zeros_like(energy_kwh)
        return Sensed(energy_kwh, zero, zero, zero + 1.0, zero, zero, None, None)
    flow, grid = running.flow, running.grid
    return Sensed(
        energy_kwh,
        flow.load_kw,
        flow.pv_kw,
        grid.vm_pu[..., bus],
        flow.battery_kw,
        flow.curtailed_kw,
        grid.line_loading_percent,
        grid.trafo_loading_percent,
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
        case, row = self._case, self._row(k)
        most_kw = pv_most_kw(case.population, factor("pv_share"))

        def forecast(load_kw: np.ndarray, pv_kw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            known = Known(
                load_kw,
                pv_kw,
                case.profiles.load_kw[row] * factor("load"),
                case.profiles.pv_kw[row] * factor("pv"),
                self._horizon_h[turn],
                draws,
            )
            load, pv = self._forecast.of(known)
            return load, pv if most_kw is None else np.minimum(pv, most_kw)  # a limit is known

        load, pv = expected = forecast(sensed.load_kw, sensed.pv_kw)
        retail, feed_in = prices.drawn_eur_per_kwh, prices.feed_in_eur_per_kwh
        worth = prices.worth_eur_per_kwh
        read_ahead: Callable[[], np.ndarray] = partial(self._ahead, k)
        energy, meters, vm_pu = sensed.energy_kwh, [sensed.load_kw, sensed.pv_kw], sensed.vm_pu
        price_age_s: np.ndarray | float = 0.0
        measurement_age_s: np.ndarray | float = 0.0
        if hear is not None:
            listed = (*meters, energy, vm_pu, retail, feed_in, worth, read_ahead())
            told = hear(dict(zip((*SENSORS, *PRICES), listed, strict=True)))
            *meters, energy, vm_pu, retail, feed_in, worth = (
                told[name].value for name in (*SENSORS, *PRICES[:-1])
            )
            read_ahead = partial(np.asarray, told[PRICES[-1]].value)
            decide_s = self.decide_s(k, turn)
            price_age_s, measurement_age_s = (
                age_s(told, names, decide_s) for names in (PRICES, SENSORS)
            )
            expected = forecast(*meters)
        view = View(
            population=case.population,
            energy_kwh=energy,
            measured_load_kw=meters[0],
            measured_pv_kw=meters[1],
            forecast_load_kw=expected[0],
            forecast_pv_kw=expected[1],
            retail_eur_per_kwh=retail,
            feed_in_eur_per_kwh=feed_in,
            bid_limit_eur_per_kwh=worth,
            read_ahead=read_ahead,
            vm_pu=vm_pu,
            held_kwh=np.zeros_like(load) if held_kwh is None else held_kwh,
            interval_h=case.grid.interval_h,
            hour=_per_lane(self._hours[row]),
            weekday=_per_lane(self._weekdays[row]),
            battery_kw=sensed.battery_kw,
            past_prices_eur_per_kwh=past.prices_eur_per_kwh,
            past_volumes_kwh=past.volumes_kwh,
            last_fill_kwh=past.fill_kwh,
            last_bill_eur=past.bill_eur,
            price_age_s=price_age_s,
            measurement_age_s=measurement_age_s,
            pv_most_kw=most_kw,
            curtailed_kw=sensed.curtailed_kw,
            vm_limits_pu=self._vm_limits_pu,
            line_loading_percent=sensed.line_loading_percent,
            trafo_loading_percent=sensed.trafo_loading_percent,
            horizon_h=self._horizon_h[turn],
            year_share=_per_lane(self._year[row]),
            swaps=exchanged,
        )
        return Outlook(sensed.energy_kwh, load, pv, worth, feed_in), view

    def decide_s(self, k: int, turn: int = 0) -> int:
        """Return the second of a run at which a round of interval k is decided."""
        first, second = self._decide_s[0][turn], self._decide_s[1][turn]
        return first + k * (second - first)

    def _ahead(self, k: int) -> np.ndarray:
        """Return the published prices of the next hours ``[AHEAD, ..., n]``."""
        tariffs = self._case.tariffs
        rows = np.add.outer(self._rows[1:, k], self._first)  # [AHEAD] or [AHEAD, lanes]
        if not self._shown:
            return tariffs.drawn_eur_per_kwh[rows]
        retail = tariffs.retail_eur_per_kwh[rows]
        for columns, shown in self._shown:
            retail[..., columns] = tariffs.retail_eur_per_kwh[shown[k]][..., columns]
        return retail + tariffs.network_eur_per_kwh[rows] + tariffs.taxes_eur_per_kwh[rows]

    def _row(self, k: int) -> np.ndarray | int:
        return self._first + int(self._rows[0, k])


class Lookout:
    """Looks at the plant, the tariff and the last clearing on behalf of guard and policies."""

    def __init__(self, case: Case, plant: Plant, conditions: Conditions) -> None:
        self._case, self._plant, self._conditions = case, plant, conditions
        self._almanac = Almanac(case)
        self._nothing = np.zeros(len(case.population))
        self._past, self._senses = nothing_past(self._nothing.shape), Senses()
        self._disturbed = bool(case.scenario.disturbances)
        assert isinstance(case.scenario.forecast, Forecast)
        names, width = case.population.names, case.scenario.forecast.draws
        self._draws = draws_of(case, names, "forecast", width)

    def published(self, k: int) -> Prices:
        """Return the prices of an interval as published when its gate opens."""
        return self._almanac.published(k, self._conditions.factor)

    def note(self, clearing: Clearing) -> None:
        """Remember a clearing for the next observations."""
        self._past = self._past.after(clearing)

    def billed(self, bill_eur: np.ndarray) -> None:
        """Remember the bills of an interval ``[n]`` for the next observations."""
        past = self._past
        self._past = Past(past.prices_eur_per_kwh, past.volumes_kwh, past.fill_kwh, bill_eur)

    def begins_month(self, k: int) -> bool:
        """Say whether an interval is the first of the run or of a civil month."""
        return bool(self._almanac.begins_month(k))

    def at(self, k: int, turn: int, prices: Prices, before: Trade | None) -> tuple[Outlook, View]:
        """Return the guard's outlook and the policies' view of a round of interval k.

        ``before`` is what the rounds before traded, None in the first.
        """
        plant, conditions = self._plant, self._conditions
        energy_kwh = plant.expected_kwh(self._case.grid.start_s(k))
        seen = sensed(energy_kwh, plant.running, self._case.population.bus)
        held = self._nothing if before is None else before.total.fills_kwh
        faults, now_s = conditions.faults, self._almanac.decide_s(k, turn)
        hear = partial(self._senses.told, faults=faults, now_s=now_s)
        return self._almanac.at(
            k,
            prices,
            seen,
            self._past,
            conditions.factor,
            self._draws.at(k),
            turn,
            held,
            hear if self._disturbed else None,
            swaps(faults),
        )

    def measured_kvar(self) -> np.ndarray:
        """Return the reactive load flowing now ``[n]``, which is taken to last."""
        running = self._plant.running
        return self._nothing if running is None else running.flow.load_kvar


def middle_price(clearing: Clearing) -> np.ndarray:
    """Return the price that is observed of a clearing ``[...]``, between buyers' and sellers'."""
    return 0.5 * (clearing.buy_price_eur_per_kwh + clearing.sell_price_eur_per_kwh)


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
