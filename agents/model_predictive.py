"""Rolling model-predictive control: the best operation of the battery for the hours ahead.

Every interval each prosumer solves its own linear programme over the horizon, exactly
(:mod:`cosim.optimum.storage`), and holds the first interval's power. It knows what is known:

* the coming interval's named forecast of load and PV;
* for later intervals what it measured at the same time a day before (persistence of a day), from
  its own memory; before a day has passed, the present load and no PV;
* the published retail price of the next 12 hours, and for later ones that of the same time a day
  before; where that is unknown, the horizon ends. Feed-in stays as it is now;
* its battery. Trading is not foreseen: everything is valued at the tariff.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, PrivateAttr

from cosim.observe import AHEAD_H
from cosim.policy import Policy, PolicyContext

_HOURS = tuple(h for h in AHEAD_H if h <= 12)
_OWN = (
    "forecast_load_kw", "forecast_pv_kw", "measured_load_kw", "measured_pv_kw", "energy_kwh",
    "min_kwh", "max_kwh", "rating_kw", "efficiency", "self_discharge_per_h", "wear_eur_per_kwh",
    "feed_in_eur_per_kwh", "retail_eur_per_kwh",
)  # fmt: skip
#: columns of the memory, by time of day; the last two tell what has been seen (1) or not (0)
_LOAD, _PV, _RETAIL, _MEASURED, _PRICED = range(5)


class ModelPredictive(Policy):
    """Charges and discharges as is best for the hours ahead, as far as they are known.

    What is stored when the horizon ends is worth ``terminal`` times what a discharged kWh yields,
    ``sqrt(eta)``: ``lowest`` is the lowest retail price of the horizon, at which energy can be
    bought again, so that storing for its own sake never pays; ``mean`` is the mean, which fills a
    battery that cannot see the dear hours yet; ``none`` leaves it empty.
    """

    horizon_h: float = Field(24.0, ge=1.0, le=24.0, description="how far it looks [h]")
    terminal: Literal["lowest", "mean", "none"] = Field(
        "lowest", description="what stored energy is worth in the end"
    )

    features = (*_OWN, *(f"retail_in_{h}h_eur_per_kwh" for h in _HOURS))

    _interval_s: int = PrivateAttr(3600)

    def bound(self, folder: Path, interval_s: int) -> ModelPredictive:
        """Return the policy with a day's memory in intervals of the scenario's length."""
        ready = self.model_copy()
        ready._interval_s = interval_s
        return ready

    def start(self, count: int) -> np.ndarray:
        """Return the memory ``[m, times, columns]`` of a day nobody has seen."""
        return np.zeros((count, max(1, 86_400 // self._interval_s), 5))

    def act(
        self, observations: np.ndarray, context: PolicyContext, memory: Any
    ) -> tuple[np.ndarray, Any]:
        """Return the first power of each prosumer's best plan."""
        from cosim.optimum.storage import best_powers

        own = dict(zip(_OWN, observations.T, strict=False))
        after = _remembered(memory, own, context.interval)
        times = (context.interval + np.arange(self._steps)) % memory.shape[1]
        buy, length = self._prices(observations[:, len(_OWN) - 1 :], after[:, times])
        hours, rate = context.interval_h, own["self_discharge_per_h"]
        leaks = rate > 0.0
        held = np.where(leaks, -np.expm1(-rate * hours) / np.where(leaks, rate, 1.0), hours)
        root = np.sqrt(np.maximum(own["efficiency"], 1e-6))
        power, _ = best_powers(
            own["energy_kwh"].copy(),
            _expected(after[:, times], own),
            buy,
            np.repeat(own["feed_in_eur_per_kwh"][:, None], self._steps, axis=1),
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
        return power[:, None], after

    @property
    def _steps(self) -> int:
        """The intervals of the horizon, at most those of a day."""
        return max(1, round(self.horizon_h * 3600) // self._interval_s)

    def _prices(
        self, published: np.ndarray, yesterday: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return retail prices ``[m, H]`` and how many of them are known ``[m]``.

        ``published`` holds now and every full hour of the next 12; within an hour a price stands.
        """
        hour = np.arange(self._steps) * self._interval_s // 3600
        near = published[:, np.minimum(hour, len(_HOURS))]
        prices = np.where(hour <= len(_HOURS), near, yesterday[:, :, _RETAIL])
        known = (hour <= len(_HOURS)) | (yesterday[:, :, _PRICED] > 0.0)
        length = np.where(known.all(axis=1), self._steps, np.argmin(known, axis=1))
        return prices, length.astype(np.int64)

    def _terminal(self, prices: np.ndarray, length: np.ndarray) -> np.ndarray:
        """Return what a kWh discharged after the horizon is worth ``[m]``."""
        inside = np.arange(prices.shape[1]) < length[:, None]
        if self.terminal == "none":
            return np.zeros(len(prices))
        if self.terminal == "mean":
            return np.asarray(np.where(inside, prices, 0.0).sum(axis=1) / length)
        return np.asarray(np.where(inside, prices, np.inf).min(axis=1))


def _remembered(memory: np.ndarray, own: dict[str, np.ndarray], interval: int) -> np.ndarray:
    """Return the memory with what was measured in the interval before, and the present price."""
    after, times = memory.copy(), memory.shape[1]
    if interval > 0:
        before = (interval - 1) % times
        after[:, before, _LOAD] = own["measured_load_kw"]
        after[:, before, _PV] = own["measured_pv_kw"]
        after[:, before, _MEASURED] = 1.0
    after[:, interval % times, _RETAIL] = own["retail_eur_per_kwh"]
    after[:, interval % times, _PRICED] = 1.0
    return after


def _expected(day: np.ndarray, own: dict[str, np.ndarray]) -> np.ndarray:
    """Return the expected load less PV ``[m, H]`` [kW], the coming interval first."""
    unseen = own["forecast_load_kw"][:, None]  # and no PV: a surplus now is worth storing
    net = np.where(day[:, :, _MEASURED] > 0.0, day[:, :, _LOAD] - day[:, :, _PV], unseen)
    net[:, 0] = own["forecast_load_kw"] - own["forecast_pv_kw"]
    return net
