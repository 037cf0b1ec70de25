"""A first judgement is an evaluation: the same trials, bound, intervals and card."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.onnx import TRAINED, Onnx
from agents.self_consumption import SelfConsumption
from cosim.__main__ import main
from cosim.bundle.card import Evaluation
from cosim.bundle.load import load_bundle
from cosim.bundle.parts import Calendar
from cosim.case import Case, load_case
from cosim.scenario import load_scenario
from cosim.simulation import Simulation
from cosim.studies import outcome as running
from cosim.studies.held_out import days_for_tests, first_job
from cosim.studies.matrix import run_matrix
from cosim.studies.outcome import outcome
from cosim.studies.trials import Entrant, Trial, drawn_case, seated
from cosim.training.days import Kind, kinds
from cosim.training.lane import Purse, stored_value
from cosim.verbs._first_judgement import first_judgement, judging_words
from cosim.verbs._running import Say

RULE = Entrant("self_consumption", SelfConsumption())


@pytest.fixture(scope="module")
def case(village: Any) -> Case:
    quarter = {"start": "2016-07-18", "days": 1, "interval_minutes": 15}
    loaded: Case = village.case(time=quarter)
    return loaded


@pytest.fixture(scope="module")
def several(village: Any, days_of_village: dict[str, Any]) -> Case:
    loaded: Case = village.case(**days_of_village)
    return loaded


def test_learnt_policy_and_rule_meet_the_same_trials(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[Case] = []

    def noted(own: Case, recorder: Any) -> Simulation:
        begun.append(own)
        return Simulation(own, recorder)

    monkeypatch.setattr(running, "Simulation", noted)
    learnt = Onnx(bundle="shared_ppo").bound(Path(), case.grid.interval_s)
    job = replace(first_job(case, "rule", learnt, "learnt", (0,)), seeds=(3, 4), foresight=False)
    matrix = run_matrix(job)

    entrants = [entrant.policy for entrant in job.entrants]
    assert entrants == [learnt, SelfConsumption()] and len(begun) == 2 * len(job.trials)
    for trial, one, other in zip(job.trials, begun[::2], begun[1::2], strict=True):
        sat = [next(s.policy for s in own.seats if s.name == "rule") for own in (one, other)]
        assert sat == entrants
        filled = drawn_case(case, trial).population.initial_kwh
        for own in (one, other):
            assert np.array_equal(own.population.initial_kwh, filled)
            assert own.scenario.seed == trial.seed
        assert np.array_equal(one.profiles.load_kw, other.profiles.load_kw)
    battery = case.population.capacity_kwh > 0.0
    first, second = (own.population.initial_kwh[battery] for own in begun[::2])
    assert (first != second).all(), "a seed is a filling of its own"
    own_cost = (matrix.of(name, "owners_eur") for name in ("learnt", "self_consumption"))
    assert np.not_equal(*own_cost).all()


@pytest.mark.parametrize("days", [1, 2])
def test_costs_are_bills_and_wear_less_what_was_gained_per_day(several: Case, days: int) -> None:
    """Worked out anew by a purse of its own."""
    drawn = drawn_case(several, Trial(0, days, 3))
    found = outcome(drawn, "rule", RULE, days)
    own, everybody = seated(drawn, "rule", RULE), np.arange(len(several.population))
    purse = Purse(own, everybody, stored_value(own, everybody))
    Simulation(own, purse).run()
    cost, gained = -purse.take(), purse.energy_kwh - own.population.initial_kwh
    rows = next(seat.rows for seat in own.seats if seat.name == "rule")
    assert found["community_eur"] == pytest.approx(cost.sum() / days, rel=1e-12)
    assert found["owners_eur"] == pytest.approx(cost[rows].sum() / days, rel=1e-12)
    assert found["gained_kwh"] == pytest.approx(gained[rows].sum() / days, rel=1e-12)


class _Long:
    """A case as far as the calendar looks at it."""

    def __init__(self, grid: Any) -> None:
        self.grid = grid


def test_judged_days_are_spread_over_all_that_were_held_out(case: Case) -> None:
    per_year = 366 * 86_400 // case.grid.interval_s
    start = case.grid.start.replace(month=1, day=1)
    year: Any = _Long(replace(case.grid, start=start, intervals=per_year))
    held = np.flatnonzero(kinds(year, Calendar()) == Kind.TEST)
    found = days_for_tests(year, Calendar(), 12)
    assert len(found) == 12 and set(found) <= set(held.tolist())
    assert (found[0], found[-1]) == (held[0], held[-1])
    steps = np.diff(np.searchsorted(held, found))
    assert steps.max() - steps.min() <= 1, "every so many of the held-out days"
    assert days_for_tests(year, Calendar(), 10_000) == tuple(held.tolist())
    assert days_for_tests(year, Calendar(), 0) == ()


def copied(folder: Path) -> Path:
    shutil.copytree(TRAINED / "shared_ppo", folder)
    return folder


def judged(bundle: Path) -> Evaluation:
    found = load_bundle(bundle).card.evaluation
    assert found is not None
    return found


def test_an_evaluation_of_the_same_days_gives_the_same_card(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["time.days=20", "time.interval_minutes=60"]
    case = load_case(load_scenario("scenarios/ten_lines.yaml", words))
    seat = next(s.name for s in case.seats if case.population.rating_kw[s.rows].any())
    one, other = (copied(tmp_path / name / "mine") for name in ("one", "other"))
    for bundle in (one, other):
        _of_hours(bundle)
    days = days_for_tests(case, Calendar(), 5)
    first_judgement(case, seat, one, Calendar(), 5, Say(quiet=False))
    assert "captured" in capsys.readouterr().out
    given = judging_words("scenarios/ten_lines.yaml", seat, other, days)[3:]
    options = [word for text in words for word in ("--set", text)]
    assert main([*given, *options, "--quiet", "--workers", "1", "--out", str(tmp_path)]) == 0
    record = judged(one)
    assert record.foresight is not None and record.foresight.days == 5 == len(days)
    assert record.seeds == (101,) and record.against == ("self_consumption",)
    mine, theirs = (judged(bundle).model_dump() for bundle in (one, other))
    mine["caveats"], theirs["caveats"] = (
        [text for text in listed["caveats"] if "may have learnt" not in text]
        for listed in (mine, theirs)
    )
    assert mine == theirs


def _of_hours(bundle: Path) -> None:
    """Let a bundle's card speak of hours, so that days are short."""
    import json

    from cosim.bundle.card import semantics_sha256

    card = load_bundle(bundle).card
    timing = card.timing.model_copy(update={"interval_s": 3600})
    listed = [[column.name for column in part] for part in (card.features, card.actions)]
    content = json.loads((bundle / "card.json").read_text())
    content["timing"] = timing.model_dump(mode="json")
    content["semantics_sha256"] = semantics_sha256(listed[0], listed[1], timing)
    (bundle / "card.json").write_text(json.dumps(content))


def test_nothing_held_out_is_not_judged(case: Case, tmp_path: Path) -> None:
    bundle = copied(tmp_path / "mine")
    before = (bundle / "card.json").read_bytes()
    first_judgement(case, "rule", bundle, Calendar(), 0, Say(quiet=True))
    assert (bundle / "card.json").read_bytes() == before
