"""Losses: who carries those of the feeder, by a stated rule.

``supplier``: nobody is billed for them. ``equal``: all who have supply carry the same.
``marginal``: each carries what their own injection adds. Losses are almost quadratic in the
injections, so that half of the sum of ``s_i dL/ds_i`` is almost their whole (Euler's theorem for
homogeneous functions); the rest, of transformers at no load, falls on all alike. Who relieves the
feeder has a negative share.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from cosim.delivery import Delivery
from cosim.feeder.feeder import Feeder
from cosim.population import Population

Rule = Literal["supplier", "equal", "marginal"]

#: by how much an injection is scaled, both ways, to see what it does to the losses
PROBE = 0.05


def loss_shares_kw(
    rule: Rule, population: Population, feeder: Feeder, delivery: Delivery
) -> np.ndarray | None:
    """Return each prosumer's share of the losses ``[..., n]`` [kW]; None: nobody is billed.

    The shares sum to the losses, unless nobody has supply or the load flow has no solution: then
    they are 0.
    """
    if rule == "supplier":
        return None
    alive = (~delivery.flow.dead).astype(float)
    own = np.zeros_like(delivery.flow.net_kw)
    if rule == "marginal":
        own = 0.5 * _slopes_kw(population, feeder, delivery) * alive
    rest = np.asarray(delivery.grid.losses_kw)[..., None] - own.sum(-1, keepdims=True)
    count = np.maximum(alive.sum(-1, keepdims=True), 1.0)
    return np.asarray(np.nan_to_num(own + alive * rest / count, nan=0.0))


def _slopes_kw(population: Population, feeder: Feeder, delivery: Delivery) -> np.ndarray:
    """Return ``s_i dL/ds_i`` ``[..., n]``: central differences over each prosumer's injection."""
    n, flow = len(population), delivery.flow
    index, bus = np.arange(n), population.bus
    p_kw, q_kvar = (
        np.repeat(np.repeat(values[None], n, axis=0)[None], 2, axis=0)
        for values in (delivery.p_kw, delivery.q_kvar)
    )
    for side, step in enumerate((PROBE, -PROBE)):
        p_kw[side, index, ..., bus] -= step * np.moveaxis(flow.net_kw, -1, 0)
        q_kvar[side, index, ..., bus] -= step * np.moveaxis(flow.load_kvar, -1, 0)
    more, less = feeder.solve(p_kw, q_kvar).losses_kw
    return np.asarray(np.moveaxis((more - less) / (2.0 * PROBE), 0, -1))
