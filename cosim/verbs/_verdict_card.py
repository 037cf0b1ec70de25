"""The verdict on a trained policy, written into the card of its bundle."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path

from cosim.bundle.card import CARD, MODEL, Card, Evaluation, Figure, Foresight, Interval
from cosim.bundle.load import is_archive, put_bundle, read_bundle
from cosim.errors import InputError, Problem
from cosim.studies.matrix import Matrix
from cosim.studies.statistics import LEVEL, Estimate
from cosim.studies.trainings import Trainings, runs_behind
from cosim.studies.verdict import Findings, Verdict
from cosim.verbs._entrants import Named
from cosim.verbs._verdicts import training_line

_FIGURES = {
    "community_eur": "cost of the community",
    "owners_eur": "cost of the prosumers in the seat",
    "breach_min": "time with a limit of the feeder broken",
    "co2_kg": "CO2 of upstream energy",
    "interventions": "requests the guard changed",
    "traded_kwh": "traded in the local market",
}
_UNITS = {"_eur": "EUR/day", "_min": "min/day", "_kg": "kg/day", "_kwh": "kWh/day"}


def check_cards(named: Sequence[Named], foresight: bool) -> None:
    """Raise InputError where there is no card to write to."""
    problems = []
    if not any(each.bundle for each in named):
        problems.append(Problem("no policy named is a bundle", "--write-card"))
    problems += [
        Problem(f"'{each.bundle}' is an archive", "--write-card",
                remedy="unpack it with 'cosim policy export'")
        for each in named if each.bundle and is_archive(each.bundle)
    ]  # fmt: skip
    if not foresight:
        problems.append(Problem("a card without perfect foresight", "--write-card",
                                remedy="leave --no-foresight out"))  # fmt: skip
    if problems:
        raise InputError(problems)


def write_cards(
    named: Sequence[Named], matrix: Matrix, found: Findings, trained: Sequence[Trainings] = ()
) -> list[Path]:
    """Write the verdict on every bundle into its card; return the cards."""
    bundles = [(each.entrant.name, each.bundle) for each in named if each.bundle]
    return [_write(place, evaluation(matrix, found, name, trained)) for name, place in bundles]


def _write(place: Path, verdict: Evaluation) -> Path:
    """Replace the evaluation of a card; what does not load again is not put in its place."""
    files = read_bundle(place)
    card = Card.model_validate_json(files[CARD])
    text = card.model_copy(update={"evaluation": verdict}).model_dump_json(indent=1) + "\n"
    put_bundle(place, {MODEL: files[MODEL], CARD: text.encode()})
    return place / CARD


def evaluation(
    matrix: Matrix, found: Findings, name: str, trained: Sequence[Trainings] = ()
) -> Evaluation:
    """Return the evaluation section for one policy; ``trained`` are several of one kind."""
    job, verdict = matrix.job, found.of(name)
    others = [each for each in found.verdicts if not each.candidate]
    period = f"{job.periods} of {job.case.scenario.name}"
    return Evaluation(
        measured="settled bills on metered energy plus wear, minus the gain in stored energy at "
        "the lowest retail price of the period times the root of the round-trip efficiency; means "
        "over periods and seeds; a seed draws how full the batteries begin and all that is drawn",
        against=tuple(_word(each.name) for each in others),
        days=_days(matrix),
        seeds=job.seeds,
        figures=tuple(
            Figure(
                period=_ascii(period),
                measure=meaning,
                unit=next((u for end, u in _UNITS.items() if measure.endswith(end)), "1/day"),
                values={_word(each.name): round(each.figures[measure], 4)
                        for each in (verdict, *others)},
            )
            for measure, meaning in _FIGURES.items()
        ),
        caveats=tuple(_ascii(text) for text in _caveats(found, verdict, trained)),
        foresight=_foresight(matrix, verdict, runs_behind(trained, name)),
    )  # fmt: skip


def _days(matrix: Matrix) -> tuple[str, ...]:
    listed = json.dumps(list(matrix.job.firsts), separators=(",", ":"))
    shown = listed if len(listed) < 1800 else listed[:1800] + "..."
    begin = matrix.job.case.grid.utc(0).date().isoformat()
    return (f"first days, counted from {begin}: {shown}",)


def _caveats(found: Findings, verdict: Verdict, trained: Sequence[Trainings]) -> list[str]:
    """Return what a reader must mind: who is cheaper, what is not known, how it was tested."""
    listed = [f"loses to {name.rstrip('*')}" + (", significantly" if "*" in name else "")
              for name in verdict.loses_to]  # fmt: skip
    against = found.reference
    if verdict.name != against and not math.isnan(verdict.p_holm):
        difference = verdict.difference
        listed.append(
            f"against {against}: {difference.value:+.3f} EUR/day "
            f"({difference.low:+.3f} to {difference.high:+.3f}), paired permutation test "
            f"p = {verdict.p_holm:.2g} after Holm"
        )
    listed += found.notes
    own = [training_line(each) for each in trained if verdict.name in each.names]
    scenario = "one scenario: one feeder, one tariff, one market"
    return [*listed, *own, scenario if own else f"{scenario}; one training run"]


def _foresight(matrix: Matrix, verdict: Verdict, runs: int) -> Foresight | None:
    """Return the distance to perfect foresight; None without an interval."""
    regret = _interval(verdict.regret)
    if regret is None:
        return None
    return Foresight(
        regret_eur_per_day=regret,
        captured=_interval(verdict.captured),
        days=len(matrix.job.firsts) * matrix.job.days,
        runs=runs,
    )


def _interval(estimate: Estimate) -> Interval | None:
    if math.isnan(estimate.low):
        return None
    return Interval(value=estimate.value, low=estimate.low, high=estimate.high, level=LEVEL)


def _word(name: str) -> str:
    """Return a name as cards have it."""
    text = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:64]
    return text if text[:1].isalpha() else f"policy_{text}"[:64]


def _ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode()[:2000]
