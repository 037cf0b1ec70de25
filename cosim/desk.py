"""The desk: one batch per policy; observations in, one decision per prosumer out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cosim.case import Case
from cosim.draws import draws_of
from cosim.errors import CosimError, InputError, PluginError, Problem
from cosim.guard import Decision
from cosim.observe import ACTIONS, View, encode
from cosim.oversight import Look, Note, Oversight, stand_in
from cosim.policy import PolicyContext, Seating
from cosim.seats import Seat
from cosim.seeds import Draws, LaneDraws
from cosim.trade import Wish


@dataclass(frozen=True, eq=False)
class Answer:
    """The decisions ``[..., n]``, and who chose quantity and limit price themselves ``[n]``."""

    decision: Decision
    own_quantity: np.ndarray
    own_price: np.ndarray
    supervised: np.ndarray | None = None  # Reason flags where a stand-in decided; None: nowhere
    notes: tuple[Note, ...] = ()
    overruled: Wish | None = None  # what policies asked for where it did


class Desk:
    """Asks each policy once per interval and keeps what it remembers.

    With ``seeds``, one of each lane, views are ``[lanes, n]`` and each policy is asked once for the
    prosumers of all lanes: its contract is that a batch decides as its rows do alone.
    """

    def __init__(self, case: Case, seeds: Sequence[int] | None = None) -> None:
        self._seats = tuple(_taken(seat, case) for seat in case.seats)
        self._count = len(case.population)
        self._hours = case.grid.interval_h
        self._rounds = case.grid.rounds
        per_day = max(1, 86_400 // case.grid.interval_s) * self._rounds
        names = case.population.names
        self._own_quantity = np.zeros(self._count, dtype=bool)
        self._own_price = np.zeros(self._count, dtype=bool)
        self._nobody = np.full(self._count, -1)  # under supervision
        self._nothing = np.zeros(self._count, dtype=np.int16)
        self._memories: list[Any] = []
        self._draws: list[Draws | LaneDraws] = []
        self._lanes = 1 if seeds is None else len(seeds)
        self._alone = seeds is None
        self._oversight: list[Oversight | None] = []
        overseen = any(seat.supervisor is not None for seat in self._seats)
        weekdays = case.grid.local_weekdays() if overseen else np.zeros(case.grid.intervals)
        self._days = np.cumsum(np.diff(weekdays, prepend=weekdays[:1]) != 0)  # civil, of the run
        for seat in self._seats:
            self._own_quantity[seat.rows] = "quantity_kwh" in seat.policy.actions
            self._own_price[seat.rows] = "price_eur_per_kwh" in seat.policy.actions
            self._memories.append(seat.policy.start(len(seat.rows) * self._lanes))
            served = [names[row] for row in seat.rows]
            width = seat.policy.draws
            self._draws.append(
                draws_of(case, served, "decision", width, self._rounds)
                if seeds is None
                else LaneDraws(seeds, served, "decision", per_day, width)
            )
            how = seat.supervisor
            self._oversight.append(
                None if how is None else Oversight(how, seat.name, tuple(served))
            )

    def ask(
        self,
        view: View,
        present: np.ndarray | None,
        gate: int,
        given: Mapping[str, np.ndarray] | None = None,
    ) -> Answer:
        """Return the answers of all who are there; the others stay idle and order nothing.

        ``present`` is a mask ``[n]``, or None when everybody is at the desk. ``given`` are
        decisions ``[..., m, a]`` of seats whose policy is not asked. Gates count the rounds of
        all intervals.
        """
        lead = view.energy_kwh.shape[:-1]
        decision = {name: np.zeros((*lead, self._count)) for name in ACTIONS}
        rung, reason = self._nobody, self._nothing
        notes: list[Note] = []
        for index, seat in enumerate(self._seats):
            here = slice(None) if present is None else np.flatnonzero(present[seat.rows])
            rows = seat.rows[here]
            if len(rows) == 0:
                continue
            if given and seat.name in given:
                actions = given[seat.name][..., here, :]
            else:
                actions, look = self._asked(index, view, here, gate)
                if look is not None:
                    if rung is self._nobody:
                        rung, reason = rung.copy(), reason.copy()
                    rung[rows], reason[rows] = look.rung, look.reason
                    notes += look.notes
            actions = actions.reshape(*lead, len(rows), len(seat.policy.actions))
            for column, name in enumerate(seat.policy.actions):
                decision[name][..., rows] = actions[..., column]
        own_quantity = self._own_quantity if present is None else self._own_quantity | ~present
        own_price = self._own_price if present is None else self._own_price & present
        answer = Decision(*(decision[name] for name in ACTIONS))
        if rung is self._nobody or not (rung >= 0).any():
            return Answer(answer, own_quantity, own_price, notes=tuple(notes))
        wish, taken = Wish(answer, own_quantity, own_price), rung >= 0
        decision = {name: values.copy() for name, values in decision.items()}
        silent = self._stand_in(view, rung, gate // self._rounds, decision)
        return Answer(
            Decision(*(decision[name] for name in ACTIONS)),
            (own_quantity & ~taken) | silent,
            own_price & ~taken,
            reason,
            tuple(notes),
            wish,
        )

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

    def _seen(
        self, index: int, view: View, here: slice | np.ndarray, interval: int
    ) -> tuple[np.ndarray, Look | None]:
        """Return what a policy sees, and what its supervisor makes of it."""
        seat, oversight = self._seats[index], self._oversight[index]
        rows = seat.rows[here]
        observations = encode(view, seat.policy.features, rows)
        if seat.sensors is not None:
            observations = seat.sensors(observations, rows, interval)
        if oversight is None:
            return observations, None
        if not self._alone:
            what = f"the policy '{seat.name}' is under supervision, which lanes do not know"
            raise InputError(Problem(what, "supervisors", remedy="leave its supervisor out"))
        look = oversight.look(observations, float(view.hour), int(self._days[interval]), here)
        return look.observations, look

    def _asked(
        self, index: int, view: View, here: slice | np.ndarray, gate: int
    ) -> tuple[np.ndarray, Look | None]:
        """Return what a policy decides for those of its prosumers who are here, lanes in a row."""
        seat, memory = self._seats[index], self._memories[index]
        rows = seat.rows[here]
        batch = slice(None) if isinstance(here, slice) else self._in_batch(seat, here)
        observations, look = self._seen(index, view, here, gate // self._rounds)
        draws = self._draws[index].at(gate)[..., here, :]
        if not self._alone:
            observations = observations.reshape(self._lanes * len(rows), observations.shape[-1])
            draws = draws.reshape(self._lanes * len(rows), draws.shape[-1])
            rows = np.tile(rows, self._lanes)
        context = PolicyContext(rows, gate // self._rounds, self._hours, draws)
        part = memory if memory is None else memory[batch]
        actions, after = _acted(seat, observations, context, part)
        if memory is not None:
            memory = memory.copy()
            memory[batch] = after
            self._memories[index] = memory
        return actions, look

    def _in_batch(self, seat: Seat, here: np.ndarray) -> np.ndarray:
        """Return the places of prosumers in a batch of all lanes."""
        return (np.arange(self._lanes)[:, None] * len(seat.rows) + here).ravel()


def _taken(seat: Seat, case: Case) -> Seat:
    """Return the seat with its policy told whom it serves; a refusal names the policy."""
    served = tuple(case.population.names[row] for row in seat.rows)
    lead_s = case.scenario.time.gate_lead_seconds
    try:
        seating = Seating(served, seat.rows, case.grid.interval_s, lead_s, case.market.on_metered)
        policy = seat.policy.seated(seating)
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
