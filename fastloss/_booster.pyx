# cython: language_level=3
"""What the boosters' adapters do to labels and derivatives, in as few passes as there can be.

CatBoost asks for a thousand rows at a time, so that a call is to cost little more than the work.
"""
cimport numpy as cnp
from libc.math cimport INFINITY, nextafter

from fastloss._arrays cimport type_of
from fastloss._job cimport FLOAT32, FLOAT64

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


include "_bounds.pxi"
