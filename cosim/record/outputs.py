"""The small files at the end of a run: per interval, per violation, per element, per figure."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from cosim import glossary
from cosim.metrics import Facts
from cosim.record.day import Columns, Scope
from cosim.record.episodes import KINDS
from cosim.record.facts import EVALUATION
from cosim.record.folder import write_text
from cosim.record.parquet import write_csv
from cosim.record.tables import STATUS, Table, Text

_UNITS = ("p.u.", "p.u.", "%", "%", "kW")


def evaluation_table(facts: Facts, scope: Scope) -> Table:
    """Return one row of community figures per interval."""
    series = facts.interval
    seconds = series["interval"].astype(np.int64) * scope.case.grid.interval_s
    table: Table = {"time": scope.times(seconds), "interval": series["interval"]}
    table |= {name: series[name] for name in EVALUATION}
    table["status"] = Text(series["status"].astype(np.int32), STATUS)
    return table


def violations_table(facts: Facts, scope: Scope) -> Table:
    """Return one row per episode."""
    v, case = facts.violations, scope.case
    limits = case.limits
    bounds = np.array(
        [limits.vm_min_pu, limits.vm_max_pu, limits.line_percent, limits.trafo_percent, np.nan]
    )
    names = (
        case.network.buses, case.network.buses, case.network.lines, case.network.trafos,
        case.population.names,
    )  # fmt: skip
    kind = np.array([KINDS.index(name) for name in v["kind"]], dtype=np.int32)
    element = [names[k][int(e)] for k, e in zip(kind, v["element"], strict=True)]
    return {
        "start": scope.times(v["start_s"]),
        "end": scope.times(v["end_s"]),
        "element": np.array(element, dtype=np.str_),
        "kind": Text(kind, KINDS),
        "limit": bounds[kind],
        "worst": v["worst"],
        "unit": Text(kind, _UNITS),
        "worst_time": scope.times(v["worst_s"]),
        "duration_s": v["end_s"] - v["start_s"],
        "energy_kwh": v["energy_kwh"],
    }


def elements_table(extremes: Columns, scope: Scope) -> Table:
    """Return one row per bus, line and transformer: where it is and its worst values."""
    net = scope.case.network
    counts = [len(net.buses), len(net.lines), len(net.trafos)]
    nowhere, branches = np.full(sum(counts[1:]), np.nan), np.full(counts[0], np.nan)
    ends = [
        [net.buses[i] for i in (*first, *second)]
        for first, second in (
            (net.line_from_bus, net.trafo_hv_bus), (net.line_to_bus, net.trafo_lv_bus),
        )
    ]  # fmt: skip

    def when(name: str, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        seconds = np.concatenate([before, extremes[name], after])
        times = scope.times(np.where(np.isnan(seconds), 0.0, seconds))
        times[np.isnan(seconds)] = np.datetime64("NaT")
        return times

    none = np.zeros(0)
    return {
        "element": np.array([*net.buses, *net.lines, *net.trafos]),
        "kind": Text(np.repeat([0, 1, 2], counts).astype(np.int32), ("bus", "line", "trafo")),
        "x": np.concatenate([net.x, nowhere]),
        "y": np.concatenate([net.y, nowhere]),
        "from_bus": np.array([""] * counts[0] + ends[0]),
        "to_bus": np.array([""] * counts[0] + ends[1]),
        "vm_min_pu": np.concatenate([extremes["vm_min"], nowhere]),
        "vm_min_time": when("vm_min_s", none, nowhere),
        "vm_max_pu": np.concatenate([extremes["vm_max"], nowhere]),
        "vm_max_time": when("vm_max_s", none, nowhere),
        "loading_max_percent": np.concatenate([branches, extremes["loading_max"]]),
        "loading_max_time": when("loading_max_s", branches, none),
    }


def write_kpis(path: Path, kpis: dict[str, float]) -> None:
    """Write kpi.csv: one row per key figure, an empty value where it was not measured."""
    rows = ["kpi,value,unit,meaning"]
    for name, value in kpis.items():
        known = glossary.KPIS[name]
        shown = "" if math.isnan(value) else repr(value)
        rows.append(f'{name},{shown},{known.unit},"{known.meaning}"')
    write_text(path, "\n".join(rows) + "\n")


def write_results(folder: Path, facts: Facts, extremes: Columns, scope: Scope) -> None:
    """Write evaluation_results.csv, violations.csv and elements.csv."""
    write_csv(folder / "evaluation_results.csv", evaluation_table(facts, scope))
    write_csv(folder / "violations.csv", violations_table(facts, scope))
    write_csv(folder / "elements.csv", elements_table(extremes, scope))
