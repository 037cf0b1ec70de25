"""Message loss and delay: orders vanish or arrive late on the way to the market."""

from __future__ import annotations

from collections.abc import Generator

from pydantic import Field, model_validator
from simpy import Event

from cosim.disturbances.base import Disturbance, World


class MessageLoss(Disturbance):
    """Each order is lost with ``probability`` and arrives ``delay_s`` later."""

    probability: float = Field(0.2, ge=0.0, le=1.0, description="of losing an order [-]")
    delay_s: int = Field(0, ge=0, le=86_400, description="extra travel time [s]")
    groups: tuple[str, ...] = Field((), description="groups hit; empty: all")

    @model_validator(mode="after")
    def _disturbs(self) -> MessageLoss:
        if self.probability == 0.0 and self.delay_s == 0:
            raise ValueError("no order is lost or late: give a probability above 0, or a delay_s")
        return self

    def run(self, world: World) -> Generator[Event, None, None]:
        """Disturb the messages, then stop."""
        yield world.at(self.start)
        undo_loss = world.lose_orders(self.probability, self.groups)
        undo_delay = world.delay_orders(self.delay_s, self.groups)
        details = {"probability": self.probability, "delay_s": self.delay_s}
        world.log("message_loss", phase="begin", **details)
        yield world.at(self.end)
        undo_loss()
        undo_delay()
        world.log("message_loss", phase="end")
