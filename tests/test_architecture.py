"""Who may import what, read from the files themselves, imports inside functions included."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CODE = ("cosim", "agents", "tools")

SIMBENCH = tuple(f"cosim.profiles.{name}" for name in ("simbench", "_simbench_extract"))
#: package -> the places that may import it, by module prefix; what is not named may not be used
PLACES: dict[str, tuple[str, ...]] = {
    "numpy": ("cosim", "agents", "tools"),
    "pydantic": ("cosim", "agents"),
    "pydantic_core": ("cosim.plain_numbers", "cosim.plugins", "cosim.validation"),
    "simpy": (
        "cosim.simulation",
        "cosim.facade",
        "cosim.rehearsal",
        "cosim.disturbances",
        "tools",
    ),
    "pandapower": ("cosim.feeder", *SIMBENCH, "tools"),
    "simbench": ("cosim.feeder", *SIMBENCH, "tools"),
    "yaml": ("cosim.yaml_nodes",),
    "numba": (
        "cosim.feeder.kernels",
        "cosim.markets",
        "cosim.array_kernels",
        "cosim.compiled",
        "cosim.optimum.storage",
    ),
    "pyarrow": ("cosim.record", "cosim.results", "cosim.report.data", "cosim.timeseries.table"),
    "pandas": ("cosim.results",),  # what a user analyses a run with
    "matplotlib": ("cosim.report",),
    "rich": ("cosim.verbs", "cosim.report.screen"),
    "onnx": ("cosim.bundle", "cosim.training"),
    "onnxruntime": ("cosim.bundle", "cosim.training"),
    "torch": ("cosim.training", "tools"),
    "stable_baselines3": ("cosim.training", "tools"),
    "gymnasium": ("cosim.training", "cosim.envs", "tools"),
    "pettingzoo": ("cosim.training", "cosim.envs", "tools"),
    "scipy": ("cosim.optimum.linear", "cosim.projection", "cosim.studies", "tools"),
    "clarabel": ("cosim.projection",),
    # of the standard library: what makes a run depend on more than its scenario
    "random": ("cosim.feeder.sources",),  # fixes the draws that pandapower makes
    "secrets": (),
    "uuid": (),
}
#: inner parts -> the parts of cosim they may know
INNER: dict[str, tuple[str, ...]] = {
    "cosim.arrays": (),
    "cosim.errors": (),
    "cosim.seeds": (),
    "cosim.timegrid": ("errors",),
    "cosim.senses": ("arrays",),
    "cosim.conditions": ("senses",),
    "cosim.imbalance": ("arrays",),
    "cosim.population": ("arrays", "imbalance"),
    "cosim.plain_numbers": (),
    "cosim.plugins": ("errors", "plain_numbers"),
    "cosim.array_kernels": (),
    "cosim.compiled": ("array_kernels",),
    "cosim.reason": (),
    "cosim.physics": ("arrays", "compiled", "population", "physics"),
    "cosim.forecasts": ("arrays", "errors", "plugins", "forecasts"),
    "cosim.markets": ("array_kernels", "arrays", "errors", "plugins", "markets"),
    "cosim.enforcement": ("arrays", "errors", "plugins", "feeder.limits", "enforcement"),
    "cosim.feeder": ("arrays", "errors", "feeder"),
    "cosim.guard": ("arrays", "compiled", "errors", "physics", "population", "reason", "guard"),
    "cosim.observe": ("arrays", "errors", "physics", "population", "senses"),
    "cosim.publication": ("observe", "population", "timegrid"),
    "cosim.supervisor": ("arrays", "compiled", "observe"),
    "cosim.supervision": ("errors", "observe", "regular_files", "supervisor"),
    "cosim.oversight": ("observe", "policy", "reason", "supervisor"),
    "cosim.projection": ("arrays", "feeder", "population"),
    "cosim.policy": ("supervision", "errors", "observe", "plugins"),
    "cosim.delivery": ("arrays", "errors", "physics", "population", "feeder"),
    "cosim.settlement": ("arrays", "compiled", "errors", "population", "delivery", "markets.base"),
    "cosim.disturbances": ("errors", "observe", "plugins", "senses", "times", "disturbances"),
    "cosim.regular_files": (),
    "cosim.timeseries": (
        "errors", "plain_numbers", "regular_files", "timegrid", "times", "timeseries",
    ),
    "cosim.profiles": (
        "arrays", "errors", "plugins", "regular_files", "times", "timegrid", "timeseries", "feeder",
        "profiles",
    ),
    "cosim.optimum.storage": (),
    "agents": (
        "bundle", "errors", "observe", "optimum.storage", "physics", "plugins", "policy",
        "supervision",
    ),
}  # fmt: skip
#: outer parts -> who may import them beside themselves
OUTER: dict[str, tuple[str, ...]] = {
    "cosim.verbs": ("cosim.__main__",),
    "cosim.report": ("cosim.verbs", "tools"),
    "cosim.optimum": ("agents", "cosim.verbs", "cosim.training", "cosim.studies", "tools"),
    "cosim.safety": ("cosim.verbs", "tools"),
    "cosim.training": (
        "cosim.verbs", "cosim.safety", "cosim.envs", "cosim.optimum.plan", "cosim.studies",
        "tools",
    ),
    "cosim.studies": ("cosim.verbs", "cosim.report", "cosim.safety", "tools"),
    "cosim.record": ("cosim.verbs", "cosim.results", "cosim.report", "cosim.studies", "tools"),
    "cosim.results": ("cosim", "cosim.verbs", "cosim.report", "cosim.studies", "tools"),
    "cosim.simulation": (
        "cosim.verbs", "cosim.safety", "cosim.rehearsal", "cosim.training", "cosim.envs",
        "cosim.studies", "cosim.optimum", "tools",
    ),
    "cosim.lanes": ("cosim.training", "cosim.studies", "tools"),
    "cosim.envs": ("cosim.verbs", "tools"),
    "cosim.__main__": (),
}  # fmt: skip


@dataclass(frozen=True)
class Import:
    """One imported name, where it stands, and whether it is imported with its module."""

    module: str  # that imports
    target: str  # a module, as far as it can be told from the files
    line: int
    at_once: bool

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"


@cache
def modules() -> dict[str, Path]:
    """Return every module of the project and its file."""
    found = {}
    for folder in CODE:
        for path in (ROOT / folder).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text(encoding="utf-8"))


def imports_of(module: str) -> Iterator[Import]:
    """Yield the imports of a module; what only the type checker reads is left out."""
    yield from _walk(module, tree_of(module), at_once=True)


def _walk(module: str, node: ast.AST, at_once: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield from _walk(module, other, at_once)
        elif isinstance(child, ast.Import):
            for name in child.names:
                yield Import(module, name.name, child.lineno, at_once)
        elif isinstance(child, ast.ImportFrom):
            yield from _from(module, child, at_once)
        else:
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _walk(module, child, at_once and not inside)


def _from(module: str, node: ast.ImportFrom, at_once: bool) -> Iterator[Import]:
    base = node.module or ""
    if node.level:
        package = module if modules()[module].name == "__init__.py" else module.rpartition(".")[0]
        parts = package.split(".")
        base = ".".join([*parts[: len(parts) - node.level + 1], *filter(None, [base])])
    for name in node.names:
        whole = f"{base}.{name.name}"
        yield Import(module, whole if whole in modules() else base, node.lineno, at_once)


@cache
def all_imports() -> tuple[Import, ...]:
    return tuple(item for module in modules() for item in imports_of(module))


def within(module: str, places: tuple[str, ...]) -> bool:
    """Return whether a module is one of the places or inside one."""
    return any(module == place or module.startswith(f"{place}.") for place in places)


def test_the_files_are_found() -> None:
    assert {"cosim", "cosim.simulation", "cosim.markets.none", "agents.random"} <= set(modules())
    assert len(all_imports()) > 400
    named = {str(item) for item in all_imports() if item.module == "cosim.feeder.extract"}
    assert any(text.endswith("imports pandapower") for text in named)  # inside a function


@pytest.mark.parametrize("package", sorted(PLACES))
def test_a_package_is_imported_in_its_places_only(package: str) -> None:
    strays = [
        str(item)
        for item in all_imports()
        if item.target.split(".")[0] == package and not within(item.module, PLACES[package])
    ]
    assert not strays


def test_no_package_comes_in_without_a_place() -> None:
    own = {*sys.stdlib_module_names, *CODE, *PLACES}
    strays = [str(item) for item in all_imports() if item.target.split(".")[0] not in own]
    assert not strays


@pytest.mark.parametrize("part", sorted(INNER))
def test_inner_parts_know_only_what_lies_further_in(part: str) -> None:
    allowed = tuple(f"cosim.{name}" for name in INNER[part])
    strays = [
        str(item)
        for item in all_imports()
        if within(item.module, (part,))
        and item.target.split(".")[0] in CODE
        and not within(item.target, (part, *allowed))
    ]
    assert not strays


@pytest.mark.parametrize("part", sorted(OUTER))
def test_outer_parts_are_imported_from_further_out_only(part: str) -> None:
    strays = [
        str(item)
        for item in all_imports()
        if within(item.target, (part,))
        and not within(item.module, (part,))
        and not any(
            item.module == place or (place != "cosim" and within(item.module, (place,)))
            for place in OUTER[part]
        )
    ]
    assert not strays


def test_agents_and_tools_are_imported_by_nobody() -> None:
    """Policies are found by name; nothing may depend on one of them."""
    strays = [
        str(item)
        for item in all_imports()
        if item.target.split(".")[0] in {"agents", "tools"} and item.module.startswith("cosim")
    ]
    assert not strays


def test_plugins_of_a_kind_do_not_know_each_other() -> None:
    """A new file cannot break its neighbour: they share their base, and what begins with `_`."""
    strays = []
    for item in all_imports():
        package, _, name = item.module.rpartition(".")
        if package not in {"cosim.markets", "cosim.disturbances", "cosim.profiles", "agents"}:
            continue
        inside, _, other = item.target.rpartition(".")
        shared = other == "base" or other.startswith("_") or name.startswith("_") or name == other
        if inside == package and not shared:
            strays.append(str(item))
    assert not strays


def test_modules_do_not_import_each_other_in_circles() -> None:
    known = modules()
    edges: dict[str, set[str]] = {module: set() for module in known}
    for item in all_imports():
        if item.at_once and item.target in known:
            edges[item.module].add(item.target)
            parent = item.target.rpartition(".")[0]  # importing a.b runs a first
            if parent in known and not within(item.module, (parent,)):
                edges[item.module].add(parent)
    done: set[str] = set()

    def follow(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join((*trail[trail.index(module) :], module))
        if module not in done:
            for target in sorted(edges[module]):
                follow(target, (*trail, module))
            done.add(module)

    for module in sorted(edges):
        follow(module, ())


#: parts of numpy.random that carry no hidden state
EXPLICIT = {"BitGenerator", "Generator", "PCG64", "Philox", "SeedSequence"}


def test_nobody_draws_from_hidden_state() -> None:
    """No global generator and none seeded by the clock; pandapower's own draws are fixed."""
    strays = []
    for module in modules():
        if module == "cosim.feeder.sources":
            continue
        for node in ast.walk(tree_of(module)):
            name = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
            head, _, used = name.rpartition(".")
            if head in {"np.random", "numpy.random"} and used not in EXPLICIT:
                strays.append(f"{module}:{node.lineno} uses {name}")
    strays += [str(item) for item in all_imports() if item.target.startswith("numpy.random")]
    assert not strays


HEAVY = ("pandapower", "simbench", "matplotlib", "torch", "scipy", "numba", "pandas", "pyarrow",
         "onnx", "onnxruntime", "rich")  # fmt: skip


@pytest.mark.parametrize(
    ("code", "may"),
    [
        ("import cosim", ()),
        ("from cosim.__main__ import main; main(['--help'])", ()),
        ("import cosim.scenario, cosim.plugins, cosim.glossary", ()),
        ("import cosim.simulation", ("numba",)),
        ("import cosim.case, cosim.record", ("numba",)),
    ],
)
def test_importing_is_cheap(code: str, may: tuple[str, ...]) -> None:
    script = f"{code}\nimport sys\nprint(*[m for m in {HEAVY!r} if m in sys.modules], sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(done.stdout.splitlines()) & set(HEAVY) <= set(may)


def test_a_run_of_a_known_network_needs_no_pandapower(village: object) -> None:
    """What was extracted and checked once is remembered: later runs start at once."""
    case = village.case()  # type: ignore[attr-defined]
    path = case.loaded.source.at(()).file
    script = (
        "import sys\nfrom cosim.case import load_case\nfrom cosim.scenario import load_scenario\n"
        "from cosim.record import MemoryRecorder\nfrom cosim.simulation import Simulation\n"
        f"case = load_case(load_scenario({str(path)!r}))\n"
        "Simulation(case, MemoryRecorder(case)).run()\n"
        "print(*[m for m in ('pandapower', 'simbench', 'matplotlib', 'torch')"
        " if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == ""
