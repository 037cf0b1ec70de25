"""Profiles: inspect a file with time series or homes before a scenario uses it.

It says which format the file has, its rows, span and step, and for each series mean, least and
most in the project's units; for solar homes the customers and their energy. A file in which
nothing can be used, or that is implausible, is refused with exit code 2.

  python -m cosim profiles inspect prices.csv
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("action", choices=("inspect",), metavar="inspect", help="what to do")
    parser.add_argument("file", type=Path, metavar="FILE", help="CSV file with profiles")
    parser.add_argument(
        "--zone", default="UTC", help="zone of times without offset, in files of no known format"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print what the file holds; raise InputError when nothing in it can be used."""
    from cosim.verbs import _inspect

    print(_inspect.description(arguments.file, arguments.zone))
    return 0
