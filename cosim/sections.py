"""The parts of a scenario: frozen models whose fields are the keys of the YAML, with units."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from cosim import validation
from cosim.section import Section
from cosim.tariff_sections import Tariff
from cosim.times import Moment, Name, Zone


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
            what = (
                f"gate_lead_seconds {self.gate_lead_seconds} must be below the interval "
                f"({self.interval_minutes * 60} s)"
            )
            raise validation.refusal([(("gate_lead_seconds",), what, "shorten the lead")])
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
    engine: Literal["auto", "tree", "pandapower"] = Field(
        "auto", description="how the load flow is solved; auto: tree where it can"
    )
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


#: of a battery that a group gives to a home without one: hours of full charge, and round trip
BATTERY_HOURS, BATTERY_EFFICIENCY = 2.0, 0.90


class Battery(Section):
    """Constants that replace those of the profile source, or make a battery where it has none."""

    capacity_kwh: float | None = Field(
        None, ge=0.0, le=2000.0, description="default: the source's; 0: no battery"
    )
    rating_kw: float | None = Field(
        None,
        ge=0.0,
        le=2000.0,
        description="power limit, both ways; default: the source's, for a home without a battery "
        f"capacity_kwh in {BATTERY_HOURS:g} hours",
    )
    efficiency: float | None = Field(
        None,
        gt=0.3,
        le=1.0,
        description="round trip; default: the source's, for a home without a battery "
        f"{BATTERY_EFFICIENCY:g} [-]",
    )
    ramp_kw_per_interval: float | None = Field(
        None,
        gt=0.0,
        le=4000.0,
        description="largest change of power from one interval to the next [kW]; default: none",
    )
    soc_min: float = Field(0.0, ge=0.0, le=1.0, description="least state of charge [-]")
    soc_max: float = Field(1.0, ge=0.0, le=1.0, description="highest state of charge [-]")
    soc_initial: float = Field(0.5, ge=0.0, le=1.0, description="state of charge at the start [-]")
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


class SupervisorSection(Section):
    """Oversight of a policy that was trained: who decides where it sees what it does not know."""

    fallback: Literal["self_consumption", "idle", "grid_only"] = Field(
        "self_consumption",
        description="the first stand-in; each further alarm of a day goes one down this ladder, "
        "grid_only: idle battery and no orders",
    )
    lockout_alarms: int = Field(
        3, ge=1, le=1000, description="alarms of a day after which grid_only holds to its end [-]"
    )
    statistics: Path | None = Field(
        None, description="file of 'cosim policy calibrate'; default: the policy's card"
    )


class GuardSection(Section):
    """What the guard does beyond the limits of each device."""

    network: Literal["none", "project"] = Field(
        "none",
        description="project: where the forecast breaks a limit of the feeder, move all batteries "
        "together as little as keeps it",
    )
    margin_pu: float = Field(
        0.002, ge=0.0, le=0.05, description="kept from voltage limits by the projection [p.u.]"
    )
    margin_percent: float = Field(
        2.0, ge=0.0, le=50.0, description="kept from loading limits by the projection [%]"
    )


class Latency(Section):
    """How long orders travel, drawn per prosumer and interval, uniform in whole seconds."""

    min_s: int = Field(0, ge=0, le=86_400, description="shortest travel time [s]")
    max_s: int = Field(0, ge=0, le=86_400, description="longest travel time [s]")

    @model_validator(mode="after")
    def _ordered(self) -> Latency:
        if self.min_s > self.max_s:
            raise ValueError("min_s must not exceed max_s")
        return self


class Scale(Section):
    """Factors on the profile source's homes, for the whole run."""

    load: float = Field(1.0, ge=0.0, le=20.0, description="on active and reactive load [-]")
    pv: float = Field(1.0, ge=0.0, le=20.0, description="on PV output and size [-]")
    battery: float = Field(1.0, ge=0.0, le=20.0, description="on capacity and rating [-]")


class Effect(Section):
    """The KPI a stress is meant to move, held by a test on paired seeds."""

    kpi: str = Field(description="name of a key figure")
    direction: Literal["up", "down"] = Field(description="where the stress moves it")
    at_least: float = Field(gt=0.0, description="least difference, in the KPI's unit")
    against: str = Field(
        "undisturbed", description="'undisturbed', or the path of the plain scenario"
    )


class Expectation(Section):
    """A bound a KPI must keep; a miss ends the run with exit code 1."""

    kpi: str = Field(description="name of a key figure")
    min: float | None = Field(None, description="least allowed value, in the KPI's unit")
    max: float | None = Field(None, description="highest allowed value, in the KPI's unit")

    @model_validator(mode="after")
    def _bounds(self) -> Expectation:
        if self.min is None and self.max is None:
            raise ValueError("nothing is expected: give min, max, or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            what = f"min {self.min:g} is above max {self.max:g}"
            raise validation.refusal([(("min",), what, "no value can keep both bounds")])
        return self
