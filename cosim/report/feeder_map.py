"""The map of the feeder: buses by their worst voltage, lines by their worst loading."""

from __future__ import annotations

from typing import Any

import numpy as np

from cosim.report.data import RunData


def feeder_map(figure: Any, data: RunData) -> None:
    """Draw the feeder where it lies, or as a tree where the network has no coordinates."""
    from matplotlib.colors import Normalize

    axes = figure.subplots()
    e, limits = data.elements, data.limits
    buses, lines, trafos = (data.of_kind(kind) for kind in ("bus", "line", "trafo"))
    at, geographic = positions(data)
    loading = e["loading_max_percent"]
    bound = limits["line_percent"]
    strands = _strands(axes, data, at, lines, Normalize(0.0, bound))
    _strands(axes, data, at, trafos, None)
    worst = worst_voltage(e["vm_min_pu"][buses], e["vm_max_pu"][buses], limits)
    out = (worst < limits["vm_min_pu"]) | (worst > limits["vm_max_pu"])
    dots = axes.scatter(
        at[:, 0], at[:, 1], c=worst, s=np.where(out, 44, 24), zorder=3, cmap=_voltage_colors(),
        norm=Normalize(limits["vm_min_pu"], limits["vm_max_pu"]),
        edgecolors="black", linewidths=np.where(out, 1.4, 0.4), plotnonfinite=True,
    )  # fmt: skip
    _mark_trafos(axes, data, at, trafos)
    figure.colorbar(dots, ax=axes, label="worst voltage [p.u.]; beyond the limits large and ringed",
                    extend="both", shrink=0.85, pad=0.01)  # fmt: skip
    figure.colorbar(strands, ax=axes, label=f"worst line loading [%], limit {bound:g} %",
                    extend="max", shrink=0.85, pad=0.01)  # fmt: skip
    axes.set_title(f"Feeder, worst of the run — {data.title}")
    axes.set_xlabel(_caption(data, worst, loading, lines, trafos))
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.margins(0.04)
    if geographic:
        axes.set_aspect(_aspect(at), adjustable="datalim")


def _voltage_colors() -> Any:
    """Return blue for low to red for high, grey where there is no voltage."""
    from matplotlib import colormaps

    return colormaps["coolwarm"].with_extremes(bad="#BBBBBB")


def worst_voltage(low: np.ndarray, high: np.ndarray, limits: dict[str, float]) -> np.ndarray:
    """Return for each bus the extreme that is farther from the middle of the band [p.u.]."""
    middle = 0.5 * (limits["vm_min_pu"] + limits["vm_max_pu"])
    return np.where(middle - low > high - middle, low, high)


def positions(data: RunData) -> tuple[np.ndarray, bool]:
    """Return where to draw each bus ``[b, 2]``, and whether these are the network's own places."""
    buses = data.of_kind("bus")
    at = np.stack([data.elements["x"][buses], data.elements["y"][buses]], axis=1)
    if np.isfinite(at).all() and len(np.unique(at, axis=0)) > max(2, len(at) // 2):
        return at, True
    return tree_layout(_ends(data, ~buses), len(at)), False


def tree_layout(ends: np.ndarray, count: int) -> np.ndarray:
    """Return places ``[count, 2]`` for a network given as pairs of buses ``[m, 2]``.

    The first bus of each part is on top, every bus a level below the one it hangs on and midway
    above those that hang on it.
    """
    neighbours: list[list[int]] = [[] for _ in range(count)]
    for a, b in ends:
        neighbours[a].append(b)
        neighbours[b].append(a)
    parent = np.full(count, -2)
    order: list[int] = []
    roots = [int(ends[-1, 0]), *range(count)] if len(ends) else list(range(count))
    depth = np.zeros(count)
    for root in roots:  # the last branch is a transformer, where there is one
        if parent[root] != -2:
            continue
        parent[root], stack = -1, [root]
        while stack:
            bus = stack.pop()
            order.append(bus)
            for other in neighbours[bus]:
                if parent[other] == -2:
                    parent[other], depth[other] = bus, depth[bus] + 1
                    stack.append(other)
    return np.stack([_columns(order, parent, count), -depth], axis=1)


def _columns(order: list[int], parent: np.ndarray, count: int) -> np.ndarray:
    """Return x: leaves side by side in the order of the walk, others midway above their own."""
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    has_children = np.zeros(count, dtype=bool)
    has_children[parent[parent >= 0]] = True
    leaves = [bus for bus in order if not has_children[bus]]
    low[leaves] = high[leaves] = np.arange(len(leaves))
    for bus in reversed(order):
        middle, above = 0.5 * (low[bus] + high[bus]), parent[bus]
        if above >= 0:
            low[above], high[above] = min(low[above], middle), max(high[above], middle)
    return 0.5 * (low + high)


def _ends(data: RunData, chosen: np.ndarray) -> np.ndarray:
    """Return the positions of both buses of the chosen branches ``[m, 2]``."""
    e = data.elements
    index = {name: i for i, name in enumerate(e["element"][data.of_kind("bus")])}
    pairs = zip(e["from_bus"][chosen], e["to_bus"][chosen], strict=True)
    return np.array([(index[a], index[b]) for a, b in pairs], dtype=int).reshape(-1, 2)


def _strands(axes: Any, data: RunData, at: np.ndarray, chosen: np.ndarray, norm: Any) -> Any:
    """Draw branches, coloured by loading where a norm is given."""
    from matplotlib.collections import LineCollection

    segments = at[_ends(data, chosen)]
    if norm is None:
        strands = LineCollection(segments, colors="black", linewidths=1.5, zorder=1)
    else:
        loading = data.elements["loading_max_percent"][chosen]
        widths = 1.5 + 2.5 * np.clip(np.nan_to_num(loading) / norm.vmax, 0.0, 1.2)
        strands = LineCollection(segments, cmap="viridis_r", norm=norm, linewidths=widths, zorder=2)
        strands.set_array(loading)
    axes.add_collection(strands)
    return strands


def _mark_trafos(axes: Any, data: RunData, at: np.ndarray, trafos: np.ndarray) -> None:
    for (x, y), percent in zip(
        at[_ends(data, trafos)].mean(1), data.elements["loading_max_percent"][trafos], strict=True
    ):
        axes.plot(x, y, marker="s", markersize=9, color="black", zorder=4)
        text = f"transformer {percent:.0f} %" if np.isfinite(percent) else "transformer"
        box = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1}
        axes.annotate(text, (x, y), xytext=(8, 6), textcoords="offset points", fontsize=8,
                      zorder=5, bbox=box)  # fmt: skip


def _caption(
    data: RunData, worst: np.ndarray, loading: np.ndarray, lines: np.ndarray, trafos: np.ndarray
) -> str:
    limits = data.limits
    outside = (worst < limits["vm_min_pu"]) | (worst > limits["vm_max_pu"])
    over = int((loading[lines] > limits["line_percent"]).sum())
    trafos_over = int((loading[trafos] > limits["trafo_percent"]).sum())
    return (
        f"outside limits at some time: {int(outside.sum())} of {len(worst)} buses, "
        f"{over} of {int(lines.sum())} lines, {trafos_over} of {int(trafos.sum())} transformers"
    )


def _aspect(at: np.ndarray) -> float:
    """Return the aspect of the map: degrees of longitude shrink with latitude, metres do not."""
    degrees = (np.abs(at[:, 0]) <= 180.0).all() and (np.abs(at[:, 1]) <= 85.0).all()
    small = bool((np.ptp(at, axis=0) < 5.0).all())
    return float(1.0 / np.cos(np.radians(at[:, 1].mean()))) if degrees and small else 1.0
