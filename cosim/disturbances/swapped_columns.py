"""Swapped columns: two features change places in what policies see, as after a wrong mapping."""

from __future__ import annotations

from collections.abc import Generator

from pydantic import Field, field_validator
from simpy import Event

from cosim.disturbances.base import Disturbance, World
from cosim.errors import did_you_mean
from cosim.observe import FEATURES


class SwappedColumns(Disturbance):
    """Each of two features is shown where the other one belongs."""

    features: tuple[str, str] = Field(description="names of two features")
    groups: tuple[str, ...] = Field((), description="groups hit; empty: all")

    @field_validator("features")
    @classmethod
    def _known(cls, value: tuple[str, str]) -> tuple[str, str]:
        for name in value:
            if name not in FEATURES:
                raise ValueError(f"unknown feature '{name}'; {did_you_mean(name, FEATURES)}")
        if value[0] == value[1]:
            raise ValueError(f"'{value[0]}' cannot change places with itself: name another feature")
        return value

    def run(self, world: World) -> Generator[Event, None, None]:
        """Exchange the features, then put them back."""
        yield world.at(self.start)
        over = world.swap_features(*self.features, self.groups)
        world.log("swapped_columns", phase="begin", features=self.features)
        yield world.at(self.end)
        over()
        world.log("swapped_columns", phase="end", features=self.features)
