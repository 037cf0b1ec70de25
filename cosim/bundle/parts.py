"""What the parts of a policy card are made of: strict, frozen, bounded, plain ASCII."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Text = Annotated[str, StringConstraints(pattern=r"^[\x20-\x7e]{1,2000}\z")]
Word = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}\z")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}\z")]
Seeds = Annotated[tuple[Annotated[int, Field(ge=0, lt=2**63)], ...], Field(max_length=1000)]


class Part(BaseModel):
    """Base of the card's parts: frozen, strict, no unknown keys, no infinities."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Calendar(Part):
    """Which civil days a learner may see; the others are kept from it.

    Days are counted from 2016-01-01 in cycles of ``cycle_days``: those of ``test`` are for judging
    only, those of ``calibrate`` for the supervisor; so are, for judging, the seven days from each
    of ``test_weeks`` on, in every year.
    """

    cycle_days: int = Field(8, ge=1, le=366)
    test: tuple[int, ...] = (3, 7)
    calibrate: tuple[int, ...] = (2,)
    test_weeks: tuple[Annotated[str, StringConstraints(pattern=r"^\d\d-\d\d\z")], ...] = Field(
        ("01-18", "07-18"), description="month and day of their first days"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Calendar:
        outside = [d for d in (*self.test, *self.calibrate) if not 0 <= d < self.cycle_days]
        if outside:
            raise ValueError(f"day {outside[0]} lies outside a cycle of {self.cycle_days}")
        if set(self.test) & set(self.calibrate):
            raise ValueError("a day can be for tests or for calibration, not for both")
        for week in self.test_weeks:
            datetime.strptime(f"2016-{week}", "%Y-%m-%d")
        return self


Row = Annotated[tuple[float, ...], Field(min_length=1, max_length=256)]
Blocks = Annotated[tuple[Row, ...], Field(min_length=1, max_length=288)]
Matrices = Annotated[
    tuple[Annotated[tuple[Row, ...], Field(min_length=1, max_length=256)], ...],
    Field(min_length=1, max_length=288),
]


class Supervision(Part):
    """What was normal in training, by hour block, and when to doubt an observation.

    An observation is doubted where its squared Mahalanobis distance to the mean of its block is
    above ``threshold_day``, calibrated on whole days so that a share ``alarm_rate`` of normal days
    alarms. What has stood still for longer than ``longest_run`` intervals scores ``run_score``
    times the ratio of both. The policy is set aside after ``persistence_k`` doubts among the last
    ``persistence_m``
    intervals, and trusted again once the distance stays below ``hysteresis`` times the threshold.
    """

    blocks_per_day: int = Field(ge=1, le=288)
    features: tuple[Word, ...] = Field(min_length=1, max_length=256)
    mean: Blocks = Field(description="[blocks][d], in the units of the features")
    precision: Matrices = Field(description="[blocks][d][d], inverse covariance")
    longest_run: Blocks | None = Field(
        None, description="[blocks][d], intervals; None: standing still is not looked at"
    )
    run_score: float = Field(0.0, ge=0.0, description="in the unit of the threshold")
    threshold_day: float = Field(gt=0.0)
    alarm_rate: float = Field(gt=0.0, lt=1.0, description="share of normal days that alarm")
    calibration_days: int = Field(ge=1, le=100_000)
    prosumers: int | None = Field(
        None, ge=1, le=1_000_000, description="in the calibration; more of them alarm more often"
    )
    persistence_k: int = Field(ge=1, le=96)
    persistence_m: int = Field(ge=1, le=96)
    hysteresis: float = Field(gt=0.0, le=1.0, description="of the threshold, to trust again")

    @model_validator(mode="after")
    def _consistent(self) -> Supervision:
        blocks, size = self.blocks_per_day, len(self.features)
        if len(set(self.features)) < size:
            raise ValueError("a feature stands twice")
        if len(self.mean) != blocks or any(len(row) != size for row in self.mean):
            raise ValueError(f"mean must have {blocks} rows of {size}, one for each block")
        square = all(len(m) == size == len(row) for m in self.precision for row in m)
        if len(self.precision) != blocks or not square:
            raise ValueError(f"precision must have {blocks} matrices of {size} x {size}")
        if self.longest_run is not None:
            if len(self.longest_run) != blocks or any(len(r) != size for r in self.longest_run):
                raise ValueError(f"longest_run must have {blocks} rows of {size}, as mean has")
            if min(map(min, self.longest_run)) < 1.0:
                raise ValueError("longest_run must be at least 1 everywhere")
        if not _positive(np.array(self.precision)):
            raise ValueError("precision must be symmetric and positive definite in every block")
        if self.persistence_k > self.persistence_m:
            raise ValueError("persistence_k must not be above persistence_m")
        return self


def _positive(matrices: np.ndarray) -> bool:
    """Return whether all matrices ``[..., d, d]`` are symmetric and positive definite."""
    swapped = np.swapaxes(matrices, -1, -2)
    if not np.allclose(matrices, swapped, rtol=1e-9, atol=1e-12 * np.abs(matrices).max()):
        return False
    with np.errstate(all="ignore"):
        try:
            return bool(np.isfinite(np.linalg.cholesky(matrices)).all())
        except np.linalg.LinAlgError:
            return False
