"""Reading a run folder: pandas frames with tz-aware UTC times, whichever run wrote them."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cosim.errors import InputError, Problem, did_you_mean
from cosim.record.folder import LATEST, MANIFEST
from cosim.record.manifest import SCHEMA

if TYPE_CHECKING:
    import pandas as pd

_TIMES = {
    "evaluation_results.csv": ("time",),
    "violations.csv": ("start", "end", "worst_time"),
    "elements.csv": ("vm_min_time", "vm_max_time", "loading_max_time"),
}
_NAMES = ("element", "from_bus", "to_bus")


class Run:
    """A run folder; every property reads its file when first asked for."""

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        self.folder, self.manifest = folder, manifest

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r}, tables={list(self.tables)})"

    @property
    def complete(self) -> bool:
        """Whether the run came to its end."""
        return bool(self.manifest["complete"])

    @property
    def digest(self) -> str:
        """The digest of the run's values; empty where it was killed."""
        return str(self.manifest.get("digest", ""))

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the tables that were written."""
        return tuple(name for name in self.manifest["tables"] if (self.folder / name).is_dir())

    def table(self, name: str, columns: list[str] | None = None) -> pd.DataFrame:
        """Return a table, all days together; ``columns`` limits what is read."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if name not in self.tables:
            raise InputError(
                Problem(
                    f"the run has no table '{name}'",
                    str(self.folder),
                    remedy=did_you_mean(name, self.tables),
                )
            )
        parts = sorted((self.folder / name).glob("day-*.parquet"))
        whole = pa.concat_tables([pq.read_table(part, columns=columns) for part in parts])
        return whole.to_pandas()

    @cached_property
    def evaluation(self) -> pd.DataFrame:
        """Community figures, one row per interval."""
        return self._csv("evaluation_results.csv")

    @cached_property
    def violations(self) -> pd.DataFrame:
        """Episodes outside the limits or without supply."""
        return self._csv("violations.csv")

    @cached_property
    def elements(self) -> pd.DataFrame:
        """Worst voltages and loadings of every bus, line and transformer."""
        return self._csv("elements.csv")

    @cached_property
    def kpi(self) -> pd.Series:
        """Key figures by name; NaN where not measured."""
        return self._csv("kpi.csv").set_index("kpi")["value"]

    @cached_property
    def columns(self) -> dict[str, dict[str, dict[str, str]]]:
        """Unit, sign and meaning of every column of every output."""
        found: dict[str, dict[str, dict[str, str]]] = _json(self.folder / "columns.json")
        return found

    @cached_property
    def events(self) -> list[dict[str, Any]]:
        """The event log."""
        path = self.folder / "events.jsonl"
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    def _csv(self, name: str) -> pd.DataFrame:
        import pandas as pd

        path = self.folder / name
        if not path.exists():
            raise InputError(_missing(self.folder, name, self.complete))
        frame = pd.read_csv(
            path,
            keep_default_na=False,  # a bus may be called "NA"
            na_values=[""],
            dtype=dict.fromkeys(_NAMES, str),
            float_precision="round_trip",
        )
        for column in _TIMES.get(name, ()):
            frame[column] = pd.to_datetime(frame[column], utc=True, format="ISO8601")
        return frame


def load_run(path: str | Path) -> Run:
    """Open a run folder, or the latest run of a scenario's folder.

    Raises InputError for what is no run and for results of another schema version.
    """
    folder = Path(path)
    if not (folder / MANIFEST).exists():
        folder = _latest(folder)
    if not (folder / MANIFEST).exists():
        raise InputError(
            Problem(f"no run in {path}", why=f"there is no {MANIFEST}", remedy="name a run folder")
        )
    manifest = _json(folder / MANIFEST)
    version = manifest.get("schema") if isinstance(manifest, dict) else None
    if version != SCHEMA:
        raise InputError(
            Problem(
                f"results of schema version {version}; this is cosim for version {SCHEMA}",
                str(folder),
                remedy="read them with the cosim version named in the manifest, or run again",
            )
        )
    return Run(folder, manifest)


def _latest(folder: Path) -> Path:
    """Return what ``latest`` in a scenario's folder points to: a link, or a text file."""
    pointer = folder / LATEST
    if pointer.is_file():
        name = pointer.read_text(encoding="utf-8").strip()
        return folder / Path(name).name
    return pointer


def _missing(folder: Path, name: str, complete: bool) -> Problem:
    why = "" if complete else "the run was not finished"
    return Problem(f"{name} is missing", str(folder), why)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(Problem(f"cannot read {path.name}: {error}", str(path.parent))) from None
