"""The participants of a scenario: whose homes they are, their groups, and their batteries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cosim.errors import InputError, Problem, did_you_mean
from cosim.feeder.network import Network
from cosim.population import Population
from cosim.profiles.base import Homes
from cosim.scenario import LoadedScenario, Scenario
from cosim.sections import BATTERY_EFFICIENCY, BATTERY_HOURS, Group
from cosim.seeds import generator
from cosim.settlement import ACCOUNTS


def check_homes(homes: Homes, network: Network) -> None:
    """Raise InputError for homes on unknown buses or with names that mean something else."""
    known = set(network.buses)
    reserved = [
        Problem(f"a home is named '{name}'", why="it would be taken for that account",
                remedy="rename the home")
        for name in ACCOUNTS if name in homes.names
    ]  # fmt: skip
    unknown = [
        Problem(f"home '{home}' is on unknown bus '{bus}'", remedy=did_you_mean(bus, known))
        for home, bus in zip(homes.names, homes.buses, strict=True)
        if bus not in known
    ]
    if reserved or unknown:
        raise InputError([*reserved, *unknown])


def population_of(
    scenario: Scenario, homes: Homes, groups: tuple[str, ...], network: Network
) -> Population:
    """Return the participants: what their homes have, and what their groups say of batteries."""
    batteries = [scenario.groups[group].battery for group in groups]

    def pick(field: str, default: np.ndarray) -> np.ndarray:
        own = [getattr(battery, field) for battery in batteries]
        return np.array([d if o is None else o for o, d in zip(own, default, strict=True)])

    capacity = pick("capacity_kwh", homes.capacity_kwh)
    given = (homes.capacity_kwh == 0.0) & (capacity > 0.0)  # by a group, to a home without one
    rating = pick("rating_kw", np.where(given, capacity / BATTERY_HOURS, homes.rating_kw))
    rating = np.where(capacity > 0.0, rating, 0.0) * scenario.scale.battery
    capacity = capacity * scenario.scale.battery
    index = {bus: i for i, bus in enumerate(network.buses)}

    def share(field: str) -> np.ndarray:
        return np.array([getattr(battery, field) for battery in batteries])

    return Population(
        names=homes.names,
        buses=homes.buses,
        groups=groups,
        bus=np.array([index[bus] for bus in homes.buses], dtype=np.intp),
        capacity_kwh=capacity,
        rating_kw=rating,
        efficiency=pick("efficiency", np.where(given, BATTERY_EFFICIENCY, homes.efficiency)),
        min_kwh=capacity * share("soc_min"),
        max_kwh=capacity * share("soc_max"),
        initial_kwh=capacity * share("soc_initial"),
        self_discharge_per_h=-np.log1p(-homes.self_discharge_per_day) / 24.0,
        wear_eur_per_kwh=share("wear_eur_per_kwh"),
        pv_kwp=homes.pv_kwp * scenario.scale.pv,
        ramp_kw=_limits([battery.ramp_kw_per_interval for battery in batteries]),
        inverter_kva=_limits([battery.inverter_kva for battery in batteries]),
    )


def _limits(given: Sequence[float | None]) -> np.ndarray | None:
    """Return limits, infinite where none is given; None where nobody has one."""
    if all(limit is None for limit in given):
        return None
    return np.array([np.inf if limit is None else limit for limit in given])


def assigned(loaded: LoadedScenario, homes: Homes) -> tuple[str, ...]:
    """Return each home's group: the first that fits; refuse homes without one."""
    scenario, problems = loaded.scenario, []
    for name, group in scenario.groups.items():
        if isinstance(group.members, tuple):
            problems += [
                Problem(f"group '{name}' names unknown participant '{member}'",
                        str(loaded.source.at(("groups", name, "members", place))),
                        remedy=did_you_mean(member, homes.names))
                for place, member in enumerate(group.members) if member not in homes.names
            ]  # fmt: skip
    if problems:
        raise InputError(problems)
    found = []
    for i, home in enumerate(homes.names):
        kind = _kind(homes, i, scenario)
        fitting = (n for n, g in scenario.groups.items() if _fits(scenario, n, g, home, kind))
        found.append(next(fitting, ""))
    left = [home for home, group in zip(homes.names, found, strict=True) if not group]
    if left:
        raise InputError(
            Problem(
                f"{len(left)} of {len(found)} participants are in no group (first: '{left[0]}')",
                remedy="add a last group with 'members: all'",
            )
        )
    return tuple(found)


def _kind(homes: Homes, i: int, scenario: Scenario) -> str:
    if homes.capacity_kwh[i] * scenario.scale.battery > 0.0:
        return "battery"
    return "pv" if homes.pv_kwp[i] * scenario.scale.pv > 0.0 else "consumers"


def _fits(scenario: Scenario, name: str, group: Group, home: str, kind: str) -> bool:
    members = group.members
    if home in members if isinstance(members, tuple) else members in {"all", kind}:
        draw = generator(scenario.seed, home, f"group {name}").random()
        return bool(group.share >= 1.0 or draw < group.share)
    return False
