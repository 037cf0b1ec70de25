"""One battery against known prices: its exact optimal operation, compiled, row by row.

The least cost from an interval on is a convex, piecewise linear function of the stored energy:
its value at the least energy and a list of (slope, width). One interval back is an infimal
convolution with the cost of that interval, which merges two sorted lists of slopes. That is
dynamic programming without a grid: nothing is rounded but the arithmetic.

Where prices make an interval's cost concave (negative, or feed-in above retail), its lower convex
envelope stands for it in later intervals, as if the battery could share the time; the decision of
the present interval is taken on the true cost. Self-discharge is made up for at the least energy.

Import it where it is called: it takes the compiler with it. It takes nothing from other modules,
because the compiler's disk cache looks at one file only.
"""

# mypy: disallow-untyped-defs=False
# (the compiler takes its types from the decorators' signatures)

from __future__ import annotations

import numpy as np
from numba import njit


@njit("float64(float64,float64,float64[:],float64,float64)", cache=True)
def _cost(power, net, prices, wear, hours):
    """Return the cost [EUR] of an interval at a battery power [kW]; prices: see `best_powers`."""
    position = net + power
    near = min(max(position, -prices[5]), prices[2])
    price = prices[1] if near > 0.0 else prices[4]
    far = prices[0] if position > near else prices[3]
    return hours * (price * near + far * (position - near) + wear * abs(power))


@njit("float64(float64,float64[:])", cache=True)
def _price(position, prices):
    """Return the price of a kWh more at a position [kW]."""
    if position > 0.0:
        return prices[0] if position > prices[2] else prices[1]
    return prices[3] if position < -prices[5] else prices[4]


@njit("float64(float64,float64,float64)", cache=True)
def _change(power, root, held):
    """Return the change of the stored energy [kWh] by a power held for the interval."""
    return power * root * held if power > 0.0 else power * held / root


@njit("float64(float64,float64,float64)", cache=True)
def _power(change, root, held):
    """Return the power that makes a change of the stored energy."""
    return change / (root * held) if change > 0.0 else change * root / held


@njit(
    "int64(float64[:],float64[:],float64,float64[:]," + ",".join(["float64"] * 5) + ")",
    cache=True,
)
def _interval(slope, width, net, prices, wear, hours, root, held, rating):
    """Fill the convex cost of an interval over the change of energy; return how many parts.

    Parts end where the battery turns, where the meter does, and where neighbours have enough. A
    slope below the one before it is merged with it: the envelope.
    """
    ends = np.array([-rating, 0.0, -net, prices[2] - net, -prices[5] - net, rating])
    ends = np.sort(np.minimum(np.maximum(ends, -rating), rating))
    count = 0
    for i in range(5):
        span = _change(ends[i + 1], root, held) - _change(ends[i], root, held)
        if span <= 0.0:
            continue
        middle = 0.5 * (ends[i] + ends[i + 1])
        price = _price(net + middle, prices)
        if middle > 0.0:
            slope[count] = (price + wear) * hours / (root * held)
        else:
            slope[count] = (price - wear) * hours * root / held
        width[count] = span
        count += 1
        while count > 1 and slope[count - 1] < slope[count - 2]:
            both = width[count - 2] + width[count - 1]
            area = slope[count - 2] * width[count - 2] + slope[count - 1] * width[count - 1]
            slope[count - 2], width[count - 2] = area / both, both
            count -= 1
    return count


@njit(
    "int64(float64[:],float64[:],int64,float64[:],float64[:],int64,float64[:],float64[:])",
    cache=True,
)
def _merged(slope, width, parts, own_slope, own_width, own_parts, to_slope, to_width):
    """Merge the slopes of a value with those of an interval turned round; return how many."""
    count, i, j = 0, 0, own_parts - 1
    while i < parts or j >= 0:
        if j < 0 or (i < parts and slope[i] <= -own_slope[j]):
            steep, wide = slope[i], width[i]
            i += 1
        else:
            steep, wide = -own_slope[j], own_width[j]
            j -= 1
        if count > 0 and to_slope[count - 1] == steep:
            to_width[count - 1] += wide
        else:
            to_slope[count], to_width[count] = steep, wide
            count += 1
    return count


@njit(
    "Tuple((int64,float64))(float64[:],float64[:],int64,float64,float64,float64)",
    cache=True,
)
def _cut(slope, width, parts, base, skip, span):
    """Keep the stretch of a value from ``skip`` on, ``span`` wide; return parts and its base."""
    if skip < 0.0 and parts > 0:
        base += slope[0] * skip
        width[0] -= skip
        skip = 0.0
    count, left = 0, span
    for i in range(parts):
        gone = min(skip, width[i])
        base += slope[i] * gone
        skip -= gone
        kept = min(width[i] - gone, left)
        if kept > 0.0:
            slope[count], width[count] = slope[i], kept
            left -= kept
            count += 1
    return count, base


@njit("float64(float64[:],float64[:],int64,float64,float64)", cache=True)
def _value(slope, width, parts, base, above):
    """Return a value at an energy ``above`` the least; the outer parts go on beyond."""
    for i in range(parts):
        reach = above if i == parts - 1 else min(above, width[i])
        base += slope[i] * reach
        above -= reach
        if above <= 0.0:
            break
    return base


@njit(
    "Tuple((int64,float64))(float64[:],float64[:],float64[:],float64[:,:],int64,"
    + 8 * "float64,"
    + "float64)",
    cache=True,
)
def _later(
    slope, width, net, prices, length, hours, root, decay, held, least, most, rating, wear, terminal
):
    """Fill the least cost after the first of ``length`` intervals; return parts and its base."""
    own_slope, own_width = np.empty(5), np.empty(5)
    new_slope, new_width = np.empty(len(slope)), np.empty(len(slope))
    parts, base = 0, -terminal * least
    if most > least:
        slope[0], width[0], parts = -terminal, most - least, 1
    up = _change(rating, root, held)
    for t in range(length - 1, 0, -1):
        own = _interval(own_slope, own_width, net[t], prices[t], wear, hours, root, held, rating)
        merged = _merged(slope, width, parts, own_slope, own_width, own, new_slope, new_width)
        base += _cost(rating, net[t], prices[t], wear, hours)
        parts, base = _cut(
            new_slope, new_width, merged, base, up - (1.0 - decay) * least, (most - least) * decay
        )
        for i in range(parts):
            slope[i], width[i] = new_slope[i] * decay, new_width[i] / decay
    return parts, base


@njit(
    "Tuple((float64,float64))(float64[:],float64[:],int64,"
    + 3 * "float64,"
    + "float64[:],"
    + 6 * "float64,"
    + "float64)",
    cache=True,
)
def _first(
    slope, width, parts, base, kept, net, prices, hours, root, held, least, most, rating, wear
):
    """Return the best power of the present interval and the least cost with it.

    The true cost is piecewise linear, so the best lies where a part ends; among equals the
    smallest power.
    """
    low = max(_change(-rating, root, held), min(least - kept, 0.0))
    high = min(_change(rating, root, held), max(most - kept, 0.0))
    best_power, best, reach = 0.0, np.inf, 0.0
    for i in range(-6, parts + 1):
        if i == -6:
            change = _change(prices[2] - net, root, held)
        elif i == -5:
            change = _change(-prices[5] - net, root, held)
        elif i == -4:
            change = 0.0
        elif i == -3:
            change = low
        elif i == -2:
            change = high
        elif i == -1:
            change = _change(-net, root, held)
        else:
            change = least + reach - kept
            reach += width[i] if i < parts else 0.0
        change = min(max(change, low), high)
        power = min(max(_power(change, root, held), -rating), rating)
        total = _cost(power, net, prices, wear, hours)
        total += _value(slope, width, parts, base, kept + change - least)
        near = 1e-12 * (1.0 + abs(total))
        if total < best - near or (total <= best + near and abs(power) < abs(best_power)):
            best_power, best = power, min(total, best)
    return best_power, best


@njit(
    "Tuple((float64[:],float64[:]))(float64[:],float64[:,:],float64[:,:,:],int64[:],float64,"
    + 7 * "float64[:],"
    + "float64[:])",
    cache=True,
)
def best_powers(
    energy, net, prices, length, hours, root, decay, held, least, most, rating, wear, terminal
):
    """Return each battery's best power now [kW] and its least cost [EUR], both ``[m]``.

    ``net`` (load - PV) [kW] is ``[m, H]``, of which the first ``length`` (at least 1) count.
    ``prices`` ``[m, H, 6]`` are what a kWh drawn costs beyond the power that neighbours give, what
    it costs up to it, that power [kW], and the same three of what is fed in (see `tariff`).
    ``terminal`` [EUR/kWh] is what energy left at the end is worth.
    ``root``, ``decay`` and ``held`` are one-way efficiency, share kept by an interval, and hours of
    inflow that survive it.
    """
    rows = len(energy)
    power, cost = np.zeros(rows), np.zeros(rows)
    slope, width = np.empty(5 * net.shape[1] + 4), np.empty(5 * net.shape[1] + 4)
    for i in range(rows):
        parts, base = _later(
            slope, width, net[i], prices[i], length[i], hours, root[i], decay[i], held[i],
            least[i], most[i], rating[i], wear[i], terminal[i],
        )  # fmt: skip
        power[i], cost[i] = _first(
            slope, width, parts, base, energy[i] * decay[i], net[i, 0], prices[i, 0],
            hours, root[i], held[i], least[i], most[i], rating[i], wear[i],
        )  # fmt: skip
    return power, cost


def tariff(buy: np.ndarray, sell: np.ndarray) -> np.ndarray:
    """Return the prices ``[..., 6]`` of a battery without neighbours, from retail and feed-in."""
    none = np.zeros_like(buy)
    return np.stack((buy, buy, none, sell, sell, none), axis=-1)
