"""Doubts about safety: supervisors that will stand their policy down, faults without effect."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from cosim.case import Case
from cosim.disturbances.base import Disturbance
from cosim.document import Path

if TYPE_CHECKING:
    from cosim.safety.foretold import Foretold

#: certain alarms on more than this share of the days that were looked at are worth a word
RARE = 0.1


def watching(case: Case) -> Iterator[tuple[Path, str]]:
    """Doubt supervisors whose policy was made for another scenario, or for fewer prosumers."""
    from cosim.safety.foretold import foretold

    for seat in case.seats:
        how = seat.supervisor
        if how is None:
            continue
        path: Path = ("supervisors", seat.name)
        found = foretold(case, seat)
        if found is not None and found.certain > RARE * found.days:
            yield path, f"'{seat.name}' {_stands_down(found, how.statistics.threshold)}"
        if how.prosumers is not None and len(seat.rows) > how.prosumers:
            many = f"'{seat.name}' serves {len(seat.rows)} prosumers, its supervisor was"
            yield path, f"{many} calibrated on {how.prosumers}: it will give more false alarms"


def _stands_down(found: Foretold, threshold: float) -> str:
    """Say that a policy will stand down, where it is known to be so, and what to do."""
    return (
        f"will stand down on {found.certain} of {found.days} days looked at: {found.feature} is "
        f"not what it was calibrated on (score {found.score:.4g} or more, threshold "
        f"{threshold:.4g}); use a policy that was trained for such a scenario, or, if 'cosim "
        "evaluate' finds it good here, calibrate its supervisor here with 'cosim policy calibrate'"
    )


def without_effect(case: Case) -> Iterator[tuple[Path, str]]:
    """Doubt disturbances of information that nobody can notice."""
    listed = [each for each in case.scenario.disturbances if isinstance(each, Disturbance)]
    for index, each in enumerate(listed):
        path: Path = ("disturbances", index)
        if each.kind() == "swapped_columns" and not _sees(case, each):
            yield path, f"no policy that it hits sees {' or '.join(_listed(each, 'features'))}"
        if each.kind() == "delayed_limit" and not any(
            other.kind() == "curtailment" and _sent_during(case, other, each) for other in listed
        ):
            yield path, "no limit on PV begins or ends while it lasts: nothing is delayed"


def _sees(case: Case, swap: Disturbance) -> bool:
    """Return whether any policy that a swap hits, or its stand-in, sees one of its features."""
    groups = _listed(swap, "groups")
    rows = case.population.rows_of(set(groups)) if groups else np.arange(len(case.population))
    seats = [seat for seat in case.seats if np.isin(seat.rows, rows).any()]
    seen = {name for seat in seats for name in seat.policy.features}
    seen |= {name for seat in seats if (s := seat.supervisor) for name in s.rule.features}
    return bool(seen & set(_listed(swap, "features")))


def _sent_during(case: Case, limit: Disturbance, delay: Disturbance) -> bool:
    """Return whether a limit is sent or lifted while a delay lasts, to anybody whom it hits."""
    begin, end = (case.scenario.civil(when) for when in (delay.start, delay.end))
    sent = any(begin <= case.scenario.civil(when) < end for when in (limit.start, limit.end))
    one, other = set(_listed(limit, "groups")), set(_listed(delay, "groups"))
    return sent and (not one or not other or bool(one & other))


def _listed(each: Disturbance, name: str) -> tuple[str, ...]:
    return tuple(each.model_dump()[name])
