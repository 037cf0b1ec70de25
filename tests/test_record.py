"""What a run leaves behind: tables that add up, one digest, and folders that are never lost."""

import errno
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cosim
from cosim import glossary
from cosim.case import load_case
from cosim.errors import InputError, OutputError
from cosim.record import (
    TABLES,
    MemoryRecorder,
    RunRecorder,
    check_tables,
    new_run_folder,
)
from cosim.record import folder as folders
from cosim.record.digest import chained, day_digest
from cosim.scenario import load_scenario
from cosim.simulation import Simulation

SCENARIO = """
name: recorded
seed: 5
time: {start: 2016-07-18, days: 2, interval_minutes: 60}
feeder:
  source: simbench
  name: 1-LV-rural3--2-sw
  limits: {vm_max_pu: 1.055}
profiles: simbench
scale: {pv: 2.0}
market: uniform_price
latency: {min_s: 0, max_s: 65}
policies: {rule: self_consumption, random: random, passive: passive}
groups:
  owners: {members: battery, share: 0.6, policy: rule}
  wild: {members: battery, policy: random}
  others: {members: all, policy: passive}
disturbances:
  - {kind: supply_outage, start: 2016-07-19T10:07:00, end: 2016-07-19T12:20:10}
  - {kind: line_outage, start: 2016-07-19T14:10:00, end: 2016-07-19T15:20:10,
     line: LV3.101 Line 18}
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("scenario") / "recorded.yaml"
    path.write_text(SCENARIO)
    return path


@pytest.fixture(scope="module")
def case(path):
    return load_case(load_scenario(path))


def record(case, root):
    recorder = RunRecorder(case, new_run_folder(root, case.scenario.name))
    books = Simulation(case, recorder).run()
    return recorder.finish(books, {"run": 1.0}), books


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="module")
def finished(case, root):
    return record(case, root)


@pytest.fixture(scope="module")
def run(finished):
    return cosim.load_run(finished[0].folder)


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# ---------------------------------------------------------------- tables


def test_every_table_and_file_is_there_and_explained(run):
    assert run.complete
    assert run.tables == TABLES
    assert not list(run.folder.rglob("*.part"))
    assert not (run.folder / folders.LOCK).exists()
    for name in TABLES:
        parts = sorted(p.name for p in (run.folder / name).iterdir())
        assert parts == ["day-0000.parquet", "day-0001.parquet"]
        assert list(run.table(name).columns) == list(run.columns[name])
    for name, frame in (
        ("evaluation_results", run.evaluation),
        ("violations", run.violations),
        ("elements", run.elements),
    ):
        assert list(frame.columns) == list(run.columns[name])
        assert all(known["meaning"] for known in run.columns[name].values())


def test_times_are_utc_and_rows_complete(run, case):
    prosumers, bus, solves = (run.table(name) for name in ("prosumers", "bus", "solves"))
    assert str(prosumers["time"].dt.tz) == "UTC"
    assert prosumers["time"].iloc[0].isoformat() == "2016-07-17T22:00:00+00:00"
    assert len(prosumers) == 48 * len(case.population)
    assert len(bus) == len(solves) * len(case.network.buses)
    assert (solves["start_s"].iloc[1:].to_numpy() == solves["end_s"].iloc[:-1].to_numpy()).all()
    assert solves["end_s"].iloc[-1] == case.grid.end_s
    assert len(run.table("market")) == len(run.evaluation) == 48


def test_the_ledger_rebuilds_every_bill(run):
    ledger, prosumers = run.table("ledger"), run.table("prosumers")
    assert (ledger["amount_eur"] >= 0.0).all()
    paid = ledger.groupby("debit")["amount_eur"].sum()
    earned = ledger.groupby("credit")["amount_eur"].sum()
    balance = paid.sub(earned, fill_value=0.0)
    bills = prosumers.groupby("prosumer")["bill_eur"].sum()
    np.testing.assert_allclose(balance.reindex(bills.index).fillna(0.0), bills, atol=1e-9)
    assert balance.sum() == pytest.approx(0.0, abs=1e-9)
    assert balance["market"] == pytest.approx(0.0, abs=1e-9)  # budget-balanced mechanism


def test_totals_recomputed_from_the_tables_equal_the_key_figures(run, finished):
    kpis, books = finished[0].kpis, finished[1]
    prosumers, market = run.table("prosumers"), run.table("market")
    for kpi, value in {
        "bill_eur": prosumers["bill_eur"].sum(),
        "baseline_bill_eur": prosumers["baseline_eur"].sum(),
        "load_kwh": prosumers["load_kwh"].sum(),
        "pv_kwh": prosumers["pv_kwh"].sum(),
        "unserved_kwh": prosumers["unserved_kwh"].sum(),
        "co2_kg": prosumers["co2_kg"].sum(),
        "traded_kwh": market["volume_kwh"].sum(),
        "orders_sent": len(run.table("orders")),
        "outage_prosumer_hours": prosumers["dead_share"].sum(),
        "violations": len(run.violations),
    }.items():
        assert kpis[kpi] == pytest.approx(value, rel=1e-9), kpi
    assert kpis["bill_eur"] == pytest.approx(books.supplier_eur + books.operator_eur)
    orders = run.table("orders")
    assert kpis["orders_late_or_lost"] == (~orders["arrived"]).sum() > 0
    changes = run.table("interventions")
    assert kpis["interventions"] <= len(changes)
    assert {"OUTAGE"} & set(changes["reason"])


def test_energy_balances_at_every_load_flow(run):
    solves = run.table("solves").set_index("start_s")
    bus = run.table("bus")
    alive = bus[bus["vm_pu"].notna()]
    injected = alive.groupby("start_s")["p_kw"].sum().reindex(solves.index).fillna(0.0)
    error = injected + solves["slack_p_kw"] - solves["losses_kw"]
    assert error.abs().max() < 1e-6
    assert (solves["status"] == "ok").all()
    assert set(solves["open_lines"]) >= {"[]", '["LV3.101 Line 18"]'}
    assert (~solves["supply"]).any()


def test_a_load_flow_can_be_solved_again_from_the_tables(run, case):
    solves, bus = run.table("solves"), run.table("bus")
    row = solves[solves["open_lines"].str.contains("Line 18")].iloc[0]
    before = case.feeder.topology
    case.feeder.open_line("LV3.101 Line 18")
    chosen = bus[bus["start_s"] == row["start_s"]]
    state = case.feeder.solve(chosen["p_kw"].to_numpy(), chosen["q_kvar"].to_numpy())
    case.feeder.restore(before)
    np.testing.assert_allclose(state.vm_pu, chosen["vm_pu"], rtol=0, atol=1e-12)


def test_voltage_episodes_agree_with_the_bus_table(run, finished):
    bus = run.table("bus")
    over = bus[(bus["vm_pu"] > 1.055)]
    minutes = (over["end_s"] - over["start_s"]).sum() / 60.0
    assert finished[0].kpis["overvoltage_bus_minutes"] == pytest.approx(minutes)
    episodes = run.violations[run.violations["kind"] == "overvoltage"]
    assert episodes["duration_s"].sum() / 60.0 == pytest.approx(minutes)
    assert episodes["worst"].max() == bus["vm_pu"].max()
    dark = run.violations[run.violations["kind"] == "no_supply"]
    assert dark["energy_kwh"].sum() == pytest.approx(finished[0].kpis["unserved_kwh"])


def test_small_files_agree_with_the_summary(run, finished):
    summary = json.loads((run.folder / "summary.json").read_text())
    assert list(summary["kpis"]) == list(glossary.KPIS) == list(run.kpi.index)
    for name, value in finished[0].kpis.items():
        stored = summary["kpis"][name]
        assert (stored is None) == math.isnan(value)
        assert stored is None or stored == value == run.kpi[name]
    assert summary["digest"] == run.digest == finished[0].digest
    assert run.events[0]["kind"] == "supply_outage"


def test_the_manifest_says_what_made_the_run(run, case):
    manifest = run.manifest
    assert manifest["scenario"]["market"]["kind"] == "uniform_price"
    assert manifest["scenario"]["policies"]["random"]["kind"] == "random"
    assert manifest["scenario"]["disturbances"][0]["kind"] == "supply_outage"
    assert {file["name"] for file in manifest["files"]} == {name for name, _ in case.files}
    assert manifest["versions"]["numpy"] == np.__version__
    assert manifest["solver"]["checks"] > 0
    assert manifest["books"]["money_error"] < 1e-9
    assert chained(manifest["day_digests"]) == manifest["digest"]
    assert manifest["intervals_recorded"] == manifest["intervals"] == 48


# ---------------------------------------------------------------- digest


def test_memory_and_folder_come_to_the_same_figures(case, finished):
    recorder = MemoryRecorder(case, digest=True)
    books = Simulation(case, recorder).run()
    summary = recorder.finish(books, {})
    assert summary.digest == finished[0].digest
    assert summary.kpis == pytest.approx(finished[0].kpis, rel=0, abs=0, nan_ok=True)


CHILD = """
import sys
from cosim.case import load_case
from cosim.record import MemoryRecorder
from cosim.scenario import load_scenario
from cosim.simulation import Simulation
case = load_case(load_scenario(sys.argv[1]))
recorder = MemoryRecorder(case, digest=True)
print(recorder.finish(Simulation(case, recorder).run(), {}).digest)
"""


@pytest.mark.parametrize("hash_seed", ["0", "4711"])
def test_the_digest_is_the_same_in_another_process(path, finished, hash_seed):
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(path)],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert child.stdout.strip() == finished[0].digest


def test_the_digest_ignores_kinds_of_zero_and_nan_but_no_value():
    def digest(*values):
        return day_digest({"t": {"x": np.array(values, dtype=float)}}, [])

    other_nan = np.array([0x7FF8000000000001], dtype=np.uint64).view(float)[0]
    assert digest(0.0, np.nan) == digest(-0.0, other_nan)
    assert digest(1.0, 2.0) != digest(2.0, 1.0)
    assert digest(1.0) != digest(np.nextafter(1.0, 2.0))
    assert chained(["a", "b"]) != chained(["b", "a"])


def test_the_digest_does_not_depend_on_the_tables_chosen(path, root, finished):
    loaded = load_scenario(path).replaced(record=("market", "solves"))
    summary, _ = record(load_case(loaded), root)
    assert cosim.load_run(summary.folder).tables == ("market", "solves")
    assert summary.digest == finished[0].digest


def test_unknown_tables_are_refused_with_a_hint():
    assert check_tables(["solves", "market"]) == ("market", "solves")
    with pytest.raises(InputError, match="did you mean 'prosumers'"):
        check_tables(["prosumer"])


# ---------------------------------------------------------------- folders


def test_a_second_run_changes_no_byte_of_the_first(case, root, finished):
    first = finished[0].folder
    before = contents(first)
    second = record(case, root)[0].folder
    assert second != first and second.parent == first.parent
    assert contents(first) == before
    assert (first.parent / "latest").resolve() == second.resolve()
    assert cosim.load_run(first.parent).folder.resolve() == second.resolve()


def test_folders_are_unique_and_stay_inside(tmp_path):
    made = {new_run_folder(tmp_path, "plain") for _ in range(30)}
    assert len(made) == 30
    for name in ("../up", "/etc", "a/b", "", "..", "A", "a\n"):
        with pytest.raises(OutputError):
            new_run_folder(tmp_path / "root", name)
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "linked").symlink_to(outside)
    with pytest.raises(OutputError, match="leads out of"):
        new_run_folder(tmp_path / "root", "linked")
    assert not list(outside.iterdir())


def test_two_recorders_never_share_a_folder(case, tmp_path, finished):
    folder = new_run_folder(tmp_path, "shared")
    first = RunRecorder(case, folder)
    with pytest.raises(OutputError, match=f"process {os.getpid()}"):
        RunRecorder(case, folder)
    first.abort()
    with pytest.raises(OutputError, match="never overwritten"):
        RunRecorder(case, folder)
    assert not (folder / folders.LOCK).exists()


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path):
    child = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"],
                           capture_output=True, text=True, check=True)  # fmt: skip
    (tmp_path / folders.LOCK).write_text(child.stdout)
    folders.lock(tmp_path)
    assert (tmp_path / folders.LOCK).read_text() == f"{os.getpid()}\n"


def test_an_aborted_run_keeps_what_was_settled(case, tmp_path):
    recorder = RunRecorder(case, new_run_folder(tmp_path, "aborted"))
    simulation = Simulation(case, recorder)

    def stop(second):
        if second == 30 * 3600:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulation.run(stop)
    recorder.abort()
    run = cosim.load_run(recorder.folder)
    assert not run.complete
    assert run.manifest["interrupted_at"]
    assert run.manifest["intervals_recorded"] == 30
    assert len(run.table("market")) == 30
    assert run.table("solves")["end_s"].iloc[-1] == 30 * 3600
    with pytest.raises(InputError, match="not finished"):
        _ = run.evaluation


KILLED = """
import os, sys
from pathlib import Path
from cosim.case import load_case
from cosim.record import RunRecorder, folder
from cosim.scenario import load_scenario
from cosim.simulation import Simulation
replace, calls = os.replace, []
def dying(source, target):
    calls.append(target)
    if len(calls) == int(sys.argv[3]):
        os._exit(9)
    replace(source, target)
os.replace = dying
case = load_case(load_scenario(sys.argv[1]))
recorder = RunRecorder(case, Path(sys.argv[2]))
recorder.finish(Simulation(case, recorder).run(), {})
"""


@pytest.mark.parametrize("instant", [2, 6, 13, 20, 24])
def test_a_killed_run_is_recognised_and_its_parts_are_whole(path, tmp_path, instant):
    folder = new_run_folder(tmp_path, "killed")
    child = subprocess.run(
        [sys.executable, "-c", KILLED, str(path), str(folder), str(instant)], check=False
    )
    assert child.returncode == 9
    run = cosim.load_run(folder)
    assert not run.complete
    for name in run.tables:
        if list((folder / name).glob("day-*.parquet")):
            assert len(run.table(name)) > 0
    assert not (folder.parent / "latest").exists()


def test_a_full_disk_is_told_and_leaves_earlier_parts_intact(case, tmp_path, monkeypatch):
    folder = new_run_folder(tmp_path, "full")
    recorder = RunRecorder(case, folder)
    replace = os.replace

    def full(source, target):
        if "day-0001" in str(target) or Path(target).name == folders.MANIFEST:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    books = Simulation(case, recorder).run()
    with pytest.raises(OutputError, match="No space left") as caught:
        recorder.finish(books, {})
    recorder.abort()
    assert caught.value.exit_code == 74
    monkeypatch.undo()
    run = cosim.load_run(folder)
    assert not run.complete
    assert len(run.table("market")) == 24
    assert not list(folder.rglob("*.part"))
    assert not (folder / folders.LOCK).exists()


def test_a_root_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        new_run_folder(tmp_path / "file", "plain")


# ---------------------------------------------------------------- reading


def test_foreign_folders_and_versions_are_refused(tmp_path):
    with pytest.raises(InputError, match="no run in"):
        cosim.load_run(tmp_path)
    (tmp_path / "manifest.json").write_text('{"schema": 999}')
    with pytest.raises(InputError, match="schema version 999"):
        cosim.load_run(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(InputError, match="cannot read"):
        cosim.load_run(tmp_path)


def test_an_unknown_table_is_refused_with_a_hint(run):
    with pytest.raises(InputError, match="did you mean 'ledger'"):
        run.table("leger")


def test_selected_columns_are_read(run):
    frame = run.table("prosumers", ["time", "prosumer", "bill_eur"])
    assert list(frame.columns) == ["time", "prosumer", "bill_eur"]
