"""The matrix: every entrant on every trial, the same draws for all, in one process or several.

Trials do not know of each other, so what comes out depends on no number of workers.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, fields

import numpy as np

from cosim.arrays import freeze
from cosim.case import Case
from cosim.errors import RunError
from cosim.studies.foresight import Foresight, foresight
from cosim.studies.outcome import MEASURES, outcome
from cosim.studies.trials import Entrant, Trial, drawn_case

#: columns of the matrix' foresight, in their order
FORESIGHT = tuple(field.name for field in fields(Foresight))


@dataclass(frozen=True, eq=False)
class Job:
    """What is to be run: entrants on periods of some ``days`` from each of ``firsts``, by seed."""

    case: Case
    seat: str
    entrants: tuple[Entrant, ...]
    firsts: tuple[int, ...]
    days: int
    seeds: tuple[int, ...]
    foresight: bool = True

    @property
    def trials(self) -> list[Trial]:
        """All trials, seed by seed within each period."""
        return [Trial(first, self.days, seed) for first in self.firsts for seed in self.seeds]

    @property
    def periods(self) -> str:
        """The periods in words."""
        return f"{len(self.firsts)} period{'s'[: len(self.firsts) != 1]} of {self.days} d"

    @property
    def extent(self) -> str:
        """The periods and seeds in words."""
        return f"{self.periods} x {len(self.seeds)} seed{'s'[: len(self.seeds) != 1]}"


@dataclass(frozen=True, eq=False)
class Matrix:
    """What came of a job: figures ``[entrants, periods, seeds, measures]``, all per day.

    ``savings_eur`` ``[entrants, n]`` is what each prosumer saved by trading, mean over trials;
    ``foresight`` ``[periods, seeds, columns]`` is NaN where it was not asked for.
    """

    job: Job
    figures: np.ndarray
    savings_eur: np.ndarray
    foresight: np.ndarray

    def __post_init__(self) -> None:
        freeze(self)

    def of(self, entrant: str, measure: str) -> np.ndarray:
        """Return a figure of an entrant ``[periods, seeds]``."""
        row = [each.name for each in self.job.entrants].index(entrant)
        return np.asarray(self.figures[row, ..., list(MEASURES).index(measure)])

    def foreseen(self, column: str) -> np.ndarray:
        """Return a column of the foresight ``[periods, seeds]``."""
        return np.asarray(self.foresight[..., FORESIGHT.index(column)])


_Row = tuple[np.ndarray, np.ndarray, np.ndarray]


def run_matrix(
    job: Job, workers: int = 1, progress: Callable[[int], None] = lambda done: None
) -> Matrix:
    """Run a job; ``progress`` is told how many trials are done."""
    rows = []
    for row in _rows(job, min(workers, len(job.trials))):
        rows.append(row)
        progress(len(rows))
    figures, savings, foreseen = (np.stack(column) for column in zip(*rows, strict=True))
    shape = (len(job.firsts), len(job.seeds))
    return Matrix(
        job,
        np.moveaxis(figures, 1, 0).reshape(len(job.entrants), *shape, len(MEASURES)),
        savings.mean(axis=0),
        foreseen.reshape(*shape, len(FORESIGHT)),
    )


def workers_by_default() -> int:
    """Return how many processes this machine runs side by side; 1 where it cannot fork."""
    if "fork" not in multiprocessing.get_all_start_methods():
        return 1
    return len(os.sched_getaffinity(0))


def _rows(job: Job, workers: int) -> Iterator[_Row]:
    """Yield what the trials give, in their order."""
    if workers <= 1:
        for trial in job.trials:
            yield _run(job, trial)
        return
    context = multiprocessing.get_context("fork")  # a loaded case is not sent but inherited
    pool = ProcessPoolExecutor(workers, context, _inherit, (job,))
    try:
        yield from pool.map(_run_inherited, range(len(job.trials)))
    except BrokenProcessPool:
        what = "a worker process has died, perhaps for want of memory; take --workers 1"
        raise RunError(what) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _run(job: Job, trial: Trial) -> _Row:
    """Run every entrant on one trial."""
    drawn = drawn_case(job.case, trial)
    found = [outcome(drawn, job.seat, entrant, trial.days) for entrant in job.entrants]
    foreseen = np.full(len(FORESIGHT), np.nan)
    if job.foresight:
        seen = foresight(drawn, trial.days)
        foreseen = np.array([getattr(seen, name) for name in FORESIGHT])
    return (
        np.stack([each.figures for each in found]),
        np.stack([each.savings_eur for each in found]),
        foreseen,
    )


#: the job of a worker process, which it has from its parent
_INHERITED: list[Job] = []


def _inherit(job: Job) -> None:
    """Keep the job in a worker process, which leaves Ctrl-C to its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _INHERITED.append(job)


def _run_inherited(index: int) -> _Row:
    """Run a trial of the inherited job, in a worker process."""
    job = _INHERITED[0]
    return _run(job, job.trials[index])
