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
from typing import Annotated, Any, Literal, get_args, get_origin
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cosim import document, plugins
from cosim.errors import InputError, did_you_mean
from cosim.plugins import DisturbanceField, MarketField, PolicyField, ProfilesField
from cosim.timegrid import TimeGrid
from cosim.times import HourOfDay, Moment, Name, PricePerKwh, Zone


class Section(BaseModel):
    """Base of the scenario's parts: frozen, no unknown keys, no infinities."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Time(Section):
    """When the run takes place and how it is cut into market intervals."""

    start: Moment = Field(description="begin of the first delivery")
    days: int = Field(ge=1, le=366, description="length of the run [d]")
    interval_minutes: Literal[5, 10, 15, 30, 60] = Field(15, description="market interval [min]")
    gate_lead_seconds: int = Field(
        60, ge=3, le=3600, description="how long before delivery the gates open [s]"
    )
    zone: Zone = Field("Europe/Berlin", description="civil zone of tariffs and calendar")

    @model_validator(mode="after")
    def _lead_fits(self) -> Time:
        if self.gate_lead_seconds >= self.interval_minutes * 60:
            raise ValueError(
                f"gate_lead_seconds {self.gate_lead_seconds} must be below the interval "
                f"({self.interval_minutes * 60} s)"
            )
        return self


class Limits(Section):
    """What counts as a grid breach."""

    vm_min_pu: float = Field(0.90, ge=0.5, le=1.0, description="lower voltage limit [p.u.]")
    vm_max_pu: float = Field(1.10, ge=1.0, le=1.5, description="upper voltage limit [p.u.]")
    line_percent: float = Field(100.0, ge=1.0, le=1000.0, description="line loading limit [%]")
    trafo_percent: float = Field(
        100.0, ge=1.0, le=1000.0, description="transformer loading limit [%]"
    )


class FeederSection(Section):
    """The network and how its load flow is solved."""

    source: Literal["simbench", "pandapower", "json"] = Field(
        "simbench", description="where the network comes from"
    )
    name: str = Field(
        min_length=1,
        max_length=200,
        description="simbench code, function of pandapower.networks, or path of a pandapower .json",
    )
    engine: str = Field("auto", description="auto, tree or pandapower")
    verify_every: int = Field(
        0, ge=0, description="compare with pandapower every so many load flows; 0: at start only"
    )
    slack_vm_pu: float | None = Field(
        None, ge=0.8, le=1.2, description="upstream voltage; default: the network's own [p.u.]"
    )
    limits: Limits = Limits()
    line_rating_ka: float | dict[str, float] | None = Field(
        None, description="override of line ratings, one number or by line name [kA]"
    )
    trafo_rating_kva: float | dict[str, float] | None = Field(
        None, description="override of transformer ratings, one number or by name [kVA]"
    )


class Period(Section):
    """A daily window with its own prices."""

    hours: tuple[HourOfDay, HourOfDay] = Field(description="begin and end, civil hours [h]")
    days: Literal["all", "weekdays", "weekend"] = "all"
    retail_eur_per_kwh: PricePerKwh | None = None
    feed_in_eur_per_kwh: PricePerKwh | None = None


class Tariff(Section):
    """What the supplier asks and pays, by time of use; the last matching period wins."""

    retail_eur_per_kwh: PricePerKwh = Field(0.20, description="price of drawn energy")
    feed_in_eur_per_kwh: PricePerKwh = Field(0.10, description="price of fed-in energy")
    periods: tuple[Period, ...] = ()

    @model_validator(mode="after")
    def _spread(self) -> Tariff:
        for retail, feed_in in self.price_pairs():
            if feed_in > retail:
                raise ValueError(
                    f"feed-in {feed_in} above retail {retail} EUR/kWh would pay for feeding in "
                    "what was just drawn"
                )
        return self

    def price_pairs(self) -> Iterable[tuple[float, float]]:
        """Yield (retail, feed-in) of the base and of each period."""
        yield self.retail_eur_per_kwh, self.feed_in_eur_per_kwh
        for period in self.periods:
            yield (
                self.retail_eur_per_kwh
                if period.retail_eur_per_kwh is None
                else period.retail_eur_per_kwh,
                self.feed_in_eur_per_kwh
                if period.feed_in_eur_per_kwh is None
                else period.feed_in_eur_per_kwh,
            )


class Co2(Section):
    """Carbon intensity of energy from upstream: one number, 24 hourly ones, or a CSV column."""

    kg_per_kwh: float = Field(0.4, ge=0.0, le=3.0, description="constant intensity")
    hourly_kg_per_kwh: tuple[Annotated[float, Field(ge=0.0, le=3.0)], ...] | None = Field(
        None, min_length=24, max_length=24, description="by civil hour of day"
    )
    csv: str | None = Field(None, description="file with a time series")
    time_column: str = "time"
    column: str = "co2_kg_per_kwh"
    unit: Literal["kg/kWh", "g/kWh"] = "kg/kWh"

    @model_validator(mode="after")
    def _one_source(self) -> Co2:
        if self.csv is not None and self.hourly_kg_per_kwh is not None:
            raise ValueError("give either csv or hourly_kg_per_kwh, not both")
        return self


class Battery(Section):
    """Constants that replace those of the profile source."""

    capacity_kwh: float | None = Field(None, ge=0.0, le=2000.0)
    rating_kw: float | None = Field(None, ge=0.0, le=2000.0)
    efficiency: float | None = Field(None, gt=0.3, le=1.0, description="round trip [-]")
    soc_min: float = Field(0.0, ge=0.0, le=1.0)
    soc_max: float = Field(1.0, ge=0.0, le=1.0)
    soc_initial: float = Field(0.5, ge=0.0, le=1.0)
    wear_eur_per_kwh: float = Field(0.0, ge=0.0, le=1.0, description="per kWh of throughput")

    @model_validator(mode="after")
    def _ordered(self) -> Battery:
        if not self.soc_min <= self.soc_initial <= self.soc_max:
            raise ValueError("soc_min <= soc_initial <= soc_max must hold")
        return self


class Group(Section):
    """Participants that share a policy; the first group that fits takes a participant."""

    members: Literal["all", "battery", "pv", "consumers"] | tuple[str, ...] = Field(
        "all", description="a kind of participant, or their names"
    )
    share: float = Field(
        1.0, gt=0.0, le=1.0, description="part of the members taken, drawn by name and seed"
    )
    policy: Name = Field(description="a name under 'policies'")
    battery: Battery = Battery()
    tariff: Tariff | None = Field(None, description="own tariff instead of the scenario's")


class Latency(Section):
    """How long orders travel, drawn per prosumer and interval, uniform in whole seconds."""

    min_s: int = Field(0, ge=0, le=86_400)
    max_s: int = Field(0, ge=0, le=86_400)

    @model_validator(mode="after")
    def _ordered(self) -> Latency:
        if self.min_s > self.max_s:
            raise ValueError("min_s must not exceed max_s")
        return self


class Scale(Section):
    """Factors on the profile source's homes, for the whole run."""

    load: float = Field(1.0, ge=0.0, le=20.0)
    pv: float = Field(1.0, ge=0.0, le=20.0)
    battery: float = Field(1.0, ge=0.0, le=20.0, description="on capacity and rating")


class Effect(Section):
    """The KPI a stress is meant to move, held by a test on paired seeds."""

    kpi: str
    direction: Literal["up", "down"]
    at_least: float = Field(gt=0.0, description="least difference, in the KPI's unit")
    against: str = Field(
        "undisturbed", description="'undisturbed', or the path of the plain scenario"
    )


class Expectation(Section):
    """A bound a KPI must keep; a miss ends the run with exit code 1."""

    kpi: str
    min: float | None = None
    max: float | None = None


class Scenario(Section):
    """Every input of a run."""

    name: Name
    description: str = ""
    seed: int = Field(0, ge=0, lt=2**63)
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
    forecast: Literal["perfect_interval", "persistence"] = "perfect_interval"
    policies: dict[Name, PolicyField] = Field(min_length=1)
    groups: dict[Name, Group] = Field(min_length=1)
    latency: Latency = Latency()
    disturbances: tuple[DisturbanceField, ...] = ()
    variants: dict[Name, dict[str, Any]] = Field(
        default_factory=dict, description="overrides run beside the main run on the same draws"
    )
    record: tuple[str, ...] | None = Field(None, description="tables to write; default: all")
    effects: tuple[Effect, ...] = ()
    expect: tuple[Expectation, ...] = ()

    @model_validator(mode="after")
    def _names_resolve(self) -> Scenario:
        for name, group in self.groups.items():
            if group.policy not in self.policies:
                hint = did_you_mean(group.policy, self.policies)
                raise ValueError(f"group '{name}' names unknown policy '{group.policy}'; {hint}")
        begin, end = self.begin, self.begin + timedelta(days=self.time.days)
        for index, disturbance in enumerate(self.disturbances):
            for field in ("start", "end"):
                when = getattr(disturbance, field, None)
                if when is not None and not begin <= self.local(when) <= end:
                    raise ValueError(
                        f"disturbance {index} ({disturbance.kind()}): {field} {when} lies outside "
                        f"the run ({begin} to {end})"
                    )
        return self

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
    for name in loaded.scenario.variants:
        loaded.variant(name)
    return loaded


def _loaded(source: document.Document, folder: Path) -> LoadedScenario:
    """Check a document; errors point at its lines."""

    def known(path: document.Path) -> list[str]:
        return _known_keys(source.tree, path)

    try:
        return LoadedScenario(Scenario.model_validate(source.tree), source, folder)
    except ValidationError as error:
        raise InputError(document.problems_from_validation(error, source, known)) from None


def _known_keys(tree: Mapping[str, Any], path: Sequence[str | int]) -> list[str]:
    """Return the keys allowed at a path of the scenario, following plug-in kinds."""
    model: Any = Scenario
    node: Any = tree
    for step in path:
        node = node[step] if _indexes(node, step) else None
        model = _descend(model, step, node)
        if model is None:
            return []
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return []
    keys = list(model.model_fields)
    return [*keys, "kind"] if issubclass(model, plugins.Plugin) else keys


def _indexes(node: Any, step: str | int) -> bool:
    if isinstance(node, Mapping):
        return step in node
    return isinstance(node, list | tuple) and isinstance(step, int) and step < len(node)


_PLUGIN_FIELDS = {"market": "market", "disturbances": "disturbance", "policies": "policy"}
_PLUGIN_FIELDS["profiles"] = "profiles"


def _descend(model: Any, step: str | int, node: Any) -> Any:
    """Return the type under a key or index of a model or container annotation."""
    if isinstance(model, type) and issubclass(model, BaseModel):
        if step not in model.model_fields:
            return None
        if model is Scenario and step in _PLUGIN_FIELDS:
            return _PluginPlace(_PLUGIN_FIELDS[str(step)]).at(node)
        return model.model_fields[str(step)].annotation
    if isinstance(model, _PluginPlace):
        return model.at(node)
    arguments = [item for item in get_args(model) if item is not type(None)]
    if get_origin(model) in {dict, tuple}:
        return arguments[-1] if get_origin(model) is dict else arguments[0]
    for option in arguments:
        if isinstance(option, type) and issubclass(option, BaseModel):
            return _descend(option, step, node)
    return None


@dataclass(frozen=True)
class _PluginPlace:
    """A place in the scenario where plug-ins of one kind stand, directly or in a container."""

    kind: str

    def at(self, node: Any) -> Any:
        name = node.get("kind") if isinstance(node, Mapping) else None
        if not isinstance(name, str):
            return self
        return plugins.load(self.kind, name) if name in plugins.names(self.kind) else self
