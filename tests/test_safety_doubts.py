"""Check says where a supervisor will stand a policy down, and which faults do nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cosim.__main__ import main
from cosim.case import Case, load_case
from cosim.errors import InputError
from cosim.safety.collect import collect
from cosim.safety.fit import all_scores
from cosim.safety.foretold import _least_scores, beforehand, foretold
from cosim.scenario import load_scenario
from cosim.verbs._safety_doubts import watching, without_effect

Captured = pytest.CaptureFixture[str]
ROOT = Path(__file__).parent.parent
PEAK = "tariff={retail_eur_per_kwh: 0.2, feed_in_eur_per_kwh: 0.1, periods: [{hours: [17, 21], retail_eur_per_kwh: 0.5}]}"  # noqa: E501
LEARNT = (
    "policies.learner={kind: onnx, bundle: shared_ppo}",
    "groups.owners.policy=learner",
    "policies.rule=null",
    "supervisors={learner: {}}",
)


def learnt(*overrides: str) -> Case:
    """Return a day of the shipped policy under its supervisor."""
    scenario = ROOT / "scenarios" / "ten_lines.yaml"
    return load_case(load_scenario(scenario, [*LEARNT, *overrides]))


@pytest.fixture(scope="module")
def flat() -> Case:
    return learnt()


def test_what_is_foretold_is_what_is_seen_and_never_too_much(flat: Case) -> None:
    """The score of a run is at least that which was foretold, at every interval and prosumer."""
    seat = next(seat for seat in flat.seats if seat.supervisor is not None)
    assert seat.supervisor is not None
    statistics = seat.supervisor.statistics
    seen = collect(flat, "learner", [0])
    features = ("rating_kw", "retail_eur_per_kwh", "retail_in_12h_eur_per_kwh", "hour_sin")
    known = np.array([seen.features.index(name) for name in features])
    told = beforehand(flat, seat, features)
    np.testing.assert_array_equal(told.observations, seen.observations[..., known])
    least, _ = _least_scores(statistics, told, known)
    scores = all_scores(statistics, seen)
    assert (least <= scores * (1.0 + 1e-6)).all()
    assert (least > statistics.threshold).mean() > 0.5


def test_a_policy_in_another_tariff_than_its_own_is_doubted(flat: Case) -> None:
    found = foretold(flat, next(seat for seat in flat.seats if seat.supervisor is not None))
    assert found is not None and found.certain == found.days == 1
    [(path, text)] = watching(flat)
    assert path == ("supervisors", "learner")
    assert "stand down on 1 of 1 days" in text and found.feature in text
    assert found.feature.startswith("retail_") and "cosim policy calibrate" in text


def test_a_policy_in_its_own_tariff_is_not() -> None:
    assert not list(watching(learnt(PEAK)))


def test_more_prosumers_than_were_calibrated_are_doubted() -> None:
    case = learnt(PEAK)
    seat = next(seat for seat in case.seats if seat.supervisor is not None)
    how = seat.supervisor
    assert how is not None and how.prosumers == len(seat.rows) == 16
    object.__setattr__(how, "prosumers", 15)
    [(_, text)] = watching(case)
    assert "serves 16 prosumers" in text and "on 15" in text
    object.__setattr__(how, "prosumers", None)
    assert not list(watching(case))


def test_check_and_run_say_who_is_watched(tmp_path: Path, capsys: Captured) -> None:
    scenario = str(ROOT / "scenarios" / "ten_lines.yaml")
    words = [word for text in LEARNT for word in ("--set", text)]
    assert main(["check", scenario, *words]) == 0
    out, err = capsys.readouterr()
    assert "supervised    learner (16 prosumers): self_consumption stands in" in out
    assert "will stand down" in err
    assert main(["run", scenario, *words, "--no-figures", "--out", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    [line] = [line for line in out.splitlines() if line.startswith("watched")]
    assert "learner: stand-ins decided 1,184 of 1,536 times (77.1%), 1,184 under an alarm" in line
    assert "will stand down" in err


# ------------------------------------------------------------------ disturbances without effect

WHEN = {"start": "2016-07-18 06:00", "end": "2016-07-18 12:00"}


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "message_loss", "probability": 0.0},
        {"kind": "price_shock", "retail_factor": 1.0},
        {"kind": "pv_collapse", "pv_factor": 1.0},
        {"kind": "cold_snap", "load_factor": 1.0, "evening_factor": [1.0, 1.0]},
    ],
)
def test_a_disturbance_that_does_nothing_is_refused(village: Any, fault: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="give a"):
        village.case(disturbances=[fault | WHEN])


def doubted(village: Any, *faults: dict[str, Any]) -> list[int]:
    case = village.case(disturbances=[WHEN | fault for fault in faults])
    return [path[1] for path, _ in without_effect(case)]


def test_a_delay_of_limits_wants_a_limit_within_it(village: Any) -> None:
    delay = {"kind": "delayed_limit"}

    def limit(start: str, end: str, **more: Any) -> dict[str, Any]:
        day = "2016-07-18 "
        return {"kind": "curtailment", "pv_share": 0.5, "start": day + start, "end": day + end,
                **more}  # fmt: skip

    assert doubted(village, delay) == [0]
    assert doubted(village, limit("08:00", "20:00"), delay) == []
    assert doubted(village, limit("02:00", "11:59"), delay) == []  # it is lifted meanwhile
    assert doubted(village, limit("02:00", "12:00"), delay) == [1]
    assert doubted(village, limit("02:00", "20:00"), delay) == [1]


def test_columns_that_nobody_sees_cannot_be_swapped(village: Any) -> None:
    seats = village.case().seats
    seen = {name for seat in seats for name in seat.policy.features}
    unseen = sorted({"year_sin", "monday", "tuesday"} - seen)[:2]
    known = sorted(seen)[0]
    assert doubted(village, {"kind": "swapped_columns", "features": unseen}) == [0]
    assert doubted(village, {"kind": "swapped_columns", "features": [known, unseen[0]]}) == []
