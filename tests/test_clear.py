"""The verb that clears a book from a file: outcome, invariants, and what it refuses."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cosim.__main__ import main

HEADER = "prosumer,quantity_kwh,price_eur_per_kwh\n"
COUNTER = ["s1,-1,0.10", "s2,-1,0.18", "b1,1,0.20", "b2,1,0.12"]
FEED_IN, RETAIL = 0.05, 0.30
KEYS = {
    "volume_kwh",
    "buy_price_eur_per_kwh",
    "sell_price_eur_per_kwh",
    "average_buy_price_eur_per_kwh",
    "average_sell_price_eur_per_kwh",
    "fills_kwh",
    "payments_eur",
    "welfare_eur",
    "operator_surplus_eur",
}

Clear = Callable[..., tuple[int, str, str]]


@pytest.fixture
def clear(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Clear:
    """Return a function that clears a text or bytes: exit code, stdout, stderr."""

    def call(content: str | bytes, *options: str, market: str = "uniform_price") -> Any:
        path = tmp_path / "orders.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        tariff = ["--feed-in", str(FEED_IN), "--retail", str(RETAIL)]
        code = main(["clear", str(path), "--market", market, *tariff, *options])
        out, err = capsys.readouterr()
        return code, out, err.replace(str(tmp_path) + "/", "")

    return call


def outcome(clear: Clear, rows: list[str], **settings: Any) -> dict[str, Any]:
    code, out, err = clear(HEADER + "\n".join(rows) + "\n", "--json", **settings)
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert set(found) == KEYS
    return found


def refused(clear: Clear, content: str | bytes, *options: str) -> str:
    code, out, err = clear(content, *options)
    assert (code, out) == (2, "")
    assert "Traceback" not in err
    return err


def test_the_counter_example_trades_one_unit_inside_its_price_range(clear: Clear) -> None:
    found = outcome(clear, COUNTER)
    assert found["volume_kwh"] == pytest.approx(1.0)
    assert 0.12 <= found["buy_price_eur_per_kwh"] <= 0.18
    assert found["buy_price_eur_per_kwh"] == found["sell_price_eur_per_kwh"]
    assert found["fills_kwh"] == pytest.approx([-1.0, 0.0, 1.0, 0.0])
    assert found["welfare_eur"] == pytest.approx(0.10)


@pytest.mark.parametrize(("k", "price"), [("0", 0.12), ("0.5", 0.15), ("1", 0.18)])
def test_an_option_of_the_mechanism_is_taken(clear: Clear, k: str, price: float) -> None:
    text = HEADER + "\n".join(COUNTER)
    code, out, _ = clear(text, "--json", "--option", f"k={k}")
    assert code == 0
    assert json.loads(out)["buy_price_eur_per_kwh"] == pytest.approx(price)


def book(seed: int) -> list[str]:
    """Return a random book; prosumers may have several orders, prices may tie."""
    rng = random.Random(seed)
    return [
        f"p{rng.randrange(9)},{rng.choice((-1, 1)) * rng.uniform(0.0, 3.0)!r},"
        f"{rng.choice((0.08, 0.12, rng.uniform(0.0, 0.4)))!r}"
        for _ in range(rng.randrange(1, 30))
    ]


@pytest.mark.parametrize("market", ["uniform_price", "none"])
@pytest.mark.parametrize("seed", range(25))
def test_the_average_prices_close_the_books(clear: Clear, seed: int, market: str) -> None:
    rows = book(seed)
    found = outcome(clear, rows, market=market)
    quantities = [float(row.split(",")[1]) for row in rows]
    requested = sum(q for q in quantities if q > 0.0)
    offered = -sum(q for q in quantities if q < 0.0)
    buy = found["average_buy_price_eur_per_kwh"]
    sell = found["average_sell_price_eur_per_kwh"]
    assert (buy is None, sell is None) == (requested == 0.0, offered == 0.0)
    volume = found["volume_kwh"]
    paid = (buy or 0.0) * requested + FEED_IN * (offered - volume)
    earned = (sell or 0.0) * offered + RETAIL * (requested - volume)
    assert paid == pytest.approx(earned, abs=1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_the_order_of_rows_changes_no_bit(clear: Clear, seed: int) -> None:
    rows = book(seed)
    shuffled = random.Random(seed).sample(range(len(rows)), len(rows))
    first = outcome(clear, rows)
    second = outcome(clear, [rows[i] for i in shuffled])
    assert second.pop("fills_kwh") == [first["fills_kwh"][i] for i in shuffled]
    assert second.pop("payments_eur") == [first["payments_eur"][i] for i in shuffled]
    first.pop("fills_kwh"), first.pop("payments_eur")
    assert second == first


def test_no_market_leaves_everything_to_the_grid(clear: Clear) -> None:
    found = outcome(clear, COUNTER, market="none")
    assert found == {
        "volume_kwh": 0.0,
        "buy_price_eur_per_kwh": None,
        "sell_price_eur_per_kwh": None,
        "average_buy_price_eur_per_kwh": pytest.approx(RETAIL),
        "average_sell_price_eur_per_kwh": pytest.approx(FEED_IN),
        "fills_kwh": [0.0, 0.0, 0.0, 0.0],
        "payments_eur": [0.0, 0.0, 0.0, 0.0],
        "welfare_eur": 0.0,
        "operator_surplus_eur": 0.0,
    }


def test_one_side_empty_has_no_price(clear: Clear) -> None:
    found = outcome(clear, ["a,1,0.2", "b,2,0.1"])
    assert found["volume_kwh"] == 0.0
    assert found["buy_price_eur_per_kwh"] is None
    assert found["average_buy_price_eur_per_kwh"] == pytest.approx(RETAIL)
    assert found["average_sell_price_eur_per_kwh"] is None


def test_a_book_without_orders_is_cleared(clear: Clear) -> None:
    assert outcome(clear, [])["fills_kwh"] == []


def test_the_table_names_the_orders_and_the_figures(clear: Clear) -> None:
    code, out, _ = clear(HEADER + "\n".join(COUNTER))
    assert code == 0
    lines = out.splitlines()
    assert lines[0].split("  ")[0] == "prosumer"
    assert any(line.startswith("volume") and line.endswith("1 kWh") for line in lines)
    assert any(line.startswith("price paid by buyers") and "0.15" in line for line in lines)


def test_columns_may_stand_in_any_order_with_spaces_and_a_byte_order_mark(clear: Clear) -> None:
    text = " price_eur_per_kwh , prosumer,quantity_kwh\r\n0.1,a,-1\r\n\r\n0.2, b ,1\r\n"
    code, out, _ = clear(b"\xef\xbb\xbf" + text.encode(), "--json")
    assert code == 0
    assert json.loads(out)["fills_kwh"] == [-1.0, 1.0]


def test_a_dash_reads_the_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = HEADER + "\n".join(COUNTER)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    words = ["clear", "-", "--market", "uniform_price", "--feed-in", "0.05", "--retail", "0.3"]
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["volume_kwh"] == pytest.approx(1.0)


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("content", "fragments"),
    [
        ("", ["orders.csv: the file is empty", "write a header line: prosumer,quantity_kwh"]),
        (b"\n\n", ["the file is empty"]),
        (
            "prosumer;quantity_kwh;price_eur_per_kwh\na;1;0,2\n",
            ["orders.csv:1: the file is not separated by commas", "decimals with a point"],
        ),
        (
            "prosumer,quantity,price_eur_per_kwh\na,1,0.2\n",
            ["orders.csv:1: unknown column 'quantity'", "did you mean 'quantity_kwh'?",
             "missing column 'quantity_kwh'"],
        ),
        ("prosumer,quantity_kwh\na,1\n", ["orders.csv:1: missing column 'price_eur_per_kwh'"]),
        (
            "prosumer,quantity_kwh,quantity_kwh,price_eur_per_kwh\na,1,1,1\n",
            ["orders.csv:1: the column 'quantity_kwh' stands 2 times"],
        ),
        (HEADER + "a,nan,0.2\n", ["orders.csv:2, column 'quantity_kwh': 'nan' is not a finite"]),
        (HEADER + "a,1,inf\n", ["orders.csv:2, column 'price_eur_per_kwh': 'inf' is not a finite"]),
        (HEADER + "a,1e999,0.1\n", ["'1e999' is not a finite number"]),
        (
            HEADER + "a,1e308,0.1\nb,-1e308,0.1\n",
            ["orders.csv:2, column 'quantity_kwh': '1e308' is beyond 1e+09 kWh", "check the unit",
             "orders.csv:3, column 'quantity_kwh': '-1e308' is beyond 1e+09 kWh"],
        ),
        (
            HEADER + "a,1,1e300\n",
            ["orders.csv:2, column 'price_eur_per_kwh': '1e300' is beyond 1e+06 EUR/kWh"],
        ),
        (HEADER + "a,one,0.1\n", ["'one' is not a finite number", "such as 0.14"]),
        (HEADER + 'a,"1,5",0.1\n', ["'1,5' is not a finite number", "decimals with a point"]),
        (HEADER + "a,1_000,0.1\n", ["'1_000' is not a finite number"]),
        (HEADER + "a,\N{ARABIC-INDIC DIGIT ONE},0.1\n", ["is not a finite number"]),
        (HEADER + "a,1,\n", ["column 'price_eur_per_kwh': the cell is empty"]),
        (HEADER + "a,,0.1\n", ["column 'quantity_kwh': the cell is empty"]),
        (HEADER + ",1,0.1\n", ["column 'prosumer': no name"]),
        (HEADER + "a\x1b[31m,1,0.1\n", ["column 'prosumer': a name with invisible characters"]),
        (HEADER + "a,1\n", ["orders.csv:2: 2 cells where the header has 3 columns"]),
        (HEADER + "a,1,0,2\n", ["orders.csv:2: 4 cells where the header has 3 columns"]),
        (HEADER + 'a,"1,0.1\n', ["this is not CSV"]),
        (HEADER.encode() + b"a\xff,1,0.1\n", ["orders.csv:2: this is not UTF-8 text"]),
        (HEADER.encode("utf-16"), ["the file is UTF-16 text"]),
        (HEADER + "a\0,1,0.1\n", ["orders.csv:2: the file contains a NUL"]),
    ],
)  # fmt: skip
def test_bad_files(clear: Clear, content: str | bytes, fragments: list[str]) -> None:
    message = refused(clear, content)
    for fragment in fragments:
        assert fragment in message


def test_the_largest_orders_are_cleared(clear: Clear) -> None:
    code, out, err = clear(HEADER + "a,1e9,1e6\nb,-1e9,-1e6\n", "--json")
    assert (code, json.loads(out)["volume_kwh"]) == (0, 1e9)
    assert err.startswith("warning: limit prices beyond 5 EUR/kWh")


def test_all_problems_come_at_once(clear: Clear) -> None:
    text = HEADER + "a,x,0.1\nb,1,nan\n,1,0.1\n"
    message = refused(clear, text, "--option", "kk=1", "--feed-in", "0.4")
    for fragment in (
        "orders.csv:2, column 'quantity_kwh'",
        "orders.csv:3, column 'price_eur_per_kwh'",
        "orders.csv:4, column 'prosumer'",
        "--option kk=1: unknown key 'kk'",
        "did you mean 'k'?",
        "feed-in 0.4 above retail 0.3",
    ):
        assert fragment in message


def test_many_problems_are_counted_not_listed(clear: Clear) -> None:
    message = refused(clear, HEADER + "a,x,0.1\n" * 500)
    assert "400 more problems" in message
    assert message.count("not a finite number") == 100


@pytest.mark.parametrize(
    ("options", "fragments"),
    [
        (["--option", "k=2"], ["--option k=2: k must be at most 1, got 2"]),
        (["--option", "k=x"], ["--option k=x: k must be a number, got 'x'"]),
        (["--option", "k"], ["--option k: this is not an option", "write key=value"]),
        (["--option", "k=1", "--option", "k=0"], ["the option 'k' is given twice"]),
        (["--feed-in", "nan"], ["--feed-in: nan is not a price"]),
        (["--retail", "140"], ["--retail: 140 EUR/kWh is not plausible", "140 EUR/MWh is 0.14"]),
        (["--market", "uniform"], ["--market: unknown market 'uniform'", "'uniform_price'?"]),
        (["--market", "../none"], ["unknown market '../none'"]),
    ],
)
def test_bad_options(clear: Clear, options: list[str], fragments: list[str]) -> None:
    message = refused(clear, HEADER + "a,1,0.2\n", *options)
    for fragment in fragments:
        assert fragment in message


def test_a_missing_file_hints_at_the_closest(clear: Clear, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "orders.csv").write_text(HEADER)
    words = ["--market", "none", "--feed-in", "0.05", "--retail", "0.3"]
    assert main(["clear", str(tmp_path / "order.csv"), *words]) == 2
    assert "did you mean 'orders.csv'?" in capsys.readouterr().err
    assert main(["clear", str(tmp_path), *words]) == 2
    assert "this is a folder, not a file" in capsys.readouterr().err


def test_limit_prices_in_a_wrong_unit_are_doubted(clear: Clear) -> None:
    code, _, err = clear(HEADER + "a,1,20\nb,-1,10\n")
    assert code == 0
    assert "are they in ct/kWh or EUR/MWh?" in err
