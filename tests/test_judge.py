"""Judging: a learnt policy and the rule beside it meet the same fillings, days and draws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.onnx import Onnx
from agents.self_consumption import SelfConsumption
from cosim.case import Case
from cosim.simulation import Simulation
from cosim.training import judge as judging
from cosim.training.judge import Period, cut_for, judge

SEEDS, PERIOD = (3, 4), Period(0)


@pytest.fixture(scope="module")
def case(village: Any) -> Case:
    quarter = {"start": "2016-07-18", "days": 1, "interval_minutes": 15}
    loaded: Case = village.case(time=quarter)
    return loaded


def test_learnt_policy_and_rule_get_the_same_fillings(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[Case] = []

    def noted(own: Case, recorder: Any) -> Simulation:
        begun.append(own)
        return Simulation(own, recorder)

    monkeypatch.setattr(judging, "Simulation", noted)
    learnt = Onnx(bundle="shared_ppo").bound(Path(), case.grid.interval_s)
    policies = {"learnt": learnt, "rule": SelfConsumption()}
    costs = judge(case, "rule", policies, [PERIOD], SEEDS)

    count = len(SEEDS)
    assert len(begun) == 2 * count
    for one, other, seed in zip(begun[:count], begun[count:], SEEDS, strict=True):
        seated = [next(s.policy for s in own.seats if s.name == "rule") for own in (one, other)]
        assert seated == list(policies.values())
        filled = cut_for(case, PERIOD, seed).population.initial_kwh
        for own in (one, other):
            assert np.array_equal(own.population.initial_kwh, filled)
            assert np.array_equal(own.profiles.load_kw, case.profiles.load_kw)
            assert own.scenario.seed == case.scenario.seed
    battery = case.population.capacity_kwh > 0.0
    first, second = (own.population.initial_kwh[battery] for own in begun[:count])
    assert (first != second).all(), "a seed is a filling of its own"
    assert (costs["learnt"].owners != costs["rule"].owners).all()
