"""Line outage: one line opens; what hangs below it is dead until it closes again."""

from __future__ import annotations

from collections.abc import Generator

from pydantic import Field
from simpy import Event

from cosim.disturbances.base import Disturbance, World


class LineOutage(Disturbance):
    """Open a line from start to end."""

    line: str = Field(description="name of the line")

    def run(self, world: World) -> Generator[Event, None, None]:
        """Open the line, then close it."""
        yield world.at(self.start)
        over = world.open_line(self.line)
        world.log("line_outage", phase="begin", line=self.line)
        yield world.at(self.end)
        over()
        world.log("line_outage", phase="end", line=self.line)
