"""Lanes: a stack of intervals, or of whole episodes, gives what a run gave one by one."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import PrivateAttr

from cosim import plugins
from cosim.case import Case, load_case
from cosim.delivery import Part, advance, deliver, meter
from cosim.episode import Episode, lived, whole
from cosim.errors import InputError
from cosim.feeder.state import SolveStatus
from cosim.guard import Decision, Outlook
from cosim.lanes import Lanes, Step
from cosim.losses import loss_shares_kw
from cosim.observe import FEATURES
from cosim.plant import Solve
from cosim.policy import Policy, PolicyContext
from cosim.record import MemoryRecorder
from cosim.scenario import load_scenario
from cosim.seats import Seat
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
    given = {name: column for name, column in columns.items() if column[0] is not None}
    return kind(**{name: np.stack(column) for name, column in given.items()})


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
    shares = loss_shares_kw(case.scenario.losses, population, case.feeder, lanes)
    part = Part(lanes.flow, hours, lanes.grid.slack_p_kw, lanes.grid.losses_kw, shares)
    metered = meter([part], after)
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


# ---------------------------------------------------------------- whole episodes side by side


class Moody(Policy):
    """Decides by all it sees, remembers and draws, so that a bit of difference spreads."""

    features = tuple(FEATURES)
    actions = ("battery_kw", "quantity_kwh", "price_eur_per_kwh")
    draws = 2

    _seen: list[np.ndarray] = PrivateAttr(default_factory=list)

    def start(self, count: int) -> np.ndarray:
        return np.zeros(count)

    def act(
        self, observations: np.ndarray, context: PolicyContext, memory: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        self._seen.append(observations)
        told = dict(zip(FEATURES, observations.T, strict=True))
        mood = np.sin(observations.cumsum(-1)[:, -1] + memory)
        net = told["forecast_net_kw"]
        price = told["feed_in_eur_per_kwh"] + 0.3 * context.draws[:, 0]
        power = 3.0 * mood * context.draws[:, 1]
        return np.stack([power, (net + power) * context.interval_h * 0.8, price], -1), 0.5 * mood


def moody(case: Case) -> tuple[Case, Moody]:
    """Return the case with half of everybody moody, and what they see."""
    half, policy = np.arange(0, len(case.population), 2), Moody()
    left = [replace(s, rows=np.setdiff1d(s.rows, half)) for s in case.seats]
    seats = (*(seat for seat in left if len(seat.rows)), Seat("moody", policy, half))
    return replace(case, seats=seats), policy


def fillings(case: Case, days: tuple[int, ...]) -> list[Episode]:
    """Return episodes of a day: other days, seeds and fillings, two of them with the same seed."""
    shares = np.random.default_rng(4).uniform(size=(len(days), len(case.population)))
    seeds = (11, 5, 11)
    return [
        Episode(day, 1, seed, None if seed == 5 else share)
        for day, seed, share in zip(days, seeds, shares, strict=True)
    ]


def assert_lanes_are_single_runs(case: Case, days: tuple[int, ...] = (0, 0, 0)) -> list[Step]:
    """Everything that happens in lanes is what happens in runs of their own, to 1e-9."""
    case, seen = moody(case)
    episodes = fillings(case, days)
    lanes = Lanes(case, episodes)
    steps = []
    while not lanes.done:
        steps.append(lanes.step())
    together = [each.reshape(len(episodes), -1, len(FEATURES)) for each in seen._seen]
    assert len(steps) == len(together) == 86_400 // case.grid.interval_s
    for lane, episode in enumerate(episodes):
        own = lived(case, episode)
        assert own.scenario.seed == episode.seed
        kept = Kept(own)
        seen._seen.clear()
        Simulation(own, kept).run()
        assert len(kept.solves) == len(kept.intervals) == len(steps)
        for k, step in enumerate(steps):
            close(together[k][lane], seen._seen[k])
            compare(kept.intervals[k], kept.solves[k], step, lane)
    return steps


def close(one: np.ndarray, other: np.ndarray) -> None:
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-9)


def compare(interval: Interval, solve: Solve, step: Step, lane: int) -> None:
    """Hold one interval of a run against that of a lane."""
    assert interval.index == step.index == solve.interval
    pairs = [
        (interval.bills, step.bills),
        (interval.metered, step.metered),
        (interval.trade.clearing, step.trade.clearing),
        (interval.trade.guarded, step.trade.guarded),
        (interval.trade.guarded.decision, step.trade.guarded.decision),
        (interval.trade.asked.outlook, step.trade.asked.outlook),
        (interval.trade.orders, step.trade.orders),
        (solve.grid, step.delivery.grid),
    ]
    assert np.array_equal(interval.trade.arrived, step.trade.arrived[lane])
    for single, many in pairs:
        for name, value in vars(single).items():
            if isinstance(value, np.ndarray | float):
                lanes = np.asarray(getattr(many, name))
                close(lanes[lane] if lanes.ndim > np.ndim(value) else lanes, value)
    close(step.delivery.p_kw[lane], solve.p_kw)


@pytest.mark.parametrize("market", plugins.names("market"))
def test_lanes_are_single_runs_under_every_market(village: Any, market: str) -> None:
    case = village.case(market=market, latency={"max_s": 70}, forecast="noisy")
    steps = assert_lanes_are_single_runs(case)
    volume = np.sum([step.trade.clearing.volume_kwh for step in steps], axis=0)
    if market != "bilateral":  # it trades where somebody prefers a partner
        assert ((volume > 0.0) == (market != "none")).all()
    arrived = np.mean([step.trade.arrived for step in steps])
    assert 0.3 < arrived < 0.95  # some orders are late, others not


BORDERS = {"start": "2016-07-18T06:00", "end": "2016-07-18T18:30"}
BETWEEN = {"start": "2016-07-18T06:10:30", "end": "2016-07-18T18:40:10"}


def test_lanes_are_billed_as_single_runs_with_charges_losses_and_curtailment(village: Any) -> None:
    tariff = {
        "retail_eur_per_kwh": 0.25,
        "feed_in_eur_per_kwh": 0.06,
        "network_eur_per_kwh": 0.08,
        "network_local_share": 0.4,
        "taxes_eur_per_kwh": 0.05,
        "demand_eur_per_kw_month": 7.0,
        "periods": [{"hours": [17, 21], "retail_eur_per_kwh": 0.40}],
    }
    case = village.case(
        tariff=tariff,
        losses="marginal",
        imbalance={"markup_eur_per_kwh": 0.05},
        curtailment_compensation=0.8,
        trade_limit="none",
        disturbances=[{"kind": "curtailment", **BORDERS, "pv_share": 0.3}],
    )
    steps = assert_lanes_are_single_runs(case)
    for line in ("network", "demand", "taxes", "losses", "imbalance", "compensation"):
        assert np.any([getattr(step.bills, f"{line}_eur") for step in steps]), line


@pytest.mark.parametrize("forecast", ["perfect_interval", "persistence"])
def test_lanes_are_single_runs_on_other_days(forecast: str) -> None:
    overrides = ["time.days=3", f"forecast={forecast}", "trade_limit=none"]
    case = load_case(load_scenario(SUMMER, overrides))
    steps = assert_lanes_are_single_runs(case, (0, 2, 1))
    net = np.stack([step.metered.net_kwh for step in steps])
    assert not np.allclose(net[:, 0], net[:, 1])


def test_lanes_collapse_as_single_runs(village: Any) -> None:
    case = village.case()
    load = case.profiles.load_kw.copy()
    load[20:24] *= 1000.0
    steps = assert_lanes_are_single_runs(
        replace(case, profiles=replace(case.profiles, load_kw=load))
    )
    status = np.stack([step.delivery.grid.status for step in steps])
    assert (status[20:24] == SolveStatus.COLLAPSE).all() and (status[24:] == SolveStatus.OK).all()


def test_disturbances_between_deliveries_act_in_lanes_as_in_runs(village: Any) -> None:
    disturbances = [
        {"kind": "cold_snap", **BORDERS, "load_factor": [1.3, 1.6], "groups": ["owners"]},
        {"kind": "pv_collapse", **BORDERS},
        {"kind": "price_shock", **BETWEEN},
        {"kind": "message_loss", **BETWEEN, "probability": 0.3, "delay_s": 40},
    ]
    case = village.case(disturbances=disturbances)
    steps = assert_lanes_are_single_runs(case)
    arrived = np.stack([step.trade.arrived for step in steps])
    assert arrived[:12].all() and not arrived[13:36].all() and arrived[38:].all()


@pytest.mark.parametrize("forecast", ["perfect_interval", "persistence"])
def test_what_is_told_wrong_is_told_wrong_in_lanes_too(village: Any, forecast: str) -> None:
    noon = {"start": "2016-07-18T11:59:50", "end": "2016-07-18T16:00"}
    disturbances = [
        {"kind": "frozen_sensor", **BETWEEN, "sensor": "load_kw", "groups": ["owners"]},
        {"kind": "biased_sensor", **BORDERS, "sensor": "energy_kwh", "factor": 0.7},
        {"kind": "frozen_sensor", **noon, "sensor": "energy_kwh", "silent": False},
        {"kind": "biased_sensor", **noon, "sensor": "load_kw", "offset": 0.5},
        {"kind": "swapped_columns", **noon, "features": ["soc", "year_sin"]},
        {"kind": "swapped_columns", **BETWEEN, "features": ["year_sin", "vm_pu"],
         "groups": ["wild"]},
        {"kind": "price_shock", **noon},
        {"kind": "stale_prices", **BETWEEN, "groups": ["owners", "wild"]},
        {"kind": "spoofed_bids", **BETWEEN, "groups": ["wild"], "price_shift_eur_per_kwh": 0.02},
        {"kind": "greedy_neighbours", **noon, "groups": ["owners"], "quantity_factor": 1.5},
        {"kind": "delayed_limit", **BETWEEN, "delay_s": 1800, "groups": ["owners"]},
        {"kind": "curtailment", "start": "2016-07-18T11:00", "end": "2016-07-18T13:00",
         "pv_share": 0.2},
    ]  # fmt: skip
    case = village.case(disturbances=disturbances, forecast=forecast, trade_limit="none")
    steps = assert_lanes_are_single_runs(case)
    curtailed = np.stack([step.metered.curtailed_kwh[0] for step in steps])
    assert curtailed[22, 3:].any() and not curtailed[22, :3].any() and curtailed[26, :3].any()


@pytest.mark.parametrize(
    ("disturbance", "why"),
    [
        ({"kind": "delayed_limit", **BORDERS, "delay_s": 900}, "while a delivery runs"),
        ({"kind": "pv_collapse", **BETWEEN}, "while a delivery runs"),
        ({"kind": "supply_outage", **BORDERS}, "it switches the feeder"),
        ({"kind": "line_outage", **BORDERS, "line": "line2"}, "it switches the feeder"),
    ],
)
def test_what_lanes_cannot_play_is_refused_by_name(
    village: Any, disturbance: dict[str, Any], why: str
) -> None:
    curtailment = {"kind": "curtailment", **BORDERS, "pv_share": 0.5}
    late = disturbance["kind"] == "delayed_limit"
    case = village.case(disturbances=[disturbance, curtailment] if late else [disturbance])
    with pytest.raises(InputError) as refused:
        Lanes(case, [whole(case)])
    for text in (
        "curtailment" if late else disturbance["kind"],
        why,
        "2016-07-18 06:",
        "cosim.envs",
    ):
        assert text in str(refused.value)


def test_who_is_dead_from_the_start_stays_away_in_lanes_too(village: Any, tmp_path: Path) -> None:
    import pandapower

    net = pandapower.networks.four_loads_with_branches_out()
    net.line.loc[net.line.index[-1], "in_service"] = False
    pandapower.to_json(net, str(tmp_path / "net.json"))
    case = village.case(feeder={"source": "json", "name": str(tmp_path / "net.json")})
    lanes = Lanes(case, [whole(case)])
    assert 0 < lanes.present.sum() < len(case.population)
    steps = assert_lanes_are_single_runs(case)
    assert not steps[20].trade.arrived[:, ~lanes.present].any()


def test_lanes_refuse_rounds_of_trading(village: Any) -> None:
    case = village.case(market={"kind": "order_book", "rounds": 3})
    with pytest.raises(InputError, match=r"3 rounds.*\n.*cosim\.envs"):
        Lanes(case, [whole(case)])


def test_lanes_refuse_episodes_that_do_not_fit(village: Any) -> None:
    case = village.case()
    with pytest.raises(ValueError, match="one length"):
        Lanes(case, [Episode(0, 1, 1), Episode(0, 2, 1)])
    with pytest.raises(ValueError, match="within the days"):
        Lanes(case, [Episode(1, 1, 1)])
