"""Values between the steps: helpers for frozen dataclasses of non-writeable arrays."""

from __future__ import annotations

from typing import Any

import numpy as np


def freeze(value: Any) -> Any:
    """Make every array of a dataclass read-only and return the dataclass."""
    for item in value.__dict__.values():
        if isinstance(item, np.ndarray):
            item.setflags(write=False)
    return value
