"""The glossary explains every column of every output and every key figure, and nothing else."""

from cosim import glossary, metrics
from cosim.record import TABLES
from cosim.record.facts import EVALUATION
from cosim.record.manifest import ELEMENTS, VIOLATIONS


def test_every_kpi_is_explained_and_computed():
    assert set(metrics.KPIS) == set(glossary.KPIS)
    for name, kpi in metrics.KPIS.items():
        assert kpi.name == name
        assert kpi.unit == glossary.KPIS[name].unit
        assert kpi.meaning


def test_every_column_of_the_small_files_is_explained():
    files = {"evaluation": EVALUATION, "violations": VIOLATIONS, "elements": ELEMENTS}
    for table, columns in files.items():
        for column in columns:
            assert glossary.lookup(table, column).meaning


def test_qualified_names_belong_to_a_table():
    tables = {*TABLES, "evaluation", "violations", "elements"}
    owners = {name.split(".")[0] for name in glossary.COLUMNS if "." in name}
    assert owners <= tables


def test_units_agree_with_names():
    suffixes = {
        "_eur_per_kwh": "EUR/kWh", "_kg_per_kwh": "kg/kWh", "_kwh": "kWh", "_kw": "kW",
        "_kvar": "kvar", "_pu": "p.u.", "_percent": "%", "_eur": "EUR", "_kg": "kg", "_s": "s",
        "_minutes": "min", "_hours": "h", "_time": "UTC",
    }  # fmt: skip
    for quantity in (*glossary.COLUMNS.values(), *glossary.KPIS.values()):
        for suffix, unit in suffixes.items():
            if quantity.name.endswith(suffix):
                assert quantity.unit == unit, quantity.name
                break


def test_money_and_energy_with_two_directions_state_their_sign():
    for name in ("net_kwh", "bill_eur", "quantity_kwh", "imbalance_kwh", "p_kw", "slack_p_kw"):
        assert glossary.COLUMNS[name].sign
