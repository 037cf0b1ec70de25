"""The glossary: every column of every output and every KPI, with unit, sign and meaning.

Signs everywhere: net import ``load - pv + charge - discharge`` > 0 needs energy, orders and fills
> 0 buy, payments > 0 are paid by the prosumer, injections > 0 flow into the network.
A column that means something else in one table is listed as ``table.column``.
"""

from __future__ import annotations

from dataclasses import dataclass

from cosim import observe

_INF = float("inf")


@dataclass(frozen=True)
class Quantity(observe.Quantity):
    """A named quantity: unit, plausible range, meaning, and what its sign says (or empty)."""

    sign: str = ""


def _of(
    name: str, unit: str, meaning: str, sign: str = "", low: float = -_INF, high: float = _INF
) -> Quantity:
    return Quantity(name, unit, low, high, meaning, sign)


def _table(*quantities: Quantity) -> dict[str, Quantity]:
    found = {quantity.name: quantity for quantity in quantities}
    assert len(found) == len(quantities), "a quantity is listed twice"
    return found


_BUYS = "> 0 buys, < 0 sells"
_PAYS = "> 0 paid by the prosumer, < 0 earned"
_DRAWS = "> 0 drawn from the network, < 0 fed in"
_INJECTS = "> 0 into the network"
_UPSTREAM = "> 0 from upstream, < 0 into it"

#: columns of the tables, of evaluation_results.csv, elements.csv and violations.csv
COLUMNS = _table(
    # time and names
    _of("time", "UTC", "begin of the interval, or of the load flow"),
    _of("interval", "-", "number of the market interval, from 0", low=0),
    _of("start_s", "s", "begin of the load flow, seconds since the begin of the run", low=0),
    _of("end_s", "s", "end of the load flow, seconds since the begin of the run", low=0),
    _of("prosumer", "-", "name of the prosumer"),
    _of("bus", "-", "name of the bus"),
    _of("element", "-", "name of the bus, line, transformer or prosumer"),
    _of("kind", "-", "what the element is"),
    # prosumers
    _of("setpoint_kw", "kW", "battery set-point after the guard", "> 0 charges"),
    _of("load_kwh", "kWh", "load served", low=0),
    _of("pv_kwh", "kWh", "PV energy fed in or used", low=0),
    _of("charge_kwh", "kWh", "energy into batteries, at their terminals", low=0),
    _of("discharge_kwh", "kWh", "energy out of batteries, at their terminals", low=0),
    _of("net_kwh", "kWh", "metered net import: load - pv + charge - discharge", _DRAWS),
    _of("unserved_kwh", "kWh", "load that was not served for want of supply", low=0),
    _of("dead_share", "-", "share of the interval without supply", low=0, high=1),
    _of("energy_kwh", "kWh", "energy stored in the battery at the end of the interval", low=0),
    _of("forecast_load_kw", "kW", "load expected at DECIDE", low=0),
    _of("forecast_pv_kw", "kW", "PV expected at DECIDE", low=0),
    _of("retail_eur_per_kwh", "EUR/kWh", "supplier's price of drawn energy in force"),
    _of("feed_in_eur_per_kwh", "EUR/kWh", "supplier's price of fed-in energy in force"),
    _of("traded_kwh", "kWh", "energy traded in the local market", _BUYS),
    _of("closeout_kwh", "kWh", "traded energy of seconds without supply, and sold energy that was "
        "curtailed, handed back", _BUYS),
    _of("supply_kwh", "kWh", "the meter's rest, settled with the supplier at the tariff", _DRAWS),
    _of("imbalance_kwh", "kWh", "traded energy that the meter does not back, settled with the "
        "supplier at the imbalance prices", "> 0 sold and not fed in, < 0 bought and not drawn"),
    _of("prosumers.losses_kwh", "kWh", "own share of the feeder's losses; 0: not billed"),
    _of("network_kwh", "kWh", "energy that network charges are due on", low=0),
    _of("taxes_kwh", "kWh", "energy that taxes and levies are due on", low=0),
    _of("curtailed_kwh", "kWh", "PV energy held back by a limit of the network operator", low=0),
    _of("trade_eur", "EUR", "payment for traded energy", _PAYS),
    _of("closeout_eur", "EUR", "payment for closed-out energy", _PAYS),
    _of("supply_eur", "EUR", "payment for supply at the tariff", _PAYS),
    _of("imbalance_eur", "EUR", "payment for imbalance energy", _PAYS),
    _of("losses_eur", "EUR", "payment for the own share of the feeder's losses", _PAYS),
    _of("network_eur", "EUR", "network charge per kWh", _PAYS),
    _of("demand_eur", "EUR", "network charge per kW: where the interval raises the month's highest "
        "mean power drawn", low=0),
    _of("compensation_eur", "EUR", "paid for curtailed energy", _PAYS),
    _of("taxes_eur", "EUR", "taxes and levies", _PAYS),
    _of("bill_eur", "EUR", "bill: the sum of its lines", _PAYS),
    _of("baseline_eur", "EUR", "bill of the same metered energy without any trading", _PAYS),
    _of("wear_eur", "EUR", "battery wear borne by its owner; not part of the bill", low=0),
    _of("co2_kg", "kg", "CO2 of upstream energy, carried by those who drew from the supplier"),
    # orders, trades, market
    _of("quantity_kwh", "kWh", "ordered energy", _BUYS),
    _of("price_eur_per_kwh", "EUR/kWh", "clearing price: mean of buy and sell price; empty: none"),
    _of("orders.price_eur_per_kwh", "EUR/kWh", "limit price of the order"),
    _of("trades.price_eur_per_kwh", "EUR/kWh", "price of the traded energy"),
    _of("ledger.price_eur_per_kwh", "EUR/kWh", "price of the posting; empty without energy"),
    _of("arrival_s", "s", "arrival at the market, seconds since the begin; empty when lost"),
    _of("round", "-", "round of trading for the interval, from 0", low=0),
    _of("arrived", "-", "the order was in the book when it closed"),
    _of("fill_kwh", "kWh", "energy traded on the order", _BUYS),
    _of("payment_eur", "EUR", "payment for the fill", _PAYS),
    _of("trades.energy_kwh", "kWh", "energy traded", _BUYS),
    _of("trades.amount_eur", "EUR", "payment for the trade", _PAYS),
    _of("offered_kwh", "kWh", "energy offered by orders in the book", low=0),
    _of("requested_kwh", "kWh", "energy requested by orders in the book", low=0),
    _of("volume_kwh", "kWh", "energy that changed hands in the local market", low=0),
    _of("buy_price_eur_per_kwh", "EUR/kWh", "mean price paid by buyers; empty: no trade"),
    _of("sell_price_eur_per_kwh", "EUR/kWh", "mean price earned by sellers; empty: no trade"),
    _of("orders_sent", "-", "orders with a quantity that left a prosumer", low=0),
    _of("orders_late_or_lost", "-", "orders sent that were not in the book at its close", low=0),
    _of("welfare_eur", "EUR", "gains from trade: fills valued at tariff-clipped limit prices; "
        "at the tariff where metered energy is cleared"),
    _of("welfare_loss_eur", "EUR", "largest welfare of the book (linear programme) - welfare"),
    _of("fallback", "-", "another form stood in for the mechanism's own"),
    _of("fallback_clearings", "-", "books of the interval cleared by a form that stood in", low=0),
    _of("co2_kg_per_kwh", "kg/kWh", "carbon intensity of upstream energy", low=0),
    # load flows
    _of("p_kw", "kW", "active power injected at the bus", _INJECTS),
    _of("q_kvar", "kvar", "reactive power injected at the bus", _INJECTS),
    _of("vm_pu", "p.u.", "voltage magnitude; empty when dead or unsolved", low=0),
    _of("p_from_kw", "kW", "active power entering at the from or high-voltage end"),
    _of("loading_percent", "%", "current by rated current, larger of both ends", low=0),
    _of("status", "-", "how the load flow ended: ok, degraded or collapse (the worst of several)"),
    _of("iterations", "-", "iterations of the load flow", low=0),
    _of("residual_pu", "p.u.", "the engine's own error estimate", low=0),
    _of("slack_p_kw", "kW", "active power from upstream, mean of the interval", _UPSTREAM),
    _of("solves.slack_p_kw", "kW", "active power from upstream", _UPSTREAM),
    _of("slack_q_kvar", "kvar", "reactive power from upstream", _UPSTREAM),
    _of("losses_kw", "kW", "losses of branches and shunts"),
    _of("supply", "-", "the upstream supply was on"),
    _of("open_lines", "-", "open lines, a JSON list of names"),
    _of("open_trafos", "-", "open transformers, a JSON list of names"),
    # ledger
    _of("line", "-", "line of the bill: trade, closeout, supply, imbalance, losses, network, "
        "demand, compensation or taxes; the energies of the first four sum to the meter; and "
        "surplus, what the pool hands to the market's operator"),
    _of("debit", "-", "account that pays: a prosumer, 'market' (pool of all trades), 'operator', "
        "'supplier', 'network' or 'state'"),
    _of("credit", "-", "account that receives"),
    _of("ledger.energy_kwh", "kWh", "energy behind the posting", "> 0 to the prosumer"),
    _of("amount_eur", "EUR", "money that moves from debit to credit", low=0),
    # interventions
    _of("requested_kw", "kW", "battery power the policy asked for, also where a stand-in decided",
        "> 0 charges"),
    _of("stand_in_kw", "kW", "battery power that the stand-in of a supervised policy asked for; "
        "empty: the policy decided", "> 0 charges"),
    _of("overruled_kw", "kW", "what the guard gave to the stand-in less what it would have given "
        "to the policy; empty: the policy decided", "> 0 charges more"),
    _of("guarded_kw", "kW", "battery set-point after the guard", "> 0 charges"),
    _of("executed_kw", "kW", "mean battery power that flowed", "> 0 charges"),
    _of("interventions.requested_kwh", "kWh", "order asked for; empty: not the policy's", _BUYS),
    _of("guarded_kwh", "kWh", "order after the guard", _BUYS),
    _of("requested_eur_per_kwh", "EUR/kWh", "limit price asked for; empty: not the policy's"),
    _of("guarded_eur_per_kwh", "EUR/kWh", "limit price after the guard"),
    _of("faults", "-", "what was wrong with what the policy asked for: flags joined by |; empty: "
        "nothing"),
    _of("reason", "-", "why executed differs from requested: flags joined by |"),
    # evaluation_results.csv: community figures of one interval
    _of("evaluation.retail_eur_per_kwh", "EUR/kWh", "retail price, mean of the prosumers"),
    _of("evaluation.feed_in_eur_per_kwh", "EUR/kWh", "feed-in price, mean of the prosumers"),
    _of("bid_limit_eur_per_kwh", "EUR/kWh", "what a kWh of a neighbour is worth at most: retail "
        "price and charges it spares, mean of the prosumers"),
    _of("possible_kwh", "kWh", "peer-to-peer energy physically possible: the smaller of metered "
        "surplus and deficit", low=0),
    _of("possible_eur", "EUR", "largest savings possible: metered surplus and deficit matched, "
        "each at their tariff", low=0),
    _of("evaluation.net_kwh", "kWh", "metered net import of all prosumers together", _DRAWS),
    _of("evaluation.dead_share", "-", "share of prosumer time without supply", low=0, high=1),
    _of("evaluation.imbalance_kwh", "kWh", "traded energy that meters did not back, bought and "
        "sold", low=0),
    _of("imbalance_gain_eur", "EUR", "what prosumers gained by trading energy that they did not "
        "deliver or take: its price in the market against the imbalance price"),
    _of("slack_import_kwh", "kWh", "energy from upstream", low=0),
    _of("slack_export_kwh", "kWh", "energy into the upstream grid", low=0),
    _of("losses_kwh", "kWh", "losses of the feeder"),
    _of("vm_min_pu", "p.u.", "lowest bus voltage, slack bus left out", low=0),
    _of("vm_p05_pu", "p.u.", "5 % quantile of the bus voltages, lowest load flow", low=0),
    _of("vm_p50_pu", "p.u.", "median bus voltage, mean over the time with voltage", low=0),
    _of("vm_p95_pu", "p.u.", "95 % quantile of the bus voltages, highest load flow", low=0),
    _of("vm_max_pu", "p.u.", "highest bus voltage, slack bus left out", low=0),
    _of("line_max_percent", "%", "highest line loading", low=0),
    _of("trafo_max_percent", "%", "highest transformer loading", low=0),
    _of("soc_mean", "-", "stored energy by capacity, all batteries together", low=0, high=1),
    _of("request_not_finite", "-", "requests that were not a number"),
    _of("request_over_rating", "-", "requests above the battery's power rating", low=0),
    _of("request_over_energy", "-", "requests the battery's energy could not sustain", low=0),
    _of("request_over_position", "-", "orders beyond the forecast surplus or deficit", low=0),
    _of("request_over_ramp", "-", "requests too far from the battery's power before", low=0),
    _of("request_over_inverter", "-", "requests without room beside PV in a shared inverter",
        low=0),
    _of("request_off_tariff", "-", "limit prices outside feed-in to retail", low=0),
    _of("interventions", "-", "prosumers whose request, or their stand-in's, the guard changed",
        low=0),
    _of("intervention_kwh", "kWh", "battery energy the guard changed: |guarded - asked|", low=0),
    _of("fallback_intervals", "-", "prosumers for whom a stand-in decided", low=0),
    _of("fallback_impossible", "-", "prosumers for whom it did so because what their policy saw "
        "cannot be", low=0),
    _of("fallback_locked_out", "-", "prosumers for whom it did so because their policy was locked "
        "out until the day ends", low=0),
    _of("fallback_kwh", "kWh", "battery energy the supervisor changed: what the guard gave to "
        "stand-ins against what it would have given to the policies", low=0),
    _of("delivery_deviations", "-", "prosumers whose battery ran otherwise than guarded", low=0),
    _of("delivery_deviation_kwh", "kWh", "battery energy that deviated at delivery", low=0),
    _of("device_breaches", "-", "prosumers whose recorded energies break a device limit", low=0),
    # violations.csv and elements.csv
    _of("start", "UTC", "begin of the episode"),
    _of("end", "UTC", "end of the episode"),
    _of("violations.kind", "-", "undervoltage, overvoltage, line_loading, trafo_loading or "
        "no_supply"),
    _of("limit", "see unit", "the limit that was broken; empty for no_supply"),
    _of("worst", "see unit", "the worst value of the episode"),
    _of("unit", "-", "unit of limit and worst"),
    _of("worst_time", "UTC", "begin of the load flow with the worst value"),
    _of("duration_s", "s", "length of the episode", low=0),
    _of("violations.energy_kwh", "kWh", "energy above the loading limit, or not served; empty for "
        "voltages", low=0),
    _of("x", "-", "coordinate of the bus, as the network gives it"),
    _of("y", "-", "coordinate of the bus, as the network gives it"),
    _of("from_bus", "-", "from or high-voltage bus of the branch"),
    _of("to_bus", "-", "to or low-voltage bus of the branch"),
    _of("vm_min_time", "UTC", "begin of the load flow with the lowest voltage"),
    _of("vm_max_time", "UTC", "begin of the load flow with the highest voltage"),
    _of("loading_max_percent", "%", "highest loading of the branch", low=0),
    _of("loading_max_time", "UTC", "begin of the load flow with the highest loading"),
)  # fmt: skip

#: key figures of a run; functions in :mod:`cosim.metrics`
KPIS = _table(
    # money
    _of("bill_eur", "EUR", "bill of the community with local trading", _PAYS),
    _of("baseline_bill_eur", "EUR", "bill of the same metered energy without trading", _PAYS),
    _of("savings_eur", "EUR", "baseline bill - bill", "> 0 saved"),
    _of("savings_percent", "%", "savings by the absolute baseline bill", "> 0 saved"),
    _of("lowest_saving_eur", "EUR", "saving of the prosumer who saved least", "< 0 lost"),
    _of("highest_saving_eur", "EUR", "saving of the prosumer who saved most", "> 0 saved"),
    _of("losing_prosumers", "-", "prosumers whose bill is higher than without trading", low=0),
    _of("wear_eur", "EUR", "battery wear, not part of the bill", low=0),
    _of("operator_surplus_eur", "EUR", "what the market operator keeps of the payments"),
    _of("network_eur", "EUR", "network charges per kWh, part of the bill"),
    _of("demand_eur", "EUR", "network charges per kW, part of the bill", low=0),
    _of("taxes_eur", "EUR", "taxes and levies, part of the bill"),
    _of("imbalance_eur", "EUR", "settlement of imbalance, part of the bill", _PAYS),
    _of("imbalance_gain_eur", "EUR", "what prosumers gained by trading energy that they did not "
        "deliver or take; > 0: it pays to order what one does not have", "> 0 gained"),
    _of("imbalance_kwh", "kWh", "traded energy that meters did not back, bought and sold", low=0),
    _of("curtailed_kwh", "kWh", "PV energy held back by the network operator", low=0),
    _of("gini_savings", "-", "Gini of the prosumers' savings, 0 equal to 1 one has all; "
        "normalised for losses (Raffinetti, Siletti, Vernizzi 2015)", low=0, high=1),
    _of("jain_savings", "-", "Jain index of the prosumers' savings, losses counted as 0; 1 equal, "
        "1/n one has all", low=0, high=1),
    _of("value_tapping_index", "-", "savings by the largest savings possible with the metered "
        "energies (after Zhou, Wu, Long 2018)", high=1),
    _of("participation_willingness_index", "-", "share of the prosumers who saved (Zhou, Wu, Long "
        "2018)", low=0, high=1),
    _of("equality_index", "-", "1 - Gini of the incomes: negative bills, raised so that none is "
        "below 0 (after Zhou, Wu, Long 2018)", low=0, high=1),
    # market
    _of("traded_kwh", "kWh", "energy traded in the local market", low=0),
    _of("traded_share_percent", "%", "share of the peer-to-peer energy physically possible with "
        "the metered energies that was traded", low=0, high=100),
    _of("undeliverable_kwh", "kWh", "energy traded beyond that, because meters came out otherwise "
        "than forecast", low=0),
    _of("mean_price_eur_per_kwh", "EUR/kWh", "clearing price, mean weighted by volume"),
    _of("price_std_eur_per_kwh", "EUR/kWh", "standard deviation of the clearing price over the "
        "intervals with trade", low=0),
    _of("lowest_price_eur_per_kwh", "EUR/kWh", "lowest clearing price of an interval"),
    _of("highest_price_eur_per_kwh", "EUR/kWh", "highest clearing price of an interval"),
    _of("mean_retail_eur_per_kwh", "EUR/kWh", "retail price, mean of intervals and prosumers"),
    _of("mean_feed_in_eur_per_kwh", "EUR/kWh", "feed-in price, mean of intervals and prosumers"),
    _of("welfare_eur", "EUR", "gains from trade at tariff-clipped limit prices"),
    _of("welfare_loss_eur", "EUR", "gains the market left: welfare of the best clearing of each "
        "book (linear programme) - welfare", low=0),
    _of("hhi_sellers", "-", "Herfindahl-Hirschman index of the energy sold over the run; 10,000: "
        "one sells all", low=0, high=10_000),
    _of("hhi_buyers", "-", "Herfindahl-Hirschman index of the energy bought over the run; 10,000: "
        "one buys all", low=0, high=10_000),
    _of("orders_sent", "-", "orders sent", low=0),
    _of("orders_late_or_lost", "-", "orders sent that missed the book", low=0),
    _of("silent_intervals", "-", "intervals without trade although surplus and deficit met by the "
        "meters; without a market, all of these", low=0),
    _of("fallback_clearings", "-", "clearings in which another form stood in for the mechanism's",
        low=0),
    # energy
    _of("load_kwh", "kWh", "load served", low=0),
    _of("pv_kwh", "kWh", "PV energy", low=0),
    _of("import_kwh", "kWh", "energy from upstream, solved intervals only", low=0),
    _of("export_kwh", "kWh", "energy into the upstream grid, solved intervals only", low=0),
    _of("peak_import_kw", "kW", "highest power from upstream of any load flow", low=0),
    _of("peak_export_kw", "kW", "highest power into the upstream grid of any load flow", low=0),
    _of("daily_peak_import_kw", "kW", "highest mean power from upstream of an interval, mean over "
        "the days (24 h from the start)", low=0),
    _of("highest_ramp_kw", "kW", "largest change of the mean power from upstream between two "
        "intervals in a row", low=0),
    _of("load_factor", "-", "mean by highest power exchanged with upstream, in or out, means of "
        "intervals", low=0, high=1),
    _of("losses_kwh", "kWh", "losses of the feeder, solved intervals only"),
    _of("losses_percent", "%", "losses by all energy that entered the feeder, from upstream or "
        "from prosumers"),
    _of("self_consumption_percent", "%", "PV energy that stayed in the community, netted over "
        "prosumers in each interval", high=100),
    _of("self_sufficiency_percent", "%", "load that the community met itself, netted over "
        "prosumers in each interval, with what batteries held at the start", high=100),
    _of("energy_balance_index", "-", "1 - exchange of the community, in or out, by all its demand "
        "and supply with batteries (Zhou, Wu, Long 2018)", low=0, high=1),
    _of("co2_kg", "kg", "CO2 of upstream energy, solved intervals only"),
    _of("stored_change_kwh", "kWh", "stored energy at the end - at the start", "> 0 filled up"),
    # supply and grid
    _of("unserved_kwh", "kWh", "energy not served for want of supply", low=0),
    _of("outage_prosumer_hours", "h", "prosumer hours without supply", low=0),
    _of("unsolved_steps", "-", "load flows without a solution", low=0),
    _of("vm_min_pu", "p.u.", "lowest bus voltage, slack bus left out", low=0),
    _of("vm_max_pu", "p.u.", "highest bus voltage, slack bus left out", low=0),
    _of("undervoltage_bus_minutes", "min", "bus minutes below the voltage limit", low=0),
    _of("overvoltage_bus_minutes", "min", "bus minutes above the voltage limit", low=0),
    _of("line_max_percent", "%", "highest line loading", low=0),
    _of("line_over_minutes", "min", "line minutes above the loading limit", low=0),
    _of("trafo_max_percent", "%", "highest transformer loading", low=0),
    _of("trafo_over_minutes", "min", "transformer minutes above the loading limit", low=0),
    _of("violations", "-", "episodes in violations.csv: grid breaches and supply interruptions",
        low=0),
    # four ledgers of safety
    _of("request_breaches", "-", "safety 1, what policies asked: single faults of requests (not "
        "finite, over rating, energy, ramp, inverter or position, or off tariff), whatever "
        "supervisor, feeder and disturbances made of them", low=0),
    _of("interventions", "-", "safety 2, what the guard did: requests it changed, of policies or "
        "their stand-ins, one per prosumer and round of trading", low=0),
    _of("intervention_kwh", "kWh", "battery energy the guard changed; requests that are not "
        "numbers have none", low=0),
    _of("delivery_deviations", "-", "batteries that ran otherwise than guarded, for an outage or a "
        "change after the decision", low=0),
    _of("network_interventions", "-", "set-points that the guard moved for the feeder's limits, "
        "one per prosumer and interval; among the interventions", low=0),
    _of("network_kwh", "kWh", "battery energy it moved for that", low=0),
    _of("fallback_intervals", "-", "supervised policies for which a stand-in decided, one per "
        "prosumer and interval", low=0),
    _of("fallback_impossible", "-", "of these: what the policy saw cannot be", low=0),
    _of("fallback_locked_out", "-", "of these: the policy was locked out until the day ends; all "
        "others stood under an alarm", low=0),
    _of("fallback_kwh", "kWh", "battery energy the supervisor changed: what the guard gave to "
        "stand-ins against what it would have given to the policies", low=0),
    _of("device_breaches", "-", "safety 3, what devices did: recorded energies outside rating, "
        "stored energy bounds, losses or ramp of a battery, or a shared inverter", low=0),
    _of("grid_breaches", "-", "safety 4, what the grid saw: episodes of voltage or loading outside "
        "the limits", low=0),
)  # fmt: skip


def lookup(table: str, column: str) -> Quantity:
    """Return what a column of a table means; raise KeyError when the glossary lacks it."""
    own = COLUMNS.get(f"{table}.{column}")
    return own if own is not None else COLUMNS[column]
