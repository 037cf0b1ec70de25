"""The village over some days, each with a weather of its own."""

from __future__ import annotations

import csv
from datetime import datetime, timedelta
from typing import Any

import pytest

DAYS = 6


@pytest.fixture(scope="session")
def days_of_village(village: Any) -> dict[str, Any]:
    """Return the changes to the village's scenario that make it last some days."""
    with (village.folder / "series.csv").open(newline="") as stream:
        head, *rows = list(csv.reader(stream))
    lines = [",".join(head)]
    for day in range(DAYS):
        for row in rows[: 24 * 4]:
            time = datetime.fromisoformat(row[0].replace("Z", "+00:00")) + timedelta(days=day)
            factors = [1.0 - 0.1 * day if name[:2] == "pv" else 1.0 + 0.07 * (day % 3)
                       for name in head[1:]]  # fmt: skip
            cells = (f"{float(x) * f:.4f}" for x, f in zip(row[1:], factors, strict=True))
            lines.append(",".join([f"{time:%Y-%m-%dT%H:%MZ}", *cells]))
    for quarter in range(12):  # a few hours more, as the file of one day has
        time = datetime(2016, 7, 17 + DAYS, 22, 15 * (quarter % 4)) + timedelta(hours=quarter // 4)
        lines.append(",".join([f"{time:%Y-%m-%dT%H:%MZ}", *rows[quarter][1:]]))
    (village.folder / "days.csv").write_text("\n".join(lines) + "\n")
    return {
        "time": {"start": "2016-07-18", "days": DAYS, "interval_minutes": 30},
        "profiles": {"kind": "csv_homes", "homes": "homes.csv", "profiles": "days.csv"},
        "policies": {"rule": "self_consumption", "passive": "passive"},
        "groups": {
            "owners": {"members": "battery", "policy": "rule",
                       "battery": {"wear_eur_per_kwh": 0.02}},
            "others": {"members": "all", "policy": "passive"},
        },
    }  # fmt: skip
