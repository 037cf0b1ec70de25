"""Errors of a validated document as problems at the user's own lines, in plain words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import pydantic
from pydantic_core import PydanticCustomError

from cosim.document import Document, Path
from cosim.errors import Problem, did_you_mean
from cosim.yaml_nodes import Position, shown

#: a value below the one being validated, what is wrong with it, and the remedy
Located = tuple[Path, str, str]


def refusal(found: Sequence[Located]) -> PydanticCustomError:
    """Return the error by which a validator refuses several values below its own at once."""
    words = "; ".join(what for _, what, _ in found)
    return PydanticCustomError("located", "{words}", {"words": words, "found": tuple(found)})


class _Failure(NamedTuple):
    """One error of pydantic, and the path of the value it is about."""

    details: Any
    path: Path
    document: Document
    known: Callable[[Path], Iterable[str]]

    @property
    def name(self) -> str:
        """Return the last part of the location: the key in question, if there is one."""
        return "".join(str(step) for step in self.details["loc"][-1:])

    @property
    def context(self) -> dict[str, Any]:
        """Return the limits and names of the error, whole numbers without a fraction."""
        return {
            name: int(value) if isinstance(value, float) and value.is_integer() else value
            for name, value in self.details.get("ctx", {}).items()
        }


def _nothing_known(path: Path) -> Iterable[str]:
    return ()


def problems_from_validation(
    error: pydantic.ValidationError,
    document: Document,
    known: Callable[[Path], Iterable[str]] = _nothing_known,
) -> list[Problem]:
    """Return each error of a validated tree at its own line, in the order of the lines.

    ``known`` returns the names allowed in the mapping at a path, for "did you mean".
    Alternatives of a union that fail on one value make one problem.
    """
    found: list[tuple[Position, Problem]] = []
    unions: dict[Path, list[_Failure]] = {}
    for details in error.errors(include_url=False):
        path = _path_of(details["loc"], document.tree)
        failure = _Failure(details, path, document, known)
        if details["type"] == "too_short" and not _is_short(details):
            continue  # what is wrong with its items is said by them
        if details["type"] == "located":
            found += _explain_located(failure)
        elif _wanted(failure):
            unions.setdefault(path, []).append(failure)
        else:
            found.append(_EXPLAINED.get(details["type"], _explain_refusal)(failure))
    found += [_expectation(failures) for failures in unions.values()]
    found.sort(key=lambda item: (item[0].file, item[0].line, item[0].column))
    return list(dict.fromkeys(problem for _, problem in found))


def _is_short(details: Any) -> bool:
    """Return whether a list has too few items as it is written, the wrong ones included."""
    written, least = details["input"], details["ctx"]["min_length"]
    return not isinstance(written, list | tuple) or len(written) < least


def _path_of(loc: tuple[int | str, ...], tree: Any) -> Path:
    """Return the part of a location that leads through the tree.

    Names of union branches and validators, which pydantic puts between, lead nowhere and are
    skipped.
    """
    path: list[str | int] = []
    for step in loc:
        inside = isinstance(step, int) and isinstance(tree, list) and 0 <= step < len(tree)
        if inside or (isinstance(tree, dict) and step in tree):
            path.append(step)
            tree = tree[step]
    return tuple(path)


def _missing(name: str, at: Position) -> tuple[Position, Problem]:
    return at, Problem(f"missing key {shown(name)}", str(at), remedy=f"add '{name}: ...' here")


def _explain_missing(failure: _Failure) -> tuple[Position, Problem]:
    parent = _path_of(failure.details["loc"][:-1], failure.document.tree)
    if isinstance(failure.details["loc"][-1], int):  # of a list of so many items
        name, count = ".".join(map(str, parent)), failure.details["loc"][-1] + 1
        at = failure.document.positions[parent]
        return at, Problem(f"{name} must be at least {count} items long".lstrip(), str(at))
    return _missing(failure.name, failure.document.positions[parent])


def _explain_extra(failure: _Failure) -> tuple[Position, Problem]:
    path, name = failure.path, failure.name
    written = path[-1:] == (name,)  # else a validator put it there
    at = failure.document.key_positions.get(path) or failure.document.positions[path]
    remedy = did_you_mean(name, failure.known(path[:-1] if written else path))
    return at, Problem(f"unknown key {shown(name)}", str(at), remedy=remedy)


def _explain_tag(failure: _Failure) -> tuple[Position, Problem]:
    """Explain a mapping whose ``kind`` is missing or names nothing."""
    path, positions, context = failure.path, failure.document.positions, failure.context
    key = str(context["discriminator"]).strip("'")
    at = positions.get((*path, key)) or positions[path]
    if "tag" not in context:
        return _missing(key, at)
    remedy = did_you_mean(str(context["tag"]), _quoted(context["expected_tags"]))
    return at, Problem(f"unknown {key} {shown(context['tag'])}", str(at), remedy=remedy)


def _explain_located(failure: _Failure) -> list[tuple[Position, Problem]]:
    """Return the problems of :func:`refusal`, each at its own value."""
    found = []
    for path, what, remedy in failure.details["ctx"]["found"]:
        at = failure.document.at((*failure.path, *path))
        found.append((at, Problem(what, str(at), remedy=remedy)))
    return found


def _explain_plugin(failure: _Failure) -> tuple[Position, Problem]:
    """Explain a plug-in whose name is unknown."""
    path, context = failure.path, failure.details["ctx"]
    at = failure.document.positions.get((*path, "kind")) or failure.document.positions[path]
    return at, Problem(context["what"], str(at), remedy=context["remedy"])


def _explain_refusal(failure: _Failure) -> tuple[Position, Problem]:
    """Keep the words of the validator that refused the value."""
    at = failure.document.positions[failure.path]
    words = re.sub("^(Value error|Assertion failed), ", "", failure.details["msg"])
    return at, Problem(words or "this value is not allowed", str(at))


_EXPLAINED: dict[str, Callable[[_Failure], tuple[Position, Problem]]] = {
    "missing": _explain_missing,
    "extra_forbidden": _explain_extra,
    "union_tag_invalid": _explain_tag,
    "union_tag_not_found": _explain_tag,
    "unknown_plugin": _explain_plugin,
}

_MUST_BE = {
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "a whole number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("list_type", "tuple_type", "set_type", "frozen_set_type"), "a list"),
    **dict.fromkeys(
        ("dict_type", "model_type", "model_attributes_type", "dataclass_type"), "a mapping"
    ),
    "string_type": "text",
    "none_required": "null",
    "greater_than": "greater than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "multiple_of": "a multiple of {multiple_of}",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "too_short": "at least {min_length} items long",
    "too_long": "at most {max_length} items long",
    "string_too_short": "a text of at least {min_length} characters",
    "string_too_long": "a text of at most {max_length} characters",
    "string_pattern_mismatch": "a text that matches {pattern}",
}


_BEYOND = {"greater_than", "greater_than_equal", "less_than", "less_than_equal"}
_NOT_A_LIST = {"list_type", "tuple_type"}
_UNIT_HINTS = (  # end of a key, remedy when its value is out of range
    ("eur_per_kwh", "give the price in EUR/kWh: 200 EUR/MWh is 0.2, 20 ct/kWh is 0.2"),
    ("kg_per_kwh", "give it in kg/kWh: 400 g/kWh is 0.4"),
    ("_kwh", "give it in kWh: 13500 Wh is 13.5"),
    ("_kw", "give it in kW: 5000 W is 5"),
    ("_pu", "give the voltage per unit: 230 V of 230 V is 1"),
    ("efficiency", "give a share between 0 and 1: 95 % is 0.95"),
    ("share", "give a share between 0 and 1: 50 % is 0.5"),
    ("probability", "give a share between 0 and 1: 20 % is 0.2"),
    ("soc_min", "give a share of the capacity: 10 % is 0.1"),
    ("soc_max", "give a share of the capacity: 90 % is 0.9"),
    ("soc_initial", "give a share of the capacity: 50 % is 0.5"),
    ("_percent", "give it in percent: 1 of 1 is 100"),
    ("hours", "give civil hours between 0 and 24: [17, 21.5] is 17:00 to 21:30"),
)


def _unit_hint(path: Path) -> str:
    """Return the remedy for a number out of range whose key says its unit."""
    name = next((step for step in reversed(path) if isinstance(step, str)), "")
    return next((remedy for end, remedy in _UNIT_HINTS if name.endswith(end)), "")


def _wanted(failure: _Failure) -> str:
    """Return what pydantic says the value should be; empty when it says something else."""
    template = _MUST_BE.get(failure.details["type"])
    if template is not None:
        return template.format_map(failure.context)
    _, _, words = str(failure.details["msg"]).partition("Input should be ")
    return words


def _expectation(failures: list[_Failure]) -> tuple[Position, Problem]:
    """Return the problem of a value that is none of what was expected of it."""
    details, path, document, _ = failures[0]
    at = document.positions[path]
    if failures[0].name == "[key]":
        at = document.key_positions.get(path, at)
    value = details["input"]
    wanted = " or ".join(dict.fromkeys(_wanted(failure) for failure in failures))
    names = [name for failure in failures for name in _quoted(failure.context.get("expected"))]
    remedy = did_you_mean(value, names) if isinstance(value, str) else ""
    subject = ".".join(str(step) for step in path) + " " if path else ""
    if not remedy and details["type"] in _BEYOND | _NOT_A_LIST:
        remedy = _unit_hint(path)
    what = f"{subject}must be {wanted}, got {shown(value)}"
    return at, Problem(what, str(at), remedy=remedy)


def _quoted(words: object) -> list[str]:
    """Return the names that pydantic lists in single quotes."""
    return re.findall(r"'([^']*)'", str(words))
