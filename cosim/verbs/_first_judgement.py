"""What a training ends with: the policy judged on days it never saw, written into its card."""

from __future__ import annotations

from pathlib import Path

from cosim.bundle.parts import Calendar
from cosim.case import Case
from cosim.plugins import load
from cosim.policy import Policy
from cosim.studies.held_out import SEEDS, days_for_tests, first_job
from cosim.studies.matrix import Matrix, run_matrix
from cosim.studies.trials import several
from cosim.studies.verdict import RULE, Findings, findings
from cosim.verbs._entrants import Named
from cosim.verbs._progress import counted
from cosim.verbs._running import Say
from cosim.verbs._verdict_card import write_cards


def first_judgement(
    case: Case, seat: str, bundle: Path, calendar: Calendar, most: int, say: Say
) -> None:
    """Judge a bundle on at most so many held-out days, say how it does and write its card.

    The trials are those of ``evaluate --days ... --seeds 101 --baselines self_consumption``. Where
    nothing is held out, nothing is done.
    """
    days = days_for_tests(case, calendar, most)
    if not days:
        return
    name = bundle.stem if bundle.stem != RULE else f"{RULE} (trained)"
    job = first_job(case, seat, _bound(case, bundle), name, days)
    with counted(several(len(days), "held-out day"), len(days), say.quiet) as told:
        matrix = run_matrix(job, progress=told)
    found = findings(matrix)
    write_cards([Named(job.entrants[0], bundle)], matrix, found)
    say("judged", _said(matrix, found, name))


def judging_words(scenario: str, seat: str, bundle: Path, days: tuple[int, ...]) -> list[str]:
    """Return the command line that makes the same judgement."""
    listed = ",".join(map(str, days)), ",".join(map(str, SEEDS))
    return ["python", "-m", "cosim", "evaluate", scenario, "--policy", str(bundle), "--seat", seat,
            "--days", listed[0], "--seeds", listed[1], "--baselines", RULE,
            "--write-card"]  # fmt: skip


def _bound(case: Case, bundle: Path) -> Policy:
    policy = load("policy", "onnx").model_validate({"bundle": str(bundle.resolve())})
    assert isinstance(policy, Policy)
    bound = policy.bound(Path(), case.grid.interval_s)
    assert isinstance(bound, Policy)
    return bound


def _said(matrix: Matrix, found: Findings, name: str) -> str:
    """Return costs of community and owners, and the share captured of what was possible."""
    costs = {
        measure: ", ".join(f"{v.name} {v.figures[measure]:.2f}" for v in found.verdicts)
        for measure in ("community_eur", "owners_eur")
    }
    text = (
        f"community [EUR/day] {costs['community_eur']}, perfect foresight "
        f"{found.foresight['together_eur']:.2f}; owners {costs['owners_eur']}"
    )
    share = found.of(name).captured
    if share.low == share.low:  # no interval of few days
        text += f"; captured {share.value:.0%} ({share.low:.0%} to {share.high:.0%})"
    return f"{text}; {several(len(matrix.job.firsts), 'held-out day')}"
