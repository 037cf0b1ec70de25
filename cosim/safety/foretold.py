"""What a supervisor will say of a scenario, as far as it is known before anything runs.

Prices, calendar and the constants of homes are known beforehand. Whatever the other features will
be, a squared Mahalanobis distance is at least that of the known ones under the covariance of these
alone, and a published price that stands still for longer than ever scores on its own. Where that is
above the threshold often enough, the alarm is certain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosim.almanac import Almanac
from cosim.case import Case
from cosim.conditions import Factor
from cosim.feature_kinds import KIND_OF
from cosim.forecasts.base import Forecast
from cosim.known import nothing_past, sensed
from cosim.observe import encode
from cosim.safety.fit import Observed, standing
from cosim.seats import Seat
from cosim.supervisor import Statistics

#: kinds of features that no run changes
KNOWN = ("price", "time", "type")
#: days that are looked at, evenly taken
DAYS = 14


@dataclass(frozen=True)
class Foretold:
    """Days looked at, those with a certain alarm, the score it is due to, and by which feature."""

    days: int
    certain: int
    score: float
    feature: str


def foretold(case: Case, seat: Seat) -> Foretold | None:
    """Return what the supervisor of a seat cannot but find; None: it knows nothing beforehand."""
    how = seat.supervisor
    known = [i for i, name in enumerate(seat.policy.features) if KIND_OF[name] in KNOWN]
    if how is None or not known:
        return None
    seen = beforehand(case, seat, tuple(seat.policy.features[i] for i in known))
    least, share = _least_scores(how.statistics, seen, np.array(known))
    over = least > how.statistics.threshold
    k, m = how.statistics.k, how.statistics.m
    padded = np.concatenate((np.zeros((len(over), m - 1, over.shape[2]), bool), over), axis=1)
    often = np.lib.stride_tricks.sliding_window_view(padded, m, axis=1).sum(-1) >= k
    place = np.unravel_index(int(least.argmax()), least.shape)
    return Foretold(
        len(over),
        int(np.any(often, axis=(1, 2)).sum()),
        float(least[place]),
        seen.features[int(share[place].argmax())],
    )


def beforehand(case: Case, seat: Seat, features: tuple[str, ...]) -> Observed:
    """Return what a seat will see of features that no run changes, on some days of a case."""
    per_day = max(1, 86_400 // case.grid.interval_s)
    there = max(1, case.grid.intervals // per_day)
    days = np.unique(np.linspace(0, there - 1, min(DAYS, there)).astype(int))
    steps = min(per_day, case.grid.intervals)
    hours = case.grid.local_hours()
    almanac, people, forecast = Almanac(case), case.population, case.scenario.forecast
    assert isinstance(forecast, Forecast)
    nothing = sensed(people.initial_kwh, None, people.bus)
    past, draws = nothing_past((len(people),)), np.full((len(people), forecast.draws), 0.5)

    def factor(name: Factor) -> np.ndarray:
        return np.full(len(people), np.inf if name == "pv_share" else 1.0)

    def row(k: int) -> np.ndarray:
        prices = almanac.published(k, factor)
        _, view = almanac.at(k, prices, nothing, past, factor, draws)
        return encode(view, features, seat.rows)

    ks = days[:, None] * per_day + np.arange(steps)
    seen = np.array([[row(int(k)) for k in day] for day in ks])
    return Observed(features, seen, hours[ks], days)


def _least_scores(
    statistics: Statistics, seen: Observed, known: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the least score ``[days, steps, r]``, and that of each feature alone ``[..., d]``."""
    blocks = len(statistics.mean)
    block = (seen.hours * blocks / 24.0).astype(np.intp) % blocks
    runs = standing(seen)
    least, alone = np.zeros(seen.observations.shape[:-1]), np.zeros(seen.observations.shape)
    for b in np.unique(block):
        at = block == b
        covariance = _covariance(statistics.precision[b], known)
        delta = seen.observations[at] - statistics.mean[b, known]
        distance = np.einsum("...i,ij,...j->...", delta, np.linalg.inv(covariance), delta)
        longer = runs[at] / statistics.longest_run[b, known]
        frozen = np.where(longer > 1.0, statistics.run_score * longer, 0.0)
        least[at] = np.maximum(distance, frozen.max(-1))
        alone[at] = np.maximum(delta**2 / np.diag(covariance), frozen)
    return least, alone


def _covariance(precision: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the covariance of some features alone, from the precision of all."""
    unit = np.sqrt(np.diag(precision))
    whole = np.linalg.inv(precision / np.outer(unit, unit)) / np.outer(unit, unit)
    return np.asarray(whole[np.ix_(known, known)])
