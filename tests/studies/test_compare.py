"""Comparing runs: figures of the runs themselves, differences by hand, and refusals."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cosim import load_run
from cosim.__main__ import main
from cosim.case import Case
from cosim.studies.paired import DAILY, Contender, daily, differences, settings_apart, unlike
from cosim.studies.statistics import flip_test

Captured = pytest.CaptureFixture[str]
OTHER = {"policies": {"rule": "time_of_use", "passive": "passive"}}


@pytest.fixture(scope="module")
def folders(
    village: Any, days_of_village: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """Return the folders of two runs, the second with another policy."""
    found = []
    for name, changes in (("one", {}), ("other", OTHER)):
        out = tmp_path_factory.mktemp(name)
        path = village.write(**(days_of_village | changes))
        assert main(["run", str(path), "--out", str(out), "--quiet", "--no-figures"]) == 0
        found.append(out / "village" / "latest")
    return found[0].resolve(), found[1].resolve()


def contender(case: Case | None = None, name: str = "a", **series: Any) -> Contender:
    """Return a made-up run of two days of two intervals."""
    columns = {column for how in DAILY.values() for column in how.columns}
    values = {column: np.zeros(4) for column in (*columns, "interval")}
    values |= {key: np.array(value, float) for key, value in series.items()}
    scenario = {"seed": 1, "time": {"days": 2}, "feeder": {"source": "x", "name": "y"},
                "profiles": {"kind": "z"}, "market": {"kind": "none"}}  # fmt: skip
    return Contender(name, scenario, {"data.csv": "1"}, {}, 43_200, values)


def test_days_by_hand() -> None:
    run = contender(bill_eur=[1, 2, 3, 4], wear_eur=[1, 0, 0, 0], slack_p_kw=[-5, 2, 7, 1],
                    vm_min_pu=[0.9, 1.0, 0.95, np.nan])  # fmt: skip
    found = daily(run)
    assert found["cost_eur"].tolist() == [4.0, 7.0] and found["bill_eur"].tolist() == [3.0, 7.0]
    assert found["peak_import_kw"].tolist() == [2.0, 7.0]
    assert found["vm_min_pu"][0] == 0.9 and np.isnan(found["vm_min_pu"][1])


def test_differences_by_hand() -> None:
    one = contender(bill_eur=[1, 1, 1, 1], vm_min_pu=[1, 1, 1, np.nan])
    other = contender(name="b", bill_eur=[2, 2, 4, 0])
    found = {each.measure: each for each in differences([one, other])}
    assert found["bill_eur"].mean.value == 2.0 and found["bill_eur"].p == 0.5
    assert found["bill_eur"].p_holm == 1.0  # cost and bill: two tests
    assert np.isnan(found["co2_kg"].p) and found["co2_kg"].mean.value == 0.0
    assert "vm_min_pu" not in found, "not measured on one day"


def test_only_shared_draws_are_compared() -> None:
    one, other = contender(), contender(name="b")
    assert unlike(one, other) == []
    changed = json.loads(json.dumps(one.scenario))
    changed["seed"], changed["feeder"]["name"], changed["market"]["kind"] = 2, "w", "order_book"
    apart = Contender("b", changed, {"data.csv": "2"}, {}, 43_200, {"interval": np.zeros(3)})
    assert unlike(one, apart) == [
        "feeder.name: y against w", "seed: 1 against 2",
        "the data file data.csv has changed in between", "4 intervals against 3",
    ]  # fmt: skip
    assert "market.kind: none -> order_book" in settings_apart(one, apart)


def test_recorded_runs(folders: tuple[Path, Path], tmp_path: Path, capsys: Captured) -> None:
    assert main(["compare", *map(str, folders), "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    paths = [Path(line) for line in out.splitlines()[-4:]]
    assert [p.name for p in paths] == ["compare.csv", "days.csv", "intervals.csv", "compare.png"]
    assert paths[3].read_bytes().startswith(b"\x89PNG")
    assert "policies.rule.kind: self_consumption -> time_of_use" in out
    runs = [load_run(folder) for folder in folders]
    names = [f"village/{folder.name}" for folder in folders]
    if names[0] == names[1]:  # made in one second: told apart by where they are
        names = [f"{name} ({folder})" for name, folder in zip(names, folders, strict=True)]
    with paths[0].open(newline="") as stream:
        table = {(r["kind"], r["run"], r["figure"]): r for r in csv.DictReader(stream)}
    for run, name in zip(runs, names, strict=True):
        assert float(table["kpi", name, "bill_eur"]["value"]) == run.kpi["bill_eur"]
    frames = [run.evaluation for run in runs]
    by_day = [(f["bill_eur"] + f["wear_eur"]).to_numpy().reshape(6, 48).sum(1) for f in frames]
    row = table["daily_difference", names[1], "cost_eur"]
    assert float(row["value"]) == pytest.approx((by_day[1] - by_day[0]).mean())
    assert float(row["low"]) < float(row["value"]) < float(row["high"])
    assert float(row["p"]) == flip_test((by_day[1] - by_day[0])[:, None])
    with paths[1].open(newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 12
    with paths[2].open(newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 6 * 48


def test_a_scenario_and_its_record_are_the_same(
    folders: tuple[Path, Path], village: Any, days_of_village: dict[str, Any], tmp_path: Path,
    capsys: Captured,
) -> None:  # fmt: skip
    path = village.write(**days_of_village)
    assert main(["compare", str(path), str(folders[0]), "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "differs from village in 0 settings" in out
    (table,) = tmp_path.glob("village/compare-*/compare.csv")
    with table.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    kpis: dict[str, set[str]] = {}
    for row in rows:
        if row["kind"] == "kpi":
            kpis.setdefault(row["figure"], set()).add(row["value"])
        else:
            assert float(row["value"]) == 0.0 and row["p"] == ""
    assert all(len(values) == 1 for values in kpis.values()), kpis


def test_a_scenario_alone_is_compared_with_its_variants(
    village: Any, days_of_village: dict[str, Any], tmp_path: Path, capsys: Captured
) -> None:
    path = village.write(**days_of_village, variants={"closed": {"market": "none"}})
    assert main(["compare", str(path), "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "closed differs from village" in out and "market.kind: uniform_price -> none" in out
    assert main(["run", str(path), "--out", str(tmp_path), "--quiet", "--no-figures"]) == 0
    capsys.readouterr()
    assert main(["compare", str(tmp_path / "village"), "--out", str(tmp_path), "--quiet"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_runs_of_one_name_are_told_apart(
    folders: tuple[Path, Path], tmp_path: Path, capsys: Captured
) -> None:
    copy = tmp_path / "copies" / folders[0].name
    shutil.copytree(folders[0], copy)
    words = [str(folders[0]), str(copy), "--out", str(tmp_path)]
    assert main(["compare", *words]) == 0
    out = capsys.readouterr().out
    assert f"({copy}) differs from village/{folders[0].name} ({folders[0]}) in 0" in out


def test_refusals(
    folders: tuple[Path, Path], village: Any, days_of_village: dict[str, Any], tmp_path: Path,
    capsys: Captured, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Nothing runs before all that can be refused is known to be right."""
    monkeypatch.setattr("cosim.verbs._side_by_side.Simulation", None)
    one, scenario = str(folders[0]), str(village.write(**days_of_village))
    shorter = days_of_village | {"time": {"start": "2016-07-19", "days": 2}}
    other = str(village.write(**shorter, seed=9))
    broken = tmp_path / "broken"
    broken.mkdir()
    manifest = json.loads((folders[0] / "manifest.json").read_text()) | {"complete": False}
    (broken / "manifest.json").write_text(json.dumps(manifest))
    for words, fragments in (
        ([one], ["nothing to compare with"]),
        ([scenario], ["nothing to compare with", "'village' has no variants"]),
        ([scenario, scenario], ["stands twice"]),
        ([scenario, other], ["cannot be compared", "seed: 7 against 9"]),
        ([scenario, "nowhere"], ["neither the folder of a run nor a scenario"]),
        ([one, one], ["stands twice"]),
        ([one, "nowhere"], ["neither the folder of a run nor a scenario"]),
        ([one, str(broken)], ["did not come to its end"]),
        ([one, other], ["cannot be compared", "seed: 7 against 9", "time.days: 6 against 2"]),
        ([one, str(folders[1]), "--set", "seed=3"], ["cannot be changed"]),
    ):
        assert main(["compare", *words, "--out", str(tmp_path)]) == 2, words
        err = capsys.readouterr().err
        for fragment in fragments:
            assert fragment in err, err
