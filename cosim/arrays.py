"""Values between the steps: helpers for frozen dataclasses of non-writeable arrays."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np


def freeze(value: Any) -> Any:
    """Make every array of a dataclass read-only and return the dataclass."""
    for field in fields(value):
        item = getattr(value, field.name)
        if isinstance(item, np.ndarray):
            item.flags.writeable = False
    return value
