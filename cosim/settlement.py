"""Settlement: who owes whom for an interval, line by line; pure, for any leading axes.

Traded energy settles at the clearing price. What was traded for seconds without supply, and what
was sold and then curtailed, is closed out with the supplier at the clearing price. A fill that
the meter does not back is imbalance: energy sold and not fed in is bought, energy bought and not
drawn is sold, at the imbalance prices. The rest of the meter is ordinary supply at the tariff.
Network charges and taxes fall on drawn energy. Amounts > 0 are paid by the prosumer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from cosim.arrays import freeze, nothing
from cosim.delivery import Metered
from cosim.markets.base import Clearing
from cosim.population import Population


class Line(NamedTuple):
    """A line of the bill: the account on its other side, and the energy behind it (or none)."""

    account: str
    energy: str = ""


#: the lines of a bill; the energies of the first four sum to the metered net energy
LINES = {
    "trade": Line("market", "traded_kwh"),
    "closeout": Line("supplier", "closeout_kwh"),
    "supply": Line("supplier", "supply_kwh"),
    "imbalance": Line("supplier", "imbalance_kwh"),
    "losses": Line("supplier", "losses_kwh"),
    "network": Line("network", "network_kwh"),
    "demand": Line("network"),
    "compensation": Line("network", "curtailed_kwh"),
    "taxes": Line("state", "taxes_kwh"),
}

#: where the market's pool puts what it keeps of the payments
OPERATOR = "operator"
#: parties of the books that are no prosumers
ACCOUNTS = (*dict.fromkeys(line.account for line in LINES.values()), OPERATOR)


@dataclass(frozen=True, eq=False)
class Charges:
    """What network operator and state ask for drawn energy in one interval.

    ``*_local_share`` is the share due on energy bought from neighbours, 0..1. A kW by which the
    mean power drawn in an interval exceeds all intervals of the month before costs ``demand``.
    """

    network_eur_per_kwh: np.ndarray  # [..., n]
    taxes_eur_per_kwh: np.ndarray
    network_local_share: np.ndarray  # [n]
    taxes_local_share: np.ndarray
    demand_eur_per_kw: np.ndarray  # [..., n]
    interval_h: float

    @cached_property
    def drawn_eur_per_kwh(self) -> np.ndarray:
        """What is asked for each kWh drawn from the supplier."""
        return self.network_eur_per_kwh + self.taxes_eur_per_kwh

    @cached_property
    def spared_eur_per_kwh(self) -> np.ndarray:
        """What is not asked where the energy comes from neighbours."""
        network = self.network_eur_per_kwh * (1.0 - self.network_local_share)
        return network + self.taxes_eur_per_kwh * (1.0 - self.taxes_local_share)


@dataclass(frozen=True, eq=False)
class Prices:
    """The prices in force for one interval ``[..., n]`` [EUR/kWh] and the grid's CO2 [kg/kWh].

    ``short`` and ``long`` are the imbalance prices, by default retail and feed-in; ``charges`` is
    None where nobody asks for any; curtailed energy earns ``compensation``.
    """

    retail_eur_per_kwh: np.ndarray
    feed_in_eur_per_kwh: np.ndarray
    co2_kg_per_kwh: np.ndarray | float
    short_eur_per_kwh: np.ndarray | None = None
    long_eur_per_kwh: np.ndarray | None = None
    charges: Charges | None = None
    compensation_eur_per_kwh: np.ndarray | None = None

    @property
    def imbalance_eur_per_kwh(self) -> tuple[np.ndarray, np.ndarray]:
        """What being short costs and being long earns."""
        short, long = self.short_eur_per_kwh, self.long_eur_per_kwh
        return (
            self.retail_eur_per_kwh if short is None else short,
            self.feed_in_eur_per_kwh if long is None else long,
        )

    @cached_property
    def drawn_eur_per_kwh(self) -> np.ndarray:
        """What a kWh drawn from the supplier costs, charges and taxes included."""
        retail, charges = self.retail_eur_per_kwh, self.charges
        return retail if charges is None else retail + charges.drawn_eur_per_kwh

    @cached_property
    def worth_eur_per_kwh(self) -> np.ndarray:
        """The most that a kWh of a neighbour is worth: retail and the charges it spares."""
        retail, charges = self.retail_eur_per_kwh, self.charges
        return retail if charges is None else retail + charges.spared_eur_per_kwh


@dataclass(frozen=True, eq=False)
class Bills:
    """One interval's bills ``[..., n]``, line by line [EUR], with the energies behind them [kWh].

    ``baseline_eur`` is the bill of the same metered energy without any trading.
    """

    traded_kwh: np.ndarray
    closeout_kwh: np.ndarray  # traded energy of dead seconds and of curtailed PV, handed back
    supply_kwh: np.ndarray  # the meter's rest at the tariff, > 0 drawn
    imbalance_kwh: np.ndarray  # fills without a meter behind them, > 0 bought in their place
    losses_kwh: np.ndarray  # own share of the feeder's losses
    network_kwh: np.ndarray  # energy that network charges are due on
    taxes_kwh: np.ndarray
    curtailed_kwh: np.ndarray
    trade_eur: np.ndarray
    closeout_eur: np.ndarray
    supply_eur: np.ndarray
    imbalance_eur: np.ndarray
    losses_eur: np.ndarray
    network_eur: np.ndarray
    demand_eur: np.ndarray
    compensation_eur: np.ndarray
    taxes_eur: np.ndarray
    baseline_eur: np.ndarray
    wear_eur: np.ndarray  # a cost of the battery's owner, not a payment
    co2_kg: np.ndarray
    peak_kw: np.ndarray  # highest mean power drawn in an interval of the month so far

    def __post_init__(self) -> None:
        freeze(self)

    @cached_property
    def bill_eur(self) -> np.ndarray:
        """What the prosumer pays: the sum of all lines."""
        energy = self.trade_eur + self.closeout_eur + self.supply_eur + self.imbalance_eur
        return energy + self.other_eur

    @cached_property
    def other_eur(self) -> np.ndarray:
        """The lines that do not pay for energy of one's own."""
        network = self.network_eur + self.demand_eur + self.compensation_eur
        return self.losses_eur + network + self.taxes_eur


def settle(
    population: Population,
    clearing: Clearing,
    metered: Metered,
    prices: Prices,
    peak_kw: np.ndarray | None = None,
) -> Bills:
    """Return the bills of one interval; ``clearing`` has one row per prosumer ``[..., n]``.

    ``peak_kw`` ``[..., n]`` is the month's highest mean power drawn before, by default none.
    """
    from cosim.compiled import billed

    net, fills, losses = metered.net_kwh, clearing.fills_kwh, metered.loss_share_kwh
    retail, feed_in = prices.retail_eur_per_kwh, prices.feed_in_eur_per_kwh
    (back, back_eur, supply, imbalance, supply_eur, imbalance_eur, losses_eur, baseline_eur,
     wear_eur) = billed(
        net, fills, clearing.payment_eur, metered.dead_share, metered.curtailed_kwh, losses, retail,
        feed_in, *prices.imbalance_eur_per_kwh, metered.charge_kwh + metered.discharge_kwh,
        population.wear_eur_per_kwh,
    )  # fmt: skip
    held = fills + back
    charged, others_eur = _charges(prices, metered, held, imbalance, peak_kw)
    return Bills(
        traded_kwh=fills,
        closeout_kwh=back,
        supply_kwh=supply,
        imbalance_kwh=imbalance,
        losses_kwh=losses,
        curtailed_kwh=metered.curtailed_kwh,
        trade_eur=clearing.payment_eur,
        closeout_eur=back_eur,
        supply_eur=supply_eur,
        imbalance_eur=imbalance_eur,
        losses_eur=losses_eur,
        **charged,
        baseline_eur=baseline_eur + others_eur,
        wear_eur=wear_eur,
        co2_kg=_co2(net - held, metered, prices),
    )


def _charges(
    prices: Prices,
    metered: Metered,
    held_kwh: np.ndarray,
    imbalance_kwh: np.ndarray,
    peak_kw: np.ndarray | None,
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the lines of network and state, and what they come to without any trading.

    ``held_kwh`` > 0 was bought from neighbours; no more than what was drawn counts. Who sold and
    did not feed in had the supplier deliver in their place: what the buyer was spared, they owe.
    """
    net, charges = metered.net_kwh, prices.charges
    zero = nothing(net.shape)
    earned = zero
    if prices.compensation_eur_per_kwh is not None:
        earned = -metered.curtailed_kwh * prices.compensation_eur_per_kwh
    before = zero if peak_kw is None else peak_kw
    if charges is None:
        names = ("network_kwh", "taxes_kwh", "network_eur", "demand_eur", "taxes_eur")
        lines = dict.fromkeys(names, zero)
        return {**lines, "compensation_eur": earned, "peak_kw": before}, earned
    drawn = np.maximum(net, 0.0)
    local = np.minimum(np.maximum(held_kwh, 0.0), drawn)
    local = local - np.maximum(imbalance_kwh, 0.0)  # < 0: sold on paper, owed on top of the drawn
    network_kwh = drawn - local * (1.0 - charges.network_local_share)
    taxes_kwh = drawn - local * (1.0 - charges.taxes_local_share)
    peak = np.maximum(before, drawn / charges.interval_h)
    demand = (peak - before) * charges.demand_eur_per_kw
    return {
        "network_kwh": network_kwh,
        "taxes_kwh": taxes_kwh,
        "network_eur": network_kwh * charges.network_eur_per_kwh,
        "demand_eur": demand,
        "taxes_eur": taxes_kwh * charges.taxes_eur_per_kwh,
        "compensation_eur": earned,
        "peak_kw": peak,
    }, drawn * charges.drawn_eur_per_kwh + demand + earned


def _co2(rest_kwh: np.ndarray, metered: Metered, prices: Prices) -> np.ndarray:
    """Return who carries the CO2 of upstream energy ``[..., n]`` [kg]: those who draw from it."""
    drawn = np.maximum(rest_kwh, 0.0)
    total = np.add.reduce(drawn, -1, keepdims=True)
    if not (total > 0.0).all():  # nobody draws but the feeder has losses: all carry the same
        drawn = np.where(total > 0.0, drawn, 1.0)
        total = np.where(total > 0.0, total, drawn.shape[-1])
    return drawn * (metered.slack_import_kwh * prices.co2_kg_per_kwh)[..., None] / total
