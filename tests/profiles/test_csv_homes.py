"""What the CSV source reads, converts and resamples."""

from __future__ import annotations

import hashlib
import math
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from cosim.plugins import ProfilesField, describe, load
from cosim.profiles.csv_homes import CsvHomes


def test_it_is_a_plugin_that_describes_itself() -> None:
    plugin = TypeAdapter(ProfilesField).validate_python(
        {"kind": "csv_homes", "homes": "h.csv", "profiles": "p.csv", "units": {"load": "kWh"}}
    )
    assert load("profiles", "csv_homes") is CsvHomes
    described = describe(plugin)
    assert described["kind"] == "csv_homes" and described["units"]["load"] == "kWh"
    assert CsvHomes.model_validate({k: v for k, v in described.items() if k != "kind"}) == plugin


def test_homes_batteries_and_defaults(study: Any) -> None:
    study.homes = (
        "name,bus,pv_kwp,capacity_kwh,rating_kw,efficiency,self_discharge_per_day\n"
        "a,Bus 1,5,10,,,\nb,Bus 2,,8,4,0.9,0.001\n"
    )
    homes = study.load()
    assert homes.names == ("a", "b") and homes.buses == ("Bus 1", "Bus 2")
    assert homes.capacity_kwh.tolist() == [10.0, 8.0]
    assert homes.rating_kw.tolist() == [5.0, 4.0]
    assert homes.efficiency.tolist() == [0.95, 0.9]
    assert homes.self_discharge_per_day.tolist() == [0.0, 0.001]
    assert homes.pv_kwp.tolist() == [5.0, 0.0]


def test_values_are_those_of_the_file(study: Any, new_grid: Any) -> None:
    homes = study.load(new_grid(intervals=7 * 96))
    np.testing.assert_array_equal(homes.load_kw[:, 0], study.values("load_a"))
    np.testing.assert_array_equal(homes.load_kw[:, 1], study.values("load_b"))
    np.testing.assert_array_equal(homes.pv_kw[:, 0], study.values("pv_a"))
    assert not homes.pv_kw[:, 1].any() and not homes.load_kvar.any()
    assert not homes.load_kw.flags.writeable


def test_files_are_hashed(study: Any) -> None:
    homes = study.load()
    wanted = [
        (name, hashlib.sha256((study.folder / name).read_bytes()).hexdigest())
        for name in ("homes.csv", "series.csv")
    ]
    assert list(homes.files) == wanted


@pytest.mark.parametrize("interval_s", [60, 300, 900, 1800, 3600, 86400])
def test_resampling_keeps_the_energy(study: Any, new_grid: Any, interval_s: int) -> None:
    homes = study.load(new_grid(interval_s=interval_s, intervals=7 * 86400 // interval_s))
    for name, position in (("load_a", 0), ("load_b", 1)):
        energy_kwh = homes.load_kw[:, position].sum() * interval_s / 3600
        assert energy_kwh == pytest.approx(study.values(name).sum() / 4, rel=1e-12)


def test_a_start_inside_a_row_holds_that_row(study: Any, new_grid: Any) -> None:
    start = datetime(2023, 6, 5, 2, 10, tzinfo=timezone(timedelta(hours=2)))
    homes = study.load(new_grid(start=start, interval_s=300, intervals=3))
    load_a = study.values("load_a")
    assert homes.load_kw[:, 0].tolist() == [load_a[0], load_a[1], load_a[1]]


@pytest.mark.parametrize(
    ("unit", "factor"), [("kW", 1), ("W", 1e3), ("MW", 1e-3), ("kWh", 0.25), ("Wh", 250)]
)
def test_units(study: Any, unit: str, factor: float) -> None:
    wanted = study.load().load_kw
    for row in study.rows:
        row[1:] = [repr(float(cell) * factor) for cell in row[1:]]
    study.options = {"units": {"load": unit, "pv": unit}}
    np.testing.assert_allclose(study.load().load_kw, wanted, rtol=1e-12)


def test_specific_pv_is_multiplied_by_the_rating(study: Any) -> None:
    wanted = study.load().pv_kw
    for row in study.rows:
        row[2] = repr(float(row[2]) / 5 * 1000)
    study.options = {"units": {"pv": "W/kWp"}}
    np.testing.assert_allclose(study.load().pv_kw, wanted, rtol=1e-12)


def test_reactive_power_by_factor_or_by_column(study: Any) -> None:
    study.header.append("q_b")
    for row in study.rows:
        row.append("-50")
    study.options = {"power_factor": 0.95, "units": {"q": "var"}}
    homes = study.load()
    tangent = math.tan(math.acos(0.95))
    np.testing.assert_allclose(homes.load_kvar[:, 0], homes.load_kw[:, 0] * tangent, rtol=1e-12)
    np.testing.assert_allclose(homes.load_kvar[:, 1], -0.05, rtol=1e-12)


def test_columns_by_name_and_by_pattern(study: Any) -> None:
    wanted = study.load().load_kw
    study.header = ["when", "H1 demand", "H1 solar", "b [kW]"]
    study.options = {
        "time_column": "when",
        "load_columns": "{name} [kW]",
        "columns": {"a": {"load": "H1 demand", "pv": "H1 solar"}},
    }
    np.testing.assert_array_equal(study.load().load_kw, wanted)


def test_byte_order_mark_windows_lines_and_quotes(study: Any) -> None:
    wanted = study.load().load_kw
    text = (study.folder / "series.csv").read_text().replace("load_b", '"load_b"')
    content = b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode() + b"\r\n\r\n"
    study.write = lambda: (study.folder / "series.csv").write_bytes(content)
    np.testing.assert_array_equal(study.load().load_kw, wanted)


def test_end_labels_are_start_labels_one_row_later(study: Any) -> None:
    wanted = study.load()
    times = [row[0] for row in study.rows]
    for row, later in zip(study.rows, [*times[1:], "2023-06-12 00:00"], strict=True):
        row[0] = later
    study.options = {"label": "end"}
    np.testing.assert_array_equal(study.load().load_kw, wanted.load_kw)


def test_seventeen_homes_for_a_year_are_read_in_time(tmp_path: Path, new_grid: Any) -> None:
    n, hours = 17, 8760
    begin = datetime(2023, 1, 1, tzinfo=UTC)
    random = np.random.default_rng(1)
    values = random.uniform(0.1, 2.0, (hours, n)).round(4)
    pv = np.maximum(np.sin((np.arange(hours) % 24 - 6) / 12 * np.pi), 0.0) * 4
    lines = ["time," + ",".join(f"load_h{k},pv_h{k}" for k in range(n))]
    for hour in range(hours):
        cells = ",".join(f"{value},{pv[hour]:.4f}" for value in values[hour])
        lines.append(f"{begin + timedelta(hours=hour):%Y-%m-%d %H:%M},{cells}")
    (tmp_path / "series.csv").write_text("\n".join(lines))
    homes = "".join(f"h{k},Bus {k},5\n" for k in range(n))
    (tmp_path / "homes.csv").write_text("name,bus,pv_kwp\n" + homes)
    plugin = CsvHomes(homes=Path("homes.csv"), profiles=Path("series.csv"))
    grid = new_grid(start=begin, interval_s=3600, intervals=hours)
    plugin.load(grid, "", tmp_path)
    started = time.perf_counter()
    loaded = plugin.load(grid, "", tmp_path)
    print(f"17 homes x 8,760 rows: {time.perf_counter() - started:.3f} s")
    np.testing.assert_array_equal(loaded.load_kw, values)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"units": {"load": "kwh"}}, "'kWh'"),
        ({"units": {"lod": "kW"}}, "Extra inputs"),
        ({"time_zone": "Europe/Berln"}, "did you mean 'Europe/Berlin'"),
        ({"time_zone": "../etc/passwd"}, "unknown time zone"),
        ({"load_columns": "load"}, "must contain {name}"),
        ({"label": "middle"}, "'start' or 'end'"),
        ({"power_factor": 0.0}, "greater than 0"),
    ],
)
def test_options_that_mean_nothing(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        CsvHomes.model_validate({"homes": "h.csv", "profiles": "p.csv", **options})
    assert words in str(caught.value)
