"""Several trainings of one kind: which bundles are, what is said of them, and what cards keep."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.onnx import TRAINED
from cosim.__main__ import main
from cosim.bundle.card import Card
from cosim.bundle.load import load_bundle
from cosim.studies.statistics import Estimate
from cosim.studies.trainings import Spread, Trainings, runs_behind, trainings
from cosim.studies.verdict import Findings, Verdict
from cosim.verbs._verdicts import training_line

SHARES = (0.4, 0.5, 0.9, 0.6, 0.7)


@pytest.fixture(scope="module")
def card() -> Card:
    return load_bundle(TRAINED / "shared_ppo").card


def of(card: Card, **changes: Any) -> Card:
    """Return a card with another training record."""
    return card.model_copy(update={"training": card.training.model_copy(update=changes)})


def judged(shares: dict[str, float]) -> Findings:
    """Return findings of candidates with these captured shares; each costs what is missing."""
    none = Estimate(np.nan, np.nan, np.nan)
    verdicts = tuple(
        Verdict(name, True, Estimate(10.0 - share, np.nan, np.nan), none, none, np.nan, np.nan,
                none, Estimate(share, np.nan, np.nan), 0.0, 0.0, (), {})
        for name, share in shares.items()
    )  # fmt: skip
    return Findings("community_eur", "self_consumption", verdicts, {}, ())


def test_figures_over_seeds_by_hand(card: Card) -> None:
    cards = {f"s{i}": of(card, seeds=(i,), wall_s=float(i), command=f"train --seed {i}")
             for i in range(5)}  # fmt: skip
    [found] = trainings(cards, judged(dict(zip(cards, SHARES, strict=True))))
    assert found.names == tuple(cards) and found.runs == 5
    assert astuple(found.captured) == pytest.approx((0.62, 0.6, 0.4, 0.9))
    assert found.cost.mean == pytest.approx(10.0 - 0.62) and found.cost.low == pytest.approx(9.1)
    assert "5 training runs" in training_line(found) and "62 %" in training_line(found)
    assert runs_behind([found], "s3") == 5 and runs_behind([found], "other") == 1


@pytest.mark.parametrize(
    "other",
    [
        {"steps": 1}, {"scenario_sha256": "0" * 64}, {"notes": ("reward: bill 2",)},
        {"calendar": None},
    ],
)  # fmt: skip
def test_another_training_is_no_other_seed(card: Card, other: dict[str, Any]) -> None:
    cards = {"a": of(card, seeds=(1,)), "b": of(card, seeds=(2,), **other)}
    assert trainings(cards, judged({"a": 0.1, "b": 0.2})) == ()
    changed = cards["b"].model_copy(update={"training": of(card, seeds=(2,)).training})
    for field, value in (("algorithm", "SAC"), ("features", card.features[:3])):
        apart = changed.model_copy(update={field: value})
        assert trainings({"a": cards["a"], "b": apart}, judged({"a": 0.1, "b": 0.2})) == ()


def test_what_is_not_known_is_not_taken_for_alike(card: Card) -> None:
    findings = judged({"a": 0.1, "b": 0.2})
    for unknown in ({"scenario_sha256": None}, {"seeds": ()}):
        cards = {name: of(card, **{"seeds": (k,), **unknown}) for k, name in enumerate("ab")}
        assert trainings(cards, findings) == ()


def test_one_seed_counts_once(card: Card) -> None:
    cards = {name: of(card, seeds=(seed,)) for name, seed in (("a", 1), ("b", 1), ("c", 2))}
    [found] = trainings(cards, judged({"a": 0.2, "b": 0.2, "c": 0.6}))
    assert found.names == ("a", "b", "c") and found.runs == 2
    assert found.captured.mean == pytest.approx(0.4)
    assert trainings({"a": cards["a"], "b": cards["b"]}, judged({"a": 0.2, "b": 0.2})) == ()


def test_cards_say_how_many_trainings_were_judged(
    village: Any, days_of_village: dict[str, Any], tmp_path: Path, capsys: Any
) -> None:
    """Two trainings and a stranger, all in folders of one name."""
    places = [tmp_path / name / "bundle" for name in ("one", "two", "stranger")]
    for seed, place in enumerate(places):
        shutil.copytree(TRAINED / "shared_ppo", place)
        content = json.loads((place / "card.json").read_text())
        content["training"] |= {"seeds": [seed]} | ({"steps": 5} if seed == 2 else {})
        (place / "card.json").write_text(json.dumps(content))
    time = {"start": "2016-07-18", "days": 6, "interval_minutes": 15}
    path = village.write(**days_of_village | {"time": time})
    words = ["evaluate", str(path), "--policy", ",".join(map(str, places)), "--seeds", "1",
             "--days", "0-4", "--baselines", "passive", "--write-card",
             "--out", str(tmp_path)]  # fmt: skip
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "2 training runs that differ in their seed alone" in out
    records = [load_bundle(place).card.evaluation for place in places]
    assert all(record and record.foresight for record in records)
    assert [record.foresight.runs for record in records] == [2, 2, 1]  # type: ignore[union-attr]
    assert [any(" 2 training runs " in f" {text}" for text in record.caveats)  # type: ignore[union-attr]
            for record in records] == [True, True, False]  # fmt: skip
    [folder] = tmp_path.glob("*/evaluate-*")
    with (folder / "trainings.csv").open(newline="") as stream:
        [row] = csv.DictReader(stream)
    content = json.loads((folder / "evaluation.json").read_text())
    [told] = content["trainings"]
    assert int(row["training_runs"]) == told["runs"] == 2
    assert float(row["captured_mean"]) == pytest.approx(told["captured"]["mean"])
    shares = [content["policies"][str(place)]["captured"]["value"] for place in places[:2]]
    assert told["captured"]["mean"] == pytest.approx(np.mean(shares))


def test_groups_are_kept_apart(card: Card) -> None:
    cards = {name: of(card, seeds=(k % 2,), steps=1 + k // 2) for k, name in enumerate("abcd")}
    found = trainings(cards, judged(dict(zip("abcd", SHARES, strict=False))))
    assert [each.names for each in found] == [("a", "b"), ("c", "d")]
    nothing = Spread(*[float("nan")] * 4)
    without = replace(found[0], captured=nothing)
    assert isinstance(without, Trainings) and "captured" not in training_line(without)
