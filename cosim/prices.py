"""What can be wrong with prices once the whole scenario is known.

Prices hold for whole market intervals, so that periods begin and end where intervals do. What
disturbances make of prices keeps feed-in at or below retail, as in every tariff.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from math import prod
from typing import NamedTuple

import numpy as np

from cosim.document import Path
from cosim.tariff_sections import Tariff
from cosim.timegrid import TimeGrid
from cosim.validation import Located

Placed = tuple[Path, Tariff]


class Shock(NamedTuple):
    """Factors on retail and feed-in prices, from one instant to another."""

    place: int  # in the list of disturbances
    start: datetime
    end: datetime
    retail_factor: float
    feed_in_factor: float


def second_of_day(hour: float) -> int:
    """Return a civil hour as whole seconds since midnight."""
    return round(hour * 3600)


def off_borders(tariffs: Sequence[Placed], grid: TimeGrid) -> list[Located]:
    """Return the bounds of periods that lie inside a market interval of the run."""
    found: list[Located] = []
    step_s, phases = grid.interval_s, _phases(grid)
    for path, tariff in tariffs:
        for index, period in enumerate(tariff.periods):
            for place, hour in enumerate(period.hours):
                second = second_of_day(hour)
                off = [phase for phase in phases if (second - phase) % step_s]
                if off:
                    what = f"{hour:g} h lies inside a market interval of {step_s // 60} min"
                    borders = _around(second, off[0], step_s)
                    remedy = f"intervals begin at {borders} h; or change time.interval_minutes"
                    found.append(((*path, "periods", index, "hours", place), what, remedy))
    return found


def _phases(grid: TimeGrid) -> list[int]:
    """Return how far into an interval a civil day begins [s]; clocks may change by half an hour."""
    days = range(0, grid.end_s + 1, 86_400)
    civil = (grid.utc(second).astimezone(grid.zone) for second in days)
    return sorted({(t.minute * 60 + t.second) % grid.interval_s for t in civil})


def _around(second: int, phase: int, step_s: int) -> str:
    """Return the interval borders before and after a second of the day, as hours."""
    before = second - (second - phase) % step_s
    return " and ".join(f"{s / 3600:.6g}" for s in (before, before + step_s) if 0 <= s <= 86_400)


def crossed(tariffs: Sequence[Placed], shocks: Sequence[Shock]) -> list[Located]:
    """Return where shocks, alone or together, put feed-in above retail, each once."""
    found: list[Located] = []
    for active in _together(shocks):
        retail_factor = prod(shock.retail_factor for shock in active)
        feed_in_factor = prod(shock.feed_in_factor for shock in active)
        who = " and ".join(f"disturbance {shock.place}" for shock in active)
        for path, tariff in tariffs:
            for index, (retail, feed_in) in tariff.price_pairs():
                if feed_in * feed_in_factor <= retail * retail_factor:
                    continue
                place = ".".join(map(str, path if index is None else (*path, "periods", index)))
                what = (
                    f"{who}: feed-in {feed_in:g} x {feed_in_factor:g} is above retail "
                    f"{retail:g} x {retail_factor:g} EUR/kWh ({place})"
                )
                remedy = "change a factor, or the tariff: factors above 1 lower negative prices"
                found.append((("disturbances", active[-1].place), what, remedy))
    return found


def crossed_series(
    path: Path, retail: np.ndarray, feed_in: np.ndarray, shocks: Sequence[Shock], grid: TimeGrid
) -> list[Located]:
    """Return where shocks put the feed-in above the retail prices ``[T]`` of a series.

    Each set of shocks that does so is named once, at its first interval.
    """
    begins = [-np.inf if grid.second_of(s.start) <= 0 else grid.second_of(s.start) for s in shocks]
    open_s = grid.open_s(0) + np.arange(grid.intervals) * grid.interval_s
    active = [
        (begin <= open_s) & (open_s < grid.second_of(shock.end))
        for begin, shock in zip(begins, shocks, strict=True)
    ]
    factors = np.ones((2, grid.intervals))
    for rows, shock in zip(active, shocks, strict=True):
        factors[:, rows] *= [[shock.retail_factor], [shock.feed_in_factor]]
    found: dict[tuple[int, ...], Located] = {}
    for k in np.flatnonzero(feed_in * factors[1] > retail * factors[0]).tolist():
        places = tuple(shock.place for rows, shock in zip(active, shocks, strict=True) if rows[k])
        who = " and ".join(f"disturbance {place}" for place in places)
        when = grid.utc(grid.start_s(k)).astimezone(grid.zone).isoformat(" ", "minutes")
        what = (
            f"{who}: feed-in {feed_in[k]:g} x {factors[1, k]:g} is above retail {retail[k]:g} x "
            f"{factors[0, k]:g} EUR/kWh at {when} ({'.'.join(map(str, path))})"
        )
        remedy = "change a factor or the times: factors above 1 lower negative prices"
        found.setdefault(places, (("disturbances", places[-1]), what, remedy))
    return list(found.values())


def _together(shocks: Sequence[Shock]) -> Iterator[tuple[Shock, ...]]:
    """Yield every set of shocks that act at the same time, in the order of their begins."""
    ordered = sorted(shocks, key=lambda shock: (shock.start.astimezone(UTC), shock.place))
    spans = [(each.start.astimezone(UTC), each.end.astimezone(UTC), each) for each in ordered]
    instants = sorted({instant for start, end, _ in spans for instant in (start, end)})
    sets = (
        tuple(each for start, end, each in spans if start <= instant < end) for instant in instants
    )
    yield from dict.fromkeys(active for active in sets if active)
