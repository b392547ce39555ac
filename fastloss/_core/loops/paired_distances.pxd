# cython: language_level=3
"""Two rows: sums over their components, and the gradients of their distance.

`paired.pxi` says why.
"""
from libc.math cimport sqrt
from libc.string cimport memset

from fastloss._core.formulas.batch cimport lift_of, squares_fit
from fastloss._core.formulas.math cimport real
from fastloss._core.jobs cimport LANES
from fastloss._core.loops.batch_exact cimport PARALLEL
from fastloss._core.loops.sums cimport fold

cdef enum:
    PANEL_ROUNDS = 4     # of LANES components that a lane adds up in a register
    STRETCH_ROUNDS = 64  # rounds after which lanes are added up in double

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
    for stretch in range(rounds // STRETCH_ROUNDS + 1):
        start = stretch * STRETCH_ROUNDS
        for k in range(LANES):
            lanes[k] = 0
        panels = min(rounds - start, <Py_ssize_t>STRETCH_ROUNDS) // PANEL_ROUNDS
        for i in range(panels):
            add_squares_panel[real](PANEL_ROUNDS, a + (start + i * PANEL_ROUNDS) * LANES,
                                    b + (start + i * PANEL_ROUNDS) * LANES, lanes)
        for i in range(start + panels * PANEL_ROUNDS, min(rounds, start + STRETCH_ROUNDS)):
            add_squares_panel[real](1, a + i * LANES, b + i * LANES, lanes)
        if start + STRETCH_ROUNDS > rounds:
            for k in range(dim - rounds * LANES):
                t = a[rounds * LANES + k] - b[rounds * LANES + k]
                lanes[k] += t * t
        total += fold_lanes[real](lanes)
    return total


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
    """Write the sums of a a, b b and a b over the components of two rows."""
    cdef inner aa[LANES]
    cdef inner bb[LANES]
    cdef inner ab[LANES]
    cdef inner x, y
    cdef Py_ssize_t stretch, start, i, k, panels
    cdef Py_ssize_t rounds = dim // LANES
    sums[0] = 0
    sums[1] = 0
    sums[2] = 0
    for stretch in range(rounds // STRETCH_ROUNDS + 1):
        start = stretch * STRETCH_ROUNDS
        for k in range(LANES):
            aa[k] = 0
            bb[k] = 0
            ab[k] = 0
        panels = min(rounds - start, <Py_ssize_t>STRETCH_ROUNDS) // PANEL_ROUNDS
        for i in range(panels):
            add_products_panel[real, inner](PANEL_ROUNDS, a + (start + i * PANEL_ROUNDS) * LANES,
                                            b + (start + i * PANEL_ROUNDS) * LANES, aa, bb, ab)
        for i in range(start + panels * PANEL_ROUNDS, min(rounds, start + STRETCH_ROUNDS)):
            add_products_panel[real, inner](1, a + i * LANES, b + i * LANES, aa, bb, ab)
        if start + STRETCH_ROUNDS > rounds:
            for k in range(dim - rounds * LANES):
                x = <inner>a[rounds * LANES + k]
                y = <inner>b[rounds * LANES + k]
                aa[k] += x * x
                bb[k] += y * y
                ab[k] += x * y
        sums[0] += fold_lanes[inner](aa)
        sums[1] += fold_lanes[inner](bb)
        sums[2] += fold_lanes[inner](ab)


cdef inline void add_unit_squares_panel(Py_ssize_t rounds, const real *a, const real *b,
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


cdef inline double unit_distance_square(Py_ssize_t dim, const real *a, const real *b,
                                        const Angle *angle) noexcept nogil:
    """Return the square of the distance of two rows scaled to unit length."""
    cdef double lanes[LANES]
    cdef double t
    cdef Py_ssize_t i, k
    cdef Py_ssize_t rounds = dim // LANES
    cdef Py_ssize_t panels = rounds // PANEL_ROUNDS
    for k in range(LANES):
        lanes[k] = 0
    for i in range(panels):
        add_unit_squares_panel[real](PANEL_ROUNDS, a + i * PANEL_ROUNDS * LANES,
                                     b + i * PANEL_ROUNDS * LANES, angle, lanes)
    for i in range(panels * PANEL_ROUNDS, rounds):
        add_unit_squares_panel[real](1, a + i * LANES, b + i * LANES, angle, lanes)
    for k in range(dim - rounds * LANES):
        t = (a[rounds * LANES + k] * angle.lift_a * angle.a
             - b[rounds * LANES + k] * angle.lift_b * angle.b)
        lanes[k] += t * t
    return fold(lanes)


cdef inline void add_lifted_products(Py_ssize_t dim, const real *a, const real *b, double lift_a,
                                     double lift_b, double *sums) noexcept nogil:
    """Write the sums of `add_products` for rows times their powers of two."""
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
        angle.distance = 0.5 * unit_distance_square[real](dim, a, b, angle)
        if 2 * angle.distance <= PARALLEL:
            angle.distance = 0
        angle.cosine = 1 - angle.distance


# ---- gradients -----------------------------------------------------------------------------


cdef inline void write_distance_gradient(Py_ssize_t dim, real slope, real lift, const real *a,
                                         const real *b, real *g, real *h) noexcept nogil:
    """Write slope * lift * (a - b) to g and its negative to h."""
    cdef Py_ssize_t k
    cdef real t
    for k in range(dim):
        t = slope * (lift * (a[k] - b[k]))
        g[k] = t
        h[k] = -t


cdef inline void write_distance_triplet_gradient(Py_ssize_t dim, const real *slope,
                                                 const real *lift, const real *a, const real *p,
                                                 const real *n, real *g, real *h,
                                                 real *o) noexcept nogil:
    """Write the gradient of the distance (a, p) minus the distance (a, n) to g, h and o.

    The slopes are those of `write_distance_gradient`, first for p and then for n.
    """
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


cdef inline void write_cosine_gradient(Py_ssize_t dim, double slope, const Angle *angle,
                                       const real *a, const real *b, real *g, real *h,
                                       inner tag) noexcept nogil:
    """Write slope times the gradient of 1 - cos(a, b) by a to g and by b to h."""
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


cdef inline void write_cosine_triplet_gradient(Py_ssize_t dim, double slope, const Angle *near,
                                               const Angle *far, const real *a, const real *p,
                                               const real *n, real *g, real *h, real *o,
                                               inner tag) noexcept nogil:
    """Write slope times the gradient of cos(a, n) - cos(a, p) by a, p and n to g, h and o."""
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
