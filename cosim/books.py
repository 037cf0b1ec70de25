"""The books: who received what, from energies and prices, held against every bill.

What each account gets of each prosumer is computed here from meters, fills and prices, not as the
rest of the bill, so a leak shows, and so does money moved from one prosumer to another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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
        paid = bills.bill_eur
        supplier = _supplier_eur(clearing, metered, bills, prices)
        network, state = _others_eur(bills, metered, prices, peak_kw)
        received = supplier + clearing.payment_eur + network + state
        money = np.abs(paid - received).sum() / max(1.0, np.abs(paid).sum())
        through = max(1.0, np.abs(metered.net_kwh).sum())
        meters = np.abs(_unexplained_kwh(clearing, metered, bills)).sum() / through
        trades = abs(clearing.fills_kwh.sum()) + np.abs(clearing.fills_kwh - bills.traded_kwh).sum()
        trades /= through
        upstream = metered.slack_import_kwh - metered.slack_export_kwh
        feeder = abs(upstream - metered.net_kwh.sum() - metered.losses_kwh) / through
        if np.isnan(feeder):
            self.unsolved_intervals += 1
            feeder = 0.0
        self.supplier_eur += float(supplier.sum())
        self.operator_eur += float(clearing.payment_eur.sum())
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


def _supplier_eur(clearing: Clearing, metered: Metered, bills: Bills, prices: Prices) -> np.ndarray:
    """Return what the supplier receives of each prosumer ``[n]``."""
    retail, feed_in = prices.retail_eur_per_kwh, prices.feed_in_eur_per_kwh
    short = retail if prices.short_eur_per_kwh is None else prices.short_eur_per_kwh
    long = feed_in if prices.long_eur_per_kwh is None else prices.long_eur_per_kwh
    fills = clearing.fills_kwh
    price = clearing.payment_eur / np.where(fills != 0.0, fills, 1.0)
    supply, imbalance = bills.supply_kwh, bills.imbalance_kwh
    energy = np.maximum(supply, 0.0) * retail + np.minimum(supply, 0.0) * feed_in
    energy += np.maximum(imbalance, 0.0) * short + np.minimum(imbalance, 0.0) * long
    return (
        energy
        + bills.closeout_kwh * np.where(fills != 0.0, price, 0.0)
        + (metered.loss_share_kwh * retail)
    )


def _others_eur(
    bills: Bills, metered: Metered, prices: Prices, peak_kw: np.ndarray | float
) -> tuple[np.ndarray, np.ndarray]:
    """Return what network operator and state receive of each prosumer ``[n]``."""
    network = state = np.zeros_like(metered.net_kwh)
    if prices.compensation_eur_per_kwh is not None:
        network = network - prices.compensation_eur_per_kwh * metered.curtailed_kwh
    charges = prices.charges
    if charges is None:
        return network, state
    kept = np.maximum(bills.traded_kwh + bills.closeout_kwh, 0.0)  # bought, and not handed back
    drawn = np.maximum(metered.net_kwh, 0.0)
    far = np.maximum(drawn - kept, 0.0)
    near = drawn - far
    due = far + near * charges.network_local_share
    network = network + due * charges.network_eur_per_kwh
    above_kw = np.maximum(drawn / charges.interval_h - peak_kw, 0.0)
    network = network + above_kw * charges.demand_eur_per_kw
    return network, (far + near * charges.taxes_local_share) * charges.taxes_eur_per_kwh


def _unexplained_kwh(clearing: Clearing, metered: Metered, bills: Bills) -> np.ndarray:
    """Return what the lines of the bill and the meter differ by ``[n]``, and false imbalances.

    Imbalance takes back a fill: its sign is the other one's, and it is no larger.
    """
    held, imbalance = clearing.fills_kwh + bills.closeout_kwh, bills.imbalance_kwh
    gap = held + bills.supply_kwh + imbalance - metered.net_kwh
    false = np.maximum(np.maximum(imbalance * np.sign(held), 0.0), np.abs(imbalance) - np.abs(held))
    return np.abs(gap) + np.maximum(false, 0.0)
