"""Volumes, prices, welfare and concentration of the local market."""

from __future__ import annotations

import numpy as np

from cosim.metrics.base import Facts, kpi, sums
from cosim.metrics.statistics import concentration, extreme, ratio, total

#: a possible trade within this much of nothing is rounding [kWh]
ROUNDING_KWH = 1e-9

sums(
    {
        "fallback_clearings": "fallback_clearings",
        "traded_kwh": "volume_kwh",
        "welfare_eur": "welfare_eur",
        "welfare_loss_eur": "welfare_loss_eur",
        "orders_sent": "orders_sent",
        "orders_late_or_lost": "orders_late_or_lost",
    }
)


@kpi("traded_share_percent")
def _traded_share(facts: Facts) -> float:
    volume, possible = facts.interval["volume_kwh"], facts.interval["possible_kwh"]
    return 100.0 * ratio(total(np.minimum(volume, possible)), total(possible))


@kpi("undeliverable_kwh")
def _undeliverable(facts: Facts) -> float:
    volume, possible = facts.interval["volume_kwh"], facts.interval["possible_kwh"]
    return total(np.maximum(volume - possible, 0.0))


@kpi("silent_intervals")
def _silent_intervals(facts: Facts) -> float:
    series = facts.interval
    possible = series["possible_kwh"] > ROUNDING_KWH
    return float((possible & (series["volume_kwh"] == 0.0)).sum())


# ---------------------------------------------------------------- prices


def clearing_prices(facts: Facts) -> np.ndarray:
    """Return the prices of the intervals with trade [EUR/kWh]."""
    return facts.interval["price_eur_per_kwh"][facts.interval["volume_kwh"] > 0.0]


@kpi("mean_price_eur_per_kwh")
def _mean_price(facts: Facts) -> float:
    price, volume = facts.interval["price_eur_per_kwh"], facts.interval["volume_kwh"]
    return ratio(total(price * volume), total(volume))


@kpi("price_std_eur_per_kwh")
def _price_std(facts: Facts) -> float:
    prices = clearing_prices(facts)
    return float(np.std(prices)) if len(prices) else float("nan")


@kpi("lowest_price_eur_per_kwh")
def _lowest_price(facts: Facts) -> float:
    return extreme(np.fmin, clearing_prices(facts))


@kpi("highest_price_eur_per_kwh")
def _highest_price(facts: Facts) -> float:
    return extreme(np.fmax, clearing_prices(facts))


@kpi("mean_retail_eur_per_kwh")
def _mean_retail(facts: Facts) -> float:
    return float(np.mean(facts.interval["retail_eur_per_kwh"]))


@kpi("mean_feed_in_eur_per_kwh")
def _mean_feed_in(facts: Facts) -> float:
    return float(np.mean(facts.interval["feed_in_eur_per_kwh"]))


# ---------------------------------------------------------------- concentration


@kpi("hhi_sellers")
def _hhi_sellers(facts: Facts) -> float:
    return concentration(facts.prosumer["sold_kwh"])


@kpi("hhi_buyers")
def _hhi_buyers(facts: Facts) -> float:
    return concentration(facts.prosumer["bought_kwh"])
