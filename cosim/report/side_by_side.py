"""The picture of a comparison: cost by day, its difference to the first run, and the exchange."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cosim.record.folder import replacing
from cosim.report._drawing import BLUE, GREEN, GREY, MAGENTA, ORANGE, RED, STYLE
from cosim.studies.paired import Contender, Difference, daily

_COLORS = (GREY, BLUE, ORANGE, GREEN, RED, MAGENTA)


def draw_side_by_side(
    path: Path, contenders: Sequence[Contender], found: Sequence[Difference]
) -> None:
    """Draw costs and differences by day, and the power from upstream over a mean day."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    first = contenders[0]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11.0, 4.2 + 0.16 * len(contenders)), layout="constrained")
        figure.suptitle(f"{len(contenders)} runs on the same draws, seed "
                        f"{first.scenario['seed']}", fontsize=10)  # fmt: skip
        axes = figure.subplots(1, 3)
        _costs(axes[0], contenders)
        _gaps(axes[1], contenders)
        _exchange(axes[2], contenders)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=8)
        with replacing(path) as temporary, open(temporary, "wb") as file:
            source = f"cosim comparison of {first.name} and {len(contenders) - 1} more"
            figure.savefig(
                file, format="png", dpi=120, metadata={"Software": None, "Source": source}
            )


def _color(place: int) -> str:
    return _COLORS[place % len(_COLORS)]


def _costs(axes: Any, contenders: Sequence[Contender]) -> None:
    for place, each in enumerate(contenders):
        cost = daily(each)["cost_eur"]
        axes.plot(range(len(cost)), cost, "o-", color=_color(place), label=each.name, markersize=4)
    axes.set_title("bills and wear by day [EUR]")
    _whole_days(axes, contenders)


def _gaps(axes: Any, contenders: Sequence[Contender]) -> None:
    base = daily(contenders[0])["cost_eur"]
    width = 0.8 / max(len(contenders) - 1, 1)
    for place, each in enumerate(contenders[1:], 1):
        at = np.arange(len(base)) - 0.4 + (place - 0.5) * width
        axes.bar(at, daily(each)["cost_eur"] - base, width, color=_color(place))
    axes.axhline(0.0, color=GREY, linewidth=0.8)
    axes.set_title(f"difference to {contenders[0].name} [EUR]", fontsize=8)
    _whole_days(axes, contenders)


def _whole_days(axes: Any, contenders: Sequence[Contender]) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("day of the run")


def _exchange(axes: Any, contenders: Sequence[Contender]) -> None:
    """Draw the mean power from upstream by the hour since midnight of the run's first day."""
    for place, each in enumerate(contenders):
        days = each.series["slack_p_kw"].reshape(-1, max(1, 86_400 // each.interval_s))
        known = ~np.isnan(days).all(axis=0)
        mean = np.nanmean(days[:, known], axis=0)
        hours = np.arange(days.shape[1])[known] * each.interval_s / 3600.0
        axes.step(hours, mean, where="post", color=_color(place), linewidth=1.0)
    axes.set_xticks(range(0, 25, 6))
    axes.set_xlabel("hours since the begin of the day of the run")
    axes.set_title("mean power from upstream [kW]")
