"""From recorded values to key figures: pure functions of :class:`Facts`.

A figure whose input was not recorded is NaN, "not measured"; none falls back to zero. Sums over
load flows leave out those without a solution, which ``unsolved_steps`` counts. Units and
meanings are held by :data:`cosim.glossary.KPIS`.
"""

from cosim.metrics import energy, grid, market, money
from cosim.metrics.base import KPIS, Columns, Facts, Kpi, measure
from cosim.metrics.grid import GRID_KINDS
from cosim.metrics.money import savings
from cosim.metrics.statistics import gini, jain

__all__ = [
    "GRID_KINDS", "KPIS", "Columns", "Facts", "Kpi", "energy", "gini", "grid", "jain", "market",
    "measure", "money", "savings",
]  # fmt: skip
