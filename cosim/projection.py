"""The joint projection: batteries move together, as little as keeps the limits of the feeder.

Where the forecast positions after the device guard would break a voltage, line or transformer
limit, all set-points are projected onto the limits linearised around the solved state. The feeder's
linearised equations are rows of a sparse quadratic programme, and of the limits only those found
broken; the result is solved again and linearised again. Without a broken limit nothing is computed
but that one load flow. Where no set-points keep the limits, the excess is made as small as it can
be, and said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cosim.arrays import freeze
from cosim.feeder.feeder import Feeder
from cosim.feeder.limits import Limits
from cosim.feeder.state import GridState, SolveStatus
from cosim.population import Population

#: a limit kept to this is kept [p.u., %]
TOLERANCE_PU, TOLERANCE_PERCENT = 2e-4, 0.2
ROUNDS = 5
ENOUGH = 0.9  # a round that leaves more than this share of the excess is the last
#: a set-point that moved by less [kW] was not moved
SAME_KW = 1e-6
#: excess in tolerances weighs so much more than the squared change of a battery over its range
ELASTIC = 1e3

Matrix = Any  # scipy's, or what it makes one of


@dataclass(frozen=True, eq=False)
class NetworkGuard:
    """The feeder in its present topology, and the limits to keep, margins taken off."""

    feeder: Feeder
    limits: Limits


@dataclass(frozen=True, eq=False)
class Forecast:
    """What is expected to flow beside the batteries ``[n]``, and what each of them can do."""

    load_kw: np.ndarray
    load_kvar: np.ndarray
    pv_kw: np.ndarray
    low_kw: np.ndarray  # equal bounds: is not to be moved
    high_kw: np.ndarray


@dataclass(frozen=True, eq=False)
class Projection:
    """Set-points ``[n]`` and how they came about; ``left`` is the worst excess in tolerances."""

    battery_kw: np.ndarray
    broken: int  # limits that the forecast would have broken
    rounds: int
    left: float  # 0: all limits are kept
    solved: bool  # False: the forecast has no load flow, whatever the batteries do
    moved_kw: float  # by all batteries together

    def __post_init__(self) -> None:
        freeze(self)

    def told(self, hours: float) -> dict[str, object]:
        """Return what the event log says of it."""
        return {
            "limits_broken": self.broken,
            "rounds": self.rounds,
            "moved_kwh": round(self.moved_kw * hours, 6),
            "kept": self.solved and self.left == 0.0,
            "solved": self.solved,
        }


def project(
    population: Population, guard: NetworkGuard, expected: Forecast, battery_kw: np.ndarray
) -> Projection | None:
    """Return set-points that keep the limits, None where those given do."""
    problem = _Problem(population, guard, expected)
    start = np.array(battery_kw)
    excess = problem.excess(start)
    if not problem.solvable(excess):
        start = np.minimum(start, np.maximum(expected.low_kw, 0.0))  # without charging
        excess = problem.excess(start)
        if not problem.solvable(excess):
            return Projection(battery_kw, 0, 0, np.inf, solved=False, moved_kw=0.0)
    elif not (excess > 1.0).any():
        return None
    broken = int((excess > 1.0).sum())
    best, left, rows = start, _worst(excess), np.zeros(len(excess), dtype=bool)
    point, rounds = start, 0
    while left > 0.0 and rounds < ROUNDS:
        rounds += 1
        rows |= excess > 1.0
        point = problem.nearest(battery_kw, point, excess, rows)
        excess = problem.excess(point)
        if not problem.solvable(excess):
            break
        stuck = _worst(excess) > ENOUGH * left
        if _worst(excess) < left:
            best, left = point, _worst(excess)
        if stuck:
            break
    result = np.where(np.abs(best - battery_kw) > SAME_KW, best, battery_kw)
    moved_kw = float(np.abs(result - battery_kw).sum())
    return Projection(result, broken, rounds, left, True, moved_kw)


def _worst(excess: np.ndarray) -> float:
    """Return the largest excess beyond the tolerance; 0 where all limits are kept."""
    worst = float(np.nanmax(excess, initial=0.0))
    return worst if worst > 1.0 else 0.0


class _Problem:
    """The load flow as a function of the set-points, in tolerances beyond each limit."""

    def __init__(self, population: Population, guard: NetworkGuard, expected: Forecast) -> None:
        self._feeder, self._bus = guard.feeder, population.bus
        network, limits = guard.feeder.network, guard.limits
        self._slack = network.slack_bus
        buses, lines, trafos = len(network.buses), len(network.lines), len(network.trafos)
        self._p = self._at_buses(expected.pv_kw - expected.load_kw, buses)
        self._q = self._at_buses(-expected.load_kvar, buses)
        self._limit = np.repeat(
            [limits.vm_max_pu, -limits.vm_min_pu, limits.line_percent, limits.trafo_percent],
            [buses, buses, lines, trafos],
        )
        self._unit = np.repeat([TOLERANCE_PU, TOLERANCE_PERCENT], [2 * buses, lines + trafos])
        self._sign = np.repeat([1.0, -1.0, 1.0], [buses, buses, lines + trafos])
        bus = np.arange(buses)
        self._quantity = np.concatenate((bus, bus, buses + np.arange(lines + trafos)))
        self._low, self._high = expected.low_kw, expected.high_kw
        self._free = np.flatnonzero(self._high - self._low > SAME_KW)

    def excess(self, battery_kw: np.ndarray) -> np.ndarray:
        """Return (value - limit) / tolerance of every limit, NaN where dead."""
        state = self._feeder.solve(self._injected(battery_kw), self._q)
        return (self._values(state) - self._limit) / self._unit

    def solvable(self, excess: np.ndarray) -> bool:
        """Return whether the load flow had a solution."""
        return bool(np.isfinite(excess).any())

    def nearest(
        self, wanted: np.ndarray, point: np.ndarray, excess: np.ndarray, rows: np.ndarray
    ) -> np.ndarray:
        """Return the set-points nearest to those wanted that keep the chosen limits ``rows``.

        The limits are linearised at ``point``, where they have ``excess``.
        """
        from scipy.sparse import coo_matrix

        free, chosen = self._free, np.flatnonzero(rows & np.isfinite(excess))
        flow = self._feeder.linear(self._injected(point), self._q)
        if flow is None or len(free) == 0:
            return wanted.copy()
        own, slopes, draws = (
            flow.balance, flow.slopes(self._quantity[chosen]), flow.draws(self._bus[free])
        )  # fmt: skip
        n, columns = len(free), len(free) + flow.unknowns
        value = slopes.value * (self._sign / self._unit)[chosen][slopes.row]
        at = (slopes.row, n + slopes.column)
        moved = np.bincount(slopes.row, minlength=len(chosen)) > 0  # not what the slack holds
        tied = np.concatenate((own.value, -draws.value))
        tied_at = (np.concatenate((own.row, draws.row)),
                   np.concatenate((n + own.column, draws.column)))  # fmt: skip
        drawn = draws.value * point[free][draws.column]
        result = wanted.copy()
        result[free] = least_change(
            wanted[free], self._low[free], self._high[free],
            coo_matrix((value, at), (len(chosen), columns)),
            np.where(moved, -excess[chosen], 1.0),
            coo_matrix((tied, tied_at), (flow.unknowns, columns)),
            -np.bincount(draws.row, drawn, flow.unknowns),
        )  # fmt: skip
        return result

    def _injected(self, battery_kw: np.ndarray) -> np.ndarray:
        """Return what all devices feed in at each bus."""
        return self._p - self._at_buses(battery_kw, len(self._p))

    def _values(self, state: GridState) -> np.ndarray:
        """Return voltages, negative voltages and loadings; the slack's is an input, not checked."""
        vm = state.vm_pu.copy()
        vm[..., self._slack] = np.nan
        loading = (state.line_loading_percent, state.trafo_loading_percent)
        values = np.concatenate((vm, -vm, *loading), axis=-1)
        lost = state.status == SolveStatus.COLLAPSE
        return np.where(np.asarray(lost)[..., None], np.nan, values)

    def _at_buses(self, values: np.ndarray, buses: int) -> np.ndarray:
        return np.bincount(self._bus, weights=values, minlength=buses)


def least_change(
    wanted: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    a: Matrix,
    b: np.ndarray,
    ties: Matrix | None = None,
    sums: np.ndarray | None = None,
) -> np.ndarray:
    """Return the x in ``[low, high]`` with ``a @ x <= b`` nearest to ``wanted``.

    With ``ties`` there are unknowns u beside x, which follow from ``ties @ (x, u) = sums``, and
    the limits are ``a @ (x, u) <= b``. Where there is no such x, the one with the least sum of
    excesses, and of those the nearest, as far as a weight of ELASTIC can tell. ``wanted`` lies
    within its bounds. Solved with Clarabel (Goulart and Chen 2024, doi:10.48550/arXiv.2405.12762).
    """
    from scipy.sparse import coo_matrix

    if len(b) == 0 or len(wanted) == 0:
        return np.array(wanted)
    limits = coo_matrix(a)
    if ties is None or sums is None:
        ties, sums = coo_matrix((0, limits.shape[1])), np.zeros(0)
    for elastic in (False, True):
        found = _solve(wanted, low, high, limits, b, ties, sums, elastic=elastic)
        if found is not None:
            return np.clip(found, low, high)
    return np.array(wanted)


def _solve(
    wanted: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    a: Matrix,
    b: np.ndarray,
    ties: Matrix,
    sums: np.ndarray,
    *,
    elastic: bool,
) -> np.ndarray | None:
    """Return the solution of the quadratic programme, None where there is none.

    Rows: the ties, the limits, the upper and the lower bounds; with ``elastic`` each limit has an
    excess, >= 0, that is paid for.
    """
    import clarabel
    from scipy.sparse import csc_matrix

    n, equal, m = len(wanted), len(sums), len(b)
    x, one, excess = np.arange(n), np.ones(n), np.arange(m if elastic else 0)
    spare, columns = np.ones(len(excess)), a.shape[1] + len(excess)
    upper = equal + m
    blocks = (
        (ties.row, ties.col, ties.data),
        (equal + a.row, a.col, a.data),
        (upper + x, x, one),
        (upper + n + x, x, -one),
        (equal + excess, a.shape[1] + excess, -spare),
        (upper + 2 * n + excess, a.shape[1] + excess, -spare),
    )
    row, column, value = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    right = np.concatenate((sums, b, high, -low, np.zeros(len(excess))))
    matrix = csc_matrix((value, (row, column)), (len(right), columns))
    square = csc_matrix((one, x, np.minimum(np.arange(columns + 1), n)), (columns, columns))
    cost = np.zeros(columns)
    cost[:n] = -wanted
    cost[a.shape[1] :] = ELASTIC * float(np.maximum(high - low, 1.0).max())
    options = clarabel.DefaultSettings()
    options.verbose = False
    options.max_threads = 1
    cones = [clarabel.ZeroConeT(equal), clarabel.NonnegativeConeT(len(right) - equal)]
    answer = clarabel.DefaultSolver(square, cost, matrix, right, cones, options).solve()
    if str(answer.status) not in {"Solved", "AlmostSolved"}:
        return None
    return np.array(answer.x)[:n]
