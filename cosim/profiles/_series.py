"""A home's columns in a file of time series, and their values in kW and kvar."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from cosim.profiles._homes_table import Home
from cosim.timeseries.table import Table

_POWER = {"kW": 1.0, "W": 1e-3, "MW": 1e3, "kvar": 1.0, "var": 1e-3, "Mvar": 1e3}
_ENERGY = {"kWh": 1.0, "Wh": 1e-3, "kvarh": 1.0, "varh": 1e-3}
_SPECIFIC = {"kW/kWp": 1.0, "W/kWp": 1e-3}


class Units(BaseModel):
    """Units of the time series; energy is that of one row, ``kW/kWp`` multiplies ``pv_kwp``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    load: Literal["kW", "W", "MW", "kWh", "Wh"] = Field("kW", description="of the load columns")
    pv: Literal["kW", "W", "MW", "kWh", "Wh", "kW/kWp", "W/kWp"] = Field(
        "kW", description="of the PV columns; per kWp: times the home's pv_kwp"
    )
    q: Literal["kvar", "var", "Mvar", "kvarh", "varh"] = Field(
        "kvar", description="of the columns of reactive load"
    )


class Columns(BaseModel):
    """Column names of one home, or the patterns for all of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    load: str | None = Field(None, description="column of the load")
    pv: str | None = Field(None, description="column of the PV output")
    q: str | None = Field(None, description="column of the reactive load")


@dataclass(frozen=True, eq=False)
class Series:
    """A home's time series ``[rows]``."""

    load_kw: np.ndarray
    load_kvar: np.ndarray
    pv_kw: np.ndarray


@dataclass(frozen=True)
class Found:
    """Where a home's series are; no PV column means no PV, no q column a power factor."""

    load: str
    pv: str | None
    q: str | None

    def columns(self) -> list[str]:
        """Return the columns to read."""
        return [name for name in (self.load, self.pv, self.q) if name is not None]

    def series(
        self,
        home: Home,
        values: np.ndarray,
        place: Mapping[str, int],
        units: Units,
        step_s: int,
        power_factor: float,
    ) -> Series:
        """Return the series from ``values`` ``[rows, columns]``, whose columns ``place`` tells."""
        load_kw = values[:, place[self.load]] * _factor(units.load, step_s, home)
        if self.q is None:
            load_kvar = load_kw * math.tan(math.acos(power_factor))
        else:
            load_kvar = values[:, place[self.q]] * _factor(units.q, step_s, home)
        if self.pv is None:
            return Series(load_kw, load_kvar, np.zeros(len(values)))
        pv_kw = values[:, place[self.pv]] * _factor(units.pv, step_s, home)
        return Series(load_kw, load_kvar, pv_kw)


def find_columns(home: Home, named: Columns | None, patterns: Columns, table: Table) -> Found:
    """Return a home's columns: those named, else by pattern.

    A column that must exist is returned whether it does or not: the load's, one that is named,
    and the PV's of a home with PV.
    """
    named = named or Columns()

    def by_pattern(pattern: str | None, needed: bool) -> str | None:
        name = (pattern or "").replace("{name}", home.name)
        return name if needed or name in table.header else None

    load = named.load or (patterns.load or "").replace("{name}", home.name)
    pv = named.pv or by_pattern(patterns.pv, needed=home.pv_kwp > 0.0)
    return Found(load, pv, named.q or by_pattern(patterns.q, needed=False))


def _factor(unit: str, step_s: int, home: Home) -> float:
    """Return what turns a value of a row into kW or kvar."""
    if unit in _ENERGY:
        return _ENERGY[unit] * (3600.0 / step_s)
    return _POWER[unit] if unit in _POWER else _SPECIFIC[unit] * home.pv_kwp
