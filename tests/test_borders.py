"""Small mistakes at the border that used to pass: each is refused with its place and a remedy."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cosim.errors import InputError
from cosim.scenario import load_scenario
from cosim.supervision import read_supervision

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", "true"),
        ("seed", "1_000"),
        ("time.days", "'1'"),
        ("time.interval_minutes", "true"),
        ("feeder.limits.vm_min_pu", "true"),
        ("feeder.line_rating_ka", "true"),
        ("tariff.retail_eur_per_kwh", "true"),
        ("tariff.periods", "[{hours: [true, 21], retail_eur_per_kwh: 0.4}]"),
        ("market.k", "true"),
        ("groups.owners.share", "true"),
        ("groups.owners.battery.capacity_kwh", "1_0"),
        ("disturbances", "[{kind: pv_collapse, start: 2016-07-18 10:00, end: 2016-07-18 12:00, "
         "pv_factor: [false, 0.5]}]"),
        ("disturbances", "[{kind: message_loss, start: 2016-07-18 10:00, end: 2016-07-18 12:00, "
         "delay_s: true}]"),
        ("tariff", "{day_ahead: {series: {format: plain, file: a.csv, unit: EUR/MWh}, "
         "published_hour: true}}"),
    ],
)  # fmt: skip
def test_neither_truth_nor_text_is_a_number(village: Any, key: str, value: str) -> None:
    path = village.write(market={"kind": "uniform_price"}, tariff={"retail_eur_per_kwh": 0.25})
    with pytest.raises(InputError, match=r"must be (a (whole )?number|5)") as refused:
        load_scenario(path, [f"{key}={value}"])
    assert len(refused.value.problems) == 1


def test_whole_numbers_are_numbers(village: Any) -> None:
    loaded = load_scenario(village.write(), ["tariff.retail_eur_per_kwh=1", "market.k=0"])
    assert loaded.scenario.tariff.retail_eur_per_kwh == 1.0


@pytest.mark.parametrize(
    ("expected", "why"),
    [
        ("{kpi: pv_kwh}", "give min, max, or both"),
        ("{kpi: pv_kwh, min: 3, max: 2}", "min 3 is above max 2"),
    ],
)
def test_an_expectation_that_says_nothing_is_refused(village: Any, expected: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        load_scenario(village.write(), [f"expect=[{expected}]"])
    load_scenario(
        village.write(), ["expect=[{kpi: pv_kwh, min: 2, max: 2}, {kpi: pv_kwh, max: 9}]"]
    )


@pytest.mark.parametrize("key", ["name", "seed", "variants", "extends"])
def test_what_a_variant_cannot_change_is_refused_at_its_line(village: Any, key: str) -> None:
    value: Any = {"variants": {}, "seed": 4}.get(key, "other")
    path = village.write(variants={"dear": {key: value, "trade_limit": "none"}})
    with pytest.raises(InputError, match=f"variant 'dear' sets '{key}'") as refused:
        load_scenario(path)
    assert all(str(path) in problem.where for problem in refused.value.problems)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_and_devices_are_refused_at_once(village: Any, tmp_path: Path) -> None:
    os.mkfifo(village.folder / "pipe.csv")
    for name in ("pipe.csv", "/dev/zero"):
        homes = {"kind": "csv_homes", "homes": name, "profiles": "series.csv"}
        with pytest.raises(InputError, match="not a regular file"):
            village.case(profiles=homes)
        series = {"format": "plain", "file": name, "unit": "EUR/MWh"}
        with pytest.raises(InputError, match="not a regular file"):
            village.case(tariff={"day_ahead": {"series": series}})
        with pytest.raises(InputError, match="not a regular file"):
            village.case(profiles={"kind": "ausgrid", "file": name, "buses": ["bus3"]})
        with pytest.raises(InputError, match="not a regular file"):
            read_supervision(village.folder / name)
    with pytest.raises(InputError, match="folder"):
        read_supervision(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="closes streams as a shell does")
@pytest.mark.parametrize(
    ("words", "closed", "code"),
    [
        (["list", "features"], "1", 0),
        (["list", "features"], "1 2", 0),
        (["list", "features"], "0 1 2", 0),
        (["--help"], "1", 0),
        (["run", "nothere"], "2", 2),
        (["run", "--nonsense"], "1 2", 2),
    ],
)
def test_closed_streams_are_no_error(words: list[str], closed: str, code: int) -> None:
    shut = " ".join(f"{number}>&-" for number in closed.split())
    command = f'exec "$0" -m cosim "$@" {shut}'
    done = subprocess.run(
        ["sh", "-c", command, sys.executable, *words], cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode == code
    assert b"Traceback" not in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="closes streams as a shell does")
def test_nothing_printed_ends_up_in_a_result(village: Any, tmp_path: Path) -> None:
    """With stdout closed the first file opened would be file 1, which libraries print to."""
    code = (
        "import os, sys; from cosim.__main__ import _fill_closed_streams as fill; fill();"
        f"f = open({str(tmp_path / 'f')!r}, 'w'); assert f.fileno() > 2, f.fileno();"
        "os.write(1, b'noise'); print('noise', flush=True); f.close()"
    )
    command = 'exec "$0" -c "$1" 1>&- 2>&-'
    done = subprocess.run(["sh", "-c", command, sys.executable, code], cwd=ROOT, check=False)
    assert done.returncode == 0
    assert (tmp_path / "f").read_bytes() == b""
