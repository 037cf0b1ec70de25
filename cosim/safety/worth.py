"""Whether a supervisor pays: what owners pay and what breaks, with and without it, under faults."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cosim import plugins
from cosim.case import Case, load_case
from cosim.errors import InputError, Problem
from cosim.oversight import Supervised
from cosim.policy import Policy
from cosim.safety.collect import seated
from cosim.safety.shifts import Shift, ladder
from cosim.safety.value import outcome
from cosim.scenario import LoadedScenario
from cosim.sections import SupervisorSection
from cosim.studies.statistics import Estimate, resamples
from cosim.supervision import Supervision
from cosim.training.days import Kind, kinds

#: faults of the ladder that are tried, the first of each tuple that the features can suffer
TRIED = (
    ("clock 6 h late",),
    ("prices x 3",),
    ("swapped soc, rating_kw", "swapped forecast_net_kw, forecast_pv_kw", "swapped soc, vm_pu",
     "swapped hour_sin, hour_cos"),
    ("pv stuck from noon",),
)  # fmt: skip
NO_FAULT = "no fault"
NOTE = (
    "A supervisor pays only where the fault hurts more than the rule that stands in for the "
    "policy:\nwithout a fault, or with one that the policy bears, it can only cost."
)


@dataclass(frozen=True)
class Worth:
    """Means over days under a fault, each without and with the supervisor."""

    fault: str
    cost_eur: tuple[float, float]  # of all owners, per day
    breach_min: tuple[float, float]  # per day
    saved_eur: Estimate  # what it saves, with the interval over days; NaN ends: too few days
    saved_min: Estimate
    fallback: float  # share of prosumer intervals decided by a stand-in


def worth(
    loaded: LoadedScenario,
    policy: str,
    written: Supervision,
    *,
    days: Sequence[int] | None = None,
    count: int = 4,
    seed: int = 0,
) -> list[Worth]:
    """Return what the supervisor is worth without fault and under some, on held-out days.

    ``count`` test days are taken evenly from ``days``, None: all; raise InputError where there are
    fewer. Fallback and lockout are those of the scenario's ``supervisors``, else the defaults.
    """
    case = overseen(load_case(loaded.undisturbed()), policy, written)
    chosen = held_out(case, days, count)
    return [_worth(case, policy, chosen, name, shift, seed) for name, shift in tried(case, policy)]


def overseen(case: Case, name: str, written: Supervision) -> Case:
    """Return a case in which one seat is supervised by the statistics."""
    seat = seated(case, name)
    section = case.scenario.supervisors.get(name, SupervisorSection())
    rule = plugins.load("policy", "self_consumption")()
    assert isinstance(rule, Policy)
    how = Supervised(written.statistics(), section.fallback, section.lockout_alarms, rule)
    changed = replace(seat, supervisor=how)
    return replace(case, seats=tuple(changed if s.name == name else s for s in case.seats))


def held_out(case: Case, days: Sequence[int] | None, count: int) -> list[int]:
    """Return ``count`` test days, evenly taken from those of ``days``."""
    part = kinds(case)
    wanted = range(len(part)) if days is None else sorted(set(days))
    there = [day for day in wanted if day < len(part) and part[day] == Kind.TEST]
    if not 1 <= count <= len(there):
        what = f"{count} days of the {len(there)} that are held out"
        remedy = f"from 1 to {len(there)}" if there else "take more days"
        raise InputError(Problem(what, "--value-days", remedy=remedy))
    return [there[i * len(there) // count] for i in range(count)]


def tried(case: Case, name: str) -> list[tuple[str, Shift | None]]:
    """Return no fault, and those of TRIED that the policy's features can suffer."""
    known = ladder(seated(case, name).policy.features)
    first = [next((fault for fault in kind if fault in known), None) for kind in TRIED]
    return [(NO_FAULT, None), *((fault, known[fault]) for fault in first if fault is not None)]


def value_table(found: Sequence[Worth], days: int) -> str:
    """Return the worth as text."""
    lines = [
        f"value of the supervisor, means over {days} held-out days, without and with it, and what "
        "it saves (95 %)",
        f"{'fault':<40} {'owners EUR/day':>46} {'minutes/day with a broken limit':>44} "
        f"{'stand-in':>9}",
    ]
    lines += [
        f"{w.fault:<40} {w.cost_eur[0]:>9.2f} {w.cost_eur[1]:>9.2f} {_saved(w.saved_eur, 2):>26} "
        f"{w.breach_min[0]:>8.1f} {w.breach_min[1]:>8.1f} {_saved(w.saved_min, 1):>26} "
        f"{w.fallback:>9.1%}"
        for w in found
    ]
    return "\n".join([*lines, NOTE])


def _saved(found: Estimate, digits: int) -> str:
    """Return an estimate with its interval, which fewer than five days do not give."""
    ends = "n/a"
    if not math.isnan(found.low):
        ends = f"{found.low:.{digits}f} to {found.high:.{digits}f}"
    return f"{found.value:.{digits}f} ({ends})"


def _worth(
    case: Case, policy: str, days: Sequence[int], name: str, shift: Shift | None, seed: int
) -> Worth:
    alone, helped = (
        outcome(case, policy, days, supervised=flag, shift=shift, seed=seed)
        for flag in (False, True)
    )
    cost, breach = alone.cost_eur - helped.cost_eur, alone.breach_min - helped.breach_min
    again = resamples([0] * len(days), seed)
    return Worth(
        name,
        (float(alone.cost_eur.mean()), float(helped.cost_eur.mean())),
        (float(alone.breach_min.mean()), float(helped.breach_min.mean())),
        again.mean(cost[:, None]),
        again.mean(breach[:, None]),
        float(helped.fallback.mean()),
    )
