"""Whole runs whose outcome is known beforehand: no trade, the tariff's bill, breaches that show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cosim.books import Books
from cosim.case import Case, load_case
from cosim.record import MemoryRecorder, RunSummary
from cosim.scenario import load_scenario
from cosim.simulation import Interval, Simulation

SUMMER = Path(__file__).resolve().parents[1] / "scenarios" / "ten_lines.yaml"


class Kept(MemoryRecorder):
    """A memory recorder that keeps the intervals, too."""

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        self.intervals: list[Interval] = []
        self.events: list[tuple[str, dict[str, Any]]] = []

    def event(self, second: int, kind: str, details: dict[str, Any]) -> None:
        """Keep and pass on."""
        self.events.append((kind, details))
        super().event(second, kind, details)

    def interval(self, interval: Interval) -> None:
        """Keep and pass on."""
        self.intervals.append(interval)
        super().interval(interval)


def finished(*overrides: str) -> tuple[Case, Kept, Books, RunSummary]:
    case = load_case(load_scenario(SUMMER, overrides))
    kept = Kept(case)
    books = Simulation(case, kept).run()
    return case, kept, books, kept.finish(books, {})


def test_doing_nothing_trades_nothing_and_costs_exactly_the_tariff() -> None:
    case, kept, books, summary = finished("policies={rule: do_nothing, passive: do_nothing}")
    tariffs, profiles = case.tariffs, case.profiles
    net_kwh = (profiles.load_kw - profiles.pv_kw) * 0.25
    price = np.where(net_kwh > 0.0, tariffs.retail_eur_per_kwh, tariffs.feed_in_eur_per_kwh)
    for k, interval in enumerate(kept.intervals):
        assert not interval.trade.orders.quantity_kwh.any()
        assert interval.trade.clearing.volume_kwh == 0.0
        np.testing.assert_allclose(
            interval.bills.bill_eur, net_kwh[k] * price[k], rtol=1e-14, atol=1e-15
        )
        assert np.array_equal(interval.bills.bill_eur, interval.bills.baseline_eur)
    kpis = summary.kpis
    assert kpis["traded_kwh"] == kpis["savings_eur"] == kpis["interventions"] == 0.0
    assert kpis["bill_eur"] == pytest.approx((net_kwh * price).sum(), rel=1e-12)
    assert books.operator_eur == 0.0


def test_trading_shares_what_the_supplier_would_have_kept() -> None:
    """With meters as forecast nobody pays more than without the market, and somebody less."""
    *_, books, summary = finished()
    assert (summary.facts.prosumer["baseline_eur"] - summary.facts.prosumer["bill_eur"]).min() > (
        -1e-12
    )
    assert summary.kpis["savings_eur"] > 1.0
    assert summary.kpis["traded_share_percent"] == pytest.approx(100.0, abs=1e-6)
    assert books.money_error <= 1e-9 and books.energy_error <= 1e-9


def test_a_random_policy_is_corrected_where_it_asks_too_much() -> None:
    *_, summary = finished("policies.rule=random")
    kpis = summary.kpis
    assert kpis["interventions"] > 500 and kpis["request_breaches"] >= kpis["interventions"]
    assert kpis["intervention_kwh"] > 10.0
    assert kpis["device_breaches"] == 0.0


@pytest.mark.parametrize(
    ("overrides", "kind"),
    [
        (["scale.load=8"], "undervoltage"),
        (["scale.load=8"], "trafo_loading"),
        (["scale.pv=5"], "overvoltage"),
        (["feeder.line_rating_ka=0.02"], "line_loading"),
    ],
)
def test_an_overloaded_feeder_shows_its_breaches(overrides: list[str], kind: str) -> None:
    *_, summary = finished(*overrides)
    assert (summary.facts.violations["kind"] == kind).any()
    assert summary.kpis["grid_breaches"] > 0


def test_a_feeder_beyond_collapse_is_counted_not_hidden() -> None:
    _, kept, books, summary = finished("scale.load=20", "scale.pv=0")
    assert summary.kpis["unsolved_steps"] > 0
    assert books.unsolved_intervals > 0
    factors = [told["largest_load_factor"] for kind, told in kept.events if kind == "collapse"]
    assert factors and all(0.5 < factor < 1.0 for factor in factors)


def recorded(kept: Kept) -> dict[str, Any]:
    """Return ordered, traded and metered energies of all intervals ``[T, n]``, and the rest."""
    bills = [each.bills for each in kept.intervals]
    return {
        "ordered": orders_of(kept),
        "traded": np.stack([each.trade.clearing.fills_kwh for each in kept.intervals]),
        "metered": np.stack([each.metered.net_kwh for each in kept.intervals]),
        "rest": np.stack([b.supply_kwh + b.imbalance_kwh for b in bills]),
        "imbalance": np.stack([each.imbalance_kwh for each in bills]),
    }


def test_with_meters_as_forecast_the_supplier_has_the_rest_that_found_no_partner() -> None:
    """Whoever stands on the shorter side of the market has none; the others share its excess."""
    _, kept, books, summary = finished("forecast=perfect_interval")
    energy = recorded(kept)
    rest = energy["ordered"] - energy["traded"]
    assert np.abs(energy["metered"] - energy["ordered"]).max() <= 1e-12
    assert np.abs(energy["rest"] - rest).max() <= 1e-12
    assert np.abs(energy["imbalance"]).max() <= 1e-12
    excess = energy["ordered"].sum(axis=1)
    assert (excess > 0.0).any() and (excess < 0.0).any()
    shorter = energy["ordered"] * np.sign(excess)[:, None] < 0.0
    assert shorter.any() and np.abs(energy["rest"][shorter]).max() <= 1e-12
    np.testing.assert_allclose(np.abs(energy["rest"]).sum(axis=1), np.abs(excess), atol=1e-10)
    assert summary.kpis["traded_share_percent"] == pytest.approx(100.0, abs=1e-6)
    assert books.money_error <= 1e-9 and books.energy_error <= 1e-9


def test_forecasts_that_miss_add_to_the_imbalance_and_leave_the_books_closed() -> None:
    """The supplier has the rest of the order, and the miss; trades in vain are imbalance."""
    _, exact, _, _ = finished("forecast=perfect_interval")
    _, kept, books, summary = finished("forecast=persistence")
    energy = recorded(kept)
    missed = energy["metered"] - energy["ordered"]
    wanted = energy["ordered"] - energy["traded"] + missed
    assert np.abs(energy["rest"] - wanted).max() <= 1e-12
    assert np.abs(missed).sum() > 50.0
    assert np.abs(recorded(exact)["imbalance"]).sum() <= 1e-9
    assert np.abs(energy["imbalance"]).sum() > 10.0
    assert summary.kpis["imbalance_kwh"] == pytest.approx(np.abs(energy["imbalance"]).sum())
    assert summary.kpis["traded_share_percent"] < 99.9
    assert books.money_error <= 1e-9 and books.energy_error <= 1e-9


def orders_of(kept: Kept) -> Any:
    return np.stack([interval.trade.orders.quantity_kwh for interval in kept.intervals])


def test_trades_stay_within_the_forecast_position() -> None:
    """Nobody trades with themselves or in circles: each stands on one side, once."""
    _, kept, _, _ = finished("policies.rule=random")
    for interval in kept.intervals:
        position = interval.trade.guarded.position_kwh
        fills = interval.trade.clearing.fills_kwh
        assert (fills * position >= 0.0).all()
        assert (np.abs(fills) <= np.abs(position)).all()
        possible = min(position[position > 0.0].sum(), -position[position < 0.0].sum())
        assert interval.trade.clearing.volume_kwh <= possible + 1e-12
    assert np.abs(orders_of(kept)).sum() > 0.0
