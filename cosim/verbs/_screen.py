"""What a run says on the screen: one line per phase, the key figures, and what went wrong."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from cosim.case import Case
from cosim.plugins import Plugin
from cosim.record import RunSummary
from cosim.report import screen
from cosim.verbs._progress import Ticker

WIDTH = 200  # of the table where there is no terminal


def loaded_line(case: Case, seconds: float) -> str:
    """Say what was loaded."""
    network = case.network
    return (
        f"{case.scenario.name}: {len(case.population)} participants, {len(network.buses)} buses, "
        f"{case.grid.intervals} intervals, engine {case.feeder.engine} ({seconds:.1f} s)"
    )


def simulated_line(case: Case, name: str, seconds: float) -> str:
    """Say how long a run took."""
    rate = case.grid.intervals / max(seconds, 1e-9)
    return f"{name}: {case.scenario.time.days} d in {seconds:.2f} s ({rate:.0f} intervals/s)"


def supervised_line(case: Case, outcome: RunSummary) -> str:
    """Say for how long stand-ins decided, why, and what they changed; empty: nobody watched."""
    watched = [seat for seat in case.seats if seat.supervisor is not None]
    if not watched:
        return ""
    kpis = outcome.kpis
    most = sum(len(seat.rows) for seat in watched) * case.grid.intervals
    stood, impossible, locked = (
        int(kpis[f"fallback_{name}"]) for name in ("intervals", "impossible", "locked_out")
    )
    names = ", ".join(seat.name for seat in watched)
    text = f"{names}: stand-ins decided {stood:,} of {most:,} times ({stood / most:.1%})"
    if stood:
        alarms = stood - impossible - locked
        text += f", {alarms:,} under an alarm, {impossible:,} for impossible observations, "
        text += f"{locked:,} locked out; they changed {kpis['fallback_kwh']:.1f} kWh"
    return text


def interrupted_line(name: str, tick: Ticker, folder: Path) -> str:
    """Say how far an interrupted run came and where it is."""
    return (
        f"interrupted: {name} is complete up to {tick.clock} ({tick.intervals} of "
        f"{tick.grid.intervals} intervals)\n{folder}"
    )


def remarks(outcomes: Mapping[str, RunSummary], markets: Mapping[str, Plugin]) -> list[str]:
    """Return what a reader of the figures must know first; ``markets`` are those of the runs."""
    found = screen.remarks(outcomes)
    for name, outcome in outcomes.items():
        silent = int(outcome.kpis["silent_intervals"])
        chosen = markets[name].kind() == "none"
        if silent and not outcome.kpis["traded_kwh"] and not chosen:
            what = f"nobody traded, although offers and requests met in {silent} intervals"
            found.append(f"{name}: {what}")
    return found


def print_kpis(outcomes: Mapping[str, RunSummary]) -> None:
    """Print the key figures, no trading beside the run and its variants."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else WIDTH
    Console(width=width, highlight=False).print(screen.kpi_table(outcomes))
