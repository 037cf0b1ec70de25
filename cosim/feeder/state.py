"""The solved state of a feeder: voltages, loadings, flows, losses and how well it was solved.

Signs: slack power > 0 comes from upstream; branch power > 0 enters the branch at the named end.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]


class SolveStatus(IntEnum):
    """How a load flow ended; stored as int8, one per step."""

    OK = 0  #: converged to the tolerance
    DEGRADED = 1  #: converged less tightly, residual still below 1e-8 p.u.
    COLLAPSE = 2  #: no solution found: every result of the step is NaN


@dataclass(frozen=True, eq=False)
class GridState:
    """One load flow, or many along leading axes; arrays are not writeable.

    Dead buses carry a NaN voltage, dead or open branches zero loading and flow. A COLLAPSE step
    is NaN throughout, never an older result. ``residual_pu`` is the engine's own error estimate:
    the last voltage change (tree) or the largest nodal power mismatch (pandapower).
    """

    vm_pu: Floats  # [..., b]
    line_loading_percent: Floats  # [..., l], larger of both ends
    trafo_loading_percent: Floats  # [..., t], rated current, larger of both sides
    line_p_from_kw: Floats  # [..., l], active power entering at the from end
    trafo_p_hv_kw: Floats  # [..., t], active power entering at the high-voltage side
    slack_p_kw: Floats  # [...]
    slack_q_kvar: Floats  # [...]
    losses_kw: Floats  # [...], summed over branches and shunts
    status: NDArray[np.int8]  # [...], SolveStatus
    iterations: NDArray[np.int32]  # [...]
    residual_pu: Floats  # [...]


@dataclass(frozen=True)
class Layout:
    """Where each quantity sits in a row of results: ``[vm, line, trafo, line_p, trafo_p, 6]``.

    One row per step lets a kernel fill a whole state in one call; the fields are views of it.
    """

    buses: int
    lines: int
    trafos: int

    @property
    def line_p(self) -> int:
        """Return the column of the first line flow."""
        return self.buses + self.lines + self.trafos

    @property
    def scalars(self) -> int:
        """Return the first of slack p, slack q, losses, residual, iterations, status."""
        return self.buses + 2 * (self.lines + self.trafos)

    @property
    def width(self) -> int:
        """Return the number of columns of a row."""
        return self.scalars + 6


def state_from_rows(rows: Floats, layout: Layout) -> GridState:
    """Return the state whose fields are read-only views of ``rows [..., width]``."""
    rows.flags.writeable = False
    trafo = layout.buses + layout.lines
    line_p, s = layout.line_p, layout.scalars
    return GridState(
        rows[..., : layout.buses],
        rows[..., layout.buses : trafo],
        rows[..., trafo:line_p],
        rows[..., line_p : line_p + layout.lines],
        rows[..., line_p + layout.lines : s],
        rows[..., s],
        rows[..., s + 1],
        rows[..., s + 2],
        rows[..., s + 5].astype(np.int8),
        rows[..., s + 4].astype(np.int32),
        rows[..., s + 3],
    )


def dead_rows(leading: tuple[int, ...], layout: Layout) -> Floats:
    """Return rows of a feeder without supply: NaN voltages, everything else zero, status OK."""
    rows = np.zeros((*leading, layout.width))
    rows[..., : layout.buses] = np.nan
    return rows
