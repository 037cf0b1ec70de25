"""Price shock: the supplier's prices jump, from the next gate that opens."""

from __future__ import annotations

from collections.abc import Generator

from pydantic import Field, model_validator
from simpy import Event

from cosim.disturbances.base import Disturbance, World


class PriceShock(Disturbance):
    """Retail and feed-in prices times their factors."""

    retail_factor: float = Field(3.0, gt=0.0, le=50.0, description="on the retail price [-]")
    feed_in_factor: float = Field(1.0, gt=0.0, le=50.0, description="on the feed-in price [-]")

    @model_validator(mode="after")
    def _shocks(self) -> PriceShock:
        if self.price_factors == (1.0, 1.0):
            raise ValueError("no price changes: give a factor other than 1")
        return self

    @property
    def price_factors(self) -> tuple[float, float]:
        """Factors on retail and feed-in prices."""
        return self.retail_factor, self.feed_in_factor

    def run(self, world: World) -> Generator[Event, None, None]:
        """Scale the prices, then restore them."""
        yield world.at(self.start)
        over = world.scale_prices(*self.price_factors)
        factors = {"retail_factor": self.retail_factor, "feed_in_factor": self.feed_in_factor}
        world.log("price_shock", phase="begin", **factors)
        yield world.at(self.end)
        over()
        world.log("price_shock", phase="end")
