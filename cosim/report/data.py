"""The files of a run as arrays for drawing; pandas is not needed."""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from cosim.errors import InputError, Problem
from cosim.record.folder import MANIFEST
from cosim.results import Run, load_run

#: the folder, inside that of the run, which holds the runs of its variants
_VARIANTS = "variants"
#: kind and name of an element, and for how long it was out [h]
_Out = tuple[tuple[str, str], float]


@dataclass(frozen=True, eq=False)
class RunData:
    """Evaluation series ``[T]``, elements ``[b + l + t]``, limits, and how to label the axes.

    Elements are the columns of elements.csv and ``out_h``: for how long [h] a bus was without
    supply or a branch open; NaN where the run does not tell.
    """

    title: str
    source: str  # tells the run, for those who look into a figure's file
    zone: ZoneInfo
    limits: dict[str, float]
    interval_h: float
    series: dict[str, np.ndarray]
    elements: dict[str, np.ndarray]

    @property
    def edges(self) -> np.ndarray:
        """Begins of the intervals and the end of the last ``[T + 1]``, datetime64 UTC."""
        times = self.series["time"]
        step = np.timedelta64(round(self.interval_h * 3600), "s")
        return np.append(times, times[-1:] + step)

    def mean_kw(self, name: str) -> np.ndarray:
        """Return an energy per interval as mean power [kW]."""
        return self.series[name] / self.interval_h

    def of_kind(self, kind: str) -> np.ndarray:
        """Return where the elements of a kind are, bool."""
        return self.elements["kind"] == kind


def read_run(folder: Path) -> RunData:
    """Read what the figures need; raise InputError where it is missing."""
    run = load_run(folder)
    manifest = run.manifest
    series = _columns(run.folder / "evaluation_results.csv")
    elements = _columns(run.folder / "elements.csv")
    return RunData(
        title=_title(run),
        source=f"cosim run of {manifest['scenario_name']}, seed {manifest['seed']}, "
        f"digest {run.digest}",
        zone=ZoneInfo(manifest["zone"]),
        limits=manifest["limits"],
        interval_h=manifest["interval_s"] / 3600.0,
        series=series,
        elements={**elements, "out_h": _hours_out(run, elements)},
    )


def _title(run: Run) -> str:
    """Return the scenario's name; for a variant its name, too, and its own description."""
    name = str(run.manifest["scenario_name"])
    folder = run.folder.resolve()
    main = folder.parent.parent
    if folder.parent.name != _VARIANTS or not (main / MANIFEST).exists():
        return name
    title = f"{name}, {folder.name}"
    own = str(run.manifest["scenario"]["description"]).strip()
    if not own or own == str(load_run(main).manifest["scenario"]["description"]).strip():
        return title
    return f"{title}: {textwrap.shorten(own, 70, placeholder='…')}"


# ---------------------------------------------------------------- outages


#: columns of the solves that name open branches, and the kind of these
_OPEN = {"open_lines": "line", "open_trafos": "trafo"}


def _hours_out(run: Run, elements: dict[str, np.ndarray]) -> np.ndarray:
    """Return for how long each element was out [h], NaN without the tables that tell it."""
    names, kinds = elements["element"], elements["kind"]
    if not {"solves", "bus"} <= set(run.tables):
        return np.full(len(names), np.nan)
    import pyarrow.parquet as pq

    row_of = {key: row for row, key in enumerate(zip(kinds, names, strict=True))}
    hours = np.zeros(len(names))
    columns = ["start_s", "end_s", "status", "supply", *_OPEN]
    for part in sorted((run.folder / "solves").glob("day-*.parquet")):
        table = pq.read_table(part, columns=columns)
        solves = {name: _array(table.column(name)) for name in columns}
        out = [_open(solves, column) for column in _OPEN]
        if solves["supply"].all() and not any(out):
            continue  # most days: the buses need not be read
        out.append(_dead(solves, run.folder / "bus" / part.name))
        for key, length in (item for items in out for item in items):
            hours[row_of[key]] += length
    return hours


def _open(solves: dict[str, np.ndarray], column: str) -> list[_Out]:
    """Return the branches a column of the solves names, once for each load flow."""
    length = (solves["end_s"] - solves["start_s"]) / 3600.0
    return [
        ((_OPEN[column], name), length[row])
        for row in np.flatnonzero(solves[column] != "[]")
        for name in json.loads(solves[column][row])
    ]


def _dead(solves: dict[str, np.ndarray], part: Path) -> list[_Out]:
    """Return the buses without voltage, once for each load flow that has a solution."""
    import pyarrow.parquet as pq

    table = pq.read_table(part, columns=["start_s", "end_s", "bus", "vm_pu"])
    begin, end = _array(table.column("start_s")), _array(table.column("end_s"))
    unsolved = solves["start_s"][solves["status"] == "collapse"]
    dead = np.isnan(_array(table.column("vm_pu"))) & ~np.isin(begin, unsolved)
    names = table.column("bus").filter(dead).to_pylist()
    return [
        (("bus", name), hours)
        for name, hours in zip(names, (end - begin)[dead] / 3600.0, strict=True)
    ]


# ---------------------------------------------------------------- columns


def _columns(path: Path) -> dict[str, np.ndarray]:
    import pyarrow as pa
    import pyarrow.csv as pacsv

    if not path.exists():
        why = "the run was not finished"
        raise InputError(Problem(f"{path.name} is missing", str(path.parent), why))
    options = pacsv.ConvertOptions(
        column_types={name: pa.string() for name in ("element", "from_bus", "to_bus")},
        strings_can_be_null=False,
    )
    table = pacsv.read_csv(path, convert_options=options)
    return {name: _array(table.column(name)) for name in table.column_names}


def _array(column: Any) -> np.ndarray:
    import pyarrow as pa

    kind = column.type
    if pa.types.is_null(kind):
        return np.full(len(column), np.nan)
    values: np.ndarray = column.to_numpy()
    if pa.types.is_integer(kind):
        return values.astype(float)
    return values
