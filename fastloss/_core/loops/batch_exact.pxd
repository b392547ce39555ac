# cython: language_level=3
"""The square of the distance of two rows in twice the precision of doubles.

Distances from products are rounded, and so is what equality or a sign of theirs decides: which of
two rows is nearer, whether a margin is met. What lies closer than those roundings is computed once
more, from the rows as they came: products and sums with what their roundings lost, so that all that
doubles hold exactly is told apart, and what is equal is equal.
"""
from libc.math cimport INFINITY, fabs, fma, nextafter, nextafterf, sqrt

from fastloss._core.formulas.math cimport real
from fastloss._core.jobs cimport BatchSide

# A number as the sum of two.
cdef struct Twice:
    double high
    double low

cdef extern from *:
    """
    #define FL_EQUAL 1e-27
    #define FL_PARALLEL 1e-30
    """
    # What two numbers of twice the precision may differ by and be equal, relative to their size.
    const double EQUAL "FL_EQUAL"
    # Unit rows have one direction if the square of their distance is no more: it is all rounding.
    const double PARALLEL "FL_PARALLEL"


cdef inline real next_after(real x, real y) noexcept nogil:
    return nextafterf(x, y) if real is float else nextafter(x, y)


cdef inline Twice two_sum(double a, double b) noexcept nogil:
    cdef double s = a + b
    cdef double t = s - a
    return Twice(s, (a - (s - t)) + (b - t))


cdef inline Twice two_product(double a, double b) noexcept nogil:
    cdef double p = a * b
    return Twice(p, fma(a, b, -p))


cdef inline Twice normal(double high, double low) noexcept nogil:
    """The number in two parts of which the second is what the first lost; infinite ones in one."""
    cdef double s = high + low
    if not fabs(high) < INFINITY:
        return Twice(high, 0)
    return Twice(s, low - (s - high))


cdef inline void add_exactly(Twice *total, Twice x) noexcept nogil:
    cdef Twice s = two_sum(total.high, x.high)
    total.high = s.high
    total.low += s.low + x.low


cdef inline Twice product(Twice a, Twice b) noexcept nogil:
    cdef Twice p = two_product(a.high, b.high)
    return normal(p.high, p.low + (a.high * b.low + a.low * b.high))


# Sums in twice the precision are added up in so many parts, at every SIMD level.
cdef enum:
    PARTS = 8


cdef inline void add_part(double *high, double *low, Twice x) noexcept nogil:
    cdef Twice s = two_sum(high[0], x.high)
    high[0] = s.high
    low[0] += s.low + x.low


cdef inline Twice sum_of(const double *high, const double *low) noexcept nogil:
    cdef Twice total = Twice(high[0], low[0])
    cdef Py_ssize_t k
    for k in range(1, PARTS):
        add_exactly(&total, Twice(high[k], low[k]))
    return normal(total.high, total.low)


cdef inline Twice difference_squared(double x, double z) noexcept nogil:
    cdef Twice d = two_sum(x, -z)
    cdef Twice square = two_product(d.high, d.high)
    return Twice(square.high, square.low + 2 * d.high * d.low)


cdef inline Twice twice_of(const real *x, const real *z, double of_x, double of_z,
                           Py_ssize_t dim) noexcept nogil:
    """The product of two rows that are multiplied by powers of two."""
    cdef double high[PARTS]
    cdef double low[PARTS]
    cdef Py_ssize_t i, k
    for k in range(PARTS):
        high[k] = low[k] = 0
    for i in range(dim // PARTS):
        for k in range(PARTS):
            add_part(high + k, low + k, two_product(x[i * PARTS + k] * of_x,
                                                    z[i * PARTS + k] * of_z))
    for k in range(dim // PARTS * PARTS, dim):
        add_part(high, low, two_product(x[k] * of_x, z[k] * of_z))
    return sum_of(high, low)


cdef inline Twice twice_apart(const real *x, const real *z, Py_ssize_t dim) noexcept nogil:
    """The square of the distance of two rows."""
    cdef double high[PARTS]
    cdef double low[PARTS]
    cdef Py_ssize_t i, k
    for k in range(PARTS):
        high[k] = low[k] = 0
    for i in range(dim // PARTS):
        for k in range(PARTS):
            add_part(high + k, low + k, difference_squared(x[i * PARTS + k], z[i * PARTS + k]))
    for k in range(dim // PARTS * PARTS, dim):
        add_part(high, low, difference_squared(x[k], z[k]))
    return sum_of(high, low)


cdef inline Twice root_of(Twice x) noexcept nogil:
    cdef double r = sqrt(x.high)
    cdef Twice square = two_product(r, r)
    return normal(r, ((x.high - square.high) + (x.low - square.low)) / (2 * r))


cdef inline Twice exact_square(const BatchSide *a, Py_ssize_t i, const BatchSide *b, Py_ssize_t j,
                               Py_ssize_t dim, bint cosine, real tag) noexcept nogil:
    """The square of the distance of two rows, or of their directions."""
    cdef const real *x = <const real *>a.source + i * dim
    cdef const real *z = <const real *>b.source + j * dim
    cdef Twice d, square, length, both
    if a.norm == NULL:
        return twice_apart[real](x, z, dim)
    if a.norm[i] == 0 or b.norm[j] == 0:
        # a row without a direction stays a row of zeros; its cosine is 0
        return Twice(2 if cosine else (a.norm[i] != 0) + (b.norm[j] != 0), 0)
    # 2 - 2 cos
    length = root_of(product(twice_of[real](x, x, a.lift[i], a.lift[i], dim),
                             twice_of[real](z, z, b.lift[j], b.lift[j], dim)))
    both = twice_of[real](x, z, a.lift[i], b.lift[j], dim)
    d = two_sum(length.high, -both.high)
    d = normal(d.high, d.low + (length.low - both.low))
    square.high = d.high / length.high
    both = two_product(square.high, length.high)
    square.low = (((d.high - both.high) + (d.low - both.low - square.high * length.low))
                  / length.high)
    square = normal(2 * square.high, 2 * square.low)
    return square if not square.high <= PARALLEL else Twice(0, 0)


cdef inline Twice distance_by(Twice square, double factor) noexcept nogil:
    """The distance: a multiple of its square, or for 0 the root."""
    if factor != 0:
        return Twice(factor * square.high, factor * square.low)
    return root_of(square) if 0 < square.high < INFINITY else square


cdef inline double excess_by(Twice positive, Twice negative, double margin) noexcept nogil:
    """The first distance minus the second, plus a margin; 0 if only roundings are left."""
    cdef Twice d = two_sum(positive.high, -negative.high)
    cdef Twice total = two_sum(d.high, margin)
    cdef double excess = total.high + (total.low + d.low + (positive.low - negative.low))
    cdef double room = EQUAL * (positive.high + negative.high + fabs(margin))
    return 0 if fabs(excess) <= room else excess


cdef inline int order(Twice x, Twice z, bint scaled) noexcept nogil:
    """1 if the first square of a distance is the larger, -1 if the second is; 0 if none is."""
    cdef double apart = (x.high - z.high) + (x.low - z.low)
    cdef double room = EQUAL * (x.high + z.high + (1 if scaled else 0))
    if x.high == z.high and not fabs(x.high) < INFINITY:
        return 0
    return (apart > room) - (apart < -room)


# ---- how far rounded squares of distances may be off ---------------------------------------


cdef inline double unit_of(real tag) noexcept nogil:
    """Return a bound for the relative rounding error of a type."""
    return 1.2e-7 if real is float else 2.3e-16


cdef inline double slack_of(double tolerance, double unit, double base, double largest,
                            double v) noexcept nogil:
    """What the square of a distance of a row is off by at most, of itself and from products.

    The other row's own square is at most 2 (base + v), and the largest of all. Near pairs come from
    differences of rows that are rounded themselves.
    """
    cdef double d, e
    if tolerance == 0:
        return 0
    if v < 0.01 * base:
        d = sqrt(v) if v > 0 else 0
        e = unit * (2 * d + 4 * sqrt(base))
        return e * (2 * d + e)
    return tolerance * (base + min(largest, 2 * (base + v)))


cdef inline double difference_square(const BatchSide *a, Py_ssize_t i, const BatchSide *b,
                                     Py_ssize_t j, Py_ssize_t dim, Py_ssize_t width,
                                     real tag) noexcept nogil:
    """Return the square of the distance of two packed rows, from their differences."""
    cdef const real *x = <const real *>a.x + i * width
    cdef const real *z = <const real *>b.x + j * width
    cdef double square = 0
    cdef real difference
    cdef Py_ssize_t k
    for k in range(dim):
        difference = x[k] - z[k]
        square += <double>difference * difference
    return square


cdef inline bint may_be_one_direction(const BatchSide *a, double square, real tag) noexcept nogil:
    """Whether the square of a distance of unit rows may come from how they were scaled alone."""
    cdef double unit = unit_of[real](0)
    return a.norm != NULL and square > 0 and square < 16 * unit * unit
