# cython: language_level=3
"""Every pointwise loss at one sample, written once.

A loss is three things in this file, and nothing else in the compiled code:

1. a struct of its parameters, all double, filled by name from Python;
2. an inline function of (parameters, y, p) that gives the element loss f, its
   derivative g = df/dp and second derivative h. A caller that wants fewer of
   the three ignores the rest, and the compiler drops their computation;
3. its line in `Loss`, the list of losses, and in `sample`, the choice among them.

Rules for the functions:

* `real` is float or double. Next to a real, Cython writes any bare literal, 2 as well as
  0.5, as a C double, which turns float arithmetic into double. Constants are typed:
  `cdef real two = 2`, also the 0 in a comparison.
* No early return and no `if` around assignments: `a if c else b` on values, so that
  the loop vectorises.
* A NaN in y or p comes out as NaN, from f, g and h alike. `b if x < b else x` keeps
  a NaN x; what does not depend on y or p arithmetically goes through `keep_nan`.
* A term whose label weight is exactly 0 contributes 0, also where the rest of the
  term is infinite: the factor is replaced, because 0 * inf is NaN.
"""
from libc.math cimport fabs, fabsf

cdef extern from "_simd.h" nogil:
    float fl_logf(float x)
    double fl_log(double x)
    float fl_log1pf(float x)
    double fl_log1p(double x)

ctypedef fused real:
    float
    double


cdef inline real keep_nan(real y, real p, real value) noexcept nogil:
    """`value`, or NaN where y or p is NaN."""
    return value if y == y and p == p else y + p


# ---- losses on distances: contrastive --------------------------------------------------

cdef struct Contrastive:
    double margin
    double scale        # 1, or 1/2 for the "half" form
    double swap         # 0: label 1 is the similar one; 1: label 0 is
    double pos_margin   # 0 when the similar term has none
    double pos_floor    # 0; NaN when the similar term has no margin, and so no floor

cdef struct ContrastiveLinear:
    double margin
    double scale
    double swap
    double pos_margin
    double pos_floor

ctypedef fused ContrastiveForm:
    Contrastive
    ContrastiveLinear


cdef inline void contrastive(const ContrastiveForm *c, real y, real p,
                             real *f, real *g, real *h) noexcept nogil:
    cdef real zero = 0
    cdef real one = 1
    cdef real floor = <real>c.pos_floor
    cdef real scale = <real>c.scale
    cdef real twice = scale + scale
    # label weights y and 1 - y, or the reverse, without another rounding
    cdef real swap = <real>c.swap
    cdef real keep = one - swap
    cdef real near = swap + (keep - swap) * y
    cdef real far = keep + (swap - keep) * y
    cdef real u = p - <real>c.pos_margin
    cdef real v = <real>c.margin - p
    cdef real pulls = zero if u <= floor else one
    cdef real pushes = one if v > zero else zero
    u = floor if u < floor else u
    v = zero if v < zero else v
    u = zero if near == zero else u
    v = zero if far == zero else v
    if ContrastiveForm is Contrastive:
        f[0] = scale * (near * u * u + far * v * v)
        g[0] = twice * (near * u - far * v)
        h[0] = keep_nan(y, p, twice * (near * pulls + far * pushes))
    else:
        f[0] = scale * (near * u + far * v)
        g[0] = keep_nan(y, p, scale * (near * pulls - far * pushes))
        h[0] = keep_nan(y, p, zero)


# ---- losses on probabilities ------------------------------------------------------------

cdef struct Log:
    double eps           # in float64; in float32 it is rounded, or another one by default
    double log_eps       # ln eps and ln(1 - eps); NaN for eps = 0, where only p outside
    double log1m_eps     # [0, 1] gets there
    double eps32
    double log_eps32
    double log1m_eps32
    double clipped       # derivative where clipped: 0; NaN for eps = 0


cdef inline void log_probability(const Log *c, real y, real p,
                                 real *f, real *g, real *h) noexcept nogil:
    # The upper tail is clipped and evaluated by 1 - p, which is exact for p >= 1/2: in
    # float32 the number 1 - 1e-7 does not exist, and a clip at it makes the tails differ.
    # ln(1 - p) is log1p(-p), which keeps its relative accuracy for small p.
    cdef real zero = 0
    cdef real one = 1
    cdef real eps = <real>(c.eps32 if real is float else c.eps)
    cdef real log_eps = <real>(c.log_eps32 if real is float else c.log_eps)
    cdef real log1m_eps = <real>(c.log1m_eps32 if real is float else c.log1m_eps)
    cdef real clipped = <real>c.clipped
    cdef real r = one - p
    cdef real far = one - y
    cdef real log_p = fl_logf(p) if real is float else fl_log(p)
    cdef real log_r = fl_log1pf(-p) if real is float else fl_log1p(-p)
    log_p = log_eps if p < eps else log1m_eps if r < eps else log_p
    log_r = log1m_eps if p < eps else log_eps if r < eps else log_r
    # either is infinite at its end, where the label weight may be 0
    log_p = zero if y == zero else log_p
    log_r = zero if far == zero else log_r
    f[0] = zero - (y * log_p + far * log_r)
    # y / p and (1 - y) / (1 - p) are 0 where the label weight is: never 0 / 0
    cdef real q = one if y == zero else p
    cdef real s = one if far == zero else r
    cdef real g_in = far / s - y / q
    cdef real h_in = y / q / q + far / s / s
    g[0] = keep_nan(y, p, clipped if p < eps else clipped if r < eps else g_in)
    h[0] = keep_nan(y, p, clipped if p < eps else clipped if r < eps else h_in)


cdef inline double factor_probability(const Log *c, real y, real p) noexcept nogil:
    """The clipped probability of the label that came, 0 or 1: its log is minus the loss."""
    cdef double one = 1
    cdef double zero = 0
    cdef double eps = c.eps32 if real is float else c.eps
    cdef double t = one - p if y == zero else <double>p
    t = eps if t < eps else t
    return one - eps + c.clipped if t > one - eps else t     # eps = 0: NaN beyond 1


# ---- losses on the residual p - y -------------------------------------------------------

cdef struct Absolute:
    double unused


cdef inline void absolute(const Absolute *c, real y, real p,
                          real *f, real *g, real *h) noexcept nogil:
    cdef real zero = 0
    cdef real one = 1
    cdef real e = p - y
    f[0] = fabsf(e) if real is float else fabs(e)
    g[0] = one if e > zero else -one if e < zero else e
    h[0] = keep_nan(y, p, zero)


cdef struct Squared:
    double unused


cdef inline void squared(const Squared *c, real y, real p,
                         real *f, real *g, real *h) noexcept nogil:
    cdef real two = 2
    cdef real e = p - y
    f[0] = e * e
    g[0] = two * e
    h[0] = keep_nan(y, p, two)


# ---- the list of losses -----------------------------------------------------------------

ctypedef fused Loss:
    Contrastive
    ContrastiveLinear
    Log
    Absolute
    Squared

# Losses of a label 0 or 1 that are minus the log of a factor in (0, 1], their `log_factor`.
ctypedef fused LossOfFactor:
    Log


cdef inline double log_factor(const LossOfFactor *c, real y, real p) noexcept nogil:
    if LossOfFactor is Log:
        return factor_probability(c, y, p)


cdef inline void sample(const Loss *c, real y, real p, real *f, real *g, real *h) noexcept nogil:
    """Element loss, first and second derivative of the chosen loss."""
    if Loss is Contrastive:
        contrastive(c, y, p, f, g, h)
    elif Loss is ContrastiveLinear:
        contrastive(c, y, p, f, g, h)
    elif Loss is Log:
        log_probability(c, y, p, f, g, h)
    elif Loss is Absolute:
        absolute(c, y, p, f, g, h)
    elif Loss is Squared:
        squared(c, y, p, f, g, h)
