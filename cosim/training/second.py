"""A second opinion on a graph: the same actor worked out in numpy, layer by layer, in float64.

It shares nothing with the writing of the graph but the weights. A graph that was written wrongly
replays its own golden vectors without fault; it does not agree with this.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from cosim.bundle.behaviour import size_of
from cosim.errors import InputError, Problem
from cosim.training.network import RATING, Activation, Actor, Cell, Dense, Layer, Ports

#: both agree within this share of an action's size: float32 there, float64 here
TOLERANCE = 1e-4


def answers(actor: Actor, ports: Ports, seen: np.ndarray) -> np.ndarray:
    """Return the actions ``[m, a]`` for raw observations ``[m, d]``, one row after the other."""
    seen = np.asarray(seen, np.float32).astype(np.float64)
    shown = [name for name in ports.features if name not in ports.blind]
    values = seen[:, ports.columns(shown)]
    if actor.normal is not None:
        normal = actor.normal
        values = (values - normal.mean) / np.sqrt(normal.var + normal.epsilon)
        values = np.clip(values, -normal.clip, normal.clip)
    actions = inner(actor, values)
    if actor.of_rating:
        rating = seen[:, ports.columns([RATING])]
        actions = actions * np.repeat(rating, len(ports.actions), axis=1)
    return actions


def inner(actor: Actor, values: np.ndarray) -> np.ndarray:
    """Return the actions ``[m, a]`` for what the network sees, within its action space."""
    for layer in actor.layers:
        values = _layer(layer, values)
    low, high = np.asarray(actor.low, np.float64), np.asarray(actor.high, np.float64)
    if actor.squash:
        return np.asarray(low + (high - low) * 0.5 * (np.tanh(values) + 1.0))
    return np.clip(values, low, high)


def check(got: np.ndarray, expected: np.ndarray, reach: np.ndarray, names: list[str]) -> None:
    """Raise InputError where a graph's actions ``[m, a]`` are not those of its weights.

    ``reach`` ``[a]`` is how far each action goes, from lowest to highest.
    """
    off = ~(np.abs(got - expected) <= TOLERANCE * size_of(expected, reach))
    if not off.any():
        return
    i, j = np.argwhere(off)[0]
    what = (
        f"the graph decides otherwise than the weights: '{names[j]}' is {got[i, j]:.9g}, "
        f"worked out {expected[i, j]:.9g} (observation {i})"
    )
    raise InputError(Problem(what, remedy="nothing was written; please report this model's layers"))


def _layer(layer: Layer, values: np.ndarray) -> np.ndarray:
    if isinstance(layer, Dense):
        return _dense(layer, values)
    if isinstance(layer, Activation):
        return np.asarray(_FUNCTIONS[layer.name](values, layer.parameter))
    return _cell(layer, values)


def _dense(layer: Dense, values: np.ndarray) -> np.ndarray:
    weight, bias = layer.weight.astype(np.float64), layer.bias.astype(np.float64)
    return np.asarray(values @ weight.T + bias)


def _cell(cell: Cell, values: np.ndarray) -> np.ndarray:
    """Return the hidden states after each of the rows, from zeros on."""
    hidden, memory, found = np.zeros(cell.width), np.zeros(cell.width), []
    for row in values:
        own, last = _dense(cell.ih, row), _dense(cell.hh, hidden)
        if cell.kind == "rnn":
            hidden = np.tanh(own + last)
        elif cell.kind == "gru":
            (r, z, n), (hr, hz, hn) = np.split(own, 3), np.split(last, 3)
            new, update = np.tanh(n + expit(r + hr) * hn), expit(z + hz)
            hidden = (1.0 - update) * new + update * hidden
        else:
            i, f, g, o = np.split(own + last, 4)
            memory = expit(f) * memory + expit(i) * np.tanh(g)
            hidden = expit(o) * np.tanh(memory)
        found.append(hidden)
    return np.array(found)


def _elu(x: np.ndarray, alpha: float | None) -> np.ndarray:
    return np.where(x > 0.0, x, _or(alpha, 1.0) * np.expm1(np.minimum(x, 0.0)))


def _selu(x: np.ndarray, _: float | None) -> np.ndarray:
    """Return SELU (Klambauer et al. 2017, arXiv:1706.02515)."""
    return 1.0507009873554805 * _elu(x, 1.6732632423543772)


def _softplus(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.logaddexp(0.0, x))


def expit(x: np.ndarray) -> np.ndarray:
    """Return the logistic function."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)))


def erf(x: np.ndarray) -> np.ndarray:
    """Return the error function."""
    return np.vectorize(math.erf, otypes=[float])(x)


def _or(parameter: float | None, usual: float) -> float:
    return usual if parameter is None else parameter


_FUNCTIONS: dict[str, Callable[[np.ndarray, float | None], np.ndarray]] = {
    "tanh": lambda x, _: np.tanh(x),
    "relu": lambda x, _: np.maximum(x, 0.0),
    "elu": _elu,
    "leakyrelu": lambda x, slope: np.where(x > 0.0, x, _or(slope, 0.01) * x),
    "sigmoid": lambda x, _: expit(x),
    "silu": lambda x, _: x * expit(x),
    "gelu": lambda x, _: 0.5 * x * (1.0 + erf(x * np.sqrt(0.5))),
    "mish": lambda x, _: x * np.tanh(_softplus(x)),
    "selu": _selu,
    "softplus": lambda x, _: _softplus(x),
    "softsign": lambda x, _: x / (1.0 + np.abs(x)),
    "hardtanh": lambda x, bound: np.clip(x, -_or(bound, 1.0), _or(bound, 1.0)),
    "relu6": lambda x, _: np.clip(x, 0.0, 6.0),
    "identity": lambda x, _: x,
}
