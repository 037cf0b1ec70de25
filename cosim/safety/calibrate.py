"""Calibrating the supervisor of one policy of a scenario: observe, fit, set the threshold, test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cosim.case import Case, load_case
from cosim.errors import InputError, Problem
from cosim.safety.collect import collect
from cosim.safety.fit import Observed, calibrated, fitted
from cosim.safety.report import Detection, Share, detections, false_alarms
from cosim.scenario import LoadedScenario
from cosim.supervision import Supervision, supervision
from cosim.training.days import Kind, kinds


@dataclass(frozen=True)
class Calibrated:
    """The statistics, and what they saw on days that they were not made of."""

    supervision: Supervision
    false_alarms: Share
    detections: tuple[Detection, ...]


def calibrate(
    loaded: LoadedScenario,
    policy: str,
    *,
    days: Sequence[int] | None = None,
    blocks: int = 24,
    alarm_rate: float = 0.05,
    seed: int = 0,
    progress: Callable[[int], None] = lambda day: None,
) -> Calibrated:
    """Run a policy over days of a scenario and return its supervision and what that can see.

    ``days`` are counted from the scenario's start, None: all. The calendar of learning says which
    of them set the threshold and which are held out for the report; those that a learner may see
    give means and covariances. The scenario's disturbances are left out: they are not normal.
    """
    case = load_case(loaded.undisturbed())
    _check_begin(case)
    seen = collect(case, policy, _chosen(case, days), seed, progress)
    part, step_s = kinds(case)[seen.days], case.grid.interval_s
    return calibration(seen, part, step_s, blocks=blocks, alarm_rate=alarm_rate)


def calibration(
    seen: Observed,
    part: np.ndarray,
    interval_s: int,
    *,
    blocks: int = 24,
    alarm_rate: float = 0.05,
) -> Calibrated:
    """Return the supervision made of what was seen; ``part`` ``[days]`` is each day's kind."""
    wanted = (Kind.TRAIN, Kind.CALIBRATE, Kind.TEST)
    fit, setting, test = (seen.some(part == kind) for kind in wanted)
    if not len(fit.days) or not len(test.days):
        what = f"{len(seen.days)} days leave none to fit on, or none to test on"
        raise InputError(Problem(what, "--days", remedy="take more days"))
    found = calibrated(fitted(fit, blocks), setting, alarm_rate)
    prosumers = seen.observations.shape[2]
    written = supervision(found, interval_s, alarm_rate, len(setting.days), prosumers)
    return Calibrated(written, false_alarms(found, test), tuple(detections(found, test)))


def _chosen(case: Case, days: Sequence[int] | None) -> list[int]:
    """Return the days to run; raise InputError for those the scenario does not have."""
    there = range(case.grid.end_s // 86_400)
    wanted = list(there) if days is None else sorted(set(days))
    outside = [day for day in wanted if day not in there]
    if outside:
        what = f"day {outside[0]} is not among the {len(there)} days of the scenario"
        raise InputError(Problem(what, "--days", remedy="days are counted from 0"))
    return wanted


def _check_begin(case: Case) -> None:
    """Raise InputError unless the run begins at civil midnight: days are judged as a whole."""
    if case.grid.local_hours()[0] != 0.0:
        what = f"the run begins at {case.scenario.begin:%H:%M}, not at midnight"
        raise InputError(Problem(what, "time.start", remedy="days are judged from civil midnight"))
