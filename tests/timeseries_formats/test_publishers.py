"""Each publisher's format, written as it is published: values, units, clocks and refusals."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from cosim.timeseries.formats import FORMATS, AnySeries, recognise

SPRING, AUTUMN = ("2024-03-31", 23), ("2024-10-27", 25)


def source(name: str, **options: Any) -> Any:
    return FORMATS[name].model_validate({"file": "file.csv", **options})


def clock12(time: datetime) -> str:
    return f"{time.hour % 12 or 12}:{time:%M} {'AM' if time.hour < 12 else 'PM'}"


def day(time: datetime) -> str:
    return f"{time:%b} {time.day}, {time.year}"


# --- ENTSO-E


def entsoe(times: list[datetime], values: list[Any], seconds: str = "") -> list[str]:
    lines = ['"MTU (CET/CEST)","Day-ahead Price [EUR/MWh]","Currency","BZN|DE-LU"']
    for time, value in zip(times, values, strict=True):
        end = (time.astimezone(UTC) + timedelta(hours=1)).astimezone(time.tzinfo)
        span = f"{time:%d/%m/%Y %H:%M}{seconds} - {end:%d/%m/%Y %H:%M}{seconds}"
        lines.append(f'"{span}","{value}","EUR",""')
    return lines


@pytest.mark.parametrize("seconds", ["", ":00"])
@pytest.mark.parametrize(("date", "count"), [SPRING, AUTUMN])
def test_entsoe_prices_on_days_of_change(
    write: Any, grid: Any, hours: Any, date: str, count: int, seconds: str
) -> None:
    prices = [10.0 * k - 50.0 for k in range(count)]
    folder = write(entsoe(hours(date), prices, seconds))
    values, (name, digest) = source("entsoe_prices").load(folder, grid(date, count))
    assert values.tolist() == pytest.approx([p / 1000 for p in prices], rel=1e-14)
    assert name == "file.csv"
    assert digest == hashlib.sha256((folder / "file.csv").read_bytes()).hexdigest()
    assert recognise(folder / "file.csv") == "entsoe_prices"


def test_entsoe_marks_tell_the_doubled_hour_apart(write: Any, grid: Any, hours: Any) -> None:
    """A file that begins in the second of the two hours is only right by its marks."""
    times = hours(AUTUMN[0])[3:]
    lines = entsoe(times, list(range(22)), ":00")
    lines[0] = '"MTU (CET/CEST)","Area","Sequence","Day-ahead Price (EUR/MWh)"'
    for k in range(22):
        mark = " (CET)" if k == 0 else ""
        span = f"{times[k]:%d/%m/%Y %H:%M:%S}{mark} - x"
        lines[k + 1] = f'"{span}","BZN|DE-LU","Without Sequence","{k}"'
    found = source("entsoe_prices")
    series = found.series(found.sheet(write(lines)))
    assert series.rows.first_s == datetime(2024, 10, 27, 1, tzinfo=UTC).timestamp()
    assert series.values.tolist() == pytest.approx([k / 1000 for k in range(22)])


def test_entsoe_areas_and_sequences_are_picked(write: Any, refused: Any, hours: Any) -> None:
    lines = ["MTU (UTC),Area,Sequence,Day-ahead Price (EUR/MWh)"]
    start = datetime(2025, 1, 1, tzinfo=UTC)
    for k in range(4):
        span = f"{start + timedelta(hours=k):%d/%m/%Y %H:%M:%S} - x"
        lines += [
            f"{span},{area},Sequence 1,{k + shift}" for area, shift in (("BE", 0), ("FR", 100))
        ]
    folder = write(lines)
    (problem,) = refused(source("entsoe_prices"))
    assert "'Area' has 2 different values" in problem.what and "BE, FR" in problem.remedy
    picked = source("entsoe_prices", pick={"Area": "FR"})
    series = picked.series(picked.sheet(folder))
    assert series.values.tolist() == pytest.approx([0.1, 0.101, 0.102, 0.103])
    (problem,) = refused(source("entsoe_prices", pick={"Area": "DE"}))
    assert "no row has 'DE'" in problem.what
    lines[-1] = lines[-1].replace(",103", ",n/e")
    write(lines)
    (problem,) = refused(picked)
    assert problem.where.startswith("file.csv:9,") and "first is line 9" in problem.what
    assert len(picked.variants(picked.sheet(folder))) == 2


def test_entsoe_missing_values(write: Any, refused: Any, hours: Any, grid: Any) -> None:
    for mark in ("-", "n/e", ""):
        write(entsoe(hours("2024-01-01"), [*range(1, 10), mark, *range(14)]))
        (problem,) = refused(source("entsoe_prices"))
        assert "the value is missing (1 row" in problem.what
        assert problem.where == "file.csv:11, column 'Day-ahead Price [EUR/MWh]'"
    lines = entsoe(hours(SPRING[0]), list(range(23)))
    skipped = '"31/03/2024 02:00 - 31/03/2024 03:00","-","EUR",""'
    values, _ = source("entsoe_prices").load(
        write([*lines[:3], skipped, *lines[3:]]), grid(SPRING[0], 23)
    )
    assert values.tolist() == pytest.approx([k / 1000 for k in range(23)])
    write([*lines[:3], skipped.replace('-"', '5"').replace('"-"', '"5"'), *lines[3:]])
    assert any("does not exist" in problem.what for problem in refused(source("entsoe_prices")))


def test_entsoe_currencies(write: Any, refused: Any, hours: Any, grid: Any) -> None:
    lines = entsoe(hours("2024-01-01"), [100.0] * 24)
    folder = write([lines[0].replace("EUR", "GBP"), *lines[1:]])
    (problem,) = refused(source("entsoe_prices"))
    assert "GBP/MWh" in problem.what and "eur_per_unit" in problem.remedy
    values, _ = source("entsoe_prices", eur_per_unit=1.2).load(folder, grid("2024-01-01", 24))
    assert values == pytest.approx(np.full(24, 0.12))


@pytest.mark.parametrize("factor", [1000.0, 0.001])
def test_prices_in_another_unit_are_refused(
    write: Any, refused: Any, hours: Any, factor: float
) -> None:
    write(entsoe(hours("2024-01-01"), [factor * (30 + k) for k in range(24)]))
    (problem,) = refused(source("entsoe_prices"))
    assert problem.remedy == "check the unit"


# --- SMARD


def smard(times: list[datetime], values: list[str], style: str = "old") -> list[str]:
    area = "Germany/Luxembourg"
    lines = {
        "old": [f"Date;Time of day;{area}[EUR/MWh]"],
        "new": [f"Start date;End date;{area} [€/MWh] Original resolutions"],
        "german": ["Datum von;Datum bis;Deutschland/Luxemburg [€/MWh] Originalauflösungen"],
    }[style]
    for time, value in zip(times, values, strict=True):
        shown = {
            "old": f"{day(time)};{clock12(time)}",
            "new": f"{day(time)} {clock12(time)};x",
            "german": f"{time:%d.%m.%Y %H:%M};x",
        }[style]
        lines.append(f"{shown};{value}")
    return lines


@pytest.mark.parametrize("style", ["old", "new", "german"])
@pytest.mark.parametrize(("date", "count"), [SPRING, AUTUMN])
def test_smard_on_days_of_change(
    write: Any, grid: Any, hours: Any, date: str, count: int, style: str
) -> None:
    prices = [200.0 * k - 400.0 for k in range(count)]
    texts = [f"{price:,.2f}" for price in prices]
    if style == "german":
        texts = [text.translate(str.maketrans(",.", ".,")) for text in texts]
    folder = write(smard(hours(date), texts, style), "utf-8-sig", "\r\n")
    values, _ = source("smard").load(folder, grid(date, count))
    assert values.tolist() == pytest.approx([price / 1000 for price in prices], rel=1e-14)
    assert recognise(folder / "file.csv") == "smard"


def test_smard_older_dates_and_areas(write: Any, refused: Any, grid: Any, hours: Any) -> None:
    lines = ["Date;Time of day;Germany/Luxembourg[€/MWh];Denmark 1[€/MWh]"]
    for k, time in enumerate(hours("2018-11-12")):
        lines.append(f"{time.month}/{time.day}/{time.year};{clock12(time)};{k};-")
    folder = write(lines, "utf-8-sig")
    (problem,) = refused(source("smard"))
    assert "2 columns of prices" in problem.what and "Germany/Luxembourg" in problem.remedy
    wanted = source("smard", area="Germany/Luxembourg")
    values, _ = wanted.load(folder, grid("2018-11-12", 24))
    assert values.tolist() == pytest.approx([k / 1000 for k in range(24)])
    (problem,) = refused(source("smard", area="Denmark 1"))
    assert "missing (24 rows, the first is line 2)" in problem.what
    (problem,) = refused(source("smard", area="Denmark"))
    assert "no area" in problem.what and "Denmark 1" in problem.remedy


@pytest.mark.parametrize("cell", ["1,23", "12,3456.00", "1.2.3", "--1", "x", "1e400", "inf"])
def test_smard_numbers_that_are_none(write: Any, refused: Any, hours: Any, cell: str) -> None:
    write(smard(hours("2024-01-01"), [*(["40.00"] * 6), cell, *(["40.00"] * 17)]))
    (problem,) = refused(source("smard"))
    assert problem.where.startswith("file.csv:8, column") and repr(cell) in problem.what


@pytest.mark.parametrize("clock", ["13:00 PM", "0:00 AM", "Foo 1, 2024"])
def test_smard_times_that_are_none(write: Any, refused: Any, hours: Any, clock: str) -> None:
    lines = smard(hours("2024-01-01"), ["40.00"] * 24)
    lines[3] = f"Jan 1, 2024;{clock};40.00"
    write(lines)
    (problem,) = refused(source("smard"))
    assert problem.where.startswith("file.csv:4") and "is not a time" in problem.what


# --- Electricity Maps

OLD = ("Carbon Intensity gCO₂eq/kWh (direct)", "Carbon Intensity gCO₂eq/kWh (LCA)")
NEW = ("Carbon intensity gCO₂eq/kWh (direct)", "Carbon intensity gCO₂eq/kWh (Life cycle)")
MANGLED = ("Carbon intensity gCO2eq/kWh (Direct)", "carbon_intensity_life_cycle")


def maps(names: tuple[str, str], zones: tuple[str, ...] = ("DE",)) -> list[str]:
    lines = [f"Datetime (UTC),Country,Zone name,Zone id,{names[0]},{names[1]},Data source"]
    for hour in range(30):
        time = datetime(2024, 3, 30, 20) + timedelta(hours=hour)
        lines += [f"{time},X,X,{zone},{100 + hour}.5,{200 + hour},x" for zone in zones]
    return lines


@pytest.mark.parametrize("names", [OLD, NEW, MANGLED])
def test_electricity_maps_direct_and_life_cycle(write: Any, grid: Any, names: Any) -> None:
    folder = write(maps(names))
    assert recognise(folder / "file.csv") == "electricity_maps"
    run = grid(SPRING[0], 23)  # Berlin's day begins at 23:00 UTC: the fourth row
    values, _ = source("electricity_maps").load(folder, run)
    assert values.tolist() == pytest.approx([(203 + k) / 1000 for k in range(23)], rel=1e-14)
    values, _ = source("electricity_maps", emissions="direct").load(folder, run)
    assert values.tolist() == pytest.approx([(103.5 + k) / 1000 for k in range(23)], rel=1e-14)


def test_electricity_maps_zones_and_twins(write: Any, refused: Any) -> None:
    folder = write(maps(NEW, ("DE", "FR")))
    (problem,) = refused(source("electricity_maps"))
    assert "'Zone id' has 2 different values" in problem.what
    picked = source("electricity_maps", pick={"Zone id": "FR"})
    assert picked.series(picked.sheet(folder)).rows.count == 30
    assert len(picked.variants(picked.sheet(folder))) == 4
    write(maps((NEW[0], NEW[0])))
    (problem,) = refused(source("electricity_maps", emissions="direct"))
    assert "the file has 2 columns of carbon intensity (direct)" in problem.what


# --- Elia

ELIA = "Datetime;Resolution code;Region;Measured & Upscaled;Monitored capacity;Load factor"


def elia(
    date: str = "2024-10-27", hours: int = 25, regions: tuple[str, ...] = ("Belgium",)
) -> list[str]:
    """Return quarter hours of a Belgian day, newest first."""
    zone = source("smard").zone(None)
    first = datetime.fromisoformat(date).replace(tzinfo=zone).timestamp()
    lines = []
    for k in range(hours * 4):
        time = datetime.fromtimestamp(first + 900 * k, zone).isoformat()
        for at, region in enumerate(regions):
            lines.append(f"{time};PT15M;{region};{k + 1000 * at}.5;{8000 / (at + 1)};{k / 80}")
    return [ELIA, *reversed(lines)]


@pytest.mark.parametrize(("date", "count"), [SPRING, AUTUMN])
def test_elia_newest_first(write: Any, grid: Any, date: str, count: int) -> None:
    folder = write(elia(date, count), "utf-8-sig")
    assert recognise(folder / "file.csv") == "elia"
    run = grid(date, count * 4, minutes=15)
    values, _ = source("elia").load(folder, run)
    assert values.tolist() == [1000 * (k + 0.5) for k in range(count * 4)]
    shares, _ = source("elia", quantity="load_factor").load(folder, run)
    assert shares.tolist() == pytest.approx([(k + 0.5) / 8000 for k in range(count * 4)])


def test_elia_regions_and_lines(write: Any, refused: Any, grid: Any) -> None:
    lines = elia(regions=("Belgium", "Namur"))
    folder = write(lines)
    (problem,) = refused(source("elia"))
    assert "'Region' has 2 different values" in problem.what
    namur = source("elia", pick={"Region": "Namur"})
    values, _ = namur.load(folder, grid("2024-10-27", 25))
    assert values[0] == pytest.approx(1000 * 1002.0)
    cells = lines[41].split(";")
    assert cells[2] == "Namur"
    write([*lines[:41], ";".join([*cells[:3], "", *cells[4:]]), *lines[42:]])
    problems = refused(namur)
    assert any(p.where == "file.csv:42, column 'Measured & Upscaled'" for p in problems)
    write([*lines[:41], *lines[43:]])
    (problem,) = refused(namur)
    assert (
        "rows of 900 s are missing before this one: 1 (1 row, the first is line 40)" in problem.what
    )
    write([*lines[:41], lines[39], *lines[41:]])
    assert any("that of the row before" in problem.what for problem in refused(namur))


def test_elia_shares_of_no_capacity_are_refused(write: Any, refused: Any) -> None:
    lines = [line.replace(";8000.0;", ";0.1;") for line in elia()]
    write(lines)
    (problem,) = refused(source("elia", quantity="load_factor"))
    assert "monitored capacity" in problem.what
    (problem,) = refused(source("elia", column="Total load"))
    assert "no column 'Total load'" in problem.what


# --- plain, and all together


def test_plain_converts_the_stated_unit(write: Any, grid: Any, refused: Any) -> None:
    times = [f"2024-01-01 {hour:02}:00" for hour in range(24)]
    folder = write(["time,value", *(f"{time},{10 * k}" for k, time in enumerate(times))])
    for unit, factor in (("EUR/MWh", 1e-3), ("g/kWh", 1e-3), ("MW", 1e3), ("1", 1.0)):
        values, _ = source("plain", unit=unit).load(folder, grid("2024-01-01", 24, "UTC"))
        assert values.tolist() == pytest.approx([10 * k * factor for k in range(24)])
    assert any("outside" in problem.what for problem in refused(source("plain", unit="EUR/kWh")))
    (problem,) = refused(source("plain", unit="1", column="valu"))
    assert problem.remedy == "did you mean 'value'?"
    assert recognise(folder / "file.csv") is None


def test_a_scenario_writes_the_format_by_name() -> None:
    adapter = TypeAdapter(AnySeries)
    for name in FORMATS:
        value = adapter.validate_python({"format": name, "file": "f.csv", **_needed(name)})
        assert value.name() == value.format == name and type(value) is FORMATS[name]
        with pytest.raises(ValidationError):
            adapter.validate_python({"format": name, "file": "f.csv", "typo": 1, **_needed(name)})
        with pytest.raises(ValidationError):
            value.file = "g.csv"
    with pytest.raises(ValidationError, match="format"):
        adapter.validate_python({"format": "xls", "file": "f.csv"})


def _needed(name: str) -> dict[str, str]:
    return {"unit": "kW"} if name == "plain" else {}
