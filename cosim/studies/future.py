"""Another future: a case with all that nobody can know at a decision drawn anew.

What was published or told by then stays as it is: tariffs with their calendars, day-ahead prices
after their hour, what the forecast says of the interval to come, disturbances that have begun.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from cosim.case import Case
from cosim.disturbances.base import Disturbance
from cosim.forecasts.base import Forecast, Known
from cosim.imbalance import Imbalance
from cosim.population import Profiles, Tariffs
from cosim.publication import unpublished
from cosim.seeds import Reseeded, generator

#: parts of a run in each of which one decision is looked at
PARTS = 8
#: new values by old ones lie within these, and their common factor is as far from 1 as `_FAR`
_APART, _FAR = (0.5, 1.5), 4.0


def instants(case: Case) -> list[int]:
    """Return the intervals on whose decisions the future is changed, in their order.

    One drawn in each of :data:`PARTS` equal parts of the run, and the last before disturbances
    begin and before day-ahead prices are published; of these no more than :data:`PARTS`.
    """
    count = case.grid.intervals
    draws = generator(case.scenario.seed, "audit", "instants").random(PARTS)
    spread = ((np.arange(PARTS) + draws) / PARTS * count).astype(int)
    spread = np.minimum(spread, max(count - 2, 0))  # after the last decision nothing comes
    eves = sorted({*_before_disturbances(case), *_before_publication(case)})
    some = eves[:: max(1, -(-len(eves) // PARTS))]
    return sorted({*spread.tolist(), *some})


def other_future(case: Case, k: int) -> Case:
    """Return the case with what is unknown when interval k is decided drawn anew.

    These are load and PV of intervals no forecast has told of yet, CO2, prices that are not
    published, those of imbalance not billed yet, and all draws; disturbances to come do not come.
    """
    scenario, loaded = case.scenario, case.loaded
    begins = zip(_begins_s(case), scenario.disturbances, strict=True)
    begun = tuple(each for second, each in begins if second <= _now_s(case, k))
    changed = scenario.model_copy(update={"disturbances": begun})
    return replace(
        case,
        loaded=replace(loaded, scenario=changed),
        profiles=_other_profiles(case, k),
        tariffs=_other_tariffs(case, k),
        reseeded=Reseeded(k + 1, scenario.seed + 1),
    )


def _now_s(case: Case, k: int) -> int:
    """Return the second of the last decision on an interval."""
    return case.grid.decide_s(k, case.grid.rounds - 1)


def _begins_s(case: Case) -> list[int]:
    """Return the second at which each disturbance begins."""
    found, scenario = [], case.scenario
    for each in scenario.disturbances:
        assert isinstance(each, Disturbance)
        found.append(case.grid.second_of(scenario.local(each.start)))
    return found


def _before_disturbances(case: Case) -> Iterator[int]:
    """Yield the last interval decided before each disturbance begins, if the run has one."""
    first_s = _now_s(case, 0)
    for second in _begins_s(case):
        eve = (second - 1 - first_s) // case.grid.interval_s
        if 0 <= eve < case.grid.intervals:
            yield eve


def _before_publication(case: Case) -> Iterator[int]:
    """Yield the last interval decided before prices are published, each time."""
    if case.tariffs.published_hour is None:
        return
    hidden = unpublished(case.tariffs, case.grid, 0).any(axis=-1)
    for k in range(case.grid.intervals - 1):
        before, hidden = hidden, unpublished(case.tariffs, case.grid, k + 1).any(axis=-1)
        if (before & ~hidden).sum() > 1:  # of one row less is the interval's own price
            yield k


def _other_profiles(case: Case, k: int) -> Profiles:
    profiles = case.profiles
    first = k + 1 if _is_told(case, k) else k
    changed = {
        name: _redrawn(case, k, name, getattr(profiles, name), first)
        for name in ("load_kw", "load_kvar", "pv_kw")
    }
    co2 = _redrawn(case, k, "co2", profiles.co2_kg_per_kwh, k + 1)
    return replace(profiles, co2_kg_per_kwh=co2, **changed)


def _is_told(case: Case, k: int) -> bool:
    """Say whether the forecast tells anything of the load and PV that interval k will have."""
    forecast, profiles = case.scenario.forecast, case.profiles
    assert isinstance(forecast, Forecast)
    load, pv, before = profiles.load_kw, profiles.pv_kw, max(k - 1, 0)
    draws = np.full((load.shape[1], forecast.draws), 0.5)
    said = [
        forecast.of(Known(load[before], pv[before], factor * load[k], factor * pv[k], 1.0, draws))
        for factor in (1.0, 1.25, 4.0)
    ]
    return any(not np.array_equal(said[0], other) for other in said[1:])


def _other_tariffs(case: Case, k: int) -> Tariffs:
    tariffs = case.tariffs
    hidden = unpublished(tariffs, case.grid, k)
    factor = _factors(case, k, "day ahead", hidden.shape[0])[:, None]

    def drawn(prices: np.ndarray) -> np.ndarray:
        return np.where(hidden, prices * factor, prices)

    return replace(
        tariffs,
        retail_eur_per_kwh=drawn(tariffs.retail_eur_per_kwh),
        feed_in_eur_per_kwh=drawn(tariffs.feed_in_eur_per_kwh),
        imbalance=_other_imbalance(case, k),
    )


def _other_imbalance(case: Case, k: int) -> Imbalance:
    """Return imbalance prices, those of a series unknown until they are billed.

    The interval before k is running when k is decided.
    """
    prices, first = case.tariffs.imbalance, max(k - 1, 0)
    if case.scenario.imbalance.series is None:
        return prices
    short, long = (
        None if own is None else _redrawn(case, k, "imbalance", own, first)
        for own in (prices.short_eur_per_kwh, prices.long_eur_per_kwh)
    )
    return replace(prices, short_eur_per_kwh=short, long_eur_per_kwh=long)


def _redrawn(case: Case, k: int, name: str, values: np.ndarray, first: int) -> np.ndarray:
    """Return values ``[T, ...]`` with those from an interval on drawn anew."""
    rest = values[first:]
    own = generator(case.scenario.seed, "audit", name, k).uniform(*_APART, rest.shape)
    common = _factors(case, k, name, len(values))[first:]
    changed = rest * own * common.reshape(-1, *[1] * (rest.ndim - 1))
    return np.concatenate([values[:first], changed])


def _factors(case: Case, k: int, name: str, count: int) -> np.ndarray:
    """Return a factor for each interval ``[count]``: a common one, so that sums change as well."""
    random = generator(case.scenario.seed, "audit", f"{name} together", k)
    return _FAR ** random.uniform(-1.0, 1.0) * random.uniform(*_APART, count)
