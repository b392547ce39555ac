"""Losses of rows that belong together: distance, loss and gradients in one pass over memory.

Part of `_kernels.pyx`.

A. Rows are worked on a block at a time: distances of its pairs, the loss of them, which is a loss
   of elements as any other and vectorises over pairs, and the gradients, for which the rows are
   read again, from the cache.
B. Distances come from differences of components, which are exact where rows are near. What is too
   small or too large to be squared is computed again, in double or scaled.
C. 1 - cos and its gradient are differences of unit rows and their products. Where they lose more
   than two bits, those of float rows are computed in double; where rows are so nearly parallel
   that this loses digits too, 1 - cos is half the square of the difference of the unit rows.
D. What is stored for a pair, its sum over components, is added in LANES by index, so the bits are
   the same for every width of vectors, layout and number of threads.
"""
from cpython.pycapsule cimport PyCapsule_New
from cython.parallel cimport prange, threadid
from libc.math cimport INFINITY, fabs, frexp, ldexp, sqrt
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from fastloss._core.formulas.math cimport real, sqrt_
from fastloss._core.fpmode cimport Mode, enter_default_mode, leave_default_mode
from fastloss._core.jobs cimport BLOCK_ELEMENTS, MAX_TASKS, VALUE, Job, Operand, Sums
from fastloss._core.loops.layout cimport fetch, flush, target
from fastloss._core.loops.paired_distances cimport (Angle, measure_angle, square_distance,
                                                    write_cosine_gradient,
                                                    write_cosine_triplet_gradient,
                                                    write_distance_gradient,
                                                    write_distance_triplet_gradient)
from fastloss._core.loops.sums cimport accumulate, add_sums, multiply, round_sums
from fastloss._core.paired_job cimport (COSINE, EUCLIDEAN, MAX_ROWS_TOGETHER, MEASURED_ROWS,
                                        TASK_COMPONENTS, PairJob)

# ---- blocks, tasks, threads ----------------------------------------------------------------


cdef inline const real *rows_in(const PairJob *job, const Operand *x, Py_ssize_t start,
                                Py_ssize_t n, real *block) noexcept nogil:
    cdef Py_ssize_t piece, at
    cdef Py_ssize_t size = n * job.dim
    if x.direct:
        return <const real *>(x.data + start * job.dim * x.itemsize)
    for piece in range((size + BLOCK_ELEMENTS - 1) // BLOCK_ELEMENTS):
        at = piece * BLOCK_ELEMENTS
        fetch[real](&job.matrix, x, start * job.dim + at,
                    min(size - at, <Py_ssize_t>BLOCK_ELEMENTS), block + at)
    return block


cdef inline void rows_out(const PairJob *job, const Operand *g, Py_ssize_t start, Py_ssize_t n,
                          const real *block) noexcept nogil:
    cdef Py_ssize_t piece, at
    cdef Py_ssize_t size = n * job.dim
    if g.direct:
        return
    for piece in range((size + BLOCK_ELEMENTS - 1) // BLOCK_ELEMENTS):
        at = piece * BLOCK_ELEMENTS
        flush[real](&job.matrix, g, start * job.dim + at,
                    min(size - at, <Py_ssize_t>BLOCK_ELEMENTS), block + at)


cdef double careful_distance(Py_ssize_t dim, const real *a, const real *b,
                             int lift) noexcept nogil:
    """Return the distance times 2^lift for rows whose square of a distance leaves the range."""
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


cdef inline void measure(const PairJob *job, Py_ssize_t n, const real *a, const real *b,
                         real *distance, Angle *angle) noexcept nogil:
    """Write the distances of n pairs, and for the cosine also their angles."""
    cdef Py_ssize_t i
    cdef Py_ssize_t dim = job.dim
    cdef double square
    # what a real's squares have to be far from
    cdef double least = 1e-30 if real is float else 1e-280
    cdef double most = 1e37 if real is float else 1e300
    if job.distance == COSINE:
        for i in range(n):
            measure_angle[real](dim, a + i * dim, b + i * dim, &angle[i])
            distance[i] = <real>angle[i].distance
        return
    for i in range(n):
        distance[i] = <real>square_distance[real](dim, a + i * dim, b + i * dim)
    if job.distance == EUCLIDEAN:
        for i in range(n):
            square = distance[i]
            distance[i] = sqrt_(distance[i])
            if square < least or square > most:
                distance[i] = <real>careful_distance[real](dim, a + i * dim, b + i * dim, 0)


cdef inline real slope_of(const PairJob *job, real g, real distance, const real *a, const real *b,
                          real *lift) noexcept nogil:
    """Return the factor that turns lift * (a - b) into the gradient by a; choose the lift."""
    cdef real zero = 0
    cdef real small = <real>(1e-30 if real is float else 1e-290)
    cdef int power = 100 if real is float else 900
    lift[0] = 1
    if job.distance != EUCLIDEAN:
        return g + g
    if distance == zero:
        return g * zero
    if distance < small:      # it may have few digits, and its reciprocal be beyond all numbers
        lift[0] = <real>ldexp(1, power)
        return g / <real>careful_distance[real](job.dim, a, b, power)
    return g / distance


cdef inline void dispatch_cosine_gradient(Py_ssize_t dim, double slope, const Angle *angle,
                                          const real *a, const real *b, real *g,
                                          real *h) noexcept nogil:
    if real is float:
        if not angle.wide:
            write_cosine_gradient[float, float](dim, slope, angle, a, b, g, h, 0)
            return
    write_cosine_gradient[real, double](dim, slope, angle, a, b, g, h, 0)


cdef inline void dispatch_cosine_triplet_gradient(Py_ssize_t dim, double slope, const Angle *near,
                                                  const Angle *far, const real *a, const real *p,
                                                  const real *n, real *g, real *h,
                                                  real *o) noexcept nogil:
    if real is float:
        if not (near.wide or far.wide):
            write_cosine_triplet_gradient[float, float](dim, slope, near, far, a, p, n, g, h, o, 0)
            return
    write_cosine_triplet_gradient[real, double](dim, slope, near, far, a, p, n, g, h, o, 0)


# What a thread needs of each pair of a block. Doubles stand for numbers of either type.
cdef struct PairStage:
    double columns[7][MAX_ROWS_TOGETHER]
    Angle angle[2][MAX_ROWS_TOGETHER]


cdef void run_pairs_together(const PairJob *job, Py_ssize_t start, Py_ssize_t n, real tag,
                             char *scratch, PairStage *stage, Sums *sums) noexcept nogil:
    cdef real *y_block = <real *>stage.columns[0]
    cdef real *w_block = <real *>stage.columns[1]
    cdef real *f_block = <real *>stage.columns[2]
    cdef real *g_block = <real *>stage.columns[3]
    cdef real *argument = <real *>stage.columns[4]
    cdef real *distance[2]
    cdef Angle *angle[2]
    cdef real slope[2]
    cdef real lift[2]
    cdef const real *x[3]
    cdef real *g[3]
    cdef const Job *at = &job.vectors
    cdef Py_ssize_t dim = job.dim
    cdef Py_ssize_t size = job.together * dim
    cdef Py_ssize_t i, k, piece, here
    cdef bint has_g = at.outputs != VALUE
    cdef bint weighted = at.w.data != NULL
    cdef real sign = <real>job.sign
    cdef real zero = 0
    cdef const real *y = y_block
    cdef const real *w = NULL
    cdef real *f = target[real](&at.f, start, f_block)
    for k in range(2):
        distance[k] = <real *>stage.columns[5 + k]
        angle[k] = stage.angle[k]
    for k in range(job.count):
        x[k] = rows_in[real](job, &job.x[k], start, n, <real *>scratch + k * size)
    # a few rows at a time: all sides come from memory side by side
    for piece in range((n + MEASURED_ROWS - 1) // MEASURED_ROWS):
        i = piece * MEASURED_ROWS
        for k in range(1, job.count):
            measure[real](job, min(n - i, <Py_ssize_t>MEASURED_ROWS), x[0] + i * dim,
                          x[k] + i * dim, distance[k - 1] + i, angle[k - 1] + i)
    for k in range(job.count if has_g else 0):
        g[k] = <real *>scratch + (job.count + k) * size
        if job.g[k].direct:
            g[k] = <real *>(job.g[k].data + start * dim * job.g[k].itemsize)
    if weighted:
        w = fetch[real](at, &at.w, start, n, w_block)
        if at.want_sum:
            accumulate[real](n, w, &sums.weight)
    if at.y.data != NULL:
        y = fetch[real](at, &at.y, start, n, y_block)
    else:
        for i in range(n):
            y_block[i] = 0
    if job.count == 2:
        memcpy(argument, distance[0], n * sizeof(real))
    else:
        for i in range(n):
            argument[i] = sign * (distance[0][i] - distance[1][i])
    if real is float:
        at.loss.map32[at.outputs](at.loss.parameters, 1, n, y, argument, f, g_block, NULL, 0)
    else:
        at.loss.map64[at.outputs](at.loss.parameters, 1, n, y, argument, f, g_block, NULL, 0)
    if weighted:
        multiply[real](n, w, 1, f)
    if at.want_sum:
        accumulate[real](n, f, &sums.loss)
    if at.f.data != NULL and not at.f.direct:
        flush[real](at, &at.f, start, n, f)
    if not has_g:
        return
    if weighted:
        multiply[real](n, w, at.scale, g_block)
    else:
        for i in range(n):
            g_block[i] *= <real>at.scale
    for i in range(n):
        here = i * dim
        if g_block[i] == zero:
            for k in range(job.count):
                memset(g[k] + here, 0, dim * sizeof(real))
        elif job.count == 2 and job.distance == COSINE:
            dispatch_cosine_gradient[real](dim, g_block[i], &angle[0][i], x[0] + here, x[1] + here,
                                           g[0] + here, g[1] + here)
        elif job.count == 2:
            slope[0] = slope_of[real](job, g_block[i], distance[0][i], x[0] + here, x[1] + here,
                                      lift)
            write_distance_gradient[real](dim, slope[0], lift[0], x[0] + here, x[1] + here,
                                          g[0] + here, g[1] + here)
        elif job.distance == COSINE:
            dispatch_cosine_triplet_gradient[real](dim, sign * g_block[i], &angle[0][i],
                                                   &angle[1][i], x[0] + here, x[1] + here,
                                                   x[2] + here, g[0] + here, g[1] + here,
                                                   g[2] + here)
        else:
            for k in range(2):
                slope[k] = slope_of[real](job, sign * g_block[i], distance[k][i], x[0] + here,
                                          x[k + 1] + here, &lift[k])
            write_distance_triplet_gradient[real](dim, slope, lift, x[0] + here, x[1] + here,
                                                  x[2] + here, g[0] + here, g[1] + here,
                                                  g[2] + here)
    for k in range(job.count):
        rows_out[real](job, &job.g[k], start, n, g[k])


cdef void run_pairs_task(const PairJob *job, Py_ssize_t task, Py_ssize_t length, int thread,
                         PairStage *stages, Sums *sums) noexcept nogil:
    cdef Py_ssize_t start = task * length
    cdef Py_ssize_t stop = min(job.vectors.size, start + length)
    cdef char *scratch = job.scratch + thread * job.scratch_size
    cdef Py_ssize_t block, at
    cdef Mode before = enter_default_mode()
    memset(sums, 0, sizeof(Sums))
    for block in range((stop - start + job.together - 1) // job.together):
        at = start + block * job.together
        if job.vectors.single:
            run_pairs_together[float](job, at, min(stop - at, job.together), 0, scratch,
                                      stages + thread, sums)
        else:
            run_pairs_together[double](job, at, min(stop - at, job.together), 0, scratch,
                                       stages + thread, sums)
    leave_default_mode(before)


cdef int run_pairs(const PairJob *job, Sums *all) noexcept nogil:
    cdef Sums *sums
    cdef PairStage *stages
    cdef Py_ssize_t size = job.vectors.size
    cdef Py_ssize_t blocks = (size + job.together - 1) // job.together
    cdef Py_ssize_t length = max(TASK_COMPONENTS // max(job.together * job.dim, <Py_ssize_t>1),
                                 (blocks + MAX_TASKS - 1) // MAX_TASKS, <Py_ssize_t>1)
    cdef Py_ssize_t tasks, task
    cdef int n_threads
    cdef Mode before
    length *= job.together
    tasks = (size + length - 1) // length
    n_threads = <int>min(tasks, <Py_ssize_t>job.vectors.n_threads)
    memset(all, 0, sizeof(Sums))
    if tasks == 0:
        return 0
    stages = <PairStage *>malloc(n_threads * sizeof(PairStage) + tasks * sizeof(Sums))
    if stages == NULL:
        return -1
    sums = <Sums *>(stages + n_threads)
    before = enter_default_mode()
    if n_threads == 1:
        for task in range(tasks):
            run_pairs_task(job, task, length, 0, stages, &sums[task])
    else:
        for task in prange(tasks, schedule="dynamic", num_threads=n_threads):
            run_pairs_task(job, task, length, threadid(), stages, &sums[task])
    for task in range(tasks):
        add_sums(all, &sums[task])
    round_sums(all)
    leave_default_mode(before)
    free(stages)
    return 0


RUN_PAIRS = PyCapsule_New(<void *>run_pairs, "fastloss.run_pairs", NULL)
