"""A day of recorded values, stacked once: lists of frozen values become arrays.

Shapes: ``T`` intervals, ``n`` prosumers, ``S`` load flows, ``b`` buses, ``e`` branches (lines,
then transformers). Everything written, digested or measured is read from here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cosim.feeder.topology import Topology
from cosim.guard import Guarded
from cosim.markets.base import Clearing, MarketContext, Orders, welfare_eur
from cosim.settlement import LINES

if TYPE_CHECKING:
    from cosim.case import Case
    from cosim.delivery import Metered
    from cosim.plant import Solve
    from cosim.simulation import Interval
    from cosim.trade import Trade

Columns = dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Scope:
    """What stays the same in a run: names, time, limits, and who chooses an order themselves."""

    case: Case

    @cached_property
    def start_ms(self) -> int:
        """Begin of the run, milliseconds since 1970 UTC."""
        return round(self.case.grid.start.timestamp() * 1000)

    @cached_property
    def branches(self) -> tuple[str, ...]:
        """Names of lines, then transformers."""
        return (*self.case.network.lines, *self.case.network.trafos)

    @cached_property
    def own_quantity(self) -> np.ndarray:
        """Where the policy chooses the quantity, bool ``[n]``."""
        return self._own("quantity_kwh")

    @cached_property
    def own_price(self) -> np.ndarray:
        """Where the policy chooses the limit price, bool ``[n]``."""
        return self._own("price_eur_per_kwh")

    @cached_property
    def watched(self) -> np.ndarray:
        """Buses whose voltage is a result, bool ``[b]``: all but those tied to the slack."""
        network = self.case.network
        return network.bus_node != network.slack_node

    def times(self, seconds: np.ndarray) -> np.ndarray:
        """UTC instants of simulation seconds, datetime64[ms]."""
        return (self.start_ms + np.asarray(seconds, dtype=np.int64) * 1000).view("datetime64[ms]")

    def _own(self, action: str) -> np.ndarray:
        mask = np.zeros(len(self.case.population), dtype=bool)
        for seat in self.case.seats:
            mask[seat.rows] = action in seat.policy.actions
        return mask


@dataclass(frozen=True, eq=False)
class Day:
    """What the recorder was told of one day, references to frozen values only."""

    number: int
    intervals: list[Interval] = field(default_factory=list)
    solves: list[Solve] = field(default_factory=list)
    events: list[tuple[int, str, dict[str, Any]]] = field(default_factory=list)
    before_kwh: np.ndarray | None = None  # stored before the first interval [n]; None: the start
    before_kw: np.ndarray | None = None  # steady battery power before it [n]; None: none, idle


@dataclass(frozen=True, eq=False)
class Stack:
    """One day as arrays: ``prosumer`` [T, n], ``market`` [T], ``solve`` [S], ``bus`` [S, b] ...

    ``order`` [R, n] and ``book`` [R] are of the rounds of trading, R >= T.
    """

    number: int
    prosumer: Columns
    market: Columns
    order: Columns
    book: Columns
    solve: Columns
    bus: Columns
    branch: Columns
    topologies: tuple[Topology, ...]  # solve["topology"] counts into these


def stack(day: Day, scope: Scope) -> Stack:
    """Stack the values of one day."""
    (order, book), prosumer = _rounds(day, scope), _intervals(day, scope)
    gains, possible = _welfare(order, prosumer, scope.case.market.on_metered)
    book |= gains
    market = _market(day.intervals, order, book) | possible
    solve, topologies = _solves(day.solves)
    return Stack(
        day.number, prosumer, market, order, book, solve, _buses(day.solves, scope),
        _branches(day.solves, scope), topologies,
    )  # fmt: skip


def _rows(items: Sequence[Any], read: Callable[[Any], Any], width: int) -> np.ndarray:
    """Return ``[len(items), width]`` of one array per item."""
    if not items:
        return np.zeros((0, width))
    values = [read(item) for item in items]
    if all(value is values[0] for value in values):  # nothing of the kind all day
        return np.broadcast_to(values[0], (len(items), width))
    return np.concatenate(values).reshape(len(items), width)


def _moved(guarded: Guarded) -> np.ndarray:
    """Return what the joint projection moved."""
    position = guarded.position_kwh
    return np.zeros_like(position) if guarded.moved_kw is None else guarded.moved_kw


def _overruled(trade: Trade) -> np.ndarray:
    """Return what stand-ins were given more than the policies would have been."""
    kw = trade.overruled_kw
    return np.zeros_like(trade.guarded.position_kwh) if kw is None else kw


def _scalars(items: Sequence[Any], read: Callable[[Any], Any], kind: Any = float) -> np.ndarray:
    return np.array([read(item) for item in items], dtype=kind)


def _rounds(day: Day, scope: Scope) -> tuple[Columns, Columns]:
    """Return the orders ``[R, n]`` and the books ``[R]`` of all rounds of trading."""
    rounds = [(item, number) for item in day.intervals for number in range(scope.case.grid.rounds)]
    trades = [item.trade.rounds[number] for item, number in rounds]

    def rows(read: Callable[[Trade], Any]) -> np.ndarray:
        return _rows(trades, read, len(scope.case.population))

    o: Columns = {
        "requested_kw": rows(lambda t: t.asked.by_policies.battery_kw),
        "requested_kwh": rows(lambda t: t.asked.by_policies.quantity_kwh),
        "requested_eur_per_kwh": rows(lambda t: t.asked.by_policies.price_eur_per_kwh),
        "stand_in_kw": rows(lambda t: t.asked.requested.battery_kw),
        "guarded_kw": rows(lambda t: t.guarded.decision.battery_kw),
        "faults": rows(lambda t: t.faults).astype(np.int16),
        "reason": rows(lambda t: t.guarded.reason).astype(np.int16),
        "overruled_kw": rows(_overruled),
        "quantity_kwh": rows(lambda t: t.orders.quantity_kwh),
        "limit_eur_per_kwh": rows(lambda t: t.orders.price_eur_per_kwh),
        "arrival_s": rows(lambda t: t.orders.arrival_s),
        "arrived": rows(lambda t: t.arrived).astype(bool),
        "fill_kwh": rows(lambda t: t.clearing.fills_kwh),
        "payment_eur": rows(lambda t: t.clearing.payment_eur),
    }
    booked, sent = np.where(o["arrived"], o["quantity_kwh"], 0.0), o["quantity_kwh"] != 0.0
    return o, {
        "interval": np.array([item.index for item, _ in rounds], dtype=np.int32),
        "round": np.array([number for _, number in rounds], dtype=np.int32),
        "offered_kwh": np.maximum(-booked, 0.0).sum(-1),
        "requested_kwh": np.maximum(booked, 0.0).sum(-1),
        **_prices([trade.clearing for trade in trades]),
        "orders_sent": sent.sum(-1, dtype=np.int32),
        "orders_late_or_lost": (sent & ~o["arrived"]).sum(-1, dtype=np.int32),
        "co2_kg_per_kwh": _scalars(trades, lambda t: t.asked.prices.co2_kg_per_kwh),
        "fallback": _scalars(trades, lambda t: t.clearing.fallback, bool),
    }


def _prices(clearings: Sequence[Clearing]) -> Columns:
    return {
        "volume_kwh": _scalars(clearings, lambda c: c.volume_kwh),
        "buy_price_eur_per_kwh": _scalars(clearings, lambda c: c.buy_price_eur_per_kwh),
        "sell_price_eur_per_kwh": _scalars(clearings, lambda c: c.sell_price_eur_per_kwh),
    }


def _intervals(day: Day, scope: Scope) -> Columns:
    """Return what prosumers were metered and billed ``[T, n]``."""
    items, n = day.intervals, len(scope.case.population)

    def rows(read: Callable[[Interval], Any]) -> np.ndarray:
        return _rows(items, read, n)

    p: Columns = {
        "decided_kw": rows(lambda i: i.trade.asked.requested.battery_kw),  # by policy or stand-in
        "setpoint_kw": rows(lambda i: i.trade.guarded.decision.battery_kw),
        "moved_kw": rows(lambda i: _moved(i.trade.guarded)),
        "forecast_load_kw": rows(lambda i: i.trade.asked.outlook.load_kw),
        "forecast_pv_kw": rows(lambda i: i.trade.asked.outlook.pv_kw),
        "retail_eur_per_kwh": rows(lambda i: i.trade.asked.prices.retail_eur_per_kwh),
        "feed_in_eur_per_kwh": rows(lambda i: i.trade.asked.prices.feed_in_eur_per_kwh),
        "worth_eur_per_kwh": rows(lambda i: i.trade.asked.prices.worth_eur_per_kwh),
    }
    for name in _METERED:
        p[name] = rows(lambda i, name=name: getattr(i.metered, name))  # type: ignore[misc]
    for name in _BILLS:
        p[name] = rows(lambda i, name=name: getattr(i.bills, name))  # type: ignore[misc]
    p["net_kwh"] = p["load_kwh"] - p["pv_kwh"] + p["charge_kwh"] - p["discharge_kwh"]
    first = scope.case.population.initial_kwh if day.before_kwh is None else day.before_kwh
    p["before_kwh"] = np.concatenate([first[None], p["energy_kwh"]])[: len(items)]
    solves, hours = Counter(solve.interval for solve in day.solves), scope.case.grid.interval_h
    p["steady_kw"] = rows(lambda i: steady_kw(i.metered, solves[i.index], hours))
    first = np.zeros(n) if day.before_kw is None else day.before_kw
    p["before_kw"] = np.concatenate([first[None], p["steady_kw"]])[: len(items)]
    return p


def steady_kw(metered: Metered, solves: int, hours: float) -> np.ndarray:
    """Return the battery power that flowed all through an interval ``[n]``, from its energies.

    NaN where it may have changed meanwhile: where supply was lost, and where anything happened,
    so that there were several ``solves``.
    """
    power = (metered.charge_kwh - metered.discharge_kwh) / hours
    return np.where((metered.dead_share == 0.0) & (solves <= 1), power, np.nan)


_METERED = (
    "load_kwh", "pv_kwh", "charge_kwh", "discharge_kwh", "unserved_kwh", "dead_share", "energy_kwh",
)  # fmt: skip
_BILLS = (
    *(line.energy for line in LINES.values() if line.energy), *(f"{name}_eur" for name in LINES),
    "bill_eur", "baseline_eur", "wear_eur", "co2_kg",
)  # fmt: skip


def _market(items: list[Interval], o: Columns, book: Columns) -> Columns:
    """Return what the community had of each interval ``[T]``, of all rounds together.

    Offered and requested is what was traded before the last round, and its book.
    """
    rounds = len(book["interval"]) // len(items) if items else 1
    bought = np.maximum(o["fill_kwh"], 0.0).sum(-1)
    sold = np.maximum(-o["fill_kwh"], 0.0).sum(-1)

    def by_round(values: np.ndarray) -> np.ndarray:
        return values.reshape(len(items), rounds)

    def asked(name: str, filled: np.ndarray) -> np.ndarray:
        return by_round(filled)[:, :-1].sum(1) + by_round(book[name])[:, -1]

    return {
        "interval": _scalars(items, lambda i: i.index, np.int32),
        "offered_kwh": asked("offered_kwh", sold),
        "requested_kwh": asked("requested_kwh", bought),
        **_prices([item.trade.total for item in items]),
        "orders_sent": by_round(book["orders_sent"]).sum(1),
        "orders_late_or_lost": by_round(book["orders_late_or_lost"]).sum(1),
        "fallback_clearings": by_round(book["fallback"]).sum(1).astype(float),
        "welfare_eur": by_round(book["welfare_eur"]).sum(1),
        "welfare_loss_eur": by_round(book["welfare_loss_eur"]).sum(1),
        "co2_kg_per_kwh": by_round(book["co2_kg_per_kwh"])[:, -1],
        "slack_import_kwh": _scalars(items, lambda i: i.metered.slack_import_kwh),
        "slack_export_kwh": _scalars(items, lambda i: i.metered.slack_export_kwh),
        "losses_kwh": _scalars(items, lambda i: i.metered.losses_kwh),
    }


def _welfare(o: Columns, p: Columns, on_metered: bool) -> tuple[Columns, Columns]:
    """Return the gains from trade and what the best clearing adds ``[R]``, and the most possible.

    The book of a market that clears metered energy is that energy, at the tariff; what is
    possible ``[T]`` is its best clearing.
    """
    net, worth, feed_in = p["net_kwh"], p["worth_eur_per_kwh"], p["feed_in_eur_per_kwh"]
    context, ranks = MarketContext(worth, feed_in), np.arange(net.shape[-1])
    metered = Orders(ranks, net, np.where(net > 0.0, worth, feed_in), np.zeros_like(net))
    possible = largest_welfare_eur(metered, context)
    book, largest = metered, possible
    if not on_metered:
        rounds = len(o["arrived"]) // len(net) if len(net) else 1
        context = MarketContext(
            np.repeat(worth, rounds, axis=0), np.repeat(feed_in, rounds, axis=0)
        )
        booked = np.where(o["arrived"], o["quantity_kwh"], 0.0)
        book = Orders(ranks, booked, o["limit_eur_per_kwh"], o["arrival_s"])
        largest = largest_welfare_eur(book, context)
    empty = np.full(len(largest), np.nan)
    clearing = Clearing(o["fill_kwh"], o["payment_eur"], empty, empty, empty)
    welfare = welfare_eur(book, clearing, context)
    return {"welfare_eur": welfare, "welfare_loss_eur": largest - welfare}, {
        "possible_eur": possible
    }


def largest_welfare_eur(orders: Orders, context: MarketContext) -> np.ndarray:
    """Return the largest gains from trade of a book ``[...]`` [EUR].

    The optimum of the linear programme over fills within the orders that sum to nothing: where
    the tariff-clipped curves cross.
    """
    from cosim.markets._curves import cross  # loads its compiled code

    crossing = cross(orders, context)
    return (crossing.fills_kwh * crossing.limit_eur_per_kwh).sum(-1)


def _solves(solves: list[Solve]) -> tuple[Columns, tuple[Topology, ...]]:
    numbers: dict[Any, int] = {}
    topology = [numbers.setdefault(solve.topology, len(numbers)) for solve in solves]
    columns = {
        "interval": _scalars(solves, lambda s: s.interval, np.int32),
        "start_s": _scalars(solves, lambda s: s.start_s, np.int64),
        "end_s": _scalars(solves, lambda s: s.end_s, np.int64),
        "status": _scalars(solves, lambda s: s.grid.status, np.int8),
        "iterations": _scalars(solves, lambda s: s.grid.iterations, np.int32),
        "residual_pu": _scalars(solves, lambda s: s.grid.residual_pu),
        "slack_p_kw": _scalars(solves, lambda s: s.grid.slack_p_kw),
        "slack_q_kvar": _scalars(solves, lambda s: s.grid.slack_q_kvar),
        "losses_kw": _scalars(solves, lambda s: s.grid.losses_kw),
        "topology": np.array(topology, dtype=np.int32),
    }
    return columns, tuple(numbers)


def _buses(solves: list[Solve], scope: Scope) -> Columns:
    width = len(scope.case.network.buses)
    vm_pu = _rows(solves, lambda s: s.grid.vm_pu, width)
    return {
        "p_kw": _rows(solves, lambda s: s.p_kw, width),
        "q_kvar": _rows(solves, lambda s: s.q_kvar, width),
        "vm_pu": vm_pu,
        "watched_vm_pu": np.where(scope.watched, vm_pu, np.nan),
    }


def _branches(solves: list[Solve], scope: Scope) -> Columns:
    lines, trafos = len(scope.case.network.lines), len(scope.case.network.trafos)

    def both(line: Callable[[Solve], Any], trafo: Callable[[Solve], Any]) -> np.ndarray:
        return np.concatenate([_rows(solves, line, lines), _rows(solves, trafo, trafos)], axis=1)

    return {
        "p_from_kw": both(lambda s: s.grid.line_p_from_kw, lambda s: s.grid.trafo_p_hv_kw),
        "loading_percent": both(
            lambda s: s.grid.line_loading_percent, lambda s: s.grid.trafo_loading_percent
        ),
    }
