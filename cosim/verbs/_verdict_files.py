"""Verdicts as CSV and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from cosim.studies.matrix import Matrix
from cosim.studies.outcome import MEASURES
from cosim.studies.recorded import Check
from cosim.studies.statistics import DRAWS, LEVEL, Estimate
from cosim.studies.trainings import Trainings
from cosim.studies.verdict import Findings, ordered
from cosim.verbs._csv_text import csv_text

_ESTIMATES = ("cost", "middle", "difference", "regret", "captured")


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
    rows = []
    for e, entrant in enumerate(job.entrants):
        for d, first in enumerate(job.firsts):
            for s, seed in enumerate(job.seeds):
                values = (*matrix.figures[e, d, s], *matrix.foresight[d, s])
                rows.append([entrant.name, first, seed, *map(float, values)])
    head = [
        "policy",
        "first_day",
        "seed",
        *MEASURES,
        *(f"foresight_{name}" for name in job.foreseen),
    ]
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
