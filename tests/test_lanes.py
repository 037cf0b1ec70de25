"""The halves of an interval over lanes: a stack of intervals gives what a run gave one by one."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cosim.case import Case, load_case
from cosim.delivery import advance, deliver, meter
from cosim.guard import Decision, Outlook
from cosim.plant import Solve
from cosim.record import MemoryRecorder
from cosim.scenario import load_scenario
from cosim.settlement import Prices, settle
from cosim.simulation import Interval, Simulation
from cosim.trade import Asked, trade

SUMMER = Path(__file__).resolve().parents[1] / "scenarios" / "ten_lines.yaml"


class Kept(MemoryRecorder):
    """A memory recorder that keeps intervals and load flows, too."""

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        self.intervals: list[Interval] = []
        self.solves: list[Solve] = []

    def interval(self, interval: Interval) -> None:
        """Keep and pass on."""
        self.intervals.append(interval)
        super().interval(interval)

    def solve(self, solve: Solve) -> None:
        """Keep and pass on."""
        self.solves.append(solve)
        super().solve(solve)


@pytest.fixture(scope="module", params=["uniform_price", "order_book", "supply_demand_ratio"])
def run(request: pytest.FixtureRequest) -> tuple[Case, Kept]:
    """A day of random decisions and late orders, so that nothing is trivial."""
    overrides = ["policies.rule=random", "policies.passive=random", "latency={max_s: 70}"]
    overrides.append(f"market={request.param}")
    case = load_case(load_scenario(SUMMER, overrides))
    kept = Kept(case)
    Simulation(case, kept).run()
    assert 0.05 < np.mean([i.trade.arrived.mean() for i in kept.intervals]) < 0.95
    return case, kept


def stacked(kind: type, values: list[Any]) -> Any:
    """Return one value whose arrays have the given ones as lanes."""
    columns = {f.name: [getattr(value, f.name) for value in values] for f in fields(kind)}
    return kind(**{name: np.stack(column) for name, column in columns.items()})


def same(one: np.ndarray, other: np.ndarray) -> None:
    assert np.array_equal(one, other, equal_nan=True)


def test_lanes_trade_as_single_intervals(run: tuple[Case, Kept]) -> None:
    case, kept = run
    trades = [interval.trade for interval in kept.intervals]
    asked = [each.asked for each in trades]
    prices = stacked(Prices, [each.prices for each in asked])
    together = Asked(
        prices,
        stacked(Outlook, [each.outlook for each in asked]),
        stacked(Decision, [each.requested for each in asked]),
        *(np.stack([getattr(each, name) for each in asked])
          for name in ("own_quantity", "own_price", "arrival_s", "draw")),
    )  # fmt: skip
    arrived = np.stack([each.arrived for each in trades])
    lanes = trade(case.population, case.market, together, arrived, case.grid.interval_h)
    assert lanes.clearing.volume_kwh.shape == (96,) and lanes.clearing.volume_kwh.any()
    for k, single in enumerate(trades):
        for name in ("fills_kwh", "payment_eur", "volume_kwh", "buy_price_eur_per_kwh"):
            same(getattr(lanes.clearing, name)[k], getattr(single.clearing, name))
        same(lanes.guarded.reason[k], single.guarded.reason)
        same(lanes.guarded.decision.battery_kw[k], single.guarded.decision.battery_kw)
        same(lanes.orders.quantity_kwh[k], single.orders.quantity_kwh)


def test_lanes_are_delivered_metered_and_settled_as_single_intervals(
    run: tuple[Case, Kept],
) -> None:
    case, kept = run
    population, profiles, hours = case.population, case.profiles, case.grid.interval_h
    ends = [interval.metered.energy_kwh for interval in kept.intervals]
    begins = np.stack([population.initial_kwh, *ends[:-1]])
    setpoints = np.stack([i.trade.guarded.decision.battery_kw for i in kept.intervals])
    lanes = deliver(
        population, case.feeder.twin(), begins, setpoints,
        profiles.load_kw, profiles.load_kvar, profiles.pv_kw, hours,
    )  # fmt: skip
    after = advance(population, begins, lanes.flow, hours)
    metered = meter([(lanes.flow, hours, (lanes.grid.slack_p_kw, lanes.grid.losses_kw))], after)
    prices = stacked(Prices, [i.trade.asked.prices for i in kept.intervals])
    clearing = stacked(
        type(kept.intervals[0].trade.clearing), [i.trade.clearing for i in kept.intervals]
    )
    bills = settle(population, clearing, metered, prices)
    assert len(kept.solves) == 96
    for k, (interval, solve) in enumerate(zip(kept.intervals, kept.solves, strict=True)):
        for name in (
            "vm_pu",
            "line_loading_percent",
            "trafo_loading_percent",
            "slack_p_kw",
            "losses_kw",
        ):
            same(getattr(lanes.grid, name)[k], getattr(solve.grid, name))
        same(lanes.p_kw[k], solve.p_kw)
        same(after[k], interval.metered.energy_kwh)
        for name in ("net_kwh", "losses_kwh", "slack_import_kwh", "slack_export_kwh"):
            same(getattr(metered, name)[k], getattr(interval.metered, name))
        np.testing.assert_allclose(bills.bill_eur[k], interval.bills.bill_eur, rtol=0, atol=1e-12)
        np.testing.assert_allclose(bills.co2_kg[k], interval.bills.co2_kg, rtol=0, atol=1e-12)
