"""Rolling model-predictive control: the best operation of the battery for the hours ahead.

Every interval each prosumer solves its own linear programme over the horizon, exactly
(:mod:`cosim.optimum.storage`), and holds the first interval's power. It knows what is known:

* the coming interval's named forecast of load and PV;
* for later intervals what it measured at the same time a day before (persistence of a day), from
  its own memory; before a day has passed, the present load and no PV;
* the published retail and feed-in prices of the next 12 hours, and for later ones those of the
  same time a day before; where they are unknown, the horizon ends;
* its battery;
* with ``trading: local``, price and room of the market as it has met them, see `_learned`; with
  ``tariff`` energy is worth the tariff, as if there were no neighbours. A market that clears
  metered energy takes no orders, of which nothing is to be learnt: there it is ``tariff``.

It takes prices as given, but not for any quantity: all homes plan alike, and together they make
the price. So neighbours are taken to buy and sell a share of the rating, beyond which the tariff
counts, and the share follows what was filled.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, PrivateAttr

from cosim.observe import AHEAD_H
from cosim.policy import Policy, PolicyContext, Seating

_HOURS = tuple(h for h in AHEAD_H if h <= 12)
_OWN = (
    "forecast_load_kw", "forecast_pv_kw", "measured_load_kw", "measured_pv_kw", "energy_kwh",
    "min_kwh", "max_kwh", "rating_kw", "efficiency", "self_discharge_per_h", "wear_eur_per_kwh",
    "bid_limit_eur_per_kwh", "last_price_eur_per_kwh", "last_volume_kwh", "last_fill_kwh",
    "held_kwh",
)  # fmt: skip
_PUBLISHED = {
    price: (f"{price}_eur_per_kwh", *(f"{price}_in_{h}h_eur_per_kwh" for h in _HOURS))
    for price in ("retail", "feed_in")
}
#: columns of the memory by time of day; MEASURED, PRICED and PLACED tell what has been seen (1)
_LOAD, _PV, _RETAIL, _FEED_IN, _MEASURED, _PRICED, _PLACE, _SELLS, _BUYS, _PLACED = range(10)
_WIDTH = 10
#: the row behind those tells what was known of trading last, and holds the last decision
_POSITION, _POWER = _LOAD, _PV
#: and for which interval that was, counted from 1, with what earlier rounds had traded for it
_DECIDED, _HELD = _MEASURED, _PRICED
#: how much of a remembered price stays when the same time of day is seen again
_KEPT = 0.5
#: the place of a price that has never been seen: in dear hours energy is mostly scarce
_UNSEEN = 0.8
#: for how long the last price is taken to last where the time of day has not been seen [h]
_LASTS_H = 1.0
#: what is tried beyond what was sold or bought last where there was more to be had, and the least
_MORE, _LEAST = 1.1, 0.05
#: what waiting for neighbours' energy costs, of the band [1/h]: of equal plans the earlier
_WAITING_PER_H = 0.002


class ModelPredictive(Policy):
    """Charges and discharges as is best for the hours ahead, as far as they are known.

    What is stored when the horizon ends is worth ``terminal`` times what a discharged kWh yields,
    ``sqrt(eta)``: ``lowest`` is the lowest price of the horizon at which energy can be bought
    again, so that storing for its own sake never pays; ``mean`` is the mean, which fills a
    battery that cannot see the dear hours yet; ``none`` leaves it empty.
    """

    horizon_h: float = Field(24.0, ge=1.0, le=24.0, description="how far it looks [h]")
    terminal: Literal["lowest", "mean", "none"] = Field(
        "lowest", description="what stored energy is worth in the end"
    )
    trading: Literal["tariff", "local"] = Field(
        "local",
        description="what energy is worth: the tariff, or what neighbours pay and ask, which a "
        "market of metered energy does not tell",
    )
    room_share: float = Field(
        0.5, gt=0.0, le=1.0, description="of the rating, traded with neighbours at first [-]"
    )

    features = (*_OWN, *_PUBLISHED["retail"], *_PUBLISHED["feed_in"])

    _interval_s: int = PrivateAttr(3600)

    def bound(self, folder: Path, interval_s: int) -> ModelPredictive:
        """Return the policy with a day's memory in intervals of the scenario's length."""
        ready = self.model_copy()
        ready._interval_s = interval_s
        return ready

    def seated(self, seating: Seating) -> ModelPredictive:
        """Return the policy, by the tariff alone where the market takes no orders."""
        if seating.on_metered:
            return self.model_copy(update={"trading": "tariff"})
        return self

    def start(self, count: int) -> np.ndarray:
        """Return the memory ``[m, times + 1, columns]`` of a day nobody has seen."""
        memory = np.zeros((count, max(1, 86_400 // self._interval_s) + 1, _WIDTH))
        memory[:, :, _SELLS : _BUYS + 1] = self.room_share
        memory[:, -1, _PLACE] = _UNSEEN
        return memory

    def act(
        self, observations: np.ndarray, context: PolicyContext, memory: Any
    ) -> tuple[np.ndarray, Any]:
        """Return the first power of each prosumer's best plan."""
        from cosim.optimum.storage import best_powers, tariff

        own = dict(zip(self.features, observations.T, strict=True))
        after = _remembered(memory, own, context.interval, context.interval_h)
        times = (context.interval + np.arange(self._steps)) % (memory.shape[1] - 1)
        buy, sell, length = self._prices(own, after[:, times])
        local = self.trading == "local"
        prices = (
            _local(buy, sell, own, after, times, context.interval_h) if local else tariff(buy, sell)
        )
        hours, rate = context.interval_h, own["self_discharge_per_h"]
        leaks = rate > 0.0
        held = np.where(leaks, -np.expm1(-rate * hours) / np.where(leaks, rate, 1.0), hours)
        root = np.sqrt(np.maximum(own["efficiency"], 1e-6))
        power, _ = best_powers(
            own["energy_kwh"].copy(),
            _expected(after[:, times], own),
            prices,
            length,
            hours,
            root,
            np.exp(-rate * hours),
            held,
            np.minimum(own["min_kwh"], own["max_kwh"]),
            own["max_kwh"].copy(),
            own["rating_kw"].copy(),
            own["wear_eur_per_kwh"].copy(),
            self._terminal(buy, length) * root,
        )
        net = own["forecast_load_kw"] - own["forecast_pv_kw"]
        after[:, -1, _POSITION], after[:, -1, _POWER] = net + power, power
        after[:, -1, _DECIDED], after[:, -1, _HELD] = context.interval + 1, own["held_kwh"]
        return power[:, None], after

    @property
    def _steps(self) -> int:
        """The intervals of the horizon, at most those of a day."""
        return max(1, round(self.horizon_h * 3600) // self._interval_s)

    def _prices(
        self, own: dict[str, np.ndarray], yesterday: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return retail and feed-in prices ``[m, H]`` and how many of them are known ``[m]``.

        Published are those of now and every full hour of the next 12; within an hour they stand.
        """
        hour = np.arange(self._steps) * self._interval_s // 3600
        near = hour <= len(_HOURS)
        found = []
        for price, column in (("retail", _RETAIL), ("feed_in", _FEED_IN)):
            published = np.stack([own[name] for name in _PUBLISHED[price]], axis=1)
            shown = published[:, np.minimum(hour, len(_HOURS))]
            found.append(np.where(near, shown, yesterday[:, :, column]))
        known = near | (yesterday[:, :, _PRICED] > 0.0)
        length = np.where(known.all(axis=1), self._steps, np.argmin(known, axis=1))
        return found[0], found[1], length.astype(np.int64)

    def _terminal(self, prices: np.ndarray, length: np.ndarray) -> np.ndarray:
        """Return what a kWh discharged after the horizon is worth ``[m]``."""
        inside = np.arange(prices.shape[1]) < length[:, None]
        if self.terminal == "none":
            return np.zeros(len(prices))
        if self.terminal == "mean":
            return np.asarray(np.where(inside, prices, 0.0).sum(axis=1) / length)
        return np.asarray(np.where(inside, prices, np.inf).min(axis=1))


def _remembered(
    memory: np.ndarray, own: dict[str, np.ndarray], interval: int, hours: float
) -> np.ndarray:
    """Return the memory with what was measured in the interval before, and the present price."""
    after, times = memory.copy(), memory.shape[1] - 1
    now = interval % times
    if interval > 0:
        before = (interval - 1) % times
        after[:, before, _LOAD] = own["measured_load_kw"]
        after[:, before, _PV] = own["measured_pv_kw"]
        after[:, before, _MEASURED] = 1.0
    _learned(after, own, interval, hours)
    after[:, now, _RETAIL] = own["retail_eur_per_kwh"]
    after[:, now, _FEED_IN] = own["feed_in_eur_per_kwh"]
    after[:, now, _PRICED] = 1.0
    after[:, -1, _RETAIL] = own["bid_limit_eur_per_kwh"]
    after[:, -1, _FEED_IN] = own["feed_in_eur_per_kwh"]
    return after


def _learned(after: np.ndarray, own: dict[str, np.ndarray], interval: int, hours: float) -> None:
    """Put into a memory what the last clearing tells of price and room in the market.

    It was that of an earlier round or of the interval before; who was not there learns nothing.

    The place of a price is its share of the band from feed-in (0) to what a neighbour's kWh is
    worth at most (1); above the middle energy was scarce, below it there was a glut. What the
    battery itself sold into a glut or bought in scarcity says nothing of the price but how much
    room there is, as a share of the rating: what was filled. What was filled whole could have
    been more.
    """
    last, rating = after[:, -1].copy(), own["rating_kw"]
    position, power = last[:, _POSITION], last[:, _POWER]
    band = last[:, _RETAIL] - last[:, _FEED_IN]
    traded, wanted = own["last_volume_kwh"] > 0.0, position * hours - last[:, _HELD]
    rounding = 1e-9 * np.maximum(np.abs(last[:, _HELD]), rating * hours)
    open_order = np.abs(wanted) > rounding
    known = (traded | open_order) & (band > 0.0) & (rating > 0.0)
    known &= last[:, _DECIDED] >= max(interval, 1)
    place = (own["last_price_eur_per_kwh"] - last[:, _FEED_IN]) / np.where(band > 0.0, band, 1.0)
    alone = np.where(wanted > 0.0, 1.0, 0.0)  # an order, and nobody on the other side
    place = np.where(traded, np.clip(place, 0.0, 1.0), alone)
    scarce, glut = place > 0.5 + 1e-9, place < 0.5 - 1e-9  # the middle: as much as was wanted
    sold, bought = (
        known & (position < 0.0) & (power < 0.0),
        known & (position > 0.0) & (power > 0.0),
    )
    own_doing = (sold & glut) | (bought & scarce)
    filled = np.abs(last[:, _HELD] + own["last_fill_kwh"])  # by all rounds
    filled = np.clip(filled / (hours * np.where(rating > 0.0, rating, 1.0)), _LEAST, 1.0)
    everybody, decided = np.arange(len(after)), last[:, _DECIDED].astype(np.intp) - 1
    for place_in in (decided % (after.shape[1] - 1), -1):
        row = after[everybody, place_in]
        _put_place(row, place, known & ~own_doing)
        _put_room(row[:, _SELLS], filled, sold & glut, sold & scarce)
        _put_room(row[:, _BUYS], filled, bought & scarce, bought & glut)
        after[everybody, place_in] = row


def _put_place(row: np.ndarray, place: np.ndarray, told: np.ndarray) -> None:
    """Smooth the place of the price in a row of the memory ``[m, columns]``, where it is told."""
    kept = np.where(row[:, _PLACED] > 0.0, _KEPT, 0.0)
    mixed = kept * row[:, _PLACE] + (1.0 - kept) * place
    row[:, _PLACE] = np.where(told, mixed, row[:, _PLACE])
    row[:, _PLACED] = np.where(told, 1.0, row[:, _PLACED])


def _put_room(
    room: np.ndarray, filled: np.ndarray, too_much: np.ndarray, enough: np.ndarray
) -> None:
    """Put into ``room`` ``[m]`` what was filled where that was not all, and more where it was."""
    more = np.minimum(np.maximum(room, filled * _MORE), 1.0)
    room[:] = np.where(too_much, filled, np.where(enough, more, room))


def _local(
    retail: np.ndarray,
    feed_in: np.ndarray,
    own: dict[str, np.ndarray],
    memory: np.ndarray,
    times: np.ndarray,
    hours: float,
) -> np.ndarray:
    """Return prices ``[m, H, 6]`` of trading with neighbours, and beyond that at the tariff.

    Place and room are those of the same time of the days before; where that has not been seen the
    last ones, of which the place lasts an hour only. The charges that a neighbour's energy owes
    stay as they are now.
    """
    day, late, wait_h = memory[:, times], memory[:, -1:], np.arange(len(times)) * hours
    seen = day[:, :, _PLACED] > 0.0
    sells, buys = (np.where(seen, day[:, :, i], late[:, :, i]) for i in (_SELLS, _BUYS))
    unseen = np.where(wait_h < _LASTS_H, late[:, :, _PLACE], _UNSEEN)
    place = np.where(seen, day[:, :, _PLACE], unseen)
    owed = own["retail_eur_per_kwh"] - own["bid_limit_eur_per_kwh"]
    band = np.maximum(retail - owed[:, None] - feed_in, 0.0)
    waiting, rating = _WAITING_PER_H * wait_h * band, own["rating_kw"][:, None]
    bought = np.minimum(retail - (1.0 - place) * band + waiting, retail)
    fed_in = feed_in + waiting
    sold = np.maximum(feed_in + place * band, fed_in)
    return np.stack((retail, bought, buys * rating, fed_in, sold, sells * rating), axis=-1)


def _expected(day: np.ndarray, own: dict[str, np.ndarray]) -> np.ndarray:
    """Return the expected load less PV ``[m, H]`` [kW], the coming interval first."""
    unseen = own["forecast_load_kw"][:, None]  # and no PV: a surplus now is worth storing
    net = np.where(day[:, :, _MEASURED] > 0.0, day[:, :, _LOAD] - day[:, :, _PV], unseen)
    net[:, 0] = own["forecast_load_kw"] - own["forecast_pv_kw"]
    return net
