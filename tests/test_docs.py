"""The documentation: its examples run, its commands exist, its links lead somewhere.

A code block below a line "`name`:" is a file of that name. Scenarios of a day are run, longer ones
checked; a part of a scenario is checked as an extension of one.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import yaml

from cosim import plugins, verbs
from cosim.__main__ import _parser, main
from cosim.markets.base import Clearing
from cosim.record import TABLES
from cosim.settlement import Prices, settle

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
    and (path.parent.name == "outputs" or "outputs" not in path.relative_to(ROOT).parts)
)
DOCS = {path.stem: path for path in sorted((ROOT / "docs").glob("*.md"))}
EXAMPLES = [*DOCS.values(), ROOT / "README.md", ROOT / "scenarios" / "README.md"]
BLOCK = re.compile(r"^(?:`([\w./]+)`:\n\n)?```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"python -m cosim ([^`\n]*)")


class Block(NamedTuple):
    """A code block: the file it is, if any, its language and its text."""

    file: str
    language: str
    text: str


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[Block]:
    return [Block(*found) for found in BLOCK.findall(page.read_text(encoding="utf-8"))]


def is_whole(block: Block) -> bool:
    """Return whether a block is a scenario by itself."""
    keys = yaml.safe_load(block.text)
    return "name" in keys and bool({"time", "extends"} & set(keys))


# ---------------------------------------------------------------- examples


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of results with a run that stands for all scenarios."""
    folder = tmp_path_factory.mktemp("results")
    scenario = str(ROOT / "scenarios" / "ten_lines.yaml")
    assert main(["run", scenario, "--out", str(folder), "--no-figures", "--quiet"]) == 0
    (folder / "winter_stress").symlink_to("ten_lines", target_is_directory=True)
    return folder


@pytest.fixture
def reader(results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the working folder of a reader: scenarios, results, and no plug-ins afterwards."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "outputs").symlink_to(results, target_is_directory=True)
    for path in (ROOT / "scenarios").glob("*.yaml"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    for name in plugins.PACKAGES.values():
        package = importlib.import_module(name)
        monkeypatch.setattr(package, "__path__", list(package.__path__))
    yield tmp_path
    for name, module in list(sys.modules.items()):
        if str(tmp_path) in str(getattr(module, "__file__", "")):
            del sys.modules[name]


def write_files(page: Path, folder: Path) -> None:
    for block in blocks(page):
        if block.file:
            path = folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")


@pytest.mark.parametrize("page", EXAMPLES, ids=shown)
def test_the_examples_of_a_page_work(
    page: Path, reader: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_files(page, reader)
    for block in blocks(page):
        if block.language == "python" and not block.file and "pytest" not in block.text:
            exec(compile(block.text, str(page), "exec"), {"__name__": "__main__"})
        if block.language == "yaml":
            code = try_scenario(block, reader)
            assert (code, capsys.readouterr().err) == (0, ""), block.text


def try_scenario(block: Block, folder: Path) -> int:
    """Run or check a scenario, or a part of one; return the exit code."""
    words = ["--plugins", str(folder / "mine")] if (folder / "mine").is_dir() else []
    path = folder / (block.file or "example.yaml")
    if not is_whole(block):
        base = "own_homes.yaml" if (folder / "own_homes.yaml").exists() else "ten_lines.yaml"
        path.write_text(f"extends: {base}\nname: part\n{block.text}", encoding="utf-8")
        return main(["check", str(path), *words])
    path.write_text(block.text, encoding="utf-8")
    if lasts_a_day(path):
        return main(["run", str(path), *words, "--out", "runs", "--no-figures", "--quiet"])
    return main(["check", str(path), *words])


def lasts_a_day(path: Path) -> bool:
    keys = yaml.safe_load(path.read_text(encoding="utf-8"))
    if "days" in keys.get("time", {}):
        return bool(keys["time"]["days"] == 1)
    return lasts_a_day(path.parent / keys["extends"])


def test_the_plugins_of_the_page_keep_the_contracts(tmp_path: Path) -> None:
    write_files(DOCS["plugins"], tmp_path)
    (script,) = (b.text for b in blocks(DOCS["plugins"]) if "pytest" in b.text)
    script = script.replace('"mine"', repr(str(tmp_path / "mine")))
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert int(re.findall(r"(\d+) passed", done.stdout)[0]) > 30
    assert not re.search("skipped|failed", done.stdout)


# ---------------------------------------------------------------- numbers of the model's page


def cells(page: Path, head: str) -> dict[str, list[float]]:
    """Return the rows of the table with that head; empty cells are NaN."""
    lines = page.read_text(encoding="utf-8").partition(head)[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines.splitlines()[2:]]
    return {row[0]: [float(cell or "nan") for cell in row[1:]] for row in rows}


def test_the_bills_of_the_model_page_are_what_settlement_makes_of_them(
    population_of: Any, metered_of: Any
) -> None:
    table = cells(DOCS["model"], "| | buyer kWh | buyer EUR | seller kWh | seller EUR |")
    energy, money = ({name: np.array(row[i::2]) for name, row in table.items()} for i in (0, 1))
    fills, nothing = energy["trade"], np.array(0.0)
    clearing = Clearing(fills, 0.15 * fills, np.array(1.0), nothing, nothing.copy())
    metered = metered_of(energy["metered"], dead_share=[0.0, 0.25])
    prices = Prices(np.full(2, 0.20), np.full(2, 0.10), 0.0)
    bills = settle(population_of(2), clearing, metered, prices)
    for name, kwh, eur in (
        ("trade", bills.traded_kwh, bills.trade_eur),
        ("close-out", bills.closeout_kwh, bills.closeout_eur),
        ("supply", bills.supply_kwh, bills.supply_eur),
        ("imbalance", bills.imbalance_kwh, bills.imbalance_eur),
    ):
        assert kwh == pytest.approx(energy[name], abs=1e-12), name
        assert eur == pytest.approx(money[name], abs=1e-12), name
    assert bills.bill_eur == pytest.approx(money["bill"], abs=1e-12)
    assert bills.baseline_eur == pytest.approx(money["baseline"], abs=1e-12)


def test_the_book_of_the_model_page_clears_as_it_says(
    reader: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_files(DOCS["model"], reader)
    (command,) = (line for line in commands(DOCS["model"]) if line[0] == "clear")
    assert main([*command, "--json"]) == 0
    outcome = json.loads(capsys.readouterr().out)
    assert outcome["volume_kwh"] == 5.0
    assert outcome["buy_price_eur_per_kwh"] == pytest.approx(0.125, abs=1e-15)
    assert outcome["fills_kwh"] == [3.0, 2.0, -2.0, -3.0, 0.0]


# ---------------------------------------------------------------- what pages name


def test_every_file_and_table_of_a_run_is_described(results: Path) -> None:
    text = DOCS["outputs"].read_text(encoding="utf-8")
    files = {path.name for path in (results / "ten_lines" / "latest").iterdir()}
    for name in {*files, *TABLES, "figures/", "variants/<name>/"}:
        assert f"| `{name}` |" in text, name


def commands(page: Path) -> list[list[str]]:
    """Return the words after ``python -m cosim``, up to comments and redirections."""
    found = []
    for line in COMMAND.findall(page.read_text(encoding="utf-8")):
        words = shlex.split(line.partition(" > ")[0], comments=True)
        if words and words[0] != "VERB":
            found.append(words)
    return found


@pytest.mark.parametrize("page", [p for p in PAGES if commands(p)], ids=shown)
def test_the_commands_of_a_page_exist(
    page: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every option is known; what is about the program and its own scenarios works."""
    monkeypatch.chdir(ROOT)
    for name, *rest in commands(page):
        assert name in verbs.names()
        if not rest:  # the verb is spoken of
            continue
        try:
            arguments = vars(_parser(name, verbs.load(name)).parse_args(rest))
        except SystemExit:
            pytest.fail(f"{name} {rest}: {capsys.readouterr().err}")
        if arguments.get("plugins") or any(word.isupper() for word in rest):
            continue
        if name in {"explain", "list"}:
            assert main([name, *rest]) == 0, (rest, capsys.readouterr().err)
        if name in {"run", "check"}:
            assert main(["check", *as_check(arguments)]) == 0, (rest, capsys.readouterr().err)


def as_check(arguments: dict[str, Any]) -> list[str]:
    """Return the words with which to check what a command checks or runs."""
    scenarios = arguments.get("scenarios") or [arguments["scenario"]]
    seed = [] if arguments.get("seed") is None else [f"seed={arguments['seed']}"]
    settings = [("--set", text) for text in (*arguments["overrides"], *seed)]
    return [*scenarios, *(word for pair in settings for word in pair)]


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if target.startswith(("https://", "http://")):
            continue
        name, _, heading = target.partition("#")
        path = page.parent / name if name else page
        assert path.exists(), target
        assert not heading or heading in anchors(path.resolve()), target


def prose(page: Path) -> str:
    return BLOCK.sub("", page.read_text(encoding="utf-8"))


@cache
def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings."""
    titles = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", DOCS.values(), ids=shown)
def test_lines_but_those_of_tables_fit_the_screen(page: Path) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()
    assert (
        page == DOCS["reference"]
        or [line for line in lines if len(line) > 100 and not line.startswith("|")] == []
    )


# ---------------------------------------------------------------- reference


@pytest.fixture(scope="module")
def reference() -> Any:
    """Return the tool that writes the reference."""
    spec = importlib.util.spec_from_file_location("reference", ROOT / "tools" / "reference.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_is_what_the_code_says(reference: Any) -> None:
    assert reference.main(["--check"]) == 0, "run: python tools/reference.py"


def test_the_tool_notices_and_mends_a_stale_reference(
    reference: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "reference.md"
    monkeypatch.setattr(reference, "REFERENCE", page)
    assert reference.main(["--check"]) == 1
    assert reference.main([]) == 0
    assert reference.main(["--check"]) == 0
    page.write_text(page.read_text(encoding="utf-8") + " ", encoding="utf-8")
    assert reference.main(["--check"]) == 1


def test_the_reference_holds_every_plugin_and_option(reference: Any) -> None:
    text = reference.reference()
    for kind in plugins.PACKAGES:
        for name in plugins.names(kind):
            section = text.partition(f"\n### {name}\n")[2].partition("\n##")[0]
            options = plugins.load(kind, name).model_fields
            assert all(f"| `{option}` |" in section for option in options), name
