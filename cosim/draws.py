"""The draws of a run: keyed by the scenario's seed, and from an interval on by another if asked."""

from __future__ import annotations

from collections.abc import Sequence

from cosim.case import Case
from cosim.seeds import Draws, Reseeded


def draws_of(
    case: Case, entities: Sequence[str], purpose: str, width: int, rounds: int = 1, early: int = 0
) -> Draws:
    """Return ``width`` draws per entity for each of the ``rounds`` of an interval.

    Where the case is reseeded from an interval on, so are these, ``early`` rounds before it.
    """
    per_day = max(1, 86_400 // case.grid.interval_s) * rounds
    later = case.reseeded
    if later is not None:
        later = Reseeded(later.interval * rounds - early, later.seed)
    return Draws(case.scenario.seed, entities, purpose, per_day, width, later)
