"""The linearised load flow against differences of the load flow itself."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosim.feeder.extract import extract
from cosim.feeder.sources import pandapower_net

NAMES = (
    ("pandapower", "create_cigre_network_lv"),
    ("pandapower", "create_kerber_landnetz_freileitung_1"),
    ("pandapower", "create_kerber_dorfnetz"),
    ("pandapower", "case33bw"),
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


def assert_slopes(feeder, p, q, bus, steps_kw=(2e-2, 2e-3, 2e-4)):
    """Compare each quantity's slopes to 1e-5 of its largest, with the step that suits it best.

    A long step meets the bend of a small current or of the larger end, a short one rounding.
    """
    flow, here = feeder.linear(p, q), quantities(feeder, p, q)
    found = implied(flow, bus, len(here))
    buses = len(p)
    error, size = np.full(len(here), np.inf), np.zeros(len(here))
    for step_kw in steps_kw:
        wanted = differences(feeder, p, q, bus, step_kw)
        error = np.minimum(error, np.abs(found - wanted).max(axis=1))
        size = np.maximum(size, np.abs(wanted).max(axis=1))
    told = np.isfinite(here)
    told[buses:] &= here[buses:] > 500.0 * steps_kw[1] * size[buses:]
    floor = np.where(np.arange(len(here)) < buses, 1e-11, 2e-9)
    assert (error <= 1e-5 * size + floor)[told].all()
    return told[buses:].sum()


@pytest.fixture(scope="module")
def feeders(network_of, make_feeder):
    return [make_feeder(network_of(*name), line_rating_ka=0.4) for name in NAMES]


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
        np.testing.assert_allclose(np.abs(v), feeder.solve(p, q).vm_pu, rtol=0, atol=1e-15)


def test_lines_of_a_centimetre(make_feeder, random_states):
    net = pandapower_net("create_kerber_landnetz_freileitung_1")
    net.line.loc[net.line.index[1::3], "length_km"] = 1e-5
    feeder = make_feeder(extract(net, "short", "test"))
    p, q = (values[0] for values in random_states(feeder, 1))
    assert_slopes(feeder, p, q, np.arange(len(p)))


def test_a_meshed_feeder(network_of, make_feeder, random_states):
    feeder = make_feeder(network_of("pandapower", "case33bw"), line_rating_ka=0.4)
    p, q = (values[0] for values in random_states(feeder, 1))
    assert_slopes(feeder, p, q, np.arange(1, 33), steps_kw=(2.0, 0.2, 0.02))
    for name in sorted(feeder.topology.open_lines)[:2]:
        feeder.close_line(name)
    assert feeder.engine == "pandapower"
    assert_slopes(feeder, p, q, np.array([5, 17]), steps_kw=(5.0, 0.5, 0.05))


def test_without_a_state_there_is_nothing_to_linearise(feeders):
    feeder = feeders[0].twin()
    nothing = np.zeros(len(feeder.network.buses))
    assert feeder.linear(nothing, nothing) is not None
    assert feeder.linear(nothing - 1e6, nothing) is None
    feeder.set_supply(False)
    assert feeder.linear(nothing, nothing) is None


def test_buses_out_of_service_draw_nothing(feeders):
    network, nothing = feeders[0].network, np.zeros(len(feeders[0].network.buses))
    flow, bus = feeders[0].linear(nothing, nothing), np.arange(len(nothing))
    off = replace(network, bus_in_service=np.zeros(len(bus), dtype=bool))
    silent = replace(flow, model=replace(flow.model, network=off))
    assert len(flow.draws(bus).row) > len(bus)
    assert len(silent.draws(bus).row) == 0
