"""Everything that has a name, a unit and a meaning: features, actions, columns, KPIs, plug-ins."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cosim import plugins
from cosim.glossary import COLUMNS, KPIS
from cosim.glossary import Quantity as Term
from cosim.observe import ACTIONS, FEATURES, Quantity
from cosim.verbs._common import plugin_summary

#: what 'list' calls each kind of plug-in
LISTED = {
    "markets": "market",
    "policies": "policy",
    "disturbances": "disturbance",
    "profiles": "profiles",
    "forecasts": "forecast",
}


@dataclass(frozen=True)
class Known:
    """A named thing and what is to be said of it."""

    name: str
    unit: str
    allowed: str
    meaning: str
    sign: str = ""
    is_plugin: bool = False


def features() -> list[Known]:
    """Return what policies can observe."""
    return [_from_quantity(quantity) for quantity in FEATURES.values()]


def actions() -> list[Known]:
    """Return what policies can decide."""
    return [_from_quantity(quantity) for quantity in ACTIONS.values()]


def of_plugins(kind: str) -> list[Known]:
    """Return the plug-ins of one kind; their files are read, not run."""
    return [
        Known(name, "", "", plugin_summary(kind, name), is_plugin=True)
        for name in plugins.names(kind)
    ]


def columns() -> list[Known]:
    """Return the columns of the result tables."""
    return [_from_quantity(term) for term in COLUMNS.values()]


def kpis() -> list[Known]:
    """Return the key figures of a run."""
    return [_from_quantity(term) for term in KPIS.values()]


def _from_quantity(quantity: Quantity) -> Known:
    parts = []
    if math.isfinite(quantity.low):
        parts.append(f">= {quantity.low:g}")
    if math.isfinite(quantity.high):
        parts.append(f"<= {quantity.high:g}")
    sign = quantity.sign if isinstance(quantity, Term) else ""
    return Known(quantity.name, quantity.unit, " and ".join(parts), quantity.meaning, sign)
