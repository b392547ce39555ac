"""Two rows: sums over their components, and what a derivative by their distance makes of them.

Part of `_kernels.pyx`; `_pairwise.pxi` says why.
"""
from libc.math cimport frexp, ldexp, sqrt

cdef enum:
    ROUNDS = 4         # of LANES components that a lane adds up in a register
    STRETCH = 64       # rounds after which lanes are added up in double

# The direction of two rows relative to each other.
cdef struct Angle:
    double a             # what unit rows are made with: 1 / length, 0 for a row of zeros
    double b
    double cosine
    double distance      # 1 - cosine
    bint wide            # not to be computed in float

# What a cosine is computed in.
ctypedef fused inner:
    float
    double


# ---- sums over components ------------------------------------------------------------------


cdef inline inner fold_lanes(inner *lanes) noexcept nogil:
    cdef Py_ssize_t k
    for k in range(LANES // 2):
        lanes[k] += lanes[k + LANES // 2]
    for k in range(LANES // 4):
        lanes[k] += lanes[k + LANES // 4]
    return (lanes[0] + lanes[2]) + (lanes[1] + lanes[3])


cdef inline void add_squares_panel(Py_ssize_t rounds, const real *a, const real *b,
                                   real *lanes) noexcept nogil:
    cdef Py_ssize_t j, k
    cdef real s, t
    for k in range(LANES):
        s = lanes[k]
        for j in range(rounds):
            t = a[j * LANES + k] - b[j * LANES + k]
            s += t * t
        lanes[k] = s


cdef inline double square_distance(Py_ssize_t dim, const real *a, const real *b) noexcept nogil:
    cdef real lanes[LANES]
    cdef real t
    cdef double total = 0
    cdef Py_ssize_t stretch, start, i, k, panels
    cdef Py_ssize_t rounds = dim // LANES
    for stretch in range(rounds // STRETCH + 1):
        start = stretch * STRETCH
        for k in range(LANES):
            lanes[k] = 0
        panels = min(rounds - start, <Py_ssize_t>STRETCH) // ROUNDS
        for i in range(panels):
            add_squares_panel[real](ROUNDS, a + (start + i * ROUNDS) * LANES,
                                    b + (start + i * ROUNDS) * LANES, lanes)
        for i in range(start + panels * ROUNDS, min(rounds, start + STRETCH)):
            add_squares_panel[real](1, a + i * LANES, b + i * LANES, lanes)
        if start + STRETCH > rounds:
            for k in range(dim - rounds * LANES):
                t = a[rounds * LANES + k] - b[rounds * LANES + k]
                lanes[k] += t * t
        total += fold_lanes[real](lanes)
    return total


cdef double careful_distance(Py_ssize_t dim, const real *a, const real *b,
                             int lift) noexcept nogil:
    """The distance, times 2^lift, where its square is not between the ends of the range."""
    cdef double t, largest = 0, total = 0
    cdef Py_ssize_t k
    cdef int exponent = 0
    for k in range(dim):
        t = fabs(<double>a[k] - b[k])
        largest = t if t > largest else largest
    if largest == 0 or largest == INFINITY:
        return largest
    frexp(largest, &exponent)
    for k in range(dim):
        t = ldexp(<double>a[k] - b[k], -exponent)
        total += t * t
    return ldexp(sqrt(total), exponent + lift)


cdef inline void add_products_panel(Py_ssize_t rounds, const real *a, const real *b, inner *aa,
                                    inner *bb, inner *ab) noexcept nogil:
    cdef Py_ssize_t j, k
    cdef inner x, y, s, t, u
    for k in range(LANES):
        s = aa[k]
        t = bb[k]
        u = ab[k]
        for j in range(rounds):
            x = <inner>a[j * LANES + k]
            y = <inner>b[j * LANES + k]
            s += x * x
            t += y * y
            u += x * y
        aa[k] = s
        bb[k] = t
        ab[k] = u


cdef inline void add_products(Py_ssize_t dim, const real *a, const real *b, inner tag,
                              double *sums) noexcept nogil:
    """Of two rows: a a, b b and a b."""
    cdef inner aa[LANES]
    cdef inner bb[LANES]
    cdef inner ab[LANES]
    cdef inner x, y
    cdef Py_ssize_t stretch, start, i, k, panels
    cdef Py_ssize_t rounds = dim // LANES
    sums[0] = 0
    sums[1] = 0
    sums[2] = 0
    for stretch in range(rounds // STRETCH + 1):
        start = stretch * STRETCH
        for k in range(LANES):
            aa[k] = 0
            bb[k] = 0
            ab[k] = 0
        panels = min(rounds - start, <Py_ssize_t>STRETCH) // ROUNDS
        for i in range(panels):
            add_products_panel[real, inner](ROUNDS, a + (start + i * ROUNDS) * LANES,
                                            b + (start + i * ROUNDS) * LANES, aa, bb, ab)
        for i in range(start + panels * ROUNDS, min(rounds, start + STRETCH)):
            add_products_panel[real, inner](1, a + i * LANES, b + i * LANES, aa, bb, ab)
        if start + STRETCH > rounds:
            for k in range(dim - rounds * LANES):
                x = <inner>a[rounds * LANES + k]
                y = <inner>b[rounds * LANES + k]
                aa[k] += x * x
                bb[k] += y * y
                ab[k] += x * y
        sums[0] += fold_lanes[inner](aa)
        sums[1] += fold_lanes[inner](bb)
        sums[2] += fold_lanes[inner](ab)


cdef inline void add_turns_panel(Py_ssize_t rounds, const real *a, const real *b, double of_a,
                                 double of_b, double *lanes) noexcept nogil:
    cdef Py_ssize_t j, k
    cdef double t, s
    for k in range(LANES):
        s = lanes[k]
        for j in range(rounds):
            t = a[j * LANES + k] * of_a - b[j * LANES + k] * of_b
            s += t * t
        lanes[k] = s


cdef inline double square_turn(Py_ssize_t dim, const real *a, const real *b, double of_a,
                               double of_b) noexcept nogil:
    """The square of the distance of two rows that are multiplied by numbers."""
    cdef double lanes[LANES]
    cdef double t
    cdef Py_ssize_t i, k
    cdef Py_ssize_t rounds = dim // LANES
    cdef Py_ssize_t panels = rounds // ROUNDS
    for k in range(LANES):
        lanes[k] = 0
    for i in range(panels):
        add_turns_panel[real](ROUNDS, a + i * ROUNDS * LANES, b + i * ROUNDS * LANES, of_a, of_b,
                              lanes)
    for i in range(panels * ROUNDS, rounds):
        add_turns_panel[real](1, a + i * LANES, b + i * LANES, of_a, of_b, lanes)
    for k in range(dim - rounds * LANES):
        t = a[rounds * LANES + k] * of_a - b[rounds * LANES + k] * of_b
        lanes[k] += t * t
    return fold(lanes)


cdef double careful_inverse(Py_ssize_t dim, const real *a) noexcept nogil:
    """1 / length of a row whose squares are beyond the range of doubles, or close to its ends."""
    cdef double t, inverse, largest = 0, total = 0
    cdef double most = 1.7976931348623157e308
    cdef Py_ssize_t k
    cdef int exponent = 0
    for k in range(dim):
        t = fabs(<double>a[k])
        largest = t if t > largest else largest
    if largest == 0 or largest == INFINITY:
        return 0 * largest
    frexp(largest, &exponent)
    for k in range(dim):
        t = ldexp(<double>a[k], -exponent)
        total += t * t
    inverse = ldexp(1 / sqrt(total), -exponent)
    return 0 if inverse > most else inverse          # as a row of zeros


cdef inline void measure_angle(Py_ssize_t dim, const real *a, const real *b,
                               Angle *angle) noexcept nogil:
    cdef double sums[3]
    cdef double apart
    # below, 1 - cos has fewer digits than a real
    cdef double least = 1e-6 if real is float else 0.25
    cdef bint careful
    if real is float:
        add_products[float, float](dim, a, b, 0, sums)
        angle.wide = not (sums[0] > 1e-25 and sums[0] < 1e25 and sums[1] > 1e-25
                          and sums[1] < 1e25)
        apart = 1 - sums[2] / sqrt(sums[0] * sums[1])
        if angle.wide or not apart >= 0.25:
            angle.wide = True
            add_products[float, double](dim, a, b, 0, sums)
    else:
        angle.wide = True
        add_products[double, double](dim, a, b, 0, sums)
    careful = sums[0] < 1e-250 or sums[0] > 1e250 or sums[1] < 1e-250 or sums[1] > 1e250
    if careful:
        angle.a = careful_inverse[real](dim, a)
        angle.b = careful_inverse[real](dim, b)
    else:
        angle.a = 1 / sqrt(sums[0])
        angle.b = 1 / sqrt(sums[1])
    if angle.a == 0 or angle.b == 0:
        # a row of zeros has no direction; NaN stays
        angle.cosine = (sums[0] + sums[1]) * 0
        angle.distance = 1 - angle.cosine
        return
    angle.cosine = sums[2] * angle.a * angle.b
    angle.distance = 1 - angle.cosine
    if careful or angle.distance < least:
        angle.distance = 0.5 * square_turn[real](dim, a, b, angle.a, angle.b)
        angle.cosine = 1 - angle.distance


# ---- gradients -----------------------------------------------------------------------------


cdef inline void pull(Py_ssize_t dim, real slope, real lift, const real *a, const real *b,
                      real *g, real *h) noexcept nogil:
    """Of a distance by differences, on both sides."""
    cdef Py_ssize_t k
    cdef real t
    for k in range(dim):
        t = slope * (lift * (a[k] - b[k]))
        g[k] = t
        h[k] = -t


cdef inline void pull_three(Py_ssize_t dim, const real *slope, const real *lift, const real *a,
                            const real *p, const real *n, real *g, real *h,
                            real *o) noexcept nogil:
    """Of a difference of two such distances from a."""
    cdef Py_ssize_t k
    cdef real near = slope[0]
    cdef real far = slope[1]
    cdef real lift_near = lift[0]
    cdef real lift_far = lift[1]
    cdef real t, u
    # six arrays in one loop are more than the compiler tells apart
    for k in range(dim):
        t = near * (lift_near * (a[k] - p[k]))
        u = far * (lift_far * (a[k] - n[k]))
        g[k] = t - u
    for k in range(dim):
        h[k] = -(near * (lift_near * (a[k] - p[k])))
        o[k] = far * (lift_far * (a[k] - n[k]))


cdef inline void swing(Py_ssize_t dim, double slope, const Angle *angle, const real *a,
                       const real *b, real *g, real *h, inner tag) noexcept nogil:
    """Of 1 - cos, on both sides."""
    cdef Py_ssize_t k
    cdef inner of_a = <inner>angle.a
    cdef inner of_b = <inner>angle.b
    cdef inner cosine = <inner>angle.cosine
    cdef inner slope_a = <inner>(slope * angle.a)
    cdef inner slope_b = <inner>(slope * angle.b)
    cdef inner x, y
    for k in range(dim):
        x = <inner>a[k] * of_a
        y = <inner>b[k] * of_b
        g[k] = <real>(slope_a * (cosine * x - y))
        h[k] = <real>(slope_b * (cosine * y - x))


cdef inline void swing_three(Py_ssize_t dim, double slope, const Angle *near, const Angle *far,
                             const real *a, const real *p, const real *n, real *g, real *h,
                             real *o, inner tag) noexcept nogil:
    """Of a difference of two such."""
    cdef Py_ssize_t k
    cdef inner of_a = <inner>near.a
    cdef inner of_p = <inner>near.b
    cdef inner of_n = <inner>far.b
    cdef inner cosine_p = <inner>near.cosine
    cdef inner cosine_n = <inner>far.cosine
    cdef inner along = <inner>(near.cosine - far.cosine)
    cdef inner slope_a = <inner>(slope * near.a)
    cdef inner slope_p = <inner>(slope * near.b)
    cdef inner slope_n = <inner>(-slope * far.b)
    cdef inner x, y, z
    for k in range(dim):
        x = <inner>a[k] * of_a
        y = <inner>p[k] * of_p
        z = <inner>n[k] * of_n
        g[k] = <real>(slope_a * (along * x - (y - z)))
    for k in range(dim):
        x = <inner>a[k] * of_a
        y = <inner>p[k] * of_p
        z = <inner>n[k] * of_n
        h[k] = <real>(slope_p * (cosine_p * y - x))
        o[k] = <real>(slope_n * (cosine_n * z - x))
