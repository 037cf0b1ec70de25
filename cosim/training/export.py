"""Export: a stable-baselines3 policy with this project's input scaling becomes a bundle.

The graph holds the scaling: raw features in, battery power in kW out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cosim.bundle.load import Bundle
from cosim.errors import PluginError
from cosim.training.network import RATING, Ports, Sketch, bounded, finished, put_layer
from cosim.training.sb3 import actor_of
from cosim.training.second import inner
from cosim.training.write import Columns, Description, action_column, feature_column, write

__all__ = ["Description", "Input", "Scaling", "to_onnx", "write_bundle"]

#: below this rating [kW] a ratio to the rating is taken to this
LEAST_RATING_KW = 0.1


#: the features that bound what is feasible
HELD = ("most_charge_kw", "most_discharge_kw")
HAIR = 1.0 - 1e-6
ShareOf = Literal["rating", "feasible"]


@dataclass(frozen=True)
class Input:
    """One feature as the network sees it: ``(value [/ rating] - offset) / scale``, clipped.

    ``low`` and ``high`` bound the values met in training, in the feature's own unit.
    """

    name: str
    low: float
    high: float
    offset: float = 0.0
    scale: float = 1.0
    per_rating: bool = False


@dataclass(frozen=True)
class Scaling:
    """Scaling of raw observations ``[m, d]`` in float32, the same in training and in the graph.

    ``share_of`` says what an action from -1 to 1 is a share of: the battery's rating, or what it
    can hold for the interval, discharging and charging.
    """

    inputs: tuple[Input, ...]
    limit: float = 5.0
    share_of: ShareOf = "rating"

    def __post_init__(self) -> None:
        missing = [name for name in HELD if name not in self.features]
        if self.share_of == "feasible" and missing:
            raise ValueError(f"shares of what is feasible need the feature {missing[0]}")

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(item.name for item in self.inputs)

    @property
    def rating(self) -> int:
        """The column of the battery's rating."""
        return self.features.index(RATING)

    def statistics(self, agents: int = 1) -> dict[str, Any]:
        """Return what ``policy import --normalize`` reads from JSON, for so many agents in a row.

        Raises ValueError where the scaling is no shift and stretch of each feature.
        """
        if any(item.per_rating for item in self.inputs):
            raise ValueError("a feature by the rating has no mean and variance of its own")
        columns = {
            "mean": [item.offset for item in self.inputs],
            "var": [item.scale**2 for item in self.inputs],
            "low": [item.low for item in self.inputs],
            "high": [item.high for item in self.inputs],
        }
        tiled = {name: values * agents for name, values in columns.items()}
        return {**tiled, "clip_obs": self.limit, "epsilon": 0.0}

    def held_kw(self, shares: np.ndarray, observations: np.ndarray) -> np.ndarray:
        """Return the battery power of shares ``[..., m]`` of what is feasible.

        A hair less than all, so that rounding in float32 asks for nothing the guard must cut.
        """
        seen = np.asarray(observations, dtype=np.float32)
        charge, discharge = (seen[..., self.features.index(name)] for name in HELD)
        share = np.clip(np.asarray(shares, np.float32), -1.0, 1.0) * np.float32(HAIR)
        return np.maximum(share, 0.0) * charge - np.maximum(-share, 0.0) * discharge

    def constants(self) -> dict[str, np.ndarray]:
        """Return the constants of the graph's first nodes, all ``[1, d]`` float32."""
        per = np.array([[item.per_rating for item in self.inputs]], np.float32)
        return {
            "per_rating": per,
            "not_per_rating": np.float32(1.0) - per,
            "offset": np.array([[item.offset for item in self.inputs]], np.float32),
            "factor": np.array([[1.0 / item.scale for item in self.inputs]], np.float32),
        }

    def __call__(self, observations: np.ndarray) -> np.ndarray:
        """Return what the network sees, float32 ``[m, d]``."""
        values, c = observations.astype(np.float32), self.constants()
        safe = np.maximum(values[:, self.rating, None], np.float32(LEAST_RATING_KW))
        ratio = values / (safe * c["per_rating"] + c["not_per_rating"])
        return np.clip((ratio - c["offset"]) * c["factor"], -self.limit, self.limit)


def to_onnx(policy: Any, scaling: Scaling, agents: tuple[str, ...] = ()) -> bytes:
    """Return the graph of a stable-baselines3 ``MlpPolicy`` (PPO, SAC, TD3), deterministic.

    Its actions in [-1, 1], one for each of the ``agents`` of a joint policy, are battery powers as
    shares of what the scaling says.
    """
    ports = Ports(scaling.features, ("battery_kw",), agents)
    actor = actor_of(policy)
    bounds = (actor.low == -1.0).all() and (actor.high == 1.0).all()
    if actor.low.shape != (ports.count,) or not bounds:
        raise PluginError("the action space must be one share from -1 to 1 for each agent")
    sketch = Sketch()
    value = _scaled(sketch, scaling, ports)
    for layer in actor.layers:
        value = put_layer(sketch, value, layer)
    share = bounded(sketch, value, actor)
    if scaling.share_of == "rating":
        sketch.put("Mul", share, _picked(sketch, ports, RATING), output="action")
    else:
        _put_held(sketch, share, ports)
    return finished(sketch, ports)


def _put_held(sketch: Sketch, share: str, ports: Ports) -> None:
    """Add what turns shares of what is feasible into power, as :meth:`Scaling.held_kw`."""
    share = sketch.put("Mul", share, sketch.constant(HAIR))
    charge, discharge = (_picked(sketch, ports, name) for name in HELD)
    up = sketch.put("Mul", sketch.put("Relu", share), charge)
    down = sketch.put("Mul", sketch.put("Relu", sketch.put("Neg", share)), discharge)
    sketch.put("Sub", up, down, output="action")


def _picked(sketch: Sketch, ports: Ports, name: str, times: int = 1) -> str:
    """Add the column of a feature of each agent, each so many times."""
    places = np.repeat(ports.columns([name]), times)
    return sketch.put("Gather", "observation", sketch.constant(places, np.int64),
                      options={"axis": 1})  # fmt: skip


def _scaled(sketch: Sketch, scaling: Scaling, ports: Ports) -> str:
    """Add what leads from raw features to what the network sees."""
    tiled = {k: np.tile(array, (1, ports.count)) for k, array in scaling.constants().items()}
    c = {name: sketch.constant(array) for name, array in tiled.items()}
    rating = _picked(sketch, ports, RATING, len(scaling.inputs))
    safe = sketch.put("Max", rating, sketch.constant(LEAST_RATING_KW))
    divisor = sketch.put("Add", sketch.put("Mul", safe, c["per_rating"]), c["not_per_rating"])
    centred = sketch.put("Sub", sketch.put("Div", "observation", divisor), c["offset"])
    factored = sketch.put("Mul", centred, c["factor"])
    ends = (sketch.constant(-scaling.limit), sketch.constant(scaling.limit))
    return sketch.put("Clip", factored, *ends)


def worked_out(
    policy: Any, scaling: Scaling, seen: np.ndarray, agents: tuple[str, ...] = ()
) -> np.ndarray:
    """Return what a policy decides ``[m, a]`` for raw observations, without its graph."""
    count = max(1, len(agents))
    each = np.asarray(seen, np.float32).reshape(len(seen) * count, -1)
    shares = inner(actor_of(policy), scaling(each).astype(np.float64).reshape(len(seen), -1))
    if scaling.share_of == "rating":
        return np.asarray(shares * each[:, scaling.rating].reshape(len(seen), count))
    return scaling.held_kw(shares, each.reshape(len(seen), count, -1))


def write_bundle(
    folder: Path,
    model: bytes,
    scaling: Scaling,
    seen: np.ndarray,
    description: Description,
    agents: tuple[str, ...] = (),
    expected: np.ndarray | None = None,
) -> Bundle:
    """Write a bundle and return it loaded; ``seen`` ``[m >= 8, d]`` become golden vectors.

    The golden actions come from the model as it runs, and loading replays them; they must be those
    ``expected`` ``[m, a]``, see :func:`worked_out`.
    """
    rating = scaling.inputs[scaling.rating].high
    columns = Columns(
        tuple(feature_column(item.name, item.low, item.high) for item in scaling.inputs),
        (action_column("battery_kw", -rating, rating),),
        agents,
    )
    return write(folder, model, columns, seen, description, expected)
