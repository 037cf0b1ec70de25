"""Spoofed bids: orders are forged on their way from the guard to the market.

The market clears what it is sent. What a forged order trades beyond the home's position is not
delivered, and its home settles the difference as imbalance with the supplier. Limit prices stay
within the tariff of the home, as the market's rules ask. Markets that trade metered energy read no
orders and are not hit.
"""

from __future__ import annotations

from collections.abc import Generator

from pydantic import Field, model_validator
from simpy import Event

from cosim.disturbances.base import Disturbance, World


class SpoofedBids(Disturbance):
    """Orders of ``quantity_factor`` times the energy, at shifted limit prices."""

    quantity_factor: float = Field(3.0, ge=0.0, le=100.0, description="on the energy ordered [-]")
    price_shift_eur_per_kwh: float = Field(
        0.0, ge=-5.0, le=5.0, description="added to the limit price, within the home's tariff"
    )
    groups: tuple[str, ...] = Field((), description="groups hit; empty: all")

    @model_validator(mode="after")
    def _forges(self) -> SpoofedBids:
        if self.quantity_factor == 1.0 and self.price_shift_eur_per_kwh == 0.0:
            raise ValueError("nothing is forged: give a quantity_factor other than 1, or a shift")
        return self

    def run(self, world: World) -> Generator[Event, None, None]:
        """Forge the orders decided from now on, then stop."""
        yield world.at(self.start)
        over = world.forge_orders(self.quantity_factor, self.price_shift_eur_per_kwh, self.groups)
        forged = {
            "quantity_factor": self.quantity_factor,
            "price_shift_eur_per_kwh": self.price_shift_eur_per_kwh,
        }
        world.log("spoofed_bids", phase="begin", **forged)
        yield world.at(self.end)
        over()
        world.log("spoofed_bids", phase="end")
