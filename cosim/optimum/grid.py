"""Limits of the feeder, linearised around a plan: cuts for the programme, checked by load flow.

Slopes are finite differences of the AC solution at the plan itself, so a cut is exact where it
touches. Loadings are nearly convex and voltages nearly linear in the batteries' power; what is
still broken after a solution is cut again there.
"""

from __future__ import annotations

import numpy as np

from cosim.case import Case
from cosim.feeder.limits import Limits
from cosim.feeder.state import GridState
from cosim.optimum.community import Cuts

#: a limit counts as kept up to this, in percent (of the rating, or of nominal voltage)
TOLERANCE_PERCENT = 0.02
#: change of a battery's power for the differences [kW]
_STEP_KW = 0.1


def no_cuts(owners: int) -> Cuts:
    """Return cuts that cut nothing."""
    return Cuts(np.zeros(0, dtype=np.intp), np.zeros((0, owners)), np.zeros(0))


def joined(one: Cuts, other: Cuts) -> Cuts:
    """Return both."""
    return Cuts(
        np.concatenate([one.interval, other.interval]),
        np.concatenate([one.slope, other.slope]),
        np.concatenate([one.right, other.right]),
    )


def excess_percent(case: Case, net_kw: np.ndarray, limits: Limits) -> np.ndarray:
    """Return how far each limit is exceeded ``[T, limits]``, negative where kept, in percent.

    ``net_kw`` ``[T, n]`` is everybody's position, batteries included. Columns: voltage below,
    voltage above, lines, transformers. What a load flow without a solution exceeds is infinite.
    """
    return _excess(_solved(case, net_kw, np.arange(len(net_kw))), limits)


def cuts_of(
    case: Case,
    net_kw: np.ndarray,
    battery_kw: np.ndarray,
    owners: np.ndarray,
    limits: Limits,
    excess: np.ndarray,
) -> Cuts:
    """Return a cut for each limit exceeded at a plan, of ``battery_kw`` ``[T, m]``."""
    rows, places = np.nonzero(excess > TOLERANCE_PERCENT)
    found = no_cuts(len(owners))
    for k in np.unique(rows):
        mine = places[rows == k]
        moved = np.repeat(net_kw[k][None], len(owners), axis=0)
        moved[np.arange(len(owners)), owners] += _STEP_KW
        after = _excess(_solved(case, moved, np.full(len(owners), k)), limits)[:, mine]
        slope = (after - excess[k, mine]).T / _STEP_KW
        usable = np.isfinite(slope).all(axis=1) & (slope != 0.0).any(axis=1)
        slope = slope[usable]
        right = slope @ battery_kw[k] - excess[k, mine][usable]
        found = joined(found, Cuts(np.full(len(right), k, dtype=np.intp), slope, right))
    return found


def _solved(case: Case, net_kw: np.ndarray, rows: np.ndarray) -> GridState:
    """Return the load flows of positions ``[k, n]`` with the reactive loads of some intervals."""
    feeder, bus = case.feeder.twin(), case.population.bus
    p_kw, q_kvar = (np.zeros((len(rows), len(case.network.buses))) for _ in range(2))
    np.add.at(p_kw.T, bus, -net_kw.T)
    np.add.at(q_kvar.T, bus, -case.profiles.load_kvar[rows].T)
    return feeder.solve(p_kw, q_kvar)


def _excess(state: GridState, limits: Limits) -> np.ndarray:
    """Return by how much the limits are exceeded ``[k, limits]``; a dead element exceeds none."""
    parts = (
        100.0 * (limits.vm_min_pu - state.vm_pu),
        100.0 * (state.vm_pu - limits.vm_max_pu),
        state.line_loading_percent - limits.line_percent,
        state.trafo_loading_percent - limits.trafo_percent,
    )
    excess = np.concatenate(parts, axis=-1)
    lost = np.isnan(state.slack_p_kw)[:, None]
    return np.where(np.isnan(excess), np.where(lost, np.inf, -np.inf), excess)
