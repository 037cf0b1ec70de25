"""The table on the screen: key figures against the bill without trading, variants side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cosim import glossary

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from cosim.record.recorder import RunSummary

#: what is shown, in sections: key figure and its label
SECTIONS: Mapping[str, Mapping[str, str]] = {
    "Money": {
        "baseline_bill_eur": "bill without local trading (same energy)",
        "bill_eur": "bill with local trading",
        "savings_eur": "savings by trading",
        "savings_percent": "  of the bill without it",
        "lowest_saving_eur": "  the least of a prosumer",
        "highest_saving_eur": "  the most of a prosumer",
        "losing_prosumers": "prosumers that lose by trading",
        "gini_savings": "Gini of savings (0 equal, 1 one has all)",
        "wear_eur": "battery wear, beside the bill",
    },
    "Market": {
        "traded_kwh": "traded",
        "traded_share_percent": "traded, of what was physically possible",
        "undeliverable_kwh": "traded beyond that, for want of foresight",
        "value_tapping_index": "savings by the largest possible",
        "welfare_loss_eur": "welfare lost against the best clearing",
        "mean_price_eur_per_kwh": "mean clearing price, weighted by volume",
        "price_std_eur_per_kwh": "  its standard deviation",
        "mean_retail_eur_per_kwh": "mean retail price, over time",
        "mean_feed_in_eur_per_kwh": "mean feed-in price, over time",
        "silent_intervals": "intervals without trade though both sides were there",
        "orders_late_or_lost": "orders late or lost",
    },
    "Energy": {
        "load_kwh": "load served",
        "pv_kwh": "PV",
        "import_kwh": "from upstream",
        "export_kwh": "into upstream",
        "peak_import_kw": "peak from upstream",
        "peak_export_kw": "peak into upstream",
        "highest_ramp_kw": "largest change of upstream power, by interval",
        "load_factor": "mean exchange by its peak (load factor)",
        "stored_change_kwh": "stored in batteries, end minus start",
        "losses_percent": "losses",
        "self_consumption_percent": "PV used in the community",
        "self_sufficiency_percent": "load met by the community",
        "co2_kg": "CO2 of upstream energy",
        "unserved_kwh": "not served for want of supply",
    },
    "Grid": {
        "vm_min_pu": "lowest voltage",
        "vm_max_pu": "highest voltage",
        "line_max_percent": "highest line loading",
        "trafo_max_percent": "highest transformer loading",
        "undervoltage_bus_minutes": "bus minutes of undervoltage",
        "overvoltage_bus_minutes": "bus minutes of overvoltage",
        "unsolved_steps": "load flows without a solution",
    },
    "Safety": {
        "request_breaches": "1 faults in what policies requested",
        "interventions": "2 requests the guard changed",
        "device_breaches": "3 battery limits broken, from recorded energies",
        "grid_breaches": "4 grid limits broken, episodes, outages apart",
    },
}

_DIGITS = {"EUR": 2, "EUR/kWh": 4, "kWh": 1, "kW": 1, "%": 1, "p.u.": 4, "kg": 1, "h": 1, "min": 0}


def kpi_table(summaries: Mapping[str, RunSummary]) -> Table:
    """Return the key figures, a column for each run."""
    return kpi_columns({name: summary.kpis for name, summary in summaries.items()})


def kpi_columns(kpis: Mapping[str, Mapping[str, float]]) -> Table:
    """Return the key figures of runs by their names, a column for each."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    table.add_column("")
    table.add_column("unit", style="dim")
    for name in kpis:
        table.add_column(escape(name), justify="right")
    for section, rows in SECTIONS.items():
        table.add_row(f"[bold]{section}[/bold]")
        for kpi, label in rows.items():
            unit = glossary.KPIS[kpi].unit
            values = [shown(kpi, own.get(kpi, math.nan)) for own in kpis.values()]
            table.add_row(f"  {label}", "" if unit == "-" else unit, *values)
        table.add_section()
    return table


def shown(kpi: str, value: float) -> str:
    """Return a value as text with the digits of its unit; "not measured" for NaN."""
    if math.isnan(value):
        return "not measured"
    known = glossary.KPIS[kpi]
    if known.unit == "-":
        return f"{value:.2f}" if known.high == 1.0 else f"{value:,.0f}"
    text = f"{value:,.{_DIGITS[known.unit]}f}"
    return text.lstrip("-") if not any(digit in text for digit in "123456789") else text


def remarks(summaries: Mapping[str, RunSummary]) -> list[str]:
    """Return what has to be known to read the table rightly."""
    found = []
    for name, summary in summaries.items():
        unsolved = summary.kpis["unsolved_steps"]
        if unsolved > 0.0:
            found.append(
                f"{name}: {unsolved:.0f} load flows have no solution; upstream energy, losses and "
                "CO2 leave their intervals out"
            )
        breaches = summary.kpis["grid_breaches"]
        if breaches > 0.0:
            found.append(f"{name}: {breaches:.0f} breaches of grid limits, see violations.csv")
    return found


def show(summaries: Mapping[str, RunSummary], console: Console, paths: Sequence[Path] = ()) -> None:
    """Print the table, the remarks and where the results are."""
    console.print(kpi_table(summaries))
    for remark in remarks(summaries):
        console.print(remark, style="yellow", markup=False)
    for name, summary in summaries.items():
        if summary.folder is not None:
            console.print(f"{name}: {summary.folder}", markup=False, soft_wrap=True)
    for path in paths:
        console.print(f"  {path}", markup=False, soft_wrap=True)
