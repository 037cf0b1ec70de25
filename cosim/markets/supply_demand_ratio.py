"""Supply-demand ratio: the scarcer energy is, the nearer its price to retail.

With f feed-in, u retail and r = supply / demand, the price of traded energy is, for r < 1,

* ``linear``: ``(f - u) r + u``;
* ``liu_2017``: ``f u / ((u - f) r + f)`` (Liu et al. 2017, doi:10.1109/TPWRS.2017.2649558);
* ``compensated``: the same with ``f + c`` for f (Zhou, Wu, Long 2018,
  doi:10.1016/j.apenergy.2018.02.089), which leaves sellers a compensation c above feed-in;

and for r >= 1 it is f, or f + c. Buyers' rest costs u and sellers' rest earns f, so that averages
are those of the published formulas. Where a form divides by no positive price, or no band is left,
``linear`` takes its place.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from pydantic import Field

from cosim.markets._pool import Pool, Situation, situation
from cosim.markets.base import Clearing, MarketContext, Orders


class SupplyDemandRatio(Pool):
    """One price for both sides, from the ratio of supply to demand."""

    form: Literal["linear", "liu_2017", "compensated"] = Field(
        "liu_2017", description="how the price follows the ratio"
    )
    compensation_eur_per_kwh: float = Field(
        0.01, ge=0.0, le=1.0, description="c of the compensated form, at most the band"
    )

    def clear(self, orders: Orders, context: MarketContext) -> Clearing:
        """Match pro rata, and say where ``linear`` stood in."""
        clearing = super().clear(orders, context)
        if self.form == "linear":
            return clearing
        own = _has_form(situation(orders.quantity_kwh, context))
        return replace(clearing, fallback=(clearing.volume_kwh > 0.0) & ~own)

    def prices(self, at: Situation) -> tuple[np.ndarray, np.ndarray]:
        """Return the price of the ratio for both sides."""
        feed_in, retail, ratio = at.feed_in_eur_per_kwh, at.retail_eur_per_kwh, at.ratio
        short = np.minimum(ratio, 1.0)
        linear = (feed_in - retail) * short + retail
        if self.form == "linear":
            price = linear
        else:
            added = self.compensation_eur_per_kwh if self.form == "compensated" else 0.0
            floor = np.minimum(feed_in + added, retail)
            curve = floor * retail / ((retail - floor) * short + floor)
            price = np.where(_has_form(at), curve, linear)
        price = np.minimum(np.maximum(price, feed_in), retail)
        return price, price


def _has_form(at: Situation) -> np.ndarray:
    """Return where the published forms have a price: above nothing, and within a band."""
    return (at.feed_in_eur_per_kwh > 0.0) & (at.feed_in_eur_per_kwh < at.retail_eur_per_kwh)
