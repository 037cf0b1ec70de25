"""Randomness: one root seed, named streams per (entity, purpose), addressable by block.

A draw depends on nothing but (seed, entity, purpose, block): adding a prosumer, a policy or a
disturbance leaves every other draw untouched, and any block can be drawn without its past.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


def generator(seed: int, entity: str, purpose: str, block: int = 0) -> np.random.Generator:
    """Return the stream of one entity and purpose, at the begin of a block.

    The Philox key is the SHA-256 of the three names; the block is its counter's high word.
    """
    digest = hashlib.sha256(f"{seed}\x1f{entity}\x1f{purpose}".encode()).digest()
    key = np.frombuffer(digest[:16], dtype=np.uint64)
    counter = np.array([0, 0, 0, block], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def uniforms(
    seed: int, entities: Sequence[str], purpose: str, block: int, shape: tuple[int, ...]
) -> np.ndarray:
    """Return uniform draws in [0, 1), ``[shape[0], n, *shape[1:]]``, one stream per entity."""
    columns = [generator(seed, name, purpose, block).random(shape) for name in entities]
    return np.stack(columns, axis=1) if columns else np.zeros((shape[0], 0, *shape[1:]))


class Reseeded(NamedTuple):
    """From an interval on, all draws are those of another seed."""

    interval: int
    seed: int


class Draws:
    """Uniform draws ``[n, width]`` per interval, drawn a day at a time from keyed streams."""

    def __init__(
        self,
        seed: int,
        entities: Sequence[str],
        purpose: str,
        per_day: int,
        width: int,
        later: Reseeded | None = None,
    ) -> None:
        self._seed, self._entities, self._purpose = seed, tuple(entities), purpose
        self._per_day, self._width, self._later = per_day, width, later
        self._drawn = (-1, seed)  # day and seed of the block
        self._block = np.zeros((0, len(self._entities), width))
        self._nothing = np.zeros((len(self._entities), 0))

    def at(self, interval: int) -> np.ndarray:
        """Return the draws of one interval ``[n, width]``, independent of any other call."""
        if self._width == 0:
            return self._nothing
        later = self._later
        seed = self._seed if later is None or interval < later.interval else later.seed
        day, row = divmod(interval, self._per_day)
        if (day, seed) != self._drawn:
            shape = (self._per_day, self._width)
            self._block = uniforms(seed, self._entities, self._purpose, day, shape)
            self._drawn = (day, seed)
        return self._block[row]


class LaneDraws:
    """Uniform draws ``[lanes, n, width]`` per interval: what :class:`Draws` gives for each seed."""

    def __init__(
        self, seeds: Sequence[int], entities: Sequence[str], purpose: str, per_day: int, width: int
    ) -> None:
        names = tuple(entities)
        self._own = {seed: Draws(seed, names, purpose, per_day, width) for seed in set(seeds)}
        self._places = np.array([list(self._own).index(seed) for seed in seeds], dtype=np.intp)
        self._nothing = None if width else np.zeros((len(self._places), len(names), 0))

    def at(self, interval: int) -> np.ndarray:
        """Return the draws of one interval ``[lanes, n, width]``."""
        if self._nothing is not None:
            return self._nothing
        own = np.stack([draws.at(interval) for draws in self._own.values()])
        return own[self._places]
