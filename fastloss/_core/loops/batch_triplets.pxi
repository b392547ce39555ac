"""Losses of triplets, mined anchor by anchor.

Part of `_kernels.pyx`.

The hardest of each anchor come from a pass over all pairs (`batch_steps.pxi`). For the others all
distances of a block of anchors are made, one row per anchor. What a row is worth goes two
ways into the gradient: few pairs as a list of differences, one by one, many as a row of weights,
by products. Blocks are worked on side by side; what they add to rows that are not theirs is added
afterwards, in an order that does not depend on threads.
"""
from cpython.pycapsule cimport PyCapsule_New
from cython.parallel cimport prange, threadid
from libc.math cimport INFINITY, fabs, sqrt
from libc.stdlib cimport realloc
from libc.string cimport memcpy, memset

from fastloss._core.formulas.math cimport exp_negative, log1p_unit, magnitude, real, sqrt_
from fastloss._core.fpmode cimport Mode, enter_default_mode, leave_default_mode
from fastloss._core.jobs cimport (ALL, BLOCK_ROWS, HARDEST, LANES, MAX_PANEL_ROWS, SEMI_HARD,
                                  Entries, Entry, TripletJob)
from fastloss._core.loops.batch_exact cimport (Twice, difference_square, distance_by,
                                               exact_square, excess_by, may_be_one_direction,
                                               order, slack_of, unit_of)
from fastloss._core.loops.batch_tile cimport (fl_add_rows, fl_add_rowsf, fl_similarities,
                                              fl_similaritiesf, fl_turn, fl_turnf, panel_size)

# Types that stand for what a triplet costs.
cdef enum HingeTag:
    HINGE_TAG
cdef enum SoftplusTag:
    SOFTPLUS_TAG

ctypedef fused Edge:
    HingeTag
    SoftplusTag


# Numbers looked through are as many as a padded side has: whole LANES, and in pairs.

cdef inline void keep_largest(Py_ssize_t half, real *lanes) noexcept nogil:
    cdef Py_ssize_t k
    for k in range(half):
        lanes[k] = lanes[k + half] if lanes[k + half] > lanes[k] else lanes[k]


cdef inline real largest_lane(real *lanes) noexcept nogil:
    """The largest of 2 * LANES; in steps written out, which gcc vectorises."""
    keep_largest[real](LANES, lanes)
    keep_largest[real](LANES >> 1, lanes)
    keep_largest[real](LANES >> 2, lanes)
    keep_largest[real](LANES >> 3, lanes)
    return lanes[0] if lanes[0] > lanes[1] else lanes[1]


cdef inline void add_half(Py_ssize_t half, real *lanes) noexcept nogil:
    cdef Py_ssize_t k
    for k in range(half):
        lanes[k] += lanes[k + half]


cdef inline real lane_sum(real *lanes) noexcept nogil:
    add_half[real](LANES, lanes)
    add_half[real](LANES >> 1, lanes)
    add_half[real](LANES >> 2, lanes)
    add_half[real](LANES >> 3, lanes)
    return lanes[0] + lanes[1]


cdef inline real largest_of(Py_ssize_t n, const real *x) noexcept nogil:
    cdef real lanes[2 * LANES]
    cdef Py_ssize_t i, k
    for k in range(2 * LANES):
        lanes[k] = -INFINITY
    for i in range(n // (2 * LANES)):
        for k in range(2 * LANES):
            lanes[k] = x[i * 2 * LANES + k] if x[i * 2 * LANES + k] > lanes[k] else lanes[k]
    return largest_lane[real](lanes)


cdef inline real least_above(Py_ssize_t n, const real *x, real bound) noexcept nogil:
    """The least of the numbers that are more than a bound; inf if there is none."""
    cdef real lanes[2 * LANES]
    cdef real v
    cdef Py_ssize_t i, k
    for k in range(2 * LANES):
        lanes[k] = INFINITY
    for i in range(n // (2 * LANES)):
        for k in range(2 * LANES):
            v = x[i * 2 * LANES + k]
            lanes[k] = v if (v > bound) & (v < lanes[k]) else lanes[k]
    for k in range(2 * LANES):
        lanes[k] = -lanes[k]
    return -largest_lane[real](lanes)


cdef inline Py_ssize_t only_within(Py_ssize_t n, const real *x, real low, real high) noexcept nogil:
    """The index of the only number that lies between two; -1 if none does or several do."""
    cdef real counts[2 * LANES]
    cdef real places[2 * LANES]
    cdef real zero = 0
    cdef real one = 1
    cdef real place
    cdef Py_ssize_t i, k
    cdef bint within
    for k in range(2 * LANES):
        counts[k] = places[k] = 0
    for i in range(n // (2 * LANES)):
        place = <real>i
        for k in range(2 * LANES):
            within = (x[i * 2 * LANES + k] >= low) & (x[i * 2 * LANES + k] <= high)
            counts[k] += one if within else zero
            places[k] += place if within else zero
    for k in range(2 * LANES):
        places[k] = 2 * LANES * places[k] + k * counts[k]
    return <Py_ssize_t>lane_sum[real](places) if lane_sum[real](counts) == one else -1


cdef inline Py_ssize_t next_within(Py_ssize_t n, const real *x, Py_ssize_t start, real low,
                                   real high) noexcept nogil:
    """The index of the first number from `start` on that lies between two; n if none does."""
    cdef real lanes[2 * LANES]
    cdef real one = 1
    cdef Py_ssize_t i, j, k
    i = start // (2 * LANES) * 2 * LANES
    while i < n:
        # whole stretches at once
        j = i
        for k in range(2 * LANES):
            lanes[k] = 0
        while j < min(i + 8 * LANES, n):
            for k in range(2 * LANES):
                lanes[k] = one if (x[j + k] >= low) & (x[j + k] <= high) else lanes[k]
            j += 2 * LANES
        if largest_lane[real](lanes) == one:
            for k in range(max(i, start), j):
                if (x[k] >= low) & (x[k] <= high):
                    return k
        i = j
    return n


cdef inline void triplet_cost(real x, real margin, real *cost, real *slope,
                              Edge edge) noexcept nogil:
    """Cost of x = d_ap - d_an, and its derivative."""
    cdef real zero = 0
    cdef real one = 1
    cdef real excess, e
    if Edge is SoftplusTag:
        e = exp_negative(-magnitude(x))
        cost[0] = (zero if x <= zero else x) + log1p_unit(e)
        slope[0] = (one if x > zero else e) / (one + e)
    else:
        excess = x + margin
        cost[0] = zero if excess <= zero else excess
        slope[0] = one if excess > zero else zero


cdef inline void one_triplet(const TripletJob *job, real x, real *cost,
                             real *slope) noexcept nogil:
    if job.soft:
        triplet_cost[real, SoftplusTag](x, 0, cost, slope, SOFTPLUS_TAG)
    else:
        triplet_cost[real, HingeTag](x, <real>job.margin, cost, slope, HINGE_TAG)


cdef inline double add_all(Py_ssize_t n, real margin, real positive, const real *negatives,
                           real *weights, double *count, double *total, real *closest,
                           Edge edge) noexcept nogil:
    """Costs of all negatives with one positive; returns the derivative by the latter's distance.

    `closest` becomes the distance of the hinge's argument from 0.
    """
    cdef real costs[LANES]
    cdef real counts[LANES]
    cdef real slopes[LANES]
    cdef real zero = 0
    cdef real one = 1
    cdef real inf = INFINITY
    cdef real cost, slope, x
    cdef double slope_sum = 0
    cdef Py_ssize_t i, k, j
    cdef real nearest[LANES]
    for k in range(LANES):
        costs[k] = counts[k] = slopes[k] = 0
        nearest[k] = inf
    for i in range(n // LANES):
        for k in range(LANES):
            x = positive - negatives[i * LANES + k]
            triplet_cost[real, Edge](x, margin, &cost, &slope, edge)
            costs[k] += cost
            slopes[k] += slope
            if Edge is HingeTag:
                x = magnitude(x + margin)
                nearest[k] = x if x < nearest[k] else nearest[k]
            else:       # is 0 by rounding only
                counts[k] += one if negatives[i * LANES + k] < inf else zero
            weights[i * LANES + k] -= slope
    for j in range(n // LANES * LANES, n):
        x = positive - negatives[j]
        triplet_cost[real, Edge](x, margin, &cost, &slope, edge)
        costs[0] += cost
        slopes[0] += slope
        if Edge is HingeTag:
            x = magnitude(x + margin)
            nearest[0] = x if x < nearest[0] else nearest[0]
        else:
            counts[0] += one if negatives[j] < inf else zero
        weights[j] -= slope
    closest[0] = inf
    for k in range(LANES):
        total[0] += costs[k]
        slope_sum += slopes[k]
        count[0] += slopes[k] if Edge is HingeTag else counts[k]
        closest[0] = nearest[k] if nearest[k] < closest[0] else closest[0]
    return slope_sum


cdef inline double by_square(const TripletJob *job, double distance) noexcept nogil:
    """The derivative of a distance by its square."""
    if not job.euclidean:
        return job.factor
    return 0.5 / distance if distance > 0 else 0


cdef inline real distance_of(const TripletJob *job, real square) noexcept nogil:
    return sqrt_(square) if job.euclidean else square * <real>job.factor


cdef inline void append_entry(const TripletJob *job, Entries *entries, Py_ssize_t i, Py_ssize_t j,
                              double weight) noexcept nogil:
    """Add a pair to a list, unless there is no memory."""
    cdef Entry *longer
    if weight == 0:
        return
    if entries.count == entries.room:
        longer = <Entry *>realloc(entries.at, 2 * (entries.room + MAX_PANEL_ROWS) * sizeof(Entry))
        if longer == NULL:
            job.failed[0] = True
            return
        entries.at = longer
        entries.room = 2 * (entries.room + MAX_PANEL_ROWS)
    entries.at[entries.count] = Entry(i, j, weight)
    entries.count += 1


cdef Twice exact_triplet_square(const TripletJob *job, Py_ssize_t i, Py_ssize_t j,
                                real tag) noexcept nogil:
    """Return the square of the distance of a pair in twice the precision.

    Not inline: it is long and seldom needed.
    """
    return exact_square[real](&job.a, i, &job.b, j, job.dim, job.cosine, 0)


cdef inline void make_row(const TripletJob *job, Py_ssize_t i, real *v) noexcept nogil:
    """Turn the products of one anchor with all rows into squares of distances."""
    cdef Py_ssize_t j, k, width = job.width
    cdef real closeness = <real>0.01
    cdef const real *others = <const real *>job.b.base
    cdef real base = (<const real *>job.a.base)[i]
    cdef real two = 2
    cdef double square
    cdef int any_near = 0
    for j in range(job.b.n):
        v[j] = (base + others[j]) - two * v[j]
        any_near |= v[j] < closeness * (base + others[j])
    for j in range(job.b.n if any_near else 0):
        if v[j] < closeness * (base + others[j]):
            square = 0
            if not (job.symmetric and i == j):
                square = difference_square[real](&job.a, i, &job.b, j, job.dim, width, 0)
            if may_be_one_direction[real](&job.a, square, 0):
                square = exact_triplet_square[real](job, i, j, 0).high
            v[j] = <real>square


# ---- what roundings would decide -----------------------------------------------------------

# The distances of an anchor in twice the precision, as far as they are known.
cdef struct Fine:
    Twice *square
    char *known


cdef inline Twice fine_square(const TripletJob *job, Py_ssize_t i, Py_ssize_t j, const Fine *fine,
                              real tag) noexcept nogil:
    """Return the square of a distance in twice the precision; compute it at the first call."""
    if not fine.known[j]:
        fine.square[j] = exact_triplet_square[real](job, i, j, 0)
        fine.known[j] = True
    return fine.square[j]


cdef inline double slack_at(const TripletJob *job, Py_ssize_t i, double v, real tag) noexcept nogil:
    """How far two squares of distances of an anchor may lie apart and be in either order.

    0 where squares overflow.
    """
    cdef double slack = 2 * slack_of(job.tolerance, unit_of[real](0),
                                     (<const real *>job.a.base)[i], job.largest, v)
    return slack if slack < INFINITY else 0


cdef inline double distance_slack(const TripletJob *job, Py_ssize_t i, double distance,
                                  real tag) noexcept nogil:
    """Return a bound for the error of a distance."""
    cdef double slack
    if not job.euclidean:
        return job.factor * slack_at[real](job, i, distance / job.factor, 0)
    slack = slack_at[real](job, i, distance * distance, 0)
    return slack / distance if slack < distance * distance else sqrt(slack)


cdef inline double excess_slack(const TripletJob *job, Py_ssize_t i, double positive,
                                real tag) noexcept nogil:
    """How far d_ap - d_an + margin may be off where it is about 0."""
    if job.tolerance == 0 or job.soft:
        return -1
    return (distance_slack[real](job, i, positive, 0)
            + distance_slack[real](job, i, max(positive + job.margin, 0.0), 0)
            + 4 * unit_of[real](0) * (positive + fabs(job.margin)))


cdef double fine_excess(const TripletJob *job, Py_ssize_t i, Py_ssize_t p, Py_ssize_t j,
                        const Fine *fine, real tag) noexcept nogil:
    """Return d_ap - d_an + margin in twice the precision."""
    cdef double factor = 0 if job.euclidean else job.factor
    return excess_by(distance_by(fine_square[real](job, i, p, fine, 0), factor),
                     distance_by(fine_square[real](job, i, j, fine, 0), factor), job.margin)


cdef Py_ssize_t find_extreme(const TripletJob *job, Py_ssize_t i, const real *v, bint same,
                             double low, double high, int sign, Py_ssize_t above,
                             const Fine *fine) noexcept nogil:
    """The first of the farthest, or closest for a negative sign, of those between two squares.

    Of the class of the anchor, or not; farther than another row, if `above` is one. -1 if none is.
    """
    cdef Py_ssize_t n = job.b.n
    cdef Py_ssize_t found = -1
    cdef Py_ssize_t j, first = next_within[real](job.pitch, v, 0, <real>low, <real>high)
    cdef Twice square
    cdef bint scaled = job.a.norm != NULL
    while first < n:
        # ties come together: the next ones are looked at one by one
        for j in range(first, min(first + 4 * LANES, n)):
            if not ((v[j] >= <real>low) & (v[j] <= <real>high)):
                continue
            if (job.b.label[j] == job.a.label[i]) != same or (job.symmetric and j == i):
                continue
            square = fine_square[real](job, i, j, fine, 0)
            if above < 0 or order(square, fine.square[above], scaled) > 0:
                if found < 0 or sign * order(square, fine.square[found], scaled) > 0:
                    found = j
        first = next_within[real](job.pitch, v, first + 4 * LANES, <real>low, <real>high)
    return found


cdef inline bint is_close_call(const TripletJob *job, Py_ssize_t i, real tag) noexcept nogil:
    """Whether the hardest of an anchor are not certain."""
    cdef double near = job.a.sums[1][i]
    cdef double far = -job.a.sums[0][i]
    if job.tolerance == 0:
        return False
    return (job.a.sums[5][i] >= near - slack_at[real](job, i, near, 0)
            or -job.a.sums[4][i] <= far + slack_at[real](job, i, far, 0))


cdef enum:
    SETTLED = 32

# A negative: its index, or where it is searched for.
cdef struct Choice:
    Py_ssize_t index         # -1 if it is not known yet
    int sign                 # as of `find_extreme`
    double low
    double high
    int settled              # positives of as many squares among whose ties a choice was made
    Py_ssize_t positive[SETTLED]
    Py_ssize_t negative[SETTLED]


cdef real among_ties(const TripletJob *job, Py_ssize_t i, Py_ssize_t p, const real *d,
                     const real *negatives, double least, double most, const Fine *fine,
                     Choice *choice) noexcept nogil:
    """Choose a negative where some are about as far as the positive, between two squares.

    Without a choice the least square above is returned, inf if there is none.
    """
    cdef bint scaled = job.a.norm != NULL
    cdef Twice square = fine_square[real](job, i, p, fine, 0)
    cdef real above
    cdef int k
    for k in range(choice.settled):
        if order(square, fine.square[choice.positive[k]], scaled) == 0:
            choice.index = choice.negative[k]
            return INFINITY
    # mostly it is a single one, and none is near it
    choice.index = only_within[real](job.pitch, negatives, <real>least,
                                     <real>(most + slack_at[real](job, i, most, 0)))
    if choice.index >= 0 and order(fine_square[real](job, i, choice.index, fine, 0), square,
                                   scaled) > 0:
        return INFINITY
    above = least_above[real](job.pitch, negatives, <real>most)
    if choice.index >= 0:
        choice.index = -1
        return above
    if above < INFINITY:
        above += <real>slack_at[real](job, i, above, 0)
    choice.index = find_extreme[real](job, i, negatives, False, least, above, -1, p, fine)
    if choice.settled < SETTLED:
        choice.positive[choice.settled] = p
        choice.negative[choice.settled] = choice.index
        choice.settled += 1
    return INFINITY


cdef inline real semi_hard(const TripletJob *job, Py_ssize_t i, Py_ssize_t p, const real *d,
                           const real *negatives, const Fine *fine,
                           Choice *choice) noexcept nogil:
    """The square of the distance to the negative of an anchor and a positive."""
    cdef double most, slack = slack_at[real](job, i, d[p], 0)
    cdef real found = least_above[real](job.pitch, negatives, <real>(d[p] - slack))
    choice.index = -1
    if found <= d[p] + slack and job.tolerance > 0:
        # one may be farther, or not
        most = d[p] + slack
        found = among_ties[real](job, i, p, d, negatives, most - 2 * slack, most, fine, choice)
        if choice.index >= 0:
            return <real>fine.square[choice.index].high
    if found < INFINITY:
        choice.sign = -1
        choice.low = found
        choice.high = found + slack_at[real](job, i, found, 0)
        return found
    found = largest_of[real](job.pitch, negatives)
    choice.sign = 1
    choice.low = found - slack_at[real](job, i, found, 0)
    choice.high = found
    return found


cdef inline Py_ssize_t index_of(const TripletJob *job, Py_ssize_t i, const real *negatives,
                                const Fine *fine, const Choice *choice) noexcept nogil:
    cdef Py_ssize_t found = choice.index
    cdef real low = <real>choice.low
    cdef real high = <real>choice.high
    if found < 0:
        found = only_within[real](job.pitch, negatives, low, high)
    if found < 0 and job.tolerance > 0:
        found = find_extreme[real](job, i, negatives, False, low, high, choice.sign, -1, fine)
    return found if found >= 0 else next_within[real](job.pitch, negatives, 0, low, high)


cdef inline bint may_be_0(const TripletJob *job, Py_ssize_t i, double excess, double positive,
                          real tag) noexcept nogil:
    """Whether roundings decide that a triplet costs; a cheap bound is tried first."""
    cdef double size = positive + fabs(job.margin)
    cdef double base = (<const real *>job.a.base)[i]
    if job.tolerance == 0 or job.soft or excess * excess > 0.01 * (
            size * size + job.tolerance * base * (1 if job.euclidean else base)):
        return False
    return fabs(excess) <= excess_slack[real](job, i, positive, 0)


cdef void mine_anchor(const TripletJob *job, Py_ssize_t i, real *d, real *negatives, real *weights,
                      const Fine *fine, Entries *entries) noexcept nogil:
    """Add up the terms of one anchor from its row of squares of distances.

    Where all triplets count, weights take the place of these.
    """
    cdef Py_ssize_t n = job.b.n
    cdef Py_ssize_t j, k, p, count = 0
    cdef const int *label = job.b.label
    cdef int own = job.a.label[i]
    cdef real none = -INFINITY if job.mining == SEMI_HARD else INFINITY
    cdef real factor = <real>job.factor
    cdef real cost, slope, found, base, square, positive, negative, slack, nearest
    cdef const real *others = <const real *>job.b.base
    cdef double weight = (<const real *>job.a.weight)[i]
    cdef double total = 0, terms = 0, nonzero = 0, slope_sum, excess
    cdef Choice choice
    cdef Py_ssize_t first = job.starts[own]
    cdef Py_ssize_t last = job.starts[own + 1]
    cdef Py_ssize_t n_negatives = n - (last - first)
    if n_negatives == 0 or last - first - job.symmetric <= 0:
        if job.mining == ALL:
            memset(d, 0, job.pitch * sizeof(real))
        return
    if job.tolerance > 0:
        memset(fine.known, 0, n)
    if job.mining == HARDEST:
        p = <Py_ssize_t>job.a.sums[3][i]
        j = <Py_ssize_t>job.a.sums[2][i]
        positive = <real>job.a.sums[1][i]
        negative = <real>-job.a.sums[0][i]
        if is_close_call[real](job, i, 0):
            p = find_extreme[real](job, i, d, True, positive - slack_at[real](job, i, positive, 0),
                                   INFINITY, 1, -1, fine)
            j = find_extreme[real](job, i, d, False, 0,
                                   negative + slack_at[real](job, i, negative, 0), -1, -1, fine)
            positive = <real>fine.square[p].high
            negative = <real>fine.square[j].high
        positive = distance_of(job, positive)
        negative = distance_of(job, negative)
        one_triplet[real](job, positive - negative, &cost, &slope)
        if may_be_0[real](job, i, (positive - negative) + job.margin, positive, 0):
            excess = fine_excess[real](job, i, p, j, fine, 0)
            cost = <real>max(excess, 0.0)
            slope = excess > 0
        if job.gradient:
            append_entry(job, entries, i, p, weight * slope * by_square(job, positive))
            append_entry(job, entries, i, j, -weight * slope * by_square(job, negative))
        job.cost[i] = weight * cost
        job.terms[i] = weight
        # a softplus is 0 by rounding only
        job.nonzero[i] = weight if job.soft or slope > 0 else 0
        return
    if job.mining == ALL:
        if job.euclidean:
            for j in range(n):
                d[j] = sqrt_(d[j])
        elif job.factor != 1:
            for j in range(n):
                d[j] *= factor
    for j in range(n):
        negatives[j] = none if label[j] == own else d[j]
    for j in range(n, job.pitch):
        negatives[j] = none
    if job.mining == SEMI_HARD:         # by squares: in the order of distances
        choice.settled = 0
        for k in range(first, last):
            p = job.members[k]
            if job.symmetric and p == i:
                continue
            square = semi_hard[real](job, i, p, d, negatives, fine, &choice)
            positive = distance_of(job, <real>fine.square[p].high if choice.index >= 0 else d[p])
            negative = distance_of(job, square)
            one_triplet[real](job, positive - negative, &cost, &slope)
            if may_be_0[real](job, i, (positive - negative) + job.margin, positive, 0):
                choice.index = index_of[real](job, i, negatives, fine, &choice)
                excess = fine_excess[real](job, i, p, choice.index, fine, 0)
                cost = <real>max(excess, 0.0)
                slope = excess > 0
            total += cost
            terms += 1
            nonzero += 1 if job.soft or slope > 0 else 0
            if job.gradient and slope != 0:
                j = index_of[real](job, i, negatives, fine, &choice)
                append_entry(job, entries, i, p, weight * slope * by_square(job, positive))
                append_entry(job, entries, i, j, -weight * slope * by_square(job, negative))
    else:
        memset(weights, 0, n * sizeof(real))
        for k in range(first, last):
            p = job.members[k]
            if job.symmetric and p == i:
                continue
            if job.soft:
                slope_sum = add_all[real, SoftplusTag](n, 0, d[p], negatives, weights, &nonzero,
                                                       &total, &nearest, SOFTPLUS_TAG)
            else:
                slope_sum = add_all[real, HingeTag](n, <real>job.margin, d[p], negatives, weights,
                                                    &nonzero, &total, &nearest, HINGE_TAG)
            # those so close to costing, or not, that roundings decide it
            j = n
            if may_be_0[real](job, i, nearest, d[p], 0):
                slack = <real>excess_slack[real](job, i, d[p], 0)
                found = d[p] + <real>job.margin
                j = next_within[real](job.pitch, negatives, 0, found - slack, found + slack)
            while j < n:
                one_triplet[real](job, d[p] - negatives[j], &cost, &slope)
                if negatives[j] < INFINITY:
                    excess = fine_excess[real](job, i, p, j, fine, 0)
                    if (excess > 0) != (slope > 0):
                        total += max(excess, 0.0) - cost
                        slope = (excess > 0) - slope
                        nonzero += slope
                        slope_sum += slope
                        weights[j] -= slope
                j = next_within[real](job.pitch, negatives, j + 1, found - slack, found + slack)
            if job.gradient:
                append_entry(job, entries, i, p, weight * slope_sum * by_square(job, d[p]))
        terms = nonzero
        if job.gradient:
            for j in range(n):
                weights[j] = <real>(weight * weights[j] * by_square(job, d[j]))
            base = (<const real *>job.a.base)[i]
            for j in range(n):
                # near for their size: from differences
                square = d[j] * d[j] if job.euclidean else d[j] / factor
                if weights[j] != 0 and square < 0.01 * (base + others[j]):
                    append_entry(job, entries, i, j, weights[j])
                    weights[j] = 0
            memcpy(d, weights, n * sizeof(real))
    job.cost[i] = weight * total
    job.terms[i] = weight * terms
    job.nonzero[i] = weight * nonzero


cdef void mine_block(const TripletJob *job, Py_ssize_t start, Py_ssize_t first, char *scratch,
                     real tag) noexcept nogil:
    """Mine up to MAX_PANEL_ROWS anchors from `first` on; the weights kept begin at `start`."""
    cdef Py_ssize_t size = panel_size[real](0)
    cdef Py_ssize_t width = job.width
    cdef Py_ssize_t count = min(<Py_ssize_t>MAX_PANEL_ROWS, job.a.n - first)
    cdef Py_ssize_t panel, i, j
    cdef real *turned = <real *>scratch
    cdef real *negatives = turned + size * job.dim
    cdef real *weights = negatives + job.pitch
    cdef real *rows = weights
    cdef const real *x = <const real *>job.a.x + first * width
    cdef real *g
    cdef Entries *entries = job.lists + (first - start) // MAX_PANEL_ROWS
    cdef Fine fine
    cdef bint needed = job.mining != HARDEST
    entries.count = 0
    fine.square = <Twice *>(weights + (1 if job.mining == ALL else MAX_PANEL_ROWS) * job.pitch)
    fine.known = <char *>(fine.square + job.pitch)
    for i in range(0 if needed else count):
        needed = needed or is_close_call[real](job, first + i, 0)
    if job.mining == ALL:
        rows = <real *>job.weights + (first - start) * job.pitch
    for panel in range(job.pitch // size if needed else 0):
        if real is float:
            fl_turnf(job.dim, <const float *>job.b.x + panel * size * width, width, turned)
            fl_similaritiesf(count, job.dim, x, width, turned, rows + panel * size, job.pitch)
        else:
            fl_turn(job.dim, <const double *>job.b.x + panel * size * width, width, turned)
            fl_similarities(count, job.dim, x, width, turned, rows + panel * size, job.pitch)
    for i in range(count):
        if needed:
            make_row[real](job, first + i, rows + i * job.pitch)
        mine_anchor[real](job, first + i, rows + i * job.pitch, negatives, weights, &fine, entries)
    if job.mining != ALL or not job.gradient:
        return
    memset(rows + count * job.pitch, 0, (MAX_PANEL_ROWS - count) * job.pitch * sizeof(real))
    g = <real *>job.a.g + first * width
    if real is float:
        fl_add_rowsf(MAX_PANEL_ROWS, job.b.n, width, <const float *>job.b.x, width, rows, job.pitch,
                     1, g)
    else:
        fl_add_rows(MAX_PANEL_ROWS, job.b.n, width, <const double *>job.b.x, width, rows, job.pitch,
                    1, g)
    for i in range(count):
        for j in range(job.b.n):
            job.a.rest[first + i] += rows[i * job.pitch + j]


cdef void add_other_side_gradient(const TripletJob *job, Py_ssize_t start, Py_ssize_t anchors,
                                  Py_ssize_t first, real tag) noexcept nogil:
    """Add the kept weights times the anchors to the gradient of up to BLOCK_ROWS other rows."""
    cdef Py_ssize_t width = job.width
    cdef Py_ssize_t count = min(<Py_ssize_t>BLOCK_ROWS, job.pitch - first)
    cdef Py_ssize_t i, j
    cdef const real *weights = <const real *>job.weights + first
    cdef real *g = <real *>job.b.g + first * width
    if real is float:
        fl_add_rowsf(count, anchors, width, <const float *>job.a.x + start * width, width, weights,
                     1, job.pitch, g)
    else:
        fl_add_rows(count, anchors, width, <const double *>job.a.x + start * width, width, weights,
                    1, job.pitch, g)
    for i in range(anchors):
        for j in range(min(count, job.b.n - first)):
            job.b.rest[first + j] += weights[i * job.pitch + j]


cdef void add_listed_gradients(const TripletJob *job, const Entries *entries,
                               real tag) noexcept nogil:
    """Add a list of weighted pairs to the gradients of both sides, with the opposite sign."""
    cdef Py_ssize_t k, c, width = job.width
    cdef const real *x
    cdef const real *z
    cdef real *g
    cdef real *h
    cdef const Entry *entry
    cdef real weight
    for k in range(entries.count):
        entry = &entries.at[k]
        weight = <real>entry.weight
        x = <const real *>job.a.x + entry.i * width
        z = <const real *>job.b.x + entry.j * width
        g = <real *>job.a.g + entry.i * width
        for c in range(job.dim):
            g[c] -= weight * (x[c] - z[c])
        if job.others:
            h = <real *>job.b.g + entry.j * width
            for c in range(job.dim):
                h[c] += weight * (x[c] - z[c])


cdef void mine_task(const TripletJob *job, Py_ssize_t start, Py_ssize_t block,
                    int thread) noexcept nogil:
    cdef char *scratch = job.scratch + thread * job.scratch_size
    cdef Mode before = enter_default_mode()
    if job.single:
        mine_block[float](job, start, start + block * MAX_PANEL_ROWS, scratch, 0)
    else:
        mine_block[double](job, start, start + block * MAX_PANEL_ROWS, scratch, 0)
    leave_default_mode(before)


cdef void add_other_side_task(const TripletJob *job, Py_ssize_t start, Py_ssize_t anchors,
                              Py_ssize_t block) noexcept nogil:
    cdef Mode before = enter_default_mode()
    if job.single:
        add_other_side_gradient[float](job, start, anchors, block * BLOCK_ROWS, 0)
    else:
        add_other_side_gradient[double](job, start, anchors, block * BLOCK_ROWS, 0)
    leave_default_mode(before)


cdef void run_triplets(const TripletJob *job) noexcept nogil:
    cdef Py_ssize_t start, anchors, block, blocks, batch
    cdef Mode before
    for batch in range((job.a.n + job.together - 1) // job.together):
        start = batch * job.together
        anchors = min(job.together, job.a.n - start)
        blocks = (anchors + MAX_PANEL_ROWS - 1) // MAX_PANEL_ROWS
        for block in prange(blocks, schedule="dynamic", num_threads=job.n_threads):
            mine_task(job, start, block, threadid())
        if not job.gradient:
            continue
        if job.mining == ALL and job.others:
            for block in prange((job.pitch + BLOCK_ROWS - 1) // BLOCK_ROWS, schedule="dynamic",
                                num_threads=job.n_threads):
                add_other_side_task(job, start, anchors, block)
        before = enter_default_mode()
        for block in range(blocks):
            if job.single:
                add_listed_gradients[float](job, &job.lists[block], 0)
            else:
                add_listed_gradients[double](job, &job.lists[block], 0)
        leave_default_mode(before)


RUN_TRIPLETS = PyCapsule_New(<void *>run_triplets, "fastloss.run_triplets", NULL)
