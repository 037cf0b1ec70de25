"""Prices and CO2 intensity over a run's intervals, from what the scenario says of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cosim.population import Population, Tariffs
from cosim.prices import second_of_day
from cosim.scenario import Scenario
from cosim.sections import LARGEST_KG_PER_KWH, Tariff
from cosim.timegrid import TimeGrid
from cosim.timeseries.one_series import OneSeries


def tariffs_of(scenario: Scenario, population: Population, grid: TimeGrid) -> Tariffs:
    """Return what the supplier asks and pays each participant in each interval."""
    hours, weekdays = grid.local_hours(), grid.local_weekdays()
    series = {
        name: _tariff_series(group.tariff or scenario.tariff, hours, weekdays)
        for name, group in scenario.groups.items()
    }
    return Tariffs(
        np.stack([series[group][0] for group in population.groups], axis=1),
        np.stack([series[group][1] for group in population.groups], axis=1),
    )


def _tariff_series(
    tariff: Tariff, hours: np.ndarray, weekdays: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return retail and feed-in prices ``[T]``; the last matching period wins."""
    seconds = np.round(hours * 3600.0)
    pairs = list(tariff.price_pairs())
    retail, feed_in = np.full(len(hours), pairs[0][0]), np.full(len(hours), pairs[0][1])
    for period, (own_retail, own_feed_in) in zip(tariff.periods, pairs[1:], strict=True):
        begin, end = map(second_of_day, period.hours)
        inside = (seconds >= begin) & (seconds < end)
        if begin > end:  # over midnight
            inside = (seconds >= begin) | (seconds < end)
        if period.days != "all":
            inside &= (weekdays >= 5) == (period.days == "weekend")
        retail[inside], feed_in[inside] = own_retail, own_feed_in
    return retail, feed_in


def intensity_of(
    scenario: Scenario, grid: TimeGrid, folder: Path
) -> tuple[np.ndarray, tuple[tuple[str, str], ...]]:
    """Return the CO2 intensity from upstream ``[T]`` [kg/kWh], and the files read for it."""
    section = scenario.co2
    if section.csv is not None:
        factor = 1e-3 if section.unit == "g/kWh" else 1.0
        series = OneSeries(
            section.csv,
            section.time_column,
            section.column,
            section.time_zone,
            low=0.0,
            high=LARGEST_KG_PER_KWH / factor,
            unit=section.unit,
        )
        values, file = series.load(folder, grid)
        return values * factor, (file,)
    if section.hourly_kg_per_kwh is not None:
        hourly = np.array(section.hourly_kg_per_kwh)
        return hourly[grid.local_hours().astype(int)], ()
    return np.full(grid.intervals, section.kg_per_kwh), ()
