from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from cosim import yaml_nodes as module
from cosim.document import (
    Document,
    Position,
    parse_text,
    read_document,
)
from cosim.errors import InputError, Problem
from cosim.validation import problems_from_validation


def problems_of(call: Callable[..., object], *args: object) -> tuple[Problem, ...]:
    with pytest.raises(InputError) as caught:
        call(*args)
    assert caught.value.problems
    return caught.value.problems


def refusals(text: str) -> list[tuple[str, str]]:
    return [(problem.where, problem.what) for problem in problems_of(parse_text, text, "s.yaml")]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    def write_file(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write_file


Write = Callable[[str, str], Path]


# ---------------------------------------------------------------- scalars


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("Null", None),
        ("nULL", "nULL"),
        ("true", True),
        ("True", True),
        ("FALSE", False),
        ("tRUE", "tRUE"),
        ("no", "no"),
        ("NO", "NO"),
        ("yes", "yes"),
        ("on", "on"),
        ("off", "off"),
        ("y", "y"),
        ("0", 0),
        ("-0", 0),
        ("+5", 5),
        ("-3", -3),
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("-0x1F", "-0x1F"),
        ("0b11", "0b11"),
        ("1_000", "1_000"),
        ("1_000.5", "1_000.5"),
        ("1,5", "1,5"),
        ("9" * 100, int("9" * 100)),
        ("1e3", 1000.0),
        ("1.", 1.0),
        (".5", 0.5),
        ("-.5", -0.5),
        ("1.0e+3", 1000.0),
        ("1E-2", 0.01),
        (".", "."),
        ("-", [None]),
        ("+", "+"),
        ("e3", "e3"),
        ("1e", "1e"),
        ("0x", "0x"),
        ("1.2.3", "1.2.3"),
        ("2016-01-18", "2016-01-18"),
        ("2016-01-18T12:00:00Z", "2016-01-18T12:00:00Z"),
        ("18:00", "18:00"),
        ("190:20:30", "190:20:30"),
        ("=", "="),
        ("<<", "<<"),
        ("inf", "inf"),
        ("nan", "nan"),
        ("\N{ARABIC-INDIC DIGIT FIVE}", "\N{ARABIC-INDIC DIGIT FIVE}"),
        ("'1'", "1"),
        ('"true"', "true"),
        ("''", ""),
        ("'null'", "null"),
        ('"a\\tb"', "a\tb"),
        ("|\n  7\n", "7\n"),
        (">-\n  7\n", "7"),
        ("[1, no, {a: 0.5}]", [1, "no", {"a": 0.5}]),
        ("2 # comment", 2),
        ("a#b", "a#b"),
    ],
)
def test_scalars_follow_yaml_1_2(written: str, value: object) -> None:
    separator = "\n" if written == "-" else " "
    read = parse_text(f"key:{separator}{written}", "s.yaml").tree["key"]
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize("written", [".inf", "-.inf", "+.INF", ".nan", ".NaN", "1e999", "-1e999"])
def test_numbers_that_are_not_finite_are_refused(written: str) -> None:
    assert refusals(f"a:\n  b: {written}") == [
        ("s.yaml:2:6", f"'{written}' is not a finite number")
    ]


@pytest.mark.parametrize("written", ["1" * 5000, "0x" + "f" * 5000, "1" * 5000 + ".5"])
def test_absurdly_long_numbers_are_refused(written: str) -> None:
    assert refusals(f"a: {written}") == [("s.yaml:1:4", f"a number of {len(written)} characters")]


def test_every_accepted_integer_converts_to_a_finite_float() -> None:
    longest = "9" * module.MAX_NUMBER_LENGTH
    assert math.isfinite(float(parse_text(f"a: {longest}", "s").tree["a"]))


_text = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp", "Cn")))
_scalar = (
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _text
)
_plain = st.recursive(
    _scalar, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_text, inner, max_size=4)
)


@given(st.dictionaries(_text, _plain, max_size=4))
def test_json_reads_as_it_stands(tree: dict[str, Any]) -> None:
    written = json.dumps(tree, ensure_ascii=False)
    assume(not module.INVISIBLE.search(written))
    assert parse_text(written, "s").tree == tree


# ---------------------------------------------------------------- positions


def test_every_key_and_value_knows_its_place() -> None:
    text = "name: é\n\nmarkets:\n  - kind: pool\n    k: [1, {deep: 2}]\n  -\nempty:\n"
    read = parse_text(text, "dir/s.yaml")
    at = {path: (place.line, place.column) for path, place in read.positions.items()}
    assert at == {
        (): (1, 1),
        ("name",): (1, 7),
        ("markets",): (4, 3),
        ("markets", 0): (4, 5),
        ("markets", 0, "kind"): (4, 11),
        ("markets", 0, "k"): (5, 8),
        ("markets", 0, "k", 0): (5, 9),
        ("markets", 0, "k", 1): (5, 12),
        ("markets", 0, "k", 1, "deep"): (5, 19),
        ("markets", 1): (6, 4),
        ("empty",): (7, 7),
    }
    keys = {path: (place.line, place.column) for path, place in read.key_positions.items()}
    assert keys == {
        ("name",): (1, 1),
        ("markets",): (3, 1),
        ("markets", 0, "kind"): (4, 5),
        ("markets", 0, "k"): (5, 5),
        ("markets", 0, "k", 1, "deep"): (5, 13),
        ("empty",): (7, 1),
    }
    assert str(read.positions["name",]) == "dir/s.yaml:1:7"


def test_byte_order_mark_and_windows_line_ends_do_not_shift_positions() -> None:
    read = parse_text("\ufeffa: 1\r\nb: 2\r\n", "s")
    assert read.tree == {"a": 1, "b": 2}
    assert str(read.key_positions["b",]) == "s:2:1"


# ---------------------------------------------------------------- refusals

REFUSED = {
    "a: 1\nb:\n  c: 1\n  c: 2\n": ("s.yaml:4:3", "duplicate key 'c'"),
    "a: 1\n'a': 2\n": ("s.yaml:2:1", "duplicate key 'a'"),
    "{a: 1, a: 2}": ("s.yaml:1:8", "duplicate key 'a'"),
    "a: !!python/object/apply:os.system [ls]": (
        "s.yaml:1:4",
        "tag 'tag:yaml.org,2002:python/object/apply:os.system' is not allowed",
    ),
    "a: !!int 3": ("s.yaml:1:4", "tag 'tag:yaml.org,2002:int' is not allowed"),
    "a: ! 3": ("s.yaml:1:4", "tag '!' is not allowed"),
    "a:\n - !x [1]": ("s.yaml:2:4", "tag '!x' is not allowed"),
    "a: !x!y 1": ("s.yaml:1:4", "tags ('!...') are not allowed"),
    "a: &x 1": ("s.yaml:1:4", "anchor '&x' is not allowed"),
    "a: *x": ("s.yaml:1:4", "alias '*x' is not allowed"),
    "a: 1\n<<: {b: 2}": ("s.yaml:2:1", "merge key '<<' is not allowed"),
    "*x : 1": ("s.yaml:1:1", "alias '*x' is not allowed"),
    "a: 1\n---\nb: 2\n": ("s.yaml:2:1", "a second document begins here"),
    "a: 1\n...\nb": ("s.yaml:3:1", "text after the end of the document"),
    "1: a": ("s.yaml:1:1", "a key must be text, got 1"),
    "null: a": ("s.yaml:1:1", "a key must be text, got null"),
    "a:\n  true: 1": ("s.yaml:2:3", "a key must be text, got true"),
    ": a": ("s.yaml:1:1", "a key is expected here"),
    "?\n: a": ("s.yaml:1:2", "a key is empty"),
    "[a]: 1": ("s.yaml:1:1", "a key must be text, not a list or mapping"),
    "? {b: 1}\n: 2": ("s.yaml:1:3", "a key must be text, not a list or mapping"),
    "": ("s.yaml", "the file is empty"),
    "# only a comment\n": ("s.yaml", "the file is empty"),
    "---\n": ("s.yaml:2:1", "the top level must be a mapping, got null"),
    "- 1": ("s.yaml:1:1", "the top level must be a mapping, got a list"),
    "# x\n  text": ("s.yaml:2:3", "the top level must be a mapping, got 'text'"),
    "a:\n\tb: 1": ("s.yaml:2:1", "a tab is used as indentation"),
    "a: 1\n\tb: 1": ("s.yaml:2:1", "a tab is used as indentation"),
    "a: @x": ("s.yaml:1:4", "a value cannot start with '@'"),
    "a: b: c": ("s.yaml:1:5", "a ':' is not allowed here"),
    "a: 1\n  b: 2": ("s.yaml:2:4", "a ':' is not allowed here"),
    "a: [1, 2\n": ("s.yaml:2:1", "a list opened with '[' is not closed here"),
    "a: {b: 1\n": ("s.yaml:2:1", "a mapping opened with '{' is not closed here"),
    "a: 'x\n": ("s.yaml:2:1", "a quote is opened but never closed"),
    'a: "\\q"': ("s.yaml:1:5", "unknown escape in a double-quoted text"),
    "a: *": ("s.yaml:1:5", "a value cannot start with '*' or '&'"),
    "a: ]": ("s.yaml:1:4", "a value is expected here"),
    "a: - 1": ("s.yaml:1:4", "a list cannot begin on this line"),
    "a:\n  - 1\n - 2\n": ("s.yaml:3:2", "a key is expected here"),
    "- 1\nb: 2\n": ("s.yaml:2:1", "a list item '- ...' is expected here"),
    "%YAML 3.0\n---\na: 1": ("s.yaml:1:1", "unknown YAML version"),
    "a: 1\nb: x\x00y": ("s.yaml:2:5", "invisible character U+0000"),
    "a: \x1b[31m\x1b[0m": ("s.yaml:1:4", "invisible character U+001B (and 1 more)"),
    "a: 1\r\nb: \u2028": ("s.yaml:2:4", "invisible character U+2028"),
    "a: \ud800": ("s.yaml:1:4", "invisible character U+D800"),
    'a: "\\0"': ("s.yaml:1:4", "invisible character U+0000 in a text"),
    'a: "\\e[2J"': ("s.yaml:1:4", "invisible character U+001B in a text"),
    "a: " + "[" * 50: ("s.yaml:1:36", "nested deeper than 32 levels"),
    "a: " + "{b: " * 50: ("s.yaml:1:129", "nested deeper than 32 levels"),
    "- " * 50: ("s.yaml:1:67", "nested deeper than 32 levels"),
    "a:\n" + "- 1\n" * 20_000: ("s.yaml:19999:3", "more than 20000 keys and values"),
    "a: " + "x" * (1 << 20): ("s.yaml", "the file is larger than 1048576 bytes"),
}


@pytest.mark.parametrize(("text", "expected"), REFUSED.items(), ids=range(len(REFUSED)))
def test_refused_at_its_line_and_column(text: str, expected: tuple[str, str]) -> None:
    assert refusals(text) == [expected]


def test_both_places_of_a_duplicate_are_shown_and_a_remedy_given() -> None:
    (problem,) = problems_of(parse_text, "a: 1\nb: 2\na: 3\n", "s.yaml")
    assert "s.yaml:1:1" in problem.why
    assert problem.remedy


def test_an_unclosed_bracket_names_the_place_where_it_opens() -> None:
    (problem,) = problems_of(parse_text, "a: 1\nb: [1,\nc: 2\n", "s.yaml")
    assert "s.yaml:2:4" in problem.why


def test_all_mistakes_are_reported_at_once() -> None:
    text = "a: .nan\nb: &x 1\nc: *x\na: 2\n4: d\ne: !!str 1\nf:\n  <<: {}\n---\n"
    assert [where for where, _ in refusals(text)] == [
        f"s.yaml:{place}" for place in ("1:4", "2:4", "3:4", "4:1", "5:1", "6:4", "8:3", "9:1")
    ]


def test_mistakes_before_a_syntax_error_are_reported_with_it() -> None:
    assert [where for where, _ in refusals("a: 1\na: 2\nb: [1\n")] == ["s.yaml:2:1", "s.yaml:4:1"]


def test_a_flood_of_mistakes_is_cut() -> None:
    found = refusals("a: 1\n" * 5000)
    assert len(found) == 101
    assert found[-1][1] == "more than 100 problems; reading stopped here"


def test_messages_never_carry_control_characters_of_the_input() -> None:
    for text in ["a: \x1b[2J", 'a: "\\e"', '"\\e": 1\n"\\e": 2']:
        for problem in problems_of(parse_text, text, "s.yaml"):
            assert "\x1b" not in str(problem)


def test_the_slower_yaml_parser_reads_and_refuses_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_LOADER", yaml.SafeLoader)
    same = parse_text("a: {b: [1, no]}\nc: 'd'\n", "s")
    assert same.tree == {"a": {"b": [1, "no"]}, "c": "d"}
    for text, (where, _) in REFUSED.items():
        if len(text) < 10_000 and "\\q" not in text:
            assert [place for place, _ in refusals(text)] == [where], text


# ---------------------------------------------------------------- files


def test_files_read_are_listed_with_their_checksums(write: Write) -> None:
    base = write("base.yaml", "a: 1\n")
    child = write("child.yaml", "extends: base.yaml\n")
    read = read_document(child)
    assert [name for name, _ in read.files] == [str(child), str(base)]
    assert all(len(digest) == 64 for _, digest in read.files)
    assert read.files[1] == (parse_text("a: 1\n", str(base))).files[0]


def test_a_missing_file_names_its_neighbour(write: Write, tmp_path: Path) -> None:
    write("village.yaml", "a: 1")
    (problem,) = problems_of(read_document, tmp_path / "vilage.yaml")
    assert "does not exist" in problem.what
    assert problem.remedy == "did you mean 'village.yaml'?"


def test_unreadable_files_are_problems(tmp_path: Path, write: Write) -> None:
    assert "not a regular file" in problems_of(read_document, tmp_path)[0].what
    assert "not a regular file" in problems_of(read_document, "/dev/zero")[0].what
    assert "cannot be read" in problems_of(read_document, "x" * 5000)[0].what
    assert "cannot be read" in problems_of(read_document, "a\0b.yaml")[0].what
    assert "cannot be read" in problems_of(read_document, write("a", "") / "b.yaml")[0].what


def test_bytes_that_are_not_utf_8_are_refused_at_their_place(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_bytes("a: é\nb: ü".encode() + b"\xff")
    (problem,) = problems_of(read_document, path)
    assert (problem.where, problem.what) == (f"{path}:2:5", "this byte is not UTF-8 text")
    path.write_bytes("a: 1".encode("utf-16"))
    assert problems_of(read_document, path)[0].where == f"{path}:1:1"


@pytest.mark.parametrize("letter", ["a", "é", "€", "😀"])
def test_a_file_of_any_letters_above_the_cap_is_too_large(tmp_path: Path, letter: str) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("a: " + letter * (1 << 20), encoding="utf-8")
    assert "larger than" in problems_of(read_document, path)[0].what


# ---------------------------------------------------------------- extends


def test_the_child_wins_and_positions_follow_the_winner(write: Write) -> None:
    base = write(
        "lib/base.yaml",
        "name: base\nmarket:\n  k: 1\n  cap: 2\nlist: [1, 2]\nold: 1\ngone: {a: 1}\n",
    )
    child = write(
        "child.yaml",
        "extends: lib/base.yaml\nmarket:\n  k: 3\nlist: [9]\nold: null\ngone: ~\nnew: {b: 4}\n",
    )
    read = read_document(child)
    assert read.tree == {
        "name": "base",
        "market": {"k": 3, "cap": 2},
        "list": [9],
        "new": {"b": 4},
    }
    assert str(read.positions["market", "k"]) == f"{child}:3:6"
    assert str(read.positions["market", "cap"]) == f"{base}:4:8"
    assert str(read.key_positions["name",]) == f"{base}:1:1"
    assert str(read.positions[()]) == f"{child}:1:1"
    assert ("list", 1) not in read.positions
    assert ("gone", "a") not in read.positions
    assert ("extends",) not in read.key_positions


def test_bases_chain_and_are_relative_to_the_file_they_stand_in(write: Write) -> None:
    write("one/two/c.yml", "a: c\nc: 1\n")
    write("one/b.yaml", "extends: two/c.yml\na: b\nb: 1\n")
    absolute = write("a.yaml", "extends: ./one/b.yaml\na: a\n")
    assert read_document(absolute).tree == {"a": "a", "b": 1, "c": 1}
    outside = write("elsewhere/x.yaml", f"extends: {absolute}\n")
    assert read_document(outside).tree == {"a": "a", "b": 1, "c": 1}


def test_another_kind_replaces_the_mapping_of_the_base(write: Write) -> None:
    write("base.yaml", "market: {kind: pool, cap: 2}\nother: {kind: pool, cap: 2}\nx: {cap: 1}\n")
    child = write(
        "child.yaml",
        "extends: base.yaml\n"
        "market: {kind: tariff, k: 1}\nother: {kind: pool, k: 1}\nx: {kind: pool}\n",
    )
    assert read_document(child).tree == {
        "market": {"kind": "tariff", "k": 1},
        "other": {"kind": "pool", "cap": 2, "k": 1},
        "x": {"cap": 1, "kind": "pool"},
    }


def test_scalar_and_mapping_replace_each_other(write: Write) -> None:
    write("base.yaml", "a: {b: 1}\nc: 1\n")
    child = write("child.yaml", "extends: base.yaml\na: 2\nc: {d: 1}\n")
    assert read_document(child).tree == {"a": 2, "c": {"d": 1}}


@pytest.mark.parametrize(
    ("extends", "what"),
    [
        ("nothing.txt", "must name one .yaml or .yml file"),
        ("[base.yaml]", "must name one .yaml or .yml file"),
        ("3", "must name one .yaml or .yml file"),
        ("null", "must name one .yaml or .yml file"),
        ("''", "must name one .yaml or .yml file"),
        ("bse.yaml", "does not exist"),
        ("folder.yaml", "is not a regular file"),
        ("child.yaml", "extends itself"),
        ("link.yaml", "extends itself"),
    ],
)
def test_bad_bases_are_refused_at_the_line_of_extends(
    write: Write, tmp_path: Path, extends: str, what: str
) -> None:
    write("base.yaml", "a: 1\n")
    (tmp_path / "folder.yaml").mkdir()
    child = write("child.yaml", f"a: 1\nextends: {extends}\n")
    (tmp_path / "link.yaml").symlink_to(child)
    (problem,) = problems_of(read_document, child)
    assert what in problem.what
    assert problem.where == f"{child}:2:10"
    if extends == "bse.yaml":
        assert problem.remedy == "did you mean 'base.yaml'?"


def test_cycles_and_long_chains_are_refused(write: Write) -> None:
    write("a.yaml", "extends: b.yaml\n")
    b = write("b.yaml", "extends: a.yaml\n")
    (problem,) = problems_of(read_document, b)
    assert "extends itself" in problem.what
    for number in range(10):
        write(f"{number}.yaml", f"extends: {number + 1}.yaml\n")
    last = write("8.yaml", "a: 1\n")
    assert read_document(last.with_name("0.yaml")).tree == {"a": 1}
    write("8.yaml", "extends: 9.yaml\n")
    write("9.yaml", "a: 1\n")
    (problem,) = problems_of(read_document, last.with_name("0.yaml"))
    assert problem.what == "more than 8 files extend each other"


def test_mistakes_of_all_files_and_overrides_come_together(write: Write) -> None:
    base = write("base.yaml", "a: .inf\n")
    child = write("child.yaml", "extends: base.yaml\nb: 1\nb: 2\n")
    with pytest.raises(InputError) as caught:
        read_document(child, ["oops", "a=[1"])
    assert [problem.where for problem in caught.value.problems] == [
        f"{child}:3:1",
        f"{base}:1:4",
        "--set oops",
        "--set 'a=[1'",
    ]


# ---------------------------------------------------------------- overrides

SCENARIO = """\
name: village
market: {kind: pool, k: 1, cap: 3}
disturbances:
  - {kind: cloud, factor: 0.5}
  - {kind: fault}
nothing: null
empty: []
"""


def overridden(write: Write, *overrides: str) -> Document:
    return read_document(write("s.yaml", SCENARIO), overrides)


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("market.k=2", ("market", "k"), 2),
        ("market.k = 2 ", ("market", "k"), 2),
        ("market.k=010", ("market", "k"), 10),
        ("name=no", ("name",), "no"),
        ("name='1'", ("name",), "1"),
        ("name=a=b", ("name",), "a=b"),
        ("name=18:00", ("name",), "18:00"),
        ("disturbances.0.factor=1.5", ("disturbances", 0, "factor"), 1.5),
        ("disturbances.1=cloud", ("disturbances", 1), "cloud"),
        ("disturbances.1={bus: 3}", ("disturbances", 1), {"kind": "fault", "bus": 3}),
        ("disturbances=[]", ("disturbances",), []),
        ("market={k: 2}", ("market",), {"kind": "pool", "k": 2, "cap": 3}),
        ("market={kind: x}", ("market",), {"kind": "x"}),
        ("market.kind=x", ("market",), {"kind": "x"}),
        ("market.cap=null", ("market",), {"kind": "pool", "k": 1}),
        ("new.deep.key=[1, {a: b}]", ("new", "deep", "key"), [1, {"a": "b"}]),
        ("nothing.a=1", ("nothing", "a"), 1),
    ],
)
def test_overrides(write: Write, override: str, path: tuple[Any, ...], value: object) -> None:
    read = overridden(write, override)
    found: Any = read.tree
    for step in path:
        found = found[step]
    assert found == value
    if "null" not in override and "kind" not in override and "{" not in override:
        assert str(read.positions[path]).startswith("--set ")


def test_overrides_are_named_by_their_text(write: Write) -> None:
    read = overridden(write, "market.k=2", "new.a={b: 1}")
    assert str(read.positions["market", "k"]) == "--set market.k=2"
    assert str(read.key_positions["market", "k"]) == "--set market.k=2"
    assert str(read.positions["new", "a", "b"]) == "--set 'new.a={b: 1}'"
    assert str(read.positions["market",]).endswith("s.yaml:2:9")


def test_a_kind_does_not_undo_an_override_written_before_it(write: Write) -> None:
    assert overridden(write, "market.k=7", "market.kind=x").tree["market"] == {"kind": "x", "k": 7}


def test_the_last_of_two_equal_overrides_wins(write: Write) -> None:
    assert overridden(write, "name=a", "name=b").tree["name"] == "b"


@pytest.mark.parametrize(
    ("override", "where", "what"),
    [
        ("market.k", "--set market.k", "this is not an override"),
        ("=1", "--set =1", "this is not an override"),
        ("a..b=1", "--set a..b=1", "this is not an override"),
        (".a=1", "--set .a=1", "this is not an override"),
        ("", "--set ''", "this is not an override"),
        (".".join("a" * 40) + "=1", None, "this is not an override"),
        ("na\x1bme=1", "--set 'na\\x1bme=1'", "this is not an override"),
        ("name=", "--set name=", "there is no value after '='"),
        ("name=#fff", "--set 'name=#fff'", "there is no value after '='"),
        ("name=[1", "--set 'name=[1'", "a list opened with '[' is not closed here"),
        ("name=.nan", "--set name=.nan", "'.nan' is not a finite number"),
        ("name=&a b", "--set 'name=&a b'", "anchor '&a' is not allowed"),
        ("name={a: 1, a: 2}", "--set 'name={a: 1, a: 2}'", "duplicate key 'a'"),
        ("name=b: c", "--set 'name=b: c'", "the value is neither one word"),
        ("name=a\x1bb", None, "the value is too long or contains invisible characters"),
        ("name=" + "[" * 99, None, "nested deeper than 32 levels"),
        ("name.x=1", "--set name.x=1", "'name' is 'village' and has no key 'x'"),
        ("disturbances.2=1", "--set disturbances.2=1", "'disturbances' is a list and has no item"),
        ("disturbances.-1=1", "--set disturbances.-1=1", "'disturbances' is a list"),
        ("disturbances.x.y=1", "--set disturbances.x.y=1", "'disturbances' is a list"),
        ("empty.0=1", "--set empty.0=1", "'empty' is a list and has no item '0'"),
    ],
)
def test_bad_overrides(write: Write, override: str, where: str | None, what: str) -> None:
    (problem,) = problems_of(read_document, write("s.yaml", SCENARIO), [override])
    assert problem.what.startswith(what)
    assert where is None or problem.where == where
    assert str(problem).replace("\n", "").isprintable()


# ---------------------------------------------------------------- validation


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Pool(Strict):
    kind: Literal["pool"]
    k: Annotated[float, Field(ge=0)]


class Tariff(Strict):
    kind: Literal["tariff"]
    price: float


class Scenario(Strict):
    feeder: str
    policies: list[str] = []
    market: Annotated[Pool | Tariff, Field(discriminator="kind")]
    mode: Literal["fast", "exact"] = "fast"
    steps: int = 1
    flag: bool = False
    size: float | list[float] = 1.0
    loads: dict[str, float] = {}
    pair: Annotated[list[int], Field(min_length=2)] = [1, 2]
    word: Annotated[str, Field(pattern="^[a-z]+$")] = "a"
    start_s: int = 0
    end_s: int = 1

    @model_validator(mode="after")
    def _check_order(self) -> Scenario:
        if self.end_s <= self.start_s:
            raise ValueError("end_s must come after start_s")
        return self


def known_names(path: tuple[str | int, ...]) -> Iterator[str]:
    yield from Scenario.model_fields if path == () else ("kind", "k")


def validate(text: str) -> list[tuple[str, str, str]]:
    read = parse_text(text, "s")
    with pytest.raises(ValidationError) as caught:
        Scenario.model_validate(read.tree)
    found = problems_from_validation(caught.value, read, known_names)
    return [(problem.where, problem.what, problem.remedy) for problem in found]


GOOD = "feeder: f\nmarket: {kind: pool, k: 1}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GOOD + "polices: [a]", ("s:3:1", "unknown key 'polices'", "did you mean 'policies'?")),
        (
            "feeder: f\nmarket: {kind: pool, k: 1, kk: 2}",
            ("s:2:28", "unknown key 'kk'", "did you mean 'k'?"),
        ),
        (
            "\nmarket: {kind: pool, k: 1}",
            ("s:2:1", "missing key 'feeder'", "add 'feeder: ...' here"),
        ),
        ("feeder: f\nmarket: {kind: pool}", ("s:2:9", "missing key 'k'", "add 'k: ...' here")),
        ("feeder: f\nmarket: {k: 1}", ("s:2:9", "missing key 'kind'", "add 'kind: ...' here")),
        (
            "feeder: f\nmarket: {kind: pol}",
            ("s:2:16", "unknown kind 'pol'", "did you mean 'pool'?"),
        ),
        ("feeder: f\nmarket: 3", ("s:2:9", "market must be a mapping, got 3", "")),
        (
            "feeder: f\nmarket: {kind: pool, k: -3}",
            ("s:2:25", "market.k must be at least 0, got -3", ""),
        ),
        (
            "feeder: f\nmarket: {kind: pool, k: abc}",
            ("s:2:25", "market.k must be a number, got 'abc'", ""),
        ),
        (GOOD + "steps: 1.5", ("s:3:8", "steps must be a whole number, got 1.5", "")),
        (GOOD + "steps: null", ("s:3:8", "steps must be a whole number, got null", "")),
        (GOOD + "flag: no", ("s:3:7", "flag must be true or false, got 'no'", "")),
        (GOOD + "policies: [1]", ("s:3:12", "policies.0 must be text, got 1", "")),
        (GOOD + "policies: a", ("s:3:11", "policies must be a list, got 'a'", "")),
        (GOOD + "pair: [1]", ("s:3:7", "pair must be at least 2 items long, got [1]", "")),
        (GOOD + "word: A1", ("s:3:7", "word must be a text that matches ^[a-z]+$, got 'A1'", "")),
        (
            GOOD + "mode: exac",
            ("s:3:7", "mode must be 'fast' or 'exact', got 'exac'", "did you mean 'exact'?"),
        ),
        (GOOD + "size: x", ("s:3:7", "size must be a number or a list, got 'x'", "")),
        (GOOD + "end_s: 0", ("s:1:1", "end_s must come after start_s", "")),
        (GOOD + "loads: {a: x}", ("s:3:12", "loads.a must be a number, got 'x'", "")),
        (
            GOOD + "steps: " + "x" * 200,
            ("s:3:8", "steps must be a whole number, got '" + "x" * 56 + "...", ""),
        ),
    ],
)
def test_validation_errors_point_at_the_user_s_line(
    text: str, expected: tuple[str, str, str]
) -> None:
    assert validate(text) == [expected]


def test_validation_errors_come_together_in_the_order_of_the_lines() -> None:
    text = "steps: x\nfeder: f\nmarket: {kind: pool, k: -1}\nmode: z\n"
    assert [where for where, _, _ in validate(text)] == [
        "s:1:1",
        "s:1:8",
        "s:2:1",
        "s:3:25",
        "s:4:7",
    ]


def test_validation_errors_of_an_override_name_it(write: Write) -> None:
    read = read_document(write("s.yaml", GOOD), ["market.k=-3", "markt.k=1"])
    with pytest.raises(ValidationError) as caught:
        Scenario.model_validate(read.tree)
    assert [str(problem) for problem in problems_from_validation(caught.value, read)] == [
        "--set market.k=-3: market.k must be at least 0, got -3",
        "--set markt.k=1: unknown key 'markt'",
    ]


def test_an_error_below_a_value_that_a_validator_rewrote_points_at_the_value() -> None:
    class Short(Strict):
        market: Pool

        @model_validator(mode="before")
        @classmethod
        def _spell_out(cls, data: Any) -> Any:
            return {"market": {"kind": data["market"], "k": "x"}}

    read = parse_text("market: pool", "s")
    with pytest.raises(ValidationError) as caught:
        Short.model_validate(read.tree)
    (problem,) = problems_from_validation(caught.value, read)
    assert str(problem) == "s:1:9: market must be a number, got 'x'"


def test_errors_of_keys_roots_and_custom_types_have_a_place() -> None:
    class Table(RootModel[dict[Annotated[str, Field(max_length=2)], int]]):
        @model_validator(mode="after")
        def _refuse(self) -> Table:
            raise PydanticCustomError("odd", "this table is odd")

    class Rows(RootModel[list[int]]):
        pass

    def messages(model: type[BaseModel], text: str) -> list[str]:
        read = parse_text(text, "s")
        with pytest.raises(ValidationError) as caught:
            model.model_validate(read.tree)
        return [str(problem) for problem in problems_from_validation(caught.value, read)]

    assert messages(Table, "a: 1\nabc: 2") == [
        "s:2:1: abc must be a text of at most 2 characters, got 'abc'"
    ]
    assert messages(Table, "a: 1") == ["s:1:1: this table is odd"]
    assert messages(Rows, "a: 1") == ["s:1:1: must be a list, got {'a': 1}"]


# ---------------------------------------------------------------- fuzz

SEEDS = (
    SCENARIO,
    GOOD,
    "a: |\n  text\n  more\nb: >-\n  folded\nc: \"q\\n\"\nd: 'it''s'\n",
    "? a\n: - b\n  - [c, {d: e}]\n# comment\n--- \n",
    "a: &x {b: 1}\nc: *x\n<<: *x\nd: !!binary aGk=\ne: 2016-01-18\nf: 0x1F\n",
)
PIECES = (
    *"[]{},:-?&*!|>'\"%@`#~<=. \t\n\r\\0é😀\ufeff\x00\x1b\u2028\ud800",
    "---\n",
    "...\n",
    "!!python/name:os.system ",
    "&a ",
    "*a",
    "<<: ",
    "1" * 5000,
    "1e999",
    ".nan",
    "[" * 40,
    "{a: " * 40,
    "- " * 40,
    "? " * 40,
    "\n  ",
    "extends: x.yaml\n",
    "%YAML 1.1\n",
    "%TAG ! tag:x\n",
    "x" * 3000,
    '"\\ud83d\\U0010ffff"',
    "|9\n",
    "k: v\n" * 30,
)
BOMBS = (
    "[" * 30_000,
    "{" * 30_000,
    "{a: " * 10_000,
    "- " * 30_000,
    "? " * 30_000,
    "a: " * 20_000,
    "[{" * 20_000,
    "\n".join("a" * depth + ":" for depth in range(1, 300)),
    "\n".join(" " * depth + "a:" for depth in range(300)),
    "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60)),
    "a: " + "x" * 100_000,
    "a: '" + "x" * 100_000,
    "a: " + "x: " * 5_000,
    "a: " + "9" * 100_000,
    "a: " + "1" * 100_000 + "." + "e" * 100_000,
    "a: [" + "1, " * 2_500,
    "a: 1\n" * 20_000,
    "#" * 200_000,
    "\n" * 200_000,
    "&a " * 20_000,
    "! " * 20_000,
    "a: " + "!" * 50_000,
    '"' + "\\" * 100_000,
    "%" * 100_000,
    "a: |\n" + "  x\n" * 20_000,
)


def fuzzed(rng: random.Random) -> str:
    """Return random bytes, a bomb cut short, or valid text with a few mutations."""
    shape = rng.random()
    if shape < 0.1:
        return rng.randbytes(rng.randrange(200)).decode("utf-8", "surrogateescape")
    if shape < 0.2:
        return "".join(rng.choices(PIECES, k=rng.randrange(1, 40)))
    text = rng.choice(SEEDS)
    for _ in range(rng.randrange(1, 6)):
        start = rng.randrange(len(text) + 1)
        end = start + rng.choice((0, 0, 1, 1, rng.randrange(20)))
        text = text[:start] + rng.choice(PIECES) + text[end:]
    return text


def seconds_to_read(text: str) -> float:
    """Return the processor time of one reading, which must give a document or an InputError."""
    began = time.process_time()
    try:
        read = parse_text(text, "fuzz.yaml")
    except InputError as error:
        assert error.problems
        assert all(problem.what for problem in error.problems)
    else:
        assert isinstance(read.tree, dict)
        assert () in read.positions
        json.dumps(read.tree, allow_nan=False)
    return time.process_time() - began


def test_fuzzed_text_is_read_or_refused() -> None:
    rng = random.Random(1)
    for _ in range(3_000):
        seconds_to_read(fuzzed(rng))


@pytest.mark.parametrize("text", BOMBS, ids=range(len(BOMBS)))
def test_bombs_are_read_or_refused(text: str) -> None:
    assert seconds_to_read(text) < 2.0


@pytest.mark.slow
def test_a_hundred_thousand_fuzzed_texts_are_read_or_refused_in_50_ms_each() -> None:
    rng = random.Random(2)
    slow = [text for text in (fuzzed(rng) for _ in range(100_000)) if seconds_to_read(text) > 0.05]
    assert len(slow) < 100  # a pause of the interpreter, or the text itself: that shows again
    assert all(min(seconds_to_read(text) for _ in range(3)) < 0.05 for text in slow)


def test_files_of_fuzzed_bytes_are_read_or_refused(tmp_path: Path) -> None:
    path, rng = tmp_path / "s.yaml", random.Random(4)
    for _ in range(500):
        content = bytearray(SCENARIO.encode())
        for _ in range(rng.randrange(4)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        path.write_bytes(content)
        try:
            read = read_document(path, ["market.k=2"])
        except InputError as error:
            assert error.problems
        else:
            assert isinstance(read.tree, dict)


def test_fuzzed_overrides_are_applied_or_refused(write: Write) -> None:
    path, rng = write("s.yaml", SCENARIO), random.Random(3)
    keys = ("market", "k", "kind", "disturbances", "0", "7", "", "é", "\x1b", "name", "a" * 300)
    for _ in range(1_000):
        name = ".".join(rng.choices(keys, k=rng.randrange(1, 5)))
        value = "".join(rng.choices(PIECES, k=rng.randrange(4)))
        try:
            read = read_document(path, [f"{name}={value}", "market.cap=4"])
        except InputError as error:
            assert error.problems
        else:
            assert isinstance(read.tree, dict)


def test_positions_are_plain_values() -> None:
    assert Position("s", 1, 2) == Position("s", 1, 2)
    assert str(Position("--set a=1", 0, 0)) == "--set a=1"
