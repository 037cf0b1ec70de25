"""What every market takes and gives: an order book frozen at gate closure, and its clearing.

Quantities > 0 buy and < 0 sell [kWh]; payments > 0 are paid by the prosumer [EUR]. All arrays
share the leading axes ``[...]`` (lanes) and a last axis ``[m]`` of orders.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from cosim.arrays import freeze
from cosim.plugins import Plugin


@dataclass(frozen=True, eq=False)
class Orders:
    """A frozen book: one row per order.

    ``quantity_kwh`` is 0 where nobody orders or the order came late; ``prosumer`` ``[m]`` is the
    owner's rank, the tie-breaker that makes sums independent of the order of rows. ``draw`` is a
    keyed draw that ranks orders of one second, 0 where the mechanism does not ask for it.
    ``partner`` ``[m]`` is the rank of the preferred partner, -1 for none; each prosumer names one
    in one order at most.
    """

    prosumer: np.ndarray
    quantity_kwh: np.ndarray
    price_eur_per_kwh: np.ndarray
    arrival_s: np.ndarray
    draw: np.ndarray = None  # type: ignore[assignment]  # set below
    partner: np.ndarray = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.draw is None:
            object.__setattr__(self, "draw", np.zeros_like(self.arrival_s))
        if self.partner is None:
            object.__setattr__(self, "partner", nobody(len(self.prosumer)))
        freeze(self)


@dataclass(frozen=True, eq=False)
class MarketContext:
    """What a market may know besides the book: each row's own tariff ``[..., m]`` [EUR/kWh]."""

    retail_eur_per_kwh: np.ndarray
    feed_in_eur_per_kwh: np.ndarray


@dataclass(frozen=True, eq=False)
class Clearing:
    """The outcome: signed fills and payments per row ``[..., m]``, community figures ``[...]``.

    ``buy_price`` and ``sell_price`` are averages over the traded energy, NaN where nothing trades.
    ``sum(payment)`` is what stays with the market operator, 0 for a budget-balanced mechanism.
    """

    fills_kwh: np.ndarray
    payment_eur: np.ndarray
    volume_kwh: np.ndarray
    buy_price_eur_per_kwh: np.ndarray
    sell_price_eur_per_kwh: np.ndarray
    fallback: np.ndarray = None  # type: ignore[assignment]  # bool, another form stood in

    def __post_init__(self) -> None:
        if self.fallback is None:
            object.__setattr__(self, "fallback", np.zeros(np.shape(self.volume_kwh), dtype=bool))
        freeze(self)


class Market(Plugin):
    """Abstract mechanism; one file in this folder per mechanism.

    ``limit_prices`` is False where the mechanism does not read limit prices, ``arrival_order``
    True where it matters in which order orders arrive. ``on_metered`` mechanisms clear after
    delivery, with everybody's metered net energy as the book. ``within_tariff`` is False where
    prices may be worse for a prosumer than the tariff.
    """

    limit_prices: ClassVar[bool] = True
    arrival_order: ClassVar[bool] = False
    on_metered: ClassVar[bool] = False
    within_tariff: ClassVar[bool] = True

    @abstractmethod
    def clear(self, orders: Orders, context: MarketContext) -> Clearing:
        """Clear a frozen book; a pure function of its arguments."""

    @property
    def turns(self) -> int:
        """In how many rounds a delivery is traded before it begins."""
        return 1

    def named(self) -> Iterable[tuple[tuple[str | int, ...], str]]:
        """Return the prosumers that the options name, each with its place in the options."""
        return ()

    def partners_among(self, names: tuple[str, ...]) -> np.ndarray:
        """Return the ranks of the partners that the options prefer ``[n]``, -1 for none."""
        return nobody(len(names))


@lru_cache(maxsize=16)  # a run knows one number of prosumers
def nobody(count: int) -> np.ndarray:
    """Return ranks of no partner for each of ``count``, the same array that nobody can write to."""
    ranks = np.full(count, -1)
    ranks.setflags(write=False)
    return ranks


def nothing_traded(quantity_kwh: np.ndarray) -> Clearing:
    """Return a clearing without fills for a book ``[..., m]``."""
    nothing = np.zeros_like(quantity_kwh)
    no_price = np.full(nothing.shape[:-1], np.nan)
    return Clearing(nothing, nothing.copy(), nothing.sum(-1), no_price, no_price.copy())


def average_prices(
    orders: Orders, clearing: Clearing, context: MarketContext
) -> tuple[np.ndarray, np.ndarray]:
    """Return average buy and sell prices ``[...]`` after the rest went to the grid [EUR/kWh].

    Unmatched requests pay retail, unmatched offers earn feed-in. NaN where a side is empty.
    """
    rest = orders.quantity_kwh - clearing.fills_kwh
    buys, sells = orders.quantity_kwh > 0.0, orders.quantity_kwh < 0.0
    paid = clearing.payment_eur + rest * np.where(
        buys, context.retail_eur_per_kwh, context.feed_in_eur_per_kwh
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        return (
            np.where(buys, paid, 0.0).sum(-1) / np.where(buys, orders.quantity_kwh, 0.0).sum(-1),
            np.where(sells, paid, 0.0).sum(-1) / np.where(sells, orders.quantity_kwh, 0.0).sum(-1),
        )


def welfare_eur(orders: Orders, clearing: Clearing, context: MarketContext) -> np.ndarray:
    """Return the gains from trade ``[...]``: fills valued at the tariff-clipped limits [EUR]."""
    limit = clip_to_tariff(orders, context)
    return (clearing.fills_kwh * limit).sum(-1)


def clip_to_tariff(orders: Orders, context: MarketContext) -> np.ndarray:
    """Return limit prices no worse than the prosumer's own tariff ``[..., m]`` [EUR/kWh].

    A bid is at most the prosumer's retail price, an ask at least their feed-in price.
    """
    return np.where(
        orders.quantity_kwh > 0.0,
        np.minimum(orders.price_eur_per_kwh, context.retail_eur_per_kwh),
        np.maximum(orders.price_eur_per_kwh, context.feed_in_eur_per_kwh),
    )
