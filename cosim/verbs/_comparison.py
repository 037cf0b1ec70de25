"""One scenario under several markets: the same case, draws included, cleared another way."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cosim import plugins
from cosim.case import Case, unknown_partners
from cosim.errors import InputError, Problem, did_you_mean
from cosim.glossary import KPIS
from cosim.markets.base import Market
from cosim.record import MemoryRecorder, RunSummary, new_run_folder
from cosim.record.folder import write_text
from cosim.report import screen
from cosim.report.compare import draw_comparison
from cosim.simulation import Simulation
from cosim.verbs import _screen
from cosim.verbs._common import load, ready, take_plugins, warn
from cosim.verbs._csv_text import csv_text
from cosim.verbs._doubts import doubts
from cosim.verbs._listed import plugins_of
from cosim.verbs._progress import Ticker, bar
from cosim.verbs._running import Say, overrides

TABLE, PICTURE = "compare.csv", "compare.png"


#: key figures that are lines of the table and columns of the file, and their labels
FIGURES = {
    "bill_eur": "bill",
    "savings_eur": "savings by trading",
    "gini_savings": "  Gini (0 equal, 1 one has all)",
    "lowest_saving_eur": "  least of a prosumer",
    "highest_saving_eur": "  most of a prosumer",
    "operator_surplus_eur": "kept by the operator",
    "traded_kwh": "traded",
    "traded_share_percent": "  of what was possible",
    "mean_price_eur_per_kwh": "mean price",
    "welfare_eur": "welfare at limit prices",
    "co2_kg": "CO2 of upstream energy",
    "import_kwh": "from upstream",
    "peak_import_kw": "peak from upstream",
}


def compare(arguments: argparse.Namespace) -> int:
    """Run every market, print the table and write the files; return the exit code."""
    say, began = Say(arguments.quiet), time.monotonic()
    take_plugins(arguments.plugins)
    cases = cases_of(arguments.scenario, overrides(arguments), arguments.markets)
    first = next(iter(cases.values()))
    say("loaded", _screen.loaded_line(first, time.monotonic() - began))
    for text in doubts(first):
        warn(text)
    folder = new_run_folder(arguments.out, first.scenario.name, "compare-markets-")
    try:
        outcomes = {name: _simulated(case, name, say) for name, case in cases.items()}
    except BaseException:
        with contextlib.suppress(OSError):
            folder.rmdir()  # nothing was written yet
        raise
    kpis = {name: outcome.kpis for name, outcome in outcomes.items()}
    write_text(folder / TABLE, _csv(kpis))
    draw_comparison(folder / PICTURE, kpis, first.scenario.name, first.scenario.seed)
    if not arguments.quiet:
        _print(kpis)
    for text in _screen.remarks(outcomes, {name: case.market for name, case in cases.items()}):
        warn(text)
    print(folder / TABLE, folder / PICTURE, sep="\n")
    return 0


# ---------------------------------------------------------------- markets and cases


def chosen(text: str | None) -> dict[str, Any]:
    """Return the markets of ``--markets`` by their labels, as they would stand in a scenario."""
    known = plugins.names("market")
    if text is None:
        return {name: name for name in known}

    def unknown(kind: str) -> tuple[str, str] | None:
        return None if kind in known else (f"unknown market '{kind}'", did_you_mean(kind, known))

    return plugins_of(text, "--markets", "market", unknown)


def cases_of(scenario: str, changes: list[str], markets: str | None) -> dict[str, Case]:
    """Return the scenario's case under each market; they share all data.

    Raises InputError with every problem found.
    """
    cases: dict[str, Case] = {}
    problems: list[Problem] = []
    for name, item in chosen(markets).items():
        try:
            loaded = load(scenario, [*changes, f"market={json.dumps(item)}"])
            if not cases:
                cases[name] = ready(loaded)
                continue
        except InputError as error:
            problems += error.problems
            continue
        market, first = loaded.scenario.market, next(iter(cases.values()))
        assert isinstance(market, Market)
        problems += unknown_partners(loaded, first.population.names)
        cases[name] = replace(first, loaded=loaded, market=market)
    if problems:
        raise InputError(list(dict.fromkeys(problems)))
    return cases


def _simulated(case: Case, name: str, say: Say) -> RunSummary:
    tick, began = Ticker(case.grid), time.monotonic()

    def told(second: int) -> None:
        tick.second = second

    recorder = MemoryRecorder(case)
    with bar(name, tick, say.quiet):
        books = Simulation(case, recorder).run(told)
    say("simulated", _screen.simulated_line(case, name, time.monotonic() - began))
    return recorder.finish(books, {})


# ---------------------------------------------------------------- what comes out


def _csv(kpis: Mapping[str, Mapping[str, float]]) -> str:
    """Return one line per market; an empty cell where a figure was not measured."""
    rows = ([name, *(float(own[figure]) for figure in FIGURES)] for name, own in kpis.items())
    return csv_text(["market", *FIGURES], rows)


def _print(kpis: Mapping[str, Mapping[str, float]]) -> None:
    """Print the table, a column per market."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    table.add_column("unit", style="dim")
    for name in kpis:
        table.add_column(name, justify="right")
    for figure, label in FIGURES.items():
        unit = KPIS[figure].unit
        cells = (screen.shown(figure, own[figure]) for own in kpis.values())
        table.add_row(label, "" if unit == "-" else unit, *cells)
    width = None if sys.stdout.isatty() else _screen.WIDTH
    Console(width=width, highlight=False, markup=False).print(table)
