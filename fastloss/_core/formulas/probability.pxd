# cython: language_level=3
"""Losses of labels 0 and 1, or between, and probabilities or logits, at one sample."""
from libc.math cimport NAN

from fastloss._core.formulas.math cimport (exp_negative, exp_product, keep_nan, log1m_half,
                                           log1p_unit, log_, magnitude, times, wide)

cdef struct Log:
    double eps           # in float64; in float32 it is rounded, or another one by default
    double log_eps       # ln eps and ln(1 - eps); NaN for eps = 0, where only p outside
    double log1m_eps     # [0, 1] gets there
    double eps32
    double log_eps32
    double log1m_eps32
    double clipped       # derivative where clipped: 0; NaN for eps = 0
    double pos_weight
    double label_scale   # smoothing: y becomes label_scale y + label_shift
    double label_shift

cdef struct LogLogits:
    double pos_weight
    double label_scale
    double label_shift

cdef struct Focal:
    double gamma
    double alpha

cdef struct FocalSquared:    # gamma = 2, without a power
    double gamma
    double alpha

cdef struct KLDivergence:
    double unused

ctypedef fused ProbabilityLoss:
    Log
    LogLogits
    Focal
    FocalSquared
    KLDivergence

ctypedef fused FocalLoss:
    Focal
    FocalSquared

# Losses that are the log of a factor, or minus it, but for a linear part.
ctypedef fused LossOfFactor:
    Log
    LogLogits


cdef inline wide closer_end(wide p) noexcept nogil:
    """The smaller of p and 1 - p, either exact: 1 - p is, for p >= 1/2."""
    cdef wide half = 0.5
    cdef wide one = 1
    return p if p < half else one - p


cdef inline void clipped_logs(const Log *c, wide p, wide *log_p, wide *log_r) noexcept nogil:
    """ln p and ln(1 - p), clipped."""
    # Clipped by the closer end a: in float32 the number 1 - 1e-7 does not exist, and a clip at
    # it makes the tails differ. The other log is log(1 - a), which keeps its relative accuracy.
    cdef wide half = 0.5
    cdef wide eps = <wide>(c.eps32 if wide is float else c.eps)
    cdef wide log_eps = <wide>(c.log_eps32 if wide is float else c.log_eps)
    cdef wide log1m_eps = <wide>(c.log1m_eps32 if wide is float else c.log1m_eps)
    cdef wide a = closer_end(p)
    cdef wide less = log_(a)
    cdef wide more = log1m_half(a)
    less = log_eps if a < eps else less
    more = log1m_eps if a < eps else more
    log_p[0] = less if p < half else more
    log_r[0] = more if p < half else less


cdef inline wide unless_clipped(const Log *c, wide y, wide p, wide slope) noexcept nogil:
    """A derivative, or what it is where p is clipped; NaN where y or p is."""
    cdef wide eps = <wide>(c.eps32 if wide is float else c.eps)
    cdef wide clipped = <wide>c.clipped + (y - y)
    slope = clipped if closer_end(p) < eps else slope
    return slope if p == p else p


cdef inline void log_probability(const Log *c, wide y, wide p,
                                 wide *f, wide *g, wide *h) noexcept nogil:
    cdef wide zero = 0
    cdef wide one = 1
    cdef wide label = <wide>c.label_scale * y + <wide>c.label_shift
    cdef wide near = <wide>c.pos_weight * label
    cdef wide far = <wide>c.label_scale * (one - y) + <wide>c.label_shift
    cdef wide r = one - p
    cdef wide log_p, log_r
    clipped_logs(c, p, &log_p, &log_r)
    # either is infinite at its end, where the label weight may be 0
    cdef wide cost = zero - (times(near, log_p) + times(far, log_r))
    f[0] = cost if p == p else p
    # y / p and (1 - y) / (1 - p) are 0 where the label weight is: never 0 / 0
    cdef wide down = near / p
    cdef wide up = far / r
    cdef wide down_twice = down / p
    cdef wide up_twice = up / r
    down = zero if near == zero else down
    up = zero if far == zero else up
    down_twice = zero if near == zero else down_twice
    up_twice = zero if far == zero else up_twice
    g[0] = unless_clipped(c, y, p, up - down)
    h[0] = unless_clipped(c, y, p, down_twice + up_twice)


cdef inline void minus_log(const Log *c, wide p, wide *f, wide *g, wide *h) noexcept nogil:
    """The log loss of label 1."""
    cdef wide zero = 0
    cdef wide one = 1
    cdef wide inverse = one / p
    cdef wide log_p, log_r
    clipped_logs(c, p, &log_p, &log_r)
    f[0] = zero - log_p
    g[0] = unless_clipped(c, one, p, -inverse)
    h[0] = unless_clipped(c, one, p, inverse * inverse)


cdef inline double log_probability_factor(const Log *c, wide y, wide p) noexcept nogil:
    """The clipped probability of the label that came, 0 or 1; NaN for soft labels."""
    cdef double one = 1
    cdef double zero = 0
    cdef double eps = c.eps32 if wide is float else c.eps
    cdef double label = y
    cdef double t = one - p if label == zero else <double>p
    t = eps if t < eps else t
    t = one - eps + c.clipped if t > one - eps else t     # eps = 0: NaN beyond 1
    return t if label * label == label else NAN


cdef inline void log_logits(const LogLogits *c, wide y, wide z,
                            wide *f, wide *g, wide *h) noexcept nogil:
    # softplus(z) = max(z, 0) + log1p(e), e = exp(-|z|): sums of terms of one sign
    cdef wide zero = 0
    cdef wide one = 1
    cdef wide label = <wide>c.label_scale * y + <wide>c.label_shift
    cdef wide near = <wide>c.pos_weight * label
    cdef wide far = <wide>c.label_scale * (one - y) + <wide>c.label_shift
    cdef wide size = magnitude(z)
    cdef wide e = exp_negative(-size)
    cdef wide wrong = near if z < zero else far
    cdef wide high = e if z < zero else one      # sigmoid(z) and 1 - it, times 1 + e
    cdef wide low = one if z < zero else e
    cdef wide inverse = one / (one + e)
    f[0] = times(wrong, size) + (near + far) * log1p_unit(e)
    g[0] = (far * high - near * low) * inverse
    h[0] = (near + far) * e / ((one + e) * (one + e))      # rounds less than the inverse


cdef inline double log_logits_factor(const LogLogits *c, wide y, wide z,
                                     double *linear) noexcept nogil:
    cdef wide zero = 0
    cdef wide one = 1
    cdef wide near = <wide>c.label_scale * y + <wide>c.label_shift
    cdef wide far = <wide>c.label_scale * (one - y) + <wide>c.label_shift
    cdef wide size = magnitude(z)
    linear[0] = times(near if z < zero else far, size)
    return <double>one + exp_negative(-size)


cdef inline double log_sign(const LossOfFactor *c) noexcept nogil:
    return -1 if LossOfFactor is Log else 1


cdef inline bint has_factor(const LossOfFactor *c) noexcept nogil:
    """Whether the factor is the whole loss, with these parameters."""
    if LossOfFactor is Log:
        return c.pos_weight == 1 and c.label_shift == 0
    else:
        return c.pos_weight == 1


cdef inline double log_factor(const LossOfFactor *c, wide y, wide p, double *linear) noexcept nogil:
    """Of the loss linear +- log(factor), the factor. It is NaN if that is not the loss."""
    linear[0] = 0
    if LossOfFactor is Log:
        return log_probability_factor(c, y, p)
    else:
        return log_logits_factor(c, y, p, linear)


cdef inline void focal(const FocalLoss *c, wide y, wide z,
                       wide *f, wide *g, wide *h) noexcept nogil:
    # -a q^gamma ln p, with the probabilities p = sigmoid(x) and q = 1 - p of x = s z.
    # ln q = -(max(x, 0) + log1p(e)), e = exp(-|x|), and q^gamma is the exponential of gamma
    # times that, as a product with no rounding of gamma max(x, 0).
    cdef wide zero = 0
    cdef wide half = 0.5
    cdef wide one = 1
    cdef wide two = 2
    cdef wide far = <wide>1e30           # an infinity times 0 would be NaN
    cdef wide gamma = <wide>c.gamma
    cdef wide alpha = <wide>c.alpha
    cdef wide s = two * y - one
    cdef wide weight = y * alpha + (one - y) * (one - alpha)
    cdef wide x = times(s, z)
    x = x if z == z else z
    cdef wide size = magnitude(x)
    cdef wide e = exp_negative(-size)
    cdef wide log1p_e = log1p_unit(e)
    cdef wide inverse = one / (one + e)
    cdef wide p = inverse * (e if x < zero else one)
    cdef wide q = inverse * (one if x < zero else e)
    cdef wide cost = log1p_e + (size if x < zero else zero)        # -ln p
    cdef wide p_cost = p * (far if cost > far else cost)
    cdef wide bounded, power
    if FocalLoss is FocalSquared:
        power = weight * (q * q)
    else:
        bounded = far if x > far else x
        bounded = -far if x < -far else bounded
        # the positive part, in arithmetic: a zero would be worth a branch
        power = weight * exp_product(-c.gamma, half * (bounded + magnitude(bounded)),
                                     -gamma * log1p_e)
    f[0] = times(power, cost)
    g[0] = zero - s * power * (gamma * p_cost + q)
    h[0] = s * s * power * (p * q * (two * gamma + one) - gamma * p_cost * (q - gamma * p))


cdef inline void kl_divergence(const KLDivergence *c, wide y, wide p,
                               wide *f, wide *g, wide *h) noexcept nogil:
    # ln(t / p) as log(u) + d / u, where t / p = u + d: near 1 it is 1 + (t - p) / p, of which
    # t - p is exact.
    cdef wide zero = 0
    cdef wide half = 0.5
    cdef wide one = 1
    cdef wide two = 2
    cdef wide nan = NAN
    cdef wide t = one if y == zero else y
    cdef wide q = p + zero                                   # -0 is 0
    cdef wide ratio = t / q
    cdef wide excess = (t - q) / q
    cdef wide u = one + excess
    cdef wide rest = (excess - (u - one)) / u
    cdef wide slope = y / q
    cdef wide curvature = slope / q
    cdef wide log_ratio
    # elsewhere it is log(ratio)
    u = u if ratio > half else ratio
    rest = rest if ratio > half else zero
    u = u if ratio < two else ratio
    rest = rest if ratio < two else zero
    log_ratio = log_(u) + rest
    log_ratio = nan if q < zero else log_ratio
    slope = zero if y == zero else slope
    curvature = zero if y == zero else curvature
    f[0] = keep_nan(y, p, times(y, log_ratio))
    g[0] = keep_nan(y, p, -slope)
    h[0] = keep_nan(y, p, curvature)


cdef inline void sample_probability(const ProbabilityLoss *c, wide y, wide p,
                                    wide *f, wide *g, wide *h) noexcept nogil:
    if ProbabilityLoss is Log:
        log_probability(c, y, p, f, g, h)
    elif ProbabilityLoss is LogLogits:
        log_logits(c, y, p, f, g, h)
    elif ProbabilityLoss in FocalLoss:
        focal(c, y, p, f, g, h)
    elif ProbabilityLoss is KLDivergence:
        kl_divergence(c, y, p, f, g, h)
