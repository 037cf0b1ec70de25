"""The policy card: what a bundle says of itself, checked field by field and against this world."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from cosim.bundle.parts import Calendar, Part, Seeds, Sha256, Supervision, Text, Word
from cosim.errors import did_you_mean
from cosim.observe import ACTIONS, FEATURES, Quantity

#: raised whenever clock, signs, settlement or market change what a decision means
SEMANTICS = 1
CARD, MODEL = "card.json", "model.onnx"
CARD_CAP, MODEL_CAP = 4 << 20, 16 << 20  # bytes


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
    """The clock the policy was trained on; without a lead it is held to the interval alone."""

    interval_s: int = Field(ge=1, le=86_400)
    gate_lead_s: int | None = Field(None, ge=1, lt=86_400)


class State(Part):
    """One thing a recurrent policy remembers: a row of ``width`` numbers, zeros at the start.

    The graph takes it in by its name and gives the next one out as ``<name>_next``.
    """

    name: Word
    width: int = Field(ge=1, le=4096)

    @property
    def after(self) -> str:
        """The name of the graph's output."""
        return f"{self.name}_next"


class Training(Part):
    """How the policy came to be, and the command that does it again; None where unknown."""

    scenario: Text | None
    scenario_sha256: Sha256 | None
    seeds: Seeds
    steps: int = Field(ge=0, lt=2**63, description="decisions of single prosumers")
    wall_s: float | None = Field(ge=0.0)
    command: Text
    notes: tuple[Text, ...]
    calendar: Calendar | None = Field(None, description="days kept from the learner; None: unknown")


class Figure(Part):
    """One measure over one period, for every policy it was taken of."""

    period: Text
    measure: Text
    unit: Text
    values: dict[Word, float] = Field(min_length=1)


class Interval(Part):
    """An estimate with its confidence interval."""

    value: float
    low: float
    high: float
    level: float = Field(gt=0.5, lt=1.0, description="of confidence, e.g. 0.95")

    @model_validator(mode="after")
    def _ordered(self) -> Interval:
        if not self.low <= self.value <= self.high:
            raise ValueError(f"{self.value} must lie within {self.low} to {self.high}")
        return self


class Foresight(Part):
    """Distance to the optimum of perfect foresight, over whole days."""

    regret_eur_per_day: Interval
    captured: Interval | None = Field(
        None, description="share of the gap from the self-consumption rule (0) to the optimum (1)"
    )
    days: int = Field(ge=1, le=100_000)
    runs: int = Field(ge=1, le=100_000, description="training runs judged")


class Evaluation(Part):
    """What was measured, on which days and seeds, against which rules, and what it does not say."""

    measured: Text
    against: tuple[Word, ...] = Field(min_length=1)
    days: tuple[Text, ...] = Field(min_length=1)
    seeds: Seeds = Field(min_length=1)
    figures: tuple[Figure, ...] = Field(min_length=1)
    caveats: tuple[Text, ...] = Field(min_length=1)
    foresight: Foresight | None = None


class Golden(Part):
    """An observation and the action it leads to, by name; of a recurrent policy its memory, too.

    The names of a joint policy are ``agent:feature`` and ``agent:action``.
    """

    observation: dict[Text, float]
    action: dict[Text, float]
    state: dict[Word, tuple[float, ...]] | None = None
    state_after: dict[Word, tuple[float, ...]] | None = None


class Card(Part):
    """The policy card; ``card.json`` holds exactly this.

    Of scope ``agent`` the network decides for one prosumer at a time. Of scope ``joint`` it takes
    the observations of all ``agents``, one after the other in their order, and gives all their
    decisions; for an agent who is not there it is shown the values of ``absent``.
    """

    schema_version: Annotated[int, Field(ge=1, le=1)]
    name: Word
    version: Text
    licence: Text
    framework: Text
    algorithm: Text
    model: ModelFile
    scope: Literal["agent", "joint"]
    agents: tuple[Text, ...] = Field((), max_length=1000)
    absent: dict[Word, float] | None = None
    timing: Timing
    features: tuple[Column, ...] = Field(min_length=1, max_length=256)
    actions: tuple[Column, ...] = Field(min_length=1, max_length=16)
    states: tuple[State, ...] = Field((), max_length=8)
    training: Training
    evaluation: Evaluation | None = None
    supervision: Supervision | None = None
    golden: tuple[Golden, ...] = Field(min_length=8, max_length=256)
    semantics_sha256: Sha256

    @model_validator(mode="after")
    def _consistent(self) -> Card:
        ports = [port for state in self.states for port in (state.name, state.after)]
        for listed in (names(self.features), names(self.actions), self.agents,
                       ("observation", "action", *ports)):  # fmt: skip
            if len(set(listed)) < len(listed):
                raise ValueError(f"a name stands twice among {', '.join(listed)[:500]}")
        for problem in (_scope_problem(self), _supervision_problem(self), _golden_problem(self)):
            if problem:
                raise ValueError(problem)
        return self

    @property
    def observed(self) -> tuple[str, ...]:
        """The columns the graph takes in; of a joint policy those of all agents."""
        return self._each(names(self.features))

    @property
    def decided(self) -> tuple[str, ...]:
        """The columns the graph gives out."""
        return self._each(names(self.actions))

    def _each(self, listed: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(f"{a}:{name}" for a in self.agents for name in listed) or listed


def _scope_problem(card: Card) -> str:
    """Say what a joint card lacks, or what one of scope 'agent' must not have."""
    joint = card.scope == "joint"
    if joint != bool(card.agents):
        return "agents must be named for scope 'joint', and for no other"
    if joint != (card.absent is not None):
        return "values of absent agents must be given for scope 'joint', and for no other"
    for column in card.features if card.absent is not None else ():
        value = (card.absent or {}).get(column.name)
        if value is None or not column.low <= value <= column.high:
            return f"absent: '{column.name}' needs a value within {column.low} to {column.high}"
    if set(card.absent or ()) - set(names(card.features)):
        return "absent: holds more than the features"
    return ""


def _supervision_problem(card: Card) -> str:
    known = names(card.features)
    unknown = [n for n in (card.supervision.features if card.supervision else ()) if n not in known]
    return f"supervision: '{unknown[0]}' is no feature of the policy" if unknown else ""


def _golden_problem(card: Card) -> str:
    """Say which golden vector does not hold exactly the columns and states of the card."""
    widths = {state.name: state.width for state in card.states} or None
    for index, golden in enumerate(card.golden):
        for what, held, columns in (
            ("features", golden.observation, card.observed),
            ("actions", golden.action, card.decided),
        ):
            if set(held) != set(columns):
                return f"golden vector {index} does not have exactly the {what}"
        for rows in (golden.state, golden.state_after):
            held_widths = None if rows is None else {name: len(r) for name, r in rows.items()}
            if held_widths != widths:
                return f"golden vector {index} does not have exactly the states"
    return ""


def names(columns: Sequence[Column]) -> tuple[str, ...]:
    """Return the names of the columns, in order."""
    return tuple(column.name for column in columns)


def semantics_sha256(features: Sequence[str], actions: Sequence[str], timing: Timing) -> str:
    """Return the hash of what clock, features and actions mean here, in their order.

    It holds the clock, names, units, ranges and meanings of the columns, and the version of the
    market's semantics: what a policy relies on without being able to notice a change.
    """
    lines = [f"semantics {SEMANTICS}", repr((timing.interval_s, timing.gate_lead_s))]
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
    if not problems and card.semantics_sha256 != semantics_sha256(features, actions, card.timing):
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
