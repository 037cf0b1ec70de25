"""From a stacked day to what lasts: community series, load-flow figures, totals and extremes.

A year of these fits in memory; joined over the days they are the :class:`~cosim.metrics.Facts`
behind the key figures, and the columns of evaluation_results.csv and elements.csv.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cosim.feeder.limits import Limits
from cosim.metrics import Columns as ReadOnly
from cosim.metrics import Facts
from cosim.record.day import Columns, Scope, Stack
from cosim.record.episodes import KINDS, episodes, joined
from cosim.record.ledgers import REQUESTS, STAND_INS, safety

_SUMS = (
    "unserved_kwh", "co2_kg", "bill_eur", "baseline_eur", "wear_eur", "load_kwh", "pv_kwh",
    "charge_kwh", "discharge_kwh", "net_kwh", "network_eur", "demand_eur", "taxes_eur",
    "imbalance_eur", "curtailed_kwh",
)  # fmt: skip
_MARKET = (
    "volume_kwh", "offered_kwh", "requested_kwh", "possible_eur", "welfare_eur", "welfare_loss_eur",
    "orders_sent", "orders_late_or_lost", "slack_import_kwh", "slack_export_kwh", "losses_kwh",
    "co2_kg_per_kwh", "fallback_clearings",
)  # fmt: skip
#: columns of evaluation_results.csv after time and interval
EVALUATION = (
    "price_eur_per_kwh", "retail_eur_per_kwh", "feed_in_eur_per_kwh", "bid_limit_eur_per_kwh",
    "volume_kwh", "offered_kwh", "requested_kwh", "possible_kwh", "possible_eur", "welfare_eur",
    "welfare_loss_eur", "slack_p_kw", "slack_import_kwh", "slack_export_kwh", "losses_kwh",
    "vm_min_pu", "vm_p05_pu",
    "vm_p50_pu", "vm_p95_pu", "vm_max_pu", "line_max_percent", "trafo_max_percent", "unserved_kwh",
    "dead_share", "co2_kg_per_kwh", "co2_kg", "bill_eur", "baseline_eur", "wear_eur", "load_kwh",
    "pv_kwh", "charge_kwh", "discharge_kwh", "net_kwh", "network_eur", "demand_eur", "taxes_eur",
    "imbalance_kwh", "imbalance_eur", "imbalance_gain_eur", "curtailed_kwh", "soc_mean",
    "orders_sent", "orders_late_or_lost", "fallback_clearings", *REQUESTS, "interventions",
    "intervention_kwh", *STAND_INS, "fallback_kwh", "delivery_deviations",
    "delivery_deviation_kwh", "device_breaches", "status",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class DayFacts:
    """One day: series ``[T]`` and ``[S]``, totals ``[n]``, episodes, extremes ``[b]``, ``[e]``."""

    interval: Columns
    solve: Columns
    prosumer: Columns
    episodes: Columns
    extremes: Columns


def summarise(stack: Stack, scope: Scope) -> DayFacts:
    """Reduce one day to what lasts."""
    solve = _solve_series(stack, scope)
    return DayFacts(
        interval=_interval_series(stack, scope, solve),
        solve=solve,
        prosumer=_totals(stack.prosumer),
        episodes=episodes(stack, scope),
        extremes=_extremes(stack),
    )


def _totals(p: Columns) -> Columns:
    return {
        **{name: p[name].sum(0) for name in ("bill_eur", "baseline_eur")},
        "bought_kwh": np.maximum(p["traded_kwh"], 0.0).sum(0),
        "sold_kwh": np.maximum(-p["traded_kwh"], 0.0).sum(0),
    }


def facts_of(days: Sequence[DayFacts], scope: Scope) -> Facts:
    """Join the days of a run."""
    merged = joined([day.episodes for day in days])
    return Facts(
        interval_h=scope.case.grid.interval_h,
        interval=_concatenated([day.interval for day in days]),
        solve=_concatenated([day.solve for day in days]),
        prosumer=_summed([day.prosumer for day in days]),
        violations={**merged, "kind": np.array(KINDS)[merged["kind"].astype(int)]},
    )


def extremes_of(days: Sequence[DayFacts]) -> Columns:
    """Return each element's worst values over all days and when they were."""
    result: Columns = {}
    for name, lowest in (("vm_min", True), ("vm_max", False), ("loading_max", False)):
        values = np.stack([day.extremes[name] for day in days])
        seconds = np.stack([day.extremes[f"{name}_s"] for day in days])
        best, at = _extreme(values, lowest)
        result[name] = best
        result[f"{name}_s"] = np.take_along_axis(seconds, at[None], 0)[0]
    return result


def _concatenated(parts: Sequence[ReadOnly]) -> Columns:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _summed(parts: Sequence[ReadOnly]) -> Columns:
    return {name: np.sum([part[name] for part in parts], axis=0) for name in parts[0]}


# ---------------------------------------------------------------- load flows


def _solve_series(stack: Stack, scope: Scope) -> Columns:
    solve, limits = stack.solve, scope.case.limits
    lines = len(scope.case.network.lines)
    vm, loading = stack.bus["watched_vm_pu"], stack.branch["loading_percent"]
    ordered = np.sort(vm, axis=1)  # NaN last
    alive = (~np.isnan(vm)).sum(1)
    return {
        "duration_s": (solve["end_s"] - solve["start_s"]).astype(float),
        "status": solve["status"],
        "import_kw": np.maximum(solve["slack_p_kw"], 0.0),
        "export_kw": np.maximum(-solve["slack_p_kw"], 0.0),
        **{
            name: _ranked(ordered, alive, share)
            for name, share in (
                ("vm_min_pu", 0.0), ("vm_p05_pu", 0.05), ("vm_p50_pu", 0.5), ("vm_p95_pu", 0.95),
                ("vm_max_pu", 1.0),
            )
        },
        **_outside(vm, loading[:, :lines], loading[:, lines:], limits),
    }  # fmt: skip


def _outside(vm: np.ndarray, line: np.ndarray, trafo: np.ndarray, limits: Limits) -> Columns:
    """Return how many elements are outside their limits, and the highest loadings ``[S]``.

    Unsolved load flows are NaN in both: not measured.
    """

    def count(mask: np.ndarray, of: np.ndarray) -> np.ndarray:
        return np.where(np.isnan(of).all(1), np.nan, mask.sum(1))

    return {
        "buses_under": (vm < limits.vm_min_pu).sum(1).astype(float),
        "buses_over": (vm > limits.vm_max_pu).sum(1).astype(float),
        "lines_over": count(line > limits.line_percent, line),
        "trafos_over": count(trafo > limits.trafo_percent, trafo),
        "line_max_percent": _extreme(line.T, lowest=False)[0],
        "trafo_max_percent": _extreme(trafo.T, lowest=False)[0],
    }


def _ranked(ordered: np.ndarray, alive: np.ndarray, share: float) -> np.ndarray:
    """Return a quantile of each sorted row's first ``alive`` values (nearest rank), or NaN."""
    at = np.maximum(np.rint(share * (alive - 1)), 0).astype(np.intp)
    values = np.take_along_axis(ordered, at[:, None], axis=1)[:, 0]
    return np.where(alive > 0, values, np.nan)


def _extreme(values: np.ndarray, lowest: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the extreme over the first axis and where it is; NaN where nothing was measured."""
    if values.shape[0] == 0:
        return np.full(values.shape[1:], np.nan), np.zeros(values.shape[1:], dtype=np.intp)
    never = np.inf if lowest else -np.inf
    filled = np.where(np.isnan(values), never, values)
    at = filled.argmin(0) if lowest else filled.argmax(0)
    best = np.take_along_axis(filled, at[None], 0)[0]
    return np.where(np.isinf(best), np.nan, best), at


def _extremes(stack: Stack) -> Columns:
    result: Columns = {}
    for name, values, lowest in (
        ("vm_min", stack.bus["watched_vm_pu"], True),
        ("vm_max", stack.bus["watched_vm_pu"], False),
        ("loading_max", stack.branch["loading_percent"], False),
    ):
        best, at = _extreme(values, lowest)
        result[name] = best
        seconds = stack.solve["start_s"].astype(float)
        result[f"{name}_s"] = np.where(np.isnan(best), np.nan, seconds[at])
    return result


# ---------------------------------------------------------------- intervals


def _interval_series(stack: Stack, scope: Scope, solve: Columns) -> Columns:
    p, market, hours = stack.prosumer, stack.market, scope.case.grid.interval_h
    population = scope.case.population
    imported, exported = market["slack_import_kwh"], market["slack_export_kwh"]
    energy, before = p["energy_kwh"].sum(1), p["before_kwh"].sum(1)
    capacity = population.capacity_kwh.sum()
    return {
        "interval": market["interval"],
        **{name: market[name].astype(float) for name in _MARKET},
        **{name: p[name].sum(1) for name in _SUMS},
        "price_eur_per_kwh": 0.5
        * (market["buy_price_eur_per_kwh"] + market["sell_price_eur_per_kwh"]),
        "retail_eur_per_kwh": p["retail_eur_per_kwh"].mean(1),
        "feed_in_eur_per_kwh": p["feed_in_eur_per_kwh"].mean(1),
        "bid_limit_eur_per_kwh": p["worth_eur_per_kwh"].mean(1),
        "possible_kwh": np.minimum(
            np.maximum(p["net_kwh"], 0.0).sum(1), np.maximum(-p["net_kwh"], 0.0).sum(1)
        ),
        "fed_in_kwh": np.maximum(-p["net_kwh"], 0.0).sum(1),
        "operator_surplus_eur": p["trade_eur"].sum(1),
        "imbalance_kwh": np.abs(p["imbalance_kwh"]).sum(1),
        "imbalance_gain_eur": _imbalance_gain_eur(p).sum(1),
        "stored_change_kwh": energy - before,
        "soc_mean": energy / capacity if capacity > 0.0 else np.full(len(energy), np.nan),
        "dead_share": p["dead_share"].mean(1),
        "slack_p_kw": (imported - exported) / hours,
        **safety(p, stack.order, population, hours),
        **_over_solves(stack, solve),
    }


def _imbalance_gain_eur(p: Columns) -> np.ndarray:
    """Return what each gained by trading what the meter does not back ``[T, n]``.

    Sold energy that was not fed in earned the price of the trade and cost the imbalance price;
    bought energy that was not drawn the other way round.
    """
    traded = p["traded_kwh"] != 0.0
    price = np.where(traded, p["trade_eur"], 0.0) / np.where(traded, p["traded_kwh"], 1.0)
    return p["imbalance_kwh"] * price - p["imbalance_eur"]


def _over_solves(stack: Stack, solve: Columns) -> Columns:
    """Reduce the load flows of each interval to one row ``[T]``; each has at least one."""
    first = np.searchsorted(stack.solve["interval"], stack.market["interval"])
    if len(first) == 0:
        return {name: np.zeros(0) for name in (*_LOW, *_HIGH, "vm_p50_pu", "status")}
    median = solve["vm_p50_pu"]
    weight = np.where(np.isnan(median), 0.0, solve["duration_s"])  # no voltage, no say
    held = np.add.reduceat(weight, first)
    mean = np.add.reduceat(np.where(weight > 0.0, median, 0.0) * weight, first)
    return {
        **{name: np.fmin.reduceat(solve[name], first) for name in _LOW},
        **{name: np.fmax.reduceat(solve[name], first) for name in _HIGH},
        "vm_p50_pu": np.where(held > 0.0, mean, np.nan) / np.where(held > 0.0, held, 1.0),
        "status": np.maximum.reduceat(solve["status"], first),
    }


_LOW = ("vm_min_pu", "vm_p05_pu")
_HIGH = ("vm_p95_pu", "vm_max_pu", "line_max_percent", "trafo_max_percent")
