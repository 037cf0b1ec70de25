"""Which part of the network is connected to the supply, and whether that part is a tree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosim.feeder.network import Network

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Topology:
    """The open elements by name and whether the supply is on; a hashable key."""

    open_lines: frozenset[str]
    open_trafos: frozenset[str]
    supply: bool = True

    def __str__(self) -> str:
        names = ["line:" + name for name in sorted(self.open_lines)]
        names += ["trafo:" + name for name in sorted(self.open_trafos)]
        return "\n".join([*names, "supply:" + ("on" if self.supply else "off")])


def base_topology(network: Network) -> Topology:
    """Return the topology of the net as it was given."""
    service = network.branch_in_service
    return Topology(
        frozenset(_where_not(network.lines, service[network.line_branch])),
        frozenset(_where_not(network.trafos, service[network.trafo_branch])),
    )


def _where_not(names: tuple[str, ...], mask: Bools) -> list[str]:
    return [name for name, on in zip(names, mask, strict=True) if not on]


def closed_branches(network: Network, topology: Topology) -> Bools:
    """Return the branches ``[m]`` that are closed and can carry current."""
    closed = network.branch_in_service.copy()
    closed[network.line_branch] = [name not in topology.open_lines for name in network.lines]
    closed[network.trafo_branch] = [name not in topology.open_trafos for name in network.trafos]
    return closed & network.branch_usable


@dataclass(frozen=True, eq=False)
class Walk:
    """A walk from the slack over all closed branches: nodes root first, with their parents."""

    order: Ints  # [k], live nodes, the slack first
    parent: Ints  # [k], position of the parent in order; -1 at the slack
    branches: Ints  # [h], closed branches between live nodes, rows of the branch arrays
    radial: bool  # no loop, parallel branches counting as one

    def alive(self, nodes: int) -> Bools:
        """Return which of all nodes are connected to the slack, ``[n]``."""
        alive = np.zeros(nodes, dtype=np.bool_)
        alive[self.order] = True
        return alive


def walk(network: Network, closed: Bools) -> Walk:
    """Return the breadth-first walk over the closed branches ``[m]``."""
    neighbours: dict[int, list[int]] = {}
    pairs = set()
    for a, b in network.branch_nodes[closed].tolist():
        if a != b and (min(a, b), max(a, b)) not in pairs:
            pairs.add((min(a, b), max(a, b)))
            neighbours.setdefault(a, []).append(b)
            neighbours.setdefault(b, []).append(a)
    order, parent = [network.slack_node], [-1]
    seen = {network.slack_node}
    for position, node in enumerate(order):
        for other in neighbours.get(node, ()):
            if other not in seen:
                seen.add(other)
                order.append(other)
                parent.append(position)
    live = np.array([a in seen for a in network.branch_nodes[:, 0].tolist()], dtype=np.bool_)
    edges = sum(a in seen for a, _ in pairs)
    return Walk(
        np.array(order, dtype=np.int64),
        np.array(parent, dtype=np.int64),
        np.flatnonzero(closed & live),
        radial=edges == len(order) - 1,
    )
