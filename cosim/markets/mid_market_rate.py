"""Mid-market rate: traded energy at the middle between feed-in and retail price.

The larger side carries the grid's prices for its rest, so that its average lies between the middle
and the tariff (Long et al. 2017, doi:10.1109/PESGM.2017.8274546).
"""

from __future__ import annotations

import numpy as np

from cosim.markets._pool import Pool, Situation


class MidMarketRate(Pool):
    """Everybody trades pro rata at the mid-market rate."""

    def prices(self, at: Situation) -> tuple[np.ndarray, np.ndarray]:
        """Return the middle of the tariff band for both sides."""
        middle = 0.5 * (at.feed_in_eur_per_kwh + at.retail_eur_per_kwh)
        return middle, middle
