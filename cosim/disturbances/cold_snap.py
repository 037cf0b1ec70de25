"""Cold snap: demand rises for days, and once more in the evening hours."""

from __future__ import annotations

from collections.abc import Generator

from pydantic import Field, model_validator
from simpy import Event

from cosim.disturbances.base import Disturbance, Spread, World, drawn
from cosim.times import HourOfDay


class ColdSnap(Disturbance):
    """Loads times ``load_factor``; times ``evening_factor`` more within ``evening_hours``."""

    load_factor: Spread = Field((1.3, 1.6), description="on load, one number or [low, high] [-]")
    evening_factor: Spread = Field((1.3, 1.3), description="on load in the evening [-]")
    evening_hours: tuple[HourOfDay, HourOfDay] = Field((18.0, 21.0), description="civil hours [h]")
    groups: tuple[str, ...] = Field((), description="groups hit; empty: all")

    @model_validator(mode="after")
    def _cold(self) -> ColdSnap:
        if self.load_factor == self.evening_factor == (1.0, 1.0):
            raise ValueError("the load stays as it is: give a load_factor other than 1")
        return self

    def run(self, world: World) -> Generator[Event, None, None]:
        """Raise the load, with an extra step every evening."""
        yield world.at(self.start)
        over = world.scale_load(drawn(world, self.load_factor, "cold_snap"), self.groups)
        world.log("cold_snap", phase="begin", load_factor=self.load_factor)
        evening = drawn(world, self.evening_factor, "cold_snap_evening")
        finish = world.second_of(self.end)
        begins, ends = (world.daily(hour) for hour in self.evening_hours)
        for begin in begins:
            stop = min([second for second in ends if second > begin], default=finish)
            if stop <= world.now_s or begin >= finish:
                continue
            if begin > world.now_s:
                yield world.at(begin)
            relieved = world.scale_load(evening, self.groups)
            world.log("cold_snap", phase="evening", evening_factor=self.evening_factor)
            yield world.at(min(stop, finish))
            relieved()
            world.log("cold_snap", phase="evening over")
        yield world.at(finish)
        over()
        world.log("cold_snap", phase="end")
