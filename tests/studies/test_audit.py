"""Policies that cheat, each in its way, fail the check that looks for it; honest ones pass all."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cosim import plugins
from cosim.case import Case
from cosim.policy import Policy, PolicyContext
from cosim.simulation import Simulation
from cosim.studies.audit import audit
from cosim.studies.metered import metered_bill_eur
from cosim.studies.recorded import Check, recorded
from cosim.studies.trials import Entrant, Trial, drawn_case, seated

TRIALS = (Trial(0, 1, 1), Trial(4, 1, 2))
METERED, IMBALANCE, POSSIBLE, BATTERY, GUARD, AHEAD, FORESIGHT = range(7)


@pytest.fixture(scope="module")
def case(village: Any, days_of_village: dict[str, Any]) -> Case:
    return village.case(**days_of_village)


@pytest.fixture(scope="module")
def loose(village: Any, days_of_village: dict[str, Any]) -> Case:
    """Return a world that pays for trades without a meter: no limit, kind imbalance prices."""
    kind = {"short_eur_per_kwh": 0.03, "long_eur_per_kwh": 0.02}
    return village.case(**days_of_village, trade_limit="none", imbalance=kind)


def checks(case: Case, policy: Policy) -> list[Check]:
    rule = plugins.load("policy", "self_consumption")()
    assert isinstance(rule, Policy)
    return audit(case, "rule", Entrant("it", policy, True), Entrant("rule", rule), TRIALS)


def running() -> Simulation:
    """Return the simulation that is running, as no policy should."""
    frame: Any = sys._getframe()
    while not isinstance(frame.f_locals.get("self"), Simulation):
        frame = frame.f_back
    return frame.f_locals["self"]  # type: ignore[no-any-return]


class Plain(Policy):
    """Covers the load, as the rule does."""

    features = ("forecast_net_kw", "most_charge_kw", "most_discharge_kw")

    def act(
        self, observations: np.ndarray, context: PolicyContext, memory: Any
    ) -> tuple[np.ndarray, Any]:
        net, charge, discharge = observations.T
        return np.clip(-net, -discharge, charge)[:, None], memory


class Seer(Plain):
    """Charges by the load of the next interval."""

    def act(
        self, observations: np.ndarray, context: PolicyContext, memory: Any
    ) -> tuple[np.ndarray, Any]:
        profiles = running().case.profiles
        later = min(context.interval + 1, len(profiles.load_kw) - 1)
        return (profiles.pv_kw - profiles.load_kw)[later, context.ids][:, None], memory


class Filler(Plain):
    """Fills its battery from nowhere once."""

    def act(
        self, observations: np.ndarray, context: PolicyContext, memory: Any
    ) -> tuple[np.ndarray, Any]:
        simulation = running()
        if context.interval == 20:
            simulation.plant.energy_kwh = simulation.case.population.max_kwh
        return super().act(observations, context, memory)


class Washer(Plain):
    """Sells what it does not have."""

    actions = ("battery_kw", "quantity_kwh", "price_eur_per_kwh")

    def act(
        self, observations: np.ndarray, context: PolicyContext, memory: Any
    ) -> tuple[np.ndarray, Any]:
        power, memory = super().act(observations, context, memory)
        sold = np.where(context.ids[:, None] % 2 == 0, -50.0, 0.0)
        return np.concatenate([power, sold, np.full_like(power, 0.07)], axis=1), memory


class Broken(Plain):
    """Asks for what is no number, and leaves it to the guard."""

    def act(
        self, observations: np.ndarray, context: PolicyContext, memory: Any
    ) -> tuple[np.ndarray, Any]:
        power, memory = super().act(observations, context, memory)
        return np.where(context.interval % 7 == 0, np.nan, power), memory


def test_the_honest_pass_every_check(case: Case) -> None:
    for policy in (Plain(), *(plugins.load("policy", name)() for name in ("random", "truthful"))):
        assert isinstance(policy, Policy)
        found = checks(case, policy)
        assert all(check.holds for check in found), [c for c in found if not c.holds]
    assert len({check.name for check in found}) == 7


def test_the_seer_is_seen(case: Case) -> None:
    found = checks(case, Seer())
    assert not found[AHEAD].holds and found[AHEAD].figure >= 1
    assert found[BATTERY].holds and found[METERED].holds


def test_energy_from_nowhere_is_found(case: Case) -> None:
    found = checks(case, Filler())
    assert not found[BATTERY].holds and found[BATTERY].figure > 1.0
    assert not found[GUARD].holds, "what was executed does not give that cost again"


def test_so_is_a_cost_below_the_bound(case: Case) -> None:
    class Miracle(Plain):
        """Fills its battery from nowhere all the time."""

        features = ("most_discharge_kw",)

        def act(
            self, observations: np.ndarray, context: PolicyContext, memory: Any
        ) -> tuple[np.ndarray, Any]:
            simulation = running()
            simulation.plant.energy_kwh = simulation.case.population.max_kwh
            return -observations, memory

    found = checks(case, Miracle())
    assert not found[FORESIGHT].holds and found[FORESIGHT].figure > 1.0


def test_sales_without_energy_are_found(loose: Case) -> None:
    found = checks(loose, Washer())
    for each in (METERED, IMBALANCE, POSSIBLE):
        assert not found[each].holds, found[each]
    assert found[METERED].figure == pytest.approx(found[IMBALANCE].figure, rel=1e-9)
    assert found[POSSIBLE].figure > 0.5
    honest = checks(loose, Plain())
    assert all(honest[each].holds for each in (METERED, IMBALANCE, POSSIBLE))


def test_requests_that_are_no_numbers_are_found(case: Case) -> None:
    found = checks(case, Broken())
    assert not found[GUARD].holds and found[GUARD].figure == np.inf
    assert found[BATTERY].holds


@pytest.mark.parametrize("market", ["uniform_price", "none", "order_book", "bill_sharing",
                                    "supply_demand_ratio", "pay_as_bid"])  # fmt: skip
def test_settling_by_the_meter_gives_the_bills_where_all_is_backed(case: Case, market: str) -> None:
    """The recomputation is that of the settlement, interval by interval."""
    chosen = replace(case, market=plugins.load("market", market)())  # type: ignore[arg-type]
    run = recorded(drawn_case(chosen, TRIALS[0]), "rule")
    assert max(float(np.abs(i.bills.imbalance_kwh).max()) for i in run.intervals) < 1e-9
    for each in run.intervals:
        assert metered_bill_eur(each) == pytest.approx(each.bills.bill_eur, abs=1e-9)


def test_split_deliveries_keep_their_books(village: Any, days_of_village: dict[str, Any]) -> None:
    hit = {"kind": "pv_collapse", "start": "2016-07-18T11:07:13", "end": "2016-07-18T13:31:59",
           "pv_factor": 0.2}  # fmt: skip
    outage = {"kind": "supply_outage", "start": "2016-07-18T18:11:00", "end": "2016-07-18T18:43:00"}
    world = village.case(**days_of_village, disturbances=[hit, outage])
    found = checks(world, Plain())
    assert found[BATTERY].holds, found[BATTERY]
    assert found[METERED].holds and found[IMBALANCE].holds
    run = recorded(seated(drawn_case(world, TRIALS[0]), "rule", Entrant("it", Plain())), "rule")
    assert any(each.metered.dead_share.any() for each in run.intervals)
