"""Compiled arithmetic of prosumers ``[..., n]``, over arrays with any leading axes.

Scalar by scalar, so that a row has the same bits alone and among lanes. Import it where it is
called: it takes the compiler with it. Kernels take nothing from other modules, because the
compiler's disk cache looks at this file only.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from cosim.array_kernels import guvectorize, vectorize


@guvectorize(["(" + "float64[:]," * 9 + ")"], ",".join(["(n)"] * 7) + "->(n),(n)")
def battery_range(energy, root, decay, held, least, most, rating, low, high):  # type: ignore[no-untyped-def]
    """Fill the feasible power of batteries."""
    for i in range(len(energy)):
        kept = energy[i] * decay[i]
        high[i] = min(rating[i], max(most[i] - kept, 0.0) / (root[i] * held[i]))
        low[i] = -min(rating[i], max(kept - least[i], 0.0) * root[i] / held[i])


@vectorize(["float64(" + ",".join(["float64"] * 7) + ")"])
def battery_stored(energy, power, root, decay, held, least, most):  # type: ignore[no-untyped-def]
    """Return the energy of one battery after a step."""
    kept = energy * decay
    inflow = power * root if power > 0.0 else power / root
    return min(max(kept + inflow * held, min(kept, least)), most)


_FLOAT, _BOOL = "float64[:],", "boolean[:],"


@guvectorize(
    ["(" + 3 * _FLOAT + 2 * _BOOL + 7 * _FLOAT + _BOOL + "int16[:]," + 4 * _FLOAT + "int16[:])"],
    ",".join(["(n)"] * 11) + ",(),(),(f)->" + ",".join(["(n)"] * 5),
)
def guarded(  # type: ignore[no-untyped-def]
    wanted_kw, wanted_kwh, wanted_price, own_quantity, own_price, low, high, rating, net_kw,
    retail, feed_in, hours, physical, flags, battery_kw, quantity, price, position, reason,
):  # fmt: skip
    """Project decisions; ``flags`` are the five reasons, in their order."""
    for i in range(len(wanted_kw)):
        finite = (
            np.isfinite(wanted_kw[i])
            and np.isfinite(wanted_kwh[i])
            and np.isfinite(wanted_price[i])
        )
        power = wanted_kw[i] if finite else 0.0
        battery_kw[i] = min(max(power, low[i]), high[i])
        position[i] = (net_kw[i] + battery_kw[i]) * hours[0]
        order = wanted_kwh[i] if own_quantity[i] else position[i]
        order = order if finite else 0.0
        quantity[i] = order
        if physical[0]:
            quantity[i] = min(max(order, min(position[i], 0.0)), max(position[i], 0.0))
        limit = retail[i] if quantity[i] > 0.0 else feed_in[i]
        limit = wanted_price[i] if finite and own_price[i] else limit
        price[i] = min(max(limit, feed_in[i]), retail[i])
        reason[i] = flags[0] if not finite else 0
        if abs(power) > rating[i]:
            reason[i] |= flags[1]
        if battery_kw[i] != power and abs(battery_kw[i]) < rating[i]:
            reason[i] |= flags[2]
        if quantity[i] != order:
            reason[i] |= flags[3]
        if price[i] != limit:
            reason[i] |= flags[4]


@guvectorize(
    ["(" + 20 * _FLOAT + "float64[:])"], ",".join(["(n)"] * 12) + "->" + ",".join(["(n)"] * 9)
)
def billed(  # type: ignore[no-untyped-def]
    net, fill, paid, dead, curtailed, losses, retail, feed_in, short, long, moved, wear,
    back, back_eur, supply, imbalance, supply_eur, imbalance_eur, losses_eur, baseline_eur,
    wear_eur,
):  # fmt: skip
    """Fill the energies of bills, and what they cost before charges.

    What is handed back is the part of seconds without supply, and then what was sold and is missing
    because PV was curtailed: the supplier takes over both at the clearing price.
    """
    for i in range(len(net)):
        energy, money = -fill[i] * dead[i], -paid[i] * dead[i]
        if curtailed[i] > 0.0:
            sold = max(-(fill[i] + energy), 0.0)
            missing = min(max(net[i] + sold, 0.0), sold, curtailed[i])
            if missing > 0.0:
                money -= (paid[i] + money) * (missing / sold)
                energy += missing
        held = fill[i] + energy
        rest = net[i] - held
        # takes a fill back, and no more than is held
        instead = min(max(rest, min(-held, 0.0)), max(-held, 0.0))
        back[i], back_eur[i] = energy, money
        supply[i], imbalance[i] = rest - instead, instead
        supply_eur[i] = supply[i] * (retail[i] if supply[i] > 0.0 else feed_in[i])
        imbalance_eur[i] = instead * (short[i] if instead > 0.0 else long[i])
        losses_eur[i] = losses[i] * retail[i]
        baseline_eur[i] = net[i] * (retail[i] if net[i] > 0.0 else feed_in[i]) + losses_eur[i]
        wear_eur[i] = moved[i] * wear[i]


@guvectorize(["(float64[:], float64[:], float64[:], float64[:], int64[:])"], "(n),(n),(n),()->()")
def clearing_fault(quantity, fill, paid, volume, fault):  # type: ignore[no-untyped-def]
    """Fill what a clearing does that none may; see ``cosim.trade.FAULTS``. 0: nothing."""
    bought = turnover = total = 0.0
    fault[0] = 0
    for i in range(len(quantity)):
        if fill[i] * quantity[i] < 0.0 or not abs(fill[i]) <= abs(quantity[i]):
            fault[0] = 1
            return
        if not np.isfinite(paid[i]):
            fault[0] = 2
            return
        bought += max(fill[i], 0.0)
        turnover += abs(fill[i])
        total += paid[i]
    scale = 1e-9 * max(1.0, turnover)
    if total < -scale:
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
