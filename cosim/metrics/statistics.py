"""Statistics of arrays that may hold NaN, "not measured"."""

from __future__ import annotations

import numpy as np


def total(values: np.ndarray) -> float:
    """Return the sum of what was measured; NaN when nothing was."""
    known = values[~np.isnan(values)]
    return float(known.sum()) if len(known) else float("nan")


def mean(values: np.ndarray) -> float:
    """Return the mean of what was measured; NaN when nothing was."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def ratio(part: float, whole: float) -> float:
    """Return ``part / whole``; NaN when the whole is (almost) nothing."""
    return part / whole if abs(whole) > 1e-9 else float("nan")


def extreme(pick: np.ufunc, values: np.ndarray) -> float:
    """Return the ``np.fmin`` or ``np.fmax`` of what was measured; NaN when nothing was."""
    return float(pick.reduce(values)) if len(values) else float("nan")


def gini(values: np.ndarray) -> float:
    """Return the Gini coefficient ``[n]`` in 0..1, for values of any sign.

    ``sum |x_i - x_j| / (2 (n - 1) sum |x_i|)``: the usual coefficient where no value is negative
    (with n - 1 for n), and never above 1 where some are. NaN for fewer than two values or zeros.
    Raffinetti, Siletti, Vernizzi (2015), Statistical Methods & Applications 24(3), 507-521.
    """
    n = len(values)
    ordered = np.sort(values)
    differences = 2.0 * float((2.0 * np.arange(n) - n + 1.0) @ ordered)
    return ratio(differences, 2.0 * (n - 1) * float(np.abs(values).sum()))


def jain(values: np.ndarray) -> float:
    """Return Jain's index of fairness ``[n]`` in 1/n..1; a value below 0 counts as 0.

    ``(sum x)^2 / (n sum x^2)``. NaN when nobody has a positive value.
    Jain, Chiu, Hawe (1984), DEC Research Report TR-301.
    """
    gained = np.maximum(values, 0.0)
    return ratio(float(gained.sum()) ** 2, len(values) * float((gained**2).sum()))


def concentration(values: np.ndarray) -> float:
    """Return the Herfindahl-Hirschman index of amounts ``[n]`` in 10,000/n..10,000.

    The sum of the squared shares in percent; 10,000 is one who has all. NaN when nobody has any.
    Hirschman (1964), The paternity of an index, American Economic Review 54(5), 761-762.
    """
    shares = 100.0 * values / values.sum() if values.sum() > 0.0 else np.array([np.nan])
    return float((shares**2).sum())
