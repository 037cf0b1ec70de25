"""Who takes part in an evaluation: the policies named, and the baselines beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from cosim import plugins
from cosim.bundle.card import CARD
from cosim.bundle.load import is_archive
from cosim.case import Case
from cosim.errors import InputError, Problem, did_you_mean
from cosim.markets.base import Market
from cosim.plugins import PolicyField
from cosim.policy import Policy, check_names
from cosim.studies.trials import Entrant
from cosim.studies.verdict import RULE
from cosim.verbs._listed import plugins_of, words
from cosim.verbs._policy import SHIPPED, found

#: the rule without neighbours: the market is closed
NO_MARKET = "no_peer_to_peer"
#: discharges for its neighbours too in dear hours, at half the rating, which spreads the sale
PEAK_SELLER = "peak_seller"
#: baselines that are a policy with options of their own
CHOSEN: dict[str, dict[str, Any]] = {
    PEAK_SELLER: {"kind": "price_threshold", "feeds_in": True, "discharge_share": 0.5}
}
#: always beside a candidate, each with its default options but for the two named above
BASELINES = (
    "do_nothing", "passive", "always_export", RULE, "time_of_use", "price_threshold", PEAK_SELLER,
    "truthful", "zero_intelligence", "zero_intelligence_plus", "model_predictive", "random",
    NO_MARKET,
)  # fmt: skip
_POLICY: TypeAdapter[Any] = TypeAdapter(PolicyField)


@dataclass(frozen=True, eq=False)
class Named:
    """An entrant and, for a trained one, where its bundle lies."""

    entrant: Entrant
    bundle: Path | None = None


def candidates(case: Case, text: str) -> list[Named]:
    """Return the policies of ``--policy``: names of the scenario, plug-ins or bundles.

    A policy that sits in a seat of the scenario keeps its supervisor. Raises InputError with
    every problem found.
    """
    own = case.scenario.policies
    kinds = [name for name in plugins.names("policy") if name != "onnx"]

    def unknown(kind: str) -> tuple[str, str] | None:
        if kind in own or kind in kinds or kind == "onnx" or _bundle(kind):
            return None
        what = f"unknown policy '{kind}', and no bundle lies there (no {CARD} in it)"
        shipped = {card.parent.name for card in SHIPPED.glob(f"*/{CARD}")}
        return what, did_you_mean(kind, {*own, *kinds, *shipped})

    named, problems = dict[str, Named](), list[Problem]()
    for label, item in plugins_of(text, "--policy", "policy", unknown).items():
        try:
            named[label] = _candidate(case, label, item)
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    return _told_apart(named)


def _told_apart(named: dict[str, Named]) -> list[Named]:
    """Return candidates by their names, those of one name by what was written of them."""
    count = Counter(each.entrant.name for each in named.values())
    return [
        each
        if count[each.entrant.name] == 1
        else replace(each, entrant=replace(each.entrant, name=label))
        for label, each in named.items()
    ]


def _candidate(case: Case, label: str, item: Any) -> Named:
    seats = {seat.name: seat for seat in case.seats}
    if isinstance(item, str) and item in seats:
        seat = seats[item]
        return Named(Entrant(_apart(label), seat.policy, True, supervisor=seat.supervisor))
    if isinstance(item, str) and item in case.scenario.policies:
        return Named(Entrant(_apart(label), _bound(case, case.scenario.policies[item]), True))
    if isinstance(item, str) and item not in plugins.names("policy"):
        place = found(item)
        policy = _bound(case, {"kind": "onnx", "bundle": str(place.resolve())})
        return Named(Entrant(place.stem, policy, True), place)
    if isinstance(item, dict) and item["kind"] == "onnx":
        place = found(str(item.get("bundle")))
        policy = _bound(case, item)
        return Named(Entrant(label, policy, True), place if _is_bundle(place) else None)
    return Named(Entrant(label, _bound(case, item), True))


def _apart(name: str) -> str:
    """Return a name of the scenario's that cannot be taken for a baseline's."""
    return f"{name} (scenario)" if name in BASELINES else name


def _bundle(text: str) -> bool:
    return _is_bundle(found(text))


def _is_bundle(place: Path) -> bool:
    return (is_archive(place) and place.is_file()) or (place / CARD).is_file()


def _bound(case: Case, item: Any) -> Policy:
    """Return a policy ready to act in the scenario's market."""
    try:
        policy = _POLICY.validate_python(item)
    except ValidationError as error:
        raise InputError(
            [Problem(f"{_place(e)}{e['msg']}", "--policy") for e in error.errors()]
        ) from None
    assert isinstance(policy, Policy)
    bound = policy.bound(case.loaded.folder, case.grid.interval_s)
    check_names(bound)
    return bound


def _place(error: Any) -> str:
    return ".".join(map(str, error["loc"])) + ": " if error["loc"] else ""


def baselines(case: Case, text: str | None, taken: Sequence[str]) -> list[Entrant]:
    """Return the baselines, all or those named, without the names that are taken.

    The rule is always among them: shares of a gap count from it.
    """
    return [_baseline(case, name) for name in check_baselines(text) if name not in taken]


def check_baselines(text: str | None) -> tuple[str, ...]:
    """Return the names of the baselines asked for; raise InputError for others, or none."""
    if text is not None and not words(text):
        remedy = "name some, with commas, or leave it out for all"
        raise InputError(Problem("no baseline", "--baselines", remedy=remedy))
    listed = BASELINES if text is None else tuple(dict.fromkeys([RULE, *words(text)]))
    wrong = [
        Problem(f"unknown baseline '{name}'", "--baselines", remedy=did_you_mean(name, BASELINES))
        for name in listed
        if name not in BASELINES
    ]
    if wrong:
        raise InputError(wrong)
    return listed


def _baseline(case: Case, name: str) -> Entrant:
    if name == NO_MARKET:
        market = plugins.load("market", "none")()
        assert isinstance(market, Market)
        return Entrant(name, _bound(case, RULE), market=market)
    return Entrant(name, _bound(case, CHOSEN.get(name, name)))
