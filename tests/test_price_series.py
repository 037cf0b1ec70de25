"""Prices that follow a file, prices of imbalance, and what a scenario without them keeps."""

from __future__ import annotations

import hashlib
import importlib.util
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from cosim.__main__ import main
from cosim.case import Case, load_case
from cosim.episode import window
from cosim.errors import InputError
from cosim.imbalance import Imbalance
from cosim.population import Tariffs
from cosim.prices import second_of_day
from cosim.scenario import load_scenario
from cosim.timegrid import TimeGrid

BERLIN = ZoneInfo("Europe/Berlin")
DAY = "2016-07-18"  # of the village


def eur_per_mwh(hours: int = 48) -> list[float]:
    """Return a price that differs in every hour and is negative at noon."""
    noon = (12, 13)
    return [40.0 + hour - (90.0 if hour % 24 in noon else 0.0) for hour in range(hours)]


def civil(start: str, hours: int) -> list[datetime]:
    begin = datetime.fromisoformat(start).replace(tzinfo=BERLIN).astimezone(UTC)
    return [(begin + timedelta(hours=k)).astimezone(BERLIN) for k in range(hours)]


def smard(prices: list[float], start: str = DAY) -> str:
    """Return prices as SMARD exports them, in German."""
    lines = ["Datum von;Datum bis;Deutschland/Luxemburg [€/MWh] Originalauflösungen"]
    for time, price in zip(civil(start, len(prices)), prices, strict=True):
        number = f"{price:.2f}".replace(".", ",")
        lines.append(f"{time:%d.%m.%Y %H:%M};{time:%d.%m.%Y %H:%M};{number}")
    return "\n".join([*lines, ""])


def entsoe(prices: list[float], start: str = DAY) -> str:
    lines = ['"MTU (CET/CEST)","Day-ahead Price [EUR/MWh]","Currency","BZN|DE-LU"']
    for time, price in zip(civil(start, len(prices)), prices, strict=True):
        end = f"{time + timedelta(hours=1):%d.%m.%Y %H:%M}"
        lines.append(f'"{time:%d.%m.%Y %H:%M} - {end}","{price:.2f}","EUR",""')
    return "\n".join([*lines, ""])


def plain(prices: list[float], start: str = DAY) -> str:
    times = civil(start, len(prices))
    rows = (f"{time.isoformat()},{price}" for time, price in zip(times, prices, strict=True))
    return "\n".join(["time,value", *rows, ""])


WRITERS = {"smard": smard, "entsoe_prices": entsoe, "plain": plain}


def series(
    village: Any, form: str = "plain", prices: Any = None, start: str = DAY
) -> dict[str, Any]:
    """Write prices in a format and return what a scenario says of them."""
    text = WRITERS[form](eur_per_mwh() if prices is None else prices, start)
    (village.folder / f"{form}.csv").write_text(text, encoding="utf-8")
    keys = {"format": form, "file": f"{form}.csv"}
    return keys | ({"unit": "EUR/MWh"} if form == "plain" else {})


def day_ahead(source: dict[str, Any], **keys: Any) -> dict[str, Any]:
    return {"day_ahead": {"series": source} | keys}


def problems(village: Any, **keys: Any) -> str:
    with pytest.raises(InputError) as caught:
        village.case(**keys)
    return str(caught.value)


# ---------------------------------------------------------------- day-ahead prices


@pytest.mark.parametrize("form", WRITERS)
def test_prices_of_every_format_hold_for_their_hour(village: Any, form: str) -> None:
    tariff = day_ahead(
        series(village, form), retail_markup_eur_per_kwh=0.02, feed_in_markdown_eur_per_kwh=0.01
    )
    case = village.case(tariff=tariff, time={"start": DAY, "days": 1})
    spot = np.repeat(np.array(eur_per_mwh(24)) * 1e-3, 4)
    for column in range(len(case.population)):
        found = case.tariffs.retail_eur_per_kwh[:, column]
        np.testing.assert_allclose(found, spot + 0.02, rtol=0, atol=1e-15)
        found = case.tariffs.feed_in_eur_per_kwh[:, column]
        np.testing.assert_allclose(found, spot - 0.01, rtol=0, atol=1e-15)
    assert case.tariffs.feed_in_eur_per_kwh.min() == pytest.approx(-0.048)
    assert (case.tariffs.feed_in_eur_per_kwh <= case.tariffs.retail_eur_per_kwh).all()


@pytest.mark.parametrize("form", WRITERS)
@pytest.mark.parametrize(("start", "hours"), [("2016-03-27", 23), ("2016-10-30", 25)])
def test_days_on_which_clocks_change(village: Any, form: str, start: str, hours: int) -> None:
    """Each hour keeps the price of its instant; the run goes on into the next day, or stops."""
    prices = eur_per_mwh(hours + 24)
    source = series(village, form, prices, start)
    loaded = load_scenario(
        village.write(tariff=day_ahead(source), time={"start": start, "days": 1})
    )
    file = loaded.scenario.tariff.day_ahead.series  # type: ignore[union-attr]
    values, _ = file.load(village.folder, loaded.scenario.grid(), "EUR/kWh")
    np.testing.assert_allclose(values, np.repeat(prices[:24], 4) / 1e3, rtol=0, atol=1e-15)


def test_the_file_stands_in_the_list_once_with_its_hash(village: Any) -> None:
    source = series(village, "smard")
    own = {"members": ["b"], "policy": "rule", "tariff": day_ahead(source)}
    groups = {"own": own, "rest": {"members": "all", "policy": "rule"}}
    case = village.case(tariff=day_ahead(source), groups=groups, imbalance={"series": source})
    content = (village.folder / "smard.csv").read_bytes()
    found = [item for item in case.files if item[0] == "smard.csv"]
    assert found == [("smard.csv", hashlib.sha256(content).hexdigest())]


def test_a_groups_own_series_is_its_own(village: Any) -> None:
    source = series(village)
    own = day_ahead(source, retail_markup_eur_per_kwh=0.3)
    groups = {
        "own": {"members": ["b"], "policy": "rule", "tariff": own},
        "rest": {"members": "all", "policy": "rule"},
    }
    case = village.case(groups=groups)
    spot = np.repeat(eur_per_mwh(24), 2) / 1e3
    for column, name in enumerate(case.population.names):
        retail = case.tariffs.retail_eur_per_kwh[:, column]
        if name == "b":
            np.testing.assert_allclose(retail, spot + 0.3, rtol=0, atol=1e-15)
        else:
            assert set(retail) == {0.25, 0.40}


def test_a_file_beside_the_base_that_names_it(village: Any, tmp_path: Path) -> None:
    source = series(village, "smard")
    base = village.write(tariff=day_ahead(source))
    child = tmp_path / "child.yaml"
    child.write_text(f"extends: {base}\nname: child\n")
    case = load_case(load_scenario(child))
    assert case.tariffs.retail_eur_per_kwh[0, 0] == pytest.approx(0.040)
    assert any(name.endswith("smard.csv") and "/" in name for name, _ in case.files)


def test_another_format_replaces_the_bases_series(village: Any, tmp_path: Path) -> None:
    base = village.write(tariff=day_ahead(series(village, "plain")))
    (tmp_path / "other.csv").write_text(smard([10.0] * 48), encoding="utf-8")
    child = tmp_path / "child.yaml"
    text = "tariff: {day_ahead: {series: {format: smard, file: other.csv}}}"
    child.write_text(f"extends: {base}\nname: child\n{text}\n")
    retail = load_case(load_scenario(child)).tariffs.retail_eur_per_kwh
    assert retail == pytest.approx(np.full(retail.shape, 0.010))


def test_dates_of_another_year_are_shifted(village: Any) -> None:
    source = series(village, "plain", start="2018-07-16") | {"shift_days": -728}
    case = village.case(tariff=day_ahead(source))
    np.testing.assert_allclose(
        case.tariffs.retail_eur_per_kwh[:, 0], np.repeat(eur_per_mwh(24), 2) / 1e3, atol=1e-15
    )


@pytest.mark.parametrize(
    ("change", "fragments"),
    [
        (lambda text: text.replace("18.07.2016 05:00", "19.07.2016 23:00", 1), ["smard.csv:7"]),
        (lambda text: "\n".join(text.splitlines()[:12]), ["leaves the data", "smard.csv"]),
        (lambda text: text.replace("52,00", "n/e"), ["is missing"]),
        (lambda text: text.replace("47,00", "-"), ["the value is missing", "line 9"]),
        (lambda text: text.replace("47,00", "9999,00"), ["9.999 EUR/kWh lies outside"]),
    ],
)
def test_gaps_and_wrong_values_are_refused(village: Any, change: Any, fragments: list[str]) -> None:
    source = series(village, "smard")
    path = village.folder / "smard.csv"
    text = path.read_text(encoding="utf-8").replace("-38,00", "52,00")
    path.write_text(change(text), encoding="utf-8")
    said = problems(village, tariff=day_ahead(source))
    for fragment in fragments:
        assert fragment in said
    assert "read for " in said and ".yaml:1" in said


def test_all_series_that_are_wrong_are_told_at_once(village: Any) -> None:
    gone = {"format": "smard", "file": "gone.csv"}
    intensity = series(village, prices=[40.0] * 48) | {"unit": "g/kWh"}
    said = problems(
        village,
        tariff=day_ahead(intensity),
        imbalance={"series": gone},
        co2={"series": intensity | {"unit": "EUR/MWh"}},
    )
    assert "gone.csv: the file does not exist" in said
    assert "is in kg/kWh, here EUR/kWh is wanted" in said
    assert "is in EUR/kWh, here kg/kWh is wanted" in said


def test_prices_that_a_series_replaces_are_refused(village: Any) -> None:
    tariff = day_ahead(series(village)) | {
        "retail_eur_per_kwh": 0.3,
        "periods": [
            {"hours": [0, 6], "feed_in_eur_per_kwh": 0.1},
            {"hours": [6, 7]},
            {"hours": [7, 8], "network_eur_per_kwh": 0.1},
        ],
    }
    said = problems(village, tariff=tariff)
    assert "retail_eur_per_kwh has no effect beside day_ahead" in said
    assert "feed_in_eur_per_kwh has no effect beside day_ahead" in said
    assert "a period sets network_eur_per_kwh, here it is missing" in said
    assert said.count("remedy") == 3


# ---------------------------------------------------------------- shocks


def shock(begin: str, end: str, **factors: float) -> dict[str, Any]:
    return {"kind": "price_shock", "start": f"{DAY} {begin}", "end": f"{DAY} {end}"} | factors


def test_a_shock_that_turns_negative_prices_round_is_refused_with_the_time(village: Any) -> None:
    tariff = day_ahead(series(village), retail_markup_eur_per_kwh=0.001)
    shocks = [shock("10:00", "18:00", retail_factor=3.0)]
    said = problems(village, tariff=tariff, disturbances=shocks)
    assert "disturbance 0: feed-in -0.038 x 1 is above retail -0.037 x 3 EUR/kWh" in said
    assert "at 2016-07-18 12:00+02:00 (tariff)" in said


@pytest.mark.parametrize(
    "times", [("00:00", "11:59"), ("14:00", "20:00"), ("13:59:01", "20:00"), ("10:00", "11:58")]
)
def test_a_shock_of_other_hours_is_not(village: Any, times: tuple[str, str]) -> None:
    """Prices are published a minute ahead: what begins after 13:29 meets none of that hour."""
    tariff = day_ahead(series(village), retail_markup_eur_per_kwh=0.001)
    village.case(tariff=tariff, disturbances=[shock(*times, retail_factor=3.0)])


def test_the_last_gate_inside_a_shock_decides(village: Any) -> None:
    tariff = day_ahead(series(village), retail_markup_eur_per_kwh=0.001)
    for end, refused in (("11:59", False), ("11:59:01", True)):  # gates of 12:00 open at 11:59
        keys = {"tariff": tariff, "disturbances": [shock("08:00", end, retail_factor=3.0)]}
        if refused:
            assert "at 2016-07-18 12:00+02:00" in problems(village, **keys)
        else:
            village.case(**keys)


def test_two_shocks_that_cross_only_together(village: Any, diary_of: Any) -> None:
    tariff = day_ahead(series(village), retail_markup_eur_per_kwh=0.03)
    one = shock("08:00", "18:00", retail_factor=2.0, feed_in_factor=1.0)
    two = shock("13:00", "14:00", retail_factor=3.0)
    said = problems(village, tariff=tariff, disturbances=[one, two])
    assert "disturbance 0 and disturbance 1" in said and "2016-07-18 13:30" in said
    case = village.case(tariff=tariff, disturbances=[one], time={"start": DAY, "days": 1})
    for kept in diary_of(case).intervals:
        prices = kept.trade.asked.prices
        assert (prices.feed_in_eur_per_kwh <= prices.retail_eur_per_kwh).all()


# ---------------------------------------------------------------- imbalance


RETAIL, FEED_IN = np.array([[0.3, 0.4], [0.2, 0.1]]), np.array([[0.1, 0.0], [-0.1, 0.1]])


def test_without_own_prices_imbalance_is_the_tariff_and_a_markup() -> None:
    short, long = Imbalance().at(3, RETAIL, FEED_IN)
    assert np.array_equal(short, RETAIL) and np.array_equal(long, FEED_IN)
    short, long = Imbalance(0.05).at(3, RETAIL, FEED_IN)
    assert np.array_equal(short, RETAIL + 0.05) and np.array_equal(long, FEED_IN - 0.05)


def test_own_prices_of_either_side_are_those_of_the_interval() -> None:
    own = np.array([0.5, 0.6])
    short, long = Imbalance(0.05, short_eur_per_kwh=own).at(1, RETAIL, FEED_IN)
    assert np.array_equal(short, np.full((2, 2), 0.6)) and np.array_equal(long, FEED_IN - 0.05)
    short, long = Imbalance(0.05, long_eur_per_kwh=own).at(0, RETAIL, FEED_IN)
    assert np.array_equal(short, RETAIL + 0.05) and np.array_equal(long, np.full((2, 2), 0.5))
    with pytest.raises(ValueError, match="read-only"):
        own[0] = 1.0


def test_imbalance_from_a_scenario(village: Any) -> None:
    assert imbalance(village).markup_eur_per_kwh == 0.0
    assert imbalance(village).short_eur_per_kwh is imbalance(village).long_eur_per_kwh is None
    found = imbalance(village, markup_eur_per_kwh=0.1, short_eur_per_kwh=0.7)
    assert found.markup_eur_per_kwh == 0.1 and found.long_eur_per_kwh is None
    assert np.array_equal(found.short_eur_per_kwh, np.full(48, 0.7))  # type: ignore[arg-type]
    found = imbalance(village, series=series(village))
    spot = np.repeat(eur_per_mwh(24), 2) / 1e3
    for side in (found.short_eur_per_kwh, found.long_eur_per_kwh):
        np.testing.assert_allclose(side, spot, atol=1e-15)  # type: ignore[arg-type]


def imbalance(village: Any, **keys: Any) -> Imbalance:
    case: Case = village.case(imbalance=keys)
    return case.tariffs.imbalance


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"short_eur_per_kwh": 0.1, "long_eur_per_kwh": 0.2}, "long 0.2 is above short 0.1"),
        ({"markup_eur_per_kwh": -0.1}, "at least 0"),
        (
            {"markup_eur_per_kwh": 0.1, "short_eur_per_kwh": 0.3, "long_eur_per_kwh": 0.2},
            "markup_eur_per_kwh has no effect beside the prices of both sides",
        ),
        ({"series": {}}, "format"),
    ],
)
def test_wrong_imbalance_prices_are_refused(village: Any, keys: Any, said: str) -> None:
    assert said in problems(village, imbalance=keys)


def test_a_series_of_imbalance_excludes_constants(village: Any) -> None:
    keys = {"series": series(village), "markup_eur_per_kwh": 0.1, "long_eur_per_kwh": 0.2}
    said = problems(village, imbalance=keys)
    assert said.count("has no effect beside series") == 2


# ---------------------------------------------------------------- what check says


def checked(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    assert main(["check", str(path)]) == 0
    return tuple(capsys.readouterr())  # type: ignore[return-value]


def test_check_shows_prices_charges_imbalance_and_co2(
    village: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    tariff = day_ahead(series(village), retail_markup_eur_per_kwh=0.02) | {
        "network_eur_per_kwh": 0.08,
        "network_local_share": 0.5,
        "taxes_eur_per_kwh": 0.05,
        "demand_eur_per_kw_month": 4.0,
    }
    path = village.write(
        tariff=tariff,
        imbalance={"markup_eur_per_kwh": 0.1, "short_eur_per_kwh": 0.9},
        co2={"hourly_kg_per_kwh": [0.2] * 12 + [0.5] * 12},
    )
    out, err = checked(path, capsys)
    lines = dict(line.split(maxsplit=1) for line in out.splitlines() if line.startswith("  "))
    assert lines["prices"] == (
        "retail -0.018 to 0.083, feed-in -0.038 to 0.063, network 0.08 (of neighbours' energy "
        "0.5 of it), taxes 0.05 EUR/kWh, demand 4 EUR/kW a month"
    )
    assert lines["imbalance"] == "short 0.9, long feed-in - 0.1 EUR/kWh"
    assert lines["CO2"] == "0.2 to 0.5 kg/kWh"
    assert err == ""
    plainly, _ = checked(village.write(tariff={}), capsys)
    assert "prices        retail 0.2, feed-in 0.1 EUR/kWh\n" in plainly
    assert "imbalance     short retail, long feed-in EUR/kWh\n" in plainly


def test_check_doubts_prices_by_which_trading_what_one_does_not_have_pays(
    village: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    for keys, intervals in (
        ({"short_eur_per_kwh": 0.30}, 8),  # the evening costs 0.40
        ({"long_eur_per_kwh": 0.07}, 48),
        ({"series": series(village)}, 48),
    ):
        _, err = checked(village.write(imbalance=keys), capsys)
        assert f"trading what one does not have may pay in {intervals} of 48 intervals" in err
        assert ".yaml:1" in err
    _, err = checked(village.write(tariff=day_ahead(series(village))), capsys)
    assert "retail equals feed-in at all times" in err


# ---------------------------------------------------------------- the arrays of before


def arrays_before(case: Case, tariffs: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return retail and feed-in prices by the rule that stood before there were more."""
    seconds = np.round(case.grid.local_hours() * 3600.0)
    weekdays = case.grid.local_weekdays()
    columns = []
    for group in case.population.groups:
        tariff = tariffs[group]
        base = [tariff["retail_eur_per_kwh"], tariff["feed_in_eur_per_kwh"]]
        prices = [np.full(len(seconds), price) for price in base]
        for period in tariff.get("periods", ()):
            begin, end = map(second_of_day, period["hours"])
            inside = (seconds >= begin) & (seconds < end)
            if begin > end:
                inside = (seconds >= begin) | (seconds < end)
            if period.get("days", "all") != "all":
                inside &= (weekdays >= 5) == (period["days"] == "weekend")
            prices[0][inside] = period.get("retail_eur_per_kwh", base[0])
            prices[1][inside] = period.get("feed_in_eur_per_kwh", base[1])
        columns.append(prices)
    retail, feed_in = (np.stack([column[i] for column in columns], axis=1) for i in (0, 1))
    return retail, feed_in


def test_a_scenario_without_the_new_keys_has_the_arrays_of_before(village: Any) -> None:
    wide = {
        "retail_eur_per_kwh": 0.31,
        "feed_in_eur_per_kwh": 0.07,
        "periods": [
            {"hours": [22, 6], "retail_eur_per_kwh": 0.16, "days": "weekdays"},
            {"hours": [12, 14], "feed_in_eur_per_kwh": 0.02},
            {"hours": [0, 24], "days": "weekend", "retail_eur_per_kwh": 0.22},
            {"hours": [13, 13.5]},
        ],
    }
    own = {"retail_eur_per_kwh": 0.33, "feed_in_eur_per_kwh": 0.01}
    groups = {
        "own": {"members": ["b", "d"], "policy": "rule", "tariff": own},
        "rest": {"members": "all", "policy": "passive"},
    }
    case = village.case(tariff=wide, groups=groups)
    n, retail_feed_in = len(case.population), arrays_before(case, {"own": own, "rest": wide})
    found: Tariffs = case.tariffs
    assert np.array_equal(found.retail_eur_per_kwh, retail_feed_in[0])
    assert np.array_equal(found.feed_in_eur_per_kwh, retail_feed_in[1])
    for charge in (found.network_eur_per_kwh, found.taxes_eur_per_kwh):
        assert np.array_equal(charge, np.zeros((case.grid.intervals, n)))
    for share in (found.network_local_share, found.taxes_local_share):
        assert np.array_equal(share, np.ones(n))
    assert np.array_equal(found.demand_eur_per_kw_month, np.zeros(n))
    assert vars(found.imbalance) == vars(Imbalance())
    assert np.array_equal(case.profiles.co2_kg_per_kwh, np.full(case.grid.intervals, 0.4))


def test_a_window_cuts_every_array_over_time(village: Any) -> None:
    source = series(village)
    periods = [{"hours": [6, 9], "network_eur_per_kwh": 1}]
    charges = {"network_eur_per_kwh": 0.08, "periods": periods}
    tariff = day_ahead(source) | charges | {"network_local_share": 0.5}
    case = village.case(tariff=tariff, imbalance={"series": source})
    rows = slice(10, 20)
    cut, whole = case.tariffs.window(rows), case.tariffs
    for name, values in vars(whole).items():
        if name == "imbalance":
            assert np.array_equal(cut.imbalance.short_eur_per_kwh, values.short_eur_per_kwh[rows])
            assert np.array_equal(cut.imbalance.long_eur_per_kwh, values.long_eur_per_kwh[rows])
        else:
            over_time = len(values) == case.grid.intervals
            assert np.array_equal(getattr(cut, name), values[rows] if over_time else values), name
    day = window(case, 0, 1, np.zeros(len(case.population))).tariffs
    assert len(day.imbalance.short_eur_per_kwh) == len(day.taxes_eur_per_kwh) == 48  # type: ignore[arg-type]


def test_the_shipped_series_and_homes_are_what_their_formulas_say() -> None:
    path = Path(__file__).parent.parent / "tools" / "example_data.py"
    spec = importlib.util.spec_from_file_location("example_data", path)
    assert spec and spec.loader
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert tool.main(["--check"]) == 0
    for name in tool.FILES:
        assert (tool.FOLDER / name).stat().st_size < 100_000


def test_a_day_of_quarter_hours_is_known_to_the_grid() -> None:
    grid = TimeGrid(datetime(2016, 7, 17, 22, tzinfo=UTC), 900, 96, 60, BERLIN)
    dates = grid.local_dates()
    assert dates.dtype == np.dtype("datetime64[D]") and (dates == np.datetime64(DAY)).all()
