"""Energies of the community and the profile of its exchange with the upstream grid."""

from __future__ import annotations

import numpy as np

from cosim.metrics.base import Facts, kpi, sums
from cosim.metrics.statistics import extreme, mean, ratio, total

sums(
    {
        "load_kwh": "load_kwh",
        "pv_kwh": "pv_kwh",
        "import_kwh": "slack_import_kwh",
        "export_kwh": "slack_export_kwh",
        "losses_kwh": "losses_kwh",
        "co2_kg": "co2_kg",
        "stored_change_kwh": "stored_change_kwh",
        "unserved_kwh": "unserved_kwh",
    }
)


@kpi("losses_percent")
def _losses_percent(facts: Facts) -> float:
    series = facts.interval
    solved = ~np.isnan(series["losses_kwh"])
    entered = series["slack_import_kwh"] + series["fed_in_kwh"]
    return 100.0 * ratio(total(series["losses_kwh"]), float(entered[solved].sum()))


@kpi("self_consumption_percent")
def _self_consumption(facts: Facts) -> float:
    exported = total(np.maximum(-facts.interval["net_kwh"], 0.0))
    return 100.0 * (1.0 - ratio(exported, total(facts.interval["pv_kwh"])))


@kpi("self_sufficiency_percent")
def _self_sufficiency(facts: Facts) -> float:
    drawn = total(np.maximum(facts.interval["net_kwh"], 0.0))
    return 100.0 * (1.0 - ratio(drawn, total(facts.interval["load_kwh"])))


@kpi("energy_balance_index")
def _energy_balance(facts: Facts) -> float:
    """Zhou, Wu, Long (2018); batteries count as demand when charged, as supply when discharged."""
    series = facts.interval
    turned_over = sum(total(series[f"{name}_kwh"]) for name in _TURNED_OVER)
    return 1.0 - ratio(total(np.abs(series["net_kwh"])), turned_over)


_TURNED_OVER = ("load", "charge", "pv", "discharge")


@kpi("outage_prosumer_hours")
def _outage_prosumer_hours(facts: Facts) -> float:
    prosumers = len(facts.prosumer["bill_eur"])
    return total(facts.interval["dead_share"]) * prosumers * facts.interval_h


# ---------------------------------------------------------------- power from upstream


@kpi("peak_import_kw")
def _peak_import(facts: Facts) -> float:
    return extreme(np.fmax, facts.solve["import_kw"])


@kpi("peak_export_kw")
def _peak_export(facts: Facts) -> float:
    return extreme(np.fmax, facts.solve["export_kw"])


@kpi("daily_peak_import_kw")
def _daily_peak_import(facts: Facts) -> float:
    hours = facts.interval["interval"] * facts.interval_h
    starts = np.flatnonzero(np.diff(np.floor(hours / 24.0 + 1e-9), prepend=-1.0))
    if len(starts) == 0:
        return float("nan")
    imported = np.maximum(facts.interval["slack_p_kw"], 0.0)
    return mean(np.fmax.reduceat(imported, starts))


@kpi("highest_ramp_kw")
def _highest_ramp(facts: Facts) -> float:
    return extreme(np.fmax, np.abs(np.diff(facts.interval["slack_p_kw"])))


@kpi("load_factor")
def _load_factor(facts: Facts) -> float:
    exchanged = np.abs(facts.interval["slack_p_kw"])
    return ratio(mean(exchanged), extreme(np.fmax, exchanged))
