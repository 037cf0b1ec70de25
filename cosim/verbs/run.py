"""Run a scenario and its variants; print the key figures and where the results are.

  python -m cosim run scenarios/plain_winter_day.yaml
  python -m cosim run plain_winter_day --set time.days=7 --set market.k=0.3

Exit codes: 0 done, 1 an expectation of the scenario missed, 2 the input is wrong, 3 the run
failed, 74 results cannot be written, 130 interrupted.
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    from cosim.verbs._parser import add_result_options, add_scenario_options

    parser.add_argument("scenario", metavar="SCENARIO", help="file, or shipped name")
    add_scenario_options(parser)
    parser.add_argument("--seed", metavar="N", help="seed of all draws, like --set seed=N")
    add_result_options(parser)
    parser.add_argument("--no-figures", action="store_true", help="draw no figures")


def run(arguments: argparse.Namespace) -> int:
    """Run everything and print what came out; return 1 where an expectation was missed."""
    from cosim.verbs._running import run_scenario

    return run_scenario(arguments)
