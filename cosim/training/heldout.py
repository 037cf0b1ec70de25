"""A first judgement of a trained policy: days it never saw, beside the rule and the optimum."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cosim import plugins
from cosim.bundle.card import Evaluation, Figure, Foresight, Interval
from cosim.case import Case
from cosim.optimum.plan import optimum
from cosim.optimum.world import charged_world
from cosim.policy import Policy
from cosim.training.days import Calendar, Kind, kinds
from cosim.training.judge import Costs, Period, cut_for, judge, paired_interval

RULE = "self_consumption"
MEASURED = (
    "settled bills on metered energy plus wear, minus the gain in stored energy at the lowest "
    "retail price times the root of the round-trip efficiency; EUR per day, mean over days and "
    "seeds; a seed draws how full the batteries begin"
)


def days_for_tests(case: Case, calendar: Calendar, most: int) -> list[int]:
    """Return at most so many days of a case that were held out for tests, spread evenly."""
    held = np.flatnonzero(kinds(case, calendar) == Kind.TEST)
    count = min(most, len(held))
    return [int(held[i]) for i in np.linspace(0, len(held) - 1, count).round().astype(int)]


def evaluation(
    case: Case,
    seat: str,
    learnt: Policy,
    name: str,
    days: Sequence[int],
    seeds: Sequence[int] = (101,),
) -> Evaluation:
    """Return the record of a policy on single days ``days``: owners, community, and foresight."""
    rule = plugins.load("policy", RULE)()
    assert isinstance(rule, Policy)
    periods = [Period(day) for day in days]
    costs = judge(case, seat, {name: learnt, RULE: rule}, periods, seeds)
    best = np.array([
        [_least_eur(cut_for(case, period, seed)) for seed in seeds] for period in periods
    ])  # fmt: skip
    foresight = _foresight(costs, name, best)
    return Evaluation(
        measured=MEASURED,
        against=(RULE,),
        days=(f"{len(days)} single days held out of training, counted from 0: "
              + ", ".join(map(str, days)),),
        seeds=tuple(seeds),
        figures=tuple(_figures(costs, name, best)),
        caveats=("the days of one year of one scenario; one training run",),
        foresight=foresight,
    )  # fmt: skip


def _least_eur(cut: Case) -> float:
    """Return the cost of perfect foresight, with the charges that everybody else pays."""
    return optimum(cut, world=charged_world(cut)).cost_eur


def _figures(costs: dict[str, Costs], name: str, best: np.ndarray) -> list[Figure]:
    period = "held-out days"
    owners, community = (
        {who: getattr(cost, what) for who, cost in costs.items()}
        for what in ("owners", "community")
    )
    found = [
        _figure(period, "cost of the owners", owners),
        _figure(period, "cost of the community", community | {"optimum": best}),
    ]
    for what, values in (("owners", owners), ("community", community)):
        gap = values[name] - values[RULE]
        if len(gap) > 1:
            ends = paired_interval(gap)
            found += [
                _figure(period, f"{what}, minus the rule: {end} end of 95 %",
                        {RULE: np.array(value)})
                for end, value in zip(("lower", "upper"), ends, strict=True)
            ]  # fmt: skip
    return found


def _figure(period: str, measure: str, values: dict[str, np.ndarray]) -> Figure:
    means = {who: round(float(np.mean(value)), 3) for who, value in values.items()}
    return Figure(period=period, measure=measure, unit="EUR/day", values=means)


def _foresight(costs: dict[str, Costs], name: str, best: np.ndarray) -> Foresight | None:
    """Return regret and captured share with intervals over days; None of a single day."""
    cost, rule = costs[name].community, costs[RULE].community
    if len(cost) < 2:
        return None
    regret = cost - best
    low, high = paired_interval(regret)
    return Foresight(
        regret_eur_per_day=_interval(float(regret.mean()), low, high),
        captured=captured(rule - cost, rule - best),
        days=len(cost),
        runs=1,
    )


def captured(gained: np.ndarray, possible: np.ndarray, draws: int = 5000) -> Interval | None:
    """Return the share of what was possible that was gained ``[days, seeds]``, both in sums.

    Days are drawn with replacement. None where nothing was possible.
    """
    gain, most = gained.mean(axis=1), possible.mean(axis=1)
    if not most.sum() > 0.0:
        return None
    random = np.random.Generator(np.random.PCG64(0))
    picked = random.integers(0, len(gain), (draws, len(gain)))
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = gain[picked].sum(axis=1) / most[picked].sum(axis=1)
    low, high = np.quantile(shares[np.isfinite(shares)], [0.025, 0.975])
    return _interval(float(gain.sum() / most.sum()), float(low), float(high))


def _interval(value: float, low: float, high: float) -> Interval:
    return Interval(
        value=round(value, 4),
        low=round(min(low, value), 4),
        high=round(max(high, value), 4),
        level=0.95,
    )
