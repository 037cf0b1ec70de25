"""Print the JSON schema of scenarios, for editors and generators.

python -m cosim schema > scenario.schema.json
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    from cosim.verbs._parser import add_plugins_option

    parser.add_argument(
        "--kind",
        default="scenario",
        metavar="KIND",
        help="scenario (default), market, policy, disturbance or profiles",
    )
    add_plugins_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the schema."""
    import json

    from cosim import plugins
    from cosim.errors import InputError, Problem, did_you_mean
    from cosim.verbs import _schema
    from cosim.verbs._common import take_plugins

    take_plugins(arguments.plugins)
    known = ("scenario", *plugins.PACKAGES)
    if arguments.kind not in known:
        remedy = did_you_mean(arguments.kind, known)
        raise InputError(Problem(f"unknown kind '{arguments.kind}'", "--kind", remedy=remedy))
    whole = arguments.kind == "scenario"
    schema = _schema.scenario_schema() if whole else _schema.plugin_schema(arguments.kind)
    print(json.dumps(schema, indent=2, ensure_ascii=False))
    return 0
