"""The scenario: every input of a run as one frozen value, checked once at the border.

Names carry their unit. Times without an offset are civil times of ``time.zone``. Unknown keys are
errors. Equal scenarios give equal results.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, ValidationError, model_validator

from cosim import document, prices, validation
from cosim.disturbances.base import Disturbance
from cosim.errors import InputError, Problem, did_you_mean
from cosim.file_names import beside_the_run
from cosim.glossary import KPIS
from cosim.known_keys import known_keys
from cosim.markets.base import Market
from cosim.plugins import (
    DisturbanceField,
    ForecastField,
    MarketField,
    PolicyField,
    ProfilesField,
)
from cosim.section import Section
from cosim.sections import (
    Effect,
    Expectation,
    FeederSection,
    Group,
    GuardSection,
    Latency,
    Scale,
    SupervisorSection,
    Time,
)
from cosim.shipped import scenario_path
from cosim.tariff_sections import Co2, ImbalanceSection, Tariff
from cosim.timegrid import TimeGrid
from cosim.times import Name


class Scenario(Section):
    """Every input of a run."""

    name: Name = Field(description="names the folder of results")
    description: str = Field("", description="what the scenario is about")
    seed: int = Field(0, ge=0, lt=2**63, description="seed of all draws")
    time: Time
    feeder: FeederSection
    profiles: ProfilesField = Field(description="where homes, load and PV come from")
    scale: Scale = Scale()
    tariff: Tariff = Tariff()
    imbalance: ImbalanceSection = ImbalanceSection()
    co2: Co2 = Co2()
    market: MarketField = Field(description="how neighbours trade; none: with the supplier only")
    trade_limit: Literal["physical", "none"] = Field(
        "physical", description="orders within the forecast surplus or deficit, or unlimited"
    )
    curtailment_compensation: float = Field(
        0.0, ge=0.0, le=1.0, description="share of the feed-in price paid for curtailed energy [-]"
    )
    losses: Literal["supplier", "equal", "marginal"] = Field(
        "supplier",
        description="who carries the feeder's losses: nobody's bill, all alike, or each what their "
        "own injection adds",
    )
    forecast: ForecastField = Field(
        "perfect_interval",
        validate_default=True,
        description="what is known of the coming interval when deciding",
    )
    policies: dict[Name, PolicyField] = Field(min_length=1, description="policies by own names")
    groups: dict[Name, Group] = Field(min_length=1, description="who follows which policy")
    supervisors: dict[Name, SupervisorSection] = Field(
        default_factory=dict, description="policies under supervision, by their names"
    )
    guard: GuardSection = GuardSection()
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
        found = _unknown_names(self.policies, users, hit) + self._no_kpis()
        found += self._misplaced() + self._wrong_prices() + self._crowded()
        found += [
            (("supervisors", name), f"unknown policy '{name}'", did_you_mean(name, self.policies))
            for name in self.supervisors
            if name not in self.policies
        ]
        found += _not_of_variants(self.variants)
        if self.name in self.variants:
            what = f"a variant has the scenario's own name '{self.name}'"
            found.append((("variants", self.name), what, "give it another name"))
        if found:
            raise validation.refusal(found)
        return self

    def _misplaced(self) -> list[validation.Located]:
        """Return the times of disturbances that the run does not reach, and ends before starts."""
        grid = self.grid()
        begin, end = self.civil(grid.utc(0)), self.civil(grid.utc(grid.end_s))
        remedy = f"the run lasts from {begin} to {end}"
        found: list[validation.Located] = []
        for index, disturbance in self._events():
            times = {"start": self.civil(disturbance.start), "end": self.civil(disturbance.end)}
            who = f"disturbance {index} ({disturbance.kind()})"
            for field, when in times.items():
                if not 0 <= grid.second_of(when) <= grid.end_s:
                    what = f"{who}: {field} {when} lies outside the run"
                    found.append((("disturbances", index, field), what, remedy))
            if grid.second_of(times["start"]) >= grid.second_of(times["end"]):
                what = f"{who}: start {times['start']} must be before end {times['end']}"
                found.append((("disturbances", index, "end"), what, "let it end later"))
        return found

    def _crowded(self) -> list[validation.Located]:
        """Return rounds of trading that do not fit between OPEN and delivery."""
        grid = self.grid()
        if grid.lead_s >= 3 * grid.rounds:
            return []
        what = f"{grid.rounds} rounds of trading in {grid.lead_s} s before delivery"
        remedy = f"a round takes 3 s: give at least {3 * grid.rounds} s"
        return [(("time", "gate_lead_seconds"), what, remedy)]

    def _wrong_prices(self) -> list[validation.Located]:
        """Return the periods between interval borders, and what disturbances make of prices."""
        tariffs = list(self.tariffs())
        crossed = prices.crossed(tariffs, self.price_shocks())
        return prices.off_borders(tariffs, self.grid()) + crossed

    def price_shocks(self) -> list[prices.Shock]:
        """Return what disturbances make of prices."""
        return [
            prices.Shock(index, self.civil(each.start), self.civil(each.end), *each.price_factors)
            for index, each in self._events()
            if each.price_factors != (1.0, 1.0)
        ]

    def _events(self) -> Iterator[tuple[int, Disturbance]]:
        """Yield the disturbances and their places in the list."""
        for index, disturbance in enumerate(self.disturbances):
            if isinstance(disturbance, Disturbance):
                yield index, disturbance

    def tariffs(self) -> Iterator[tuple[document.Path, Tariff]]:
        """Yield the scenario's tariff and those of groups, and where they stand."""
        yield ("tariff",), self.tariff
        for name, group in self.groups.items():
            if group.tariff is not None:
                yield ("groups", name, "tariff"), group.tariff

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

    def civil(self, when: datetime) -> datetime:
        """Return the civil time of an instant, as clocks show it; naive times are civil."""
        return self.local(when).astimezone(UTC).astimezone(self.zone)

    def grid(self) -> TimeGrid:
        """Return the time grid; ``days`` are 24 h each, whatever daylight saving does."""
        step, market = self.time.interval_minutes * 60, self.market
        return TimeGrid(
            start=self.begin.astimezone(UTC),
            interval_s=step,
            intervals=self.time.days * 86_400 // step,
            lead_s=self.time.gate_lead_seconds,
            zone=self.zone,
            rounds=market.turns if isinstance(market, Market) else 1,
        )


@dataclass(frozen=True)
class LoadedScenario:
    """A scenario with the document it was read from; ``folder`` is where file names start."""

    scenario: Scenario
    source: document.Document
    folder: Path
    variant_name: str = ""  # of a variant, empty for the scenario itself

    def variant(self, name: str) -> LoadedScenario:
        """Return a variant: the scenario with ``variants.<name>`` laid over it."""
        changed = _loaded(document.overlaid(self.source, ("variants", name)), self.folder)
        return replace(changed, variant_name=name)

    def undisturbed(self) -> LoadedScenario:
        """Return the same scenario without its disturbances."""
        return self.replaced(disturbances=())

    def replaced(self, **changes: Any) -> LoadedScenario:
        """Return the scenario with checked top-level values replaced."""
        return replace(self, scenario=self.scenario.model_copy(update=changes))


def load_scenario(path: str | Path, overrides: Sequence[str] = ()) -> LoadedScenario:
    """Read, merge and check a scenario, a file or one of the shipped ones by its name.

    Raises InputError with every problem found.
    """
    path = scenario_path(path)
    loaded = _loaded(document.read_document(path, overrides), path.resolve().parent)
    problems = _missing_counterparts(loaded)
    for name in loaded.scenario.variants:
        try:
            loaded.variant(name)
        except InputError as error:
            problems += [replace(p, what=f"variant '{name}': {p.what}") for p in error.problems]
    if problems:
        raise InputError(problems)
    return loaded


#: what a variant cannot change, and why
_FIXED = {
    "name": "a variant is named by its key",
    "seed": "variants are compared on the same draws: run the scenario with --set seed=... instead",
    "variants": "a variant has no variants of its own",
    "extends": "a variant is laid over its own scenario",
}


def _not_of_variants(variants: Mapping[str, Mapping[str, Any]]) -> list[validation.Located]:
    """Return the keys of variants that are not theirs to change."""
    return [
        (("variants", name, key), f"variant '{name}' sets '{key}'", remedy)
        for name, changes in variants.items()
        for key, remedy in _FIXED.items()
        if key in changes
    ]


def _missing_counterparts(loaded: LoadedScenario) -> list[Problem]:
    """Return the scenarios that effects are held against and that do not exist."""
    return [
        Problem(
            f"no scenario '{effect.against}'",
            str(loaded.source.at(("effects", index, "against"))),
            remedy=did_you_mean(effect.against, [p.name for p in folder.glob("*.yaml")]),
        )
        for index, effect in enumerate(loaded.scenario.effects)
        for folder in [loaded.source.folder(("effects", index, "against"))]
        if effect.against != "undisturbed" and not (folder / effect.against).is_file()
    ]


def _loaded(source: document.Document, folder: Path) -> LoadedScenario:
    """Check a document; errors point at its lines."""

    def known(path: document.Path) -> list[str]:
        return known_keys(Scenario, source.tree, path)

    try:
        tree = beside_the_run(Scenario, source, folder)
        return LoadedScenario(Scenario.model_validate(tree), source, folder)
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
        found += [
            (("disturbances", index, "groups", place), f"group '{group}' stands twice", "keep one")
            for place, group in enumerate(groups)
            if group in [*groups][:place]
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
