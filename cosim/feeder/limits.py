"""Limits of a feeder, and where a solved state breaks them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosim.feeder.state import GridState

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Limits:
    """Bounds of bus voltages and of branch loadings in percent of the rating."""

    vm_min_pu: float = 0.90
    vm_max_pu: float = 1.10
    line_percent: float = 100.0
    trafo_percent: float = 100.0


@dataclass(frozen=True, eq=False)
class Breaches:
    """Where a state is outside its limits; a NaN (dead or unsolved) is never a breach."""

    undervoltage: Mask  # [..., b]
    overvoltage: Mask  # [..., b]
    line: Mask  # [..., l]
    trafo: Mask  # [..., t]

    @property
    def any(self) -> Mask:
        """Return whether a step breaks any limit, ``[...]``."""
        masks = (self.undervoltage, self.overvoltage, self.line, self.trafo)
        return np.logical_or.reduce([mask.any(axis=-1) for mask in masks])


def breaches(state: GridState, limits: Limits) -> Breaches:
    """Return the masks of all values strictly outside the limits."""
    return Breaches(
        undervoltage=state.vm_pu < limits.vm_min_pu,
        overvoltage=state.vm_pu > limits.vm_max_pu,
        line=state.line_loading_percent > limits.line_percent,
        trafo=state.trafo_loading_percent > limits.trafo_percent,
    )
