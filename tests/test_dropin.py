"""One file is one plug-in: in a user's own folder it works from YAML, without another line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cosim

ROOT = Path(__file__).parent.parent
MARKET = '''\
"""Half price: everything the smaller side has trades at a fixed share of the tariff's spread."""

import numpy as np
from pydantic import Field

from cosim.markets.base import Clearing, Market, MarketContext, Orders


class HalfPrice(Market):
    """Both sides pro rata, at one price."""

    share: float = Field(0.5, ge=0.0, le=1.0, description="of the spread [-]")

    def clear(self, orders: Orders, context: MarketContext) -> Clearing:
        """Match everything that can be matched."""
        bids, asks = np.maximum(orders.quantity_kwh, 0.0), np.maximum(-orders.quantity_kwh, 0.0)
        demand, supply = bids.sum(-1), asks.sum(-1)
        volume = np.minimum(demand, supply)
        fills = bids * (volume / demand if demand else 0.0)
        fills = fills - asks * (volume / supply if supply else 0.0)
        low, high = context.feed_in_eur_per_kwh.max(), context.retail_eur_per_kwh.min()
        price = np.where(volume > 0.0, low + self.share * (high - low), np.nan)
        paid = fills * np.where(volume > 0.0, price, 0.0)
        return Clearing(fills, paid, volume, price, price.copy())
'''
DISTURBANCE = '''\
"""Festival: the load of everybody doubles twice, for ten minutes each."""

from pydantic import Field

from cosim.disturbances.base import Disturbance


class Festival(Disturbance):
    """Doubles the load at its start and once more before its end."""

    times: float = Field(2.0, gt=0.0, description="on load [-]")

    def run(self, world):
        """Raise the load for ten minutes, twice."""
        for begin in (world.second_of(self.start), world.second_of(self.end) - 600):
            yield world.at(begin)
            over = world.scale_load(self.times)
            world.log("festival", phase="begin")
            yield world.at(begin + 600)
            over()
'''
POLICY = '''\
"""Hermit: charges as it likes and never trades."""

import numpy as np

from cosim.policy import Policy


class Hermit(Policy):
    """Charges at a tenth of the rating."""

    features = ("rating_kw",)
    actions = ("battery_kw", "quantity_kwh")

    def act(self, observations, context, memory):
        """Return a trickle and no order."""
        return np.hstack([observations / 10.0, np.zeros_like(observations)]), memory
'''
FILES = {
    "markets/half_price.py": MARKET,
    "disturbances/festival.py": DISTURBANCE,
    "policies/hermit.py": POLICY,
}
CHANGES: dict[str, Any] = {
    "market": {"kind": "half_price", "share": 0.25},
    "policies": {"rule": "self_consumption", "passive": "passive", "hermit": "hermit"},
    "groups": {
        "hermits": {"members": ["a", "d"], "policy": "hermit"},
        "owners": {"members": "battery", "policy": "rule"},
        "others": {"members": "all", "policy": "passive"},
    },
    "disturbances": [
        {"kind": "festival", "start": "2016-07-18 10:00", "end": "2016-07-18 20:00", "times": 3.0}
    ],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a market, a disturbance and a policy of the user's own."""
    root = tmp_path_factory.mktemp("mine")
    for name, text in FILES.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    return root


def command(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cosim", *map(str, words)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_dropped_in_file_is_checked_run_and_listed(
    folder: Path, village: Any, tmp_path: Path
) -> None:
    path = village.write(**CHANGES)
    checked = command("check", path, "--plugins", folder, cwd=tmp_path)
    assert (checked.returncode, checked.stderr) == (0, "")
    ran = command(
        "run", path, "--plugins", folder, "--out", "results", "--no-figures", "--quiet",
        cwd=tmp_path,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    run = cosim.load_run(tmp_path / ran.stdout.strip().splitlines()[-1])

    market = run.table("market")
    price = market["buy_price_eur_per_kwh"]
    cheap, dear = 0.06 + 0.25 * (0.25 - 0.06), 0.06 + 0.25 * (0.40 - 0.06)
    expected = np.where((np.arange(48) >= 34) & (np.arange(48) < 42), dear, cheap)
    traded = price.notna().to_numpy()
    assert traded.any()
    assert price.to_numpy()[traded] == pytest.approx(expected[traded])

    plain = cosim.load_run(tmp_path / undisturbed(folder, village, tmp_path))
    ratio = load_by_interval(run) / load_by_interval(plain)
    festive = np.isin(np.arange(48), [20, 39])  # ten of thirty minutes, three times the load
    assert ratio == pytest.approx(np.where(festive, 1.0 + 2.0 / 3.0, 1.0))

    for kind, name in (("markets", "half_price"), ("disturbances", "festival")):
        listed = command("list", kind, "--plugins", folder, cwd=tmp_path)
        assert name in listed.stdout
        assert name not in command("list", kind, cwd=tmp_path).stdout


def undisturbed(folder: Path, village: Any, tmp_path: Path) -> str:
    path = village.write(**CHANGES | {"disturbances": []})
    ran = command("run", path, "--plugins", folder, "--out", "plain", "--no-figures", "--quiet",
                  cwd=tmp_path)  # fmt: skip
    assert ran.returncode == 0
    return ran.stdout.strip().splitlines()[-1]


def load_by_interval(run: Any) -> np.ndarray:
    table = run.table("prosumers")
    return table.groupby("interval")["load_kwh"].sum().to_numpy()


def test_its_options_are_checked_like_any_other(folder: Path, village: Any, tmp_path: Path) -> None:
    wrong = CHANGES | {"market": {"kind": "half_price", "shar": 0.3}}
    refused = command("check", village.write(**wrong), "--plugins", folder, cwd=tmp_path)
    assert refused.returncode == 2
    assert "unknown key 'shar'" in refused.stderr
    assert "did you mean 'share'?" in refused.stderr


def test_without_its_folder_it_is_unknown(village: Any, tmp_path: Path) -> None:
    refused = command("check", village.write(**CHANGES), cwd=tmp_path)
    assert refused.returncode == 2
    for name in ("half_price", "festival", "hermit"):
        assert f"'{name}'" in refused.stderr
    assert "Traceback" not in refused.stderr
