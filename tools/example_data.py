"""Write scenarios/data: synthetic homes and prices in the formats of their publishers.

Every number comes from the formulas here and a seed; nothing is measured.

python tools/example_data.py            writes the files
python tools/example_data.py --check    exits with 1 where a file is not what the formulas say
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

FOLDER = Path(__file__).resolve().parent.parent / "scenarios" / "data"
SEED = 20160618
BERLIN = ZoneInfo("Europe/Berlin")
FIRST_DAY, DAYS = datetime(2016, 6, 17, tzinfo=BERLIN), 4  # Friday to Monday
SOLAR_FIRST, SOLAR_DAYS = date(2012, 1, 9), 4  # Sydney's summer, from a Monday

#: name, bus, PV [kW], battery [kWh], people
HOMES = (
    ("anna", "bus3", 6.0, 8.0, 2),
    ("ben", "bus4", 0.0, 0.0, 3),
    ("carla", "bus5", 4.5, 0.0, 1),
    ("dora", "bus6", 0.0, 0.0, 5),
    ("emil", "bus7", 9.0, 10.0, 4),
    ("fritz", "bus8", 0.0, 0.0, 2),
    ("greta", "bus9", 3.2, 0.0, 2),
    ("hans", "bus10", 0.0, 0.0, 4),
)
#: customer, generator [kW], postcode, controlled load
CUSTOMERS = (
    (1, 3.5, 2076, True),
    (2, 2.0, 2261, False),
    (3, 5.0, 2220, True),
    (4, 0.0, 2065, False),
    (5, 4.2, 2259, False),
    (6, 0.0, 2113, True),
)
_CATEGORY = "Customer,Generator Capacity,Postcode,Consumption Category,date"


def draws(*keys: int) -> np.random.Generator:
    """Return the generator of one home and purpose."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([SEED, *keys])))


def load_kw(hours: np.ndarray, people: float, rng: np.random.Generator) -> np.ndarray:
    """Return a household's power: always on, a morning, an evening, and what is switched on."""
    day = hours % 24.0
    morning = np.exp(-(((day - 7.5) / 1.2) ** 2))
    evening = np.exp(-(((day - 19.5) / 2.2) ** 2))
    usual = 0.12 + people * (0.03 + 0.12 * morning + 0.22 * evening)
    kettle = (rng.random(len(hours)) < 0.04) * rng.uniform(0.8, 2.2, len(hours))
    return np.asarray(usual * rng.uniform(0.7, 1.3, len(hours)) + kettle)


def sun(hours: np.ndarray, rise: float, set_: float, rng: np.random.Generator) -> np.ndarray:
    """Return the PV output of a kW: a clear-sky arch under a cloud of each day's own."""
    day = hours % 24.0
    arch = np.maximum(np.sin((day - rise) / (set_ - rise) * np.pi), 0.0) ** 1.3
    arch[(day < rise) | (day > set_)] = 0.0
    clear = rng.uniform(0.55, 0.95, int(hours.max() // 24.0) + 1)[(hours // 24.0).astype(int)]
    return np.asarray(0.85 * arch * clear * rng.uniform(0.9, 1.0, len(hours)))


def homes_table() -> str:
    """Return the table of the homes."""
    rows = ["name,bus,pv_kwp,capacity_kwh,rating_kw"]
    for name, bus, pv, capacity, _ in HOMES:
        battery = f"{capacity:g},{capacity / 2:g}" if capacity else ","
        rows.append(f"{name},{bus},{f'{pv:g}' if pv else ''},{battery}")
    return "\n".join([*rows, ""])


def homes_series() -> str:
    """Return load and PV of the homes by the quarter hour [kW]."""
    steps = 96 * DAYS
    hours = np.arange(steps) / 4.0
    columns: dict[str, np.ndarray] = {}
    sky = sun(hours, 4.7, 21.6, draws(0))
    for number, (name, _, pv, _, people) in enumerate(HOMES):
        columns[f"load_{name}"] = load_kw(hours, people, draws(1, number))
        if pv:
            columns[f"pv_{name}"] = pv * sky * draws(2, number).uniform(0.9, 1.0, steps)
    rows = [",".join(["time", *columns])]
    for k in range(steps):
        time = FIRST_DAY + timedelta(minutes=15 * k)  # clocks do not change in June
        cells = (f"{values[k]:.3f}" for values in columns.values())
        rows.append(",".join([f"{time:%Y-%m-%d %H:%M}", *cells]))
    return "\n".join([*rows, ""])


def solar_homes() -> str:
    """Return half hours of solar homes [kWh], the labels at their ends."""
    halves = np.arange(48)
    labels = [f"{half // 2 % 24}:{half % 2 * 30:02}" for half in range(1, 49)]
    rows = ["Synthetic solar homes in the layout of Ausgrid's; nothing here is measured"]
    rows.append(",".join([_CATEGORY, *labels]))
    hours = np.arange(48 * SOLAR_DAYS) / 2.0
    sky = sun(hours, 5.9, 20.0, draws(3))
    for customer, kwp, postcode, controlled in CUSTOMERS:
        use = 0.5 * load_kw(hours, 1.0 + customer % 4, draws(4, customer))
        boiler = 0.5 * np.where((hours % 24.0 >= 1.0) & (hours % 24.0 < 3.0), 1.8, 0.0)
        series = {"GC": use}
        if controlled:
            series["CL"] = boiler
        if kwp:
            series["GG"] = 0.5 * kwp * sky
        for day in range(SOLAR_DAYS):
            shown = SOLAR_FIRST + timedelta(days=day)
            for category, values in series.items():
                head = f"{customer},{kwp:g},{postcode},{category},{shown.day}/{shown:%m/%Y}"
                cells = (f"{values[48 * day + half]:.3f}" for half in halves)
                rows.append(",".join([head, *cells]))
    return "\n".join([*rows, ""])


def prices() -> str:
    """Return day-ahead prices as SMARD exports them [EUR/MWh], below zero at a sunny noon."""
    rows = ["Start date;End date;Germany/Luxembourg [€/MWh] Calculated resolutions"]
    rng = draws(5)
    for k in range(24 * DAYS):
        begin = (FIRST_DAY.astimezone(UTC) + timedelta(hours=k)).astimezone(BERLIN)
        weekend = begin.weekday() >= 5
        evening = 55.0 * np.exp(-(((begin.hour - 19.5) / 2.0) ** 2))
        morning = 25.0 * np.exp(-(((begin.hour - 7.5) / 1.5) ** 2))
        noon = (115.0 if weekend else 45.0) * np.exp(-(((begin.hour - 13.0) / 2.5) ** 2))
        price = 62.0 + evening + morning - noon + rng.normal(0.0, 3.0)
        rows.append(f"{_english(begin)};{_english(begin + timedelta(hours=1))};{price:.2f}")
    return "\n".join([*rows, ""])


def _english(time: datetime) -> str:
    half = "AM" if time.hour < 12 else "PM"
    return f"{time:%b} {time.day}, {time.year} {time.hour % 12 or 12}:{time.minute:02} {half}"


FILES = {
    "homes.csv": homes_table,
    "homes_series.csv": homes_series,
    "solar_homes.csv": solar_homes,
    "day_ahead_smard.csv": prices,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files, or say whether they are what the formulas say."""
    parser = argparse.ArgumentParser(description="Write scenarios/data.")
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args(arguments)
    stale = []
    for name, make in FILES.items():
        path, text = FOLDER / name, make()
        if options.check:
            known = path.read_text(encoding="utf-8") if path.exists() else ""
            stale += [name] if known != text else []
        else:
            path.write_text(text, encoding="utf-8")
    for name in stale:
        print(f"{name} is not what tools/example_data.py writes", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
