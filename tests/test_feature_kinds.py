"""Every feature is of one kind, and the faults that are tried follow from the kinds."""

from __future__ import annotations

import numpy as np
import pytest

from cosim.feature_kinds import KIND_OF, KINDS, OF_KIND
from cosim.observe import FEATURES, WEEKDAYS
from cosim.safety.fit import Observed
from cosim.safety.report import detections, table
from cosim.safety.shifts import ladder
from cosim.supervisor import Statistics

STEPS = 24
ALL = tuple(FEATURES)


def test_each_feature_is_of_exactly_one_kind() -> None:
    listed = [name for names in OF_KIND.values() for name in names]
    assert sorted(listed) == sorted(FEATURES)
    assert set(OF_KIND) == set(KINDS) and set(KIND_OF) == set(FEATURES)


def drawn() -> np.ndarray:
    """Return two days of all features, no value twice."""
    return np.random.default_rng(1).random((2, STEPS, 3, len(ALL)))


def moved(name: str) -> set[str]:
    """Return the kinds of the features that a fault changes, of all there are."""
    seen = drawn()
    changed = (ladder(ALL)[name](seen, ALL) != seen).any((0, 1, 2))
    kinds = {KIND_OF[feature] for feature, hit in zip(ALL, changed, strict=True) if hit}
    whole = {f for f, hit in zip(ALL, changed, strict=True) if hit}
    if name.split(maxsplit=1)[0] in {"clock", "measurements", "prices"}:  # a kind is hit as a whole
        assert whole == {f for f in ALL if KIND_OF[f] in kinds}
    return kinds


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("clock 1 h late", {"time", "price"}),
        ("measurements 2 h late", {"own", "forecast", "market", "grid"}),
        ("prices x 2", {"price"}),
        ("load x 2", {"own", "forecast"}),
        ("pv stuck from noon", {"own", "forecast"}),
    ],
)
def test_a_fault_changes_what_its_kind_says(name: str, kinds: set[str]) -> None:
    assert moved(name) == kinds


@pytest.mark.parametrize("day", range(7))
def test_a_late_clock_shows_the_weekday_before_until_it_passes_midnight(day: int) -> None:
    names = (*WEEKDAYS, "weekend", "year_sin", "year_cos")

    def told(weekday: int, of_year: float) -> np.ndarray:
        angle = 2.0 * np.pi * of_year / 365.2425
        return np.array(
            [*(float(i == weekday) for i in range(7)), float(weekday >= 5), np.sin(angle),
             np.cos(angle)]
        )  # fmt: skip

    seen = np.broadcast_to(told(day, 100.0), (1, STEPS, 2, len(names)))
    late = ladder(names)["clock 3 h late"](seen, names)
    np.testing.assert_allclose(late[0, :3, 0], [told((day - 1) % 7, 99.0)] * 3, atol=1e-12)
    np.testing.assert_array_equal(late[0, 3:], seen[0, 3:])


def test_faults_are_offered_to_those_who_can_suffer_them() -> None:
    def offered(*features: str) -> set[str]:
        return {name.split()[0] for name in ladder(features)}

    assert offered("bid_limit_eur_per_kwh") == {"clock", "prices"}
    assert offered("monday") == {"clock"}
    assert offered("rating_kw", "forecast_horizon_h") == set()
    assert offered("soc") == {"measurements"}
    assert offered("forecast_net_kw") == {"measurements"}  # nobody knows the load in it
    assert "load" in offered("forecast_net_kw", "forecast_pv_kw")
    assert "load" in offered("measured_load_kw")


@pytest.mark.parametrize("others", [("forecast_load_kw",), ("forecast_pv_kw",)])
def test_more_load_is_more_net_by_as_much(others: tuple[str, ...]) -> None:
    load, pv = np.full((1, STEPS, 1), 2.0), np.full((1, STEPS, 1), 5.0)
    known = {"forecast_load_kw": load, "forecast_pv_kw": pv, "forecast_net_kw": load - pv}
    names = ("forecast_net_kw", *others)
    seen = np.stack([known[name] for name in names], -1)
    shifted = ladder(names)["load x 3"](seen, names)
    assert (shifted[..., 0] == 1.0).all()


def test_a_fault_that_changes_nothing_is_said_to() -> None:
    """PV of 0 all day cannot be stuck at 0."""
    hours = np.tile(np.arange(STEPS) * 1.0, (2, 1))
    seen = Observed(("forecast_net_kw",), np.zeros((2, STEPS, 1, 1)), hours, np.arange(2))
    one = np.ones((1, 1))
    known = Statistics(seen.features, one, one[None], one, 0.0, 50.0, 1, 1, hysteresis=0.5)
    found = detections(known, seen, {"none": lambda values, features: values})
    text = table(found[0].days, found)
    assert "nan%" not in text and text.count("changes nothing on these days") == 2
