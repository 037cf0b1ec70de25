"""What a scenario says of prices and CO2: tariffs with their calendars, imbalance, intensity."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, Field, model_validator

from cosim import validation
from cosim.section import Section
from cosim.times import CivilDate, HourOfDay, MonthSpan, PricePerKwh, Weekday
from cosim.timeseries.formats import AnySeries

Charge = Annotated[float, Field(ge=0.0, le=5.0)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Weekdays = Annotated[tuple[Weekday, ...], Field(min_length=1)]
#: prices of energy, which a period or the day-ahead price may replace
ENERGY = ("retail_eur_per_kwh", "feed_in_eur_per_kwh")


def _unused(section: BaseModel, keys: Iterable[str], why: str) -> list[validation.Located]:
    """Return the keys that are given although something else takes their place."""
    return [
        ((key,), f"{key} has no effect beside {why}", f"remove it; over a base: '{key}: null'")
        for key in keys
        if key in section.model_fields_set
    ]


class Period(Section):
    """A daily window with its own prices, on some days of some months."""

    hours: tuple[HourOfDay, HourOfDay] = Field(description="begin and end, civil hours [h]")
    days: Literal["all", "weekdays", "weekend"] | Weekdays = Field(
        "all", description="days of the week, or a list of mon to sun"
    )
    months: tuple[MonthSpan, ...] | None = Field(
        None, min_length=1, description="1 to 12, names or spans like nov-mar; default: all"
    )
    retail_eur_per_kwh: PricePerKwh | None = Field(None, description="default: the tariff's")
    feed_in_eur_per_kwh: PricePerKwh | None = Field(None, description="default: the tariff's")
    network_eur_per_kwh: Charge | None = Field(
        None, description="network charge; default: as it is without this period"
    )

    @model_validator(mode="after")
    def _has_length(self) -> Period:
        if self.hours[0] == self.hours[1]:
            what = f"the period begins and ends at {self.hours[0]:g} h"
            raise validation.refusal([(("hours",), what, "write [0, 24] for the whole day")])
        return self

    @property
    def prices_energy(self) -> bool:
        """Whether the supplier's prices are the period's, be they its own or the tariff's."""
        return self.network_eur_per_kwh is None or any(
            getattr(self, key) is not None for key in ENERGY
        )


class DayAhead(Section):
    """Prices of energy that follow a price series, such as the day-ahead market's."""

    series: AnySeries = Field(description="price by time")
    retail_markup_eur_per_kwh: Charge = Field(0.0, description="retail is the price plus this")
    feed_in_markdown_eur_per_kwh: Charge = Field(
        0.0, description="feed-in is the price minus this; below zero feeding in costs"
    )
    published_hour: float = Field(
        13.0,
        ge=0.0,
        le=23.0,
        description="civil hour of the day before at which a day's prices are known, 13.5 is "
        "13:30; until then policies are shown those of the present day [h]",
    )


class Tariff(Section):
    """What is asked and paid, by time of use; the last matching period wins."""

    retail_eur_per_kwh: PricePerKwh = Field(0.20, description="the supplier's price of energy")
    feed_in_eur_per_kwh: PricePerKwh = Field(0.10, description="price of fed-in energy")
    day_ahead: DayAhead | None = Field(
        None, description="price series instead of retail and feed-in prices"
    )
    network_eur_per_kwh: Charge = Field(0.0, description="network charge on drawn energy")
    taxes_eur_per_kwh: Charge = Field(0.0, description="taxes and levies on drawn energy")
    network_local_share: Share = Field(
        1.0, description="part of the network charge due on energy of neighbours [-]"
    )
    taxes_local_share: Share = Field(
        1.0, description="part of the taxes due on energy of neighbours [-]"
    )
    demand_eur_per_kw_month: float = Field(
        0.0,
        ge=0.0,
        le=1000.0,
        description="network charge on a calendar month's highest mean power of an interval "
        "[EUR/kW]",
    )
    periods: tuple[Period, ...] = Field((), description="windows with prices of their own")
    holidays: tuple[CivilDate, ...] = Field((), description="dates that count as a Sunday")

    @model_validator(mode="after")
    def _no_idle_price(self) -> Tariff:
        if self.day_ahead is not None:
            found = _unused(self, ENERGY, "day_ahead, which sets both prices")
            for index, period in enumerate(self.periods):
                idle = _unused(period, ENERGY, "day_ahead, which sets both prices")
                found += [(("periods", index, *path), what, how) for path, what, how in idle]
                if period.network_eur_per_kwh is None and not idle:
                    what = "beside day_ahead a period sets network_eur_per_kwh, here it is missing"
                    found.append((("periods", index), what, "give it, or remove the period"))
            if found:
                raise validation.refusal(found)
        return self

    @model_validator(mode="after")
    def _spread(self) -> Tariff:
        found: list[validation.Located] = []
        for index, (retail, feed_in) in self.price_pairs():
            if feed_in > retail:
                path = ("feed_in_eur_per_kwh",) if index is None else ("periods", index)
                what = f"feed-in {feed_in} above retail {retail} EUR/kWh"
                remedy = "lower it: else feeding in what was just drawn earns without end"
                found.append((path, what, remedy))
        if found:
            raise validation.refusal(found)
        return self

    def price_pairs(self) -> Iterator[tuple[int | None, tuple[float, float]]]:
        """Yield (retail, feed-in) of the base, None, and of each period that has any, its place.

        Nothing where a series sets the prices.
        """
        if self.day_ahead is not None:
            return
        yield None, (self.retail_eur_per_kwh, self.feed_in_eur_per_kwh)
        for index, period in enumerate(self.periods):
            if period.prices_energy:
                retail, feed_in = period.retail_eur_per_kwh, period.feed_in_eur_per_kwh
                retail = self.retail_eur_per_kwh if retail is None else retail
                feed_in = self.feed_in_eur_per_kwh if feed_in is None else feed_in
                yield index, (retail, feed_in)


class ImbalanceSection(Section):
    """What energy costs that was traded and that the meter does not back; default: the tariff."""

    markup_eur_per_kwh: Charge = Field(
        0.0, description="short: retail plus this; long: feed-in minus this"
    )
    short_eur_per_kwh: PricePerKwh | None = Field(
        None, description="price of energy short, instead of retail and mark-up"
    )
    long_eur_per_kwh: PricePerKwh | None = Field(
        None, description="price of energy long, instead of feed-in and mark-up"
    )
    series: AnySeries | None = Field(
        None, description="price of the system's imbalance, for energy short and long"
    )

    @model_validator(mode="after")
    def _one_price(self) -> ImbalanceSection:
        short, long = self.short_eur_per_kwh, self.long_eur_per_kwh
        found: list[validation.Located] = []
        if self.series is not None:
            keys = ("markup_eur_per_kwh", "short_eur_per_kwh", "long_eur_per_kwh")
            found = _unused(self, keys, "series, which is the price both ways")
        elif short is not None and long is not None:
            found = _unused(self, ("markup_eur_per_kwh",), "the prices of both sides")
            if long > short:
                what = f"long {long:g} is above short {short:g} EUR/kWh"
                remedy = "lower it: else being short and long in turn earns without end"
                found.append((("long_eur_per_kwh",), what, remedy))
        if found:
            raise validation.refusal(found)
        return self


#: no power station emits more
LARGEST_KG_PER_KWH = 3.0
Intensity = Annotated[float, Field(ge=0.0, le=LARGEST_KG_PER_KWH)]


class Co2(Section):
    """Carbon intensity of energy from upstream: one number, 24 hourly ones, or a series."""

    kg_per_kwh: Intensity = Field(0.4, description="constant intensity")
    hourly_kg_per_kwh: tuple[Intensity, ...] | None = Field(
        None, min_length=24, max_length=24, description="by civil hour of day"
    )
    series: AnySeries | None = Field(None, description="intensity by time")

    @model_validator(mode="after")
    def _one_source(self) -> Co2:
        found: list[validation.Located] = []
        if self.series is not None:
            found = _unused(self, ("kg_per_kwh", "hourly_kg_per_kwh"), "series")
        elif self.hourly_kg_per_kwh is not None:
            found = _unused(self, ("kg_per_kwh",), "hourly_kg_per_kwh")
        if found:
            raise validation.refusal(found)
        return self
