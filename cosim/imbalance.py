"""The price of imbalance: what energy costs that was traded and that the meter does not back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cosim.arrays import freeze


@dataclass(frozen=True, eq=False)
class Imbalance:
    """Prices of energy sold and not fed in, or bought and not drawn, ``[T]`` [EUR/kWh].

    Where a side has no price of its own, the tariff's counts, worsened by the mark-up.
    """

    markup_eur_per_kwh: float = 0.0
    short_eur_per_kwh: np.ndarray | None = None
    long_eur_per_kwh: np.ndarray | None = None

    def __post_init__(self) -> None:
        freeze(self)

    def at(
        self, k: int | np.ndarray, retail: np.ndarray, feed_in: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return what being short costs and being long earns in interval ``k``, or ``[lanes]``.

        ``retail`` and ``feed_in`` are the tariff in force ``[..., n]``; so are the results.
        """
        short, long = self.short_eur_per_kwh, self.long_eur_per_kwh
        if self.markup_eur_per_kwh:
            retail, feed_in = retail + self.markup_eur_per_kwh, feed_in - self.markup_eur_per_kwh
        return (
            retail if short is None else _given(short, k, retail),
            feed_in if long is None else _given(long, k, feed_in),
        )

    def window(self, rows: slice) -> Imbalance:
        """Return the same prices over some of the intervals."""
        short, long = self.short_eur_per_kwh, self.long_eur_per_kwh
        return replace(
            self,
            short_eur_per_kwh=None if short is None else short[rows],
            long_eur_per_kwh=None if long is None else long[rows],
        )


def _given(prices: np.ndarray, k: int | np.ndarray, like: np.ndarray) -> np.ndarray:
    """Return prices of the community ``[T]`` for each prosumer ``[..., n]``."""
    return np.broadcast_to(np.asarray(prices[k])[..., None], like.shape)
