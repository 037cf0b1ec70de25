"""The scenario: every input of a run as one frozen value, checked once at the border.

Names carry their unit. Times without an offset are civil times of ``time.zone``. Unknown keys are
errors. Equal scenarios give equal results.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, ValidationError, model_validator

from cosim import document, validation
from cosim.errors import InputError, Problem, did_you_mean
from cosim.glossary import KPIS
from cosim.known_keys import known_keys
from cosim.plugins import DisturbanceField, MarketField, PolicyField, ProfilesField
from cosim.sections import (
    Co2,
    Effect,
    Expectation,
    FeederSection,
    Group,
    Latency,
    Scale,
    Section,
    Tariff,
    Time,
)
from cosim.timegrid import TimeGrid
from cosim.times import Name


class Scenario(Section):
    """Every input of a run."""

    name: Name = Field(description="names the folder of results")
    description: str = Field("", description="what the scenario is about")
    seed: int = Field(0, ge=0, lt=2**63, description="seed of all draws")
    time: Time
    feeder: FeederSection
    profiles: ProfilesField
    scale: Scale = Scale()
    tariff: Tariff = Tariff()
    co2: Co2 = Co2()
    market: MarketField
    trade_limit: Literal["physical", "none"] = Field(
        "physical", description="orders within the forecast surplus or deficit, or unlimited"
    )
    forecast: Literal["perfect_interval", "persistence"] = Field(
        "perfect_interval", description="what is known of the coming interval when deciding"
    )
    policies: dict[Name, PolicyField] = Field(min_length=1, description="policies by own names")
    groups: dict[Name, Group] = Field(min_length=1, description="who follows which policy")
    latency: Latency = Latency()
    disturbances: tuple[DisturbanceField, ...] = Field((), description="what goes wrong, and when")
    variants: dict[Name, dict[str, Any]] = Field(
        default_factory=dict, description="overrides run beside the main run on the same draws"
    )
    record: tuple[str, ...] | None = Field(None, description="tables to write; default: all")
    effects: tuple[Effect, ...] = Field((), description="what the disturbances should do")
    expect: tuple[Expectation, ...] = Field((), description="bounds that key figures must keep")

    @model_validator(mode="after")
    def _names_resolve(self) -> Scenario:
        users = {name: group.policy for name, group in self.groups.items()}
        hit = [getattr(disturbance, "groups", ()) for disturbance in self.disturbances]
        found = _unknown_names(self.policies, users, hit) + self._outside() + self._no_kpis()
        if found:
            raise validation.refusal(found)
        return self

    def _outside(self) -> list[validation.Located]:
        """Return the times of disturbances that the run does not reach."""
        begin, end = self.begin, self.begin + timedelta(days=self.time.days)
        return [
            (
                ("disturbances", index, field),
                f"disturbance {index} ({disturbance.kind()}): {field} {when} lies outside the run",
                f"the run lasts from {begin} to {end}",
            )
            for index, disturbance in enumerate(self.disturbances)
            for field in ("start", "end")
            if isinstance(when := getattr(disturbance, field, None), datetime)
            and not begin <= self.local(when) <= end
        ]

    def _no_kpis(self) -> list[validation.Located]:
        """Return the figures that expectations and effects name in vain."""
        named = [(("expect", i, "kpi"), item.kpi) for i, item in enumerate(self.expect)]
        named += [(("effects", i, "kpi"), item.kpi) for i, item in enumerate(self.effects)]
        return [
            (path, f"unknown KPI '{kpi}'", did_you_mean(kpi, KPIS))
            for path, kpi in named
            if kpi not in KPIS
        ]

    @cached_property
    def zone(self) -> ZoneInfo:
        """The civil zone."""
        return ZoneInfo(self.time.zone)

    @property
    def begin(self) -> datetime:
        """Begin of the run, tz-aware."""
        return self.local(self.time.start)

    def local(self, when: datetime) -> datetime:
        """Give a naive time the scenario's civil zone."""
        return when if when.tzinfo else when.replace(tzinfo=self.zone)

    def grid(self) -> TimeGrid:
        """Return the time grid; ``days`` are 24 h each, whatever daylight saving does."""
        step = self.time.interval_minutes * 60
        return TimeGrid(
            start=self.begin.astimezone(UTC),
            interval_s=step,
            intervals=self.time.days * 86_400 // step,
            lead_s=self.time.gate_lead_seconds,
            zone=self.zone,
        )


@dataclass(frozen=True)
class LoadedScenario:
    """A scenario with the document it was read from: folder for relative files, and hashes."""

    scenario: Scenario
    source: document.Document
    folder: Path

    def variant(self, name: str) -> LoadedScenario:
        """Return a variant: the scenario with ``variants.<name>`` laid over it."""
        return _loaded(document.overlaid(self.source, ("variants", name)), self.folder)

    def undisturbed(self) -> LoadedScenario:
        """Return the same scenario without its disturbances."""
        return self.replaced(disturbances=())

    def replaced(self, **changes: Any) -> LoadedScenario:
        """Return the scenario with checked top-level values replaced."""
        return replace(self, scenario=self.scenario.model_copy(update=changes))


def load_scenario(path: str | Path, overrides: Sequence[str] = ()) -> LoadedScenario:
    """Read, merge and check a scenario file; raise InputError with every problem found."""
    loaded = _loaded(document.read_document(Path(path), overrides), Path(path).resolve().parent)
    problems = _missing_counterparts(loaded)
    for name in loaded.scenario.variants:
        try:
            loaded.variant(name)
        except InputError as error:
            problems += [replace(p, what=f"variant '{name}': {p.what}") for p in error.problems]
    if problems:
        raise InputError(problems)
    return loaded


def _missing_counterparts(loaded: LoadedScenario) -> list[Problem]:
    """Return the scenarios that effects are held against and that do not exist."""
    return [
        Problem(
            f"no scenario '{effect.against}'",
            str(loaded.source.at(("effects", index, "against"))),
            remedy=did_you_mean(effect.against, [p.name for p in loaded.folder.glob("*.yaml")]),
        )
        for index, effect in enumerate(loaded.scenario.effects)
        if effect.against != "undisturbed" and not (loaded.folder / effect.against).is_file()
    ]


def _loaded(source: document.Document, folder: Path) -> LoadedScenario:
    """Check a document; errors point at its lines."""

    def known(path: document.Path) -> list[str]:
        return known_keys(Scenario, source.tree, path)

    try:
        return LoadedScenario(Scenario.model_validate(source.tree), source, folder)
    except ValidationError as error:
        problems = validation.problems_from_validation(error, source, known)
    for path, what, remedy in _unknown_names_of_tree(source.tree):
        problems.append(Problem(what, str(source.at(path)), remedy=remedy))
    raise InputError(list(dict.fromkeys(problems)))


def _unknown_names(
    policies: Iterable[str], users: Mapping[str, str], hit: Sequence[Iterable[str]]
) -> list[validation.Located]:
    """Return the policies that groups name, and groups that disturbances name, in vain."""
    policies = list(policies)
    found: list[validation.Located] = [
        (
            ("groups", group, "policy"),
            f"group '{group}' names unknown policy '{policy}'",
            did_you_mean(policy, policies),
        )
        for group, policy in users.items()
        if policy not in policies
    ]
    for index, groups in enumerate(hit):
        found += [
            (
                ("disturbances", index, "groups", place),
                f"unknown group '{group}'",
                did_you_mean(group, users),
            )
            for place, group in enumerate(groups)
            if group not in users
        ]
    return found


def _unknown_names_of_tree(tree: Mapping[str, Any]) -> list[validation.Located]:
    """Return the same of a tree that is wrong elsewhere, as far as it can be read."""
    policies, groups = tree.get("policies"), tree.get("groups")
    if not isinstance(policies, dict) or not isinstance(groups, dict):
        return []
    users = {
        name: group["policy"]
        for name, group in groups.items()
        if isinstance(group, dict) and isinstance(group.get("policy"), str)
    }
    return _unknown_names(policies, users, ())
