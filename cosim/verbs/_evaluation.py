"""An evaluation from the command line: who, on which days, and what comes out."""

from __future__ import annotations

import argparse
import contextlib
import time
from dataclasses import dataclass, replace
from pathlib import Path

from cosim.bundle.load import load_bundle
from cosim.case import Case
from cosim.desk import Desk
from cosim.errors import InputError, Problem, did_you_mean
from cosim.record import new_run_folder
from cosim.record.folder import write_json, write_text
from cosim.report.evaluation import draw_evaluation
from cosim.scenario import LoadedScenario
from cosim.studies.audit import audit
from cosim.studies.matrix import Job, Matrix, run_matrix, workers_by_default
from cosim.studies.recorded import Check
from cosim.studies.trainings import Trainings, trainings
from cosim.studies.trials import Trial, drawn_case, seat_of, seated
from cosim.studies.verdict import RULE, Findings, findings
from cosim.timegrid import TimeGrid
from cosim.training.days import Kind, blocks, kinds, kinds_on
from cosim.verbs import _screen, _verdicts
from cosim.verbs._common import load, ready, take_plugins, warn
from cosim.verbs._doubts import doubts
from cosim.verbs._entrants import Named, baselines, candidates, check_baselines
from cosim.verbs._listed import numbers
from cosim.verbs._progress import counted
from cosim.verbs._running import Say
from cosim.verbs._verdict_card import check_cards, write_cards
from cosim.verbs.evaluate import MEASURES

AUDIT_FAILED = 1
#: trials an audit looks at, spread over those of the evaluation
_AUDITED = 3


@dataclass(frozen=True, eq=False)
class _Plan:
    """What was asked for, checked."""

    job: Job
    named: tuple[Named, ...]
    measure: str
    reference: str
    workers: int


def evaluate(arguments: argparse.Namespace) -> int:
    """Run every policy on every trial, print the verdicts and write the files."""
    say, began = Say(arguments.quiet), time.monotonic()
    take_plugins(arguments.plugins)
    loaded = load(arguments.scenario, arguments.overrides)
    _check_early(loaded, arguments)
    case = ready(loaded)
    plan = _planned(case, arguments)
    say("loaded", _screen.loaded_line(case, time.monotonic() - began))
    for text in doubts(case):
        warn(text)
    folder = new_run_folder(arguments.out, case.scenario.name, "evaluate-")
    try:
        matrix = _run(plan, say)
        checks = _audited(plan, say) if arguments.audit else {}
    except BaseException:
        with contextlib.suppress(OSError):
            folder.rmdir()  # nothing was written yet
        raise
    found = findings(matrix, plan.measure, plan.reference)
    found = replace(found, notes=(*found.notes, *_seen_in_training(plan)))
    cards = {each.entrant.name: load_bundle(each.bundle).card for each in plan.named if each.bundle}
    trained = trainings(cards, found)
    paths = _written(folder, matrix, found, checks, trained)
    if not arguments.quiet:
        _verdicts.show(matrix, found, checks, trained)
    if arguments.write_card:
        paths += write_cards(plan.named, matrix, found, trained)
    print(*paths, sep="\n")
    failed = any(not check.holds for own in checks.values() for check in own)
    return AUDIT_FAILED if failed else 0


def _check_early(loaded: LoadedScenario, arguments: argparse.Namespace) -> None:
    """Raise InputError for what is wrong whatever the data of the scenario are."""
    _periods(loaded.scenario.grid(), arguments.days, arguments.length)
    numbers(arguments.seeds, "--seeds")
    check_baselines(arguments.baselines)
    workers = arguments.workers
    if workers is not None and workers < 1:
        raise InputError(Problem(f"{workers} processes", "--workers", remedy="at least 1"))


def _planned(case: Case, arguments: argparse.Namespace) -> _Plan:
    """Return what is to be run; raise InputError for what cannot be."""
    seat = seat_of(case, arguments.seat)
    named = candidates(case, arguments.policy)
    entrants = [each.entrant for each in named]
    entrants += baselines(case, arguments.baselines, [each.name for each in entrants])
    known = [each.name for each in entrants]
    reference = arguments.reference or RULE
    if reference not in known:
        remedy = did_you_mean(reference, known)
        raise InputError(Problem(f"nobody is called '{reference}'", "--reference", remedy=remedy))
    job = Job(
        case,
        seat.name,
        tuple(entrants),
        _periods(case.grid, arguments.days, arguments.length),
        arguments.length,
        numbers(arguments.seeds, "--seeds"),
        not arguments.no_foresight,
    )
    workers = workers_by_default() if arguments.workers is None else arguments.workers
    if arguments.write_card:
        check_cards(named, job.foresight)
    first = drawn_case(case, job.trials[0])
    for entrant in entrants:  # whoever cannot serve the seat says so before anything runs
        Desk(seated(first, seat.name, entrant))
    return _Plan(job, tuple(named), MEASURES[arguments.measure], reference, workers)


def _periods(grid: TimeGrid, text: str | None, length: int) -> tuple[int, ...]:
    """Return the first days of the periods; raise InputError where they do not fit."""
    days = grid.end_s // 86_400
    if not 1 <= length <= days:
        raise InputError(Problem(f"periods of {length} days", "--length", f"there are {days}"))
    if text == "held-out":
        firsts = _apart(tuple(blocks(kinds_on(grid) == Kind.TEST, length)), length)
        if not firsts:
            raise InputError(Problem(f"no {length} held-out days in a row", "--days"))
        return firsts
    firsts = tuple(range(0, days - length + 1, length)) if text is None else numbers(text, "--days")
    late = [first for first in firsts if first + length > days]
    if late:
        why = f"the scenario has days 0 to {days - 1}"
        raise InputError(Problem(f"no {length} days from day {late[0]} on", "--days", why))
    if len(_apart(tuple(sorted(firsts)), length)) < len(firsts):
        raise InputError(
            Problem("periods overlap", "--days", f"each has {length} days",
                    remedy="name first days that are further apart")
        )  # fmt: skip
    return firsts


def _apart(firsts: tuple[int, ...], length: int) -> tuple[int, ...]:
    """Return the first days, in their order, that do not reach into the period before."""
    kept: list[int] = []
    for first in firsts:
        if not kept or first >= kept[-1] + length:
            kept.append(first)
    return tuple(kept)


def _run(plan: _Plan, say: Say) -> Matrix:
    job, began = plan.job, time.monotonic()
    with counted(f"{len(job.trials)} trials", len(job.trials), say.quiet) as told:
        matrix = run_matrix(job, plan.workers, told)
    runs = len(job.trials) * len(job.entrants)
    say("evaluated", f"{runs} runs of {job.days} d ({time.monotonic() - began:.1f} s)")
    return matrix


def _seen_in_training(plan: _Plan) -> list[str]:
    """Say which bundles may have learnt from days they are judged on."""
    job, notes = plan.job, []
    judged = [day for first in job.firsts for day in range(first, first + job.days)]
    read = {sha256 for _, sha256 in job.case.loaded.source.files}
    for named in plan.named:
        training = load_bundle(named.bundle).card.training if named.bundle else None
        if training is None:
            continue
        name = named.entrant.name
        if training.calendar is None:
            if training.scenario_sha256 in read:
                notes.append(f"{name} was trained on this scenario, and its card does not say "
                             "which days were kept from it")  # fmt: skip
            continue
        known = int((kinds(job.case, training.calendar)[judged] != Kind.TEST).sum())
        if known:
            notes.append(f"{known} of the days are no test days by the calendar of {name}, which "
                         "may have learnt from them or from their dates")  # fmt: skip
    return notes


def _audited(plan: _Plan, say: Say) -> dict[str, list[Check]]:
    """Return the checks of every candidate on some trials, spread over all."""
    began, trials = time.monotonic(), plan.job.trials
    some: list[Trial] = trials[:: -(-len(trials) // _AUDITED)]
    rule = next(each for each in plan.job.entrants if each.name == RULE)
    found = {
        each.entrant.name: audit(plan.job.case, plan.job.seat, each.entrant, rule, some)
        for each in plan.named
    }
    say("audited", f"{len(some)} trials each ({time.monotonic() - began:.1f} s)")
    return found


def _written(
    folder: Path,
    matrix: Matrix,
    found: Findings,
    checks: dict[str, list[Check]],
    trained: tuple[Trainings, ...],
) -> list[Path]:
    """Write table, runs, summary and picture, and trainings if any; return where they are."""
    names = ("evaluation.csv", "runs.csv", "evaluation.json", "evaluation.png")
    paths = [folder / name for name in names]
    write_text(paths[0], _verdicts.table_csv(found))
    write_text(paths[1], _verdicts.runs_csv(matrix))
    write_json(paths[2], _verdicts.as_json(matrix, found, checks, trained))
    draw_evaluation(paths[3], found, matrix)
    if trained:
        paths.append(folder / "trainings.csv")
        write_text(paths[-1], _verdicts.trainings_csv(trained))
    return paths
