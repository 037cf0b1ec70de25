"""One layer over another: plain names and their options, null, and files beside who names them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cosim.case import load_case
from cosim.document import read_document
from cosim.errors import InputError
from cosim.overlay import merge
from cosim.scenario import LoadedScenario, load_scenario
from cosim.yaml_nodes import Node, Position, parse_mapping

SHIPPED = Path(__file__).resolve().parents[1]
BASE = """\
name: base
time: {start: 2016-07-18, days: 1, interval_minutes: 30}
feeder: {source: pandapower, name: four_loads_with_branches_out}
profiles: {kind: csv_homes, homes: homes.csv, profiles: series.csv}
market: uniform_price
policies: {rule: self_consumption, passive: passive}
groups: {all: {policy: rule}}
disturbances:
  - {kind: pv_collapse, start: 2016-07-18 10:00, end: 2016-07-18 12:00}
"""
Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes a file below the test's folder."""

    def write_file(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write_file


def nodes(text: str) -> Node:
    found = parse_mapping(text, "s", [])
    assert found is not None
    return found


def plain(node: Node) -> Any:
    if isinstance(node.value, dict):
        return {name: plain(below) for name, below in node.value.items()}
    return [plain(item) for item in node.value] if isinstance(node.value, list) else node.value


# ---------------------------------------------------------------- plain names


@pytest.mark.parametrize(
    ("base", "child", "merged"),
    [
        ("market: a", "market: {k: 1}", {"market": {"kind": "a", "k": 1}}),
        ("market: a", "market: {kind: a, k: 1}", {"market": {"kind": "a", "k": 1}}),
        ("market: a", "market: {kind: b, k: 1}", {"market": {"kind": "b", "k": 1}}),
        ("market: {kind: a, k: 1}", "market: a", {"market": "a"}),
        ("profiles: a", "profiles: {k: 1}", {"profiles": {"kind": "a", "k": 1}}),
        ("policies: {x: a}", "policies: {x: {k: 1}}", {"policies": {"x": {"kind": "a", "k": 1}}}),
        (
            "variants: {v: {market: a}}",
            "variants: {v: {market: {k: 1}}}",
            {"variants": {"v": {"market": {"kind": "a", "k": 1}}}},
        ),
        # names of other things
        ("name: a", "name: {k: 1}", {"name": {"k": 1}}),
        ("policies: a", "policies: {k: b}", {"policies": {"k": "b"}}),
        ("groups: {g: a}", "groups: {g: {k: 1}}", {"groups": {"g": {"k": 1}}}),
    ],
)
def test_options_laid_over_the_name_of_a_plug_in(
    base: str, child: str, merged: dict[str, Any]
) -> None:
    assert plain(merge(nodes(base), nodes(child))) == merged


def test_the_name_keeps_its_place_beside_new_options() -> None:
    merged = merge(nodes("market: a"), nodes("\nmarket: {k: 1}")).value["market"]
    assert merged.value["kind"].position == Position("s", 1, 9)
    assert merged.value["k"].position == Position("s", 2, 13)


@pytest.mark.parametrize(
    ("override", "key", "expected"),
    [
        ("market.k=0.3", "market", {"kind": "uniform_price", "k": 0.3}),
        ("market={k: 0.3}", "market", {"kind": "uniform_price", "k": 0.3}),
        ("market.kind=none", "market", {"kind": "none"}),
        ("policies.rule.x=1", "policies", {"rule": {"kind": "self_consumption", "x": 1},
                                           "passive": "passive"}),
        ("disturbances.0={kind: supply_outage, end: x}", "disturbances",
         [{"kind": "supply_outage", "end": "x"}]),
    ],
)  # fmt: skip
def test_options_are_set_on_the_name_of_a_plug_in(
    override: str, key: str, expected: Any, write: Write
) -> None:
    assert read_document(write("s.yaml", BASE), [override]).tree[key] == expected


def test_a_simbench_home_without_its_battery() -> None:
    winter = SHIPPED / "scenarios" / "plain_winter_day.yaml"
    loaded = load_scenario(winter, ["profiles.battery=false", "market.k=0.3"])
    assert loaded.scenario.profiles.model_dump()["battery"] is False
    assert loaded.scenario.market.model_dump()["k"] == 0.3


# ---------------------------------------------------------------- null


@pytest.mark.parametrize(
    ("base", "child", "merged"),
    [
        ("a: 1", "b: null", {"a": 1}),
        ("a: {b: 1}", "a: {c: null}", {"a": {"b": 1}}),
        ("a: 1", "b: {c: null, d: 1}", {"a": 1, "b": {"d": 1}}),
        ("a: 1", "a: {c: null}", {"a": {}}),
        ("market: {kind: a, k: 1}", "market: {kind: b, k: null}", {"market": {"kind": "b"}}),
        # inside a variant null is for the scenario that it will be laid over
        ("a: 1", "variants: {v: {a: null}}", {"a": 1, "variants": {"v": {"a": None}}}),
        ("variants: {v: {b: 1}}", "variants: {v: {a: null, b: null}}",
         {"variants": {"v": {"a": None}}}),
        ("variants: {v: {b: 1}}", "variants: {v: null, w: null}", {"variants": {}}),
    ],
)  # fmt: skip
def test_null_removes_a_key_and_nothing_else(base: str, child: str, merged: dict[str, Any]) -> None:
    assert plain(merge(nodes(base), nodes(child))) == merged


@pytest.mark.parametrize(
    "override", ["record=null", "tariff.periods=null", "groups.none.policy=null", "market.k=null"]
)
def test_null_for_what_is_not_there_is_ignored(override: str, write: Write) -> None:
    path = write("s.yaml", BASE)
    assert load_scenario(path, [override]).scenario == load_scenario(path).scenario
    name, _, _ = override.partition("=")
    child = f"extends: s.yaml\n{name.split('.')[0]}: "
    for step in name.split(".")[1:]:
        child += f"{{{step}: "
    closed = child + "null" + "}" * name.count(".") + "\n"
    if "none" not in name:  # which would make a group
        assert load_scenario(write("c.yaml", closed)).scenario == load_scenario(path).scenario


def test_a_variant_of_a_child_removes_what_the_scenario_has(write: Write) -> None:
    write("base.yaml", BASE + "variants: {calm: {trade_limit: none}}\n")
    child = write("child.yaml", "extends: base.yaml\nvariants: {calm: {disturbances: null}}\n")
    calm = load_scenario(child).variant("calm").scenario
    assert (calm.trade_limit, calm.disturbances) == ("none", ())


# ---------------------------------------------------------------- files


@pytest.fixture
def studies(tmp_path: Path, village: Any, write: Write) -> Path:
    """Return a folder with a base in ``base``, its files, and an empty folder ``own``."""
    for name in ("homes.csv", "series.csv"):
        (tmp_path / "base").mkdir(exist_ok=True)
        shutil.copy(village.folder / name, tmp_path / "base" / name)
    write("base/co2.csv", "time,value\n" + "".join(
        f"2016-07-{17 + (22 + h) // 24}T{(22 + h) % 24:02}:00Z,0.3\n" for h in range(26)
    ))  # fmt: skip
    write("base/base.yaml", BASE + "co2: {series: {format: plain, file: co2.csv, unit: kg/kWh}}\n")
    (tmp_path / "own").mkdir()
    return tmp_path


def files(loaded: LoadedScenario) -> list[str]:
    return [name for name, _ in load_case(loaded).files]


def test_files_are_looked_for_beside_the_file_that_names_them(studies: Path, write: Write) -> None:
    child = write("own/child.yaml", "extends: ../base/base.yaml\nname: child\n")
    case = load_case(load_scenario(child))
    names = [str(Path("..", "base", name)) for name in ("homes.csv", "series.csv", "co2.csv")]
    assert [name for name, _ in case.files][2:] == names
    assert (case.profiles.co2_kg_per_kwh == 0.3).all()


def test_a_child_may_name_one_of_the_files_itself(studies: Path, write: Write) -> None:
    table = (studies / "base" / "homes.csv").read_text().replace("a,bus3,4", "a,bus3,9")
    write("own/homes.csv", table)
    child = write("own/child.yaml", "extends: ../base/base.yaml\nprofiles: {homes: homes.csv}\n")
    case = load_case(load_scenario(child))
    assert [name for name, _ in case.files][2:4] == ["homes.csv", "../base/series.csv"]
    assert case.population.pv_kwp[0] == 9.0


def test_an_override_names_files_beside_the_scenario_that_is_run(
    studies: Path, write: Write
) -> None:
    shutil.copy(studies / "base" / "homes.csv", studies / "own" / "others.csv")
    child = write("own/child.yaml", "extends: ../base/base.yaml\n")
    assert "others.csv" in files(load_scenario(child, ["profiles.homes=others.csv"]))


def test_a_file_that_is_missing_is_not_taken_from_another_folder(
    studies: Path, write: Write
) -> None:
    shutil.move(studies / "base" / "homes.csv", studies / "own" / "homes.csv")
    child = write("own/child.yaml", "extends: ../base/base.yaml\n")
    with pytest.raises(InputError, match=r"base/homes.csv: the file does not exist") as caught:
        load_case(load_scenario(child))
    assert f"read for {studies / 'own' / '..' / 'base' / 'base.yaml'}:4:11" in str(caught.value)


def test_files_of_a_variant_are_beside_the_file_that_holds_it(studies: Path, write: Write) -> None:
    variant = "variants: {clean: {co2: {series: {format: plain, file: clean.csv, unit: kg/kWh}}}}\n"
    write("base/base.yaml", BASE + variant)
    text = (studies / "base" / "co2.csv").read_text().replace("0.3", "0.1")
    write("base/clean.csv", text)
    child = load_scenario(write("own/child.yaml", "extends: ../base/base.yaml\n"))
    assert load_case(child.variant("clean")).profiles.co2_kg_per_kwh.max() == 0.1


def test_a_network_is_beside_the_file_that_names_it(studies: Path, write: Write) -> None:
    import pandapower as pp

    net = pp.create_empty_network()
    grid = pp.create_bus(net, 20.0, name="grid")
    buses = [pp.create_bus(net, 0.4, name=f"bus{3 + i}") for i in range(8)]
    pp.create_ext_grid(net, grid)
    pp.create_transformer(net, grid, buses[0], "0.25 MVA 20/0.4 kV", name="trafo")
    for one, other in pairwise(buses):
        pp.create_line(net, one, other, 0.05, "NAYY 4x150 SE", name=f"line {other}")
    pp.to_json(net, str(studies / "base" / "net.json"))
    feeder = "feeder: {source: json, name: net.json}"
    write("base/base.yaml", BASE.replace(BASE.splitlines()[2], feeder))
    child = write("own/child.yaml", "extends: ../base/base.yaml\n")
    assert len(load_case(load_scenario(child)).network.buses) == 9


def test_a_bundle_is_beside_the_file_that_names_it_or_comes_with_the_program(
    studies: Path, write: Write
) -> None:
    policies = "policies: {rule: {kind: onnx, bundle: %s}, passive: passive}"
    mine = BASE.replace("policies: {rule: self_consumption, passive: passive}", policies)
    shutil.copytree(SHIPPED / "agents/trained/shared_ppo", studies / "base" / "mine")
    card = studies / "base" / "mine" / "card.json"
    step_s = json.loads(card.read_text())["timing"]["interval_s"]
    mine = mine.replace("interval_minutes: 30", f"interval_minutes: {step_s // 60}")
    child = write("own/child.yaml", "extends: ../base/base.yaml\n")
    for name in ("mine", "shared_ppo"):
        write("base/base.yaml", mine % name)
        assert any(Path(file).name == "model.onnx" for file in files(load_scenario(child))), name


def test_the_scenario_an_effect_is_held_against_is_beside_its_file(
    studies: Path, write: Write
) -> None:
    effect = "effects: [{kpi: bill_eur, direction: up, at_least: 1, against: calm.yaml}]\n"
    write("base/base.yaml", BASE + effect)
    child = write("own/child.yaml", "extends: ../base/base.yaml\n")
    with pytest.raises(InputError, match=r"no scenario 'calm.yaml'"):
        load_scenario(child)
    write("base/calm.yaml", BASE)
    load_scenario(child)


# ---------------------------------------------------------------- batteries of groups


@pytest.mark.parametrize(
    ("battery", "rating", "efficiency"),
    [
        ({}, 4.0, 0.90),
        ({"rating_kw": 3.0}, 3.0, 0.90),
        ({"efficiency": 0.8}, 4.0, 0.8),
    ],
)
def test_a_battery_given_to_a_home_without_one_works(
    battery: dict[str, float], rating: float, efficiency: float, village: Any
) -> None:
    """Homes e and j have none in the data; the others keep what is their own."""
    groups = {
        "new": {"members": ["a", "e"], "policy": "rule", "battery": {"capacity_kwh": 8} | battery},
        "others": {"policy": "passive"},
    }
    given, plain_village = village.case(groups=groups).population, village.case().population
    assert given.capacity_kwh[[0, 4]].tolist() == [8.0, 8.0]
    assert (given.rating_kw[4], given.efficiency[4]) == (rating, efficiency)
    assert given.rating_kw[0] == battery.get("rating_kw", plain_village.rating_kw[0])
    assert given.efficiency[0] == battery.get("efficiency", plain_village.efficiency[0])
    for name in ("capacity_kwh", "rating_kw", "efficiency"):
        rest = [getattr(each, name)[5:] for each in (given, plain_village)]
        np.testing.assert_array_equal(*rest)
    scaled = village.case(groups=groups, scale={"battery": 2.0}).population
    assert (scaled.capacity_kwh[4], scaled.rating_kw[4]) == (16.0, 2 * rating)
