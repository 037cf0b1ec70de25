"""``cosim policy calibrate``: what it writes is what a supervisor reads, from file and card."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from cosim.__main__ import main
from cosim.bundle.load import load_bundle
from cosim.case import load_case
from cosim.scenario import load_scenario
from cosim.supervision import from_card, read_supervision

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ROOT / "agents" / "trained" / "shared_ppo"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Return a copy of the bundle that comes with the program."""
    return Path(shutil.copytree(SHIPPED, tmp_path / "mine"))


@pytest.fixture
def words(bundle: Path) -> list[str]:
    """Return what calibrates it on few days, with as many false alarms as that allows."""
    policy = f"policies.learner={{kind: onnx, bundle: {json.dumps(str(bundle))}}}"
    return ["policy", "calibrate", str(SHIPPED / "training.yaml"), "--policy", "learner",
            "--days", "0-6,10,26", "--rate", "0.25", "--blocks", "4", "--set", policy]  # fmt: skip


def test_file_and_card_tell_a_supervisor_the_same(
    bundle: Path, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = load_bundle(bundle).card
    out = tmp_path / "seen.json"
    more = ["--value", "--value-days", "1"]
    assert main([*words, "--out", str(out), "--write-card", str(bundle), *more]) == 0
    printed = capsys.readouterr().out
    assert "false alarms" in printed
    assert [line for line in printed.splitlines() if line.startswith("no fault ")]
    assert "pays only where the fault hurts more" in printed
    given, _ = read_supervision(out)
    card = load_bundle(bundle).card  # every check, golden vectors included
    assert card.supervision is not None
    assert from_card(card.supervision, card.timing.interval_s) == given
    assert given.longest_run is not None and given.run_score > 0.0 and given.prosumers
    assert card.model_copy(update={"supervision": None}) == before.model_copy(
        update={"supervision": None}
    )
    used = load_case(load_scenario(SHIPPED / "training.yaml", [
        words[-1], "time.days=1", "supervisors={learner: {}}"]))  # fmt: skip
    seat = next(seat for seat in used.seats if seat.name == "learner")
    assert seat.supervisor is not None
    statistics = given.statistics()
    for name in ("mean", "precision", "longest_run", "run_score", "threshold"):
        value = getattr(seat.supervisor.statistics, name)
        assert (
            (value == getattr(statistics, name)).all()
            if hasattr(value, "all")
            else (value == getattr(statistics, name))
        )


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ([], "nowhere to write"),
        (["--write-card", "none.zip"], "none.zip"),
        (["--out", "x.json", "--rate", "2"], "between 0 and 1"),
        (["--out", "x.json", "--value", "--value-days", "0"], "at least 1"),
        (["--out", "x.json", "--days", "0-99999999999"], "too long a range"),
        (["--out", "x.json", "--value", "--value-days", "99"], "that are held out"),
    ],
)
def test_what_cannot_be_written_is_said_at_once(
    words: list[str], more: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, *more]) == 2
    assert why in capsys.readouterr().err


def test_another_bundle_than_the_policy_s_own_is_refused(
    bundle: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    changed = [*words[:-1], "policies.learner=self_consumption", "--write-card", str(bundle)]
    card = (bundle / "card.json").read_bytes()
    assert main(changed) == 2
    assert "does not run the bundle" in capsys.readouterr().err
    assert (bundle / "card.json").read_bytes() == card


def test_an_archive_keeps_its_card(
    bundle: Path, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = tmp_path / "mine.zip"
    assert main(["policy", "export", str(bundle), "--to", str(archive)]) == 0
    before = archive.read_bytes()
    assert main([*words, "--write-card", str(archive)]) == 2
    assert "unpack it first" in capsys.readouterr().err
    assert archive.read_bytes() == before
