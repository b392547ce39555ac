# cython: language_level=3
"""Likelihoods of counts and amounts, at one sample."""
from libc.math cimport INFINITY

from fastloss._core.formulas.math cimport exp_, exp_product, keep_nan, log_, times, wide

cdef struct Poisson:
    double unused

cdef struct PoissonLogInput:
    double unused

cdef struct Gamma:
    double unused

cdef struct Tweedie:
    double rise          # 2 - power
    double fall          # 1 - power

ctypedef fused RateLoss:
    Poisson
    PoissonLogInput
    Gamma
    Tweedie


cdef inline void poisson(const Poisson *c, wide y, wide p,
                         wide *f, wide *g, wide *h) noexcept nogil:
    cdef wide zero = 0
    cdef wide one = 1
    cdef wide inf = INFINITY
    cdef wide ratio = y / p
    cdef wide cost = (p + zero) - times(y, log_(p))
    cdef wide curvature = ratio / p
    ratio = zero if y == zero else ratio
    curvature = zero if y == zero else curvature
    f[0] = keep_nan(y, p, p if p == inf else cost)
    g[0] = keep_nan(y, p, one - ratio)
    h[0] = keep_nan(y, p, curvature)


cdef inline void poisson_log_input(const PoissonLogInput *c, wide y, wide z,
                                   wide *f, wide *g, wide *h) noexcept nogil:
    # the logarithm of the largest number: beyond it the rate is infinite
    cdef wide largest = 88.72283 if wide is float else 709.782712893384
    cdef wide rate = exp_(z)
    cdef wide cost = rate - times(y, z)
    cdef wide infinite = rate + (y - y)                 # a NaN label stays
    f[0] = infinite if z > largest else cost
    g[0] = rate - y
    h[0] = keep_nan(y, z, rate)


cdef inline void gamma(const Gamma *c, wide y, wide z,
                       wide *f, wide *g, wide *h) noexcept nogil:
    cdef wide one = 1
    cdef wide inf = INFINITY
    cdef wide ratio = times(y, exp_(-z))
    f[0] = keep_nan(y, z, ratio if ratio == inf else z + ratio)
    g[0] = keep_nan(y, z, one - ratio)
    h[0] = keep_nan(y, z, ratio)


cdef inline void tweedie(const Tweedie *c, wide y, wide z,
                         wide *f, wide *g, wide *h) noexcept nogil:
    cdef wide zero = 0
    cdef wide rise = <wide>c.rise
    cdef wide fall = <wide>c.fall
    cdef wide rising = exp_product(c.rise, z, zero)
    cdef wide falling = times(y, exp_product(c.fall, z, zero))
    f[0] = keep_nan(y, z, rising / rise - falling / fall)
    g[0] = keep_nan(y, z, rising - falling)
    h[0] = keep_nan(y, z, rise * rising - fall * falling)


cdef inline void sample_rate(const RateLoss *c, wide y, wide p,
                             wide *f, wide *g, wide *h) noexcept nogil:
    if RateLoss is Poisson:
        poisson(c, y, p, f, g, h)
    elif RateLoss is PoissonLogInput:
        poisson_log_input(c, y, p, f, g, h)
    elif RateLoss is Gamma:
        gamma(c, y, p, f, g, h)
    elif RateLoss is Tweedie:
        tweedie(c, y, p, f, g, h)
