"""Chosen customers of an Ausgrid file: their days in a row, and what no home does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from cosim.errors import InputError, Problem, did_you_mean
from cosim.profiles._ausgrid_file import CAPACITY, CATEGORIES, DATE, SLOTS, Records
from cosim.profiles._plausible import LEAST_PV_PEAK, MEAN_LOAD_KW, MOST_PV

HALF_HOUR_H = 0.5
_PV_KWP = (0.1, 1000.0)
_WEEK = 7 * SLOTS


@dataclass(frozen=True, eq=False)
class Customer:
    """A customer's days from the file's first to its last, NaN where rows are missing.

    ``kw`` has the mean power ``[days * 48]`` of each category the customer has.
    """

    number: int
    pv_kwp: float
    kw: dict[str, np.ndarray]
    rows: dict[str, np.ndarray]  # [days], row of the file, -1 where it is missing

    @property
    def load_kw(self) -> np.ndarray:
        """General consumption and controlled load."""
        load = self.kw["GC"]
        return load + self.kw["CL"] if "CL" in self.kw else load

    @property
    def pv_kw(self) -> np.ndarray:
        """Gross generation, zero without."""
        return self.kw["GG"] if "GG" in self.kw else np.zeros(len(self.kw["GC"]))


def chosen(records: Records, wanted: int | tuple[int, ...] | None) -> list[Customer]:
    """Return the customers named, or the first so many by number, or all.

    Raises InputError for unknown customers, days that stand twice and what no home does.
    """
    known = records.customers()
    problems = []
    numbers = known if wanted is None else known[:wanted] if isinstance(wanted, int) else wanted
    if isinstance(wanted, int) and wanted > len(known):
        problems.append(Problem(f"the file has {len(known)} customers", records.table.file))
    for number in numbers:
        if number not in known:
            remedy = did_you_mean(str(number), [str(each) for each in known])
            problems.append(
                Problem(f"there is no customer {number}", records.table.file, remedy=remedy)
            )
    if problems:
        raise InputError(problems)
    customers = [_customer(records, number, problems) for number in numbers]
    if problems:
        raise InputError(problems)
    return customers


def _customer(records: Records, number: int, problems: list[Problem]) -> Customer:
    first, days = int(records.day.min()), int(np.ptp(records.day)) + 1
    mine = np.flatnonzero(records.customer == number)
    capacity = records.capacity_kwp[mine]
    if (capacity != capacity[0]).any():
        row = int(mine[int((capacity != capacity[0]).argmax())])
        what = f"the capacity of customer {number} is {capacity[0]:g} kWp further up"
        problems.append(Problem(what, records.at(row, CAPACITY)))
    kw, rows = {}, {}
    for index, category in enumerate(CATEGORIES):
        own = mine[records.category[mine] == index]
        if not own.size:
            continue
        at = records.day[own] - first
        problems += _twice(records, number, category, own, at)
        kwh = np.full((days, SLOTS), np.nan)
        kwh[at] = records.kwh[own]
        kw[category] = kwh.reshape(-1) / HALF_HOUR_H
        rows[category] = np.full(days, -1)
        rows[category][at] = own
    if "GC" not in kw:
        what = f"customer {number} has no general consumption (GC)"
        problems.append(Problem(what, records.at(int(mine[0])), remedy="leave the customer out"))
        kw["GC"], rows["GC"] = np.full(days * SLOTS, np.nan), np.full(days, -1)
    customer = Customer(number, float(capacity[0]) if "GG" in kw else 0.0, kw, rows)
    problems += _implausible(records, customer)
    return customer


def _twice(
    records: Records, number: int, category: str, own: np.ndarray, at: np.ndarray
) -> list[Problem]:
    order = np.argsort(at, kind="stable")
    again = own[order[1:][np.diff(at[order]) == 0]]
    if not again.size:
        return []
    row = int(again.min())
    day = date.fromordinal(int(records.day[row]))
    more = f" ({again.size} rows of the customer)" if again.size > 1 else ""
    what = f"customer {number} has {category} of {day} already further up{more}"
    return [Problem(what, records.at(row, DATE), remedy="remove the duplicate")]


def _implausible(records: Records, customer: Customer) -> list[Problem]:
    """Return what no home does: bounds of load and PV, as for homes of the user's own files."""
    file, number, problems = records.table.file, customer.number, list[Problem]()
    out = "check that the file is in kWh; if it is, leave the customer out"
    load_kw, pv_kw = customer.load_kw, customer.pv_kw
    if np.isfinite(load_kw).any():
        mean, (least, most) = float(np.nanmean(load_kw)), MEAN_LOAD_KW
        if not least <= mean <= most:
            what = f"customer {number}: no home has a load of {mean:,.4g} kW on average"
            problems.append(Problem(what, file, remedy=out))
    if "GG" not in customer.kw:
        return problems
    kwp, peak = customer.pv_kwp, float(np.nanmax(pv_kw))
    if not _PV_KWP[0] <= kwp <= _PV_KWP[1]:
        row = int(customer.rows["GG"].max())
        what = f"customer {number}: the capacity of the generator is {kwp:g} kWp"
        problems.append(Problem(what, records.at(row, CAPACITY), remedy="leave the customer out"))
    elif peak > MOST_PV * kwp:
        what = (
            f"customer {number}: PV reaches {peak:,.4g} kW, more than {MOST_PV:g} times {kwp:g} kWp"
        )
        row = int(customer.rows["GG"][int(np.nanargmax(pv_kw)) // SLOTS])
        problems.append(Problem(what, records.at(row), remedy=out))
    elif peak < LEAST_PV_PEAK * kwp and np.isfinite(pv_kw).sum() >= _WEEK:
        what = f"customer {number}: PV reaches only {peak:.3g} kW of {kwp:g} kWp"
        problems.append(Problem(what, file, remedy=out))
    return problems


def missing_days(
    records: Records, customers: Sequence[Customer], needed: np.ndarray
) -> list[Problem]:
    """Return the categories of which a customer lacks a ``needed`` day, counted from the first."""
    first, problems = int(records.day.min()), []
    for customer in customers:
        for category, rows in customer.rows.items():
            absent = needed[rows[needed] < 0]
            if not absent.size:
                continue
            above = rows[: absent[0]]
            where = records.at(int(above[above >= 0][-1])) if (above >= 0).any() else ""
            day = date.fromordinal(first + int(absent[0]))
            days = "1 day" if absent.size == 1 else f"{absent.size} days"
            what = f"customer {customer.number} has no {category} on {days}, the first is {day}"
            remedy = "leave the customer out, or run on other days"
            problems.append(Problem(what, where or records.table.file, remedy=remedy))
    return problems
