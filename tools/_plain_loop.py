"""The loop that cosim is measured against: SimPy processes around ``pandapower.runpp``.

Written as a researcher would write it in an afternoon, with plain Python numbers and the tables of
pandapower, and without any of cosim's code. Signs and units are cosim's: battery power > 0 charges,
orders > 0 buy, kW and kWh.
"""

from __future__ import annotations

import contextlib
import logging
import math
import warnings
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import simpy

LEAD_S = 59  # between the decisions and delivery; the market clears a second before delivery

Process = Generator[simpy.Event, None, None]


@dataclass
class Home:
    """A participant: its series, its battery, and what it decided last."""

    bus: int
    load_kw: list[float]
    load_kvar: list[float]
    pv_kw: list[float]
    retail: list[float]
    feed_in: list[float]
    energy_kwh: float
    min_kwh: float
    max_kwh: float
    rating_kw: float
    efficiency: float
    self_discharge_per_h: float
    battery_kw: float = 0.0

    def follow(self, net_kw: float, hours: float) -> float:
        """Let the battery cancel the net load as far as it can; return its power."""
        root = math.sqrt(self.efficiency)
        rate = self.self_discharge_per_h
        kept = self.energy_kwh * math.exp(-rate * hours)
        held = -math.expm1(-rate * hours) / rate if rate > 0.0 else hours
        most_in = min(self.rating_kw, max(0.0, self.max_kwh - kept) / (root * held))
        most_out = min(self.rating_kw, max(0.0, kept - self.min_kwh) * root / held)
        power = min(max(-net_kw, -most_out), most_in)
        stored = kept + (power * root if power > 0.0 else power / root) * held
        self.energy_kwh = min(stored, self.max_kwh)
        return power


@dataclass(frozen=True)
class Order:
    """An order of a home: energy > 0 buys, and its limit price."""

    home: int
    kwh: float
    limit: float


def auction(orders: list[Order], k: float) -> tuple[float, float, dict[int, float]]:
    """Clear a uniform-price double auction; return volume, price and the energy of each home."""
    bids = sorted((o for o in orders if o.kwh > 0.0), key=lambda o: (-o.limit, o.home))
    asks = sorted((o for o in orders if o.kwh < 0.0), key=lambda o: (o.limit, o.home))
    i, j, volume, last_bid, last_ask = 0, 0, 0.0, math.nan, math.nan
    bid_left = bids[0].kwh if bids else 0.0
    ask_left = -asks[0].kwh if asks else 0.0
    while i < len(bids) and j < len(asks) and bids[i].limit >= asks[j].limit:
        step = min(bid_left, ask_left)
        last_bid, last_ask = bids[i].limit, asks[j].limit
        volume, bid_left, ask_left = volume + step, bid_left - step, ask_left - step
        if bid_left <= 1e-12:
            i += 1
            bid_left = bids[i].kwh if i < len(bids) else 0.0
        if ask_left <= 1e-12:
            j += 1
            ask_left = -asks[j].kwh if j < len(asks) else 0.0
    if volume == 0.0:
        return 0.0, math.nan, {}
    low = max([last_ask] + [bid.limit for bid in bids[i : i + 1]])
    high = min([last_bid] + [ask.limit for ask in asks[j : j + 1]])
    price = min(max(low + k * (high - low), low), high)
    fills = shared(bids, last_bid, volume) | shared(asks, last_ask, -volume)
    return volume, price, fills


def shared(side: list[Order], last: float, kwh: float) -> dict[int, float]:
    """Return the fills of one side: all before the marginal price, those at it pro rata."""
    at_margin = [order for order in side if order.limit == last]
    before = side[: side.index(at_margin[0])]
    share = (kwh - sum(o.kwh for o in before)) / sum(o.kwh for o in at_margin)
    fills = {order.home: order.kwh for order in before}
    return fills | {order.home: order.kwh * share for order in at_margin}


@dataclass
class Results:
    """What the loop keeps of each step."""

    volume_kwh: list[float] = field(default_factory=list)
    price: list[float] = field(default_factory=list)
    vm_pu: list[np.ndarray] = field(default_factory=list)
    line_percent: list[np.ndarray] = field(default_factory=list)
    trafo_percent: list[np.ndarray] = field(default_factory=list)
    bill_eur: list[list[float]] = field(default_factory=list)


class PlainLoop:
    """One run over ``steps`` intervals; ``init`` goes to runpp, ``latency_s`` delays orders."""

    def __init__(
        self,
        net: Any,
        homes: list[Home],
        steps: int,
        step_s: int,
        k: float,
        init: str = "auto",
        latency_s: tuple[int, int] = (0, 0),
    ) -> None:
        self.net, self.homes, self.steps, self.step_s, self.k = net, homes, steps, step_s, k
        self.init, self.latency_s = init, latency_s
        self.hours = step_s / 3600.0
        self.env = simpy.Environment(initial_time=-LEAD_S)
        self.draws = np.random.Generator(np.random.PCG64(1))
        self.book: list[Order] = []
        self.cleared: tuple[float, float, dict[int, float]] = (0.0, math.nan, {})
        self.results = Results()

    def run(self) -> Results:
        """Run to the end and return the results."""
        for index in range(len(self.homes)):
            self.env.process(self.home(index))
        self.env.process(self.market())
        self.env.process(self.grid())
        self.env.run()
        return self.results

    def until(self, second: int) -> simpy.Event:
        return self.env.timeout(second - self.env.now)

    def home(self, index: int) -> Process:
        """Decide before each step and send an order for what is left."""
        home, (low, high) = self.homes[index], self.latency_s
        for k in range(self.steps):
            yield self.until(k * self.step_s - LEAD_S)
            net_kw = home.load_kw[k] - home.pv_kw[k]
            home.battery_kw = home.follow(net_kw, self.hours)
            kwh = (net_kw + home.battery_kw) * self.hours
            limit = home.retail[k] if kwh > 0.0 else home.feed_in[k]
            if high > 0:
                yield self.env.timeout(int(self.draws.integers(low, high + 1)))
            self.book.append(Order(index, kwh, limit))

    def market(self) -> Process:
        """Clear the book a second before each step."""
        for k in range(self.steps):
            yield self.until(k * self.step_s - 1)
            self.cleared, self.book = auction(self.book, self.k), []

    def grid(self) -> Process:
        """Solve each step, keep its results and bill the homes."""
        for k in range(self.steps):
            yield self.until(k * self.step_s)
            self.solve(k)
            volume, price, fills = self.cleared
            self.results.volume_kwh.append(volume)
            self.results.price.append(price)
            self.results.bill_eur.append(
                [self.bill(home, k, fills.get(i, 0.0)) for i, home in enumerate(self.homes)]
            )

    def solve(self, k: int) -> None:
        """Write the tables, run the load flow and read its results."""
        net, homes, first = self.net, self.homes, k == 0
        net.load["p_mw"] = [home.load_kw[k] / 1e3 for home in homes]
        net.load["q_mvar"] = [home.load_kvar[k] / 1e3 for home in homes]
        net.sgen["p_mw"] = [(home.pv_kw[k] - home.battery_kw) / 1e3 for home in homes]
        run_load_flow(net, "auto" if first else self.init)
        self.results.vm_pu.append(net.res_bus.vm_pu.to_numpy(copy=True))
        self.results.line_percent.append(net.res_line.loading_percent.to_numpy(copy=True))
        self.results.trafo_percent.append(net.res_trafo.loading_percent.to_numpy(copy=True))

    def bill(self, home: Home, k: int, traded_kwh: float) -> float:
        """Return what a home pays: its trade at the market, the rest at the tariff."""
        metered = (home.load_kw[k] - home.pv_kw[k] + home.battery_kw) * self.hours
        rest = metered - traded_kwh
        trade = traded_kwh * self.cleared[1] if traded_kwh else 0.0
        return trade + rest * (home.retail[k] if rest > 0.0 else home.feed_in[k])


def run_load_flow(net: Any, init: str = "auto") -> None:
    """Run pandapower with its default settings."""
    import pandapower

    pandapower.runpp(net, init=init)


def build_net(code: str, buses: list[int]) -> Any:
    """Return the simbench net with one load and one generator for each home, by its bus."""
    import pandapower
    import simbench

    with quiet():
        net = simbench.get_simbench_net(code)
    net.trafo["tap_changer_type"] = "Ratio"  # without it pandapower 3 ignores simbench's taps
    for table in ("load", "sgen", "storage"):
        net[table] = net[table].iloc[:0]
    pandapower.create_loads(net, buses, p_mw=0.0, q_mvar=0.0)
    pandapower.create_sgens(net, buses, p_mw=0.0, q_mvar=0.0)
    return net


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings and logs about the insides of simbench and pandapower."""
    logger = logging.getLogger("pandapower")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)
