"""The files of a run as arrays for drawing; pandas is not needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from cosim.errors import InputError, Problem
from cosim.results import load_run


@dataclass(frozen=True, eq=False)
class RunData:
    """Evaluation series ``[T]``, elements ``[b + l + t]``, limits, and how to label the axes."""

    title: str
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
    when = str(manifest["started_at"]).replace("T", " ").removesuffix("+00:00")
    return RunData(
        title=f"{manifest['scenario_name']}   (seed {manifest['seed']}, run {when} UTC)",
        zone=ZoneInfo(manifest["zone"]),
        limits=manifest["limits"],
        interval_h=manifest["interval_s"] / 3600.0,
        series=_columns(run.folder / "evaluation_results.csv"),
        elements=_columns(run.folder / "elements.csv"),
    )


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
