"""The linearised load flow against differences of the load flow itself."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosim.feeder.extract import extract
from cosim.feeder.sources import pandapower_net

STEP_KW = 2e-2
NAMES = (
    ("pandapower", "create_cigre_network_lv"),
    ("pandapower", "create_kerber_landnetz_freileitung_1"),
    ("simbench", "1-LV-rural1--0-sw"),
    ("simbench", "1-LV-semiurb4--0-sw"),
)


def quantities(feeder, p, q):
    """Return voltages and loadings ``[..., quantities]`` as the equations count them."""
    state = feeder.solve(p, np.broadcast_to(q, p.shape))
    loadings = (state.line_loading_percent, state.trafo_loading_percent)
    return np.concatenate((state.vm_pu, *loadings), axis=-1)


def dense(entries, shape):
    matrix = np.zeros(shape)
    np.add.at(matrix, (entries.row, entries.column), entries.value)
    return matrix


def implied(flow, bus, count):
    """Return what a kW drawn at each bus does to every quantity, ``[quantities, bus]``."""
    balance = dense(flow.balance, (flow.unknowns, flow.unknowns))
    follow = np.linalg.solve(balance, dense(flow.draws(bus), (flow.unknowns, len(bus))))
    return dense(flow.slopes(np.arange(count)), (count, flow.unknowns)) @ follow


def differences(feeder, p, q, bus, step_kw):
    step = np.zeros((len(bus), len(p)))
    step[np.arange(len(bus)), bus] = step_kw
    up, down = quantities(feeder, p - step, q), quantities(feeder, p + step, q)
    return ((up - down) / (2.0 * step_kw)).T


def assert_slopes(feeder, p, q, bus, step_kw=STEP_KW):
    """Compare each quantity's slopes to 1e-5 of its largest."""
    flow, here = feeder.linear(p, q), quantities(feeder, p, q)
    found = implied(flow, bus, len(here))
    wanted = differences(feeder, p, q, bus, step_kw)
    buses = len(p)
    size = np.abs(wanted).max(axis=1)
    smooth = np.isfinite(here)  # a loading near 0 bends within the step
    smooth[buses:] &= here[buses:] > 1e3 * step_kw * size[buses:] * 0.5
    smooth[feeder.network.slack_bus] = False
    assert smooth[:buses].sum() == np.isfinite(here[:buses]).sum() - 1
    error = np.abs(found - wanted)[smooth]
    noise = np.where(np.arange(len(here)) < buses, 1e-11, 1e-8)[smooth] / step_kw
    assert (error <= (1e-5 * size[smooth] + noise)[:, None]).all()
    return smooth[buses:].sum()


@pytest.fixture(scope="module")
def feeders(network_of, make_feeder):
    return [make_feeder(network_of(*name)) for name in NAMES]


@given(st.integers(0, len(NAMES) - 1), st.integers(0, 10_000), st.booleans())
@settings(max_examples=40)
def test_slopes_are_those_of_the_load_flow(feeders, random_states, which, seed, switched):
    feeder = feeders[which].twin()
    lines = feeder.network.lines
    if switched:
        feeder.open_line(lines[1 + seed % 3])  # the topologies are checked once each
    p, q = (values[0] for values in random_states(feeder, 1, seed))
    bus = np.random.default_rng(seed).permutation(len(p))[:12]
    assert assert_slopes(feeder, p, q, bus) > 0
    dead = np.flatnonzero(feeder.dead)
    flow = feeder.linear(p, q)
    assert len(flow.draws(dead).row) == 0
    assert len(flow.slopes(np.append(dead, feeder.network.slack_bus)).row) == 0


def test_unit_coefficients_are_near_one(feeders):
    """The solver is told not to scale them."""
    for feeder in feeders:
        nothing = np.zeros(len(feeder.network.buses))
        value = np.abs(feeder.linear(nothing, nothing).balance.value)
        assert value.max() < 1e4
        assert np.median(value[value > 1e-9]) == pytest.approx(1.0, abs=0.5)


def test_node_voltages_are_those_of_the_state(feeders, random_states):
    for feeder in feeders:
        p, q = (values[0] for values in random_states(feeder, 1))
        v = feeder.linear(p, q).v_pu[feeder.network.bus_node]
        np.testing.assert_array_equal(np.abs(v), np.hypot(v.real, v.imag))
        np.testing.assert_allclose(np.abs(v), feeder.solve(p, q).vm_pu, rtol=0, atol=1e-15)


def test_lines_of_a_centimetre(make_feeder, random_states):
    net = pandapower_net("create_kerber_landnetz_freileitung_1")
    net.line.loc[net.line.index[1::3], "length_km"] = 1e-5
    feeder = make_feeder(extract(net, "short", "test"))
    p, q = (values[0] for values in random_states(feeder, 1))
    assert_slopes(feeder, p, q, np.arange(len(p)))


def test_a_meshed_feeder(network_of, make_feeder, random_states):
    feeder = make_feeder(network_of("pandapower", "case33bw"))
    p, q = (values[0] for values in random_states(feeder, 1))
    assert_slopes(feeder, p, q, np.arange(1, 33), step_kw=2.0)
    for name in sorted(feeder.topology.open_lines)[:2]:
        feeder.close_line(name)
    assert feeder.engine == "pandapower"
    assert_slopes(feeder, p, q, np.array([5, 17]), step_kw=5.0)


def test_without_a_state_there_is_nothing_to_linearise(feeders):
    feeder = feeders[0].twin()
    nothing = np.zeros(len(feeder.network.buses))
    assert feeder.linear(nothing, nothing) is not None
    assert feeder.linear(nothing - 1e6, nothing) is None
    feeder.set_supply(False)
    assert feeder.linear(nothing, nothing) is None


def test_buses_out_of_service_draw_nothing(network_of, make_feeder):
    network = network_of("pandapower", "create_cigre_network_lv")
    feeder = make_feeder(network)
    nothing = np.zeros(len(network.buses))
    flow = feeder.linear(nothing, nothing)
    off = replace(network, bus_in_service=np.zeros(len(network.buses), dtype=bool))
    silent = replace(flow, model=replace(flow.model, network=off))
    bus = np.arange(len(network.buses))
    assert len(flow.draws(bus).row) == 2 * (len(bus) - 1)
    assert len(silent.draws(bus).row) == 0
