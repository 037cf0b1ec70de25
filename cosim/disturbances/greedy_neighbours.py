"""Greedy neighbours: some prosumers hold out for better prices, and ask for more than they need.

A strategy, not a fault: it acts before the guard. Under ``trade_limit: physical`` the guard cuts
quantities back to the position, so that greed shows in prices alone.
"""

from __future__ import annotations

from collections.abc import Generator

from pydantic import Field, model_validator
from simpy import Event

from cosim.disturbances.base import Disturbance, World


class GreedyNeighbours(Disturbance):
    """Limit prices move towards the other end of the tariff, quantities by a factor.

    With greed g a buyer who would pay p bids ``p - g * (p - feed_in)``, and a seller who would
    take p asks ``p + g * (retail - p)``.
    """

    greed: float = Field(0.5, ge=0.0, le=1.0, description="part of the way to the other end [-]")
    quantity_factor: float = Field(1.0, ge=0.0, le=100.0, description="on the energy ordered [-]")
    groups: tuple[str, ...] = Field((), description="groups hit; empty: all")

    @model_validator(mode="after")
    def _greedy(self) -> GreedyNeighbours:
        if self.greed == 0.0 and self.quantity_factor == 1.0:
            raise ValueError("nobody is greedy: give greed above 0, or another quantity_factor")
        return self

    def run(self, world: World) -> Generator[Event, None, None]:
        """Ask for more from now on, then stop."""
        yield world.at(self.start)
        over = world.ask_more(self.quantity_factor, self.greed, self.groups)
        strategy = {"greed": self.greed, "quantity_factor": self.quantity_factor}
        world.log("greedy_neighbours", phase="begin", **strategy)
        yield world.at(self.end)
        over()
        world.log("greedy_neighbours", phase="end")
