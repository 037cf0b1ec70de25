"""The stressed winter week, recomputed from its written tables by other means than the program's.

Energy and money are added up again from the Parquet files; voltages and loadings are solved again
with a net taken from simbench itself, at load flows drawn at random and in every state of switches.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandapower as pp
import pytest
import simbench

import cosim
from cosim.case import load_case
from cosim.record import RunRecorder
from cosim.scenario import load_scenario
from cosim.simulation import Simulation

SCENARIO = Path(__file__).resolve().parents[1] / "scenarios" / "winter_stress.yaml"
CLOSED = 1e-9  # of the scale of a book
ROUND_TRIP, LOST_PER_DAY = 0.95, 0.0013  # of every storage in simbench's table


@pytest.fixture(scope="module", params=["rule", "shared_ppo"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    loaded = load_scenario(SCENARIO)
    if request.param != "rule":
        loaded = loaded.variant(request.param)
    case = load_case(loaded)
    folder = tmp_path_factory.mktemp(request.param)
    recorder = RunRecorder(case, folder)
    recorder.finish(Simulation(case, recorder).run(), {})
    return cosim.load_run(folder)


@pytest.fixture(scope="module")
def net() -> Any:
    """Simbench's own net with nothing but its bus injections to be set."""
    net = simbench.get_simbench_net("1-LV-rural3--2-sw")
    net.trafo["tap_changer_type"] = "Ratio"
    for table in ("load", "sgen", "storage"):
        net[table].drop(net[table].index, inplace=True)
    for bus in net.bus.index:
        pp.create_load(net, bus, 0.0, 0.0)
    return net


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
    imbalance = each["net_kwh"] - each["traded_kwh"] - each["closeout_kwh"]
    assert np.abs(imbalance - each["imbalance_kwh"]).max() <= CLOSED


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


def test_money_closes_in_every_interval(run: Any) -> None:
    """Bills from fills, prices and meters; what prosumers pay is what others receive."""
    each, market = run.table("prosumers"), run.table("market").set_index("interval")
    price = each["interval"].map(market["buy_price_eur_per_kwh"]).fillna(0.0)
    assert market["buy_price_eur_per_kwh"].equals(market["sell_price_eur_per_kwh"])
    short = each["imbalance_kwh"] > 0.0
    tariff = each["retail_eur_per_kwh"].where(short, each["feed_in_eur_per_kwh"])
    bill = (each["traded_kwh"] + each["closeout_kwh"]) * price + each["imbalance_kwh"] * tariff
    assert np.abs(bill - each["bill_eur"]).max() <= CLOSED
    short = each["net_kwh"] > 0.0
    tariff = each["retail_eur_per_kwh"].where(short, each["feed_in_eur_per_kwh"])
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
    for column in ("load_kwh", "pv_kwh", "charge_kwh", "discharge_kwh", "imbalance_kwh"):
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


def test_the_four_ledgers_of_safety_are_recounted(run: Any) -> None:
    """Batteries from the meters, the grid from the load flows, not from counters."""
    each = run.table("prosumers")
    top = each.groupby("prosumer")["energy_kwh"].transform("max")
    assert (each["energy_kwh"] >= -1e-9).all() and (each["energy_kwh"] <= top).all()
    kpis = run.kpi
    bus, branch = run.table("bus"), run.table("branch")
    inside = bus["vm_pu"].dropna().between(0.9, 1.1).all()
    loaded = branch["loading_percent"].max() <= 100.0
    assert (kpis["grid_breaches"] == 0) == bool(inside and loaded)
    assert kpis["line_max_percent"] == branch[branch["kind"] == "line"]["loading_percent"].max()


def test_voltages_of_an_interval_are_those_of_its_load_flows(run: Any) -> None:
    """The median is one of the middle buses of each load flow, weighted by how long it held."""
    bus = run.table("bus").dropna(subset="vm_pu")
    bus = bus[bus["bus"] != "MV1.101 Bus 12"]  # the slack's voltage is an input
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


def test_a_fresh_load_flow_of_the_written_injections_agrees(run: Any, net: Any) -> None:
    """20 random load flows, and 3 with the line open: 1e-6 p.u. and 1e-3 %."""
    solves = run.table("solves")
    random = np.random.default_rng(20160118)
    chosen = set(random.choice(solves["start_s"], 20, replace=False))
    cut = solves[solves["open_lines"] != ""]
    assert len(cut) >= 3
    chosen |= set(random.choice(cut["start_s"], 3, replace=False))
    buses = {name: index for index, name in net.bus["name"].items()}
    bus, branch = (run.table(name).groupby("start_s") for name in ("bus", "branch"))
    for second in sorted(chosen):
        row = solves.set_index("start_s").loc[second]
        names = row["open_lines"].split(";") if row["open_lines"] else []
        net.line["in_service"] = ~net.line["name"].isin(names)
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
