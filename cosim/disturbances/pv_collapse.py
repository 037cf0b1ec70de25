"""PV collapse: snow, dense cloud or smoke cuts the PV output."""

from __future__ import annotations

from collections.abc import Generator

from pydantic import Field, model_validator
from simpy import Event

from cosim.disturbances.base import Disturbance, Spread, World, drawn


class PvCollapse(Disturbance):
    """PV output times ``pv_factor``."""

    pv_factor: Spread = Field((0.3, 0.6), description="on PV, one number or [low, high] [-]")
    groups: tuple[str, ...] = Field((), description="groups hit; empty: all")

    @model_validator(mode="after")
    def _collapses(self) -> PvCollapse:
        if self.pv_factor == (1.0, 1.0):
            raise ValueError("the PV output stays as it is: give a pv_factor other than 1")
        return self

    def run(self, world: World) -> Generator[Event, None, None]:
        """Cut the output, then restore it."""
        yield world.at(self.start)
        over = world.scale_pv(drawn(world, self.pv_factor, "pv_collapse"), self.groups)
        world.log("pv_collapse", phase="begin", pv_factor=self.pv_factor)
        yield world.at(self.end)
        over()
        world.log("pv_collapse", phase="end")
