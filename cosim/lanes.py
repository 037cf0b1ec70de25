"""Lanes: many episodes of one case side by side, an interval of all of them at a time.

The world of a run without its kernel: what SimPy orders in time happens here in one go, by the
same functions over ``[lanes, n]``. Delivery begins when the market has cleared and is settled in
the same step, which nothing can notice as long as no power changes while a delivery runs; what
is observed at DECIDE is still what is known then. Lanes keep no books and record nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from cosim.almanac import Almanac, Factors
from cosim.case import Case, network_guard
from cosim.conditions import Factor
from cosim.delivery import Delivery, Metered, Part, advance, deliver, meter, pv_most_kw
from cosim.desk import Desk
from cosim.episode import Episode, initial_kwh, lived
from cosim.errors import InputError, Problem
from cosim.forecasts.base import Forecast
from cosim.guard import Outlook
from cosim.known import Past, nothing_past, sensed
from cosim.losses import loss_shares_kw
from cosim.markets.base import Clearing
from cosim.observe import View
from cosim.post import arrival_s, in_time
from cosim.rehearsal import rehearse
from cosim.seeds import LaneDraws
from cosim.senses import LaneSenses, lane_swaps
from cosim.settlement import Bills, Prices
from cosim.trade import Asked, Meddling, Trade, settle_trade, trade


@dataclass(frozen=True, eq=False)
class Step:
    """One interval of all lanes, traded, delivered and settled; arrays ``[lanes, ...]``."""

    index: int
    before_kwh: np.ndarray  # stored at the begin of delivery
    trade: Trade
    delivery: Delivery
    metered: Metered
    bills: Bills


class Lanes:
    """Episodes of equal length from their first DECIDE to the end of their last delivery.

    ``view`` is what is known at the next DECIDE ``[lanes, n]``; after the last interval it is that
    of the interval that would follow, everything settled, by the calendar of a day before.
    Raises InputError for disturbances that only a run in SimPy can play.
    """

    def __init__(self, case: Case, episodes: Sequence[Episode]) -> None:
        days, grid = {episode.days for episode in episodes}, case.grid
        if len(days) != 1:
            raise ValueError(f"lanes need episodes of one length, not of {sorted(days)} days")
        if grid.rounds > 1:
            raise InputError(
                Problem(
                    f"lanes cannot trade a delivery in {grid.rounds} rounds",
                    remedy="use the environments of cosim.envs, or one round",
                )
            )
        self._per_day = max(1, 86_400 // grid.interval_s)
        self.case, self.intervals = case, days.pop() * self._per_day
        self.interval = 0
        self._first = np.array([episode.first * self._per_day for episode in episodes])
        if self._first.min() < 0 or self._first.max() + self.intervals > grid.intervals:
            raise ValueError("an episode does not lie within the days of the case")
        disturbed = bool(case.scenario.disturbances)
        self._courses = [rehearse(lived(case, e)) for e in episodes] if disturbed else None
        self._almanac = Almanac(case, self._first, self.intervals)
        self._draws = _Streams(case, [episode.seed for episode in episodes], self._per_day)
        self._desk = Desk(case, self._draws.seeds)
        self._feeder = case.feeder.twin()
        self._network = network_guard(case, self._feeder)
        dead = self._feeder.dead[case.population.bus]  # by open switches, for the whole run
        self.present = ~dead  # the same in all lanes
        self._ones, self._nothing = np.ones(len(dead)), np.zeros((len(episodes), len(dead)))
        self.energy_kwh = np.stack([initial_kwh(case, episode) for episode in episodes])
        self._noted = _Noted(nothing_past(self._nothing.shape))
        self._senses = LaneSenses(len(episodes))
        self._peak_kw = self._nothing
        self._running: Delivery | None = None
        self._prices, self._outlook, self.view = self._looked()

    @property
    def done(self) -> bool:
        """Whether the last delivery has ended."""
        return self.interval == self.intervals

    def step(self, given: Mapping[str, np.ndarray] | None = None) -> Step:
        """Decide, trade, deliver and settle the next interval, and look at the one after it.

        ``given`` are decisions ``[lanes, m, a]`` of seats whose policy is not asked.
        """
        k, before = self.interval, self.energy_kwh
        traded = self._traded(k, given)
        delivery = self._delivered(k, traded)
        grid, hours = delivery.grid, self.case.grid.interval_h
        after = advance(self.case.population, before, delivery.flow, hours)
        case = self.case
        shares = loss_shares_kw(case.scenario.losses, case.population, self._feeder, delivery)
        part = Part(delivery.flow, hours, grid.slack_p_kw, grid.losses_kw, shares)
        metered = meter([part], after)
        peak_kw = np.where(self._almanac.begins_month(k), 0.0, self._peak_kw)
        traded, _, bills = settle_trade(case.population, case.market, traded, metered, peak_kw)
        self._peak_kw = bills.peak_kw
        self.interval, self.energy_kwh, self._running = k + 1, after, delivery
        on_metered = self.case.market.on_metered
        self._noted = self._noted.after(traded.clearing, bills, on_metered, self.done)
        self._prices, self._outlook, self.view = self._looked()
        return Step(k, before, traded, delivery, metered, bills)

    def _looked(self) -> tuple[Prices, Outlook, View]:
        """Return prices, outlook and view of the next interval."""
        k, courses = self.interval, self._courses
        prices = self._almanac.published(k, self._factor("open", k))
        seen = sensed(self.energy_kwh, self._running, self.case.population.bus)
        faults = [course.faults(k) for course in courses or ()]
        now_s = self._almanac.decide_s(k)
        hear = partial(self._senses.told, faults=faults, now_s=now_s)
        outlook, view = self._almanac.at(
            k,
            prices,
            seen,
            self._noted.past,
            self._factor("decide", k),
            self._draws.forecast.at(k),
            hear=hear if courses and any(course.faulty for course in courses) else None,
            exchanged=lane_swaps(faults),
        )
        return prices, outlook, view

    def _traded(self, k: int, given: Mapping[str, np.ndarray] | None) -> Trade:
        """Return the trade of an interval, from decisions to the clearing."""
        case = self.case
        present = None if self.present.all() else self.present
        answer = self._desk.ask(self.view, present, k, given)
        arrival = self._arrival_s(k)
        arrived = in_time(arrival, case.grid.close_s(k))
        asked = Asked(
            self._prices,
            self._outlook,
            answer.decision,
            answer.own_quantity,
            answer.own_price,
            arrival,
            self._draws.rank.at(k)[..., 0] if case.market.arrival_order else self._nothing,
            battery_kw=self.view.battery_kw,
            load_kvar=self._running.flow.load_kvar if self._running else self._nothing,
            meddling=self._meddling(k),
        )
        return trade(
            case.population,
            case.market,
            asked,
            arrived & self.present,
            case.grid.interval_h,
            physical_trades=case.scenario.trade_limit == "physical",
            network=self._network,
        )

    def _meddling(self, k: int) -> Meddling | None:
        """Return what disturbances make of the orders of an interval."""
        if not any(course.meddled for course in self._courses or ()):
            return None
        return Meddling.read(self._factor("decide", k))

    def _arrival_s(self, k: int) -> np.ndarray:
        """Return when each order arrives ``[lanes, n]``."""
        latency, sent_s = self.case.scenario.latency, self.case.grid.decide_s(k)
        instant = latency.max_s == 0
        if self._courses is None:
            delay, survival, message = self._nothing, self._ones, self._nothing
            if instant:
                return self._nothing + sent_s
        else:
            delay = self._read("decide", "delay", k)
            survival = self._read("decide", "order_survival", k)
            message = self._draws.message.at(k)[..., 0]
        travel = None if instant else self._draws.latency.at(k)[..., 0]
        return arrival_s(latency, sent_s, travel, delay, message, survival)

    def _delivered(self, k: int, traded: Trade) -> Delivery:
        """Return what flows in an interval."""
        profiles, rows, factor = self.case.profiles, self._first + k, self._factor("start", k)
        return deliver(
            self.case.population,
            self._feeder,
            self.energy_kwh,
            traded.guarded.decision.battery_kw,
            profiles.load_kw[rows] * factor("load"),
            profiles.load_kvar[rows] * factor("load"),
            profiles.pv_kw[rows] * factor("pv"),
            self.case.grid.interval_h,
            pv_most_kw(self.case.population, factor("pv_share")) if self._courses else None,
            self.view.battery_kw,
        )

    def _factor(self, gate: str, k: int) -> Factors:
        """Return what gives the factors ``[lanes, n]`` that stand at a gate of interval k."""

        def factor(name: Factor) -> np.ndarray:
            return self._read(gate, name, k)

        return factor

    def _read(self, gate: str, name: str, k: int) -> np.ndarray:
        if self._courses is None:
            return self._ones if name != "pv_share" else self._ones * np.inf
        return np.stack([course.at(gate, name, k) for course in self._courses])


class _Streams:
    """The keyed draws of all lanes; what nobody asks for is not drawn."""

    def __init__(self, case: Case, seeds: Sequence[int], per_day: int) -> None:
        forecast = case.scenario.forecast
        assert isinstance(forecast, Forecast)
        self.seeds, self._case, self._per_day = tuple(seeds), case, per_day
        self.forecast = self._stream("forecast", forecast.draws)
        self.latency, self.message = self._stream("latency"), self._stream("message")
        self.rank = self._stream("rank")

    def _stream(self, purpose: str, width: int = 1) -> LaneDraws:
        return LaneDraws(self.seeds, self._case.population.names, purpose, self._per_day, width)


@dataclass(frozen=True, eq=False)
class _Noted:
    """What is known of market and bills, see :class:`cosim.known.Past`, and what waits."""

    past: Past
    pending: Clearing | None = None  # cleared on metered energy, not known before the next gate
    unpaid_eur: np.ndarray | None = None  # bills of the running delivery

    def after(self, clearing: Clearing, bills: Bills, on_metered: bool, last: bool) -> _Noted:
        """Return what is known at the next gate.

        A market on metered energy clears, and a delivery is billed, when it has ended, after the
        next gate but before the one after it; at the end of the episode everything is known.
        """
        past = self.past if self.pending is None else self.past.after(self.pending)
        if self.unpaid_eur is not None:
            past = replace(past, bill_eur=self.unpaid_eur)
        waits = on_metered and not last
        past = past if waits else past.after(clearing)
        if last:
            return _Noted(replace(past, bill_eur=bills.bill_eur))
        return _Noted(past, clearing if waits else None, bills.bill_eur)
