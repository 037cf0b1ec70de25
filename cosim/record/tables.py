"""The tables of a day: long columns in a fixed order, ready to be written and digested.

A column is an array (float NaN stands for "not there") or a :class:`Text`. Names and meanings are
held by :mod:`cosim.glossary`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from cosim.errors import InputError, Problem, did_you_mean
from cosim.feeder.state import SolveStatus
from cosim.reason import Reason
from cosim.record.day import Columns, Scope, Stack
from cosim.settlement import ACCOUNTS, LINES, OPERATOR

#: an executed power this close to the guarded one [kW] is no deviation
SAME_KW = 1e-9
#: sums of payments within this share of them are rounding
ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class Text:
    """A column of names: ``names[codes]``."""

    codes: np.ndarray  # int32
    names: tuple[str, ...]


Column = np.ndarray | Text
Table = dict[str, Column]

_PROSUMER = (
    "setpoint_kw", "load_kwh", "pv_kwh", "charge_kwh", "discharge_kwh", "net_kwh", "unserved_kwh",
    "dead_share", "energy_kwh", "forecast_load_kw", "forecast_pv_kw", "retail_eur_per_kwh",
    "feed_in_eur_per_kwh", *(line.energy for line in LINES.values() if line.energy),
    *(f"{name}_eur" for name in LINES), "bill_eur", "baseline_eur", "wear_eur", "co2_kg",
)  # fmt: skip
_MARKET = (
    "round", "offered_kwh", "requested_kwh", "volume_kwh", "buy_price_eur_per_kwh",
    "sell_price_eur_per_kwh", "orders_sent", "orders_late_or_lost", "welfare_eur",
    "welfare_loss_eur", "fallback", "co2_kg_per_kwh",
)  # fmt: skip
_SOLVES = ("iterations", "residual_pu", "slack_p_kw", "slack_q_kvar", "losses_kw")


def tables_of(stack: Stack, scope: Scope) -> dict[str, Table]:
    """Return every table of a day, in the order of :data:`TABLES`."""
    return {name: build(stack, scope) for name, build in _BUILD.items()}


def check_tables(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names in the order of :data:`TABLES`; raise InputError for unknown ones."""
    wanted = list(names)
    problems = [
        Problem(f"unknown table '{name}'", "record", remedy=did_you_mean(name, TABLES))
        for name in wanted
        if name not in TABLES
    ]
    if problems:
        raise InputError(problems)
    return tuple(name for name in TABLES if name in wanted)


def deviated(p: Columns, hours: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the executed battery power [kW] and where it is not the guarded one, ``[T, n]``."""
    executed = (p["charge_kwh"] - p["discharge_kwh"]) / hours
    return executed, np.abs(executed - p["setpoint_kw"]) > SAME_KW


def _prosumers(stack: Stack, scope: Scope) -> Table:
    intervals, names = len(stack.market["interval"]), scope.case.population.names
    return {
        **_when(scope, np.repeat(stack.market["interval"], len(names))),
        "prosumer": Text(np.tile(np.arange(len(names), dtype=np.int32), intervals), names),
        **{name: stack.prosumer[name].ravel() for name in _PROSUMER},
    }


def _orders(stack: Stack, scope: Scope) -> Table:
    o = stack.order
    head, at = _chosen(stack, scope, o["quantity_kwh"] != 0.0)
    arrival = o["arrival_s"][at]
    return {
        **head,
        "quantity_kwh": o["quantity_kwh"][at],
        "price_eur_per_kwh": o["limit_eur_per_kwh"][at],
        "arrival_s": np.where(np.isfinite(arrival), arrival, np.nan),
        "arrived": o["arrived"][at],
        "fill_kwh": o["fill_kwh"][at],
        "payment_eur": o["payment_eur"][at],
    }


def _trades(stack: Stack, scope: Scope) -> Table:
    o = stack.order
    head, at = _chosen(stack, scope, o["fill_kwh"] != 0.0)
    energy, amount = o["fill_kwh"][at], o["payment_eur"][at]
    return {
        **head, "energy_kwh": energy, "price_eur_per_kwh": amount / energy, "amount_eur": amount,
    }  # fmt: skip


def _market(stack: Stack, scope: Scope) -> Table:
    return {
        **_when(scope, stack.book["interval"]), **{name: stack.book[name] for name in _MARKET},
    }  # fmt: skip


def _bus(stack: Stack, scope: Scope) -> Table:
    names = scope.case.network.buses
    return {
        **_during(stack, scope, len(names)),
        "bus": Text(_tiled(stack, len(names)), names),
        **{name: stack.bus[name].ravel() for name in ("p_kw", "q_kvar", "vm_pu")},
    }


def _branch(stack: Stack, scope: Scope) -> Table:
    lines, names = len(scope.case.network.lines), scope.branches
    codes = _tiled(stack, len(names))
    return {
        **_during(stack, scope, len(names)),
        "element": Text(codes, names),
        "kind": Text((codes >= lines).astype(np.int32), ("line", "trafo")),
        **{name: stack.branch[name].ravel() for name in ("p_from_kw", "loading_percent")},
    }


def _solves(stack: Stack, scope: Scope) -> Table:
    topology, known = stack.solve["topology"], stack.topologies
    supply = np.array([each.supply for each in known], dtype=bool)
    return {
        **_during(stack, scope, 1),
        "status": Text(stack.solve["status"].astype(np.int32), STATUS),
        **{name: stack.solve[name] for name in _SOLVES},
        "supply": supply[topology],
        "open_lines": Text(topology, tuple(_listed(t.open_lines) for t in known)),
        "open_trafos": Text(topology, tuple(_listed(t.open_trafos) for t in known)),
    }


def _listed(names: Iterable[str]) -> str:
    """Return names, which may hold any character, as a JSON list."""
    return json.dumps(sorted(names), ensure_ascii=False)


STATUS = tuple(status.name.lower() for status in SolveStatus)


def _ledger(stack: Stack, scope: Scope) -> Table:
    """Return the postings of every line of the bills; an amount < 0 swaps debit and credit."""
    names = scope.case.population.names
    parts = [
        _postings(stack.prosumer, number, len(names) + ACCOUNTS.index(line.account))
        for number, line in enumerate(LINES.values())
    ]
    parts.append(_surplus(stack.prosumer, len(names)))
    post = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.lexsort((post["line"], post["who"], post["row"]))
    post = {name: values[order] for name, values in post.items()}
    amount, energy = post["amount"], post["energy"]
    accounts = (*names, *ACCOUNTS)
    pays = amount >= 0.0
    price = np.full(len(amount), np.nan)
    np.divide(amount, energy, out=price, where=energy != 0.0)
    return {
        **_when(scope, stack.market["interval"][post["row"]]),
        "prosumer": _text(
            np.where(post["who"] < len(names), post["who"], len(names)), (*names, "")
        ),
        "line": _text(post["line"], (*LINES, "surplus")),
        "debit": _text(np.where(pays, post["who"], post["other"]), accounts),
        "credit": _text(np.where(pays, post["other"], post["who"]), accounts),
        "energy_kwh": energy,
        "price_eur_per_kwh": price,
        "amount_eur": np.abs(amount),
    }


def _postings(p: Columns, line: int, other: int) -> Columns:
    """Return one line of the bills, without zero rows, against the account ``other``."""
    name, (_, quantity) = list(LINES.items())[line]
    amount = p[f"{name}_eur"]
    energy = p[quantity] if quantity else np.zeros_like(amount)
    row, who = np.nonzero((energy != 0.0) | (amount != 0.0))
    return {
        "row": row, "who": who, "line": np.full(len(row), line), "other": np.full(len(row), other),
        "energy": energy[row, who], "amount": amount[row, who],
    }  # fmt: skip


def _surplus(p: Columns, prosumers: int) -> Columns:
    """Return what the pool of all trades hands to its operator, where it keeps anything."""
    kept = p["trade_eur"].sum(1)
    scale = np.maximum(1.0, np.abs(p["trade_eur"]).sum(1))
    row = np.flatnonzero(np.abs(kept) > ROUNDING * scale)
    pool, operator = (
        prosumers + ACCOUNTS.index(name) for name in (LINES["trade"].account, OPERATOR)
    )
    return {
        "row": row, "who": np.full(len(row), pool), "line": np.full(len(row), len(LINES)),
        "other": np.full(len(row), operator), "energy": np.zeros(len(row)), "amount": kept[row],
    }  # fmt: skip


def _text(codes: np.ndarray, names: tuple[str, ...]) -> Text:
    return Text(codes.astype(np.int32), names)


def _interventions(stack: Stack, scope: Scope) -> Table:
    p, o, rounds = stack.prosumer, stack.order, scope.case.grid.rounds
    executed, off = deviated(p, scope.case.grid.interval_h)
    cause = np.where(p["dead_share"] > 0.0, Reason.OUTAGE, Reason.LATE_CHANGE)
    cause = np.where(off, cause, 0).astype(np.int16)
    reason, ran = o["reason"].copy(), np.full(o["guarded_kw"].shape, np.nan)
    ran[rounds - 1 :: rounds] = executed  # what the last round decided is what runs
    reason[rounds - 1 :: rounds] |= cause
    head, at = _chosen(stack, scope, reason != 0)
    who, supervised = at[1], reason[at] & Reason.FALLBACK != 0
    return {
        **head,
        "requested_kw": o["requested_kw"][at],
        "stand_in_kw": np.where(supervised, o["stand_in_kw"][at], np.nan),
        "overruled_kw": np.where(supervised, o["overruled_kw"][at], np.nan),
        "guarded_kw": o["guarded_kw"][at],
        "executed_kw": ran[at],
        "requested_kwh": np.where(scope.own_quantity[who], o["requested_kwh"][at], np.nan),
        "guarded_kwh": o["quantity_kwh"][at],
        "requested_eur_per_kwh": np.where(
            scope.own_price[who], o["requested_eur_per_kwh"][at], np.nan
        ),
        "guarded_eur_per_kwh": o["limit_eur_per_kwh"][at],
        "faults": _reasons(o["faults"][at]),
        "reason": _reasons(reason[at]),
    }


def _reasons(given: np.ndarray) -> Text:
    flags, codes = np.unique(given, return_inverse=True)
    return _text(codes, tuple(_reason_text(int(flag)) for flag in flags))


def _reason_text(flags: int) -> str:
    return "|".join(str(reason.name) for reason in Reason if reason and reason & flags)


def _when(scope: Scope, interval: np.ndarray) -> Table:
    """Return time and number of intervals."""
    seconds = interval.astype(np.int64) * scope.case.grid.interval_s
    return {"time": scope.times(seconds), "interval": interval}


def _during(stack: Stack, scope: Scope, width: int) -> Table:
    """Return when each load flow held, ``width`` rows each."""
    solve = stack.solve
    return {
        "time": np.repeat(scope.times(solve["start_s"]), width),
        "start_s": np.repeat(solve["start_s"], width),
        "end_s": np.repeat(solve["end_s"], width),
        "interval": np.repeat(solve["interval"], width),
    }


def _tiled(stack: Stack, width: int) -> np.ndarray:
    return np.tile(np.arange(width, dtype=np.int32), len(stack.solve["start_s"]))


def _chosen(
    stack: Stack, scope: Scope, mask: np.ndarray
) -> tuple[Table, tuple[np.ndarray, np.ndarray]]:
    """Return the leading columns of the orders of a mask ``[R, n]``, and where they are."""
    row, who = np.nonzero(mask)
    names = _text(who, scope.case.population.names)
    when = _when(scope, stack.book["interval"][row])
    return {**when, "round": stack.book["round"][row], "prosumer": names}, (row, who)


_BUILD: dict[str, Callable[[Stack, Scope], Table]] = {
    "prosumers": _prosumers,
    "orders": _orders,
    "trades": _trades,
    "market": _market,
    "bus": _bus,
    "branch": _branch,
    "solves": _solves,
    "ledger": _ledger,
    "interventions": _interventions,
}

#: the tables a run can write, in the order of the digest
TABLES = tuple(_BUILD)
