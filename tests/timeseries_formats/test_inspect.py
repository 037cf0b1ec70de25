"""What ``profiles inspect`` says of a file, and with which exit code."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from cosim.__main__ import main
from cosim.profiles._ausgrid_file import HEADER

Shown = pytest.CaptureFixture[str]


def inspected(path: Path, lines: list[str], capsys: Shown, code: int = 0) -> str:
    path.write_text("\n".join(lines) + "\n")
    assert main(["profiles", "inspect", str(path)]) == code
    shown = capsys.readouterr()
    return shown.err if code else shown.out


def hourly(values: list[object], header: str) -> list[str]:
    times = (datetime(2024, 1, 1) + timedelta(hours=k) for k in range(len(values)))
    return [header, *(f"{time},{value}" for time, value in zip(times, values, strict=True))]


def test_a_format_is_named_with_its_series(tmp_path: Path, capsys: Shown) -> None:
    header = "Datetime (UTC),Carbon intensity gCO₂eq/kWh (direct)"
    text = inspected(tmp_path / "f.csv", hourly([*range(100, 148)], header), capsys)
    assert "format electricity_maps, 48 rows, SHA-256 " in text
    assert " 60 min  2024-01-01T00:00+00:00  2024-01-03T00:00+00:00  0.1235    0.1  0.147" in text


def test_areas_that_cannot_be_used_are_named(tmp_path: Path, capsys: Shown) -> None:
    lines = ["Date;Time of day;Germany[€/MWh];France[€/MWh]"]
    lines += [f"Jan {d}, 2024;{h}:00 AM;{d * h}.00;-" for d in (1,) for h in range(1, 12)]
    text = inspected(tmp_path / "f.csv", lines, capsys)
    assert "format smard, 11 rows" in text and "Germany[€/MWh]" in text
    assert "not usable:" in text and "column 'France[€/MWh]': the value is missing" in text


def test_a_users_own_columns(tmp_path: Path, capsys: Shown) -> None:
    lines = hourly(
        [f"{k},2,x,{k / 100}" for k in range(24)], "time,load_kw,use_kwh,name,eur_per_kwh"
    )
    text = inspected(tmp_path / "f.csv", lines, capsys)
    assert "format plain, 24 rows" in text and "276" in text and "48" in text
    assert "column 'name': 'x' is not a finite number" in text
    lines = hourly([f"{k * 10}" for k in range(24)], "time,eur_per_kwh")
    assert "outside -5 to 5 EUR/kWh" in inspected(tmp_path / "f.csv", lines, capsys, 2)


def test_gaps_and_files_without_times_are_refused(tmp_path: Path, capsys: Shown) -> None:
    lines = hourly([*range(24)], "time,value")
    text = inspected(tmp_path / "f.csv", lines[:8] + lines[10:], capsys, 2)
    assert "rows of 3600 s are missing before this one: 2" in text and "f.csv:9" in text
    text = inspected(tmp_path / "f.csv", ["a,b", "1,2", "3,4"], capsys, 2)
    assert "no column holds times" in text and "ausgrid, electricity_maps, elia" in text
    assert main(["profiles", "inspect", str(tmp_path / "f.csv"), "--zone", "Nowhere"]) == 2
    assert main(["profiles", "show", str(tmp_path / "f.csv")]) == 2
    capsys.readouterr()


def test_solar_homes(tmp_path: Path, capsys: Shown) -> None:
    lines = ["title", ",".join(HEADER)]
    for customer in (1, 2):
        for day in range(10):
            text = f"{date(2011, 7, 1 + day).day}-Jul-11"
            sun = ["0"] * 20 + ["0.5"] * 8 + ["0"] * 20
            for category, kwh in (("GC", ["0.25"] * 48), ("GG", sun)):
                if customer == 1 or category == "GC":
                    lines.append(f"{customer},1.5,2000,{category},{text}," + ",".join(kwh))
    text = inspected(tmp_path / "f.csv", lines, capsys)
    assert "format ausgrid, 30 rows" in text and "2011-07-01 to 2011-07-10: 10" in text
    assert "2, 2 usable; 1 with PV, 0 with controlled load" in text
    assert "120 kWh a customer, 0.5 kW at most" in text
    assert "PV         40 kWh a customer that has it, 2 kWp in all" in text
    assert "missing    0 rows" in text
    text = inspected(tmp_path / "f.csv", [line.replace("0.25", "0") for line in lines], capsys, 2)
    assert "no home has a load of 0 kW on average" in text
