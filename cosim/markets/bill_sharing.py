"""Bill sharing: the community's import is shared by who consumed, its export by who generated.

Settled after the fact on metered energy: what members exchange costs nothing, so that everybody who
drew pays the same share of the import per kWh, and everybody who fed in gets the same share of the
export's earnings (Long et al. 2017, doi:10.1109/PESGM.2017.8274546). While the community imports,
sellers get nothing: less than their feed-in price.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from cosim.markets._pool import Pool, Situation


class BillSharing(Pool):
    """Exchange within the community is free."""

    on_metered: ClassVar[bool] = True
    within_tariff: ClassVar[bool] = False

    def prices(self, at: Situation) -> tuple[np.ndarray, np.ndarray]:
        """Return nought for both sides."""
        nought = np.zeros_like(at.supply_kwh)
        return nought, nought
