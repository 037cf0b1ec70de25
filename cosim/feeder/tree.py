"""The engine for radial feeders: prepares a topology for the compiled kernels and calls them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosim.feeder import kernels
from cosim.feeder.network import Network
from cosim.feeder.state import Complexes, Floats, Layout, SolveStatus
from cosim.feeder.topology import Ints, Walk

Array = NDArray[Any]
_solve_one: Any = kernels.solve_one
_solve_many: Any = kernels.solve_many
_solve_nodes: Any = kernels.solve_nodes


@dataclass(frozen=True, eq=False)
class TreeEngine:
    """A radial topology, ready to solve; arrays as the kernels describe them."""

    layout: Layout
    order: Ints  # [k], the live nodes as the kernels number them
    constants: tuple[Any, ...]  # the leading arguments of the kernels

    def solve_one(self, p_kw: Floats, q_kvar: Floats) -> Floats:
        """Return the row of results of one step, injections ``[b]``."""
        row = np.zeros(self.layout.width)
        _solve_one(*self.constants, p_kw, q_kvar, row)
        return row

    def solve_many(self, p_kw: Floats, q_kvar: Floats) -> Floats:
        """Return the rows of results of many steps, injections ``[lanes, b]``."""
        rows = np.zeros((len(p_kw), self.layout.width))
        _solve_many(*self.constants, p_kw, q_kvar, rows)
        return rows

    def node_voltages_pu(self, p_kw: Floats, q_kvar: Floats, nodes: int) -> Complexes:
        """Return the voltages ``[n]`` of one step, NaN where dead or without a solution."""
        row, v = np.zeros(self.layout.width), np.empty((len(self.order), 2))
        _solve_nodes(*self.constants, p_kw, q_kvar, v, row)
        voltages = np.full(nodes, np.nan, dtype=np.complex128)
        if row[-1] != SolveStatus.COLLAPSE:
            voltages[self.order] = v.view(np.complex128)[:, 0]
        return voltages


def tree_engine(
    network: Network,
    tree: Walk,
    slack_v_pu: complex,
    percent_per_pu: Floats,
    tolerance_pu: float,
) -> TreeEngine:
    """Return the engine of a radial walk; ``percent_per_pu [m, 2]`` scales end currents."""
    layout = Layout(len(network.buses), len(network.lines), len(network.trafos))
    position = np.full(len(network.node_vn_kv), -1, dtype=np.int64)
    position[tree.order] = np.arange(len(tree.order))
    place = np.where(network.bus_in_service, position[network.bus_node], -1)
    node = _node_table(network, tree, position, slack_v_pu)
    constants = (
        _frozen(tree.parent),
        _frozen(place),
        _frozen(_ends(network, tree, position, layout)),
        node,
        _frozen(_branch_table(network, tree, percent_per_pu)),
        1e3 * network.base_mva,
        float(network.node_shunt_pu[network.slack_node].imag),
        tolerance_pu,
    )
    return TreeEngine(layout, tree.order, constants)


def _frozen(array: Array) -> Array:
    array = np.ascontiguousarray(array)
    array.flags.writeable = False
    return array


def _node_table(network: Network, tree: Walk, position: Ints, slack_v_pu: complex) -> Floats:
    """Return the factored nodal equations, ``[k, 15]``."""
    k = len(tree.order)
    diagonal = network.node_shunt_pu[tree.order].copy()
    down = np.zeros(k, dtype=complex)  # y(parent, child)
    up = np.zeros(k, dtype=complex)  # y(child, parent)
    for row in tree.branches:
        f, t = position[network.branch_nodes[row]]
        (yff, yft), (ytf, ytt) = network.branch_y_pu[row]
        diagonal[f] += yff
        diagonal[t] += ytt
        if f == t:
            diagonal[f] += yft + ytf
        elif tree.parent[t] == f:
            down[t] += yft
            up[t] += ytf
        else:
            down[f] += ytf
            up[f] += yft
    pivot = diagonal.copy()
    for i in range(k - 1, 0, -1):
        pivot[tree.parent[i]] -= down[i] * up[i] / pivot[i]
    pivot[0] = 1.0  # the slack's row is not eliminated
    columns = [1 / pivot, down / pivot, up / pivot, np.zeros(k, complex), diagonal, down, up]
    columns[3][0] = slack_v_pu
    table = np.empty((k, 15))
    table[:, 0:14:2] = np.array(columns).T.real
    table[:, 1:14:2] = np.array(columns).T.imag
    table[:, 14] = network.node_shunt_pu[tree.order].real
    return table


def _branch_table(network: Network, tree: Walk, percent_per_pu: Floats) -> Floats:
    """Return admittances and rating factors of the live branches, ``[h, 10]``."""
    y = network.branch_y_pu[tree.branches].reshape(-1, 4)
    table = np.empty((len(y), 10))
    table[:, 0:8:2], table[:, 1:8:2] = y.real, y.imag
    table[:, 8:] = percent_per_pu[tree.branches]
    return table


def _ends(network: Network, tree: Walk, position: Ints, layout: Layout) -> Ints:
    """Return end positions and result columns of the live branches, ``[h, 4]``."""
    column = np.full((len(network.branch_nodes), 2), -1, dtype=np.int64)
    column[network.line_branch, 0] = layout.buses + np.arange(layout.lines)
    column[network.line_branch, 1] = layout.line_p + np.arange(layout.lines)
    column[network.trafo_branch, 0] = layout.buses + layout.lines + np.arange(layout.trafos)
    column[network.trafo_branch, 1] = layout.line_p + layout.lines + np.arange(layout.trafos)
    ends = position[network.branch_nodes[tree.branches]].reshape(-1, 2)
    return np.concatenate([ends, column[tree.branches]], axis=1)
