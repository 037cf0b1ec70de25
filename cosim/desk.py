"""The desk: one batch per policy; observations in, one decision per prosumer out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cosim.case import Case, Seat
from cosim.errors import CosimError, InputError, PluginError
from cosim.guard import Decision
from cosim.observe import ACTIONS, View, encode
from cosim.policy import PolicyContext, Seating
from cosim.seeds import Draws


@dataclass(frozen=True, eq=False)
class Answer:
    """The decisions ``[n]``, and masks ``[n]`` of who chose quantity and limit price themselves."""

    decision: Decision
    own_quantity: np.ndarray
    own_price: np.ndarray


class Desk:
    """Asks each policy once per interval and keeps what it remembers."""

    def __init__(self, case: Case) -> None:
        self._seats = tuple(_taken(seat, case) for seat in case.seats)
        self._count = len(case.population)
        self._hours = case.grid.interval_h
        per_day = max(1, 86_400 // case.grid.interval_s)
        names = case.population.names
        self._own_quantity = np.zeros(self._count, dtype=bool)
        self._own_price = np.zeros(self._count, dtype=bool)
        self._memories: list[Any] = []
        self._draws: list[Draws] = []
        for seat in self._seats:
            self._own_quantity[seat.rows] = "quantity_kwh" in seat.policy.actions
            self._own_price[seat.rows] = "price_eur_per_kwh" in seat.policy.actions
            self._memories.append(seat.policy.start(len(seat.rows)))
            served = [names[row] for row in seat.rows]
            self._draws.append(
                Draws(case.scenario.seed, served, "decision", per_day, seat.policy.draws)
            )

    def ask(self, view: View, present: np.ndarray | None, interval: int) -> Answer:
        """Return the answers of all who are there; the others stay idle and order nothing.

        ``present`` is a mask ``[n]``, or None when everybody is at the desk.
        """
        decision = {name: np.zeros(self._count) for name in ACTIONS}
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
            actions, after = _acted(seat, observations, context, part)
            if memory is not None:
                memory = memory.copy()
                memory[here] = after
                self._memories[index] = memory
            for column, name in enumerate(seat.policy.actions):
                decision[name][rows] = actions[:, column]
        own_quantity = self._own_quantity if present is None else self._own_quantity | ~present
        answer = Decision(*(decision[name] for name in ACTIONS))
        own_price = self._own_price if present is None else self._own_price & present
        return Answer(answer, own_quantity, own_price)


def _taken(seat: Seat, case: Case) -> Seat:
    """Return the seat with its policy told whom it serves; a refusal names the policy."""
    served = tuple(case.population.names[row] for row in seat.rows)
    lead_s = case.scenario.time.gate_lead_seconds
    try:
        policy = seat.policy.seated(Seating(served, seat.rows, case.grid.interval_s, lead_s))
    except InputError as error:
        why = f"policy '{seat.name}' ({seat.policy.kind()})"
        raise InputError([replace(p, why=p.why or why) for p in error.problems]) from None
    return replace(seat, policy=policy)


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
