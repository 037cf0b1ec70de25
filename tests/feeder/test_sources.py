"""Borders: names, foreign files, caches, and what a warm load imports."""

import json
import subprocess
import sys
import textwrap
from dataclasses import fields, replace

import numpy as np
import pandapower as pp
import pytest
from pandapower import networks

from cosim.errors import InputError
from cosim.feeder.extract import extract
from cosim.feeder.network import load_saved, save_network
from cosim.feeder.sources import cache_dir, json_net, load_network, pandapower_net

pytestmark = [
    # pandapower and simbench use pandas interfaces that pandas is about to change
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

KERBER = "create_kerber_landnetz_freileitung_1"


@pytest.mark.parametrize(
    ("source", "name", "remedy"),
    [
        ("simbench", "1-LV-rural1--0-s", "did you mean '1-LV-rural1--0-sw'?"),
        ("pandapower", "case33bww", "did you mean 'case33bw'?"),
        ("pandapower", "os", "known: "),
        ("pandapower", "_get_networks_path", "known: "),
        ("simbensch", "x", "did you mean 'simbench'?"),
        ("json", "no/such/file.json", "does not exist"),
        ("json", "a\0b", "file"),
    ],
)
def test_wrong_names(source, name, remedy, tmp_path):
    with pytest.raises(InputError) as error:
        load_network(source, name, tmp_path)
    assert remedy in str(error.value)


def test_nets_that_cannot_be_modelled_exactly(tmp_path):
    with pytest.raises(InputError, match="'gen' in service"):
        load_network("pandapower", "case9", tmp_path)


def test_simbench_taps_are_repaired(simbench_net_of):
    net = simbench_net_of("1-LV-rural1--0-sw")
    assert (net.trafo.tap_changer_type == "Ratio").all()
    assert len(net.load)


@pytest.fixture
def net_file(tmp_path):
    path = tmp_path / "net.json"
    pp.to_json(networks.create_kerber_landnetz_freileitung_1(), str(path))
    return path


def test_json_file_equals_its_net(net_file, tmp_path, small_network):
    network = load_network("json", str(net_file), tmp_path)
    assert network.lines == small_network.lines
    np.testing.assert_allclose(network.branch_y_pu, small_network.branch_y_pu, rtol=1e-9)
    np.testing.assert_array_equal(network.bus_node, small_network.bus_node)


def hostile_nets(text):
    """Yield a file for every way of smuggling an object past the reader."""
    evil = {"_module": "subprocess", "_class": "Popen", "_object": {"args": ["touch", "canary"]}}
    clean = json.loads(text)
    for place in (evil, [evil], {"deep": {"er": evil}}, json.dumps(evil), json.dumps([evil])):
        yield json.dumps({**clean, "_object": {**clean["_object"], "extra": place}})
    yield json.dumps({**clean, "_module": "os"})
    yield json.dumps(evil)
    yield text[:-1] + ', "_module": "pandapower.auxiliary"}'
    yield text.replace('"pandas.core.frame"', '"pickle"', 1)
    for cell in (evil, json.dumps(evil), json.dumps(evil).replace("_m", "\\u005fm")):
        table = {"columns": ["name"], "index": [0], "data": [[cell]]}
        frame = {**clean["_object"]["bus"], "_object": json.dumps(table)}
        yield json.dumps({**clean, "_object": {**clean["_object"], "bus": frame}})
    for content in ("/etc/hosts.json", "http://localhost/x.json", 3):
        frame = {**clean["_object"]["bus"], "_object": content}
        yield json.dumps({**clean, "_object": {**clean["_object"], "bus": frame}})
    frame = {**clean["_object"]["bus"], "storage_options": {}}
    yield json.dumps({**clean, "_object": {**clean["_object"], "bus": frame}})
    yield json.dumps({**clean, "_object": {}})
    yield from ("", "[]", "{", "3", '{"a": 1}', "[" * 100_000, text[: len(text) // 2])


def test_hostile_files(net_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = net_file.read_text()
    path = tmp_path / "hostile.json"
    for number, content in enumerate(hostile_nets(text)):
        path.write_text(content)
        with pytest.raises(InputError):
            raise AssertionError(number, load_network("json", str(path), tmp_path))
    assert not (tmp_path / "canary").exists()


def test_unreadable_files(tmp_path, monkeypatch):
    path = tmp_path / "net.json"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read"):
        json_net(path)
    monkeypatch.setattr("cosim.feeder.sources.LARGEST_FILE_BYTES", 2)
    with pytest.raises(InputError, match="too large"):
        json_net(path)
    with pytest.raises(InputError, match="does not exist"):
        json_net(tmp_path)


def test_warm_load_imports_no_pandapower(tmp_path):
    code = textwrap.dedent(f"""
        import sys
        from pathlib import Path
        import numpy as np
        from cosim.feeder.sources import load_network
        from cosim.feeder.feeder import Feeder

        cache = Path({str(tmp_path)!r})
        network = load_network("pandapower", {KERBER!r}, cache)
        heavy = [m for m in ("pandapower", "simbench", "pandas", "numba") if m in sys.modules]
        feeder = Feeder(network, cache=cache)
        feeder.solve(*np.zeros((2, len(network.buses))))
        print(heavy, "pandapower" in sys.modules, feeder.checks, feeder.deviation_pu)
    """)
    cold, warm = (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.splitlines()[-1]
        for _ in range(2)
    )
    assert warm.startswith("[] False 1")
    assert cold.split()[-2:] == warm.split()[-2:]


def test_save_and_load(small_network, tmp_path):
    path = tmp_path / "network.npz"
    save_network(small_network, path)
    again = load_saved(path)
    for field in fields(small_network):
        np.testing.assert_array_equal(
            getattr(again, field.name), getattr(small_network, field.name), err_msg=field.name
        )
        assert type(getattr(again, field.name)) is type(getattr(small_network, field.name))
    assert [entry.name for entry in tmp_path.iterdir()] == ["network.npz"]


def test_damaged_cache_is_made_again(small_network, tmp_path):
    first = load_network("pandapower", KERBER, tmp_path)
    (path,) = (tmp_path / "networks").iterdir()
    size = path.stat().st_size
    for content in (b"", b"PK rubbish", path.read_bytes()[: size // 2]):
        path.write_bytes(content)
        assert load_network("pandapower", KERBER, tmp_path).key == first.key
        assert path.stat().st_size == size


def test_unwritable_cache_is_no_failure(tmp_path, make_feeder):
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert load_network("pandapower", KERBER, blocked).radial


def test_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("COSIM_CACHE_DIR", str(tmp_path))
    assert cache_dir() == tmp_path
    monkeypatch.delenv("COSIM_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir() == tmp_path / "cosim"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir().parts[-2:] == (".cache", "cosim")


def test_names_are_unique():
    net = networks.create_kerber_landnetz_freileitung_1()
    net.bus["name"] = ["twin", "twin", None, "", *net.bus.name[4:]]
    names = extract(net, "test", "0").buses
    assert names[:5] == ("twin_0", "twin_1", "bus_2", "bus_3", net.bus.name[4])


def test_switches_fuse_buses_and_open_lines(make_feeder):
    net = networks.create_kerber_landnetz_freileitung_1()
    twin = pp.create_bus(net, 0.4, name="twin")
    apart = pp.create_bus(net, 0.4, name="apart")
    pp.create_switch(net, 1, twin, et="b", closed=True)
    pp.create_switch(net, 1, apart, et="b", closed=False)
    pp.create_switch(net, net.line.to_bus.iloc[-1], net.line.index[-1], et="l", closed=False)
    network = extract(net, "test", "0")
    feeder = make_feeder(network)
    assert feeder.topology.open_lines == {network.lines[-1]}
    p = np.full(len(network.buses), -2.0)
    state = feeder.solve(p, 0.1 * p)
    assert state.vm_pu[network.buses.index("twin")] == state.vm_pu[1]
    assert np.isnan(state.vm_pu[network.buses.index("apart")])
    assert state.line_loading_percent[-1] == 0.0
    assert feeder.verify(p, 0.1 * p, state) < 1e-9


def test_shunts_taps_and_parallel_branches(make_feeder):
    net = networks.create_kerber_landnetz_freileitung_1()
    pp.create_shunt(net, 5, q_mvar=0.002, p_mw=0.001)
    pp.create_shunt(net, 0, q_mvar=-0.01, p_mw=0.003)
    first = net.line.iloc[0]
    pp.create_line_from_parameters(
        net, first.from_bus, first.to_bus, 0.1, 0.3, 0.1, 250.0, 0.2, name="second", parallel=2
    )
    net.trafo["tap_pos"] = net.trafo.tap_neutral + 1
    feeder = make_feeder(extract(net, "test", "0"))
    assert feeder.engine == "tree"
    p = np.full(len(net.bus), -2.0)
    state = feeder.solve(p, 0.1 * p)
    reference = make_feeder(feeder.network, engine="pandapower").solve(p, 0.1 * p)
    np.testing.assert_allclose(state.vm_pu, reference.vm_pu, rtol=0, atol=1e-10)
    np.testing.assert_allclose(state.losses_kw, reference.losses_kw, rtol=0, atol=1e-7)
    np.testing.assert_allclose(state.slack_q_kvar, reference.slack_q_kvar, rtol=0, atol=1e-7)
    np.testing.assert_allclose(
        state.line_loading_percent, reference.line_loading_percent, rtol=0, atol=1e-7
    )


def test_no_name_is_made_twice(small_network):
    assert len(set(small_network.buses)) == len(small_network.buses)
    assert replace(small_network, key="other").buses == small_network.buses
    assert pandapower_net(KERBER).bus.shape[0] == len(small_network.buses)


def test_shuffled_tables_keep_their_meaning(make_feeder):
    net = networks.create_cigre_network_lv()
    straight = extract(net, "test", "0")
    for table in ("bus", "line"):
        net[table] = net[table].iloc[::-1]
    net.bus = net.bus[net.bus.columns[::-1]]
    network = extract(net, "test", "0")
    order = np.argsort(network.bus_index)
    np.testing.assert_array_equal(network.x[order], straight.x)
    p = -np.linspace(0.1, 1.0, len(network.buses))
    expected = make_feeder(straight).solve(p, 0.3 * p)
    shuffled = np.empty_like(p)
    shuffled[order] = p
    state = make_feeder(network).solve(shuffled, 0.3 * shuffled)
    np.testing.assert_allclose(state.vm_pu[order], expected.vm_pu, rtol=0, atol=1e-11)
    lines = [straight.lines.index(name) for name in network.lines]
    np.testing.assert_allclose(
        state.line_loading_percent, expected.line_loading_percent[lines], rtol=0, atol=1e-7
    )


def test_order_of_columns_leaves_the_key_alone():
    net = networks.create_kerber_landnetz_freileitung_1()
    key = extract(net, "test", "0").key
    net.line = net.line[net.line.columns[::-1]]
    assert extract(net, "test", "0").key == key
    assert extract(net, "test", "1").key != key
