"""Stale prices: the price feed stands still; bills are made at the true prices all the same.

Policies see, and the guard clips limit prices to, what was told at the last gate before it began:
retail price, feed-in price, what a neighbour's kWh is worth, and the prices of the next hours.
``price_age_s`` grows meanwhile.
"""

from __future__ import annotations

from collections.abc import Generator

from pydantic import Field
from simpy import Event

from cosim.disturbances.base import Disturbance, World


class StalePrices(Disturbance):
    """Prices as they were told at the gate before."""

    groups: tuple[str, ...] = Field((), description="groups hit; empty: all")

    def run(self, world: World) -> Generator[Event, None, None]:
        """Hold the prices, then tell the true ones again."""
        yield world.at(self.start)
        over = world.hold_prices(self.groups)
        world.log("stale_prices", phase="begin")
        yield world.at(self.end)
        over()
        world.log("stale_prices", phase="end")
