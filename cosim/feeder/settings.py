"""What a feeder may be told: engine, supply voltage, ratings, tolerance; checked at the border."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from cosim.errors import InputError, Problem, did_you_mean
from cosim.feeder.network import Network
from cosim.feeder.state import Floats

ENGINES = ("auto", "tree", "pandapower")
Ratings = Mapping[str, float] | float | None


@dataclass(frozen=True, eq=False)
class Settings:
    """Checked settings of a feeder; ratings are those of all parallel systems together."""

    engine: str
    slack_v_pu: complex
    line_rating_ka: Floats  # [l]
    trafo_rating_kva: Floats  # [t]
    tolerance_pu: float
    verify_every: int


def checked_settings(
    network: Network,
    engine: str,
    slack_vm_pu: float | None,
    line_rating_ka: Ratings,
    trafo_rating_kva: Ratings,
    tolerance_pu: float,
    verify_every: int,
) -> Settings:
    """Return the settings, or raise one ``InputError`` with every mistake in them."""
    problems: list[Problem] = []
    if engine not in ENGINES:
        remedy = did_you_mean(engine, ENGINES)
        problems.append(Problem(f"unknown load-flow engine '{engine}'", remedy=remedy))
    if slack_vm_pu is not None and not 0.5 <= slack_vm_pu <= 1.5:
        remedy = "give a voltage in per unit between 0.5 and 1.5"
        problems.append(Problem(f"supply voltage {slack_vm_pu} p.u.", remedy=remedy))
    if not 1e-13 <= tolerance_pu <= 1e-9:
        remedy = "choose between 1e-13 and 1e-9"
        problems.append(Problem(f"load-flow tolerance {tolerance_pu} p.u.", remedy=remedy))
    if verify_every < 0:
        remedy = "0 verifies at the start only"
        problems.append(Problem(f"verify_every is {verify_every}", remedy=remedy))
    lines = _ratings(line_rating_ka, network.lines, network.line_rating_ka, "line", problems)
    trafos = _ratings(
        trafo_rating_kva, network.trafos, network.trafo_rating_kva, "transformer", problems
    )
    if problems:
        raise InputError(problems)
    v = network.slack_v_pu
    slack = v if slack_vm_pu is None else v / abs(v) * float(slack_vm_pu)
    return Settings(engine, slack, lines, trafos, float(tolerance_pu), int(verify_every))


def percent_per_pu(network: Network, settings: Settings) -> Floats:
    """Return loading in percent per unit current at either end of each branch, ``[m, 2]``."""
    ka_per_pu = network.base_mva / (math.sqrt(3) * network.node_vn_kv[network.branch_nodes])
    scale = np.zeros_like(ka_per_pu)
    rows = network.line_branch
    scale[rows] = 100.0 * ka_per_pu[rows] / settings.line_rating_ka[:, None]
    rows = network.trafo_branch
    rated_mva = settings.trafo_rating_kva[:, None] / 1e3
    scale[rows] = 100.0 * ka_per_pu[rows] * math.sqrt(3) * network.trafo_vn_kv / rated_mva
    return scale


def check_name(name: str, known: Iterable[str], kind: str) -> None:
    """Raise ``InputError`` unless the name is known."""
    if name not in known:
        raise InputError(unknown_name(name, known, kind))


def unknown_name(name: str, known: Iterable[str], kind: str) -> Problem:
    """Return the problem of an unknown element."""
    return Problem(f"the network has no {kind} '{name}'", remedy=did_you_mean(name, known))


def _ratings(
    wanted: Ratings, names: tuple[str, ...], base: Floats, kind: str, problems: list[Problem]
) -> Floats:
    """Return the ratings with the wanted ones in place; append what is wrong with them."""
    if wanted is None:
        return base
    by_name = wanted if isinstance(wanted, Mapping) else dict.fromkeys(names, wanted)
    result = base.copy()
    bad = set()
    for name, value in by_name.items():
        if name not in names:
            problems.append(unknown_name(name, names, kind))
        elif not (math.isfinite(value) and value > 0.0):
            bad.add(value)
        else:
            result[names.index(name)] = value
    problems += [
        Problem(f"{kind} rating {value}", remedy="give a positive number") for value in bad
    ]
    return np.asarray(result, dtype=np.float64)
