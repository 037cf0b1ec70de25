"""What is drawn over time is what the tables hold: read back from the artists of each figure."""

from dataclasses import replace

import matplotlib.image
import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.dates import date2num, num2date

from cosim.report import figures
from cosim.report._time_axis import ticks
from cosim.report.data import read_run

CUT_OFF = {"LV1.101 Bus 2", "LV1.101 Bus 9", "LV1.101 Bus 13"}


def labelled(axes, start):
    """Return the artist whose legend entry begins so."""
    texts = axes.get_legend_handles_labels()
    found = [h for h, label in zip(*texts, strict=True) if label.startswith(start)]
    assert len(found) == 1, texts[1]
    return found[0]


def legend_texts(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def filled(axes, start, data):
    """Return the lower and the upper value filled in each interval, NaN where nothing is."""
    count = len(data.series["time"])
    low, high = np.full(count, np.nan), np.full(count, np.nan)
    middle = date2num(data.edges[:-1]) + 0.5 * np.diff(date2num(data.edges))
    for path in labelled(axes, start).get_paths():
        x, y = path.vertices[:-1].T
        for a, b, left, right in zip(y[:-1], y[1:], x[:-1], x[1:], strict=True):
            within = (middle > min(left, right)) & (middle < max(left, right))
            if within.any():
                assert a == b  # a step: constant over an interval
                low[within], high[within] = np.fmin(low[within], a), np.fmax(high[within], a)
    return low, high


def shaded(axes):
    """Return begin and end of what is shaded as an outage."""
    spans = [p for p in axes.patches if p.get_facecolor()[:3] == (0.6, 0.6, 0.6)]
    return sorted((p.get_x(), p.get_x() + p.get_width()) for p in spans)


def assert_outages_are_shaded_and_explained(all_axes, data):
    dead = np.flatnonzero(data.series["dead_share"] > 0.0)
    first, second = dead[: np.flatnonzero(np.diff(dead) > 1)[0] + 1], dead[-1]
    edges = date2num(data.edges)
    for axes in all_axes:
        spans = shaded(axes)
        assert len(spans) == 2
        assert spans[0] == pytest.approx((edges[first[0]], edges[first[-1] + 1]))
        assert spans[1][1] == pytest.approx(edges[second + 1])
    assert "outage of all or part" in legend_texts(all_axes[0])


# ---------------------------------------------------------------- over time


def test_prices_tariffs_and_volume_are_those_of_the_tables(drawn, struck, run):
    top, bottom = drawn(struck, "market_prices").axes
    table = run.evaluation
    clearing = labelled(top, "clearing")
    assert isinstance(clearing, LineCollection)
    segments = np.array([each for each in clearing.get_segments() if len(each)])
    price = table["price_eur_per_kwh"].to_numpy()
    cleared = np.isfinite(price)
    assert cleared.any() and not cleared.all()
    edges = date2num(struck.edges)
    np.testing.assert_allclose(segments[:, 0, 0], edges[:-1][cleared])
    np.testing.assert_allclose(segments[:, 1, 0], edges[1:][cleared])
    np.testing.assert_array_equal(segments[:, 0, 1], price[cleared])
    np.testing.assert_array_equal(segments[:, 1, 1], price[cleared])
    for label, column in (("retail", "retail_eur_per_kwh"), ("feed-in", "feed_in_eur_per_kwh")):
        line = labelled(top, label)
        np.testing.assert_array_equal(line.get_ydata()[:-1], table[column])
        assert line.get_zorder() > clearing.get_zorder()  # seen on top of the price
        assert line.get_linewidth() < clearing.get_linewidth().min() / 2
    retail = labelled(top, "retail").get_ydata()
    assert retail.max() == pytest.approx(2.0 * table["retail_eur_per_kwh"][24])  # the shock
    low, high = top.get_ylim()
    assert low < table["feed_in_eur_per_kwh"].min() and high > retail.max()
    volume = table["volume_kwh"].to_numpy()
    low, high = filled(bottom, "traded", struck)
    np.testing.assert_allclose(high - low, volume, atol=1e-12)
    assert f"traded,\n{volume.sum():,.0f} kWh in all" in legend_texts(bottom)
    np.testing.assert_array_equal(
        labelled(bottom, "physically").get_ydata()[:-1], table["possible_kwh"]
    )
    assert_outages_are_shaded_and_explained([top, bottom], struck)


def test_flows_losses_and_loadings_are_those_of_the_tables(drawn, struck, run):
    top, middle, bottom = drawn(struck, "grid_flow").axes
    table, hours = run.evaluation, 0.25
    imported, exported = table["slack_import_kwh"] / hours, table["slack_export_kwh"] / hours
    assert exported.sum() > 0.0
    np.testing.assert_allclose(filled(top, "from upstream", struck)[1], imported, atol=1e-9)
    np.testing.assert_allclose(filled(top, "into upstream", struck)[0], -exported, atol=1e-9)
    np.testing.assert_allclose(middle.lines[0].get_ydata()[:-1], table["losses_kwh"] / hours)
    for label, column in (("highest transf", "trafo"), ("highest line", "line")):
        line = labelled(bottom, label)
        np.testing.assert_array_equal(line.get_ydata()[:-1], table[f"{column}_max_percent"])
    assert set(labelled(bottom, "limit").get_ydata()) == {100.0}
    assert_outages_are_shaded_and_explained([top, middle, bottom], struck)


def test_a_direction_without_flow_is_not_in_the_legend(drawn, struck):
    def texts(data):
        return [text.split(",")[0] for text in legend_texts(drawn(data, "grid_flow").axes[0])]

    nothing = np.zeros_like(struck.series["slack_export_kwh"])
    calm = replace(struck, series={**struck.series, "slack_export_kwh": nothing})
    assert texts(struck) == ["from upstream", "into upstream", "outage of all or part"]
    assert texts(calm) == ["from upstream", "outage of all or part"]


def test_the_envelope_holds_the_ranks_of_the_buses_with_supply(drawn, struck, run):
    close, whole = drawn(struck, "voltage_envelope").axes
    table = run.evaluation
    for axes in (close, whole):
        for label, names in (
            ("lowest", ("vm_min_pu", "vm_max_pu")), ("5 %", ("vm_p05_pu", "vm_p95_pu")),
        ):  # fmt: skip
            measured = table[names[0]].notna().to_numpy()
            assert not measured.all()  # nothing while the supply is off
            for found, name in zip(filled(axes, label, struck), names, strict=True):
                np.testing.assert_array_equal(found[measured], table[name][measured])
                assert np.isnan(found[~measured]).all()
        np.testing.assert_array_equal(labelled(axes, "median").get_ydata()[:-1], table["vm_p50_pu"])
        assert set(labelled(axes, "upper").get_ydata()) == {struck.limits["vm_max_pu"]}
        assert set(labelled(axes, "lower").get_ydata()) == {struck.limits["vm_min_pu"]}
    low, high = whole.get_ylim()
    assert low < struck.limits["vm_min_pu"] and high > struck.limits["vm_max_pu"]
    low, high = close.get_ylim()
    assert low < table["vm_min_pu"].min() and high > table["vm_max_pu"].max()
    assert high - low < 1.3 * (table["vm_max_pu"].max() - table["vm_min_pu"].min())
    assert_outages_are_shaded_and_explained([close, whole], struck)


def test_dead_buses_do_not_count_as_low_voltage(drawn, struck, run):
    """The lowest bus drawn while a part is dead is the lowest of the others, from their table."""
    buses = run.table("bus")
    within = run.evaluation["interval"][run.evaluation["dead_share"] > 0.0].iloc[-2]
    rows = buses[(buses["interval"] == within) & buses["bus"].str.startswith("LV")]
    assert set(rows["bus"][rows["vm_pu"].isna()]) == CUT_OFF
    low, _ = filled(drawn(struck, "voltage_envelope").axes[0], "lowest", struck)
    assert low[within] == pytest.approx(rows["vm_pu"].min(), abs=1e-12)


@pytest.mark.parametrize("name", ["market_prices", "grid_flow", "voltage_envelope"])
def test_times_are_civil_and_the_title_is_the_scenario(drawn, struck, name):
    figure = drawn(struck, name)
    axes = figure.axes[-1]
    places, names = ticks(struck.edges[0], struck.edges[-1], struck.zone)
    shown = [text.get_text() for text in axes.get_xticklabels()]
    assert shown == names and shown[0] == "Mon 18 Jul" and "Tue 19 Jul" in shown
    np.testing.assert_allclose(axes.get_xticks(), date2num(places))
    assert num2date(axes.get_xticks()[0], tz=struck.zone).hour == 0
    assert "Europe/Berlin" in axes.get_xlabel() and "2016" in axes.get_xlabel()
    assert axes.get_xlim() == pytest.approx(tuple(date2num(struck.edges[[0, -1]])))
    title = figure.axes[0].get_title(loc="left")
    assert title.startswith("struck — ") and "UTC" not in title and "seed" not in title


def test_the_file_tells_which_run_it_shows(struck_folder, run, tmp_path):
    struck = read_run(struck_folder)
    path = figures.draw_figures(struck, tmp_path)[0]
    again = figures.draw_figures(struck, tmp_path / "again")[0]
    assert path.read_bytes() == again.read_bytes()
    assert run.digest and f"digest {run.digest}".encode() in path.read_bytes()
    assert matplotlib.image.imread(path).shape[:2] == (624, 1080)
