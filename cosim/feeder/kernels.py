"""Compiled load flow of a radial feeder: the tree is its own elimination order.

Nodes are numbered root first, so eliminating from the last to the first and substituting back
solves the nodal equations exactly, without fill-in. Two methods share that tree:

* fixed point on the injected currents, ``Y v' = conj(s / v)``, fast at ordinary load;
* Newton on the current mismatch with 2x2 real blocks, which converges up to voltage collapse.
  A root on the lower branch of the nose curve is refused by the sign of its pivots.

The batch kernel does the same operations in the same order, a block of lanes at a time; each
lane freezes at its own convergence, so that its bits are those of the single solve. Every
kernel lives in this one file, because the compiler's disk cache looks at one file only.

Columns of ``node [k, 15]`` (complex as two reals): 0 1/d, 2 factor of the child in its parent's
row, 4 factor of the parent's voltage, 6 no-load voltage, 8 diagonal, 10 y(parent, child),
12 y(child, parent), 14 shunt conductance. Columns of ``branch [h, 10]``: 0 yff, 2 yft, 4 ytf,
6 ytt, 8 and 9 percent of the rating per unit current at either end. ``ends [h, 4]``: positions of
both nodes, column of the loading and of the active power in a row of results, or -1.
``place [b]``: position of each bus's node, or -1. Voltages are rows ``[re, im]`` per node.
"""

# mypy: disallow-untyped-defs=False
# (the compiler takes its types from the decorators' signatures)

import numba as nb
import numpy as np

LANES = 64  # width of a block, a compile-time constant: lets the compiler vectorise
FEW = 12  # below so many lanes a block is not worth its width
FIXED_POINT_ITERATIONS = 40
NEWTON_ITERATIONS = 15
LOOSE_PU = 1e-8  # a residual up to here is usable, but reported as degraded
SMALLEST_LOAD_STEP = 1e-4
LARGEST_VOLTAGE_STEP_PU = 0.3

F1 = nb.types.Array(nb.f8, 1, "C")
F2 = nb.types.Array(nb.f8, 2, "C")
R1 = nb.types.Array(nb.f8, 1, "C", readonly=True)
R2 = nb.types.Array(nb.f8, 2, "C", readonly=True)
I1 = nb.types.Array(nb.i8, 1, "C", readonly=True)
I2 = nb.types.Array(nb.i8, 2, "C", readonly=True)


@nb.njit(nb.void(I1, F2, F2), cache=True, error_model="numpy")
def no_load(parent, node, v):
    """Fill ``v`` with the voltages without injections; row 0 holds the slack voltage."""
    v[0, 0], v[0, 1] = node[0, 6], node[0, 7]
    for i in range(1, len(parent)):
        p = parent[i]
        v[i, 0] = -(node[i, 4] * v[p, 0] - node[i, 5] * v[p, 1])
        v[i, 1] = -(node[i, 4] * v[p, 1] + node[i, 5] * v[p, 0])


@nb.njit(nb.types.UniTuple(nb.f8, 2)(I1, R2, R2, F2, nb.f8), cache=True, error_model="numpy")
def fixed_point(parent, node, s, v, tolerance_pu):
    """Iterate ``v`` from its present value; return iterations (< 0: failed) and last change."""
    k = len(parent)
    b = np.empty((k, 2))
    previous = np.inf
    change = 0.0
    for iteration in range(1, FIXED_POINT_ITERATIONS + 1):
        b.fill(0.0)
        for i in range(k - 1, 0, -1):
            vr, vi = v[i, 0], v[i, 1]
            r = 1.0 / (vr * vr + vi * vi)
            br = b[i, 0] + (s[i, 0] * vr + s[i, 1] * vi) * r
            bi = b[i, 1] + (s[i, 0] * vi - s[i, 1] * vr) * r
            b[i, 0], b[i, 1] = br, bi
            p = parent[i]
            b[p, 0] -= node[i, 2] * br - node[i, 3] * bi
            b[p, 1] -= node[i, 2] * bi + node[i, 3] * br
        change = 0.0
        for i in range(1, k):
            p = parent[i]
            pr, pi = v[p, 0], v[p, 1]
            br, bi = b[i, 0], b[i, 1]
            nr = (node[i, 0] * br - node[i, 1] * bi) - (node[i, 4] * pr - node[i, 5] * pi)
            ni = (node[i, 0] * bi + node[i, 1] * br) - (node[i, 4] * pi + node[i, 5] * pr)
            dr, di = nr - v[i, 0], ni - v[i, 1]
            change += dr * dr + di * di
            v[i, 0], v[i, 1] = nr, ni
        if change <= tolerance_pu * tolerance_pu:
            return float(iteration), np.sqrt(change)
        if iteration >= 4 and not change < previous:
            break
        previous = change
    return -1.0, np.sqrt(change)


@nb.njit(nb.types.UniTuple(nb.f8, 2)(I1, R2, R2, nb.f8, F2, F2), cache=True, error_model="numpy")
def newton_step(parent, node, s, factor, v, work):
    """Take one Newton step of ``v`` at ``factor * s``; return its size and the lowest pivot.

    ``work [k, 10]``: block, right-hand side, inverse. The pivot is the smallest determinant of
    the 2x2 blocks on the diagonal; it is positive on the upper branch of the nose curve.
    """
    k = len(parent)
    for i in range(k):
        vr, vi = v[i, 0], v[i, 1]
        p = parent[i]
        m = vr * vr + vi * vi
        sr, si = factor * s[i, 0], factor * s[i, 1]
        ir, ii = (sr * vr + si * vi) / m, (sr * vi - si * vr) / m
        cr, ci = (ir * vr - ii * vi) / m, (ir * vi + ii * vr) / m
        work[i, 0], work[i, 1] = node[i, 8] + cr, -node[i, 9] + ci
        work[i, 2], work[i, 3] = node[i, 9] + ci, node[i, 8] - cr
        work[i, 4] = node[i, 8] * vr - node[i, 9] * vi - ir
        work[i, 5] = node[i, 8] * vi + node[i, 9] * vr - ii
        if i > 0:
            pr, pi = v[p, 0], v[p, 1]
            work[i, 4] += node[i, 12] * pr - node[i, 13] * pi
            work[i, 5] += node[i, 12] * pi + node[i, 13] * pr
            work[p, 4] += node[i, 10] * vr - node[i, 11] * vi
            work[p, 5] += node[i, 10] * vi + node[i, 11] * vr
    lowest = np.inf
    for i in range(k - 1, 0, -1):
        p = parent[i]
        a, b, c, d = work[i, 0], work[i, 1], work[i, 2], work[i, 3]
        det = a * d - b * c
        if not det > 0.0:
            return np.inf, -1.0
        lowest = min(lowest, det)
        a, b, c, d = d / det, -b / det, -c / det, a / det
        work[i, 6], work[i, 7], work[i, 8], work[i, 9] = a, b, c, d
        g, h = node[i, 10], node[i, 11]
        ma, mb, mc, md = g * a - h * c, g * b - h * d, h * a + g * c, h * b + g * d
        g, h = node[i, 12], node[i, 13]
        work[p, 0] -= ma * g + mb * h
        work[p, 1] -= mb * g - ma * h
        work[p, 2] -= mc * g + md * h
        work[p, 3] -= md * g - mc * h
        work[p, 4] -= ma * work[i, 4] + mb * work[i, 5]
        work[p, 5] -= mc * work[i, 4] + md * work[i, 5]
    work[0, 4], work[0, 5] = 0.0, 0.0
    largest = 0.0
    for i in range(1, k):
        p = parent[i]
        xr, xi = work[p, 4], work[p, 5]
        fr = work[i, 4] + node[i, 12] * xr - node[i, 13] * xi
        fi = work[i, 5] + node[i, 12] * xi + node[i, 13] * xr
        work[i, 4] = -(work[i, 6] * fr + work[i, 7] * fi)
        work[i, 5] = -(work[i, 8] * fr + work[i, 9] * fi)
        largest += work[i, 4] * work[i, 4] + work[i, 5] * work[i, 5]
    size = np.sqrt(largest)
    biggest = 0.0
    for i in range(1, k):
        biggest = max(biggest, abs(work[i, 4]), abs(work[i, 5]))
    scale = min(1.0, LARGEST_VOLTAGE_STEP_PU / biggest) if biggest > 0.0 else 1.0
    for i in range(1, k):
        v[i, 0] += scale * work[i, 4]
        v[i, 1] += scale * work[i, 5]
    return size, lowest


@nb.njit(
    nb.types.UniTuple(nb.f8, 2)(I1, R2, R2, nb.f8, F2, F2, nb.f8), cache=True, error_model="numpy"
)
def newton(parent, node, s, factor, v, work, tolerance_pu):
    """Iterate to convergence or to rounding; return iterations (< 0: failed) and last step."""
    best = np.inf
    for iteration in range(1, NEWTON_ITERATIONS + 1):
        size, pivot = newton_step(parent, node, s, factor, v, work)
        if not pivot > 0.0 or not np.isfinite(size):
            return -1.0, np.inf
        if size <= tolerance_pu or (best <= LOOSE_PU and size >= 0.5 * best):
            return float(iteration), size
        best = min(best, size)
    return -1.0, best


@nb.njit(nb.void(F2, F2), cache=True, error_model="numpy")
def copy(source, target):
    """Copy voltages ``[k, 2]``."""
    for i in range(len(source)):
        target[i, 0], target[i, 1] = source[i, 0], source[i, 1]


@nb.njit(nb.types.UniTuple(nb.f8, 2)(I1, F2, R2, F2, nb.f8), cache=True, error_model="numpy")
def stressed(parent, node, s, v, tolerance_pu):
    """Solve heavy load by Newton, raising the load in steps when one leap fails."""
    k = len(parent)
    work = np.empty((k, 10))
    trial = np.empty((k, 2))
    no_load(parent, node, v)
    total, reached, step = 0.0, 0.0, 1.0
    residual = np.inf
    while reached < 1.0:
        target = min(1.0, reached + step)
        copy(v, trial)
        iterations, change = newton(parent, node, s, target, trial, work, tolerance_pu)
        total += abs(iterations)
        if iterations > 0.0 and change <= LOOSE_PU:
            copy(trial, v)
            reached = target
            residual = change
        else:
            step *= 0.5
            residual = change
            if step < SMALLEST_LOAD_STEP:
                return -total, residual
    return total, residual


@nb.njit(nb.void(I1, I2, R2, R2, nb.f8, R2, R2, F1, nb.i8, nb.i8), cache=True, error_model="numpy")
def fill_row(place, ends, node, branch, base_kw, s, v, row, buses, scalars):
    """Fill a row of results from the voltages: magnitudes, loadings, flows, slack, losses."""
    for j in range(buses):
        i = place[j]
        row[j] = np.sqrt(v[i, 0] * v[i, 0] + v[i, 1] * v[i, 1]) if i >= 0 else np.nan
    slack_p, slack_q, losses = -s[0, 0], -s[0, 1], 0.0
    for i in range(len(v)):
        losses += node[i, 14] * (v[i, 0] * v[i, 0] + v[i, 1] * v[i, 1])
    for j in range(len(ends)):
        f, t = ends[j, 0], ends[j, 1]
        fr, fi, tr, ti = v[f, 0], v[f, 1], v[t, 0], v[t, 1]
        ar = branch[j, 0] * fr - branch[j, 1] * fi + branch[j, 2] * tr - branch[j, 3] * ti
        ai = branch[j, 0] * fi + branch[j, 1] * fr + branch[j, 2] * ti + branch[j, 3] * tr
        br = branch[j, 4] * fr - branch[j, 5] * fi + branch[j, 6] * tr - branch[j, 7] * ti
        bi = branch[j, 4] * fi + branch[j, 5] * fr + branch[j, 6] * ti + branch[j, 7] * tr
        power_f, power_t = fr * ar + fi * ai, tr * br + ti * bi
        losses += power_f + power_t
        if f == 0:
            slack_p += power_f
            slack_q += fi * ar - fr * ai
        if t == 0:
            slack_p += power_t
            slack_q += ti * br - tr * bi
        if ends[j, 2] >= 0:
            at_f = np.sqrt(ar * ar + ai * ai) * branch[j, 8]
            at_t = np.sqrt(br * br + bi * bi) * branch[j, 9]
            row[ends[j, 2]] = max(at_f, at_t)
            row[ends[j, 3]] = base_kw * power_f
    row[scalars] = base_kw * slack_p
    row[scalars + 1] = base_kw * slack_q
    row[scalars + 2] = base_kw * losses


@nb.njit(
    nb.void(I1, I1, I2, F2, R2, nb.f8, nb.f8, nb.f8, F2, F2, F1, nb.f8, nb.f8),
    cache=True,
    error_model="numpy",
)
def finish(
    parent, place, ends, node, branch, base_kw, slack_b, tolerance_pu, s, v, row, iterations, change
):
    """Fill a row after the fixed point, going on with Newton where that failed."""
    buses = len(place)
    scalars = len(row) - 6
    if not (np.isfinite(s[0, 0]) and np.isfinite(s[0, 1])):
        iterations = -1.0  # injections at the slack do not reach the voltages
    elif iterations < 0.0:
        iterations, change = stressed(parent, node, s, v, tolerance_pu)
    row[scalars + 3] = change
    row[scalars + 4] = abs(iterations)
    if iterations < 0.0:
        for j in range(scalars + 3):
            row[j] = np.nan
        row[scalars + 5] = 2.0
        return
    fill_row(place, ends, node, branch, base_kw, s, v, row, buses, scalars)
    m = v[0, 0] * v[0, 0] + v[0, 1] * v[0, 1]
    row[scalars] += base_kw * node[0, 14] * m
    row[scalars + 1] -= base_kw * slack_b * m
    row[scalars + 5] = 0.0 if change <= tolerance_pu else 1.0


@nb.njit(
    nb.void(I1, I1, I2, F2, R2, nb.f8, nb.f8, nb.f8, R1, R1, F2, F1),
    cache=True,
    error_model="numpy",
)
def solve_nodes(
    parent, place, ends, node, branch, base_kw, slack_b, tolerance_pu, p_kw, q_kvar, v, row
):
    """Solve one step: injections ``[b]`` to node voltages ``v`` and a zeroed row of results."""
    s = np.zeros((len(parent), 2))
    for j in range(len(place)):
        i = place[j]
        if i >= 0:
            s[i, 0] += p_kw[j] / base_kw
            s[i, 1] += q_kvar[j] / base_kw
    no_load(parent, node, v)
    iterations, change = fixed_point(parent, node, s, v, tolerance_pu)
    finish(
        parent, place, ends, node, branch, base_kw, slack_b, tolerance_pu,
        s, v, row, iterations, change,
    )  # fmt: skip


@nb.njit(
    nb.void(I1, I1, I2, F2, R2, nb.f8, nb.f8, nb.f8, R1, R1, F1),
    cache=True,
    error_model="numpy",
)
def solve_one(parent, place, ends, node, branch, base_kw, slack_b, tolerance_pu, p_kw, q_kvar, row):
    """Solve one step: injections ``[b]`` to a zeroed row of results."""
    v = np.empty((len(parent), 2))
    solve_nodes(
        parent, place, ends, node, branch, base_kw, slack_b, tolerance_pu, p_kw, q_kvar, v, row
    )


@nb.njit(nb.void(R1, F1, F1, F1, F1), cache=True, error_model="numpy")
def lanes_up(s, v, b, b_parent, node):
    """Add a node's injected currents to ``b`` and eliminate it from its parent's row.

    A function of its own rows: the compiler vectorises once it knows that they do not overlap.
    """
    for w in range(LANES):
        vr, vi = v[w], v[LANES + w]
        r = 1.0 / (vr * vr + vi * vi)
        br = b[w] + (s[w] * vr + s[LANES + w] * vi) * r
        bi = b[LANES + w] + (s[w] * vi - s[LANES + w] * vr) * r
        b[w], b[LANES + w] = br, bi
        b_parent[w] -= node[2] * br - node[3] * bi
        b_parent[LANES + w] -= node[2] * bi + node[3] * br


@nb.njit(nb.void(F1, F1, F1, F1, F1, F1), cache=True, error_model="numpy")
def lanes_down(b, v_parent, v, change, iterations, node):
    """Substitute a node's voltages in the lanes still active; add up their squared changes."""
    for w in range(LANES):
        pr, pi = v_parent[w], v_parent[LANES + w]
        br, bi = b[w], b[LANES + w]
        vr, vi = v[w], v[LANES + w]
        nr = (node[0] * br - node[1] * bi) - (node[4] * pr - node[5] * pi)
        ni = (node[0] * bi + node[1] * br) - (node[4] * pi + node[5] * pr)
        dr, di = nr - vr, ni - vi
        change[w] += dr * dr + di * di
        active = iterations[w] == 0.0
        v[w] = nr if active else vr
        v[LANES + w] = ni if active else vi


@nb.njit(nb.i8(F2, nb.i8, nb.f8), cache=True, error_model="numpy")
def lanes_left(state, iteration, tolerance_pu):
    """Freeze the lanes that converged or failed; return how many go on."""
    left = 0
    for w in range(LANES):
        if state[0, w] != 0.0:
            continue
        change = state[2, w]
        state[1, w] = change
        if change <= tolerance_pu * tolerance_pu:
            state[0, w] = iteration
        elif iteration >= 4 and not change < state[3, w]:
            state[0, w] = -1.0
        else:
            left += 1
        state[3, w] = change
    return left


@nb.njit(nb.void(I1, F2, R2, F2, F2, F2, nb.f8), cache=True, error_model="numpy")
def fixed_point_lanes(parent, node, s, v, b, state, tolerance_pu):
    """Iterate a block of lanes; rows of ``s, v, b`` are ``[re x LANES, im x LANES]``.

    ``state [4, LANES]`` returns iterations (< 0: failed, 0: was not active) and last squared
    change; its other rows are work space.
    """
    k = len(parent)
    for iteration in range(1, FIXED_POINT_ITERATIONS + 1):
        b.fill(0.0)
        for i in range(k - 1, 0, -1):
            lanes_up(s[i], v[i], b[i], b[parent[i]], node[i])
        state[2].fill(0.0)
        for i in range(1, k):
            lanes_down(b[i], v[parent[i]], v[i], state[2], state[0], node[i])
        left = lanes_left(state, iteration, tolerance_pu)
        if left == 0:
            return
    for w in range(LANES):
        if state[0, w] == 0.0:
            state[0, w] = -1.0


@nb.njit(
    nb.void(I1, I1, I2, F2, R2, nb.f8, nb.f8, nb.f8, R2, R2, F2),
    cache=True,
    error_model="numpy",
)
def solve_many(parent, place, ends, node, branch, base_kw, slack_b, tolerance_pu, p, q, rows):
    """Solve many steps: injections ``[lanes, b]`` in kW and kvar to zeroed rows of results."""
    k, lanes = len(parent), len(p)
    s, v, b = np.empty((k, 2 * LANES)), np.empty((k, 2 * LANES)), np.empty((k, 2 * LANES))
    one_s, one_v, flat = np.empty((k, 2)), np.empty((k, 2)), np.empty((k, 2))
    state = np.empty((4, LANES))
    no_load(parent, node, flat)
    for start in range(0, lanes, LANES):
        count = min(LANES, lanes - start)
        if count < FEW:
            for lane in range(start, lanes):
                solve_one(
                    parent, place, ends, node, branch, base_kw, slack_b, tolerance_pu,
                    p[lane], q[lane], rows[lane],
                )  # fmt: skip
            return
        s.fill(0.0)
        for w in range(count):
            for j in range(len(place)):
                i = place[j]
                if i >= 0:
                    s[i, w] += p[start + w, j] / base_kw
                    s[i, LANES + w] += q[start + w, j] / base_kw
        for i in range(k):
            v[i, :LANES].fill(flat[i, 0])
            v[i, LANES:].fill(flat[i, 1])
        state.fill(0.0)
        fixed_point_lanes(parent, node, s, v, b, state, tolerance_pu)
        for w in range(count):
            for i in range(k):
                one_s[i, 0], one_s[i, 1] = s[i, w], s[i, LANES + w]
                one_v[i, 0], one_v[i, 1] = v[i, w], v[i, LANES + w]
            finish(
                parent, place, ends, node, branch, base_kw, slack_b, tolerance_pu,
                one_s, one_v, rows[start + w], state[0, w], np.sqrt(state[1, w]),
            )  # fmt: skip
