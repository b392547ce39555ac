# cython: language_level=3
"""Losses of the residual e = p - y whose optimum is not the mean, at one sample."""
from fastloss._core.formulas.math cimport keep_nan, magnitude, positive_part, wide, sign

cdef struct Pinball:
    double below         # slope where the prediction is too low: the quantile
    double above         # and too high: 1 - the quantile

cdef struct Expectile:
    double below
    double above

cdef struct EpsilonInsensitive:
    double epsilon

cdef struct SquaredEpsilonInsensitive:
    double epsilon

ctypedef fused QuantileLoss:
    Pinball
    Expectile
    EpsilonInsensitive
    SquaredEpsilonInsensitive


cdef inline void pinball(const Pinball *c, wide y, wide p,
                         wide *f, wide *g, wide *h) noexcept nogil:
    cdef wide zero = 0
    cdef wide below = <wide>c.below
    cdef wide above = <wide>c.above
    cdef wide e = p - y
    f[0] = (above if e > zero else below) * magnitude(e)
    g[0] = above if e > zero else -below if e < zero else e
    h[0] = keep_nan(y, p, zero)


cdef inline void expectile(const Expectile *c, wide y, wide p,
                           wide *f, wide *g, wide *h) noexcept nogil:
    cdef wide zero = 0
    cdef wide e = p - y
    cdef wide weight = <wide>c.above if e > zero else <wide>c.below
    f[0] = weight * e * e
    g[0] = (weight + weight) * e
    h[0] = keep_nan(e, e, weight + weight)


cdef inline void epsilon_insensitive(const EpsilonInsensitive *c, wide y, wide p,
                                     wide *f, wide *g, wide *h) noexcept nogil:
    cdef wide zero = 0
    cdef wide e = p - y
    cdef wide u = positive_part(magnitude(e) - <wide>c.epsilon)
    cdef wide side = sign(e)
    f[0] = u
    g[0] = zero if u == zero else side
    h[0] = keep_nan(y, p, zero)


cdef inline void squared_epsilon_insensitive(const SquaredEpsilonInsensitive *c, wide y, wide p,
                                             wide *f, wide *g, wide *h) noexcept nogil:
    cdef wide zero = 0
    cdef wide two = 2
    cdef wide e = p - y
    cdef wide u = positive_part(magnitude(e) - <wide>c.epsilon)
    f[0] = u * u
    g[0] = two * u * sign(e)
    h[0] = keep_nan(y, p, two if u > zero else zero)


cdef inline void sample_quantile(const QuantileLoss *c, wide y, wide p,
                                 wide *f, wide *g, wide *h) noexcept nogil:
    if QuantileLoss is Pinball:
        pinball(c, y, p, f, g, h)
    elif QuantileLoss is Expectile:
        expectile(c, y, p, f, g, h)
    elif QuantileLoss is EpsilonInsensitive:
        epsilon_insensitive(c, y, p, f, g, h)
    elif QuantileLoss is SquaredEpsilonInsensitive:
        squared_epsilon_insensitive(c, y, p, f, g, h)
