"""What the tests of file formats share: grids of a run, and files written line by line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from cosim.errors import InputError, Problem
from cosim.timegrid import TimeGrid
from cosim.timeseries.formats import SeriesFile


def time_grid(
    start: str, intervals: int, zone: str = "Europe/Berlin", minutes: int = 60
) -> TimeGrid:
    begin = datetime.fromisoformat(start).replace(tzinfo=ZoneInfo(zone))
    return TimeGrid(begin, 60 * minutes, intervals, 60, ZoneInfo(zone))


def civil_day(day: str, zone: str = "Europe/Berlin") -> list[datetime]:
    """Return the hours of a civil day as the clock shows them, 23 to 25."""
    begin = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone))
    end = (begin + timedelta(days=1)).timestamp()
    starts = range(int(begin.timestamp()), int(end), 3600)
    return [datetime.fromtimestamp(start, ZoneInfo(zone)) for start in starts]


@pytest.fixture
def grid() -> Callable[..., TimeGrid]:
    return time_grid


@pytest.fixture
def hours() -> Callable[..., list[datetime]]:
    return civil_day


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Return what writes lines to ``file.csv``; the path of the folder is given back."""

    def written(lines: Sequence[str], encoding: str = "utf-8", newline: str = "\n") -> Path:
        (tmp_path / "file.csv").write_bytes((newline.join(lines) + newline).encode(encoding))
        return tmp_path

    return written


@pytest.fixture
def refused(tmp_path: Path) -> Callable[..., tuple[Problem, ...]]:
    """Return the problems for which a format refuses the file written last."""

    def problems(source: SeriesFile) -> tuple[Problem, ...]:
        with pytest.raises(InputError) as caught:
            source.series(source.sheet(tmp_path))
        return caught.value.problems

    return problems
