# cython: language_level=3
"""Sums in an order that the size alone decides, and products with weights."""
from libc.string cimport memset

from fastloss._core.formulas.math cimport real
from fastloss._core.jobs cimport DEPTH, LANES, Sum, Sums


cdef inline double fold(double *lanes) noexcept nogil:
    """Sum of LANES numbers by halving; they are overwritten."""
    cdef Py_ssize_t k
    for k in range(LANES // 2):
        lanes[k] += lanes[k + LANES // 2]
    for k in range(LANES // 4):
        lanes[k] += lanes[k + LANES // 4]
    return (lanes[0] + lanes[2]) + (lanes[1] + lanes[3])


cdef inline void multiply(Py_ssize_t n, const real *w, double scale, real *a) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        a[i] *= <real>(scale * w[i])


cdef inline void add(Sum *total, double high, double low) noexcept nogil:
    """Add a number, and to `low` the exact error of the addition (Knuth's TwoSum)."""
    cdef double t = total.high + high
    cdef double back = t - total.high
    total.low += ((total.high - (t - back)) + (high - back)) + low
    total.high = t


cdef inline void round_once(Sum *total) noexcept nogil:
    """Round the sum once, and leave in `low` what that lost. An infinite sum's error is NaN."""
    cdef double low = total.low if total.low == total.low else 0
    total.low = 0
    add(total, low, 0)
    if total.low != total.low:
        total.low = 0


cdef inline void accumulate(Py_ssize_t n, const real *a, Sum *total) noexcept nogil:
    cdef Py_ssize_t i, j, k, at
    cdef Py_ssize_t panels = n // (LANES * DEPTH)
    cdef double lanes[LANES]
    cdef double s, t
    for i in range(panels):
        for k in range(LANES):          # vectorised: a lane stays in a register
            s = 0
            for j in range(0, DEPTH, 4):          # pairs of pairs: fewer roundings in a row
                at = (i * DEPTH + j) * LANES + k
                t = (<double>a[at] + a[at + LANES]) + (<double>a[at + 2 * LANES]
                                                       + a[at + 3 * LANES])
                s += t
            lanes[k] = s
        add(total, fold(lanes), 0)
    if n % (LANES * DEPTH):
        memset(lanes, 0, sizeof(lanes))
        for i in range(panels * DEPTH * LANES, n):
            lanes[i % LANES] += a[i]
        add(total, fold(lanes), 0)


cdef inline void add_sums(Sums *total, const Sums *sums) noexcept nogil:
    add(&total.loss, sums.loss.high, sums.loss.low)
    add(&total.weight, sums.weight.high, sums.weight.low)


cdef inline void round_sums(Sums *total) noexcept nogil:
    round_once(&total.loss)
    round_once(&total.weight)
