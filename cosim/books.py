"""The books: who received what, from energies and prices, held against every bill.

What each account gets of each prosumer is computed here from meters, fills and prices, not as the
rest of the bill, so a leak shows, and so does money moved from one prosumer to another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosim.arrays import nothing
from cosim.delivery import Metered
from cosim.errors import RunError
from cosim.markets.base import Clearing
from cosim.settlement import Bills, Prices

#: books close to this, relative to their scale (at least 1)
CLOSING_TOLERANCE = 1e-9


@dataclass
class Books:
    """The largest closing errors seen, energy [kWh] and money [EUR], relative to their scale.

    ``*_eur`` is what each account received so far.
    """

    energy_error: float = 0.0
    money_error: float = 0.0
    unsolved_intervals: int = 0
    supplier_eur: float = 0.0
    operator_eur: float = 0.0  # the market's
    network_eur: float = 0.0
    state_eur: float = 0.0

    def close(
        self,
        interval: int,
        clearing: Clearing,
        metered: Metered,
        bills: Bills,
        prices: Prices,
        peak_kw: np.ndarray | float = 0.0,
    ) -> None:
        """Check one interval ``[n]``, row by row; raise RunError where a book does not close.

        ``peak_kw`` is the month's highest mean power drawn before.
        """
        from cosim.compiled import closing

        fills = clearing.fills_kwh
        network, state = _others_eur(bills, metered, prices, peak_kw)
        supplier, money, paid, through, net, meters, sold, gaps, shared = closing(
            metered.net_kwh, fills, clearing.payment_eur, metered.dead_share,
            metered.curtailed_kwh, bills.closeout_kwh, bills.supply_kwh,
            bills.imbalance_kwh, bills.losses_kwh, prices.retail_eur_per_kwh,
            prices.feed_in_eur_per_kwh, *prices.imbalance_eur_per_kwh, bills.traded_kwh,
            bills.bill_eur, network + state,
        ).tolist()  # fmt: skip
        money /= max(1.0, paid)
        through = max(1.0, through)
        upstream = metered.slack_import_kwh - metered.slack_export_kwh
        feeder = abs(upstream - net - metered.losses_kwh) / through
        if np.isnan(feeder):
            self.unsolved_intervals += 1
            feeder = 0.0
        elif bills.losses_kwh.any():  # shared: then all of them are
            feeder += abs(shared - metered.losses_kwh) / through
        meters /= through
        trades = (abs(sold) + gaps) / through
        self.supplier_eur += supplier
        self.operator_eur += float(clearing.payment_eur.sum())
        if network is not state:  # else nobody asks for anything
            self.network_eur += float(network.sum())
            self.state_eur += float(state.sum())
        errors = [float(error) for error in (money, feeder, meters, trades)]
        self.money_error = max(self.money_error, errors[0])
        self.energy_error = max(self.energy_error, *errors[1:])
        if not all(error <= CLOSING_TOLERANCE for error in errors):  # a NaN does not close either
            raise RunError(
                f"interval {interval}: the books do not close (money {money:.2e}, feeder energy "
                f"{feeder:.2e}, meters {meters:.2e}, trades {trades:.2e}, relative to their scale)"
            )


def _others_eur(
    bills: Bills, metered: Metered, prices: Prices, peak_kw: np.ndarray | float
) -> tuple[np.ndarray, np.ndarray]:
    """Return what network operator and state receive of each prosumer ``[n]``."""
    network = state = nothing(metered.net_kwh.shape)
    if prices.compensation_eur_per_kwh is not None:
        network = network - prices.compensation_eur_per_kwh * metered.curtailed_kwh
    charges = prices.charges
    if charges is None:
        return network, state
    kept = np.maximum(bills.traded_kwh + bills.closeout_kwh, 0.0)  # bought, and not handed back
    drawn = np.maximum(metered.net_kwh, 0.0)
    far = np.maximum(drawn - kept, 0.0)
    near = drawn - far
    instead = np.maximum(bills.imbalance_kwh, 0.0)  # the supplier's, delivered to a neighbour
    due = far + near * charges.network_local_share + instead * (1.0 - charges.network_local_share)
    network = network + due * charges.network_eur_per_kwh
    above_kw = np.maximum(drawn / charges.interval_h - peak_kw, 0.0)
    network = network + above_kw * charges.demand_eur_per_kw
    due = far + near * charges.taxes_local_share + instead * (1.0 - charges.taxes_local_share)
    return network, due * charges.taxes_eur_per_kwh
