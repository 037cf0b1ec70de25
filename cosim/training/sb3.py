"""Actors of stable-baselines3: from the names and shapes of weights to layers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from cosim.errors import PluginError, did_you_mean
from cosim.training.network import ACTIVATIONS, Activation, Actor, Cell, Dense, Layer

#: algorithm -> (where its hidden layers are, its last layer, its usual activation)
ACTORS = {
    "PPO": ("mlp_extractor.policy_net", "action_net", "tanh"),
    "SAC": ("actor.latent_pi", "actor.mu", "relu"),
    "TD3": ("actor.mu", "", "relu"),
}
#: weights that do not act: exploration, critics and targets
_IDLE = re.compile(
    r"log_std|mlp_extractor\.value_net\..*|value_net\.(weight|bias)|actor\.log_std(\..*)?"
    r"|actor_target\..*|critic\..*|critic_target\..*|lstm_critic\..*|critic\.(weight|bias)"
)
_LSTM = re.compile(r"lstm_actor\.(weight|bias)_(ih|hh)_l0")


@dataclass(frozen=True)
class Settings:
    """What weights do not say: the activation, and the bound that gSDE puts on SAC's mean."""

    activation: Activation
    clip_mean: float = 2.0


def algorithm_of(weights: Mapping[str, Any]) -> str:
    """Return the algorithm whose actor has such weights; raise ValueError when none has."""
    if "action_net.weight" in weights:
        return "PPO"
    if any(name.startswith("actor.log_std") for name in weights):
        return "SAC"
    if any(re.fullmatch(r"actor\.mu\.\d+\.weight", name) for name in weights):
        return "TD3"
    raise ValueError(
        "these are not the weights of a PPO, SAC or TD3 MlpPolicy with a Box of actions"
    )


def parsed_activation(text: str) -> Activation:
    """Return the activation a text names, e.g. ``tanh``, ``LeakyReLU`` or ``elu:0.5``."""
    name, mark, value = text.partition(":")
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    known = ACTIVATIONS.get(plain)
    if known is None:
        raise ValueError(f"unknown activation {name[:64]!a}; {did_you_mean(plain, ACTIVATIONS)}")
    if not mark:
        return Activation(plain)
    if known[1] is None:
        raise ValueError(f"the activation '{plain}' takes no parameter")
    return Activation(plain, float(value))


def layers_of(weights: Mapping[str, np.ndarray], settings: Settings) -> tuple[Layer, ...]:
    """Return the layers of an actor; raise ValueError for weights that fit none."""
    hidden, last, _ = ACTORS[algorithm_of(weights)]
    matches = (re.fullmatch(rf"{re.escape(hidden)}\.(\d{{1,4}})\.weight", name) for name in weights)
    numbers = sorted(int(match[1]) for match in matches if match)
    bounded = f"{last}.0.weight" in weights  # gSDE keeps the mean in a Sequential with its bound
    final = f"{last}.0" if bounded else last
    _refuse_strangers(weights, {*(f"{hidden}.{n}" for n in numbers), final})
    if numbers != list(range(0, 2 * len(numbers), 2)):
        raise ValueError(f"'{hidden}' is not made of dense layers and activations in turn")
    found: list[Layer] = [_lstm(weights)] if "lstm_actor.weight_ih_l0" in weights else []
    for number in numbers:
        found += [_dense(weights, f"{hidden}.{number}"), settings.activation]
    found = [*found, _dense(weights, final)] if last else found[:-1]
    if bounded:
        found.append(Activation("hardtanh", settings.clip_mean))
    ends_of(found)
    return tuple(found)


def _refuse_strangers(weights: Mapping[str, np.ndarray], used: set[str]) -> None:
    """Raise ValueError for weights that belong to nothing known: they might act."""
    for name in weights:
        stem = name.rpartition(".")[0]
        if not (stem in used or _IDLE.fullmatch(name) or _LSTM.fullmatch(name)):
            raise ValueError(
                f"the weights {name[:80]!a} belong to no MlpPolicy: feature extractors, "
                "normalisation layers and networks of other frameworks are not read"
            )


def _dense(weights: Mapping[str, np.ndarray], stem: str, tail: str = "") -> Dense:
    weight, bias = (weights.get(f"{stem}.{part}{tail}") for part in ("weight", "bias"))
    if weight is None or bias is None or weight.ndim != 2 or bias.shape != weight.shape[:1]:
        raise ValueError(f"'{stem}' is no dense layer with a bias")
    return Dense(weight, bias)


def _lstm(weights: Mapping[str, np.ndarray]) -> Cell:
    ih, hh = (_dense(weights, "lstm_actor", f"_{part}_l0") for part in ("ih", "hh"))
    if hh.weight.shape[0] != 4 * hh.weight.shape[1] or ih.bias.shape != hh.bias.shape:
        raise ValueError("'lstm_actor' is no LSTM of one layer")
    return Cell("lstm", ih, hh)


def ends_of(layers: Sequence[Layer]) -> tuple[int, int]:
    """Return how many values layers take and give; raise ValueError where they do not fit."""
    sizes = []
    for layer in layers:
        if isinstance(layer, Cell):
            sizes.append((layer.ih.weight.shape[1], layer.width))
        elif isinstance(layer, Dense):
            sizes.append((layer.weight.shape[1], layer.weight.shape[0]))
    for (_, given), (taken, _) in pairwise(sizes):
        if given != taken:
            raise ValueError(f"a layer takes {taken} values, the one before gives {given}")
    return sizes[0][0], sizes[-1][1]


def actor_of(policy: Any) -> Actor:
    """Return the actor of a stable-baselines3 policy in memory.

    Raises PluginError for layers, observations or actions that have no counterpart here.
    """
    space = policy.action_space
    if type(space).__name__ != "Box" or len(space.shape) != 1:
        raise PluginError("the action space must be a Box with one axis")
    weights = {name: t.detach().cpu().numpy().copy() for name, t in policy.state_dict().items()}
    try:
        layers = layers_of(weights, settings_of(policy))
    except ValueError as error:
        raise PluginError(f"cannot export the policy: {error}") from None
    return Actor(layers, space.low, space.high, bool(policy.squash_output))


def settings_of(policy: Any) -> Settings:
    """Return what the weights of a policy in memory do not say."""
    made = policy.activation_fn()
    kind, usual = type(made).__name__, type(made)()
    try:
        name = parsed_activation(kind).name
    except ValueError:
        raise PluginError(f"cannot export a layer of kind {kind}") from None
    option = {"elu": "alpha", "leakyrelu": "negative_slope"}.get(name)
    if option is None and repr(made) != repr(usual):
        raise PluginError(f"cannot export a layer {made!r}: only its usual parameters are known")
    bound = float(getattr(getattr(policy, "actor", None), "clip_mean", 2.0))
    return Settings(Activation(name, getattr(made, option) if option else None), bound)
