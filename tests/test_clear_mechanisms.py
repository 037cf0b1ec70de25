"""The verb ``clear`` for each mechanism: small books by hand, and the columns some of them need."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cosim import plugins
from cosim.__main__ import main
from cosim.seeds import uniforms

FEED_IN, RETAIL = 0.05, 0.14
PRICED = "prosumer,quantity_kwh,price_eur_per_kwh"
TWO_EACH = f"{PRICED}\ns1,-1,0.06\ns2,-1,0.08\nb1,1,0.13\nb2,1,0.11\n"
SHORT = "prosumer,quantity_kwh\nb,1\ns,-0.5\n"  # half of the demand is offered

Clear = Callable[..., tuple[int, str, str]]


@pytest.fixture
def clear(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Clear:
    """Return a function that clears a text by a mechanism: exit code, stdout, stderr."""

    def call(market: str, content: str, *words: str) -> tuple[int, str, str]:
        path = tmp_path / "orders.csv"
        path.write_text(content)
        tariff = ["--feed-in", str(FEED_IN), "--retail", str(RETAIL)]
        code = main(["clear", str(path), "--market", market, *tariff, *words])
        out, err = capsys.readouterr()
        return code, out, err.replace(str(tmp_path) + "/", "")

    return call


def outcome(clear: Clear, market: str, content: str, *words: str) -> dict[str, Any]:
    options = [part for word in words for part in ("--option", word)]
    code, out, err = clear(market, content, "--json", *options)
    assert (code, err) == (0, "")
    found: dict[str, Any] = json.loads(out)
    return found


def agrees(found: dict[str, Any], volume: float, buy: float, sell: float) -> None:
    """Hold volume and prices against those computed by hand, and the surplus against them."""
    assert found["volume_kwh"] == pytest.approx(volume)
    assert found["buy_price_eur_per_kwh"] == pytest.approx(buy)
    assert found["sell_price_eur_per_kwh"] == pytest.approx(sell)
    surplus = pytest.approx(volume * (buy - sell), abs=1e-15)
    assert found["operator_surplus_eur"] == surplus


@pytest.mark.parametrize(
    ("market", "options", "volume", "buy", "sell"),
    [
        ("uniform_price", [], 2.0, 0.095, 0.095),
        ("uniform_price", ["k=0"], 2.0, 0.08, 0.08),
        ("uniform_price", ["k=1"], 2.0, 0.11, 0.11),
        ("uniform_price", ["trade_reduction=mcafee"], 1.0, 0.11, 0.08),
        ("pay_as_bid", [], 2.0, 0.12, 0.07),
        ("order_book", [], 2.0, 0.07, 0.07),
        ("bilateral", [], 2.0, 0.095, 0.095),
    ],
)
def test_auctions(
    clear: Clear, market: str, options: list[str], volume: float, buy: float, sell: float
) -> None:
    agrees(outcome(clear, market, TWO_EACH, *options), volume, buy, sell)


@pytest.mark.parametrize(
    ("market", "options", "buy", "sell"),
    [
        ("mid_market_rate", [], 0.095, 0.095),
        ("liquidity_pool", [], 0.095, 0.095),
        ("liquidity_pool", ["spread_eur_per_kwh=0.03"], 0.11, 0.08),
        ("liquidity_pool", ["pricing=dynamic"], 0.12, 0.07),
        ("liquidity_pool", ["pricing=dynamic", "base_delta_eur_per_kwh=0.06"], 0.10, 0.09),
        ("supply_demand_ratio", [], 0.007 / 0.095, 0.007 / 0.095),
        ("supply_demand_ratio", ["form=linear"], 0.095, 0.095),
        ("supply_demand_ratio", ["form=compensated"], 0.084, 0.084),
        ("supply_demand_ratio", ["form=compensated", "compensation_eur_per_kwh=0.03"],
         0.0112 / 0.11, 0.0112 / 0.11),
        ("bill_sharing", [], 0.0, 0.0),
    ],
)  # fmt: skip
def test_pools_need_no_limit_prices(
    clear: Clear, market: str, options: list[str], buy: float, sell: float
) -> None:
    """Half a kWh trades; the buyer's other half costs retail."""
    found = outcome(clear, market, SHORT, *options)
    agrees(found, 0.5, buy, sell)
    assert found["fills_kwh"] == pytest.approx([0.5, -0.5])
    assert found["average_buy_price_eur_per_kwh"] == pytest.approx((buy + RETAIL) / 2.0)
    assert found["average_sell_price_eur_per_kwh"] == pytest.approx(sell)
    assert found["welfare_eur"] == pytest.approx(0.5 * (RETAIL - FEED_IN))


@pytest.mark.parametrize("market", plugins.names("market"))
def test_one_file_with_every_column_serves_every_mechanism(clear: Clear, market: str) -> None:
    text = (
        f"{PRICED},arrival_s,partner,metered_kwh,retail_eur_per_kwh,feed_in_eur_per_kwh\n"
        "a,1,0.13,4,b,1,,\nb,-1,0.06,3,a,-1,,\n"
    )
    found = outcome(clear, market, text)
    assert found["volume_kwh"] == pytest.approx(0.0 if market == "none" else 1.0)


# ---------------------------------------------------------------- columns


def arrivals(*seconds: float) -> str:
    rows = (f"s,-1,0.06,{seconds[0]}", f"b,1,0.13,{seconds[1]}", f"c,1,0.12,{seconds[2]}")
    return f"{PRICED},arrival_s\n" + "\n".join(rows) + "\n"


@pytest.mark.parametrize(
    ("seconds", "price", "fills"),
    [
        ((0, 1, 2), 0.06, [-1, 1, 0]),  # the ask waits, the first bid takes it
        ((0, 2, 1), 0.06, [-1, 0, 1]),
        ((2, 1, 0), 0.13, [-1, 1, 0]),  # the bids wait, the higher one is met first
        ((1.5, 1.75, 1.25), 0.12, [-1, 0, 1]),
    ],
)
def test_orders_arrive_by_their_second(
    clear: Clear, seconds: tuple[float, ...], price: float, fills: list[float]
) -> None:
    found = outcome(clear, "order_book", arrivals(*seconds))
    agrees(found, 1.0, price, price)
    assert found["fills_kwh"] == fills


def test_without_seconds_orders_arrive_as_they_stand(clear: Clear) -> None:
    bids, ask = "b,1,0.13\nc,1,0.12\n", "s,-1,0.06\n"
    agrees(outcome(clear, "order_book", f"{PRICED}\n{bids}{ask}"), 1.0, 0.13, 0.13)
    agrees(outcome(clear, "order_book", f"{PRICED}\n{ask}{bids}"), 1.0, 0.06, 0.06)


def test_prosumers_of_one_second_are_ranked_by_a_keyed_draw(clear: Clear) -> None:
    text, seen = f"{PRICED},arrival_s\ns,-1,0.06,5\nb,1,0.13,5\n", set()
    turned = f"{PRICED},arrival_s\nb,1,0.13,5\ns,-1,0.06,5\n"
    for seed in range(8):
        code, out, _ = clear("order_book", text, "--json", "--seed", str(seed))
        bid, ask = uniforms(seed, ("b", "s"), "rank", 0, (1,))[0]
        price = json.loads(out)["buy_price_eur_per_kwh"]
        assert code == 0 and price == pytest.approx(0.13 if bid < ask else 0.06)
        again = json.loads(clear("order_book", turned, "--json", "--seed", str(seed))[1])
        assert again["buy_price_eur_per_kwh"] == price
        seen.add(price)
    assert len(seen) == 2


def test_a_later_order_may_replace_the_earlier(clear: Clear) -> None:
    text = f"{PRICED}\ns,-1,0.06\ns,-2,0.10\nb,3,0.13\n"
    agrees(outcome(clear, "order_book", text), 3.0, 0.26 / 3.0, 0.26 / 3.0)
    found = outcome(clear, "order_book", text, "replace=true")
    agrees(found, 2.0, 0.10, 0.10)
    assert found["fills_kwh"] == [0.0, -2.0, 2.0]


def test_partners_trade_before_the_pool(clear: Clear) -> None:
    """a and b trade 1 kWh at (0.13 + 0.07) / 2; b's second kWh meets c's 4 kWh at 0.095."""
    text = f"{PRICED},partner\na,1,0.13,b\nb,-2,0.07,a\nc,4,0.14,\nb,0,0.07,\n"
    found = outcome(clear, "bilateral", text)
    agrees(found, 2.0, 0.0975, 0.0975)
    assert found["fills_kwh"] == pytest.approx([1.0, -2.0, 1.0, 0.0])
    lonely = outcome(clear, "bilateral", text.replace("0.07,a", "0.07,c"))
    agrees(lonely, 2.0, 0.095, 0.095)


def test_bills_are_shared_on_metered_energy(clear: Clear) -> None:
    """Metered are 4 kWh of demand and 1 of supply, whatever was ordered."""
    text = "prosumer,quantity_kwh,metered_kwh\na,1,3\nb,-2,-1\nc,-5,1\n"
    found = outcome(clear, "bill_sharing", text)
    assert found["fills_kwh"] == pytest.approx([0.75, -1.0, 0.25])
    assert found["average_buy_price_eur_per_kwh"] == pytest.approx(0.75 * RETAIL)
    assert found["average_sell_price_eur_per_kwh"] == 0.0
    ordered = outcome(clear, "mid_market_rate", text)  # others clear what was ordered
    assert ordered["fills_kwh"] == pytest.approx([1.0, -2.0 / 7.0, -5.0 / 7.0])


def test_the_table_shows_the_energy_that_was_cleared(clear: Clear) -> None:
    """What was metered where that is settled, what was ordered elsewhere."""
    text = "prosumer,quantity_kwh,metered_kwh\na,1,3\nb,-2,-1\nc,-5,1\n"
    for market, head, cells in (
        ("bill_sharing", "metered [kWh]", ["3", "-1", "1"]),
        ("mid_market_rate", "quantity [kWh]", ["1", "-2", "-5"]),
    ):
        code, out, _ = clear(market, text)
        first, *rows = out.splitlines()
        assert code == 0 and head in first
        assert [row.split()[1] for row in rows[:3]] == cells


def test_rows_may_have_a_tariff_of_their_own(clear: Clear) -> None:
    """The band is 0.06 to 0.12: 1 kWh at 0.09, the buyer's other one at 0.12."""
    text = "prosumer,quantity_kwh,retail_eur_per_kwh,feed_in_eur_per_kwh\na,2,0.12,\nb,-1,,0.06\n"
    found = outcome(clear, "mid_market_rate", text)
    agrees(found, 1.0, 0.09, 0.09)
    assert found["average_buy_price_eur_per_kwh"] == pytest.approx(0.105)
    assert found["welfare_eur"] == pytest.approx(0.06)
    auction = f"{PRICED},retail_eur_per_kwh\na,1,0.13,0.10\nb,-1,0.05,\n"
    agrees(outcome(clear, "pay_as_bid", auction), 1.0, 0.10, 0.05)


@pytest.mark.parametrize(
    ("content", "fragments"),
    [
        (f"{PRICED},arrival_s\na,1,0.1,-1\n",
         ["orders.csv:2, column 'arrival_s': -1 s is before the book opens"]),
        (f"{PRICED},arrival_s\na,1,0.1,\n", ["column 'arrival_s': the cell is empty"]),
        (f"{PRICED},arrival_s\na,1,0.1,1e10\n", ["'1e10' is beyond 1e+09 s"]),
        (f"{PRICED},arrival_s\na,1,0.1,nan\n", ["column 'arrival_s': 'nan' is not a finite"]),
        (f"{PRICED},arrival_s\na,1,0.1,12:30\n", ["'12:30' is not a finite number"]),
        (f"{PRICED},arival_s\na,1,0.1,1\n", ["unknown column 'arival_s'", "'arrival_s'?"]),
        (f"{PRICED},metered_kwh\na,1,0.1,\n", ["column 'metered_kwh': the cell is empty"]),
        (f"{PRICED},metered_kwh\na,1,0.1,1e12\n", ["'1e12' is beyond 1e+09 kWh"]),
        (f"{PRICED},partner\nanna,1,0.1,\nben,-1,0.1,ana\n",
         ["orders.csv:3, column 'partner': no order of 'ana'", "did you mean 'anna'?"]),
        (f"{PRICED},partner\na,1,0.1,a\n", ["orders.csv:2, column 'partner': 'a' names itself"]),
        (f"{PRICED},partner\na,1,0.1,b\nb,-1,0.1,a\na,1,0.1,b\n",
         ["orders.csv:4, column 'partner': 'a' names a partner for the second time"]),
        (f"{PRICED},partner\na,1,0.1,\x1b[31m\n", ["column 'partner': no order of '\\x1b[31m'"]),
        (f"{PRICED},retail_eur_per_kwh\na,1,0.1,140\n",
         ["column 'retail_eur_per_kwh': '140' is beyond 5 EUR/kWh", "140 EUR/MWh is 0.14"]),
        (f"{PRICED},retail_eur_per_kwh\na,1,0.1,0.04\n",
         ["orders.csv:2, column 'retail_eur_per_kwh': feed-in 0.05 above retail 0.04"]),
        (f"{PRICED},feed_in_eur_per_kwh\na,1,0.1,0.2\n",
         ["orders.csv:2, column 'feed_in_eur_per_kwh': feed-in 0.2 above retail 0.14"]),
        (f"{PRICED},feed_in_eur_per_kwh\na,1,0.1,inf\n", ["'inf' is not a finite number"]),
        (f"{PRICED},arrival_s,metered_kwh\na,1,0.1,-3,x\n",
         ["column 'arrival_s': -3 s", "column 'metered_kwh': 'x' is not"]),
    ],
)  # fmt: skip
def test_bad_cells_are_refused_at_their_place(
    clear: Clear, content: str, fragments: list[str]
) -> None:
    code, out, err = clear("order_book", content)
    assert (code, out) == (2, "")
    assert "Traceback" not in err and "\x1b" not in err
    for fragment in fragments:
        assert fragment in err


def test_a_draw_needs_a_whole_number(clear: Clear) -> None:
    assert clear("order_book", TWO_EACH, "--seed", "x")[0] == 2
