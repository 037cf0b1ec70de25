"""List what there is: plug-ins, features, actions, scenarios, KPIs or columns, with units.

python -m cosim list markets
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cosim.verbs._quantities import Known

WHAT = (
    "markets",
    "policies",
    "disturbances",
    "profiles",
    "features",
    "actions",
    "scenarios",
    "kpis",
    "columns",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    from cosim.verbs._parser import add_plugins_option

    parser.add_argument("what", metavar="WHAT", help=", ".join(WHAT))
    add_plugins_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the names, one a line."""
    from cosim.errors import InputError, Problem, did_you_mean
    from cosim.verbs._common import columns, take_plugins

    what = arguments.what
    if what not in WHAT:
        remedy = did_you_mean(what, WHAT)
        raise InputError(Problem(f"there is no list of {what!r}", remedy=remedy))
    take_plugins(arguments.plugins)
    rows = [(known.name, known.unit, known.meaning) for known in _known(what)]
    print(columns(rows if any(unit for _, unit, _ in rows) else [(n, m) for n, _, m in rows]))
    return 0


def _known(what: str) -> list[Known]:
    from cosim.verbs import _quantities

    if what in _quantities.LISTED:
        return _quantities.of_plugins(_quantities.LISTED[what])
    if what == "scenarios":
        return _scenarios()
    tables = {
        "features": _quantities.features,
        "actions": _quantities.actions,
        "kpis": _quantities.kpis,
        "columns": _quantities.columns,
    }
    return tables[what]()


def _scenarios() -> list[Known]:
    """Return the scenario files and their descriptions; a broken one says so."""
    from cosim.document import read_document
    from cosim.errors import InputError
    from cosim.verbs._common import scenario_folder
    from cosim.verbs._quantities import Known

    found = []
    for path in sorted(scenario_folder().rglob("*.yaml")):
        try:
            text = str(read_document(path).tree.get("description", ""))
        except InputError:
            text = "(cannot be read; see: python -m cosim check)"
        found.append(Known(str(path), "", "", " ".join(text.split())))
    return found
