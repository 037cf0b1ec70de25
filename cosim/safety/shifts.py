"""What can go wrong with what a policy sees: shifts of whole days, for trying the supervisor.

Each maps observations ``[days, steps, r, d]`` of days that begin at midnight to those of the same
days under a fault. Only what the policy sees is falsified; the world stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

#: a fault at noon begins here, as a share of the day
NOON = 0.5
Shift = Callable[[np.ndarray, tuple[str, ...]], np.ndarray]


def clock(hours: int, seen: np.ndarray, features: tuple[str, ...]) -> np.ndarray:
    """Return observations whose clock is late: calendar and published prices are of earlier."""
    return _later(seen, hours, [_of_calendar(name) for name in features])


def lag(hours: int, seen: np.ndarray, features: tuple[str, ...]) -> np.ndarray:
    """Return observations whose measurements and forecasts arrive late; the clock is right."""
    return _later(seen, hours, [not _of_calendar(name) for name in features])


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
    """Return observations in which every published retail price is ``factor`` times as high."""
    picked = [name.startswith("retail") for name in features]
    return seen * np.where(picked, factor, 1.0)


def load(factor: float, seen: np.ndarray, features: tuple[str, ...]) -> np.ndarray:
    """Return observations with ``factor`` times the load, measured and forecast."""
    result = seen.copy()
    for name in ("measured_load_kw", "forecast_load_kw"):
        if name in features:
            result[..., features.index(name)] *= factor
    if {"forecast_net_kw", "forecast_pv_kw"} <= set(features):
        net, pv = features.index("forecast_net_kw"), features.index("forecast_pv_kw")
        result[..., net] = factor * (seen[..., net] + seen[..., pv]) - seen[..., pv]
    return result


def ladder(features: tuple[str, ...]) -> dict[str, Shift]:
    """Return the shifts that these features can suffer, by name, mildest first of each kind."""
    found: dict[str, Shift] = {f"clock {h} h late": partial(clock, h) for h in (1, 2, 3, 6)}
    if "forecast_pv_kw" in features or "measured_pv_kw" in features:
        found["pv stuck from noon"] = partial(pv_stuck, NOON)
        found["pv 0 from noon"] = partial(pv_dead, NOON)
    pairs = (("soc", "rating_kw"), ("forecast_net_kw", "forecast_pv_kw"), ("soc", "vm_pu"),
             ("hour_sin", "hour_cos"), ("retail_eur_per_kwh", "retail_in_4h_eur_per_kwh"),
             ("retail_eur_per_kwh", "last_price_eur_per_kwh"))  # fmt: skip
    for pair in pairs:
        if set(pair) <= set(features):
            found[f"swapped {pair[0]}, {pair[1]}"] = partial(swapped, pair)
    if "retail_eur_per_kwh" in features:
        found |= {f"prices x {f:g}": partial(prices, f) for f in (1.5, 2.0, 3.0)}
    found |= {f"load x {f:g}": partial(load, f) for f in (0.5, 1.5, 2.0, 3.0)}
    return found | {f"measurements {h} h late": partial(lag, h) for h in (1, 2, 3, 6)}


def _of_calendar(name: str) -> bool:
    return name.startswith(("hour", "retail", "feed_in")) or name == "weekend"


def _later(seen: np.ndarray, hours: int, picked: list[bool]) -> np.ndarray:
    """Return observations with some columns late; the day's own end stands before its begin."""
    steps = round(hours * seen.shape[1] / 24.0)
    return np.where(picked, np.roll(seen, steps, axis=1), seen)


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
