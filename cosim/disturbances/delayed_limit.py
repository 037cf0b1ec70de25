"""Delayed limit: the network operator's limits on PV, and their lifting, arrive late.

What ``curtailment`` orders while this lasts takes effect ``delay_s`` later, in the world: until
then PV feeds what it fed before. A limit lifted before its order came never takes effect.
"""

from __future__ import annotations

from collections.abc import Generator

from pydantic import Field
from simpy import Event

from cosim.disturbances.base import Disturbance, World


class DelayedLimit(Disturbance):
    """Signals of limits take ``delay_s`` longer; delays of several such disturbances add up."""

    delay_s: int = Field(900, ge=1, le=86_400, description="extra time of a signal [s]")
    groups: tuple[str, ...] = Field((), description="groups hit; empty: all")

    def run(self, world: World) -> Generator[Event, None, None]:
        """Delay the signals sent from now on, then stop."""
        yield world.at(self.start)
        over = world.delay_limits(self.delay_s, self.groups)
        world.log("delayed_limit", phase="begin", delay_s=self.delay_s)
        yield world.at(self.end)
        over()
        world.log("delayed_limit", phase="end")
