"""Check scenarios: read them and load their data without running, and say what they are.

python -m cosim check scenarios/plain_winter_day.yaml
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    from cosim.verbs._parser import add_scenario_options

    parser.add_argument("scenarios", nargs="+", metavar="SCENARIO", help="file, or shipped name")
    add_scenario_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print what each scenario is; the problems of all of them end it with code 2."""
    from cosim.errors import InputError, Problem
    from cosim.verbs import _about
    from cosim.verbs._common import load, ready, take_plugins, warn
    from cosim.verbs._doubts import doubts

    take_plugins(arguments.plugins)
    problems: list[Problem] = []
    for path in arguments.scenarios:
        try:
            loaded = load(path, arguments.overrides)
            case = ready(loaded)
            for name in loaded.scenario.variants:
                ready(loaded.variant(name))
        except InputError as error:
            problems += error.problems
            continue
        print(_about.summary(case), flush=True)
        for text in doubts(case):
            warn(text)
    if problems:
        raise InputError(problems)
    return 0
