"""The figures of a run: market prices, grid flow, feeder map and voltage envelope.

Matplotlib is imported when the first figure is drawn and never opens a window.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cosim.record.folder import replacing
from cosim.report.data import RunData, read_run
from cosim.report.feeder_map import feeder_map

BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#7F7F7F"

_STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 10,
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


def draw_figures(run: Path | RunData, folder: Path | None = None) -> list[Path]:
    """Draw every figure of a run folder into its ``figures``; return the files."""
    data = read_run(run) if isinstance(run, Path) else run
    if folder is None:
        if not isinstance(run, Path):
            raise ValueError("name the folder of the figures when the data are in memory")
        folder = run / "figures"
    import matplotlib as mpl
    from matplotlib.figure import Figure

    paths = []
    with mpl.rc_context(_STYLE):
        for name, draw in FIGURES.items():
            figure = Figure(figsize=(9.0, 5.2), layout="constrained")
            draw(figure, data)
            paths.append(folder / f"{name}.png")
            _save(figure, paths[-1])
    return paths


def _save(figure: Any, path: Path) -> None:
    with replacing(path) as temporary, open(temporary, "wb") as file:
        figure.savefig(file, format="png", dpi=120, metadata={"Software": None})


# ---------------------------------------------------------------- figures


def market_prices(figure: Any, data: RunData) -> None:
    """Draw the clearing price inside the tariff band, and the traded energy."""
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    series = data.series
    retail, feed_in = series["retail_eur_per_kwh"], series["feed_in_eur_per_kwh"]
    _fill(top, data, feed_in, retail, color="#EAF2F8", label="between feed-in and retail")
    _line(top, data, retail, color=GREY, linewidth=1.0, label="retail (mean)")
    _line(top, data, feed_in, color=GREY, linewidth=1.0, linestyle="--", label="feed-in (mean)")
    edges, price = data.edges, series["price_eur_per_kwh"]
    top.hlines(price, edges[:-1], edges[1:], color=BLUE, linewidth=2.4, label="clearing price")
    top.set_ylabel("EUR/kWh")
    top.set_ylim(*_padded(np.concatenate([retail, feed_in, price])))
    top.set_title(f"Local market — {data.title}")
    _legend(top)
    volume = series["volume_kwh"]
    possible = series["possible_kwh"]
    _fill(bottom, data, 0.0 * possible, possible, color="#DDDDDD", label="physically possible")
    _fill(bottom, data, 0.0 * volume, volume, color=BLUE, alpha=0.75, label="traded")
    bottom.set_ylabel("kWh per interval")
    bottom.set_ylim(bottom=0.0)
    _legend(bottom)
    if not volume.any():
        _note(bottom, "nothing was traded")
    _time_axis(bottom, data)


def grid_flow(figure: Any, data: RunData) -> None:
    """Draw the exchange with the upstream grid, the losses and the loadings with their limits."""
    top, middle, bottom = figure.subplots(3, 1, sharex=True, height_ratios=(3, 1.5, 2))
    imported, exported = data.mean_kw("slack_import_kwh"), data.mean_kw("slack_export_kwh")
    _fill(top, data, 0.0 * imported, imported, color=BLUE, alpha=0.75, label="from upstream")
    _fill(top, data, -exported, 0.0 * exported, color=ORANGE, alpha=0.85, label="into upstream")
    top.axhline(0.0, color="black", linewidth=0.6)
    top.set_ylabel("kW")
    top.set_title(f"Exchange with the upstream grid — {data.title}")
    _legend(top)
    _line(middle, data, data.mean_kw("losses_kwh"), color=GREEN, linewidth=1.2)
    middle.set_ylabel("losses [kW]")
    middle.set_ylim(bottom=0.0)
    for name, label, color in (("trafo", "transformer", BLUE), ("line", "line", ORANGE)):
        values, limit = data.series[f"{name}_max_percent"], data.limits[f"{name}_percent"]
        _line(bottom, data, values, color=color, linewidth=1.2, label=f"highest {label}")
        if data.limits["trafo_percent"] != data.limits["line_percent"]:
            text = f"{label} limit {limit:g} %"
            bottom.axhline(limit, color=color, linestyle="--", linewidth=1.2, label=text)
        elif name == "line":
            bottom.axhline(
                limit, color=RED, linestyle="--", linewidth=1.2, label=f"limit {limit:g} %"
            )
    bottom.set_ylabel("loading [%]")
    bottom.set_ylim(0.0, 1.08 * bottom.get_ylim()[1])
    _legend(bottom)
    for axes in (top, middle, bottom):
        _shade(axes, data)
    _time_axis(bottom, data)


def voltage_envelope(figure: Any, data: RunData) -> None:
    """Draw lowest, 5 %, median, 95 % and highest bus voltage with the limits."""
    axes = figure.subplots()
    series = data.series
    low, high = series["vm_min_pu"], series["vm_max_pu"]
    _fill(axes, data, low, high, color="#CFE3F1", label="lowest to highest bus")
    _fill(axes, data, series["vm_p05_pu"], series["vm_p95_pu"], color="#7FB4D8",
          label="5 % to 95 % of the buses")  # fmt: skip
    _line(axes, data, series["vm_p50_pu"], color=BLUE, linewidth=1.2, label="median bus")
    for name, label in (("vm_max_pu", "upper"), ("vm_min_pu", "lower")):
        limit = data.limits[name]
        text = f"{label} limit {limit:g} p.u."
        axes.axhline(limit, color=RED, linewidth=1.2, linestyle="--", label=text)
    _shade(axes, data)
    axes.set_ylabel("voltage [p.u.]")
    axes.set_title(f"Bus voltages — {data.title}")
    _legend(axes)
    _time_axis(axes, data)


FIGURES: dict[str, Callable[[Any, RunData], None]] = {
    "market_prices": market_prices,
    "grid_flow": grid_flow,
    "feeder_map": feeder_map,
    "voltage_envelope": voltage_envelope,
}


# ---------------------------------------------------------------- parts


def _line(axes: Any, data: RunData, values: np.ndarray, **style: Any) -> None:
    axes.step(data.edges, np.append(values, values[-1:]), where="post", **style)


def _fill(axes: Any, data: RunData, low: np.ndarray, high: np.ndarray, **style: Any) -> None:
    axes.fill_between(
        data.edges, np.append(low, low[-1:]), np.append(high, high[-1:]), step="post",
        linewidth=0.0, **style,
    )  # fmt: skip


def _shade(axes: Any, data: RunData) -> None:
    """Shade intervals in which somebody was without supply, and those without a solution."""
    for mask, color, label in (
        (data.series["dead_share"] > 0.0, "#999999", "outage of all or part"),
        (data.series["status"] == "collapse", "#E8B4B8", "without solution"),
    ):
        steps = np.diff(np.concatenate([[0], mask.astype(int), [0]]))
        for begin, end in zip(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), strict=True):
            span = data.edges[[begin, end]]
            axes.axvspan(*span, color=color, alpha=0.35, linewidth=0, label=label)
            label = "_nolegend_"  # noqa: PLW2901


def _legend(axes: Any) -> None:
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.2)


def _note(axes: Any, text: str) -> None:
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", color=GREY)


def _padded(values: np.ndarray) -> tuple[float, float]:
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    pad = 0.08 * (high - low) or 0.01
    return low - pad, high + pad


def _time_axis(axes: Any, data: RunData) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(tz=data.zone)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=data.zone))
    axes.set_xlim(data.edges[0], data.edges[-1])
    axes.set_xlabel(f"time ({data.zone.key})")
