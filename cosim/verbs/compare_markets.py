"""Run a scenario once for each market on the same draws; print and draw what each one brings.

  python -m cosim compare-markets plain_winter_day
  python -m cosim compare-markets ten_lines --markets "none, uniform_price, order_book"
  python -m cosim compare-markets ten_lines --markets "pay_as_bid, {kind: uniform_price, k: 0.2}"

A market of the scenario's own kind keeps the options it has there. Variants and expectations of
the scenario play no part.
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    from cosim.verbs._parser import add_result_options, add_scenario_options

    parser.add_argument("scenario", metavar="SCENARIO", help="file, or shipped name")
    parser.add_argument(
        "--markets",
        metavar="A,B,...",
        help="names, or {kind: NAME, option: value} (default: every mechanism there is)",
    )
    add_scenario_options(parser)
    parser.add_argument("--seed", metavar="N", help="seed of all draws, like --set seed=N")
    add_result_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run every market, print the table and write compare.csv and compare.png."""
    from cosim.verbs._comparison import compare

    return compare(arguments)
