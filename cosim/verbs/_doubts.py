"""What is allowed in a scenario but looks like a wrong unit or a slip."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cosim.case import Case
from cosim.document import Path
from cosim.verbs._safety_doubts import watching, without_effect


def doubts(case: Case) -> list[str]:
    """Return the warnings of a loaded scenario, each at its line."""
    found = [*_prices(case), *_gates(case), *_batteries(case), *_groups(case), *_grid(case)]
    found += [*watching(case), *without_effect(case)]
    at = case.loaded.source.at
    return [f"{at(path)}: {text}" for path, text in found]


def _prices(case: Case) -> Iterator[tuple[Path, str]]:
    for path, tariff in case.scenario.tariffs():
        for index, (retail, feed_in) in tariff.price_pairs():
            place = path if index is None else (*path, "periods", index)
            key = (*place, "retail_eur_per_kwh")
            if 0.0 < retail < 0.01:
                yield key, f"retail {retail:g} EUR/kWh is below one cent; is it in EUR/Wh?"
            if retail > 2.0:
                yield key, f"retail {retail:g} EUR/kWh is high; is it in ct/kWh or EUR/MWh?"
            if retail == feed_in:
                yield key, f"retail equals feed-in ({retail:g} EUR/kWh): trading gains nothing"
        ahead = tariff.day_ahead
        if ahead and not ahead.retail_markup_eur_per_kwh + ahead.feed_in_markdown_eur_per_kwh:
            text = "retail equals feed-in at all times: without a mark-up trading gains nothing"
            yield (*path, "day_ahead"), text
    yield from _imbalance(case)
    co2 = case.scenario.co2
    if co2.kg_per_kwh > 1.5:
        text = f"CO2 intensity {co2.kg_per_kwh:g} kg/kWh is above that of any power plant"
        yield ("co2", "kg_per_kwh"), text


def _gates(case: Case) -> Iterator[tuple[Path, str]]:
    """Doubt rounds that close before any order can arrive."""
    grid, least_s = case.grid, case.scenario.latency.min_s
    lasts_s = min(grid.close_s(0, t) - grid.decide_s(0, t) for t in range(grid.rounds))
    if least_s >= lasts_s:
        text = f"every order travels {least_s} s or longer and is late: a round lasts {lasts_s} s"
        yield ("latency", "min_s"), text


def _imbalance(case: Case) -> Iterator[tuple[Path, str]]:
    """Doubt prices by which it may pay to trade energy that one does not have.

    It never does where the dearest retail price is no more than short costs, and the lowest
    feed-in price no less than long earns. With the tariff's own prices only a tariff that differs
    between prosumers can be used so, and only by orders that no forecast backs.
    """
    tariffs, grid, imbalance = case.tariffs, case.grid, case.tariffs.imbalance
    given = imbalance.short_eur_per_kwh is not None or imbalance.long_eur_per_kwh is not None
    if not given and case.scenario.trade_limit == "physical":
        return
    retail, feed_in = tariffs.retail_eur_per_kwh, tariffs.feed_in_eur_per_kwh
    short, long = imbalance.at(np.arange(grid.intervals), retail, feed_in)
    pays = (short.min(axis=1) < retail.max(axis=1)) | (long.max(axis=1) > feed_in.min(axis=1))
    if pays.any():
        when = grid.utc(grid.start_s(int(pays.argmax()))).astimezone(grid.zone)
        text = (
            f"trading what one does not have may pay in {pays.sum()} of {grid.intervals} intervals "
            f"(the first at {when:%Y-%m-%d %H:%M}): short costs less than retail, or "
            "long earns more than feed-in"
        )
        yield ("imbalance",), text


def _batteries(case: Case) -> Iterator[tuple[Path, str]]:
    population = case.population
    groups = np.array(population.groups)
    for name in case.scenario.groups:
        path: Path = ("groups", name, "battery", "capacity_kwh")
        mine = (groups == name) & (population.capacity_kwh > 0.0)
        if not mine.any():
            continue
        capacity, rating = population.capacity_kwh[mine], population.rating_kw[mine]
        if capacity.min() < 0.5:
            yield path, f"a battery of {capacity.min():g} kWh; is the capacity in MWh?"
        if capacity.max() > 500.0:
            yield path, f"a battery of {capacity.max():g} kWh; is the capacity in Wh?"
        hours = capacity / np.maximum(rating, 1e-9)
        if hours.min() < 0.2 or hours.max() > 50.0:
            worst = hours.min() if hours.min() < 0.2 else hours.max()
            text = f"a battery that is empty after {worst:.3g} h at its rating"
            yield (*path[:-1], "rating_kw"), f"{text}; are capacity and rating in kWh and kW?"


def _groups(case: Case) -> Iterator[tuple[Path, str]]:
    scenario, present, full = case.scenario, set(case.population.groups), ""
    for name, group in scenario.groups.items():
        if name not in present:
            yield ("groups", name), f"group '{name}' has no participant{full}"
        elif group.members == "all" and group.share >= 1.0:
            full = (
                f": '{name}' before it takes all that are left; remove that one with "
                f"'{name}: null' and add a group for all after this one"
            )
    every = [scenario, *(case.loaded.variant(name).scenario for name in scenario.variants)]
    used = {group.policy for each in every for group in each.groups.values()}
    for name in scenario.policies:
        if name not in used:
            yield ("policies", name), f"policy '{name}' is used by no group"


def _grid(case: Case) -> Iterator[tuple[Path, str]]:
    ratings = (
        ("line_rating_ka", case.scenario.feeder.line_rating_ka, 0.01, 5.0, "A"),
        ("trafo_rating_kva", case.scenario.feeder.trafo_rating_kva, 5.0, 200_000.0, "MVA or VA"),
    )
    for key, given, low, high, unit in ratings:
        values = list(given.values()) if isinstance(given, dict) else [given]
        for value in values:
            if value is not None and not low <= value <= high:
                text = f"{key} {value:g} is unusual; is it in {unit}?"
                yield ("feeder", key), text
    for key in ("load", "pv", "battery"):
        value = getattr(case.scenario.scale, key)
        if value > 10.0:
            yield ("scale", key), f"{key} is scaled by {value:g}"
