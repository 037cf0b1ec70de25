"""Delivery: what physically flows while power is constant, and the meter that adds it up.

Pure array functions over any leading axes; the plant of the co-simulation and the lanes of a
batched environment call the same ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from cosim.arrays import freeze, nothing
from cosim.feeder.feeder import Feeder
from cosim.feeder.state import GridState
from cosim.physics.battery import feasible_range_kw, pv_fed_kw, stored_kwh
from cosim.population import Population


@dataclass(frozen=True, eq=False)
class Flows:
    """Power between two events ``[..., n]`` [kW, kvar]; zero in a dead part of the feeder."""

    load_kw: np.ndarray
    load_kvar: np.ndarray
    pv_kw: np.ndarray
    battery_kw: np.ndarray  # > 0 charges
    unserved_kw: np.ndarray  # load that the dead part would have drawn
    dead: np.ndarray  # bool
    curtailed_kw: np.ndarray  # PV that a limit of the network operator holds back

    def __post_init__(self) -> None:
        freeze(self)

    @property
    def net_kw(self) -> np.ndarray:
        """Net import ``load - pv + charge - discharge`` [kW]."""
        return self.load_kw - self.pv_kw + self.battery_kw


def flows(
    population: Population,
    energy_kwh: np.ndarray,
    setpoint_kw: np.ndarray,
    load_kw: np.ndarray,
    load_kvar: np.ndarray,
    pv_kw: np.ndarray,
    dead: np.ndarray,
    hours: float,
    pv_most_kw: np.ndarray | None = None,
    before_kw: np.ndarray | None = None,
) -> Flows:
    """Return the power that flows for the next ``hours``: the plant saturates, always.

    ``pv_most_kw`` is what the network operator lets PV feed, by default all; ``before_kw`` is
    what batteries did in the interval before, for their ramp limits. PV for which a shared inverter
    has no room is lost, not curtailed.
    """
    curtailed = nothing(pv_kw.shape)
    if pv_most_kw is not None:
        curtailed = np.maximum(pv_kw - pv_most_kw, 0.0)
        pv_kw = pv_kw - curtailed
    low, high = feasible_range_kw(population, energy_kwh, hours, before_kw, pv_kw)
    battery_kw = np.minimum(np.maximum(setpoint_kw, low), high)
    pv_kw = pv_fed_kw(population, pv_kw, battery_kw)
    if not dead.any():
        return Flows(load_kw, load_kvar, pv_kw, battery_kw, nothing(load_kw.shape), dead, curtailed)
    alive = ~dead
    return Flows(
        load_kw * alive,
        load_kvar * alive,
        pv_kw * alive,
        battery_kw * alive,
        load_kw * dead,
        dead,
        curtailed * alive,
    )


def pv_most_kw(population: Population, share: np.ndarray) -> np.ndarray | None:
    """Return what PV may feed ``[..., n]`` [kW] under limits on its share; None: all it can."""
    limited = np.isfinite(share)
    if not limited.any():
        return None
    return np.where(limited, np.where(limited, share, 0.0) * population.pv_kwp, np.inf)


@dataclass(frozen=True, eq=False)
class Delivery:
    """What flows from a moment on: at the prosumers, at the buses ``[..., b]``, in the feeder."""

    flow: Flows
    p_kw: np.ndarray  # injections, > 0 into the network
    q_kvar: np.ndarray
    grid: GridState

    def __post_init__(self) -> None:
        freeze(self)


def deliver(
    population: Population,
    feeder: Feeder,
    energy_kwh: np.ndarray,
    setpoint_kw: np.ndarray,
    load_kw: np.ndarray,
    load_kvar: np.ndarray,
    pv_kw: np.ndarray,
    hours: float,
    pv_most_kw: np.ndarray | None = None,
    before_kw: np.ndarray | None = None,
) -> Delivery:
    """Return the delivery of the next ``hours`` at constant power, for any leading axes."""
    dead = feeder.dead[population.bus]
    flow = flows(
        population,
        energy_kwh,
        setpoint_kw,
        load_kw,
        load_kvar,
        pv_kw,
        dead,
        hours,
        pv_most_kw,
        before_kw,
    )
    buses = len(feeder.network.buses)
    p_kw = _at_buses(population, -flow.net_kw, buses)
    q_kvar = _at_buses(population, -flow.load_kvar, buses)
    return Delivery(flow, p_kw, q_kvar, feeder.solve(p_kw, q_kvar))


def _at_buses(population: Population, values: np.ndarray, buses: int) -> np.ndarray:
    """Add the values of the prosumers ``[..., n]`` up at their buses ``[..., b]``."""
    total = np.zeros((*values.shape[:-1], buses))
    if population.alone_at_bus:
        total[..., population.bus] = values
    else:
        np.add.at(total.T, population.bus, values.T)
    return total


@dataclass(frozen=True, eq=False)
class Metered:
    """Energy of one interval ``[..., n]`` [kWh], and what the feeder saw ``[...]``."""

    load_kwh: np.ndarray
    pv_kwh: np.ndarray
    charge_kwh: np.ndarray
    discharge_kwh: np.ndarray
    unserved_kwh: np.ndarray
    dead_share: np.ndarray  # share of the interval without supply, 0..1
    energy_kwh: np.ndarray  # stored at the end
    slack_import_kwh: np.ndarray  # upstream energy, positive parts only
    slack_export_kwh: np.ndarray
    losses_kwh: np.ndarray
    curtailed_kwh: np.ndarray = None  # type: ignore[assignment]  # [..., n], default 0
    loss_share_kwh: np.ndarray = None  # type: ignore[assignment]  # losses allocated [..., n]

    def __post_init__(self) -> None:
        for name in ("curtailed_kwh", "loss_share_kwh"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, nothing(self.load_kwh.shape))
        freeze(self)

    @cached_property
    def net_kwh(self) -> np.ndarray:
        """Metered net import [kWh]."""
        return self.load_kwh - self.pv_kwh + self.charge_kwh - self.discharge_kwh


def advance(
    population: Population, energy_kwh: np.ndarray, flow: Flows, hours: float
) -> np.ndarray:
    """Return the stored energy [kWh] after ``hours`` of constant power."""
    return stored_kwh(population, energy_kwh, flow.battery_kw, hours)


class Part(NamedTuple):
    """A part of an interval at constant power; powers [kW] are ``[...]``, shares ``[..., n]``."""

    flow: Flows
    hours: float
    slack_kw: np.ndarray | float
    losses_kw: np.ndarray | float
    loss_share_kw: np.ndarray | None = None  # losses allocated to prosumers; None: to nobody


def meter(parts: list[Part], end_kwh: np.ndarray) -> Metered:
    """Add up the parts of an interval; ``end_kwh`` ``[..., n]`` is stored at its end."""
    if len(parts) == 1:
        flow, hours, slack_kw, losses_kw, share_kw = parts[0]
        return Metered(
            flow.load_kw * hours,
            flow.pv_kw * hours,
            np.maximum(flow.battery_kw, 0.0) * hours,
            np.maximum(-flow.battery_kw, 0.0) * hours,
            flow.unserved_kw * hours,
            flow.dead.astype(float),
            end_kwh,
            np.maximum(slack_kw, 0.0) * hours,
            np.maximum(-np.asarray(slack_kw), 0.0) * hours,
            np.asarray(losses_kw) * hours,
            flow.curtailed_kw * hours,
            None if share_kw is None else share_kw * hours,  # type: ignore[arg-type]
        )
    singles = [meter([part], end_kwh) for part in parts]
    whole = sum(part.hours for part in parts)

    def total(name: str) -> np.ndarray:
        return np.sum([getattr(single, name) for single in singles], axis=0)

    shares = [single.dead_share * part.hours for single, part in zip(singles, parts, strict=True)]
    return Metered(
        total("load_kwh"),
        total("pv_kwh"),
        total("charge_kwh"),
        total("discharge_kwh"),
        total("unserved_kwh"),
        np.sum(shares, axis=0) / whole,
        end_kwh,
        total("slack_import_kwh"),
        total("slack_export_kwh"),
        total("losses_kwh"),
        total("curtailed_kwh"),
        total("loss_share_kwh"),
    )
