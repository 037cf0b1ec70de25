"""What kind of thing each feature is: every feature of the catalogue is of exactly one kind.

What falsifies observations for a trial, and what foretells them, picks its columns by kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from cosim.observe import AHEAD_H, FEATURES, LAGS, WEEKDAYS

Kind = Literal["own", "type", "forecast", "price", "market", "grid", "time", "age"]
KINDS: tuple[Kind, ...] = get_args(Kind)

#: prices of the hours ahead, of whichever side the catalogue has
_AHEAD = tuple(
    name
    for side in ("retail", "feed_in")
    for h in AHEAD_H
    if (name := f"{side}_in_{h}h_eur_per_kwh") in FEATURES
)
OF_KIND: Mapping[Kind, tuple[str, ...]] = {
    # own state and measurements
    "own": ("soc", "energy_kwh", "most_charge_kw", "most_discharge_kw", "measured_load_kw",
            "measured_pv_kw"),
    # constants of a home and its devices
    "type": ("capacity_kwh", "rating_kw", "efficiency", "min_kwh", "max_kwh",
             "self_discharge_per_h", "wear_eur_per_kwh", "pv_kwp", "has_battery", "has_pv"),
    "forecast": ("forecast_load_kw", "forecast_pv_kw", "forecast_net_kw"),
    # published, looked up by the clock
    "price": ("retail_eur_per_kwh", "bid_limit_eur_per_kwh", "feed_in_eur_per_kwh", *_AHEAD),
    # what clearings and bills have told
    "market": ("last_price_eur_per_kwh", "last_volume_kwh", "last_fill_kwh", "last_bill_eur",
               "held_kwh",
               *(f"price_{lag + 1}_back_eur_per_kwh" for lag in range(1, LAGS)),
               *(f"volume_{lag + 1}_back_kwh" for lag in range(1, LAGS))),
    "grid": ("vm_pu", "vm_above_min_pu", "vm_below_max_pu", "line_loading_percent",
             "trafo_loading_percent", "pv_limit_kw", "curtailed_kw"),
    "time": ("hour_sin", "hour_cos", "weekend", *WEEKDAYS, "year_sin", "year_cos"),
    # how old news is, and how far ahead the decision looks
    "age": ("price_age_s", "measurement_age_s", "forecast_horizon_h"),
}  # fmt: skip
KIND_OF: Mapping[str, Kind] = {name: kind for kind, names in OF_KIND.items() for name in names}
