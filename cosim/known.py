"""What has become known when policies decide: the market's past, and what meters tell now."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosim.arrays import freeze
from cosim.delivery import Delivery
from cosim.markets.base import Clearing
from cosim.observe import LAGS


@dataclass(frozen=True, eq=False)
class Past:
    """What is known of clearings and bills; of the market LAGS of ``[...]``, the last first."""

    prices_eur_per_kwh: tuple[np.ndarray, ...]  # of the last that traded; NaN before the first
    volumes_kwh: tuple[np.ndarray, ...]
    fill_kwh: np.ndarray  # [..., n], own, in the last clearing
    bill_eur: np.ndarray  # [..., n], own, of the interval settled last

    def __post_init__(self) -> None:
        freeze(self)

    def after(self, clearing: Clearing) -> Past:
        """Return what is known after a clearing."""
        volume = np.asarray(clearing.volume_kwh)
        price = np.where(volume > 0.0, middle_price(clearing), self.prices_eur_per_kwh[0])
        return Past(
            (price, *self.prices_eur_per_kwh[:-1]),
            (volume, *self.volumes_kwh[:-1]),
            clearing.fills_kwh,
            self.bill_eur,
        )


def nothing_past(shape: tuple[int, ...]) -> Past:
    """Return what is known before the first clearing; ``shape`` is ``[..., n]``."""
    unknown, none = np.full(shape[:-1], np.nan), np.zeros(shape[:-1])
    return Past((unknown,) * LAGS, (none,) * LAGS, np.zeros(shape), np.zeros(shape))


@dataclass(frozen=True, eq=False)
class Sensed:
    """What battery, meter, line and feeder tell at DECIDE ``[..., n]``; ``[...]`` of the feeder."""

    energy_kwh: np.ndarray  # expected at the begin of delivery
    load_kw: np.ndarray
    pv_kw: np.ndarray
    vm_pu: np.ndarray
    battery_kw: np.ndarray
    curtailed_kw: np.ndarray
    line_loading_percent: np.ndarray | None  # of all lines [..., l]
    trafo_loading_percent: np.ndarray | None


def sensed(energy_kwh: np.ndarray, running: Delivery | None, bus: np.ndarray) -> Sensed:
    """Return what is sensed while a delivery runs; nothing flows before the first."""
    if running is None:
        zero = np.zeros_like(energy_kwh)
        return Sensed(energy_kwh, zero, zero, zero + 1.0, zero, zero, None, None)
    flow, grid = running.flow, running.grid
    return Sensed(
        energy_kwh,
        flow.load_kw,
        flow.pv_kw,
        grid.vm_pu[..., bus],
        flow.battery_kw,
        flow.curtailed_kw,
        grid.line_loading_percent,
        grid.trafo_loading_percent,
    )


def middle_price(clearing: Clearing) -> np.ndarray:
    """Return the price that is observed of a clearing ``[...]``, between buyers' and sellers'."""
    return 0.5 * (clearing.buy_price_eur_per_kwh + clearing.sell_price_eur_per_kwh)
