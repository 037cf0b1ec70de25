"""The picture of several markets side by side: what trade saves and who keeps it, volume, price."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cosim.record.folder import replacing
from cosim.report._drawing import BLUE, GREEN, GREY, MAGENTA, ORANGE, RED, STYLE
from cosim.report.screen import shown

#: what the market's operator keeps of the savings, drawn beside them
KEPT = "operator_surplus_eur"
#: key figure of each panel, its title and its colour
PANELS = {
    "savings_eur": ("savings by trading [EUR]", BLUE),
    "traded_kwh": ("traded [kWh]", GREEN),
    "mean_price_eur_per_kwh": ("mean price [EUR/kWh]", ORANGE),
}


def draw_comparison(
    path: Path, kpis: Mapping[str, Mapping[str, float]], title: str, seed: int
) -> None:
    """Draw bars for the key figures of each market; the first market stands at the top."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10.0, 1.4 + 0.32 * len(kpis)), layout="constrained")
        figure.suptitle(f"{title}: markets on the same draws (seed {seed})", fontsize=10)
        for axes, name in zip(figure.subplots(1, len(PANELS), sharey=True), PANELS, strict=True):
            _bars(axes, name, kpis)
        with replacing(path) as temporary, open(temporary, "wb") as file:
            source = f"cosim comparison of {title}, seed {seed}"
            figure.savefig(
                file, format="png", dpi=120, metadata={"Software": None, "Source": source}
            )


def _bars(axes: Any, name: str, kpis: Mapping[str, Mapping[str, float]]) -> None:
    """Draw one figure of every market; without a value there is a word in place of the bar."""
    values = np.array([figures[name] for figures in kpis.values()]).round(9)
    heading, color = PANELS[name]
    places = np.arange(len(values))
    bars = axes.barh(places, np.nan_to_num(values), color=color, height=0.7)
    texts = ["no trade" if np.isnan(value) else shown(name, value) for value in values]
    if name == "savings_eur":
        bars, texts = _kept(axes, kpis, values, texts)
    axes.bar_label(bars, texts, padding=3, fontsize=8, color=GREY)
    if name == "mean_price_eur_per_kwh":
        _tariff(axes, next(iter(kpis.values())))
    axes.set_yticks(places, list(kpis))
    axes.set_ylim(len(values) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.2)
    axes.set_title(heading)


def _kept(
    axes: Any, kpis: Mapping[str, Mapping[str, float]], savings: np.ndarray, texts: list[str]
) -> tuple[Any, list[str]]:
    """Draw what the operator keeps at the end of the savings; return what bears the labels."""
    kept = np.array([figures[KEPT] for figures in kpis.values()]).round(9)
    begin = np.where(kept < 0.0, np.minimum(savings, 0.0), np.maximum(savings, 0.0))
    bars = axes.barh(np.arange(len(kept)), kept, left=begin, color=MAGENTA, height=0.7)
    for bar in bars:
        bar.sticky_edges.x.clear()  # else the axis would end with the longest bar
    if kept.any():
        axes.set_xlabel("last part: kept by the operator", color=MAGENTA)
    return bars, [
        f"{text} {'+' if own > 0.0 else '-'} {shown(KEPT, abs(own))}" if own else text
        for text, own in zip(texts, kept.tolist(), strict=True)
    ]


def _tariff(axes: Any, kpis: Mapping[str, float]) -> None:
    """Mark the mean tariff, which is the same under every market."""
    for name, color in (("mean_feed_in_eur_per_kwh", GREEN), ("mean_retail_eur_per_kwh", RED)):
        axes.axvline(kpis[name], color=color, linewidth=1.0, linestyle=(0, (4, 2)))
    axes.set_xlabel("dashed: mean feed-in, retail")
