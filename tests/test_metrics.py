"""Key figures, episodes and tables of two prosumers over two hours, checked by hand."""

import math
from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pytest

from cosim import glossary, metrics
from cosim.delivery import Metered
from cosim.feeder.limits import Limits
from cosim.feeder.state import GridState
from cosim.feeder.topology import Topology
from cosim.guard import Decision, Guarded, Outlook
from cosim.markets.base import Clearing, Orders
from cosim.metrics import Facts, gini, jain, measure
from cosim.plant import Solve
from cosim.population import Population
from cosim.reason import Reason
from cosim.record.day import Day, Scope, stack
from cosim.record.facts import extremes_of, facts_of, summarise
from cosim.record.outputs import elements_table, violations_table
from cosim.record.tables import tables_of
from cosim.settlement import Prices, settle
from cosim.simulation import Interval
from cosim.timegrid import TimeGrid
from cosim.trade import Asked, Trade

HOUR = 3600
NAN = float("nan")
CLOSED = Topology(frozenset(), frozenset())


def a(*values):
    return np.array(values, dtype=float)


POPULATION = Population(
    names=("anna", "bert"), buses=("A", "B"), groups=("g", "g"), bus=np.array([1, 2]),
    capacity_kwh=a(5, 0), rating_kw=a(1, 0), efficiency=a(1, 1), min_kwh=a(0, 0),
    max_kwh=a(5, 0), initial_kwh=a(2, 0), self_discharge_per_h=a(0, 0),
    wear_eur_per_kwh=a(0.01, 0), pv_kwp=a(5, 0),
)  # fmt: skip


@pytest.fixture
def scope():
    network = SimpleNamespace(
        buses=("S", "A", "B"), lines=("L",), trafos=("T",), x=a(0, 1, 2), y=a(0, 0, 0),
        bus_node=np.array([0, 1, 2]), slack_node=0, line_from_bus=np.array([1]),
        line_to_bus=np.array([2]), trafo_hv_bus=np.array([0]), trafo_lv_bus=np.array([1]),
    )  # fmt: skip
    policy = SimpleNamespace(actions=("battery_kw",))
    case = SimpleNamespace(
        grid=TimeGrid(datetime(2024, 1, 1, tzinfo=UTC), HOUR, 2, 60, UTC), population=POPULATION,
        network=network, limits=Limits(), seats=(SimpleNamespace(rows=[0, 1], policy=policy),),
        market=SimpleNamespace(on_metered=False),
    )  # fmt: skip
    return Scope(case)


def interval(index, *, load, pv, charge, energy, fills, payment, orders, arrived=(True, True),
             requested=(0.0, 0.0), reason=(0, 0), dead=(0.0, 0.0), unserved=(0.0, 0.0),
             slack=0.0, losses=0.0):  # fmt: skip
    prices = Prices(a(0.3, 0.3), a(0.1, 0.1), 0.4)
    metered = Metered(
        a(*load), a(*pv), a(*charge), a(0, 0), a(*unserved), a(*dead), a(*energy),
        np.float64(slack), np.float64(0.0), np.float64(losses),
    )  # fmt: skip
    volume = np.abs(a(*fills)).sum() / 2
    price = np.float64(0.15 if volume else NAN)
    clearing = Clearing(a(*fills), a(*payment), np.float64(volume), price, price)
    guarded = Guarded(
        Decision(a(*charge), a(*orders), a(0.2, 0.3)), a(*orders), np.array(reason, dtype=np.int8)
    )
    arrival = np.where(arrived, index * HOUR - 59.0, np.inf)
    asked = Asked(
        prices, Outlook(a(0, 0), a(*load), a(*pv), a(0.3, 0.3), a(0.1, 0.1)),
        Decision(a(*requested), a(0, 0), a(0, 0)), np.zeros(2, bool), np.zeros(2, bool),
        arrival, np.zeros(2),
    )  # fmt: skip
    sent = Orders(np.arange(2), a(*orders), a(0.2, 0.3), arrival)
    trade = Trade(asked, guarded, sent, np.array(arrived), clearing, guarded)
    bills = settle(POPULATION, clearing, metered, prices)
    return Interval(index, trade, metered, bills)


def solve(index, start, end, vm, line, p=2.0, trafo=50.0, status=0, topology=CLOSED):
    vm = a(1.0, *vm)
    grid = GridState(
        vm, a(line), a(trafo), a(p), a(3.0), np.float64(3.0), np.float64(0.5), np.float64(0.1),
        np.int8(status), np.int32(4), np.float64(1e-13),
    )  # fmt: skip
    return Solve(index, start, end, a(0, 1, -2), a(0, 0, -1), grid, topology)


def two_hours():
    first = interval(
        0, load=(1, 3), pv=(3, 0), charge=(0, 0), energy=(2, 0), fills=(-2, 2),
        payment=(-0.3, 0.3), orders=(-2, 3), slack=1.2, losses=0.2,
    )  # fmt: skip
    second = interval(
        1, load=(1, 2), pv=(0, 0), charge=(1, 0), energy=(3, 0), fills=(0, 0), payment=(0, 0),
        orders=(2, 2), arrived=(True, False), requested=(2.0, 0.0), reason=(Reason.RATING, 0),
        slack=4.5, losses=0.5,
    )  # fmt: skip
    solves = [
        solve(0, 0, HOUR, (0.99, 0.88), 50.0),
        solve(1, HOUR, 5400, (0.98, 0.85), 120.0),
        solve(1, 5400, 2 * HOUR, (1.0, 1.12), 90.0),
    ]
    return [first, second], solves


def facts_from(scope, intervals, solves):
    stacked = stack(Day(0, intervals, solves), scope)
    return facts_of([summarise(stacked, scope)], scope)


@pytest.fixture
def facts(scope):
    return facts_from(scope, *two_hours())


GOLDEN = {
    "bill_eur": 1.5, "baseline_bill_eur": 1.9, "savings_eur": 0.4, "savings_percent": 40 / 1.9,
    "wear_eur": 0.01, "network_eur": 0.0, "demand_eur": 0.0, "taxes_eur": 0.0,
    "imbalance_eur": 0.0, "imbalance_gain_eur": 0.0, "imbalance_kwh": 0.0, "curtailed_kwh": 0.0,
    "operator_surplus_eur": 0.0, "gini_savings": 0.5, "jain_savings": 0.8,
    "lowest_saving_eur": 0.1, "highest_saving_eur": 0.3, "losing_prosumers": 0,
    "value_tapping_index": 0.4 / (2 * 0.3 - 2 * 0.1), "participation_willingness_index": 1.0,
    "equality_index": 0.5, "price_std_eur_per_kwh": 0.0, "lowest_price_eur_per_kwh": 0.15,
    "highest_price_eur_per_kwh": 0.15, "welfare_loss_eur": 0.0, "hhi_sellers": 10_000.0,
    "hhi_buyers": 10_000.0, "energy_balance_index": 1 - (1 + 4) / (7 + 3 + 1),
    "daily_peak_import_kw": 4.5, "highest_ramp_kw": 3.3, "load_factor": 5.7 / 2 / 4.5,
    "traded_kwh": 2.0, "traded_share_percent": 100.0, "undeliverable_kwh": 0.0,
    "mean_price_eur_per_kwh": 0.15,
    "mean_retail_eur_per_kwh": 0.3, "mean_feed_in_eur_per_kwh": 0.1,
    "welfare_eur": 2 * 0.3 - 2 * 0.2, "orders_sent": 4, "orders_late_or_lost": 1,
    "silent_intervals": 0, "fallback_clearings": 0, "load_kwh": 7.0, "pv_kwh": 3.0,
    "import_kwh": 5.7, "export_kwh": 0.0,
    "peak_import_kw": 3.0, "peak_export_kw": 0.0, "losses_kwh": 0.7,
    "losses_percent": 70 / (5.7 + 2.0), "self_consumption_percent": 100.0,
    "self_sufficiency_percent": 200 / 7, "co2_kg": 0.4 * 5.7, "stored_change_kwh": 1.0,
    "unserved_kwh": 0.0, "outage_prosumer_hours": 0.0, "unsolved_steps": 0, "vm_min_pu": 0.85,
    "vm_max_pu": 1.12, "undervoltage_bus_minutes": 90, "overvoltage_bus_minutes": 30,
    "line_max_percent": 120, "line_over_minutes": 30, "trafo_max_percent": 50,
    "trafo_over_minutes": 0, "violations": 3, "request_breaches": 1, "interventions": 1,
    "intervention_kwh": 1.0, "delivery_deviations": 0, "device_breaches": 0, "grid_breaches": 3,
    "fallback_intervals": 0, "fallback_impossible": 0, "fallback_locked_out": 0,
    "fallback_kwh": 0.0, "network_interventions": 0, "network_kwh": 0.0,
}  # fmt: skip


def test_key_figures_by_hand(facts):
    measured = measure(facts)
    assert list(measured) == list(glossary.KPIS)
    assert measured == pytest.approx(GOLDEN, abs=1e-12)


def test_no_function_asks_for_what_is_not_there(facts):
    for kpi in metrics.KPIS.values():
        kpi.function(facts)  # a KeyError here would be read as "not measured"


def test_what_was_not_recorded_is_not_measured():
    empty = Facts(1.0, {}, {}, {}, {})
    assert all(math.isnan(value) for value in measure(empty).values())


def test_unsolved_load_flows_are_counted_and_left_out(scope):
    intervals, solves = two_hours()
    intervals[1] = interval(
        1, load=(1, 2), pv=(0, 0), charge=(1, 0), energy=(3, 0), fills=(0, 0), payment=(0, 0),
        orders=(2, 2), slack=NAN, losses=NAN,
    )  # fmt: skip
    solves[1] = solve(1, HOUR, 5400, (NAN, NAN), NAN, p=NAN, trafo=NAN, status=2)
    measured = measure(facts_from(scope, intervals, solves))
    assert measured["unsolved_steps"] == 1
    assert measured["import_kwh"] == pytest.approx(1.2)
    assert measured["losses_percent"] == pytest.approx(20 / 3.2)
    assert measured["vm_min_pu"] == 0.88
    assert measured["line_over_minutes"] == 0
    assert measured["violations"] == 2  # undervoltage of hour 0, overvoltage of the last half hour


def test_episodes_join_over_load_flows_and_midnight(scope):
    intervals, solves = two_hours()
    days = [
        summarise(stack(Day(0, intervals[:1], solves[:1]), scope), scope),
        summarise(stack(Day(1, intervals[1:], solves[1:], before_kwh=a(2, 0)), scope), scope),
    ]
    table = violations_table(facts_of(days, scope), scope)
    kinds = [table["kind"].names[code] for code in table["kind"].codes]
    assert kinds == ["undervoltage", "line_loading", "overvoltage"]
    assert table["element"].tolist() == ["B", "L", "B"]
    assert table["duration_s"].tolist() == [5400, 1800, 1800]
    assert table["worst"].tolist() == [0.85, 120.0, 1.12]
    assert table["worst_time"][0] == np.datetime64("2024-01-01T01:00")
    assert table["energy_kwh"][1] == pytest.approx(2.0 * (1 - 100 / 120) * 0.5)
    assert np.isnan(table["energy_kwh"][[0, 2]]).all()
    one = facts_from(scope, intervals, solves)
    joined = facts_of(days, scope)
    for name, column in one.violations.items():
        np.testing.assert_array_equal(column, joined.violations[name])
    assert measure(one) == pytest.approx(measure(joined))


def test_no_supply_spreads_unserved_energy_over_dead_seconds(scope):
    intervals, solves = two_hours()
    intervals[0] = interval(
        0, load=(1, 1.5), pv=(3, 0), charge=(0, 0), energy=(2, 0), fills=(-2, 2),
        payment=(-0.3, 0.3), orders=(-2, 3), dead=(0, 0.5), unserved=(0, 1.5),
    )  # fmt: skip
    solves[:1] = [solve(0, 0, 1800, (0.99, 0.95), 50.0), solve(0, 1800, HOUR, (0.99, NAN), 0.0)]
    facts = facts_from(scope, intervals, solves)
    table = violations_table(facts, scope)
    at = [table["kind"].names[code] for code in table["kind"].codes].index("no_supply")
    assert table["element"][at] == "bert"
    assert (table["duration_s"][at], table["energy_kwh"][at]) == (1800, pytest.approx(1.5))
    assert table["worst"][at] == pytest.approx(3.0)  # kW
    measured = measure(facts)
    assert measured["outage_prosumer_hours"] == pytest.approx(0.5)
    assert measured["unserved_kwh"] == pytest.approx(1.5)
    assert measured["grid_breaches"] == measured["violations"] - 1


@pytest.mark.parametrize(
    "change",
    [
        {"charge": (1.01, 0.0)},  # above the rating
        {"energy": (5.1, 0.0)},  # above the upper bound
        {"energy": (3.01, 0.0)},  # more than was charged
        {"charge": (1.0, 0.1)},  # bert has no battery
    ],
)
def test_device_breaches_are_computed_from_recorded_energies(scope, change):
    values = {"load": (1, 2), "pv": (0, 0), "charge": (1.0, 0.0), "energy": (3.0, 0.0)} | change
    intervals, solves = two_hours()
    intervals[1] = interval(1, **values, fills=(0, 0), payment=(0, 0), orders=(2, 2), slack=4.0)
    assert measure(facts_from(scope, intervals, solves))["device_breaches"] == 1


def test_silent_intervals(scope):
    """Surplus and deficit by the meters, whether orders arrived, were lost or were never sent."""
    intervals, solves = two_hours()
    for orders, arrived in (
        ((-1, 2), (True, True)),
        ((-1, 2), (False, False)),
        ((0, 0), (True,) * 2),
    ):
        intervals[1] = interval(
            1, load=(0, 2), pv=(1, 0), charge=(0, 0), energy=(3, 0), fills=(0, 0), payment=(0, 0),
            orders=orders, arrived=arrived,
        )  # fmt: skip
        assert measure(facts_from(scope, intervals, solves))["silent_intervals"] == 1
    intervals[1] = interval(
        1, load=(1, 2), pv=(0, 0), charge=(0, 0), energy=(3, 0), fills=(0, 0), payment=(0, 0),
        orders=(-1, 2),
    )  # fmt: skip
    assert measure(facts_from(scope, intervals, solves))["silent_intervals"] == 0


def test_ledger_interventions_and_orders_by_hand(scope):
    intervals, solves = two_hours()
    tables = tables_of(stack(Day(0, intervals, solves), scope), scope)
    ledger = tables["ledger"]
    rows = [
        (int(i), *(text.names[code] for text, code in zip(texts, codes, strict=True)), amount)
        for i, codes, amount in zip(
            ledger["interval"],
            zip(*(ledger[name].codes for name in ("line", "debit", "credit")), strict=True),
            ledger["amount_eur"].round(12).tolist(),
            strict=True,
        )
        for texts in [[ledger[name] for name in ("line", "debit", "credit")]]
    ]
    assert rows == [
        (0, "trade", "market", "anna", 0.3),
        (0, "trade", "bert", "market", 0.3),
        (0, "supply", "bert", "supplier", 0.3),
        (1, "supply", "anna", "supplier", 0.6),
        (1, "supply", "bert", "supplier", 0.6),
    ]
    changes = tables["interventions"]
    assert changes["reason"].names == ("RATING",)
    assert changes["requested_kw"].tolist() == [2.0]
    assert changes["guarded_kw"].tolist() == changes["executed_kw"].tolist() == [1.0]
    assert np.isnan(changes["requested_kwh"]).all()  # the policy does not choose it
    orders = tables["orders"]
    assert orders["arrived"].tolist() == [True, True, True, False]
    assert np.isnan(orders["arrival_s"]).tolist() == [False, False, False, True]


def test_a_trade_beyond_the_meters_is_not_counted_as_possible(scope):
    """Two of three traded kWh could be exchanged; the third counts as undeliverable."""
    intervals, solves = two_hours()
    intervals[0] = interval(
        0, load=(1, 3), pv=(3, 0), charge=(0, 0), energy=(2, 0), fills=(-3, 3),
        payment=(-0.45, 0.45), orders=(-3, 3), slack=1.2, losses=0.2,
    )  # fmt: skip
    days = [summarise(stack(Day(0, intervals, solves), scope), scope)]
    kpis = measure(facts_of(days, scope))
    assert kpis["traded_share_percent"] == 100.0 and kpis["undeliverable_kwh"] == 1.0


def test_solves_name_the_open_elements(scope):
    intervals, solves = two_hours()
    opened = Topology(frozenset({"L2", "L1"}), frozenset(), supply=False)
    solves[1] = solve(1, HOUR, 5400, (NAN, NAN), 0.0, topology=opened)
    table = tables_of(stack(Day(0, intervals, solves), scope), scope)["solves"]
    names = [table["open_lines"].names[code] for code in table["open_lines"].codes]
    assert names == ["[]", '["L1", "L2"]', "[]"]
    assert table["supply"].tolist() == [True, False, True]


def test_elements_hold_the_worst_values_and_leave_the_slack_out(scope):
    intervals, solves = two_hours()
    days = [summarise(stack(Day(0, intervals, solves), scope), scope)]
    table = elements_table(extremes_of(days), scope)
    assert table["element"].tolist() == ["S", "A", "B", "L", "T"]
    np.testing.assert_array_equal(table["vm_min_pu"], [NAN, 0.98, 0.85, NAN, NAN])
    np.testing.assert_array_equal(table["vm_max_pu"], [NAN, 1.0, 1.12, NAN, NAN])
    np.testing.assert_array_equal(table["loading_max_percent"], [NAN, NAN, NAN, 120.0, 50.0])
    assert table["vm_max_time"][2] == np.datetime64("2024-01-01T01:30")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((1, 1, 1), 0.0),
        ((0, 0, 3), 1.0),
        ((-1, 1), 1.0),
        ((1, 3), 0.5),
        ((-2, -2), 0.0),
    ],
)
def test_gini(values, expected):
    assert gini(a(*values)) == pytest.approx(expected)


def test_gini_is_bounded_and_scale_free():
    random = np.random.default_rng(1)
    for _ in range(200):
        values = random.normal(size=random.integers(2, 30))
        assert 0.0 <= gini(values) <= 1.0 + 1e-12
        assert gini(7.0 * values) == pytest.approx(gini(values))


def test_inequality_of_nothing_is_not_measured():
    assert math.isnan(gini(a(0, 0)))
    assert math.isnan(gini(a(1)))
    assert math.isnan(jain(a(0, -1)))


def test_jain_counts_losses_as_nothing():
    assert jain(a(2, 2)) == 1.0
    assert jain(a(2, -1)) == jain(a(2, 0)) == 0.5


def test_figures_that_the_plain_hours_leave_at_nothing(scope):
    """The operator keeps 0.1, a sale of 1 kWh is not fed in, one saves and one does not."""
    intervals, solves = two_hours()
    intervals[0] = interval(
        0, load=(1, 3), pv=(3, 0), charge=(0, 0), energy=(2, 0), fills=(-3, 3),
        payment=(-0.4, 0.5), orders=(-3, 3), slack=1.2, losses=0.2,
    )  # fmt: skip
    kpis = measure(facts_from(scope, intervals, solves))
    assert kpis["operator_surplus_eur"] == pytest.approx(0.1)
    assert kpis["imbalance_kwh"] == pytest.approx(1.0)
    assert kpis["imbalance_eur"] == pytest.approx(0.3)
    assert kpis["imbalance_gain_eur"] == pytest.approx(0.4 / 3 - 0.3)
    savings = (-0.2 - (0.3 - 0.4), 0.9 - 0.5)  # of the first hour; the second has none
    assert kpis["savings_eur"] == pytest.approx(sum(savings))
    assert kpis["participation_willingness_index"] == 0.5
    intervals[0] = interval(
        0, load=(1, 3), pv=(3, 0), charge=(0, 0), energy=(2, 0), fills=(0, 0), payment=(0, 0),
        orders=(0, 0), slack=1.2, losses=0.2,
    )  # fmt: skip
    kpis = measure(facts_from(scope, intervals, solves))
    assert kpis["participation_willingness_index"] == 0.0  # to save nothing is not to save


def test_self_consumption_and_self_sufficiency_have_their_own_denominators(scope):
    """PV of 6 for loads of 4 and 3: 2 leave the community in one hour, 3 come in the other."""
    intervals, solves = two_hours()
    intervals[0] = interval(
        0, load=(1, 3), pv=(6, 0), charge=(0, 0), energy=(2, 0), fills=(0, 0), payment=(0, 0),
        orders=(0, 0), slack=0.0, losses=0.0,
    )  # fmt: skip
    intervals[1] = interval(
        1, load=(1, 2), pv=(0, 0), charge=(0, 0), energy=(2, 0), fills=(0, 0), payment=(0, 0),
        orders=(0, 0), slack=3.0,
    )  # fmt: skip
    kpis = measure(facts_from(scope, intervals, solves))
    assert kpis["self_consumption_percent"] == pytest.approx(100 * (1 - 2 / 6))
    assert kpis["self_sufficiency_percent"] == pytest.approx(100 * (1 - 3 / 7))
