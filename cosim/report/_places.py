"""Where the map draws the buses, the branches and the transformer stations of a feeder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosim.report.data import RunData


@dataclass(frozen=True, eq=False)
class Places:
    """Places of the buses ``[b, 2]`` and the buses at both ends of the branches ``[m, 2]``.

    ``upstream`` [b] are the buses that only feed transformers: they are not drawn where the data
    have them, which may be on another's place or far off, but at the station they feed.
    """

    at: np.ndarray
    geographic: bool
    lines: np.ndarray
    trafos: np.ndarray
    upstream: np.ndarray

    @property
    def aspect(self) -> float:
        """How much longer a unit of y is drawn than one of x.

        Degrees of longitude shrink with latitude, metres do not, and a tree fills a square.
        """
        at = self.at[~self.upstream]
        if not self.geographic:
            width, height = np.ptp(at, axis=0) if len(at) else (0.0, 0.0)
            return float(width / height) if width > 0.0 and height > 0.0 else 1.0
        degrees = (np.abs(at[:, 0]) <= 180.0).all() and (np.abs(at[:, 1]) <= 85.0).all()
        small = bool(len(at)) and bool((np.ptp(at, axis=0) < 5.0).all())
        return float(1.0 / np.cos(np.radians(at[:, 1].mean()))) if degrees and small else 1.0

    @property
    def span(self) -> float:
        """The longer side of the feeder, in units of x."""
        at = self.at[~self.upstream] * (1.0, self.aspect)
        return float(np.ptp(at, axis=0).max() or 1.0) if len(at) else 1.0

    def off(self, bus: int, way: np.ndarray, share: float) -> np.ndarray:
        """Return the place ``[2]`` in a direction from a bus, at a share of the span."""
        place: np.ndarray = self.at[bus] + share * self.span * way / (1.0, self.aspect)
        return place

    def free_direction(self, bus: int) -> np.ndarray:
        """Return the unit vector ``[2]`` from a bus to where, on paper, there is most room."""
        here, span = self.at[bus] * (1.0, self.aspect), self.span
        angles = np.radians(90.0 - 15.0 * np.arange(24))  # upward first
        ways = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        steps = np.linspace(0.0, 1.0, 6)[:, None, None]
        ends = self.at[self.lines] * (1.0, self.aspect)  # [l, 2, 2]
        along = (ends[:, 0] + steps * (ends[:, 1] - ends[:, 0])).reshape(-1, 2)
        along = along[np.linalg.norm(along - here, axis=1) > 1e-9 * span]
        if not len(along):
            return ways[0]
        spots = here + 0.12 * span * ways
        room = np.linalg.norm(spots[:, None] - along, axis=2).min(1)
        return ways[int(np.argmax(np.round(room / span, 6)))]


def places(data: RunData) -> Places:
    """Return how to draw the feeder of a run."""
    lines, trafos = ends(data, data.of_kind("line")), ends(data, data.of_kind("trafo"))
    upstream = np.zeros(int(data.of_kind("bus").sum()), dtype=bool)
    upstream[trafos[:, 0]] = True
    upstream[lines] = False
    upstream[trafos[:, 1]] = False
    at, geographic = positions(data)
    return Places(at, geographic, lines, trafos, upstream)


def ends(data: RunData, chosen: np.ndarray) -> np.ndarray:
    """Return the positions of both buses of the chosen branches ``[m, 2]``."""
    e = data.elements
    index = {name: i for i, name in enumerate(e["element"][data.of_kind("bus")])}
    pairs = zip(e["from_bus"][chosen], e["to_bus"][chosen], strict=True)
    return np.array([(index[a], index[b]) for a, b in pairs], dtype=int).reshape(-1, 2)


def positions(data: RunData) -> tuple[np.ndarray, bool]:
    """Return where to draw each bus ``[b, 2]``, and whether these are the network's own places."""
    buses = data.of_kind("bus")
    at = np.stack([data.elements["x"][buses], data.elements["y"][buses]], axis=1)
    if np.isfinite(at).all() and len(np.unique(at, axis=0)) > max(2, len(at) // 2):
        return at, True
    return tree_layout(ends(data, ~buses), len(at)), False


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
