"""What an interval is worth to a learner, term by term: the settled bill and what else is asked.

Every term is in EUR, > 0 good, and counts with a weight of its own.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from pydantic import Field

from cosim.case import Case
from cosim.feeder.state import SolveStatus
from cosim.lanes import Step
from cosim.section import Section
from cosim.training.lane import worth_eur


class Weights(Section):
    """How much each term of the reward counts; a term of weight 0 is left out."""

    bill: float = Field(1.0, description="minus the settled bill")
    wear: float = Field(1.0, description="minus the wear of the battery")
    stored: float = Field(1.0, description="change of the stored energy, at a fixed value")
    idle: float = Field(
        0.0, description="plus the bill without battery and trade: changes no choice, less noise"
    )
    co2: float = Field(0.0, ge=0.0, description="EUR per kg of CO2 that is accounted to one")
    overload: float = Field(
        0.0, ge=0.0, description="EUR per hour of each branch at twice its limit, shared by all"
    )
    voltage: float = Field(
        0.0, ge=0.0, description="EUR per hour of each bus 1 % beyond its band, shared by all"
    )
    fairness: float = Field(
        0.0, ge=0.0, description="per EUR that one's worth per kW differs from the learners' mean"
    )
    intervention: float = Field(
        0.0, ge=0.0, description="EUR per kWh by which guard and network guard change a request"
    )

    @property
    def names(self) -> tuple[str, ...]:
        """The terms that count, in their order."""
        return tuple(name for name in Weights.model_fields if getattr(self, name) != 0.0)


#: the terms of every environment
PLAIN = Weights()
BASE = ("bill", "wear", "stored")


def terms_eur(
    case: Case, step: Step, value_eur_per_kwh: np.ndarray, rows: np.ndarray, weights: Weights
) -> np.ndarray:
    """Return the weighted terms of an interval ``[lanes, n, T]`` in the order of ``weights``.

    ``rows`` are the learners; those of others hold no penalty.
    """
    worth = worth_eur(step.bills, step.before_kwh, step.metered.energy_kwh, value_eur_per_kwh)
    columns = []
    for name in weights.names:
        if name in BASE:
            term = worth[..., BASE.index(name)]
        elif name == "fairness":
            term = _of(rows, worth, -_unevenness_eur(case, worth[..., rows, :].sum(-1), rows))
        elif name in SHARED:
            each = -SHARED[name](case, step)[..., None] / len(rows)
            term = _of(rows, worth, np.broadcast_to(each, (*each.shape[:-1], len(rows))))
        else:
            term = OWN[name](case, step)
        columns.append(getattr(weights, name) * term)
    return np.stack(columns, axis=-1)


def _of(rows: np.ndarray, worth: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return values of some rows ``[lanes, m]`` among zeros ``[lanes, n]``."""
    term = np.zeros(worth.shape[:-1])
    term[..., rows] = values
    return term


def _idle_eur(case: Case, step: Step) -> np.ndarray:
    """Return the bill of load and PV alone at the tariff ``[lanes, n]``."""
    net, prices = step.metered.load_kwh - step.metered.pv_kwh, step.trade.asked.prices
    return np.asarray(
        net * np.where(net > 0.0, prices.drawn_eur_per_kwh, prices.feed_in_eur_per_kwh)
    )


def _intervention_kwh(case: Case, step: Step) -> np.ndarray:
    """Return how much less or more the batteries may do than was requested ``[lanes, n]``."""
    asked, done = step.trade.asked.requested.battery_kw, step.trade.guarded.decision.battery_kw
    return np.abs(np.where(np.isfinite(asked), asked, done) - done) * case.grid.interval_h


def _overload_h(case: Case, step: Step) -> np.ndarray:
    """Return how far branches are beyond their limits, summed ``[lanes]``; unsolved: all twice."""
    grid, limits = step.delivery.grid, case.limits
    over = [
        np.maximum(loading / limit - 1.0, 0.0)
        for loading, limit in (
            (grid.line_loading_percent, limits.line_percent),
            (grid.trafo_loading_percent, limits.trafo_percent),
        )
    ]
    return _unless_collapsed(step, np.concatenate(over, axis=-1)) * case.grid.interval_h


def _voltage_percent_h(case: Case, step: Step) -> np.ndarray:
    """Return how far buses are outside the band, summed ``[lanes]``; unsolved: 1 % each."""
    vm, limits = step.delivery.grid.vm_pu, case.limits
    beyond = 100.0 * np.maximum(np.maximum(limits.vm_min_pu - vm, vm - limits.vm_max_pu), 0.0)
    return _unless_collapsed(step, beyond) * case.grid.interval_h


def _unless_collapsed(step: Step, values: np.ndarray) -> np.ndarray:
    """Return sums ``[lanes]``; what has no supply counts nothing, a collapse 1 each."""
    unsolved = (step.delivery.grid.status == SolveStatus.COLLAPSE)[..., None]
    return np.asarray(np.where(unsolved, 1.0, np.nan_to_num(values)).sum(-1))


def _unevenness_eur(case: Case, worth: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return how far the learners' worth ``[lanes, m]`` is from even, per kW times own kW."""
    size = sizes_kw(case.population.rating_kw[rows])
    return np.abs(worth - worth.sum(-1, keepdims=True) * size / size.sum())


def sizes_kw(rating_kw: np.ndarray) -> np.ndarray:
    """Return what worth is divided by: the rating, 1 kW without a battery."""
    return np.where(rating_kw > 0.0, rating_kw, 1.0)


#: terms of each prosumer's own, > 0 good
OWN: dict[str, Callable[[Case, Step], np.ndarray]] = {
    "idle": _idle_eur,
    "co2": lambda case, step: -step.bills.co2_kg,
    "intervention": lambda case, step: -_intervention_kwh(case, step),
}
#: what all learners together answer for, > 0 bad
SHARED: dict[str, Callable[[Case, Step], np.ndarray]] = {
    "overload": _overload_h,
    "voltage": _voltage_percent_h,
}
