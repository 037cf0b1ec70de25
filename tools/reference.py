"""Write docs/reference.md from the code: scenario keys, plug-ins, features, tables, key figures.

python tools/reference.py            writes the file
python tools/reference.py --check    exits with 1 where the file is not what the code says
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cosim import plugins
from cosim.case import load_case
from cosim.glossary import KPIS
from cosim.observe import ACTIONS, FEATURES, Quantity
from cosim.policy import Policy
from cosim.record.day import Day, Scope, stack
from cosim.record.manifest import columns_json
from cosim.record.tables import tables_of
from cosim.report.figures import FIGURES
from cosim.scenario import Scenario, load_scenario
from cosim.timeseries.formats import FORMATS, SeriesFile

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs" / "reference.md"
EXAMPLE = ROOT / "scenarios" / "ten_lines.yaml"  # any scenario: every run has the same columns
Json = dict[str, Any]

#: kind of plug-in -> its heading, and how it stands in a scenario
KINDS = {
    "market": ("Markets", "market: {kind: NAME, option: value}"),
    "policy": ("Policies", "policies: {own_name: {kind: NAME, option: value}}"),
    "disturbance": ("Disturbances", "disturbances: [{kind: NAME, option: value}]"),
    "profiles": ("Profile sources", "profiles: {kind: NAME, option: value}"),
    "forecast": ("Forecasts", "forecast: {kind: NAME, option: value}"),
}
HEAD = """\
# Reference

<!-- written by tools/reference.py; edit the code, then run it again -->

Every key, plug-in, feature, column and key figure, taken from the code. How they work together:
[scenarios](scenarios.md), [data](data.md), [outputs](outputs.md), [plug-ins](plugins.md),
[model](model.md). `python -m cosim explain NAME` says the same on the command line, and
`python -m cosim schema` prints the JSON schema.

* [Scenario keys](#scenario-keys)
* [Markets](#markets), [Policies](#policies), [Disturbances](#disturbances),
  [Profile sources](#profile-sources), [Series](#series)
* [Features](#features) and [Actions](#actions)
* [Tables](#tables), [Key figures](#key-figures), [Figures](#figures)
"""
KEYS = """\
Names carry their unit; where they cannot, it stands in brackets. `<name>` is a name of your choice,
`[]` each item of a list. An interval with round brackets leaves out its bound. Unknown keys are
errors. `extends` may name another scenario file, relative to this one.
"""
TABLE_NOTE = """\
The tables are folders of Parquet files, the last three are CSV; `columns.json` in a run folder says
the same. Times are UTC. What each table is for: [outputs](outputs.md).
"""


class Key(NamedTuple):
    """One row of a table of keys."""

    path: str
    value: str
    default: str
    meaning: str


# ---------------------------------------------------------------- Markdown


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def code(text: str) -> str:
    """Return a name as it stands in a file, empty where it is."""
    return f"`{text}`" if text else ""


def first_line(text: str | None) -> str:
    """Return the first line of a docstring without its full stop."""
    return (text or "").strip().partition("\n")[0].rstrip(".")


# ---------------------------------------------------------------- keys from a JSON schema


def keys(model: Json, definitions: Json, prefix: str = "") -> Iterator[Key]:
    """Yield the keys of a model, each followed by the keys below it."""
    required = model.get("required", ())
    for name, field in model.get("properties", {}).items():
        default = "required" if name in required else _default(field)
        text = field.get("description") or _described(field, definitions)
        yield Key(prefix + name, _value(field, definitions), default, text)
        if _is_series(field):
            continue  # its keys are those of the formats
        for step, below in _models(field, definitions):
            yield from keys(below, definitions, f"{prefix}{name}{step}.")


def _is_series(field: Json) -> bool:
    """Return whether a field takes a series in one of the formats."""
    places = (field, *field.get("anyOf", ()))
    return any(place.get("discriminator", {}).get("propertyName") == "format" for place in places)


def _options(field: Json, definitions: Json) -> list[Json]:
    """Return the alternatives of a field, null left out and references followed."""
    if "$ref" in field:
        return [definitions[field["$ref"].rpartition("/")[2]]]
    places = (*field.get("anyOf", ()), *field.get("oneOf", ()))
    found = [o for each in places for o in _options(each, definitions)]
    return [o for o in found or [field] if o.get("type") != "null"]


def _models(field: Json, definitions: Json) -> Iterator[tuple[str, Json]]:
    """Yield the models below a field and the step that leads to each."""
    for option in _options(field, definitions):
        if "properties" in option:
            yield "", option
        for step, place in ((".<name>", "additionalProperties"), ("[]", "items")):
            if isinstance(option.get(place), dict):
                for below in _options(option[place], definitions):
                    if "properties" in below:
                        yield step, below


def _described(field: Json, definitions: Json) -> str:
    options = _options(field, definitions)
    return first_line(options[0].get("description")) if options else ""


def _value(field: Json, definitions: Json) -> str:
    """Return in words what a field takes."""
    if _is_series(field):
        return "mapping: see [series](#series)"
    return " or ".join(dict.fromkeys(_words(o, definitions) for o in _options(field, definitions)))


def _words(option: Json, definitions: Json) -> str:
    if "enum" in option:
        return ", ".join(code(str(item)) for item in option["enum"])
    if "prefixItems" in option:
        parts = [_value(item, definitions) for item in option["prefixItems"]]
        return f"list of {len(parts)}: {parts[0]}"
    kind = {"array": _list, "object": _mapping}.get(option.get("type", ""))
    if kind:
        return kind(option, definitions)
    if str(option.get("format")).startswith("date"):
        return "time"
    scalars = {"number": "number", "integer": "whole number", "boolean": "`true`, `false`"}
    words = scalars.get(option.get("type", ""), "text")
    return f"{words} {_bounds(option)}".rstrip()


def _list(option: Json, definitions: Json) -> str:
    count = option.get("minItems")
    size = f"{count} " if count and count == option.get("maxItems") else ""
    inner = _value(option["items"], definitions)
    return f"list of {size}{inner}"


def _mapping(option: Json, definitions: Json) -> str:
    below = option.get("additionalProperties")
    if option.get("title") == "Plugin":
        return "plug-in"
    return f"mapping of {_value(below, definitions)}" if isinstance(below, dict) else "mapping"


def _bounds(option: Json) -> str:
    """Return an interval such as [0, 1], where there is one."""
    low = _bound(option, "minimum", "exclusiveMinimum", "[(")
    high = _bound(option, "maximum", "exclusiveMaximum", "])")
    if not (low or high):
        return ""
    return f"{low or '(-inf'}, {high or 'inf)'}"


def _bound(option: Json, inclusive: str, exclusive: str, brackets: str) -> str:
    for name, bracket in zip((inclusive, exclusive), brackets, strict=True):
        if name in option:
            shown = f"{option[name]:.15g}" if option[name] < 1e15 else "2^63"
            return bracket + shown if brackets[0] == "[" else shown + bracket
    return ""


def _default(field: Json) -> str:
    value = field.get("default")
    if "default" not in field or isinstance(value, dict):
        return ""
    if value is None:
        return "none"
    if value in ([], ""):
        return "empty"
    return code(value if isinstance(value, str) else json.dumps(value))


# ---------------------------------------------------------------- parts of the page


def scenario_part() -> str:
    """Return the scenario's keys: a table for each top-level mapping, one for the rest."""
    schema = Scenario.model_json_schema()
    groups: dict[str, list[Key]] = {"": []}
    for key in keys(schema, schema["$defs"]):
        top = key.path.partition(".")[0].partition("[")[0]
        if key.path == top:
            groups[""].append(_with_kind(key))
        else:
            groups.setdefault(top, []).append(key)
    return KEYS + "".join(
        (f"\n### {top}\n\n" if top else "\n") + _key_table(rows) for top, rows in groups.items()
    )


def _with_kind(key: Key) -> Key:
    """Return a top-level key; where plug-ins stand, with a link to them."""
    kind = plugins.KIND_OF_FIELD.get(key.path)
    if kind is None:
        return key
    title = KINDS[kind][0]
    link = f"[{title.lower()}](#{title.lower().replace(' ', '-')})"
    meaning = "" if key.meaning == first_line(plugins.Plugin.__doc__) else key.meaning
    return key._replace(value=f"{key.value}: see {link}", meaning=meaning)


def _key_table(rows: Iterable[Key]) -> str:
    shown = ((code(key.path), key.value, key.default, key.meaning) for key in rows)
    return table(("key", "value", "default", "meaning"), shown)


def series_part() -> str:
    """Return every format of series with its keys."""
    usage = "series: {format: NAME, file: prices.csv, key: value}"
    sections = [_format(name, each) for name, each in FORMATS.items()]
    return f"In a scenario: `{usage}`.\n\n" + "\n".join(sections)


def _format(name: str, each: type[SeriesFile]) -> str:
    schema = each.model_json_schema()
    rows = [key for key in keys(schema, schema.get("$defs", {})) if key.path != "format"]
    text = first_line(sys.modules[each.__module__].__doc__).rstrip(":")
    return f"### {name}\n\n{text}.\n\n" + _key_table(rows)


def plugin_part(kind: str) -> str:
    """Return every plug-in of a kind with its options."""
    usage = KINDS[kind][1]
    sections = [_plugin(kind, name) for name in plugins.names(kind)]
    short = "without options, the name alone will do"
    return f"In a scenario: `{usage}`; {short}.\n\n" + "\n".join(sections)


def _plugin(kind: str, name: str) -> str:
    plugin = plugins.load(kind, name)
    schema = plugin.model_json_schema()
    rows = list(keys(schema, schema.get("$defs", {})))
    text = first_line(sys.modules[plugin.__module__].__doc__).replace("``", "`")
    head = f"### {name}\n\n{text}.{_sight(plugin)}\n"
    return head + ("\n" + _key_table(rows) if rows else "")


def _sight(plugin: type[plugins.Plugin]) -> str:
    """Return what a policy sees and decides, where its class says so."""
    if not issubclass(plugin, Policy) or not isinstance(plugin.features, tuple):
        return ""
    seen = ", ".join(map(code, plugin.features)) or "nothing"
    draws = f" Draws: {plugin.draws}." if plugin.draws else ""
    return f" Sees {seen}; decides {', '.join(map(code, plugin.actions))}.{draws}"


def quantity_part(quantities: Mapping[str, Quantity]) -> str:
    """Return a table of quantities with unit and meaning."""
    rows = (
        (code(name), quantity.unit, _signed(quantity.meaning, getattr(quantity, "sign", "")))
        for name, quantity in quantities.items()
    )
    return table(("name", "unit", "meaning"), rows)


def _signed(meaning: str, sign: str) -> str:
    return f"{meaning} ({sign})" if sign else meaning


def tables_part() -> str:
    """Return every table of a run with its columns."""
    scope = Scope(load_case(load_scenario(EXAMPLE)))
    tables = tables_of(stack(Day(0), scope), scope)
    every = columns_json({name: tuple(columns) for name, columns in tables.items()})
    return TABLE_NOTE + "".join(
        f"\n### {name}\n\n"
        + table(
            ("column", "unit", "meaning"),
            ((code(c), e["unit"], _signed(e["meaning"], e["sign"])) for c, e in columns.items()),
        )
        for name, columns in every.items()
    )


def figures_part() -> str:
    """Return the pictures of a run and what they show."""
    rows = ((code(f"figures/{n}.png"), first_line(draw.__doc__)) for n, draw in FIGURES.items())
    return table(("file", "content"), rows)


def reference() -> str:
    """Return the whole page."""
    parts = {
        "Scenario keys": scenario_part(),
        **{KINDS[kind][0]: plugin_part(kind) for kind in KINDS},
        "Series": series_part(),
        "Features": quantity_part(FEATURES),
        "Actions": quantity_part(ACTIONS),
        "Tables": tables_part(),
        "Key figures": quantity_part(KPIS),
        "Figures": figures_part(),
    }
    return HEAD + "".join(f"\n## {title}\n\n{text}" for title, text in parts.items())


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page, or say whether it is what the code says."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        description=__doc__, allow_abbrev=False, formatter_class=layout
    )
    parser.add_argument("--check", action="store_true", help="write nothing")
    wanted = reference()
    if not parser.parse_args(arguments).check:
        REFERENCE.write_text(wanted, encoding="utf-8")
        return 0
    if REFERENCE.is_file() and REFERENCE.read_text(encoding="utf-8") == wanted:
        return 0
    print(f"{REFERENCE} is not up to date; run: python tools/reference.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
