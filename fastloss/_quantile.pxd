# cython: language_level=3
"""Losses of the residual e = p - y whose optimum is not the mean, at one sample."""
from fastloss._math cimport keep_nan, magnitude, positive_part, real, sign

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


cdef inline void pinball(const Pinball *c, real y, real p,
                         real *f, real *g, real *h) noexcept nogil:
    cdef real zero = 0
    cdef real below = <real>c.below
    cdef real above = <real>c.above
    cdef real e = p - y
    f[0] = (above if e > zero else below) * magnitude(e)
    g[0] = above if e > zero else -below if e < zero else e
    h[0] = keep_nan(y, p, zero)


cdef inline void expectile(const Expectile *c, real y, real p,
                           real *f, real *g, real *h) noexcept nogil:
    cdef real zero = 0
    cdef real e = p - y
    cdef real weight = <real>c.above if e > zero else <real>c.below
    f[0] = weight * e * e
    g[0] = (weight + weight) * e
    h[0] = keep_nan(e, e, weight + weight)


cdef inline void epsilon_insensitive(const EpsilonInsensitive *c, real y, real p,
                                     real *f, real *g, real *h) noexcept nogil:
    cdef real zero = 0
    cdef real e = p - y
    cdef real u = positive_part(magnitude(e) - <real>c.epsilon)
    cdef real side = sign(e)
    f[0] = u
    g[0] = zero if u == zero else side
    h[0] = keep_nan(y, p, zero)


cdef inline void squared_epsilon_insensitive(const SquaredEpsilonInsensitive *c, real y, real p,
                                             real *f, real *g, real *h) noexcept nogil:
    cdef real zero = 0
    cdef real two = 2
    cdef real e = p - y
    cdef real u = positive_part(magnitude(e) - <real>c.epsilon)
    f[0] = u * u
    g[0] = two * u * sign(e)
    h[0] = keep_nan(y, p, two if u > zero else zero)


cdef inline void sample_quantile(const QuantileLoss *c, real y, real p,
                                 real *f, real *g, real *h) noexcept nogil:
    if QuantileLoss is Pinball:
        pinball(c, y, p, f, g, h)
    elif QuantileLoss is Expectile:
        expectile(c, y, p, f, g, h)
    elif QuantileLoss is EpsilonInsensitive:
        epsilon_insensitive(c, y, p, f, g, h)
    elif QuantileLoss is SquaredEpsilonInsensitive:
        squared_epsilon_insensitive(c, y, p, f, g, h)
