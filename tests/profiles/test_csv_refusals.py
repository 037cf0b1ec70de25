"""Each mistake in the files is refused, naming file, column, first line and count."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

BAD_CELLS = (
    "nan",
    "NaN",
    "inf",
    "-inf",
    "",
    " ",
    "abc",
    "1_0",
    "0x1",
    "1e999",
    "n/e",
    "-",
    "1.2.3",
)


def spoil(study: Any, random: np.random.Generator) -> None:
    """Spoil one random cell, see that it is named, and mend it."""
    row = int(random.integers(len(study.rows)))
    column = int(random.integers(1, len(study.header)))
    kept = study.rows[row][column]
    study.rows[row][column] = BAD_CELLS[int(random.integers(len(BAD_CELLS)))]
    problem = study.problem()
    assert problem.where == f"series.csv:{row + 2}, column '{study.header[column]}'"
    assert f"(1 row, the first is line {row + 2})" in problem.what
    study.rows[row][column] = kept


def test_random_bad_cells(study: Any) -> None:
    random = np.random.default_rng(7)
    for _ in range(300):
        spoil(study, random)
    study.load()


@pytest.mark.slow
def test_many_random_bad_cells(study: Any) -> None:
    random = np.random.default_rng(8)
    for _ in range(1000):
        spoil(study, random)


def test_bad_cells_are_counted_and_come_with_bad_times(study: Any) -> None:
    for row in (3, 5, 9):
        study.rows[row][1] = "nan"
    study.rows[7][3] = ""
    del study.rows[20]
    problems = study.problems()
    assert [problem.where for problem in problems] == [
        "series.csv:5, column 'load_a'",
        "series.csv:9, column 'load_b'",
        "series.csv:22, column 'time'",
    ]
    assert problems[0].what == "'nan' is not a finite number (3 rows, the first is line 5)"
    assert problems[1].what == "the cell is empty (1 row, the first is line 9)"
    assert problems[2].what.startswith("rows of 900 s are missing before this one: 1 (1 row,")


@pytest.mark.parametrize(
    ("spoiled", "line", "words"),
    [
        (lambda rows: rows.pop(5), 7, "900 s are missing before this one: 1 ("),
        (lambda rows: rows.insert(5, list(rows[5])), 8, "that of the row before"),
        (lambda rows: rows.insert(5, rows.pop(6)), 7, "3 kinds"),
        (lambda rows: rows[5].__setitem__(0, "2023-06-05 01:20"), 8, "uneven"),
        (lambda rows: rows[5].__setitem__(0, "05.06.2023 01:15"), 7, "is not a time"),
        (lambda rows: rows[5].__setitem__(0, "2023-06-05 01:15:00.5"), 7, "is not a time"),
        (lambda rows: rows[5].__setitem__(0, ""), 7, "is not a time"),
        (lambda rows: rows[5].__setitem__(0, "2023-06-05T01:15Z"), 7, "the time has an offset"),
        (lambda rows: rows[5].append("1"), 7, "the row has 5 cells"),
        (lambda rows: rows[5].pop(), 7, "the row has 3 cells"),
        (lambda rows: rows.insert(5, []), 7, "the row has 0 cells"),
        (lambda rows: rows[5].__setitem__(1, '"0.\n5"'), 7, "a cell on several lines"),
        (lambda rows: rows[5].__setitem__(1, '"0.5"x'), 7, "malformed"),
    ],
)
def test_malformed_rows_and_times(study: Any, spoiled: Any, line: int, words: str) -> None:
    spoiled(study.rows)
    problems = study.problems()
    assert all(re.fullmatch(r"series\.csv:\d+(, column 'time')?", p.where) for p in problems)
    text = " ".join(problem.what for problem in problems)
    if words == "3 kinds":
        assert "missing" in text and "before that of the row above" in text
    elif words == "uneven":
        assert "missing" in text and "comes early" in text
    else:
        assert words in text and len(problems) == 1
    assert any(problem.where.startswith(f"series.csv:{line}") for problem in problems)


def test_newest_first(study: Any) -> None:
    study.rows.reverse()
    assert study.problem().remedy == "put the earliest first"


@pytest.mark.parametrize(
    ("column", "factor", "where", "words"),
    [
        ("load_a", 1000, "series.csv", "no home has a load"),
        ("load_a", 2000, "series.csv:", "above 1000 kW"),
        ("load_a", 0.001, "series.csv, column 'load_a'", "no home has a load"),
        ("load_b", 0, "series.csv, column 'load_b'", "no home has a load"),
        ("load_b", -1, "series.csv:2, column 'load_b'", "the load is negative"),
        ("pv_a", 1000, "series.csv:", "more than 1.3 times its 5 kWp"),
        ("pv_a", 1.7, "series.csv:", "more than 1.3 times its 5 kWp"),
        ("pv_a", 0.001, "series.csv, column 'pv_a'", "PV reaches only"),
        ("pv_a", 0, "series.csv, column 'pv_a'", "PV reaches only"),
        ("pv_a", -1, "series.csv:", "PV is negative"),
    ],
)
def test_implausible_series(study: Any, column: str, factor: float, where: str, words: str) -> None:
    place = study.header.index(column)
    for row in study.rows:
        row[place] = str(float(row[place]) * factor)
    problem = study.problem()
    assert words in problem.what and problem.where.startswith(where)
    assert f"column '{column}'" in problem.where
    assert problem.remedy


@pytest.mark.parametrize("factor", [1000, 0.001])
def test_every_size_a_thousand_times_off(study: Any, factor: float) -> None:
    for position, column in ((2, "pv_kwp"), (3, "capacity_kwh"), (4, "rating_kw")):
        cells = ["a", "Bus 1", "5", "10", "5"]
        cells[position] = str(float(cells[position]) * factor)
        study.homes = f"name,bus,pv_kwp,capacity_kwh,rating_kw\n{','.join(cells)}\nb,Bus 2,,,\n"
        assert column in study.problems()[0].where
        assert "homes.csv:2" in study.problems()[0].where


def test_a_plant_may_have_no_load(study: Any) -> None:
    for row in study.rows:
        row[1] = "0"
    assert not study.load().load_kw[:, 0].any()


def test_pv_without_rating(study: Any) -> None:
    study.homes = "name,bus\na,Bus 1\nb,Bus 2\n"
    problem = study.problem()
    assert "the home has no pv_kwp" in problem.what and "column 'pv_a'" in problem.where
    for row in study.rows:
        row[2] = "0"
    study.load()


def test_pv_at_night(study: Any, new_grid: Any) -> None:
    study.options = {"time_zone": "America/Los_Angeles"}
    start = datetime(2023, 6, 6, tzinfo=UTC)
    problem = study.problem(new_grid(start, zone="Europe/Berlin"))
    assert "PV between 23:00 and 3:00" in problem.what and "column 'pv_a'" in problem.where
    study.options["night_pv"] = "allow"
    study.load(new_grid(start, zone="Europe/Berlin"))


def test_missing_files_and_columns_at_once(study: Any) -> None:
    study.options = {"homes": "home.csv", "time_column": "tine"}
    first, second = study.problems()
    assert first.where == "home.csv" and first.remedy == "did you mean 'homes.csv'?"
    assert second.where == "series.csv:1" and second.remedy == "did you mean 'time'?"


def test_missing_series_columns_at_once(study: Any) -> None:
    study.header = ["time", "lod_a", "pv_A", "load_b"]
    assert [(p.what, p.remedy) for p in study.problems()] == [
        ("the file has no column 'load_a'", "did you mean 'lod_a'?"),
        ("the file has no column 'pv_a'", "did you mean 'pv_A'?"),
    ]
    study.header = ["time", "load_a", "pv_a", "load_a"]
    problems = study.problems()
    assert problems[0].what == "the file has the column 'load_a' 2 times"


def test_unknown_home_in_columns(study: Any) -> None:
    study.options = {"columns": {"aa": {"load": "load_a"}}}
    problem = study.problem()
    assert "unknown home 'aa'" in problem.what and problem.remedy == "did you mean 'a'?"


@pytest.mark.parametrize(
    ("homes", "where", "words"),
    [
        ("name,bus\na,x\na,y\n", "homes.csv:3, column 'name'", "already on line 2"),
        ("name\na\n", "homes.csv:1", "no column 'bus'"),
        ("name,bus,capacity_kWh\na,x,5\n", "homes.csv:1", "unknown column 'capacity_kWh'"),
        ("name,bus\n../a,x\n", "homes.csv:2, column 'name'", "is not a name"),
        ("name,bus\na,\n", "homes.csv:2, column 'bus'", "has no bus"),
        ("name,bus,pv_kwp\na,x,many\n", "homes.csv:2, column 'pv_kwp'", "not a number"),
        ("name,bus,pv_kwp\na,x,-5\n", "homes.csv:2, column 'pv_kwp'", "not a number"),
        ("name,bus,capacity_kwh,efficiency\na,x,5,95\n", "column 'efficiency'", "efficiency is 95"),
        ("name,bus,rating_kw\na,x,5\n", "column 'rating_kw'", "without a battery"),
        ("name,bus\na,x,1\n", "homes.csv:2", "3 cells"),
        ("name,bus\n", "homes.csv:1", "no row below"),
        ("", "homes.csv:1", "no row below"),
    ],
)
def test_table_of_homes(study: Any, homes: str, where: str, words: str) -> None:
    study.homes = homes
    problem = study.problem()
    assert where in problem.where and words in problem.what


def test_text_that_is_not_utf8(study: Any) -> None:
    study.write()
    content = (study.folder / "series.csv").read_bytes()
    study.write = lambda: (study.folder / "series.csv").write_bytes(
        content.replace(b"\n2023-06-05 00:30", b"\n\xfc2023-06-05 00:30")
    )
    assert study.problem().where == "series.csv:4"


def test_other_separators_are_explained(study: Any) -> None:
    study.header = ["time;load_a;pv_a;load_b"]
    assert "commas" in study.problem().remedy


def test_a_run_outside_the_data(study: Any, new_grid: Any) -> None:
    problem = study.problem(new_grid(intervals=7 * 96 + 1))
    assert "leaves the data" in problem.what
    assert "2023-06-05T00:00+00:00 to 2023-06-12T00:00+00:00" in problem.remedy
    before = datetime(2022, 6, 5, tzinfo=UTC)
    assert "leaves the data" in study.problem(new_grid(before)).what


def test_intervals_that_do_not_fit(study: Any, new_grid: Any) -> None:
    assert "does not fit rows of 900 s" in study.problem(new_grid(interval_s=600)).what
    start = datetime(2023, 6, 5, 0, 5, tzinfo=UTC)
    problem = study.problem(new_grid(start, interval_s=3600, intervals=2))
    assert "300 s after the begin of a row" in problem.what
    assert problem.remedy == "start at 2023-06-05T00:00+00:00"
