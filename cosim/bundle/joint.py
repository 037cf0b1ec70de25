"""Joint policies: one network decides for an ordered list of agents at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cosim.bundle.card import Card, names
from cosim.bundle.load import Bundle
from cosim.errors import did_you_mean


def joint_problems(card: Card, served: Sequence[str]) -> list[tuple[str, str]]:
    """Say which agents of a joint policy are missing or unknown: what, and the remedy."""
    label = f"the joint policy '{card.name}'"
    again = f"give it exactly its agents, or train it again: {card.training.command}"
    missing = [
        (f"{label} decides for '{name}', who is not in its group", did_you_mean(name, served))
        for name in card.agents
        if name not in served
    ]
    unknown = [
        (f"{label} was not trained for '{name}', who is in its group", again)
        for name in served
        if name not in card.agents
    ]
    return (missing + unknown)[:20]


@dataclass(frozen=True, eq=False)
class Table:
    """Where each agent of a joint policy sits: ``rows`` of the population in the card's order.

    Who is absent (without supply) is shown to the network as the card's ``absent`` values, and its
    decision is dropped. The memory is one for all; as rows of the absent are not updated, every row
    carries it behind the number of decisions taken, and the newest row holds.
    """

    rows: np.ndarray  # [n]
    absent: np.ndarray  # [d]

    @staticmethod
    def of(card: Card, served: Sequence[str], rows: np.ndarray) -> Table:
        """Return the table for the served prosumers, who are exactly the card's agents."""
        at = dict(zip(served, rows.tolist(), strict=True))
        assert card.absent is not None
        absent = np.array([card.absent[name] for name in names(card.features)])
        return Table(np.array([at[name] for name in card.agents]), absent)

    @staticmethod
    def start(bundle: Bundle, count: int) -> np.ndarray | None:
        """Return the memory before the first decision: ``[count, 1 + width]``, or None."""
        own = bundle.start(1)
        return None if own is None else np.zeros((count, 1 + own.shape[1]))

    def step(
        self, bundle: Bundle, observations: np.ndarray, ids: np.ndarray, memory: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Map the present agents' observations ``[m, d]`` to their decisions and memory."""
        order = np.argsort(self.rows)
        place = order[np.searchsorted(self.rows, ids, sorter=order)]
        shown = np.tile(self.absent, (len(self.rows), 1))
        whole = np.isfinite(observations).all(axis=1, keepdims=True)
        shown[place] = np.where(whole, observations, self.absent)  # a bad row spoils no other
        if memory is None:
            decided, after = bundle.step(shown.reshape(1, -1), None)
        else:
            newest = memory[np.argmax(memory[:, 0])]
            decided, kept = bundle.step(shown.reshape(1, -1), newest[None, 1:])
            assert kept is not None
            row = np.concatenate(([newest[0] + 1.0], kept[0]))
            after = np.tile(row, (len(ids), 1))
        return decided.reshape(len(self.rows), -1)[place], after
