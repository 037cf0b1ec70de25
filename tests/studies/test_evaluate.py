"""Evaluation: paired, whatever the number of processes; figures by other paths; refusals."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.onnx import TRAINED
from cosim import plugins
from cosim.__main__ import main
from cosim.bundle.card import Evaluation
from cosim.bundle.load import load_bundle
from cosim.case import Case, load_case
from cosim.episode import Episode, lived
from cosim.errors import InputError, PluginError, RunError
from cosim.feeder.limits import Limits
from cosim.optimum.grid import TOLERANCE_PERCENT, excess_percent
from cosim.optimum.plan import optimum
from cosim.optimum.replay import replayed
from cosim.optimum.world import charged_world
from cosim.policy import Policy
from cosim.record import MemoryRecorder
from cosim.scenario import load_scenario
from cosim.simulation import Simulation
from cosim.studies.foresight import foresight
from cosim.studies.matrix import FORESIGHT, LIMITED, Job, Matrix, run_matrix
from cosim.studies.outcome import MEASURES
from cosim.studies.trials import Entrant, Trial, drawn_case, seat_of, seated
from cosim.studies.verdict import RULE, findings, least_gap
from cosim.training.days import EVERY_DAY, Kind, kinds
from cosim.verbs import _verdicts
from cosim.verbs._entrants import BASELINES, baselines
from cosim.verbs._evaluation import _periods
from cosim.verbs._verdict_card import evaluation
from cosim.verbs._verdict_files import as_json

Captured = pytest.CaptureFixture[str]
FIRSTS, SEEDS = (0, 1, 2, 3, 4, 5), (3, 4)


@pytest.fixture(scope="module")
def path(village: Any, days_of_village: dict[str, Any]) -> Path:
    found: Path = village.write(**days_of_village)
    return found


@pytest.fixture(scope="module")
def case(village: Any, days_of_village: dict[str, Any]) -> Case:
    return village.case(**days_of_village)


def entrants(case: Case, names: str) -> tuple[Entrant, ...]:
    listed = baselines(case, names, ())
    return tuple(replace(each, candidate=each.name == "truthful") for each in listed)


@pytest.fixture(scope="module")
def matrix(case: Case) -> Matrix:
    names = "truthful,random,time_of_use,no_peer_to_peer,model_predictive"
    return run_matrix(Job(case, "rule", entrants(case, names), FIRSTS, 1, SEEDS))


def test_the_number_of_processes_changes_nothing(case: Case, matrix: Matrix) -> None:
    job = replace(matrix.job, firsts=FIRSTS[1:4])
    told: list[int] = []
    again = run_matrix(job, 2, told.append)
    assert told == list(range(1, 7))
    for name in ("figures", "foresight"):
        whole = getattr(matrix, name)
        part = whole[:, 1:4] if name == "figures" else whole[1:4]
        assert np.array_equal(getattr(again, name), part)


class Fatal(Policy):
    """Ends its process, or fails."""

    silently: bool = True

    def act(self, observations: Any, context: Any, memory: Any) -> Any:
        if self.silently:
            os._exit(1)
        raise ValueError("no")


def test_what_fails_in_a_worker_is_said(case: Case, matrix: Matrix) -> None:
    def failing(silently: bool) -> Job:
        return replace(matrix.job, entrants=(Entrant("it", Fatal(silently=silently)),))

    with pytest.raises(RunError, match="worker process has died"):
        run_matrix(failing(True), 2)
    with pytest.raises(PluginError, match=r"policy 'rule' \(.*failed in interval 0: ValueError"):
        run_matrix(failing(False), 2)


def test_figures_are_the_key_figures_of_the_run(case: Case, matrix: Matrix) -> None:
    same = ("traded_kwh", "undeliverable_kwh", "co2_kg", "interventions", "intervention_kwh",
            "request_breaches", "losses_kwh", "import_kwh")  # fmt: skip
    for entrant in matrix.job.entrants:
        run = seated(drawn_case(case, Trial(2, 1, 4)), "rule", entrant)
        recorder = MemoryRecorder(run)
        kpis = recorder.finish(Simulation(run, recorder).run(), {}).kpis
        for name in same:
            assert matrix.of(entrant.name, name)[2, 1] == pytest.approx(kpis[name], rel=1e-12)


def test_everybody_meets_the_same_world(matrix: Matrix) -> None:
    """Who shares all decisions shares all figures; a seed fills batteries and draws decisions."""
    twice = Entrant("again", matrix.job.entrants[1].policy)
    job = replace(matrix.job, entrants=(*matrix.job.entrants[:3], twice), foresight=False,
                  firsts=FIRSTS[:2])  # fmt: skip
    found = run_matrix(job)
    assert np.array_equal(found.figures[3], found.figures[1])
    assert np.array_equal(found.figures[:3], matrix.figures[:3, :2])
    costs = matrix.of("truthful", "community_eur")
    assert len(np.unique(costs)) == costs.size


def test_pairing_takes_most_of_the_spread_away(matrix: Matrix) -> None:
    one, other = (matrix.of(name, "community_eur") for name in ("truthful", RULE))
    assert (one - other).std() < 0.5 * one.std()


def test_the_plan_of_the_programme_costs_the_same_when_run(case: Case, matrix: Matrix) -> None:
    column = matrix.foreseen
    assert column("replayed_eur") == pytest.approx(column("together_eur"), abs=1e-6)
    assert (column("together_bound_eur") <= column("together_eur") + 1e-9).all()
    assert (column("together_eur") <= column("alone_eur") + 1e-6).all()
    for each in matrix.job.entrants:
        assert (matrix.of(each.name, "community_eur") >= column("together_bound_eur") - 1e-6).all()
    alone = matrix.of("no_peer_to_peer", "community_eur")
    assert (alone >= column("alone_bound_eur") - 1e-6).all()
    assert foresight(drawn_case(case, Trial(1, 2, 3)), 2).together_eur > 0.0


def test_charges_on_drawn_energy_keep_the_bound(village: Any, days_of_village: Any) -> None:
    charges = {"network_eur_per_kwh": 0.08, "demand_eur_per_kw_month": 4.0}
    tariff = {"retail_eur_per_kwh": 0.25, "feed_in_eur_per_kwh": 0.06, **charges}
    charged = village.case(**days_of_village, tariff=tariff)
    job = Job(charged, "rule", entrants(charged, "truthful"), (0, 3), 1, (1,))
    found = run_matrix(job)
    for each in job.entrants:
        gap = found.of(each.name, "community_eur") - found.foreseen("together_bound_eur")
        assert (gap > -1e-6).all()
    assert (found.foreseen("replayed_eur") >= found.foreseen("together_eur") - 1e-6).all()
    assert any("the demand charge" in note for note in findings(found).notes)


@pytest.fixture(scope="module")
def tight(case: Case) -> Case:
    """The village with lines that perfect foresight would overload, and idle batteries, too."""
    cut = drawn_case(case, Trial(1, 1, 3))
    plan = optimum(cut, world=charged_world(cut)).battery_kw
    net = cut.profiles.load_kw - cut.profiles.pv_kw
    lines = slice(2 * len(cut.network.buses), 2 * len(cut.network.buses) + len(cut.network.lines))
    highest = [100.0 + excess_percent(cut, x, Limits())[:, lines].max() for x in (net, net + plan)]
    limit = 0.6 * min(highest)
    return replace(case, limits=Limits(line_percent=limit))


def test_perfect_foresight_within_limits(tight: Case) -> None:
    """Dearer than without; the co-simulation of its plan keeps what the plan of no limits breaks.

    Losses and voltages of the load flow are those of the plan, so only the tolerance is left.
    """
    job = Job(tight, "rule", entrants(tight, RULE), (1,), 1, (3,), limits=True)
    found = run_matrix(job)
    assert found.foresight.shape[-1] == len(FORESIGHT) + len(LIMITED)
    cost, bound, gap, excess = (float(found.foreseen(name)[0, 0]) for name in LIMITED)
    free = float(found.foreseen("together_eur")[0, 0])
    assert free + 1e-3 < bound <= cost + 1e-9 and abs(gap) < 1e-6
    assert excess <= TOLERANCE_PERCENT

    cut = drawn_case(tight, Trial(1, 1, 3))
    world, most = charged_world(cut), tight.limits.line_percent
    within = optimum(cut, world=world, limits=cut.limits)
    highest = []
    for plan in (within, optimum(cut, world=world)):
        run = replayed(cut, plan.battery_kw)
        recorder = MemoryRecorder(run)
        facts = recorder.finish(Simulation(run, recorder).run(), {}).facts
        highest.append(float(np.nanmax(facts.interval["line_max_percent"])))
    assert highest[0] <= most + TOLERANCE_PERCENT < highest[1]
    seen = findings(found).foresight
    assert seen["limited_eur"] == cost and seen["limited_trials_in_breach"] == 0.0
    assert seen["limited_gap"] == gap and seen["limited_excess_percent"] == excess
    outage = {
        "start": "2016-07-18 06:00",
        "end": "2016-07-18 09:00",
        "line": tight.network.lines[0],
    }
    opened = plugins.load("disturbance", "line_outage").model_validate(outage)
    scenario = tight.scenario.model_copy(update={"disturbances": (opened,)})
    disturbed = replace(tight, loaded=replace(tight.loaded, scenario=scenario))
    for case_, count in ((tight, 0), (disturbed, 1)):
        notes = findings(replace(found, job=replace(job, case=case_))).notes
        assert sum("all lines closed" in note for note in notes) == count


def test_limits_that_nobody_can_keep_are_said(
    tight: Case, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setattr("cosim.optimum.linear.TIME_LIMIT_S", 0.5)
    hopeless = replace(tight, limits=Limits(line_percent=3.0))
    found = run_matrix(Job(hopeless, "rule", entrants(hopeless, RULE), (1,), 1, (3,), limits=True))
    assert np.isnan(found.foreseen("limited_bound_eur")).all()
    told = findings(found)
    assert told.foresight["limited_trials_in_breach"] == 1.0
    _verdicts.show(found, told, {})
    assert "in 1 of 1 trial no plan keeps them, up to" in capsys.readouterr().out
    assert as_json(found, told, {})["foresight"]["limited_bound_eur"] is None


def test_verdicts_by_hand(matrix: Matrix) -> None:
    found = findings(matrix)
    cost = {each.name: matrix.of(each.name, "community_eur").mean() for each in
            matrix.job.entrants}  # fmt: skip
    best = matrix.foreseen("together_bound_eur").mean()
    for each in found.verdicts:
        assert each.cost.value == pytest.approx(cost[each.name])
        assert each.cost.low <= each.cost.value <= each.cost.high
        assert each.regret.value == pytest.approx(cost[each.name] - best)
        share = (cost[RULE] - cost[each.name]) / (cost[RULE] - best)
        assert each.captured.value == pytest.approx(share)
        assert each.difference.value == pytest.approx(cost[each.name] - cost[RULE])
    assert found.of(RULE).captured.value == 0.0 and math.isnan(found.of(RULE).p)
    mine = found.of("truthful")
    cheaper = {name for name, each in cost.items() if each < cost["truthful"] - 1e-9}
    assert {name.rstrip("*") for name in mine.loses_to} == cheaper
    assert mine.p_holm >= mine.p
    assert not found.of("random").loses_to, "baselines are not marked"
    assert found.of("random").cost.value > found.of(RULE).cost.value


def test_what_goes_into_a_card(matrix: Matrix) -> None:
    found = findings(matrix)
    record, mine = evaluation(matrix, found, "truthful"), found.of("truthful")
    assert Evaluation.model_validate_json(record.model_dump_json()) == record
    assert record.foresight is not None and record.foresight.days == len(FIRSTS)
    assert record.foresight.regret_eur_per_day.value == mine.regret.value
    assert record.foresight.captured is not None
    assert record.foresight.captured.low == mine.captured.low
    assert record.seeds == SEEDS and "truthful" not in record.against
    cost = next(f for f in record.figures if f.measure == "cost of the community")
    assert cost.values["truthful"] == pytest.approx(mine.cost.value, abs=1e-4)
    assert any("p = " in text for text in record.caveats)
    losses = [text for text in record.caveats if text.startswith("loses to")]
    assert len(losses) == len(mine.loses_to)


def test_a_loser_is_marked(case: Case) -> None:
    listed = [replace(each, candidate=each.name == "random")
              for each in entrants(case, "random,do_nothing")]  # fmt: skip
    found = findings(run_matrix(Job(case, "rule", tuple(listed), FIRSTS, 1, (1,), False)))
    assert f"{RULE}*" in found.of("random").loses_to
    assert math.isnan(found.of("random").captured.value)


def test_no_share_of_a_gap_that_is_none(village: Any, days_of_village: dict[str, Any]) -> None:
    flat = village.case(**days_of_village, scale={"battery": 0.001})
    found = findings(run_matrix(Job(flat, "rule", entrants(flat, "truthful"), (0, 1), 1, (1,))))
    assert math.isnan(found.of("truthful").captured.value)
    assert any("too small to say" in note for note in found.notes)
    assert any("too few for intervals" in note for note in found.notes)
    assert least_gap(np.array([[1000.0]])) == 1.0 and least_gap(np.array([[0.0]])) == 0.01


def test_a_trial_is_an_episode_of_its_seed(case: Case) -> None:
    drawn = drawn_case(case, Trial(1, 2, 9))
    assert drawn.scenario.seed == 9 and drawn.grid.intervals == 96
    other = drawn_case(case, Trial(1, 2, 8))
    assert (drawn.population.initial_kwh != other.population.initial_kwh).any()
    kept = lived(case, Episode(1, 2, 9))
    assert np.array_equal(kept.profiles.load_kw, drawn.profiles.load_kw)


def test_the_seat_is_the_one_with_batteries(case: Case) -> None:
    assert seat_of(case, None).name == "rule" == seat_of(case, "rule").name


# ---------------------------------------------------------------- the verb


def evaluated(path: Path, out: Path, *words: str) -> int:
    return main(["evaluate", str(path), "--seeds", "1", "--out", str(out), *words])


def test_tables_and_files(path: Path, tmp_path: Path, capsys: Captured) -> None:
    words = ("--policy", "truthful, {kind: random, spread: 2.0}", "--baselines",
             "do_nothing,no_peer_to_peer", "--audit", "--foresight-limits")  # fmt: skip
    assert evaluated(path, tmp_path, *words) == 0
    out = capsys.readouterr().out
    paths = [Path(line) for line in out.splitlines()[-4:]]
    assert [each.name for each in paths] == [
        "evaluation.csv", "runs.csv", "evaluation.json", "evaluation.png",
    ]  # fmt: skip
    assert paths[3].read_bytes().startswith(b"\x89PNG")
    for text in ("random spread=2.0", "no_peer_to_peer", "loses to", "perfect foresight",
                 "audit of truthful", "pass  battery bookkeeping", "nobody in the"):  # fmt: skip
        assert text in out
    with paths[0].open(newline="") as stream:
        table = {row["policy"]: row for row in csv.DictReader(stream)}
    with paths[1].open(newline="") as stream:
        runs = list(csv.DictReader(stream))
    assert set(table) == {"truthful", "random spread=2.0", RULE, "do_nothing", "no_peer_to_peer"}
    assert len(runs) == len(table) * 6
    assert set(MEASURES) < set(runs[0]) and {
        f"foresight_{n}" for n in (*FORESIGHT, *LIMITED)
    } < set(runs[0])
    mean = np.mean([float(r["community_eur"]) for r in runs if r["policy"] == "truthful"])
    assert float(table["truthful"]["cost"]) == pytest.approx(mean)
    content = json.loads(paths[2].read_text())
    assert content["policies"]["truthful"]["cost"]["value"] == pytest.approx(mean)
    assert all(check["holds"] for check in content["audit"]["truthful"])
    assert content["policies"][RULE]["p"] is None
    assert content["foresight"]["limited_eur"] >= content["foresight"]["together_bound_eur"]
    assert "within the limits of the feeder: " in out


def test_a_failed_audit_is_an_exit_code(
    village: Any, days_of_village: dict[str, Any], tmp_path: Path, capsys: Captured
) -> None:
    kind = {"short_eur_per_kwh": 0.03, "long_eur_per_kwh": 0.02}
    loose = village.write(**days_of_village, trade_limit="none", imbalance=kind)
    words = ("--policy", "random", "--baselines", RULE, "--days", "0", "--audit")
    assert evaluated(loose, tmp_path, *words, "--no-foresight") == 1
    assert "FAIL  no gain from imbalance" in capsys.readouterr().out


def test_a_verdict_goes_into_the_card(village: Any, tmp_path: Path, capsys: Captured) -> None:
    bundle = tmp_path / "mine"
    shutil.copytree(TRAINED / "shared_ppo", bundle)
    quarter = {"start": "2016-07-18", "days": 1, "interval_minutes": 15}
    path = village.write(time=quarter, policies={"rule": "self_consumption"}, groups={
        "owners": {"members": "all", "policy": "rule"}})  # fmt: skip
    content = json.loads((bundle / "card.json").read_text())
    content["training"]["scenario_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    content["training"]["calendar"] = None  # a card that does not say which days it learnt from
    (bundle / "card.json").write_text(json.dumps(content))
    before = load_bundle(bundle).card
    words = ("--policy", str(bundle), "--baselines", "time_of_use", "--write-card", "--quiet")
    assert evaluated(path, tmp_path, *words) == 0
    assert str(bundle / "card.json") in capsys.readouterr().out
    after = load_bundle(bundle).card
    record = after.evaluation
    assert record is not None and record.against == (RULE, "time_of_use") and record.seeds == (1,)
    assert record.foresight is None, "one period has no interval"
    for text in ("too few for intervals", "on this scenario, and its card does not say"):
        assert any(text in caveat for caveat in record.caveats)
    assert set(record.figures[0].values) == {"mine", RULE, "time_of_use"}
    assert after.model_copy(update={"evaluation": before.evaluation}) == before
    assert main(["policy", "show", str(bundle)]) == 0
    content["training"]["calendar"] = EVERY_DAY.model_dump(mode="json")
    (bundle / "card.json").write_text(json.dumps(content))
    assert evaluated(path, tmp_path, *words) == 0
    told = load_bundle(bundle).card.evaluation
    assert told and any("1 of the days are no test days" in text for text in told.caveats)


def test_held_out_days_are_the_tests_of_the_calendar(case: Case) -> None:
    found = _periods(case.grid, "held-out", 1)
    assert found == tuple(np.flatnonzero(kinds(case) == Kind.TEST)) and found
    assert _periods(case.grid, None, 2) == (0, 2, 4)


@pytest.mark.parametrize(
    ("words", "fragments"),
    [
        (("--policy", "truthfull"), ["--policy: unknown policy 'truthfull'", "'truthful'"]),
        (
            ("--policy", "{kind: random, spred: 1, floor: x}"),
            ["--policy: unknown key 'spred'", "did you mean 'spread'?"],
        ),
        (
            ("--policy", "{kind: price_threshold, feeds_inn: true}"),
            ["--policy: unknown key 'feeds_inn'", "did you mean"],
        ),
        (("--policy", "{kind: random, spread: wide}"), ["--policy: spread must be a number"]),
        (
            ("--policy", "truthful", "--days", "0-6"),
            [
                "--days: a period of 1 day cannot begin on day 6",
                "has 6 days, counted from 0",
                "take first days from 0 to 5",
            ],
        ),
        (("--policy", "truthful", "--length", "7"), ["--length: a period of 7 days", "has 6 days"]),
        (("--policy", "truthful", "--days", "0,1", "--length", "2"), ["periods overlap"]),
        (("--policy", "truthful", "--days", "x"), ["'x' is no number"]),
        (("--policy", "truthful", "--seat", "rul"), ["--seat: no seat 'rul'", "'rule'"]),
        (("--policy", "truthful", "--seat", "passive"), ["nobody in the seat 'passive'"]),
        (("--policy", "truthful", "--reference", "self"), ["nobody is called 'self'"]),
        (("--policy", "truthful", "--baselines", "rando"), ["unknown baseline 'rando'"]),
        (("--policy", "truthful", "--write-card"), ["no policy named is a bundle"]),
        (("--policy", "truthful", "--workers", "0"), ["0 processes"]),
        (("--policy", "truthful", "--no-foresight", "--foresight-limits"), ["--foresight-limits"]),
        (("--policy", "shared_ppo"), ["trained on intervals of 900 s"]),
    ],
)
def test_refusals(
    path: Path, tmp_path: Path, capsys: Captured, words: tuple[str, ...], fragments: list[str]
) -> None:
    assert evaluated(path, tmp_path, *words) == 2
    err = capsys.readouterr().err
    for fragment in fragments:
        assert fragment in err
    assert not list(tmp_path.glob("*/evaluate-*"))


@pytest.mark.parametrize(
    ("days", "length", "words"),
    [(1, 1, "the scenario has no test day\n"), (3, 2, "has no 2 test days in a row\n")],
)
def test_no_held_out_days_are_said_with_a_remedy(days: int, length: int, words: str) -> None:
    case = load_case(load_scenario("scenarios/ten_lines.yaml", [f"time.days={days}"]))
    with pytest.raises(InputError, match=words) as found:
        _periods(case.grid, "held-out", length)
    assert "lengthen time.days" in found.value.problems[0].remedy


def test_baselines_are_known() -> None:
    own = set(BASELINES) - {"no_peer_to_peer", "peak_seller"}
    assert own == set(plugins.names("policy")) - {"onnx"}
