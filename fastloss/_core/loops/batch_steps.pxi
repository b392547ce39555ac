"""Losses of all pairs of rows, tile by tile: no matrix of pairs ever exists.

Part of `_kernels.pyx`.

A. A tile is the pairs of a panel of anchors, one in each lane, with up to BLOCK_ROWS other rows. It
   is made by a product (`batch_tile.h`), turned into distances if need be, worked on in place by a
   step of a loss (`fastloss._core.formulas.batch` has the pairs), and multiplied by either side's
   rows into either side's gradient, all while it is in the cache.
B. Blocks of BLOCK_ROWS rows meet in rounds of which no two share a block, like teams of a
   tournament: so both sides of a tile are written to without locks, in an order that the sizes
   alone decide, and the bits are the same for every number of threads. A batch with itself meets
   every other block once.
C. Rows come centred, so a product of two has the digits of what differs. The square of a distance
   as |a|^2 + |b|^2 - 2 a.b loses those of two rows that are near for their size: such pairs are
   computed from differences, and so are their shares of the gradient.
"""
from cpython.pycapsule cimport PyCapsule_New
from cython.parallel cimport prange, threadid
from libc.math cimport INFINITY
from libc.string cimport memcpy, memset

from fastloss._core.formulas.batch cimport (Contrastive, Direct, Exponent, Lifted, pair_cost,
                                            pair_exponent)
from fastloss._core.formulas.math cimport exp_negative, log1p_unit, magnitude, real, sqrt_
from fastloss._core.fpmode cimport Mode, enter_default_mode, leave_default_mode
from fastloss._core.jobs cimport (BLOCK_ROWS, EXTREMES, LARGEST, LIFT, MAX_PANEL_ROWS, SUM,
                                  TERMS_PER_LANE_SUM, TILED_ANCHORS, WEIGH, BatchJob, BatchLoss,
                                  BatchSide, Near, Place, Step32, Step64)
from fastloss._core.loops.batch_exact cimport (Twice, difference_square, distance_by,
                                               exact_square, excess_by, may_be_one_direction,
                                               next_after, slack_of, unit_of)
from fastloss._core.loops.batch_tile cimport (PANELD, PANELF, ROWS, fl_add_columns, fl_add_columnsf,
                                              fl_add_rows, fl_add_rowsf, fl_fold, fl_foldf,
                                              fl_similarities, fl_similaritiesf, fl_turn, fl_turnf,
                                              panel_size)

# Types that stand for where a tile is, and for what exponents are relative to.
cdef enum OwnTag:          # a block with itself: a row is no pair with itself
    OWN_TAG
cdef enum OtherTag:
    OTHER_TAG
cdef enum CommonTag:       # one number for all
    COMMON_TAG
cdef enum EachTag:         # a number of each row
    EACH_TAG

ctypedef fused Meeting:
    OwnTag
    OtherTag

ctypedef fused Shifts:
    CommonTag
    EachTag


# ---- steps of losses: one panel of a tile -------------------------------------------------


cdef void find_largest(const Exponent *parameters, const BatchJob *job, const Place *at,
                       real *tile, real *columns, Meeting meeting, Shifts shifts) noexcept nogil:
    """The largest exponent of each row, of pairs of different and of the same class."""
    cdef Exponent c = parameters[0]
    cdef Py_ssize_t size = panel_size[real](0)
    cdef Py_ssize_t j, l
    cdef real none = -INFINITY
    cdef real zero = 0
    cdef real x, slope, different, same_class, v
    cdef real *column = columns
    cdef const int *label = job.a.label + at.i
    cdef bint same
    cdef int label_j, own_lane
    cdef real largest[2][MAX_PANEL_ROWS]
    for l in range(size):
        largest[0][l] = none
        largest[1][l] = none
    for j in range(at.n):
        label_j = job.b.label[at.j + j]
        own_lane = <int>(at.j + j - at.i)
        for l in range(size):      # vectorised
            same = label[l] == label_j
            pair_exponent[Exponent, real](&c, tile[j * size + l], same, &x, &slope)
            if Meeting is OwnTag:
                x = none if <int>l == own_lane else x
            different = none if same else x
            same_class = x if same else none
            # "+ zero" keeps the store unconditional: gcc would otherwise skip storing an unchanged
            # maximum, and the branch stops vectorisation. NaN needs no care here; the sums show it.
            v = different if different > largest[0][l] else largest[0][l]
            largest[0][l] = v + zero
            v = same_class if same_class > largest[1][l] else largest[1][l]
            largest[1][l] = v + zero
            column = columns + j * size
            v = different if different > column[l] else column[l]
            column[l] = v + zero
            column += at.n * size
            v = same_class if same_class > column[l] else column[l]
            column[l] = v + zero
    for l in range(at.lanes):
        job.a.sums[0][at.i + l] = max(job.a.sums[0][at.i + l], <double>largest[0][l])
        job.a.sums[1][at.i + l] = max(job.a.sums[1][at.i + l], <double>largest[1][l])


cdef inline real gate_of(const BatchJob *job, const BatchSide *side, int kind, Py_ssize_t row,
                         double best, bint equal, real tag) noexcept nogil:
    """What is not larger neither replaces a row's largest number nor may be as large.

    Numbers as large count themselves if `equal`.
    """
    cdef double slack
    cdef real below = -INFINITY
    if best == -INFINITY:
        return below
    slack = 3 * slack_of(job.tolerance, unit_of[real](0), (<const real *>side.base)[row],
                         job.largest, best if kind else -best)
    if slack > 0:
        return <real>(best - slack)
    return next_after(<real>best, below) if equal else <real>best


cdef inline real gate(const BatchJob *job, const BatchSide *side, int kind, Py_ssize_t row,
                      Py_ssize_t end, real tag) noexcept nogil:
    """Return the gate of a row; rows below `end` still come, and of equals the lower stays."""
    return gate_of[real](job, side, kind, row, side.sums[kind][row],
                         not side.sums[kind + 2][row] < end, 0)


cdef inline void keep_larger(const BatchSide *side, int kind, Py_ssize_t row, double v,
                             double index) noexcept nogil:
    """The largest numbers of a row, their indices, and the second largest; of equals, the lower."""
    cdef double *best = side.sums[kind] + row
    cdef double *which = side.sums[kind + 2] + row
    cdef double *second = side.sums[kind + 4] + row
    if v > best[0] or (v == best[0] and index < which[0]):
        second[0] = best[0]
        best[0] = v
        which[0] = index
    elif v > second[0]:
        second[0] = v


cdef inline void seed_gates(const BatchJob *job, const Place *at, const real *tile, real *near,
                            real *far, Meeting meeting) noexcept nogil:
    """Raise the gates of rows of which little is known by what the tile has."""
    cdef Py_ssize_t size = panel_size[real](0)
    cdef Py_ssize_t j, l
    cdef real none = -INFINITY
    cdef real different, same_class
    cdef bint same
    cdef int label_j, own_lane
    cdef int label[MAX_PANEL_ROWS]
    cdef real nearest[MAX_PANEL_ROWS]
    cdef real farthest[MAX_PANEL_ROWS]
    for l in range(size):
        label[l] = job.a.label[at.i + l]
        nearest[l] = none
        farthest[l] = none
    for j in range(at.n):
        label_j = job.b.label[at.j + j]
        own_lane = <int>(at.j + j - at.i)
        for l in range(size):      # vectorised
            same = label[l] == label_j
            different = none if same else -tile[j * size + l]
            same_class = tile[j * size + l] if same else none
            if Meeting is OwnTag:
                same_class = none if <int>l == own_lane else same_class
            nearest[l] = different if different > nearest[l] else nearest[l]
            farthest[l] = same_class if same_class > farthest[l] else farthest[l]
    for l in range(at.lanes):
        near[l] = max(near[l], gate_of[real](job, &job.a, 0, at.i + l, nearest[l], True, 0))
        far[l] = max(far[l], gate_of[real](job, &job.a, 1, at.i + l, farthest[l], True, 0))


cdef void find_extremes(const void *parameters, const BatchJob *job, const Place *at,
                        real *tile, real *columns, Meeting meeting,
                        CommonTag shifts) noexcept nogil:
    """The largest -v of pairs of different classes and v of the same, and which rows they are of.

    Hardly any pair comes up to those found already: they are looked for all at once, and kept one
    by one.
    """
    cdef Py_ssize_t size = panel_size[real](0)
    cdef Py_ssize_t j, l
    cdef int kind
    cdef real none = -INFINITY
    cdef real never = INFINITY
    cdef real v, bound, near_j, far_j, near_most, far_most
    cdef bint same, both = Meeting is OtherTag and job.columns
    cdef int label_j, own_lane, found, unknown = 0
    cdef int label[MAX_PANEL_ROWS]
    cdef int hits[MAX_PANEL_ROWS]
    cdef real near[MAX_PANEL_ROWS]
    cdef real far[MAX_PANEL_ROWS]
    for l in range(size):
        label[l] = job.a.label[at.i + l]
        near[l] = never
        far[l] = never
    for l in range(at.lanes):
        near[l] = gate[real](job, &job.a, 0, at.i + l, at.j + at.n, 0)
        far[l] = gate[real](job, &job.a, 1, at.i + l, at.j + at.n, 0)
        unknown |= (near[l] == none) | (far[l] == none)
    if unknown:
        seed_gates[real, Meeting](job, at, tile, near, far, meeting)
    for j in range(at.n):
        label_j = job.b.label[at.j + j]
        own_lane = <int>(at.j + j - at.i)
        near_j = columns[j]
        far_j = columns[at.n + j]
        found = 0
        for l in range(size):      # vectorised
            same = label[l] == label_j
            near_most = near[l] if near[l] < near_j else near_j
            far_most = far[l] if far[l] < far_j else far_j
            bound = far_most if same else near_most
            v = tile[j * size + l]
            v = v if same else -v
            hits[l] = v > bound
            found |= hits[l]
        if not found:
            continue
        if Meeting is OwnTag and 0 <= own_lane < size:
            hits[own_lane] = 0
        for l in range(at.lanes):
            if not hits[l]:
                continue
            kind = label[l] == label_j
            v = tile[j * size + l] if kind else -tile[j * size + l]
            if v > (far[l] if kind else near[l]):
                keep_larger(&job.a, kind, at.i + l, v, at.j + j)
                bound = gate[real](job, &job.a, kind, at.i + l, at.j + at.n, 0)
                if kind:
                    far[l] = max(far[l], bound)
                else:
                    near[l] = max(near[l], bound)
            if both and v > (columns[at.n + j] if kind else columns[j]):
                keep_larger(&job.b, kind, at.j + j, v, at.i + l)
                columns[kind * at.n + j] = gate[real](job, &job.b, kind, at.j + j,
                                                      at.first + BLOCK_ROWS, 0)


cdef void add_exponentials(const Exponent *parameters, const BatchJob *job, const Place *at,
                           real *tile, real *columns, Meeting meeting,
                           Shifts shifts) noexcept nogil:
    """Sums of each row of e^(x - shift), of pairs of different and of the same class, and of v."""
    cdef Exponent c = parameters[0]
    cdef Py_ssize_t size = panel_size[real](0)
    cdef Py_ssize_t group, first, j, l
    cdef real zero = 0
    cdef real one = 1
    cdef real none = -INFINITY
    cdef real in_class, apart, shift
    cdef real x, slope, v, e, e_j, shift_different_j, shift_same_j
    cdef real *different_j
    cdef real *same_j
    cdef real *v_j
    # copies: arrays that might be the columns for all gcc knows would keep it from vectorising
    cdef int label[MAX_PANEL_ROWS]
    cdef real shift_different[MAX_PANEL_ROWS]
    cdef real shift_same[MAX_PANEL_ROWS]
    cdef bint same
    cdef int label_j, own_lane
    cdef real rows[3][MAX_PANEL_ROWS]
    cdef double totals[3][MAX_PANEL_ROWS]
    memset(totals, 0, sizeof(totals))
    for l in range(size):
        label[l] = job.a.label[at.i + l]
        shift_different[l] = (<const real *>job.a.shift[0])[at.i + l]
        shift_same[l] = (<const real *>job.a.shift[1])[at.i + l]
    for group in range((at.n + TERMS_PER_LANE_SUM - 1) // TERMS_PER_LANE_SUM):
        first = group * TERMS_PER_LANE_SUM
        memset(rows, 0, sizeof(rows))
        for j in range(first, min(first + TERMS_PER_LANE_SUM, at.n)):
            label_j = job.b.label[at.j + j]
            own_lane = <int>(at.j + j - at.i)
            shift_different_j = (<const real *>job.b.shift[0])[at.j + j]
            shift_same_j = (<const real *>job.b.shift[1])[at.j + j]
            different_j = columns + j * size
            same_j = different_j + at.n * size
            v_j = same_j + at.n * size
            for l in range(size):      # vectorised
                same = label[l] == label_j
                v = tile[j * size + l]
                pair_exponent[Exponent, real](&c, v, same, &x, &slope)
                # in arithmetic: many choices by one condition would become a branch
                in_class = one if same else zero
                apart = one - in_class
                shift = in_class * shift_same[l] + apart * shift_different[l]
                if Meeting is OwnTag:
                    x = none if <int>l == own_lane else x
                    v = zero if <int>l == own_lane else v
                e = exp_negative(x - shift)
                if Shifts is EachTag:
                    shift = in_class * shift_same_j + apart * shift_different_j
                    e_j = exp_negative(x - shift)
                else:
                    e_j = e
                v = in_class * v
                rows[0][l] += apart * e
                rows[1][l] += in_class * e
                rows[2][l] += v
                different_j[l] += apart * e_j
                same_j[l] += in_class * e_j
                v_j[l] += v
        for l in range(size):
            totals[0][l] += rows[0][l]
            totals[1][l] += rows[1][l]
            totals[2][l] += rows[2][l]
    for l in range(at.lanes):
        job.a.sums[0][at.i + l] += totals[0][l]
        job.a.sums[1][at.i + l] += totals[1][l]
        job.a.sums[2][at.i + l] += totals[2][l]


cdef void weigh_exponentials(const Exponent *parameters, const BatchJob *job, const Place *at,
                             real *tile, real *columns, Meeting meeting,
                             Shifts shifts) noexcept nogil:
    """The derivative of the value by v of each pair, from those by either row's sums."""
    cdef Exponent c = parameters[0]
    cdef Py_ssize_t size = panel_size[real](0)
    cdef Py_ssize_t j, l
    cdef real zero = 0
    cdef real x, slope, e, e_j, shift_different_j, shift_same_j, different_j, same_j, linear_j, w
    cdef real one = 1
    cdef real in_class, apart, shift, from_linear
    cdef const int *label = job.a.label + at.i
    cdef const real *shift_different = <const real *>job.a.shift[0] + at.i
    cdef const real *shift_same = <const real *>job.a.shift[1] + at.i
    cdef const real *different = <const real *>job.a.factor[0] + at.i
    cdef const real *same_class = <const real *>job.a.factor[1] + at.i
    cdef const real *linear = <const real *>job.a.factor[2] + at.i
    cdef bint same
    cdef int label_j, own_lane
    for j in range(at.n):
        label_j = job.b.label[at.j + j]
        own_lane = <int>(at.j + j - at.i)
        shift_different_j = (<const real *>job.b.shift[0])[at.j + j]
        shift_same_j = (<const real *>job.b.shift[1])[at.j + j]
        different_j = (<const real *>job.b.factor[0])[at.j + j]
        same_j = (<const real *>job.b.factor[1])[at.j + j]
        linear_j = (<const real *>job.b.factor[2])[at.j + j]
        for l in range(size):      # vectorised
            same = label[l] == label_j
            pair_exponent[Exponent, real](&c, tile[j * size + l], same, &x, &slope)
            # of both classes, in arithmetic: many choices by one condition would become a branch
            in_class = one if same else zero
            apart = one - in_class
            shift = in_class * shift_same[l] + apart * shift_different[l]
            e = exp_negative(x - shift)
            if Shifts is EachTag:
                shift = in_class * shift_same_j + apart * shift_different_j
                e_j = exp_negative(x - shift)
                w = (in_class * (same_class[l] * e + same_j * e_j)
                     + apart * (different[l] * e + different_j * e_j))
            else:
                w = (in_class * (same_class[l] + same_j) + apart * (different[l] + different_j)) * e
            from_linear = in_class * (linear[l] + linear_j)
            w = slope * w + from_linear
            if Meeting is OwnTag:
                w = zero if <int>l == own_lane else w
            tile[j * size + l] = w


cdef void add_costs(const Direct *parameters, const BatchJob *job, const Place *at,
                    real *tile, real *columns, Meeting meeting, Shifts shifts) noexcept nogil:
    """Sums of costs of pairs, and how many are not 0; the tile becomes their derivatives by v."""
    cdef Direct c = parameters[0]
    cdef Py_ssize_t size = panel_size[real](0)
    cdef Py_ssize_t group, first, j, l
    cdef real zero = 0
    cdef real one = 1
    cdef real cost, slope, weight, weight_j
    cdef const int *label = job.a.label + at.i
    cdef const real *weights = <const real *>job.a.weight + at.i
    cdef bint same, none
    cdef int label_j, own_lane
    # of a block with itself every pair is met twice
    cdef double share = 0.5 if Meeting is OwnTag else 1
    cdef double total = 0
    cdef double count = 0
    cdef real costs[MAX_PANEL_ROWS]
    cdef real counts[MAX_PANEL_ROWS]
    for group in range((at.n + TERMS_PER_LANE_SUM - 1) // TERMS_PER_LANE_SUM):
        first = group * TERMS_PER_LANE_SUM
        memset(costs, 0, sizeof(costs))
        memset(counts, 0, sizeof(counts))
        for j in range(first, min(first + TERMS_PER_LANE_SUM, at.n)):
            label_j = job.b.label[at.j + j]
            own_lane = <int>(at.j + j - at.i)
            weight_j = (<const real *>job.b.weight)[at.j + j]
            for l in range(size):      # vectorised
                same = label[l] == label_j
                pair_cost[Direct, real](&c, tile[j * size + l], same, &cost, &slope)
                weight = weights[l] + weight_j
                if Meeting is OwnTag:
                    none = <int>l == own_lane
                    cost = zero if none else cost
                    slope = zero if none else slope
                tile[j * size + l] = weight * slope
                costs[l] += weight * cost
                if Direct is Contrastive:
                    # a cost or a slope may vanish where the other does not
                    weight = weight if (cost > zero) | (slope != zero) else zero
                counts[l] += weight
        for l in range(at.lanes):
            total += costs[l]
            count += counts[l]
    job.cost[at.i // BLOCK_ROWS] += share * total
    job.counted[at.i // BLOCK_ROWS] += share * count


cdef void add_lifted_costs(const Exponent *parameters, const BatchJob *job, const Place *at,
                           real *tile, real *columns, Meeting meeting,
                           Shifts shifts) noexcept nogil:
    """Costs [ln(N_i + N_j) + d]+^2 / 2 of pairs of one class, from the logarithms of N.

    Derivatives by either logarithm are summed, the tile becomes those by v.
    """
    cdef Py_ssize_t size = panel_size[real](0)
    cdef Py_ssize_t group, first, j, l
    cdef real zero = 0
    cdef real half = 0.5
    cdef real one = 1
    cdef real none = <real>-1e29                # less is the logarithm of no sum at all
    cdef real log_j, difference, rising, larger, d, e, in_class, weight, weight_j, rate, excess
    cdef real costs, first_share
    cdef int label[MAX_PANEL_ROWS]                        # copies, as above
    cdef real logs[MAX_PANEL_ROWS]
    cdef real weights[MAX_PANEL_ROWS]
    cdef real *column
    cdef int label_j, own_lane
    cdef double share = 0.5 if Meeting is OwnTag else 1
    cdef double total = 0
    cdef double count = 0
    cdef real sums[4][MAX_PANEL_ROWS]                     # costs, counts, terms, derivatives
    for l in range(size):
        label[l] = job.a.label[at.i + l]
        logs[l] = (<const real *>job.a.factor[0])[at.i + l]
        weights[l] = (<const real *>job.a.weight)[at.i + l]
    for group in range((at.n + TERMS_PER_LANE_SUM - 1) // TERMS_PER_LANE_SUM):
        first = group * TERMS_PER_LANE_SUM
        memset(sums, 0, sizeof(sums))
        for j in range(first, min(first + TERMS_PER_LANE_SUM, at.n)):
            label_j = job.b.label[at.j + j]
            own_lane = <int>(at.j + j - at.i)
            log_j = (<const real *>job.b.factor[0])[at.j + j]
            weight_j = (<const real *>job.b.weight)[at.j + j]
            column = columns + (at.n + j) * size
            for l in range(size):      # vectorised
                # in arithmetic, again
                in_class = one if label[l] == label_j else zero
                if Meeting is OwnTag:
                    in_class = zero if <int>l == own_lane else in_class
                difference = logs[l] - log_j
                rising = one if difference > zero else zero
                larger = rising * logs[l] + (one - rising) * log_j
                in_class *= one if larger > none else zero
                e = exp_negative(-magnitude(difference))
                d = sqrt_(tile[j * size + l])
                excess = larger + log1p_unit(e) + d
                costs = zero if excess <= zero else one
                excess *= costs
                weight = in_class * (weights[l] + weight_j)
                rate = weight * excess
                first_share = (rising + (one - rising) * e) / (one + e)
                sums[0][l] += half * rate * excess
                sums[1][l] += weight * costs
                sums[2][l] += weight
                sums[3][l] += rate * first_share
                column[l] += rate * (one - first_share)
                e = half / d
                e = e if d > zero else zero
                tile[j * size + l] = rate * e
        for l in range(at.lanes):
            total += sums[0][l]
            count += sums[1][l]
            job.a.sums[2][at.i + l] += share * sums[2][l]
            job.a.sums[0][at.i + l] += sums[3][l]
    job.cost[at.i // BLOCK_ROWS] += share * total
    job.counted[at.i // BLOCK_ROWS] += share * count


# ---- tiles ---------------------------------------------------------------------------------


cdef Twice exact_pair_square(const BatchJob *job, Py_ssize_t i, Py_ssize_t j,
                             real tag) noexcept nogil:
    """Return the square of the distance of a pair in twice the precision.

    Not inline: it is long and seldom needed.
    """
    return exact_square[real](&job.a, i, &job.b, j, job.dim, job.cosine, 0)


cdef inline real excess_at(const BatchJob *job, int which, real v) noexcept nogil:
    """How much more than a threshold a distance is, as costs have it."""
    return (sqrt_(v) if job.factor == 0 else <real>job.factor * v) - <real>job.threshold[which]


cdef inline real square_by(const BatchJob *job, int which, Twice square,
                           real tag) noexcept nogil:
    """The square of a distance, rounded to the side of a threshold where the distance is."""
    cdef real v = <real>square.high
    cdef real least = 0
    cdef real most = INFINITY
    cdef double excess = excess_by(distance_by(square, job.factor), Twice(0, 0),
                                   -job.threshold[which])
    cdef Py_ssize_t step
    for step in range(64):
        if excess > 0 and not excess_at[real](job, which, v) > 0:
            v = next_after(v, most)
        elif excess < 0 and not excess_at[real](job, which, v) < 0 and v > least:
            v = next_after(v, least)
        elif excess == 0 and excess_at[real](job, which, v) > 0 and v > least:
            v = next_after(v, least)
        elif excess == 0 and excess_at[real](job, which, v) < 0:
            v = next_after(v, most)
        else:
            break
    return v


cdef void settle_critical(const BatchJob *job, const Place *at, int which,
                          real *tile) noexcept nogil:
    """Compute those squares of distances again whose rounding decides whether a pair costs."""
    cdef Py_ssize_t size = panel_size[real](0)
    cdef Py_ssize_t j, l
    cdef real critical = <real>job.critical[which]
    cdef real base
    cdef double unit = unit_of[real](0)
    cdef int found = 0
    cdef real slack[MAX_PANEL_ROWS]
    for l in range(size):
        base = (<const real *>job.a.base)[at.i + l]
        slack[l] = <real>(slack_of(job.tolerance, unit, base, job.largest, job.critical[which])
                          + 4 * unit * job.critical[which])
    for j in range(at.n):
        for l in range(size):      # vectorised
            found |= magnitude(tile[j * size + l] - critical) <= slack[l]
    if not found:
        return
    for j in range(at.n):
        for l in range(at.lanes):
            if (magnitude(tile[j * size + l] - critical) <= slack[l]
                    and not (at.own and at.i + l == at.j + j)):
                tile[j * size + l] = square_by[real](
                    job, which, exact_pair_square[real](job, at.i + l, at.j + j, 0), 0)


cdef inline Py_ssize_t make_tile(const BatchJob *job, const Place *at, const real *turned,
                                 real *tile, Near *near) noexcept nogil:
    """Compute v of all pairs of a panel; return how many are too near for products."""
    cdef Py_ssize_t size = panel_size[real](0)
    cdef Py_ssize_t width = job.width
    cdef Py_ssize_t j, l, count = 0
    cdef real closeness = <real>0.01
    cdef real factor = <real>(-2 if job.distance else 1)
    cdef real base_j, v
    cdef double square
    cdef int any_near = 0
    cdef int which
    cdef const real *z = <const real *>job.b.x + at.j * width
    cdef const real *base = <const real *>job.a.base + at.i
    cdef const real *others = <const real *>job.b.base + at.j
    if real is float:
        fl_similaritiesf(at.n, job.dim, z, width, turned, tile, size)
    else:
        fl_similarities(at.n, job.dim, z, width, turned, tile, size)
    if not job.distance:
        for j in range(at.n):
            base_j = others[j]
            for l in range(size):
                tile[j * size + l] += base[l] + base_j
        return 0
    for j in range(at.n):
        base_j = others[j]
        for l in range(size):
            v = (base[l] + base_j) + factor * tile[j * size + l]
            any_near |= v < closeness * (base[l] + base_j)
            tile[j * size + l] = v
    for j in range(at.n if any_near else 0):
        for l in range(at.lanes):
            if at.own and at.i + l == at.j + j:
                tile[j * size + l] = 0
            elif tile[j * size + l] < closeness * (base[l] + others[j]):
                square = difference_square[real](&job.a, at.i + l, &job.b, at.j + j, job.dim, width,
                                                 0)
                if may_be_one_direction[real](&job.a, square, 0):
                    square = exact_pair_square[real](job, at.i + l, at.j + j, 0).high
                tile[j * size + l] = <real>square
                near[count].j = <int>j
                near[count].l = <int>l
                count += 1
    for which in range(job.n_critical):
        settle_critical[real](job, at, which, tile)
    return count


cdef inline void part_near(const BatchJob *job, const Place *at, real *tile, const Near *near,
                           Py_ssize_t count) noexcept nogil:
    """Take near pairs out of the tile; their part of both gradients comes from differences."""
    cdef Py_ssize_t size = panel_size[real](0)
    cdef Py_ssize_t width = job.width
    cdef Py_ssize_t p, k
    cdef real w, difference
    cdef const real *x
    cdef const real *z
    cdef real *g
    cdef real *h
    for p in range(count):
        w = tile[near[p].j * size + near[p].l]
        tile[near[p].j * size + near[p].l] = 0
        x = <const real *>job.a.x + (at.i + near[p].l) * width
        z = <const real *>job.b.x + (at.j + near[p].j) * width
        g = <real *>job.a.g + (at.i + near[p].l) * width
        h = <real *>job.b.g + (at.j + near[p].j) * width
        for k in range(job.dim):
            difference = w * (x[k] - z[k])      # the gradient's sign turns in the end
            g[k] -= difference
        if not at.own and job.b.g != NULL:
            for k in range(job.dim):
                h[k] += w * (x[k] - z[k])


cdef inline void sum_weights(const BatchJob *job, const Place *at, real *tile,
                             real *columns) noexcept nogil:
    """Add up the tile by rows; set the lanes beyond the last row to 0."""
    cdef Py_ssize_t size = panel_size[real](0)
    cdef Py_ssize_t j, l
    cdef real rows[MAX_PANEL_ROWS]
    if at.lanes < size:
        for j in range(at.n):
            for l in range(at.lanes, size):
                tile[j * size + l] = 0
    memset(rows, 0, sizeof(rows))
    for j in range(at.n):
        for l in range(size):
            rows[l] += tile[j * size + l]
            columns[j * size + l] += tile[j * size + l]
    for l in range(at.lanes):
        job.a.rest[at.i + l] += rows[l]


cdef inline Py_ssize_t column_kinds(const BatchJob *job) noexcept nogil:
    return 1 if job.step == WEIGH else 3 if job.step == SUM else 2


cdef inline void clear_columns(const BatchJob *job, const Place *at, real *columns) noexcept nogil:
    cdef Py_ssize_t k
    cdef Py_ssize_t size = at.n * panel_size[real](0)
    if job.step == EXTREMES:
        for k in range(at.n):
            columns[k] = columns[at.n + k] = INFINITY
            if not at.own and job.columns:
                columns[k] = gate[real](job, &job.b, 0, at.j + k, at.first + BLOCK_ROWS, 0)
                columns[at.n + k] = gate[real](job, &job.b, 1, at.j + k, at.first + BLOCK_ROWS, 0)
        return
    memset(columns, 0, column_kinds(job) * size * sizeof(real))
    if job.step == LARGEST:
        for k in range(2 * size):
            columns[k] = -INFINITY


cdef inline void fold_columns(const BatchJob *job, const Place *at, real *columns,
                              Py_ssize_t lanes) noexcept nogil:
    """Add the lane sums of a tile to the sums of the other side's rows."""
    cdef Py_ssize_t size = panel_size[real](0)
    cdef Py_ssize_t j, l, k
    cdef double total
    cdef double *sums
    for k in range(column_kinds(job)):
        sums = job.b.sums[0 if job.step == LIFT else k]
        if job.step == WEIGH or (job.step == LIFT and k == 0):
            sums = job.b.rest
        for j in range(at.j, at.j + at.n):
            if job.step == LARGEST:
                for l in range(lanes):
                    sums[j] = max(sums[j], <double>columns[l])
            elif lanes < size:
                total = 0
                for l in range(lanes):
                    total += columns[l]
                sums[j] += total
            elif real is float:
                sums[j] += fl_foldf(columns)
            else:
                sums[j] += fl_fold(columns)
            columns += size


cdef void meet(const BatchJob *job, Py_ssize_t first, Py_ssize_t other, bint own, char *scratch,
               real tag) noexcept nogil:
    """Process all pairs of block `first` of side a with block `other` of side b."""
    cdef Py_ssize_t size = panel_size[real](0)
    cdef Py_ssize_t width = job.width
    cdef Place at
    cdef Py_ssize_t stop = min((first + 1) * BLOCK_ROWS, job.a.n)
    cdef Py_ssize_t panels, panel, room, count, k
    cdef bint both = not own and job.columns
    cdef bint weigh = (job.step == WEIGH or job.step == LIFT) and job.gradient
    cdef real *turned = <real *>scratch
    cdef real *columns = turned + size * job.dim
    cdef real *tiles
    cdef real *tile
    cdef Near *near
    at.own = own
    at.first = first * BLOCK_ROWS
    at.j = other * BLOCK_ROWS
    at.n = min(<Py_ssize_t>BLOCK_ROWS, job.b.n - at.j)
    room = (at.n + ROWS - 1) // ROWS * ROWS
    tiles = columns + 3 * BLOCK_ROWS * size
    near = <Near *>(tiles + TILED_ANCHORS * BLOCK_ROWS)
    clear_columns[real](job, &at, columns)
    at.i = at.first
    while at.i < stop:
        panels = min(<Py_ssize_t>TILED_ANCHORS // size, (stop - at.i + size - 1) // size)
        for panel in range(panels):
            tile = tiles + panel * room * size
            at.lanes = min(size, stop - at.i)
            if both and at.lanes < size and job.step != EXTREMES:
                # the lanes of no row hold what must not be added
                fold_columns[real](job, &at, columns, size)
                clear_columns[real](job, &at, columns)
            if real is float:
                fl_turnf(job.dim, <const float *>job.a.x + at.i * width, width, turned)
                count = make_tile[float](job, &at, turned, tile, near)
                job.loss.step32[job.step][2 * own + job.each](job.loss.parameters, job, &at, tile,
                                                              columns, 0, 0)
            else:
                fl_turn(job.dim, <const double *>job.a.x + at.i * width, width, turned)
                count = make_tile[double](job, &at, turned, tile, near)
                job.loss.step64[job.step][2 * own + job.each](job.loss.parameters, job, &at, tile,
                                                              columns, 0, 0)
            if weigh:
                if count:
                    part_near[real](job, &at, tile, near, count)
                sum_weights[real](job, &at, tile, columns)
                if real is float:
                    fl_add_rowsf(size, at.n, width, <const float *>job.b.x + at.j * width, width,
                                 tile, 1, PANELF, <float *>job.a.g + at.i * width)
                else:
                    fl_add_rows(size, at.n, width, <const double *>job.b.x + at.j * width, width,
                                tile, 1, PANELD, <double *>job.a.g + at.i * width)
            at.i += size
        if weigh and not own and job.b.g != NULL:
            k = (at.i - panels * size) * width
            if real is float:
                fl_add_columnsf(panels, at.n, width, <const float *>job.a.x + k, width, tiles,
                                <float *>job.b.g + at.j * width)
            else:
                fl_add_columns(panels, at.n, width, <const double *>job.a.x + k, width, tiles,
                               <double *>job.b.g + at.j * width)
    if both and (weigh or job.step < WEIGH):
        fold_columns[real](job, &at, columns, at.lanes)


cdef void meet_typed(const BatchJob *job, Py_ssize_t first, Py_ssize_t other, bint own,
                     int thread) noexcept nogil:
    cdef Mode before = enter_default_mode()
    if job.single:
        meet[float](job, first, other, own, job.scratch + thread * job.scratch_size, 0)
    else:
        meet[double](job, first, other, own, job.scratch + thread * job.scratch_size, 0)
    leave_default_mode(before)


cdef void run_batch(const BatchJob *job) noexcept nogil:
    """Process all pairs in rounds whose meetings share no block."""
    cdef Py_ssize_t blocks_a = (job.a.n + BLOCK_ROWS - 1) // BLOCK_ROWS
    cdef Py_ssize_t blocks_b = (job.b.n + BLOCK_ROWS - 1) // BLOCK_ROWS
    cdef Py_ssize_t teams, round, pair, first, other
    cdef int n_threads = <int>min(<Py_ssize_t>job.n_threads, blocks_a)
    if job.symmetric:
        for first in prange(blocks_a, schedule="dynamic", num_threads=n_threads):
            meet_typed(job, first, first, True, threadid())
        # one team stays in place, the others go round; an odd number gets a team without players
        teams = blocks_a + blocks_a % 2
        for round in range(teams - 1):
            for pair in prange(teams // 2, schedule="dynamic", num_threads=n_threads):
                first = (round + pair) % (teams - 1)
                other = teams - 1 if pair == 0 else (round - pair + teams - 1) % (teams - 1)
                if first < blocks_a and other < blocks_a:
                    meet_typed(job, min(first, other), max(first, other), False, threadid())
    else:
        teams = max(blocks_a, blocks_b)
        for round in range(teams):
            for first in prange(blocks_a, schedule="dynamic", num_threads=n_threads):
                other = (first + round) % teams
                if other < blocks_b:
                    meet_typed(job, first, other, False, threadid())


def bind_exponent(Exponent parameters):
    """The steps of a loss of sums of exponentials, and its parameters, as bytes of a BatchLoss."""
    cdef BatchLoss loss
    memset(&loss, 0, sizeof(BatchLoss))
    loss.step32[LARGEST][0] = <Step32>find_largest[Exponent, float, OtherTag, CommonTag]
    loss.step32[LARGEST][1] = <Step32>find_largest[Exponent, float, OtherTag, CommonTag]
    loss.step32[LARGEST][2] = <Step32>find_largest[Exponent, float, OwnTag, CommonTag]
    loss.step32[LARGEST][3] = <Step32>find_largest[Exponent, float, OwnTag, CommonTag]
    loss.step32[SUM][0] = <Step32>add_exponentials[Exponent, float, OtherTag, CommonTag]
    loss.step32[SUM][1] = <Step32>add_exponentials[Exponent, float, OtherTag, EachTag]
    loss.step32[SUM][2] = <Step32>add_exponentials[Exponent, float, OwnTag, CommonTag]
    loss.step32[SUM][3] = <Step32>add_exponentials[Exponent, float, OwnTag, EachTag]
    loss.step32[WEIGH][0] = <Step32>weigh_exponentials[Exponent, float, OtherTag, CommonTag]
    loss.step32[WEIGH][1] = <Step32>weigh_exponentials[Exponent, float, OtherTag, EachTag]
    loss.step32[WEIGH][2] = <Step32>weigh_exponentials[Exponent, float, OwnTag, CommonTag]
    loss.step32[WEIGH][3] = <Step32>weigh_exponentials[Exponent, float, OwnTag, EachTag]
    loss.step64[LARGEST][0] = <Step64>find_largest[Exponent, double, OtherTag, CommonTag]
    loss.step64[LARGEST][1] = <Step64>find_largest[Exponent, double, OtherTag, CommonTag]
    loss.step64[LARGEST][2] = <Step64>find_largest[Exponent, double, OwnTag, CommonTag]
    loss.step64[LARGEST][3] = <Step64>find_largest[Exponent, double, OwnTag, CommonTag]
    loss.step64[SUM][0] = <Step64>add_exponentials[Exponent, double, OtherTag, CommonTag]
    loss.step64[SUM][1] = <Step64>add_exponentials[Exponent, double, OtherTag, EachTag]
    loss.step64[SUM][2] = <Step64>add_exponentials[Exponent, double, OwnTag, CommonTag]
    loss.step64[SUM][3] = <Step64>add_exponentials[Exponent, double, OwnTag, EachTag]
    loss.step64[WEIGH][0] = <Step64>weigh_exponentials[Exponent, double, OtherTag, CommonTag]
    loss.step64[WEIGH][1] = <Step64>weigh_exponentials[Exponent, double, OtherTag, EachTag]
    loss.step64[WEIGH][2] = <Step64>weigh_exponentials[Exponent, double, OwnTag, CommonTag]
    loss.step64[WEIGH][3] = <Step64>weigh_exponentials[Exponent, double, OwnTag, EachTag]
    if Exponent is Lifted:
        loss.step32[LIFT][0] = <Step32>add_lifted_costs[Exponent, float, OtherTag, CommonTag]
        loss.step32[LIFT][1] = <Step32>add_lifted_costs[Exponent, float, OtherTag, CommonTag]
        loss.step32[LIFT][2] = <Step32>add_lifted_costs[Exponent, float, OwnTag, CommonTag]
        loss.step32[LIFT][3] = <Step32>add_lifted_costs[Exponent, float, OwnTag, CommonTag]
        loss.step64[LIFT][0] = <Step64>add_lifted_costs[Exponent, double, OtherTag, CommonTag]
        loss.step64[LIFT][1] = <Step64>add_lifted_costs[Exponent, double, OtherTag, CommonTag]
        loss.step64[LIFT][2] = <Step64>add_lifted_costs[Exponent, double, OwnTag, CommonTag]
        loss.step64[LIFT][3] = <Step64>add_lifted_costs[Exponent, double, OwnTag, CommonTag]
    memcpy(loss.parameters, &parameters, sizeof(Exponent))
    return (<char *>&loss)[:sizeof(BatchLoss)]


def bind_direct(Direct parameters):
    """The step of a loss that is a sum over pairs, and its parameters, as bytes of a BatchLoss."""
    cdef BatchLoss loss
    memset(&loss, 0, sizeof(BatchLoss))
    loss.step32[WEIGH][0] = <Step32>add_costs[Direct, float, OtherTag, CommonTag]
    loss.step32[WEIGH][2] = <Step32>add_costs[Direct, float, OwnTag, CommonTag]
    loss.step64[WEIGH][0] = <Step64>add_costs[Direct, double, OtherTag, CommonTag]
    loss.step64[WEIGH][2] = <Step64>add_costs[Direct, double, OwnTag, CommonTag]
    memcpy(loss.parameters, &parameters, sizeof(Direct))
    return (<char *>&loss)[:sizeof(BatchLoss)]


def bind_extremes():
    """The step of a loss of each row's closest and farthest, as bytes of a BatchLoss."""
    cdef BatchLoss loss
    memset(&loss, 0, sizeof(BatchLoss))
    loss.step32[EXTREMES][0] = <Step32>find_extremes[float, OtherTag]
    loss.step32[EXTREMES][2] = <Step32>find_extremes[float, OwnTag]
    loss.step64[EXTREMES][0] = <Step64>find_extremes[double, OtherTag]
    loss.step64[EXTREMES][2] = <Step64>find_extremes[double, OwnTag]
    return (<char *>&loss)[:sizeof(BatchLoss)]


RUN_BATCH = PyCapsule_New(<void *>run_batch, "fastloss.run_batch", NULL)
