"""What a supervisor knows, as people and policy cards write it: JSON, checked field by field."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cosim.errors import InputError, Problem, did_you_mean
from cosim.observe import FEATURES
from cosim.regular_files import opened
from cosim.supervisor import Statistics

#: no statistics are larger [bytes]
CAP = 8 << 20
Row = tuple[float, ...]


class Supervision(BaseModel):
    """Statistics of observations and the threshold of a day, as the supervisor wants them.

    ``mean`` is ``[B][d]``, ``precision`` ``[B][d][d]`` and ``longest_run`` ``[B][d]`` for B equal
    parts of the civil day and d features in the policy's order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    blocks_per_day: int = Field(ge=1, le=288)
    interval_s: int = Field(ge=1, le=86_400, description="market interval [s]")
    features: tuple[str, ...] = Field(min_length=1, max_length=256)
    mean: tuple[Row, ...]
    precision: tuple[tuple[Row, ...], ...]
    longest_run: tuple[Row, ...] | None = Field(
        None, description="intervals for which a feature stood still; default: nobody looks"
    )
    run_score: float = Field(0.0, ge=0.0)
    threshold_day: float = Field(gt=0.0)
    alarm_rate: float = Field(gt=0.0, lt=1.0)
    calibration_days: int = Field(ge=1)
    prosumers: int | None = Field(
        None, ge=1, description="in the calibration; more of them alarm more often"
    )
    persistence_k: int = Field(ge=1, le=96)
    persistence_m: int = Field(ge=1, le=96)
    hysteresis: float = Field(gt=0.0, le=1.0)

    @model_validator(mode="after")
    def _consistent(self) -> Supervision:
        b, d = self.blocks_per_day, len(self.features)
        for name, shape in (("mean", (b, d)), ("precision", (b, d, d)), ("longest_run", (b, d))):
            value = getattr(self, name)
            if value is not None and _shape(value) != shape:
                raise ValueError(f"{name} must have shape {list(shape)}")
        if self.persistence_k > self.persistence_m:
            raise ValueError("persistence_k must not exceed persistence_m")
        if self.longest_run is not None and min(map(min, self.longest_run)) < 1.0:
            raise ValueError("longest_run must be at least 1 everywhere")
        for name in self.features:
            if name not in FEATURES:
                raise ValueError(f"unknown feature '{name}'; {did_you_mean(name, FEATURES)}")
        if (np.linalg.eigvalsh(_scaled(np.array(self.precision))) <= 0.0).any():
            raise ValueError("precision must be symmetric and positive definite")
        return self

    def statistics(self) -> Statistics:
        """Return the arrays."""
        mean = np.array(self.mean)
        longest = np.full_like(mean, np.inf) if self.longest_run is None else self.longest_run
        return Statistics(
            self.features,
            mean,
            np.array(self.precision),
            np.array(longest),
            self.run_score,
            self.threshold_day,
            self.persistence_k,
            self.persistence_m,
            self.hysteresis,
        )


def supervision(
    found: Statistics, interval_s: int, alarm_rate: float, days: int, prosumers: int
) -> Supervision:
    """Return calibrated statistics as they are written down."""
    return Supervision(
        blocks_per_day=len(found.mean),
        interval_s=interval_s,
        features=found.features,
        mean=found.mean.tolist(),
        precision=found.precision.tolist(),
        longest_run=found.longest_run.tolist(),
        run_score=found.run_score,
        threshold_day=found.threshold,
        alarm_rate=alarm_rate,
        calibration_days=days,
        prosumers=prosumers,
        persistence_k=found.k,
        persistence_m=found.m,
        hysteresis=found.hysteresis,
    )


def from_card(section: BaseModel, interval_s: int) -> Supervision:
    """Return what a policy's card says of it: the same fields, and the card's own interval.

    Raises InputError where a card holds what no supervisor takes.
    """
    try:
        return Supervision.model_validate({"interval_s": interval_s, **section.model_dump()})
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
    remedy = "write it with 'cosim policy calibrate ... --write-card'"
    raise InputError([Problem(f"supervision: {item['msg']}", remedy=remedy) for item in found[:20]])


def read_supervision(path: Path) -> tuple[Supervision, str]:
    """Return the statistics of a file and its SHA-256; raise InputError when it is refused."""
    remedy = "write it with 'cosim policy calibrate'"
    try:
        with opened(path) as file:
            data = file.read(CAP + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise InputError(Problem(f"cannot be read: {why}", str(path), remedy=remedy)) from None
    if len(data) > CAP:
        raise InputError(Problem(f"is larger than {CAP} bytes", str(path)))
    try:
        return Supervision.model_validate_json(data), hashlib.sha256(data).hexdigest()
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
    places = [(".".join(map(str, item["loc"])) or "file", item["msg"]) for item in found[:20]]
    raise InputError([Problem(f"{at}: {what}", str(path), remedy=remedy) for at, what in places])


def problems_with(given: Supervision, features: Sequence[str], interval_s: int) -> list[Problem]:
    """Say why statistics do not belong to a policy with these features and this interval."""
    remedy = "calibrate it again: cosim policy calibrate"
    found = []
    if tuple(features) != given.features:
        odd = sorted(set(features) ^ set(given.features)) or ["their order"]
        found.append(f"its supervisor was calibrated on other features: {', '.join(odd)}")
    if given.interval_s != interval_s:
        found.append(
            f"its supervisor was calibrated on intervals of {given.interval_s} s, "
            f"the scenario has {interval_s} s"
        )
    return [Problem(what, remedy=remedy) for what in found]


def _shape(rows: object) -> tuple[int, ...]:
    """Return the shape of nested tuples; (-1,) where they are ragged."""
    if not isinstance(rows, tuple):
        return ()
    below = {_shape(row) for row in rows}
    return (len(rows), *below.pop()) if len(below) == 1 else (-1,)


def _scaled(precision: np.ndarray) -> np.ndarray:
    """Return the matrices with 1 on the diagonal, so that units do not matter; NaN-free."""
    size = np.sqrt(np.maximum(np.diagonal(precision, axis1=-2, axis2=-1), math.ulp(0.0)))
    asymmetric = np.abs(precision - np.swapaxes(precision, -1, -2))
    wrong = (asymmetric > 1e-9 * (size[..., :, None] * size[..., None, :])).any((-1, -2))
    scaled = precision / (size[..., :, None] * size[..., None, :])
    return np.where(wrong[..., None, None], -np.eye(precision.shape[-1]), scaled)
