"""Solar home files in both spellings: energy, clocks, customers, buses and refusals."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from cosim.errors import InputError, Problem
from cosim.profiles._ausgrid_file import HEADER
from cosim.profiles.ausgrid import Ausgrid
from cosim.profiles.base import Homes
from cosim.timegrid import TimeGrid

SYDNEY = "Australia/Sydney"
FIRST = date(2011, 9, 30)  # daylight saving began on 2 October 2011
SUN = np.maximum(np.sin((np.arange(48) / 2 - 6) / 12 * np.pi), 0.0) * 0.6


def spelt(day: date, old: bool) -> str:
    return f"{day.day}-{day:%b-%y}" if old else f"{day.day}/{day:%m/%Y}"


def day_kwh(customer: int, category: str, day: int) -> np.ndarray:
    """Return a day's half hours, different for each."""
    if category == "GG":
        return (SUN * (1 + day / 100)).round(4)
    shift = {"GC": 0.0, "CL": 0.3}[category]
    return (0.1 * customer + shift + day / 50 + np.arange(48) / 200).round(4)


class Solar:
    """A file of three customers and four days, as lines that a test may spoil."""

    def __init__(self, folder: Path, old: bool = False, days: int = 4, first: date = FIRST) -> None:
        self.folder, self.options = folder, dict[str, Any](buses=("b1", "b2"))
        self.lines = ['"A title - read ""the notes.pdf""",,,']
        self.lines.append(",".join(HEADER) + ("" if old else ",Row Quality"))
        for customer, categories in ((1, ("CL", "GC", "GG")), (2, ("GC", "GG")), (7, ("GC",))):
            for day in range(days):
                for category in categories:
                    kwh = ",".join(str(v) for v in day_kwh(customer, category, day))
                    text = spelt(first + timedelta(days=day), old)
                    end = "" if old else ","
                    self.lines.append(f"{customer},1.5,2076,{category},{text},{kwh}{end}")

    def load(self, start: str = "2011-09-30", intervals: int = 96, minutes: int = 30,
             zone: str = SYDNEY) -> Homes:  # fmt: skip
        content = ("\r\n".join(self.lines) + "\r\n").encode("utf-8-sig")
        (self.folder / "solar.csv").write_bytes(content)
        begin = datetime.fromisoformat(start).replace(tzinfo=ZoneInfo(zone))
        grid = TimeGrid(begin, 60 * minutes, intervals, 60, ZoneInfo(zone))
        plugin = Ausgrid.model_validate({"file": "solar.csv", **self.options})
        return plugin.load(grid, "", self.folder)

    def problems(self, *run: Any) -> tuple[Problem, ...]:
        with pytest.raises(InputError) as caught:
            self.load(*run)
        return caught.value.problems


@pytest.fixture
def solar(tmp_path: Path) -> Callable[..., Solar]:
    return lambda **options: Solar(tmp_path, **options)


@pytest.mark.parametrize("old", [True, False])
def test_loads_generation_and_capacity(solar: Any, old: bool) -> None:
    file = solar(old=old)
    homes = file.load()
    assert homes.names == ("customer_1", "customer_2", "customer_7")
    assert homes.buses == ("b1", "b2", "b1")
    assert homes.pv_kwp.tolist() == [1.5, 1.5, 0.0]
    for home, (number, controlled) in enumerate([(1, True), (2, False), (7, False)]):
        for day in range(2):
            kwh = day_kwh(number, "GC", day)
            if controlled:
                kwh = kwh + day_kwh(number, "CL", day)
            rows = slice(48 * day, 48 * day + 48)
            assert homes.load_kw[rows, home] == pytest.approx(2 * kwh, rel=1e-12)
            sun = day_kwh(number, "GG", day) if number != 7 else np.zeros(48)
            assert homes.pv_kw[rows, home] == pytest.approx(2 * sun, rel=1e-12)
    assert not homes.load_kvar.any() and not homes.capacity_kwh.any()
    digest = hashlib.sha256((file.folder / "solar.csv").read_bytes()).hexdigest()
    assert homes.files == (("solar.csv", digest),)


@pytest.mark.parametrize("minutes", [5, 10, 15, 60])
def test_another_interval_keeps_the_energy(solar: Any, minutes: int) -> None:
    file = solar()
    wanted = file.load().load_kw.sum(0) / 2
    homes = file.load("2011-09-30", 2 * 24 * 60 // minutes, minutes)
    assert homes.load_kw.sum(0) * minutes / 60 == pytest.approx(wanted, rel=1e-12)


def test_the_hour_that_spring_leaves_out_is_passed_over(solar: Any) -> None:
    homes = solar().load("2011-10-02", 46)
    kwh = np.delete(day_kwh(2, "GC", 2), [4, 5])  # the half hours that end 2:30 and 3:00
    assert homes.load_kw[:, 1] == pytest.approx(2 * kwh, rel=1e-12)


def test_the_hour_that_autumn_repeats_holds_twice(solar: Any) -> None:
    homes = solar(first=date(2012, 3, 31)).load("2012-04-01", 50)
    kwh = day_kwh(2, "GC", 1)
    kwh = np.concatenate([kwh[:6], kwh[4:]])
    assert homes.load_kw[:, 1] == pytest.approx(2 * kwh, rel=1e-12)


def test_labels_of_standard_time_take_every_value(solar: Any) -> None:
    file = solar()
    file.options["time_zone"] = "Etc/GMT-10"
    homes = file.load("2011-10-02", 48, 30, "Etc/GMT-10")
    assert homes.load_kw[:, 1] == pytest.approx(2 * day_kwh(2, "GC", 2), rel=1e-12)


def test_homes_move_to_another_place_and_year(solar: Any) -> None:
    file = solar()
    moved = date(2016, 1, 15) - FIRST
    file.options |= {"time_zone": "Europe/Berlin", "shift_days": moved.days}
    homes = file.load("2016-01-15", 96, 30, "Europe/Berlin")
    file.options = {"buses": ("b1", "b2")}
    assert np.array_equal(homes.load_kw, file.load().load_kw)
    (problem,) = file.problems("2011-10-01", 48, 30, "America/New_York")
    assert "of the PV comes between 23:00 and 3:00" in problem.what
    assert SYDNEY in problem.remedy


def test_customers_are_chosen(solar: Any) -> None:
    file = solar()
    for wanted, names in (((7, 2), [7, 2]), (2, [1, 2]), (None, [1, 2, 7])):
        file.options["customers"] = wanted
        assert file.load().names == tuple(f"customer_{number}" for number in names)
    for wanted, words in (((3,), "no customer 3"), (4, "the file has 3 customers")):
        file.options["customers"] = wanted
        (problem,) = file.problems()
        assert words in problem.what


def test_without_buses_a_simbench_network_is_needed(solar: Any) -> None:
    file = solar()
    file.options = {}
    (problem,) = file.problems()
    assert "buses" in problem.what and "list buses" in problem.remedy


def spoil(file: Solar, line: int, cell: int, text: str) -> None:
    cells = file.lines[line - 1].split(",")
    cells[cell] = text
    file.lines[line - 1] = ",".join(cells)


@pytest.mark.parametrize(
    ("cell", "text", "where", "words"),
    [
        (5, "x", "column '0:30'", "'x' is not a finite number"),
        (52, "", "column '0:00'", "the cell is empty"),
        (30, "-0.1", "column '13:00'", "negative"),
        (30, "600", "column '13:00'", "no home has more than 500 kWh"),
        (3, "GX", "column 'Consumption Category'", "'GX' is no category"),
        (4, "31/02/2011", "column 'date'", "'31/02/2011' is not a date"),
        (4, "2011-10-01", "column 'date'", "'2011-10-01' is not a date"),
        (0, "1.5", "column 'Customer'", "this is no customer"),
        (1, "2.5", "column 'Generator Capacity'", "the capacity of customer 1 is 1.5 kWp"),
    ],
)
def test_spoilt_cells_are_named_by_line_and_column(
    solar: Any, cell: int, text: str, where: str, words: str
) -> None:
    file = solar()
    spoil(file, 10, cell, text)
    (problem,) = file.problems()
    assert problem.where == f"solar.csv:10, {where}" and words in problem.what
    assert "first is line" not in problem.what or "first is line 10" in problem.what


def test_days_that_are_missing_or_stand_twice(solar: Any) -> None:
    file = solar()
    gone = file.lines.pop(6)  # line 7: customer 1, GC of 1 October
    assert gone.startswith("1,1.5,2076,GC,1/10/2011")
    (problem,) = file.problems()
    assert "customer 1 has no GC on 1 day, the first is 2011-10-01" in problem.what
    assert problem.where == "solar.csv:4"
    file.options["customers"] = (2, 7)
    file.load()
    file.options["customers"] = None
    file.lines[6:6] = [gone, gone]
    (problem,) = file.problems()
    assert "customer 1 has GC of 2011-10-01 already further up" in problem.what
    assert problem.where == "solar.csv:8, column 'date'"


@pytest.mark.parametrize("factor", [1000, 0.001])
def test_another_unit_is_refused(solar: Any, factor: float) -> None:
    file = solar()
    for line in range(2, len(file.lines)):
        cells = file.lines[line].split(",")
        cells[5:53] = [repr(float(cell) * factor) for cell in cells[5:53]]
        file.lines[line] = ",".join(cells)
    assert all(p.remedy or "kWh" in p.what for p in file.problems())


def test_a_run_outside_the_days_is_refused(solar: Any) -> None:
    (problem,) = solar().problems("2012-10-01", 48)
    assert "leaves the data" in problem.what and "2011-09-30" in problem.remedy


def test_times_are_utc_instants(solar: Any) -> None:
    """Midnight of Sydney's 1 October 2011 is 14:00 UTC of the day before."""
    start = datetime(2011, 9, 30, 14, tzinfo=UTC)
    file = solar()
    wanted = file.load("2011-10-01", 4)
    grid = TimeGrid(start, 1800, 4, 60, ZoneInfo(SYDNEY))
    plugin = Ausgrid.model_validate({"file": "solar.csv", **file.options})
    assert np.array_equal(plugin.load(grid, "", file.folder).load_kw, wanted.load_kw)
