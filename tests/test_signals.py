"""What a learner is told: every feature of the catalogue has a range in every case."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("gymnasium")

from cosim.case import Case
from cosim.envs import SingleEnv
from cosim.observe import FEATURES
from cosim.training.export import RATING
from cosim.training.signals import scaling_of


@pytest.fixture(scope="module")
def case(village: Any) -> Case:
    loaded: Case = village.case()
    return loaded


@pytest.mark.parametrize("row", [0, 4], ids=["with battery", "without"])
@pytest.mark.parametrize("name", FEATURES)
def test_every_feature_has_a_range(case: Case, name: str, row: int) -> None:
    features = tuple(dict.fromkeys((name, RATING)))
    item = scaling_of(case, np.array([row]), features).inputs[0]
    assert item.name == name
    assert np.isfinite([item.low, item.high, item.offset, item.scale]).all()
    assert item.low < item.high and item.scale > 0.0
    feature = FEATURES[name]
    assert feature.low <= item.low, "no range begins below what can be"


def test_an_environment_of_all_features(case: Case) -> None:
    env = SingleEnv(case, "a", features=tuple(FEATURES), days=None)
    try:
        seen, _ = env.reset(seed=3)
        rows = [seen]
        for share in np.linspace(-1.0, 1.0, 8):
            rows.append(env.step(np.array([share], np.float32))[0])
    finally:
        env.close()
    assert all(env.observation_space.contains(each) for each in rows)
    told = np.array(rows)
    assert told.shape == (9, len(FEATURES)) and np.isfinite(told).all()
    assert (np.abs(told) < env.world.scaling.limit).all(), "nothing is cut in an ordinary run"
    moved = {name for name, changed in zip(FEATURES, np.ptp(told, 0) > 0.0, strict=True) if changed}
    assert {"soc", "vm_above_min_pu", "line_loading_percent", "last_bill_eur"} <= moved


def test_prices_with_charges_lie_within_their_range(village: Any) -> None:
    tariff = {
        "retail_eur_per_kwh": 0.2, "feed_in_eur_per_kwh": 0.1, "network_eur_per_kwh": 0.3,
        "taxes_eur_per_kwh": 0.15, "network_local_share": 0.5,
    }  # fmt: skip
    charged = village.case(tariff=tariff)
    names = ("retail_eur_per_kwh", "retail_in_4h_eur_per_kwh", RATING)
    inputs = scaling_of(charged, np.array([0]), names).inputs
    assert [item.high for item in inputs[:2]] == pytest.approx([0.65, 0.65])
