"""Forecasts: what they say of the coming interval, and how far they are off."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cosim.case import load_case
from cosim.forecasts.base import Known
from cosim.forecasts.noisy import Noisy
from cosim.record import MemoryRecorder
from cosim.scenario import load_scenario
from cosim.simulation import Simulation

SUMMER = Path(__file__).resolve().parents[1] / "scenarios" / "ten_lines.yaml"


def known(count: int, horizon_h: float) -> Known:
    draws = np.random.default_rng(1).random((count, 4))
    load, pv = np.full(count, 2.0), np.full(count, 5.0)
    return Known(np.zeros(count), np.zeros(count), load, pv, horizon_h, draws)


@pytest.mark.parametrize("horizon_h", [0.125, 1.0, 4.0])
def test_the_error_is_calibrated_and_grows_with_the_root_of_the_horizon(horizon_h: float) -> None:
    load, pv = Noisy(load_error=0.3, pv_error=0.1).of(known(400_000, horizon_h))
    for seen, truth, error in ((load, 2.0, 0.3), (pv, 5.0, 0.1)):
        assert seen.min() > 0.0
        assert seen.mean() == pytest.approx(truth, rel=5e-3)
        assert seen.std() == pytest.approx(truth * error * np.sqrt(horizon_h), rel=1.5e-2)
    assert abs(np.corrcoef(load, pv)[0, 1]) < 0.01


def test_without_error_it_is_perfect_and_nothing_stays_nothing() -> None:
    load, pv = Noisy(load_error=0.0, pv_error=0.0).of(known(10, 1.0))
    assert (load == 2.0).all() and (pv == 5.0).all()
    dark = Known(*np.zeros((4, 3)), 1.0, np.full((3, 4), 0.9))
    assert not np.any(Noisy().of(dark))


def kpis(*overrides: str) -> dict[str, float]:
    case = load_case(load_scenario(SUMMER, overrides))
    recorder = MemoryRecorder(case)
    books = Simulation(case, recorder).run()
    assert books.money_error <= 1e-9 and books.energy_error <= 1e-9
    return recorder.finish(books, {}).kpis


def test_worse_forecasts_make_more_undeliverable_trades_and_save_less() -> None:
    errors = (0.0, 0.4, 1.2)
    runs = [kpis(f"forecast={{kind: noisy, load_error: {e}, pv_error: {e}}}") for e in errors]
    missed = [run["undeliverable_kwh"] for run in runs]
    saved = [run["savings_eur"] for run in runs]
    assert missed[0] < 1e-9 and 1.0 < missed[1] < missed[2]
    assert saved[0] > saved[1] > saved[2]


def test_an_unknown_forecast_is_refused_with_a_hint() -> None:
    from cosim.errors import InputError

    with pytest.raises(InputError, match=r"unknown forecast 'noisi'"):
        load_scenario(SUMMER, ["forecast=noisi"])
