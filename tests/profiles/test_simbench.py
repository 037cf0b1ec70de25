"""The simbench source against simbench's own absolute values, and its cache."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from cosim.errors import InputError
from cosim.feeder.sources import load_network, simbench_net
from cosim.plugins import load
from cosim.profiles import _simbench_cache, _simbench_extract
from cosim.profiles._simbench_extract import ROWS, Constants, home_names
from cosim.profiles.base import Homes
from cosim.profiles.simbench import Simbench

CODE = "1-LV-rural3--2-sw"
BEGIN = datetime(2016, 1, 1, tzinfo=timezone(timedelta(hours=1)))


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """The net, simbench's absolute values, and the source's homes of the whole year."""
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setenv("COSIM_CACHE_DIR", str(cache))
        warnings.simplefilter("ignore")  # of pandapower and simbench about their own imports
        net = simbench_net(CODE)
        import simbench

        absolute = simbench.get_absolute_values(net, profiles_instead_of_study_cases=True)
        patch.setattr(_simbench_extract, "simbench_net", lambda code: net)  # saves seconds
        homes = Simbench().load(year_grid(), CODE, Path())
        buses = load_network("simbench", CODE).buses
    yield SimpleNamespace(net=net, absolute=absolute, homes=homes, buses=buses, cache=cache)


def year_grid() -> Any:
    from cosim.timegrid import TimeGrid

    return TimeGrid(BEGIN, 900, ROWS, 60, ZoneInfo("Europe/Berlin"))


def by_bus(real: SimpleNamespace, element: str, column: str) -> np.ndarray:
    """Return simbench's values in kW or kvar, summed by bus in the order of the homes."""
    wanted = np.zeros((ROWS, len(real.homes.names)))
    home = {bus: position for position, bus in enumerate(real.homes.buses)}
    names = dict(zip(real.net.bus.index, real.buses, strict=True))
    for index, bus in real.net[element].bus.items():
        wanted[:, home[names[bus]]] += real.absolute[element, column][index].to_numpy() * 1e3
    return wanted


def test_loads_are_simbenchs_own(real: SimpleNamespace) -> None:
    load_kw = by_bus(real, "load", "p_mw")
    assert load_kw.min() > -1e-4  # below 0.1 W only
    np.testing.assert_allclose(real.homes.load_kw, np.maximum(load_kw, 0.0), rtol=1e-13, atol=1e-15)
    load_kvar = by_bus(real, "load", "q_mvar")
    np.testing.assert_allclose(real.homes.load_kvar, load_kvar, rtol=1e-13, atol=1e-15)


def test_pv_is_simbenchs_own_where_there_is_no_storage(real: SimpleNamespace) -> None:
    pv_kw = by_bus(real, "sgen", "p_mw")
    alone = real.homes.capacity_kwh == 0.0
    np.testing.assert_allclose(real.homes.pv_kw[:, alone], pv_kw[:, alone], rtol=1e-13)
    assert not pv_kw[:, ~alone].any()


def test_storages_become_pv_and_batteries(real: SimpleNamespace) -> None:
    homes, storage = real.homes, real.net.storage
    names = dict(zip(real.net.bus.index, real.buses, strict=True))
    assert (homes.capacity_kwh > 0).sum() == len(storage) == 16
    for _, row in storage.iterrows():
        home = homes.buses.index(names[row.bus])
        unit = real.net.profiles["renewables"][row.profile.split("_")[1]].to_numpy()
        np.testing.assert_allclose(homes.pv_kw[:, home], unit * row.sn_mva * 1e3, rtol=1e-13)
        assert homes.pv_kwp[home] == pytest.approx(row.sn_mva * 1e3, rel=1e-12)
        assert homes.capacity_kwh[home] == pytest.approx(row.max_e_mwh * 1e3, rel=1e-12)
        assert homes.rating_kw[home] == pytest.approx(row.max_e_mwh * 500, rel=1e-12)
        assert homes.efficiency[home] == pytest.approx(0.95, rel=1e-12)
        assert homes.self_discharge_per_day[home] == pytest.approx(0.0013, rel=1e-12)


def test_energy_is_plausible(real: SimpleNamespace) -> None:
    homes = real.homes
    with_pv = homes.pv_kwp > 0.0
    assert with_pv.sum() == 27 + 16
    full_load_h = homes.pv_kw[:, with_pv].sum(axis=0) / 4 / homes.pv_kwp[with_pv]
    assert full_load_h.min() > 574 and full_load_h.max() < 698
    load_mwh = homes.load_kw.sum() / 4 / 1e3
    assert 118 * 1.0 < load_mwh < 118 * 10.0
    assert (homes.load_kw >= 0.0).all() and (homes.pv_kw >= 0.0).all()
    noon = homes.pv_kw.reshape(-1, 96, len(homes.names)).sum(axis=(0, 2))
    assert 46 <= noon.argmax() <= 52 and not noon[:12].any() and not noon[90:].any()


def test_names_and_buses(real: SimpleNamespace) -> None:
    homes = real.homes
    assert load("profiles", "simbench") is Simbench
    assert set(homes.buses) <= set(real.buses) and len(set(homes.buses)) == len(homes.buses)
    assert homes.names[homes.buses.index("LV3.101 Bus 12")] == "bus_12"
    assert home_names(("A Bus 1", "B Bus 1")) == ("a_bus_1", "b_bus_1")
    assert home_names(("x é", "x ü", "7")) == ("x_0", "x_1", "7_2")


def test_a_warm_load_imports_nothing_heavy(real: SimpleNamespace) -> None:
    text = f"""
import sys, time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from cosim.profiles.simbench import Simbench
from cosim.timegrid import TimeGrid
start = datetime(2016, 6, 6, tzinfo=timezone(timedelta(hours=2)))
grid = TimeGrid(start, 900, 672, 60, timezone.utc)
begin = time.perf_counter()
homes = Simbench(code="{CODE}").load(grid, "", Path())
print(f"warm load of a week: {{(time.perf_counter() - begin) * 1e3:.1f}} ms")
heavy = [m for m in ("pandapower", "pandas", "simbench", "pyarrow") if m in sys.modules]
assert not heavy, heavy
print(repr(float(homes.load_kw.sum())))
"""
    done = subprocess.run(
        [sys.executable, "-c", text],
        env={**os.environ, "COSIM_CACHE_DIR": str(real.cache)},
        capture_output=True,
        text=True,
        check=True,
    )
    timing, total = done.stdout.splitlines()
    print(timing)
    first = int((datetime(2016, 6, 5, 22, tzinfo=UTC) - BEGIN).total_seconds()) // 900
    week = np.ascontiguousarray(real.homes.load_kw[first : first + 672])
    assert float(total) == float(week.sum())


# ---------------------------------------------------------------- without simbench

N = 3


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A year of three homes in place of simbench's, and how often it was extracted."""
    constants = Constants(
        names=("bus_1", "bus_2", "bus_3"),
        buses=("Bus 1", "Bus 2", "Bus 3"),
        pv_homes=(1,),
        pv_kwp=(0.0, 5.0, 0.0),
        capacity_kwh=(0.0, 10.0, 0.0),
        rating_kw=(0.0, 5.0, 0.0),
        efficiency=(1.0, 0.95, 1.0),
        self_discharge_per_day=(0.0, 0.0013, 0.0),
    )
    values = np.random.default_rng(3).random((ROWS, constants.width))
    made: list[str] = []

    def extract_year(code: str) -> tuple[Constants, np.ndarray]:
        made.append(code)
        return constants, values

    monkeypatch.setattr(_simbench_cache, "extract_year", extract_year)
    monkeypatch.setenv("COSIM_CACHE_DIR", str(tmp_path))
    return SimpleNamespace(values=values, made=made, folder=tmp_path / "simbench")


def load_fake(grid: Any, **options: Any) -> Homes:
    return Simbench(**options).load(grid, "a-net", Path())


def test_the_cache_is_used(fake: SimpleNamespace, new_grid: Any) -> None:
    for start_day in (0, 100, 365):
        homes = load_fake(new_grid(BEGIN + timedelta(days=start_day)))
        rows = slice(start_day * 96, (start_day + 1) * 96)
        np.testing.assert_array_equal(homes.load_kw, fake.values[rows, :N])
        np.testing.assert_array_equal(homes.load_kvar, fake.values[rows, N : 2 * N])
        np.testing.assert_array_equal(homes.pv_kw[:, 1], fake.values[rows, 2 * N])
        assert not homes.pv_kw[:, [0, 2]].any()
    assert fake.made == ["a-net"]


@pytest.mark.parametrize("suffix", [".npy", ".json"])
@pytest.mark.parametrize("damage", ["empty", "cut", "flip", "nonsense", "gone", "folder"])
def test_a_damaged_cache_is_made_again(
    fake: SimpleNamespace, new_grid: Any, suffix: str, damage: str
) -> None:
    grid = new_grid(BEGIN)
    wanted = load_fake(grid).load_kw
    (path,) = fake.folder.glob(f"*{suffix}")
    content = path.read_bytes()
    spoiled = {
        "empty": b"",
        "cut": content[: len(content) // 2],
        "flip": content[:700] + bytes([content[700] ^ 1]) + content[701:],
        "nonsense": b"[1, 2]",
    }
    path.unlink()
    if damage == "folder":
        path.mkdir()
    elif damage != "gone":
        path.write_bytes(spoiled[damage])
    for _ in range(2):
        np.testing.assert_array_equal(load_fake(grid).load_kw, wanted)
    assert len(fake.made) == (3 if damage == "folder" else 2)


def test_pickles_are_not_opened(fake: SimpleNamespace, new_grid: Any) -> None:
    load_fake(new_grid(BEGIN))
    (path,) = fake.folder.glob("*.npy")
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    load_fake(new_grid(BEGIN))
    assert len(fake.made) == 2


def test_a_header_that_was_edited_is_not_believed(fake: SimpleNamespace, new_grid: Any) -> None:
    load_fake(new_grid(BEGIN))
    (path,) = fake.folder.glob("*.json")
    header = json.loads(path.read_text())
    header["body"]["constants"]["capacity_kwh"][1] = 99.0
    path.write_text(json.dumps(header))
    assert load_fake(new_grid(BEGIN)).capacity_kwh[1] == 10.0


def test_other_versions_have_another_key(
    fake: SimpleNamespace, new_grid: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_fake(new_grid(BEGIN))
    monkeypatch.setattr(_simbench_cache, "versions", lambda: "simbench=9")
    load_fake(new_grid(BEGIN))
    assert len(fake.made) == 2
    assert len(list(fake.folder.iterdir())) == 2  # the files of the old versions are gone


def test_a_cache_that_cannot_be_written_is_done_without(
    fake: SimpleNamespace, new_grid: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    occupied = fake.folder.parent / "file"
    occupied.write_text("")
    monkeypatch.setenv("COSIM_CACHE_DIR", str(occupied))
    load_fake(new_grid(BEGIN))


def test_without_batteries_the_pv_stays(fake: SimpleNamespace, new_grid: Any) -> None:
    homes = load_fake(new_grid(BEGIN), battery=False)
    assert not homes.capacity_kwh.any() and not homes.rating_kw.any()
    assert homes.pv_kwp[1] == 5.0 and homes.pv_kw[:, 1].any()


@pytest.mark.parametrize("interval_s", [60, 300, 900, 3600, 86400])
def test_intervals(fake: SimpleNamespace, new_grid: Any, interval_s: int) -> None:
    start = datetime(2016, 3, 26, 23, tzinfo=UTC)  # begin of a day that clocks shorten
    homes = load_fake(new_grid(start, interval_s, 2 * 86400 // interval_s, "Europe/Berlin"))
    first = 86 * 96
    np.testing.assert_allclose(
        homes.load_kw.sum(axis=0) * interval_s / 900,
        fake.values[first : first + 192, :N].sum(axis=0),
        rtol=1e-12,
    )
    np.testing.assert_allclose(
        homes.load_kw[0],
        fake.values[first : first + max(interval_s // 900, 1), :N].mean(axis=0),
        rtol=1e-14,
    )


def test_the_last_row_of_the_year(fake: SimpleNamespace, new_grid: Any) -> None:
    last = datetime(2016, 12, 31, 22, 45, tzinfo=UTC)
    homes = load_fake(new_grid(last, 900, 1))
    np.testing.assert_array_equal(homes.load_kw[0], fake.values[-1, :N])
    with pytest.raises(InputError, match="leaves the data"):
        load_fake(new_grid(last, 900, 2))


@pytest.mark.parametrize(
    ("start", "interval_s", "words"),
    [
        (datetime(2017, 6, 1, tzinfo=UTC), 900, "2016-01-01T00:00\\+01:00 to 2017-01-01"),
        (datetime(2015, 12, 31, tzinfo=UTC), 900, "leaves the data"),
        (datetime(2016, 6, 1, tzinfo=UTC), 1200, "does not fit rows of 900 s"),
        (datetime(2016, 6, 1, tzinfo=UTC), 420, "does not fit rows of 900 s"),
        (datetime(2016, 6, 1, 0, 5, tzinfo=UTC), 900, "300 s after the begin of a row"),
        (datetime(2016, 6, 1, 0, 1, tzinfo=UTC), 300, "60 s after the begin of a row"),
    ],
)
def test_runs_the_data_cannot_serve(
    fake: SimpleNamespace, new_grid: Any, start: datetime, interval_s: int, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        load_fake(new_grid(start, interval_s, 4))
    assert not fake.made


def test_unknown_codes(new_grid: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COSIM_CACHE_DIR", str(tmp_path))
    with pytest.raises(InputError, match="1-LV-rural3--2-sw"):
        Simbench(code="1-LV-rural3--2-sv").load(new_grid(BEGIN), "", Path())
    with pytest.raises(InputError, match="is not a simbench code"):
        Simbench(code="../../etc").load(new_grid(BEGIN), "", Path())
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_other_generation_is_refused(new_grid: Any) -> None:
    with pytest.raises(InputError, match="other than PV"):
        _simbench_extract.extract_year("1-MV-rural--0-sw")
