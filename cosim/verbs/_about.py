"""What a loaded scenario is, in a few lines."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

import numpy as np

from cosim.case import Case
from cosim.plugins import Plugin
from cosim.scenario import Scenario
from cosim.verbs._common import columns


def summary(case: Case) -> str:
    """Return the description of a case: one line for each thing a reader asks for."""
    scenario = case.scenario
    rows = [
        ("time", _time(case)),
        ("feeder", _feeder(case)),
        ("participants", _participants(case)),
        ("groups", _groups(case)),
        ("prices", _prices(case)),
        ("imbalance", _imbalance(case)),
        ("CO2", _co2(case)),
        ("market", f"{named(scenario.market)}, trade limit {scenario.trade_limit}"),
        *_said(scenario),
        *_supervised(case),
        ("policies", ", ".join(f"{n}: {named(p)}" for n, p in scenario.policies.items())),
        ("disturbances", "; ".join(_disturbances(case)) or "none"),
        ("variants", ", ".join(scenario.variants) or "none"),
        ("seed", str(scenario.seed)),
    ]
    text = " ".join(scenario.description.split())
    head = f"{scenario.name}: {text}" if text else scenario.name
    return head + "\n" + columns(rows, indent=2)


#: how `losses` is told where somebody is billed for them
_LOSSES = {
    "equal": "billed to all alike",
    "marginal": "billed to each by what their injection adds",
}


def _said(scenario: Scenario) -> Iterator[tuple[str, str]]:
    """Yield what a scenario says of things that most leave as they are."""
    if scenario.losses in _LOSSES:
        yield "losses", _LOSSES[scenario.losses]
    if scenario.curtailment_compensation:
        yield "curtailment", f"paid {scenario.curtailment_compensation:.4g} of the feed-in price"
    forecast = named(scenario.forecast)
    if forecast != Scenario.model_fields["forecast"].default:
        yield "forecast", forecast
    if scenario.latency.max_s:
        yield "latency", f"orders travel {scenario.latency.min_s} to {scenario.latency.max_s} s"
    guard, kept = scenario.guard, "each device by itself, no projection onto the feeder's limits"
    if guard.network != "none":
        by = f"{guard.margin_pu:g} p.u. and {guard.margin_percent:g} %"
        kept = f"each device, and batteries keep the feeder's limits together, by {by}"
    yield "guard", kept


def _supervised(case: Case) -> Iterator[tuple[str, str]]:
    """Yield who is supervised and what follows on alarms, a line for each policy."""
    for seat in case.seats:
        how = seat.supervisor
        if how is None:
            continue
        text = f"{seat.name} ({len(seat.rows)} prosumers): {how.fallback} stands in"
        text += f", locked out after {how.lockout_alarms} alarms of a day"
        if how.prosumers is not None:
            text += f"; calibrated on {how.prosumers} prosumers"
        yield "supervised", text


def named(plugin: Plugin) -> str:
    """Return a plug-in's name with its options, those that say nothing left out."""
    options = plugin.model_dump(mode="json")
    own = [f"{key} {json.dumps(value)}" for key, value in options.items() if value or value == 0]
    return f"{plugin.kind()} ({', '.join(own)})" if own else plugin.kind()


def _time(case: Case) -> str:
    time, grid = case.scenario.time, case.grid
    days = "1 day" if time.days == 1 else f"{time.days} days"
    start = case.scenario.begin.strftime("%Y-%m-%d %H:%M")
    return (
        f"{start} {time.zone}, {days}: {grid.intervals} intervals of {time.interval_minutes} min, "
        f"gates open {time.gate_lead_seconds} s ahead"
    )


def _feeder(case: Case) -> str:
    network, section = case.network, case.scenario.feeder
    parts = (("buses", network.buses), ("lines", network.lines), ("transformers", network.trafos))
    sizes = ", ".join(f"{len(names)} {what}" for what, names in parts)
    return f"{section.source} {section.name}: {sizes}, engine {case.feeder.engine}"


def _participants(case: Case) -> str:
    population = case.population
    pv, battery = population.pv_kwp > 0.0, population.capacity_kwh > 0.0
    return (
        f"{len(population)} on {len(np.unique(population.bus))} buses, "
        f"{pv.sum()} with PV ({population.pv_kwp.sum():.0f} kW), "
        f"{battery.sum()} with a battery ({population.capacity_kwh.sum():.0f} kWh)"
    )


def _groups(case: Case) -> str:
    count = Counter(case.population.groups)
    return ", ".join(
        f"{name} {count[name]} ({group.policy})" for name, group in case.scenario.groups.items()
    )


def _prices(case: Case) -> str:
    """Return what participants are asked and paid, charges that are nought left out."""
    tariffs = case.tariffs
    charges = (("network", tariffs.network_eur_per_kwh), ("taxes", tariffs.taxes_eur_per_kwh))
    shares = (tariffs.network_local_share, tariffs.taxes_local_share)
    parts = [
        f"retail {_span(tariffs.retail_eur_per_kwh)}",
        f"feed-in {_span(tariffs.feed_in_eur_per_kwh)}",
    ]
    for (name, charge), share in zip(charges, shares, strict=True):
        if charge.any():
            local = "" if (share == 1.0).all() else f" (of neighbours' energy {_span(share)} of it)"
            parts.append(f"{name} {_span(charge)}{local}")
    text = ", ".join(parts) + " EUR/kWh"
    demand = tariffs.demand_eur_per_kw_month
    return f"{text}, demand {_span(demand)} EUR/kW a month" if demand.any() else text


def _imbalance(case: Case) -> str:
    prices = case.tariffs.imbalance
    markup = f" {{}} {prices.markup_eur_per_kwh:g}" if prices.markup_eur_per_kwh else ""
    short, long = prices.short_eur_per_kwh, prices.long_eur_per_kwh
    costs = f"retail{markup.format('+')}" if short is None else _span(short)
    earns = f"feed-in{markup.format('-')}" if long is None else _span(long)
    return f"short {costs}, long {earns} EUR/kWh"


def _co2(case: Case) -> str:
    return f"{_span(case.profiles.co2_kg_per_kwh)} kg/kWh"


def _span(values: np.ndarray) -> str:
    """Return the range of values, one number where they are all the same."""
    low, high = float(values.min()), float(values.max())
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"


def _disturbances(case: Case) -> list[str]:
    return [named(disturbance) for disturbance in case.scenario.disturbances]
