"""Checks of money and energy: everything computed anew from what was metered."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cosim.optimum.plan import optimum
from cosim.optimum.world import charged_world
from cosim.physics.battery import factors
from cosim.population import Population
from cosim.simulation import Interval
from cosim.studies.outcome import imbalance_gain_eur
from cosim.studies.recorded import Check, Record, check, cost_eur, turnover_eur

#: money that is rounding, of a day's bills [share]
_ROUNDING = 1e-9
#: what of the traded volume may be undeliverable, beyond the rule's own share [share]
UNDELIVERABLE = 0.01
#: stored energy may differ from what the meters explain by this [kWh]
_STORED_KWH = 1e-6


def on_metered_energy(runs: Sequence[Record]) -> Check:
    """Settle once more, with trades that the meter backs only; nobody may lose a gain by it."""
    short = [
        float(np.maximum(metered_bill_eur(each) - each.bills.bill_eur, 0.0)[run.rows].sum())
        for run in runs
        for each in run.intervals
    ]
    scale = turnover_eur(runs)
    return check(
        "settled on metered energy", sum(short), _ROUNDING * scale, "EUR",
        "what the owners' bills would rise by if trades counted as far as the meter backs them",
    )  # fmt: skip


def metered_bill_eur(interval: Interval) -> np.ndarray:
    """Return bills ``[n]`` [EUR] from meters, fills and prices, unbacked trades left out.

    Bought energy counts up to what was drawn, sold energy up to what was fed in, at the price of
    the trade; the rest of the meter at the tariff. What an outage or a curtailment made
    undeliverable is handed back at the price of the trade, as the settlement does.
    """
    metered, bills, clearing = interval.metered, interval.bills, interval.trade.total
    prices = interval.trade.asked.prices
    held = clearing.fills_kwh + bills.closeout_kwh
    net = metered.load_kwh - metered.pv_kwh + metered.charge_kwh - metered.discharge_kwh
    backed = np.where(held > 0.0, np.minimum(held, np.maximum(net, 0.0)),
                      np.maximum(held, np.minimum(net, 0.0)))  # fmt: skip
    fills = np.where(clearing.fills_kwh != 0.0, clearing.fills_kwh, 1.0)
    price = clearing.payment_eur / fills
    again = np.where(held == 0.0, clearing.payment_eur + bills.closeout_eur, backed * price)
    rest = net - backed
    tariff = np.where(rest > 0.0, prices.retail_eur_per_kwh, prices.feed_in_eur_per_kwh)
    return np.asarray(again + rest * tariff + bills.other_eur)


def no_imbalance_gain(runs: Sequence[Record]) -> Check:
    """Add up what trades without a meter behind them paid the seat: they must not pay."""
    gains = np.array([
        imbalance_gain_eur(each)[run.rows].sum() for run in runs for each in run.intervals
    ])  # fmt: skip
    return check(
        "no gain from imbalance", float(np.maximum(gains, 0.0).sum()),
        _ROUNDING * turnover_eur(runs), "EUR",
        "what the owners gained in intervals in which imbalance paid",
    )  # fmt: skip


def no_cheaper_than_foresight(runs: Sequence[Record]) -> Check:
    """Hold the cost against perfect foresight's: below the certified bound something is wrong."""
    below = [
        optimum(run.case, world=charged_world(run.case)).bound_eur - cost_eur(run) for run in runs
    ]
    return check(
        "no cheaper than perfect foresight", max(below), 1e-6 * turnover_eur(runs), "EUR",
        "the certified bound of the least cost minus the community's cost, worst trial",
    )  # fmt: skip


def within_the_possible(runs: Sequence[Record], beside: Sequence[Record]) -> Check:
    """Hold trades against the meters: what was traded must have been drawn and fed in."""
    most = undeliverable_share(beside) + UNDELIVERABLE
    return check(
        "traded within the possible", undeliverable_share(runs), most, "-",
        "share of the traded volume beyond the physically possible; the rule's and 1 % are allowed",
    )  # fmt: skip


def undeliverable_share(runs: Sequence[Record]) -> float:
    """Return what was traded beyond the physically possible, by what was traded."""
    beyond = volume = 0.0
    for each in (i for run in runs for i in run.intervals):
        net = each.metered.net_kwh
        possible = min(float(np.maximum(net, 0.0).sum()), float(np.maximum(-net, 0.0).sum()))
        traded = sum(float(turn.clearing.volume_kwh) for turn in each.trade.rounds)
        volume += traded
        beyond += max(traded - possible, 0.0)
    return beyond / volume if volume > 0.0 else 0.0


def battery_bookkeeping(runs: Sequence[Record]) -> Check:
    """Integrate the metered flows anew: what is stored must be what they explain, within limits.

    Where an interval had one flow the integral is exact; where it was split, the order of its
    parts leaves a little of self-discharge open, which the bound allows for.
    """
    return check(
        "battery bookkeeping", max(max(_unexplained_kwh(run)) for run in runs), _STORED_KWH, "kWh",
        "largest difference of a stored energy from what meters and limits allow",
    )  # fmt: skip


def _unexplained_kwh(run: Record) -> list[float]:
    people, hours = run.case.population, run.case.grid.interval_h
    before, found = people.initial_kwh, []
    for each in run.intervals:
        metered = each.metered
        kept, loose = _integrated(people, before, metered.charge_kwh, metered.discharge_kwh, hours)
        after = metered.energy_kwh
        most = people.rating_kw * hours
        beyond = (
            np.abs(after - kept) - loose,
            after - people.max_kwh,
            metered.charge_kwh + metered.discharge_kwh - most,
            np.where(metered.discharge_kwh > _STORED_KWH, people.min_kwh - after - loose, 0.0),
        )
        found.append(max(float(each.max()) for each in beyond))
        before = after
    return found


def _integrated(
    people: Population,
    before: np.ndarray,
    charge_kwh: np.ndarray,
    discharge_kwh: np.ndarray,
    hours: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the stored energy ``[n]`` after an interval, and what its inner order leaves open."""
    root, decay, held = factors(people, hours)
    flow = charge_kwh * root - discharge_kwh / root
    both = np.minimum(charge_kwh, discharge_kwh) / root + np.abs(flow)
    return before * decay + flow * held / hours, both * (1.0 - decay)
