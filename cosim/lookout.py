"""The lookout: what is known at DECIDE, the published tariff and the named forecast."""

from __future__ import annotations

from functools import partial

import numpy as np

from cosim.almanac import Almanac
from cosim.case import Case
from cosim.conditions import Conditions
from cosim.draws import draws_of
from cosim.forecasts.base import Forecast
from cosim.guard import Outlook
from cosim.known import Past, nothing_past, sensed
from cosim.markets.base import Clearing
from cosim.observe import View
from cosim.plant import Plant
from cosim.senses import Senses, swaps
from cosim.settlement import Prices
from cosim.trade import Trade


class Lookout:
    """Looks at the plant, the tariff and the last clearing on behalf of guard and policies."""

    def __init__(self, case: Case, plant: Plant, conditions: Conditions) -> None:
        self._case, self._plant, self._conditions = case, plant, conditions
        self._almanac = Almanac(case)
        self._nothing = np.zeros(len(case.population))
        self._past, self._senses = nothing_past(self._nothing.shape), Senses()
        self._disturbed = bool(case.scenario.disturbances)
        assert isinstance(case.scenario.forecast, Forecast)
        names, width = case.population.names, case.scenario.forecast.draws
        self._draws = draws_of(case, names, "forecast", width)

    def published(self, k: int) -> Prices:
        """Return the prices of an interval as published when its gate opens."""
        return self._almanac.published(k, self._conditions.factor)

    def note(self, clearing: Clearing) -> None:
        """Remember a clearing for the next observations."""
        self._past = self._past.after(clearing)

    def billed(self, bill_eur: np.ndarray) -> None:
        """Remember the bills of an interval ``[n]`` for the next observations."""
        past = self._past
        self._past = Past(past.prices_eur_per_kwh, past.volumes_kwh, past.fill_kwh, bill_eur)

    def begins_month(self, k: int) -> bool:
        """Say whether an interval is the first of the run or of a civil month."""
        return bool(self._almanac.begins_month(k))

    def at(self, k: int, turn: int, prices: Prices, before: Trade | None) -> tuple[Outlook, View]:
        """Return the guard's outlook and the policies' view of a round of interval k.

        ``before`` is what the rounds before traded, None in the first.
        """
        plant, conditions = self._plant, self._conditions
        energy_kwh = plant.expected_kwh(self._case.grid.start_s(k))
        seen = sensed(energy_kwh, plant.running, self._case.population.bus)
        held = self._nothing if before is None else before.total.fills_kwh
        faults, now_s = conditions.faults, self._almanac.decide_s(k, turn)
        hear = partial(self._senses.told, faults=faults, now_s=now_s)
        return self._almanac.at(
            k,
            prices,
            seen,
            self._past,
            conditions.factor,
            self._draws.at(k),
            turn,
            held,
            hear if self._disturbed else None,
            swaps(faults),
        )

    def measured_kvar(self) -> np.ndarray:
        """Return the reactive load flowing now ``[n]``, which is taken to last."""
        running = self._plant.running
        return self._nothing if running is None else running.flow.load_kvar
