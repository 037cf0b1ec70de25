"""The argument parser of every verb, and the options several verbs share."""

from __future__ import annotations

import argparse
import difflib
import re
from pathlib import Path
from typing import Any, NoReturn


class Parser(argparse.ArgumentParser):
    """argparse without abbreviations, and with did-you-mean for options."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(
            allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **settings
        )

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and how the verb is used; exit code 2."""
        options = [name for action in self._actions for name in action.option_strings]
        hints = []
        for word in re.findall(r"--[\w-]+", message.partition("unrecognized arguments:")[2]):
            close = difflib.get_close_matches(word, options, n=1)
            hints += [f"did you mean '{close[0]}'?"] if close else []
        remedy = "\n    remedy: " + " ".join(hints) if hints else ""
        self.exit(2, f"{self.prog}: {message}{remedy}\n{self.format_usage()}")


def place(text: str) -> Path:
    """Return the path of an option; an empty one would mean the current folder."""
    if not text.strip():
        raise argparse.ArgumentTypeError("an empty path; write . for the current folder")
    return Path(text)


def add_scenario_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--set`` and ``--plugins``."""
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a value of the scenario, e.g. market.k=0.3; null removes a key",
    )
    add_plugins_option(parser)


def add_result_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--out`` and ``--quiet``."""
    parser.add_argument(
        "--out",
        type=place,
        default=Path("outputs"),
        metavar="DIR",
        help="folder of results (default: outputs)",
    )
    parser.add_argument("--quiet", action="store_true", help="print the paths only")


def add_plugins_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--plugins``."""
    parser.add_argument(
        "--plugins",
        action="append",
        default=[],
        type=place,
        metavar="DIR",
        help="folder with plug-ins of your own (runs their code)",
    )
