"""Bills, savings, and how evenly they fall.

Three indices follow Zhou, Wu, Long (2018), doi:10.1016/j.apenergy.2018.02.089, who compare a
sharing mechanism with supply at the tariff. Here the compared bills are those of the same metered
energy, so that they judge the market and not what the batteries did.
"""

from __future__ import annotations

import numpy as np

from cosim.metrics.base import Facts, kpi, sums
from cosim.metrics.statistics import extreme, gini, jain, ratio, total

#: a saving within this much of nothing is rounding [EUR]
ROUNDING_EUR = 1e-9

sums(
    {
        "bill_eur": "bill_eur",
        "baseline_bill_eur": "baseline_eur",
        "wear_eur": "wear_eur",
        **{
            name: name
            for name in (
                "operator_surplus_eur",
                "network_eur",
                "demand_eur",
                "taxes_eur",
                "imbalance_eur",
                "imbalance_gain_eur",
                "imbalance_kwh",
                "curtailed_kwh",
            )
        },
    }
)


def savings(facts: Facts) -> np.ndarray:
    """Return what each prosumer saved against the bill without trading ``[n]`` [EUR]."""
    return facts.prosumer["baseline_eur"] - facts.prosumer["bill_eur"]


@kpi("savings_eur")
def _savings_eur(facts: Facts) -> float:
    return total(savings(facts))


@kpi("savings_percent")
def _savings_percent(facts: Facts) -> float:
    return 100.0 * ratio(_savings_eur(facts), abs(total(facts.interval["baseline_eur"])))


@kpi("lowest_saving_eur")
def _lowest_saving(facts: Facts) -> float:
    return extreme(np.fmin, savings(facts))


@kpi("highest_saving_eur")
def _highest_saving(facts: Facts) -> float:
    return extreme(np.fmax, savings(facts))


@kpi("losing_prosumers")
def _losing_prosumers(facts: Facts) -> float:
    return float((savings(facts) < -ROUNDING_EUR).sum())


@kpi("gini_savings")
def _gini_savings(facts: Facts) -> float:
    return gini(savings(facts))


@kpi("jain_savings")
def _jain_savings(facts: Facts) -> float:
    return jain(savings(facts))


@kpi("value_tapping_index")
def _value_tapping(facts: Facts) -> float:
    return ratio(_savings_eur(facts), total(facts.interval["possible_eur"]))


@kpi("participation_willingness_index")
def _participation_willingness(facts: Facts) -> float:
    better_off = savings(facts) > ROUNDING_EUR
    return ratio(float(better_off.sum()), len(better_off))


@kpi("equality_index")
def _equality(facts: Facts) -> float:
    """1 - Gini of incomes (the negative bills) raised so that the lowest is not below 0."""
    income = -facts.prosumer["bill_eur"]
    income = income - np.minimum(income.min(), 0.0)
    n = len(income)
    return 1.0 - gini(income) * (n - 1) / n if income.any() and n > 1 else 1.0
