"""Biased sensor: a reading is off by a factor and an offset, in what policies see.

A forecast made of the reading is off, too. The guard and the plant know the devices as they are.
"""

from __future__ import annotations

from collections.abc import Generator

from pydantic import Field, model_validator
from simpy import Event

from cosim.disturbances.base import Disturbance, World
from cosim.senses import Sensor


class BiasedSensor(Disturbance):
    """A sensor reads ``factor`` times the truth plus ``offset``, and never below 0."""

    sensor: Sensor = Field(description="which reading is off")
    factor: float = Field(1.0, ge=0.0, le=100.0, description="on the reading [-]")
    offset: float = Field(
        0.0, ge=-1e4, le=1e4, description="added to the reading, in the sensor's unit"
    )
    groups: tuple[str, ...] = Field((), description="groups hit; empty: all")

    @model_validator(mode="after")
    def _off(self) -> BiasedSensor:
        if self.factor == 1.0 and self.offset == 0.0:
            raise ValueError("the sensor is not off: give a factor other than 1, or an offset")
        return self

    def run(self, world: World) -> Generator[Event, None, None]:
        """Put the bias on, then take it off."""
        yield world.at(self.start)
        over = world.bias_sensor(self.sensor, self.factor, self.offset, self.groups)
        bias = {"sensor": self.sensor, "factor": self.factor, "offset": self.offset}
        world.log("biased_sensor", phase="begin", **bias)
        yield world.at(self.end)
        over()
        world.log("biased_sensor", phase="end", sensor=self.sensor)
