"""Clearing: what each mechanism takes from ten to ten thousand orders, and how that grows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from tools._bench_common import Row, Sample, World, sampled

if TYPE_CHECKING:
    from cosim.markets.base import Market, MarketContext, Orders

SIZES = (10, 100, 1_000, 10_000)
GOAL_US = 1_000.0  # of 1,000 orders
NO_GOAL = ("order_book",)  # orders meet one by one


def markets_rows(world: World) -> Iterator[Row]:
    """Measure every mechanism with its default options."""
    from cosim import plugins
    from cosim.markets.base import Market

    repeats = 3 if world.quick else 5
    for name in plugins.names("market"):
        market = plugins.load("market", name)()
        assert isinstance(market, Market)
        times = [_clearing(market, size, repeats) for size in SIZES]
        goal = None if name in NO_GOAL else GOAL_US
        listed = ", ".join(f"{t.median:.3g} us" for t in times)
        note = f"{listed} for {', '.join(f'{s:,}' for s in SIZES)} orders; {_growth(times)}"
        yield Row(f"{name}, 1,000 orders", "us", times[2], goal=goal, note=note)


def _clearing(market: Market, size: int, repeats: int) -> Sample:
    """Return the time of clearing one random book [us]."""
    orders, context = _book(size)
    return sampled(lambda: market.clear(orders, context), repeats).times(1e6)


def _book(size: int) -> tuple[Orders, MarketContext]:
    from cosim.markets.base import MarketContext, Orders

    random = np.random.Generator(np.random.PCG64(size))
    orders = Orders(
        np.arange(size),
        random.normal(0.0, 1.0, size),
        random.uniform(0.05, 0.40, size),
        np.floor(random.uniform(0.0, 60.0, size)),
        random.random(size),
    )
    return orders, MarketContext(np.full(size, 0.35), np.full(size, 0.08))


def _growth(times: list[Sample]) -> str:
    """Say how the time grew over the last decade, beside n log n."""
    measured = times[-1].median / times[-2].median
    allowed = SIZES[-1] * math.log(SIZES[-1]) / (SIZES[-2] * math.log(SIZES[-2]))
    return f"x {measured:.1f} over the last decade (n log n: x {allowed:.1f})"
