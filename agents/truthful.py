"""Truthful bidder: orders its forecast position at what the last kWh of it is worth to itself.

A stored kWh is worth what it saves in the dearest published hour of the next 12:
``v = sqrt(eta) * highest retail - wear``. So a kWh now is worth ``sqrt(eta) * v - wear`` to a
battery that can still charge, and giving one up costs ``v / sqrt(eta) + wear`` where it can still
discharge; where the battery can do neither, a kWh drawn is worth retail and one fed in feed-in.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cosim.observe import AHEAD_H
from cosim.policy import Policy, PolicyContext

_AHEAD = tuple(f"retail_in_{h}h_eur_per_kwh" for h in AHEAD_H if h <= 12)


class Truthful(Policy):
    """The battery follows its opportunity value, the limit price is the marginal value.

    It charges from the grid where retail is below what a kWh is worth to it, takes up a surplus
    that is worth more stored than fed in, and covers its load where that costs less than retail.
    """

    features = (
        "forecast_net_kw",
        "efficiency",
        "wear_eur_per_kwh",
        "most_charge_kw",
        "most_discharge_kw",
        "feed_in_eur_per_kwh",
        "bid_limit_eur_per_kwh",
        "retail_eur_per_kwh",
        *_AHEAD,
    )
    actions = ("battery_kw", "price_eur_per_kwh")

    def act(
        self, observations: np.ndarray, context: PolicyContext, memory: Any
    ) -> tuple[np.ndarray, Any]:
        """Return the power that pays at the tariff, and the value of the last kWh."""
        net, efficiency, wear, most_charge, most_discharge, feed_in, limit, retail = observations[
            :, :8
        ].T
        root = np.sqrt(efficiency)
        stored = root * observations[:, 7:].max(axis=1) - wear
        taken = root * stored - wear  # what a kWh now is worth where it can be stored
        given = stored / np.where(root > 0.0, root, 1.0) + wear  # and where it has to be taken out
        surplus = np.maximum(-net, 0.0)
        charging = np.where(taken > retail, most_charge, np.where(taken > feed_in, surplus, 0.0))
        discharging = np.where(
            given < feed_in, most_discharge, np.where(given <= retail, np.maximum(net, 0.0), 0.0)
        )
        power = np.where(charging > 0.0, np.minimum(charging, most_charge),
                         -np.minimum(discharging, most_discharge))  # fmt: skip
        buys = np.where(power > 0.0, taken, np.where(-power < most_discharge, given, limit))
        sells = np.where(power < 0.0, given, np.where(power < most_charge, taken, feed_in))
        price = np.where(net + power > 0.0, buys, sells)
        return np.stack(
            (power, np.clip(price, feed_in, np.maximum(feed_in, limit))), axis=-1
        ), memory
