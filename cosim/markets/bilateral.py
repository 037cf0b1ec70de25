"""Preferred partners: pairs who name each other trade first, everybody else meets in a pool.

Of two partners one has surplus and the other a deficit: they trade the smaller of both at the
middle of their limits, each cut to its own tariff, unless the bid is below the ask. What is left,
and whoever has no partner, goes pro rata to the pool at the mid-market rate.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field, field_validator

from cosim.markets._pool import Pool, Situation
from cosim.markets.base import Clearing, MarketContext, Orders, clip_to_tariff

Pairs = tuple[Annotated[tuple[str, ...], Field(min_length=2, max_length=2)], ...]


class Bilateral(Pool):
    """Trade between partners, then the pool."""

    limit_prices: ClassVar[bool] = True  # of partners; the pool reads none

    partners: Pairs = Field((), description="pairs of prosumers who prefer each other")

    @field_validator("partners")
    @classmethod
    def _one_partner_each(cls, pairs: Pairs) -> Pairs:
        names = [name for pair in pairs for name in pair]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"a prosumer has one partner, another one: '{twice[0]}' stands twice")
        return pairs

    def named(self) -> Iterable[tuple[tuple[str | int, ...], str]]:
        """Return the partners and where they stand."""
        for i, pair in enumerate(self.partners):
            for j, name in enumerate(pair):
                yield ("partners", i, j), name

    def partners_among(self, names: tuple[str, ...]) -> np.ndarray:
        """Return the ranks of the partners among a community's names."""
        return _ranks(self.partners, names)

    def prices(self, at: Situation) -> tuple[np.ndarray, np.ndarray]:
        """Return the middle of the tariff band for both sides of the pool."""
        middle = 0.5 * (at.feed_in_eur_per_kwh + at.retail_eur_per_kwh)
        return middle, middle

    def clear(self, orders: Orders, context: MarketContext) -> Clearing:
        """Let partners trade, then pool what is left."""
        quantity = orders.quantity_kwh
        direct, paid = _direct(orders, context)
        pooled = super().clear(replace(orders, quantity_kwh=quantity - direct), context)
        fills = np.clip(direct + pooled.fills_kwh, -np.abs(quantity), np.abs(quantity))
        payment = paid + pooled.payment_eur
        volume, buy = _side(fills > 0.0, fills, payment)
        _, sell = _side(fills < 0.0, fills, payment)
        return Clearing(fills, payment, volume, buy, sell)


@lru_cache(maxsize=16)
def _ranks(pairs: Pairs, names: tuple[str, ...]) -> np.ndarray:
    rank = {name: i for i, name in enumerate(names)}
    found = np.full(len(names), -1)
    for one, other in pairs:
        found[rank[one]], found[rank[other]] = rank[other], rank[one]
    found.flags.writeable = False
    return found


def _direct(orders: Orders, context: MarketContext) -> tuple[np.ndarray, np.ndarray]:
    """Return what partners trade with each other, signed fills and payments ``[..., m]``."""
    fills, payment = np.zeros_like(orders.quantity_kwh), np.zeros_like(orders.quantity_kwh)
    one, other = _pairs(orders.prosumer, orders.partner)
    if not len(one):
        return fills, payment
    first, second = orders.quantity_kwh[..., one], orders.quantity_kwh[..., other]
    limit = clip_to_tariff(orders, context)
    bid = np.where(first > 0.0, limit[..., one], limit[..., other])
    ask = np.where(first > 0.0, limit[..., other], limit[..., one])
    meet = (np.sign(first) == -np.sign(second)) & (bid >= ask)
    size = np.minimum(np.abs(first), np.abs(second))
    energy = np.where(meet, np.sign(first) * size, 0.0)
    fills[..., one], fills[..., other] = energy, -energy
    paid = np.where(meet, energy * 0.5 * (bid + ask), 0.0)
    payment[..., one], payment[..., other] = paid, -paid
    return fills, payment


def _pairs(prosumer: np.ndarray, partner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of those who name each other, each pair once, in the order of ranks."""
    naming = np.flatnonzero(partner >= 0)
    row = naming[np.argsort(prosumer[naming], kind="stable")]
    if not len(row):
        return row, row
    place = np.searchsorted(prosumer[row], partner[row])
    mate = row[np.minimum(place, len(row) - 1)]
    mutual = (prosumer[mate] == partner[row]) & (partner[mate] == prosumer[row])
    mutual &= prosumer[row] < prosumer[mate]
    return row[mutual], mate[mutual]


def _side(
    side: np.ndarray, fills: np.ndarray, payment: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return energy and mean price of a side ``[...]``, sums free of the order of rows."""
    energy = np.sort(np.where(side, np.abs(fills), 0.0), axis=-1).sum(-1)
    money = np.sort(np.where(side, np.abs(payment), 0.0), axis=-1).sum(-1)
    return energy, money / np.where(energy > 0.0, energy, np.nan)
