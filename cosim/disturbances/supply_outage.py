"""Supply outage: the whole feeder loses its upstream supply."""

from __future__ import annotations

from collections.abc import Generator

from simpy import Event

from cosim.disturbances.base import Disturbance, World


class SupplyOutage(Disturbance):
    """Switch the supply off from start to end."""

    def run(self, world: World) -> Generator[Event, None, None]:
        """Cut the supply, then restore it."""
        yield world.at(self.start)
        over = world.cut_supply()
        world.log("supply_outage", phase="begin")
        yield world.at(self.end)
        over()
        world.log("supply_outage", phase="end")
