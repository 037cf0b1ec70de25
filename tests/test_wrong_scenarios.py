"""Wrong scenarios by hand: one message with every problem, exit code 2, and nothing written."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from cosim.__main__ import main

SCENARIO = """\
name: village
seed: 1
time: {start: 2016-01-18, days: 1}
feeder: {source: simbench, name: 1-LV-rural1--0-sw}
profiles: simbench
tariff: {retail_eur_per_kwh: 0.2, feed_in_eur_per_kwh: 0.1}
market: uniform_price
policies: {rule: self_consumption, passive: passive}
groups:
  owners: {members: battery, policy: rule}
  others: {members: all, policy: passive}
disturbances:
  - {kind: pv_collapse, start: 2016-01-18 10:00, end: 2016-01-18 12:00}
"""
NAME, SEED, TIME, FEEDER, PROFILES, TARIFF, MARKET, POLICIES, GROUPS, OWNERS, OTHERS = range(1, 12)
DISTURBANCE = 13

HOMES = "name,bus,pv_kwp\nhome,LV1.101 Bus 1,0\n"
CSV_HOMES = "profiles: {kind: csv_homes, homes: homes.csv, profiles: series.csv}"

Edits = dict[int, str]


def edited(edits: Edits) -> str:
    """Return the scenario with some of its lines replaced."""
    lines = SCENARIO.splitlines()
    for number, text in edits.items():
        lines[number - 1] = text
    return "\n".join(lines) + "\n"


def series(value: str) -> str:
    """Return the time series of a home over the day of the scenario, one value replaced."""
    rows = [f"2016-01-{17 + (23 + i) // 24}T{(23 + i) % 24:02}:00Z,0.5" for i in range(24)]
    rows[2] = rows[2].replace("0.5", value)
    return "time,load_home\n" + "\n".join(rows) + "\n"


#: name -> lines replaced, what the message must contain
WRONG: dict[str, tuple[Edits, list[str]]] = {
    # misspelt keys, at every level
    "a key of the root": (
        {SEED: "sed: 1"}, [":2:1: unknown key 'sed'", "did you mean 'seed'?"]
    ),
    "a required key": (
        {NAME: "nmae: x"}, [":1:1: unknown key 'nmae'", "'name'?", ":1:1: missing key 'name'"]
    ),
    "a key of a section": (
        {TARIFF: "tariff: {retail_eur_kwh: 0.2}"},
        [":6:10: unknown key 'retail_eur_kwh'", "did you mean 'retail_eur_per_kwh'?"],
    ),
    "a key in a list": (
        {TARIFF: "tariff: {periods: [{hours: [17, 21], retail: 0.3}]}"},
        [":6:38: unknown key 'retail'", "did you mean 'retail_eur_per_kwh'?"],
    ),
    "an option of the market": (
        {MARKET: "market: {kind: uniform_price, kk: 1}"},
        [":7:31: unknown key 'kk'", "did you mean 'k'?"],
    ),
    "an option of a policy": (
        {POLICIES: "policies: {rule: {kind: time_of_use, charge_shar: 0.3}, passive: passive}"},
        [":8:38: unknown key 'charge_shar'", "did you mean 'charge_share'?"],
    ),
    "an option of a disturbance": (
        {DISTURBANCE: "  - {kind: pv_collapse, strat: 2016-01-18 10:00, end: 2016-01-18 12:00}"},
        [":13:25: unknown key 'strat'", "did you mean 'start'?", "missing key 'start'"],
    ),
    # units and plausibility
    "prices in EUR/MWh": (
        {TARIFF: "tariff: {retail_eur_per_kwh: 200, feed_in_eur_per_kwh: 100}"},
        [":6:30: tariff.retail_eur_per_kwh must be at most 5, got 200", "200 EUR/MWh is 0.2",
         ":6:56: tariff.feed_in_eur_per_kwh must be at most 5, got 100"],
    ),
    "a capacity in Wh": (
        {OWNERS: "  owners: {members: battery, policy: rule, battery: {capacity_kwh: 13500}}"},
        [":10:68: groups.owners.battery.capacity_kwh must be at most 2000", "13500 Wh is 13.5"],
    ),
    "an efficiency in percent": (
        {OWNERS: "  owners: {members: battery, policy: rule, battery: {efficiency: 95}}"},
        [":10:66: groups.owners.battery.efficiency must be at most 1, got 95", "95 % is 0.95"],
    ),
    "a voltage in volts": (
        {FEEDER: "feeder: {name: 1-LV-rural1--0-sw, limits: {vm_min_pu: 207}}"},
        [":4:55: feeder.limits.vm_min_pu must be at most 1, got 207", "per unit"],
    ),
    "an intensity in g/kWh": (
        {SEED: "co2: {kg_per_kwh: 400}"},
        [":2:19: co2.kg_per_kwh must be at most 3, got 400", "400 g/kWh is 0.4"],
    ),
    "an hour after midnight": (
        {TARIFF: "tariff: {periods: [{hours: [17, 25]}]}"},
        [":6:33: tariff.periods.0.hours.1 must be at most 24, got 25", "between 0 and 24"],
    ),
    "hours as a text": (
        {TARIFF: "tariff: {periods: [{hours: 17:00-21:00}]}"},
        [":6:28: tariff.periods.0.hours must be a list, got '17:00-21:00'", "[17, 21.5]"],
    ),
    "a period without length": (
        {TARIFF: "tariff: {periods: [{hours: [17, 17]}]}"},
        [":6:28: the period begins and ends at 17 h", "[0, 24]"],
    ),
    "a decimal comma": (
        {TARIFF: "tariff: {retail_eur_per_kwh: 0,2}"},
        [":6:32: a key must be text, got 2", "a decimal comma? write 0.2"],
    ),
    "feed-in above retail": (
        {TARIFF: "tariff: {retail_eur_per_kwh: 0.1, feed_in_eur_per_kwh: 0.2}"},
        [":6:56: feed-in 0.2 above retail 0.1 EUR/kWh", "lower it"],
    ),
    "feed-in above retail in a period": (
        {TARIFF: "tariff: {periods: [{hours: [17, 21], retail_eur_per_kwh: 0.05}]}"},
        [":6:20: feed-in 0.1 above retail 0.05 EUR/kWh"],
    ),
    "a period between the borders of intervals": (
        {TARIFF: "tariff: {periods: [{hours: [17.1, 18]}]}"},
        [":6:29: 17.1 h lies inside a market interval of 15 min", "begin at 17 and 17.25 h"],
    ),
    "a period shorter than an interval": (
        {TIME: "time: {start: 2016-01-18, days: 1, interval_minutes: 60}",
         OTHERS: "  others: {policy: passive, tariff: {periods: [{hours: [17.5, 18]}]}}"},
        [":11:57: 17.5 h lies inside a market interval of 60 min", "begin at 17 and 18 h",
         "time.interval_minutes"],
    ),
    "a period in a run that begins between the hours": (
        {TIME: "time: {start: 2016-01-18 00:07, days: 1}",
         TARIFF: "tariff: {periods: [{hours: [17, 24]}]}"},
        [":6:29: 17 h lies inside", "begin at 16.8667 and 17.1167 h", ":6:33: 24 h lies inside",
         "begin at 23.8667 h"],
    ),
    "a shock that puts feed-in above retail": (
        {TARIFF: "tariff: {retail_eur_per_kwh: -0.05, feed_in_eur_per_kwh: -0.1}",
         DISTURBANCE: "  - {kind: price_shock, start: 2016-01-18 10:00, end: 2016-01-18 12:00, "
                      "retail_factor: 5}"},
        [":13:5: disturbance 0: feed-in -0.1 x 1 is above retail -0.05 x 5 EUR/kWh (tariff)",
         "factors above 1 lower negative prices"],
    ),
    "shocks that put feed-in above retail together": (
        {OTHERS: "  others: {policy: passive, tariff: {periods: [{hours: [0, 6], "
                 "retail_eur_per_kwh: 0.1}, {hours: [6, 7], retail_eur_per_kwh: 0.35}]}}",
         DISTURBANCE: "  - {kind: price_shock, start: 2016-01-18 10:00, end: 2016-01-18 12:00, "
                      "retail_factor: 1, feed_in_factor: 1.5}\n"
                      "  - {kind: price_shock, start: 2016-01-18 11:00, end: 2016-01-18 12:00, "
                      "retail_factor: 1, feed_in_factor: 2}"},
        [":13:5: disturbance 0: feed-in 0.1 x 1.5 is above retail 0.1 x 1 EUR/kWh "
         "(groups.others.tariff.periods.0)",
         ":14:5: disturbance 0 and disturbance 1: feed-in 0.1 x 3 is above retail 0.2 x 1 EUR/kWh "
         "(tariff)"],
    ),
    # unknown names
    "a market": (
        {MARKET: "market: unform_price"},
        [":7:9: unknown market 'unform_price'", "did you mean 'uniform_price'?"],
    ),
    "a market with options": (
        {MARKET: "market: {k: 1, kind: unform_price}"},
        [":7:22: unknown market 'unform_price'", "did you mean 'uniform_price'?"],
    ),
    "a market without kind": (
        {MARKET: "market: {k: 1}"}, [":7:9: market must be a name or a mapping with the key 'kind'"]
    ),
    "a policy": (
        {POLICIES: "policies: {rule: self_consumtion, passive: passive}"},
        [":8:18: unknown policy 'self_consumtion'", "did you mean 'self_consumption'?"],
    ),
    "a disturbance": (
        {DISTURBANCE: "  - {kind: pv_colapse, start: 2016-01-18 10:00, end: 2016-01-18 12:00}"},
        [":13:12: unknown disturbance 'pv_colapse'", "did you mean 'pv_collapse'?"],
    ),
    "profiles": (
        {PROFILES: "profiles: simbnch"},
        [":5:11: unknown profiles 'simbnch'", "did you mean 'simbench'?"],
    ),
    "the policy of a group": (
        {OWNERS: "  owners: {members: battery, policy: rul}"},
        [":10:38: group 'owners' names unknown policy 'rul'", "did you mean 'rule'?"],
    ),
    "a kind of members": (
        {OWNERS: "  owners: {members: batery, policy: rule}"},
        [":10:21: groups.owners.members must be 'all', 'battery'", "did you mean 'battery'?"],
    ),
    "a member": (
        {OWNERS: "  owners: {members: [bus_1, bus_99], policy: rule}"},
        [":10:29: group 'owners' names unknown participant 'bus_99'", "did you mean 'bus_9'?"],
    ),
    "the group of a disturbance": (
        {DISTURBANCE: "  - {kind: pv_collapse, groups: [ownrs], start: 2016-01-18 10:00, "
                      "end: 2016-01-18 12:00}"},
        [":13:34: unknown group 'ownrs'", "did you mean 'owners'?"],
    ),
    "the line of an outage": (
        {DISTURBANCE: "  - {kind: line_outage, line: LV1.101 Line 99, start: 2016-01-18 10:00, "
                      "end: 2016-01-18 12:00}"},
        [":13:31: unknown line 'LV1.101 Line 99'", "did you mean 'LV1.101 Line 9'?"],
    ),
    "the line of a rating": (
        {FEEDER: "feeder: {name: 1-LV-rural1--0-sw, line_rating_ka: {LV1.101 Lin 9: 0.2}}"},
        [":4:9: the network has no line 'LV1.101 Lin 9'", "did you mean 'LV1.101 Line 9'?"],
    ),
    "a simbench code": (
        {FEEDER: "feeder: {name: 1-LV-rurl1--0-sw}"},
        [":4:16: unknown simbench code '1-LV-rurl1--0-sw'", "did you mean '1-LV-rural1--0-sw'?"],
    ),
    "a pandapower network": (
        {FEEDER: "feeder: {source: pandapower, name: case33bww}"},
        [":4:36: unknown pandapower network 'case33bww'", "did you mean 'case33bw'?"],
    ),
    "a source of networks": (
        {FEEDER: "feeder: {source: simbnech, name: 1-LV-rural1--0-sw}"},
        [":4:18: feeder.source must be 'simbench'", "did you mean 'simbench'?"],
    ),
    "an engine": (
        {FEEDER: "feeder: {name: 1-LV-rural1--0-sw, engine: tre}"},
        [":4:43: feeder.engine must be 'auto', 'tree' or 'pandapower'", "did you mean 'tree'?"],
    ),
    "a time zone": (
        {TIME: "time: {start: 2016-01-18, days: 1, zone: Europe/Berlln}"},
        [":3:42: unknown time zone 'Europe/Berlln'", "did you mean 'Europe/Berlin'?"],
    ),
    "a KPI": (
        {SEED: "expect: [{kpi: bil_eur, max: 3}]"},
        [":2:16: unknown KPI 'bil_eur'", "did you mean 'bill_eur'?"],
    ),
    "a table to record": (
        {SEED: "record: [buses]"}, [":2:10: unknown table 'buses'", "did you mean 'bus'?"]
    ),
    "keys of variants": (
        {SEED: "variants: {a: {sed: 2}, b: {market: unform_price}}"},
        [":2:16: variant 'a': unknown key 'sed'", "did you mean 'seed'?",
         ":2:37: variant 'b': unknown market 'unform_price'"],
    ),
    # files
    "extends a missing file": (
        {SEED: "extends: nothing.yaml"}, [":2:10: file '", "nothing.yaml' does not exist"]
    ),
    "a missing network file": (
        {FEEDER: "feeder: {source: json, name: net.json}"},
        ["net.json: the network file does not exist", ":4:30"],
    ),
    "missing CSV files": (
        {PROFILES: "profiles: {kind: csv_homes, homes: home.csv, profiles: serie.csv}"},
        ["home.csv: the file does not exist", "did you mean 'homes.csv'?",
         "serie.csv: the file does not exist", "did you mean 'series.csv'?", ":5:11"],
    ),
    "NaN in a CSV profile": (
        {PROFILES: CSV_HOMES}, ["series.csv:4, column 'load_home'", "'nan'", ":5:11"]
    ),
    "a missing CSV column": (
        {PROFILES: CSV_HOMES[:-1] + ", time_column: tme}"},
        ["series.csv:1: the file has no column 'tme'", "did you mean 'time'?"],
    ),
    # times
    "a day that does not exist": (
        {TIME: "time: {start: 2016-02-30, days: 1}"},
        [":3:15: '2016-02-30' is not a time: day is out of range", "write e.g. 2016-01-18"],
    ),
    "an hour that does not exist": (
        {TIME: "time: {start: 2016-01-18 25:00, days: 1}"},
        [":3:15: '2016-01-18 25:00' is not a time: hour must be in 0..23"],
    ),
    "a year of long ago": (
        {DISTURBANCE: "  - {kind: pv_collapse, start: 0001-01-01, end: 9999-12-31 23:30}"},
        [":13:32: '0001-01-01' lies outside the years 1900 to 2199", ":13:49: '9999-12-31 23:30'"],
    ),
    "negative days": (
        {TIME: "time: {start: 2016-01-18, days: -1}"}, [":3:33: time.days must be at least 1"]
    ),
    "an interval that is not allowed": (
        {TIME: "time: {start: 2016-01-18, days: 1, interval_minutes: 20}"},
        [":3:54: time.interval_minutes must be 5, 10, 15, 30 or 60, got 20"],
    ),
    "a lead longer than the interval": (
        {TIME: "time: {start: 2016-01-18, days: 1, gate_lead_seconds: 900}"},
        [":3:55: gate_lead_seconds 900 must be below the interval (900 s)", "shorten the lead"],
    ),
    "a disturbance after the run": (
        {DISTURBANCE: "  - {kind: pv_collapse, start: 2016-01-19 10:00, end: 2016-01-19 12:00}"},
        [":13:32: disturbance 0 (pv_collapse): start 2016-01-19 10:00:00+01:00 lies outside the "
         "run",
         "the run lasts from 2016-01-18 00:00:00+01:00 to 2016-01-19 00:00:00+01:00"],
    ),
    "a disturbance that ends before it starts": (
        {DISTURBANCE: "  - {kind: pv_collapse, start: 2016-01-18 12:00, end: 2016-01-18 10:00}"},
        [":13:55: disturbance 0 (pv_collapse): start 2016-01-18 12:00:00+01:00 must be before end "
         "2016-01-18 10:00:00+01:00", "let it end later"],
    ),
    "a year without data": (
        {TIME: "time: {start: 2017-01-18, days: 1}", 12: "", DISTURBANCE: ""},
        ["the run from 2017-01-18", "leaves the data", "available from 2016-01-01", ":5:11"],
    ),
    # names that would lead elsewhere
    "a name that climbs": ({NAME: "name: ../../etc"}, [":1:7: '../../etc' is not a name"]),
    "a name with a slash": ({NAME: "name: a/b"}, [":1:7: 'a/b' is not a name", "a-z, 0-9"]),
    "a name with NUL": ({NAME: 'name: "a\\0b"'}, [":1:7: invisible character U+0000"]),
    "a name of 300 letters": ({NAME: "name: " + "x" * 300}, [":1:7: 'xxxxxxxx", "1 to 64"]),
    "an emoji": ({NAME: "name: \N{HOUSE BUILDING}"}, [":1:7: ", "is not a name"]),
    "the name of a device": ({NAME: "name: con"}, [":1:7: 'con' cannot name a folder"]),
    "the name of a variant": ({SEED: "variants: {a/b: {seed: 2}}"}, [":2:", "'a/b' is not a name"]),
    # YAML
    "a duplicate key": (
        {SEED: "name: again"}, [":2:1: duplicate key 'name'", "it stands at", "keep one"]
    ),
    "a tag": ({SEED: "seed: !!python/object:os.system 1"}, [":2:7: tag ", "is not allowed"]),
    "an anchor": ({SEED: "seed: &a 1"}, [":2:7: anchor '&a' is not allowed", "delete it"]),
    "an open quote": ({NAME: "name: 'village"}, ["a quote is opened but never closed", ":1:7"]),
    "a tab": ({OWNERS: "\towners: {policy: rule}"}, [":10:1: a tab is used", "with spaces"]),
    # types and shapes
    "text for a number": ({SEED: "seed: abc"}, [":2:7: seed must be a whole number, got 'abc'"]),
    "a list for a mapping": (
        {POLICIES: "policies: [rule]"}, [":8:11: policies must be a mapping, got ['rule']"]
    ),
    "nothing for a section": ({TIME: "time:"}, [":3:6: time must be a mapping, got null"]),
    "states of charge out of order": (
        {OWNERS: "  owners: {members: battery, policy: rule, battery: {soc_min: 0.6}}"},
        [":10:53: soc_min <= soc_initial <= soc_max must hold"],
    ),
    # what only the data show
    "participants in no group": (
        {OTHERS: "  others: {members: consumers, policy: passive}"},
        [":10:3: 4 of 13 participants are in no group", "add a last group with 'members: all'"],
    ),
    "a tree engine on a meshed net": (
        {FEEDER: "feeder: {source: json, name: ring.json, engine: tree}", PROFILES: CSV_HOMES},
        [":4:9: the engine 'tree' cannot solve this network", "form a loop", "engine 'auto'"],
    ),
    "several at once": (
        {NAME: "nmae: village", TARIFF: "tariff: {retail_eur_per_kwh: 200}",
         MARKET: "market: unform_price", OWNERS: "  owners: {members: battery, policy: rul}"},
        [":1:1: unknown key 'nmae'", ":6:30: tariff.retail", ":7:9: unknown market",
         ":10:38: group 'owners' names unknown policy 'rul'"],
    ),
    "several in the data": (
        {FEEDER: "feeder: {name: 1-LV-rurl1--0-sw}", PROFILES: CSV_HOMES,
         SEED: "record: [buses]"},
        [":2:10: unknown table 'buses'", ":4:16: unknown simbench code", "series.csv:4"],
    ),
}  # fmt: skip

Files = Callable[[Edits], Path]


@pytest.fixture(scope="module")
def ring() -> str:
    """Return a net whose three lines form a ring."""
    import pandapower as pp

    net = pp.create_empty_network()
    buses = [pp.create_bus(net, vn_kv=0.4, name=f"bus {i}") for i in range(3)]
    pp.create_ext_grid(net, buses[0])
    for i in range(3):
        pp.create_line(net, buses[i], buses[i - 1], 0.1, "NAYY 4x150 SE", name=f"line {i}")
    return str(pp.to_json(net))


@pytest.fixture
def files(tmp_path: Path, ring: str) -> Files:
    """Return a function that writes a wrong scenario and the files it may name."""

    def write(edits: Edits) -> Path:
        (tmp_path / "homes.csv").write_text(HOMES)
        (tmp_path / "ring.json").write_text(ring)
        (tmp_path / "series.csv").write_text(series("nan"))
        path = tmp_path / "wrong.yaml"
        path.write_text(edited(edits), encoding="utf-8")
        return path

    return write


def present(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def check_message(message: str, fragments: list[str]) -> None:
    for fragment in fragments:
        assert fragment in message
    assert "Traceback" not in message
    assert "internal error" not in message
    lines = message.splitlines()
    assert len(lines) == len(set(lines)) or all(line.startswith("    ") for line in lines if
                                                lines.count(line) > 1)  # fmt: skip
    assert max(len(line) for line in lines) < 1000


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_scenario_is_refused_with_one_message(
    name: str, files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edits, fragments = WRONG[name]
    path = files(edits)
    before = present(tmp_path)
    code = main(["run", str(path), "--out", str(tmp_path / "outputs"), "--quiet"])
    out, err = capsys.readouterr()
    check_message(err, fragments)
    assert (code, out) == (2, "")
    assert present(tmp_path) == before


@pytest.mark.parametrize(
    ("overrides", "fragments"),
    [
        (["market.kk=1"], ["--set market.kk=1: unknown key 'kk'", "did you mean 'k'?"]),
        (["seed.x=1"], ["--set seed.x=1: 'seed' is 1 and has no key 'x'"]),
        (["market={kind: uniform_price, kk: 1}"], ["unknown key 'kk'", "did you mean 'k'?"]),
        (["tariff.retail_eur_per_kwh=200"], ["--set tariff.retail_eur_per_kwh=200: ", "at most 5"]),
        (["seed=x", "time.days=0"], ["--set seed=x: seed must be", "--set time.days=0: time.days"]),
        (["seed"], ["--set seed: this is not an override", "write key.path=value"]),
        (["market=null"], ["missing key 'market'"]),
    ],
)
def test_wrong_overrides(
    overrides: list[str], fragments: list[str], files: Files, capsys: Any, tmp_path: Path
) -> None:
    words = [word for text in overrides for word in ("--set", text)]
    code = main(["run", str(files({})), "--out", str(tmp_path / "outputs"), *words])
    check_message(capsys.readouterr().err, fragments)
    assert code == 2
    assert not (tmp_path / "outputs").exists()


BROKEN_POLICY = """
from cosim.policy import Policy

class Broken(Policy):
    features = ("sock",)

    def act(self, observations, context, memory):
        return observations, memory
"""


@pytest.mark.parametrize("verb", ["run", "check"])
def test_a_plug_in_that_asks_for_an_unknown_feature(
    verb: str, files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mine" / "policies"
    folder.mkdir(parents=True)
    (folder / f"wrong_feature_{verb}.py").write_text(BROKEN_POLICY)
    path = files({POLICIES: f"policies: {{rule: passive, passive: wrong_feature_{verb}}}"})
    out = ["--out", str(tmp_path / "outputs")] if verb == "run" else []
    code = main([verb, str(path), "--plugins", str(tmp_path / "mine"), *out])
    (folder / f"wrong_feature_{verb}.py").unlink()
    err = capsys.readouterr().err
    message = f"policy 'wrong_feature_{verb}' asks for the unknown feature 'sock'"
    check_message(err, [":8:36: ", message, "did you mean 'soc'?"])
    assert code == 2
    assert not (tmp_path / "outputs").exists()


def test_the_scenario_knows_the_engines_of_the_feeder() -> None:
    from cosim.feeder.settings import ENGINES
    from cosim.sections import FeederSection

    assert get_args(FeederSection.model_fields["engine"].annotation) == ENGINES


def test_check_names_the_problems_of_all_its_scenarios(
    files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = files({SEED: "seed: x"})
    second = tmp_path / "other.yaml"
    second.write_text(edited({MARKET: "market: unform_price"}))
    assert main(["check", str(first), str(second), str(tmp_path / "third.yaml")]) == 2
    err = capsys.readouterr().err
    check_message(err, ["wrong.yaml:2:7: seed", "other.yaml:7:9: unknown market", "third.yaml"])


@pytest.mark.parametrize("name", ["a key of the root", "a name that climbs", "a year without data"])
def test_as_a_process(name: str, files: Files, tmp_path: Path) -> None:
    edits, fragments = WRONG[name]
    path = files(edits)
    before = present(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "cosim", "run", path.name, "--out", "outputs"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    check_message(done.stderr, fragments)
    assert (done.returncode, done.stdout) == (2, "")
    assert present(tmp_path) == before
