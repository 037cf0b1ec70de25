"""Plug-ins that break their contract are named, and never a run that looks complete."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cosim import plugins
from cosim.case import load_case
from cosim.errors import InputError, PluginError
from cosim.markets.base import Clearing, Market, MarketContext, Orders
from cosim.markets.uniform_price import UniformPrice
from cosim.record import MemoryRecorder
from cosim.scenario import load_scenario
from cosim.simulation import Simulation

SUMMER = Path(__file__).resolve().parents[1] / "scenarios" / "ten_lines.yaml"


class Broken(Market):
    """Clears as the uniform auction, then does something to it."""

    fault: str

    def clear(self, orders: Orders, context: MarketContext) -> Clearing:
        """Return a clearing that no mechanism may return."""
        cleared = UniformPrice().clear(orders, context)
        fills, paid = cleared.fills_kwh, cleared.payment_eur
        faults: dict[str, Any] = {
            "deficit": lambda: replace(cleared, payment_eur=paid - 1.0),
            "overfill": lambda: replace(cleared, fills_kwh=fills * 2.0),
            "volume": lambda: replace(cleared, volume_kwh=-cleared.volume_kwh - 1.0),
            "shape": lambda: replace(cleared, fills_kwh=fills[:-1], payment_eur=paid[:-1]),
            "nan": lambda: replace(cleared, fills_kwh=fills * np.nan),
            "nan paid": lambda: replace(cleared, payment_eur=paid * np.nan),
            "inf paid": lambda: replace(cleared, payment_eur=paid + np.inf),
            "both inf": lambda: replace(cleared, payment_eur=np.copysign(np.inf, fills)),
            "nothing": lambda: None,
            "raises": lambda: 1 / 0,
            "leaves": lambda: exit(0),
        }
        return faults[self.fault]()


@pytest.mark.parametrize(
    "fault",
    [
        "deficit",
        "overfill",
        "volume",
        "shape",
        "nan",
        "nan paid",
        "inf paid",
        "both inf",
        "nothing",
        "raises",
        "leaves",
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_market_that_breaks_its_contract_ends_the_run_and_is_named(fault: str) -> None:
    case = load_case(load_scenario(SUMMER))
    broken = replace(case, market=Broken(fault=fault))
    with pytest.raises(PluginError, match=r"the market '.*' (failed|breaks)"):
        Simulation(broken, MemoryRecorder(broken)).run()


def test_a_plug_in_with_a_shipped_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "markets").mkdir()
    (tmp_path / "markets" / "uniform_price.py").write_text("")
    with pytest.raises(InputError, match=r"uniform_price\.py' has the name of another market"):
        plugins.add_folder(tmp_path)


def test_a_variant_with_the_scenario_s_own_name_is_refused() -> None:
    with pytest.raises(InputError, match="a variant has the scenario's own name 'ten_lines'"):
        load_scenario(SUMMER, ["variants.ten_lines={scale: {load: 2}}"])
