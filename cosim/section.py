"""What all parts of a scenario are."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler

from cosim.plain_numbers import plain_numbers


class Section(BaseModel):
    """Base of the scenario's parts: frozen, no unknown keys, no infinities."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> Any:
        """Take numbers for numbers only."""
        return plain_numbers(handler(source))
