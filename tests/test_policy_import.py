"""Policies trained elsewhere act here as they did there; joint and recurrent ones, too."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.onnx import Onnx
from cosim.__main__ import main
from cosim.bundle.card import CARD, MODEL, Card, Training
from cosim.bundle.load import Bundle, load_bundle
from cosim.desk import Desk
from cosim.errors import InputError, PluginError
from cosim.policy import PolicyContext, Seating
from cosim.training.network import ACTIVATIONS, Activation, Actor, Cell, Dense, Ports, to_graph
from cosim.training.write import Columns, Description, action_column, feature_column, write

torch = pytest.importorskip("torch")
gymnasium = pytest.importorskip("gymnasium")
sb3 = pytest.importorskip("stable_baselines3")

ROOT = Path(__file__).parent.parent
FEATURES = ("soc", "forecast_net_kw", "hour_sin", "retail_eur_per_kwh")
LOW = np.array([0.0, -8.0, -1.0, 0.05], np.float32)
HIGH = np.array([1.0, 12.0, 1.0, 0.6], np.float32)
Captured = pytest.CaptureFixture[str]


class World(gymnasium.Env):
    """A world of nobody's: charge when it is cheap."""

    observation_space = gymnasium.spaces.Box(LOW, HIGH, dtype=np.float32)

    def __init__(self, low: float = -3.25, high: float = 4.75, actions: int = 1) -> None:
        self.action_space = gymnasium.spaces.Box(low, high, (actions,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self._seen = self.np_random.uniform(LOW, HIGH).astype(np.float32)
        return self._seen, {}

    def step(self, action: np.ndarray) -> Any:
        reward = float(-(self._seen[3] - 0.3) * action.sum() * 10 - 0.1 * np.square(action).sum())
        self._seen = self.np_random.uniform(LOW, HIGH).astype(np.float32)
        return self._seen, reward, False, False, {}


OPTIONS: dict[str, dict[str, Any]] = {
    "PPO": {"n_steps": 64, "batch_size": 32, "n_epochs": 4, "learning_rate": 0.02},
    "SAC": {"learning_starts": 10, "batch_size": 32, "buffer_size": 500},
    "TD3": {"learning_starts": 10, "batch_size": 32, "buffer_size": 500},
}
#: name -> algorithm, policy options, other options, normalised
CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any], bool]] = {
    "PPO": ("PPO", {}, {}, True),
    "PPO deep ELU": ("PPO", {"net_arch": {"pi": [24, 12, 6], "vf": [8]},
                             "activation_fn": torch.nn.ELU}, {}, False),
    "PPO without hidden layers": ("PPO", {"net_arch": []}, {}, True),
    "PPO squashed": ("PPO", {"squash_output": True}, {"use_sde": True}, True),
    "SAC": ("SAC", {"net_arch": [32, 16]}, {}, True),
    "SAC gSDE": ("SAC", {"net_arch": [16], "activation_fn": torch.nn.SiLU}, {"use_sde": True},
                 False),
    "TD3": ("TD3", {"net_arch": [32, 16], "activation_fn": torch.nn.LeakyReLU}, {}, True),
}  # fmt: skip


def trained(case: str, folder: Path, **world: Any) -> tuple[Any, Any]:
    """Train for a few steps and save; return model and VecNormalize or None."""
    from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

    from cosim.training.board import logger_of

    name, policy, options, normalised = CASES[case]
    torch.manual_seed(3)
    env: Any = DummyVecEnv([lambda: World(**world)])
    if normalised:
        env = VecNormalize(env, clip_obs=1.5, epsilon=1e-6)
    model = getattr(sb3, name)(
        "MlpPolicy", env, seed=3, device="cpu", policy_kwargs=policy, **OPTIONS[name], **options
    )
    model.set_logger(logger_of(None))  # the library's own would leave a folder behind
    model.learn(128 if name == "PPO" else 40)
    model.save(folder / "model.zip")
    if normalised:
        env.save(str(folder / "normal.pkl"))
    return model, env if normalised else None


def words(folder: Path, *more: str) -> list[str]:
    normal = folder / "normal.pkl"
    given = ["--normalize", str(normal)] if normal.exists() else []
    return ["policy", "import", str(folder / "model.zip"), "--to", str(folder / "out"),
            "--features", ",".join(FEATURES), "--actions", "battery_kw", *given, *more]  # fmt: skip


def observations(count: int) -> np.ndarray:
    return np.random.default_rng(5).uniform(LOW, HIGH, (count, len(LOW)))


def predicted(model: Any, normal: Any, seen: np.ndarray) -> np.ndarray:
    shown = seen.astype(np.float32)
    shown = shown if normal is None else normal.normalize_obs(shown)
    return np.asarray(model.predict(shown, deterministic=True)[0], float)


# ---------------------------------------------------------------- acts as it did there


@pytest.mark.parametrize("case", CASES)
def test_a_bundle_acts_as_the_model_it_was_made_of(
    case: str, tmp_path: Path, capsys: Captured
) -> None:
    model, normal = trained(case, tmp_path)
    assert main(words(tmp_path)) == 0, capsys.readouterr().err
    bundle = load_bundle(tmp_path / "out")
    seen = observations(4000)
    expected, got = predicted(model, normal, seen), bundle.act(seen)
    assert np.abs(got - expected).max() <= 1e-6 * 8.0
    assert np.ptp(expected) > 0.05  # it does decide
    low, high = bundle.card.actions[0].low, bundle.card.actions[0].high
    assert (low, high) == (-3.25, 4.75)
    assert bundle.card.algorithm == CASES[case][0] and bundle.card.training.seeds == (3,)
    assert bundle.card.evaluation is None  # nothing is made up
    assert np.array_equal(load_bundle(tmp_path / "out").act(seen[:5]), got[:5])


def test_trusting_the_file_gives_the_same(tmp_path: Path, capsys: Captured) -> None:
    trained("SAC", tmp_path)
    assert main(words(tmp_path)) == 0
    first = load_bundle(tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / "first")
    assert main(words(tmp_path, "--trust")) == 0
    assert "runs whatever the files hold" in capsys.readouterr().err
    second = load_bundle(tmp_path / "out")
    assert first.card.model.sha256 == second.card.model.sha256


def test_statistics_as_json_are_those_of_the_pickle(tmp_path: Path) -> None:
    _, normal = trained("TD3", tmp_path)
    assert main(words(tmp_path)) == 0
    first = load_bundle(tmp_path / "out").card.model.sha256
    (tmp_path / "out").rename(tmp_path / "first")
    fields = {"mean": normal.obs_rms.mean.tolist(), "var": normal.obs_rms.var.tolist(),
              "clip_obs": 1.5, "epsilon": 1e-6}  # fmt: skip
    (tmp_path / "normal.pkl").write_text(json.dumps(fields))
    assert main(words(tmp_path)) == 0
    assert load_bundle(tmp_path / "out").card.model.sha256 == first


def test_what_an_environment_has_scaled_is_scaled_by_the_bundle(tmp_path: Path) -> None:
    from cosim.training.export import Input, Scaling

    scaling = Scaling((Input("soc", 0.0, 1.0, 0.5, 0.5), Input("rating_kw", 0.0, 12.0, 6.0, 6.0),
                       Input("forecast_net_kw", -8.0, 3.0, -2.5, 0.5),
                       Input("hour_sin", -1.0, 1.0)))  # fmt: skip
    world = World(-1.0, 1.0)
    world.observation_space = gymnasium.spaces.Box(-5.0, 5.0, (4,), np.float32)
    torch.manual_seed(3)
    model = sb3.PPO("MlpPolicy", world, device="cpu", **OPTIONS["PPO"])
    with torch.no_grad():
        model.policy.action_net.weight.mul_(50.0)
    model.save(tmp_path / "model.zip")
    (tmp_path / "normal.pkl").write_text(json.dumps(scaling.statistics()))
    assert main(words(tmp_path, "--features", ",".join(scaling.features), "--share-of-rating")) == 0
    bundle = load_bundle(tmp_path / "out")
    assert [(c.low, c.high) for c in bundle.card.features] == [
        (each.low, each.high) for each in scaling.inputs
    ]
    low, high = ([getattr(each, end) for each in scaling.inputs] for end in ("low", "high"))
    raw = np.random.default_rng(5).uniform(low, high, (500, 4))
    shares = model.predict(scaling(raw), deterministic=True)[0]
    assert np.ptp(shares) > 0.1  # it does decide
    assert np.abs(bundle.act(raw) - shares * raw[:, 1:2]).max() <= 1e-5 * 24.0
    with pytest.raises(ValueError, match="by the rating"):
        Scaling((Input("rating_kw", 0.0, 1.0, per_rating=True),)).statistics()


@pytest.mark.parametrize("ends", [{"low": [0.0]}, {"low": [1.0] * 4, "high": [0.0] * 4}])
def test_ranges_of_statistics_come_in_pairs(
    ends: dict[str, Any], deep: Path, tmp_path: Path, capsys: Captured
) -> None:
    file = tmp_path / "normal.json"
    file.write_text(json.dumps({"mean": [0.0] * 4, "var": [1.0] * 4, **ends}))
    assert main(words(deep, "--normalize", str(file))) == 2
    assert "normal.json: " in capsys.readouterr().err
    assert not (deep / "out").exists()


def test_a_large_mean_costs_no_digits(tmp_path: Path) -> None:
    from cosim.training.network import Normal

    normal = Normal(np.array([5000.0]), np.array([0.25]), 10.0, 1e-8)
    layers = (Dense(np.ones((1, 1), np.float32), np.zeros(1, np.float32)),)
    actor = Actor(layers, np.array([-10.0]), np.array([10.0]), False, normal)
    model, _ = to_graph(actor, Ports(("energy_kwh",), ("battery_kw",)))
    columns = Columns((feature_column("energy_kwh", 4990.0, 5010.0),),
                      (action_column("battery_kw", -10.0, 10.0),))  # fmt: skip
    bundle = write(tmp_path, model, columns, np.linspace(4990, 5010, 9)[:, None], said())
    seen = np.linspace(4997, 5003, 1001).astype(np.float32)[:, None]
    exact = np.clip((seen.astype(float) - 5000.0) / np.sqrt(0.25 + 1e-8), -10, 10)
    assert np.abs(bundle.act(seen) - exact).max() < 2e-6


def test_a_share_of_the_rating_is_power(tmp_path: Path, capsys: Captured) -> None:
    model, normal = trained("PPO", tmp_path, low=-1.0, high=1.0)
    assert main(words(tmp_path, "--share-of-rating")) == 2
    assert "--range rating_kw=LOW:HIGH" in capsys.readouterr().err
    assert main(words(tmp_path, "--share-of-rating", "--range", "rating_kw=0:12")) == 0
    bundle = load_bundle(tmp_path / "out")
    assert bundle.features == (*FEATURES, "rating_kw")
    seen, rating = observations(500), np.linspace(0.0, 12.0, 500)[:, None]
    expected = predicted(model, normal, seen) * rating
    assert np.abs(bundle.act(np.hstack([seen, rating])) - expected).max() <= 1e-6 * 24.0


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_those_of_torch(name: str, tmp_path: Path) -> None:
    kinds = {kind.lower(): getattr(torch.nn, kind) for kind in dir(torch.nn)}
    value = np.linspace(-7.5, 7.5, 3001, dtype=np.float32)[:, None]
    one = Dense(np.ones((1, 1), np.float32), np.zeros(1, np.float32))
    actor = Actor((one, Activation(name)), np.array([-9.0]), np.array([9.0]), False)
    model, _ = to_graph(actor, Ports(("energy_kwh",), ("battery_kw",)))
    columns = Columns((feature_column("energy_kwh", 0.0, 7.5),),
                      (action_column("battery_kw", -9.0, 9.0),))  # fmt: skip
    got = write(tmp_path, model, columns, value[:9], said()).act(value)
    assert np.abs(got - kinds[name]()(torch.as_tensor(value)).numpy()).max() < 2e-6


# ---------------------------------------------------------------- what does not fit is said


WRONG: dict[str, tuple[list[str], str]] = {
    "feature unknown": (["--features", "sock,hour_sin"], "did you mean 'soc'?"),
    "action unknown": (["--actions", "batery_kw"], "did you mean 'battery_kw'?"),
    "feature too few": (["--features", "soc,hour_sin"], "has 4 features, --features names 2"),
    "action too many": (["--actions", "battery_kw,quantity_kwh"], "has 1 actions, --actions"),
    "feature twice": (["--features", "soc,soc,hour_sin,hour_cos"], "'soc' stands twice"),
    "agents do not divide": (["--agents", "a,b"], "for each of 2 agents"),
    "range upside down": (["--range", "soc=1:0"], "--range soc=0:1"),
    "range of nothing": (["--range", "sock=0:1"], "did you mean 'soc'?"),
    "range not that of the action": (["--range", "battery_kw=-9:9"], "-3.25 to 4.75"),
    "other activation": (["--activation", "relu"], "'elu', not 'relu'"),
    "activation unknown": (["--activation", "rellu"], "did you mean 'relu'?"),
    "activation without parameter": (["--activation", "tanh:2"], "takes no parameter"),
    "interval": (["--interval-minutes", "0"], "not 1 to 1440"),
    "name": (["--name", "!!!"], "give --name"),
    "gates": (["--gate-lead-seconds", "-5"], "gate_lead_s"),
    "licence": (["--licence", "f\xfcr alle"], "licence"),
    "version": (["--policy-version", ""], "version"),
    "share of an order": (["--share-of-rating", "--actions", "quantity_kwh"], "only battery_kw"),
    "no model": (["--normalize", "/no/such/file"], "No such file"),
}


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("deep")
    trained("PPO deep ELU", folder)
    return folder


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_said(name: str, deep: Path, capsys: Captured) -> None:
    more, fragment = WRONG[name]
    assert main(words(deep, *more)) == 2
    shown = capsys.readouterr()
    assert fragment in shown.err and "internal" not in shown.err
    assert not (deep / "out").exists()


def test_another_activation_is_named_by_the_user(tmp_path: Path, capsys: Captured) -> None:
    from functools import partial

    slow = partial(torch.nn.LeakyReLU, negative_slope=0.3)
    model = sb3.PPO("MlpPolicy", World(), device="cpu", n_steps=8, batch_size=8,
                    policy_kwargs={"activation_fn": slow, "net_arch": [8]})  # fmt: skip
    model.save(tmp_path / "model.zip")
    assert main(words(tmp_path)) == 2
    assert "--activation leakyrelu:0.2" in capsys.readouterr().err
    assert main(words(tmp_path, "--activation", "leakyrelu:0.3")) == 0
    seen = observations(200)
    got = load_bundle(tmp_path / "out").act(seen)
    assert np.abs(got - predicted(model, None, seen)).max() <= 1e-6 * 8.0


def test_a_missing_torch_is_said_in_one_message(deep: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        f"from cosim.__main__ import main\nsys.exit(main({words(deep)!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True,
                          check=False)  # fmt: skip
    assert done.returncode == 2 and "pip install 'cosim[train]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_occupied_place_is_left_alone(deep: Path, tmp_path: Path, capsys: Captured) -> None:
    target = tmp_path / "place"
    target.write_text("mine")
    command = words(deep)
    command[4] = str(target)
    assert main(command) == 2 and target.read_text() == "mine"
    assert "exists already" in capsys.readouterr().err


# ---------------------------------------------------------------- the verb


def test_show_verify_and_export(tmp_path: Path, capsys: Captured) -> None:
    assert main(["policy", "show", "shared_ppo"]) == 0
    shown = capsys.readouterr().out
    assert "battery_kw" in shown and "cosim train" in shown and "mind:" in shown
    assert main(["policy", "verify", "shared_ppo"]) == 0
    checks = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("ok  ") for line in checks) == 6 and "sound" in checks[-1]
    packed, again = tmp_path / "one.zip", tmp_path / "two.zip"
    assert main(["policy", "export", "shared_ppo", "--to", str(packed)]) == 0
    assert main(["policy", "export", str(packed), "--to", str(tmp_path / "folder")]) == 0
    assert main(["policy", "export", str(tmp_path / "folder"), "--to", str(again)]) == 0
    assert packed.read_bytes() == again.read_bytes()
    assert main(["policy", "verify", str(packed)]) == 0
    assert main(["policy", "export", "shared_ppo", "--to", str(packed)]) == 2
    capsys.readouterr()


def test_an_archive_is_a_bundle_like_its_folder(tmp_path: Path) -> None:
    assert main(["policy", "export", "shared_ppo", "--to", str(tmp_path / "one.zip")]) == 0
    policy = Onnx(bundle="one.zip").bound(tmp_path, 900)
    assert policy.files == Onnx(bundle="shared_ppo").bound(tmp_path, 900).files


def test_a_spoilt_bundle_fails_the_check_it_fails(tmp_path: Path, capsys: Captured) -> None:
    assert main(["policy", "export", "shared_ppo", "--to", str(tmp_path / "one")]) == 0
    card = json.loads((tmp_path / "one" / CARD).read_text())
    card["golden"][2]["action"]["battery_kw"] += 0.01
    (tmp_path / "one" / CARD).write_text(json.dumps(card))
    capsys.readouterr()
    assert main(["policy", "verify", str(tmp_path / "one")]) == 2
    told = capsys.readouterr()
    assert told.out.count("ok  ") == 4 and "golden vector 2" in told.err
    assert "train it again: python -m cosim train" in told.err


# ---------------------------------------------------------------- recurrent policies


def said(**more: Any) -> Description:
    training = Training(scenario=None, scenario_sha256=None, seeds=(), steps=0, wall_s=None,
                        command="python none", notes=())  # fmt: skip
    return Description("own", "1", "MIT", "none", "none", 900, training, **more)


def dense(given: int, taken: int, seed: int) -> Dense:
    rng = np.random.default_rng(seed)
    return Dense(rng.normal(0, 0.7, (given, taken)).astype(np.float32),
                 rng.normal(0, 0.3, given).astype(np.float32))  # fmt: skip


def recurrent(kind: str, folder: Path) -> tuple[Bundle, Any, Dense]:
    """Write a bundle with one cell; return it, torch's own cell with its weights, and the head."""
    gates = {"rnn": 1, "gru": 3, "lstm": 4}[kind]
    cell = Cell(kind, dense(gates * 5, 2, 1), dense(gates * 5, 5, 2))
    head = dense(1, 5, 3)
    actor = Actor((cell, head), np.array([-3.0]), np.array([3.0]), False)
    model, states = to_graph(actor, Ports(("soc", "hour_sin"), ("battery_kw",)))
    features = (feature_column("soc", 0.0, 1.0), feature_column("hour_sin", -1.0, 1.0))
    columns = Columns(features, (action_column("battery_kw", -3.0, 3.0),), states=states)
    seen = np.random.default_rng(1).uniform([0, -1], [1, 1], (9, 2))
    bundle = write(folder, model, columns, seen, said())
    own = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[kind](2, 5)
    arrays = (cell.ih.weight, cell.hh.weight, cell.ih.bias, cell.hh.bias)
    with torch.no_grad():
        for weight, array in zip(own.parameters(), arrays, strict=True):
            weight.copy_(torch.as_tensor(array))
    return bundle, own, head


@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm"])
def test_cells_remember_as_those_of_torch(kind: str, tmp_path: Path) -> None:
    bundle, own, head = recurrent(kind, tmp_path)
    steps = np.random.default_rng(2).uniform([0, -1], [1, 1], (40, 6, 2))
    with torch.no_grad():
        hidden, _ = own(torch.as_tensor(steps.astype(np.float32)))
        linear = torch.as_tensor(head.weight), torch.as_tensor(head.bias)
        expected = torch.nn.functional.linear(hidden, *linear).clamp(-3, 3).numpy()
    memory = bundle.start(6)
    assert memory is not None and not memory.any()
    for seen, decided in zip(steps, expected, strict=True):
        before = memory.copy()
        got, after = bundle.step(seen, memory)
        assert np.array_equal(memory, before)  # a value: the old one stays what it was
        assert np.abs(got - decided).max() <= 1e-6 * 6.0
        assert after is not None
        memory = after


def test_what_is_remembered_is_part_of_the_golden_vectors(tmp_path: Path) -> None:
    recurrent("lstm", tmp_path)
    card = json.loads((tmp_path / CARD).read_text())
    assert any(any(row) for row in card["golden"][3]["state"].values())
    card["golden"][3]["state_after"]["cell_1"][0] += 0.01
    (tmp_path / CARD).write_text(json.dumps(card))
    with pytest.raises(InputError, match="golden vector 3: what it remembers"):
        load_bundle(tmp_path)


def test_a_recurrent_ppo_is_imported_with_what_it_remembers(
    tmp_path: Path, capsys: Captured
) -> None:
    """Weights named and shaped as RecurrentPPO of sb3-contrib saves them, held against torch."""
    torch.manual_seed(2)
    lstm, hidden, last = torch.nn.LSTM(4, 6), torch.nn.Linear(6, 5), torch.nn.Linear(5, 1)
    parts = {"lstm_actor": lstm, "lstm_critic": torch.nn.LSTM(4, 6),
             "mlp_extractor.policy_net.0": hidden, "action_net": last}  # fmt: skip
    tensors = {f"{k}.{n}": t for k, part in parts.items() for n, t in part.state_dict().items()}
    box = {":type:": "<class 'gymnasium.spaces.box.Box'>"}
    data = {
        "policy_kwargs": {}, "seed": 1, "num_timesteps": 5,
        "observation_space": box | {"_shape": [4], "low": str(LOW), "high": str(HIGH)},
        "action_space": box | {"_shape": [1], "low": "[-0.3]", "high": "[0.3]"},
    }  # fmt: skip
    stream = io.BytesIO()
    torch.save(tensors, stream)
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        archive.writestr("data", json.dumps(data))
        archive.writestr("policy.pth", stream.getvalue())
    assert main(words(tmp_path)) == 0, capsys.readouterr().err
    bundle = load_bundle(tmp_path / "out")
    steps = np.random.default_rng(2).uniform(LOW, HIGH, (50, 3, 4)).astype(np.float32)
    with torch.no_grad():
        latent, _ = lstm(torch.as_tensor(steps))
        expected = last(torch.tanh(hidden(latent))).clamp(-0.3, 0.3).numpy()
    assert np.ptp(expected) > 0.1
    memory = bundle.start(3)
    for seen, decided in zip(steps, expected, strict=True):
        got, memory = bundle.step(seen, memory)
        assert np.abs(got - decided).max() <= 1e-6 * 0.6
    assert bundle.card.algorithm == "RecurrentPPO"


@pytest.mark.parametrize("change", ["width", "missing", "name", "golden"])
def test_states_must_be_those_of_the_graph(change: str, tmp_path: Path) -> None:
    recurrent("gru", tmp_path)
    card = json.loads((tmp_path / CARD).read_text())
    if change == "width":
        card["states"][0]["width"] = 4
        for golden in card["golden"]:
            for key in ("state", "state_after"):
                golden[key] = {name: row[:4] for name, row in golden[key].items()}
    elif change == "missing":
        card["states"] = []
    elif change == "name":
        card["states"][0]["name"] = "other"
    else:
        del card["golden"][0]["state"]
    (tmp_path / CARD).write_text(json.dumps(card))
    with pytest.raises(InputError, match=r"hidden_0|states"):
        load_bundle(tmp_path)


def test_memory_stays_with_its_prosumer_and_who_is_away_keeps_theirs(tmp_path: Path) -> None:
    recurrent("gru", tmp_path)
    policy = Onnx(bundle=str(tmp_path)).bound(Path(), 900)
    memory = policy.start(3)
    seen = np.random.default_rng(4).uniform([0, -1], [1, 1], (3, 2))
    context = PolicyContext(np.arange(3), 0, 0.25, np.zeros((3, 0)))
    _, whole = policy.act(seen, context, memory)
    for row in range(3):
        _, alone = policy.act(seen[row : row + 1], context, memory[row : row + 1])
        assert np.array_equal(alone[0], whole[row])
    seen[1] = np.nan
    decided, after = policy.act(seen, context, memory)
    assert np.isfinite(after).all() and np.array_equal(after[[0, 2]], whole[[0, 2]])
    assert np.isnan(decided[1]).all() and not after[1].any()


# ---------------------------------------------------------------- joint policies

AGENTS = ("ina", "ben", "zoe")


def joint(folder: Path, cell: bool = False) -> tuple[Bundle, np.ndarray]:
    """Write a joint policy, and return it with the dense weights ``[3, 6]`` of its network."""
    layer = dense(3, 5 if cell else 6, 6)
    first: tuple[Any, ...] = (Cell("rnn", dense(5, 6, 7), dense(5, 5, 8)),) if cell else ()
    actor = Actor((*first, layer), np.full(3, -40.0), np.full(3, 40.0), False)
    model, states = to_graph(actor, Ports(("soc", "forecast_net_kw"), ("battery_kw",), AGENTS))
    features = (feature_column("soc", 0.1, 1.0), feature_column("forecast_net_kw", -5.0, 5.0))
    actions = (action_column("battery_kw", -40.0, 40.0),)
    seen = np.random.default_rng(1).uniform([0.1, -5] * 3, [1, 5] * 3, (8, 6))
    columns = Columns(features, actions, AGENTS, states)
    return write(folder, model, columns, seen, said()), layer.weight


def seated(folder: Path, names: tuple[str, ...] = AGENTS, rows: Any = (0, 1, 2)) -> Onnx:
    policy = Onnx(bundle=str(folder)).bound(Path(), 900)
    return policy.seated(Seating(names, np.array(rows), 900, 60))


def asked(policy: Onnx, seen: np.ndarray, ids: Any, memory: Any = None) -> tuple[np.ndarray, Any]:
    return policy.act(seen, PolicyContext(np.array(ids), 0, 0.25, np.zeros((len(ids), 0))), memory)


def test_a_joint_policy_serves_its_agents_in_its_own_order(tmp_path: Path) -> None:
    bundle, weight = joint(tmp_path)
    assert bundle.card.scope == "joint" and bundle.features == ("soc", "forecast_net_kw")
    served, rows = ("zoe", "ina", "ben"), (2, 5, 9)  # in the population's order
    policy = seated(tmp_path, served, rows)
    seen = np.random.default_rng(2).uniform([0.1, -5], [1, 5], (3, 2))
    decided, _ = asked(policy, seen, rows)
    in_order = seen[[served.index(name) for name in AGENTS]]
    expected = bundle.act(in_order.reshape(1, -1))[0]
    assert np.array_equal(decided[:, 0], expected[[AGENTS.index(name) for name in served]])
    exact = in_order.ravel().astype(np.float32) @ weight.T
    assert np.abs(np.diff(expected) - np.diff(exact + dense(3, 6, 6).bias)).max() < 1e-5


def test_who_is_absent_is_shown_as_the_card_says(tmp_path: Path) -> None:
    bundle, _ = joint(tmp_path)
    assert bundle.card.absent == {"soc": 0.1, "forecast_net_kw": 0.0}
    policy = seated(tmp_path)
    seen = np.random.default_rng(3).uniform([0.1, -5], [1, 5], (3, 2))
    decided, _ = asked(policy, seen[[0, 2]], [0, 2])
    seen[1] = (0.1, 0.0)
    assert np.array_equal(decided, asked(policy, seen, [0, 1, 2])[0][[0, 2]])
    seen[1] = np.nan
    assert np.array_equal(decided, asked(policy, seen, [0, 1, 2])[0][[0, 2]])


def test_others_than_its_agents_are_refused_by_name(tmp_path: Path) -> None:
    joint(tmp_path)
    with pytest.raises(InputError) as caught:
        seated(tmp_path, ("ina", "ben", "zoey"))
    text = str(caught.value)
    assert "'zoe', who is not in its group" in text and "did you mean 'zoey'?" in text
    assert "not trained for 'zoey'" in text and "train it again: python none" in text
    with pytest.raises(InputError, match="'zoe', who is not in its group"):
        seated(tmp_path, ("ina", "ben"), (0, 1))
    with pytest.raises(PluginError, match="seated"):
        asked(Onnx(bundle=str(tmp_path)).bound(Path(), 900), np.zeros((3, 2)), [0, 1, 2])


def test_a_joint_memory_is_one_and_outlives_absences(tmp_path: Path) -> None:
    bundle, _ = joint(tmp_path, cell=True)
    policy = seated(tmp_path)
    rng = np.random.default_rng(4)
    memory, own = policy.start(3), bundle.start(1)
    for here in ([0, 1, 2], [0, 2], [0], [0, 1], [1, 2], [0, 1, 2]):
        seen = np.tile([0.1, 0.0], (3, 1))
        seen[here] = rng.uniform([0.1, -5], [1, 5], (len(here), 2))
        decided, after = asked(policy, seen[here], here, memory[here])
        if 0 in here or here == [1, 2]:
            expected, own = bundle.step(seen.reshape(1, -1), own)
            assert np.array_equal(decided[:, 0], expected[0][here])
        memory = memory.copy()
        memory[here] = after


def test_a_joint_model_is_imported_with_its_agents(tmp_path: Path, capsys: Captured) -> None:
    class Both(World):
        observation_space = gymnasium.spaces.Box(np.tile(LOW, 2), np.tile(HIGH, 2))

    model = sb3.PPO("MlpPolicy", Both(actions=2), device="cpu", n_steps=8, batch_size=8, seed=1)
    model.save(tmp_path / "model.zip")
    assert main(words(tmp_path, "--agents", "ina,ben")) == 0, capsys.readouterr().err
    bundle = load_bundle(tmp_path / "out")
    seen = np.tile(observations(500), 2)
    assert np.abs(bundle.act(seen) - predicted(model, None, seen)).max() <= 1e-6 * 8.0
    assert bundle.card.agents == ("ina", "ben") and len(bundle.card.features) == 4


def test_it_is_refused_at_the_desk_by_the_name_of_its_seat(tmp_path: Path, village: Any) -> None:
    joint(tmp_path)
    case = village.case(
        time={"start": "2016-07-18", "days": 1, "interval_minutes": 15},
        policies={"trio": {"kind": "onnx", "bundle": str(tmp_path)}},
        groups={"all": {"members": "all", "policy": "trio"}},
    )
    with pytest.raises(InputError, match=r"'ina'[\s\S]*policy 'trio' \(onnx\)"):
        Desk(case)


def test_a_joint_policy_runs_a_day_with_an_outage(
    tmp_path: Path, village: Any, diary_of: Any
) -> None:
    options: dict[str, Any] = {
        "time": {"start": "2016-07-18", "days": 1, "interval_minutes": 15},
        "disturbances": [{"kind": "line_outage", "line": "line3", "start": "2016-07-18 11:07",
                          "end": "2016-07-18 13:21"}],
    }  # fmt: skip
    names = village.case(
        policies={"p": "passive"}, groups={"all": {"members": "all", "policy": "p"}}, **options
    ).population.names
    agents = tuple(reversed(names))
    actor = Actor((dense(len(names), 2 * len(names), 1),), np.full(len(names), -2.0),
                  np.full(len(names), 2.0), False)  # fmt: skip
    ports = Ports(("soc", "forecast_net_kw"), ("battery_kw",), agents)
    model, _ = to_graph(actor, ports)
    features = (feature_column("soc", 0.0, 1.0), feature_column("forecast_net_kw", -5.0, 5.0))
    columns = Columns(features, (action_column("battery_kw", -2.0, 2.0),), agents)
    seen = np.random.default_rng(1).uniform(-0.5, 1, (8, 2 * len(names)))
    write(tmp_path, model, columns, seen, said())
    case = village.case(
        policies={"p": {"kind": "onnx", "bundle": str(tmp_path)}},
        groups={"all": {"members": "all", "policy": "p"}},
        **options,
    )
    assert len(diary_of(case).intervals) == 96


# ---------------------------------------------------------------- the card


def test_gates_of_another_lead_are_refused(tmp_path: Path) -> None:
    actor = Actor((dense(1, 1, 1),), np.array([-1.0]), np.array([1.0]), False)
    model, _ = to_graph(actor, Ports(("soc",), ("battery_kw",)))
    columns = Columns((feature_column("soc", 0.0, 1.0),), (action_column("battery_kw", -1.0, 1.0),))
    write(tmp_path, model, columns, np.linspace(0, 1, 8)[:, None], said(gate_lead_s=300))
    policy = Onnx(bundle=str(tmp_path)).bound(Path(), 900)
    policy.seated(Seating(("a",), np.array([0]), 900, 300))
    with pytest.raises(InputError, match=r"gates 300 s ahead.*60 s[\s\S]*python none"):
        policy.seated(Seating(("a",), np.array([0]), 900, 60))


SUPERVISION: dict[str, Any] = {
    "blocks_per_day": 2, "features": ["soc", "hour_sin"], "mean": [[0.5, 0.0], [0.4, 0.1]],
    "precision": [[[2.0, 0.1], [0.1, 3.0]], [[1.0, 0.0], [0.0, 1.0]]], "threshold_day": 12.5,
    "alarm_rate": 0.05, "calibration_days": 60, "persistence_k": 3, "persistence_m": 4,
    "hysteresis": 0.8,
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({}, ""),
        ({"features": ["soc", "sock"]}, "'sock' is no feature"),
        ({"features": ["soc"]}, "mean must have"),
        ({"blocks_per_day": 3}, "mean must have 3 rows"),
        ({"precision": [[[1.0, 0.0], [0.0, 1.0]]] * 3}, "precision must have"),
        ({"precision": [[[1.0, 2.0], [2.0, 1.0]]] * 2}, "positive definite"),
        ({"precision": [[[1.0, 0.2], [0.0, 1.0]]] * 2}, "symmetric"),
        ({"persistence_k": 5}, "persistence_k"),
        ({"threshold_day": 0.0}, "threshold_day"),
        ({"hysteresis": 1.5}, "hysteresis"),
    ],
)
def test_the_supervision_of_a_card_is_consistent(
    change: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    recurrent("rnn", tmp_path)
    card = json.loads((tmp_path / CARD).read_text())
    card["supervision"] = SUPERVISION | change
    (tmp_path / CARD).write_text(json.dumps(card))
    if not problem:
        assert load_bundle(tmp_path).card.supervision is not None
        return
    with pytest.raises(InputError, match=problem):
        load_bundle(tmp_path)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"scope": "agent"}, "agents must be named for scope 'joint', and for no other"),
        ({"agents": []}, "agents must be named"),
        ({"agents": ["ina", "ina", "zoe"]}, "stands twice"),
        ({"agents": ["ina", "zoe", "ben"]}, "golden vector|agents: the model has 'ben'"),
        ({"absent": None}, "absent"),
        ({"absent": {"soc": 0.5}}, "'forecast_net_kw' needs a value"),
        ({"absent": {"soc": 0.0, "forecast_net_kw": 0.0}}, "'soc' needs a value within 0.1"),
        ({"absent": {"soc": 0.5, "forecast_net_kw": 0.0, "x": 0.0}}, "more than the features"),
    ],
)
def test_the_agents_of_a_card_are_consistent(
    change: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    joint(tmp_path)
    card = json.loads((tmp_path / CARD).read_text()) | change
    (tmp_path / CARD).write_text(json.dumps(card))
    with pytest.raises(InputError, match=problem):
        load_bundle(tmp_path)


def test_a_card_round_trips(tmp_path: Path) -> None:
    card = joint(tmp_path, cell=True)[0].card
    assert Card.model_validate_json(card.model_dump_json()) == card
    assert (tmp_path / MODEL).stat().st_size == card.model.size_bytes
