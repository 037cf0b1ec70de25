"""Calibrate the supervisor of a policy: what its observations look like on normal days."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

DESCRIPTION = """\
Run a policy over the days of a scenario and write what its supervisor needs: means and covariances
of its observations by part of the day, and the score that a normal day exceeds with a given
probability. Of the days every fourth sets that threshold and every fourth is held out: the report
says how often those raise a false alarm, and which faults of the observations would be seen.

  python -m cosim policy calibrate agents/trained/shared_ppo/training.yaml --policy learner \\
      --set 'policies.learner={kind: onnx, bundle: shared_ppo}' --out supervision.json
"""


def add_calibrate(subparsers: Any) -> None:
    """Add ``calibrate`` to the subcommands of ``cosim policy``; its ``run`` is set as default."""
    from cosim.verbs._parser import add_scenario_options

    parser = subparsers.add_parser(
        "calibrate",
        help="learn what a policy's observations look like, for its supervisor",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scenario", type=Path, metavar="SCENARIO.yaml")
    parser.add_argument("--policy", required=True, metavar="NAME", help="a name under 'policies'")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.json")
    parser.add_argument(
        "--days", metavar="A-B,C,...", help="days of the scenario, from 0 (default: all)"
    )
    parser.add_argument(
        "--rate", type=float, default=0.05, metavar="P", help="of false alarms (default: 0.05)"
    )
    parser.add_argument(
        "--blocks", type=int, default=24, metavar="N", help="parts of the day (default: 24)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of the batteries' fillings (default: 0)"
    )
    add_scenario_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Calibrate, write the file and print the report."""
    from cosim.safety.calibrate import calibrate
    from cosim.safety.report import table
    from cosim.scenario import load_scenario
    from cosim.verbs._common import take_plugins

    take_plugins(arguments.plugins)
    _check(arguments)
    days = None if arguments.days is None else numbers(arguments.days)
    found = calibrate(
        load_scenario(arguments.scenario, arguments.overrides),
        arguments.policy,
        days=days,
        blocks=arguments.blocks,
        alarm_rate=arguments.rate,
        seed=arguments.seed,
    )
    _write(arguments.out, found.supervision.model_dump_json() + "\n")
    print(table(found.false_alarms, list(found.detections)))
    print(f"threshold {found.supervision.threshold_day:.4g}; {arguments.out}")
    return 0


def numbers(text: str) -> list[int]:
    """Return the days of a list like ``0-6,9``; raise InputError for anything else."""
    from cosim.errors import InputError, Problem

    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not (first.isdecimal() and (last.isdecimal() or not dash)):
            remedy = "write numbers and ranges, like 0-6,9"
            raise InputError(Problem(f"'{part}' is no day", "--days", remedy=remedy))
        found += range(int(first), int(last or first) + 1)
    return found


def _check(arguments: argparse.Namespace) -> None:
    from cosim.errors import InputError, Problem

    wrong = []
    if not 0.0 < arguments.rate < 1.0:
        wrong.append(Problem(f"a rate of {arguments.rate}", "--rate", remedy="between 0 and 1"))
    if not 1 <= arguments.blocks <= 288:
        wrong.append(Problem(f"{arguments.blocks} parts", "--blocks", remedy="from 1 to 288"))
    if wrong:
        raise InputError(wrong)


def _write(path: Path, text: str) -> None:
    from cosim.errors import OutputError

    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
