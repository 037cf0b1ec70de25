"""The map: stations where they feed, both extremes on one scale, outages marked and explained."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_rgba

from cosim.report._drawing import MAGENTA
from cosim.report._places import Places, places
from cosim.report.data import read_run

MV = "MV1.101 Bus 4"
CUT_OFF = {"LV1.101 Bus 2", "LV1.101 Bus 9", "LV1.101 Bus 13"}
SUPPLY_OUT_H = 2.0 + 13.0 / 60.0 + 10.0 / 3600.0


def found(axes, gid):
    """Return the artists of a panel that carry a name."""
    return [artist for artist in axes.get_children() if artist.get_gid() == gid]


def the(axes, gid):
    (only,) = found(axes, gid)
    return only


def legend_texts(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def with_elements(data, **columns):
    return replace(data, elements={**data.elements, **columns})


# ---------------------------------------------------------------- values


def test_both_panels_show_the_table_on_one_scale(drawn, struck, run):
    figure = drawn(struck, "feeder_map")
    buses = run.elements[(run.elements["kind"] == "bus") & (run.elements["element"] != MV)]
    lines = run.elements[run.elements["kind"] == "line"]
    scales = []
    for axes, column in zip(figure.axes[:2], ("vm_min_pu", "vm_max_pu"), strict=True):
        dots = the(axes, "buses")
        np.testing.assert_array_equal(dots.get_array(), buses[column])
        np.testing.assert_array_equal(dots.get_offsets(), buses[["x", "y"]])
        assert dots.cmap(0.0) != dots.cmap(0.5) != dots.cmap(1.0)
        strands = the(axes, "lines")
        np.testing.assert_array_equal(strands.get_array(), lines["loading_max_percent"])
        place = buses.set_index("element")[["x", "y"]]
        ends = np.stack([place.loc[lines["from_bus"]], place.loc[lines["to_bus"]]], axis=1)
        np.testing.assert_array_equal(strands.get_segments(), ends)
        by_loading = np.argsort(strands.get_array())
        assert (np.diff(np.array(strands.get_linewidths())[by_loading]) >= 0.0).all()
        scales.append((dots.norm.vmin, dots.norm.vmax, strands.norm.vmin, strands.norm.vmax))
    assert scales[0] == scales[1]
    low, high, _, most = scales[0]
    assert low < 0.9 < buses["vm_min_pu"].min() and high > 1.1 > buses["vm_max_pu"].max()
    assert most > 100.0
    lowest, highest = (axes.get_title() for axes in figure.axes[:2])
    assert f"down to {buses['vm_min_pu'].min():.3f}" in lowest
    assert f"up to {buses['vm_max_pu'].max():.3f}" in highest


def test_the_limits_are_marked_on_the_scales(drawn, struck):
    data = replace(struck, limits={**struck.limits, "trafo_percent": 120.0})
    volts, loads = drawn(data, "feeder_map").axes[2:]
    marks = {line.get_ydata()[0] for line in volts.lines if line.get_color() == MAGENTA}
    assert marks == {data.limits["vm_min_pu"], data.limits["vm_max_pu"]}
    marks = {line.get_ydata()[0] for line in loads.lines if line.get_color() == MAGENTA}
    assert marks == {100.0, 120.0}
    texts = [text.get_text() for text in loads.get_yticklabels()]
    assert "100, lines" in texts and "120, transf." in texts


def test_what_was_beyond_a_limit_has_a_rim_and_an_entry(drawn, struck):
    e = struck.elements
    buses, lines = struck.of_kind("bus"), struck.of_kind("line")
    low, high = e["vm_min_pu"].copy(), e["vm_max_pu"].copy()
    loading = e["loading_max_percent"].copy()
    low[np.flatnonzero(buses)[3]], high[np.flatnonzero(buses)[5]] = 0.88, 1.12
    loading[np.flatnonzero(lines)[2]] = 130.0
    loading[struck.of_kind("trafo")] = 101.0
    data = with_elements(struck, vm_min_pu=low, vm_max_pu=high, loading_max_percent=loading)
    figure = drawn(data, "feeder_map")
    for axes, value in zip(figure.axes[:2], (0.88, 1.12), strict=True):
        dots = the(axes, "buses")
        rims = [tuple(color) == to_rgba(MAGENTA) for color in dots.get_edgecolors()]
        assert np.array(dots.get_array())[rims] == [value]
        assert dots.norm.vmin < 0.88 and dots.norm.vmax > 1.12
        np.testing.assert_array_equal(
            the(axes, "over").get_segments(), [the(axes, "lines").get_segments()[2]]
        )
        assert {spot.get_markeredgecolor() for spot in found(axes, "transformer")} == {MAGENTA}
    assert "bus beyond a voltage limit" in legend_texts(figure)
    assert "branch above its loading limit" in legend_texts(figure)
    assert "2 of 14 buses, 1 of 13 lines, 1 of 1 transformers" in figure.texts[-1].get_text()
    calm = drawn(struck, "feeder_map")
    assert {spot.get_markeredgecolor() for spot in found(calm.axes[0], "transformer")} == {"black"}
    assert "0 of 14 buses, 0 of 13 lines, 0 of 1 trans" in calm.texts[-1].get_text()
    assert not any("beyond" in text or "above" in text for text in legend_texts(calm))


def test_buses_that_never_had_a_voltage_are_white_and_explained(drawn, struck):
    low, high = struck.elements["vm_min_pu"].copy(), struck.elements["vm_max_pu"].copy()
    low[4] = high[4] = np.nan
    figure = drawn(with_elements(struck, vm_min_pu=low, vm_max_pu=high), "feeder_map")
    dots = the(figure.axes[0], "buses")
    colors = dots.to_rgba(dots.get_array())
    assert [tuple(color) == to_rgba("white") for color in colors].count(True) == 1
    assert "bus that never had a voltage" in legend_texts(figure)
    assert "bus that never had a voltage" not in legend_texts(drawn(struck, "feeder_map"))


def test_the_title_is_the_scenario_and_its_variant(drawn, struck_folder, tmp_path):
    assert read_run(struck_folder).title == "struck"
    main = tmp_path / "main"
    variant = main / "variants" / "learner"
    for folder in (main, variant):
        shutil.copytree(struck_folder, folder, ignore=shutil.ignore_patterns("variants"))
    data = read_run(variant)
    assert data.title == "struck, learner"
    manifest = json.loads((variant / "manifest.json").read_text())
    manifest["scenario"]["description"] = "Batteries that learn. " * 9
    (variant / "manifest.json").write_text(json.dumps(manifest))
    data = read_run(variant)
    assert data.title.startswith("struck, learner: Batteries that learn.") and len(data.title) < 90
    assert drawn(data, "feeder_map").get_suptitle().startswith(data.title)


# ---------------------------------------------------------------- stations


def test_the_upstream_bus_is_drawn_at_its_station_only(drawn, struck, run):
    e = run.elements.set_index("element")
    trafo = e[e["kind"] == "trafo"].iloc[0]
    assert trafo["from_bus"] == MV
    station = e.loc[trafo["to_bus"], ["x", "y"]].to_numpy(float)
    for axes in drawn(struck, "feeder_map").axes[:2]:
        spots = found(axes, "transformer")
        assert len(spots) == 2  # two circles that overlap
        for spot in spots:
            np.testing.assert_array_equal(np.ravel(spot.get_xydata()), station)
        places = [spot.get_transform().transform(station) for spot in spots]
        beside = [axes.transData.transform(station)] * 2
        away = np.linalg.norm(np.subtract(places, beside), axis=1) / axes.figure.dpi * 72.0
        assert sorted(away) == pytest.approx([13.0, 19.0])
        (text,) = (text for text in axes.texts if text.get_text())
        assert text.get_text() == f"upstream\ntransformer {trafo['loading_max_percent']:.0f} %"
        assert text.xy == pytest.approx(tuple(station))


def test_only_buses_that_feed_transformers_alone_are_upstream(struck):
    names = struck.elements["element"][struck.of_kind("bus")]
    assert list(names[places(struck).upstream]) == [MV]
    from_bus = struck.elements["from_bus"].copy()
    from_bus[np.flatnonzero(struck.of_kind("line"))[0]] = MV  # as with a medium-voltage grid
    assert not places(with_elements(struck, from_bus=from_bus)).upstream.any()


def test_a_network_of_two_levels_names_the_upper_station_only(drawn, struck):
    e = {name: column.copy() for name, column in struck.elements.items()}
    e["kind"][e["element"] == "LV1.101 Line 4"] = "trafo"  # a second one, amid the feeder
    figure = drawn(with_elements(struck, **e), "feeder_map")
    for axes in figure.axes[:2]:
        assert len(found(axes, "transformer")) == 4
        assert len([text for text in axes.texts if text.get_text()]) == 1


@pytest.mark.parametrize(
    ("rest", "way"),
    [((0.0, -1.0), (0.0, 1.0)), ((0.0, 1.0), (0.0, -1.0)), ((1.0, 0.0), (-1.0, 0.0))],
)
def test_a_station_is_drawn_where_there_is_room(rest, way):
    at = np.array([(0.0, 0.0), rest, (3.0, 3.0)]) * 1000.0
    upstream = np.array([False, False, True])
    net = Places(at, True, np.array([[0, 1]]), np.array([[2, 0]]), upstream)
    np.testing.assert_allclose(net.free_direction(0), way, atol=1e-9)
    np.testing.assert_allclose(net.off(0, np.array(way), 0.5), 500.0 * np.array(way))


def test_degrees_shrink_and_metres_do_not(struck):
    assert places(struck).aspect == pytest.approx(1.0 / np.cos(np.radians(53.6)), rel=0.05)
    metres = with_elements(struck, x=struck.elements["x"] * 1e5, y=struck.elements["y"] * 1e5)
    assert places(metres).aspect == 1.0


# ---------------------------------------------------------------- outages


def test_outages_are_marked_and_explained(drawn, struck, run):
    figure = drawn(struck, "feeder_map")
    e = run.elements.set_index("element")
    line = e.loc["LV1.101 Line 12"]
    middle = e.loc[[line["from_bus"], line["to_bus"]], ["x", "y"]].mean()
    for axes in figure.axes[:2]:
        squares = the(axes, "dead").get_offsets()
        assert {tuple(xy) for xy in squares} == {
            tuple(e.loc[name, ["x", "y"]].astype(float)) for name in CUT_OFF
        }
        np.testing.assert_allclose(np.ravel(the(axes, "open").get_xydata()), middle)
        assert len(found(axes, "upstream out")) == 1
    assert legend_texts(figure) == [
        "LV1.101 Line 12 out of service for 1.2 h",
        f"upstream out: all buses without supply for {SUPPLY_OUT_H:.1f} h",
        f"buses without supply: 3, for up to {SUPPLY_OUT_H + 1.25:.1f} h",
    ]


def test_nothing_is_marked_where_nothing_was_out(drawn, struck):
    calm = with_elements(struck, out_h=np.zeros(len(struck.elements["element"])))
    figure = drawn(calm, "feeder_map")
    for axes in figure.axes[:2]:
        assert not len(the(axes, "dead").get_offsets())
        assert not len(the(axes, "open").get_xydata())
        assert not found(axes, "upstream out")
    assert not figure.legends and "not recorded" not in figure.texts[-1].get_text()


def test_hours_out_are_those_of_the_disturbances(struck, run):
    out = dict(zip(struck.elements["element"], struck.elements["out_h"], strict=True))
    for row in run.elements.itertuples():
        line = 1.25 if row.element in CUT_OFF or row.element == "LV1.101 Line 12" else 0.0
        supply = SUPPLY_OUT_H if row.kind == "bus" else 0.0
        assert out[row.element] == pytest.approx(line + supply, abs=1e-9), row.element


def test_hours_out_agree_with_the_bus_table(struck, run):
    buses = run.table("bus")
    dead = buses[buses["vm_pu"].isna()]
    hours = ((dead["end_s"] - dead["start_s"]) / 3600.0).groupby(dead["bus"]).sum()
    chosen = struck.of_kind("bus")
    for name, found in zip(
        struck.elements["element"][chosen], struck.elements["out_h"][chosen], strict=True
    ):
        assert found == pytest.approx(hours.get(name, 0.0), abs=1e-9)


def test_outages_are_unknown_without_the_tables(drawn, struck_folder, tmp_path):
    bare = tmp_path / "bare"
    shutil.copytree(struck_folder, bare, ignore=shutil.ignore_patterns("bus", "figures"))
    assert "bus" in json.loads((bare / "manifest.json").read_text())["tables"]
    struck = read_run(bare)
    assert np.isnan(struck.elements["out_h"]).all()
    figure = drawn(struck, "feeder_map")
    assert "not recorded" in figure.texts[-1].get_text()
    assert not figure.legends
