"""Equal scenarios give equal results: one digest, in any process; another seed gives another."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cosim.case import Case, load_case
from cosim.record import MemoryRecorder
from cosim.scenario import load_scenario
from cosim.simulation import Simulation

ROOT = Path(__file__).parent.parent
#: every source of randomness there is: policies, shares of groups, the post, spreads
SEEDED: dict[str, Any] = {
    "policies": {"dice": "random", "bidder": "zero_intelligence", "rule": "self_consumption"},
    "groups": {
        "wild": {"members": "battery", "share": 0.5, "policy": "dice"},
        "owners": {"members": "battery", "share": 0.5, "policy": "bidder"},
        "others": {"members": "all", "policy": "rule"},
    },
    "latency": {"min_s": 0, "max_s": 70},
    "disturbances": [
        {"kind": "message_loss", "start": "2016-07-18 06:10", "end": "2016-07-18 12:00"},
        {"kind": "pv_collapse", "start": "2016-07-18 08:07", "end": "2016-07-18 17:03"},
        {"kind": "line_outage", "line": "line3", "start": "2016-07-18 13:07",
         "end": "2016-07-18 14:11"},
        {"kind": "cold_snap", "start": "2016-07-18 15:00", "end": "2016-07-18 22:00"},
    ],
}  # fmt: skip
SCRIPT = """
import sys
from cosim.case import load_case
from cosim.record import MemoryRecorder
from cosim.scenario import load_scenario
from cosim.simulation import Simulation
case = load_case(load_scenario(sys.argv[1]))
recorder = MemoryRecorder(case, digest=True)
print(recorder.finish(Simulation(case, recorder).run(), {}).digest)
"""


def digest(case: Case) -> str:
    recorder = MemoryRecorder(case, digest=True)
    return recorder.finish(Simulation(case, recorder).run(), {}).digest


@pytest.fixture(scope="module")
def path(village: Any) -> Path:
    return village.write(**SEEDED)


@pytest.fixture(scope="module")
def expected(path: Path) -> str:
    return digest(load_case(load_scenario(path)))


def test_one_case_run_again_has_the_same_digest(path: Path, expected: str) -> None:
    case = load_case(load_scenario(path))
    assert [digest(case) for _ in range(3)] == [expected] * 3


def test_what_ran_in_between_leaves_no_trace(path: Path, expected: str, village: Any) -> None:
    outage = {"kind": "supply_outage", "start": "2016-07-18 20:00", "end": "2016-07-19 00:00"}
    first = load_case(load_scenario(path))
    digest(village.case(**SEEDED | {"seed": 99, "disturbances": [outage]}))
    assert digest(first) == expected
    broken = Simulation(first, MemoryRecorder(first))
    broken.env.run(until=13 * 3600 + 1800)  # left while the line is open
    assert digest(first) == expected


def test_two_runs_side_by_side_do_not_meet(path: Path, expected: str) -> None:
    case = load_case(load_scenario(path))
    recorders = [MemoryRecorder(case, digest=True) for _ in range(2)]
    one, other = (Simulation(case, recorder) for recorder in recorders)
    one.env.run(until=13 * 3600 + 1800)
    other.env.run(until=9 * 3600)
    books = other.run(), one.run()
    found = [r.finish(b, {}).digest for r, b in zip(recorders[::-1], books, strict=True)]
    assert found == [expected] * 2


@pytest.mark.parametrize("hash_seed", ["0", "4242"])
def test_another_process_has_the_same_digest(path: Path, expected: str, hash_seed: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(path)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == expected


@pytest.mark.parametrize("seed", [0, 8, 2**62])
def test_another_seed_has_another_digest(village: Any, expected: str, seed: int) -> None:
    assert digest(village.case(**SEEDED, seed=seed)) != expected


@pytest.mark.parametrize(
    "change",
    [
        {"scale": {"load": 1.0000001}},
        {"market": "none"},
        {"latency": {"min_s": 0, "max_s": 69}},
        {"disturbances": SEEDED["disturbances"][1:]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_scenario_has_another_digest(
    village: Any, expected: str, change: dict[str, Any]
) -> None:
    assert digest(village.case(**SEEDED | change)) != expected


def test_names_and_descriptions_leave_the_digest_alone(village: Any, expected: str) -> None:
    assert digest(village.case(**SEEDED, name="other", description="same")) == expected
