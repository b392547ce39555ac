# cython: language_level=3
"""What the boosters' adapters do to labels and derivatives, in as few passes as there can be.

CatBoost asks for a thousand rows at a time, so that a call is to cost little more than the work.
"""
cimport numpy as cnp
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.math cimport INFINITY, nextafter

import numpy as np

from fastloss._core.arrays cimport type_of
from fastloss._core.bound_job cimport (GIVEN, HALF_JUMP, OVER_LOG, OVER_RESIDUAL, REACH, SHARE,
                                       Bounder, Numbers, Work)
from fastloss._core.jobs cimport CHUNK_ELEMENTS, FLOAT32, FLOAT64
from fastloss._core.threads cimport team_size

from fastloss._core.simd_level import bounds

cnp.import_array()

cdef extern from "math.h" nogil:
    float nextafterf(float, float)

ctypedef fused real:
    float
    double


cdef bint between(const real *x, Py_ssize_t n, real low, real high) noexcept nogil:
    cdef int outside = 0     # an int: gcc does not vectorise with a char
    cdef Py_ssize_t i
    for i in range(n):
        outside |= not (x[i] >= low and x[i] <= high)    # nan is outside
    return not outside


cdef bint either(const real *x, Py_ssize_t n, real low, real high) noexcept nogil:
    cdef int outside = 0
    cdef Py_ssize_t i
    for i in range(n):
        outside |= x[i] != low and x[i] != high
    return not outside


cdef bint holds(const real *x, Py_ssize_t n, double low, double high, bint open_low,
                bint ends_only) noexcept nogil:
    if ends_only:
        return either[real](x, n, <real>low, <real>high)
    # closed bounds of this type: the least number above one that is out, the greatest finite one
    cdef real least = <real>low, most = <real>high
    if real is float:
        if open_low or low == -INFINITY:
            least = nextafterf(least, <float>INFINITY)
        if high == INFINITY:
            most = nextafterf(most, 0)
    else:
        if open_low or low == -INFINITY:
            least = nextafter(least, INFINITY)
        if high == INFINITY:
            most = nextafter(most, 0)
    return between[real](x, n, least, most)


cdef bint plain(cnp.ndarray a) noexcept:
    """Whether the elements are native and fill their memory, in whatever order."""
    return ((cnp.PyArray_IS_C_CONTIGUOUS(a) or cnp.PyArray_IS_F_CONTIGUOUS(a))
            and cnp.PyArray_ISALIGNED(a) and cnp.PyArray_ISNOTSWAPPED(a))


def inside(cnp.ndarray values, domain):
    """Whether all values are finite and in an `Interval`, in one pass and without a temporary.

    False also of arrays that are not read here: of other types and strided ones.
    """
    cdef double low = domain[0], high = domain[1]
    cdef bint open_low = domain[3], ends_only = domain[4]
    cdef Py_ssize_t n = cnp.PyArray_SIZE(values)
    if not plain(values):
        return False
    if type_of(values) == FLOAT32:
        return holds(<const float *>cnp.PyArray_DATA(values), n, low, high, open_low, ends_only)
    if type_of(values) == FLOAT64:
        return holds(<const double *>cnp.PyArray_DATA(values), n, low, high, open_low, ends_only)
    return False


cdef void raise_and_turn(real *g, real *h, bint straight, const real *one, Py_ssize_t n,
                         real factor, real floor, real sign) noexcept nogil:
    cdef real curve
    cdef Py_ssize_t i
    for i in range(n):
        curve = factor * h[i]
        # inf - inf is nan
        if straight and ((curve <= 0 and g[i] != 0) or (curve - curve != 0 and g[i] - g[i] == 0)):
            curve = 1 if one == NULL else one[i]
        h[i] = sign * (floor if curve < floor else curve)    # nan stays
    if sign != 1:
        for i in range(n):
            g[i] = sign * g[i]


def settle(cnp.ndarray grad, cnp.ndarray hess, bint straight, cnp.ndarray weight, double factor,
           double floor, bint negate):
    """Make second derivatives fit to be divided by, in place.

    Parameters
    ----------
    grad, hess : ndarray of float32 or float64
        Derivatives, of one type and one contiguous layout.
    straight : bool
        Whether a second derivative of 0 or less beside a slope is to be the weight, and one that
        is not finite beside a slope that is.
    weight : ndarray or None
        Of the type and layout of `hess`; None for 1. Read only if `straight`.
    factor : float
        What second derivatives are multiplied by first.
    floor : float
        The least one after that.
    negate : bool
        Whether both are negated in the end.
    """
    cdef Py_ssize_t n = cnp.PyArray_SIZE(hess)
    cdef double sign = -1 if negate else 1
    cdef void *w = NULL
    assert plain(grad) and plain(hess) and cnp.PyArray_SIZE(grad) == n
    assert type_of(grad) == type_of(hess)
    if weight is not None:
        assert plain(weight) and cnp.PyArray_SIZE(weight) == n and type_of(weight) == type_of(hess)
        w = cnp.PyArray_DATA(weight)
    if type_of(hess) == FLOAT32:
        raise_and_turn(<float *>cnp.PyArray_DATA(grad), <float *>cnp.PyArray_DATA(hess), straight,
                       <float *>w, n, <float>factor, <float>floor, <float>sign)
    else:
        assert type_of(hess) == FLOAT64
        raise_and_turn(<double *>cnp.PyArray_DATA(grad), <double *>cnp.PyArray_DATA(hess), straight,
                       <double *>w, n, factor, floor, sign)


# ---- bounds of second derivatives --------------------------------------------------------

cdef Bounder work_through = <Bounder>PyCapsule_GetPointer(bounds.RUN, "fastloss.bounds")

KINDS = {"slope over residual": OVER_RESIDUAL, "slope over distance to logarithm": OVER_LOG,
         "half jump over residual": HALF_JUMP, "slope times share": SHARE}


cdef cnp.ndarray described(Numbers *numbers, object x, cnp.ndarray like):
    """Describe an array of the shape of `like`; return what holds the numbers."""
    cdef cnp.ndarray a
    if not isinstance(x, cnp.ndarray):
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
    cdef list held = []      # the arrays of the job, as long as it goes on
    cdef int n_threads, failed
    assert cnp.PyArray_NDIM(out) == 1 or cnp.PyArray_NDIM(out) == 2
    job.rows = cnp.PyArray_DIM(out, 0)
    job.columns = cnp.PyArray_DIM(out, 1) if cnp.PyArray_NDIM(out) == 2 else 1
    job.chunks = (job.rows + CHUNK_ELEMENTS - 1) // CHUNK_ELEMENTS
    assert described(&job.out, out, out) is out
    held.append(described(&job.y, y, out))
    if p is not None:
        held.append(described(&job.p, p, out))
    job.w.data = NULL
    if w is not None:
        held.append(described(&job.w, w, out))
    if g is not None:
        held.append(described(&job.g, g, out))
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
    if isinstance(bound, cnp.ndarray):
        job.kind = GIVEN
        do(&job, hess, bound, None, None, None)
    else:
        kind, job.factor, job.least, job.unit = bound
        job.kind = KINDS[kind]
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
