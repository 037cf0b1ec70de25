"""Is a policy's gain real? A sequence of checks, each with a figure and a verdict of its own.

Each recomputes something from what was metered, or runs the world again with something changed
that an honest policy cannot notice. None looks into the policy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pydantic import PrivateAttr

from cosim.case import Case
from cosim.optimum.plan import optimum
from cosim.physics.battery import factors
from cosim.plant import Solve
from cosim.policy import Policy, PolicyContext
from cosim.population import Population
from cosim.reason import Reason
from cosim.seeds import generator
from cosim.simulation import Interval, Simulation
from cosim.studies.foresight import charged_world
from cosim.studies.outcome import imbalance_gain_eur
from cosim.studies.trials import Entrant, Trial, drawn_case, seated
from cosim.training.lane import stored_value

#: money that is rounding, of a day's bills [share]
_ROUNDING = 1e-9
#: what of the traded volume may be undeliverable, beyond the rule's own share [share]
UNDELIVERABLE = 0.01
#: stored energy may differ from what the meters explain by this [kWh], executed power from what
#: was asked for without a reason by as much [kW]
_STORED_KWH = 1e-6
#: where in a run the future is changed [share]
_LOOKS = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Check:
    """One check: what was asked, whether it holds, its figure, and the bound held against."""

    name: str
    holds: bool
    figure: float
    bound: float
    unit: str
    meaning: str


@dataclass(frozen=True, eq=False)
class Record:
    """A run, interval by interval, and the case it was of."""

    case: Case
    rows: np.ndarray  # the judged owners
    intervals: tuple[Interval, ...]


def audit(
    case: Case, seat: str, entrant: Entrant, rule: Entrant, trials: Sequence[Trial]
) -> list[Check]:
    """Return all checks of an entrant over some trials; ``rule`` is the honest one beside it."""
    drawn = [drawn_case(case, trial) for trial in trials]
    runs = [recorded(seated(each, seat, entrant), seat) for each in drawn]
    beside = [recorded(seated(each, seat, rule), seat) for each in drawn]
    return [
        on_metered_energy(runs),
        no_imbalance_gain(runs),
        within_the_possible(runs, beside),
        battery_bookkeeping(runs),
        guard_in_the_open(runs, seat),
        no_look_ahead(runs, seat),
        no_cheaper_than_foresight(runs),
    ]


def recorded(case: Case, seat: str) -> Record:
    """Run a case and keep every interval."""
    diary = _Diary()
    Simulation(case, diary).run()
    rows = next(own.rows for own in case.seats if own.name == seat)
    return Record(case, rows, tuple(diary.intervals))


class _Diary:
    """A recorder that keeps the intervals."""

    def __init__(self) -> None:
        self.intervals: list[Interval] = []

    def interval(self, interval: Interval) -> None:
        """Keep one."""
        self.intervals.append(interval)

    def solve(self, solve: Solve) -> None:
        """Ignore load flows."""

    def event(self, second: int, kind: str, details: dict[str, Any]) -> None:
        """Ignore the event log."""


# ---------------------------------------------------------------- money


def on_metered_energy(runs: Sequence[Record]) -> Check:
    """Settle once more, with trades that the meter backs only; nobody may lose a gain by it."""
    short = [
        float(np.maximum(metered_bill_eur(each) - each.bills.bill_eur, 0.0)[run.rows].sum())
        for run in runs
        for each in run.intervals
    ]
    scale = _turnover_eur(runs)
    return _check(
        "settled on metered energy", sum(short), _ROUNDING * scale, "EUR",
        "what the owners' bills would rise by if trades counted as far as the meter backs them",
    )  # fmt: skip


def metered_bill_eur(interval: Interval) -> np.ndarray:
    """Return bills ``[n]`` [EUR] from meters, fills and prices, unbacked trades left out.

    Bought energy counts up to what was drawn, sold energy up to what was fed in, at the price of
    the trade; the rest of the meter at the tariff. What an outage or a curtailment made
    undeliverable is handed back at the price of the trade, as the settlement does.
    """
    metered, bills, clearing = interval.metered, interval.bills, interval.trade.total
    prices = interval.trade.asked.prices
    held = clearing.fills_kwh + bills.closeout_kwh
    net = metered.load_kwh - metered.pv_kwh + metered.charge_kwh - metered.discharge_kwh
    backed = np.where(held > 0.0, np.minimum(held, np.maximum(net, 0.0)),
                      np.maximum(held, np.minimum(net, 0.0)))  # fmt: skip
    fills = np.where(clearing.fills_kwh != 0.0, clearing.fills_kwh, 1.0)
    price = clearing.payment_eur / fills
    again = np.where(held == 0.0, clearing.payment_eur + bills.closeout_eur, backed * price)
    rest = net - backed
    tariff = np.where(rest > 0.0, prices.retail_eur_per_kwh, prices.feed_in_eur_per_kwh)
    return np.asarray(again + rest * tariff + bills.other_eur)


def no_imbalance_gain(runs: Sequence[Record]) -> Check:
    """Add up what trades without a meter behind them paid the seat: they must not pay."""
    gains = np.array([
        imbalance_gain_eur(each)[run.rows].sum() for run in runs for each in run.intervals
    ])  # fmt: skip
    return _check(
        "no gain from imbalance", float(np.maximum(gains, 0.0).sum()),
        _ROUNDING * _turnover_eur(runs), "EUR",
        "what the owners gained in intervals in which imbalance paid",
    )  # fmt: skip


def no_cheaper_than_foresight(runs: Sequence[Record]) -> Check:
    """Hold the cost against perfect foresight's: below the certified bound something is wrong."""
    below = [
        optimum(run.case, world=charged_world(run.case)).bound_eur - _cost_eur(run) for run in runs
    ]
    return _check(
        "no cheaper than perfect foresight", max(below), 1e-6 * _turnover_eur(runs), "EUR",
        "the certified bound of the least cost minus the community's cost, worst trial",
    )  # fmt: skip


def _cost_eur(run: Record) -> float:
    """Return the community's cost [EUR]: bills and wear, less what was gained in storage."""
    value = stored_value(run.case, np.arange(len(run.case.population)))
    stored = run.intervals[-1].metered.energy_kwh - run.case.population.initial_kwh
    bills = sum(float((i.bills.bill_eur + i.bills.wear_eur).sum()) for i in run.intervals)
    return bills - float((value * stored).sum())


def _turnover_eur(runs: Sequence[Record]) -> float:
    """Return the sum of what everybody paid or earned [EUR], at least 1."""
    paid = (float(np.abs(i.bills.bill_eur).sum()) for run in runs for i in run.intervals)
    return max(1.0, sum(paid))


# ---------------------------------------------------------------- energy


def within_the_possible(runs: Sequence[Record], beside: Sequence[Record]) -> Check:
    """Hold trades against the meters: what was traded must have been drawn and fed in."""
    most = undeliverable_share(beside) + UNDELIVERABLE
    return _check(
        "traded within the possible", undeliverable_share(runs), most, "-",
        "share of the traded volume beyond the physically possible; the rule's and 1 % are allowed",
    )  # fmt: skip


def undeliverable_share(runs: Sequence[Record]) -> float:
    """Return what was traded beyond the physically possible, by what was traded."""
    beyond = volume = 0.0
    for each in (i for run in runs for i in run.intervals):
        net = each.metered.net_kwh
        possible = min(float(np.maximum(net, 0.0).sum()), float(np.maximum(-net, 0.0).sum()))
        traded = sum(float(turn.clearing.volume_kwh) for turn in each.trade.rounds)
        volume += traded
        beyond += max(traded - possible, 0.0)
    return beyond / volume if volume > 0.0 else 0.0


def battery_bookkeeping(runs: Sequence[Record]) -> Check:
    """Integrate the metered flows anew: what is stored must be what they explain, within limits.

    Where an interval had one flow the integral is exact; where it was split, the order of its
    parts leaves a little of self-discharge open, which the bound allows for.
    """
    return _check(
        "battery bookkeeping", max(max(_unexplained_kwh(run)) for run in runs), _STORED_KWH, "kWh",
        "largest difference of a stored energy from what meters and limits allow",
    )  # fmt: skip


def _unexplained_kwh(run: Record) -> list[float]:
    people, hours = run.case.population, run.case.grid.interval_h
    before, found = people.initial_kwh, []
    for each in run.intervals:
        metered = each.metered
        kept, loose = _integrated(people, before, metered.charge_kwh, metered.discharge_kwh, hours)
        after = metered.energy_kwh
        most = people.rating_kw * hours
        beyond = (
            np.abs(after - kept) - loose,
            after - people.max_kwh,
            metered.charge_kwh + metered.discharge_kwh - most,
            np.where(metered.discharge_kwh > _STORED_KWH, people.min_kwh - after - loose, 0.0),
        )
        found.append(max(float(each.max()) for each in beyond))
        before = after
    return found


def _integrated(
    people: Population,
    before: np.ndarray,
    charge_kwh: np.ndarray,
    discharge_kwh: np.ndarray,
    hours: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the stored energy ``[n]`` after an interval, and what its inner order leaves open."""
    root, decay, held = factors(people, hours)
    flow = charge_kwh * root - discharge_kwh / root
    both = np.minimum(charge_kwh, discharge_kwh) / root + np.abs(flow)
    return before * decay + flow * held / hours, both * (1.0 - decay)


# ---------------------------------------------------------------- decisions


def guard_in_the_open(runs: Sequence[Record], seat: str) -> Check:
    """Ask for what was executed, and for nothing else: the cost must be the same.

    So a gain is that of feasible decisions. Infinite where a request was not finite, or was
    changed without a reason.
    """
    asked, changed, moved_kwh, asked_kwh = 0, 0, 0.0, 0.0
    honest = True
    for run in runs:
        for each in run.intervals:
            wanted, given, reason = _request(run, each)
            off = np.abs(wanted - given) > _STORED_KWH
            honest &= not ((off & (reason == 0)) | ((reason & Reason.NOT_FINITE) != 0)).any()
            asked, changed = asked + len(wanted), changed + int((reason != 0).sum())
            moved_kwh += float(np.nansum(np.abs(wanted - given))) * run.case.grid.interval_h
            asked_kwh += float(np.nansum(np.abs(wanted))) * run.case.grid.interval_h
    differs = max(abs(_cost_eur(_echoed(run, seat)) - _cost_eur(run)) for run in runs)
    return _check(
        "the guard in the open", differs if honest else np.inf, 1e-6 * _turnover_eur(runs), "EUR",
        "difference if only what was executed is asked for; the guard changed "
        f"{changed} of {asked} requests, {moved_kwh:.1f} of {asked_kwh:.1f} kWh",
    )  # fmt: skip


def _request(run: Record, interval: Interval) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the battery power [kW] wanted and given, and the reasons of the guard ``[m]``."""
    trade = interval.trade
    wanted, given = trade.asked.requested.battery_kw, trade.guarded.decision.battery_kw
    return wanted[run.rows], given[run.rows], trade.guarded.reason[run.rows]


class _Echo(Policy):
    """Asks for what was executed in another run, orders included."""

    offered: tuple[str, ...]
    _given: np.ndarray = PrivateAttr()  # [T, n, a]

    @property
    def actions(self) -> tuple[str, ...]:  # type: ignore[override]
        """Those of the policy whose echo it is."""
        return self.offered

    def act(
        self, observations: np.ndarray, context: PolicyContext, memory: Any
    ) -> tuple[np.ndarray, Any]:
        """Return what was executed."""
        return self._given[context.interval, context.ids], memory


def _echoed(run: Record, seat: str) -> Record:
    """Run the case again with the seat asking for what it was given.

    Where a delivery is traded in rounds the decisions of each would be needed: the run itself.
    """
    if run.case.grid.rounds > 1:
        return run
    own = next(each for each in run.case.seats if each.name == seat)
    echo = _Echo(offered=own.policy.actions)
    echo._given = np.stack([
        np.stack([getattr(each.trade.guarded.decision, name) for name in echo.offered], axis=-1)
        for each in run.intervals
    ])  # fmt: skip
    return recorded(seated(run.case, seat, Entrant(seat, echo)), seat)


def no_look_ahead(runs: Sequence[Record], seat: str) -> Check:
    """Change all that comes after what is forecast; not one decision before may change."""
    moved = sum(_moved(run, seat, share) for run in runs[:1] for share in _LOOKS)
    return _check(
        "no look into the future", float(moved), 0.0, "-",
        f"decisions that changed with load and PV beyond the forecast, at {len(_LOOKS)} instants",
    )  # fmt: skip


def _moved(run: Record, seat: str, share: float) -> int:
    """Return how many requests up to an instant depend on what comes later."""
    last = int(share * run.case.grid.intervals)
    again = recorded(_other_future(run.case, last + 1), seat)
    moved = 0
    for one, other in zip(run.intervals[: last + 1], again.intervals, strict=False):
        pairs = zip(_requests(one, run.rows), _requests(other, run.rows), strict=True)
        moved += int(np.logical_or.reduce([(a != b) & ~(np.isnan(a) & np.isnan(b))
                                           for a, b in pairs]).sum())  # fmt: skip
    return moved


def _requests(interval: Interval, rows: np.ndarray) -> tuple[np.ndarray, ...]:
    wanted = interval.trade.asked.requested
    every = (wanted.battery_kw, wanted.quantity_kwh, wanted.price_eur_per_kwh)
    return tuple(values[rows] for values in every)


def _other_future(case: Case, first: int) -> Case:
    """Return the case with load, PV and CO2 drawn anew from an interval on."""
    profiles, scenario = case.profiles, case.scenario
    changed = {}
    for name in ("load_kw", "load_kvar", "pv_kw", "co2_kg_per_kwh"):
        values = np.array(getattr(profiles, name))
        random = generator(scenario.seed, "audit", name)
        values[first:] *= random.uniform(0.5, 1.5, values[first:].shape)
        changed[name] = values
    return replace(case, profiles=replace(profiles, **changed))


def _check(name: str, figure: float, bound: float, unit: str, meaning: str) -> Check:
    return Check(name, bool(figure <= bound), float(figure), float(bound), unit, meaning)
