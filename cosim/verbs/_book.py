"""A book of orders cleared by a mechanism, and what comes out of it.

Quantities > 0 buy and < 0 sell [kWh], prices are limits [EUR/kWh].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from cosim.errors import Problem
from cosim.markets.base import (
    Market,
    MarketContext,
    Orders,
    average_prices,
    welfare_eur,
)
from cosim.seeds import uniforms
from cosim.verbs._common import columns
from cosim.verbs._orders_file import ENDLESS, IMPLAUSIBLE, PLAUSIBLE_EUR_PER_KWH, Row, Tariff

#: payments that sum up to less than this share of them are balanced
_DUST = 1e-12


# ---------------------------------------------------------------- market and tariff


def chosen_market(name: str, options: Sequence[str], problems: list[Problem]) -> Market | None:
    """Return the mechanism with its options, or None with the reasons in ``problems``."""
    from cosim.verbs._options import plugin_with_options

    market = plugin_with_options("market", name, options, problems)
    assert market is None or isinstance(market, Market)
    return market


def check_tariff(tariff: Tariff, problems: list[Problem]) -> None:
    """Append what is wrong with the two tariff prices."""
    known = len(problems)
    for option, value in (("--feed-in", tariff.feed_in), ("--retail", tariff.retail)):
        if not math.isfinite(value):
            problems.append(Problem(f"{value} is not a price", option, remedy="in EUR/kWh"))
        elif abs(value) > PLAUSIBLE_EUR_PER_KWH:
            what = f"{value:g} EUR/kWh is not plausible (-5 to 5)"
            problems.append(Problem(what, option, remedy=IMPLAUSIBLE))
    if len(problems) == known and tariff.feed_in > tariff.retail:
        what = f"feed-in {tariff.feed_in:g} above retail {tariff.retail:g} EUR/kWh"
        problems.append(Problem(what, "--feed-in", ENDLESS, "give a feed-in price up to retail"))


def doubts(rows: Sequence[Row], tariff: Tariff) -> list[str]:
    """Return what is allowed but looks like a wrong unit."""
    prices = [row.price_eur_per_kwh for row in rows if row.price_eur_per_kwh is not None]
    found = []
    if any(abs(price) > PLAUSIBLE_EUR_PER_KWH for price in prices):
        found.append("limit prices beyond 5 EUR/kWh: are they in ct/kWh or EUR/MWh?")
    lowest = min([tariff.retail, *(row.tariff.retail for row in rows)], key=_cents)
    if 0.0 < lowest < 0.01:
        found.append(f"retail {lowest:g} EUR/kWh is below one cent: is it in EUR/Wh or EUR/100?")
    return found


def _cents(price: float) -> float:
    return price if price > 0.0 else math.inf


# ---------------------------------------------------------------- clearing


def cleared(market: Market, rows: Sequence[Row], seed: int = 0) -> dict[str, Any]:
    """Return the outcome with the names of the JSON output.

    Where it matters who comes first, a prosumer's orders of one second arrive as they stand in the
    file, and prosumers of one second are ranked by a draw. Elsewhere rows are cleared in the order
    of (prosumer, price, quantity), so that sums do not depend on the file's order.
    """
    order, orders, context = _book(market, rows, seed)
    clearing = market.clear(orders, context)
    average_buy, average_sell = average_prices(orders, clearing, context)
    fills, payments = np.zeros(len(rows)), np.zeros(len(rows))
    fills[order], payments[order] = clearing.fills_kwh, clearing.payment_eur
    return {
        "volume_kwh": float(clearing.volume_kwh),
        "buy_price_eur_per_kwh": _or_none(clearing.buy_price_eur_per_kwh),
        "sell_price_eur_per_kwh": _or_none(clearing.sell_price_eur_per_kwh),
        "average_buy_price_eur_per_kwh": _or_none(average_buy),
        "average_sell_price_eur_per_kwh": _or_none(average_sell),
        "fills_kwh": [float(fill) + 0.0 for fill in fills],
        "payments_eur": [float(payment) + 0.0 for payment in payments],
        "welfare_eur": float(welfare_eur(orders, clearing, context)),
        "operator_surplus_eur": _surplus(clearing.payment_eur),
    }


def _book(
    market: Market, rows: Sequence[Row], seed: int
) -> tuple[list[int], Orders, MarketContext]:
    """Return the rows as the market takes them, and the place of each in the file."""
    names = sorted({row.prosumer for row in rows})
    rank = {"": -1} | {name: position for position, name in enumerate(names)}
    energy = [_energy(market, row) for row in rows]
    limit = [_limit(row, kwh) for row, kwh in zip(rows, energy, strict=True)]
    arrival = [i if row.arrival_s is None else row.arrival_s for i, row in enumerate(rows)]

    def place(i: int) -> tuple[float, ...]:
        if market.arrival_order:
            return rank[rows[i].prosumer], i
        row = rows[i]
        return rank[row.prosumer], limit[i], energy[i], *row.tariff, rank[row.partner]

    order = sorted(range(len(rows)), key=place)
    owner = np.array([rank[rows[i].prosumer] for i in order], dtype=np.intp)
    draw = uniforms(seed, names if market.arrival_order else (), "rank", 0, (1,))[0]
    orders = Orders(
        owner,
        np.array([energy[i] for i in order], dtype=float),
        np.array([limit[i] for i in order], dtype=float),
        np.array([arrival[i] for i in order], dtype=float),
        draw[owner] if market.arrival_order else None,  # type: ignore[arg-type]
        np.array([rank[rows[i].partner] for i in order], dtype=np.intp),
    )
    context = MarketContext(
        np.array([rows[i].tariff.retail for i in order], dtype=float),
        np.array([rows[i].tariff.feed_in for i in order], dtype=float),
    )
    return order, orders, context


def _energy(market: Market, row: Row) -> float:
    """Return the energy that is cleared: metered where the mechanism settles on the meter."""
    if market.on_metered and row.metered_kwh is not None:
        return row.metered_kwh
    return row.quantity_kwh


def _limit(row: Row, energy_kwh: float) -> float:
    """Return the limit price; the tariff where none is given, or for the other side."""
    if row.price_eur_per_kwh is None or row.quantity_kwh * energy_kwh < 0.0:
        return row.tariff.retail if energy_kwh > 0.0 else row.tariff.feed_in
    return row.price_eur_per_kwh


def _surplus(payment: np.ndarray) -> float:
    """Return what stays with the operator, rounding left out."""
    kept = math.fsum(payment)
    return kept if abs(kept) > _DUST * math.fsum(np.abs(payment)) else 0.0


def _or_none(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None


# ---------------------------------------------------------------- the table


def shown(market: Market, rows: Sequence[Row], outcome: dict[str, Any]) -> str:
    """Return the outcome as a table of what was cleared and a line for each figure."""
    energy = "metered [kWh]" if market.on_metered else "quantity [kWh]"
    head = ("prosumer", energy, "limit [EUR/kWh]", "filled [kWh]", "pays [EUR]")
    table = [head] + [
        (
            row.prosumer,
            f"{_energy(market, row):g}",
            "-" if row.price_eur_per_kwh is None else f"{row.price_eur_per_kwh:g}",
            f"{fill:g}",
            f"{payment:.6g}",
        )
        for row, fill, payment in zip(
            rows, outcome["fills_kwh"], outcome["payments_eur"], strict=True
        )
    ]
    figures = [
        ("volume", outcome["volume_kwh"], "kWh"),
        ("price paid by buyers", outcome["buy_price_eur_per_kwh"], "EUR/kWh"),
        ("price paid to sellers", outcome["sell_price_eur_per_kwh"], "EUR/kWh"),
        ("average of buyers, grid included", outcome["average_buy_price_eur_per_kwh"], "EUR/kWh"),
        ("average of sellers, grid included", outcome["average_sell_price_eur_per_kwh"], "EUR/kWh"),
        ("welfare", outcome["welfare_eur"], "EUR"),
        ("kept by the operator", outcome["operator_surplus_eur"], "EUR"),
    ]
    lines = [
        (name, "-" if value is None else f"{value + 0.0:.6g} {unit}")
        for name, value, unit in figures
    ]
    return columns(table) + "\n\n" + columns(lines)
