"""Judge policies on the same days, seeds and fillings, beside baselines and perfect foresight.

  python -m cosim evaluate plain_winter_week --policy shared_ppo --days 0-6 --seeds 101-103
  python -m cosim evaluate plain_winter_week --policy shared_ppo --audit --write-card
  python -m cosim evaluate plain_winter_week --policy "time_of_use, {kind: random, spread: 2.0}"

A policy is one of the scenario's, a plug-in, or a bundle. It takes one seat of the scenario, the
others stay. Each period is run once for each seed, which draws everything that is drawn and how
full the batteries begin. Costs are bills and wear, less what the batteries gained at the lowest
retail price times the root of the round-trip efficiency.
"""

from __future__ import annotations

import argparse

MEASURES = {"community": "community_eur", "owners": "owners_eur"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    from cosim.verbs._parser import add_result_options, add_scenario_options

    parser.add_argument("scenario", metavar="SCENARIO", help="file, or shipped name")
    parser.add_argument(
        "--policy", required=True, metavar="A,B,...",
        help="names of policies, bundles, or {kind: NAME, option: value}",
    )  # fmt: skip
    parser.add_argument("--seat", metavar="NAME", help="the policy of the scenario to replace")
    parser.add_argument(
        "--days", metavar="A-B,C,...",
        help="first days of the periods, from 0, or 'held-out': the test days of the calendar "
        "(default: all)",
    )  # fmt: skip
    parser.add_argument(
        "--length", type=int, default=1, metavar="N", help="days of a period (default: 1)"
    )
    parser.add_argument("--seeds", default="101-103", metavar="A-B,C,...", help="default: 101-103")
    parser.add_argument(
        "--baselines", metavar="A,B,...", help="some of the baselines (default: all)"
    )
    parser.add_argument(
        "--reference", metavar="NAME",
        help="whom all are tested against (default: self_consumption)",
    )  # fmt: skip
    parser.add_argument(
        "--measure", choices=sorted(MEASURES), default="community",
        help="whose cost is compared and tested (default: community)",
    )  # fmt: skip
    parser.add_argument("--no-foresight", action="store_true", help="leave the optimum out")
    parser.add_argument(
        "--foresight-limits", action="store_true",
        help="the optimum within the limits of the feeder, too; slow where none can keep them",
    )  # fmt: skip
    parser.add_argument(
        "--audit", action="store_true", help="check that each named policy's gain is real"
    )
    parser.add_argument(
        "--write-card", action="store_true", help="put the verdict into the card of the bundle"
    )
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: all cores)")
    add_scenario_options(parser)
    add_result_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run everything, print the table and write the files; 1 where an audit fails."""
    from cosim.verbs._evaluation import evaluate

    return evaluate(arguments)
