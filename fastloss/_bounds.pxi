"""Bounds of second derivatives. Part of `_booster.pyx`."""
from cython.parallel cimport prange
from libc.math cimport INFINITY, NAN, fabs, sqrt
from libc.stdlib cimport free, malloc

import numpy as np

from fastloss._arrays cimport type_of
from fastloss._job cimport CHUNK, FLOAT32, FLOAT64, LANES
from fastloss._math cimport exp_, log_
from fastloss._threads cimport team_size

cdef enum:
    PIECE = 256        # numbers that are worked on together; LANES divides it, and it divides CHUNK

# What a bound is; see `fastloss._curvature`.
cdef enum Kind:
    GIVEN              # the numbers themselves, in the place of targets
    REACH              # no bound, but the distances that `reach` returns
    OVER_RESIDUAL, OVER_LOG, HALF_JUMP, SHARE

KINDS = {"slope over residual": OVER_RESIDUAL, "slope over distance to logarithm": OVER_LOG,
         "half jump over residual": HALF_JUMP, "slope times share": SHARE}

cdef double NEAR = 0.1         # of a typical distance: what is nearer to a kink counts as this far
cdef double MOST = 1e38        # finite in float32

# A matrix of floats or doubles; strides are in bytes.
ctypedef struct Numbers:
    char *data                 # NULL: all 1
    bint single
    Py_ssize_t row
    Py_ssize_t column

ctypedef struct Work:
    Kind kind
    double factor
    double least
    double unit
    bint straight
    Py_ssize_t rows
    Py_ssize_t columns
    Py_ssize_t chunks          # of a column
    Numbers y
    Numbers p
    Numbers w
    Numbers g
    Numbers out                # second derivatives, or distances

# PIECE numbers of each, some in the arrays themselves.
ctypedef struct Piece:
    const double *y
    const double *p
    const double *w
    const double *g
    double far[PIECE]
    double unit[PIECE]
    double space[5][PIECE]


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


cdef void add_roots(const Work *job, Py_ssize_t task, double *roots, double *weights) noexcept nogil:
    """Add up the eighth roots of a chunk's distances, and its weights."""
    cdef Py_ssize_t column = task // job.chunks, first = task % job.chunks * CHUNK
    cdef Py_ssize_t end = min(first + CHUNK, job.rows), at, n, k, i, j
    cdef double root[LANES]
    cdef double weight[LANES]
    cdef Piece piece
    for j in range(LANES):
        root[j] = weight[j] = 0
    for k in range((end - first + PIECE - 1) // PIECE):
        at = first + k * PIECE
        n = min(<Py_ssize_t>PIECE, end - at)
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
            for i in range(n, PIECE):
                piece.unit[i] = 0
            for i in range(PIECE // LANES):
                for j in range(LANES):
                    weight[j] += piece.unit[i * LANES + j]
        for i in range(n, PIECE):
            piece.far[i] = 0
        for i in range(PIECE // LANES):
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
    near = NEAR * (mean * mean)
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
            piece.far[i] = x if x > 0 else (1 / MOST if piece.unit[i] == job.unit else 1)


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
            bound[i] = MOST if bound[i] > MOST else bound[i]


cdef void lift(const Work *job, Py_ssize_t task, double near) noexcept nogil:
    """Make the second derivatives of a chunk no less than their bounds, or write distances."""
    cdef Py_ssize_t column = task // job.chunks, first = task % job.chunks * CHUNK
    cdef Py_ssize_t end = min(first + CHUNK, job.rows), at, n, k, i
    cdef double bound[PIECE]
    cdef const double *h
    cdef double most = INFINITY if job.straight else NAN
    cdef Piece piece
    for k in range((end - first + PIECE - 1) // PIECE):
        at = first + k * PIECE
        n = min(<Py_ssize_t>PIECE, end - at)
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


cdef cnp.ndarray described(Numbers *numbers, object x, cnp.ndarray like):
    """Describe an array of the shape of `like`; return what holds the numbers."""
    cdef cnp.ndarray a
    if not isinstance(x, np.ndarray):
        x = np.asarray(x, np.float64)
    a = x
    if (type_of(a) != FLOAT32 and type_of(a) != FLOAT64
            or not cnp.PyArray_ISALIGNED(a) or not cnp.PyArray_ISNOTSWAPPED(a)):
        a = a.astype(np.float64)
    assert cnp.PyArray_SAMESHAPE(a, like)
    numbers.data = <char *>cnp.PyArray_DATA(a)
    numbers.single = type_of(a) == FLOAT32
    numbers.row = cnp.PyArray_STRIDE(a, 0)
    numbers.column = cnp.PyArray_STRIDE(a, 1) if cnp.PyArray_NDIM(a) == 2 else 0
    return a


cdef int do(Work *job, cnp.ndarray out, object y, object p, object w, object g) except -1:
    cdef cnp.ndarray held_y, held_p, held_w, held_g      # as long as the job goes on
    cdef int n_threads, failed
    assert cnp.PyArray_NDIM(out) == 1 or cnp.PyArray_NDIM(out) == 2
    job.rows = cnp.PyArray_DIM(out, 0)
    job.columns = cnp.PyArray_DIM(out, 1) if cnp.PyArray_NDIM(out) == 2 else 1
    job.chunks = (job.rows + CHUNK - 1) // CHUNK
    assert described(&job.out, out, out) is out
    held_y = described(&job.y, y, out)
    if p is not None:
        held_p = described(&job.p, p, out)
    job.w.data = NULL
    if w is not None:
        held_w = described(&job.w, w, out)
    if g is not None:
        held_g = described(&job.g, g, out)
    # a team wakes up twice, and for a million rows has no more than some ms of work
    n_threads = team_size(0, cnp.PyArray_SIZE(out) // 4)
    with nogil:
        failed = work_through(job, n_threads)
    if failed:
        raise MemoryError
    return 0


def bend(bound, y, p, w, grad, cnp.ndarray hess, bint straight):
    """Make second derivatives no less than a bound, in place.

    Parameters
    ----------
    bound : Bound or ndarray
        What the bound is made of, or the numbers themselves.
    y, p, w, grad : array_like of the shape of `hess`
        Targets, predictions, weights or None for 1, and the weighted gradient.
    hess : ndarray (n,) or (n, k) of float32 or float64
        The second derivatives of one output, or of k.
    straight : bool
        Whether the loss may be straight: infinite second derivatives then become the bound.
    """
    cdef Work job
    job.straight = straight
    job.least = job.unit = 0
    if isinstance(bound, np.ndarray):
        job.kind = GIVEN
        do(&job, hess, bound, None, None, None)
    else:
        job.kind = KINDS[bound.kind]
        job.factor, job.least, job.unit = bound.factor, bound.least, bound.unit
        do(&job, hess, y, p, w, grad)


def reach(y, p, w):
    """Return the distances of predictions from their targets, no less than a part of a typical one.

    The typical distance is the eighth power of the mean eighth root, of each output for itself:
    hardly less than the mean, unless many targets are met, where it is close to 0. The part is a
    tenth.
    """
    cdef Work job
    cdef cnp.ndarray far = np.empty(np.shape(p))
    job.kind = REACH
    job.straight = False
    job.least = job.unit = 0
    do(&job, far, y, p, w, None)
    return far
