"""Explain a key of the scenario, a feature, an action, a column, a KPI or a plug-in.

python -m cosim explain tariff.periods.hours
python -m cosim explain market.uniform_price.k
python -m cosim explain vm_min_pu
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cosim.verbs._quantities import Known
    from cosim.verbs._schema import Key


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    from cosim.verbs._parser import add_plugins_option

    parser.add_argument("key", nargs="+", metavar="KEY", help="e.g. market.uniform_price.k")
    add_plugins_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print what is known of each key."""
    from cosim.errors import InputError, Problem, did_you_mean
    from cosim.verbs import _schema
    from cosim.verbs._common import take_plugins

    take_plugins(arguments.plugins)
    keys, catalogue = _schema.scenario_keys(), _catalogue()
    problems, texts = [], []
    for word in arguments.key:
        found = [_of_key(key) for key in _fitting(keys, word.split("."))]
        found += [
            _of_known(kind, known, keys)
            for kind, known in catalogue
            if word in {known.name, known.name.rpartition(".")[2]}
        ]
        if not found:
            remedy = did_you_mean(word, _words(word, keys, catalogue))
            if not remedy.startswith("did"):
                remedy = "see: python -m cosim list --help, and python -m cosim schema"
            problems.append(Problem(f"nothing is called {word!r}", remedy=remedy))
        texts += found
    if texts:
        print("\n\n".join(texts))
    if problems:
        raise InputError(problems)
    return 0


def _fitting(keys: Sequence[Key], asked: Sequence[str]) -> list[Key]:
    """Return the keys whose path is the asked one; if there are none, those that end with it."""
    whole = [key for key in keys if fits(key.steps, asked) or fits(key.written, asked)]
    return whole or [
        key for key in keys if any(fits(key.steps[i:], asked) for i in range(1, len(key.steps)))
    ]


def fits(path: Sequence[str], asked: Sequence[str]) -> bool:
    """Return whether the asked steps lead along the path.

    Where the author chooses the step (``<name>``, ``<n>``), any word or number fits, or none.
    """
    if not path or not asked:
        return not path and not asked
    if path[0].startswith("<"):
        chosen = path[0] == "<name>" or asked[0].isdigit()
        return fits(path[1:], asked) or (chosen and fits(path[1:], asked[1:]))
    return path[0] == asked[0] and fits(path[1:], asked[1:])


def _catalogue() -> list[tuple[str, Known]]:
    """Return everything named outside the scenario, with what it is."""
    from cosim.verbs import _quantities

    kinds = {
        "feature": _quantities.features(),
        "action": _quantities.actions(),
        "column": _quantities.columns(),
        "KPI": _quantities.kpis(),
    }
    kinds |= {kind: _quantities.of_plugins(kind) for kind in _quantities.LISTED.values()}
    return [(kind, known) for kind, group in kinds.items() for known in group]


def _words(word: str, keys: Sequence[Key], catalogue: Sequence[tuple[str, Known]]) -> set[str]:
    """Return the names near enough to be listed: whole paths only for an asked path."""
    ways = (way for key in keys for way in (key.steps, key.written))
    paths = {".".join(step for step in way if not step.startswith("<")) for way in ways}
    if "." in word:
        return paths
    return {path.rpartition(".")[2] for path in paths} | {known.name for _, known in catalogue}


def _of_key(key: Key) -> str:
    lines = [
        ("what", key.kind),
        ("unit", key.unit),
        ("allowed", key.allowed),
        ("default", key.default),
    ]
    return _text(f"{key.path} (scenario)", key.meaning, lines)


def _of_known(kind: str, known: Known, keys: Sequence[Key]) -> str:
    options = [key.steps[-1] for key in keys if known.name in key.steps[:-1]]
    lines = [("unit", known.unit), ("sign", known.sign), ("range", known.allowed)]
    if known.is_plugin:
        lines.append(("options", ", ".join(dict.fromkeys(options)) or "none"))
    return _text(f"{known.name} ({kind})", known.meaning, lines)


def _text(head: str, meaning: str, lines: Sequence[tuple[str, str]]) -> str:
    said = [f"  {meaning}"] if meaning else []
    return "\n".join([head, *said, *(f"  {name + ':':<9}{text}" for name, text in lines if text)])
