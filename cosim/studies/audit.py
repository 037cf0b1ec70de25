"""Is a policy's gain real? A sequence of checks, each with a figure and a verdict of its own.

Each recomputes something from what was metered, or runs the world again with something changed
that an honest policy cannot notice. None looks into the policy.
"""

from __future__ import annotations

from collections.abc import Sequence

from cosim.case import Case
from cosim.studies.metered import (
    battery_bookkeeping,
    no_cheaper_than_foresight,
    no_imbalance_gain,
    on_metered_energy,
    within_the_possible,
)
from cosim.studies.recorded import Check, recorded
from cosim.studies.trials import Entrant, Trial, drawn_case, seated
from cosim.studies.unmoved import guard_in_the_open, no_look_ahead


def audit(
    case: Case, seat: str, entrant: Entrant, rule: Entrant, trials: Sequence[Trial]
) -> list[Check]:
    """Return all checks of an entrant over some trials; ``rule`` is the honest one beside it."""
    drawn = [drawn_case(case, trial) for trial in trials]
    runs = [recorded(seated(each, seat, entrant), seat) for each in drawn]
    beside = [recorded(seated(each, seat, rule), seat) for each in drawn]
    return [
        on_metered_energy(runs),
        no_imbalance_gain(runs),
        within_the_possible(runs, beside),
        battery_bookkeeping(runs),
        guard_in_the_open(runs, seat),
        no_look_ahead(runs, seat),
        no_cheaper_than_foresight(runs),
    ]
