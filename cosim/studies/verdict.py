"""From a matrix to a verdict on each policy: cost, regret, tests, safety, fairness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cosim.metrics import gini, jain
from cosim.optimum.grid import TOLERANCE_PERCENT
from cosim.studies.foresight import unknown_to_it
from cosim.studies.matrix import Matrix
from cosim.studies.outcome import MEASURES
from cosim.studies.statistics import (
    LEAST_PERIODS,
    LEVEL,
    Estimate,
    Resamples,
    flip_test,
    holm,
    resamples,
)
from cosim.studies.trials import Entrant, several, strata_of

#: the rule from which captured shares count, and the one everybody is held against by default
RULE = "self_consumption"
#: a gap between rule and optimum below these says nothing about who captures it
LEAST_GAP_EUR, LEAST_GAP_SHARE = 0.01, 0.001
#: a difference of costs below this share is none
_SAME = 1e-9

NOTHING = Estimate(np.nan, np.nan, np.nan)


@dataclass(frozen=True)
class Verdict:
    """What is said of one policy; money [EUR/day], ``figures`` the means of all measures.

    ``difference`` is the tested cost minus the reference's, ``p`` its paired test and ``p_holm``
    that corrected for the number of policies. ``captured`` is 0 for the rule and 1 for perfect
    foresight. ``loses_to`` names the baselines that cost less, with ``*`` where the interval of
    the difference lies above zero.
    """

    name: str
    candidate: bool
    cost: Estimate
    middle: Estimate
    difference: Estimate
    p: float
    p_holm: float
    regret: Estimate
    captured: Estimate
    gini: float
    jain: float
    loses_to: tuple[str, ...]
    figures: dict[str, float]


@dataclass(frozen=True)
class Findings:
    """All verdicts, what was tested against whom, and what a reader must know."""

    measure: str
    reference: str
    verdicts: tuple[Verdict, ...]
    foresight: dict[str, float]
    notes: tuple[str, ...]

    def of(self, name: str) -> Verdict:
        """Return the verdict on a policy."""
        return next(verdict for verdict in self.verdicts if verdict.name == name)


def findings(
    matrix: Matrix, measure: str = "community_eur", reference: str = RULE, seed: int = 0
) -> Findings:
    """Judge every entrant of a matrix; costs are compared and tested by ``measure``."""
    job = matrix.job
    drawn = resamples(strata_of(job.case, job.firsts), seed)
    costs = {each.name: matrix.of(each.name, measure) for each in job.entrants}
    tested = [
        np.nan if same(cost, costs[reference]) else flip_test(cost - costs[reference], seed)
        for cost in costs.values()
    ]
    verdicts = tuple(
        _verdict(matrix, drawn, costs, reference, each, p, corrected)
        for each, p, corrected in zip(job.entrants, tested, holm(tested), strict=True)
    )
    means = {} if not job.foresight else _foreseen(matrix)
    notes = [*_notes(matrix), *_unprovable(len(job.firsts), int(np.isfinite(tested).sum()))]
    return Findings(measure, reference, verdicts, means, tuple(notes))


def _unprovable(periods: int, tests: int) -> list[str]:
    """Say so where no test can become significant, however large the differences."""
    least = min(0.5 ** (periods - 1) * tests, 1.0)
    if least < 1.0 - LEVEL or not tests or periods < LEAST_PERIODS:
        return []
    run = f"{several(periods, 'period')} and {several(tests, 'test')}"
    return [f"{run}: no p can fall below {least:.2g}; take more periods, or fewer --baselines"]


def same(one: np.ndarray, other: np.ndarray) -> bool:
    """Return whether two costs differ by rounding only."""
    return bool(np.allclose(one, other, rtol=_SAME, atol=_SAME))


def _verdict(
    matrix: Matrix,
    drawn: Resamples,
    costs: dict[str, np.ndarray],
    reference: str,
    entrant: Entrant,
    p: float,
    corrected: float,
) -> Verdict:
    name, figures = entrant.name, matrix.figures
    row = list(costs).index(name)
    means = figures[row].mean(axis=(0, 1))
    regret, captured = _foresight(matrix, drawn, name)
    return Verdict(
        name=name,
        candidate=entrant.candidate,
        cost=drawn.mean(costs[name]),
        middle=drawn.middle(costs[name]),
        difference=drawn.mean(costs[name] - costs[reference]),
        p=p,
        p_holm=corrected,
        regret=regret,
        captured=captured,
        gini=gini(matrix.savings_eur[row]),
        jain=jain(matrix.savings_eur[row]),
        loses_to=tuple(_cheaper(matrix, drawn, costs, name)) if entrant.candidate else (),
        figures=dict(zip(MEASURES, map(float, means), strict=True)),
    )


def _cheaper(
    matrix: Matrix, drawn: Resamples, costs: dict[str, np.ndarray], name: str
) -> list[str]:
    """Return the baselines that cost less than a candidate, marked where that is significant."""
    found = []
    for other in matrix.job.entrants:
        if other.candidate or same(costs[name], costs[other.name]):
            continue
        lost = drawn.mean(costs[name] - costs[other.name])
        if lost.value > 0.0:
            found.append(other.name + ("*" if lost.low > 0.0 else ""))
    return found


def _foresight(matrix: Matrix, drawn: Resamples, name: str) -> tuple[Estimate, Estimate]:
    """Return regret to the certified bound, and the captured share of the gap from the rule."""
    if not matrix.job.foresight:
        return NOTHING, NOTHING
    cost, bound = matrix.of(name, "community_eur"), matrix.foreseen("together_bound_eur")
    rule = matrix.of(RULE, "community_eur")
    captured = drawn.share(rule - cost, rule - bound, least_gap(rule))
    return drawn.mean(cost - bound), captured


def least_gap(rule: np.ndarray) -> float:
    """Return the gap [EUR/day] below which no captured share is given."""
    return max(LEAST_GAP_EUR, LEAST_GAP_SHARE * abs(float(rule.mean())))


def _foreseen(matrix: Matrix) -> dict[str, float]:
    """Return the means of the foresight, the largest gap of a certificate, and of a replay.

    Within limits: the largest gap where they are kept, the largest excess, and how many break one.
    """
    means = {name: float(matrix.foreseen(name).mean()) for name in matrix.job.foreseen}
    if matrix.job.limits:
        gap, excess = (matrix.foreseen(f"limited_{what}") for what in ("gap", "excess_percent"))
        kept = excess <= TOLERANCE_PERCENT
        means |= {
            "limited_gap": float(gap[kept].max()) if kept.any() else np.nan,
            "limited_excess_percent": float(excess.max()),
            "limited_trials_in_breach": float((~kept).sum()),
        }
    gaps = [
        (matrix.foreseen(f"{kind}_eur") - matrix.foreseen(f"{kind}_bound_eur"))
        / np.maximum(1.0, np.abs(matrix.foreseen(f"{kind}_eur")))
        for kind in ("together", "alone")
    ]
    replayed = matrix.foreseen("replayed_eur") - matrix.foreseen("together_eur")
    return {
        **means,
        "largest_gap": float(np.max(gaps)),
        "largest_replay_difference_eur": float(np.abs(replayed).max()),
    }


def _notes(matrix: Matrix) -> list[str]:
    """Return what must be known to read the verdicts rightly."""
    job = matrix.job
    rows = next(seat.rows for seat in job.case.seats if seat.name == job.seat)
    people = job.case.population
    able = np.flatnonzero((people.rating_kw > 0.0) & (people.capacity_kwh > 0.0))
    outside = int((~np.isin(able, rows)).sum())
    found = []
    if len(job.firsts) < LEAST_PERIODS:
        found.append(f"periods: {len(job.firsts)}, too few for intervals (from {LEAST_PERIODS} on)")
    if job.foresight:
        rule = matrix.of(RULE, "community_eur")
        gap = float((rule - matrix.foreseen("together_bound_eur")).mean())
        if gap < least_gap(rule):
            found.append(f"the gap from {RULE} to perfect foresight is {gap:.3f} EUR/day: too "
                         "small to say who captures it")  # fmt: skip
        if outside:
            found.append(f"perfect foresight plans {outside} batteries outside the seat, too: no "
                         "policy in the seat can reach it")  # fmt: skip
        if job.case.market.kind() == "none":
            found.append("the market is closed: nobody reaches perfect foresight with neighbours")
        left = unknown_to_it(job.case)
        if left:
            found.append(f"perfect foresight does not know {', '.join(left)}: regret is that much "
                         "too large")  # fmt: skip
    if job.limits and job.case.scenario.disturbances:
        found.append("the limits of perfect foresight are those of a feeder with all lines closed "
                     "and undisturbed reactive loads")  # fmt: skip
    unsolved = float(matrix.figures[..., -1].sum())
    if unsolved:
        found.append("some load flows have no solution: losses and CO2 leave them out")
    return found


def ordered(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Return verdicts by cost, the cheapest first."""
    return sorted(verdicts, key=lambda verdict: verdict.cost.value)
