"""A first judgement of a trained policy: days it never saw, beside the rule, as an evaluation."""

from __future__ import annotations

import numpy as np

from cosim import plugins
from cosim.bundle.parts import Calendar
from cosim.case import Case
from cosim.policy import Policy
from cosim.studies.matrix import Job
from cosim.studies.trials import Entrant
from cosim.studies.verdict import RULE
from cosim.training.days import Kind, kinds

#: of a first judgement: one is enough where days are the unit of chance
SEEDS = (101,)


def days_for_tests(case: Case, calendar: Calendar, most: int) -> tuple[int, ...]:
    """Return at most so many days of a case that were held out for tests, spread evenly."""
    held = np.flatnonzero(kinds(case, calendar) == Kind.TEST)
    count = min(most, len(held))
    return tuple(int(held[i]) for i in np.linspace(0, len(held) - 1, count).round().astype(int))


def first_job(case: Case, seat: str, learnt: Policy, name: str, days: tuple[int, ...]) -> Job:
    """Return the trials of a policy ``name`` on single days, beside the rule and foresight."""
    rule = plugins.load("policy", RULE)()
    assert isinstance(rule, Policy)
    entrants = (Entrant(name, learnt, candidate=True), Entrant(RULE, rule))
    return Job(case, seat, entrants, days, 1, SEEDS)
