"""Runs side by side: whether they may be compared at all, and their differences day by day."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from cosim.studies.statistics import Estimate, flip_test, holm, resamples


class Daily(NamedTuple):
    """How a day's figure comes from the columns of its intervals, its unit and its meaning."""

    columns: tuple[str, ...]
    reduce: str  # sum of the intervals and columns, or the highest or lowest value
    unit: str
    meaning: str


#: what is compared day by day, of the columns of evaluation_results.csv
DAILY = {
    "cost_eur": Daily(("bill_eur", "wear_eur"), "sum", "EUR", "bills and wear"),
    "bill_eur": Daily(("bill_eur",), "sum", "EUR", "bills"),
    "traded_kwh": Daily(("volume_kwh",), "sum", "kWh", "traded"),
    "import_kwh": Daily(("slack_import_kwh",), "sum", "kWh", "from upstream"),
    "export_kwh": Daily(("slack_export_kwh",), "sum", "kWh", "into upstream"),
    "losses_kwh": Daily(("losses_kwh",), "sum", "kWh", "losses"),
    "co2_kg": Daily(("co2_kg",), "sum", "kg", "CO2 of upstream energy"),
    "unserved_kwh": Daily(("unserved_kwh",), "sum", "kWh", "not served"),
    "interventions": Daily(("interventions",), "sum", "-", "requests the guard changed"),
    "peak_import_kw": Daily(("slack_p_kw",), "max", "kW", "highest mean power from upstream"),
    "vm_min_pu": Daily(("vm_min_pu",), "min", "p.u.", "lowest voltage"),
    "line_max_percent": Daily(("line_max_percent",), "max", "%", "highest line loading"),
}
#: parts of a scenario that must be the same, for the draws to be
SHARED = ("seed", "time", "feeder.source", "feeder.name", "profiles")
#: parts that say nothing about what happens
_SILENT = ("name", "description", "record", "expect", "effects", "variants")


@dataclass(frozen=True, eq=False)
class Contender:
    """A run to compare: its scenario with all defaults, data files by hash, figures, intervals.

    ``origin`` says where it is from, for runs of one name.
    """

    name: str
    scenario: Mapping[str, Any]
    files: Mapping[str, str]
    kpis: Mapping[str, float]
    interval_s: int
    series: Mapping[str, np.ndarray]  # columns of evaluation_results.csv [T]
    origin: str = ""


@dataclass(frozen=True)
class Difference:
    """A run's daily figure minus that of the first run: mean, interval, and its test."""

    run: str
    measure: str
    mean: Estimate
    p: float
    p_holm: float


def flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of nested mappings and lists with the paths to them."""
    if isinstance(value, Mapping):
        for name, below in value.items():
            yield from flat(below, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list | tuple):
        for index, below in enumerate(value):
            yield from flat(below, f"{path}.{index}")
    else:
        yield path, value


def unlike(one: Contender, other: Contender) -> list[str]:
    """Return why two runs cannot be paired; empty where they share their draws."""
    mine, theirs = dict(flat(one.scenario)), dict(flat(other.scenario))
    found = [
        f"{path}: {mine.get(path)} against {theirs.get(path)}"
        for path in sorted(mine.keys() | theirs.keys())
        if any(path == part or path.startswith(f"{part}.") for part in SHARED)
        and mine.get(path) != theirs.get(path)
    ]
    found += [
        f"the data file {name} has changed in between"
        for name, sha256 in one.files.items()
        if other.files.get(name, sha256) != sha256 and not name.endswith((".yaml", ".yml"))
    ]
    lengths = len(one.series["interval"]), len(other.series["interval"])
    if lengths[0] != lengths[1]:
        found.append(f"{lengths[0]} intervals against {lengths[1]}")
    return found


def settings_apart(one: Contender, other: Contender) -> list[str]:
    """Return the settings in which two runs differ, as ``path: this -> that``."""
    mine, theirs = dict(flat(one.scenario)), dict(flat(other.scenario))
    return [
        f"{path}: {mine.get(path, 'nothing')} -> {theirs.get(path, 'nothing')}"
        for path in sorted(mine.keys() | theirs.keys())
        if mine.get(path) != theirs.get(path) and path.split(".")[0] not in _SILENT
    ]


def daily(contender: Contender) -> dict[str, np.ndarray]:
    """Return the figures of each day ``[days]``; what was not measured is NaN."""
    per_day = max(1, 86_400 // contender.interval_s)
    return {name: _by_day(contender, how, per_day) for name, how in DAILY.items()}


def _by_day(contender: Contender, how: Daily, per_day: int) -> np.ndarray:
    values = np.sum([contender.series[name] for name in how.columns], axis=0)
    days = values.reshape(-1, per_day)
    if how.reduce == "sum":
        return np.asarray(days.sum(axis=1))
    return np.asarray(days.max(axis=1) if how.reduce == "max" else days.min(axis=1))


def differences(contenders: Sequence[Contender], seed: int = 0) -> list[Difference]:
    """Return every run's daily figures minus those of the first, with intervals and tests.

    All tests are corrected together. A figure that was not measured on some day is left out.
    """
    first, *others = contenders
    base = daily(first)
    gaps = {
        (other.name, name): (values - base[name])[:, None]
        for other in others
        for name, values in daily(other).items()
        if np.isfinite(values - base[name]).all()
    }
    drawn = resamples([0] * len(next(iter(base.values()))), seed)
    tested = [np.nan if not gap.any() else flip_test(gap, seed) for gap in gaps.values()]
    return [
        Difference(*key, drawn.mean(gap), p, corrected)
        for (key, gap), p, corrected in zip(gaps.items(), tested, holm(tested), strict=True)
    ]
