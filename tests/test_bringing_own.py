"""What was shown scaled observations is not taken for raw; a card's command repeats its import."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cosim.__main__ import main
from cosim.bundle.card import CARD, MODEL
from cosim.bundle.load import load_bundle

torch = pytest.importorskip("torch")
gymnasium = pytest.importorskip("gymnasium")
sb3 = pytest.importorskip("stable_baselines3")

FEATURES = ("soc", "rating_kw", "forecast_net_kw", "hour_sin")
Captured = pytest.CaptureFixture[str]


class Still(gymnasium.Env):
    """Shows what a space holds, and never changes."""

    def __init__(self, low: Any, high: Any, reach: float = 1.0, actions: int = 1) -> None:
        low, high = (np.atleast_1d(np.float32(end)) for end in (low, high))
        self.observation_space = gymnasium.spaces.Box(low, high, dtype=np.float32)
        self.action_space = gymnasium.spaces.Box(-reach, reach, (actions,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action: np.ndarray) -> Any:
        return self.observation_space.sample(), float(action.sum()), False, False, {}


def saved(
    folder: Path, low: Any, high: Any, reach: float = 1.0, actions: int = 1, **policy: Any
) -> Path:
    torch.manual_seed(3)
    world = Still(low, high, reach, actions)
    model = sb3.PPO("MlpPolicy", world, device="cpu", n_steps=8, batch_size=8,
                    policy_kwargs={"net_arch": [4], **policy})  # fmt: skip
    model.save(folder / "model.zip")
    return folder / "model.zip"


def words(model: Path, features: tuple[str, ...] = FEATURES, *more: str) -> list[str]:
    return ["policy", "import", str(model), "--to", str(model.parent / "out"),
            "--features", ",".join(features), "--actions", "battery_kw", *more]  # fmt: skip


def statistics(size: int, **more: Any) -> dict[str, Any]:
    return {"mean": [0.0] * size, "var": [1.0] * size, "clip_obs": 5.0, **more}


def test_what_the_own_environment_scaled_needs_its_scaling(
    tmp_path: Path, capsys: Captured
) -> None:
    from cosim.case import load_case
    from cosim.envs import SingleEnv
    from cosim.scenario import load_scenario

    root = Path(__file__).parent.parent
    case = load_case(load_scenario(root / "scenarios" / "ten_lines.yaml"))
    owner = case.population.names[case.seats[0].rows[0]]
    with SingleEnv(case, owner, features=FEATURES) as env:
        model = sb3.PPO("MlpPolicy", env, n_steps=8, batch_size=8, device="cpu")
        scaling = env.world.scaling
    model.save(tmp_path / "model.zip")
    command = words(tmp_path / "model.zip", FEATURES, "--share-of-rating")
    assert main(command) == 2
    told = capsys.readouterr().err
    assert all(f"'{name}' was seen from -5 to 5" in told for name in FEATURES)
    assert "--normalize FILE" in told and "env.world.scaling.statistics()" in told
    assert not (tmp_path / "out").exists()
    file = tmp_path / "scaling.json"
    file.write_text(json.dumps(scaling.statistics()))
    assert main([*command, "--normalize", str(file)]) == 0
    low, high = ([getattr(each, end) for each in scaling.inputs] for end in ("low", "high"))
    raw = np.random.default_rng(5).uniform(low, high, (200, 4))
    shares = model.predict(scaling(raw), deterministic=True)[0]
    got = load_bundle(tmp_path / "out").act(raw)
    assert np.abs(got - shares * raw[:, 1:2]).max() <= 1e-5 * max(high)


#: name -> features, bounds, what is said ("" where it is taken), more options
SPACES: dict[str, tuple[tuple[str, ...], Any, Any, str, list[str]]] = {
    "own units": (FEATURES, [0, 0, -9, -1], [1, 12, 9, 1], "", []),
    "endless": (("soc", "hour_sin"), [-np.inf] * 2, [np.inf] * 2, "", []),
    "as good as endless": (("soc", "hour_sin"), [-3e38] * 2, [3e38] * 2, "", []),
    "sine and cosine": (("hour_sin", "hour_cos"), [-1, -1], [1, 1], "", []),
    "percent": (("soc", "hour_sin"), [0, -1], [100, 1], "'soc' was seen from 0 to 100", []),
    "one of the own world's": (("forecast_net_kw",), [-5], [5], "from -5 to 5", []),
    "one, and said": (("forecast_net_kw",), [-5], [5], "", ["--range", "forecast_net_kw=-5:5"]),
    "shares": (("soc", "rating_kw"), [0, 0], [1, 1], "'rating_kw' was seen from 0 to 1", []),
    "one unit": (("forecast_net_kw", "rating_kw"), [0, 0], [9, 9], "", []),
    "loose, and said": (("soc", "hour_sin"), [-9, -9], [9, 9], "",
                        ["--range", "soc=0:1", "--range", "hour_sin=-1:1"]),
    "said beyond": (("soc", "hour_sin"), [-5, -5], [5, 5],
                    "--range soc=-5:5 lies outside what 'soc' can be, 0 to 1",
                    ["--range", "soc=-5:5"]),
}  # fmt: skip


@pytest.mark.parametrize("name", SPACES)
def test_a_space_tells_whether_quantities_were_seen_as_they_are(
    name: str, tmp_path: Path, capsys: Captured
) -> None:
    features, low, high, said, more = SPACES[name]
    model = saved(tmp_path, low, high)
    assert main(words(model, features, *more)) == (2 if said else 0), capsys.readouterr().err
    if said:
        told = capsys.readouterr().err
        assert said in told and "card.json" not in told and "train it again" not in told
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("clip", "code"), [(5.0, 0), (10.0, 2)])
def test_statistics_of_what_was_scaled_already_are_refused(
    clip: float, code: int, tmp_path: Path, capsys: Captured
) -> None:
    """Those of the scaling itself are clipped to the space that came out of it."""
    model = saved(tmp_path, [-5] * 4, [5] * 4)
    file = tmp_path / "normal.json"
    file.write_text(json.dumps(statistics(4, clip_obs=clip, low=[0, 0, -3, -1], high=[1, 9, 3, 1])))
    assert main(words(model, FEATURES, "--normalize", str(file))) == code
    assert ("had already scaled" in capsys.readouterr().err) == bool(code)


def test_bounds_that_were_left_out_of_the_file_are_judged_by_the_others(
    tmp_path: Path, capsys: Captured
) -> None:
    agents = [f"h{number}" for number in range(600)]  # numpy prints no more than 1000 numbers
    model = saved(tmp_path, [-5.0] * 1200, [5.0] * 1200, actions=600)
    more = ["--agents", ",".join(agents)]
    assert main(words(model, ("soc", "hour_sin"), *more)) == 2
    assert "'soc' was seen from -5 to 5" in capsys.readouterr().err


def test_an_action_that_looks_like_a_share_is_pointed_out(tmp_path: Path, capsys: Captured) -> None:
    features, low, high = SPACES["own units"][:3]
    assert main(words(saved(tmp_path, low, high), features)) == 0
    assert "of a share of the rating: --share-of-rating" in capsys.readouterr().out
    (tmp_path / "out").rename(tmp_path / "first")
    assert main(words(saved(tmp_path, low, high, 2.0), features)) == 0
    assert "--share-of-rating" not in capsys.readouterr().out


OPTIONS: dict[str, list[str]] = {
    "plain": [],
    "scaled": ["--normalize", "normal.json", "--share-of-rating", "--range", "rating_kw=0.1:11.7"],
    "clock": ["--interval-minutes", "30", "--gate-lead-seconds", "60", "--licence", "MIT or so",
              "--policy-version", "2 b", "--name", "My own"],
    "activation": ["--activation", "leakyrelu:0.3", "--range", "forecast_net_kw=-3.25:4.1"],
    "trust": ["--trust"],
}  # fmt: skip


@pytest.mark.parametrize("name", OPTIONS)
def test_the_command_of_a_card_makes_the_same_bundle(
    name: str, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    from functools import partial

    monkeypatch.chdir(tmp_path)
    slow = {"activation_fn": partial(torch.nn.LeakyReLU, negative_slope=0.3)}
    saved(tmp_path, *SPACES["own units"][1:3], **(slow if name == "activation" else {}))
    Path("normal.json").write_text(json.dumps(statistics(4, low=[0, 1, -9, -1], high=[1, 9, 9, 1])))
    first = words(Path("model.zip"), FEATURES, *OPTIONS[name])
    assert main(first) == 0, capsys.readouterr().err
    command = load_bundle(Path("out")).card.training.command
    _, _, again = command.partition("save it again, then: ")
    said = shlex.split(again)
    assert said[:3] == ["python", "-m", "cosim"]
    Path("out").rename("first")
    assert main(said[3:]) == 0, capsys.readouterr().err
    for file in (CARD, MODEL):
        assert Path("out", file).read_bytes() == Path("first", file).read_bytes()


def test_a_command_that_is_too_long_for_a_card_leaves_the_agents_to_it() -> None:
    from cosim.training.wish import LONGEST, Wish, again

    agents = tuple(f"home number {number}" for number in range(200))
    wish = Wish(("soc",), ("battery_kw",), "mine", 900, agents)
    text = again(Path("model.zip"), None, Path("out"), wish)
    assert "--agents AGENTS-OF-THIS-CARD" in text and len(text) <= LONGEST


# ---------------------------------------------------------------- places


def test_a_refused_import_makes_no_folders(tmp_path: Path, capsys: Captured) -> None:
    model = saved(tmp_path, *SPACES["own units"][1:3])
    command = words(model)
    command[4] = str(tmp_path / "new" / "deep")
    assert main([*command, "--licence", "für alle"]) == 2
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").write_text("mine")
    command[4] = str(tmp_path / "file" / "deep")
    assert main(command) == 74
    assert "cannot write" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["out.zip", "out"])
def test_an_export_is_checked_before_it_is_put_in_its_place(
    name: str, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The source is read once: what is written is what was checked."""
    from cosim.verbs import _policy

    assert main(["policy", "export", "shared_ppo", "--to", str(tmp_path / "one")]) == 0
    read, times = _policy.read_bundle, []

    def read_and_spoil(place: Path) -> dict[str, bytes]:
        files = read(place)
        times.append(place)
        (tmp_path / "one" / MODEL).write_bytes(b"something else")
        return files

    monkeypatch.setattr(_policy, "read_bundle", read_and_spoil)
    target = tmp_path / name
    assert main(["policy", "export", str(tmp_path / "one"), "--to", str(target)]) == 0
    assert len(times) == 1
    assert load_bundle(target).card.name == "shared_ppo"
    assert {path.name for path in tmp_path.iterdir()} == {"one", name}  # nothing half-written
    assert main(["policy", "export", str(tmp_path / "one"), "--to", str(tmp_path / "two")]) == 2
    assert not (tmp_path / "two").exists()
    capsys.readouterr()


# ---------------------------------------------------------------- RecurrentPPO itself


def test_a_recurrent_ppo_acts_and_remembers_as_sb3_contrib_does(
    tmp_path: Path, capsys: Captured
) -> None:
    contrib = pytest.importorskip("sb3_contrib")
    low, high = SPACES["own units"][1:3]
    torch.manual_seed(3)
    model = contrib.RecurrentPPO(
        "MlpLstmPolicy", Still(low, high, 3.0), device="cpu", n_steps=16, batch_size=16, seed=1,
        policy_kwargs={"lstm_hidden_size": 8, "net_arch": [6]},
    )  # fmt: skip
    model.learn(32)
    with torch.no_grad():
        model.policy.action_net.weight.mul_(100.0)
    model.save(tmp_path / "model.zip")
    assert main(words(tmp_path / "model.zip")) == 0, capsys.readouterr().err
    bundle = load_bundle(tmp_path / "out")
    assert bundle.card.algorithm == "RecurrentPPO"
    steps = np.random.default_rng(2).uniform(low, high, (96, 2, 4)).astype(np.float32)
    memory, state = bundle.start(2), None
    starts = np.ones(2, bool)
    decided = []
    for seen in steps:
        expected, state = model.predict(seen, state, starts, deterministic=True)
        got, memory = bundle.step(seen, memory)
        assert np.abs(got - expected).max() <= 1e-6 * 6.0
        remembered = np.concatenate([part[0] for part in state], axis=1)
        assert memory is not None and np.abs(memory - remembered).max() <= 1e-6
        decided.append(expected)
        starts = np.zeros(2, bool)
    assert np.ptp(decided) > 0.1  # it does decide


# ---------------------------------------------------------------- costs of hostile graphs


def varint(number: int) -> bytes:
    head = b""
    while number > 127:
        head += bytes([number & 127 | 128])
        number >>= 7
    return head + bytes([number])


def test_millions_of_empty_messages_are_refused_before_they_are_parsed() -> None:
    import onnx

    from cosim.bundle.wire import MOST_FIELDS, fields_within

    nodes = b"\x0a\x00" * 500_000
    data = b"\x3a" + varint(len(nodes)) + nodes
    with pytest.raises(ValueError, match=f"more than {MOST_FIELDS} fields"):
        fields_within(data, onnx.ModelProto.DESCRIPTOR)


def test_fields_are_counted_as_the_parser_reads_them() -> None:
    import onnx

    from cosim.bundle.wire import fields_within

    root = Path(__file__).parent.parent / "agents" / "trained" / "shared_ppo" / MODEL
    data = root.read_bytes()
    model = onnx.ModelProto.FromString(data)

    def count(message: Any) -> int:
        total = 0
        for field, value in message.ListFields():
            for item in value if field.is_repeated else [value]:
                total += 1 if not field.message_type else 1 + count(item)
            if field.is_packed:
                total -= len(value) - 1
        return total

    assert fields_within(data, onnx.ModelProto.DESCRIPTOR) == count(model)
    for end in (1, 17, len(data) // 2, len(data) - 1):
        with pytest.raises(ValueError):
            fields_within(data[:end], onnx.ModelProto.DESCRIPTOR)
