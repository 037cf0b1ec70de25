"""What every disturbance keeps, whichever files there are: it comes at any second, and it goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise, permutations
from typing import Any

import numpy as np
import pytest

from cosim import plugins
from cosim.books import CLOSING_TOLERANCE
from cosim.case import Case
from cosim.conditions import FACTORS, Conditions
from cosim.disturbances.base import Disturbance
from cosim.plant import Solve
from cosim.policy import Policy, PolicyContext
from cosim.seats import Seat
from cosim.senses import Fault
from cosim.simulation import Interval, Simulation

#: options of disturbances that have no defaults
OPTIONS: dict[str, dict[str, Any]] = {
    "biased_sensor": {"sensor": "energy_kwh", "factor": 0.5},
    "curtailment": {"pv_share": 0.2},
    "delayed_limit": {"delay_s": 1000},
    "frozen_sensor": {"sensor": "pv_kw"},
    "line_outage": {"line": "line3"},
    "message_loss": {"probability": 0.4, "delay_s": 20},
    "swapped_columns": {"features": ["soc", "forecast_net_kw"]},
}
#: what must go on beside a disturbance for it to matter, from one second to another
COMPANIONS: dict[str, tuple[str, int, int]] = {
    "delayed_limit": ("curtailment", 37_000, 49_000),
    "stale_prices": ("price_shock", 38_000, 46_000),
}
#: kinds that make policies err, which those of the village, reading little, would not
OF_SIGHT = {"stale_prices", "frozen_sensor", "biased_sensor", "swapped_columns"}
KINDS = plugins.names("disturbance")
#: the first comes, or goes, later while the second lasts
SIGNALLED = {"curtailment", "delayed_limit"}
DAY_S, STEP_S = 86_400, 1800
OPEN, DECIDE, CLOSE, START = 37_740, 37_741, 37_799, 37_800  # of the interval from 10:30
WINDOWS = (
    (0, DAY_S),
    (0, 1),
    (DAY_S - 1, DAY_S),
    (36_000, 37_800),  # exactly one interval
    (36_000, 43_200),  # several
    (36_000, 36_917),  # from the begin of an interval
    (36_917, 37_800),  # to its end
    (36_123, 36_124),
    (36_917, 50_123),
    (OPEN, DECIDE),
    (DECIDE, CLOSE),
    (CLOSE, START),
    (START, START + 1),
    (OPEN - 1, START + 1),
    (64_000, 66_000),  # into the evening
    (64_800, 75_600),
    (70_000, 80_000),
)
Made = dict[str, Any]


def made(kind: str, begin_s: int, end_s: int, **options: Any) -> Made:
    """Return a disturbance as a scenario holds it, from one second of the day to another."""
    first, last = (
        (datetime(2016, 7, 18) + timedelta(seconds=second)).isoformat(sep=" ")
        for second in (begin_s, end_s)
    )
    return {"kind": kind, "start": first, "end": last} | OPTIONS.get(kind, {}) | options


@pytest.fixture(scope="module")
def simulate(village: Any, new_diary: Callable[[], Any]) -> Callable[..., Simulation]:
    """Return a function that sets up a disturbed village with a diary."""

    def set_up(*disturbances: Made) -> Simulation:
        case: Case = village.case(
            latency={"min_s": 0, "max_s": 50}, disturbances=list(disturbances)
        )
        return Simulation(case, new_diary())

    return set_up


def state(simulation: Simulation) -> tuple[Any, ...]:
    """Return everything a disturbance can change, bit for bit."""
    conditions = simulation.conditions
    factors = tuple(conditions.factor(name).tobytes() for name in FACTORS)
    delay = conditions.delay_s.tobytes()
    told = (conditions.faults, conditions.disturbed_messages)
    return *factors, delay, *told, simulation.feeder.topology


def states_at(simulation: Simulation, seconds: Sequence[int]) -> list[tuple[Any, ...]]:
    """Return the states at some seconds in order, after the disturbances of that second."""
    found = []
    for second in seconds:
        simulation.env.run(until=second)
        found.append(state(simulation))
    return found


@pytest.fixture(scope="module")
def undisturbed(simulate: Callable[..., Simulation]) -> Any:
    """Return the diary of the village without disturbances."""
    simulation = simulate()
    simulation.run()
    return simulation.recorder


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_it_is_a_disturbance_with_a_begin_and_an_end(kind: str) -> None:
    plugin = plugins.load("disturbance", kind)
    assert issubclass(plugin, Disturbance)
    options = {name: value for name, value in made(kind, 10, 11).items() if name != "kind"}
    assert plugin.model_validate(options).start < plugin.model_validate(options).end


@pytest.mark.parametrize(("begin_s", "end_s"), WINDOWS)
def test_it_acts_from_its_begin_to_its_end_and_leaves_no_trace(
    kind: str, begin_s: int, end_s: int, simulate: Callable[..., Simulation], undisturbed: Any
) -> None:
    simulation = simulate(made(kind, begin_s, end_s))
    neutral = state(simulation)
    inside = sorted({begin_s, (begin_s + end_s) // 2, end_s - 1})
    if begin_s:  # else it is there before the first gate opens
        assert states_at(simulation, [begin_s - 1]) == [neutral]
    during = states_at(simulation, inside)
    assert all(now != neutral for now in during)
    if end_s < DAY_S:
        assert states_at(simulation, [end_s]) == [neutral]
    books = simulation.run()
    assert state(simulation) == neutral
    assert max(books.money_error, books.energy_error) <= CLOSING_TOLERANCE
    told = simulation.recorder
    every_second_is_delivered_once(told.solves)
    assert len(told.intervals) == DAY_S // STEP_S
    outside_is_as_undisturbed(told.intervals, undisturbed.intervals, begin_s, end_s)


def every_second_is_delivered_once(solves: Sequence[Solve]) -> None:
    spans = [(solve.start_s, solve.end_s) for solve in solves]
    assert spans[0][0] == 0
    assert spans[-1][1] == DAY_S
    assert all(first < last for first, last in spans)
    assert all(one[1] == next_one[0] for one, next_one in pairwise(spans))
    assert all(s.interval * STEP_S <= s.start_s < s.end_s <= (s.interval + 1) * STEP_S
               for s in solves)  # fmt: skip


def outside_is_as_undisturbed(
    told: Sequence[Interval], plain: Sequence[Interval], begin_s: int, end_s: int
) -> None:
    """Before it everything, after it all that has no memory equals the undisturbed run."""
    for one, other in zip(told, plain, strict=True):
        if (one.index + 1) * STEP_S <= begin_s:
            for name, value in vars(one.metered).items():
                assert np.array_equal(value, getattr(other.metered, name)), name
            assert np.array_equal(one.bills.bill_eur, other.bills.bill_eur)
        elif one.index * STEP_S >= end_s:
            for name in ("load_kwh", "pv_kwh", "dead_share", "unserved_kwh"):
                assert np.array_equal(getattr(one.metered, name), getattr(other.metered, name)), (
                    name
                )


class Sighted(Policy):
    """Decides by all that a home is told, so that false news leads it astray."""

    features = ("soc", "forecast_net_kw", "measured_pv_kw", "retail_eur_per_kwh", "energy_kwh")
    actions = ("battery_kw",)

    def act(
        self, observations: np.ndarray, context: PolicyContext, memory: Any
    ) -> tuple[np.ndarray, Any]:
        soc, net, pv, price, energy = observations.T
        return (np.sin(soc + 2.0 * net + 3.0 * pv + 4.0 * price + energy))[:, None], memory


def sighted(simulation: Simulation) -> Simulation:
    """Return the simulation with a policy at the desk that uses its eyes."""
    case = simulation.case
    seats = (Seat("sighted", Sighted(), np.arange(len(case.population))),)
    return Simulation(replace(case, seats=seats), simulation.recorder)


def test_its_effect_is_measured_and_its_phases_are_logged(
    kind: str, simulate: Callable[..., Simulation]
) -> None:
    beside = [made(*COMPANIONS[kind])] if kind in COMPANIONS else []
    simulation, plain = simulate(made(kind, 36_917, 50_123), *beside), simulate(*beside)
    if kind in OF_SIGHT:
        simulation, plain = sighted(simulation), sighted(plain)
    simulation.run()
    plain.run()
    told, undisturbed = simulation.recorder, plain.recorder
    assert [event for event in told.events if event[1] == kind] == [
        (36_917, kind), (50_123, kind)
    ]  # fmt: skip
    changed = set()
    for one, other in zip(told.intervals[21:27], undisturbed.intervals[21:27], strict=True):
        pairs = {
            "load": (one.metered.load_kwh, other.metered.load_kwh),
            "pv": (one.metered.pv_kwh, other.metered.pv_kwh),
            "prices": (
                one.trade.asked.prices.retail_eur_per_kwh,
                other.trade.asked.prices.retail_eur_per_kwh,
            ),
            "messages": (one.trade.asked.arrival_s, other.trade.asked.arrival_s),
            "supply": (one.metered.dead_share, other.metered.dead_share),
            "quantities": (one.trade.orders.quantity_kwh, other.trade.orders.quantity_kwh),
            "limits": (one.trade.orders.price_eur_per_kwh, other.trade.orders.price_eur_per_kwh),
            "batteries": (one.metered.energy_kwh, other.metered.energy_kwh),
        }
        if kind in OF_SIGHT:
            pairs = {"batteries": pairs["batteries"]}
        changed |= {name for name, (a, b) in pairs.items() if not np.array_equal(a, b)}
    assert changed


@pytest.mark.parametrize(("begin_s", "end_s"), [*WINDOWS[3:9], (36_917, 36_950), (36_001, 50_400)])
def test_an_interval_is_metered_to_the_second(
    begin_s: int, end_s: int, simulate: Callable[..., Simulation], undisturbed: Any
) -> None:
    """Load, PV and supply count for exactly the seconds in which they were what they were."""
    starts = np.arange(DAY_S // STEP_S) * STEP_S
    seconds = np.minimum(starts + STEP_S, end_s) - np.maximum(starts, begin_s)
    share = np.clip(seconds, 0, STEP_S)[:, None] / STEP_S * np.ones(10)

    def metered(diary: Any, name: str) -> np.ndarray:
        return np.stack([getattr(interval.metered, name) for interval in diary.intervals])

    for kind, name, options, factor in (
        ("pv_collapse", "pv_kwh", {"pv_factor": 0.25}, 0.25),
        ("cold_snap", "load_kwh", {"load_factor": 3.0, "evening_factor": 1.0}, 3.0),
        ("supply_outage", "load_kwh", {}, 0.0),
    ):
        simulation = simulate(made(kind, begin_s, end_s, **options))
        simulation.run()
        expected = metered(undisturbed, name) * (1.0 + (factor - 1.0) * share)
        assert metered(simulation.recorder, name) == pytest.approx(expected, rel=1e-12)
    assert metered(simulation.recorder, "dead_share") == pytest.approx(share, rel=1e-12)
    unserved = metered(undisturbed, "load_kwh") * share
    assert metered(simulation.recorder, "unserved_kwh") == pytest.approx(unserved, rel=1e-12)


OVERLAPS = (
    ((36_123, 46_800), (40_000, 50_123)),  # one begins before the other ends
    ((36_123, 50_123), (40_000, 46_800)),  # one inside the other
    ((36_123, 46_800), (36_123, 46_800)),  # the same
    ((36_123, 46_800), (36_123, 50_123)),
    ((36_123, 50_123), (40_000, 50_123)),
)


@pytest.mark.parametrize(("first", "second"), OVERLAPS)
@pytest.mark.parametrize("swapped", [False, True])
def test_two_of_a_kind_overlap_and_end_in_any_order(
    kind: str,
    first: tuple[int, int],
    second: tuple[int, int],
    swapped: bool,
    simulate: Callable[..., Simulation],
) -> None:
    pair = [made(kind, *first), made(kind, *second)]
    simulation = simulate(*(reversed(pair) if swapped else pair))
    neutral = state(simulation)
    last = max(first[1], second[1])
    edges = sorted({*first, *second})
    seconds = sorted({s for edge in edges for s in (edge, edge + 1) if s < last})
    assert all(now != neutral for now in states_at(simulation, [*seconds, last - 1]))
    assert states_at(simulation, [last]) == [neutral]
    simulation.run()
    every_second_is_delivered_once(simulation.recorder.solves)


def test_one_follows_the_other_on_the_same_second(
    kind: str, simulate: Callable[..., Simulation]
) -> None:
    for pair in ([(36_123, 43_200), (43_200, 50_123)], [(43_200, 50_123), (36_123, 43_200)]):
        simulation = simulate(*(made(kind, *window) for window in pair))
        neutral = state(simulation)
        early, change, late, after = states_at(simulation, [43_199, 43_200, 50_122, 50_123])
        assert neutral not in (early, change, late)
        assert after == neutral
        simulation.run()


@pytest.mark.parametrize("other", KINDS)
def test_different_kinds_overlap_and_end_in_any_order(
    kind: str, other: str, simulate: Callable[..., Simulation]
) -> None:
    if kind == other:
        return
    simulation = simulate(made(kind, 36_123, 46_800), made(other, 40_000, 50_400))
    neutral = state(simulation)
    late_s = OPTIONS["delayed_limit"]["delay_s"] if {kind, other} == SIGNALLED else 0
    alone, both, rest, after = states_at(
        simulation, [39_999, 40_000 + late_s, 46_800 + late_s, 50_400]
    )
    assert len({neutral, alone, both, rest}) == 4
    assert after == neutral
    simulation.run()
    every_second_is_delivered_once(simulation.recorder.solves)


@pytest.mark.parametrize("ends", list(permutations((43_200, 46_917, 50_123))))
def test_factors_multiply_while_they_last(
    ends: tuple[int, int, int], simulate: Callable[..., Simulation]
) -> None:
    shares = (0.5, 0.3, 0.7)
    simulation = simulate(
        *(made("pv_collapse", 36_123, end, pv_factor=share)
          for end, share in zip(ends, shares, strict=True))
    )  # fmt: skip
    for second in (36_123, 43_199, 43_200, 46_916, 46_917, 50_122, 50_123):
        simulation.env.run(until=second)
        left = [share for end, share in zip(ends, shares, strict=True) if end > second]
        factor = simulation.conditions.factor("pv")
        assert factor == pytest.approx(np.prod(left) * np.ones(10), rel=1e-15)
    assert factor.tobytes() == np.ones(10).tobytes()


def put(conditions: Conditions, name: str, value: np.ndarray) -> Callable[[], None]:
    if name == "fault":
        return conditions.fault(Fault("bias", ("load_kw",), value > 1.0, float(value[0])))
    return conditions.delay(value) if name == "delay" else conditions.put(name, value)


def read(conditions: Conditions, name: str) -> bytes:
    if name == "fault":
        return repr([(f.factor, f.rows.tolist()) for f in conditions.faults]).encode()
    value = conditions.delay_s if name == "delay" else conditions.factor(name)
    return value.tobytes()


@pytest.mark.parametrize("name", ["delay", "fault", *FACTORS])
@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_conditions_taken_off_in_any_order_leave_those_that_last(
    order: tuple[int, ...], name: str
) -> None:
    conditions, left = Conditions(4), [0, 1, 2]
    values = np.random.default_rng(0).uniform(0.1, 9.0, (3, 4))
    undo = [put(conditions, name, value) for value in values]
    for i in order:
        undo[i]()
        left.remove(i)
        others = Conditions(4)
        for j in left:
            put(others, name, values[j])
        assert read(conditions, name) == read(others, name)
        undo[i]()  # taking off twice changes nothing
        assert read(conditions, name) == read(others, name)
    assert read(conditions, name) == read(Conditions(4), name)
    assert not conditions.disturbed_messages
