"""Calibrate the supervisor of a policy: what its observations look like on normal days."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cosim.scenario import LoadedScenario
    from cosim.supervision import Supervision

DESCRIPTION = """\
Run a policy over the days of a scenario and write what its supervisor needs: means and covariances
of its observations by part of the day, and the score that a normal day exceeds with a given
probability. The days of the calendar of learning that are for calibration set that threshold, its
test days are held out: the report says how often those raise a false alarm, and which faults of the
observations would be seen.

  python -m cosim policy calibrate agents/trained/shared_ppo/training.yaml --policy learner \\
      --set 'policies.learner={kind: onnx, bundle: shared_ppo}' --out supervision.json

--write-card puts them into the card of the policy's own bundle instead, or as well; whoever runs
the bundle then supervises it with 'supervisors: {learner: {}}'.

--value also runs some of the held-out days with and without the supervisor, without a fault and
under a few, and says what the owners pay and for how long a limit of the feeder is broken.
"""


def add_calibrate(subparsers: Any) -> None:
    """Add ``calibrate`` to the subcommands of ``cosim policy``."""
    from cosim.verbs._parser import add_scenario_options, place

    parser = subparsers.add_parser(
        "calibrate",
        help="learn what a policy's observations look like, for its supervisor",
        description=DESCRIPTION,
    )
    parser.add_argument("scenario", metavar="SCENARIO", help="file, or shipped name")
    parser.add_argument("--policy", required=True, metavar="NAME", help="a name under 'policies'")
    parser.add_argument("--out", type=place, metavar="FILE.json", help="file of its own")
    parser.add_argument(
        "--write-card",
        type=place,
        metavar="BUNDLE",
        help="folder of the policy's bundle, whose card is to hold them",
    )
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
    parser.add_argument(
        "--value", action="store_true", help="say what the supervisor is worth under some faults"
    )
    parser.add_argument(
        "--value-days",
        type=int,
        default=4,
        metavar="N",
        help="held-out days that --value runs, ten times each (default: 4)",
    )
    add_scenario_options(parser)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")


def run(arguments: argparse.Namespace) -> int:
    """Calibrate, write the file and print the report."""
    from cosim.bundle.overseen import write_supervision
    from cosim.safety.calibrate import calibrate
    from cosim.safety.report import table
    from cosim.scenario import load_scenario
    from cosim.verbs._common import take_plugins
    from cosim.verbs._listed import numbers

    take_plugins(arguments.plugins)
    _check(arguments)
    days = None if arguments.days is None else numbers(arguments.days, "--days")
    loaded = load_scenario(arguments.scenario, arguments.overrides)
    _check_days(loaded, days)
    if arguments.write_card is not None:
        _check_bundle(arguments.write_card, loaded, arguments.policy)
    if arguments.value:
        _check_held_out(loaded, days, arguments.value_days)
    found = calibrate(
        loaded,
        arguments.policy,
        days=days,
        blocks=arguments.blocks,
        alarm_rate=arguments.rate,
        seed=arguments.seed,
    )
    places = []
    if arguments.out is not None:
        _write(arguments.out, found.supervision.model_dump_json() + "\n")
        places.append(str(arguments.out))
    if arguments.write_card is not None:
        write_supervision(arguments.write_card, found.supervision)
        places.append(f"card of {arguments.write_card}")
    print(table(found.false_alarms, list(found.detections)))
    print(f"threshold {found.supervision.threshold_day:.4g}; {', '.join(places)}")
    if arguments.value:
        _print_value(arguments, loaded, days, found.supervision)
    return 0


def _check_days(loaded: LoadedScenario, days: Sequence[int] | None) -> None:
    """Refuse days that the scenario does not have, or that leave nothing to fit or to test on."""
    from cosim.errors import InputError, Problem
    from cosim.training.days import Kind, kinds_on

    kinds = kinds_on(loaded.scenario.grid())
    chosen = list(range(len(kinds)) if days is None else days)
    outside = [day for day in chosen if day >= len(kinds)]
    if outside:
        what = f"day {outside[0]} is not among the {len(kinds)} days of the scenario"
        raise InputError(Problem(what, "--days", remedy="days are counted from 0"))
    if {Kind.TRAIN, Kind.TEST} <= set(kinds[chosen]):
        return
    what = f"{len(chosen)} days leave none to fit on, or none to test on"
    where = str(loaded.source.at(("time", "days"))) if days is None else "--days"
    remedy = "lengthen time.days" if days is None else "take more days"
    raise InputError(Problem(what, where, "the calendar of learning divides them", remedy))


def _check_held_out(loaded: LoadedScenario, days: Sequence[int] | None, count: int) -> None:
    """Refuse to value on more days than are held out, before all the work."""
    from cosim.case import load_case
    from cosim.safety.worth import held_out

    held_out(load_case(loaded.undisturbed()), days, count)


def _print_value(
    arguments: argparse.Namespace,
    loaded: LoadedScenario,
    days: Sequence[int] | None,
    written: Supervision,
) -> None:
    """Run held-out days with and without the supervisor and print what it is worth."""
    from cosim.safety.worth import value_table, worth

    count = arguments.value_days
    found = worth(loaded, arguments.policy, written, days=days, count=count, seed=arguments.seed)
    print(f"\n{value_table(found, count)}")


def _check_bundle(place: Path, loaded: LoadedScenario, policy: str) -> None:
    """Refuse a bundle that is not the policy to be observed."""
    from cosim.bundle.overseen import checked_place
    from cosim.errors import InputError, Problem
    from cosim.policy import Policy

    card, chosen = checked_place(place).card, loaded.scenario.policies.get(policy)
    if not isinstance(chosen, Policy):
        return  # calibrating says so
    bound = chosen.bound(loaded.folder, loaded.scenario.grid().interval_s)
    if card.model.sha256 not in dict(bound.files).values():
        what = f"the policy '{policy}' of the scenario does not run the bundle '{place}'"
        remedy = f"--set 'policies.{policy}={{kind: onnx, bundle: {place}}}'"
        raise InputError(Problem(what, "--write-card", remedy=remedy))


def _check(arguments: argparse.Namespace) -> None:
    from cosim.errors import InputError, Problem

    wrong = []
    if not 0.0 < arguments.rate < 1.0:
        wrong.append(Problem(f"a rate of {arguments.rate}", "--rate", remedy="between 0 and 1"))
    if arguments.out is None and arguments.write_card is None:
        remedy = "give --out FILE.json, --write-card BUNDLE, or both"
        wrong.append(Problem("nowhere to write the statistics", remedy=remedy))
    if arguments.value_days < 1:
        what = f"{arguments.value_days} days"
        wrong.append(Problem(what, "--value-days", remedy="at least 1"))
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
