# cython: language_level=3
"""Losses of a class and its score, at one sample: functions of the margin s z, s = -1 or 1."""
from fastloss._core.formulas.math cimport exp_, keep_nan, positive_part, wide, times

cdef struct Hinge:
    double sign_at_0     # s at label 0, and by how much it grows with the label
    double sign_slope

cdef struct SquaredHinge:
    double sign_at_0
    double sign_slope

cdef struct ModifiedHuber:
    double sign_at_0
    double sign_slope

cdef struct Exponential:
    double up_at_0       # label weight of the class with s = 1
    double up_slope

ctypedef fused MarginLoss:
    Hinge
    SquaredHinge
    ModifiedHuber
    Exponential


cdef inline void hinge(const Hinge *c, wide y, wide p, wide *f, wide *g, wide *h) noexcept nogil:
    cdef wide zero = 0
    cdef wide one = 1
    cdef wide s = <wide>c.sign_at_0 + <wide>c.sign_slope * y
    cdef wide u = one - times(s, p)
    f[0] = keep_nan(y, p, positive_part(u))
    g[0] = keep_nan(y, p, -s if u > zero else zero)
    h[0] = keep_nan(y, p, zero)


cdef inline void squared_hinge(const SquaredHinge *c, wide y, wide p,
                               wide *f, wide *g, wide *h) noexcept nogil:
    cdef wide zero = 0
    cdef wide two = 2
    cdef wide one = 1
    cdef wide s = <wide>c.sign_at_0 + <wide>c.sign_slope * y
    cdef wide u = positive_part(one - times(s, p))
    cdef wide active = zero if u <= zero else one
    cdef wide curvature = two * s * s
    f[0] = keep_nan(y, p, u * u)
    g[0] = keep_nan(y, p, -times(s, two * u))
    h[0] = keep_nan(y, p, curvature * active)


cdef inline void modified_huber(const ModifiedHuber *c, wide y, wide p,
                                wide *f, wide *g, wide *h) noexcept nogil:
    # (1 - m)^2 where the margin m is -1 or more, continued by its tangent -4 m
    cdef wide zero = 0
    cdef wide one = 1
    cdef wide two = 2
    cdef wide four = 4
    cdef wide s = <wide>c.sign_at_0 + <wide>c.sign_slope * y
    cdef wide m = times(s, p)
    cdef wide u = positive_part(one - m)
    f[0] = keep_nan(y, p, -four * m if m < -one else u * u)
    g[0] = keep_nan(y, p, -four * s if m < -one else -two * times(s, u))
    h[0] = keep_nan(y, p, zero if m < -one else zero if u == zero else two * s * s)


cdef inline void exponential(const Exponential *c, wide y, wide p,
                             wide *f, wide *g, wide *h) noexcept nogil:
    cdef wide one = 1
    cdef wide near = <wide>c.up_at_0 + <wide>c.up_slope * y
    cdef wide far = (one - <wide>c.up_at_0) - <wide>c.up_slope * y
    cdef wide falls = times(near, exp_(-p))
    cdef wide rises = times(far, exp_(p))
    f[0] = keep_nan(y, p, falls + rises)
    g[0] = keep_nan(y, p, rises - falls)
    h[0] = f[0]


cdef inline void sample_margin(const MarginLoss *c, wide y, wide p,
                               wide *f, wide *g, wide *h) noexcept nogil:
    if MarginLoss is Hinge:
        hinge(c, y, p, f, g, h)
    elif MarginLoss is SquaredHinge:
        squared_hinge(c, y, p, f, g, h)
    elif MarginLoss is ModifiedHuber:
        modified_huber(c, y, p, f, g, h)
    elif MarginLoss is Exponential:
        exponential(c, y, p, f, g, h)
