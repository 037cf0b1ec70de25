"""The picture of an evaluation: cost of every policy with its interval, difference, and regret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from cosim.record.folder import replacing
from cosim.report._drawing import BLUE, GREEN, GREY, ORANGE, RED, STYLE
from cosim.studies.matrix import Matrix
from cosim.studies.statistics import LEVEL, Estimate
from cosim.studies.verdict import Findings, Verdict, ordered


def draw_evaluation(path: Path, found: Findings, matrix: Matrix) -> None:
    """Draw the policies by cost, the cheapest at the top; candidates stand out."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    job, verdicts = matrix.job, ordered(found.verdicts)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11.0, 1.9 + 0.34 * len(verdicts)), layout="constrained")
        who = "community" if found.measure == "community_eur" else f"owners ({job.seat})"
        figure.suptitle(
            f"{job.case.scenario.name}: cost of the {who}, {job.extent}, the same for all policies",
            fontsize=10,
        )
        left, middle, right = figure.subplots(1, 3, sharey=True, width_ratios=(3, 3, 2))
        _costs(left, verdicts, found)
        _differences(middle, verdicts, found)
        _captured(right, verdicts)
        if left.get_legend_handles_labels()[0]:
            figure.legend(loc="outside lower left", fontsize=7, ncols=2)
        left.set_yticks(range(len(verdicts)), [each.name for each in verdicts])
        left.set_ylim(len(verdicts) - 0.4, -0.6)
        for text, each in zip(left.get_yticklabels(), verdicts, strict=True):
            text.set_fontweight("bold" if each.candidate else "normal")
        with replacing(path) as temporary, open(temporary, "wb") as file:
            source = f"cosim evaluation of {job.case.scenario.name}, seeds {job.seeds}"
            figure.savefig(
                file, format="png", dpi=120, metadata={"Software": None, "Source": source}
            )


def _costs(axes: Any, verdicts: list[Verdict], found: Findings) -> None:
    """Draw mean costs with intervals, and what perfect foresight would have cost."""
    for place, each in enumerate(verdicts):
        _whisker(axes, place, each.cost, _color(each))
    if found.foresight and found.measure == "community_eur":
        axes.axvline(found.foresight["together_eur"], color=GREEN, linewidth=1.2,
                     label="perfect foresight")  # fmt: skip
        axes.axvline(found.foresight["alone_eur"], color=GREEN, linewidth=1.2,
                     linestyle=(0, (4, 2)), label="the same, no neighbours")  # fmt: skip
    axes.set_title(f"mean cost and {LEVEL:.0%} interval [EUR/day]")


def _differences(axes: Any, verdicts: list[Verdict], found: Findings) -> None:
    """Draw paired differences to the reference; an open circle is not significant after Holm."""
    axes.axvline(0.0, color=GREY, linewidth=0.8)
    for place, each in enumerate(verdicts):
        if each.name == found.reference:
            axes.text(0.0, place, " reference", va="center", color=GREY, fontsize=8)
            continue
        sure = not np.isnan(each.p_holm) and each.p_holm < 1.0 - LEVEL
        color = RED if each.difference.value > 0.0 else BLUE
        _whisker(axes, place, each.difference, color, filled=sure)
    axes.set_title(f"paired difference to {found.reference} [EUR/day]")
    axes.set_xlabel(f"filled: p < {1.0 - LEVEL:.2f} after Holm")


def _captured(axes: Any, verdicts: list[Verdict]) -> None:
    """Draw the captured share of the gap, as far as it is within the axes."""
    for place, each in enumerate(verdicts):
        share = each.captured
        if np.isnan(share.value):
            axes.text(0.02, place, "n/a", va="center", color=GREY, fontsize=8)
        elif share.value < -1.0:
            axes.plot(-1.0, place, "<", color=_color(each), markersize=5)  # it lies further out
            axes.text(-0.93, place, f"{share.value:.0%}", va="center", color=GREY, fontsize=8)
        else:
            _whisker(axes, place, share, _color(each))
    for end, color in ((0.0, GREY), (1.0, GREEN)):
        axes.axvline(end, color=color, linewidth=0.8)
    axes.set_xlim(-1.05, 1.1)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.set_title("captured: 0 rule, 1 perfect foresight")


def _whisker(axes: Any, place: int, found: Estimate, color: str, filled: bool = True) -> None:
    if not np.isnan(found.low):
        axes.plot([found.low, found.high], [place, place], color=color, linewidth=1.6)
    face = color if filled else "white"
    axes.plot(found.value, place, "o", color=color, markerfacecolor=face, markersize=5)


def _color(verdict: Verdict) -> str:
    return ORANGE if verdict.candidate else BLUE
