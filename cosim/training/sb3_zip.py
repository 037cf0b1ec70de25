"""Files of stable-baselines3 read as data: nothing that stands in them is executed.

Of a saved model only the plain fields of its JSON are read, and ``policy.pth`` with torch's reader
of weights alone; of a saved ``VecNormalize`` its numbers. Pickles in the JSON are left alone.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from cosim.bundle.card import MODEL_CAP
from cosim.bundle.files import read_file, read_zip, shown
from cosim.bundle.strict_json import strict_json
from cosim.errors import InputError, Problem
from cosim.training.inert import Inert, as_array, read_pickle
from cosim.training.network import Activation, Actor, Normal
from cosim.training.sb3 import ACTORS, Settings, actor_of, algorithm_of, parsed_activation

ZIP_CAP, PTH_CAP, JSON_CAP, PICKLE_CAP = 256 << 20, 128 << 20, 16 << 20, 16 << 20
MOST_WEIGHTS = MODEL_CAP // 4
_CLASS = re.compile(
    r"<class '(?:torch\.nn\.modules\.activation\.|torch\.nn\.modules\.linear\.)(\w+)'>"
)
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?(?:e[+-]?\d+)?|inf)")


@dataclass(frozen=True, eq=False)
class Box:
    """Bounds ``[n]`` of a space; NaN where the file does not say them."""

    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True, eq=False)
class Saved:
    """A saved model as far as it is plain."""

    algorithm: str
    version: str
    weights: dict[str, np.ndarray]
    activation: str  # as it is printed, empty where the file leaves it to the algorithm's usual one
    clip_mean: float
    squash: bool
    observations: Box
    actions: Box
    seeds: tuple[int, ...]
    steps: int

    def settings(self, chosen: Activation | None) -> tuple[Settings, str]:
        """Return the settings of the actor and where the activation is from.

        Raises ValueError where the file's is not readable, or not the user's.
        """
        found = _CLASS.fullmatch(self.activation)
        said = parsed_activation(found[1]) if found else None
        if chosen is not None:
            if said is not None and said.name != chosen.name:
                raise ValueError(f"its activation is '{said.name}', not '{chosen.name}'")
            return Settings(chosen, self.clip_mean), "as you say"
        if said is not None:
            return Settings(said, self.clip_mean), "as the file prints it"
        if self.activation:
            raise ValueError(
                f"its activation {self.activation[:80]!a} cannot be read without running the file: "
                "name it with --activation, e.g. --activation leakyrelu:0.2"
            )
        usual = Activation(ACTORS[self.algorithm][2])
        return Settings(usual, self.clip_mean), f"the usual one of {self.algorithm}"


def read_model(path: Path) -> Saved:
    """Return what a saved model says plainly; raise InputError where it is none."""
    remedy = "name a file that model.save() of stable-baselines3 has written"
    caps = {"data": JSON_CAP, "policy.pth": PTH_CAP, "_stable_baselines3_version": 100}
    members = read_zip(read_file(path, ZIP_CAP, remedy), path, caps)
    missing = [name for name in ("data", "policy.pth") if name not in members]
    if missing:
        what = f"holds no {' and no '.join(missing)}: it is no model of stable-baselines3"
        raise InputError(Problem(what, shown(path), remedy=remedy))
    try:
        fields = strict_json(members["data"])
        if not isinstance(fields, dict):
            raise ValueError("its data are no mapping")
        weights = _weights(members["policy.pth"])
        version = members.get("_stable_baselines3_version", b"").decode("ascii").strip()
        return _saved(fields, weights, version)
    except (ValueError, RecursionError) as error:
        raise InputError(Problem(_line(error), shown(path), remedy=remedy)) from None


def _line(error: Exception) -> str:
    return " ".join(str(error).split()).encode("unicode_escape").decode()[:500]


def _weights(data: bytes) -> dict[str, np.ndarray]:
    """Return the tensors of ``policy.pth``, float32, finite and of bounded size."""
    _check_archive(data)
    try:
        import torch
    except ImportError:
        raise InputError(
            Problem("reading policy.pth needs torch", remedy="pip install 'cosim[train]'")
        ) from None
    try:
        held = torch.load(BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # its reader raises whatever hostile bytes lead to
        kind = type(error).__name__
        raise ValueError(f"policy.pth holds more than weights, or is broken ({kind})") from None
    if not isinstance(held, dict) or not 1 <= len(held) <= 1000:
        raise ValueError("policy.pth holds no weights by name")
    tensors = [tensor for tensor in held.values() if isinstance(tensor, torch.Tensor)]
    if sum(tensor.numel() for tensor in tensors) > PTH_CAP // 4:  # views cost nothing in the file
        raise ValueError(f"policy.pth describes more than {PTH_CAP} bytes of weights")
    return {_known(name): _array(name, tensor) for name, tensor in held.items()}


def _check_archive(data: bytes) -> None:
    """Refuse what would not be stored plainly: torch's reader has no bounds of its own."""
    if not data.startswith(b"PK\x03\x04"):  # else torch would read what stands before the archive
        raise ValueError("policy.pth is no archive of weights")
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            entries = archive.infolist()
    except Exception as error:
        raise ValueError(f"policy.pth is no archive of weights ({type(error).__name__})") from None
    if len(entries) > 2000 or any(e.compress_type != zipfile.ZIP_STORED for e in entries):
        raise ValueError("policy.pth is packed, or holds too many files")
    if sum(entry.file_size for entry in entries) > PTH_CAP:
        raise ValueError(f"policy.pth claims more than {PTH_CAP} bytes")


def _known(name: Any) -> str:
    if not isinstance(name, str) or not re.fullmatch(r"[\w.]{1,200}", name, re.ASCII):
        raise ValueError("policy.pth has weights without a plain name")
    return name


def _array(name: str, tensor: Any) -> np.ndarray:
    import torch

    plain = isinstance(tensor, torch.Tensor) and tensor.layout == torch.strided
    if not plain or tensor.dtype != torch.float32 or tensor.device.type != "cpu":
        raise ValueError(f"the weights '{name}' are no float32 tensor")
    if tensor.dim() > 2 or tensor.numel() > MOST_WEIGHTS or tensor.numel() == 0:
        raise ValueError(f"the weights '{name}' have the shape {list(tensor.shape)[:8]}")
    array = tensor.detach().numpy().copy()
    if not np.isfinite(array).all():
        raise ValueError(f"the weights '{name}' hold values that are not finite")
    return array


def _saved(fields: Mapping[str, Any], weights: dict[str, np.ndarray], version: str) -> Saved:
    algorithm = algorithm_of(weights)
    options = fields.get("policy_kwargs")
    options = options if isinstance(options, dict) else {}
    observations, actions = (_box(fields, f"{what}_space") for what in ("observation", "action"))
    seed, steps = fields.get("seed"), fields.get("num_timesteps")
    return Saved(
        algorithm=algorithm,
        version=version if re.fullmatch(r"[\w.+-]{1,40}", version) else "unknown",
        weights=weights,
        activation=str(options.get("activation_fn") or ""),
        clip_mean=_number(options.get("clip_mean", 2.0)),
        squash=algorithm != "PPO" or bool(options.get("squash_output") is True),
        observations=observations,
        actions=actions,
        seeds=_counted(seed),
        steps=sum(_counted(steps)),
    )


def _counted(value: Any) -> tuple[int, ...]:
    """Return a count as it stands in the file, nothing where there is none."""
    whole = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63
    return (value,) if whole else ()


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e30:
        raise ValueError(f"holds {str(value)[:40]!a} where a number belongs")
    return float(value)


def _box(fields: Mapping[str, Any], key: str) -> Box:
    """Return the bounds of a space as the JSON prints them; NaN where it does not."""
    space = fields.get(key)
    kind, shape = (space.get(":type:"), space.get("_shape")) if isinstance(space, dict) else ("", 0)
    if not isinstance(space, dict) or not str(kind).endswith(".spaces.box.Box'>"):
        raise ValueError(f"its {key} is no Box: {str(kind)[:60]!a}")
    if not isinstance(shape, list) or len(shape) != 1 or not _counted(shape[0]):
        raise ValueError(f"its {key} must have one axis, not the shape {str(shape)[:60]!a}")
    if not 1 <= shape[0] <= 4096:
        raise ValueError(f"its {key} has {shape[0]} values")
    return Box(*(_printed(space.get(end), shape[0]) for end in ("low", "high")))


def _printed(text: Any, size: int) -> np.ndarray:
    """Return the numbers numpy has printed; NaN for those left out, or if it is something else."""
    inside = text[1:-1] if isinstance(text, str) and re.fullmatch(r"\[.*\]", text, 16) else ""
    head, _, tail = (part.split() for part in inside.partition("..."))
    found = np.full(size, np.nan)
    given = len(head) + len(tail)
    if (given == size if not tail else given < size) and all(map(_NUMBER.fullmatch, head + tail)):
        found[: len(head)] = [float(word) for word in head]
        found[size - len(tail) :] = [float(word) for word in tail]
    return found


def read_statistics(path: Path) -> Normal | None:
    """Return the statistics of a saved ``VecNormalize`` or of a JSON file; None: it does nothing.

    JSON has ``mean`` and ``var``, lists of numbers, and may have ``clip_obs`` and ``epsilon``, and
    ``low`` and ``high``, the ranges of training before normalisation.
    """
    data = read_file(path, PICKLE_CAP, "name a file that VecNormalize.save() has written, or JSON")
    try:
        if data.lstrip()[:1] == b"{":
            return _normal(strict_json(data))
        return _of_pickle(read_pickle(data))
    except (ValueError, TypeError, IndexError, OverflowError, RecursionError) as error:
        remedy = (
            'write JSON: {"mean": [...], "var": [...], "clip_obs": 10, "epsilon": 1e-8}; or use '
            "--trust, which runs whatever the file holds"
        )
        raise InputError(Problem(_line(error), shown(path), remedy=remedy)) from None


def _of_pickle(found: Any) -> Normal | None:
    state = found.state if isinstance(found, Inert) else None
    if not isinstance(found, Inert) or not found.name.endswith(".VecNormalize"):
        raise ValueError("is no saved VecNormalize")
    if not isinstance(state, dict):
        raise ValueError("is a VecNormalize without its state")
    if state.get("norm_obs") is not True:
        return None
    moments = state.get("obs_rms")
    held = moments.state if isinstance(moments, Inert) else None
    if not isinstance(held, dict):
        raise ValueError("has no statistics of one observation vector")
    return _normal({
        **{key: as_array(held.get(key)).tolist() for key in ("mean", "var")},
        **{key: as_array(state.get(key)).tolist()[0] for key in ("clip_obs", "epsilon")},
    })  # fmt: skip


def _normal(fields: Any) -> Normal:
    allowed = {"mean", "var", "clip_obs", "epsilon", "low", "high"}
    if not isinstance(fields, dict) or not {"mean", "var"} <= set(fields) <= allowed:
        raise ValueError(f"must hold {', '.join(sorted(allowed))} and nothing else")
    mean, var = (_vector(fields[key], key) for key in ("mean", "var"))
    clip, epsilon = _number(fields.get("clip_obs", 10.0)), _number(fields.get("epsilon", 1e-8))
    if len(mean) != len(var):
        raise ValueError(f"has {len(mean)} means and {len(var)} variances")
    if not (clip > 0.0 and epsilon >= 0.0 and (var >= 0.0).all() and (var + epsilon > 0.0).all()):
        raise ValueError("needs variances, an epsilon >= 0 and a clip_obs > 0")
    if "low" not in fields and "high" not in fields:
        return Normal(mean, var, clip, epsilon)
    low, high = (_vector(fields.get(key), key) for key in ("low", "high"))
    if not len(low) == len(high) == len(mean) or not (low <= high).all():
        raise ValueError("needs a low and a higher high for each mean")
    return Normal(mean, var, clip, epsilon, low, high)


def _vector(values: Any, key: str) -> np.ndarray:
    if not isinstance(values, Sequence) or isinstance(values, str) or not 1 <= len(values) <= 4096:
        raise ValueError(f"{key} is no list of numbers")
    return np.array([_number(value) for value in values])


def trusted_actor(path: Path, algorithm: str) -> Actor:
    """Return an actor loaded by stable-baselines3 itself, which RUNS WHAT THE FILE HOLDS."""
    import stable_baselines3

    kinds: dict[str, Any] = {
        "PPO": stable_baselines3.PPO,
        "SAC": stable_baselines3.SAC,
        "TD3": stable_baselines3.TD3,
    }
    try:
        return actor_of(kinds[algorithm].load(path, device="cpu").policy)
    except Exception as error:  # its loader raises whatever the file leads to
        raise _unloadable(path, error) from None


def trusted_statistics(path: Path) -> Normal | None:
    """Return the statistics of a saved ``VecNormalize``, RUNNING WHAT THE FILE HOLDS."""
    import pickle

    data = read_file(path, PICKLE_CAP)
    try:
        found = pickle.loads(data)
        if not found.norm_obs:
            return None
        moments = found.obs_rms
        return Normal(moments.mean, moments.var, float(found.clip_obs), float(found.epsilon))
    except Exception as error:
        raise _unloadable(path, error) from None


def _unloadable(path: Path, error: Exception) -> InputError:
    what = f"cannot be loaded by stable-baselines3: {_line(error)}"
    return InputError(Problem(what, shown(path), remedy="try it without --trust"))
