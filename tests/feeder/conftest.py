"""Networks and helpers shared by the feeder's tests; all caches live in a temporary folder."""

from functools import cache

import numpy as np
import pytest

from cosim.feeder.feeder import Feeder
from cosim.feeder.sources import SOURCES, load_network, simbench_net

FEEDERS = (
    ("pandapower", "create_cigre_network_lv"),
    ("pandapower", "create_kerber_landnetz_freileitung_1"),
    ("pandapower", "create_kerber_dorfnetz"),
    ("pandapower", "case33bw"),
    ("simbench", "1-LV-rural1--0-sw"),
    ("simbench", "1-LV-rural2--2-sw"),
    ("simbench", "1-LV-semiurb4--0-sw"),
    ("simbench", "1-LV-urban6--0-sw"),
)


@pytest.fixture(scope="session")
def cache_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def simbench_net_of():
    """Return simbench's net by code, made once per session: it takes seconds; do not change it."""
    return cache(simbench_net)


@pytest.fixture(scope="session")
def network_of(cache_folder, simbench_net_of):
    """Return a network by source and name, extracted once per session."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SOURCES, "simbench", simbench_net_of)
        yield cache(lambda source, name: load_network(source, name, cache_folder))


@pytest.fixture(params=FEEDERS, ids=lambda feeder: feeder[1], scope="session")
def network(request, network_of):
    return network_of(*request.param)


@pytest.fixture(scope="session")
def small_network(network_of):
    return network_of("pandapower", "create_kerber_landnetz_freileitung_1")


@pytest.fixture(scope="session")
def make_feeder(cache_folder):
    """Return a feeder whose checks are remembered in the session's cache."""
    return lambda network, **options: Feeder(network, cache=cache_folder, **options)


@pytest.fixture(scope="session")
def random_states():
    """Return ``count`` random injections, up to 0.6 of what the feeder can carry."""

    def draw(feeder, count, seed=0):
        rng = np.random.default_rng(seed)
        network = feeder.network
        size = network.trafo_rating_kva.sum() or 5e3
        shape = (count, len(network.buses))
        p = rng.normal(-1.0, 1.5, shape) * size / shape[1] / 2
        q = rng.normal(-0.3, 0.3, shape) * size / shape[1] / 2
        for row in range(count):
            factor = 0.6 * rng.uniform() * min(4.0, feeder.largest_load_factor(p[row], q[row]))
            p[row] *= factor
            q[row] *= factor
        return p, q

    return draw
