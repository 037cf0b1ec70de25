"""The trading half of an interval, from decisions to a clearing: pure, for any leading axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from cosim.arrays import freeze
from cosim.conditions import Factor
from cosim.delivery import Metered
from cosim.errors import CosimError, PluginError
from cosim.guard import Decision, Guarded, Outlook, guard
from cosim.markets.base import Clearing, Market, MarketContext, Orders, nothing_traded
from cosim.physics.battery import feasible_range_kw, pv_fed_kw
from cosim.population import Population
from cosim.projection import Forecast, NetworkGuard, Projection, project
from cosim.reason import Reason
from cosim.settlement import Bills, Prices, settle

#: what no mechanism may do; the first stands for nothing
FAULTS = (
    "",
    "a fill exceeds its order",
    "it pays out more than it takes in, or what is no number",
    "its volume is not the energy bought",
)


@dataclass(frozen=True, eq=False)
class Meddling:
    """What disturbances make of orders ``[..., n]``: greed before the guard, forgery behind it.

    ``greed`` is the part of the way that a limit price moves towards the other end of the tariff,
    in the prosumer's favour; ``shift_eur_per_kwh`` is added to a limit, within the tariff.
    """

    wanted_factor: np.ndarray
    greed: np.ndarray
    order_factor: np.ndarray
    shift_eur_per_kwh: np.ndarray

    @classmethod
    def read(cls, factor: Callable[[Factor], np.ndarray]) -> Meddling:
        """Return what stands at a gate."""
        names: tuple[Factor, ...] = ("wanted_factor", "greed", "order_factor", "order_shift")
        return cls(*(factor(name) for name in names))

    def __post_init__(self) -> None:
        freeze(self)


@dataclass(frozen=True, eq=False)
class Wish:
    """What policies asked for, and who chose for themselves, where stand-ins decided instead."""

    requested: Decision
    own_quantity: np.ndarray
    own_price: np.ndarray

    def __post_init__(self) -> None:
        freeze(self)


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
    supervised: np.ndarray | None = None  # Reason flags where a stand-in decided; None: nowhere
    battery_kw: np.ndarray | None = None  # now, from which ramp limits count; None: no limits
    load_kvar: np.ndarray | None = None  # reactive load now, for the feeder's limits; None: 0
    meddling: Meddling | None = None
    overruled: Wish | None = None  # None: nobody was, ``requested`` is what policies asked for

    def __post_init__(self) -> None:
        freeze(self)

    @property
    def by_policies(self) -> Decision:
        """What policies asked for, whoever decided."""
        return self.requested if self.overruled is None else self.overruled.requested


@dataclass(frozen=True, eq=False)
class Trade:
    """What was asked, what the guard made of it, the orders sent, and how the market cleared."""

    asked: Asked
    guarded: Guarded
    orders: Orders  # as sent: quantity 0 where none
    arrived: np.ndarray  # bool [..., n], in the book at CLOSE
    clearing: Clearing
    given: Guarded  # the guard's first answer to what policies asked for, whoever decided
    earlier: tuple[Trade, ...] = ()  # the rounds of trading before this one
    projections: tuple[Projection, ...] = ()  # one for each lane with a limit in danger
    overruled_kw: np.ndarray | None = None  # a stand-in's set-point less the policy's; None: none

    @property
    def faults(self) -> np.ndarray:
        """What was wrong with what policies asked for, Reason flags ``[..., n]``.

        Nothing of what stand-ins, the feeder's limits or disturbances made of it.
        """
        reason = self.given.reason
        rejected = (reason & Reason.NOT_FINITE) != 0  # whole: nothing else can be said of it
        return np.where(rejected, np.int16(Reason.NOT_FINITE), reason)

    @property
    def rounds(self) -> tuple[Trade, ...]:
        """All rounds of trading for the interval, in their order."""
        return (*self.earlier, self)

    @property
    def total(self) -> Clearing:
        """What all rounds together come to; prices are averages over what they traded."""
        return _added([each.clearing for each in self.rounds]) if self.earlier else self.clearing


def trade(
    population: Population,
    market: Market,
    asked: Asked,
    arrived: np.ndarray,
    hours: float,
    *,
    physical_trades: bool = True,
    held_kwh: np.ndarray | None = None,
    network: NetworkGuard | None = None,
) -> Trade:
    """Guard the decisions and clear the orders that ``arrived`` in time.

    ``held_kwh`` ``[..., n]`` was traded for this interval before, > 0 bought: an order is for the
    rest of the position. ``network``: batteries keep the feeder's limits, too.
    """
    again = partial(
        guard,
        population,
        asked.outlook,
        hours=hours,
        own_quantity=asked.own_quantity,
        own_price=asked.own_price,
        physical_trades=physical_trades,
        held_kwh=held_kwh,
        before_kw=asked.battery_kw,
    )
    guarded = given = again(asked.requested)
    overruled_kw = None
    if asked.overruled is not None:
        wish = asked.overruled
        given = again(wish.requested, own_quantity=wish.own_quantity, own_price=wish.own_price)
        overruled_kw = guarded.decision.battery_kw - given.decision.battery_kw
    projections: tuple[Projection, ...] = ()
    if network is not None:
        guarded, projections = _kept(population, asked, guarded, hours, again, network)
    if asked.meddling is not None:
        guarded = _greedier(asked, asked.meddling, guarded, again)
    if asked.supervised is not None:
        guarded = replace(guarded, reason=guarded.reason | asked.supervised)
    orders = _sent(population, market, asked, guarded.decision)
    if market.on_metered:
        clearing = nothing_traded(orders.quantity_kwh)
    else:
        book = replace(orders, quantity_kwh=np.where(arrived, orders.quantity_kwh, 0.0))
        clearing = _cleared(market, book, asked.prices)
    return Trade(
        asked,
        guarded,
        orders,
        arrived,
        clearing,
        given,
        projections=projections,
        overruled_kw=overruled_kw,
    )


def _sent(population: Population, market: Market, asked: Asked, decision: Decision) -> Orders:
    """Return the orders that leave the prosumers, as disturbances send them on."""
    quantity, price = decision.quantity_kwh, decision.price_eur_per_kwh
    if asked.meddling is not None:
        quantity, price = _forged(asked.outlook, asked.meddling, quantity, price)
    partner = market.partners_among(population.names)
    return Orders(population.ranks, quantity, price, asked.arrival_s, asked.draw, partner)


def _greedier(
    asked: Asked, meddling: Meddling, guarded: Guarded, again: Callable[..., Guarded]
) -> Guarded:
    """Return decisions whose orders ask for more, guarded once more."""
    factor, greed = meddling.wanted_factor, meddling.greed
    rows = (factor != 1.0) | (greed != 0.0)
    rows &= (guarded.reason & Reason.NOT_FINITE) == 0  # rejected whole: no order
    if not rows.any():
        return guarded
    plain, look = guarded.decision, asked.outlook
    price = plain.price_eur_per_kwh
    end = np.where(plain.quantity_kwh > 0.0, look.feed_in_eur_per_kwh, look.retail_eur_per_kwh)
    wanted = Decision(plain.battery_kw, plain.quantity_kwh * factor, price + greed * (end - price))
    ones = np.ones(rows.shape, dtype=bool)
    after = again(wanted, own_quantity=ones, own_price=ones)

    def chosen(greedy: np.ndarray, kept: np.ndarray) -> np.ndarray:
        return np.where(rows, greedy, kept)

    orders = (
        chosen(after.decision.quantity_kwh, plain.quantity_kwh),
        chosen(after.decision.price_eur_per_kwh, price),
    )
    reason = chosen(guarded.reason | after.reason, guarded.reason).astype(np.int16)
    return replace(guarded, decision=Decision(plain.battery_kw, *orders), reason=reason)


def _forged(
    look: Outlook, meddling: Meddling, quantity: np.ndarray, price: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return orders as they are sent on: not the guard's, but within the tariff."""
    shift = meddling.shift_eur_per_kwh
    shifted = np.clip(price + shift, look.feed_in_eur_per_kwh, look.retail_eur_per_kwh)
    return quantity * meddling.order_factor, np.where(shift == 0.0, price, shifted)


def _kept(
    population: Population,
    asked: Asked,
    guarded: Guarded,
    hours: float,
    again: Callable[[Decision], Guarded],
    network: NetworkGuard,
) -> tuple[Guarded, tuple[Projection, ...]]:
    """Return decisions that keep the feeder's limits too, as far as batteries can."""
    look, wanted = asked.outlook, guarded.decision.battery_kw
    low, high = feasible_range_kw(population, look.energy_kwh, hours, asked.battery_kw, look.pv_kw)
    fixed = (guarded.reason & Reason.NOT_FINITE) != 0  # rejected whole: idle
    low, high = np.where(fixed, wanted, low), np.where(fixed, wanted, high)
    kvar = np.zeros_like(wanted) if asked.load_kvar is None else asked.load_kvar
    kept, found = np.array(wanted), []
    for lane in np.ndindex(wanted.shape[:-1]):
        columns = (look.load_kw, kvar, pv_fed_kw(population, look.pv_kw, wanted), low, high)
        expected = Forecast(*(np.broadcast_to(c, wanted.shape)[lane] for c in columns))
        projection = project(population, network, expected, wanted[lane])
        if projection is not None:
            found.append(projection)
            kept[lane] = projection.battery_kw
    moved = kept != wanted
    if not moved.any():
        return guarded, tuple(found)
    power = np.where(moved, kept, asked.requested.battery_kw)
    after = again(replace(asked.requested, battery_kw=power))
    flag = np.where(moved, Reason.NETWORK, 0).astype(np.int16)
    reason = guarded.reason | after.reason | flag
    return replace(after, reason=reason, moved_kw=kept - wanted), tuple(found)


def clear_metered(market: Market, traded: Trade, net_kwh: np.ndarray) -> Trade:
    """Return the trade of an ``on_metered`` market after delivery, of metered net energy."""
    prices = traded.asked.prices
    worst = np.where(net_kwh > 0.0, prices.worth_eur_per_kwh, prices.feed_in_eur_per_kwh)
    orders = traded.orders
    book = Orders(orders.prosumer, net_kwh, worst, np.zeros_like(net_kwh))
    return replace(traded, clearing=_cleared(market, book, prices))


def settle_trade(
    population: Population,
    market: Market,
    traded: Trade,
    metered: Metered,
    peak_kw: np.ndarray | None = None,
) -> tuple[Trade, Metered, Bills]:
    """Return the bills of an interval, and the trade and the meter they are of.

    An ``on_metered`` market clears only now. What was metered was delivered: an outage takes
    nothing of it.
    """
    if market.on_metered:
        traded = clear_metered(market, traded, metered.net_kwh)
        metered = replace(metered, dead_share=np.zeros_like(metered.dead_share))
    bills = settle(population, traded.total, metered, traded.asked.prices, peak_kw)
    return traded, metered, bills


def _added(rounds: Sequence[Clearing]) -> Clearing:
    """Return the sum of clearings; the volume is what changes hands in the end."""
    fills = np.sum([each.fills_kwh for each in rounds], axis=0)
    volume = np.stack([each.volume_kwh for each in rounds])
    with np.errstate(invalid="ignore"):
        buy, sell = (
            np.nansum(volume * np.stack(prices), axis=0) / volume.sum(0)
            for prices in (
                [each.buy_price_eur_per_kwh for each in rounds],
                [each.sell_price_eur_per_kwh for each in rounds],
            )
        )
    payment = np.sum([each.payment_eur for each in rounds], axis=0)
    fallback = np.any([each.fallback for each in rounds], axis=0)
    return Clearing(fills, payment, np.maximum(fills, 0.0).sum(-1), buy, sell, fallback)


def _cleared(market: Market, book: Orders, prices: Prices) -> Clearing:
    """Clear a book; a mechanism that fails or breaks its contract is named."""
    context = MarketContext(prices.worth_eur_per_kwh, prices.feed_in_eur_per_kwh)
    try:
        clearing = market.clear(book, context)
        wrong = _wrong(book.quantity_kwh, clearing)
    except CosimError:
        raise
    except (Exception, SystemExit) as error:
        what = f"{type(error).__name__}: {error}"
        raise PluginError(f"the market '{market.kind()}' failed: {what}") from error
    if wrong:
        raise PluginError(f"the market '{market.kind()}' breaks its contract: {wrong}")
    return clearing


def _wrong(quantity: np.ndarray, clearing: Clearing) -> str:
    """Return what no mechanism may do and this one did; empty where all is well."""
    from cosim.compiled import clearing_fault

    fills, paid = clearing.fills_kwh, clearing.payment_eur
    if fills.shape != quantity.shape or paid.shape != quantity.shape:
        return f"fills and payments have shapes {fills.shape} and {paid.shape}"
    return FAULTS[int(np.max(clearing_fault(quantity, fills, paid, clearing.volume_kwh)))]
