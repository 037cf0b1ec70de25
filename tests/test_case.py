"""What groups and scale make of the homes of a source: batteries, bounds, sizes, membership."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cosim.case import Case, load_case
from cosim.scenario import load_scenario

SCENARIO = Path(__file__).resolve().parents[1] / "scenarios" / "plain_winter_day.yaml"
POLICIES = {"rule": "self_consumption", "export": "always_export", "passive": "passive"}
OWNERS, OTHERS = slice(0, 3), slice(3, None)
#: the batteries of the village: a and b ... j, none for e and j
CAPACITY = np.array([6.0, 7, 8, 9, 0, 11, 12, 13, 14, 0])
RATING = np.array([3.0, 3.25, 3.5, 3.75, 0, 4.25, 4.5, 4.75, 5, 0])


def owned(village: Any, policy: str = "rule", **battery: float) -> Case:
    """Return the village with constants for the batteries of a, b and c."""
    groups = {
        "owners": {"members": ["a", "b", "c"], "policy": policy, "battery": battery},
        "others": {"members": "all", "policy": "passive"},
    }
    return village.case(policies=POLICIES, groups=groups)


# ---------------------------------------------------------------- batteries


def test_without_a_word_the_whole_battery_is_used_from_half_full(village: Any) -> None:
    homes = owned(village).population
    assert homes.capacity_kwh.tolist() == CAPACITY.tolist()
    assert homes.rating_kw.tolist() == RATING.tolist()
    assert not homes.min_kwh.any() and np.array_equal(homes.max_kwh, CAPACITY)
    assert np.array_equal(homes.initial_kwh, CAPACITY / 2)
    assert not homes.wear_eur_per_kwh.any()


def test_bounds_of_the_state_of_charge_are_shares_of_the_groups_capacities(village: Any) -> None:
    homes = owned(village, soc_min=0.2, soc_max=0.7, soc_initial=0.3).population
    for found, own, others in (
        (homes.min_kwh, 0.2, 0.0),
        (homes.max_kwh, 0.7, 1.0),
        (homes.initial_kwh, 0.3, 0.5),
    ):
        np.testing.assert_allclose(found[OWNERS], own * CAPACITY[OWNERS], rtol=1e-14)
        np.testing.assert_allclose(found[OTHERS], others * CAPACITY[OTHERS], rtol=1e-14)


@pytest.mark.parametrize(("policy", "reached"), [("rule", "max_kwh"), ("export", "min_kwh")])
def test_a_run_starts_from_the_initial_charge_and_keeps_the_bounds(
    village: Any, diary_of: Any, policy: str, reached: str
) -> None:
    case = owned(village, policy, soc_min=0.2, soc_max=0.7, soc_initial=0.3)
    homes, intervals = case.population, diary_of(case).intervals
    energy = np.stack([kept.metered.energy_kwh for kept in intervals])
    assert np.array_equal(intervals[0].trade.asked.outlook.energy_kwh, homes.initial_kwh)
    assert (energy <= homes.max_kwh + 1e-12).all()
    lost_in_a_day = 0.02 * CAPACITY  # of their own, below the bound, too
    assert (energy[:, OWNERS] >= (homes.min_kwh - lost_in_a_day)[OWNERS]).all()
    bound = getattr(homes, reached)
    assert np.isclose(energy, bound, rtol=1e-9)[:, OWNERS].any(axis=0)[:2].all()  # c has no PV


def test_constants_of_the_group_replace_those_of_the_source(village: Any) -> None:
    constants = {"rating_kw": 2.5, "efficiency": 0.8, "wear_eur_per_kwh": 0.03}
    homes = owned(village, capacity_kwh=10.0, **constants).population
    for name, others in (("rating_kw", RATING[3]), ("efficiency", 0.9), ("wear_eur_per_kwh", 0)):
        assert getattr(homes, name)[:4].tolist() == [*[constants[name]] * 3, others]
    assert homes.capacity_kwh[:4].tolist() == [10.0, 10.0, 10.0, 9.0]
    assert homes.initial_kwh[:4].tolist() == [5.0, 5.0, 5.0, 4.5]
    bare = owned(village, capacity_kwh=0.0).population
    assert not bare.capacity_kwh[OWNERS].any() and not bare.rating_kw[OWNERS].any()


# ---------------------------------------------------------------- scale


def test_scale_is_on_load_active_and_reactive() -> None:
    plain, scaled = (load_case(load_scenario(SCENARIO, set_)) for set_ in ([], ["scale.load=1.7"]))
    for name in ("load_kw", "load_kvar"):
        before, after = (getattr(case.profiles, name) for case in (plain, scaled))
        assert before.any()
        np.testing.assert_allclose(after, 1.7 * before, rtol=1e-14)
    assert np.array_equal(scaled.profiles.pv_kw, plain.profiles.pv_kw)
    assert np.array_equal(scaled.population.capacity_kwh, plain.population.capacity_kwh)


def test_scale_is_on_the_output_and_size_of_pv(village: Any) -> None:
    plain, scaled = village.case(), village.case(scale={"pv": 2.5})
    assert plain.profiles.pv_kw.any() and plain.population.pv_kwp.any()
    np.testing.assert_allclose(scaled.profiles.pv_kw, 2.5 * plain.profiles.pv_kw, rtol=1e-14)
    np.testing.assert_allclose(scaled.population.pv_kwp, 2.5 * plain.population.pv_kwp, rtol=1e-14)
    assert np.array_equal(scaled.profiles.load_kw, plain.profiles.load_kw)


def test_scale_is_on_capacity_and_rating_of_batteries_also_of_a_groups_own(village: Any) -> None:
    homes = village.case(scale={"battery": 1.5}).population
    np.testing.assert_allclose(homes.capacity_kwh, 1.5 * CAPACITY, rtol=1e-14)
    np.testing.assert_allclose(homes.rating_kw, 1.5 * RATING, rtol=1e-14)
    np.testing.assert_allclose(homes.max_kwh, 1.5 * CAPACITY, rtol=1e-14)
    np.testing.assert_allclose(homes.initial_kwh, 0.75 * CAPACITY, rtol=1e-14)
    battery = {"capacity_kwh": 10.0, "rating_kw": 4.0}
    groups = {"all": {"members": "all", "policy": "rule", "battery": battery}}
    homes = village.case(scale={"battery": 1.5}, groups=groups, policies=POLICIES).population
    assert set(homes.capacity_kwh) == {15.0} and set(homes.rating_kw) == {6.0}


def test_homes_that_scale_leaves_without_battery_or_pv_change_their_kind(village: Any) -> None:
    groups = {
        kind: {"members": kind, "policy": "passive"} for kind in ("battery", "pv", "consumers")
    }
    kinds = [
        village.case(scale=scale, groups=groups, policies={"passive": "passive"}).population.groups
        for scale in ({}, {"battery": 0.0}, {"battery": 0.0, "pv": 0.0})
    ]
    solar = ["consumers" if i % 3 == 2 else "pv" for i in range(10)]  # every third has none
    battery = ["battery" if i % 5 != 4 else solar[i] for i in range(10)]
    assert kinds == [tuple(battery), tuple(solar), ("consumers",) * 10]


# ---------------------------------------------------------------- groups


def members(share: float, *more: str, name: str = "some") -> set[str]:
    """Return those of 118 homes that a group takes of all."""
    groups = f"{{{name}: {{members: all, share: {share}, policy: rule}}, "
    groups += "rest: {members: all, policy: passive}}"
    case = load_case(load_scenario(SCENARIO, ["groups=null", f"groups={groups}", *more]))
    homes = case.population
    assert len(homes) == 118 and set(homes.groups) <= {name, "rest"}
    return {home for home, group in zip(homes.names, homes.groups, strict=True) if group == name}


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_share_takes_about_as_many_as_it_says(share: float) -> None:
    counts = np.array([len(members(share, f"seed={seed}")) for seed in range(6)])
    spread = np.sqrt(118 * share * (1.0 - share))
    assert (np.abs(counts - 118 * share) < 4.0 * spread).all()
    assert len(members(1.0)) == 118


def test_a_share_is_drawn_by_name_and_seed() -> None:
    half = members(0.5)
    assert half == members(0.5) == members(0.5, "time.start=2016-07-18")
    assert half != members(0.5, "seed=2") and half != members(0.5, name="others")
    assert members(0.2) < half < members(0.8)


def test_the_first_group_that_fits_takes_a_home(village: Any) -> None:
    policy = {"policy": "passive"}
    groups = {
        "two": {"members": ["b", "e"], **policy},
        "store": {"members": "battery", **policy},
        "left": {"members": "all", **policy},
        "never": {"members": "consumers", **policy},
    }
    found = village.case(groups=groups, policies={"passive": "passive"}).population.groups
    wanted = ["store"] * 10
    wanted[1] = wanted[4] = "two"
    wanted[9] = "left"
    assert list(found) == wanted
