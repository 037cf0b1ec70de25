"""Whole runs of the day beside a plain loop of SimPy and pandapower: same results, two times."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tools._bench_common import (
    BenchmarkError,
    Row,
    Sample,
    World,
    load,
    require_agreement,
    seconds,
)

if TYPE_CHECKING:
    import numpy as np

    from cosim.case import Case

LATENCY = (1, 30)  # shortest and longest travel of an order [s]; all arrive before the gate closes


def loop_rows(world: World) -> Iterator[Row]:
    """Compare whole runs of the day: same volumes, voltages and bills, results kept in memory."""
    from cosim.record import MemoryRecorder
    from cosim.simulation import Simulation

    steps, repeats = world.case.grid.intervals, 1 if world.quick else 3
    late = load(f"latency.min_s={LATENCY[0]}", f"latency.max_s={LATENCY[1]}")
    for name, against, case, init, latency_s in (
        ("an interval of the loop", "SimPy + runpp", world.case, "auto", (0, 0)),
        ("", 'SimPy + runpp(init="results")', world.case, "results", (0, 0)),
        ("with random latencies of orders", "SimPy + runpp, the same", late, "auto", LATENCY),
    ):
        note = _same_results(world, case, init, latency_s)

        def ours(case: Case = case) -> object:
            return Simulation(case, MemoryRecorder(case)).run()

        mine, theirs = list[float](), list[float]()
        ours()
        for _ in range(repeats):  # in turns, so that both meet the same load of the machine
            mine += [seconds(ours) for _ in range(7)]
            theirs.append(seconds(world.plain(steps, init, latency_s).run))
        plain = Sample(tuple(theirs)).times(1.0 / steps)
        if not name.startswith("with") and init == "auto":
            world.plain_step_s = plain.median
        yield Row(name, "us", Sample(tuple(mine)).times(1e6 / steps), plain.times(1e6), against,
                  note=note)  # fmt: skip


class Kept:
    """A recorder that keeps what both loops are compared by."""

    def __init__(self) -> None:
        self.volume_kwh: list[float] = []
        self.vm_pu: list[np.ndarray] = []
        self.bill_eur: list[np.ndarray] = []

    def interval(self, interval: Any) -> None:
        """Take one settled interval."""
        self.volume_kwh.append(float(interval.trade.clearing.volume_kwh))
        self.bill_eur.append(interval.bills.bill_eur)

    def solve(self, solve: Any) -> None:
        """Take one load flow."""
        self.vm_pu.append(solve.grid.vm_pu)

    def event(self, second: int, kind: str, details: dict[str, Any]) -> None:
        """Take one line of the event log; nothing happens here."""


def _same_results(world: World, case: Case, init: str, latency_s: tuple[int, int]) -> str:
    """Run both once; return how well they agree."""
    from cosim.simulation import Simulation

    kept = Kept()
    Simulation(case, kept).run()
    plain = world.plain(case.grid.intervals, init, latency_s).run()
    pairs = (
        ("cleared volumes", kept.volume_kwh, plain.volume_kwh, "kWh"),
        ("voltages", kept.vm_pu, plain.vm_pu, "p.u."),
        ("bills", kept.bill_eur, plain.bill_eur, "EUR"),
    )
    if not sum(plain.volume_kwh) > 0.0:
        raise BenchmarkError("nothing was traded: the comparison would show little")
    found = [f"{require_agreement(what, a, b):.0e} {unit}" for what, a, b, unit in pairs]
    return "differ by " + ", ".join(found)
