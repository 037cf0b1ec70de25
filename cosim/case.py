"""From a scenario to everything a run needs: population, profiles, tariffs, feeder, policies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path as FilePath
from typing import TypeVar

import numpy as np

from cosim.document import Document, Path
from cosim.errors import InputError, Problem, did_you_mean
from cosim.feeder.feeder import Feeder
from cosim.feeder.limits import Limits
from cosim.feeder.network import Network
from cosim.feeder.sources import load_network
from cosim.markets.base import Market
from cosim.members import assigned, check_homes, population_of
from cosim.oversight import Supervised
from cosim.policy import Policy
from cosim.population import Population, Profiles, Tariffs
from cosim.profiles.base import Homes, ProfileSource
from cosim.projection import NetworkGuard
from cosim.scenario import LoadedScenario, Scenario
from cosim.seats import Seat, bound, seats_of, supervised
from cosim.seeds import Reseeded
from cosim.tariffs import crossed_series, intensity_of, series_of, tariffs_of
from cosim.timegrid import TimeGrid

T = TypeVar("T")


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
    reseeded: Reseeded | None = None  # other draws from an interval on, for studies

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
        ask(("profiles",), lambda: check_homes(homes, network))
    if homes:
        ask.problems += unknown_partners(loaded, homes.names)
    groups = homes and ask(("groups",), lambda: assigned(loaded, homes))
    read, price_files = _series(ask, scenario, grid, folder)
    policies = _policies(ask, scenario, grid, folder)
    overseen = _overseen(ask, scenario, grid, folder, policies)
    if not (network and feeder and homes and groups) or ask.problems:
        raise InputError(ask.problems)
    population = population_of(scenario, homes, groups, network)
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
        seats=seats_of(
            scenario, population, policies, {n: how for n, (how, _) in overseen.items()}
        ),
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
        name: partial(bound, policy, grid, folder) for name, policy in scenario.policies.items()
    }
    found = {name: ask(("policies", name), step) for name, step in steps.items()}
    return {name: policy for name, policy in found.items() if policy is not None}


def _overseen(
    ask: _Ask, scenario: Scenario, grid: TimeGrid, folder: FilePath, policies: dict[str, Policy]
) -> dict[str, tuple[Supervised, tuple[tuple[str, str], ...]]]:
    """Return how policies are supervised, and the files that say so."""
    found = {}
    for name, section in scenario.supervisors.items():
        if name in policies:
            step = partial(supervised, policies[name], section, grid, folder)
            found[name] = ask(("supervisors", name), step)
    return {name: how for name, how in found.items() if how is not None}
