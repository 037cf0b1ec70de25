"""The feeder: an object with a topology that solves load flows and watches its own correctness.

Every topology is compared once with pandapower before its first result is handed out, and the
comparison is remembered on disk; the deviation must stay below 1e-8 p.u.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cosim.errors import InputError, Problem, RunError
from cosim.feeder.checks import Memory
from cosim.feeder.linear import LinearFlow, LinearModel, linear_model
from cosim.feeder.network import Network
from cosim.feeder.pandapower_engine import PandapowerEngine
from cosim.feeder.settings import Ratings, check_name, checked_settings, percent_per_pu
from cosim.feeder.state import Floats, GridState, Layout, SolveStatus, dead_rows, state_from_rows
from cosim.feeder.topology import Topology, Walk, base_topology, closed_branches, walk

if TYPE_CHECKING:
    from cosim.feeder.tree import TreeEngine

LARGEST_DEVIATION_PU = 1e-8
PROBE_CHANGE_PU = 0.03  # voltage change of the injections used for the start-up check
LARGEST_FACTOR = 1024.0
FACTOR_ACCURACY = 1e-5


@dataclass(frozen=True, eq=False)
class _Operation:
    """One topology, walked and ready to solve."""

    walk: Walk
    dead: NDArray[np.bool_]  # [b]
    engine_name: str
    engine: TreeEngine | PandapowerEngine | None  # None without supply


@dataclass
class _Evidence:
    """What the comparisons with pandapower have shown so far, shared by all twins of a feeder."""

    deviation_pu: float = 0.0
    checks: int = 0


class Feeder:
    """A network in operation.

    ``engine`` is auto, tree or pandapower; ``slack_vm_pu`` replaces the supply voltage,
    ``line_rating_ka`` and ``trafo_rating_kva`` the ratings (of all parallel systems together), by
    name or one number for all. ``verify_every`` compares every so many steps with pandapower.
    ``cache`` is the folder in which comparisons are remembered.
    """

    def __init__(
        self,
        network: Network,
        *,
        engine: str = "auto",
        slack_vm_pu: float | None = None,
        line_rating_ka: Ratings = None,
        trafo_rating_kva: Ratings = None,
        verify_every: int = 0,
        tolerance_pu: float = 1e-12,
        cache: Path | None = None,
    ) -> None:
        self.network = network
        self.settings = checked_settings(
            network,
            engine,
            slack_vm_pu,
            line_rating_ka,
            trafo_rating_kva,
            tolerance_pu,
            verify_every,
        )
        self._evidence = _Evidence()
        self._layout = Layout(len(network.buses), len(network.lines), len(network.trafos))
        self._memory = Memory(cache, network.key, self.settings.slack_v_pu, tolerance_pu)
        self._steps_since_check = 0
        self._topology = base_topology(network)
        self._operations: dict[Topology, _Operation] = {}
        self._linear: dict[Topology, LinearModel] = {}
        self._checked: set[Topology] = set()
        self._current: _Operation | None = None  # set once checked, cleared by switching
        self._ready()

    @property
    def deviation_pu(self) -> float:
        """Return the largest |dV| against pandapower seen so far, by all twins."""
        return self._evidence.deviation_pu

    @property
    def checks(self) -> int:
        """Return the number of comparisons behind it, remembered ones included."""
        return self._evidence.checks

    # topology ---------------------------------------------------------------------------------

    @property
    def topology(self) -> Topology:
        """Return the open elements and whether the supply is on, a hashable value."""
        return self._topology

    @property
    def engine(self) -> str:
        """Return the name of the engine of the present topology: tree or pandapower."""
        return self._operation().engine_name

    @property
    def dead(self) -> NDArray[np.bool_]:
        """Return the buses ``[b]`` not connected to the energised supply."""
        return (self._current or self._operation()).dead

    def open_line(self, name: str) -> None:
        """Open a line at both ends."""
        check_name(name, self.network.lines, "line")
        self.restore(replace(self._topology, open_lines=self._topology.open_lines | {name}))

    def close_line(self, name: str) -> None:
        """Close a line."""
        check_name(name, self.network.lines, "line")
        self.restore(replace(self._topology, open_lines=self._topology.open_lines - {name}))

    def open_trafo(self, name: str) -> None:
        """Open a transformer on both sides."""
        check_name(name, self.network.trafos, "transformer")
        self.restore(replace(self._topology, open_trafos=self._topology.open_trafos | {name}))

    def close_trafo(self, name: str) -> None:
        """Close a transformer."""
        check_name(name, self.network.trafos, "transformer")
        self.restore(replace(self._topology, open_trafos=self._topology.open_trafos - {name}))

    def set_supply(self, on: bool) -> None:
        """Switch the upstream supply."""
        self.restore(replace(self._topology, supply=bool(on)))

    def twin(self) -> Feeder:
        """Return the feeder in the network's own topology, to be switched independently.

        Twins share prepared topologies and comparisons, so that another run starts at once.
        """
        twin = copy.copy(self)
        twin.restore(base_topology(self.network))
        twin._steps_since_check = 0
        return twin

    def restore(self, topology: Topology) -> None:
        """Go to a topology, for instance one read from ``topology`` earlier."""
        self._topology = topology
        self._current = None

    # load flow --------------------------------------------------------------------------------

    def solve(self, p_kw: ArrayLike, q_kvar: ArrayLike) -> GridState:
        """Return the state for injections ``[..., b]``, positive into the network.

        Injections at dead buses are ignored. A step without a solution has status COLLAPSE and
        NaN results; it leaves no trace in later steps.
        """
        operation = self._current or self._ready()
        p = np.ascontiguousarray(p_kw, dtype=np.float64)
        q = np.ascontiguousarray(q_kvar, dtype=np.float64)
        if p.shape != q.shape or p.ndim == 0 or p.shape[-1] != self._layout.buses:
            raise ValueError(
                f"injections have shapes {p.shape} and {q.shape}, not [..., {self._layout.buses}]"
            )
        state = state_from_rows(self._rows(operation, p, q), self._layout)
        if self.settings.verify_every:
            self._verify_when_due(p, q, state)
        return state

    def linear(self, p_kw: Floats, q_kvar: Floats) -> LinearFlow | None:
        """Return the load flow linearised at injections ``[b]``, None where it has no state."""
        operation = self._current or self._ready()
        if operation.engine is None:
            return None
        network, nodes = self.network, len(self.network.node_vn_kv)
        v_pu = operation.engine.node_voltages_pu(p_kw, q_kvar, nodes)
        if np.isnan(v_pu[network.slack_node]):
            return None
        if self._topology not in self._linear:
            scale = percent_per_pu(network, self.settings)
            self._linear[self._topology] = linear_model(network, operation.walk, scale)
        p, q = (
            np.bincount(network.bus_node, np.where(operation.dead, 0.0, x), minlength=nodes)
            for x in (p_kw, q_kvar)
        )
        return self._linear[self._topology].at(v_pu, p + 1j * q)

    def _rows(self, operation: _Operation, p: Floats, q: Floats) -> Floats:
        """Return rows of results ``[..., width]``."""
        if operation.engine is None:
            return dead_rows(p.shape[:-1], self._layout)
        if p.ndim == 1:
            return operation.engine.solve_one(p, q)
        lanes = (-1, self._layout.buses) if p.size else (0, self._layout.buses)
        rows = operation.engine.solve_many(p.reshape(lanes), q.reshape(lanes))
        return rows.reshape(*p.shape[:-1], self._layout.width)

    def largest_load_factor(self, p_kw: ArrayLike, q_kvar: ArrayLike) -> float:
        """Return the largest factor on the injections ``[b]`` that still has a solution.

        Bisection to a relative 1e-5; 1024 stands for "no limit found".
        """
        operation = self._current or self._ready()
        p = np.asarray(p_kw, dtype=np.float64)
        q = np.asarray(q_kvar, dtype=np.float64)

        def solvable(factor: float) -> bool:
            return bool(self._rows(operation, factor * p, factor * q)[-1] != SolveStatus.COLLAPSE)

        low, high = 0.0, 1.0
        while solvable(high):
            if high >= LARGEST_FACTOR:
                return LARGEST_FACTOR
            low, high = high, 2.0 * high
        while high - low > FACTOR_ACCURACY * high and high > FACTOR_ACCURACY:
            middle = 0.5 * (low + high)
            low, high = (middle, high) if solvable(middle) else (low, middle)
        return low

    # readiness --------------------------------------------------------------------------------

    def _operation(self) -> _Operation:
        """Return the present topology walked, its engine built."""
        topology = self._topology
        if topology not in self._operations:
            self._operations[topology] = self._new_operation(topology)
        return self._operations[topology]

    def _new_operation(self, topology: Topology) -> _Operation:
        network = self.network
        tree = walk(network, closed_branches(network, topology))
        if not topology.supply:
            name = "pandapower" if self.settings.engine == "pandapower" else "tree"
            return _Operation(tree, np.ones(len(network.buses), dtype=np.bool_), name, None)
        alive = tree.alive(len(network.node_vn_kv))[network.bus_node] & network.bus_in_service
        if self.settings.engine == "pandapower" or (
            self.settings.engine == "auto" and not tree.radial
        ):
            return _Operation(tree, ~alive, "pandapower", self._reference(topology))
        if not tree.radial:
            raise InputError(
                Problem(
                    "the engine 'tree' cannot solve this network",
                    why="its closed lines form a loop",
                    remedy="open a line of each loop, or choose engine 'auto' or 'pandapower'",
                )
            )
        return _Operation(tree, ~alive, "tree", self._tree(tree))

    def _tree(self, tree: Walk) -> TreeEngine:
        """Return the compiled engine of a radial topology."""
        from cosim.feeder.tree import tree_engine

        settings, scale = self.settings, percent_per_pu(self.network, self.settings)
        return tree_engine(self.network, tree, settings.slack_v_pu, scale, settings.tolerance_pu)

    def _reference(self, topology: Topology) -> PandapowerEngine:
        """Return the pandapower engine of a topology."""
        settings = self.settings
        return PandapowerEngine(
            self.network,
            topology,
            settings.slack_v_pu,
            settings.line_rating_ka,
            settings.trafo_rating_kva,
        )

    def _ready(self) -> _Operation:
        """Return the present operation after its start-up check."""
        operation = self._operation()
        if self._topology not in self._checked:
            if operation.engine_name == "tree" and operation.engine is not None:
                self._check_at_start(operation)
            self._checked.add(self._topology)
        self._current = operation
        return operation

    # verification -----------------------------------------------------------------------------

    def verify(self, p_kw: ArrayLike, q_kvar: ArrayLike, state: GridState) -> float:
        """Return the largest |dV| in p.u. of a solved step ``[b]`` against pandapower.

        Raises ``RunError`` when it exceeds 1e-8. A collapsed or dead step counts as agreeing.
        """
        if not self._topology.supply or int(state.status) == SolveStatus.COLLAPSE:
            return 0.0
        p = np.asarray(p_kw, dtype=np.float64)
        q = np.asarray(q_kvar, dtype=np.float64)
        deviation_pu = self._deviation(p, q, state.vm_pu)
        self._note(deviation_pu)
        return deviation_pu

    def _deviation(self, p: Floats, q: Floats, vm_pu: Floats) -> float:
        """Return the largest |dV| of voltages ``[b]``; infinite where only one side is NaN."""
        row = self._reference(self._topology).solve_one(p, q)
        reference = row[: self._layout.buses]
        if not np.array_equal(np.isnan(reference), np.isnan(vm_pu)):
            return float("inf")
        return float(np.nanmax(np.abs(reference - vm_pu), initial=0.0))

    def _note(self, deviation_pu: float) -> None:
        """Count a comparison; raise ``RunError`` when it failed."""
        evidence = self._evidence
        evidence.checks += 1
        evidence.deviation_pu = max(evidence.deviation_pu, deviation_pu)
        if not deviation_pu <= LARGEST_DEVIATION_PU:
            raise RunError(
                f"the load flow deviates from pandapower by {deviation_pu:.3g} p.u. "
                f"(allowed: {LARGEST_DEVIATION_PU:g})\n    topology: "
                + str(self._topology).replace("\n", ", ")
                + "\n    remedy: choose engine 'pandapower' and report the network"
            )

    def _check_at_start(self, operation: _Operation) -> None:
        """Compare one loaded state of the present topology, unless that is remembered."""
        deviation_pu = self._memory.recall(self._topology)
        if deviation_pu is None:
            p, q = self._probe(operation)
            vm_pu = self._rows(operation, p, q)[: self._layout.buses]
            deviation_pu = self._deviation(p, q, vm_pu)
            if deviation_pu <= LARGEST_DEVIATION_PU:
                self._memory.remember(self._topology, deviation_pu)
        self._note(deviation_pu)

    def _probe(self, operation: _Operation) -> tuple[Floats, Floats]:
        """Return uneven loads ``[b]`` that move the weakest voltage by about 0.03 p.u."""
        buses = self._layout.buses
        p = np.where(operation.dead, 0.0, -1.0 - np.arange(buses) % 3)
        q = 0.3 * p
        small = 1e-6 * 1e3 * self.network.base_mva
        idle = self._rows(operation, 0.0 * p, 0.0 * q)[:buses]
        moved = self._rows(operation, small * p, small * q)[:buses]
        change = np.nanmax(np.abs(moved - idle), initial=0.0)
        factor = small * PROBE_CHANGE_PU / change if change > 0.0 else small
        return factor * p, factor * q

    def _verify_when_due(self, p: Floats, q: Floats, state: GridState) -> None:
        """Compare the first of these steps when enough steps have passed."""
        self._steps_since_check += state.status.size
        if self._steps_since_check >= self.settings.verify_every:
            self._steps_since_check = 0
            self._verify_first(p, q, state)

    def _verify_first(self, p: Floats, q: Floats, state: GridState) -> None:
        """Compare the first step that did not collapse."""
        solved = np.flatnonzero(np.ravel(state.status) != SolveStatus.COLLAPSE)
        if solved.size and self._topology.supply:
            buses = (-1, self._layout.buses)
            row = solved[0]
            vm_pu = state.vm_pu.reshape(buses)[row]
            self._note(self._deviation(p.reshape(buses)[row], q.reshape(buses)[row], vm_pu))
