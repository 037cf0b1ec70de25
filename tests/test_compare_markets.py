"""Several markets on one scenario: identical draws, the figures of single runs, refusals."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cosim import plugins
from cosim.__main__ import main
from cosim.case import Case, load_case
from cosim.errors import InputError
from cosim.glossary import KPIS
from cosim.record import MemoryRecorder, RunSummary
from cosim.report.compare import _bars
from cosim.scenario import load_scenario
from cosim.simulation import Simulation
from cosim.verbs import _comparison
from cosim.verbs._comparison import FIGURES, cases_of, chosen

Captured = pytest.CaptureFixture[str]
#: what a market has no part in; travel times of orders are drawn
GIVEN = ("load_kwh", "pv_kwh", "net_kwh", "orders_late_or_lost", "interventions")


def simulated(case: Case) -> RunSummary:
    recorder = MemoryRecorder(case)
    return recorder.finish(Simulation(case, recorder).run(), {})


@pytest.fixture(scope="module")
def scenario(village: Any) -> Path:
    """Return a scenario with draws of every kind: members, policies, latency."""
    path: Path = village.write(
        market={"kind": "uniform_price", "k": 0.2},
        latency={"min_s": 0, "max_s": 90},
        groups={
            "owners": {"members": "battery", "share": 0.5, "policy": "rule"},
            "wild": {"members": "battery", "policy": "random"},
            "others": {"members": "all", "policy": "passive"},
        },
    )
    return path


def test_draws_are_identical_under_every_market(scenario: Path) -> None:
    cases = cases_of(str(scenario), [], None)
    assert list(cases) == plugins.names("market")
    facts = {name: simulated(case).facts for name, case in cases.items()}
    first = facts["none"]
    assert first.interval["orders_late_or_lost"].any() and first.interval["interventions"].any()
    for name in cases:
        assert cases[name].population.groups == cases["none"].population.groups
        for column in GIVEN:
            assert np.array_equal(facts[name].interval[column], first.interval[column]), name
    traded = {facts[name].interval["volume_kwh"].sum() for name in cases}
    assert len(traded) > 1


def rows_of(folder: Path) -> dict[str, dict[str, str]]:
    (path,) = folder.glob("village/compare-markets-*/compare.csv")
    with path.open(newline="") as stream:
        return {row.pop("market"): row for row in csv.DictReader(stream)}


def test_the_figures_are_those_of_single_runs(
    scenario: Path, tmp_path: Path, capsys: Captured
) -> None:
    markets = "none, uniform_price, order_book, {kind: liquidity_pool, spread_eur_per_kwh: 0.03}"
    words = ["--markets", markets, "--seed", "3", "--set", "scale.pv=1.5"]
    assert main(["compare-markets", str(scenario), *words, "--out", str(tmp_path)]) == 0
    rows, out = rows_of(tmp_path), capsys.readouterr().out
    options = {
        "none": '"none"',
        "uniform_price": "{kind: uniform_price, k: 0.2}",  # as the scenario has it
        "order_book": '"order_book"',
        "liquidity_pool spread_eur_per_kwh=0.03": json.dumps(
            {"kind": "liquidity_pool", "spread_eur_per_kwh": 0.03}
        ),
    }
    assert list(rows) == list(options)
    for name, market in options.items():
        changes = [f"market={market}", "seed=3", "scale.pv=1.5"]
        single = simulated(load_case(load_scenario(scenario, changes)))
        for figure in FIGURES:
            text, value = rows[name][figure], single.kpis[figure]
            assert text == ("" if math.isnan(value) else repr(value)), (name, figure)
        assert name.split()[0] in out
    assert float(rows["liquidity_pool spread_eur_per_kwh=0.03"]["operator_surplus_eur"]) > 0.0


def test_one_table_and_two_files_come_out(scenario: Path, tmp_path: Path, capsys: Captured) -> None:
    words = ["compare-markets", str(scenario), "--out", str(tmp_path), "--markets"]
    assert main([*words, "none,pay_as_bid"]) == 0
    first = capsys.readouterr().out
    for label in FIGURES.values():
        assert sum(label.strip() in line for line in first.splitlines()) >= 1
    paths = [Path(line) for line in first.splitlines()[-2:]]
    assert [path.name for path in paths] == ["compare.csv", "compare.png"]
    assert paths[1].read_bytes().startswith(b"\x89PNG")
    assert main([*words, "none", "--quiet"]) == 0
    again = capsys.readouterr().out.splitlines()
    assert len(again) == 2 and Path(again[0]).parent != paths[0].parent
    assert {path.name for path in paths[0].parent.iterdir()} == {"compare.csv", "compare.png"}


def test_the_picture_shows_what_the_operator_keeps() -> None:
    """Bars of savings, and beside them what is kept, at their end or against them."""
    from matplotlib.figure import Figure

    kpis = {
        name: {"savings_eur": saved, "operator_surplus_eur": kept}
        for name, saved, kept in (
            ("all", 3.0, 0.0), ("part", 2.0, 1.0), ("lost", -0.5, 1.5), ("paid", 4.0, -1.0),
        )
    }  # fmt: skip
    axes = Figure().subplots()
    _bars(axes, "savings_eur", kpis)
    saved, kept = axes.containers
    assert [bar.get_width() for bar in saved] == [3.0, 2.0, -0.5, 4.0]
    assert [(bar.get_x(), bar.get_width()) for bar in kept] == [
        (3.0, 0.0), (2.0, 1.0), (0.0, 1.5), (0.0, -1.0),
    ]  # fmt: skip
    assert [text.get_text() for text in axes.texts] == [
        "3.00", "2.00 + 1.00", "-0.50 + 1.50", "4.00 - 1.00",
    ]  # fmt: skip
    assert "kept by the operator" in axes.get_xlabel()
    assert axes.get_xlim()[1] > 4.5, "room for the labels"


def test_lines_are_key_figures() -> None:
    assert set(FIGURES) <= set(KPIS)


def test_labels_tell_markets_of_one_kind_apart() -> None:
    text = "none, {kind: uniform_price, k: 0.2}, {kind: bilateral, partners: [[a, b]]}"
    assert list(chosen(text)) == [
        "none", "uniform_price k=0.2", 'bilateral partners=[["a", "b"]]',
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "fragments"),
    [
        ("uniform, order_bok", ["--markets: unknown market 'uniform'", "did you mean",
                                "unknown market 'order_bok'", "'order_book'?"]),
        ("none,none", ["--markets: 'none' stands twice"]),
        ("", ["--markets: no market"]),
        ("3", ["3 is no market", "{kind: NAME, option: value}"]),
        ("{k: 0.2}", ["is no market"]),
        ("[none]", ["is no market"]),
        ("none]", ["--markets"]),
        ("{kind: none", ["--markets"]),
        ("none,,order_book", ["--markets"]),
        ("{kind: uniform_price, k: 7}", ["market.k must be at most 1, got 7"]),
        ("{kind: uniform_price, kk: 1}", ["unknown key 'kk'", "did you mean 'k'?"]),
        ("none, {kind: bilateral, partners: [[a, qq]]}", ["unknown participant 'qq'"]),
        ("{kind: bilateral, partners: [[a, qq]]}, none", ["unknown participant 'qq'"]),
        ("\x1b[31m", ["--markets"]),
    ],
)  # fmt: skip
def test_wrong_markets_are_refused(
    scenario: Path, tmp_path: Path, capsys: Captured, text: str, fragments: list[str]
) -> None:
    words = ["compare-markets", str(scenario), "--out", str(tmp_path / "new")]
    assert main([*words, "--markets", text]) == 2
    out, err = capsys.readouterr()
    assert out == "" and "\x1b" not in err and "Traceback" not in err
    for fragment in fragments:
        assert fragment in err
    assert not (tmp_path / "new").exists()


def test_a_mistake_of_the_scenario_is_said_once(scenario: Path) -> None:
    with pytest.raises(InputError) as refused:
        cases_of(str(scenario), ["time.days=0"], None)
    assert len(refused.value.problems) == 1


def test_a_run_that_fails_leaves_no_folder(
    scenario: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*given: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(_comparison, "_simulated", stopped)
    words = ["compare-markets", str(scenario), "--out", str(tmp_path), "--quiet"]
    assert main(words) == 130
    assert not list((tmp_path / "village").iterdir())
