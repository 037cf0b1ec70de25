"""The reference engine: pandapower's own Newton on the repaired net, one run per step.

Slow (tens of milliseconds a step) and exact; it verifies the tree engine and solves meshed nets.
Every run starts cold: pandapower's ``recycle`` would return results of an older topology.
"""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import Any

import numpy as np

from cosim.feeder.network import Network
from cosim.feeder.state import Complexes, Floats, Layout, SolveStatus
from cosim.feeder.topology import Topology

TOLERANCES_PU = (  # asked for in turn: rounding forbids the tightest on some nets
    (1e-11, SolveStatus.OK),
    (1e-9, SolveStatus.OK),
    (1e-7, SolveStatus.DEGRADED),
)
MAX_ITERATIONS = 30


@lru_cache(maxsize=4)
def _reference_net(net_json: str) -> Any:
    """Return the stored net with one generator per bus to carry the injection."""
    import pandapower as pp

    net = pp.from_json_string(net_json)
    pp.create_sgens(net, net.bus.index, p_mw=0.0, q_mvar=0.0)
    return net


class PandapowerEngine:
    """One topology, slack voltage and set of ratings, solved by pandapower."""

    def __init__(
        self,
        network: Network,
        topology: Topology,
        slack_v_pu: complex,
        line_rating_ka: Floats,
        trafo_rating_kva: Floats,
    ) -> None:
        self.layout = Layout(len(network.buses), len(network.lines), len(network.trafos))
        self._network = network
        self._topology = topology
        self._slack_v_pu = slack_v_pu
        self._line_rating_ka = line_rating_ka
        self._trafo_scale = network.trafo_rating_kva / trafo_rating_kva

    def solve_one(self, p_kw: Floats, q_kvar: Floats) -> Floats:
        """Return the row of results of one step, injections ``[b]``."""
        net, status = self._solved_net(p_kw, q_kvar)
        if status != SolveStatus.COLLAPSE:
            return self._row(net, status)
        row = np.full(self.layout.width, np.nan)
        row[-2:] = MAX_ITERATIONS, SolveStatus.COLLAPSE
        return row

    def node_voltages_pu(self, p_kw: Floats, q_kvar: Floats, nodes: int) -> Complexes:
        """Return the voltages ``[n]`` of one step, NaN where dead or without a solution."""
        net, status = self._solved_net(p_kw, q_kvar)
        voltages = np.full(nodes, np.nan, dtype=np.complex128)
        if status != SolveStatus.COLLAPSE:
            size, angle = net.res_bus.vm_pu.to_numpy(), net.res_bus.va_degree.to_numpy()
            alive = np.isfinite(size)
            bus_v = size * np.exp(1j * np.deg2rad(angle))
            voltages[self._network.bus_node[alive]] = bus_v[alive]
        return voltages

    def solve_many(self, p_kw: Floats, q_kvar: Floats) -> Floats:
        """Return the rows of results of many steps, injections ``[lanes, b]``."""
        rows = [self.solve_one(p, q) for p, q in zip(p_kw, q_kvar, strict=True)]
        return np.array(rows).reshape(-1, self.layout.width)

    def _solved_net(self, p_kw: Floats, q_kvar: Floats) -> tuple[Any, SolveStatus]:
        """Return the shared reference net with its results, and how it was solved."""
        net = self._prepared_net(p_kw, q_kvar)
        for tolerance_pu, status in TOLERANCES_PU:
            if _runs(net, tolerance_pu * net.sn_mva):
                return net, status
        return net, SolveStatus.COLLAPSE

    def _prepared_net(self, p_kw: Floats, q_kvar: Floats) -> Any:
        """Return the shared reference net, set to this topology, slack and injection."""
        network, net = self._network, _reference_net(self._network.net_json)
        for table, names, opened, branch in (
            ("line", network.lines, self._topology.open_lines, network.line_branch),
            ("trafo", network.trafos, self._topology.open_trafos, network.trafo_branch),
        ):
            closed = np.array([name not in opened for name in names], dtype=np.bool_)
            net[table]["in_service"] = closed & network.branch_usable[branch]
        net.ext_grid["vm_pu"] = abs(self._slack_v_pu)
        net.sgen["p_mw"] = p_kw / 1e3
        net.sgen["q_mvar"] = q_kvar / 1e3
        return net

    def _row(self, net: Any, status: SolveStatus) -> Floats:
        """Return pandapower's results in the common layout."""
        slack = net.res_ext_grid[net.ext_grid.in_service.to_numpy(dtype=bool)].sum()
        current_ka = np.maximum(net.res_line.i_from_ka, net.res_line.i_to_ka)
        parts = [
            net.res_bus.vm_pu,
            np.nan_to_num(100.0 * current_ka) / self._line_rating_ka,
            np.nan_to_num(net.res_trafo.loading_percent) * self._trafo_scale,
            1e3 * np.nan_to_num(net.res_line.p_from_mw),
            1e3 * np.nan_to_num(net.res_trafo.p_hv_mw),
            [1e3 * slack.p_mw, 1e3 * slack.q_mvar, _losses_kw(net), _mismatch_pu(net)],
            [net._ppc["iterations"], status],
        ]
        return np.concatenate([np.asarray(part, dtype=np.float64) for part in parts])


def _runs(net: Any, tolerance_mva: float) -> bool:
    """Solve in place; return whether it converged."""
    import pandapower as pp

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # a diverging run overflows and meets singular matrices
        try:
            pp.runpp(
                net,
                calculate_voltage_angles=True,
                init="dc",
                max_iteration=MAX_ITERATIONS,
                tolerance_mva=tolerance_mva,
                trafo_loading="current",
            )
        except pp.LoadflowNotConverged:
            return False
    return True


def _losses_kw(net: Any) -> float:
    """Return the active power lost in branches and shunts."""
    losses_mw = np.nansum(net.res_line.pl_mw) + np.nansum(net.res_trafo.pl_mw)
    if len(net.shunt):
        losses_mw += np.nansum(net.res_shunt.p_mw)
    if len(net.impedance):
        losses_mw += np.nansum(net.res_impedance.pl_mw)
    return float(1e3 * losses_mw)


def _mismatch_pu(net: Any) -> float:
    """Return the largest nodal power mismatch outside the slack."""
    inner = net._ppc["internal"]
    if "V" not in inner:  # the slack bus alone was not worth a run
        return 0.0
    v = inner["V"]
    mismatch = v * np.conj(inner["Ybus"] @ v) - inner["Sbus"]
    mismatch[inner["ref"]] = 0.0
    return float(np.abs(mismatch).max())
