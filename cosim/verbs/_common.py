"""What several verbs do: find scenarios, take plug-in folders, lay out tables."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cosim import plugins
from cosim.errors import InputError, Problem
from cosim.scenario import LoadedScenario, load_scenario

if TYPE_CHECKING:
    from cosim.case import Case


def take_plugins(folders: Iterable[Path]) -> None:
    """Let the user's plug-in folders take part."""
    for folder in folders:
        plugins.add_folder(folder)


def ready(loaded: LoadedScenario) -> Case:
    """Load all data of a scenario and refuse whatever would only be refused while it runs.

    Raises InputError with every problem found, PluginError for a policy that breaks its contract.
    """
    from cosim.case import load_case
    from cosim.desk import Desk
    from cosim.record import check_tables

    problems: list[Problem] = []
    for index, name in enumerate(loaded.scenario.record or ()):
        try:
            check_tables([name])
        except InputError as error:
            at = str(loaded.source.at(("record", index)))
            problems += [replace(problem, where=at) for problem in error.problems]
    try:
        case = load_case(loaded)
    except InputError as error:
        raise InputError([*problems, *error.problems]) from None
    if problems:
        raise InputError(problems)
    Desk(case)
    return case


def load(path: str, overrides: Sequence[str] = ()) -> LoadedScenario:
    """Load a scenario by its path, or one of the shipped ones by its name."""
    return load_scenario(path, overrides)


def first_line(text: str | None) -> str:
    """Return the first line of a docstring without its full stop."""
    return (text or "").strip().partition("\n")[0].rstrip(".")


def plugin_summary(kind: str, name: str) -> str:
    """Return the first line of a plug-in file's docstring; the file is not run."""
    file = plugins.file_of(kind, name)
    return first_line(ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))))


def columns(rows: Sequence[Sequence[str]], indent: int = 0, numbers: int | None = None) -> str:
    """Return rows of text in aligned columns; from column ``numbers`` on, to the right."""
    if not rows:
        return ""
    right = len(rows[0]) if numbers is None else numbers
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = (
        "  ".join(
            cell.ljust(widths[i]) if i < right else cell.rjust(widths[i])
            for i, cell in enumerate(row)
        ).rstrip()
        for row in rows
    )
    return "\n".join(" " * indent + line for line in lines)


def warn(text: str) -> None:
    """Print a warning to stderr."""
    print(f"warning: {text}", file=sys.stderr)
