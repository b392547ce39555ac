# cython: language_level=3
"""Losses of the residual e = p - y, at one sample."""
from fastloss._core.formulas.math cimport (exp_negative, expm1_negative, keep_nan, log1p_unit,
                                           magnitude, sign, sqrt_, wide)

cdef struct Absolute:
    double unused

cdef struct Squared:
    double unused

cdef struct Huber:
    double delta

cdef struct PseudoHuber:
    double delta

cdef struct LogCosh:
    double unused

ctypedef fused ResidualLoss:
    Absolute
    Squared
    Huber
    PseudoHuber
    LogCosh


cdef inline void absolute(const Absolute *c, wide y, wide p,
                          wide *f, wide *g, wide *h) noexcept nogil:
    cdef wide zero = 0
    cdef wide e = p - y
    f[0] = magnitude(e)
    g[0] = sign(e)
    h[0] = keep_nan(y, p, zero)


cdef inline void squared(const Squared *c, wide y, wide p,
                         wide *f, wide *g, wide *h) noexcept nogil:
    cdef wide two = 2
    cdef wide e = p - y
    f[0] = e * e
    g[0] = two * e
    h[0] = keep_nan(y, p, two)


cdef inline void huber(const Huber *c, wide y, wide p, wide *f, wide *g, wide *h) noexcept nogil:
    cdef wide zero = 0
    cdef wide half = 0.5
    cdef wide one = 1
    cdef wide delta = <wide>c.delta
    cdef wide e = p - y
    cdef wide size = magnitude(e)
    f[0] = delta * (size - half * delta) if size > delta else half * e * e
    g[0] = delta if e > delta else -delta if e < -delta else e
    h[0] = keep_nan(e, e, zero if size > delta else one)


cdef inline void pseudo_huber(const PseudoHuber *c, wide y, wide p,
                              wide *f, wide *g, wide *h) noexcept nogil:
    # delta^2 (s - 1) = e^2 / (1 + s), s = sqrt(1 + (e / delta)^2): keeps small e. Far out the
    # square may overflow, and s is |e| / delta.
    cdef wide one = 1
    cdef wide far = <wide>1e17
    cdef wide delta = <wide>c.delta
    cdef wide e = p - y
    cdef wide size = magnitude(e)
    cdef wide ratio = size / delta
    cdef wide square = one + ratio * ratio
    cdef wide s = sqrt_(square)
    f[0] = delta * size if ratio > far else size * (size / (one + s))
    g[0] = delta * sign(e) if ratio > far else e / s
    h[0] = one / square / s


cdef inline void log_cosh(const LogCosh *c, wide y, wide p,
                          wide *f, wide *g, wide *h) noexcept nogil:
    # With a = |e|, m = e^-a - 1 and t = e^-2a: ln cosh e is log1p(t) + a - ln 2 and, for small
    # a, log1p(2 sinh(a / 2)^2), in which 2 sinh(a / 2)^2 = m^2 / (2 (1 + m)).
    cdef wide zero = 0
    cdef wide half = 0.5
    cdef wide one = 1
    cdef wide two = 2
    cdef wide four = 4
    cdef wide log_2 = <wide>0.69314718055994530942
    cdef wide e = p - y
    cdef wide a = magnitude(e)
    cdef wide m = expm1_negative(-a)
    cdef wide k = one + m
    cdef wide small = half * m * m / k
    cdef wide decay = exp_negative(-a)
    decay = decay * decay
    f[0] = log1p_unit(small if a < one else k * k) + (zero if a < one else a - log_2)
    g[0] = sign(e) * (-m * (two + m) / (one + k * k))
    h[0] = four * decay / ((one + decay) * (one + decay))


cdef inline void sample_residual(const ResidualLoss *c, wide y, wide p,
                                 wide *f, wide *g, wide *h) noexcept nogil:
    if ResidualLoss is Absolute:
        absolute(c, y, p, f, g, h)
    elif ResidualLoss is Squared:
        squared(c, y, p, f, g, h)
    elif ResidualLoss is Huber:
        huber(c, y, p, f, g, h)
    elif ResidualLoss is PseudoHuber:
        pseudo_huber(c, y, p, f, g, h)
    elif ResidualLoss is LogCosh:
        log_cosh(c, y, p, f, g, h)
