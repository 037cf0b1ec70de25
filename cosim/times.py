"""Scalar types of the input: names, zones, moments and hours, checked once at the border."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from cosim.errors import did_you_mean
from cosim.yaml_nodes import shown

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}\Z")
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])\Z")
_EXAMPLE = "2016-01-18 17:30"
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_FIRST_YEAR, _LAST_YEAR = 1900, 2199  # of weather, prices and zones that mean anything


def _checked_name(value: str) -> str:
    shown = repr(value) if len(value) <= 40 else repr(value[:40]) + "..."
    if not _NAME.match(value):
        raise ValueError(
            f"{shown} is not a name: write 1 to 64 of a-z, 0-9, '_' and '-', beginning with a "
            "letter or digit"
        )
    if _DEVICE.match(value):
        raise ValueError(f"{shown} cannot name a folder on every system; choose another name")
    return value


def _checked_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        remedy = did_you_mean(value, available_timezones())
        hint = remedy if remedy.startswith("did") else "e.g. 'Europe/Berlin' or 'UTC'"
        raise ValueError(f"unknown time zone '{value}'; {hint}") from None
    return value


def _moment(value: Any) -> Any:
    """Read ``2016-01-18``, ``2016-01-18 17:30`` or ``2016-01-18T17:30:05+01:00``."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        raise ValueError(f"must be a time such as {_EXAMPLE}, got {value!r}")
    try:
        when = datetime.fromisoformat(value)
    except ValueError as error:
        raise ValueError(f"'{value}' is not a time: {error}; write e.g. {_EXAMPLE}") from None
    if when.microsecond:
        raise ValueError("times are whole seconds")
    if not _FIRST_YEAR <= when.year <= _LAST_YEAR:
        raise ValueError(f"'{value}' lies outside the years {_FIRST_YEAR} to {_LAST_YEAR}")
    return when


def _date(value: Any) -> Any:
    """Read ``2016-12-25``."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    try:
        found = date.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValueError(f"must be a date such as 2016-12-25, got {value!r}") from None
    if not _FIRST_YEAR <= found.year <= _LAST_YEAR:
        raise ValueError(f"'{value}' lies outside the years {_FIRST_YEAR} to {_LAST_YEAR}")
    return found


def _months(value: Any) -> Any:
    """Return the numbers of a month or of a span, which may go over the new year."""
    if isinstance(value, tuple):
        return value
    words = value.lower().split("-") if isinstance(value, str) else [str(value)]
    ends = [_month(word.strip()) for word in words]
    if len(ends) > 2 or 0 in ends:
        raise ValueError(f"must be a month, 1 to 12 or jan to dec, or nov-mar, got {shown(value)}")
    return tuple((ends[0] - 1 + k) % 12 + 1 for k in range((ends[-1] - ends[0]) % 12 + 1))


def _month(word: str) -> int:
    """Return the number of a month, 0 for anything else."""
    if word in _MONTHS:
        return _MONTHS.index(word) + 1
    return int(word) if re.fullmatch("[1-9]|1[0-2]", word) else 0


Name = Annotated[str, AfterValidator(_checked_name)]
Zone = Annotated[str, AfterValidator(_checked_zone)]
Moment = Annotated[
    datetime,
    BeforeValidator(_moment),
    WithJsonSchema({"type": "string", "format": "date or date-time", "examples": [_EXAMPLE]}),
]
PricePerKwh = Annotated[float, Field(ge=-5.0, le=5.0)]
HourOfDay = Annotated[float, Field(ge=0.0, le=24.0)]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
CivilDate = Annotated[
    date,
    BeforeValidator(_date),
    WithJsonSchema({"type": "string", "format": "date", "examples": ["2016-12-25"]}),
]
#: the numbers of one month or of a span
MonthSpan = Annotated[
    tuple[int, ...],
    BeforeValidator(_months),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 12}, {"type": "string"}]}
    ),
]
