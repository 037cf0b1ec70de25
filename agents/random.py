"""Random: power, quantity and price drawn uniformly, from each prosumer's own stream."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from cosim.policy import Policy, PolicyContext


class Random(Policy):
    """Draws battery power within ``spread`` ratings and an order of up to ``spread`` positions."""

    spread: float = Field(default=1.5, gt=0.0, le=100.0, description="width of the draws [-]")

    features = ("rating_kw", "forecast_net_kw", "bid_limit_eur_per_kwh", "feed_in_eur_per_kwh")
    actions = ("battery_kw", "quantity_kwh", "price_eur_per_kwh")
    draws = 3

    def act(
        self, observations: np.ndarray, context: PolicyContext, memory: Any
    ) -> tuple[np.ndarray, Any]:
        """Return draws around zero power, zero quantity and the tariff's range."""
        rating, net, worth, feed_in = observations.T
        power, quantity, price = context.draws.T
        size = (np.abs(net) + rating) * context.interval_h
        decisions = (
            self.spread * rating * (2.0 * power - 1.0),
            self.spread * size * (2.0 * quantity - 1.0),
            feed_in + (worth - feed_in) * (1.5 * price - 0.25),
        )
        return np.stack(decisions, axis=-1), memory
