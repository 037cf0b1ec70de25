"""Clear an order book from a CSV file with a market mechanism.

The file has the columns prosumer, quantity_kwh (> 0 buys, < 0 sells) and price_eur_per_kwh, which
mechanisms that read no limit prices can do without; one row per order. '-' reads it from the
standard input. Further columns, where they are wanted:

  arrival_s             order_book: seconds since the book opened; default: as the rows stand
  partner               bilateral: the prosumer preferred by this one, or empty
  metered_kwh           bill_sharing settles on it; default: quantity_kwh
  retail_eur_per_kwh    the row's own tariff where it differs from --retail
  feed_in_eur_per_kwh   and from --feed-in

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
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="of the draws that rank prosumers whose orders arrive in one second (default: 0)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    add_plugins_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Clear the book and print the outcome."""
    import json

    from cosim.errors import InputError, Problem
    from cosim.verbs import _book
    from cosim.verbs._common import take_plugins, warn
    from cosim.verbs._orders_file import Tariff, read_orders

    take_plugins(arguments.plugins)
    problems: list[Problem] = []
    tariff = Tariff(arguments.feed_in, arguments.retail)
    market = _book.chosen_market(arguments.market, arguments.option, problems)
    _book.check_tariff(tariff, problems)
    priced = market is None or market.limit_prices
    rows = read_orders(arguments.orders, priced, tariff, problems)
    if problems or market is None:
        raise InputError(problems)
    for text in _book.doubts(rows, tariff):
        warn(text)
    outcome = _book.cleared(market, rows, arguments.seed)
    text = json.dumps(outcome, allow_nan=False) if arguments.json else ""
    print(text or _book.shown(market, rows, outcome))
    return 0
