# cython: language_level=3
"""Row-wise losses: one cost for a row of class scores.

A. One shape of loop. All arithmetic on scores runs over n groups of LANES numbers. Up to
   MAX_TURNED_CLASSES classes a group is one class of LANES rows, which were turned on the way in
   (`row_tiles.pxd`); beyond, it is LANES classes of one row, and sums over the lanes follow. The
   number of classes alone decides, so a result does not depend on the layout.
B. Nearly perfect predictions. With m the largest score of a row and e_j = exp(z_j - m), the
   class that has it is left out of the sum: rest = sum of the other e_j. Then
   -log s_j = log1p(rest) + (m - z_j) is a sum of two numbers >= 0, and 1 - s_j of the largest
   is rest / (1 + rest). Nothing cancels. The largest is known by e_j = 1; each tie is in rest.
C. Infinite scores. z_j = m gives e_j = 1 also where their difference is NaN: a lone +inf has
   probability 1. Where a second one is as infinite, there is no limit and the row is NaN.
"""
from libc.math cimport INFINITY, NAN

from fastloss._core.formulas.math cimport exp_negative, log1p_, real, times
from fastloss._core.formulas.probability cimport Log, minus_log
from fastloss._core.jobs cimport DEPTH, LANES

# One number for each row of a tile, or for each lane while a row is summed.
cdef struct Group:
    Py_ssize_t label[LANES]
    bint any_ignored
    bint ignored[LANES]
    double weight[LANES]         # of the row: 1 without weights, 0 of ignored and filling rows
    double share[LANES]          # weight of the label's class; 1 where every class has a target
    double at_label[LANES]       # score of the label
    double low[LANES]            # sums of the e_j < 1
    double ones[LANES]           # number of e_j = 1
    double total[LANES]          # sums of the targets
    double distance[LANES]       # sums of target * (m - z)
    double rest[LANES]
    double inverse[LANES]        # 1 / (1 + rest)
    double loss[LANES]
    double scale[LANES]          # of the row's derivatives

# What the last pass needs of each row, rounded once to the type of the scores.
cdef enum:
    SCALE, INVERSE, LACK, TOTAL, SLOPE, BEND, N_FACTORS


# ---- passes over scores ------------------------------------------------------------------


# With a constant depth the inner loops below unroll, and the loop over lanes is vectorised, each
# lane in a register.

cdef inline void largest_panel(Py_ssize_t depth, const real *z, real *top) noexcept nogil:
    cdef Py_ssize_t j, k
    cdef real v, t
    for k in range(LANES):
        t = top[k]
        for j in range(depth):
            v = z[j * LANES + k]
            t = v if v > t else t
        top[k] = t


cdef inline void largest(Py_ssize_t n, const real *z, real *top) noexcept nogil:
    """The largest of each lane; NaN is passed over."""
    cdef Py_ssize_t i
    cdef Py_ssize_t panels = n // DEPTH
    for i in range(panels):
        largest_panel[real](DEPTH, z + i * DEPTH * LANES, top)
    for i in range(panels * DEPTH, n):
        largest_panel[real](1, z + i * LANES, top)


cdef inline void exponentials(Py_ssize_t n, const real *z, const real *top, real *e) noexcept nogil:
    """exp(z - m); e may be z."""
    cdef Py_ssize_t j, k
    cdef real zero = 0
    cdef real d
    cdef real m[LANES]
    cdef real x[LANES]
    for k in range(LANES):
        m[k] = top[k]
    for j in range(n):
        for k in range(LANES):
            d = z[j * LANES + k] - m[k]
            d = zero if z[j * LANES + k] == m[k] else d
            x[k] = exp_negative(d)
        for k in range(LANES):
            e[j * LANES + k] = x[k]


cdef inline void add_rest_panel(Py_ssize_t depth, const real *e, Group *rows) noexcept nogil:
    cdef Py_ssize_t j, k
    cdef real zero = 0
    cdef real one = 1
    cdef real v, below
    cdef double s, ones
    for k in range(LANES):
        s = 0
        ones = 0
        for j in range(depth):
            v = e[j * LANES + k]
            below = zero if v == one else v
            s += below
            ones += v - below
        rows.low[k] += s
        rows.ones[k] += ones


cdef inline void add_rest(Py_ssize_t n, const real *e, Group *rows) noexcept nogil:
    """Sums of the e < 1, and of the e = 1."""
    cdef Py_ssize_t i
    cdef Py_ssize_t panels = n // DEPTH
    for i in range(panels):
        add_rest_panel[real](DEPTH, e + i * DEPTH * LANES, rows)
    for i in range(panels * DEPTH, n):
        add_rest_panel[real](1, e + i * LANES, rows)


cdef inline void add_distances_panel(Py_ssize_t depth, const real *z, const real *t,
                                     const real *top, Group *rows) noexcept nogil:
    cdef Py_ssize_t j, k
    cdef double v, d, total, distance
    for k in range(LANES):
        total = 0
        distance = 0
        for j in range(depth):
            v = t[j * LANES + k]
            d = <double>top[k] - <double>z[j * LANES + k]
            d = 0 if z[j * LANES + k] == top[k] or v == 0 else d
            total += v
            distance += v * d
        rows.total[k] += total
        rows.distance[k] += distance


cdef inline void add_distances(Py_ssize_t n, const real *z, const real *t, const real *top,
                               Group *rows) noexcept nogil:
    """Sums of the targets, and of target * (m - z): a target 0 costs nothing."""
    cdef Py_ssize_t i
    cdef Py_ssize_t panels = n // DEPTH
    for i in range(panels):
        add_distances_panel[real](DEPTH, z + i * DEPTH * LANES, t + i * DEPTH * LANES, top, rows)
    for i in range(panels * DEPTH, n):
        add_distances_panel[real](1, z + i * LANES, t + i * LANES, top, rows)


cdef inline void settle(const real *top, Group *rows) noexcept nogil:
    cdef Py_ssize_t k
    cdef double m, rest
    for k in range(LANES):
        m = top[k]
        rest = rows.low[k] + (rows.ones[k] - 1)
        rest = NAN if m - m != 0 and rest > 0 else rest
        rows.rest[k] = rest
        rows.inverse[k] = 1 / (1 + rest)
        rows.loss[k] = log1p_(<real>rest)


cdef inline void settle_dense(Group *rows) noexcept nogil:
    """With targets that are all 0 a row costs nothing; NaN stays."""
    cdef Py_ssize_t k
    cdef double nll
    for k in range(LANES):
        nll = 0 if rows.total[k] == 0 and rows.loss[k] < INFINITY else rows.loss[k]
        rows.loss[k] = rows.total[k] * nll + rows.distance[k]


cdef inline void settle_label(const real *top, Group *rows) noexcept nogil:
    """A class of weight 0 costs nothing; NaN stays."""
    cdef Py_ssize_t k
    cdef double gap, m
    for k in range(LANES):
        m = top[k]
        gap = 0 if rows.at_label[k] == m or rows.share[k] == 0 else m - rows.at_label[k]
        rows.loss[k] = rows.share[k] * (rows.loss[k] + gap)


cdef inline void slopes(Py_ssize_t n, real *e, const real *slope) noexcept nogil:
    """Gradient away from the label: e times a factor of the row."""
    cdef Py_ssize_t j, k
    for j in range(n):
        for k in range(LANES):
            e[j * LANES + k] *= slope[k]


cdef inline void curves(Py_ssize_t n, const real *e, const real *inverse, const real *lack,
                        const real *bend, real *h) noexcept nogil:
    """Hessian: s (1 - s) times a factor of the row; `lack` is 1 - s of the largest."""
    cdef Py_ssize_t j, k
    cdef real one = 1
    cdef real s, q
    cdef real x[LANES]
    for j in range(n):
        for k in range(LANES):
            s = e[j * LANES + k] * inverse[k]
            q = lack[k]         # loaded in any case: SSE2 cannot load by condition
            q = q if e[j * LANES + k] == one else one - s
            x[k] = bend[k] * (s * q)
        for k in range(LANES):
            h[j * LANES + k] = x[k]


cdef inline void dense_slopes(Py_ssize_t n, real *e, const real *t, const real *inverse,
                              const real *lack, const real *total,
                              const real *scale) noexcept nogil:
    """Gradient with a target of every class: (T - t) s - t (1 - s), which is T s - t."""
    cdef Py_ssize_t j, k
    cdef real one = 1
    cdef real s, q, v
    cdef real x[LANES]
    for j in range(n):
        for k in range(LANES):
            v = t[j * LANES + k]
            s = e[j * LANES + k] * inverse[k]
            q = lack[k]
            q = q if e[j * LANES + k] == one else one - s
            x[k] = scale[k] * ((total[k] - v) * s - v * q)
        for k in range(LANES):
            e[j * LANES + k] = x[k]


# ---- passes over probabilities -----------------------------------------------------------


cdef inline void add_logs(const Log *clip, Py_ssize_t n, const real *p, const real *t,
                          Group *rows) noexcept nogil:
    cdef Log c = clip[0]
    cdef Py_ssize_t j, k
    cdef real zero = 0
    cdef real f, g, h, v
    for j in range(n):
        for k in range(LANES):
            v = t[j * LANES + k]
            minus_log[real](&c, p[j * LANES + k], &f, &g, &h)
            f = v * (zero if (v == zero) & (f == f) else f)
            rows.distance[k] += f


cdef inline void log_slopes(const Log *clip, Py_ssize_t n, real *p, const real *t,
                            const real *scale, real *h) noexcept nogil:
    """Gradient in place of p, and the hessian if h is given."""
    cdef Log c = clip[0]
    cdef Py_ssize_t j, k
    cdef real f, g, b, v
    cdef real x[LANES]
    cdef real y[LANES]
    for j in range(n):
        for k in range(LANES):
            v = t[j * LANES + k]
            minus_log[real](&c, p[j * LANES + k], &f, &g, &b)
            # a target 0 has derivative 0, also by p = 0, but not in a row that is NaN
            x[k] = scale[k] * times(v, g)
            y[k] = scale[k] * times(v, b)
        for k in range(LANES):
            p[j * LANES + k] = x[k]
        if h != NULL:
            for k in range(LANES):
                h[j * LANES + k] = y[k]
