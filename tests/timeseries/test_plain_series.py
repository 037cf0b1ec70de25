"""One column of a file over a run: what it gives, and what it refuses, with file and line."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from cosim.errors import InputError, Problem
from cosim.timegrid import TimeGrid
from cosim.timeseries.formats import FORMATS

START = datetime(2023, 6, 5, tzinfo=UTC)
SERIES = FORMATS["plain"].model_validate({"file": "series.csv", "unit": "kg/kWh"})


def grid(interval_s: int = 900, intervals: int = 8, start: datetime = START) -> TimeGrid:
    return TimeGrid(start, interval_s, intervals, 60, ZoneInfo("UTC"))


def rows(values: list[object], step_min: int = 15, first_min: int = 0) -> list[str]:
    """Return lines of a file that begins ``first_min`` after the run."""
    times = (START + timedelta(minutes=first_min + step_min * k) for k in range(len(values)))
    return [f"{time:%Y-%m-%d %H:%M},{value}" for time, value in zip(times, values, strict=True)]


def written(folder: Path, lines: list[str], header: str = "time,value") -> Path:
    (folder / "series.csv").write_text("\n".join([header, *lines, ""]))
    return folder


def refused(folder: Path, run: TimeGrid | None = None) -> tuple[Problem, ...]:
    with pytest.raises(InputError) as caught:
        SERIES.load(folder, run or grid(), "kg/kWh")
    return caught.value.problems


EIGHT = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]


def test_rows_as_long_as_intervals_are_taken_as_they_are(tmp_path: Path) -> None:
    values, (name, digest) = SERIES.load(written(tmp_path, rows(EIGHT)), grid())
    assert values.tolist() == EIGHT
    assert name == "series.csv"
    assert digest == hashlib.sha256((tmp_path / "series.csv").read_bytes()).hexdigest()


def test_shorter_rows_average_and_longer_ones_hold(tmp_path: Path) -> None:
    written(tmp_path, rows(EIGHT))
    mean, _ = SERIES.load(tmp_path, grid(interval_s=1800, intervals=4))
    assert mean == pytest.approx([0.15, 0.35, 0.55, 0.75], rel=1e-14)
    held, _ = SERIES.load(tmp_path, grid(interval_s=300, intervals=24))
    assert held.tolist() == list(np.repeat(EIGHT, 3))


def test_the_run_takes_the_rows_of_its_own_time(tmp_path: Path) -> None:
    written(tmp_path, rows([k / 10 for k in range(20)], first_min=-45))
    values, _ = SERIES.load(tmp_path, grid())
    assert values.tolist() == [k / 10 for k in range(3, 11)]


def test_the_ends_of_the_range_belong_to_it(tmp_path: Path) -> None:
    values, _ = SERIES.load(written(tmp_path, rows([0, 3, 0, 3, 0, 3, 0, 3])), grid())
    assert values.tolist() == [0.0, 3.0] * 4


@pytest.mark.parametrize("value", ["3.0001", "-0.0001"])
@pytest.mark.parametrize("row", [0, 3, 9])  # the last one after the end of the run
def test_a_value_outside_the_range_is_refused(tmp_path: Path, value: str, row: int) -> None:
    cells: list[object] = [0.5] * 10
    cells[row] = value
    (problem,) = refused(written(tmp_path, rows(cells)))
    assert problem.where == f"series.csv:{row + 2}, column 'value'"
    assert "outside 0 to 3 kg/kWh" in problem.what and problem.remedy == "check the unit"


@pytest.mark.parametrize(
    ("cell", "what"),
    [
        ("nan", "the value is missing"),
        ("NaN", "the value is missing"),
        ("inf", "'inf' is not a finite number"),
        ("n/a", "the value is missing"),
        ("", "the value is missing"),
    ],
)
def test_a_cell_that_is_no_number_is_refused(tmp_path: Path, cell: str, what: str) -> None:
    (problem,) = refused(written(tmp_path, rows([*EIGHT[:5], cell, *EIGHT[6:]])))
    assert problem.where == "series.csv:7, column 'value'" and what in problem.what


@pytest.mark.parametrize(
    ("header", "column"), [("time,valve", "value"), ("hour,value", "time"), ("a,b", "time")]
)
def test_a_missing_column_is_refused(tmp_path: Path, header: str, column: str) -> None:
    problems = refused(written(tmp_path, rows(EIGHT), header))
    assert problems[0].what == f"the file has no column '{column}'"
    assert problems[0].where == "series.csv:1"
    assert len(problems) == (2 if header == "a,b" else 1)


def test_a_file_that_does_not_cover_the_run_is_refused(tmp_path: Path) -> None:
    for values, first_min in ((EIGHT[:7], 0), (EIGHT, 15), (EIGHT, -15)):
        (problem,) = refused(written(tmp_path, rows(list(values), first_min=first_min)))
        assert "leaves the data" in problem.what and problem.where.startswith("series.csv")
        assert "the data are available from 2023-06-0" in problem.remedy


def test_a_missing_file_and_a_file_without_rows_are_refused(tmp_path: Path) -> None:
    (problem,) = refused(tmp_path)
    assert problem.what == "the file does not exist" and problem.where == "series.csv"
    (problem,) = refused(written(tmp_path, []))
    assert problem.where == "series.csv:1"


def test_a_gap_between_rows_is_refused(tmp_path: Path) -> None:
    lines = rows([0.5] * 12)
    (problem,) = refused(written(tmp_path, lines[:4] + lines[5:]))
    assert problem.where.startswith("series.csv:6") and "missing" in problem.what


def test_a_series_of_another_quantity_is_refused(tmp_path: Path) -> None:
    written(tmp_path, rows(EIGHT))
    with pytest.raises(InputError, match=r"'value' is in kg/kWh, here EUR/kWh is wanted"):
        SERIES.load(tmp_path, grid(), "EUR/kWh")


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    problems = refused(written(tmp_path, rows([*EIGHT[:2], "x", 7.0])))
    assert [problem.where.partition(",")[0] for problem in problems] == [
        "series.csv:4", "series.csv:5", "series.csv",
    ]  # fmt: skip
