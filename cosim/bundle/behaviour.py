"""How a bundle behaves: golden vectors replayed, and its actions within the range of training."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from cosim.bundle.card import Card, Column

#: a golden vector is met within this share of its action's size, see :func:`size_of`
TOLERANCE = 1e-6

#: smaller actions count as large as this, in their units
LEAST_SIZE = 0.01

Memory = np.ndarray | None
#: maps observations ``[m, d]`` and memory to decisions ``[m, a]`` and memory
Step = Callable[[np.ndarray, Memory], tuple[np.ndarray, Memory]]


def behaviour_problems(card: Card, step: Step, start: Callable[[int], Memory]) -> list[str]:
    """Replay the golden vectors, together and one by one, and probe the trained range."""
    seen = _table([golden.observation for golden in card.golden], card.observed)
    before, probes = _memory(card, "state"), _probes(card)
    try:
        together = step(seen, before)
        alone = [
            step(seen[i : i + 1], None if before is None else before[i : i + 1])
            for i in range(len(seen))
        ]
        probed, _ = step(probes, start(len(probes)))
    except Exception as error:  # a graph may still fail to run
        return [f"cannot be run ({type(error).__name__})"]
    wanted = len(card.decided)
    if probed.shape[1:] != (wanted,) or together[0].shape != (len(seen), wanted):
        return [f"returns decisions of shape {together[0].shape}, not {(len(seen), wanted)}"]
    singly = (np.concatenate([a for a, _ in alone]), _joined([memory for _, memory in alone]))
    return [
        *_golden_problems(card, (together[0], singly[0])),
        *_memory_problems((together[1], singly[1]), _memory(card, "state_after")),
        *_range_problems(card, probed),
    ]


def _golden_problems(card: Card, runs: Sequence[np.ndarray]) -> list[str]:
    """Say which golden vectors lead to other decisions than the card's."""
    expected = _table([golden.action for golden in card.golden], card.decided)
    low, high = columns_range(card.actions, len(card.decided))
    size, problems = size_of(expected, high - low), []
    for got in runs:
        off = ~(np.abs(got - expected) <= TOLERANCE * size)  # NaN is off
        problems += [
            f"golden vector {i}: action '{card.decided[j]}' is {got[i, j]:.9g}, not "
            f"{expected[i, j]:.9g}"
            for i, j in np.argwhere(off)
        ]
    return problems


def size_of(actions: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """Return how large golden actions ``[m, a]`` are, at most the card's range ``[a]``.

    That may be as wide as it likes; it makes no wrong action right. Of actions next to nothing the
    last digits are the machine's own; where all are 0 nothing tells their size, which counts as 1.
    """
    size = np.maximum(np.ptp(actions, axis=0), np.abs(actions).max(0))
    size = np.where(size > 0.0, np.maximum(size, LEAST_SIZE), 1.0)
    return np.asarray(np.minimum(size, reach))


def _memory_problems(runs: Sequence[Memory], expected: Memory) -> list[str]:
    """Say which golden vectors leave another memory than the card's."""
    problems = []
    for got in runs:
        if got is None or expected is None:
            continue
        off = ~(np.abs(got - expected) <= TOLERANCE * np.maximum(1.0, np.abs(expected)))
        problems += [
            f"golden vector {i}: what it remembers is not what the card says"
            for i in np.flatnonzero(off.any(axis=1))
        ]
    return problems


def _range_problems(card: Card, probed: np.ndarray) -> list[str]:
    low, high = columns_range(card.actions, len(card.decided))
    slack = TOLERANCE * (high - low)
    outside = ~((probed >= low - slack) & (probed <= high + slack)).all(axis=0)
    return [
        f"action '{card.decided[j]}' leaves its range within the range of training"
        for j in np.flatnonzero(outside)
    ]


def columns_range(columns: Sequence[Column], width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return lowest and highest values ``[width]``; of a joint policy repeated for each agent."""
    low, high = np.array([c.low for c in columns]), np.array([c.high for c in columns])
    return np.resize(low, width), np.resize(high, width)


def _table(rows: Sequence[dict[str, float]], names: Sequence[str]) -> np.ndarray:
    return np.array([[row[name] for name in names] for row in rows])


def _memory(card: Card, which: str) -> Memory:
    """Return what the golden vectors remember before or after ``[m, width]``."""
    if not card.states:
        return None
    held = [getattr(golden, which) for golden in card.golden]
    return np.array([[v for state in card.states for v in rows[state.name]] for rows in held])


def _joined(memories: Sequence[Memory]) -> Memory:
    found = [memory for memory in memories if memory is not None]
    return np.concatenate(found) if found else None


def _probes(card: Card) -> np.ndarray:
    """Return observations from the corners and the inside of the range of training."""
    low, high = columns_range(card.features, len(card.observed))
    inside = np.random.Generator(np.random.PCG64(0)).random((62, len(low)))
    share = np.concatenate((np.zeros_like(low)[None], np.ones_like(low)[None], inside))
    return np.asarray(low * (1.0 - share) + high * share)
