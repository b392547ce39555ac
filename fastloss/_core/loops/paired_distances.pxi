"""Two rows: sums over their components, and what a derivative by their distance makes of them.

Part of `_kernels.pyx`; `paired.pxi` says why.
"""
from libc.math cimport frexp, ldexp, sqrt

cdef enum:
    ROUNDS = 4         # of LANES components that a lane adds up in a register
    STRETCH = 64       # rounds after which lanes are added up in double

# The direction of two rows relative to each other.
cdef struct Angle:
    double lift_a        # what rows are multiplied by first, a power of two
    double lift_b
    double a             # and then to be unit rows: 1 / length, 0 for a row of zeros
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


cdef inline void add_turns_panel(Py_ssize_t rounds, const real *a, const real *b,
                                 const Angle *angle, double *lanes) noexcept nogil:
    cdef double lift_a = angle.lift_a
    cdef double lift_b = angle.lift_b
    cdef double of_a = angle.a
    cdef double of_b = angle.b
    cdef Py_ssize_t j, k
    cdef double t, s
    for k in range(LANES):
        s = lanes[k]
        for j in range(rounds):
            t = a[j * LANES + k] * lift_a * of_a - b[j * LANES + k] * lift_b * of_b
            s += t * t
        lanes[k] = s


cdef inline double square_turn(Py_ssize_t dim, const real *a, const real *b,
                               const Angle *angle) noexcept nogil:
    """The square of the distance of two rows that are scaled to unit length."""
    cdef double lanes[LANES]
    cdef double t
    cdef Py_ssize_t i, k
    cdef Py_ssize_t rounds = dim // LANES
    cdef Py_ssize_t panels = rounds // ROUNDS
    for k in range(LANES):
        lanes[k] = 0
    for i in range(panels):
        add_turns_panel[real](ROUNDS, a + i * ROUNDS * LANES, b + i * ROUNDS * LANES, angle, lanes)
    for i in range(panels * ROUNDS, rounds):
        add_turns_panel[real](1, a + i * LANES, b + i * LANES, angle, lanes)
    for k in range(dim - rounds * LANES):
        t = (a[rounds * LANES + k] * angle.lift_a * angle.a
             - b[rounds * LANES + k] * angle.lift_b * angle.b)
        lanes[k] += t * t
    return fold(lanes)


cdef void add_lifted_products(Py_ssize_t dim, const real *a, const real *b, double lift_a,
                              double lift_b, double *sums) noexcept nogil:
    """`add_products` of rows that are multiplied by powers of two."""
    cdef double x, y
    cdef Py_ssize_t k
    memset(sums, 0, 3 * sizeof(double))
    for k in range(dim):
        x = a[k] * lift_a
        y = b[k] * lift_b
        sums[0] += x * x
        sums[1] += y * y
        sums[2] += x * y


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
    angle.lift_a = 1
    angle.lift_b = 1
    careful = not (squares_fit(sums[0]) and squares_fit(sums[1]))
    if careful:
        angle.lift_a = lift_of[real](dim, a)
        angle.lift_b = lift_of[real](dim, b)
        add_lifted_products[real](dim, a, b, angle.lift_a, angle.lift_b, sums)
    angle.a = 1 / sqrt(sums[0]) if sums[0] != 0 else 0
    angle.b = 1 / sqrt(sums[1]) if sums[1] != 0 else 0
    if sums[0] == 0 or sums[1] == 0:
        # a row of zeros has no direction; NaN stays
        angle.cosine = (sums[0] + sums[1]) * 0
        angle.distance = 1 - angle.cosine
        return
    # not by the reciprocals: exact where the root is
    angle.cosine = sums[2] / sqrt(sums[0] * sums[1])
    angle.distance = 1 - angle.cosine
    if careful or angle.distance < least:
        angle.distance = 0.5 * square_turn[real](dim, a, b, angle)
        if 2 * angle.distance <= PARALLEL:
            angle.distance = 0
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
    cdef inner lift_a = <inner>angle.lift_a
    cdef inner lift_b = <inner>angle.lift_b
    cdef inner of_a = <inner>angle.a
    cdef inner of_b = <inner>angle.b
    cdef inner cosine = <inner>angle.cosine
    cdef inner slope_a = <inner>(slope * angle.a)
    cdef inner slope_b = <inner>(slope * angle.b)
    cdef inner x, y
    for k in range(dim):
        x = <inner>a[k] * lift_a * of_a
        y = <inner>b[k] * lift_b * of_b
        g[k] = <real>(slope_a * (cosine * x - y) * lift_a)
        h[k] = <real>(slope_b * (cosine * y - x) * lift_b)


cdef inline void swing_three(Py_ssize_t dim, double slope, const Angle *near, const Angle *far,
                             const real *a, const real *p, const real *n, real *g, real *h,
                             real *o, inner tag) noexcept nogil:
    """Of a difference of two such."""
    cdef Py_ssize_t k
    cdef inner lift_a = <inner>near.lift_a
    cdef inner lift_p = <inner>near.lift_b
    cdef inner lift_n = <inner>far.lift_b
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
        x = <inner>a[k] * lift_a * of_a
        y = <inner>p[k] * lift_p * of_p
        z = <inner>n[k] * lift_n * of_n
        g[k] = <real>(slope_a * (along * x - (y - z)) * lift_a)
    for k in range(dim):
        x = <inner>a[k] * lift_a * of_a
        y = <inner>p[k] * lift_p * of_p
        z = <inner>n[k] * lift_n * of_n
        h[k] = <real>(slope_p * (cosine_p * y - x) * lift_p)
        o[k] = <real>(slope_n * (cosine_n * z - x) * lift_n)
