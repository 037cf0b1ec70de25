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

import numpy as np

from cosim.arrays import freeze
from cosim.feeder.feeder import Feeder
from cosim.feeder.limits import Limits
from cosim.feeder.linear import Entries
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
    """Return set-points that keep the limits, None where those given do.

    Where those given have no load flow, nobody charges to begin with.
    """
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
        free, chosen = self._free, np.flatnonzero(rows & np.isfinite(excess))
        flow = self._feeder.linear(self._injected(point), self._q)
        if flow is None or len(free) == 0:
            return wanted.copy()
        own, draws = flow.balance, flow.draws(self._bus[free])
        slopes, n = flow.slopes(self._quantity[chosen]), len(free)
        scale = (self._sign / self._unit)[chosen]
        limits = Entries(slopes.row, n + slopes.column, slopes.value * scale[slopes.row])
        moved = np.bincount(slopes.row, minlength=len(chosen)) > 0  # not what the slack holds
        ties = Ties(
            flow.unknowns,
            Entries(
                np.concatenate((own.row, draws.row)),
                np.concatenate((n + own.column, draws.column)),
                np.concatenate((own.value, -draws.value)),
            ),
            -np.bincount(draws.row, draws.value * point[free][draws.column], flow.unknowns),
        )
        bounds = np.where(moved, -excess[chosen], 1.0)
        result = wanted.copy()
        result[free] = least_change(
            wanted[free], self._low[free], self._high[free], limits, bounds, ties
        )
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


@dataclass(frozen=True, eq=False)
class Ties:
    """Unknowns beside the set-points x that follow from these: ``matrix @ (x, u) = right``."""

    unknowns: int  # and as many rows
    matrix: Entries
    right: np.ndarray


def _entries(matrix: np.ndarray) -> Entries:
    """Return what is not 0 in a matrix."""
    row, column = np.nonzero(matrix)
    return Entries(row, column, matrix[row, column])


NO_TIES = Ties(0, _entries(np.zeros((0, 0))), np.zeros(0))


def least_change(
    wanted: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    a: Entries | np.ndarray,
    b: np.ndarray,
    ties: Ties = NO_TIES,
) -> np.ndarray:
    """Return the x in ``[low, high]`` with ``a @ (x, u) <= b`` nearest to ``wanted``.

    Where there is none, the x with the least sum of excesses, and of those the nearest, as far as
    a weight of ELASTIC can tell. ``wanted`` lies within its bounds. Solved with Clarabel (Goulart
    and Chen 2024, doi:10.48550/arXiv.2405.12762).
    """
    if len(b) == 0 or len(wanted) == 0:
        return np.array(wanted)
    limits = a if isinstance(a, Entries) else _entries(a)
    found = _solve(wanted, low, high, limits, b, ties, elastic=False)
    if found is None:
        found = _solve(wanted, low, high, limits, b, ties, elastic=True)
    return np.array(wanted) if found is None else np.clip(found, low, high)


def _solve(
    wanted: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    a: Entries,
    b: np.ndarray,
    ties: Ties,
    *,
    elastic: bool,
) -> np.ndarray | None:
    """Return the solution of the quadratic programme, None where there is none.

    Rows: the ties, the limits, the upper and the lower bounds; with ``elastic`` each limit has an
    excess, >= 0, that is paid for.
    """
    import clarabel
    from scipy import sparse

    n, tied, over = len(wanted), ties.unknowns, np.arange(len(b) if elastic else 0)
    x, one, less, upper = np.arange(n), np.ones(n), -np.ones(len(over)), tied + len(b)
    blocks = (
        (ties.matrix.row, ties.matrix.column, ties.matrix.value),
        (tied + a.row, a.column, a.value),
        (upper + x, x, one),
        (upper + n + x, x, -one),
        (tied + over, n + tied + over, less),
        (upper + 2 * n + over, n + tied + over, less),
    )
    row, column, value = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    right = np.concatenate((ties.right, b, high, -low, np.zeros(len(over))))
    columns = n + tied + len(over)
    matrix = sparse.csc_matrix((value, (row, column)), (len(right), columns))
    starts = np.minimum(np.arange(columns + 1), n)
    square = sparse.csc_matrix((one, x, starts), (columns, columns))
    weight = ELASTIC * float(np.maximum(high - low, 1.0).max())
    cost = np.concatenate((-wanted, np.zeros(tied), np.full(len(over), weight)))
    options = clarabel.DefaultSettings()
    options.verbose = False
    options.max_threads = 1
    options.equilibrate_enable = elastic  # ties and limits are of one size, the price is not
    options.tol_gap_abs = options.tol_gap_rel = 1e-11  # of squares: set-points to their root
    cones = [clarabel.ZeroConeT(tied), clarabel.NonnegativeConeT(len(right) - tied)]
    answer = clarabel.DefaultSolver(square, cost, matrix, right, cones, options).solve()
    if str(answer.status) not in {"Solved", "AlmostSolved"}:
        return None
    return np.array(answer.x)[:n]
