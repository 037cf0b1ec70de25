"""Export and training world: the bundle acts as the learner did, in the world of a run."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.onnx import TRAINED
from agents.self_consumption import SelfConsumption
from cosim.bundle.card import Evaluation, Figure, Training
from cosim.bundle.load import Bundle, load_bundle
from cosim.case import Case, load_case
from cosim.episode import window
from cosim.errors import InputError, PluginError
from cosim.policy import PolicyContext
from cosim.scenario import load_scenario
from cosim.simulation import Simulation
from cosim.training.export import (
    HELD,
    LEAST_RATING_KW,
    Description,
    Input,
    Scaling,
    to_onnx,
    write_bundle,
)
from cosim.training.lane import Lane, Purse, stored_value

SCENARIO = TRAINED / "shared_ppo" / "training.yaml"
SCALING = Scaling(
    (
        Input("soc", 0.0, 1.0, 0.5, 0.5),
        Input("rating_kw", 0.0, 12.0, 5.0, 3.0),
        Input("forecast_net_kw", -20.0, 20.0, 0.1, 0.7, per_rating=True),
        Input("hour_sin", -1.0, 1.0),
    )
)


def raw(count: int) -> np.ndarray:
    low = np.array([item.low for item in SCALING.inputs])
    high = np.array([item.high for item in SCALING.inputs])
    return np.random.default_rng(3).uniform(low, high, (count, len(low)))


def fresh(**options: Any) -> Any:
    """Return an untrained PPO whose weights are large enough to reach the clip."""
    torch = pytest.importorskip("torch")
    ppo = pytest.importorskip("stable_baselines3").PPO
    gymnasium = pytest.importorskip("gymnasium")

    class World(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(-5.0, 5.0, (4,), np.float32)
        action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)

    model = ppo("MlpPolicy", World(), seed=5, device="cpu", n_steps=8, batch_size=8,
                policy_kwargs={"net_arch": {"pi": [16, 8], "vf": [8]}, **options})  # fmt: skip
    with torch.no_grad():
        model.policy.action_net.weight.mul_(200.0)
        model.policy.action_net.bias.add_(0.1)
    return model


def description() -> Description:
    training = Training(
        scenario="none", scenario_sha256="0" * 64, seeds=(5,), steps=0, wall_s=0.0,
        command="python none", notes=(),
    )  # fmt: skip
    figure = Figure(period="none", measure="none", unit="-", values={"none": 0.0})
    evaluation = Evaluation(
        measured="nothing", against=("none",), days=("none",), seeds=(0,), figures=(figure,),
        caveats=("untrained",),
    )  # fmt: skip
    return Description("tiny", "1", "MIT", "none", "none", 900, training, evaluation)


@pytest.mark.parametrize("activation", ["Tanh", "ReLU"])
def test_the_bundle_acts_as_the_learner(activation: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    model = fresh(activation_fn=getattr(torch.nn, activation))
    seen = raw(500)
    bundle = write_bundle(
        tmp_path, to_onnx(model.policy, SCALING), SCALING, seen[:8], description()
    )
    exact = copy.deepcopy(model.policy).double()  # the network without the rounding of float32
    with torch.no_grad():
        hidden = exact.mlp_extractor.forward_actor(torch.as_tensor(SCALING(seen)).double())
        share = exact.action_net(hidden).clamp(-1.0, 1.0).numpy()
    power = bundle.act(seen)
    assert np.abs(power - share * seen[:, 1:2]).max() < 1e-6 * 24.0
    learnt, _ = model.predict(SCALING(seen), deterministic=True)
    assert np.abs(learnt - share).max() < 1e-4  # float32, by whichever kernels the machine has
    assert (np.abs(share) == 1.0).any() and (np.abs(share) < 1.0).any()


@pytest.mark.parametrize("algorithm", ["SAC", "TD3"])
def test_squashed_actors_act_as_the_learner(algorithm: str, tmp_path: Path) -> None:
    sb3 = pytest.importorskip("stable_baselines3")
    options = {"policy_kwargs": {"net_arch": [32, 16]}, "seed": 2, "device": "cpu"}
    model = getattr(sb3, algorithm)("MlpPolicy", fresh().get_env(), buffer_size=10, **options)
    seen = raw(2000)
    bundle = write_bundle(tmp_path, to_onnx(model.policy, SCALING), SCALING, seen[:8],
                          description())  # fmt: skip
    share, _ = model.predict(SCALING(seen), deterministic=True)
    assert np.ptp(share) > 0.05
    assert np.abs(bundle.act(seen) - share * seen[:, 1:2]).max() <= 1e-6 * 24.0


def test_a_layer_it_does_not_know_is_refused() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(PluginError, match="CELU"):
        to_onnx(fresh(activation_fn=torch.nn.CELU).policy, SCALING)


def test_golden_vectors_are_needed(tmp_path: Path) -> None:
    model = to_onnx(fresh().policy, SCALING)
    with pytest.raises(ValueError, match="golden"):
        write_bundle(tmp_path, model, SCALING, raw(7), description())


def test_another_policys_model_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    write_bundle(folder, to_onnx(fresh().policy, SCALING), SCALING, raw(8), description())
    (folder / "model.onnx").write_bytes((TRAINED / "shared_ppo" / "model.onnx").read_bytes())
    with pytest.raises(InputError, match="python none"):
        load_bundle(folder)


def of_what_is_held() -> Scaling:
    """A scaling of four features whose actions are shares of what the battery can hold."""
    held = [Input(name, 0.0, 12.0, 5.0, 3.0, per_rating=True) for name in HELD]
    return Scaling((SCALING.inputs[0], SCALING.inputs[1], *held), share_of="feasible")


def test_a_rating_of_nought_divides_by_the_least_one(tmp_path: Path) -> None:
    """Graph and learner see the same of who has next to no battery, and both are finite."""
    scaling, seen = of_what_is_held(), np.minimum(np.abs(raw(40)), 12.0)
    seen[:, 1] = np.repeat([0.0, 0.05, LEAST_RATING_KW, 3.0], 10)
    seen[:20, 2:] *= 0.05  # so that the ratio does not reach the clip
    seen[::10, 2:] = 0.0  # nought by nought
    model = fresh()
    bundle = write_bundle(tmp_path, to_onnx(model.policy, scaling), scaling, seen[:8],
                          description())  # fmt: skip
    share, _ = model.predict(scaling(seen), deterministic=True)
    power = bundle.act(seen)
    assert np.isfinite(power).all() and np.ptp(share) > 0.5
    expected = scaling.held_kw(share[:, 0], seen)
    assert np.abs(power[:, 0] - expected).max() < 1e-4 * 24.0


def test_all_that_is_feasible_is_asked_for_but_for_a_hair(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    scaling, seen = of_what_is_held(), np.clip(np.abs(raw(8)), 1.0, 12.0)
    charge, discharge = seen[:, 2].astype(np.float32), seen[:, 3].astype(np.float32)
    for sign, most in ((1.0, charge), (-1.0, -discharge)):
        model = fresh()
        with torch.no_grad():
            model.policy.action_net.weight.zero_()
            model.policy.action_net.bias.fill_(3.0 * sign)
        bundle = write_bundle(tmp_path / str(sign), to_onnx(model.policy, scaling), scaling, seen,
                              description())  # fmt: skip
        shares = np.full(8, sign)
        for power in (bundle.act(seen)[:, 0], scaling.held_kw(shares, seen)):
            left = 1.0 - power / most.astype(float)
            assert (left > 5e-7).all() and (left < 2e-6).all()


def test_scaling_divides_by_the_rating_where_asked() -> None:
    values = SCALING(np.array([[1.0, 8.0, 4.0, 0.5], [0.0, 0.0, 0.01, -1.0]]))
    expected = [[1.0, 1.0, (0.5 - 0.1) / 0.7, 0.5], [-1.0, -5.0 / 3.0, 0.0, -1.0]]
    assert values.dtype == np.float32
    assert np.abs(values - expected).max() < 1e-6


# ---------------------------------------------------------------- the world of training


@pytest.fixture(scope="module")
def case() -> Case:
    overrides = ["time.start=2016-01-18", "time.days=8"]
    return load_case(load_scenario(SCENARIO, overrides))


@pytest.fixture(scope="module")
def rows(case: Case) -> np.ndarray:
    return case.seats[0].rows


def half(case: Case) -> np.ndarray:
    return np.full(len(case.population), 0.5)


def test_a_window_is_the_scenario_of_those_days(case: Case) -> None:
    cut = window(case, 3, 2, half(case))
    loaded = load_case(load_scenario(SCENARIO, ["time.start=2016-01-21", "time.days=2"]))
    assert cut.grid.start == loaded.grid.start and cut.grid.intervals == loaded.grid.intervals
    for field in ("load_kw", "load_kvar", "pv_kw", "co2_kg_per_kwh"):
        assert np.array_equal(getattr(cut.profiles, field), getattr(loaded.profiles, field))
    for field in ("retail_eur_per_kwh", "feed_in_eur_per_kwh"):
        assert np.array_equal(getattr(cut.tariffs, field), getattr(loaded.tariffs, field))
    assert np.array_equal(cut.population.initial_kwh, loaded.population.initial_kwh)


#: what the rule does not look at
ASIDE = PolicyContext(np.zeros(0, int), 0, 0.25, np.zeros((0, 0)))


def lane_of(case: Case, rows: np.ndarray, *features: str) -> Lane:
    return Lane(rows, stored_value(case, rows), features)


def test_the_chair_sees_the_world_of_a_run(case: Case, rows: np.ndarray) -> None:
    """A rule acting through the chair earns to the bit what it earns at the desk."""
    cut = window(case, 0, 1, half(case))
    purse = Purse(cut, rows, stored_value(cut, rows))
    Simulation(cut, purse).run()
    lane, rule = lane_of(case, rows, *SelfConsumption.features), SelfConsumption()
    turn = lane.reset(cut)
    earned = []
    while not turn.over:
        assert turn.interval == len(earned)
        turn, worth = lane.step(rule.act(turn.observations, ASIDE, None)[0])
        earned.append(worth)
    assert len(earned) == cut.grid.intervals
    assert not earned[0].any()  # nothing is settled yet
    assert np.allclose(np.sum(earned, axis=(0, -1)), purse.take(), rtol=0, atol=1e-12)
    with pytest.raises(RuntimeError, match="reset"):
        lane.step(np.zeros((len(rows), 1)))


def test_worth_is_bills_wear_and_stored_energy(case: Case, rows: np.ndarray) -> None:
    cut = window(case, 0, 1, half(case))
    value = stored_value(cut, rows)
    total = np.zeros(len(rows))

    class Recorder(Purse):
        def interval(self, interval: Any) -> None:
            nonlocal total
            bills, metered = interval.bills, interval.metered
            net = (metered.net_kwh - bills.traded_kwh)[rows]
            prices = interval.trade.asked.prices
            price = np.where(net > 0, prices.retail_eur_per_kwh[rows],
                             prices.feed_in_eur_per_kwh[rows])  # fmt: skip
            through = (metered.charge_kwh + metered.discharge_kwh)[rows]
            total -= net * price + interval.trade.clearing.payment_eur[rows] + 0.02 * through
            super().interval(interval)

    purse = Recorder(cut, rows, value)
    Simulation(cut, purse).run()
    total += value * (purse.energy_kwh - cut.population.initial_kwh[rows])
    assert np.allclose(purse.take(), total, rtol=0, atol=1e-9)


def test_filling_or_emptying_a_battery_earns_nothing(case: Case, rows: np.ndarray) -> None:
    eta = case.population.efficiency[rows]
    value = stored_value(case, rows)
    assert (value * np.sqrt(eta) <= 0.20).all()  # of a kWh bought off peak
    assert (value / np.sqrt(eta) >= 0.20 - 1e-12).all()  # for a kWh that replaces it


def test_an_error_of_the_run_is_raised_where_the_learner_waits(
    case: Case, rows: np.ndarray
) -> None:
    cut = window(case, 0, 1, half(case))
    with pytest.raises(InputError, match="nothing_known"):
        lane_of(case, rows, "nothing_known").reset(cut)
    lane = lane_of(case, rows, "soc")
    lane.reset(cut)
    with pytest.raises(PluginError, match="shape"):
        lane.step(np.zeros((len(rows), 2)))


def test_writing_a_model_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    model = fresh()
    data = [to_onnx(model.policy, SCALING) for _ in range(2)]
    assert data[0] == data[1]
    bundle: Bundle = write_bundle(tmp_path, data[0], SCALING, raw(8), description())
    wider = replace(SCALING, limit=4.0)
    assert to_onnx(model.policy, wider) != data[0] and bundle.card.name == "tiny"
