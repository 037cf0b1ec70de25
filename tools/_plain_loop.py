"""What cosim is measured against: a plain loop, and compiled load flows written by others.

The loop is SimPy processes around ``pandapower.runpp``, written as a researcher would write it in
an afternoon, with plain Python numbers and the tables of pandapower, and without any of cosim's
code. Signs and units are cosim's: battery power > 0 charges, orders > 0 buy, injections > 0 flow
into the network, kW, kvar and kWh.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
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
    """Return the solved simbench net with one load and one generator for each home, by its bus."""
    import pandapower
    import simbench

    with quiet():
        net = simbench.get_simbench_net(code)
    net.trafo["tap_changer_type"] = "Ratio"  # without it pandapower 3 ignores simbench's taps
    for table in ("load", "sgen", "storage"):
        net[table] = net[table].iloc[:0]
    pandapower.create_loads(net, buses, p_mw=0.0, q_mvar=0.0)
    pandapower.create_sgens(net, buses, p_mw=0.0, q_mvar=0.0)
    run_load_flow(net)
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


class MissingPackageError(Exception):
    """A package to compare with is not installed."""


def optional(name: str) -> Any:
    """Import a package that only tests and benchmarks need."""
    try:
        with quiet():
            return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0].replace("_", "-")
        raise MissingPackageError(
            f"{package} is not installed; it comes with: pip install -e '.[test]'"
        ) from error


class PowerGridModel:
    """power-grid-model on a simbench net, loads at every bus."""

    def __init__(self, net: Any) -> None:
        self._pgm = optional("power_grid_model")
        self._buses = net.bus.index.to_numpy()
        self._model = self._pgm.PowerGridModel(
            {
                "node": self._table(
                    "node", {"id": self._buses, "u_rated": 1e3 * net.bus.vn_kv.to_numpy()}
                ),
                "line": self._table("line", self._lines(net)),
                "transformer": self._table("transformer", self._transformers(net)),
                "source": self._table(
                    "source",
                    {"id": 10**6, "node": net.ext_grid.bus, "status": 1,
                     "u_ref": net.ext_grid.vm_pu, "sk": 1e20},
                ),
                "sym_load": self._table("sym_load", self._loads()),
            }
        )  # fmt: skip

    def solve_one(self, method: str, p_kw: np.ndarray, q_kvar: np.ndarray) -> np.ndarray:
        """Return the voltages ``[b]`` of one state."""
        self._model.update(update_data=self._update(p_kw, q_kvar))
        return self._run(method)

    def solve_many(self, method: str, p_kw: np.ndarray, q_kvar: np.ndarray) -> np.ndarray:
        """Return the voltages ``[lanes, b]`` of a batch, on one thread."""
        return self._run(method, update_data=self._update(p_kw, q_kvar), threading=-1)

    def _run(self, method: str, **batch: Any) -> np.ndarray:
        result = self._model.calculate_power_flow(
            calculation_method=self._pgm.CalculationMethod[method],
            output_component_types=["node", "line", "transformer"],
            **batch,
        )
        return result["node"]["u_pu"]

    def _update(self, p_kw: np.ndarray, q_kvar: np.ndarray) -> dict[str, np.ndarray]:
        update = self._pgm.initialize_array("update", "sym_load", p_kw.shape)
        update["id"] = self._loads()["id"]
        update["p_specified"], update["q_specified"] = -1e3 * p_kw, -1e3 * q_kvar
        return {"sym_load": update}

    def _table(self, kind: str, columns: dict[str, Any]) -> np.ndarray:
        table = self._pgm.initialize_array("input", kind, max(map(np.size, columns.values())))
        for name, value in columns.items():
            table[name] = value
        return table

    def _loads(self) -> dict[str, Any]:
        return {
            "id": 10**5 + self._buses, "node": self._buses, "status": 1,
            "type": self._pgm.LoadGenType.const_power,
            "p_specified": 0.0, "q_specified": 0.0,
        }  # fmt: skip

    @staticmethod
    def _lines(net: Any) -> dict[str, Any]:
        line = net.line
        return {
            "id": 10**4 + line.index.to_numpy(),
            "from_node": line.from_bus, "to_node": line.to_bus,
            "from_status": 1, "to_status": 1,
            "r1": line.r_ohm_per_km * line.length_km / line.parallel,
            "x1": line.x_ohm_per_km * line.length_km / line.parallel,
            "c1": 1e-9 * line.c_nf_per_km * line.length_km * line.parallel,
            "tan1": 0.0, "i_n": 1e3 * line.max_i_ka,
        }  # fmt: skip

    def _transformers(self, net: Any) -> dict[str, Any]:
        """Return the transformers as pi circuits that equal pandapower's T circuits."""
        trafo, winding = net.trafo, self._pgm.WindingType
        sn_va = 1e6 * trafo.sn_mva
        r, g = trafo.vkr_percent / 100.0, trafo.pfe_kw / (1e3 * trafo.sn_mva)
        z = r + 1j * np.sqrt((trafo.vk_percent / 100.0) ** 2 - r**2)
        y = g - 1j * np.sqrt((trafo.i0_percent / 100.0) ** 2 - g**2)
        bend = 1.0 + z * y / 4.0
        z, y = z * bend, y / bend
        return {
            "id": 2 * 10**4 + trafo.index.to_numpy(),
            "from_node": trafo.hv_bus, "to_node": trafo.lv_bus,
            "from_status": 1, "to_status": 1,
            "u1": 1e3 * trafo.vn_hv_kv, "u2": 1e3 * trafo.vn_lv_kv, "sn": sn_va,
            "uk": np.abs(z), "pk": np.real(z) * sn_va, "i0": np.abs(y), "p0": np.real(y) * sn_va,
            "winding_from": winding.delta, "winding_to": winding.wye_n,
            "clock": trafo.shift_degree // 30, "tap_side": 0,
            "tap_pos": trafo.tap_pos, "tap_min": trafo.tap_min, "tap_max": trafo.tap_max,
            "tap_nom": trafo.tap_neutral,
            "tap_size": 1e3 * trafo.vn_hv_kv * trafo.tap_step_percent / 100.0,
        }  # fmt: skip


class LightSim2Grid:
    """lightsim2grid on a solved pandapower net that has one load at every bus."""

    def __init__(self, net: Any) -> None:
        series = optional("lightsim2grid.timeSerie")
        bare = copy.deepcopy(net)
        bare.sgen = bare.sgen.iloc[:0]  # the converter refuses generators without limits
        with quiet():
            self._grid = optional("lightsim2grid.network").init_from_pandapower(bare)
            self._batch = series.TimeSeriesCPP(self._grid)
        place = net._pd2ppc_lookups["bus"][net.bus.index]
        self._start = net._ppc["internal"]["V"][place].copy()
        self._all = np.ones(len(net.load), dtype=bool)

    def solve_one(self, method: str, p_kw: np.ndarray, q_kvar: np.ndarray) -> np.ndarray:
        """Return the voltages ``[b]`` of one state; Newton's is the only method."""
        self._grid.update_loads_p(self._all, p_kw / -1e3)
        self._grid.update_loads_q(self._all, q_kvar / -1e3)
        return np.abs(self._grid.ac_pf(self._start, 20, 1e-8))

    def solve_many(self, method: str, p_kw: np.ndarray, q_kvar: np.ndarray) -> np.ndarray:
        """Return the voltages ``[lanes, b]`` of a batch, on one thread; see solve_one."""
        lanes = len(p_kw)
        slack, none = np.zeros((lanes, 1)), np.zeros((lanes, 0))
        self._batch.compute_Vs(slack, none, p_kw / -1e3, q_kvar / -1e3, self._start, 20, 1e-8)
        self._batch.compute_flows()
        return np.abs(self._batch.get_voltages())
