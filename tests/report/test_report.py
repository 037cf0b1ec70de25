"""Figures that show something, maps without coordinates, and the table on the screen."""

import io
import math
from dataclasses import replace
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import matplotlib.image
import numpy as np
import pytest
from rich.console import Console

from cosim import glossary
from cosim.case import load_case
from cosim.errors import InputError
from cosim.record import RunRecorder, new_run_folder
from cosim.report import screen
from cosim.report._places import positions, tree_layout
from cosim.report.data import RunData, read_run
from cosim.report.feeder_map import worst_voltage
from cosim.report.figures import FIGURES, draw_figures
from cosim.scenario import load_scenario
from cosim.simulation import Simulation

SCENARIO = """
name: drawn
time: {start: 2016-07-18, days: 1, interval_minutes: 60}
feeder: {source: simbench, name: 1-LV-rural1--0-sw}
profiles: simbench
market: uniform_price
policies: {rule: self_consumption}
groups: {all: {members: all, policy: rule}}
disturbances:
  - {kind: supply_outage, start: 2016-07-18T10:07:00, end: 2016-07-18T12:20:10}
"""


@pytest.fixture(scope="module")
def summary(tmp_path_factory):
    root = tmp_path_factory.mktemp("report")
    path = root / "drawn.yaml"
    path.write_text(SCENARIO)
    case = load_case(load_scenario(path))
    recorder = RunRecorder(case, new_run_folder(root, "drawn"))
    return recorder.finish(Simulation(case, recorder).run(), {})


@pytest.fixture(scope="module")
def data(summary):
    return read_run(summary.folder)


def is_drawn(path):
    picture = matplotlib.image.imread(path)[..., :3]
    colours = np.unique((picture.reshape(-1, 3) * 255).astype(int), axis=0)
    return picture.shape[0] > 400 and picture.shape[1] > 800 and len(colours) > 50


def test_every_figure_is_drawn(summary):
    paths = draw_figures(summary.folder)
    assert [path.stem for path in paths] == list(FIGURES)
    assert all(path.parent == summary.folder / "figures" for path in paths)
    assert all(is_drawn(path) for path in paths)


def test_figures_of_a_run_without_trade_solution_or_coordinates(data, tmp_path):
    nothing = np.full(len(data.series["time"]), np.nan)
    nan = {name: nothing for name in data.series if name.startswith(("vm_", "line_", "trafo_"))}
    series = {**data.series, **nan, "price_eur_per_kwh": nothing, "volume_kwh": 0.0 * nothing}
    series["volume_kwh"] = np.zeros(len(nothing))
    series["status"] = np.full(len(nothing), "collapse", dtype=object)
    elements = dict(data.elements)
    for name in ("x", "y", "vm_min_pu", "vm_max_pu", "loading_max_percent"):
        elements[name] = np.full(len(elements[name]), np.nan)
    empty = replace(data, series=series, elements=elements)
    assert all(is_drawn(path) for path in draw_figures(empty, tmp_path))


def test_drawing_needs_a_finished_run_and_a_place(data, summary, tmp_path):
    with pytest.raises(ValueError, match="folder"):
        draw_figures(data)
    with pytest.raises(InputError):
        draw_figures(tmp_path)


def test_times_and_axes(data):
    assert len(data.edges) == 25
    assert data.edges[-1] - data.edges[0] == np.timedelta64(1, "D")
    assert data.zone == ZoneInfo("Europe/Berlin")
    np.testing.assert_allclose(data.mean_kw("load_kwh"), data.series["load_kwh"])


def test_tree_layout_sets_buses_below_each_other():
    ends = np.array([[1, 2], [1, 3], [3, 4], [0, 1]])  # the last one is the transformer
    at = tree_layout(ends, 6)
    assert at[:, 1].tolist() == [0, -1, -2, -2, -3, 0]
    assert len(np.unique(at, axis=0)) == 6
    assert at[1, 0] == pytest.approx(0.5 * (at[2, 0] + at[3, 0]))
    assert at[3, 0] == at[4, 0]


def test_tree_layout_of_a_ring_and_of_nothing():
    assert np.isfinite(tree_layout(np.array([[0, 1], [1, 2], [2, 0]]), 3)).all()
    assert tree_layout(np.zeros((0, 2), dtype=int), 2).shape == (2, 2)


def test_coordinates_are_used_when_the_network_has_them(data):
    at, geographic = positions(data)
    assert geographic and np.isfinite(at).all()
    blank = np.full(len(data.elements["x"]), np.nan)
    at, geographic = positions(replace(data, elements={**data.elements, "x": blank}))
    assert not geographic and np.isfinite(at).all()


def test_the_worst_voltage_is_the_one_farther_from_the_middle():
    limits = {"vm_min_pu": 0.9, "vm_max_pu": 1.1}
    low, high = np.array([0.92, 0.99, np.nan]), np.array([1.02, 1.05, np.nan])
    np.testing.assert_array_equal(worst_voltage(low, high, limits), [0.92, 1.05, np.nan])


# ---------------------------------------------------------------- screen


def printed(summaries, **arguments):
    out = io.StringIO()
    screen.show(summaries, Console(file=out, width=140), **arguments)
    return out.getvalue()


def test_the_screen_shows_variants_side_by_side(summary):
    text = printed({"main": summary, "passive": summary}, paths=[summary.folder / "a[b].png"])
    assert "main" in text and "passive" in text
    assert "bill without local trading" in text
    assert "EUR" in text and "kWh" in text
    assert "a[b].png" in text and str(summary.folder) in text


def test_what_was_not_measured_is_said():
    nothing = SimpleNamespace(kpis=dict.fromkeys(glossary.KPIS, math.nan), folder=None)
    text = printed({"none": nothing})
    assert "not measured" in text
    assert " 0 " not in text and "nan" not in text


def test_unsolved_load_flows_and_breaches_are_remarked(summary):
    kpis = {**summary.kpis, "unsolved_steps": 3.0, "grid_breaches": 2.0}
    text = printed({"main": SimpleNamespace(kpis=kpis, folder=None)})
    assert "3 load flows have no solution" in text
    assert "2 breaches of grid limits" in text


def test_every_figure_on_the_screen_is_a_kpi():
    for rows in screen.SECTIONS.values():
        assert set(rows) <= set(glossary.KPIS)


@pytest.mark.parametrize(
    ("kpi", "value", "expected"),
    [
        ("bill_eur", 1234.5, "1,234.50"),
        ("bill_eur", -0.001, "0.00"),
        ("vm_min_pu", 0.98765, "0.9877"),
        ("gini_savings", 0.5, "0.50"),
        ("interventions", 1200.0, "1,200"),
        ("losses_percent", math.nan, "not measured"),
    ],
)
def test_numbers_are_shown_in_the_digits_of_their_unit(kpi, value, expected):
    assert screen.shown(kpi, value) == expected


def test_run_data_holds_what_it_was_given(data):
    assert isinstance(data, RunData)
    assert data.limits["line_percent"] == 100.0
