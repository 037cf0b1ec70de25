"""Linear programmes by blocks of columns, solved by HiGHS and certified by their own arithmetic.

Every column has finite bounds, so any prices of the rows give a lower bound on the optimum:
``b.y + sum(min(r*low, r*high))`` with ``r = c - A'y``. The bound of a solution is computed that
way from what HiGHS returns, and does not rest on its word. Pairs of columns that exclude each
other (a battery that charges and discharges at once) are relaxed first. Where a solution breaks
some, the smaller side of every pair of their kind is held at zero and the rest solved again; if
that costs more than the bound, they get binaries and HiGHS some time. What gap is left is reported.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cosim.arrays import freeze
from cosim.errors import RunError

#: both of an excluding pair above this is a breach [kW or kWh]
PAIR_TOLERANCE = 1e-7
#: what HiGHS may take for a programme with binaries [s]
TIME_LIMIT_S = 20.0
#: a plan this close to the bound, relative, needs no binaries
_ENOUGH = 1e-6
#: columns above which the interior point method is the faster one
_MANY = 10_000

Rights = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class Solution:
    """The columns' values, the objective, a lower bound on it, and how it was found."""

    values: np.ndarray
    cost_eur: float
    bound_eur: float
    status: str
    binaries: int

    def __post_init__(self) -> None:
        freeze(self)


@dataclass
class _Rows:
    """Coefficients of rows ``sum(coefficient * column) = or <= right side``, as triplets."""

    row: list[np.ndarray] = field(default_factory=list)
    column: list[np.ndarray] = field(default_factory=list)
    value: list[np.ndarray] = field(default_factory=list)
    right: list[np.ndarray] = field(default_factory=list)
    count: int = 0

    def add(self, right: np.ndarray, terms: tuple[tuple[np.ndarray, Any], ...]) -> None:
        """Add rows shaped like ``right``; a column block has that shape, or one axis more."""
        rows = self.count + np.arange(right.size).reshape(right.shape)
        for columns, coefficient in terms:
            lead = rows if columns.ndim == right.ndim else rows[..., None]
            lead, values = (
                np.broadcast_to(lead, columns.shape),
                np.broadcast_to(np.asarray(coefficient, dtype=float), columns.shape),
            )
            self.row.append(lead.ravel())
            self.column.append(columns.ravel())
            self.value.append(values.ravel())
        self.right.append(right.ravel())
        self.count += right.size

    def matrix(self, columns: int) -> Any:
        """Return the sparse matrix ``[rows, columns]``."""
        from scipy.sparse import csr_array

        if not self.count:
            return csr_array((0, columns))
        places = np.concatenate(self.row), np.concatenate(self.column)
        return csr_array((np.concatenate(self.value), places), shape=(self.count, columns))

    def right_side(self) -> np.ndarray:
        """Return the right side ``[rows]``."""
        return np.concatenate(self.right) if self.right else np.zeros(0)


class Programme:
    """Minimise a cost over bounded columns under linear rows; built block by block."""

    def __init__(self, constant_eur: float = 0.0) -> None:
        self.constant_eur = constant_eur
        self._blocks: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._pairs: list[tuple[np.ndarray, np.ndarray]] = []
        self._equal, self._most = _Rows(), _Rows()
        self._count = 0

    def columns(self, shape: tuple[int, ...], cost: Any, low: Any, high: Any) -> np.ndarray:
        """Return the indices of new columns; cost and finite bounds are broadcast to ``shape``."""
        block = [np.broadcast_to(np.asarray(x, dtype=float), shape).ravel()
                 for x in (cost, low, high)]  # fmt: skip
        assert np.isfinite(block).all()
        self._blocks.append((block[0], block[1], block[2]))
        first, self._count = self._count, self._count + block[0].size
        return np.arange(first, self._count).reshape(shape)

    def upper(self, columns: np.ndarray) -> np.ndarray:
        """Return the upper bounds of some columns, shaped like them."""
        return np.concatenate([high for _, _, high in self._blocks])[columns]

    def equal(self, right: np.ndarray, *terms: tuple[np.ndarray, Any]) -> None:
        """Demand ``sum(coefficient * column) = right``."""
        self._equal.add(right, terms)

    def at_most(self, right: np.ndarray, *terms: tuple[np.ndarray, Any]) -> None:
        """Demand ``sum(coefficient * column) <= right``."""
        self._most.add(right, terms)

    def exclude(self, one: np.ndarray, other: np.ndarray) -> None:
        """Demand of non-negative columns that one of each pair is zero."""
        self._pairs.append((one.ravel(), other.ravel()))

    def solve(self) -> Solution:
        """Return the optimum; raise RunError where HiGHS finds none."""
        pieces = [np.concatenate(parts) for parts in zip(*self._blocks, strict=True)]
        cost, low, high = pieces
        equal, most = self._equal.matrix(self._count), self._most.matrix(self._count)
        rights = self._equal.right_side(), self._most.right_side()
        body = _Body(cost, low, equal, most, rights)
        values, bound, status = _linear(body, high)
        broken = [pair for pair in self._pairs if _breached(values, *pair)]
        binaries = 0
        if broken:
            one, other = (np.concatenate([pair[side] for pair in broken]) for side in (0, 1))
            found = [_one_sided(body, high, values, one, other)]
            if found[0] is None or cost @ found[0] - bound > _ENOUGH * abs(bound):
                better, bound, status = _mixed(body, high, (one, other), bound)
                found.append(better)
                binaries = len(one)
            plans = [plan for plan in found if plan is not None]
            if not plans:
                raise RunError("perfect foresight: no plan found that is one-sided everywhere")
            values = min(plans, key=lambda plan: float(cost @ plan))
        total = float(cost @ values) + self.constant_eur
        return Solution(values, total, bound + self.constant_eur, status, binaries)


@dataclass(frozen=True, eq=False)
class _Body:
    """A programme without the upper bounds of its columns."""

    cost: np.ndarray
    low: np.ndarray
    equal: Any
    most: Any
    rights: Rights


def _breached(values: np.ndarray, one: np.ndarray, other: np.ndarray) -> bool:
    """Return whether both columns of any excluding pair are above the tolerance."""
    return bool((np.minimum(values[one], values[other]) > PAIR_TOLERANCE).any())


def _one_sided(
    body: _Body, high: np.ndarray, values: np.ndarray, one: np.ndarray, other: np.ndarray
) -> np.ndarray | None:
    """Return the best values with the smaller of each pair held at zero, None if there are none."""
    held = high.copy()
    held[np.where(values[one] < values[other], one, other)] = 0.0
    try:
        return _linear(body, held)[0]
    except RunError:
        return None


def _linear(body: _Body, high: np.ndarray) -> tuple[np.ndarray, float, str]:
    """Solve without binaries; return values, the certified bound and HiGHS's status."""
    from scipy.optimize import linprog

    equal, most, rights = body.equal, body.most, body.rights
    found = linprog(
        body.cost,
        A_ub=most if most.shape[0] else None,
        b_ub=rights[1] if most.shape[0] else None,
        A_eq=equal if equal.shape[0] else None,
        b_eq=rights[0] if equal.shape[0] else None,
        bounds=np.stack([body.low, high], axis=1),
        method="highs-ipm" if len(high) > _MANY else "highs",
    )
    if found.status != 0:
        raise RunError(f"perfect foresight has no optimum: {found.message}")
    y_equal = found.eqlin.marginals if equal.shape[0] else np.zeros(0)
    y_most = found.ineqlin.marginals if most.shape[0] else np.zeros(0)
    bound = lower_bound(
        body.cost, body.low, high, (equal, rights[0], y_equal), (most, rights[1], y_most)
    )
    return found.x, bound, "optimal"


def lower_bound(
    cost: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    equal: tuple[Any, np.ndarray, np.ndarray],
    most: tuple[Any, np.ndarray, np.ndarray],
) -> float:
    """Return a bound no feasible cost lies below, from any prices of the rows (weak duality).

    Each triple is matrix, right side and prices; prices of ``<=`` rows above zero count as zero.
    """
    reduced, total = cost.copy(), 0.0
    for (matrix, right, price), sign_free in ((equal, True), (most, False)):
        if len(right):
            y = price if sign_free else np.minimum(price, 0.0)
            reduced -= matrix.T @ y
            total += float(right @ y)
    return total + float(np.where(reduced > 0.0, reduced * low, reduced * high).sum())


def _mixed(
    body: _Body, high: np.ndarray, pairs: tuple[np.ndarray, np.ndarray], relaxed: float
) -> tuple[np.ndarray | None, float, str]:
    """Solve with a binary for each of some excluding pairs, as far as time allows.

    The bound is the better of HiGHS's own and that of the relaxation.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array, hstack

    columns, count = len(body.cost), len(pairs[0])
    rows = np.arange(count)
    sides = []
    for side, sign in ((pairs[0], -1.0), (pairs[1], 1.0)):  # x <= high*z, y <= high*(1 - z)
        values = np.concatenate([np.ones(count), sign * high[side]])
        places = np.concatenate([rows, rows]), np.concatenate([side, columns + rows])
        matrix = csr_array((values, places), shape=(count, columns + count))
        sides.append(LinearConstraint(matrix, -np.inf, high[side] if sign > 0.0 else 0.0))
    for matrix, right, exact in (
        (body.equal, body.rights[0], True), (body.most, body.rights[1], False),
    ):  # fmt: skip
        if len(right):
            wide = hstack([matrix, csr_array((len(right), count))], format="csr")
            sides.append(LinearConstraint(wide, right if exact else -np.inf, right))
    found = milp(
        np.concatenate([body.cost, np.zeros(count)]),
        constraints=sides,
        bounds=Bounds(
            np.concatenate([body.low, 0.0 * rows]), np.concatenate([high, 1.0 + 0.0 * rows])
        ),
        integrality=np.concatenate([np.zeros(columns), np.ones(count)]),
        options={"mip_rel_gap": 1e-9, "time_limit": TIME_LIMIT_S},
    )
    status = "optimal" if found.status == 0 else "time limit"
    own = found.mip_dual_bound
    bound = relaxed if own is None or not np.isfinite(own) else max(relaxed, float(own))
    return None if found.x is None else found.x[:columns], bound, status
