"""List what there is: plug-ins, features, actions, scenarios, KPIs or columns, with units.

The buses and lines of a network are listed by the name of a scenario.

  python -m cosim list markets
  python -m cosim list lines ten_lines
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
    "forecasts",
    "features",
    "actions",
    "scenarios",
    "kpis",
    "columns",
)
NETWORK = ("buses", "lines")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    from cosim.verbs._parser import add_plugins_option

    parser.add_argument("what", metavar="WHAT", help=", ".join((*WHAT, *NETWORK)))
    parser.add_argument("scenario", nargs="?", metavar="SCENARIO", help="for buses and lines")
    add_plugins_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the names, one a line."""
    from cosim.errors import InputError, Problem, did_you_mean
    from cosim.verbs._common import columns, take_plugins

    what, scenario = arguments.what, arguments.scenario
    if what not in (*WHAT, *NETWORK):
        remedy = did_you_mean(what, (*WHAT, *NETWORK))
        raise InputError(Problem(f"there is no list of {what!r}", remedy=remedy))
    if (scenario is None) == (what in NETWORK):
        wanted = f"list {what} SCENARIO" if scenario is None else f"list {what}"
        problem = f"'list {what}' takes {'a' if scenario is None else 'no'} scenario"
        raise InputError(Problem(problem, remedy=f"write: python -m cosim {wanted}"))
    take_plugins(arguments.plugins)
    if scenario is not None:
        print("\n".join(_of_network(what, scenario)))
        return 0
    ranged = what in {"features", "actions"}
    rows = [(k.name, k.unit, k.allowed if ranged else "", k.meaning) for k in _known(what)]
    kept = [i for i in range(4) if any(row[i] for row in rows)]
    print(columns([tuple(row[i] for i in kept) for row in rows]))
    return 0


def _of_network(what: str, scenario: str) -> tuple[str, ...]:
    """Return the names of the buses or lines of a scenario's network, in its order."""
    from cosim.case import load_feeder
    from cosim.verbs._common import load

    network = load_feeder(load(scenario))
    return network.buses if what == "buses" else network.lines


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
    from cosim.shipped import scenario_folder
    from cosim.verbs._quantities import Known

    found = []
    for path in sorted(scenario_folder().rglob("*.yaml")):
        try:
            text = str(read_document(path).tree.get("description", ""))
        except InputError:
            text = "(cannot be read; see: python -m cosim check)"
        found.append(Known(str(path), "", "", " ".join(text.split())))
    return found
