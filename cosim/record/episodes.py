"""Episodes in which an element is outside a limit without a break, found a day at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosim.feeder.limits import breaches
from cosim.feeder.state import GridState, SolveStatus
from cosim.metrics import GRID_KINDS
from cosim.record.day import Columns, Scope, Stack

#: every kind; ``kind`` columns count into it
KINDS = (*GRID_KINDS, "no_supply")
_LOWEST = KINDS.index("undervoltage")  # the kind whose worst value is the lowest

FIELDS = ("kind", "element", "start_s", "end_s", "worst", "worst_s", "energy_kwh")


@dataclass(frozen=True, eq=False)
class _Outside:
    """Where elements are outside a limit ``[S, m]``: how far, and the power behind it."""

    kind: int
    mask: np.ndarray
    value: np.ndarray
    power_kw: np.ndarray | None  # above the limit; None where energy makes no sense


def episodes(stack: Stack, scope: Scope) -> Columns:
    """Return the day's episodes, one row per run of load flows outside one limit."""
    found = [_runs(each, stack.solve) for each in _outside(stack, scope)]
    return {name: np.concatenate([columns[name] for columns in found]) for name in FIELDS}


def joined(days: list[Columns]) -> Columns:
    """Return the episodes of all days by begin; those that go on over midnight become one."""
    if not days:
        return {name: np.zeros(0) for name in FIELDS}
    every = {name: np.concatenate([day[name] for day in days]) for name in FIELDS}
    order = np.lexsort((every["start_s"], every["element"], every["kind"]))
    every = {name: column[order] for name, column in every.items()}
    merged = _merged(every)
    order = np.lexsort((merged["element"], merged["kind"], merged["start_s"]))
    return {name: column[order] for name, column in merged.items()}


def _outside(stack: Stack, scope: Scope) -> list[_Outside]:
    lines, limits = len(scope.case.network.lines), scope.case.limits
    vm, loading = stack.bus["watched_vm_pu"], stack.branch["loading_percent"]
    power = np.abs(stack.branch["p_from_kw"])
    empty = np.zeros(0)
    state = GridState(
        vm, loading[:, :lines], loading[:, lines:], power[:, :lines], power[:, lines:],
        empty, empty, empty, empty.astype(np.int8), empty.astype(np.int32), empty,
    )  # fmt: skip
    broken = breaches(state, limits)

    def above(value: np.ndarray, kw: np.ndarray, limit: float) -> np.ndarray:
        return kw * (1.0 - limit / np.maximum(value, limit))

    line, trafo = state.line_loading_percent, state.trafo_loading_percent
    return [
        _Outside(0, broken.undervoltage, vm, None),
        _Outside(1, broken.overvoltage, vm, None),
        _Outside(2, broken.line, line, above(line, state.line_p_from_kw, limits.line_percent)),
        _Outside(3, broken.trafo, trafo, above(trafo, state.trafo_p_hv_kw, limits.trafo_percent)),
        _no_supply(stack, scope),
    ]


def _no_supply(stack: Stack, scope: Scope) -> _Outside:
    """Prosumers at dead buses; an interval's unserved energy is spread over its dead seconds."""
    unsolved = stack.solve["status"] == SolveStatus.COLLAPSE
    dead = np.isnan(stack.bus["vm_pu"])[:, scope.case.population.bus] & ~unsolved[:, None]
    if not dead.any():
        return _Outside(4, dead, dead.astype(float), dead.astype(float))
    seconds = (stack.solve["end_s"] - stack.solve["start_s"])[:, None] * dead
    row = stack.solve["interval"] - stack.market["interval"][0]
    per_interval = np.zeros(stack.prosumer["unserved_kwh"].shape)
    np.add.at(per_interval, row, seconds)
    hours = np.where(per_interval > 0.0, per_interval, 1.0) / 3600.0
    power = (stack.prosumer["unserved_kwh"] / hours)[row] * dead
    return _Outside(4, dead, power, power)


def _runs(outside: _Outside, solve: Columns) -> Columns:
    """Return one row per element and run of load flows in which the mask holds."""
    mask = outside.mask.T
    if not mask.any():
        return {name: np.zeros(0) for name in FIELDS}
    padded = np.zeros((mask.shape[0], mask.shape[1] + 2), dtype=np.int8)
    padded[:, 1:-1] = mask
    steps = np.diff(padded, axis=1)
    element, first = np.nonzero(steps == 1)
    last = np.nonzero(steps == -1)[1] - 1
    spans = zip(element.tolist(), first.tolist(), last.tolist(), strict=True)
    worst_at = [_worst(outside, *span) for span in spans]
    hours = (solve["end_s"] - solve["start_s"]) / 3600.0
    energy = np.full(len(element), np.nan)
    if outside.power_kw is not None:
        cells = outside.power_kw * hours[:, None] * outside.mask
        running = np.concatenate([np.zeros((1, cells.shape[1])), np.cumsum(cells, axis=0)])
        energy = running[last + 1, element] - running[first, element]
    return {
        "kind": np.full(len(element), float(outside.kind)),
        "element": element.astype(float),
        "start_s": solve["start_s"][first].astype(float),
        "end_s": solve["end_s"][last].astype(float),
        "worst": outside.value[worst_at, element],
        "worst_s": solve["start_s"][worst_at].astype(float),
        "energy_kwh": energy,
    }


def _worst(outside: _Outside, element: int, first: int, last: int) -> int:
    """Return the load flow with the worst value of a run."""
    values = outside.value[first : last + 1, element]
    return first + int(values.argmin() if outside.kind == _LOWEST else values.argmax())


def _merged(every: Columns) -> Columns:
    """Merge rows, sorted by kind, element and begin, that touch in time."""
    count = len(every["kind"])
    if count == 0:
        return every
    same = (np.diff(every["kind"]) == 0) & (np.diff(every["element"]) == 0)
    goes_on = np.concatenate([[False], same & (every["start_s"][1:] == every["end_s"][:-1])])
    first = np.flatnonzero(~goes_on)
    last = np.append(first[1:], count) - 1
    lowest = every["kind"] == _LOWEST
    signed = np.where(lowest, -every["worst"], every["worst"])
    worst = np.maximum.reduceat(signed, first)
    group = np.cumsum(~goes_on) - 1
    hits = np.flatnonzero(signed == worst[group])
    at = np.empty(len(first), dtype=np.intp)
    at[group[hits][::-1]] = hits[::-1]  # the first of equals is written last
    return {
        "kind": every["kind"][first],
        "element": every["element"][first],
        "start_s": every["start_s"][first],
        "end_s": every["end_s"][last],
        "worst": every["worst"][at],
        "worst_s": every["worst_s"][at],
        "energy_kwh": np.add.reduceat(every["energy_kwh"], first),
    }
