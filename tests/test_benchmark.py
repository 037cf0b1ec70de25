"""The benchmark's parts of an interval are functions that exist and that a run calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the module that measures where the time of an interval goes."""
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[1]))
    from tools import _bench_parts

    return _bench_parts


def test_every_part_of_an_interval_is_measured_and_then_left_as_it_was(
    parts: Any, village: Any
) -> None:
    places = [place for group in parts.PARTS.values() for place in group]
    held = [getattr(*holder) for place in places for holder in parts._holders(place)]
    assert len(held) >= len(places) > 10
    watch = parts.Stopwatch()
    with parts.instrumented(watch):
        taken = parts.memory_run(village.case(), watch)
    assert set(watch.seconds) == {parts.KERNEL, *parts.PARTS}
    assert all(watch.calls[part] >= 48 for part in parts.PARTS)
    assert min(watch.seconds.values()) > 0.0
    assert sum(watch.seconds.values()) == pytest.approx(taken, rel=0.2)
    assert held == [getattr(*holder) for place in places for holder in parts._holders(place)]
