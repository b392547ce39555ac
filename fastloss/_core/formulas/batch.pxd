# cython: language_level=3
"""Losses of all pairs of rows of a batch, at one pair, each in one place.

A pair is known by v, the product of its rows or the square of their distance, and by whether they
are of the same class. A loss is either a sum over pairs (`Direct`: cost and its derivative by v) or
a function of the sums over pairs, anchor by anchor, of e^x over those of the same class and over
the others (`Exponent`: x and its derivative by v; what the sums are worth is not said here).

Another loss is a struct, a function and a line in a list.
"""
from libc.math cimport INFINITY, fabs, frexp, ldexp

from fastloss._core.formulas.math cimport exp_negative, log1p_unit, magnitude, real, sqrt_

cdef struct Contrastive:
    double margin
    double least             # pos_margin: what a distance may be at no cost
    double linear            # 1: distances, 0: their squares
    double euclidean         # 1: of the distance, 0: of its square times `factor`
    double factor

cdef struct SigLIP:
    double scale
    double bias

ctypedef fused Direct:
    Contrastive
    SigLIP

cdef struct Softmax:
    double scale

cdef struct MultiSimilarity:
    double alpha
    double beta
    double base

cdef struct Circle:
    double margin
    double gamma
    double moving            # 1: weights have a derivative, 0: they are constants to it

cdef struct Lifted:
    double margin

ctypedef fused Exponent:
    Softmax
    MultiSimilarity
    Circle
    Lifted


cdef inline bint squares_fit(double square) noexcept nogil:
    """Whether the square of a row's length is far from the ends of the range of doubles.

    So is the product of two such then. That of a row of zeros is not.
    """
    return 1e-140 < square < 1e140


cdef inline double lift_of(Py_ssize_t dim, const real *x) noexcept nogil:
    """The power of two that makes the largest element of a row about 1, if it is finite."""
    cdef double t, largest = 0
    cdef Py_ssize_t k
    cdef int exponent = 0
    for k in range(dim):
        t = fabs(<double>x[k])
        largest = t if t > largest else largest
    if largest == 0 or largest == INFINITY:
        return 1
    frexp(largest, &exponent)
    return ldexp(1, min(-exponent, 1000))


cdef inline void contrastive_pair(const Contrastive *c, real v, bint same,
                                  real *cost, real *slope) noexcept nogil:
    cdef real zero = 0
    cdef real one = 1
    cdef real half = 0.5
    cdef real linear = <real>c.linear
    cdef real quadratic = one - linear
    cdef real euclidean = <real>c.euclidean
    cdef real factor = <real>c.factor
    cdef real root = sqrt_(v)
    cdef real reciprocal = half / root
    cdef real distance = euclidean * root + (one - euclidean) * (factor * v)
    cdef real by_v, excess, sign
    reciprocal = reciprocal if root > zero else zero
    by_v = euclidean * reciprocal + (one - euclidean) * factor
    excess = distance - <real>c.least if same else <real>c.margin - distance
    sign = one if same else -one
    by_v = by_v if excess > zero else zero
    excess = zero if excess <= zero else excess          # NaN stays
    cost[0] = excess * (linear + quadratic * excess)
    slope[0] = sign * by_v * (linear + (quadratic + quadratic) * excess)


cdef inline void siglip_pair(const SigLIP *c, real v, bint same,
                             real *cost, real *slope) noexcept nogil:
    # softplus(-s z), s = +-1
    cdef real zero = 0
    cdef real one = 1
    cdef real scale = <real>c.scale
    cdef real z = scale * v + <real>c.bias
    cdef real x = -z if same else z
    cdef real e = exp_negative(-magnitude(x))
    cdef real rising = one if x > zero else e            # sigmoid(x), times 1 + e
    cdef real by_z = rising / (one + e)
    cost[0] = (zero if x <= zero else x) + log1p_unit(e)
    slope[0] = scale * (-by_z if same else by_z)


cdef inline void pair_cost(const Direct *c, real v, bint same,
                           real *cost, real *slope) noexcept nogil:
    if Direct is Contrastive:
        contrastive_pair(c, v, same, cost, slope)
    elif Direct is SigLIP:
        siglip_pair(c, v, same, cost, slope)


cdef inline void pair_exponent(const Exponent *c, real v, bint same,
                               real *x, real *slope) noexcept nogil:
    cdef real zero = 0
    cdef real half = 0.5
    cdef real one = 1
    cdef real inf = INFINITY
    cdef real factor, shift, weight, root, reciprocal
    if Exponent is Softmax:
        factor = <real>c.scale
        x[0] = factor * v
        slope[0] = factor
    elif Exponent is MultiSimilarity:
        factor = -<real>c.alpha if same else <real>c.beta
        x[0] = factor * (v - <real>c.base)
        slope[0] = factor
    elif Exponent is Circle:
        # gamma w t, w = [m + t]+ for negatives, t = s - m; -gamma w t, w = [1 + m - s]+, for
        # positives, t = s - 1 + m
        shift = one - <real>c.margin if same else <real>c.margin
        factor = -<real>c.gamma if same else <real>c.gamma
        weight = one + <real>c.margin - v if same else v + <real>c.margin
        weight = zero if weight <= zero else weight
        x[0] = factor * weight * (v - shift)
        v = v - shift if weight > zero else zero
        slope[0] = factor * (weight + <real>c.moving * (-v if same else v))
    elif Exponent is Lifted:
        root = sqrt_(v)
        reciprocal = half / root
        x[0] = -inf if same else <real>c.margin - root
        slope[0] = -(reciprocal if root > zero else zero)
