"""Values between the steps: helpers for frozen dataclasses of non-writeable arrays."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np


@lru_cache(maxsize=64)  # a run knows few shapes
def nothing(shape: tuple[int, ...]) -> np.ndarray:
    """Return zeros that nobody can write to, the same array for the same shape."""
    zeros = np.zeros(shape)
    zeros.setflags(write=False)
    return zeros


def freeze(value: Any) -> Any:
    """Make every array of a dataclass read-only and return the dataclass."""
    for item in value.__dict__.values():
        if isinstance(item, np.ndarray):
            # by place, which the stubs do not know: a run does this a million times
            item.setflags(False)  # type: ignore[call-arg]
    return value
