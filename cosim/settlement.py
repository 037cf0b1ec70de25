"""Settlement in two parts, and the books that must close after every interval.

Traded energy settles at the clearing price. Metered minus traded settles with the supplier at the
imbalance price: retail when short, feed-in when long. The traded energy of seconds without supply
is closed out with the supplier at the clearing price. Amounts > 0 are paid by the prosumer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosim.arrays import freeze
from cosim.delivery import Metered
from cosim.errors import RunError
from cosim.markets.base import Clearing
from cosim.population import Population

#: books close to this, relative to their scale (at least 1)
CLOSING_TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class Prices:
    """The tariff in force for one interval ``[..., n]`` [EUR/kWh] and the grid's CO2 [kg/kWh]."""

    retail_eur_per_kwh: np.ndarray
    feed_in_eur_per_kwh: np.ndarray
    co2_kg_per_kwh: np.ndarray | float


@dataclass(frozen=True, eq=False)
class Bills:
    """One interval's bills ``[..., n]``, line by line [EUR], with the energies behind them [kWh].

    ``baseline_eur`` is the bill of the same metered energy without any trading.
    """

    traded_kwh: np.ndarray
    closeout_kwh: np.ndarray  # traded energy of dead seconds, handed back
    imbalance_kwh: np.ndarray  # metered - traded + closed out; > 0 bought from the supplier
    trade_eur: np.ndarray
    closeout_eur: np.ndarray
    imbalance_eur: np.ndarray
    baseline_eur: np.ndarray
    wear_eur: np.ndarray  # a cost of the battery's owner, not a payment
    co2_kg: np.ndarray

    def __post_init__(self) -> None:
        freeze(self)

    @property
    def bill_eur(self) -> np.ndarray:
        """What the prosumer pays: trade + close-out + imbalance."""
        return self.trade_eur + self.closeout_eur + self.imbalance_eur


def settle(population: Population, clearing: Clearing, metered: Metered, prices: Prices) -> Bills:
    """Return the bills of one interval; ``clearing`` has one row per prosumer ``[..., n]``."""
    net = metered.net_kwh
    closeout_kwh = -clearing.fills_kwh * metered.dead_share
    imbalance = net - clearing.fills_kwh - closeout_kwh
    retail, feed_in = prices.retail_eur_per_kwh, prices.feed_in_eur_per_kwh
    drawn = np.maximum(imbalance, 0.0)
    total = drawn.sum(-1, keepdims=True)
    # nobody draws but the feeder has losses: everybody carries the same
    shares = np.where(total > 0.0, drawn, 1.0) / np.where(total > 0.0, total, len(population))
    community = np.asarray(metered.slack_import_kwh * prices.co2_kg_per_kwh)[..., None]
    throughput = metered.charge_kwh + metered.discharge_kwh
    return Bills(
        traded_kwh=clearing.fills_kwh,
        closeout_kwh=closeout_kwh,
        imbalance_kwh=imbalance,
        trade_eur=clearing.payment_eur,
        closeout_eur=-clearing.payment_eur * metered.dead_share,
        imbalance_eur=imbalance * np.where(imbalance > 0.0, retail, feed_in),
        baseline_eur=net * np.where(net > 0.0, retail, feed_in),
        wear_eur=throughput * population.wear_eur_per_kwh,
        co2_kg=community * shares,
    )


@dataclass
class Books:
    """The largest closing errors seen, energy [kWh] and money [EUR], relative to their scale.

    Accounts: prosumers, supplier, market operator. What the supplier gets from each prosumer is
    computed from energies and prices, not as the rest of the bill, so a leak shows, and so does
    money moved from one prosumer to another.
    """

    energy_error: float = 0.0
    money_error: float = 0.0
    unsolved_intervals: int = 0
    supplier_eur: float = 0.0
    operator_eur: float = 0.0

    def close(
        self, interval: int, clearing: Clearing, metered: Metered, bills: Bills, prices: Prices
    ) -> None:
        """Check one interval ``[n]``, row by row; raise RunError where a book does not close."""
        imbalance, net = bills.imbalance_kwh, metered.net_kwh
        traded = clearing.fills_kwh != 0.0
        price = clearing.payment_eur / np.where(traded, clearing.fills_kwh, 1.0)
        supplier = (
            np.maximum(imbalance, 0.0) * prices.retail_eur_per_kwh
            + np.minimum(imbalance, 0.0) * prices.feed_in_eur_per_kwh
            + bills.closeout_kwh * np.where(traded, price, 0.0)
        )
        paid = bills.bill_eur
        money = np.abs(paid - supplier - clearing.payment_eur).sum() / max(1.0, np.abs(paid).sum())
        through = max(1.0, np.abs(net).sum())
        meters = np.abs(clearing.fills_kwh + bills.closeout_kwh + imbalance - net).sum() / through
        trades = abs(clearing.fills_kwh.sum()) + np.abs(clearing.fills_kwh - bills.traded_kwh).sum()
        trades /= through
        upstream = metered.slack_import_kwh - metered.slack_export_kwh
        feeder = abs(upstream - net.sum() - metered.losses_kwh) / through
        if np.isnan(feeder):
            self.unsolved_intervals += 1
            feeder = 0.0
        self.supplier_eur += float(supplier.sum())
        self.operator_eur += float(clearing.payment_eur.sum())
        errors = [float(error) for error in (money, feeder, meters, trades)]
        self.money_error = max(self.money_error, errors[0])
        self.energy_error = max(self.energy_error, *errors[1:])
        if not all(error <= CLOSING_TOLERANCE for error in errors):  # a NaN does not close either
            raise RunError(
                f"interval {interval}: the books do not close (money {money:.2e}, feeder energy "
                f"{feeder:.2e}, meters {meters:.2e}, trades {trades:.2e}, relative to their scale)"
            )
