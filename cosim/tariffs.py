"""Prices and CO2 intensity over a run's intervals, from what the scenario says of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from cosim import prices
from cosim.document import Path
from cosim.imbalance import Imbalance
from cosim.periods import calendar_of, holds
from cosim.population import Population, Tariffs
from cosim.scenario import Scenario
from cosim.tariff_sections import Tariff
from cosim.timegrid import TimeGrid
from cosim.timeseries.formats import SeriesFile
from cosim.validation import Located

#: values of the scenario's series ``[T]`` by the path of the key that names them
Read = Mapping[Path, np.ndarray]


class Asked(NamedTuple):
    """A series that a scenario names, where it does, and the unit it must have."""

    path: Path
    file: SeriesFile
    unit: str


class Priced(NamedTuple):
    """The prices of one tariff ``[T]`` [EUR/kWh]."""

    retail: np.ndarray
    feed_in: np.ndarray
    network: np.ndarray


def series_of(scenario: Scenario) -> Iterator[Asked]:
    """Yield the series of prices and CO2 that a scenario names."""
    for path, tariff in scenario.tariffs():
        if tariff.day_ahead is not None:
            yield Asked((*path, "day_ahead", "series"), tariff.day_ahead.series, "EUR/kWh")
    if scenario.imbalance.series is not None:
        yield Asked(("imbalance", "series"), scenario.imbalance.series, "EUR/kWh")
    if scenario.co2.series is not None:
        yield Asked(("co2", "series"), scenario.co2.series, "kg/kWh")


def tariffs_of(
    scenario: Scenario, population: Population, grid: TimeGrid, read: Read | None = None
) -> Tariffs:
    """Return what each participant is asked and paid; ``read`` holds the scenario's series."""
    read = read or {}
    tariffs = {path: (each, _priced(path, each, grid, read)) for path, each in scenario.tariffs()}
    own: dict[str, tuple[Tariff, Priced]] = {
        name: tariffs[("tariff",) if group.tariff is None else ("groups", name, "tariff")]
        for name, group in scenario.groups.items()
    }
    mine = [own[group] for group in population.groups]

    def over_time(place: int) -> np.ndarray:
        return np.stack([priced[place] for _, priced in mine], axis=1)

    def constant(key: str) -> np.ndarray:
        return np.array([getattr(tariff, key) for tariff, _ in mine])

    taxes = np.broadcast_to(constant("taxes_eur_per_kwh"), (grid.intervals, len(mine)))
    return Tariffs(
        retail_eur_per_kwh=over_time(0),
        feed_in_eur_per_kwh=over_time(1),
        network_eur_per_kwh=over_time(2),
        taxes_eur_per_kwh=taxes.copy(),
        network_local_share=constant("network_local_share"),
        taxes_local_share=constant("taxes_local_share"),
        demand_eur_per_kw_month=constant("demand_eur_per_kw_month"),
        imbalance=_imbalance(scenario, grid, read),
        published_hour=_published([tariff for tariff, _ in mine]),
    )


def _published(tariffs: Sequence[Tariff]) -> np.ndarray | None:
    """Return when the next day's prices are known ``[n]``; None where all are always known."""
    if all(tariff.day_ahead is None for tariff in tariffs):
        return None
    return np.array(
        [np.nan if t.day_ahead is None else t.day_ahead.published_hour for t in tariffs]
    )


def _priced(path: Path, tariff: Tariff, grid: TimeGrid, read: Read) -> Priced:
    """Return the prices of a tariff; the last matching period wins."""
    calendar = calendar_of(grid, tariff.holidays) if tariff.periods else None
    pairs = dict(tariff.price_pairs())
    if tariff.day_ahead is None:
        retail, feed_in = (np.full(grid.intervals, price) for price in pairs[None])
    else:
        spot = read[*path, "day_ahead", "series"]
        retail = spot + tariff.day_ahead.retail_markup_eur_per_kwh
        feed_in = spot - tariff.day_ahead.feed_in_markdown_eur_per_kwh
    network = np.full(grid.intervals, tariff.network_eur_per_kwh)
    for index, period in enumerate(tariff.periods):
        assert calendar is not None
        inside = holds(period, calendar)
        if index in pairs:
            retail[inside], feed_in[inside] = pairs[index]
        if period.network_eur_per_kwh is not None:
            network[inside] = period.network_eur_per_kwh
    return Priced(retail, feed_in, network)


def _imbalance(scenario: Scenario, grid: TimeGrid, read: Read) -> Imbalance:
    """Return the prices of imbalance."""
    section = scenario.imbalance
    if section.series is not None:
        series = read["imbalance", "series"]
        return Imbalance(0.0, series, series)
    short, long = (
        None if price is None else np.full(grid.intervals, price)
        for price in (section.short_eur_per_kwh, section.long_eur_per_kwh)
    )
    return Imbalance(section.markup_eur_per_kwh, short, long)


def crossed_series(scenario: Scenario, grid: TimeGrid, read: Read) -> list[Located]:
    """Return where price shocks put feed-in above retail in a tariff that follows a series."""
    found: list[Located] = []
    for path, tariff in scenario.tariffs():
        if tariff.day_ahead is not None and (*path, "day_ahead", "series") in read:
            priced = _priced(path, tariff, grid, read)
            shocks = scenario.price_shocks()
            found += prices.crossed_series(path, priced.retail, priced.feed_in, shocks, grid)
    return found


def intensity_of(scenario: Scenario, grid: TimeGrid, read: Read | None = None) -> np.ndarray:
    """Return the CO2 intensity from upstream ``[T]`` [kg/kWh]."""
    section = scenario.co2
    if section.series is not None:
        return (read or {})["co2", "series"]
    if section.hourly_kg_per_kwh is not None:
        return np.array(section.hourly_kg_per_kwh)[grid.local_hours().astype(int)]
    return np.full(grid.intervals, section.kg_per_kwh)
