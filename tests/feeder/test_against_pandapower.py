"""The tree engine gives pandapower's answer, and every step balances."""

import copy

import numpy as np
import pandapower as pp
import pytest
from pandapower import networks

from cosim.feeder.sources import pandapower_net
from cosim.feeder.state import SolveStatus

pytestmark = [
    # pandapower and simbench use pandas interfaces that pandas is about to change
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

STATES = 26  # on each of eight feeders


def balance_kw(feeder, p, state):
    return np.where(feeder.dead, 0.0, p).sum(axis=-1) + state.slack_p_kw - state.losses_kw


def assert_same(state, reference):
    for field, tolerance in (
        ("vm_pu", 1e-9),
        ("line_loading_percent", 1e-6),
        ("trafo_loading_percent", 1e-6),
        ("line_p_from_kw", 1e-5),
        ("trafo_p_hv_kw", 1e-5),
        ("slack_p_kw", 1e-5),
        ("slack_q_kvar", 1e-5),
        ("losses_kw", 1e-5),
    ):
        np.testing.assert_allclose(
            getattr(state, field),
            getattr(reference, field),
            rtol=0,
            atol=tolerance,
            err_msg=field,
        )


def test_random_states(network, make_feeder, random_states):
    tree = make_feeder(network, engine="tree")
    reference = make_feeder(network, engine="pandapower")
    p, q = random_states(tree, STATES)
    state = tree.solve(p, q)
    assert (state.status == SolveStatus.OK).all()
    assert abs(network.slack_v_pu) - np.nanmin(state.vm_pu) > 0.02
    assert_same(state, reference.solve(p, q))
    assert np.abs(balance_kw(tree, p, state)).max() < 1e-6
    assert tree.deviation_pu < 1e-9


def own_injection(net):
    p, q = (np.zeros(len(net.bus)) for _ in range(2))
    for table, sign in (("load", -1e3), ("storage", -1e3), ("sgen", 1e3)):
        frame = net[table][net[table].in_service]
        rows = net.bus.index.get_indexer(frame.bus)
        np.add.at(p, rows, sign * frame.p_mw.to_numpy() * frame.scaling.to_numpy())
        np.add.at(q, rows, sign * frame.q_mvar.to_numpy() * frame.scaling.to_numpy())
    return p, q


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("simbench", "1-LV-rural1--0-sw"),
        ("simbench", "1-LV-rural2--2-sw"),
        ("pandapower", "case33bw"),
        ("pandapower", "create_cigre_network_lv"),
        ("pandapower", "create_cigre_network_mv"),
        ("pandapower", "create_kerber_vorstadtnetz_kabel_1"),
    ],
)
def test_the_net_as_it_comes(source, name, network_of, simbench_net_of, make_feeder):
    net = copy.deepcopy(simbench_net_of(name)) if source == "simbench" else pandapower_net(name)
    half_open = net.switch[(net.switch.et == "l") & ~net.switch.closed].element
    net.line.loc[half_open, "in_service"] = False  # pandapower would charge them from one end
    pp.runpp(net, calculate_voltage_angles=True, init="dc", tolerance_mva=1e-10)
    feeder = make_feeder(network_of(source, name))
    assert feeder.engine == "tree"
    state = feeder.solve(*own_injection(net))
    np.testing.assert_allclose(state.vm_pu, net.res_bus.vm_pu, rtol=0, atol=1e-9)
    np.testing.assert_allclose(
        state.trafo_loading_percent, net.res_trafo.loading_percent, rtol=0, atol=1e-6
    )
    closed = feeder.network.branch_in_service[feeder.network.line_branch]
    np.testing.assert_allclose(
        state.line_loading_percent[closed], net.res_line.loading_percent[closed], rtol=0, atol=1e-6
    )
    assert (state.line_loading_percent[~closed] == 0.0).all()


def test_ieee_33_bus_losses(network_of, make_feeder):
    feeder = make_feeder(network_of("pandapower", "case33bw"))
    state = feeder.solve(*own_injection(networks.case33bw()))
    assert state.losses_kw == pytest.approx(202.677, abs=5e-4)


def test_meshed_net_goes_to_pandapower(network_of, make_feeder):
    feeder = make_feeder(network_of("pandapower", "case33bw"))
    p, q = own_injection(networks.case33bw())
    feeder.close_line(feeder.network.lines[32])
    assert feeder.engine == "pandapower"
    state = feeder.solve(p, q)
    assert state.status == SolveStatus.OK
    assert abs(balance_kw(feeder, p, state)) < 1e-6
    assert state.losses_kw < 202.0
    collapsed = feeder.solve(10 * p, 10 * q)
    assert collapsed.status == SolveStatus.COLLAPSE
    assert np.isnan(collapsed.vm_pu).all()
    assert_same(feeder.solve(p, q), state)


def test_slack_voltage_and_ratings_reach_both_engines(small_network, make_feeder, random_states):
    options = {
        "slack_vm_pu": 1.03,
        "line_rating_ka": {small_network.lines[2]: 0.05},
        "trafo_rating_kva": 77.0,
    }
    tree = make_feeder(small_network, **options)
    p, q = random_states(tree, 2)
    assert_same(
        tree.solve(p, q), make_feeder(small_network, engine="pandapower", **options).solve(p, q)
    )


def test_verification_inside_a_run(small_network, make_feeder, random_states):
    feeder = make_feeder(small_network, verify_every=3)
    p, q = random_states(feeder, 7)
    before = feeder.checks
    for row in range(7):
        feeder.solve(p[row], q[row])
    assert feeder.checks == before + 2
    assert feeder.verify(p[0], q[0], feeder.solve(p[0], q[0])) < 1e-9
