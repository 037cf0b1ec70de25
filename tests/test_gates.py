"""The gates: which second is in time, and which is late."""

from __future__ import annotations

from pathlib import Path

import pytest

from cosim.case import load_case
from cosim.record import MemoryRecorder
from cosim.scenario import load_scenario
from cosim.simulation import Simulation

SUMMER = Path(__file__).resolve().parents[1] / "scenarios" / "ten_lines.yaml"


@pytest.mark.parametrize(("seconds", "late"), [(0, False), (57, False), (58, True), (90, True)])
def test_an_order_is_late_from_the_second_in_which_the_book_closes(
    seconds: int, late: bool
) -> None:
    """Gates open 60 s ahead: decided 59 s before delivery, the book closes 1 s before it."""
    latency = f"latency={{min_s: {seconds}, max_s: {seconds}}}"
    case = load_case(load_scenario(SUMMER, [latency]))
    recorder = MemoryRecorder(case)
    kpis = recorder.finish(Simulation(case, recorder).run(), {}).kpis
    assert kpis["orders_sent"] > 10_000
    assert kpis["orders_late_or_lost"] == (kpis["orders_sent"] if late else 0)
    assert (kpis["traded_kwh"] == 0.0) == late
