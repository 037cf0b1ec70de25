"""Frozen sensor: a reading stands still, and with it all that policies derive from it.

A forecast made of the reading stands still, too. The guard and the plant know the devices as they
are, so that a battery is never driven beyond what it can do.
"""

from __future__ import annotations

from collections.abc import Generator

from pydantic import Field
from simpy import Event

from cosim.disturbances.base import Disturbance, World
from cosim.senses import Sensor


class FrozenSensor(Disturbance):
    """A sensor reads what it read at the last gate before it froze."""

    sensor: Sensor = Field(description="which reading stands still")
    silent: bool = Field(
        True, description="measurement_age_s grows; false: the old value comes as a new one"
    )
    groups: tuple[str, ...] = Field((), description="groups hit; empty: all")

    def run(self, world: World) -> Generator[Event, None, None]:
        """Hold the reading, then let it go."""
        yield world.at(self.start)
        over = world.hold_sensor(self.sensor, self.silent, self.groups)
        world.log("frozen_sensor", phase="begin", sensor=self.sensor)
        yield world.at(self.end)
        over()
        world.log("frozen_sensor", phase="end", sensor=self.sensor)
