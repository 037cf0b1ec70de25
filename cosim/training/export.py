"""Export: a stable-baselines3 policy with this project's input scaling becomes a bundle.

The graph holds the scaling: raw features in, battery power in kW out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cosim.bundle.load import Bundle
from cosim.errors import PluginError
from cosim.training.network import RATING, Ports, Sketch, bounded, finished, put_layer
from cosim.training.sb3 import actor_of
from cosim.training.write import Columns, Description, action_column, feature_column, write

__all__ = ["Description", "Input", "Scaling", "to_onnx", "write_bundle"]

#: below this rating [kW] a ratio to the rating is taken to this
LEAST_RATING_KW = 0.1


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
    """Scaling of raw observations ``[m, d]`` in float32, the same in training and in the graph."""

    inputs: tuple[Input, ...]
    limit: float = 5.0

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(item.name for item in self.inputs)

    @property
    def rating(self) -> int:
        """The column of the battery's rating."""
        return self.features.index(RATING)

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


def to_onnx(policy: Any, scaling: Scaling) -> bytes:
    """Return the graph of a stable-baselines3 ``MlpPolicy`` (PPO, SAC, TD3), deterministic.

    Its single action in [-1, 1] is the battery power as a share of the rating.
    """
    actor = actor_of(policy)
    if actor.low.shape != (1,) or (actor.low, actor.high) != (-1.0, 1.0):
        raise PluginError("the action space must be one share of the rating from -1 to 1")
    sketch = Sketch()
    rating, value = _scaled(sketch, scaling)
    for layer in actor.layers:
        value = put_layer(sketch, value, layer)
    sketch.put("Mul", bounded(sketch, value, actor), rating, output="action")
    return finished(sketch, Ports(scaling.features, ("battery_kw",)))


def _scaled(sketch: Sketch, scaling: Scaling) -> tuple[str, str]:
    """Add what leads from raw features to the rating, and to what the network sees."""
    c = {name: sketch.constant(array) for name, array in scaling.constants().items()}
    column = sketch.constant(np.array([scaling.rating]), np.int64)
    rating = sketch.put("Gather", "observation", column, options={"axis": 1})
    safe = sketch.put("Max", rating, sketch.constant(LEAST_RATING_KW))
    divisor = sketch.put("Add", sketch.put("Mul", safe, c["per_rating"]), c["not_per_rating"])
    centred = sketch.put("Sub", sketch.put("Div", "observation", divisor), c["offset"])
    factored = sketch.put("Mul", centred, c["factor"])
    ends = (sketch.constant(-scaling.limit), sketch.constant(scaling.limit))
    return rating, sketch.put("Clip", factored, *ends)


def write_bundle(
    folder: Path, model: bytes, scaling: Scaling, seen: np.ndarray, description: Description
) -> Bundle:
    """Write a bundle and return it loaded; ``seen`` ``[m >= 8, d]`` become golden vectors.

    The golden actions come from the model as it runs, and loading replays them.
    """
    rating = scaling.inputs[scaling.rating].high
    columns = Columns(
        tuple(feature_column(item.name, item.low, item.high) for item in scaling.inputs),
        (action_column("battery_kw", -rating, rating),),
    )
    return write(folder, model, columns, seen, description)
