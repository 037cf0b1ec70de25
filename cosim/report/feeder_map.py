"""The map of the feeder: lowest and highest voltages side by side, and the highest loadings.

Buses are coloured by voltage and branches darker and broader by loading. What was beyond a limit
has a magenta rim; what was out at some time has a black mark.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cosim.report._drawing import MAGENTA
from cosim.report._places import Places, places
from cosim.report.data import RunData

_PANELS = {"vm_min_pu": "lowest voltage of each bus", "vm_max_pu": "highest voltage of each bus"}


@dataclass(frozen=True, eq=False)
class _Look:
    """What both panels share: where things are, which are beyond limits or out, the two scales."""

    where: Places
    watched: np.ndarray  # [b] not upstream
    worst: np.ndarray  # [b]
    bus_out_h: np.ndarray  # [b]
    all_out_h: float  # for how long every bus was without supply at once
    line_percent: np.ndarray  # [l]
    line_out_h: np.ndarray  # [l]
    trafo_percent: np.ndarray  # [t]
    trafo_out_h: np.ndarray  # [t]
    limits: dict[str, float]
    volts: Any
    loads: Any

    @property
    def dead(self) -> np.ndarray:
        """Where buses were without supply while others had it, bool ``[b]``."""
        return self.bus_out_h > self.all_out_h + 1e-9

    def beyond(self, vm_pu: np.ndarray) -> np.ndarray:
        """Return where voltages are outside their band, bool ``[b]``."""
        return (vm_pu < self.limits["vm_min_pu"]) | (vm_pu > self.limits["vm_max_pu"])

    @property
    def line_over(self) -> np.ndarray:
        """Where lines were loaded above their limit, bool ``[l]``."""
        return self.line_percent > self.limits["line_percent"]

    @property
    def trafo_over(self) -> np.ndarray:
        """Where transformers were loaded above their limit, bool ``[t]``."""
        return self.trafo_percent > self.limits["trafo_percent"]


def feeder_map(figure: Any, data: RunData) -> None:
    """Draw the feeder where it lies, or as a tree where the network has no coordinates."""
    look = _look(data)
    buses = data.of_kind("bus")
    drawn = look.where.at[look.watched]
    extent = np.ptp(drawn, axis=0) if len(drawn) else np.ones(2)
    broad = look.where.geographic and extent[0] > 1.5 * look.where.aspect * extent[1]
    shape = (2, 1) if broad else (1, 2)
    margins = {"left": 0.01, "right": 0.785, "top": 0.94, "bottom": 0.2, "wspace": 0.03,
               "hspace": 0.15}  # fmt: skip
    for axes, (column, title) in zip(
        figure.subplots(*shape, gridspec_kw=margins).flat, _PANELS.items(), strict=True
    ):
        vm = data.elements[column][buses]
        _panel(axes, look, vm)
        axes.set_title(title + _reach(column, vm), fontsize=8, loc="center", y=-0.06)
    _scales(figure, look)
    figure.suptitle(f"{data.title} — feeder, extremes of the run", x=0.01, ha="left", fontsize=9)
    figure.text(0.01, 0.02, _caption(look), fontsize=8)
    if entries := _entries(look, data):
        figure.legend(handles=entries, loc="lower left", bbox_to_anchor=(0.0, 0.05), ncols=2)


def worst_voltage(low: np.ndarray, high: np.ndarray, limits: dict[str, float]) -> np.ndarray:
    """Return for each bus the extreme that is farther from the middle of the band [p.u.]."""
    middle = 0.5 * (limits["vm_min_pu"] + limits["vm_max_pu"])
    return np.where(middle - low > high - middle, low, high)


def _look(data: RunData) -> _Look:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    e, limits = data.elements, data.limits
    bus, line, trafo = (data.of_kind(kind) for kind in ("bus", "line", "trafo"))
    low, high = e["vm_min_pu"][bus], e["vm_max_pu"][bus]
    found = np.array([limits["vm_min_pu"], limits["vm_max_pu"], *low, *high])
    pad = 0.04 * (limits["vm_max_pu"] - limits["vm_min_pu"])
    volts = Normalize(np.nanmin(found) - pad, np.nanmax(found) + pad)
    top = max(limits["line_percent"], limits["trafo_percent"])
    highest = np.nanmax([top, *e["loading_max_percent"][line | trafo]])
    greys = LinearSegmentedColormap.from_list("loading", ["#C4C4C4", "#000000"])
    where = places(data)
    return _Look(
        where, ~where.upstream, worst_voltage(low, high, limits), e["out_h"][bus],
        float(e["out_h"][bus].min()), e["loading_max_percent"][line], e["out_h"][line],
        e["loading_max_percent"][trafo], e["out_h"][trafo], limits,
        volts=ScalarMappable(volts, _voltage_colors()),
        loads=ScalarMappable(Normalize(0.0, min(1.05 * highest, 2.0 * top)), greys),
    )  # fmt: skip


def _voltage_colors() -> Any:
    """Return blue for low to red for high, white where there was never a voltage."""
    from matplotlib import colormaps

    return colormaps["turbo"].with_extremes(bad="#FFFFFF")


def _reach(column: str, vm: np.ndarray) -> str:
    vm = vm[np.isfinite(vm)]
    if not len(vm):
        return ""
    return f" (down to {vm.min():.3f})" if column == "vm_min_pu" else f" (up to {vm.max():.3f})"


# ---------------------------------------------------------------- a panel


def _panel(axes: Any, look: _Look, vm: np.ndarray) -> None:
    """Draw the feeder, its buses coloured by the voltages ``[b]``."""
    _lines(axes, look)
    watched = look.watched
    at, vm = look.where.at[watched], vm[watched]
    beyond, dead = look.beyond(vm), look.dead[watched]
    axes.scatter(at[dead, 0], at[dead, 1], marker="s", s=55, facecolors="none", edgecolors="black",
                 linewidths=0.8, zorder=3, gid="dead")  # fmt: skip
    axes.scatter(
        at[:, 0], at[:, 1], c=vm, s=np.where(beyond, 36, 22), zorder=4, cmap=look.volts.cmap,
        norm=look.volts.norm, edgecolors=np.where(beyond, MAGENTA, "black"),
        linewidths=np.where(beyond, 1.8, 0.4), plotnonfinite=True, gid="buses",
    )  # fmt: skip
    _stations(axes, look)
    axes.set_axis_off()
    axes.margins(0.06)
    if look.where.geographic:
        axes.set_aspect(look.where.aspect, adjustable="datalim")


def _lines(axes: Any, look: _Look) -> None:
    """Draw the lines by loading, a rim around those above the limit, marks on open ones."""
    from matplotlib.collections import LineCollection

    segments, percent = look.where.at[look.where.lines], look.line_percent
    bound = look.limits["line_percent"]
    widths = 1.0 + 2.5 * np.clip(np.nan_to_num(percent) / bound, 0.0, 1.2)
    over, out = look.line_over, look.line_out_h > 0.0
    axes.add_collection(LineCollection(
        segments[over], colors=MAGENTA, linewidths=widths[over] + 3.0, zorder=1, gid="over",
    ))  # fmt: skip
    axes.add_collection(LineCollection(
        segments, array=percent, cmap=look.loads.cmap, norm=look.loads.norm, linewidths=widths,
        zorder=2, gid="lines",
    ))  # fmt: skip
    middle = segments[out].mean(1)
    axes.plot(middle[:, 0], middle[:, 1], gid="open", zorder=6, **_CROSS)
    between = look.where.trafos[~look.where.upstream[look.where.trafos[:, 0]]]
    axes.add_collection(LineCollection(
        look.where.at[between], colors="black", linewidths=0.8, linestyles=":", zorder=2,
    ))  # fmt: skip


_CROSS: Any = {
    "linestyle": "none", "marker": "X", "markersize": 8, "markerfacecolor": "black",
    "markeredgecolor": "white", "markeredgewidth": 0.8,
}  # fmt: skip


def _stations(axes: Any, look: _Look) -> None:
    """Draw two circles for the transformers of each busbar, and the word upstream beyond them."""
    at, trafos = look.where.at, look.where.trafos
    for bus in np.unique(trafos[:, 1]):
        here = trafos[:, 1] == bus
        above = trafos[here, 0]
        way = look.where.free_direction(int(bus))
        feeds = bool(look.where.upstream[above].any())
        color = MAGENTA if look.trafo_over[here].any() else "black"
        room = 0.2 + 0.3 * abs(way[0]) if feeds else 0.06  # words are longer than high
        axes.update_datalim([look.where.off(int(bus), way, room)])
        _stem(axes, at[bus], 30.0 * way if feeds else 16.0 * way)
        for reach, face in ((19.0, "white"), (13.0, "none")):
            _spot(axes, at[bus], reach * way, marker="o", markersize=9, markerfacecolor=face,
                  markeredgecolor=color, markeredgewidth=1.4, gid="transformer")  # fmt: skip
        if (look.trafo_out_h[here] > 0.0).any():
            _spot(axes, at[bus], 16.0 * way, gid="open", **_CROSS)
        if feeds:
            if look.all_out_h > 0.0:
                _spot(axes, at[bus], 28.0 * way, gid="upstream out", **_CROSS)
            _name(axes, at[bus], 34.0 * way, _station_text(look.trafo_percent[here]))


def _station_text(percent: np.ndarray) -> str:
    count = "transformer" if len(percent) == 1 else f"{len(percent)} transformers"
    known = percent[np.isfinite(percent)]
    return f"upstream\n{count}" + (f" {known.max():.0f} %" if len(known) else "")


def _stem(axes: Any, at: np.ndarray, offset: np.ndarray) -> None:
    axes.annotate("", at, xytext=offset, textcoords="offset points", annotation_clip=False,
                  arrowprops={"arrowstyle": "-", "linewidth": 1.4, "shrinkA": 0, "shrinkB": 0},
                  zorder=2.5)  # fmt: skip


def _spot(axes: Any, at: np.ndarray, offset: np.ndarray, **marker: Any) -> None:
    """Draw a marker so many points away from a place."""
    from matplotlib.transforms import ScaledTranslation

    shift = ScaledTranslation(offset[0] / 72.0, offset[1] / 72.0, axes.figure.dpi_scale_trans)
    axes.plot(*at, transform=axes.transData + shift, zorder=5, clip_on=False, **marker)


def _name(axes: Any, at: np.ndarray, offset: np.ndarray, text: str) -> None:
    aside = abs(offset[0]) > 0.5 * abs(offset[1])
    ha = ("left" if offset[0] > 0.0 else "right") if aside else "center"
    va = "center" if abs(offset[0]) > abs(offset[1]) else "bottom" if offset[1] > 0.0 else "top"
    axes.annotate(text, at, xytext=offset, textcoords="offset points", fontsize=7.5, ha=ha, va=va,
                  annotation_clip=False, zorder=6)  # fmt: skip


# ---------------------------------------------------------------- scales and legend


def _scales(figure: Any, look: _Look) -> None:
    """Draw both colour scales with the limits marked on them."""
    limits = look.limits
    low, high = limits["vm_min_pu"], limits["vm_max_pu"]
    bar = figure.colorbar(look.volts, cax=figure.add_axes((0.8, 0.2, 0.015, 0.68)))
    _ticks(bar, np.linspace(low, high, 5), {low: f"{low:g}, limit", high: f"{high:g}, limit"})
    bar.ax.set_title("voltage [p.u.]", fontsize=8)
    line, trafo = limits["line_percent"], limits["trafo_percent"]
    names = {line: f"{line:g}, limit"}
    if line != trafo:
        names = {line: f"{line:g}, lines", trafo: f"{trafo:g}, transf."}
    bar = figure.colorbar(look.loads, cax=figure.add_axes((0.905, 0.2, 0.015, 0.68)))
    _ticks(bar, np.linspace(0.0, line, 5), names)
    bar.ax.set_title("loading [%]", fontsize=8)


def _ticks(bar: Any, places: np.ndarray, limits: dict[float, str]) -> None:
    room = 0.04 * (bar.vmax - bar.vmin)
    plain = [float(p) for p in places if min(abs(p - limit) for limit in limits) > room]
    bar.set_ticks([*limits, *plain], labels=[*limits.values(), *(f"{p:.4g}" for p in plain)])
    bar.ax.tick_params(labelsize=7.5)
    for limit in limits:
        bar.ax.axhline(limit, color=MAGENTA, linewidth=2.0)


def _entries(look: _Look, data: RunData) -> list[Any]:
    """Return the legend: only what is on the map."""
    from matplotlib.lines import Line2D

    def entry(label: str, **style: Any) -> Any:
        return Line2D([], [], label=label, **style)

    entries = []
    outside = look.beyond(look.worst[look.watched])
    ring: Any = {"linestyle": "none", "marker": "o", "markerfacecolor": "white", "markersize": 6}
    if outside.any():
        text = "bus beyond a voltage limit"
        entries.append(entry(text, markeredgecolor=MAGENTA, markeredgewidth=1.8, **ring))
    if np.isnan(look.worst[look.watched]).any():
        entries.append(entry("bus that never had a voltage", markeredgecolor="black", **ring))
    if look.line_over.any() or look.trafo_over.any():
        entries.append(entry("branch above its loading limit", color=MAGENTA, linewidth=3.0))
    names = {kind: data.elements["element"][data.of_kind(kind)] for kind in ("line", "trafo")}
    out_h = {"line": look.line_out_h, "trafo": look.trafo_out_h}
    if text := _out_text(names, out_h):
        entries.append(entry(text, **_CROSS))
    if look.all_out_h > 0.0:
        text = f"upstream out: all buses without supply for {look.all_out_h:.1f} h"
        entries.append(entry(text, **_CROSS))
    dead = look.dead & look.watched
    if dead.any():
        hours = look.bus_out_h[dead].max()
        text = f"buses without supply: {int(dead.sum())}, for up to {hours:.1f} h"
        entries.append(entry(text, linestyle="none", marker="s", markersize=8, color="black",
                             markerfacecolor="none", markeredgewidth=0.8))  # fmt: skip
    return entries


def _out_text(names: dict[str, np.ndarray], out_h: dict[str, np.ndarray]) -> str:
    """Return which branches were open, by name as long as there is room."""
    found = [
        (name, hours)
        for kind in names
        for name, hours in zip(names[kind], out_h[kind], strict=True)
        if hours > 0.0
    ]
    if len(found) == 1:
        return f"{found[0][0]} out of service for {found[0][1]:.1f} h"
    longest = max((hours for _, hours in found), default=0.0)
    return f"{len(found)} branches out of service, for up to {longest:.1f} h" if found else ""


def _caption(look: _Look) -> str:
    outside = look.beyond(look.worst[look.watched])
    over, trafos_over = int(look.line_over.sum()), int(look.trafo_over.sum())
    text = (
        f"outside limits at some time: {int(outside.sum())} of {len(outside)} buses, "
        f"{over} of {len(look.line_percent)} lines, "
        f"{trafos_over} of {len(look.trafo_percent)} transformers"
    )
    if np.isnan(look.bus_out_h).all():
        text += "; outages were not recorded by element"
    return text
