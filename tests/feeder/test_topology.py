"""Switching: dead parts, supply, ratings, and what is refused."""

import numpy as np
import pytest

from cosim.errors import InputError, RunError
from cosim.feeder.limits import Limits, breaches
from cosim.feeder.state import SolveStatus

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # pandapower and pandas


@pytest.fixture
def feeder(small_network, make_feeder):
    return make_feeder(small_network)


@pytest.fixture
def injection(feeder):
    p = -np.linspace(1.0, 3.0, len(feeder.network.buses))
    return p, 0.3 * p


def test_every_line_opened_alone(feeder, make_feeder, injection):
    reference = make_feeder(feeder.network, engine="pandapower")
    intact = feeder.solve(*injection)
    for name in feeder.network.lines:
        feeder.open_line(name)
        reference.open_line(name)
        state, expected = feeder.solve(*injection), reference.solve(*injection)
        np.testing.assert_array_equal(np.isnan(state.vm_pu), np.isnan(expected.vm_pu))
        np.testing.assert_array_equal(np.isnan(state.vm_pu), feeder.dead)
        np.testing.assert_allclose(state.vm_pu, expected.vm_pu, rtol=0, atol=1e-9)
        np.testing.assert_allclose(
            state.line_loading_percent, expected.line_loading_percent, rtol=0, atol=1e-6
        )
        assert feeder.dead.any()
        served = injection[0][~feeder.dead].sum()
        assert abs(served + state.slack_p_kw - state.losses_kw) < 1e-6
        feeder.close_line(name)
        reference.close_line(name)
    np.testing.assert_array_equal(feeder.solve(*injection).vm_pu, intact.vm_pu)


def test_reconfiguration_over_a_tie_line(network_of, make_feeder):
    feeder = make_feeder(network_of("pandapower", "case33bw"))
    reference = make_feeder(feeder.network, engine="pandapower")
    p = np.full(33, -80.0)
    before = feeder.solve(p, 0.5 * p)
    for each in (feeder, reference):
        each.close_line(each.network.lines[32])
        each.open_line(each.network.lines[6])
    assert feeder.engine == "tree"
    assert not feeder.dead.any()
    state = feeder.solve(p, 0.5 * p)
    np.testing.assert_allclose(state.vm_pu, reference.solve(p, 0.5 * p).vm_pu, rtol=0, atol=1e-9)
    assert np.abs(state.vm_pu - before.vm_pu).max() > 1e-3


def test_supply_off_and_on(feeder, injection):
    before = feeder.solve(*injection)
    feeder.set_supply(False)
    state = feeder.solve(*injection)
    assert feeder.dead.all()
    assert np.isnan(state.vm_pu).all()
    assert state.status == SolveStatus.OK
    assert state.slack_p_kw == state.losses_kw == 0.0
    assert not state.line_loading_percent.any()
    assert feeder.verify(*injection, state) == 0.0
    feeder.set_supply(True)
    np.testing.assert_array_equal(feeder.solve(*injection).vm_pu, before.vm_pu)


def test_transformer_out(feeder, injection):
    feeder.open_trafo(feeder.network.trafos[0])
    state = feeder.solve(*injection)
    assert feeder.dead.sum() == len(feeder.network.buses) - 1
    assert state.trafo_loading_percent[0] == 0.0
    feeder.close_trafo(feeder.network.trafos[0])
    assert not feeder.dead.any()


def test_topology_is_a_value(feeder):
    start = feeder.topology
    feeder.open_line(feeder.network.lines[0])
    assert feeder.topology != start
    assert len({start, feeder.topology}) == 2
    feeder.restore(start)
    assert feeder.topology == start
    assert not feeder.dead.any()


def test_ratings_scale_loadings_inversely(feeder, make_feeder, injection):
    network = feeder.network
    state = feeder.solve(*injection)
    half = make_feeder(
        network,
        line_rating_ka={network.lines[0]: network.line_rating_ka[0] / 2},
        trafo_rating_kva=network.trafo_rating_kva[0] / 4,
    ).solve(*injection)
    np.testing.assert_allclose(
        half.line_loading_percent[0], 2 * state.line_loading_percent[0], rtol=1e-12
    )
    np.testing.assert_array_equal(half.line_loading_percent[1:], state.line_loading_percent[1:])
    np.testing.assert_allclose(
        half.trafo_loading_percent, 4 * state.trafo_loading_percent, rtol=1e-12
    )
    np.testing.assert_array_equal(half.vm_pu, state.vm_pu)


def test_mistakes_are_named_at_once(small_network, make_feeder):
    with pytest.raises(InputError) as error:
        make_feeder(
            small_network,
            engine="tre",
            slack_vm_pu=20.0,
            line_rating_ka={"line_1_99": 0.1, small_network.lines[0]: -1.0},
            tolerance_pu=1e-3,
            verify_every=-1,
        )
    assert len(error.value.problems) == 6
    assert "did you mean 'tree'?" in str(error.value)
    assert "did you mean 'line_1" in str(error.value)


def test_unknown_elements(feeder):
    for switch in (feeder.open_line, feeder.close_line, feeder.open_trafo, feeder.close_trafo):
        with pytest.raises(InputError, match="the network has no"):
            switch("lin")


def test_tree_refuses_a_loop(network_of, make_feeder):
    feeder = make_feeder(network_of("pandapower", "case33bw"), engine="tree")
    feeder.close_line(feeder.network.lines[32])
    with pytest.raises(InputError, match="loop"):
        feeder.solve(np.zeros(33), np.zeros(33))


def test_a_wrong_answer_is_refused(feeder, injection):
    state = feeder.solve(*injection)
    with pytest.raises(RunError, match="deviates from pandapower"):
        feeder.verify(1.01 * injection[0], injection[1], state)
    assert feeder.deviation_pu > 1e-8


def test_limits(feeder, injection):
    p, q = injection
    feeder.open_line(feeder.network.lines[-1])
    state = feeder.solve(np.stack([p, 3 * p, 1e4 * p]), np.stack([q, 3 * q, 1e4 * q]))
    found = breaches(state, Limits(vm_min_pu=float(np.nanmin(state.vm_pu[0])), line_percent=1e3))
    assert found.any.tolist() == [False, True, False]
    assert not found.overvoltage.any()
    assert not found.line.any()
    assert not found.undervoltage[:, feeder.dead].any()
    assert breaches(state, Limits(trafo_percent=0.0)).trafo[:, 0].tolist() == [True, True, False]
