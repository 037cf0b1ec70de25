"""Runs recomputed from their written tables by other means than the program's.

Energy and money are added up again from the Parquet files, with prices from the YAML itself;
voltages and loadings are solved again with a net taken from simbench itself, at load flows drawn at
random and in every state of switches; episodes are counted again from the load flows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pandapower as pp
import pandas as pd
import pytest
import simbench
import yaml

import cosim
from cosim.case import load_case
from cosim.record import RunRecorder
from cosim.scenario import load_scenario
from cosim.simulation import Simulation

SCENARIOS = Path(__file__).resolve().parents[1] / "scenarios"
FEEDER, UPSTREAM = "1-LV-rural3--2-sw", "MV1.101 Bus 12"
CLOSED = 1e-9  # of the scale of a book
ROUND_TRIP, LOST_PER_DAY = 0.95, 0.0013  # of every storage in simbench's table
LEAD_S = 60  # from the gate's opening to delivery


def recorded(folder: Path, name: str, *overrides: str, variant: str = "") -> Any:
    """Run a scenario into a folder and return it as read again."""
    loaded = load_scenario(SCENARIOS / f"{name}.yaml", overrides)
    case = load_case(loaded.variant(variant) if variant else loaded)
    recorder = RunRecorder(case, folder)
    recorder.finish(Simulation(case, recorder).run(), {})
    return cosim.load_run(folder)


@pytest.fixture(scope="module", params=["", "shared_ppo"], ids=["rule", "shared_ppo"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The stressed winter week."""
    folder = tmp_path_factory.mktemp("winter")
    return recorded(folder, "winter_stress", variant=request.param)


@pytest.fixture(scope="module")
def own_net() -> Any:
    """Simbench's own net, as simbench gives it."""
    return simbench.get_simbench_net(FEEDER)


@pytest.fixture(scope="module")
def net(own_net: Any) -> Any:
    """Simbench's own net with nothing but its bus injections to be set."""
    net = deepcopy(own_net)
    net.trafo["tap_changer_type"] = "Ratio"
    for table in ("load", "sgen", "storage"):
        net[table].drop(net[table].index, inplace=True)
    for bus in net.bus.index:
        pp.create_load(net, bus, 0.0, 0.0)
    return net


@pytest.fixture(scope="module")
def storage(own_net: Any) -> pd.DataFrame:
    """Capacity [kWh] and rating [kW] of each home's batteries in simbench's own table."""
    table = own_net.storage
    home = "bus_" + own_net.bus["name"].loc[table["bus"]].str.split().str[-1].to_numpy()
    summed = table[["max_e_mwh", "sn_mva"]].groupby(home).sum() * 1e3
    return summed.set_axis(["capacity_kwh", "rating_kw"], axis=1)


def written(name: str) -> dict[str, Any]:
    """Return the keys of a scenario's file laid over those of the files it extends."""
    keys = yaml.safe_load((SCENARIOS / f"{name}.yaml").read_text())
    base = keys.pop("extends", "")
    return (written(base.removesuffix(".yaml")) if base else {}) | keys


def supplier_prices(name: str, times: pd.Series) -> pd.DataFrame:
    """Return retail and feed-in of a scenario's YAML at the begin of intervals."""
    keys, civil = written(name), times.dt.tz_convert("Europe/Berlin")
    hour, tariff = civil.dt.hour + civil.dt.minute / 60.0, keys["tariff"]
    prices = pd.DataFrame(index=times.index)
    for column in ("retail_eur_per_kwh", "feed_in_eur_per_kwh"):
        prices[column] = tariff[column]
        for period in tariff["periods"]:
            begin, end = period["hours"]
            prices.loc[(hour >= begin) & (hour < end), column] = period.get(column, tariff[column])
    opens = civil - pd.Timedelta(seconds=LEAD_S)
    for shock in keys["disturbances"]:
        if shock["kind"] == "price_shock":
            begin, end = (
                pd.Timestamp(str(shock[key])).tz_localize("Europe/Berlin")
                for key in ("start", "end")
            )
            hit = (opens >= begin) & (opens < end)
            factors = [shock["retail_factor"], shock["feed_in_factor"]]
            prices[hit] = prices[hit] * factors
    return prices


def test_stored_energy_follows_from_what_went_in_and_out(run: Any) -> None:
    """Half of the round trip's loss on the way in, half on the way out, and self-discharge."""
    each = run.table("prosumers").sort_values(["prosumer", "interval"])
    before = each.groupby("prosumer")["energy_kwh"].shift()
    known = before.notna() & (before + each["energy_kwh"] > 0.0)
    root = np.sqrt(ROUND_TRIP)
    inflow = each["charge_kwh"] * root - each["discharge_kwh"] / root
    leaked = (before + inflow - each["energy_kwh"])[known] / (before + inflow.abs())[known]
    assert known.sum() > 2000
    assert leaked.min() >= -1e-12 and leaked.max() <= LOST_PER_DAY / 96 * 1.001


def test_every_prosumers_meter_adds_up(run: Any) -> None:
    each = run.table("prosumers")
    net = each["load_kwh"] - each["pv_kwh"] + each["charge_kwh"] - each["discharge_kwh"]
    assert np.abs(net - each["net_kwh"]).max() <= CLOSED
    held = each["traded_kwh"] + each["closeout_kwh"]
    rest = each["net_kwh"] - held
    assert np.abs(rest - each["supply_kwh"] - each["imbalance_kwh"]).max() <= CLOSED
    vain = (held * each["net_kwh"] < 0.0) | (held.abs() > each["net_kwh"].abs())
    missing = np.where(held * each["net_kwh"] < 0.0, -held, each["net_kwh"] - held)
    assert np.abs(np.where(vain, missing, 0.0) - each["imbalance_kwh"]).max() <= CLOSED


def test_energy_closes_between_meters_and_feeder(run: Any) -> None:
    """Upstream energy of the load flows, held as long as they ran, is net load plus losses."""
    solves = run.table("solves")
    hours = (solves["end_s"] - solves["start_s"]) / 3600.0
    assert set(hours) != {0.25}  # events have split deliveries
    upstream = (solves["slack_p_kw"] * hours).groupby(solves["interval"]).sum()
    lost = (solves["losses_kw"] * hours).groupby(solves["interval"]).sum()
    meters = run.table("prosumers").groupby("interval")["net_kwh"]
    delivered, scale = meters.sum(), meters.apply(lambda x: max(1.0, x.abs().sum()))
    error = np.abs(upstream - delivered - lost) / scale
    assert len(error) == 672 and error.max() <= CLOSED


def test_injections_and_slack_are_the_losses_in_every_load_flow(run: Any) -> None:
    solves = run.table("solves").set_index("start_s")
    alive = run.table("bus").dropna(subset="vm_pu")
    injected = alive.groupby("start_s")["p_kw"].sum()
    error_mw = (injected + solves["slack_p_kw"] - solves["losses_kw"]) / 1e3
    assert len(error_mw) == len(solves) > 672 and error_mw.abs().max() <= 1e-6


def test_prices_are_those_of_the_tariff_and_of_the_shock(run: Any) -> None:
    each = run.table("prosumers")
    prices = supplier_prices("winter_stress", each["time"])
    for name in prices:
        assert np.abs(prices[name] - each[name]).max() <= 1e-15, name
    assert {0.2, 0.4, 0.5, 1.0} == set(prices["retail_eur_per_kwh"].round(9))
    assert {0.1, 0.12} == set(prices["feed_in_eur_per_kwh"].round(9))


def test_money_closes_in_every_interval(run: Any) -> None:
    """Bills from fills, prices and meters; what prosumers pay is what others receive."""
    each, market = run.table("prosumers"), run.table("market").set_index("interval")
    supplier = supplier_prices("winter_stress", each["time"])
    retail, feed_in = supplier["retail_eur_per_kwh"], supplier["feed_in_eur_per_kwh"]
    price = each["interval"].map(market["buy_price_eur_per_kwh"]).fillna(0.0)
    assert market["buy_price_eur_per_kwh"].equals(market["sell_price_eur_per_kwh"])
    rest = each["supply_kwh"] + each["imbalance_kwh"]
    tariff = retail.where(rest > 0.0, feed_in)
    bill = (each["traded_kwh"] + each["closeout_kwh"]) * price + rest * tariff
    assert np.abs(bill - each["bill_eur"]).max() <= CLOSED
    tariff = retail.where(each["net_kwh"] > 0.0, feed_in)
    assert np.abs(each["net_kwh"] * tariff - each["baseline_eur"]).max() <= CLOSED
    assert each.groupby("interval")["traded_kwh"].sum().abs().max() <= CLOSED
    ledger = run.table("ledger")
    paid = ledger[ledger["debit"].isin(set(each["prosumer"]))].groupby("interval")["amount_eur"]
    got = ledger[ledger["credit"].isin(set(each["prosumer"]))].groupby("interval")["amount_eur"]
    bills = each.groupby("interval")["bill_eur"].sum()
    owed = paid.sum().reindex(bills.index).fillna(0.0) - got.sum().reindex(bills.index).fillna(0.0)
    scale = each["bill_eur"].abs().groupby(each["interval"]).sum().clip(lower=1.0)
    assert ((owed - bills).abs() / scale).max() <= CLOSED


def test_unserved_energy_is_never_billed(run: Any) -> None:
    dark = run.table("prosumers").query("dead_share == 1.0")
    assert len(dark) > 100 and dark["unserved_kwh"].sum() > 10.0
    for column in (
        "load_kwh",
        "pv_kwh",
        "charge_kwh",
        "discharge_kwh",
        "supply_kwh",
        "imbalance_kwh",
    ):
        assert not dark[column].any(), column
    assert np.abs(dark["bill_eur"]).max() <= 1e-12


def test_nobody_trades_beyond_their_limit(run: Any) -> None:
    filled = run.table("orders").query("fill_kwh != 0")
    price = filled["payment_eur"] / filled["fill_kwh"]
    buys = filled["quantity_kwh"] > 0.0
    assert buys.any() and (~buys).any()
    assert (price[buys] <= filled["price_eur_per_kwh"][buys] + 1e-12).all()
    assert (price[~buys] >= filled["price_eur_per_kwh"][~buys] - 1e-12).all()
    assert (filled["fill_kwh"] / filled["quantity_kwh"] <= 1.0 + 1e-12).all()


def within_storage(run: Any, storage: pd.DataFrame) -> pd.DataFrame:
    """Check energies and powers against simbench's table; return them as shares of it."""
    each = run.table("prosumers", ["prosumer", "energy_kwh", "charge_kwh", "discharge_kwh"])
    homes = each["prosumer"].astype(str)
    assert len(storage) == 16 and set(storage.index) < set(homes)
    through = each["charge_kwh"] + each["discharge_kwh"]
    bare = ~homes.isin(storage.index)
    assert not through[bare].any() and not each["energy_kwh"][bare].any()
    own = pd.DataFrame({
        "energy": each["energy_kwh"] / homes.map(storage["capacity_kwh"]),
        "power": through / 0.25 / homes.map(storage["rating_kw"]),
    })[~bare]  # fmt: skip
    assert own["energy"].between(0.0, 1.0 + 1e-12).all()
    assert own["power"].between(0.0, 1.01).all()  # the table is rounded to 0.1 kW
    assert run.kpi["device_breaches"] == 0
    return own.groupby(homes[~bare]).max()


def test_batteries_keep_within_simbenchs_own_table(run: Any, storage: pd.DataFrame) -> None:
    within_storage(run, storage)


def test_voltages_of_an_interval_are_those_of_its_load_flows(run: Any) -> None:
    """The median is one of the middle buses of each load flow, weighted by how long it held."""
    bus = run.table("bus").dropna(subset="vm_pu")
    bus = bus[bus["bus"] != UPSTREAM]  # the slack's voltage is an input
    each = bus.groupby(["interval", "start_s", "end_s"])["vm_pu"]
    flows = each.quantile([0.5], interpolation="lower").unstack().reset_index()
    flows["high"] = each.quantile(0.5, interpolation="higher").to_numpy()
    hold = flows["end_s"] - flows["start_s"]
    whole = hold.groupby(flows["interval"]).sum()
    low, high = (
        (flows[name] * hold).groupby(flows["interval"]).sum() / whole for name in (0.5, "high")
    )
    results = run.evaluation
    assert np.array_equal(bus.groupby("interval")["vm_pu"].min(), results["vm_min_pu"])
    assert (results["vm_p50_pu"] >= low - 1e-12).all()
    assert (results["vm_p50_pu"] <= high + 1e-12).all()


def solved_again(run: Any, net: Any, seconds: Iterable[int]) -> None:
    """Compare load flows with fresh ones of the injections that were written."""
    solves = run.table("solves").set_index("start_s")
    buses = {name: index for index, name in net.bus["name"].items()}
    bus, branch = (run.table(name).groupby("start_s") for name in ("bus", "branch"))
    for second in sorted(seconds):
        row = solves.loc[second]
        names = json.loads(row["open_lines"])
        net.line["in_service"] = ~net.line["name"].isin(names)
        assert (~net.line["in_service"]).sum() == len(names)
        told = bus.get_group(second).set_index("bus")
        load = net.load.set_index("bus").index
        order = [buses[name] for name in told.index]
        place = [load.get_loc(index) for index in order]
        net.load.loc[net.load.index[place], "p_mw"] = -told["p_kw"].to_numpy() / 1e3
        net.load.loc[net.load.index[place], "q_mvar"] = -told["q_kvar"].to_numpy() / 1e3
        pp.runpp(net, tolerance_mva=1e-9, numba=False)
        solved = net.res_bus.vm_pu[order].to_numpy()
        assert np.array_equal(np.isnan(solved), told["vm_pu"].isna())
        assert np.isnan(solved).any() == bool(names)
        assert np.nanmax(np.abs(solved - told["vm_pu"].to_numpy())) <= 1e-6
        wires = branch.get_group(second).set_index("element")
        for kind, table in (("line", "line"), ("trafo", "trafo")):
            own = wires[wires["kind"] == kind]
            result = net[f"res_{table}"].loading_percent.set_axis(net[table]["name"])[own.index]
            gap = np.abs(result.fillna(0.0) - own["loading_percent"].fillna(0.0))
            assert len(own) and gap.max() <= 1e-3
        assert abs(net.res_ext_grid.p_mw.sum() * 1e3 - row["slack_p_kw"]) <= 1e-3


def test_a_fresh_load_flow_of_the_written_injections_agrees(run: Any, net: Any) -> None:
    """20 random load flows, and 3 with the line open: 1e-6 p.u. and 1e-3 %."""
    solves = run.table("solves")
    random = np.random.default_rng(20160118)
    chosen = set(random.choice(solves["start_s"], 20, replace=False))
    cut = solves[solves["open_lines"] != "[]"]
    assert len(cut) >= 3 and set(cut["open_lines"]) == {'["LV3.101 Line 45"]'}
    chosen |= set(random.choice(cut["start_s"], 3, replace=False))
    solved_again(run, net, chosen)


def test_two_lines_that_are_open_at_once_are_told_and_solved(tmp_path: Path, net: Any) -> None:
    """The second one opens before the first one closes: what each feeds is dark for its time."""
    first, second = "LV3.101 Line 45", "LV3.101 Line 18"
    begins = ("2016-01-18 17:23:40", "2016-01-18 19:00:20")
    ends = ("2016-01-18 20:51:10", "2016-01-18 22:10:05")
    outages = [
        {"kind": "line_outage", "line": line, "start": begin, "end": end}
        for line, begin, end in zip((first, second), begins, ends, strict=True)
    ]
    run = recorded(tmp_path, "plain_winter_day", f"disturbances={json.dumps(outages)}")
    solves = run.table("solves")
    sets = [frozenset(json.loads(text)) for text in solves["open_lines"]]
    changes = [k for k in range(len(sets)) if k == 0 or sets[k] != sets[k - 1]]
    both = frozenset((first, second))
    assert [sets[k] for k in changes] == [
        frozenset(), frozenset([first]), both, frozenset([second]), frozenset(),
    ]  # fmt: skip
    times = [begins[0], begins[1], ends[0], ends[1]]
    civil = solves["time"].dt.tz_convert("Europe/Berlin").dt.strftime("%Y-%m-%d %H:%M:%S")
    assert [civil[k] for k in changes[1:]] == times
    solved_again(run, net, solves["start_s"].iloc[[k + d for k in changes[1:] for d in (-1, 0)]])


# ---------------------------------------------------------------- episodes, counted again

#: bounds that noons and nights of summer leave, with the supply's voltage lowered
BOUNDS = {"undervoltage": 0.994, "overvoltage": 1.02, "line_loading": 40.0, "trafo_loading": 60.0}


@pytest.fixture(scope="module")
def beyond(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two clear summer days under narrow limits, a line open at the first one's evening."""
    limits = dict(zip(("vm_min_pu", "vm_max_pu", "line_percent", "trafo_percent"),
                      BOUNDS.values(), strict=True))  # fmt: skip
    outage = {"kind": "line_outage", "line": "LV3.101 Line 45"}
    outage |= {"start": "2016-07-22 19:10:30", "end": "2016-07-22 22:40:15"}
    overrides = (
        "time={start: 2016-07-22, days: 2}",
        f"disturbances={json.dumps([outage])}",
        "effects=null",
        "feeder.slack_vm_pu=0.97",
        f"feeder.limits={json.dumps(limits)}",
    )
    return recorded(tmp_path_factory.mktemp("beyond"), "summer_surplus", *overrides)


def recounted(values: pd.DataFrame, element: str, value: str, kind: str) -> pd.DataFrame:
    """Return the runs of load flows of each element outside a limit, and their worst ones."""
    limit, below = BOUNDS[kind], kind == "undervoltage"
    outside = values[(values[value] < limit) if below else (values[value] > limit)]
    found = []
    for name, rows in outside.groupby(element, observed=True):
        ordered = rows.sort_values("start_s")
        number = (ordered["start_s"] != ordered["end_s"].shift()).cumsum()
        for _, part in ordered.groupby(number):
            at = part[value].idxmin() if below else part[value].idxmax()
            begin, end = part["start_s"].iloc[0], part["end_s"].iloc[-1]
            energy = np.nan
            if "p_from_kw" in part:
                above = part["p_from_kw"].abs() * (1.0 - limit / part[value])
                energy = (above * (part["end_s"] - part["start_s"])).sum() / 3600.0
            found.append((kind, str(name), begin, end, part[value][at], part["time"][at], energy))
    columns = ["kind", "element", "begin_s", "end_s", "worst", "worst_time", "energy_kwh"]
    return pd.DataFrame(found, columns=columns)


def test_batteries_that_are_full_hold_what_simbenchs_table_says(
    beyond: Any, storage: pd.DataFrame
) -> None:
    most = within_storage(beyond, storage)
    np.testing.assert_allclose(most["energy"], 1.0, rtol=1e-9)
    assert most["power"].min() > 0.5


def test_episodes_and_their_minutes_are_those_of_the_load_flows(beyond: Any) -> None:
    bus, branch = beyond.table("bus"), beyond.table("branch")
    bus = bus[bus["bus"] != UPSTREAM]
    line, trafo = (branch[branch["kind"] == kind] for kind in ("line", "trafo"))
    again = pd.concat([
        recounted(bus, "bus", "vm_pu", "undervoltage"),
        recounted(bus, "bus", "vm_pu", "overvoltage"),
        recounted(line, "element", "loading_percent", "line_loading"),
        recounted(trafo, "element", "loading_percent", "trafo_loading"),
    ])  # fmt: skip
    told, start = beyond.violations, beyond.table("solves")["time"].iloc[0]
    told = told[told["kind"] != "no_supply"].assign(
        begin_s=lambda rows: (rows["start"] - start).dt.total_seconds().astype(int),
        end_s=lambda rows: (rows["end"] - start).dt.total_seconds().astype(int),
    )
    by = ["kind", "element", "begin_s"]
    again, told = (rows.sort_values(by).reset_index(drop=True) for rows in (again, told))
    assert again["kind"].value_counts().min() >= 2 and again["kind"].nunique() == 4
    over_midnight = (again["begin_s"] < 86_400) & (again["end_s"] > 86_400)
    assert over_midnight.any()
    for column in ("kind", "element", "begin_s", "end_s", "worst", "worst_time"):
        assert again[column].tolist() == told[column].tolist(), column
    np.testing.assert_allclose(told["energy_kwh"], again["energy_kwh"], rtol=1e-9)
    assert beyond.kpi["grid_breaches"] == len(again)
    minutes = (again["end_s"] - again["begin_s"]).groupby(again["kind"]).sum() / 60.0
    for kind, kpi in (
        ("undervoltage", "undervoltage_bus_minutes"),
        ("overvoltage", "overvoltage_bus_minutes"),
        ("line_loading", "line_over_minutes"),
        ("trafo_loading", "trafo_over_minutes"),
    ):
        assert beyond.kpi[kpi] == pytest.approx(minutes[kind], rel=1e-12)
    assert beyond.kpi["line_max_percent"] == line["loading_percent"].max()
    assert beyond.kpi["trafo_max_percent"] == trafo["loading_percent"].max()
    assert beyond.kpi["vm_min_pu"] == bus["vm_pu"].min()
    assert beyond.kpi["vm_max_pu"] == bus["vm_pu"].max()


def test_episodes_without_supply_are_the_outage_of_those_it_cuts_off(beyond: Any) -> None:
    told = beyond.violations.query("kind == 'no_supply'")
    each = beyond.table("prosumers")
    dark = each[each["dead_share"] > 0.0]
    assert sorted(told["element"]) == sorted(set(dark["prosumer"].astype(str))) and len(told) > 5
    for column, second in (("start", "19:10:30"), ("end", "22:40:15")):
        civil = told[column].dt.tz_convert("Europe/Berlin").dt.strftime("%Y-%m-%d %H:%M:%S")
        assert set(civil) == {f"2016-07-22 {second}"}
    unserved = dark.groupby(dark["prosumer"].astype(str))["unserved_kwh"].sum()
    energy = told.set_index("element")["energy_kwh"]
    np.testing.assert_allclose(energy.sort_index(), unserved.sort_index(), rtol=1e-9)


def test_within_its_limits_a_run_tells_no_breach(run: Any) -> None:
    bus, branch = run.table("bus"), run.table("branch")
    assert bus["vm_pu"].dropna().between(0.9, 1.1).all()
    assert branch["loading_percent"].max() <= 100.0
    assert run.kpi["grid_breaches"] == 0
    assert set(run.violations["kind"]) == {"no_supply"}
