# cython: language_level=3
"""Bounds of second derivatives: the loops, per SIMD level. `boosting.pyx` calls them."""
from cpython.pycapsule cimport PyCapsule_New
from cython.parallel cimport prange
from libc.math cimport INFINITY, NAN, fabs, sqrt
from libc.stdlib cimport free, malloc

from fastloss._core.bound_job cimport GIVEN, HALF_JUMP, OVER_LOG, REACH, SHARE, Numbers, Work
from fastloss._core.jobs cimport CHUNK_ELEMENTS, LANES
from fastloss._core.formulas.math cimport exp_, log_

cdef enum:
    PIECE_ELEMENTS = 256  # worked on together: a multiple of LANES that divides CHUNK_ELEMENTS

# Of a typical distance: what is nearer to a kink counts as this far.
cdef double KINK_DISTANCE_SHARE = 0.1
cdef double MAX_BOUND = 1e38        # finite in float32

# PIECE_ELEMENTS numbers of each, some in the arrays themselves.
ctypedef struct Piece:
    const double *y
    const double *p
    const double *w
    const double *g
    double far[PIECE_ELEMENTS]
    double unit[PIECE_ELEMENTS]
    double space[5][PIECE_ELEMENTS]


cdef const double *load(const Numbers *a, Py_ssize_t column, Py_ssize_t first, Py_ssize_t n,
                        double *space) noexcept nogil:
    """Return n numbers of a column as doubles side by side, in `space` if they do not lie so."""
    cdef const char *at = a.data + column * a.column + first * a.row
    cdef Py_ssize_t i
    if a.data == NULL:
        for i in range(n):
            space[i] = 1
    elif not a.single and a.row == sizeof(double):
        return <const double *>at
    elif a.single and a.row == sizeof(float):
        for i in range(n):
            space[i] = (<const float *>at)[i]
    elif a.single:
        for i in range(n):
            space[i] = (<const float *>(at + i * a.row))[0]
    else:
        for i in range(n):
            space[i] = (<const double *>(at + i * a.row))[0]
    return space


cdef void store(const Numbers *a, Py_ssize_t column, Py_ssize_t first, Py_ssize_t n,
                const double *x) noexcept nogil:
    cdef char *at = a.data + column * a.column + first * a.row
    cdef Py_ssize_t i
    if a.single and a.row == sizeof(float):
        for i in range(n):
            (<float *>at)[i] = <float>x[i]
    elif a.single:
        for i in range(n):
            (<float *>(at + i * a.row))[0] = <float>x[i]
    else:
        for i in range(n):
            (<double *>(at + i * a.row))[0] = x[i]


cdef void residuals(const Work *job, Piece *piece, Py_ssize_t n) noexcept nogil:
    """Write distances from targets, in units of the target's size if the job has a least unit."""
    cdef const double *y = piece.y
    cdef const double *p = piece.p
    cdef double least = job.unit, size
    cdef Py_ssize_t i
    if least == 0:
        for i in range(n):
            piece.far[i] = fabs(p[i] - y[i])
        return
    for i in range(n):
        size = fabs(y[i])
        piece.unit[i] = least if size < least else size
    for i in range(n):
        piece.far[i] = fabs(p[i] - y[i]) / piece.unit[i]


cdef void add_roots(const Work *job, Py_ssize_t task, double *roots,
                    double *weights) noexcept nogil:
    """Add up the eighth roots of a chunk's distances, and its weights."""
    cdef Py_ssize_t column = task // job.chunks, first = task % job.chunks * CHUNK_ELEMENTS
    cdef Py_ssize_t end = min(first + CHUNK_ELEMENTS, job.rows), at, n, k, i, j
    cdef double root[LANES]
    cdef double weight[LANES]
    cdef Piece piece
    for j in range(LANES):
        root[j] = weight[j] = 0
    for k in range((end - first + PIECE_ELEMENTS - 1) // PIECE_ELEMENTS):
        at = first + k * PIECE_ELEMENTS
        n = min(<Py_ssize_t>PIECE_ELEMENTS, end - at)
        piece.y = load(&job.y, column, at, n, piece.space[0])
        piece.p = load(&job.p, column, at, n, piece.space[1])
        residuals(job, &piece, n)
        for i in range(n):
            piece.far[i] = sqrt(sqrt(sqrt(piece.far[i])))
        if job.w.data != NULL:
            piece.w = load(&job.w, column, at, n, piece.space[2])
            for i in range(n):
                piece.unit[i] = piece.w[i]
                piece.far[i] = piece.far[i] * piece.w[i]
            for i in range(n, PIECE_ELEMENTS):
                piece.unit[i] = 0
            for i in range(PIECE_ELEMENTS // LANES):
                for j in range(LANES):
                    weight[j] += piece.unit[i * LANES + j]
        for i in range(n, PIECE_ELEMENTS):
            piece.far[i] = 0
        for i in range(PIECE_ELEMENTS // LANES):
            for j in range(LANES):
                root[j] += piece.far[i * LANES + j]
    roots[0] = weights[0] = 0
    for j in range(LANES):
        roots[0] += root[j]
        weights[0] += weight[j]


cdef double nearest(const Work *job, Py_ssize_t column, const double *roots,
                    const double *weights) noexcept nogil:
    """Return what distances of a column are at least; see `reach`."""
    cdef double total = 0, weight = 0, mean, near
    cdef Py_ssize_t task
    for task in range(column * job.chunks, (column + 1) * job.chunks):
        total += roots[task]
        weight += weights[task]
    mean = total / (job.rows if job.w.data == NULL else weight)
    mean = mean * mean
    mean = mean * mean
    near = KINK_DISTANCE_SHARE * (mean * mean)
    return near if near > job.least else job.least      # nan, of weights 0, is not


cdef void distances(const Work *job, Piece *piece, Py_ssize_t n, double near) noexcept nogil:
    """Write distances of at least `near`, but of targets smaller than the unit as they are."""
    cdef double x
    cdef Py_ssize_t i
    residuals(job, piece, n)
    if job.unit == 0:
        for i in range(n):
            x = near if piece.far[i] < near else piece.far[i]
            piece.far[i] = x if x > 0 else 1
    else:
        for i in range(n):
            x = near if piece.far[i] < near and piece.unit[i] != job.unit else piece.far[i]
            piece.far[i] = x if x > 0 else (1 / MAX_BOUND if piece.unit[i] == job.unit else 1)


cdef void find(const Work *job, Piece *piece, Py_ssize_t n, double near,
               double *bound) noexcept nogil:
    """Write what second derivatives are to be at least."""
    cdef const double *y = piece.y
    cdef const double *p = piece.p
    cdef const double *w = piece.w
    cdef const double *g = piece.g
    cdef double factor = job.factor, least = job.least, sign, x
    cdef Py_ssize_t i
    if job.kind == HALF_JUMP or job.kind == REACH:
        distances(job, piece, n, near)
    if job.kind == GIVEN:
        for i in range(n):
            bound[i] = y[i]
    elif job.kind == REACH:
        for i in range(n):
            bound[i] = piece.far[i]
    elif job.kind == HALF_JUMP and job.unit == 0:
        for i in range(n):
            bound[i] = factor * w[i] / piece.far[i]
    elif job.kind == HALF_JUMP:
        for i in range(n):
            bound[i] = factor * w[i] / (piece.unit[i] * piece.unit[i] * piece.far[i])
    elif job.kind == SHARE:
        for i in range(n):
            sign = 2 * y[i] - 1
            bound[i] = factor * fabs(sign * g[i]) / (1 + exp_[double](-sign * p[i]))
    else:
        if job.kind == OVER_LOG:
            for i in range(n):
                piece.far[i] = p[i] - log_[double](y[i])
        else:
            for i in range(n):
                piece.far[i] = p[i] - y[i]
        for i in range(n):
            x = g[i] / piece.far[i]
            bound[i] = x if fabs(piece.far[i]) > least else 0
    if job.kind != REACH:
        for i in range(n):
            bound[i] = MAX_BOUND if bound[i] > MAX_BOUND else bound[i]


cdef void lift(const Work *job, Py_ssize_t task, double near) noexcept nogil:
    """Make the second derivatives of a chunk no less than their bounds, or write distances."""
    cdef Py_ssize_t column = task // job.chunks, first = task % job.chunks * CHUNK_ELEMENTS
    cdef Py_ssize_t end = min(first + CHUNK_ELEMENTS, job.rows), at, n, k, i
    cdef double bound[PIECE_ELEMENTS]
    cdef const double *h
    cdef double most = INFINITY if job.straight else NAN
    cdef Piece piece
    for k in range((end - first + PIECE_ELEMENTS - 1) // PIECE_ELEMENTS):
        at = first + k * PIECE_ELEMENTS
        n = min(<Py_ssize_t>PIECE_ELEMENTS, end - at)
        piece.y = load(&job.y, column, at, n, piece.space[0])
        if job.kind != GIVEN:
            piece.p = load(&job.p, column, at, n, piece.space[1])
        if job.kind == HALF_JUMP:
            piece.w = load(&job.w, column, at, n, piece.space[2])
        elif job.kind != GIVEN and job.kind != REACH:
            piece.g = load(&job.g, column, at, n, piece.space[3])
        find(job, &piece, n, near, bound)
        if job.kind != REACH:
            h = load(&job.out, column, at, n, piece.space[4])
            # a nan does not count, nor does a straight loss's infinity, as at a kink
            for i in range(n):
                bound[i] = bound[i] if (h[i] < bound[i]) | (h[i] != h[i]) | (h[i] == most) else h[i]
        store(&job.out, column, at, n, bound)


cdef int work_through(const Work *job, int n_threads) noexcept nogil:
    """Do a job; return -1 where there is no memory. The numbers of threads give one result."""
    cdef Py_ssize_t tasks = job.columns * job.chunks, task, column
    cdef double *roots = <double *>malloc((2 * tasks + job.columns) * sizeof(double))
    cdef double *weights = roots + tasks
    cdef double *near = weights + tasks
    if roots == NULL:
        return -1
    if job.kind == HALF_JUMP or job.kind == REACH:
        if n_threads == 1:
            for task in range(tasks):
                add_roots(job, task, roots + task, weights + task)
        else:
            for task in prange(tasks, schedule="dynamic", num_threads=n_threads):
                add_roots(job, task, roots + task, weights + task)
        for column in range(job.columns):
            near[column] = nearest(job, column, roots, weights)
    if n_threads == 1:
        for task in range(tasks):
            lift(job, task, near[task // job.chunks])
    else:
        for task in prange(tasks, schedule="dynamic", num_threads=n_threads):
            lift(job, task, near[task // job.chunks])
    free(roots)
    return 0


RUN = PyCapsule_New(<void *>work_through, "fastloss.bounds", NULL)
