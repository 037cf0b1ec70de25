"""The compiled kernels: lanes, Newton, collapse, balance."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosim.feeder import kernels
from cosim.feeder.state import GridState, SolveStatus

FIELDS = GridState.__dataclass_fields__


def assert_equal_bits(state, other):
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(state, field), getattr(other, field), err_msg=field)


def picked(state, rows):
    return GridState(*(getattr(state, field)[rows] for field in FIELDS))


@pytest.fixture(scope="module")
def feeder(network_of, make_feeder):
    return make_feeder(network_of("simbench", "1-LV-rural1--0-sw"))


@pytest.fixture(scope="module")
def stressed(feeder, random_states):
    """Light, heavy and impossible steps, mixed."""
    p, q = random_states(feeder, 300)
    factor = np.random.default_rng(3).choice([1.0, 1.7, 6.0], (300, 1), p=[0.8, 0.15, 0.05])
    return p * factor, q * factor


def test_lanes_have_the_bits_of_single_solves(network, make_feeder, random_states):
    feeder = make_feeder(network)
    p, q = random_states(feeder, kernels.LANES + kernels.FEW + 5)
    p[3] = -1e6
    p[4, 1] = np.nan
    q[5, network.slack_bus] = np.inf
    lanes = feeder.solve(p, q)
    for row in range(len(p)):
        assert_equal_bits(feeder.solve(p[row], q[row]), picked(lanes, row))
    assert (lanes.status[3:6] == SolveStatus.COLLAPSE).all()


def test_order_and_company_of_lanes_are_irrelevant(feeder, stressed):
    p, q = stressed
    lanes = feeder.solve(p, q)
    assert set(lanes.status.tolist()) >= {SolveStatus.OK, SolveStatus.COLLAPSE}
    order = np.random.default_rng(1).permutation(len(p))
    assert_equal_bits(feeder.solve(p[order], q[order]), picked(lanes, order))
    assert_equal_bits(feeder.solve(p[:100], q[:100]), picked(lanes, slice(100)))


def test_leading_axes(feeder, stressed):
    p, q = stressed
    flat = feeder.solve(p, q)
    cube = feeder.solve(p.reshape(3, 100, -1), q.reshape(3, 100, -1))
    assert cube.vm_pu.shape == (3, 100, len(feeder.network.buses))
    assert cube.status.shape == cube.slack_p_kw.shape == (3, 100)
    np.testing.assert_array_equal(cube.vm_pu.reshape(flat.vm_pu.shape), flat.vm_pu)
    assert feeder.solve(p[:0], q[:0]).vm_pu.shape == (0, p.shape[1])


def test_results_are_fresh_and_read_only(feeder, stressed):
    p, q = stressed
    first = feeder.solve(p[0], q[0])
    before = first.vm_pu.copy()
    feeder.solve(p[1], q[1])
    np.testing.assert_array_equal(first.vm_pu, before)
    with pytest.raises(ValueError, match="read-only"):
        first.vm_pu[0] = 1.0


def test_wrong_shapes_are_refused(feeder):
    with pytest.raises(ValueError, match="shapes"):
        feeder.solve(np.zeros(3), np.zeros(3))


def test_newton_agrees_with_the_fixed_point(network, make_feeder, random_states):
    feeder = make_feeder(network)
    p, q = random_states(feeder, 20)
    parent, place, _, node, _, base_kw, _, tolerance = feeder._operation().engine.constants
    for row in range(len(p)):
        s = np.zeros((len(parent), 2))
        live = place >= 0
        np.add.at(s, place[live], np.stack([p[row], q[row]], 1)[live] / base_kw)
        simple, robust = np.empty((2, len(parent), 2))
        kernels.no_load(parent, node, simple)
        assert kernels.fixed_point(parent, node, s, simple, tolerance)[0] > 0
        assert kernels.stressed(parent, node, s, robust, tolerance)[0] > 0
        np.testing.assert_allclose(simple, robust, rtol=0, atol=1e-10)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # pandapower's use of pandas
@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("pandapower", "case33bw"),
        ("pandapower", "create_kerber_landnetz_freileitung_1"),
        ("simbench", "1-LV-rural1--0-sw"),
    ],
)
def test_collapse_is_where_pandapower_finds_it(source, name, network_of, make_feeder):
    network = network_of(source, name)
    feeder, reference = make_feeder(network), make_feeder(network, engine="pandapower")
    p = -np.random.default_rng(5).uniform(0.2, 1.0, len(network.buses)) * 100.0
    q = 0.3 * p
    factor = feeder.largest_load_factor(p, q)
    below, above = 0.999 * factor, 1.001 * factor
    assert feeder.solve(below * p, below * q).status == SolveStatus.OK
    assert feeder.solve(above * p, above * q).status == SolveStatus.COLLAPSE
    assert reference.solve(below * p, below * q).status != SolveStatus.COLLAPSE
    assert reference.solve(above * p, above * q).status == SolveStatus.COLLAPSE


def test_a_collapse_leaves_no_trace(feeder, make_feeder):
    """1,000 profiles of three steps, the middle one without solution."""
    rng = np.random.default_rng(9)
    buses = len(feeder.network.buses)
    light = rng.normal(-3.0, 3.0, (1000, 3, buses))
    light[:, 1] = -rng.uniform(200.0, 2000.0, (1000, buses))
    fresh = make_feeder(feeder.network).solve(light[:, 2], 0.2 * light[:, 2])
    for row, profile in enumerate(light):
        first, failed, later = [feeder.solve(p, 0.2 * p) for p in profile]
        assert first.status == later.status == SolveStatus.OK
        assert failed.status == SolveStatus.COLLAPSE
        assert np.isnan(failed.vm_pu).all()
        assert np.isnan(failed.line_loading_percent).all()
        assert np.isnan(failed.losses_kw)
        np.testing.assert_allclose(later.vm_pu, fresh.vm_pu[row], rtol=0, atol=1e-8)


def test_near_collapse_is_solved_or_said(feeder):
    p = -np.full(len(feeder.network.buses), 5.0)
    factor = feeder.largest_load_factor(p, 0.2 * p)
    close = (factor * (1.0 - 10.0 ** -np.arange(2.0, 5.0)))[:, None]
    state = feeder.solve(close * p, 0.2 * close * p)
    assert (state.status != SolveStatus.COLLAPSE).all()
    assert (state.residual_pu < 1e-8).all()
    assert (np.diff(np.nanmin(state.vm_pu, axis=1)) < 0).all()
    balance = (close * p).sum(axis=1) + state.slack_p_kw - state.losses_kw
    assert np.abs(balance).max() < 1e-3


@given(data=st.data())
@settings(max_examples=100, deadline=None, database=None)
def test_every_step_balances(feeder, data):
    buses = len(feeder.network.buses)
    values = st.lists(st.floats(-60.0, 60.0), min_size=buses, max_size=buses)
    p, q = np.array(data.draw(values)), np.array(data.draw(values))
    state = feeder.solve(p, q)
    if state.status == SolveStatus.COLLAPSE:
        assert np.isnan(state.slack_p_kw)
    else:
        assert abs(p.sum() + state.slack_p_kw - state.losses_kw) < 1e-3
        assert state.losses_kw > 0.0
