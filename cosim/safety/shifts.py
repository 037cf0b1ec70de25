"""What can go wrong with what a policy sees: shifts of whole days, for trying the supervisor.

Each maps observations ``[days, steps, r, d]`` of days that begin at midnight to those of the same
days under a fault. Only what the policy sees is falsified; the world stays as it is. Which columns
a fault falsifies follows from the kinds of :mod:`cosim.feature_kinds`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from cosim.feature_kinds import KIND_OF
from cosim.observe import WEEKDAYS

#: what a clock tells, and what is looked up by it
BY_CLOCK = ("time", "price")
#: what comes from meter, sensors, market and feeder
MEASURED = ("own", "forecast", "market", "grid")
#: days of a year, for the season
YEAR_DAYS = 365.2425
#: a fault at noon begins here, as a share of the day
NOON = 0.5
Shift = Callable[[np.ndarray, tuple[str, ...]], np.ndarray]


def clock(hours: int, seen: np.ndarray, features: tuple[str, ...]) -> np.ndarray:
    """Return observations whose clock is late: calendar and published prices are of earlier.

    Prices of the day's own end stand before its begin; weekday and season are of the day before
    until the clock has passed midnight, as far as these features tell which that is.
    """
    late = _later(seen, hours, _of(features, BY_CLOCK))
    steps = _steps(seen, hours)
    late[:, :steps] = _day_before(late[:, :steps], features)
    return late


def lag(hours: int, seen: np.ndarray, features: tuple[str, ...]) -> np.ndarray:
    """Return observations whose measurements and forecasts arrive late; the clock is right."""
    return _later(seen, hours, _of(features, MEASURED))


def pv_stuck(share: float, seen: np.ndarray, features: tuple[str, ...]) -> np.ndarray:
    """Return observations whose PV stands still from a time of the day on."""
    return _stuck_at(seen, features, share, None)


def pv_dead(share: float, seen: np.ndarray, features: tuple[str, ...]) -> np.ndarray:
    """Return observations whose PV is 0 from a time of the day on."""
    return _stuck_at(seen, features, share, 0.0)


def swapped(pair: tuple[str, str], seen: np.ndarray, features: tuple[str, ...]) -> np.ndarray:
    """Return observations with two columns exchanged."""
    a, b = (features.index(name) for name in pair)
    order = np.arange(len(features))
    order[a], order[b] = b, a
    return np.ascontiguousarray(seen[..., order])


def prices(factor: float, seen: np.ndarray, features: tuple[str, ...]) -> np.ndarray:
    """Return observations in which every published price is ``factor`` times as high."""
    return seen * np.where(_of(features, ("price",)), factor, 1.0)


def load(factor: float, seen: np.ndarray, features: tuple[str, ...]) -> np.ndarray:
    """Return observations with ``factor`` times the load, measured and forecast."""
    result = seen.copy()
    for name in LOADS:
        if name in features:
            result[..., features.index(name)] *= factor
    expected = _forecast_load(seen, features)
    if "forecast_net_kw" in features and expected is not None:
        result[..., features.index("forecast_net_kw")] += (factor - 1.0) * expected
    return result


def ladder(features: tuple[str, ...]) -> dict[str, Shift]:
    """Return the shifts that these features can suffer, by name, mildest first of each kind."""
    found: dict[str, Shift] = {}
    if any(_of(features, BY_CLOCK)):
        found |= {f"clock {h} h late": partial(clock, h) for h in (1, 2, 3, 6)}
    if "forecast_pv_kw" in features or "measured_pv_kw" in features:
        found["pv stuck from noon"] = partial(pv_stuck, NOON)
        found["pv 0 from noon"] = partial(pv_dead, NOON)
    pairs = (("soc", "rating_kw"), ("forecast_net_kw", "forecast_pv_kw"), ("soc", "vm_pu"),
             ("hour_sin", "hour_cos"), ("retail_eur_per_kwh", "retail_in_4h_eur_per_kwh"),
             ("retail_eur_per_kwh", "last_price_eur_per_kwh"))  # fmt: skip
    for pair in pairs:
        if set(pair) <= set(features):
            found[f"swapped {pair[0]}, {pair[1]}"] = partial(swapped, pair)
    if any(_of(features, ("price",))):
        found |= {f"prices x {f:g}": partial(prices, f) for f in (1.5, 2.0, 3.0)}
    if set(LOADS) & set(features) or {"forecast_net_kw", "forecast_pv_kw"} <= set(features):
        found |= {f"load x {f:g}": partial(load, f) for f in (0.5, 1.5, 2.0, 3.0)}
    if any(_of(features, MEASURED)):
        found |= {f"measurements {h} h late": partial(lag, h) for h in (1, 2, 3, 6)}
    return found


LOADS = ("measured_load_kw", "forecast_load_kw")


def _of(features: tuple[str, ...], kinds: tuple[str, ...]) -> list[bool]:
    """Return which features are of some kinds."""
    return [KIND_OF[name] in kinds for name in features]


def _forecast_load(seen: np.ndarray, features: tuple[str, ...]) -> np.ndarray | None:
    """Return the load that is forecast, from whatever tells it; None where nothing does."""
    if "forecast_load_kw" in features:
        return np.asarray(seen[..., features.index("forecast_load_kw")])
    if {"forecast_net_kw", "forecast_pv_kw"} <= set(features):
        net, pv = (features.index(name) for name in ("forecast_net_kw", "forecast_pv_kw"))
        return np.asarray(seen[..., net] + seen[..., pv])
    return None


def _day_before(seen: np.ndarray, features: tuple[str, ...]) -> np.ndarray:
    """Return observations with weekday and season of the day before, where they are known."""
    result, column = seen.copy(), {name: i for i, name in enumerate(features)}
    for name, after in zip(WEEKDAYS, (*WEEKDAYS[1:], WEEKDAYS[0]), strict=True):
        if name in column and after in column:
            result[..., column[name]] = seen[..., column[after]]
    if {"weekend", "sunday", "monday"} <= set(features):
        result[..., column["weekend"]] = seen[..., column["sunday"]] + seen[..., column["monday"]]
    if {"year_sin", "year_cos"} <= set(features):
        turn = 2.0 * np.pi / YEAR_DAYS
        sine, cosine = seen[..., column["year_sin"]], seen[..., column["year_cos"]]
        result[..., column["year_sin"]] = sine * np.cos(turn) - cosine * np.sin(turn)
        result[..., column["year_cos"]] = cosine * np.cos(turn) + sine * np.sin(turn)
    return result


def _steps(seen: np.ndarray, hours: int) -> int:
    return round(hours * seen.shape[1] / 24.0)


def _later(seen: np.ndarray, hours: int, picked: list[bool]) -> np.ndarray:
    """Return observations with some columns late; the day's own end stands before its begin."""
    return np.where(picked, np.roll(seen, _steps(seen, hours), axis=1), seen)


def _stuck_at(
    seen: np.ndarray, features: tuple[str, ...], share: float, value: float | None
) -> np.ndarray:
    """Return observations with PV at a value, None: the one it has then, and net to match."""
    result, begin = seen.copy(), round(share * seen.shape[1])
    for name in ("measured_pv_kw", "forecast_pv_kw"):
        if name not in features:
            continue
        column = features.index(name)
        stuck = seen[:, begin : begin + 1, :, column] if value is None else value
        change = stuck - seen[:, begin:, :, column]
        result[:, begin:, :, column] = stuck
        if name == "forecast_pv_kw" and "forecast_net_kw" in features:
            result[:, begin:, :, features.index("forecast_net_kw")] -= change
    return result
