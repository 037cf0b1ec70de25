"""The figures of a run: market prices, grid flow, feeder map and voltage envelope.

Matplotlib is imported when the first figure is drawn and never opens a window.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cosim.record.folder import replacing
from cosim.report._drawing import (
    BLUE,
    GREEN,
    ORANGE,
    RED,
    STYLE,
    fill,
    legend,
    line,
    note,
    padded,
    panels,
    shade,
)
from cosim.report._time_axis import time_axis
from cosim.report.data import RunData, read_run
from cosim.report.feeder_map import feeder_map


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
    with mpl.rc_context(STYLE):
        for name, draw in FIGURES.items():
            figure = Figure(figsize=(9.0, 5.2))
            draw(figure, data)
            paths.append(folder / f"{name}.png")
            _save(figure, paths[-1], data.source)
    return paths


def _save(figure: Any, path: Path, source: str) -> None:
    kept = {"Software": None, "Source": source}
    with replacing(path) as temporary, open(temporary, "wb") as file:
        figure.savefig(file, format="png", dpi=120, metadata=kept)


# ---------------------------------------------------------------- figures


def market_prices(figure: Any, data: RunData) -> None:
    """Draw the clearing price, the tariffs in force around it, and the traded energy."""
    top, bottom = panels(figure, (3, 2))
    series, edges = data.series, data.edges
    retail, feed_in = series["retail_eur_per_kwh"], series["feed_in_eur_per_kwh"]
    price, volume, possible = (
        series[name] for name in ("price_eur_per_kwh", "volume_kwh", "possible_kwh")
    )
    limit = series["bid_limit_eur_per_kwh"]
    fill(top, data, feed_in, limit, color="#F1F1F1")
    # broad and below the tariffs: on which of them a price lies stays visible
    top.hlines(price, edges[:-1], edges[1:], color="#56B4E9", linewidth=4.5, zorder=1.8,
               capstyle="projecting", label="clearing price")  # fmt: skip
    line(top, data, retail, color=RED, linewidth=1.0, label="retail in force (mean)")
    if (limit != retail).any():
        what = "what a neighbour's kWh is worth (mean)"
        line(top, data, limit, color=RED, linewidth=1.0, linestyle=":", label=what)
    line(top, data, feed_in, color=GREEN, linewidth=1.0, linestyle=(0, (4, 2)),
         label="feed-in in force (mean)")  # fmt: skip
    top.set_ylabel("EUR/kWh")
    top.set_ylim(*padded(limit, feed_in, price))
    top.set_title(f"{data.title} — local market")
    fill(bottom, data, 0.0 * volume, volume, color="#56B4E9",
         label=f"traded,\n{np.nansum(volume):,.0f} kWh in all")  # fmt: skip
    line(bottom, data, possible, color="black", linewidth=0.6, label="physically possible")
    bottom.set_ylabel("kWh per interval")
    bottom.set_ylim(bottom=0.0)
    if not volume.any():
        note(bottom, "nothing was traded")
    for axes in (top, bottom):
        shade(axes, data)
    legend(top)
    legend(bottom)
    time_axis(bottom, data)


def grid_flow(figure: Any, data: RunData) -> None:
    """Draw the exchange with the upstream grid, the losses and the loadings with their limits."""
    top, middle, bottom = panels(figure, (3, 1.5, 2))
    _exchange(top, data)
    top.set_title(f"{data.title} — exchange with the upstream grid")
    line(middle, data, data.mean_kw("losses_kwh"), color=GREEN, linewidth=1.2)
    middle.set_ylabel("losses [kW]")
    middle.set_ylim(bottom=0.0)
    for name, label, color in (("trafo", "transformer", BLUE), ("line", "line", ORANGE)):
        values, limit = data.series[f"{name}_max_percent"], data.limits[f"{name}_percent"]
        line(bottom, data, values, color=color, linewidth=1.2, label=f"highest {label}")
        if data.limits["trafo_percent"] != data.limits["line_percent"]:
            text = f"{label} limit {limit:g} %"
            bottom.axhline(limit, color=color, linestyle="--", linewidth=1.2, label=text)
        elif name == "line":
            bottom.axhline(
                limit, color=RED, linestyle="--", linewidth=1.2, label=f"limit {limit:g} %"
            )
    bottom.set_ylabel("loading [%]")
    bottom.set_ylim(0.0, 1.08 * bottom.get_ylim()[1])
    for axes in (top, middle, bottom):
        shade(axes, data)
    legend(top)
    legend(bottom)
    time_axis(bottom, data)


def _exchange(axes: Any, data: RunData) -> None:
    """Draw the directions in which there was any flow."""
    for name, sign, color, label in (
        ("slack_import_kwh", 1.0, BLUE, "from upstream"),
        ("slack_export_kwh", -1.0, ORANGE, "into upstream"),
    ):
        flow, energy = sign * data.mean_kw(name), np.nansum(data.series[name])
        if energy > 0.0:
            text = f"{label},\n" + (f"{energy:,.0f} kWh" if energy >= 1.0 else "below 1 kWh")
            fill(axes, data, 0.0 * flow, flow, color=color, alpha=0.8, label=text)
    axes.axhline(0.0, color="black", linewidth=0.6)
    axes.set_ylabel("kW")


def voltage_envelope(figure: Any, data: RunData) -> None:
    """Draw lowest, 5 %, median, 95 % and highest bus voltage, close and between the limits."""
    close, whole = panels(figure, (3, 2))
    series = data.series
    low, high = series["vm_min_pu"], series["vm_max_pu"]
    for axes in (close, whole):
        fill(axes, data, low, high, color="#F3C48A", label="lowest to highest bus")
        fill(axes, data, series["vm_p05_pu"], series["vm_p95_pu"], color="#8DBFE0",
             label="5 % to 95 % of the buses")  # fmt: skip
        line(axes, data, series["vm_p50_pu"], color="black", linewidth=0.9, label="median bus")
        for name, label in (("vm_max_pu", "upper"), ("vm_min_pu", "lower")):
            axes.axhline(data.limits[name], color=RED, linewidth=1.2, linestyle="--",
                         label=f"{label} limit {data.limits[name]:g} p.u.")  # fmt: skip
        shade(axes, data)
        axes.set_ylabel("voltage [p.u.]")
    close.set_ylim(*padded(low, high))
    whole.set_ylim(*padded(low, high, np.array([data.limits[n] for n in _BAND])))
    close.set_title(f"{data.title} — voltages of the buses with supply: close, and in their limits")
    legend(close)
    time_axis(whole, data)


_BAND = ("vm_min_pu", "vm_max_pu")

FIGURES: dict[str, Callable[[Any, RunData], None]] = {
    "market_prices": market_prices,
    "grid_flow": grid_flow,
    "feeder_map": feeder_map,
    "voltage_envelope": voltage_envelope,
}
