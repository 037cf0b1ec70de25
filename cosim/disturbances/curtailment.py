"""Curtailment: the network operator lets PV feed no more than a share of its size.

What is held back is metered. What was sold of it is closed out with the supplier at the clearing
price, and the network operator pays for it as the scenario's ``curtailment_compensation`` says.
"""

from __future__ import annotations

from collections.abc import Generator

from pydantic import Field
from simpy import Event

from cosim.disturbances.base import Disturbance, World


class Curtailment(Disturbance):
    """PV output of at most ``pv_share`` of the installed power."""

    pv_share: float = Field(ge=0.0, le=1.0, description="highest output by installed PV [-]")
    groups: tuple[str, ...] = Field((), description="groups hit; empty: all")

    def run(self, world: World) -> Generator[Event, None, None]:
        """Limit the output, then lift the limit."""
        yield world.at(self.start)
        over = world.limit_pv(self.pv_share, self.groups)
        world.log("curtailment", phase="begin", pv_share=self.pv_share)
        yield world.at(self.end)
        over()
        world.log("curtailment", phase="end")
