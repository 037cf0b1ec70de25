"""The verbs as a user meets them: what they print, their exit codes, and how fast --help is."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cosim import verbs
from cosim.__main__ import main
from cosim.case import load_feeder
from cosim.errors import InputError, OutputError, PluginError, RunError
from cosim.glossary import COLUMNS, KPIS
from cosim.observe import ACTIONS, FEATURES
from cosim.scenario import Scenario, load_scenario
from cosim.verbs import _schema
from cosim.verbs.explain import fits

ROOT = Path(__file__).parent.parent
HEAVY = ("numpy", "pydantic", "pandas", "yaml", "simpy", "rich", "numba", "pandapower")
SCENARIO = """\
name: village
description: A small feeder.
seed: 1
time: {start: 2016-01-18, days: 1, interval_minutes: 60}
feeder: {source: simbench, name: 1-LV-rural1--0-sw}
profiles: simbench
market: uniform_price
policies: {passive: passive}
groups:
  all: {members: all, policy: passive}
"""

MUTE = """\
\"\"\"A market that fails to trade.\"\"\"
from cosim.markets.base import Market
from cosim.markets.none import NoMarket as Nothing

class Mute(Market):
    def clear(self, orders, context):
        return Nothing().clear(orders, context)
"""

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def village(tmp_path: Path) -> Path:
    path = tmp_path / "village.yaml"
    path.write_text(SCENARIO)
    return path


def process(*words: str, cwd: Path = ROOT, **settings: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "cosim", *words],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **settings},
    )


# ---------------------------------------------------------------- help and mistakes


@pytest.mark.parametrize("words", [[], ["--help"], *([name, "--help"] for name in verbs.names())])
def test_help_is_quick_and_imports_nothing_heavy(words: list[str]) -> None:
    script = (
        "import sys; from cosim.__main__ import main\n"
        f"code = main({words!r})\n"
        f"print(*[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
        "sys.exit(code)"
    )
    best = 9.0
    for _ in range(3):
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
        )
        best = min(best, time.perf_counter() - began)
    assert done.stderr.strip() == ""
    assert "usage: python -m cosim" in done.stdout
    assert best < 0.3


def test_the_overview_names_every_verb(capsys: Captured) -> None:
    assert main([]) == 0
    out = capsys.readouterr().out
    for name in ("run", "check", "schema", "list", "explain", "clear"):
        assert f"\n  {name} " in out
        assert verbs.summary(name) in out


@pytest.mark.parametrize(
    ("words", "fragments"),
    [
        (["rnu"], ["unknown verb 'rnu'", "did you mean 'run'?"]),
        (["run"], ["the following arguments are required: SCENARIO"]),
        (["run", "x.yaml", "--sed", "3"], ["unrecognized arguments: --sed", "'--seed'?"]),
        (["check", "nothing.yaml"], ["file 'nothing.yaml' does not exist"]),
        (["check", "plain_winter_dy"], ["did you mean 'plain_winter_day.yaml'?"]),
        (["list", "market"], ["there is no list of 'market'", "did you mean 'markets'?"]),
        (["schema", "--kind", "markets"], ["unknown kind 'markets'", "did you mean 'market'?"]),
        (["explain", "vm_mn_pu"], ["nothing is called 'vm_mn_pu'", "did you mean 'vm_min_pu'?"]),
        (["explain", "tarif.periods.hours"], ["did you mean 'tariff.periods.hours'?"]),
        (["list", "markets", "--plugins", "nowhere"], ["--plugins: plug-in folder 'nowhere'"]),
        (["list", "lines"], ["'list lines' takes a scenario", "cosim list lines SCENARIO"]),
        (["list", "markets", "ten_lines"], ["'list markets' takes no scenario"]),
        (["list", "buses", "ten_line"], ["did you mean 'ten_lines.yaml'?"]),
        (["list", "busses", "ten_lines"], ["did you mean 'buses'?"]),
    ],
)
def test_mistakes_have_code_2_and_a_hint(
    words: list[str], fragments: list[str], capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    for fragment in fragments:
        assert fragment in err


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (InputError("this is wrong"), 2, "this is wrong"),
        (PluginError("the plug-in broke"), 3, "the plug-in broke"),
        (RunError("the run failed"), 3, "the run failed"),
        (OutputError("the disk is full"), 74, "the disk is full"),
        (OSError(errno.ENOSPC, "No space left", "a/b"), 74, "cannot write 'a/b': No space left"),
        (PermissionError(errno.EACCES, "Permission denied"), 74, "cannot write: Permission denied"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (ValueError("a\nb"), 3, "internal error (ValueError: a b); run with --debug"),
    ],
)
def test_errors_become_a_line_and_an_exit_code(
    error: BaseException,
    code: int,
    said: str,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(arguments: object) -> int:
        raise error

    monkeypatch.setattr(verbs.load("list"), "run", fail)
    assert main(["list", "markets"]) == code
    err = capsys.readouterr().err
    assert err.startswith(said)
    assert "Traceback" not in err
    assert main(["list", "markets", "--debug"]) == code
    assert "Traceback" in capsys.readouterr().err


def test_a_reader_that_leaves_is_no_error() -> None:
    done = process("schema")
    assert done.stdout is not None
    assert done.stderr is not None
    done.stdout.close()
    assert done.stderr.read() == ""
    done.stderr.close()
    assert done.wait() == 141


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_under_the_output_is_said() -> None:
    with open("/dev/full", "w") as full:
        done = process("list", "columns", stdout=full)
        _, err = done.communicate()
    assert (done.returncode, err) == (74, "cannot write: No space left on device\n")


# ---------------------------------------------------------------- list, schema, explain


@pytest.mark.parametrize(
    ("what", "names"),
    [
        ("markets", {"none", "uniform_price"}),
        ("policies", {"passive", "self_consumption", "time_of_use"}),
        ("disturbances", {"cold_snap", "line_outage"}),
        ("profiles", {"simbench", "csv_homes"}),
        ("forecasts", {"perfect_interval", "persistence", "noisy"}),
        ("features", set(FEATURES)),
        ("actions", set(ACTIONS)),
        ("kpis", set(KPIS)),
        ("columns", set(COLUMNS)),
        ("scenarios", {"scenarios/plain_winter_day.yaml"}),
    ],
)
def test_lists(
    what: str, names: set[str], capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert main(["list", what]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert names <= {line.split()[0] for line in lines}
    assert all(len(line.split()) > 1 for line in lines)


def test_features_are_listed_with_unit_range_and_meaning(capsys: Captured) -> None:
    assert main(["list", "features"]) == 0
    first = " ".join(capsys.readouterr().out.splitlines()[0].split())
    assert first == "soc - >= 0 and <= 1 state of charge expected at delivery"


@pytest.mark.parametrize(("what", "first"), [("buses", "LV1.101 Bus"), ("lines", "LV1.101 Line")])
def test_the_names_of_a_network(what: str, first: str, village: Path, capsys: Captured) -> None:
    network = load_feeder(load_scenario(village))
    assert main(["list", what, str(village)]) == 0
    names = capsys.readouterr().out.splitlines()
    assert tuple(names) == getattr(network, what)
    assert any(name.startswith(first) for name in names)


def test_a_plug_in_folder_takes_part(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "markets").mkdir()
    (tmp_path / "markets" / "of_mine_listed.py").write_text('"""My market: for tests."""\n')
    assert main(["list", "markets", "--plugins", str(tmp_path)]) == 0
    assert "My market: for tests" in capsys.readouterr().out
    (tmp_path / "markets" / "of_mine_listed.py").unlink()


def test_the_schema_holds_the_options_of_plug_ins(capsys: Captured) -> None:
    assert main(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    market = schema["$defs"]["UniformPrice"]
    assert market["properties"]["kind"] == {"const": "uniform_price"}
    assert market["properties"]["k"]["maximum"] == 1.0
    assert {"$ref": "#/$defs/UniformPrice"} in schema["properties"]["market"]["anyOf"]
    names = schema["properties"]["policies"]["additionalProperties"]["anyOf"][0]["enum"]
    assert "time_of_use" in names


def test_the_schema_of_one_kind(capsys: Captured) -> None:
    assert main(["schema", "--kind", "disturbance"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert "pv_collapse" in schema["anyOf"][0]["enum"]


def test_every_reference_of_the_schema_leads_somewhere() -> None:
    def references(value: Any) -> set[str]:
        if isinstance(value, dict):
            own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
            return own.union(*map(references, value.values()))
        return set().union(*map(references, value)) if isinstance(value, list) else set()

    schema = _schema.scenario_schema()
    assert references(schema) <= {f"#/$defs/{name}" for name in schema["$defs"]}


def test_every_key_of_a_scenario_has_a_meaning() -> None:
    assert [key.path for key in _schema.scenario_keys() if not key.meaning] == []
    root = Scenario.model_json_schema()["properties"]
    assert all("description" in root[name] for name in ("market", "profiles"))


@pytest.mark.parametrize(
    ("word", "fragments"),
    [
        ("tariff.periods.hours", ["tariff.periods.<n>.hours", "[0-24]", "h", "required"]),
        ("market.k", ["market.uniform_price.k", "share of the price range", "0.5"]),
        ("policies.mine.charge_share", ["policies.<name>.time_of_use.charge_share"]),
        ("profiles.units.load", ["profiles.csv_homes.units.load", "kWh"]),
        ("market.uniform_price.k", ["share of the price range", ">= 0 and <= 1", "0.5"]),
        ("vm_min_pu", ["feeder.limits.vm_min_pu", "p.u.", "0.9", "(KPI)", "(column)"]),
        ("groups.owners.battery.capacity_kwh", ["kWh", "<= 2000"]),
        ("disturbances.0.cold_snap.load_factor", ["on load"]),
        ("soc", ["soc (feature)", "state of charge"]),
        ("battery_kw", ["(action)", "> 0 charges"]),
        ("net_kwh", ["(column)", "> 0 drawn from the network"]),
        ("bill_eur", ["(KPI)", "EUR"]),
        ("uniform_price", ["uniform_price (market)", "options: k"]),
    ],
)
def test_explanations(word: str, fragments: list[str], capsys: Captured) -> None:
    assert main(["explain", word]) == 0
    out = capsys.readouterr().out
    for fragment in fragments:
        assert fragment.replace("[0-24]", ">= 0 and <= 24") in out


@pytest.mark.parametrize(
    ("path", "asked", "expected"),
    [
        ("a.<n>.b", "a.b", True),
        ("a.<n>.b", "a.3.b", True),
        ("a.<n>.b", "a.x.b", False),
        ("a.<name>.b", "a.x.b", True),
        ("a.<name>.b", "a.x.y.b", False),
        ("a.b", "b", False),
    ],
)
def test_paths_fit_with_the_author_s_own_names(path: str, asked: str, expected: bool) -> None:
    assert fits(path.split("."), asked.split(".")) is expected


# ---------------------------------------------------------------- check


def test_check_says_what_a_scenario_is(village: Path, capsys: Captured) -> None:
    assert main(["check", str(village)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for fragment in (
        "village: A small feeder.",
        "24 intervals of 60 min",
        "13 on 13 buses",
        "engine tree",
        "all 13 (passive)",
        "uniform_price",
    ):
        assert fragment in out


@pytest.mark.parametrize(
    ("overrides", "doubt"),
    [
        (
            ["tariff={retail_eur_per_kwh: 0.0002, feed_in_eur_per_kwh: 0.0001}"],
            "retail 0.0002 EUR/kWh is below one cent",
        ),
        (["tariff.retail_eur_per_kwh=4"], "retail 4 EUR/kWh is high; is it in ct/kWh or EUR/MWh?"),
        (["tariff.feed_in_eur_per_kwh=0.2"], "retail equals feed-in (0.2 EUR/kWh)"),
        (
            ["groups.all.battery={capacity_kwh: 0.0135, rating_kw: 0.005}"],
            "a battery of 0.0135 kWh; is the capacity in MWh?",
        ),
        (
            ["groups.all.battery={capacity_kwh: 1350, rating_kw: 500}"],
            "a battery of 1350 kWh; is the capacity in Wh?",
        ),
        (
            ["groups.all.battery={capacity_kwh: 10, rating_kw: 1000}"],
            "empty after 0.01 h at its rating",
        ),
        (["feeder.line_rating_ka=270"], "line_rating_ka 270 is unusual; is it in A?"),
        (["feeder.trafo_rating_kva=0.4"], "trafo_rating_kva 0.4 is unusual"),
        (["co2.kg_per_kwh=2.5"], "CO2 intensity 2.5 kg/kWh is above"),
        (["scale.load=12"], "load is scaled by 12"),
        (["policies.idle=do_nothing"], "policy 'idle' is used by no group"),
        (
            ["groups.more={policy: passive}"],
            "group 'more' has no participant: 'all' before it takes all that are left; remove "
            "that one with 'all: null' and add a group for all after this one",
        ),
        (
            [
                "groups={all: null, owners: {members: battery, policy: passive}, last: {policy: "
                "passive}}"
            ],
            "group 'owners' has no participant\n",
        ),
        (
            ["policies.idle=do_nothing", "variants={calm: {groups: {all: {policy: passive}}}}"],
            "policy 'idle' is used by no group",
        ),
    ],
)
def test_check_doubts_what_looks_like_a_wrong_unit(
    overrides: list[str], doubt: str, village: Path, capsys: Captured
) -> None:
    words = [word for text in overrides for word in ("--set", text)]
    assert main(["check", str(village), *words]) == 0
    err = capsys.readouterr().err
    assert err.startswith("warning: ")
    assert doubt in err


def test_a_policy_of_a_variant_is_used(village: Path, capsys: Captured) -> None:
    variant = "variants={calm: {policies: {idle: do_nothing}, groups: {all: {policy: idle}}}}"
    other = "policies.idle=do_nothing"
    assert main(["check", str(village), "--set", variant, "--set", other]) == 0
    assert capsys.readouterr().err == ""


def test_check_says_what_is_not_as_usual(village: Path, capsys: Captured) -> None:
    usual = ("losses", "curtailment", "forecast", "latency", "supervised")

    def said(*overrides: str) -> dict[str, str]:
        words = [word for text in overrides for word in ("--set", text)]
        assert main(["check", str(village), *words]) == 0
        lines = capsys.readouterr().out.splitlines()[1:]
        return {name: rest.strip() for name, _, rest in (x.strip().partition(" ") for x in lines)}

    assert not set(usual) & set(said())
    assert "no projection" in said()["guard"]
    assert said("losses=marginal")["losses"] == "billed to each by what their injection adds"
    assert said("losses=equal")["losses"] == "billed to all alike"
    paid = said("curtailment_compensation=0.95")["curtailment"]
    assert paid == "paid 0.95 of the feed-in price"
    assert said("forecast=noisy")["forecast"].startswith("noisy (load_error 0.2")
    assert said("latency.max_s=9")["latency"] == "orders travel 0 to 9 s"
    assert "0.002 p.u. and 2 %" in said("guard.network=project")["guard"]


# ---------------------------------------------------------------- run


def run(village: Path, *words: str) -> int:
    out = village.parent / "outputs"
    return main(["run", str(village), "--out", str(out), "--no-figures", *words])


def manifest(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text())


def test_run_prints_phases_figures_and_the_path(village: Path, capsys: Captured) -> None:
    assert run(village) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert lines[0].startswith("loaded    village: 13 participants")
    assert lines[1].startswith("simulated village: 1 d in")
    assert any("bill with local trading" in line for line in lines)
    assert any("bill without local trading" in line for line in lines)
    folder = Path(lines[-1])
    assert folder.parent == village.parent / "outputs" / "village"
    assert manifest(folder)["complete"] is True


def test_a_quiet_run_prints_the_path_only(village: Path, capsys: Captured) -> None:
    assert run(village, "--quiet") == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert len(out.splitlines()) == 1
    assert (Path(out.strip()) / "kpi.csv").is_file()


def test_figures_are_drawn_unless_refused(village: Path, capsys: Captured) -> None:
    out = str(village.parent / "outputs")
    assert main(["run", str(village), "--out", out]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("drawn") for line in lines)
    figures = {path.name for path in (Path(lines[-1]) / "figures").iterdir()}
    assert {"market_prices.png", "grid_flow.png"} <= figures


def test_variants_run_beside_on_the_same_draws(village: Path, capsys: Captured) -> None:
    variants = "variants={same: {}, silent: {market: none}}"
    assert run(village, "--set", variants) == 0
    lines = capsys.readouterr().out.splitlines()
    folder = Path(lines[-1])
    head = next(line for line in lines if line.lstrip().startswith("unit"))
    assert head.split() == ["unit", "village", "same", "silent"]
    with_trade = next(line.split()[-3:] for line in lines if "bill with local" in line)
    without = next(line.split()[-3:] for line in lines if "bill without local" in line)
    assert with_trade[0] == with_trade[1]
    assert with_trade[2] == without[2] == without[0]
    assert sorted(place.name for place in (folder / "variants").iterdir()) == ["same", "silent"]
    digest = manifest(folder)["digest"]
    assert manifest(folder / "variants" / "same")["digest"] == digest
    assert manifest(folder / "variants" / "silent")["digest"] != digest
    latest = folder.parent / "latest"
    assert latest.resolve() == folder.resolve()


def test_silence_is_remarked_unless_it_was_chosen(village: Path, capsys: Captured) -> None:
    folder = village.parent / "mine" / "markets"
    folder.mkdir(parents=True)
    (folder / "mute_of_cli.py").write_text(MUTE)
    words = ("--plugins", str(folder.parent), "--set", "market=mute_of_cli", "--quiet")
    sunny = ("--set", "time.start=2016-07-18", "--set", "feeder.name=1-LV-rural3--2-sw")
    assert run(village, *words, *sunny, "--set", "variants={none: {market: none}}") == 0
    (folder / "mute_of_cli.py").unlink()
    err = capsys.readouterr().err
    assert "village: nobody traded, although offers and requests met" in err
    assert "none: " not in err


def test_the_seed_can_be_given(village: Path, capsys: Captured) -> None:
    settings = ["--set", "policies.passive=random", "--quiet"]
    digests = []
    for seed in ("3", "3", "4"):
        assert run(village, *settings, "--seed", seed) == 0
        digests.append(manifest(Path(capsys.readouterr().out.strip()))["digest"])
    assert digests[0] == digests[1] != digests[2]
    assert run(village, "--seed", "x") == 2
    assert "--set seed=x: seed must be a whole number" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("expectation", "code", "said"),
    [
        ("{kpi: vm_min_pu, min: 0.9, max: 1.1}", 0, ""),
        ("{kpi: traded_kwh, min: 1e9}", 1, "village: traded_kwh is 0, expected at least 1e+09 kWh"),
        ("{kpi: mean_price_eur_per_kwh, max: 1}", 1, "is not measured, expected at most 1 EUR/kWh"),
    ],
)
def test_expectations(
    expectation: str, code: int, said: str, village: Path, capsys: Captured
) -> None:
    assert run(village, "--set", "market=none", "--set", f"expect=[{expectation}]") == code
    assert said in capsys.readouterr().err


def test_a_variant_answers_for_its_own_expectations_only(village: Path, capsys: Captured) -> None:
    variants = "variants={silent: {market: none, expect: [{kpi: traded_kwh, min: 1}]}, other: {}}"
    assert run(village, "--set", variants) == 1
    err = capsys.readouterr().err
    assert "silent: traded_kwh is 0, expected at least 1 kWh" in err
    assert "other: " not in err


def test_unsolved_load_flows_are_said_plainly(village: Path, capsys: Captured) -> None:
    snap = "{kind: cold_snap, start: 2016-01-18 06:10, end: 2016-01-18 08:10, load_factor: 20}"
    assert run(village, "--set", "scale.load=20", "--set", f"disturbances=[{snap}]") == 0
    assert "load flows have no solution" in capsys.readouterr().err


def test_results_that_cannot_be_written_have_code_74(village: Path, capsys: Captured) -> None:
    (village.parent / "file").write_text("")
    assert main(["run", str(village), "--out", str(village.parent / "file" / "out")]) == 74
    assert "cannot write" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_ctrl_c_keeps_what_is_complete(village: Path) -> None:
    words = ("--set", "time.start=2016-01-01", "--set", "time.days=366")
    words += ("--set", "time.interval_minutes=5", "--no-figures", "--out", "outputs")
    running = process("run", village.name, *words, cwd=village.parent)
    assert running.stdout is not None
    assert running.stdout.readline().startswith("loaded")
    time.sleep(0.5)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "interrupted: village is complete up to 2016-" in err
    assert "Traceback" not in err
    found = manifest(village.parent / err.splitlines()[-1])
    assert found["complete"] is False
    assert found["reason"] == "interrupted"
    assert f"({found['intervals_recorded']} of 105408 intervals)" in err
