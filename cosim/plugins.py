"""Plug-ins: one file in a folder is one plug-in, named after the file.

A plug-in is a frozen pydantic model: its fields are its options in the YAML and its schema.
Nothing is registered: ``markets/uniform_price.py`` holds the one :class:`Plugin` subclass that
``market: {kind: uniform_price}`` means. :func:`add_folder` lets a user's own folder take part.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, GetCoreSchemaHandler, SerializeAsAny
from pydantic_core import PydanticCustomError

from cosim.errors import InputError, PluginError, Problem, did_you_mean
from cosim.plain_numbers import plain_numbers

#: plug-in kind -> the package whose modules are the plug-ins of that kind
PACKAGES: Mapping[str, str] = {
    "market": "cosim.markets",
    "disturbance": "cosim.disturbances",
    "profiles": "cosim.profiles",
    "forecast": "cosim.forecasts",
    "policy": "agents",
}
#: key of a scenario -> the kind of plug-in that stands there
KIND_OF_FIELD: Mapping[str, str] = {
    "market": "market",
    "disturbances": "disturbance",
    "profiles": "profiles",
    "forecast": "forecast",
    "policies": "policy",
}
#: keys below which several plug-ins stand, by name or in a list
_SEVERAL = ("disturbances", "policies")
_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")


class Plugin(BaseModel):
    """Base of every plug-in: a frozen value whose fields are its options."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> Any:
        """Take numbers for numbers only."""
        return plain_numbers(handler(source))

    @classmethod
    def kind(cls) -> str:
        """Return the name used in scenarios: the name of the plug-in's file."""
        return cls.__module__.rpartition(".")[2]


P = TypeVar("P", bound=Plugin)


def names(kind: str) -> list[str]:
    """Return the names of all plug-ins of one kind, without importing them."""
    package = importlib.import_module(PACKAGES[kind])
    found = {info.name for info in pkgutil.iter_modules(package.__path__)}
    return sorted(name for name in found if _NAME.match(name) and name not in {"base", "trained"})


def is_place(path: Sequence[str | int]) -> bool:
    """Return whether a plug-in stands at a path of a scenario, or of one of its variants."""
    inner = path[2:] if path[:1] == ("variants",) else path
    depth = 2 if inner[:1] and inner[0] in _SEVERAL else 1
    return len(inner) == depth and inner[0] in KIND_OF_FIELD


def file_of(kind: str, name: str) -> Path:
    """Return the file of a plug-in, without importing it."""
    spec = importlib.util.find_spec(f"{PACKAGES[kind]}.{name}")
    if spec is None or spec.origin is None:
        raise InputError(
            Problem(f"unknown {kind} '{name}'", remedy=did_you_mean(name, names(kind)))
        )
    return Path(spec.origin)


def add_folder(folder: Path) -> None:
    """Let the sub-folders of a user's folder (markets, policies, ...) take part.

    Importing them runs their code: only call this for a folder the user named.
    """
    places = {
        "markets": "market",
        "disturbances": "disturbance",
        "policies": "policy",
        "profiles": "profiles",
        "forecasts": "forecast",
    }
    if not folder.is_dir():
        raise InputError(Problem(f"plug-in folder '{folder}' does not exist", where="--plugins"))
    present = [sub for sub in places if (folder / sub).is_dir()]
    if not present:
        raise InputError(
            Problem(
                f"plug-in folder '{folder}' has no plug-ins",
                where="--plugins",
                remedy=f"put files under one of: {', '.join(places)}",
            )
        )
    shadowing = [
        Problem(f"the plug-in '{file}' has the name of another {places[sub]}", "--plugins",
                remedy="rename the file")
        for sub in present
        for file in sorted((folder / sub).glob("*.py"))
        if file.stem in names(places[sub])
        and not file_of(places[sub], file.stem).samefile(file)
    ]  # fmt: skip
    if shadowing:
        raise InputError(shadowing)
    for sub in present:
        path = importlib.import_module(PACKAGES[places[sub]]).__path__
        if str(folder / sub) not in path:
            path.append(str(folder / sub))
    importlib.invalidate_caches()


def load(kind: str, name: str) -> type[Plugin]:
    """Import the plug-in ``name`` of ``kind`` and return its class.

    Raises InputError with did-you-mean for an unknown name and PluginError for a file that does
    not hold exactly one plug-in class.
    """
    if name not in names(kind):
        raise InputError(_unknown(kind, name))
    try:
        module = importlib.import_module(f"{PACKAGES[kind]}.{name}")
    except (Exception, SystemExit) as error:  # a user's file may fail in any way
        what = f"{type(error).__name__}: {error}"
        raise PluginError(f"the {kind} '{name}' cannot be imported: {what}") from error
    classes = [
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, Plugin)
        and value.__module__ == module.__name__
        and not inspect.isabstract(value)
        and not value.__name__.startswith("_")
    ]
    if len(classes) != 1:
        raise PluginError(
            f"{module.__file__}: a plug-in file holds exactly one public Plugin class, "
            f"found {len(classes)}"
        )
    return classes[0]


def _unknown(kind: str, name: str) -> Problem:
    return Problem(f"unknown {kind} {name!r}", remedy=did_you_mean(name, names(kind)))


def _build(kind: str, value: Any) -> Any:
    """Turn ``name`` or ``{kind: name, ...options}`` into the plug-in's value."""
    if isinstance(value, Plugin):
        return value
    options: dict[str, Any] = {"kind": value} if isinstance(value, str) else value
    if not isinstance(options, dict) or not isinstance(options.get("kind"), str):
        raise PydanticCustomError(
            "plugin_kind",
            "{kind} must be a name or a mapping with the key 'kind' ({remedy})",
            {"kind": kind, "remedy": "known: " + ", ".join(names(kind))},
        )
    rest = {key: item for key, item in options.items() if key != "kind"}
    try:
        plugin = load(kind, options["kind"])
    except InputError as error:
        problem = error.problems[0]
        raise PydanticCustomError(
            "unknown_plugin",
            "{what}; {remedy}",
            {"what": problem.what, "remedy": problem.remedy},
        ) from None
    return plugin.model_validate(rest)


MarketField = Annotated[SerializeAsAny[Plugin], BeforeValidator(lambda v: _build("market", v))]
DisturbanceField = Annotated[
    SerializeAsAny[Plugin], BeforeValidator(lambda v: _build("disturbance", v))
]
ProfilesField = Annotated[SerializeAsAny[Plugin], BeforeValidator(lambda v: _build("profiles", v))]
ForecastField = Annotated[SerializeAsAny[Plugin], BeforeValidator(lambda v: _build("forecast", v))]
PolicyField = Annotated[SerializeAsAny[Plugin], BeforeValidator(lambda v: _build("policy", v))]


def describe(value: Plugin) -> dict[str, Any]:
    """Return a plug-in as the mapping a scenario would hold, defaults included."""
    return {"kind": value.kind(), **value.model_dump(mode="json")}
