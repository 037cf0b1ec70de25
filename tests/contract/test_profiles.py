"""What every profile source keeps, whichever files there are."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from cosim import plugins
from cosim.errors import InputError
from cosim.profiles.base import Homes, ProfileSource
from cosim.timegrid import TimeGrid

#: options of sources that have no defaults; files lie in the village's folder
OPTIONS: dict[str, dict[str, Any]] = {
    "csv_homes": {"homes": "homes.csv", "profiles": "series.csv"},
    "ausgrid": {"file": "solar.csv", "buses": ["bus3", "bus4"], "time_zone": "Europe/Berlin"},
}
FEEDER = "1-LV-rural1--0-sw"  # for sources that look at the network
Load = Callable[..., Homes]


def grid(minutes: int = 15, intervals: int | None = None, begin_h: int = 0) -> TimeGrid:
    start = datetime(2016, 7, 17, 22, tzinfo=UTC) + timedelta(hours=begin_h)
    count = 24 * 60 // minutes if intervals is None else intervals
    return TimeGrid(start, 60 * minutes, count, 60, ZoneInfo("Europe/Berlin"))


@pytest.fixture(scope="module", params=plugins.names("profiles"))
def source(request: pytest.FixtureRequest) -> ProfileSource:
    """Return each source there is."""
    value = plugins.load("profiles", request.param).model_validate(OPTIONS.get(request.param, {}))
    assert isinstance(value, ProfileSource)
    return value


@pytest.fixture(scope="module")
def load(source: ProfileSource, village: Any) -> Load:
    """Return what loads the source's homes over a time grid."""
    return lambda over: source.load(over, FEEDER, village.folder)


@pytest.fixture(scope="module")
def homes(load: Load) -> Homes:
    """Return a day of quarter hours."""
    return load(grid())


def test_shapes_fit_the_homes_and_the_intervals(homes: Homes, load: Load) -> None:
    n = len(homes.names)
    assert n == len(set(homes.names)) == len(homes.buses) > 0
    assert all(isinstance(text, str) and text for text in (*homes.names, *homes.buses))
    for over, found in ((grid(), homes), (grid(60, 5), load(grid(60, 5)))):
        for name in ("load_kw", "load_kvar", "pv_kw"):
            assert getattr(found, name).shape == (over.intervals, n), name
    for name in ("pv_kwp", "capacity_kwh", "rating_kw", "efficiency", "self_discharge_per_day"):
        assert getattr(homes, name).shape == (n,), name


def test_values_are_frozen_finite_and_of_the_right_sign(homes: Homes) -> None:
    for name, value in vars(homes).items():
        if isinstance(value, np.ndarray):
            assert value.dtype == float, name
            assert np.isfinite(value).all(), name
            assert not value.flags.writeable, name
            assert name == "load_kvar" or (value >= 0.0).all(), name
    assert ((homes.efficiency > 0.0) & (homes.efficiency <= 1.0)).all()
    assert (homes.self_discharge_per_day < 1.0).all()
    assert not homes.pv_kw[:, homes.pv_kwp == 0.0].any()
    assert not homes.rating_kw[homes.capacity_kwh == 0.0].any()
    assert (homes.rating_kw[homes.capacity_kwh > 0.0] > 0.0).all()
    assert homes.load_kw.any()


def test_loading_twice_gives_the_same_bits(homes: Homes, load: Load) -> None:
    again = load(grid())
    for name, value in vars(homes).items():
        other = getattr(again, name)
        assert np.array_equal(value, other) if isinstance(value, np.ndarray) else value == other


@pytest.mark.parametrize("minutes", [5, 10, 30, 60])
def test_another_interval_length_keeps_the_energy_or_is_refused(
    homes: Homes, load: Load, minutes: int
) -> None:
    try:
        other = load(grid(minutes))
    except InputError as error:
        assert f"an interval of {60 * minutes} s does not fit" in str(error)
        assert minutes % 15
        return
    for name in ("load_kw", "load_kvar", "pv_kw"):
        kwh = getattr(homes, name).sum(0) * 0.25
        assert getattr(other, name).sum(0) * minutes / 60 == pytest.approx(kwh, rel=1e-9), name


def test_a_later_start_shifts_the_rows(homes: Homes, load: Load) -> None:
    later = load(grid(15, 48, begin_h=6))
    for name in ("load_kw", "load_kvar", "pv_kw"):
        assert np.array_equal(getattr(later, name), getattr(homes, name)[24:72]), name


def test_what_was_read_is_named_with_its_hash(homes: Homes) -> None:
    for name, digest in homes.files:
        assert name
        assert len(digest) == 64
        assert set(digest) <= set("0123456789abcdef")


def test_relative_files_start_from_the_scenarios_folder(
    source: ProfileSource, homes: Homes, village: Any, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert source.load(grid(), FEEDER, village.folder).files == homes.files
