"""The load flow near a solved state: what small changes of injections do, as sparse equations.

Unknowns are the changes of every node's voltage and of the current entering every branch at its
from end, two reals each. A branch ties its current to its two voltages; a node balances the
currents of its branches, of its shunt and of its injection of constant power. These are the
derivatives of the equations that the engines solve, of radial and meshed networks alike, and a
tree eliminates them from its leaves without fill-in. Currents are unknowns of their own, as in
modified nodal analysis (Ho, Ruehli and Brennan 1975, doi:10.1109/TCS.1975.1084079): on lines of
centimetres they would else be differences of voltages that are equal but for the last digits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosim.arrays import freeze
from cosim.feeder.network import Network
from cosim.feeder.state import Complexes, Floats
from cosim.feeder.topology import Ints, Walk


@dataclass(frozen=True, eq=False)
class Entries:
    """Entries of a sparse matrix of real numbers; those of one place add up."""

    row: Ints
    column: Ints
    value: Floats

    def __post_init__(self) -> None:
        freeze(self)


@dataclass(frozen=True, eq=False)
class LinearModel:
    """What the equations of a topology have in common, whatever its state."""

    network: Network
    percent_per_pu: Floats  # [m, 2], percent of the rating per unit current at either end
    nodes: Ints  # [k], those with unknown voltage
    voltage: Ints  # [n], number of a node's voltage among the complex unknowns, or -1
    current: Ints  # [m], number of a branch's current among them, or -1
    unit_pu: float
    fixed: Entries  # branches and shunts

    def __post_init__(self) -> None:
        freeze(self)

    def at(self, v_pu: Complexes, s_kva: Complexes) -> LinearFlow:
        """Return the equations around voltages ``v_pu [n]`` at injections ``s_kva [n]``."""
        at = self.voltage[self.nodes]
        pull = self.unit_pu * np.conj(s_kva[self.nodes] / v_pu[self.nodes] ** 2)
        balance = _joined(self.fixed, _real(((at, at, pull),), conjugate=True))
        unknowns = 2 * (len(self.nodes) + int((self.current >= 0).sum()))
        return LinearFlow(self, unknowns, balance, v_pu)


@dataclass(frozen=True, eq=False)
class LinearFlow:
    """The equations around a state: ``balance @ unknowns = draws(bus) @ drawn_kw``.

    Unknowns are voltages in the model's unit and then currents in kW at rated voltage. The unit is
    what a kW loses over the median branch, so that all coefficients are near 1.
    """

    model: LinearModel
    unknowns: int  # and as many equations
    balance: Entries
    v_pu: Complexes  # [n], the state, NaN where dead

    def __post_init__(self) -> None:
        freeze(self)

    def draws(self, bus: Ints) -> Entries:
        """Return what a kW drawn at each of the buses ``[k]`` adds to the equations ``[., k]``."""
        node, column = self.model.network.bus_node[bus], np.arange(len(bus))
        reached = (self.model.voltage[node] >= 0) & self.model.network.bus_in_service[bus]
        row, v = self.model.voltage[node[reached]], self.v_pu[node[reached]]
        per_kw = -v / np.abs(v) ** 2
        return Entries(
            np.concatenate((2 * row, 2 * row + 1)),
            np.tile(column[reached], 2),
            np.concatenate((per_kw.real, per_kw.imag)),
        )

    def slopes(self, quantity: Ints) -> Entries:
        """Return how voltages [p.u.] and loadings [%] follow the unknowns, ``[k, unknowns]``.

        ``quantity [k]`` counts buses, then lines, then transformers. Nothing moves what is dead or
        the slack's; a loading follows the current of that end where it is the larger.
        """
        network, model = self.model.network, self.model
        branches = np.concatenate((network.line_branch, network.trafo_branch))
        at_bus, row = quantity < len(network.buses), np.arange(len(quantity))
        node = network.bus_node[quantity[at_bus]]
        branch = branches[quantity[~at_bus] - len(network.buses)]
        known, live = model.voltage[node] >= 0, model.current[branch] >= 0
        voltages = self._voltages(row[at_bus][known], node[known])
        return _real_parts((voltages, *self._loadings(row[~at_bus][live], branch[live])))

    def _voltages(self, row: Ints, node: Ints) -> Part:
        v = self.v_pu[node]
        return row, self.model.voltage[node], self.model.unit_pu * np.conj(v) / np.abs(v)

    def _loadings(self, row: Ints, branch: Ints) -> tuple[Part, ...]:
        nodes, y = self.model.network.branch_nodes[branch], self.model.network.branch_y_pu[branch]
        current = np.einsum("kij,kj->ki", y, self.v_pu[nodes])
        size, percent = np.abs(current), self.model.percent_per_pu[branch]
        far = size[:, 1] * percent[:, 1] > size[:, 0] * percent[:, 0]
        # where nothing flows there is no slope: none is told
        along = percent * np.conj(current) / np.maximum(size, np.finfo(float).tiny)
        by_current, by_voltage = _far_end(y)
        own = np.where(far, along[:, 1] * by_current, along[:, 0])
        other = np.where(far, along[:, 1] * by_voltage, 0.0) * self.model.unit_pu
        own = own / (1e3 * self.model.network.base_mva)
        return (row, self.model.current[branch], own), (row, self.model.voltage[nodes[:, 0]], other)


#: rows, complex columns (< 0: known, not an unknown) and their values
Part = tuple[Ints, Ints, NDArray[Any]]


def linear_model(network: Network, walk: Walk, percent_per_pu: Floats) -> LinearModel:
    """Return the equations of a walked topology that all its states share."""
    nodes, branches = walk.order[1:], walk.branches
    voltage = np.full(len(network.node_vn_kv), -1)
    current = np.full(len(network.branch_nodes), -1)
    voltage[nodes] = np.arange(len(nodes))
    current[branches] = len(nodes) + np.arange(len(branches))
    base_kw, y = 1e3 * network.base_mva, network.branch_y_pu[branches]
    drop_pu = 1.0 / (y[:, 0, 1] * base_kw)  # by a kW at the near end
    unit_pu = float(np.median(np.abs(drop_pu))) if len(branches) else 1.0
    (near, far), i = voltage[network.branch_nodes[branches]].T, current[branches]
    by_current, by_voltage = _far_end(y)
    ones, at = np.ones(len(branches), dtype=complex), voltage[nodes]
    parts = (
        (near, i, ones),  # nodes: the currents of their branches and shunts
        (far, i, by_current),
        (far, near, base_kw * unit_pu * by_voltage),
        (at, at, base_kw * unit_pu * network.node_shunt_pu[nodes]),
        (i, far, ones),  # branches: i = yff v_near + yft v_far, by yft
        (i, near, y[:, 0, 0] / y[:, 0, 1]),
        (i, i, -drop_pu / unit_pu),
    )
    return LinearModel(network, percent_per_pu, nodes, voltage, current, unit_pu, _real(parts))


def _far_end(y: Complexes) -> tuple[Complexes, Complexes]:
    """Return how the far current of two-ports ``[k, 2, 2]`` follows near current and voltage."""
    by_current = y[:, 1, 1] / y[:, 0, 1]
    return by_current, y[:, 1, 0] - by_current * y[:, 0, 0]


def _known(parts: tuple[Part, ...]) -> Part:
    """Return parts as one, without entries of what is no equation or no unknown."""
    row, column, value = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    kept = (row >= 0) & (column >= 0)
    return row[kept], column[kept], value[kept]


def _real(parts: tuple[Part, ...], *, conjugate: bool = False) -> Entries:
    """Return complex equations, of the unknowns or of their conjugates, as real ones."""
    row, column, value = _known(parts)
    sign = -1.0 if conjugate else 1.0
    re, im = value.real, value.imag
    return Entries(
        np.concatenate((2 * row, 2 * row, 2 * row + 1, 2 * row + 1)),
        np.concatenate((2 * column, 2 * column + 1) * 2),
        np.concatenate((re, -sign * im, im, sign * re)),
    )


def _real_parts(parts: tuple[Part, ...]) -> Entries:
    """Return the real parts of complex rows."""
    row, column, value = _known(parts)
    return Entries(
        np.tile(row, 2),
        np.concatenate((2 * column, 2 * column + 1)),
        np.concatenate((value.real, -value.imag)),
    )


def _joined(*entries: Entries) -> Entries:
    columns = ((each.row, each.column, each.value) for each in entries)
    return Entries(*(np.concatenate(arrays) for arrays in zip(*columns, strict=True)))
