"""What a saved model cannot say of itself, and the command that says it again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from cosim.errors import InputError, Problem, did_you_mean
from cosim.observe import ACTIONS, FEATURES, Quantity
from cosim.training.network import RATING, Activation

#: characters a card holds of a command
LONGEST = 1800


@dataclass(frozen=True)
class Wish:
    """What the file cannot say: names of columns in their order, and what the card shall hold."""

    features: tuple[str, ...]
    actions: tuple[str, ...]
    name: str
    interval_s: int
    agents: tuple[str, ...] = ()
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    of_rating: bool = False
    activation: Activation | None = None
    trust: bool = False
    gate_lead_s: int | None = None
    version: str = "1"
    licence: str = "not stated"
    command: str = ""


def check_wish(wish: Wish) -> None:
    """Raise InputError for features, actions and ranges that do not exist, all at once."""
    problems = [
        Problem(f"unknown {kind} '{ascii_of(name)}'", remedy=did_you_mean(name, known))
        for kind, listed, known in (
            ("feature", wish.features, tuple(FEATURES)),
            ("action", wish.actions, tuple(ACTIONS)),
            ("column in --range", wish.ranges, (*wish.features, *wish.actions, RATING)),
        )
        for name in listed
        if name not in known
    ]
    for kind, listed in (("feature", wish.features), ("action", wish.actions),
                         ("agent", wish.agents)):  # fmt: skip
        twice = sorted({name for name in listed if listed.count(name) > 1})
        problems += [Problem(f"the {kind} '{ascii_of(name)}' stands twice") for name in twice]
    if wish.of_rating and wish.actions != ("battery_kw",):
        problems.append(Problem("only battery_kw can be a share of the rating"))
    problems += [_outside(name, *ends) for name, ends in wish.ranges.items() if _beyond(name, ends)]
    if problems:
        raise InputError(problems)


def _quantity(name: str) -> Quantity | None:
    return FEATURES.get(name) or ACTIONS.get(name)


def _beyond(name: str, ends: tuple[float, float]) -> bool:
    known = _quantity(name)
    return known is not None and not known.low <= ends[0] < ends[1] <= known.high


def _outside(name: str, low: float, high: float) -> Problem:
    known = _quantity(name)
    assert known is not None
    return Problem(
        f"--range {name}={low:g}:{high:g} lies outside what '{name}' can be, "
        f"{known.low:g} to {known.high:g} {known.unit}",
        remedy="give the range in the quantity's own unit; what was scaled needs --normalize",
    )


def again(model: Path, statistics: Path | None, folder: Path, wish: Wish) -> str:
    """Return the command line that makes the same bundle of the same files."""
    words = ["policy", "import", str(model), "--to", str(folder)]
    words += ["--features", ",".join(wish.features), "--actions", ",".join(wish.actions)]
    words += ["--normalize", str(statistics)] if statistics else []
    words += ["--agents", ",".join(wish.agents)] if wish.agents else []
    words += ["--share-of-rating"] if wish.of_rating else []
    for name, (low, high) in wish.ranges.items():
        words += ["--range", f"{name}={low!r}:{high!r}"]
    words += ["--activation", _spelt(wish.activation)] if wish.activation else []
    words += ["--interval-minutes", str(wish.interval_s // 60)]
    if wish.gate_lead_s is not None:
        words += ["--gate-lead-seconds", str(wish.gate_lead_s)]
    words += ["--name", wish.name, "--policy-version", wish.version, "--licence", wish.licence]
    words += ["--trust"] if wish.trust else []
    text = ascii_of(shlex.join(["python", "-m", "cosim", *words]))
    if len(text) > LONGEST:  # hundreds of agents: the card names them beside this
        return again(model, statistics, folder, _without_agents(wish))
    return text


def _without_agents(wish: Wish) -> Wish:
    if wish.agents in ((), ("AGENTS-OF-THIS-CARD",)):
        raise InputError(
            Problem("the options are longer than a card holds", remedy="give --command")
        )
    return replace(wish, agents=("AGENTS-OF-THIS-CARD",))


def _spelt(activation: Activation) -> str:
    given = activation.parameter
    return activation.name if given is None else f"{activation.name}:{given!r}"


def ascii_of(text: str) -> str:
    """Return a text in plain ASCII, whatever it holds."""
    return text.encode("unicode_escape").decode()
