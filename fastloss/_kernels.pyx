# cython: language_level=3
"""The fused parallel loops: plain C without the GIL, compiled once per SIMD level.

A. One loop. `map_block` turns a block of (y, p) into any of element loss, gradient and
   curvature. The compiler makes one copy per loss, float type and set of outputs, each a
   straight loop over contiguous arrays, which vectorises.
B. Blocks. What does not lie contiguous in the computation's type is staged through
   blocks that stay in the L1 cache (`layout.pxd`), so layouts, byte orders, label types and
   weights multiply no loops.
C. Same sums for every thread count. A chunk of CHUNK_ELEMENTS elements, by index, is summed in
   panels of LANES * DEPTH, element i in lane i % LANES; panels are added up in a chunk,
   chunks in tasks whose number depends on the size alone, tasks in order. Threads only
   decide who computes a task. From the panels on every addition keeps its rounding error,
   so a sum in another order agrees to the last bit or so.
D. A sum of logs is the log of a product. A loss that is the log of a factor needs one
   log per FACTORS elements for its sum (`sum_logs`), and falls back to
   element by element where that is not exact, for the rest of a chunk: the labels or
   predictions that make a block so are rarely alone.
E. gcc vectorises sums only when told to reassociate. Explicit lanes need no such
   permission and give the same bits at every vector width.
"""
from cpython.pycapsule cimport PyCapsule_New
from cython.parallel cimport prange, threadid
from libc.float cimport FLT_MAX, FLT_MIN
from libc.math cimport INFINITY, fabs
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from fastloss._core.formulas.math cimport (any_special, fl_special, fl_specialf, is_finite, log_,
                                           magnitude, real)
from fastloss._core.formulas.pointwise cimport Loss, Overflowing, mend_values, sample
from fastloss._core.formulas.probability cimport (FocalLoss, Log, LossOfFactor, has_factor,
                                                  log_factor, log_sign)
from fastloss._core.fpmode cimport (Mode, WideMode, enter_default_mode, enter_wide_mode,
                                    is_default_mode, leave_default_mode, leave_wide_mode)
from fastloss._core.jobs cimport (BLOCK_ELEMENTS, CACHE_LINE_BYTES, CHUNK_ELEMENTS, DEPTH, FACTORS,
                                  GRAD, GRAD_HESS, LANES, MAX_STACK_BYTES, MAX_TASKS, N_OUTPUTS,
                                  VALUE, VALUE_GRAD, Bound, Job, Map32, Map64, Sample32,
                                  Sample64, Sum, Sum32, Sum64, Sums)
from fastloss._core.loops.layout cimport fetch, flush, target, whole_lines
from fastloss._core.loops.sums cimport accumulate, add, add_sums, fold, multiply, round_sums

# Types that stand for the sets of outputs, so that each gets a loop of its own.
cdef enum ValueTag:
    VALUE_TAG
cdef enum GradTag:
    GRAD_TAG
cdef enum ValueGradTag:
    VALUE_GRAD_TAG
cdef enum GradHessTag:
    GRAD_HESS_TAG

ctypedef fused Wanted:
    ValueTag
    GradTag
    ValueGradTag
    GradHessTag


cdef void map_block(const Loss *parameters, real scale, Py_ssize_t n, const real *y,
                    const real *p, real *f, real *g, real *h, Wanted wanted) noexcept nogil:
    cdef Loss c = parameters[0]      # a copy: stores to f, g, h cannot change it
    cdef real fi, gi, hi
    cdef Py_ssize_t i
    cdef uint32_t special32 = 0
    cdef uint64_t special64 = 0
    for i in range(n):
        sample[Loss, real](&c, y[i], p[i], &fi, &gi, &hi)
        if Wanted is ValueTag or Wanted is ValueGradTag:
            f[i] = fi
        if Wanted is not ValueTag:
            g[i] = scale * gi
        if Wanted is GradHessTag:
            h[i] = scale * hi
        if Loss in Overflowing and Wanted is not ValueTag:
            # a sum is infinite or NaN if a term is
            fi = gi + hi if Wanted is GradHessTag else gi
            if real is float:
                special32 |= fl_specialf(fi)
            else:
                special64 |= fl_special(fi)
    if Loss in Overflowing and Wanted is not ValueTag:
        if special32 | special64:
            mend[Loss, real](parameters, scale, n, y, p, NULL, g,
                             h if Wanted is GradHessTag else NULL, 0)


cdef void mend(const Loss *c, real scale, Py_ssize_t n, const real *y, const real *p,
               real *f, real *g, real *h, int wanted) noexcept nogil:
    """Compute results that are infinite or NaN again in a larger range; NULL: not wanted.

    Each on its own, so that it does not depend on what else is wanted, or who the neighbours are.
    """
    cdef long double fi, gi, hi
    cdef Py_ssize_t i
    cdef bint mend_f, mend_g, mend_h
    cdef WideMode before = enter_wide_mode()
    for i in range(n):
        if not (is_finite(y[i]) and is_finite(p[i])):
            continue
        mend_f = f != NULL and not is_finite(f[i])
        mend_g = g != NULL and not is_finite(g[i])
        mend_h = h != NULL and not is_finite(h[i])
        if mend_f or mend_g or mend_h:
            sample[Loss, longdouble](c, y[i], p[i], &fi, &gi, &hi)
            if mend_f:
                f[i] = <real>fi
            if mend_g:
                g[i] = scale * <real>gi
            if mend_h:
                h[i] = scale * <real>hi
    leave_wide_mode(before)


cdef void map_wider(const Loss *parameters, real scale, Py_ssize_t n, const real *y,
                    const real *p, real *f, real *g, real *h, int wanted) noexcept nogil:
    """The map for parameters beyond the range of the type, in the next one; NULL: not wanted."""
    cdef Loss c = parameters[0]
    cdef double f64, g64, h64
    cdef long double fi, gi, hi
    cdef Py_ssize_t i
    cdef WideMode before = enter_wide_mode()
    if Loss is Log and real is float:
        c.eps, c.log_eps, c.log1m_eps = c.eps32, c.log_eps32, c.log1m_eps32
    for i in range(n):
        if real is float:
            sample[Loss, double](&c, y[i], p[i], &f64, &g64, &h64)
            fi, gi, hi = f64, g64, h64
        else:
            sample[Loss, longdouble](&c, y[i], p[i], &fi, &gi, &hi)
        if f != NULL:
            f[i] = <real>fi
        if g != NULL:
            g[i] = scale * <real>gi
        if h != NULL:
            h[i] = scale * <real>hi
    leave_wide_mode(before)
    if real is float:
        mend[Loss, float](&c, scale, n, y, p, f, g, h, 0)


cdef bint fits(const double *parameters, Py_ssize_t n) noexcept nogil:
    """Whether parameters are float32 numbers, but for their last digits."""
    cdef Py_ssize_t i
    cdef double size
    for i in range(n):
        size = fabs(parameters[i])
        if (0 < size < FLT_MIN) or (FLT_MAX < size < INFINITY):
            return False
    return True


cdef void sample_alone(const Loss *c, real y, real p, real *f, real *g, real *h) noexcept nogil:
    sample[Loss, real](c, y, p, f, g, h)
    if Loss in Overflowing:
        mend[Loss, real](c, 1, 1, &y, &p, f, g, h, 0)


cdef void sample_wider(const Loss *c, real y, real p, real *f, real *g, real *h) noexcept nogil:
    map_wider[Loss, real](c, 1, 1, &y, &p, f, g, h, 0)


cdef bint sum_logs(const LossOfFactor *parameters, Py_ssize_t n, const real *y, const real *p,
                   double *total) noexcept nogil:
    """Sum of a block's losses, each a linear part and the log of a factor, by products.

    Not for NaN, which stands for soft labels too. Factors close to 1 carry too few digits of
    what they lack to 1: not for a small mean. Nor for products that come close to underflow.
    """
    cdef LossOfFactor c = parameters[0]
    cdef double product[LANES]
    cdef double result[LANES]
    cdef double least[LANES]
    cdef double linear
    cdef double least_product = 1
    cdef double least_mean = 1e-6 if real is float else 1e-2
    cdef Py_ssize_t i, k, group
    cdef Py_ssize_t rounds = n // LANES
    if not has_factor(&c):
        return False
    for k in range(LANES):
        result[k] = 0
        least[k] = 1
    for group in range((rounds + FACTORS - 1) // FACTORS):
        for k in range(LANES):
            product[k] = 1
        for i in range(group * FACTORS, min((group + 1) * FACTORS, rounds)):
            for k in range(LANES):
                product[k] *= log_factor[LossOfFactor, real](&c, y[i * LANES + k],
                                                             p[i * LANES + k], &linear)
                result[k] += linear
        for k in range(LANES):
            result[k] += log_sign(&c) * log_(product[k])
            least[k] = least[k] if product[k] >= least[k] else product[k]
    product[0] = 1
    for i in range(rounds * LANES, n):
        product[0] *= log_factor[LossOfFactor, real](&c, y[i], p[i], &linear)
        result[0] += linear
    result[0] += log_sign(&c) * log_(product[0])
    least[0] = least[0] if product[0] >= least[0] else product[0]
    for k in range(LANES):
        least_product = least_product if least[k] >= least_product else least[k]
    total[0] = fold(result)
    return least_product > 1e-290 and total[0] > least_mean * n


cdef bint lost_digits(Py_ssize_t n, double own, double weight, const float *y,
                      const float *p) noexcept nogil:
    """Whether numbers beyond the range of float32 matter to the sum `own` of a block.

    Underflow takes up to 2^-150 of each, of a sum of at least 2^-96 times the sum of weights less
    than a double's digits. A sum of 0 is nearly always right: smaller than any float32 is what
    tiny numbers cost.
    """
    cdef Py_ssize_t i
    cdef int tiny = 0
    cdef float least = <float>1e-12
    cdef float zero = 0
    cdef float a, b
    if own != 0:
        return not 1.3e-29 * fabs(weight) <= fabs(own) < INFINITY
    for i in range(n):
        a = magnitude(y[i])
        b = magnitude(p[i])
        tiny |= ((a < least) & (a != zero)) | ((b < least) & (b != zero))
    return tiny


cdef void sum_again(const Bound *loss, Py_ssize_t n, const float *y, const float *p,
                    const float *w, const float *f, Sum *total) noexcept nogil:
    """Sum losses of float32, where they are beyond its range computed in double.

    A loss that float32 holds is the same as elsewhere: the sum does not depend on the block.
    """
    cdef double y64[LANES * DEPTH]     # a panel of `accumulate`, so that sums are the same
    cdef double p64[LANES * DEPTH]
    cdef double f64[LANES * DEPTH]
    cdef Py_ssize_t panel, start, i, m
    for panel in range((n + LANES * DEPTH - 1) // (LANES * DEPTH)):
        start = panel * LANES * DEPTH
        m = min(n - start, <Py_ssize_t>(LANES * DEPTH))
        for i in range(m):
            y64[i] = y[start + i]
            p64[i] = p[start + i]
        loss.map64[VALUE](loss.parameters, 1, m, y64, p64, f64, NULL, NULL, 0)
        if loss.mend64 != NULL and any_special(m, &f64[0]):
            loss.mend64(loss.parameters, 1, m, y64, p64, f64, NULL, NULL, 0)
        for i in range(m):
            f64[i] *= <double>1 if w == NULL else <double>w[start + i]
            if FLT_MIN <= fabs(f[start + i]) <= FLT_MAX:
                f64[i] = f[start + i]
        accumulate[double](m, f64, total)


# ---- blocks --------------------------------------------------------------------------------


cdef inline Py_ssize_t block_length(const Job *job) noexcept nogil:
    """Elements of a block: no more than there are, in whole cache lines."""
    return (min(job.size, <Py_ssize_t>BLOCK_ELEMENTS) + LANES - 1) // LANES * LANES


cdef inline bint has_value(const Job *job) noexcept nogil:
    return job.loss != NULL and (job.outputs == VALUE or job.outputs == VALUE_GRAD)


cdef inline bint has_grad(const Job *job) noexcept nogil:
    return job.loss != NULL and job.outputs != VALUE


cdef inline bint has_hess(const Job *job) noexcept nogil:
    return job.loss != NULL and job.outputs == GRAD_HESS


# Blocks of what is not read or written where it lies.
cdef struct Blocks:
    char *y
    char *p
    char *w
    char *f
    char *g
    char *h


cdef inline Py_ssize_t place_blocks(const Job *job, char *room, Blocks *blocks) noexcept nogil:
    """Place the blocks that the job needs one after the other; returns how many bytes they take."""
    cdef Py_ssize_t size = block_length(job) * <Py_ssize_t>(sizeof(float) if job.single
                                                            else sizeof(double))
    cdef char *at = room
    blocks.y = at
    at += size if job.loss != NULL and not job.y.direct else 0
    blocks.p = at
    at += size if job.loss != NULL and not job.p.direct else 0
    blocks.w = at
    at += size if job.w.data != NULL and not job.w.direct else 0
    blocks.f = at
    at += size if has_value(job) and not job.f.direct else 0
    blocks.g = at
    at += size if has_grad(job) and not job.g.direct else 0
    blocks.h = at
    at += size if has_hess(job) and not job.h.direct else 0
    return at - room


# ---- chunks, tasks, threads ----------------------------------------------------------------


cdef void run_chunk(const Job *job, Py_ssize_t start, Py_ssize_t stop, const Blocks *blocks,
                    real tag, Sums *sums) noexcept nogil:
    cdef bint has_f = has_value(job)
    cdef bint has_g = has_grad(job)
    cdef bint has_h = has_hess(job)
    cdef bint weighted = job.w.data != NULL
    # with weights, the scale goes into them: one rounding less
    cdef real scale = 1 if weighted else <real>job.scale
    cdef const real *y
    cdef const real *p
    cdef const real *w = NULL
    cdef real *f
    cdef real *g
    cdef real *h
    cdef Py_ssize_t block, at, n
    # whether a sum by itself is worth an attempt
    cdef bint try_sum = (job.want_sum and not weighted and job.loss != NULL
                         and job.loss.sum32 != NULL)
    cdef bint summed
    cdef double block_sum
    cdef Sum weight, own
    cdef int outputs
    for block in range((stop - start + BLOCK_ELEMENTS - 1) // BLOCK_ELEMENTS):
        at = start + block * BLOCK_ELEMENTS
        n = min(stop - at, <Py_ssize_t>BLOCK_ELEMENTS)
        weight.high, weight.low = n, 0
        if weighted:
            w = fetch[real](job, &job.w, at, n, <real *>blocks.w)
            if job.want_sum:
                weight.high = 0
                accumulate[real](n, w, &weight)
                add(&sums.weight, weight.high, weight.low)
        if job.loss == NULL:
            continue
        y = fetch[real](job, &job.y, at, n, <real *>blocks.y)
        p = fetch[real](job, &job.p, at, n, <real *>blocks.p)
        f = target[real](&job.f, at, <real *>blocks.f)
        g = target[real](&job.g, at, <real *>blocks.g)
        h = target[real](&job.h, at, <real *>blocks.h)
        summed = False
        if try_sum:
            if real is float:
                summed = job.loss.sum32(job.loss.parameters, n, y, p, &block_sum)
            else:
                summed = job.loss.sum64(job.loss.parameters, n, y, p, &block_sum)
            try_sum = summed
        if summed:
            add(&sums.loss, block_sum, 0)
            if not has_g:
                continue
        outputs = GRAD if summed else job.outputs
        if real is float:
            job.loss.map32[outputs](job.loss.parameters, scale, n, y, p, f, g, h, 0)
        else:
            job.loss.map64[outputs](job.loss.parameters, scale, n, y, p, f, g, h, 0)
        if has_f:
            # an infinite sum of doubles tells as much as a look at each
            if weighted or not job.want_sum:
                mend_values[real](job.loss, n, y, p, f)
            if weighted:
                multiply[real](n, w, 1, f)
            if job.want_sum and not summed:
                own.high, own.low = 0, 0
                accumulate[real](n, f, &own)
                if real is float:
                    if lost_digits(n, own.high, weight.high, y, p):
                        own.high, own.low = 0, 0
                        sum_again(job.loss, n, y, p, w, f, &own)
                elif not (weighted or is_finite(own.high)):
                    own.high, own.low = 0, 0
                    mend_values[real](job.loss, n, y, p, f)
                    accumulate[real](n, f, &own)
                add(&sums.loss, own.high, own.low)
            if job.f.data != NULL and not job.f.direct:
                flush[real](job, &job.f, at, n, f)
        if has_g:
            if weighted:
                multiply[real](n, w, job.scale, g)
            if not job.g.direct:
                flush[real](job, &job.g, at, n, g)
        if has_h:
            if weighted:
                multiply[real](n, w, job.scale, h)
            if not job.h.direct:
                flush[real](job, &job.h, at, n, h)


cdef void run_task(const Job *job, Py_ssize_t task, Py_ssize_t length, const Blocks *blocks,
                   Sums *sums) noexcept nogil:
    cdef Py_ssize_t start = task * length
    cdef Py_ssize_t stop = min(job.size, start + length)
    cdef Py_ssize_t chunk, at
    memset(sums, 0, sizeof(Sums))
    for chunk in range((stop - start + CHUNK_ELEMENTS - 1) // CHUNK_ELEMENTS):
        at = start + chunk * CHUNK_ELEMENTS
        if job.single:
            run_chunk[float](job, at, min(stop, at + CHUNK_ELEMENTS), blocks, 0, sums)
        else:
            run_chunk[double](job, at, min(stop, at + CHUNK_ELEMENTS), blocks, 0, sums)


cdef void run_task_of_team(const Job *job, Py_ssize_t task, Py_ssize_t length, char *room,
                           Sums *sums) noexcept nogil:
    cdef Blocks blocks
    cdef Mode before = enter_default_mode()
    place_blocks(job, room, &blocks)
    run_task(job, task, length, &blocks, sums)
    leave_default_mode(before)


cdef int run_alone(const Job *job, Py_ssize_t tasks, Py_ssize_t length,
                   Sums *total) noexcept nogil:
    cdef char near[MAX_STACK_BYTES + CACHE_LINE_BYTES]
    cdef char *far = NULL
    cdef Blocks blocks
    cdef Sums sums
    cdef Py_ssize_t task
    cdef Py_ssize_t size = place_blocks(job, whole_lines(near), &blocks)
    if size > MAX_STACK_BYTES:
        far = <char *>malloc(size + CACHE_LINE_BYTES)
        if far == NULL:
            return -1
        place_blocks(job, whole_lines(far), &blocks)
    for task in range(tasks):
        run_task(job, task, length, &blocks, &sums)
        add_sums(total, &sums)
    free(far)
    return 0


cdef int run_team(const Job *job, Py_ssize_t tasks, Py_ssize_t length, int n_threads,
                  Sums *total) noexcept nogil:
    cdef Blocks blocks
    cdef Py_ssize_t task
    cdef Py_ssize_t size = place_blocks(job, NULL, &blocks)
    # neighbouring tasks to one thread, as the hardware's prefetching likes it
    cdef Py_ssize_t grain = max(<Py_ssize_t>1, min(<Py_ssize_t>8, tasks // (4 * n_threads)))
    cdef Sums *sums = <Sums *>malloc(tasks * sizeof(Sums) + n_threads * size + CACHE_LINE_BYTES)
    cdef char *room
    if sums == NULL:
        return -1
    room = whole_lines(<char *>(sums + tasks))
    for task in prange(tasks, schedule="dynamic", chunksize=grain, num_threads=n_threads):
        run_task_of_team(job, task, length, room + threadid() * size, &sums[task])
    for task in range(tasks):
        add_sums(total, &sums[task])
    free(sums)
    return 0


cdef int run(const Job *job, Sums *total) noexcept nogil:
    cdef Py_ssize_t chunks = (job.size + CHUNK_ELEMENTS - 1) // CHUNK_ELEMENTS
    cdef Py_ssize_t length = (chunks + MAX_TASKS - 1) // MAX_TASKS * CHUNK_ELEMENTS
    cdef Py_ssize_t tasks
    cdef int n_threads, failed
    cdef Mode before
    memset(total, 0, sizeof(Sums))
    if job.size == 0:
        return 0
    tasks = (job.size + length - 1) // length
    n_threads = <int>min(tasks, <Py_ssize_t>job.n_threads)
    before = enter_default_mode()
    if n_threads == 1:      # even a team of one costs as much as a hundred elements
        failed = run_alone(job, tasks, length, total)
    else:
        failed = run_team(job, tasks, length, n_threads, total)
    round_sums(total)
    leave_default_mode(before)
    return failed if failed else not is_default_mode(before)


def bind(Loss parameters):
    """The loops of one loss and its parameters, as the bytes of a `Bound`.

    One specialisation per loss, found by name in `bind.__signatures__`: this is the table
    of losses.
    """
    cdef Bound bound
    cdef int i
    cdef bint narrow = False
    memset(&bound, 0, sizeof(Bound))
    bound.map32[VALUE] = <Map32>map_block[Loss, float, ValueTag]
    bound.map32[GRAD] = <Map32>map_block[Loss, float, GradTag]
    bound.map32[VALUE_GRAD] = <Map32>map_block[Loss, float, ValueGradTag]
    bound.map32[GRAD_HESS] = <Map32>map_block[Loss, float, GradHessTag]
    bound.map64[VALUE] = <Map64>map_block[Loss, double, ValueTag]
    bound.map64[GRAD] = <Map64>map_block[Loss, double, GradTag]
    bound.map64[VALUE_GRAD] = <Map64>map_block[Loss, double, ValueGradTag]
    bound.map64[GRAD_HESS] = <Map64>map_block[Loss, double, GradHessTag]
    if Loss in LossOfFactor:
        bound.sum32 = <Sum32>sum_logs[Loss, float]
        bound.sum64 = <Sum64>sum_logs[Loss, double]
    bound.sample32 = <Sample32>sample_alone[Loss, float]
    bound.sample64 = <Sample64>sample_alone[Loss, double]
    if Loss in Overflowing:
        bound.mend32 = <Map32>mend[Loss, float]
        bound.mend64 = <Map64>mend[Loss, double]
    if Loss in LossOfFactor:        # times a number that would underflow
        narrow = parameters.pos_weight > 1e6
    if Loss in FocalLoss:
        narrow = parameters.gamma > 1e3
    if narrow or not fits(<const double *>&parameters, sizeof(Loss) // sizeof(double)):
        for i in range(N_OUTPUTS):
            bound.map32[i] = <Map32>map_wider[Loss, float]
        bound.sample32 = <Sample32>sample_wider[Loss, float]
    if narrow:
        for i in range(N_OUTPUTS):
            bound.map64[i] = <Map64>map_wider[Loss, double]
        bound.sample64 = <Sample64>sample_wider[Loss, double]
    memcpy(bound.parameters, &parameters, sizeof(Loss))
    return (<char *>&bound)[:sizeof(Bound)]


RUN = PyCapsule_New(<void *>run, "fastloss.run", NULL)

include "_core/loops/rows_tasks.pxi"
include "_core/loops/rows_labels.pxi"
include "_core/loops/batch_steps.pxi"
include "_core/loops/batch_triplets.pxi"
include "_core/loops/paired.pxi"
include "_core/loops/elementary.pxi"
