"""Trained policy: an ONNX bundle, a folder or archive of ``model.onnx`` and ``card.json``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, PrivateAttr

from cosim.bundle.card import CARD, Card
from cosim.bundle.joint import Table, joint_problems
from cosim.bundle.load import Bundle, is_archive, load_bundle
from cosim.errors import InputError, PluginError, Problem, did_you_mean
from cosim.policy import Policy, PolicyContext, Seating
from cosim.supervision import Supervision, from_card

#: the bundles that come with the program
TRAINED = Path(__file__).resolve().parent / "trained"


class Onnx(Policy):
    """Acts as the bundle's graph says; features and actions are those of its card.

    ``bundle`` is a folder or a zip archive: beside the scenario, one that comes with the program (a
    bare name like ``shared_ppo``), or below the current folder or the project's.
    """

    bundle: str = Field(
        min_length=1,
        max_length=1000,
        description="folder, archive, or name of a bundle",
        json_schema_extra={"format": "path"},
    )

    _loaded: Bundle | None = PrivateAttr(default=None)
    _table: Table | None = PrivateAttr(default=None)

    @property
    def features(self) -> tuple[str, ...]:  # type: ignore[override]
        """The card's features; none before the bundle is loaded."""
        return self._loaded.features if self._loaded else ()

    @property
    def actions(self) -> tuple[str, ...]:  # type: ignore[override]
        """The card's actions; none before the bundle is loaded."""
        return self._loaded.actions if self._loaded else ()

    @property
    def files(self) -> tuple[tuple[str, str], ...]:
        """The graph's file and its hash."""
        return self._loaded.files if self._loaded else ()

    @property
    def supervision(self) -> Supervision | None:
        """What the card says a supervisor should know."""
        card = self._loaded and self._loaded.card
        if not card or card.supervision is None:
            return None
        return from_card(card.supervision, card.timing.interval_s)

    def bound(self, folder: Path, interval_s: int) -> Onnx:
        """Return the policy with its bundle loaded and checked; raise InputError if refused."""
        bundle = load_bundle(self._find(folder))
        card = bundle.card
        if interval_s != card.timing.interval_s:
            raise _untimely(card, f"intervals of {card.timing.interval_s} s", f"{interval_s} s")
        bound = self.model_copy()
        bound._loaded = bundle
        return bound

    def seated(self, seating: Seating) -> Onnx:
        """Return the policy at the desk; refuse other gates, or agents a joint one was not for."""
        if self._loaded is None:
            return self
        card = self._loaded.card
        lead_s = card.timing.gate_lead_s
        if lead_s is not None and lead_s != seating.gate_lead_s:
            raise _untimely(card, f"gates {lead_s} s ahead", f"{seating.gate_lead_s} s")
        if card.scope == "agent":
            return self
        problems = joint_problems(card, seating.names)
        if problems:
            raise InputError([Problem(what, remedy=remedy) for what, remedy in problems])
        seated = self.model_copy()
        seated._table = Table.of(card, seating.names, seating.rows)
        return seated

    def start(self, count: int) -> np.ndarray | None:
        """Return the memory before the first interval; zeros, or None of a policy without."""
        if self._loaded is None:
            return None
        if self._loaded.card.scope == "joint":
            return Table.start(self._loaded, count)
        return self._loaded.start(count)

    def act(
        self, observations: np.ndarray, context: PolicyContext, memory: Any
    ) -> tuple[np.ndarray, Any]:
        """Return the graph's decisions."""
        if self._loaded is None:
            raise PluginError("an ONNX policy must be bound to its bundle before it acts")
        if self._loaded.card.scope == "agent":
            return self._loaded.step(observations, memory)
        if self._table is None:
            raise PluginError("a joint policy must be seated before it acts")
        return self._table.step(self._loaded, observations, context.ids, memory)

    def _find(self, folder: Path) -> Path:
        """Return the first folder with a card, or archive, among the places a bundle may lie."""
        bare = Path(self.bundle).name == self.bundle
        shipped = [TRAINED] if bare else []
        places = [base / self.bundle for base in (folder, *shipped, Path(), TRAINED.parents[1])]
        for place in places:
            try:
                if (place / CARD).is_file() or (is_archive(place) and place.is_file()):
                    return place
            except (OSError, ValueError):  # a name no file system takes
                continue
        known = [card.parent.name for card in TRAINED.glob(f"*/{CARD}")]
        raise InputError(
            Problem(
                f"no bundle '{self.bundle}': {self._missed(places)}",
                why=f"looked in {folder}, among those that come with the program, and here",
                remedy=did_you_mean(self.bundle, known),
            )
        )

    def _missed(self, places: list[Path]) -> str:
        """Say what lies there instead of a bundle."""
        if any(os.path.isdir(place) for place in places):
            return f"there is no {CARD} in that folder"
        if any(os.path.exists(place) for place in places):
            return "it is a file, and no .zip archive"
        return "there is no such folder or archive"


def _untimely(card: Card, trained: str, here: str) -> InputError:
    return InputError(
        Problem(
            f"policy '{card.name}' was trained on {trained}, the scenario has {here}",
            remedy=f"train it again: {card.training.command}",
        )
    )
