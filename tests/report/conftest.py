"""A run in which supply, a line and prices are disturbed, and how its figures are drawn."""

import matplotlib
import pytest
from matplotlib.figure import Figure

from cosim.case import load_case
from cosim.record import RunRecorder, new_run_folder
from cosim.report._drawing import STYLE
from cosim.report.data import read_run
from cosim.report.figures import FIGURES
from cosim.results import load_run
from cosim.scenario import load_scenario
from cosim.simulation import Simulation

SCENARIO = """
name: struck
time: {start: 2016-07-18, days: 2, interval_minutes: 15}
feeder: {source: simbench, name: 1-LV-rural1--0-sw}
profiles: simbench
scale: {pv: 3.0}
market: uniform_price
policies: {rule: self_consumption}
groups: {all: {members: all, policy: rule}}
disturbances:
  - {kind: supply_outage, start: 2016-07-18T10:07:00, end: 2016-07-18T12:20:10}
  - kind: line_outage  # cuts off three buses
    start: 2016-07-19 14:05
    end: 2016-07-19 15:20
    line: LV1.101 Line 12
  - kind: price_shock
    start: 2016-07-19 06:00
    end: 2016-07-19 18:00
    retail_factor: 2.0
"""


@pytest.fixture(scope="session")
def struck_folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("figures")
    path = root / "struck.yaml"
    path.write_text(SCENARIO)
    case = load_case(load_scenario(path))
    recorder = RunRecorder(case, new_run_folder(root, "struck"))
    return recorder.finish(Simulation(case, recorder).run(), {}).folder


@pytest.fixture(scope="session")
def run(struck_folder):
    return load_run(struck_folder)


@pytest.fixture
def struck(struck_folder):
    return read_run(struck_folder)


@pytest.fixture(scope="session")
def drawn():
    """Return what draws a figure by its name, to be read back from its artists."""

    def draw(data, name):
        with matplotlib.rc_context(STYLE):
            figure = Figure(figsize=(9.0, 5.2))
            FIGURES[name](figure, data)
        return figure

    return draw
