"""Load flows, alone and in lanes, beside pandapower and the compiled ones of others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from tools._bench_common import BenchmarkError, Row, Sample, World, require_agreement, sampled

if TYPE_CHECKING:
    from cosim.case import Case

LANES = 64


def loadflow_rows(world: World) -> Iterator[Row]:
    """Compare new injections to all voltages and loadings, state after state and in lanes."""
    from tools._plain_loop import LightSim2Grid, MissingPackageError, PowerGridModel, build_net

    case = world.case
    p, q = injections(case)
    net = build_net(case.scenario.feeder.name, [int(bus) for bus in case.network.bus_index])
    feeder, repeats = case.feeder.twin(), 5 if world.quick else 15
    vm_pu = feeder.solve(p, q).vm_pu
    one = sampled(lambda: each(feeder.solve, p, q), repeats).times(1e6 / LANES)
    many = sampled(lambda: feeder.solve(p, q), repeats).times(1e6 / LANES)
    few = slice(0, 4)
    yield _versus("a load flow, alone", one, lambda: each(partial(reference, net), p[few], q[few]),
                  "pandapower.runpp", vm_pu[few], min(repeats, 7))  # fmt: skip
    for package, engine, methods in (
        ("power-grid-model", PowerGridModel, ("newton_raphson", "iterative_current")),
        ("lightsim2grid", LightSim2Grid, ("newton_raphson",)),
    ):
        try:
            other = engine(net)
        except MissingPackageError as error:
            yield Row("a load flow, alone and in lanes", against=package, note=str(error))
            continue
        for method in methods:
            alone, batch = partial(other.solve_one, method), partial(other.solve_many, method)
            name = f"{package} {method.replace('_', ' ')}"
            yield _versus("a load flow, alone", one, partial(each, alone, p, q), name,
                          vm_pu, repeats)  # fmt: skip
            yield _versus(f"a load flow, {LANES} lanes", many, partial(batch, p, q),
                          f"{name}, batch", vm_pu, repeats)  # fmt: skip


def each(solve: Callable[..., Any], p: np.ndarray, q: np.ndarray) -> list[Any]:
    """Solve one state after the other; no two in turn are the same."""
    return [solve(p_kw, q_kvar) for p_kw, q_kvar in zip(p, q, strict=True)]


def _versus(
    what: str,
    ours: Sample,
    other: Callable[[], Any],
    against: str,
    vm_pu: np.ndarray,
    repeats: int,
) -> Row:
    """Return the row of an engine that gives the same voltages ``[states, b]``."""
    try:
        difference = require_agreement("voltages", other(), vm_pu)
    except BenchmarkError as error:
        return Row(what, against=against, note=f"refused: {error}", refused=True)
    return Row(what, "us", ours, sampled(other, repeats).times(1e6 / len(vm_pu)), against,
               note=f"differ by {difference:.0e} p.u.")  # fmt: skip


def injections(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Return the injections of the day's middle without batteries, two arrays ``[LANES, b]``."""
    profiles, bus = case.profiles, case.population.bus
    first = max(0, (case.grid.intervals - LANES) // 2)
    rows = slice(first, first + LANES)
    found = []
    for kw in (profiles.pv_kw - profiles.load_kw, -profiles.load_kvar):
        at_buses = np.zeros((LANES, len(case.network.buses)))
        np.add.at(at_buses.T, bus, kw[rows].T)
        found.append(at_buses)
    return found[0], found[1]


def reference(net: Any, p_kw: np.ndarray, q_kvar: np.ndarray) -> np.ndarray:
    """Return the voltages of a plain pandapower run, loads at every bus."""
    from tools._plain_loop import run_load_flow

    net.load["p_mw"], net.load["q_mvar"] = p_kw / -1e3, q_kvar / -1e3
    run_load_flow(net)
    voltages: np.ndarray = net.res_bus.vm_pu.to_numpy(copy=True)
    return voltages
