"""The trading half of an interval, from decisions to a clearing: pure, for any leading axes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cosim.arrays import freeze
from cosim.guard import Decision, Guarded, Outlook, guard
from cosim.markets.base import Clearing, Market, MarketContext, Orders, nothing_traded
from cosim.population import Population
from cosim.settlement import Prices


@dataclass(frozen=True, eq=False)
class Asked:
    """What stands after DECIDE, arrays ``[..., n]``; the masks tell who chose for themselves."""

    prices: Prices
    outlook: Outlook
    requested: Decision
    own_quantity: np.ndarray
    own_price: np.ndarray
    arrival_s: np.ndarray  # second in which each order arrives, infinite where it is lost
    draw: np.ndarray  # ranks the orders of one second

    def __post_init__(self) -> None:
        freeze(self)


@dataclass(frozen=True, eq=False)
class Trade:
    """What was asked, what the guard made of it, the orders sent, and how the market cleared."""

    asked: Asked
    guarded: Guarded
    orders: Orders  # as sent: quantity 0 where none
    arrived: np.ndarray  # bool [..., n], in the book at CLOSE
    clearing: Clearing


def trade(
    population: Population,
    market: Market,
    asked: Asked,
    arrived: np.ndarray,
    hours: float,
    *,
    physical_trades: bool = True,
) -> Trade:
    """Guard the decisions and clear the orders that ``arrived`` in time."""
    guarded = guard(
        population,
        asked.outlook,
        asked.requested,
        hours,
        own_quantity=asked.own_quantity,
        own_price=asked.own_price,
        physical_trades=physical_trades,
    )
    quantity, price = guarded.decision.quantity_kwh, guarded.decision.price_eur_per_kwh
    ranks = np.arange(len(population))
    partner = market.partners_among(population.names)
    orders = Orders(ranks, quantity, price, asked.arrival_s, asked.draw, partner)
    book = replace(orders, quantity_kwh=np.where(arrived, quantity, 0.0))
    if market.on_metered:
        return Trade(asked, guarded, orders, arrived, nothing_traded(quantity))
    return Trade(asked, guarded, orders, arrived, market.clear(book, _context(asked.prices)))


def clear_metered(market: Market, traded: Trade, net_kwh: np.ndarray) -> Trade:
    """Return the trade of an ``on_metered`` market after delivery, of metered net energy."""
    prices = traded.asked.prices
    worst = np.where(net_kwh > 0.0, prices.retail_eur_per_kwh, prices.feed_in_eur_per_kwh)
    orders = traded.orders
    book = Orders(orders.prosumer, net_kwh, worst, np.zeros_like(net_kwh))
    return replace(traded, clearing=market.clear(book, _context(prices)))


def _context(prices: Prices) -> MarketContext:
    return MarketContext(prices.retail_eur_per_kwh, prices.feed_in_eur_per_kwh)
