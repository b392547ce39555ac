# cython: language_level=3
"""Losses of labelled distances of pairs, at one sample."""
from fastloss._core.formulas.math cimport keep_nan, wide

cdef struct Contrastive:
    double margin
    double scale        # 1, or 1/2 for the "half" form
    double near_at_0    # label weight of the similar term at y = 0, and by how much it
    double near_slope   # grows with y
    double pos_margin   # 0 when the similar term has none
    double pos_floor    # 0; NaN when the similar term has no margin, and so no floor

cdef struct ContrastiveLinear:
    double margin
    double scale
    double near_at_0
    double near_slope
    double pos_margin
    double pos_floor

ctypedef fused DistanceLoss:
    Contrastive
    ContrastiveLinear


cdef inline void contrastive(const DistanceLoss *c, wide y, wide p,
                             wide *f, wide *g, wide *h) noexcept nogil:
    cdef wide zero = 0
    cdef wide one = 1
    cdef wide floor = <wide>c.pos_floor
    cdef wide scale = <wide>c.scale
    cdef wide twice = scale + scale
    # y and 1 - y, or the reverse, or of labels -1 and 1: without another rounding
    cdef wide near = <wide>c.near_at_0 + <wide>c.near_slope * y
    cdef wide far = (one - <wide>c.near_at_0) - <wide>c.near_slope * y
    cdef wide u = p - <wide>c.pos_margin
    cdef wide v = <wide>c.margin - p
    cdef wide pulls = zero if u <= floor else one
    cdef wide pushes = one if v > zero else zero
    u = floor if u < floor else u
    v = zero if v < zero else v
    u = zero if near == zero else u
    v = zero if far == zero else v
    if DistanceLoss is Contrastive:
        f[0] = scale * (near * u * u + far * v * v)
        g[0] = twice * (near * u - far * v)
        h[0] = keep_nan(y, p, twice * (near * pulls + far * pushes))
    else:
        f[0] = scale * (near * u + far * v)
        g[0] = keep_nan(y, p, scale * (near * pulls - far * pushes))
        h[0] = keep_nan(y, p, zero)


cdef inline void sample_distance(const DistanceLoss *c, wide y, wide p,
                                 wide *f, wide *g, wide *h) noexcept nogil:
    contrastive(c, y, p, f, g, h)
