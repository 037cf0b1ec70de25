"""Hostile policy files of every kind: code 2, a clear message, and nothing in them is executed."""

from __future__ import annotations

import base64
import io
import json
import os
import pickle
import random
import stat
import struct
import time
import warnings
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from agents.onnx import TRAINED
from cosim.__main__ import main
from cosim.bundle.card import CARD, CARD_CAP, MODEL
from cosim.bundle.strict_json import strict_json
from cosim.training import sb3_zip
from cosim.training.inert import read_pickle

torch = pytest.importorskip("torch")

SHIPPED = TRAINED / "shared_ppo"
#: payloads write here; it is relative, so that each test has its own
CANARY = "canary"
Captured = pytest.CaptureFixture[str]
#: builds a file or folder below a folder and returns the words of the command that meets it
Case = Callable[[Path], list[str]]


class Evil:
    """Touches the canary when it is unpickled."""

    def __init__(self, call: Callable[..., Any], *arguments: Any) -> None:
        self._call, self._arguments = call, arguments

    def __reduce__(self) -> Any:
        return self._call, self._arguments


TOUCH = f"touch {CANARY}"
CODE = f"open({CANARY!r}, 'w').close()"
EVIL: dict[str, Any] = {
    "os.system": Evil(os.system, TOUCH),
    "os.popen": Evil(os.popen, TOUCH),
    "exec": Evil(exec, CODE),
    "eval": Evil(eval, CODE),
    "open": Evil(open, CANARY, "w"),
    "os.mkdir": Evil(os.mkdir, CANARY),
    "getattr": Evil(getattr, "text", "upper"),
    "torch.load": Evil(torch.load, CANARY),
    "in a list": [1, Evil(os.system, TOUCH)],
    "in a mapping": {"mean": Evil(os.system, TOUCH)},
    "numpy of objects": np.array([Evil(os.system, TOUCH)], dtype=object),
}
#: pickles written by hand
RAW: dict[str, bytes] = {
    "system in protocol 0": b"cos\nsystem\n(S'" + TOUCH.encode() + b"'\ntR.",
    "inst": b"(S'" + TOUCH.encode() + b"'\nios\nsystem\n.",
    "obj": b"(cos\nsystem\nS'" + TOUCH.encode() + b"'\no.",
    "system behind numpy": b"cnumpy\nndarray\n0cos\nsystem\n(V" + TOUCH.encode() + b"\ntR.",
    "numpy's own exec": b"cnumpy.testing\nrundocs\n(V" + TOUCH.encode() + b"\ntR.",
    "dotted name": b"\x80\x04\x8c\x05numpy\x8c\x09os.system\x93\x8c\x0ctouch canary\x85R.",
    "persistent": b"\x80\x04\x8c\x01aQ.",
    "extension": b"\x80\x04\x82\x01.",
    "huge memo": b"\x80\x04Nr\xff\xff\xff\x7f.",
    "huge text": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 60) + b"a.",
    "huge bytes": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b"a.",
    "huge number": b"\x80\x04\x8b" + struct.pack("<i", 1 << 30) + b"a.",
    "negative length": b"\x80\x04\x8b" + struct.pack("<i", -5) + b".",
    "huge frame": b"\x80\x04\x95" + struct.pack("<Q", 1 << 62) + b"N.",
    "no end": b"\x80\x04N",
    "empty stack": b"\x80\x04.",
    "mark missing": b"\x80\x04t.",
    "memo missing": b"\x80\x04h\x07.",
    "protocol of tomorrow": b"\x80\xffN.",
    "unhashable key": b"\x80\x04}]Ns.",
    "nested key": b"\x80\x04N\x94" + b"h\x00h\x00\x86\x94" * 40 + b"}" + b"h\x00Ns.",
    "doubling": b"\x80\x04N" + b"2\x86" * 4000 + b".",
    "build of nothing": b"\x80\x04}}b.",
    "nothing": b"",
    "text": b"hello",
}


def pickled(protocol: int = 4) -> dict[str, bytes]:
    found = {name: pickle.dumps(value, protocol=protocol) for name, value in EVIL.items()}
    return found | (RAW if protocol == 4 else {})


# ---------------------------------------------------------------- a model to be spoilt


@cache
def good() -> dict[str, bytes]:
    """Return the members of a small sound model of stable-baselines3."""
    space = {":type:": "<class 'gymnasium.spaces.box.Box'>", "_shape": [2], "low": "[0. 0.]",
             "high": "[1. 1.]", ":serialized:": ""}  # fmt: skip
    tanh = "<class 'torch.nn.modules.activation.Tanh'>"
    data = {
        "policy_kwargs": {"net_arch": [3], "activation_fn": tanh},
        "seed": 1, "num_timesteps": 10, "observation_space": space,
        "action_space": space | {"_shape": [1], "low": "[-1.]", "high": "[1.]"},
    }  # fmt: skip
    return {"data": json.dumps(data).encode(), "policy.pth": saved(weights()),
            "_stable_baselines3_version": b"2.9.2"}  # fmt: skip


def weights() -> dict[str, Any]:
    draw = torch.Generator().manual_seed(1)
    sizes = {"mlp_extractor.policy_net.0": (3, 2), "action_net": (1, 3)}
    tensors = {f"{k}.weight": torch.randn(s, generator=draw) for k, s in sizes.items()}
    return tensors | {f"{k}.bias": torch.zeros(s[0]) for k, s in sizes.items()}


def saved(value: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


def zipped(members: dict[str, bytes], packing: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", packing) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def importing(model: bytes, statistics: bytes | None = None) -> Case:
    def build(folder: Path) -> list[str]:
        (folder / "model.zip").write_bytes(model)
        words = ["policy", "import", str(folder / "model.zip"), "--to", str(folder / "out"),
                 "--features", "soc,weekend", "--actions", "battery_kw"]  # fmt: skip
        if statistics is None:
            return words
        (folder / "normal.pkl").write_bytes(statistics)
        return [*words, "--normalize", str(folder / "normal.pkl")]

    return build


def with_members(**changed: bytes | None) -> Case:
    named = {name.replace("policy_pth", "policy.pth"): data for name, data in changed.items()}
    members = {k: v for k, v in (good() | named).items() if v is not None}
    return importing(zipped(members))


def with_data(change: Callable[[dict[str, Any]], Any]) -> Case:
    fields = json.loads(good()["data"])
    change(fields)
    return with_members(data=json.dumps(fields).encode())


def with_weights(change: Callable[[dict[str, Any]], Any]) -> Case:
    tensors = weights()
    change(tensors)
    return with_members(policy_pth=saved(tensors))


def pth_with(payload: bytes) -> bytes:
    """Return an archive of weights whose own pickle is another one."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(saved(weights()))) as old, zipfile.ZipFile(stream, "w") as new:
        for name in old.namelist():
            new.writestr(name, payload if name.endswith("data.pkl") else old.read(name))
    return stream.getvalue()


def spoilt(data: bytes, seed: int) -> bytes:
    """Return bytes of which some are flipped, in the part where readers look first."""
    draw, changed = random.Random(seed), bytearray(data)
    for _ in range(20):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


# ---------------------------------------------------------------- the cases


def model_cases() -> dict[str, Case]:
    whole = zipped(good())
    cut = (0, 1, 4, 30, 100, 1000, len(whole) // 2, len(whole) - 30, len(whole) - 1)
    found: dict[str, Case] = {f"zip cut at {n}": importing(whole[:n]) for n in cut}
    found |= {f"zip flipped {i}": importing(spoilt(whole, i)) for i in range(12)}
    found |= {
        "zip random": importing(random.Random(1).randbytes(5000)),
        "no data": with_members(data=None),
        "no weights": with_members(policy_pth=None),
        "empty archive": importing(zipped({})),
        "pickle as a model": importing(pickle.dumps(EVIL["os.system"])),
        "bomb of data": importing(bomb("data", 20)),
        "bomb of weights": importing(bomb("policy.pth", 130)),
        "many members": importing(zipped(good() | {f"m{i}": b"" for i in range(100)})),
        "a member twice": importing(twice()),
        "a link": importing(linked()),
        "packed by lzma": importing(zipped(good(), zipfile.ZIP_LZMA)),
        "packed by bzip2": importing(zipped(good(), zipfile.ZIP_BZIP2)),
        "encrypted": importing(encrypted(whole)),
        "lying size": importing(whole.replace(struct.pack("<I", len(good()["data"])),
                                              struct.pack("<I", 7))),
    }  # fmt: skip
    ways = ("../canary", "/tmp/canary", "a/../../canary", "..\\canary", "C:\\canary", "\\\\h\\x")
    for name in ways:
        found[f"member {name}"] = importing(zipped(good() | {name: b"x"}))
    return found


def bomb(name: str, megabytes: int) -> bytes:
    return zipped(good() | {name: bytes(megabytes << 20)}, zipfile.ZIP_DEFLATED)


def twice() -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            for name, data in [*good().items(), ("data", b"{}")]:
                archive.writestr(name, data)
        return stream.getvalue()


def linked() -> bytes:
    stream = io.BytesIO(zipped(good()))
    with zipfile.ZipFile(stream, "a") as archive:
        entry = zipfile.ZipInfo("link")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc/passwd")
    return stream.getvalue()


def encrypted(data: bytes) -> bytes:
    """Return an archive whose directory says that its members are encrypted."""
    changed, start = bytearray(data), 0
    while (start := data.find(b"PK\x01\x02", start)) >= 0:
        changed[start + 8] |= 1
        start += 4
    return bytes(changed)


def data_cases() -> dict[str, Case]:
    raw = {
        "list": b"[]", "null": b"null", "empty": b"", "nan": b'{"seed": NaN}',
        "binary": b"\xff\x00",
        "deep": b"[" * 100_000, "deep objects": b'{"a":' * 5000 + b"1" + b"}" * 5000,
        "twice": good()["data"][:-1] + b', "seed": 2}', "pickle": pickle.dumps(EVIL["os.system"]),
        "long number": b'{"seed": ' + b"9" * 5000 + b"}", "cut": good()["data"][:-3],
        "utf-16": good()["data"].decode().encode("utf-16"), "comment": b"{} // x",
    }  # fmt: skip
    found: dict[str, Case] = {f"data {k}": with_members(data=v) for k, v in raw.items()}

    def put(*steps: str, to: Any) -> Case:
        def change(fields: dict[str, Any]) -> None:
            for step in steps[:-1]:
                fields = fields[step]
            fields[steps[-1]] = to

        return with_data(change)

    box, activation = "action_space", ("policy_kwargs", "activation_fn")
    found |= {
        "no spaces": with_data(lambda f: (f.pop("observation_space"), f.pop(box))),
        "space of text": put(box, to="Box"),
        "discrete space": put(box, ":type:", to="<class 'gymnasium.spaces.discrete.Discrete'>"),
        "space of evil": put(box, ":type:", to="<class 'os.system'>"),
        "shape negative": put(box, "_shape", to=[-1]),
        "shape huge": put(box, "_shape", to=[10**18]),
        "shape of rank 2": put(box, "_shape", to=[1, 1]),
        "shape of text": put(box, "_shape", to=["1"]),
        "shape true": put(box, "_shape", to=[True]),
        "bounds of code": put(box, "low", to="[__import__('os').system('touch canary')]"),
        "bounds left out": put(box, "low", to="[-1. ... 1.]"),
        "bounds too many": put(box, "high", to="[1. 1.]"),
        "bounds nan": put(box, "low", to="[nan]"),
        "bounds infinite": put(box, "high", to="[inf]"),
        "bounds upside down": put(box, "low", to="[2.]"),
        "bounds of a list": put(box, "low", to=[-1.0]),
        "activation of code": put(*activation, to="<class 'os.system'>"),
        "activation of a lambda": put(*activation, to="<function <lambda> at 0x7f>"),
        "activation unknown": put(*activation, to="<class 'torch.nn.modules.activation.Evil'>"),
        "activation long": put(*activation, to="A" * 100_000),
        "activation of codes": put(*activation, to="\x1b[2J\u202e"),
        "bound of text": put("policy_kwargs", "clip_mean", to="os.system"),
        "bound huge": put("policy_kwargs", "clip_mean", to=10**400),
        "data of quotes": with_members(data=b'{"' + b'\\"' * 10**6),
    }  # fmt: skip
    return found


def weight_cases() -> dict[str, Case]:
    layer = "mlp_extractor.policy_net.0.weight"

    def put(value: Any, name: str = layer) -> Case:
        return with_weights(lambda tensors: tensors.__setitem__(name, value))

    found = {f"pth {name}": with_members(policy_pth=data) for name, data in pickled().items()}
    found |= {
        f"pth saved {name}": with_members(policy_pth=saved({layer: value}))
        for name, value in EVIL.items()
    }
    inner = {f"pth inside {k}": v for k, v in pickled(2).items()}
    inner |= {f"pth raw {k}": v for k, v in RAW.items()}
    found |= {name: with_members(policy_pth=pth_with(data)) for name, data in inner.items()}
    sound = saved(weights())
    cuts = (0, 10, 500, len(sound) - 9)
    found |= {f"pth cut {n}": with_members(policy_pth=sound[:n]) for n in cuts}
    found |= {
        "pth packed": with_members(policy_pth=zipped({"archive/data.pkl": b"x" * 999}, 8)),
        "pth bomb": with_members(policy_pth=zipped({"a/data.pkl": bytes(4 << 20)}, 8)),
        "pth of old": with_members(policy_pth=legacy()),
        "pth of old before an archive": with_members(policy_pth=legacy() + sound),
        "weights of thousands of views": with_weights(
            lambda tensors: tensors.update(
                {f"w{i}": torch.zeros(1).expand(sb3_zip.MOST_WEIGHTS) for i in range(900)}
            )
        ),
        "weights not a number": put(torch.full((3, 2), torch.nan)),
        "weights infinite": put(torch.full((3, 2), torch.inf)),
        "weights of doubles": put(torch.zeros(3, 2, dtype=torch.float64)),
        "weights of integers": put(torch.zeros(3, 2, dtype=torch.int64)),
        "weights complex": put(torch.zeros(3, 2, dtype=torch.complex64)),
        "weights sparse": put(torch.zeros(3, 2).to_sparse()),
        "weights spread": put(torch.zeros(1).expand(10**6, 10**6)),
        "weights without data": put(torch.zeros(3, 2, device="meta")),
        "weights of rank 3": put(torch.zeros(3, 2, 1)),
        "weights empty": put(torch.zeros(0, 2)),
        "weights of text": put("weights"),
        "weights too wide": put(torch.zeros(3, 5)),
        "weights too high": put(torch.zeros(5, 2)),
        "bias missing": with_weights(lambda t: t.pop("action_net.bias")),
        "bias too long": put(torch.zeros(9), "action_net.bias"),
        "layer of strangers": put(torch.zeros(2, 2), "features_extractor.cnn.0.weight"),
        "layer left out": put(torch.zeros(3, 3), "mlp_extractor.policy_net.4.weight"),
        "name of codes": put(torch.zeros(1), "\x1b[2J"),
        "name of a path": put(torch.zeros(1), "../../canary"),
        "list of weights": with_members(policy_pth=saved(list(weights().values()))),
        "no weights at all": with_members(policy_pth=saved({})),
        "one tensor": with_members(policy_pth=saved(torch.zeros(3))),
    }
    return found


def legacy() -> bytes:
    stream = io.BytesIO()
    torch.save(weights(), stream, _use_new_zipfile_serialization=False)
    return stream.getvalue()


def _text(word: str) -> bytes:
    return b"\x8c" + bytes([len(word)]) + word.encode()


def _object(name: str) -> bytes:
    module, _, last = name.rpartition(".")
    return _text(module) + _text(last) + b"\x93"


def odd_statistics(
    shape: bytes = b"K\x02\x85",
    code: bytes = b"\x8c\x02f8",
    state: bytes = b"",
    clip: bytes = b"K\x0a",
) -> bytes:
    """Return a pickle of a VecNormalize whose records are not as numpy writes them."""
    kind = _object("numpy.dtype") + b"(" + code + b"tR" + (state + b"b" if state else b"")
    array = _object("numpy._frombuffer") + b"(C\x10" + bytes(16) + kind + shape + b"\x8c\x01CtR"
    moments = _object("stable_baselines3.RunningMeanStd") + b")\x81}("
    moments += _text("mean") + array + _text("var") + array + b"ub"
    whole = b"\x80\x04" + _object("stable_baselines3.VecNormalize") + b")\x81}("
    whole += _text("norm_obs") + b"\x88" + _text("obs_rms") + moments
    return whole + _text("clip_obs") + clip + _text("epsilon") + b"K\x01ub."


#: nested pairs of one value: their hash takes 2**60 steps
NESTED = (
    b"(N\x94"
    + b"".join(b"h" + bytes([i]) * 1 + b"h" + bytes([i]) + b"\x86\x94" for i in range(60))
    + b"t"
)
ODD = {
    "a list in a shape": odd_statistics(shape=b"]\x85"),
    "a shape without end": odd_statistics(shape=NESTED),
    "a list as a code": odd_statistics(code=b"]"),
    "an empty state": odd_statistics(state=b")"),
    "a short state": odd_statistics(state=b"K\x01\x85"),
    "a huge clip": odd_statistics(clip=b"\x8b" + struct.pack("<i", 400) + b"\x7f" * 400),
}


def statistics_cases() -> dict[str, Case]:
    whole = zipped(good())
    found = {f"statistics {k}": importing(whole, v) for k, v in pickled().items()}
    found |= {f"statistics 2 {k}": importing(whole, v) for k, v in pickled(2).items()}
    found |= {f"statistics of {k}": importing(whole, v) for k, v in ODD.items()}
    sound = {"mean": [0.0, 0.0], "var": [1.0, 1.0]}
    listed: dict[str, Any] = {
        "text": {"mean": "00", "var": [1.0, 1.0]},
        "short": {"mean": [0.0], "var": [1.0]},
        "uneven": {"mean": [0.0, 0.0], "var": [1.0]},
        "negative": sound | {"var": [-1.0, 1.0]},
        "nothing": {},
        "more": sound | {"more": 1},
        "clip 0": sound | {"clip_obs": 0},
        "clip true": sound | {"clip_obs": True},
        "epsilon": sound | {"var": [0.0, 1.0], "epsilon": 0.0},
        "huge": sound | {"mean": [1e300, 0.0]},
        "long": {"mean": [0.0] * 5000, "var": [1.0] * 5000},
    }
    texts = {f"statistics {k}": json.dumps(v).encode() for k, v in listed.items()}
    found |= {name: importing(whole, text) for name, text in texts.items()}
    found["statistics nan"] = importing(whole, b'{"mean": [NaN, 0], "var": [1, 1]}')
    return found


def bundle_cases() -> dict[str, Case]:
    card, model = (SHIPPED / CARD).read_bytes(), (SHIPPED / MODEL).read_bytes()
    sound = {CARD: card, MODEL: model}

    def archive(data: bytes) -> Case:
        def build(folder: Path) -> list[str]:
            (folder / "b.zip").write_bytes(data)
            return ["policy", "verify", str(folder / "b.zip")]

        return build

    def files(changed: dict[str, bytes]) -> Case:
        def build(folder: Path) -> list[str]:
            for name, data in (sound | changed).items():
                (folder / name).write_bytes(data)
            return ["policy", "verify", str(folder)]

        return build

    whole = zipped(sound)
    external = onnx.load_model_from_string(model)
    tensor = external.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="canary.bin")
    found = {f"card flipped {i}": files({CARD: spoilt(card, i)}) for i in range(15)}
    found |= {f"model flipped {i}": files({MODEL: spoilt(model, i)}) for i in range(10)}
    found |= {f"archive cut {n}": archive(whole[:n]) for n in (0, 3, 99, len(whole) - 5)}
    found |= {f"card of {k}": files({CARD: v}) for k, v in pickled().items()}
    return found | {
        "archive without a model": archive(zipped({CARD: card})),
        "archive without a card": archive(zipped({MODEL: model})),
        "archive with a way out": archive(zipped(sound | {"../canary": b"x"})),
        "archive of a bomb": archive(zipped(sound | {CARD: b" " * (5 << 20)}, 8)),
        "model outside": files({MODEL: external.SerializeToString()}),
        "model of a pickle": files({MODEL: pickle.dumps(EVIL["os.system"])}),
        "card twice a key": files({CARD: card.replace(b'"version"', b'"name"', 1)}),
        "card deep": files({CARD: b"[" * 200_000}),
        "card above the cap": files({CARD: b" " * (CARD_CAP + 1)}),
    }


def special_cases() -> dict[str, Case]:
    def place(make: Callable[[Path], Any], *words: str) -> Case:
        def build(folder: Path) -> list[str]:
            make(folder / "model.zip")
            named = ["--features", "soc,weekend", "--actions", "battery_kw"]
            more = ["--to", str(folder / "out"), *named] if words == ("import",) else []
            return ["policy", *words, str(folder / "model.zip"), *more]

        return build

    def huge(path: Path) -> None:
        with path.open("wb") as stream:
            stream.truncate(1 << 40)

    makers: dict[str, Callable[[Path], Any]] = {
        "fifo": os.mkfifo,
        "device": lambda path: path.symlink_to("/dev/zero"),
        "loop": lambda path: path.symlink_to(path),
        "secret": lambda path: path.symlink_to("/etc/passwd"),
        "folder": Path.mkdir,
        "huge": huge,
        "missing": lambda path: None,
    }
    return {
        f"{name} for {word}": place(make, word)
        for name, make in makers.items()
        for word in ("import", "verify")
    }


HOSTILE: dict[str, Case] = {
    **model_cases(), **data_cases(), **weight_cases(), **statistics_cases(), **bundle_cases(),
    **special_cases(),
}  # fmt: skip


def test_there_are_hundreds() -> None:
    assert len(HOSTILE) >= 200


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused(
    name: str, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    words = HOSTILE[name](tmp_path / "in")
    code = main(words)
    shown = capsys.readouterr()
    assert code == 2, shown
    assert "Traceback" not in shown.err and "internal error" not in shown.err
    assert shown.err.strip() and len(shown.err) < 30_000
    assert all(" " <= letter <= "~" or letter == "\n" for letter in shown.err)
    assert "root:" not in shown.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]  # no canary, nothing else
    assert not (tmp_path / "in" / "out").exists()


def test_the_canary_sings() -> None:
    """The payloads do what they are for where nobody guards: else the tests above prove nothing."""
    folder = Path.cwd()
    for name in ("os.system", "exec", "os.mkdir", "in a list"):
        place = folder / CANARY
        pickle.loads(pickle.dumps(EVIL[name]))
        assert place.exists(), name
        if place.is_dir():
            place.rmdir()
        else:
            place.unlink()


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_what_is_pickled_in_the_json_is_left_alone(tmp_path: Path, capsys: Captured) -> None:
    """A model whose JSON is full of payloads is imported: they are never looked at."""
    payload = base64.b64encode(pickle.dumps(EVIL["os.system"])).decode()

    def fill(fields: dict[str, Any]) -> None:
        for key in list(fields):
            if isinstance(fields[key], dict):
                fields[key][":serialized:"] = payload
        for key in ("lr_schedule", "clip_range", "policy_class", "ep_info_buffer", "_last_obs"):
            fields[key] = {":type:": "<class 'function'>", ":serialized:": payload}

    members = {
        "pytorch_variables.pth": pickle.dumps(EVIL["os.system"]),
        "policy.optimizer.pth": pth_with(pickle.dumps(EVIL["exec"], protocol=2)),
    }
    fields = json.loads(good()["data"])
    fill(fields)
    model = zipped(good() | members | {"data": json.dumps(fields).encode()})
    assert main(importing(model)(tmp_path)) == 0, capsys.readouterr().err
    assert not (tmp_path / CANARY).exists()
    assert (tmp_path / "out" / CARD).exists()


def test_reading_json_is_bounded() -> None:
    assert strict_json(b'{"a": ["[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", 1.5]}') == {"a": ["[" * 30, 1.5]}
    for wrong in (b"[" * 30 + b"]" * 30, b'{"a": 1, "a": 2}', b"[NaN]", b"[1e", b"\xff"):
        with pytest.raises(ValueError, match=r"nested|twice|NaN|JSON|UTF-8"):
            strict_json(wrong)


def test_plain_pickles_are_read_as_they_are() -> None:
    value = {"a": [1, 2.5, None, True, "text", b"bytes"], "b": {"c": (1, (2, 3), ())}, "d": 10**30}
    for protocol in (2, 3, 4, 5):
        plain = {k: v for k, v in value.items() if protocol > 2 or k != "a"}
        assert read_pickle(pickle.dumps(plain, protocol=protocol)) == plain


def test_odd_statistics_are_sound_but_for_what_is_odd(tmp_path: Path) -> None:
    (tmp_path / "normal.pkl").write_bytes(odd_statistics())
    normal = sb3_zip.read_statistics(tmp_path / "normal.pkl")
    assert normal is not None and normal.mean.tolist() == [0.0, 0.0] and normal.clip == 10.0


def test_many_marks_cost_no_more_than_their_number() -> None:
    begun = time.process_time()
    assert read_pickle(b"\x80\x04" + b"N" * 200_000 + b"(t" * 100_000 + b".") == ()
    assert time.process_time() - begun < 20.0  # looking through all of the stack takes minutes


def test_a_bound_of_many_digits_costs_no_more_than_its_length() -> None:
    begun = time.process_time()
    assert np.isnan(sb3_zip._printed("[" + "1" * 300_000 + "x]", 1)).all()
    assert time.process_time() - begun < 5.0


def test_the_reader_of_weights_is_told_to_read_nothing_else() -> None:
    source = Path(sb3_zip.__file__).read_text()
    assert source.count("torch.load(") == 1 and "weights_only=True" in source
