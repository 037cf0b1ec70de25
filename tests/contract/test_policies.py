"""What every policy keeps, whichever files there are: a new one is tested once it exists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cosim import plugins
from cosim.observe import ACTIONS, FEATURES
from cosim.policy import Policy, PolicyContext

#: options of policies that have no defaults
OPTIONS: dict[str, dict[str, Any]] = {"onnx": {"bundle": "shared_ppo"}}
ROWS, INTERVAL_S = 40, 900
#: what stands for a bound at infinity, by unit
LARGEST = {"kWh": 2000.0, "kW": 1000.0, "EUR/kWh": 5.0}


@pytest.fixture(scope="module", params=plugins.names("policy"))
def policy(request: pytest.FixtureRequest) -> Policy:
    """Return each policy there is, ready to act."""
    value = plugins.load("policy", request.param).model_validate(OPTIONS.get(request.param, {}))
    assert isinstance(value, Policy)
    return value.bound(Path(__file__).parent, INTERVAL_S)


def observations(policy: Policy, seed: int = 0) -> np.ndarray:
    """Return rows ``[m, d]`` at, and anywhere between, the ends of what features may be."""
    rng = np.random.default_rng(seed)
    columns = [FEATURES[name] for name in policy.features]
    low = np.array([max(q.low, -LARGEST.get(q.unit, q.high)) for q in columns])
    high = np.array([min(q.high, LARGEST.get(q.unit, q.high)) for q in columns])
    inside = low + (high - low) * rng.random((ROWS, len(columns)))
    corner = np.where(rng.random(inside.shape) < 0.5, low, high)
    rows = np.where(rng.random((ROWS, 1)) < 0.4, corner, inside)
    rows[:3] = [low, high, np.clip(0.0, low, high)]
    rows.setflags(write=False)
    return rows


def context(policy: Policy, rows: Any = slice(None), interval: int = 7) -> PolicyContext:
    draws = np.random.default_rng(1).random((ROWS, policy.draws))
    draws[:2] = np.array([[0.0], [np.nextafter(1.0, 0.0)]])
    ids = 3 * np.arange(ROWS)[rows]
    for array in (draws, ids):
        array.setflags(write=False)
    return PolicyContext(ids, interval, INTERVAL_S / 3600, draws[rows])


def test_features_and_actions_exist(policy: Policy) -> None:
    assert set(policy.features) <= set(FEATURES)
    assert set(policy.actions) <= set(ACTIONS)
    for names in (policy.features, policy.actions):
        assert len(set(names)) == len(names)
    assert policy.actions
    assert policy.draws >= 0


@pytest.mark.parametrize("seed", range(5))
def test_decisions_are_finite_and_of_the_declared_shape(policy: Policy, seed: int) -> None:
    decided, _ = policy.act(observations(policy, seed), context(policy), policy.start(ROWS))
    assert decided.shape == (ROWS, len(policy.actions))
    assert np.isfinite(decided).all()


def test_equal_draws_give_equal_decisions(policy: Policy) -> None:
    seen = observations(policy)
    first, _ = policy.act(seen, context(policy), policy.start(ROWS))
    kept = np.array(first)
    policy.act(observations(policy, 9), context(policy, interval=8), policy.start(ROWS))
    second, _ = policy.act(seen, context(policy), policy.start(ROWS))
    assert np.array_equal(kept, second)
    assert np.array_equal(kept, first)  # and a decision handed over stays what it was


def test_a_batch_decides_as_its_rows_do_alone(policy: Policy) -> None:
    seen, memory = observations(policy), policy.start(ROWS)
    whole, after = policy.act(seen, context(policy), memory)
    for part in (slice(0, 1), slice(5, 6), slice(10, 17), np.array([2, 30, 39])):
        own = None if memory is None else memory[part]
        decided, remembered = policy.act(seen[part], context(policy, part), own)
        assert np.array_equal(decided, whole[part])
        assert (remembered is None) == (after is None)
        assert after is None or np.array_equal(remembered, after[part])


def test_inputs_are_left_alone(policy: Policy) -> None:
    seen, told, memory = observations(policy), context(policy), policy.start(ROWS)
    if isinstance(memory, np.ndarray):
        memory.setflags(write=False)
    before = seen.copy(), told.draws.copy(), told.ids.copy()
    policy.act(seen, told, memory)
    for kept, now in zip(before, (seen, told.draws, told.ids), strict=True):
        assert np.array_equal(kept, now)


def test_memory_is_a_value_with_a_row_for_each_prosumer(policy: Policy) -> None:
    memory = policy.start(ROWS)
    _, after = policy.act(observations(policy), context(policy), memory)
    assert (memory is None) == (after is None)
    assert memory is None or len(memory) == len(after) == ROWS


def test_its_options_rebuild_it(policy: Policy) -> None:
    described = plugins.describe(policy)
    assert described.pop("kind") == policy.kind()
    again = plugins.load("policy", policy.kind()).model_validate(described)
    ready = again.bound(Path(__file__).parent, INTERVAL_S)  # type: ignore[attr-defined]
    seen = observations(policy)
    first, _ = policy.act(seen, context(policy), policy.start(ROWS))
    second, _ = ready.act(seen, context(policy), ready.start(ROWS))
    assert np.array_equal(first, second)


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_it_runs_a_day_in_the_village(
    policy: Policy, share: float, village: Any, diary_of: Any
) -> None:
    case = village.case(
        time={"start": "2016-07-18", "days": 1, "interval_minutes": 15},
        policies={"one": plugins.describe(policy), "passive": "passive"},
        groups={
            "some": {"members": "all", "share": share, "policy": "one"},
            "rest": {"members": "all", "policy": "passive"},
        },
        disturbances=[
            {"kind": "line_outage", "line": "line3", "start": "2016-07-18 11:07",
             "end": "2016-07-18 13:21"}
        ],
    )  # fmt: skip
    assert len(diary_of(case).intervals) == 96
