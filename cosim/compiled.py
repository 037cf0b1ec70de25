"""Compiled arithmetic of one prosumer, applied to arrays with any leading axes.

Scalar by scalar, so that a row has the same bits alone and among lanes. Import it where it is
called: it takes the compiler with it. Kernels take nothing from other modules, because the
compiler's disk cache looks at this file only.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from cosim.array_kernels import guvectorize, vectorize


@guvectorize(["(" + "float64[:]," * 9 + ")"], "(),(),(),(),(),(),()->(),()")
def battery_range(energy, root, decay, held, least, most, rating, low, high):  # type: ignore[no-untyped-def]
    """Fill the feasible power of one battery."""
    kept = energy[0] * decay[0]
    high[0] = min(rating[0], max(most[0] - kept, 0.0) / (root[0] * held[0]))
    low[0] = -min(rating[0], max(kept - least[0], 0.0) * root[0] / held[0])


@vectorize(["float64(" + ",".join(["float64"] * 7) + ")"])
def battery_stored(energy, power, root, decay, held, least, most):  # type: ignore[no-untyped-def]
    """Return the energy of one battery after a step."""
    kept = energy * decay
    inflow = power * root if power > 0.0 else power / root
    return min(max(kept + inflow * held, min(kept, least)), most)


_FLOAT, _BOOL = "float64[:],", "boolean[:],"


@guvectorize(
    ["(" + 3 * _FLOAT + 2 * _BOOL + 7 * _FLOAT + _BOOL + "int16[:]," + 4 * _FLOAT + "int16[:])"],
    ",".join(["()"] * 13) + ",(f)->" + ",".join(["()"] * 5),
)
def guard_row(  # type: ignore[no-untyped-def]
    wanted_kw, wanted_kwh, wanted_price, own_quantity, own_price, low, high, rating, net_kw,
    retail, feed_in, hours, physical, flags, battery_kw, quantity, price, position, reason,
):  # fmt: skip
    """Project the decision of one prosumer; ``flags`` are the five reasons, in their order."""
    finite = (
        np.isfinite(wanted_kw[0]) and np.isfinite(wanted_kwh[0]) and np.isfinite(wanted_price[0])
    )
    power = wanted_kw[0] if finite else 0.0
    battery_kw[0] = min(max(power, low[0]), high[0])
    position[0] = (net_kw[0] + battery_kw[0]) * hours[0]
    order = wanted_kwh[0] if own_quantity[0] else position[0]
    order = order if finite else 0.0
    quantity[0] = order
    if physical[0]:
        quantity[0] = min(max(order, min(position[0], 0.0)), max(position[0], 0.0))
    limit = retail[0] if quantity[0] > 0.0 else feed_in[0]
    limit = wanted_price[0] if finite and own_price[0] else limit
    price[0] = min(max(limit, feed_in[0]), retail[0])
    reason[0] = flags[0] if not finite else 0
    if abs(power) > rating[0]:
        reason[0] |= flags[1]
    if battery_kw[0] != power and abs(battery_kw[0]) < rating[0]:
        reason[0] |= flags[2]
    if quantity[0] != order:
        reason[0] |= flags[3]
    if price[0] != limit:
        reason[0] |= flags[4]


@guvectorize(
    ["(" + 20 * "float64[:]," + "float64[:])"], ",".join(["()"] * 12) + "->" + ",".join(["()"] * 9)
)
def bill_row(  # type: ignore[no-untyped-def]
    net, fill, paid, dead, curtailed, losses, retail, feed_in, short, long, moved, wear,
    back, back_eur, supply, imbalance, supply_eur, imbalance_eur, losses_eur, baseline_eur,
    wear_eur,
):  # fmt: skip
    """Fill the energies of one prosumer's bill, and what they cost before charges.

    What is handed back is the part of seconds without supply, and then what was sold and is missing
    because PV was curtailed: the supplier takes over both at the clearing price.
    """
    energy, money = -fill[0] * dead[0], -paid[0] * dead[0]
    if curtailed[0] > 0.0:
        sold = max(-(fill[0] + energy), 0.0)
        missing = min(max(net[0] + sold, 0.0), sold, curtailed[0])
        if missing > 0.0:
            money -= (paid[0] + money) * (missing / sold)
            energy += missing
    held = fill[0] + energy
    rest = net[0] - held
    # takes a fill back, and no more than is held
    instead = min(max(rest, min(-held, 0.0)), max(-held, 0.0))
    back[0], back_eur[0] = energy, money
    supply[0], imbalance[0] = rest - instead, instead
    supply_eur[0] = supply[0] * (retail[0] if supply[0] > 0.0 else feed_in[0])
    imbalance_eur[0] = instead * (short[0] if instead > 0.0 else long[0])
    losses_eur[0] = losses[0] * retail[0]
    baseline_eur[0] = net[0] * (retail[0] if net[0] > 0.0 else feed_in[0]) + losses_eur[0]
    wear_eur[0] = moved[0] * wear[0]


@guvectorize(["(float64[:], float64[:], float64[:], float64[:], int64[:])"], "(n),(n),(n),()->()")
def clearing_fault(quantity, fill, paid, volume, fault):  # type: ignore[no-untyped-def]
    """Fill what a clearing does that none may; see ``cosim.trade.FAULTS``. 0: nothing."""
    bought = turnover = total = 0.0
    fault[0] = 0
    for i in range(len(quantity)):
        if fill[i] * quantity[i] < 0.0 or not abs(fill[i]) <= abs(quantity[i]):
            fault[0] = 1
            return
        bought += max(fill[i], 0.0)
        turnover += abs(fill[i])
        total += paid[i]
    scale = 1e-9 * max(1.0, turnover)
    if not total >= -scale:  # nor NaN
        fault[0] = 2
    elif not abs(volume[0] - bought) <= scale:
        fault[0] = 3


@guvectorize(["(float64[:], float64[:], float64[:,:], float64[:])"], "(d),(d),(d,d)->()")
def squared_distance(row, mean, precision, result):  # type: ignore[no-untyped-def]
    """Return the squared Mahalanobis distance of one observation."""
    total = 0.0
    for i in range(len(row)):
        part = 0.0
        for j in range(len(row)):
            part += precision[i, j] * (row[j] - mean[j])
        total += part * (row[i] - mean[i])
    result[0] = total


@njit(cache=True)
def closing(  # type: ignore[no-untyped-def]
    net, fill, paid, dead, curtailed, back, supply, imbalance, losses, retail, feed_in, short, long,
    traded, bill, others,
):  # fmt: skip
    """Return the sums of a book: what the supplier receives, and what does not fit.

    In turn: supplier's receipts, |bill - receipts of all accounts|, |bill|, |net|, net, energy
    that bills do not explain, fills, |fills - traded|, losses that are billed. Imbalance takes
    back a fill: its sign is the other one's, and it is no larger.
    """
    sums = np.zeros(9)
    for i in range(len(net)):
        left = fill[i] * (1.0 - dead[i])
        missing = 0.0  # of sold energy, because PV was held back
        if left < 0.0 and curtailed[i] > 0.0:
            missing = min(max(net[i] - left, 0.0), -left, curtailed[i])
        handed_back = -paid[i] * dead[i]
        if missing > 0.0:
            handed_back += paid[i] * (1.0 - dead[i]) * missing / left
        supplier = max(supply[i], 0.0) * retail[i] + min(supply[i], 0.0) * feed_in[i]
        supplier += max(imbalance[i], 0.0) * short[i] + min(imbalance[i], 0.0) * long[i]
        supplier += handed_back + losses[i] * retail[i]
        held = left + missing
        sums[0] += supplier
        sums[1] += abs(bill[i] - supplier - paid[i] - others[i])
        sums[2] += abs(bill[i])
        sums[3] += abs(net[i])
        sums[4] += net[i]
        sums[5] += abs(held + supply[i] + imbalance[i] - net[i]) + abs(fill[i] + back[i] - held)
        sums[5] += max(imbalance[i] * held, 0.0) + max(abs(imbalance[i]) - abs(held), 0.0)
        sums[6] += fill[i]
        sums[7] += abs(fill[i] - traded[i])
        sums[8] += losses[i]
    return sums
