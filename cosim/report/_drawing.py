"""Colours and parts that the figures over time have in common."""

from __future__ import annotations

from typing import Any

import numpy as np

from cosim.report.data import RunData

BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#7F7F7F"
#: what is beyond a limit on the map, where blue to red are taken by the voltages
MAGENTA = "#D6007F"

STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "path.simplify_threshold": 0.5,
}


def panels(figure: Any, heights: tuple[float, ...]) -> list[Any]:
    """Return axes one above the other over the same time, with room for legends at the right."""
    margins = {"left": 0.085, "right": 0.785, "top": 0.945, "bottom": 0.1, "hspace": 0.12}
    axes = figure.subplots(
        len(heights), 1, sharex=True, squeeze=False, height_ratios=heights, gridspec_kw=margins
    )
    return list(axes[:, 0])


def line(axes: Any, data: RunData, values: np.ndarray, **style: Any) -> None:
    """Draw values that each hold for their interval."""
    axes.step(data.edges, np.append(values, values[-1:]), where="post", **style)


def fill(axes: Any, data: RunData, low: np.ndarray, high: np.ndarray, **style: Any) -> None:
    """Fill between two values of each interval, and nothing where one of them is NaN."""
    times = np.repeat(data.edges, 2)[1:-1]  # both ends of each, so that gaps begin at an end
    axes.fill_between(times, np.repeat(low, 2), np.repeat(high, 2), linewidth=0.0, **style)


def shade(axes: Any, data: RunData) -> None:
    """Shade intervals in which somebody was without supply, and those without a solution."""
    for mask, color, label in (
        (data.series["dead_share"] > 0.0, "#999999", "outage of all or part"),
        (data.series["status"] == "collapse", "#E8B4B8", "without solution"),
    ):
        steps = np.diff(np.concatenate([[0], mask.astype(int), [0]]))
        spans = zip(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), strict=True)
        for count, (begin, end) in enumerate(spans):
            axes.axvspan(
                data.edges[begin], data.edges[end], color=color, alpha=0.35, linewidth=0,
                label="_nolegend_" if count else label,
            )  # fmt: skip


def legend(axes: Any, **options: Any) -> None:
    """Explain what is labelled at the right of the axes."""
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.2, **options)


def note(axes: Any, text: str) -> None:
    """Say in the middle of the axes what the reader should not take for a fault."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", color=GREY)


def padded(*values: np.ndarray) -> tuple[float, float]:
    """Return bounds with some room below and above the finite ones of the values."""
    every = np.concatenate(values)
    every = every[np.isfinite(every)]
    if not len(every):
        return 0.0, 1.0
    low, high = float(every.min()), float(every.max())
    pad = 0.08 * (high - low) or 0.01
    return low - pad, high + pad
