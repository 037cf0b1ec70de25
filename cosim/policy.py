"""The contract of a policy: batches of named observations in, named actions out.

A policy is a frozen value (its fields are its options in the YAML). It is called once per
interval on the batch of all prosumers it serves; what it remembers is a value it returns.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from cosim.errors import InputError, Problem, did_you_mean
from cosim.observe import ACTIONS, FEATURES
from cosim.plugins import Plugin
from cosim.supervision import Supervision


@dataclass(frozen=True, eq=False)
class PolicyContext:
    """Beside the observations: who is asked, which interval, and keyed uniform draws.

    ``draws`` is ``[m, draws]`` in [0, 1), from streams of each prosumer's own.
    """

    ids: np.ndarray
    interval: int
    interval_h: float
    draws: np.ndarray


@dataclass(frozen=True, eq=False)
class Seating:
    """Whom a policy will serve: names and rows of prosumers, its clock, and the kind of market."""

    names: tuple[str, ...]
    rows: np.ndarray
    interval_s: int
    gate_lead_s: int
    on_metered: bool = False  # the market clears what was metered, not orders


class Policy(Plugin):
    """Abstract policy; one file per policy in the agents folder.

    ``features`` and ``actions`` name the columns of observations and decisions; ``draws`` is the
    number of uniform draws wanted per prosumer and interval. Each may be a property where options
    decide it.
    """

    features: ClassVar[tuple[str, ...]] = ()
    actions: ClassVar[tuple[str, ...]] = ("battery_kw",)
    draws: ClassVar[int] = 0

    @property
    def files(self) -> tuple[tuple[str, str], ...]:
        """What the bound policy has read: names and SHA-256, for the record of a run."""
        return ()

    @property
    def supervision(self) -> Supervision | None:
        """What a supervisor knows of the bound policy; None: it must be given by the scenario."""
        return None

    def bound(self, folder: Path, interval_s: int) -> Policy:
        """Return the policy ready to act in market intervals of ``interval_s``.

        Files are found from the scenario's ``folder``. Raises InputError when it cannot act.
        """
        return self

    def seated(self, seating: Seating) -> Policy:
        """Return the policy for these prosumers; raises InputError when it cannot serve them."""
        return self

    def start(self, count: int) -> Any:
        """Return the memory before the first interval for a batch of ``count`` prosumers."""
        return None

    @abstractmethod
    def act(
        self, observations: np.ndarray, context: PolicyContext, memory: Any
    ) -> tuple[np.ndarray, Any]:
        """Map observations ``[m, d]`` to decisions ``[m, a]`` in physical units, and new memory."""


def check_names(policy: Policy) -> None:
    """Raise InputError for features and actions of a policy that do not exist."""
    problems = [
        Problem(
            f"the policy '{policy.kind()}' asks for the unknown {what} '{name}'",
            remedy=did_you_mean(name, catalogue),
        )
        for what, names, catalogue in (
            ("feature", policy.features, FEATURES),
            ("action", policy.actions, ACTIONS),
        )
        for name in names
        if name not in catalogue
    ]
    if problems:
        raise InputError(problems)
