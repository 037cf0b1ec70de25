"""The manifest: what made a run, so that it can be told apart, checked and made again."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from cosim import glossary, plugins
from cosim.record.day import Scope
from cosim.record.facts import EVALUATION

if TYPE_CHECKING:
    from cosim.books import Books
    from cosim.case import Case
    from cosim.scenario import Scenario

#: version of the run folder's layout; ``load_run`` refuses any other
SCHEMA = 2

_PACKAGES = (
    "numpy", "scipy", "numba", "simpy", "pydantic", "PyYAML", "pyarrow", "pandapower", "simbench",
)  # fmt: skip
VIOLATIONS = (
    "start", "end", "element", "kind", "limit", "worst", "unit", "worst_time", "duration_s",
    "energy_kwh",
)  # fmt: skip
ELEMENTS = (
    "element", "kind", "x", "y", "from_bus", "to_bus", "vm_min_pu", "vm_min_time", "vm_max_pu",
    "vm_max_time", "loading_max_percent", "loading_max_time",
)  # fmt: skip


def opening(scope: Scope, tables: tuple[str, ...], started: str) -> dict[str, Any]:
    """Return the manifest of a run that has begun."""
    case = scope.case
    resolved = resolved_scenario(case.scenario)
    return {
        "schema": SCHEMA,
        "complete": False,
        "started_at": started,
        "scenario_name": case.scenario.name,
        "variant": case.loaded.variant_name or None,
        "seed": case.scenario.seed,
        "start": case.grid.utc(0).isoformat(),
        "interval_s": case.grid.interval_s,
        "intervals": case.grid.intervals,
        "zone": str(case.grid.zone),
        "limits": asdict(case.limits),
        "tables": list(tables),
        "scenario": resolved,
        "scenario_sha256": scenario_hash(resolved),
        "files": [{"name": name, "sha256": sha} for name, sha in case.files],
        "versions": versions(),
        "platform": {"system": platform.platform(), "machine": platform.machine()},
    }


def closing(case: Case, books: Books) -> dict[str, Any]:
    """Return what is known of solver and books at the end."""
    feeder = case.feeder
    return {
        "solver": {
            "engine": feeder.engine,
            "deviation_pu": feeder.deviation_pu,
            "checks": feeder.checks,
        },
        "books": asdict(books),
    }


def resolved_scenario(scenario: Scenario) -> dict[str, Any]:
    """Return the scenario as JSON, defaults and plug-in kinds included."""
    resolved: dict[str, Any] = scenario.model_dump(mode="json")
    for name in ("market", "profiles"):
        resolved[name] = plugins.describe(getattr(scenario, name))
    resolved["policies"] = {
        name: plugins.describe(policy) for name, policy in scenario.policies.items()
    }
    resolved["disturbances"] = [plugins.describe(each) for each in scenario.disturbances]
    return resolved


def scenario_hash(resolved: dict[str, Any]) -> str:
    """Return the SHA-256 of a resolved scenario."""
    return hashlib.sha256(json.dumps(resolved, sort_keys=True).encode()).hexdigest()


def versions() -> dict[str, str]:
    """Return the versions of cosim, Python and the packages that results depend on."""
    found = {"python": sys.version.split()[0]}
    for package in ("cosim", *_PACKAGES):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def columns_json(tables: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    """Return unit, sign and meaning of every column of every output."""
    every = {
        **tables,
        "evaluation_results": ("time", "interval", *EVALUATION),
        "violations": VIOLATIONS,
        "elements": ELEMENTS,
    }
    return {
        table: {column: _explained(table, column) for column in columns}
        for table, columns in every.items()
    }


def _explained(table: str, column: str) -> dict[str, str]:
    known = glossary.lookup("evaluation" if table == "evaluation_results" else table, column)
    return {"unit": known.unit, "meaning": known.meaning, "sign": known.sign}
