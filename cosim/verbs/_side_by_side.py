"""Recorded runs and scenarios side by side: what is compared, and what comes out."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cosim.case import Case
from cosim.errors import InputError, Problem
from cosim.glossary import KPIS
from cosim.record import MemoryRecorder, new_run_folder
from cosim.record.folder import MANIFEST, write_text
from cosim.record.manifest import resolved_scenario
from cosim.report import screen
from cosim.report.side_by_side import draw_side_by_side
from cosim.results import Run, load_run
from cosim.shipped import scenario_path
from cosim.simulation import Simulation
from cosim.studies.paired import (
    DAILY,
    Contender,
    Difference,
    daily,
    differences,
    settings_apart,
    unlike,
)
from cosim.studies.statistics import LEAST_PERIODS, LEVEL
from cosim.verbs import _screen
from cosim.verbs._common import load, ready, take_plugins, warn
from cosim.verbs._csv_text import csv_text
from cosim.verbs._progress import Ticker, bar
from cosim.verbs._running import VARIANTS, Say

_FILES = ("compare.csv", "days.csv", "intervals.csv", "compare.png")
#: settings told of each run; more would hide the table
_MOST_SETTINGS = 12


def compare(arguments: argparse.Namespace) -> int:
    """Compare what was named, print the tables and write the files."""
    say = Say(arguments.quiet)
    take_plugins(arguments.plugins)
    alone = len(arguments.runs) == 1
    planned = [
        each for text in arguments.runs for each in _planned(text, arguments.overrides, alone)
    ]
    named = _told_apart([each.contender for each in planned])
    _check(named)  # all that can be refused is refused before anything runs
    contenders = [
        one if each.case is None else _simulated(one, each.case, say)
        for one, each in zip(named, planned, strict=True)
    ]
    found = differences(contenders)
    name = str(contenders[0].scenario["name"])
    folder = new_run_folder(arguments.out, name, "compare-")
    write_text(folder / _FILES[0], _table_csv(contenders, found))
    write_text(folder / _FILES[1], _days_csv(contenders))
    write_text(folder / _FILES[2], _intervals_csv(contenders))
    draw_side_by_side(folder / _FILES[3], contenders, found)
    if not arguments.quiet:
        _print(contenders, found)
    print(*(folder / name for name in _FILES), sep="\n")
    return 0


# ---------------------------------------------------------------- what is compared


@dataclass(frozen=True, eq=False)
class _Planned:
    """A contender; one with a case has still to be run, and has no figures yet."""

    contender: Contender
    case: Case | None = None


def _planned(text: str, changes: list[str], alone: bool) -> list[_Planned]:
    """Return the run or scenario named and, where it is the only one, its variants."""
    place = Path(text)
    if place.is_dir():
        if changes:
            why = f"'{text}' is a recorded run, which cannot be changed"
            raise InputError(Problem("there is nothing to set", "--set", why))
        folders = [load_run(place)]
        below = folders[0].folder / VARIANTS
        folders += [load_run(each) for each in sorted(below.iterdir())] if (
            alone and below.is_dir()) else []  # fmt: skip
        return [_Planned(_recorded(run)) for run in folders]
    if place.name == MANIFEST:
        raise InputError(Problem(f"'{text}' is a file", "compare", remedy="name its folder"))
    if not scenario_path(text).is_file():
        what = f"'{text}' is neither the folder of a run nor a scenario"
        raise InputError(Problem(what, "compare"))
    loaded = load(text, changes)
    cases = {loaded.scenario.name: ready(loaded)}
    for name in loaded.scenario.variants if alone else ():
        cases[name] = ready(loaded.variant(name))
    return [_Planned(_to_run(name, case), case) for name, case in cases.items()]


def _recorded(run: Run) -> Contender:
    """Return a recorded run as a contender; raise InputError where it is not complete."""
    manifest, folder = run.manifest, run.folder.resolve()
    if not run.complete:
        what = "the run did not come to its end"
        raise InputError(Problem(what, str(run.folder), remedy="run it again"))
    variant = folder.parent.name == VARIANTS
    frame = run.evaluation
    return Contender(
        folder.name if variant else f"{manifest['scenario_name']}/{folder.name}",
        manifest["scenario"],
        {item["name"]: item["sha256"] for item in manifest["files"]},
        run.kpi.to_dict(),
        manifest["interval_s"],
        {str(name): frame[name].to_numpy() for name in frame.columns},
        str(folder),
    )


def _to_run(name: str, case: Case) -> Contender:
    """Return a case as a contender that has not run yet."""
    return Contender(
        name,
        resolved_scenario(case.scenario),
        dict(case.files),
        {},
        case.grid.interval_s,
        {"interval": np.arange(case.grid.intervals)},
        str(case.loaded.source.at(()).file),
    )


def _simulated(planned: Contender, case: Case, say: Say) -> Contender:
    """Run a case and return the contender with its figures."""
    tick, began, recorder = Ticker(case.grid), time.monotonic(), MemoryRecorder(case)

    def told(second: int) -> None:
        tick.second = second

    with bar(planned.name, tick, say.quiet):
        outcome = recorder.finish(Simulation(case, recorder).run(told), {})
    say("simulated", _screen.simulated_line(case, planned.name, time.monotonic() - began))
    return replace(planned, kpis=outcome.kpis, series=outcome.facts.interval)


def _told_apart(listed: Sequence[Contender]) -> list[Contender]:
    """Return the runs, by longer names where needed; refuse one named twice, and one alone."""
    names = [each.name for each in listed]
    clear = [
        replace(each, name=f"{each.name} ({each.origin})") if names.count(each.name) > 1 else each
        for each in listed
    ]
    longer = [each.name for each in clear]
    problems = [
        Problem(f"'{name}' stands twice", "compare")
        for name in dict.fromkeys(longer)
        if longer.count(name) > 1
    ]
    if len(listed) < 2:
        why = f"'{names[0]}' has no variants"
        problems.append(Problem("there is nothing to compare with", "compare", why,
                                "name another run"))  # fmt: skip
    if problems:
        raise InputError(problems)
    return clear


def _check(contenders: Sequence[Contender]) -> None:
    """Raise InputError for every reason why runs share no draws with the first."""
    first = contenders[0]
    problems = [
        Problem(f"'{other.name}' cannot be compared with '{first.name}'", "compare", why,
                "compare runs that share seed, time, feeder and data")
        for other in contenders[1:] for why in unlike(first, other)
    ]  # fmt: skip
    if problems:
        raise InputError(problems)


# ---------------------------------------------------------------- what comes out


def _print(contenders: Sequence[Contender], found: Sequence[Difference]) -> None:
    from rich.console import Console

    width = None if sys.stdout.isatty() else _screen.WIDTH
    console = Console(width=width, highlight=False, markup=False)
    first = contenders[0]
    for other in contenders[1:]:
        apart = settings_apart(first, other)
        text = f"{other.name} differs from {first.name} in {len(apart)} settings"
        console.print(text, soft_wrap=True)
        for text in apart[:_MOST_SETTINGS]:
            console.print(f"  {text}", soft_wrap=True)
        if len(apart) > _MOST_SETTINGS:
            console.print(f"  and {len(apart) - _MOST_SETTINGS} more")
    console.print(screen.kpi_columns({each.name: each.kpis for each in contenders}), markup=True)
    days = len(daily(first)["cost_eur"])
    text = f"differences to {first.name}, per day; {days} days, {LEVEL:.0%} intervals"
    console.print(text, soft_wrap=True)
    console.print(_differences_table(found))
    if days < LEAST_PERIODS:
        warn(f"{days} days: too few for intervals (from {LEAST_PERIODS} on)")
    if any(abs(each.kpis["stored_change_kwh"] - first.kpis["stored_change_kwh"]) > 1e-6
           for each in contenders):  # fmt: skip
        warn("batteries end differently full, and costs do not count that: see stored_change_kwh")


def _differences_table(found: Sequence[Difference]) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("run", "per day", "unit"):
        table.add_column(name)
    for name in ("difference", "interval", "p, Holm"):
        table.add_column(name, justify="right")
    for each in found:
        how, mean = DAILY[each.measure], each.mean
        ends = "n/a" if math.isnan(mean.low) else f"{mean.low:+,.3f} to {mean.high:+,.3f}"
        p = "same" if math.isnan(each.p) else f"{each.p_holm:.3f}"
        table.add_row(each.run, how.meaning, how.unit, f"{mean.value:+,.3f}", ends, p)
    return table


def _table_csv(contenders: Sequence[Contender], found: Sequence[Difference]) -> str:
    """Return key figures of all runs, then differences per day; empty: not known."""
    rows: list[list[Any]] = []
    for name, known in KPIS.items():
        for each in contenders:
            value = each.kpis.get(name, math.nan)
            rows.append(["kpi", each.name, name, known.unit, value, *[math.nan] * 4])
    for gap in found:
        mean = gap.mean
        values = (mean.value, mean.low, mean.high, gap.p, gap.p_holm)
        rows.append(["daily_difference", gap.run, gap.measure, DAILY[gap.measure].unit, *values])
    head = ["kind", "run", "figure", "unit", "value", "low", "high", "p", "p_holm"]
    return csv_text(head, rows)


def _days_csv(contenders: Sequence[Contender]) -> str:
    """Return a line per day and run."""
    rows = []
    for each in contenders:
        figures = np.stack(list(daily(each).values()), axis=1)
        rows += [[each.name, day, *map(float, values)] for day, values in enumerate(figures)]
    return csv_text(["run", "day", *DAILY], rows)


def _intervals_csv(contenders: Sequence[Contender]) -> str:
    """Return a line per interval: cost, trade and exchange of all runs side by side."""
    shown = ("bill_eur", "wear_eur", "volume_kwh", "slack_p_kw")
    columns = {f"{each.name}:{name}": each.series[name] for each in contenders for name in shown}
    rows = zip(*columns.values(), strict=True)
    return csv_text(["interval", *columns], ([k, *map(float, row)] for k, row in enumerate(rows)))
