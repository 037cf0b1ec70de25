"""From a scenario to everything a run needs: population, profiles, tariffs, feeder, policies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path as FilePath
from typing import Any, TypeVar

import numpy as np

from cosim import plugins
from cosim.document import Document, Path
from cosim.errors import InputError, Problem, did_you_mean
from cosim.feeder.feeder import Feeder
from cosim.feeder.limits import Limits
from cosim.feeder.network import Network
from cosim.feeder.sources import load_network
from cosim.markets.base import Market
from cosim.oversight import Supervised
from cosim.policy import Policy, check_names
from cosim.population import Population, Profiles, Tariffs
from cosim.profiles.base import Homes, ProfileSource
from cosim.projection import NetworkGuard
from cosim.scenario import LoadedScenario, Scenario
from cosim.sections import BATTERY_EFFICIENCY, BATTERY_HOURS, Group, SupervisorSection
from cosim.seeds import generator
from cosim.settlement import ACCOUNTS
from cosim.supervision import problems_with, read_supervision
from cosim.tariffs import crossed_series, intensity_of, series_of, tariffs_of
from cosim.timegrid import TimeGrid

T = TypeVar("T")

#: observations ``[m, d]``, rows ``[m]`` of the population, interval -> what a policy sees instead
Sensors = Callable[[np.ndarray, np.ndarray, int], np.ndarray]


@dataclass(frozen=True, eq=False)
class Seat:
    """A policy at the desk and the rows it serves, in ascending order."""

    name: str
    policy: Policy
    rows: np.ndarray
    supervisor: Supervised | None = None
    sensors: Sensors | None = None  # falsifies what the policy sees, for studies


@dataclass(frozen=True, eq=False)
class Case:
    """A scenario, loaded: values, and the feeder which has identity."""

    loaded: LoadedScenario
    grid: TimeGrid
    population: Population
    profiles: Profiles
    tariffs: Tariffs
    network: Network
    feeder: Feeder
    limits: Limits
    market: Market
    seats: tuple[Seat, ...]
    files: tuple[tuple[str, str], ...]  # data files read and their hashes

    @property
    def scenario(self) -> Scenario:
        """The scenario itself."""
        return self.loaded.scenario


def load_case(loaded: LoadedScenario) -> Case:
    """Load all data of a scenario; raise InputError with every problem found."""
    scenario, folder = loaded.scenario, loaded.folder
    grid = scenario.grid()
    ask = _Ask(loaded.source)
    network = ask(("feeder", "name"), lambda: load_feeder(loaded))
    feeder = network and ask(("feeder",), lambda: _feeder(scenario, network))
    if network:
        ask.problems += _unknown_lines(loaded, network)
    known = len(ask.problems)
    homes = ask(("profiles",), lambda: _homes(scenario, grid, folder))
    if network is None:  # a source may look for the unknown network, too: say it once
        again = f"'{scenario.feeder.name}'"
        ask.problems[known:] = [p for p in ask.problems[known:] if again not in p.what]
    if homes and network:
        ask(("profiles",), lambda: _check_homes(homes, network))
    if homes:
        ask.problems += unknown_partners(loaded, homes.names)
    groups = homes and ask(("groups",), lambda: _assign(loaded, homes))
    read, price_files = _series(ask, scenario, grid, folder)
    policies = _policies(ask, scenario, grid, folder)
    overseen = _overseen(ask, scenario, grid, folder, policies)
    if not (network and feeder and homes and groups) or ask.problems:
        raise InputError(ask.problems)
    population = _population(scenario, homes, groups, network)
    assert isinstance(scenario.market, Market)
    limits, scale = scenario.feeder.limits, scenario.scale
    return Case(
        loaded=loaded,
        grid=grid,
        population=population,
        profiles=Profiles(
            load_kw=homes.load_kw * scale.load,
            load_kvar=homes.load_kvar * scale.load,
            pv_kw=homes.pv_kw * scale.pv,
            co2_kg_per_kwh=intensity_of(scenario, grid, read),
        ),
        tariffs=tariffs_of(scenario, population, grid, read),
        network=network,
        feeder=feeder,
        limits=Limits(
            limits.vm_min_pu, limits.vm_max_pu, limits.line_percent, limits.trafo_percent
        ),
        market=scenario.market,
        seats=_seats(scenario, population, policies, {n: how for n, (how, _) in overseen.items()}),
        files=(
            *loaded.source.files,
            *homes.files,
            *price_files,
            *(file for policy in policies.values() for file in policy.files),
            *(file for _, files in overseen.values() for file in files),
        ),
    )


@dataclass
class _Ask:
    """Collects the problems of one step after the other, each at its place in the scenario."""

    source: Document
    problems: list[Problem] = field(default_factory=list)

    def __call__(self, path: Path, step: Callable[[], T]) -> T | None:
        """Return what a step gives, None when it refused its input."""
        try:
            return step()
        except InputError as error:
            at = str(self.source.at(path))
            self.problems += [
                replace(p, why=p.why or f"read for {at}") if p.where else replace(p, where=at)
                for p in error.problems
            ]
            return None


def load_feeder(loaded: LoadedScenario) -> Network:
    """Load the network of a scenario; raise InputError where that cannot be."""
    source, name = loaded.scenario.feeder.source, loaded.scenario.feeder.name
    if source == "json":
        name = str(loaded.source.folder(("feeder", "name")) / name)
    return load_network(source, name)


def _feeder(scenario: Scenario, network: Network) -> Feeder:
    section = scenario.feeder
    return Feeder(
        network,
        engine=section.engine,
        slack_vm_pu=section.slack_vm_pu,
        line_rating_ka=section.line_rating_ka,
        trafo_rating_kva=section.trafo_rating_kva,
        verify_every=section.verify_every,
    )


def network_guard(case: Case, feeder: Feeder) -> NetworkGuard | None:
    """Return what the joint projection keeps on a feeder in operation; None: not wanted."""
    section, limits = case.scenario.guard, case.limits
    if section.network == "none":
        return None
    kept = Limits(
        limits.vm_min_pu + section.margin_pu,
        limits.vm_max_pu - section.margin_pu,
        max(limits.line_percent - section.margin_percent, 0.0),
        max(limits.trafo_percent - section.margin_percent, 0.0),
    )
    return NetworkGuard(feeder, kept)


def _homes(scenario: Scenario, grid: TimeGrid, folder: FilePath) -> Homes:
    assert isinstance(scenario.profiles, ProfileSource)
    section = scenario.feeder
    code = section.name if section.source == "simbench" else ""
    return scenario.profiles.load(grid, code, folder)


def _check_homes(homes: Homes, network: Network) -> None:
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


def _unknown_lines(loaded: LoadedScenario, network: Network) -> list[Problem]:
    """Return the disturbances of lines that do not exist."""
    problems = []
    for index, disturbance in enumerate(loaded.scenario.disturbances):
        line = getattr(disturbance, "line", None)
        if line is not None and line not in network.lines:
            where = str(loaded.source.at(("disturbances", index, "line")))
            remedy = did_you_mean(line, network.lines)
            problems.append(Problem(f"unknown line '{line}'", where, remedy=remedy))
    return problems


def unknown_partners(loaded: LoadedScenario, names: Sequence[str]) -> list[Problem]:
    """Return the participants that the market names and that do not exist."""
    market = loaded.scenario.market
    assert isinstance(market, Market)
    return [
        Problem(f"the market names unknown participant '{name}'",
                str(loaded.source.at(("market", *path))), remedy=did_you_mean(name, names))
        for path, name in market.named() if name not in names
    ]  # fmt: skip


def _population(
    scenario: Scenario, homes: Homes, groups: tuple[str, ...], network: Network
) -> Population:
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


def _assign(loaded: LoadedScenario, homes: Homes) -> tuple[str, ...]:
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


def _series(
    ask: _Ask, scenario: Scenario, grid: TimeGrid, folder: FilePath
) -> tuple[dict[Path, np.ndarray], tuple[tuple[str, str], ...]]:
    """Return the values of the scenario's series of prices and CO2, and the files read."""
    loaded = {
        path: ask(path, partial(file.load, folder, grid, unit))
        for path, file, unit in series_of(scenario)
    }
    read = {path: found[0] for path, found in loaded.items() if found is not None}
    files = dict.fromkeys(found[1] for found in loaded.values() if found is not None)
    ask.problems += [
        Problem(what, str(ask.source.at(path)), remedy=remedy)
        for path, what, remedy in crossed_series(scenario, grid, read)
    ]
    return read, tuple(files)


def _policies(ask: _Ask, scenario: Scenario, grid: TimeGrid, folder: FilePath) -> dict[str, Policy]:
    """Return the policies that are ready to act, by the scenario's names."""
    steps = {
        name: partial(_bound, policy, grid, folder) for name, policy in scenario.policies.items()
    }
    found = {name: ask(("policies", name), step) for name, step in steps.items()}
    return {name: policy for name, policy in found.items() if policy is not None}


def _bound(policy: Any, grid: TimeGrid, folder: FilePath) -> Policy:
    assert isinstance(policy, Policy)
    try:
        bound = policy.bound(folder, grid.interval_s)
    except InputError as error:  # where the scenario names it comes first
        raise InputError([_within(problem, folder) for problem in error.problems]) from None
    check_names(bound)
    return bound


def _within(problem: Problem, folder: FilePath) -> Problem:
    """Return a problem of a file as one of whatever names the file."""
    if not problem.where:
        return problem
    place = problem.where.removeprefix(f"{folder}/")
    return replace(problem, what=f"{place}: {problem.what}", where="")


def _overseen(
    ask: _Ask, scenario: Scenario, grid: TimeGrid, folder: FilePath, policies: dict[str, Policy]
) -> dict[str, tuple[Supervised, tuple[tuple[str, str], ...]]]:
    """Return how policies are supervised, and the files that say so."""
    found = {}
    for name, section in scenario.supervisors.items():
        if name in policies:
            step = partial(_supervised, policies[name], section, grid, folder)
            found[name] = ask(("supervisors", name), step)
    return {name: how for name, how in found.items() if how is not None}


def _supervised(
    policy: Policy, section: SupervisorSection, grid: TimeGrid, folder: FilePath
) -> tuple[Supervised, tuple[tuple[str, str], ...]]:
    given = policy.supervision
    files: tuple[tuple[str, str], ...] = ()
    if section.statistics is not None:
        given, sha256 = read_supervision(folder / section.statistics)
        files = ((section.statistics.name, sha256),)
    if given is None:
        what = f"nothing is known of what the policy '{policy.kind()}' has seen"
        remedy = "write a file with 'cosim policy calibrate' and name it under 'statistics'"
        raise InputError(Problem(what, remedy=remedy))
    wrong = problems_with(given, policy.features, grid.interval_s)
    if grid.rounds > 1:
        what = f"a policy that is asked in {grid.rounds} rounds cannot be supervised"
        wrong.append(Problem(what, remedy="trade in one round, or leave its supervisor out"))
    if wrong:
        raise InputError(wrong)
    rule = plugins.load("policy", "self_consumption")()
    assert isinstance(rule, Policy)
    how = Supervised(given.statistics(), section.fallback, section.lockout_alarms, rule)
    return how, files


def _seats(
    scenario: Scenario,
    population: Population,
    policies: dict[str, Policy],
    overseen: dict[str, Supervised],
) -> tuple[Seat, ...]:
    seats = []
    for name, policy in policies.items():
        groups = {g for g, group in scenario.groups.items() if group.policy == name}
        rows = population.rows_of(groups)
        if len(rows):
            seats.append(Seat(name, policy, rows, overseen.get(name)))
    return tuple(seats)
