"""Clear an order book from a CSV file with a market mechanism.

The file has the columns prosumer, quantity_kwh (> 0 buys, < 0 sells) and price_eur_per_kwh,
one row per order; '-' reads it from the standard input.

  python -m cosim clear orders.csv --market uniform_price --feed-in 0.05 --retail 0.14
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    from cosim.verbs._parser import add_plugins_option

    parser.add_argument("orders", metavar="ORDERS.csv", help="the order book; '-': standard input")
    parser.add_argument("--market", required=True, help="mechanism, e.g. uniform_price")
    parser.add_argument(
        "--feed-in", type=float, required=True, metavar="EUR/kWh", help="price of fed-in energy"
    )
    parser.add_argument(
        "--retail", type=float, required=True, metavar="EUR/kWh", help="price of drawn energy"
    )
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="option of the mechanism, e.g. k=0.3",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    add_plugins_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Clear the book and print the outcome."""
    import json

    from cosim.errors import InputError, Problem
    from cosim.verbs import _book
    from cosim.verbs._common import take_plugins, warn

    take_plugins(arguments.plugins)
    problems: list[Problem] = []
    market = _book.chosen_market(arguments.market, arguments.option, problems)
    _book.check_tariff(arguments.feed_in, arguments.retail, problems)
    rows = _book.read_orders(arguments.orders, market, problems)
    if problems or market is None:
        raise InputError(problems)
    for text in _book.doubts(rows, arguments.feed_in, arguments.retail):
        warn(text)
    outcome = _book.cleared(market, rows, arguments.feed_in, arguments.retail)
    print(json.dumps(outcome, allow_nan=False) if arguments.json else _book.shown(rows, outcome))
    return 0
