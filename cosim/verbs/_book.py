"""An order book from a CSV file, and its clearing: every mistake at once, by row and column.

Quantities > 0 buy and < 0 sell [kWh], prices are limits [EUR/kWh].
"""

from __future__ import annotations

import csv
import io
import math
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cosim.errors import InputError, Problem, did_you_mean
from cosim.markets.base import (
    Market,
    MarketContext,
    Orders,
    average_prices,
    welfare_eur,
)
from cosim.verbs._common import columns

PROSUMER, QUANTITY, PRICE = "prosumer", "quantity_kwh", "price_eur_per_kwh"
COLUMNS = (PROSUMER, QUANTITY, PRICE)
LARGEST_FILE_BYTES = 64 * 2**20
MAX_PROBLEMS = 100
PLAUSIBLE_EUR_PER_KWH = 5.0
#: what an order may say; far beyond any book, and far from where sums overflow
LARGEST = {QUANTITY: 1e9, PRICE: 1e6}
UNITS = {QUANTITY: "kWh", PRICE: "EUR/kWh"}
_NUMBER = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")


@dataclass(frozen=True)
class Row:
    """One order; a price that is not given is None."""

    prosumer: str
    quantity_kwh: float
    price_eur_per_kwh: float | None


# ---------------------------------------------------------------- market and tariff


def chosen_market(name: str, options: Sequence[str], problems: list[Problem]) -> Market | None:
    """Return the mechanism with its options, or None with the reasons in ``problems``."""
    from cosim.verbs._options import plugin_with_options

    market = plugin_with_options("market", name, options, problems)
    assert market is None or isinstance(market, Market)
    return market


def check_tariff(feed_in: float, retail: float, problems: list[Problem]) -> None:
    """Append what is wrong with the two tariff prices."""
    known = len(problems)
    for option, value in (("--feed-in", feed_in), ("--retail", retail)):
        if not math.isfinite(value):
            problems.append(Problem(f"{value} is not a price", option, remedy="in EUR/kWh"))
        elif abs(value) > PLAUSIBLE_EUR_PER_KWH:
            what = f"{value:g} EUR/kWh is not plausible (-5 to 5)"
            remedy = "prices are in EUR/kWh: 140 EUR/MWh is 0.14, 14 ct/kWh is 0.14"
            problems.append(Problem(what, option, remedy=remedy))
    if len(problems) == known and feed_in > retail:
        what = f"feed-in {feed_in:g} above retail {retail:g} EUR/kWh"
        why = "whoever fed in what was just drawn would earn without end"
        problems.append(Problem(what, "--feed-in", why, "give a feed-in price up to retail"))


# ---------------------------------------------------------------- reading


def read_orders(path: str, market: Market | None, problems: list[Problem]) -> list[Row]:
    """Return the rows of the file in its order; append every mistake to ``problems``."""
    file = "standard input" if path == "-" else path
    try:
        text = _text(path, file)
        header, lines = _split(text, file)
    except InputError as error:
        problems.extend(error.problems)
        return []
    priced = market is None or market.limit_prices
    found = _header_problems(header, file, priced)
    if found:
        problems.extend(found)
        return []
    rows = []
    for number, cells in lines:
        row = _row(cells, header, f"{file}:{number}", priced, found)
        rows += [row] if row else []
    if len(found) > MAX_PROBLEMS:
        found = [*found[:MAX_PROBLEMS], Problem(f"{len(found) - MAX_PROBLEMS} more problems", file)]
    problems.extend(found)
    return rows


def _text(path: str, file: str) -> str:
    content = _content(path, file)
    if len(content) > LARGEST_FILE_BYTES:
        raise InputError(Problem(f"the file is larger than {LARGEST_FILE_BYTES} bytes", file))
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError(Problem("the file is UTF-16 text", file, remedy="save it as UTF-8"))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        what = "this is not UTF-8 text"
        raise InputError(Problem(what, f"{file}:{line}", remedy="save it as UTF-8")) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InputError(Problem("the file contains a NUL character", f"{file}:{line}"))
    return text


def _content(path: str, file: str) -> bytes:
    if path == "-":
        return sys.stdin.buffer.read(LARGEST_FILE_BYTES + 1)
    place = Path(path)
    try:
        if place.is_dir():
            raise InputError(Problem("this is a folder, not a file", file))
        with place.open("rb") as stream:
            return stream.read(LARGEST_FILE_BYTES + 1)
    except FileNotFoundError:
        near = [p.name for p in place.parent.glob("*.csv")] if place.parent.is_dir() else []
        remedy = did_you_mean(place.name, near)
        raise InputError(Problem("the file does not exist", file, remedy=remedy)) from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise InputError(Problem("the file cannot be read", repr(file)[:200], why)) from None


def _split(text: str, file: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header and the non-empty rows with their line numbers."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows = list(_rows(reader, file))
    if not rows:
        remedy = "write a header line: " + ",".join(COLUMNS)
        raise InputError(Problem("the file is empty", file, remedy=remedy))
    return [cell.strip() for cell in rows[0][1]], rows[1:]


def _rows(reader: Any, file: str) -> Iterator[tuple[int, list[str]]]:
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, cells
    except csv.Error as error:
        where = f"{file}:{reader.line_num}"
        raise InputError(Problem(f"this is not CSV: {error}", where)) from None


def _header_problems(header: list[str], file: str, priced: bool) -> list[Problem]:
    where = f"{file}:1"
    if len(header) == 1 and re.search("[;\t|]", header[0]):
        remedy = "separate the columns with commas, and write decimals with a point"
        return [Problem("the file is not separated by commas", where, remedy=remedy)]
    found = []
    for name in dict.fromkeys(header):
        if header.count(name) > 1:
            what = f"the column '{name}' stands {header.count(name)} times in the header"
            found.append(Problem(what, where, remedy="keep one of them"))
        if name not in COLUMNS:
            left = [column for column in COLUMNS if column not in header]
            remedy = did_you_mean(name, left or COLUMNS)
            found.append(Problem(f"unknown column {name!r}", where, remedy=remedy))
    wanted = COLUMNS if priced else COLUMNS[:2]
    found += [
        Problem(f"missing column '{name}'", where, remedy="the columns are " + ",".join(COLUMNS))
        for name in wanted
        if name not in header
    ]
    return found


def _row(
    cells: list[str], header: list[str], where: str, priced: bool, found: list[Problem]
) -> Row | None:
    """Return one order, or None with the reasons appended to ``found``."""
    if len(cells) != len(header):
        what = f"{len(cells)} cells where the header has {len(header)} columns"
        remedy = "write decimals with a point, and quote a text that holds a comma"
        found.append(Problem(what, where, remedy=remedy))
        return None
    known, values = len(found), dict(zip(header, (cell.strip() for cell in cells), strict=True))
    name = values[PROSUMER]
    if not name or not name.isprintable():
        what = "a name with invisible characters" if name else "no name"
        found.append(Problem(what, f"{where}, column '{PROSUMER}'", remedy="name the prosumer"))
    quantity = _number(values, QUANTITY, where, True, found)
    price = _number(values, PRICE, where, priced, found)
    return Row(name, quantity or 0.0, price) if len(found) == known else None


def _number(
    values: Mapping[str, str], column: str, where: str, needed: bool, found: list[Problem]
) -> float | None:
    text, where = values.get(column, ""), f"{where}, column '{column}'"
    if not text:
        if needed:
            found.append(Problem("the cell is empty", where, remedy="write a number"))
        return None
    value = float(text) if len(text) <= 100 and _NUMBER.fullmatch(text) else math.nan
    if math.isfinite(value):
        if abs(value) <= LARGEST[column]:
            return value
        what = f"{text[:60]!r} is beyond {LARGEST[column]:g} {UNITS[column]}"
        found.append(Problem(what, where, remedy="check the unit"))
        return None
    comma = re.fullmatch(r"[-+]?[0-9]+,[0-9]+", text)
    remedy = "write decimals with a point" if comma else "write a finite number such as 0.14"
    found.append(Problem(f"{text[:60]!r} is not a finite number", where, remedy=remedy))
    return None


# ---------------------------------------------------------------- clearing


def doubts(rows: Sequence[Row], feed_in: float, retail: float) -> list[str]:
    """Return what is allowed but looks like a wrong unit."""
    prices = [row.price_eur_per_kwh for row in rows if row.price_eur_per_kwh is not None]
    found = []
    if any(abs(price) > PLAUSIBLE_EUR_PER_KWH for price in prices):
        found.append("limit prices beyond 5 EUR/kWh: are they in ct/kWh or EUR/MWh?")
    if 0.0 < retail < 0.01:
        found.append(f"retail {retail:g} EUR/kWh is below one cent: is it in EUR/Wh or EUR/100?")
    return found


def cleared(market: Market, rows: Sequence[Row], feed_in: float, retail: float) -> dict[str, Any]:
    """Return the outcome with the names of the JSON output.

    Rows are cleared in the order of (prosumer, price, quantity), so that sums do not depend on
    the file's order.
    """
    names = sorted({row.prosumer for row in rows})
    rank = {name: position for position, name in enumerate(names)}
    limits = [_limit(row, feed_in, retail) for row in rows]
    quantities = [row.quantity_kwh for row in rows]
    order = sorted(
        range(len(rows)), key=lambda i: (rank[rows[i].prosumer], limits[i], quantities[i])
    )
    orders = Orders(
        np.array([rank[rows[i].prosumer] for i in order], dtype=np.intp),
        np.array([quantities[i] for i in order], dtype=float),
        np.array([limits[i] for i in order], dtype=float),
        np.zeros(len(rows)),
    )
    context = MarketContext(np.full(len(rows), retail), np.full(len(rows), feed_in))
    clearing = market.clear(orders, context)
    average_buy, average_sell = average_prices(orders, clearing, context)
    fills = np.zeros(len(rows))
    fills[order] = clearing.fills_kwh
    return {
        "volume_kwh": float(clearing.volume_kwh),
        "buy_price_eur_per_kwh": _or_none(clearing.buy_price_eur_per_kwh),
        "sell_price_eur_per_kwh": _or_none(clearing.sell_price_eur_per_kwh),
        "average_buy_price_eur_per_kwh": _or_none(average_buy),
        "average_sell_price_eur_per_kwh": _or_none(average_sell),
        "fills_kwh": [float(fill) + 0.0 for fill in fills],
        "welfare_eur": float(welfare_eur(orders, clearing, context)),
    }


def _limit(row: Row, feed_in: float, retail: float) -> float:
    if row.price_eur_per_kwh is not None:
        return row.price_eur_per_kwh
    return retail if row.quantity_kwh > 0.0 else feed_in


def _or_none(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None


def shown(rows: Sequence[Row], outcome: dict[str, Any]) -> str:
    """Return the outcome as a table of the orders and a line for each figure."""
    head = ("prosumer", "quantity [kWh]", "limit [EUR/kWh]", "filled [kWh]")
    table = [head] + [
        (
            row.prosumer,
            f"{row.quantity_kwh:g}",
            "-" if row.price_eur_per_kwh is None else f"{row.price_eur_per_kwh:g}",
            f"{fill:g}",
        )
        for row, fill in zip(rows, outcome["fills_kwh"], strict=True)
    ]
    figures = [
        ("volume", outcome["volume_kwh"], "kWh"),
        ("price paid by buyers", outcome["buy_price_eur_per_kwh"], "EUR/kWh"),
        ("price paid to sellers", outcome["sell_price_eur_per_kwh"], "EUR/kWh"),
        ("average of buyers, grid included", outcome["average_buy_price_eur_per_kwh"], "EUR/kWh"),
        ("average of sellers, grid included", outcome["average_sell_price_eur_per_kwh"], "EUR/kWh"),
        ("welfare", outcome["welfare_eur"], "EUR"),
    ]
    lines = [
        (name, "-" if value is None else f"{value:.6g} {unit}") for name, value, unit in figures
    ]
    return columns(table) + "\n\n" + columns(lines)
