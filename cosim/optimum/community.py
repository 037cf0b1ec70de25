"""The programme of a community: its batteries, what it draws and feeds in, and who trades.

Without peer-to-peer everybody settles alone. With it, what some feed in others draw first; what
they pay each other cancels out, so the community's cost is that of the rest. Where tariffs differ
or charges fall due on local energy, trades are columns of their own, by class of equal tariffs:
nobody sells what they have bought, because a position is either drawn or fed in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosim.arrays import freeze
from cosim.optimum.linear import Programme
from cosim.optimum.world import World
from cosim.physics.battery import factors
from cosim.population import Population

#: what a percent beyond a limit of the feeder costs for an interval, so that it is a last resort
PENALTY_EUR = 1000.0
#: no slack needs more [%]
_LARGEST_SLACK = 1e4


@dataclass(frozen=True, eq=False)
class Terms:
    """How the period ends: what a stored kWh counts ``[n]``, and whether none may be missing."""

    value_eur_per_kwh: np.ndarray
    kept: bool

    def __post_init__(self) -> None:
        freeze(self)


@dataclass(frozen=True, eq=False)
class Cuts:
    """Linearised limits of the feeder: ``slope @ battery_kw[interval] <= right``, in percent."""

    interval: np.ndarray  # [k]
    slope: np.ndarray  # [k, m], of the battery owners
    right: np.ndarray  # [k]

    def __post_init__(self) -> None:
        freeze(self)


@dataclass(frozen=True, eq=False)
class Columns:
    """Where a programme holds what is read from its solution, ``[T, m]``, and the slack ``[k]``."""

    charge: np.ndarray
    discharge: np.ndarray
    energy: np.ndarray
    slack: np.ndarray


def programme(
    world: World,
    people: Population,
    owners: np.ndarray,
    terms: Terms,
    cuts: Cuts,
    *,
    peer_to_peer: bool,
) -> tuple[Programme, Columns]:
    """Return the programme of the prosumers ``people``, ``owners`` ``[m]`` being those to plan."""
    stored = people.initial_kwh[owners] * terms.value_eur_per_kwh[owners]
    built = Programme(0.0 if terms.kept else float(stored.sum()))
    charge, discharge, energy = _batteries(built, world, people, owners, terms)
    if peer_to_peer and _alike(world):
        _pooled(built, world, charge, discharge)
    else:
        drawn, fed = _positions(
            built, world, people, owners, charge, discharge, priced=not peer_to_peer
        )
        if peer_to_peer:
            _traded(built, world, owners, drawn, fed)
        else:
            built.constant_eur += others_eur(world, owners)
    slack = _limited(built, cuts, charge, discharge)
    return built, Columns(charge, discharge, energy, slack)


def _batteries(
    built: Programme, world: World, people: Population, owners: np.ndarray, terms: Terms
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Add charging, discharging and stored energy, as :mod:`cosim.physics.battery` has them.

    Self-discharge may take a battery below its least energy, so the lower bound sinks with it.
    """
    hours, shape = world.interval_h, (len(world.net_kw), len(owners))
    root, decay, held = (factor[owners] for factor in factors(people, hours))
    most_kw = people.rating_kw[owners] * world.fed_share[:, owners]
    wear = people.wear_eur_per_kwh[owners] * hours
    charge = built.columns(shape, wear, 0.0, most_kw)
    discharge = built.columns(shape, wear, 0.0, most_kw)
    begin = people.initial_kwh[owners]
    least = people.min_kwh[owners] * decay ** np.arange(1, shape[0] + 1)[:, None]
    if terms.kept:
        least[-1] = np.maximum(least[-1], begin)
    value = np.zeros(shape)
    value[-1] = 0.0 if terms.kept else -terms.value_eur_per_kwh[owners]
    energy = built.columns(shape, value, least, people.max_kwh[owners])
    flow = ((charge, -root * held), (discharge, held / root))
    first = tuple((block[:1], factor) for block, factor in flow)
    rest = tuple((block[1:], factor) for block, factor in flow)
    built.equal((begin * decay)[None], (energy[:1], 1.0), *first)
    built.equal(np.zeros((shape[0] - 1, shape[1])), (energy[1:], 1.0), (energy[:-1], -decay), *rest)
    built.exclude(charge, discharge)
    return charge, discharge, energy


def _alike(world: World) -> bool:
    """Return whether it makes no difference who draws: one tariff, nothing due on local energy."""
    buy, sell = world.buy_eur_per_kwh, world.feed_in_eur_per_kwh
    equal = (buy == buy[:, :1]).all() and (sell == sell[:, :1]).all()
    return bool(equal and (buy >= sell).all() and not world.local_eur_per_kwh.any())


def _pooled(built: Programme, world: World, charge: np.ndarray, discharge: np.ndarray) -> None:
    """Add what the community as a whole draws and feeds in."""
    net, hours = world.net_kw.sum(axis=1), world.interval_h
    largest = np.abs(world.net_kw).sum(axis=1) + built.upper(charge).sum(axis=1)
    prices = world.buy_eur_per_kwh[:, 0], world.feed_in_eur_per_kwh[:, 0]
    drawn = built.columns(net.shape, prices[0] * hours, 0.0, largest)
    fed = built.columns(net.shape, -prices[1] * hours, 0.0, largest)
    built.equal(net, (drawn, 1.0), (fed, -1.0), (charge, -1.0), (discharge, 1.0))


def _positions(
    built: Programme,
    world: World,
    people: Population,
    owners: np.ndarray,
    charge: np.ndarray,
    discharge: np.ndarray,
    *,
    priced: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Add each owner's position: power drawn or fed in ``[T, m]``, never both.

    ``priced``: all of it is settled with the supplier.
    """
    net, rating = world.net_kw[:, owners], people.rating_kw[owners]
    hours = world.interval_h if priced else 0.0
    buy, sell = world.buy_eur_per_kwh[:, owners], world.feed_in_eur_per_kwh[:, owners]
    drawn = built.columns(net.shape, buy * hours, 0.0, np.maximum(net + rating, 0.0))
    fed = built.columns(net.shape, -sell * hours, 0.0, np.maximum(rating - net, 0.0))
    built.equal(net, (drawn, 1.0), (fed, -1.0), (charge, -1.0), (discharge, 1.0))
    built.exclude(drawn, fed)
    return drawn, fed


def others_eur(world: World, owners: np.ndarray) -> float:
    """Return what those without a battery to plan pay the supplier."""
    net = np.delete(world.net_kw, owners, axis=1) * world.interval_h
    buy = np.delete(world.buy_eur_per_kwh, owners, axis=1)
    sell = np.delete(world.feed_in_eur_per_kwh, owners, axis=1)
    return float((net * np.where(net > 0.0, buy, sell)).sum())


def _traded(
    built: Programme, world: World, owners: np.ndarray, drawn: np.ndarray, fed: np.ndarray
) -> None:
    """Settle positions by class of equal tariffs: with the supplier, or with each other."""
    hours = world.interval_h
    prices = (world.buy_eur_per_kwh, world.local_eur_per_kwh, world.feed_in_eur_per_kwh)
    _, first, kind = np.unique(
        np.concatenate(prices), axis=1, return_index=True, return_inverse=True
    )
    others = np.ones(world.net_kw.shape[1], dtype=bool)
    others[owners] = False
    bought: list[np.ndarray] = []
    sold: list[np.ndarray] = []
    for rank, row in enumerate(first):
        fixed = world.net_kw * (others & (kind == rank))
        mine = np.flatnonzero(kind[owners] == rank)
        buy, local, sell = (price[:, row] * hours for price in prices)
        for side, sign, dear, near, trades in (
            (drawn[:, mine], 1.0, buy, local, bought),
            (fed[:, mine], -1.0, -sell, 0.0 * sell, sold),
        ):  # fmt: skip
            total = np.maximum(sign * fixed, 0.0).sum(axis=1)
            largest = total + built.upper(side).sum(axis=1)
            supplier = built.columns(total.shape, dear, 0.0, largest)
            trades.append(built.columns(total.shape, near, 0.0, largest))
            built.equal(total, (supplier, 1.0), (trades[-1], 1.0), (side, -1.0))
    terms = [(np.stack(side, axis=1), sign) for side, sign in ((bought, 1.0), (sold, -1.0))]
    built.equal(np.zeros(len(world.net_kw)), *terms)


def _limited(built: Programme, cuts: Cuts, charge: np.ndarray, discharge: np.ndarray) -> np.ndarray:
    """Add the feeder's limits, each with a slack that is a last resort."""
    slack = built.columns(cuts.right.shape, PENALTY_EUR, 0.0, _LARGEST_SLACK)
    rows = cuts.interval
    built.at_most(
        cuts.right, (charge[rows], cuts.slope), (discharge[rows], -cuts.slope), (slack, -1.0)
    )
    return slack
