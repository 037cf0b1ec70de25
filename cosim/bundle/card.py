"""The policy card: what a bundle says of itself, checked field by field and against this world."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from cosim.errors import did_you_mean
from cosim.observe import ACTIONS, FEATURES, Quantity

#: raised whenever clock, signs, settlement or market change what a decision means
SEMANTICS = 1
CARD, MODEL = "card.json", "model.onnx"
CARD_CAP, MODEL_CAP = 1 << 20, 16 << 20  # bytes

Text = Annotated[str, StringConstraints(pattern=r"^[\x20-\x7e]{1,2000}\z")]
Word = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}\z")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}\z")]
Seeds = Annotated[
    tuple[Annotated[int, Field(ge=0, lt=2**63)], ...], Field(min_length=1, max_length=1000)
]


class Part(BaseModel):
    """Base of the card's parts: frozen, strict, no unknown keys, no infinities."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Column(Part):
    """A feature or an action as it was trained: its meaning and the range it was trained in."""

    name: Word
    unit: Text
    meaning: Text
    low: float
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> Column:
        if not self.low < self.high:
            raise ValueError(f"{self.name}: low {self.low} must be below high {self.high}")
        return self


class ModelFile(Part):
    """The graph: its file beside the card, and what vouches for its bytes."""

    file: Literal["model.onnx"]
    sha256: Sha256
    size_bytes: int = Field(gt=0, le=MODEL_CAP)


class Timing(Part):
    """The clock the policy was trained on."""

    interval_s: int = Field(ge=1, le=86_400)


class Training(Part):
    """How the policy came to be, and the command that does it again."""

    scenario: Text
    scenario_sha256: Sha256
    seeds: Seeds
    steps: int = Field(ge=0, lt=2**63, description="decisions of single prosumers")
    wall_s: float = Field(ge=0.0)
    command: Text
    notes: tuple[Text, ...]


class Figure(Part):
    """One measure over one period, for every policy it was taken of."""

    period: Text
    measure: Text
    unit: Text
    values: dict[Word, float] = Field(min_length=1)


class Evaluation(Part):
    """What was measured, on which days and seeds, against which rules, and what it does not say."""

    measured: Text
    against: tuple[Word, ...] = Field(min_length=1)
    days: tuple[Text, ...] = Field(min_length=1)
    seeds: Seeds
    figures: tuple[Figure, ...] = Field(min_length=1)
    caveats: tuple[Text, ...] = Field(min_length=1)


class Golden(Part):
    """An observation and the action it leads to, by name."""

    observation: dict[Word, float]
    action: dict[Word, float]


class Card(Part):
    """The policy card; ``card.json`` holds exactly this."""

    schema_version: Literal[1]
    name: Word
    version: Text
    licence: Text
    framework: Text
    algorithm: Text
    model: ModelFile
    scope: Literal["agent"]
    timing: Timing
    features: tuple[Column, ...] = Field(min_length=1, max_length=256)
    actions: tuple[Column, ...] = Field(min_length=1, max_length=16)
    training: Training
    evaluation: Evaluation
    golden: tuple[Golden, ...] = Field(min_length=8, max_length=256)
    semantics_sha256: Sha256

    @model_validator(mode="after")
    def _consistent(self) -> Card:
        features = names(self.features)
        for columns in (features, names(self.actions)):
            if len(set(columns)) < len(columns):
                raise ValueError(f"a name stands twice among {', '.join(columns)}")
        for index, golden in enumerate(self.golden):
            if set(golden.observation) != set(features):
                raise ValueError(f"golden vector {index} does not have exactly the features")
            if set(golden.action) != set(names(self.actions)):
                raise ValueError(f"golden vector {index} does not have exactly the actions")
        return self


def names(columns: Sequence[Column]) -> tuple[str, ...]:
    """Return the names of the columns, in order."""
    return tuple(column.name for column in columns)


def semantics_sha256(features: Sequence[str], actions: Sequence[str]) -> str:
    """Return the hash of what features and actions mean here, in their order."""
    lines = [f"semantics {SEMANTICS}"]
    for catalogue, names in ((FEATURES, features), (ACTIONS, actions)):
        entries: list[Quantity] = [catalogue[name] for name in names]
        lines += [repr((q.name, q.unit, float(q.low), float(q.high), q.meaning)) for q in entries]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def catalogue_problems(card: Card) -> list[str]:
    """Say which features and actions do not mean here what they meant in training."""
    problems: list[str] = []
    for kind, columns, catalogue in (
        ("feature", card.features, FEATURES),
        ("action", card.actions, ACTIONS),
    ):
        for column in columns:
            found = _column_problems(column, catalogue)
            problems += [f"{kind} '{column.name}' {problem}" for problem in found]
    features, actions = names(card.features), names(card.actions)
    if not problems and card.semantics_sha256 != semantics_sha256(features, actions):
        listed = ", ".join(features + actions)
        return [f"clock, market or order of columns differ from those of training ({listed})"]
    return problems


def _column_problems(column: Column, catalogue: Mapping[str, Quantity]) -> list[str]:
    known = catalogue.get(column.name)
    if known is None:
        return [f"does not exist here; {did_you_mean(column.name, catalogue)}"]
    pairs = (("unit", column.unit, known.unit), ("meaning", column.meaning, known.meaning))
    found = [
        f"has the {what} '{here}' here, not '{old}'" for what, old, here in pairs if old != here
    ]
    if not known.low <= column.low < column.high <= known.high:
        found.append(
            f"was trained from {column.low} to {column.high}, which lies outside "
            f"{known.low} to {known.high}"
        )
    return found
