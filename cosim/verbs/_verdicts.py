"""Verdicts as a table on the screen, as CSV and as JSON."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from cosim.studies.matrix import FORESIGHT, Matrix
from cosim.studies.outcome import MEASURES
from cosim.studies.recorded import Check
from cosim.studies.statistics import DRAWS, LEVEL, Estimate
from cosim.studies.trainings import Spread, Trainings
from cosim.studies.verdict import Findings, Verdict, ordered
from cosim.verbs import _screen
from cosim.verbs._csv_text import csv_text

_MARK = {True: "»", False: " "}
_ESTIMATES = ("cost", "middle", "difference", "regret", "captured")


def show(
    matrix: Matrix,
    found: Findings,
    checks: Mapping[str, Sequence[Check]],
    trained: Sequence[Trainings] = (),
) -> None:
    """Print what was run, the table, trainings, perfect foresight, notes and checks."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else _screen.WIDTH
    console = Console(width=width, highlight=False, markup=False)
    console.print(_heading(matrix, found))
    for table in _tables(found):
        console.print(table)
    lines = (*map(training_line, trained), *_foresight_lines(found), *_storage_lines(found))
    for line in (*lines, *found.notes):
        console.print(line, soft_wrap=True)
    for name, own in checks.items():
        console.print(f"\naudit of {name}")
        for check in own:
            console.print(check_line(check), style="" if check.holds else "red", soft_wrap=True)


def check_line(check: Check) -> str:
    """Return a check as one line: verdict, name, figure, bound and what it means."""
    unit = "" if check.unit == "-" else f" {check.unit}"
    verdict = "pass" if check.holds else "FAIL"
    return (
        f"  {verdict}  {check.name}: {check.figure:.6g}{unit} (at most {check.bound:.3g}); "
        f"{check.meaning}"
    )


def training_line(each: Trainings) -> str:
    """Return what several trainings of one kind come to."""
    captured, cost = each.captured, each.cost
    percent = Spread(*(100.0 * x for x in (captured.mean, captured.middle, captured.low,
                                           captured.high)))  # fmt: skip
    shares = "" if math.isnan(captured.mean) else f"captured {_spread(percent, 0, ' %')}; "
    return (
        f"{each.runs} training runs that differ in their seed alone ({', '.join(each.names)}): "
        f"{shares}cost {_spread(cost, 2, ' EUR/day')}"
    )


def _spread(over: Spread, digits: int, unit: str) -> str:
    mean, middle, low, high = (
        f"{x:,.{digits}f}" for x in (over.mean, over.middle, over.low, over.high)
    )
    return f"{mean}{unit} on average (IQM {middle}, {low} to {high})"


def _heading(matrix: Matrix, found: Findings) -> str:
    job = matrix.job
    what = "community" if found.measure == "community_eur" else f"owners in seat '{job.seat}'"
    return (
        f"\n{job.case.scenario.name}: cost of the {what}, EUR/day; {job.extent}, "
        "the same for all\n"
        f"intervals {LEVEL:.0%} ({DRAWS} bootstraps of whole periods); p of a paired permutation "
        f"test against {found.reference}, Holm-corrected"
    )


def _tables(found: Findings) -> list[Any]:
    """Return the table of costs, and that of what came with them."""
    verdicts = ordered(found.verdicts)
    costs, rest = _empty(_COST_COLUMNS), _empty(_OTHER_COLUMNS)
    for verdict in verdicts:
        mark = [_MARK[verdict.candidate], verdict.name]
        costs.add_row(*mark, *_cost_cells(verdict, found.reference))
        if verdict.loses_to:
            costs.add_row("", f"  loses to {', '.join(verdict.loses_to)}", style="red")
        rest.add_row(*mark, *_other_cells(verdict))
    return [costs, rest]


_COST_COLUMNS = ("cost", "interval", "IQM", "vs reference", "p", "regret", "captured")
_OTHER_COLUMNS = (
    "breach min", "guard changed", "kWh", "CO2 kg", "traded kWh", "of possible", "Gini", "Jain",
)  # fmt: skip


def _empty(columns: Sequence[str]) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True)
    table.add_column("policy")
    for name in columns:
        table.add_column(name, justify="right")
    return table


def _cost_cells(verdict: Verdict, reference: str) -> list[str]:
    own = verdict.name == reference
    return [
        _number(verdict.cost.value),
        _ends(verdict.cost),
        _number(verdict.middle.value),
        "" if own else _signed(verdict.difference),
        "reference" if own else _p(verdict.p_holm),
        _number(verdict.regret.value),
        _share(verdict.captured),
    ]


def _other_cells(verdict: Verdict) -> list[str]:
    figures = verdict.figures
    delivered = figures["traded_kwh"] - figures["undeliverable_kwh"]
    return [
        _number(figures["breach_min"], 0),
        _number(figures["interventions"], 0),
        _number(figures["intervention_kwh"], 1),
        _number(figures["co2_kg"], 1),
        _number(figures["traded_kwh"], 1),
        _percent(delivered, figures["possible_kwh"]),
        _number(verdict.gini),
        _number(verdict.jain),
    ]


def _foresight_lines(found: Findings) -> list[str]:
    """Return what perfect foresight would have cost, its certificate and its replay."""
    seen = found.foresight
    if not seen:
        return []
    return [
        f"perfect foresight: {seen['together_eur']:.3f} EUR/day with neighbours, "
        f"{seen['alone_eur']:.3f} without (certified: largest gap {seen['largest_gap']:.1e} of the "
        "cost)",
        f"its plan, run here: {seen['replayed_eur']:.3f} EUR/day, at most "
        f"{seen['largest_replay_difference_eur']:.2g} EUR/day from the programme; the feeder loses "
        f"{seen['replayed_losses_kwh']:.2f} kWh/day on the way, which nobody in the programme pays "
        f"(worth {seen['replayed_losses_eur']:.2f} EUR/day at retail)",
    ]


def _storage_lines(found: Findings) -> list[str]:
    """Say how much a candidate's gain owes to what stored energy is taken to be worth."""
    base, lines = found.of(found.reference), []
    for each in found.verdicts:
        more = each.figures["gained_kwh"] - base.figures["gained_kwh"]
        if not each.candidate or each is base or abs(more) < 1e-6:
            continue
        turn = each.difference.value / more
        worth = f"{abs(turn):.3f} EUR/kWh {'more' if turn > 0.0 else 'less'}"
        lines.append(
            f"{each.name} stores {more:+.2f} kWh/day against {base.name}; their costs would be "
            f"equal if stored energy were worth {worth}"
        )
    return lines


def _number(value: float, digits: int = 2) -> str:
    return "n/a" if math.isnan(value) else f"{value:,.{digits}f}"


def _ends(estimate: Estimate) -> str:
    if math.isnan(estimate.low):
        return "n/a"
    return f"{estimate.low:,.2f} to {estimate.high:,.2f}"


def _signed(estimate: Estimate) -> str:
    if math.isnan(estimate.low):
        return f"{estimate.value:+,.2f}"
    return f"{estimate.value:+,.2f} ({estimate.low:+,.2f} to {estimate.high:+,.2f})"


def _share(estimate: Estimate) -> str:
    if math.isnan(estimate.value):
        return "n/a"
    value, low, high = (_whole_percent(x) for x in (estimate.value, estimate.low, estimate.high))
    return value if math.isnan(estimate.low) else f"{value} ({low} to {high})"


def _whole_percent(value: float) -> str:
    text = f"{value:.0%}"
    return "0%" if text == "-0%" else text


def _percent(part: float, whole: float) -> str:
    return f"{part / whole:.0%}" if whole > 1e-9 else "n/a"


def _p(value: float) -> str:
    if math.isnan(value):
        return "same"
    return "<0.001" if value < 0.001 else f"{value:.3f}"


# ---------------------------------------------------------------- files


def table_csv(found: Findings) -> str:
    """Return a line per policy: every figure, estimates with their ends; empty: not known."""
    head = ["policy", "candidate", "loses_to"]
    head += [f"{name}{end}" for name in _ESTIMATES for end in ("", "_low", "_high")]
    head += ["p", "p_holm", "gini_savings", "jain_savings", *MEASURES]
    rows = []
    for each in ordered(found.verdicts):
        row: list[Any] = [each.name, int(each.candidate), " ".join(each.loses_to)]
        estimates: list[Estimate] = [getattr(each, name) for name in _ESTIMATES]
        row += [end for e in estimates for end in (e.value, e.low, e.high)]
        row += [each.p, each.p_holm, each.gini, each.jain]
        rows.append([*row, *(each.figures[name] for name in MEASURES)])
    return csv_text(head, rows)


def trainings_csv(trained: Sequence[Trainings]) -> str:
    """Return a line for the trainings of each kind, their figures as means, middles and ends."""
    figures = ("cost", "captured")
    ends = ("mean", "middle", "low", "high")
    head = ["policies", "training_runs", *(f"{name}_{end}" for name in figures for end in ends)]
    rows = (
        [" ".join(each.names), each.runs,
         *(getattr(getattr(each, name), end) for name in figures for end in ends)]
        for each in trained
    )  # fmt: skip
    return csv_text(head, rows)


def runs_csv(matrix: Matrix) -> str:
    """Return a line per run: policy, period, seed and its figures, and those of the foresight."""
    job = matrix.job
    shown = FORESIGHT if job.foresight else ()
    rows = []
    for e, entrant in enumerate(job.entrants):
        for d, first in enumerate(job.firsts):
            for s, seed in enumerate(job.seeds):
                foreseen = matrix.foresight[d, s, : len(shown)]
                values = (*matrix.figures[e, d, s], *foreseen)
                rows.append([entrant.name, first, seed, *map(float, values)])
    head = ["policy", "first_day", "seed", *MEASURES, *(f"foresight_{name}" for name in shown)]
    return csv_text(head, rows)


def as_json(
    matrix: Matrix,
    found: Findings,
    checks: Mapping[str, Sequence[Check]],
    trained: Sequence[Trainings] = (),
) -> dict[str, Any]:
    """Return everything that was found, with units; null: not known."""
    job = matrix.job
    content = {
        "scenario": job.case.scenario.name,
        "seat": job.seat,
        "first_days": list(job.firsts),
        "days": job.days,
        "seeds": list(job.seeds),
        "measure": found.measure,
        "reference": found.reference,
        "confidence": LEVEL,
        "bootstraps": DRAWS,
        "measures": {name: each._asdict() for name, each in MEASURES.items()},
        "foresight": found.foresight,
        "policies": {each.name: asdict(each) for each in found.verdicts},
        "trainings": [{"runs": each.runs, **asdict(each)} for each in trained],
        "audit": {name: [asdict(check) for check in own] for name, own in checks.items()},
        "notes": list(found.notes),
    }
    plain: dict[str, Any] = _plain(content)
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value
