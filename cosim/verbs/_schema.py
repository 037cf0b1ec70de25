"""The scenario's JSON schema, plug-ins included, and a flat list of every key in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from cosim import plugins
from cosim.overlay import KINDS
from cosim.scenario import Scenario

Json = dict[str, Any]

#: where plug-ins stand in a scenario: key, kind, and the way to their schema below the key
_PLACES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("market", "market", ()),
    ("profiles", "profiles", ()),
    ("forecast", "forecast", ()),
    ("policies", "policy", ("additionalProperties",)),
    ("disturbances", "disturbance", ("items",)),
)
_UNITS = {
    "eur_per_kwh": "EUR/kWh",
    "kg_per_kwh": "kg/kWh",
    "per_day": "1/d",
    "kwh": "kWh",
    "kwp": "kW",
    "kva": "kVA",
    "kw": "kW",
    "ka": "kA",
    "pu": "p.u.",
    "percent": "%",
    "minutes": "min",
    "seconds": "s",
    "s": "s",
}


def scenario_schema() -> Json:
    """Return the JSON schema of a scenario file with the options of every plug-in."""
    classes: dict[tuple[str, str], type[BaseModel]] = {
        (kind, name): plugins.load(kind, name)
        for kind in plugins.PACKAGES
        for name in plugins.names(kind)
    }
    refs, schema = models_json_schema(
        [(Scenario, "validation"), *((model, "validation") for model in classes.values())]
    )
    definitions = schema["$defs"]
    kinds: dict[str, list[Json]] = {kind: [] for kind in plugins.PACKAGES}
    for (kind, name), model in classes.items():
        reference = refs[model, "validation"]
        _name_kind(definitions[reference["$ref"].rpartition("/")[2]], name)
        kinds[kind].append(reference)
    root = definitions.pop(refs[Scenario, "validation"]["$ref"].rpartition("/")[2])
    for key, kind, way in _PLACES:
        place = root["properties"][key]
        for step in way:
            place = place[step]
        said = place.get("description", f"{kind}: a name, or its options")
        place.clear()
        place.update(_choice(kind, kinds[kind]) | {"description": said})
    root["properties"]["extends"] = {
        "type": "string",
        "description": "scenario file this one is laid over, relative to it",
    }
    root["anyOf"] = [{"required": ["extends"]}, {"required": root.pop("required")}]
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Scenario"}
    return {**head, **_plain(root), "$defs": _plain(definitions)}


def plugin_schema(kind: str) -> Json:
    """Return the JSON schema of one kind of plug-in, as it stands in a scenario."""
    whole = scenario_schema()
    place = _place(whole, kind)
    head = {"$schema": whole["$schema"], "title": kind}
    return {**head, **place, "$defs": whole["$defs"]}


def _place(whole: Json, kind: str) -> Json:
    for key, name, way in _PLACES:
        if name == kind:
            place = whole["properties"][key]
            for step in way:
                place = place[step]
            return dict(place)
    raise KeyError(kind)


def _name_kind(definition: Json, name: str) -> None:
    definition.setdefault("properties", {})["kind"] = {"const": name}
    definition["required"] = ["kind", *definition.get("required", [])]


def _choice(kind: str, references: list[Json]) -> Json:
    """Return the schema of a place that takes a name, or a mapping with ``kind`` and options."""
    short = {"type": "string", "enum": plugins.names(kind)}
    return {"anyOf": [short, *references]}


def _plain(value: Any) -> Any:
    """Return a schema without the titles that only repeat the names."""
    if isinstance(value, dict):
        return {
            key: _plain(item)
            for key, item in value.items()
            if not (key == "title" and isinstance(item, str))
        }
    return [_plain(item) for item in value] if isinstance(value, list) else value


# ---------------------------------------------------------------- every key


@dataclass(frozen=True)
class Key:
    """One key of the scenario: ``path`` with ``<name>`` and ``<n>`` where the author chooses.

    Options of a plug-in stand below its name in the path, which says the kind they belong to.
    """

    path: str
    kind: str  # what values it takes, in words
    unit: str
    allowed: str
    default: str
    meaning: str
    plugin: str = ""  # whose option it is

    @property
    def steps(self) -> list[str]:
        """Return the parts of the path."""
        return self.path.split(".")

    @property
    def written(self) -> list[str]:
        """Return the parts of the path as a scenario has them: without the plug-in's name."""
        steps = self.steps
        if self.plugin:
            steps.remove(self.plugin)
        return steps


def scenario_keys() -> list[Key]:
    """Return every key of a scenario, in the order of the schema."""
    whole = scenario_schema()
    whole["required"] = whole["anyOf"][1]["required"]
    return list(dict.fromkeys(_walk(whole, "", whole["$defs"])))


def _walk(schema: Json, prefix: str, definitions: Json, plugin: str = "") -> Iterator[Key]:
    for option in _options(schema, definitions):
        name = _named(option)
        base = f"{prefix}{name}." if name else prefix
        owner = name or plugin
        for key, below in option.get("properties", {}).items():
            if "const" in below:
                continue
            found = _key(base + key, key, below, option.get("required", ()), definitions)
            yield replace(found, plugin=owner)
            yield from _walk(below, f"{base}{key}.", definitions, owner)
        if isinstance(option.get("additionalProperties"), dict):
            yield from _walk(option["additionalProperties"], f"{prefix}<name>.", definitions, owner)
        if isinstance(option.get("items"), dict):
            yield from _walk(option["items"], f"{prefix}<n>.", definitions, owner)


def _options(schema: Json, definitions: Json) -> list[Json]:
    """Return the alternatives of a schema, references followed."""
    if "$ref" in schema:
        below = definitions[schema["$ref"].rpartition("/")[2]]
        return _options(below, definitions)
    for several in ("anyOf", "oneOf"):
        if several in schema and "properties" not in schema:
            return [option for each in schema[several] for option in _options(each, definitions)]
    return [schema]


def _named(option: Json) -> str | None:
    """Return the name of a plug-in's or a series format's schema, None of any other."""
    properties = option.get("properties", {})
    return next((properties[key]["const"] for key in KINDS if "const" in properties.get(key, {})),
                None)  # fmt: skip


def _key(path: str, name: str, schema: Json, required: Any, definitions: Json) -> Key:
    options = _options(schema, definitions)
    words = str(schema.get("description", ""))
    if not words and "$ref" in schema:
        words = str(options[0].get("description", ""))
    words, unit = _split_unit(words.partition("\n")[0].rstrip("."), name)
    kinds = dict.fromkeys(_kind(option) for option in options if option.get("type") != "null")
    limits = dict.fromkeys(text for option in options for text in [_limits(option)] if text)
    default = "required" if name in required else _value(schema.get("default"))
    return Key(path, " or ".join(kinds), unit, " or ".join(limits), default, words)


def _split_unit(words: str, name: str) -> tuple[str, str]:
    head, bracket, unit = words.rpartition(" [")
    if bracket and unit.endswith("]"):
        return head, unit[:-1]
    for suffix, known in _UNITS.items():
        if name == suffix or name.endswith("_" + suffix):
            return words, known
    return words, ""


_KINDS = {
    "number": "number",
    "integer": "whole number",
    "string": "text",
    "boolean": "true or false",
    "array": "list",
    "object": "mapping",
}


def _kind(option: Json) -> str:
    for key in KINDS:
        if "const" in option.get("properties", {}).get(key, {}):
            return f"mapping with '{key}' and options"
    if str(option.get("format")).startswith("date"):
        return "time"
    return _KINDS.get(str(option.get("type")), "any value")


def _limits(option: Json) -> str:
    """Return the allowed values of one alternative in words."""
    if "enum" in option:
        return "one of " + ", ".join(str(item) for item in option["enum"])
    if "const" in (form := option.get("properties", {}).get("format", {})):
        return f"format {form['const']}"
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    found = [f"{sign} {option[key]:g}" for key, sign in signs.items() if key in option]
    for part in (option.get("items"), *option.get("prefixItems", ())[:1]):
        if isinstance(part, dict) and (inner := _limits(part)):
            found.append(f"each {inner}")
    if "minItems" in option:
        exact = option["minItems"] == option.get("maxItems")
        found.append(f"{'exactly' if exact else 'at least'} {option['minItems']} items")
    return " and ".join(found)


def _value(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    if isinstance(value, dict):
        return "see its keys" if value else "empty"
    return "empty" if value in ([], "") else str(value)
