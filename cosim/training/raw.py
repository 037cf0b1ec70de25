"""Whether a network was shown quantities in their own units, as far as its space says."""

from __future__ import annotations

import numpy as np

from cosim.errors import Problem
from cosim.observe import FEATURES
from cosim.training.network import Normal
from cosim.training.sb3_zip import Box
from cosim.training.wish import Wish

#: bounds as far out as this say nothing
ENDLESS = 1e30
SLACK = 1e-6


def scaled_problems(box: Box, normal: Normal | None, wish: Wish) -> list[Problem]:
    """Say which features cannot have been observed in their own units.

    Bounds beyond what a feature can be, or the same ones for all features, are those of an
    environment that scales what it shows. Nothing is said where the statistics given account for
    it, or where the user has said by ``--range`` in which range a feature was.
    """
    if normal is not None and _all_are(box, -normal.clip, normal.clip):
        return []
    shared = _shared(box, wish)
    found = [
        _problem(name, *_ends(box, place, wish), normal)
        for place, name in enumerate(wish.features)
        if name not in wish.ranges and _strange(name, *_ends(box, place, wish), shared)
    ]
    return found


def _ends(box: Box, place: int, wish: Wish) -> tuple[float, float]:
    """Return the widest bounds of a column over all agents; NaN where nothing says them."""
    own = slice(place, None, len(wish.features))
    low, high = box.low[own], box.high[own]
    if np.isnan(low).all() or np.isnan(high).all():
        return np.nan, np.nan
    return float(np.nanmin(low)), float(np.nanmax(high))


def _all_are(box: Box, low: float, high: float) -> bool:
    said = ~(np.isnan(box.low) | np.isnan(box.high))
    return bool(said.any() and np.allclose(box.low[said], low, rtol=SLACK)
                and np.allclose(box.high[said], high, rtol=SLACK))  # fmt: skip


def _shared(box: Box, wish: Wish) -> bool:
    """Return whether all columns have the same bounds although they are different quantities."""
    low, high = _ends(box, 0, wish)
    units = {FEATURES[name].unit for name in wish.features}
    return _all_are(box, low, high) and (low == -high or len(units) > 1)


def _strange(name: str, low: float, high: float, shared: bool) -> bool:
    if not (abs(low) < ENDLESS and abs(high) < ENDLESS):  # NaN included
        return False
    known = FEATURES[name]
    slack = SLACK * max(abs(low), abs(high), 1.0)
    if low < known.low - slack or high > known.high + slack:
        return True
    return shared and not np.allclose((low, high), (known.low, known.high), rtol=SLACK)


def _problem(name: str, low: float, high: float, normal: Normal | None) -> Problem:
    known = FEATURES[name]
    why = (
        "the environment has scaled what it showed, and a bundle is shown quantities in their units"
        if normal is None
        else "the statistics are of observations that the environment had already scaled"
    )
    remedy = (
        "give --normalize FILE with the scaling, of this project's environments "
        "json.dumps(env.world.scaling.statistics()); if it did see the quantity itself, say in "
        f"which range: --range {name}=LOW:HIGH"
    )
    return Problem(
        f"'{name}' was seen from {low:g} to {high:g}, which is not its own unit "
        f"({known.unit}, {known.low:g} to {known.high:g})", "", why, remedy,
    )  # fmt: skip
