"""Compare runs on the same draws: key figures side by side, and differences day by day.

  python -m cosim compare outputs/ten_lines/20260101T120000Z-01 outputs/ten_lines/latest
  python -m cosim compare outputs/winter_stress
  python -m cosim compare winter_stress

Each argument is the folder of a recorded run, the folder of a scenario's runs (its latest), or a
scenario, which is run without recording. One alone is compared with its variants. All are held
against the first; runs of another seed, feeder, time or other data share no draws and are refused.
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    from cosim.verbs._parser import add_result_options, add_scenario_options

    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folder, or scenario")
    add_scenario_options(parser)
    add_result_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print both tables and write them with a picture."""
    from cosim.verbs._side_by_side import compare

    return compare(arguments)
