"""Several trainings of one kind: bundles whose records agree in all but the seed of learning.

A verdict on one bundle says how good that network is. How good the training is, and how much of
it luck, is said by as many trainings as there are seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cosim.bundle.card import Card
from cosim.studies.statistics import interquartile_mean
from cosim.studies.verdict import Findings


@dataclass(frozen=True)
class Spread:
    """A figure over training runs; NaN where one of them has none."""

    mean: float
    middle: float  # interquartile mean
    low: float
    high: float


@dataclass(frozen=True)
class Trainings:
    """Candidates that differ in the seed of training alone; ``cost`` [EUR/day].

    ``runs`` counts the seeds: a bundle that is judged twice is one training.
    """

    names: tuple[str, ...]
    seeds: tuple[tuple[int, ...], ...]
    cost: Spread
    captured: Spread

    @property
    def runs(self) -> int:
        """How many training runs these candidates come of."""
        return len(set(self.seeds))


def trainings(cards: Mapping[str, Card], found: Findings) -> tuple[Trainings, ...]:
    """Return the groups of candidates that are several trainings of one kind."""
    groups: dict[str, dict[str, Card]] = {}
    for name, card in cards.items():
        groups.setdefault(_kind(name, card), {})[name] = card
    summed = (_summed(found, each) for each in groups.values())
    return tuple(each for each in summed if each.runs > 1)


def runs_behind(found: Sequence[Trainings], name: str) -> int:
    """Return on how many training runs the verdict on a candidate's training rests."""
    return max((each.runs for each in found if name in each.names), default=1)


def _kind(name: str, card: Card) -> str:
    """Return what trainings of one kind have in common; a name where that is not known."""
    training = card.training
    if training.scenario_sha256 is None or not training.seeds:
        return name
    alike = training.model_dump(exclude={"scenario", "seeds", "wall_s", "command"})
    same = ("framework", "algorithm", "scope", "agents", "timing", "features", "actions", "states")
    return repr([alike, [getattr(card, field) for field in same]])


def _summed(found: Findings, cards: Mapping[str, Card]) -> Trainings:
    """Return the figures of some candidates over their trainings, each seed once."""
    first = {card.training.seeds: name for name, card in reversed(list(cards.items()))}
    verdicts = [found.of(name) for name in first.values()]
    return Trainings(
        tuple(cards),
        tuple(card.training.seeds for card in cards.values()),
        _spread([each.cost.value for each in verdicts]),
        _spread([each.captured.value for each in verdicts]),
    )


def _spread(values: Sequence[float]) -> Spread:
    own = np.array(values)
    figures = (own.mean(), interquartile_mean(own), own.min(), own.max())
    return Spread(*map(float, figures))
