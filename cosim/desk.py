"""The desk: one batch per policy; observations in, one decision per prosumer out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cosim.case import Case, Seat
from cosim.errors import CosimError, PluginError
from cosim.guard import Decision
from cosim.observe import ACTIONS, View, encode
from cosim.oversight import Note, Oversight, stand_in
from cosim.policy import PolicyContext
from cosim.seeds import Draws


@dataclass(frozen=True, eq=False)
class Answer:
    """The decisions ``[n]``, and masks ``[n]`` of who chose quantity and limit price themselves."""

    decision: Decision
    own_quantity: np.ndarray
    own_price: np.ndarray
    supervised: np.ndarray | None = None  # bool, where a stand-in decided; None: nowhere
    notes: tuple[Note, ...] = ()


class Desk:
    """Asks each policy once per interval and keeps what it remembers."""

    def __init__(self, case: Case) -> None:
        self._seats = case.seats
        self._count = len(case.population)
        self._hours = case.grid.interval_h
        per_day = max(1, 86_400 // case.grid.interval_s)
        names = case.population.names
        self._own_quantity = np.zeros(self._count, dtype=bool)
        self._own_price = np.zeros(self._count, dtype=bool)
        self._memories: list[Any] = []
        self._draws: list[Draws] = []
        self._oversight: list[Oversight | None] = []
        weekdays = case.grid.local_weekdays()
        self._days = np.cumsum(np.diff(weekdays, prepend=weekdays[:1]) != 0)  # civil, of the run
        for seat in self._seats:
            self._own_quantity[seat.rows] = "quantity_kwh" in seat.policy.actions
            self._own_price[seat.rows] = "price_eur_per_kwh" in seat.policy.actions
            self._memories.append(seat.policy.start(len(seat.rows)))
            served = [names[row] for row in seat.rows]
            how = seat.supervisor
            self._oversight.append(
                None if how is None else Oversight(how, seat.name, tuple(served))
            )
            self._draws.append(
                Draws(case.scenario.seed, served, "decision", per_day, seat.policy.draws)
            )

    def ask(self, view: View, present: np.ndarray | None, interval: int) -> Answer:
        """Return the answers of all who are there; the others stay idle and order nothing.

        ``present`` is a mask ``[n]``, or None when everybody is at the desk.
        """
        decision = {name: np.zeros(self._count) for name in ACTIONS}
        rung = np.full(self._count, -1)
        notes: list[Note] = []
        for index, seat in enumerate(self._seats):
            here = slice(None) if present is None else np.flatnonzero(present[seat.rows])
            rows = seat.rows[here]
            if len(rows) == 0:
                continue
            memory = self._memories[index]
            part = memory if memory is None or present is None else memory[here]
            context = PolicyContext(
                rows, interval, self._hours, self._draws[index].at(interval)[here]
            )
            observations = encode(view, seat.policy.features, rows)
            if seat.sensors is not None:
                observations = seat.sensors(observations, rows, interval)
            oversight = self._oversight[index]
            if oversight is not None:
                look = oversight.look(observations, view.hour, int(self._days[interval]), here)
                observations, rung[rows] = look.observations, look.rung
                notes += look.notes
            actions, after = _acted(seat, observations, context, part)
            if memory is not None:
                memory = memory.copy()
                memory[here] = after
                self._memories[index] = memory
            for column, name in enumerate(seat.policy.actions):
                decision[name][rows] = actions[:, column]
        own_quantity = self._own_quantity if present is None else self._own_quantity | ~present
        own_price = self._own_price if present is None else self._own_price & present
        taken = rung >= 0
        if taken.any():
            silent = self._stand_in(view, rung, interval, decision)
            own_quantity, own_price = (own_quantity & ~taken) | silent, own_price & ~taken
        answer = Decision(*(decision[name] for name in ACTIONS))
        return Answer(answer, own_quantity, own_price, taken if taken.any() else None, tuple(notes))

    def _stand_in(
        self, view: View, rung: np.ndarray, interval: int, decision: dict[str, np.ndarray]
    ) -> np.ndarray:
        """Let the stand-ins decide; return who sends no order ``[n]``."""
        silent = np.zeros(self._count, dtype=bool)
        for seat in self._seats:
            rows = seat.rows[rung[seat.rows] >= 0]
            if seat.supervisor is not None and len(rows):
                power, silent[rows] = stand_in(seat.supervisor, view, rows, rung[rows], interval)
                decision["battery_kw"][rows] = power
                decision["quantity_kwh"][rows] = decision["price_eur_per_kwh"][rows] = 0.0
        return silent


def _acted(
    seat: Seat, observations: np.ndarray, context: PolicyContext, memory: Any
) -> tuple[np.ndarray, Any]:
    """Return a policy's answer; whatever goes wrong inside it names the policy."""
    try:
        actions, after = seat.policy.act(observations, context, memory)
        actions = np.asarray(actions, dtype=np.float64)
    except CosimError:
        raise
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"policy '{seat.name}' ({seat.policy.kind()}) failed in interval {context.interval}: "
            f"{type(error).__name__}: {error}"
        ) from error
    expected = (len(context.ids), len(seat.policy.actions))
    if actions.shape != expected:
        raise PluginError(
            f"policy '{seat.name}' ({seat.policy.kind()}) returned decisions of shape "
            f"{actions.shape}, expected {expected}"
        )
    return actions, after
