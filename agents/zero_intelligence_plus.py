"""Zero-intelligence-plus bidder: self-consumption with a profit margin learned from clearings.

Cliff and Bruten 1997 (HP Laboratories, HPL-97-91): each trader keeps a margin on its limit price
and moves its price towards a target near the last price, by the Widrow-Hoff rule with momentum.
Traders whose price would have traded raise their margin; those who were outbid while they had an
order in the book lower theirs, and after a clearing without trade everybody who had one does.

As there each trader draws its rate, momentum and first margin, once and for all: uniformly, by
default from 0.1 to 0.5, from 0 to 0.1 and from 0.05 to 0.35.

Four things differ, because here markets clear once an interval, tariffs change and anybody may
buy in one hour and sell in the next: the limit prices are the tariff (retail for a buyer, feed-in
for a seller), margins are shares of the band between them rather than of the limit price, which
may be zero, each prosumer keeps one margin for either side, and whoever sent an order takes it to
have been in the book, as nobody is told of one that came late.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from cosim.policy import Policy, PolicyContext

#: columns of the memory: margins and momenta (seller, buyer), last side and last band, and the
#: trader's own rate and momentum, once it is READY (1)
_MARGIN, _MOMENTUM, _SIDE, _FEED_IN, _RETAIL, _RATE, _GAMMA, _READY = (
    slice(0, 2), slice(2, 4), 4, 5, 6, 7, 8, 9,
)  # fmt: skip
_WIDTH = 10

_SPREAD = "most that a trader's own is from the mean [-]"


class ZeroIntelligencePlus(Policy):
    """The battery follows the net load; the limit price is the tariff's less a learned margin."""

    rate: float = Field(0.3, gt=0.0, le=1.0, description="learning rate beta, the mean [-]")
    rate_spread: float = Field(0.2, ge=0.0, le=1.0, description=_SPREAD)
    momentum: float = Field(0.05, ge=0.0, lt=1.0, description="momentum gamma, the mean [-]")
    momentum_spread: float = Field(0.05, ge=0.0, le=1.0, description=_SPREAD)
    margin: float = Field(
        0.2, ge=0.0, le=1.0, description="at the begin, share of the band, the mean [-]"
    )
    margin_spread: float = Field(0.15, ge=0.0, le=1.0, description=_SPREAD)
    step: float = Field(
        0.05, ge=0.0, le=1.0, description="largest distance of a target from the price [-]"
    )

    features = (
        "forecast_net_kw",
        "most_charge_kw",
        "most_discharge_kw",
        "bid_limit_eur_per_kwh",
        "feed_in_eur_per_kwh",
        "last_price_eur_per_kwh",
        "last_volume_kwh",
    )
    actions = ("battery_kw", "price_eur_per_kwh")
    draws = 6

    def start(self, count: int) -> np.ndarray:
        """Return that nobody has drawn a margin nor had an order yet."""
        return np.zeros((count, _WIDTH))

    def act(
        self, observations: np.ndarray, context: PolicyContext, memory: Any
    ) -> tuple[np.ndarray, Any]:
        """Learn from the last clearing; return the rule's power and the price of the margin."""
        net, most_charge, most_discharge, worth, feed_in, last, volume = observations.T
        power = np.clip(-net, -most_discharge, most_charge)
        ready = self._ready(memory, context.draws[:, 2:])
        after = self._learned(ready, last, volume, context.draws[:, :2])
        side = np.sign(net + power)
        margins = np.where(side > 0.0, after[:, 1], after[:, 0])
        band = np.maximum(worth - feed_in, 0.0)
        price = np.where(side > 0.0, worth - margins * band, feed_in + margins * band)
        after[:, _SIDE], after[:, _FEED_IN], after[:, _RETAIL] = side, feed_in, feed_in + band
        return np.stack((power, price), axis=-1), after

    def _ready(self, memory: np.ndarray, draws: np.ndarray) -> np.ndarray:
        """Return the memory with rate, momentum and margins of its own for whoever has none."""

        def drawn(mean: float, spread: float, draw: np.ndarray, highest: float) -> np.ndarray:
            return np.clip(mean + spread * (2.0 * draw - 1.0), 0.0, highest)

        ready, first = memory.copy(), memory[:, _READY] == 0.0
        for column, value in (
            (0, drawn(self.margin, self.margin_spread, draws[:, 0], 1.0)),
            (1, drawn(self.margin, self.margin_spread, draws[:, 1], 1.0)),
            (_RATE, drawn(self.rate, self.rate_spread, draws[:, 2], 1.0)),
            (_GAMMA, drawn(self.momentum, self.momentum_spread, draws[:, 3], 1.0)),
        ):
            ready[:, column] = np.where(first, value, memory[:, column])
        ready[:, _READY] = 1.0
        return ready

    def _learned(
        self, memory: np.ndarray, last: np.ndarray, volume: np.ndarray, draws: np.ndarray
    ) -> np.ndarray:
        """Return the memory with margins moved towards their targets.

        Prices are read as shares of the last band, seen from each side: 0 is the own limit price,
        1 the best one could hope for.
        """
        band = memory[:, _RETAIL] - memory[:, _FEED_IN]
        known = band > 0.0
        place = np.where(known, (last - memory[:, _FEED_IN]) / np.where(known, band, 1.0), 0.0)
        place = np.clip(place, 0.0, 1.0)
        seen = np.stack((place, 1.0 - place), axis=1)  # by a seller, by a buyer
        margins, traded = memory[:, _MARGIN], (volume > 0.0)[:, None]
        had_order = np.stack((memory[:, _SIDE] < 0.0, memory[:, _SIDE] > 0.0), axis=1)
        rises = traded & (margins <= seen) & known[:, None]
        falls = had_order & ~rises & known[:, None]
        goal = np.where(traded, seen, margins)
        relative, absolute = self.step * draws[:, :1], self.step * draws[:, 1:]
        target = np.where(
            rises, goal * (1.0 + relative) + absolute, goal * (1.0 - relative) - absolute
        )
        moved = rises | falls
        rate, gamma = memory[:, _RATE, None], memory[:, _GAMMA, None]
        delta = rate * (target - margins)
        momentum = gamma * memory[:, _MOMENTUM] + (1.0 - gamma) * delta
        after = memory.copy()
        after[:, _MOMENTUM] = np.where(moved, momentum, memory[:, _MOMENTUM])
        after[:, _MARGIN] = np.clip(np.where(moved, margins + momentum, margins), 0.0, 1.0)
        return after
