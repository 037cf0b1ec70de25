"""Zero-intelligence bidder: self-consumption with a limit price drawn within the tariff.

Gode and Sunder 1993 (doi:10.1086/261868), constrained variant: a buyer never bids above retail,
a seller never asks below feed-in.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cosim.policy import Policy, PolicyContext


class ZeroIntelligence(Policy):
    """The battery follows the net load; the limit price is uniform between feed-in and retail."""

    features = (
        "forecast_net_kw",
        "most_charge_kw",
        "most_discharge_kw",
        "bid_limit_eur_per_kwh",
        "feed_in_eur_per_kwh",
    )
    actions = ("battery_kw", "price_eur_per_kwh")
    draws = 1

    def act(
        self, observations: np.ndarray, context: PolicyContext, memory: Any
    ) -> tuple[np.ndarray, Any]:
        """Return the rule's power and a drawn price."""
        net, most_charge, most_discharge, worth, feed_in = observations.T
        power = np.clip(-net, -most_discharge, most_charge)
        price = feed_in + (worth - feed_in) * context.draws[:, 0]
        return np.stack((power, price), axis=-1), memory
