# cython: language_level=3
"""Losses of relative errors: deviances, logarithms, percentages; at one sample."""
from libc.float cimport DBL_MIN
from libc.math cimport INFINITY, NAN

from fastloss._core.formulas.math cimport (artanh_tail, exp_, exp_product, fl_exp_rest, fl_log_rest,
                                           keep_nan, least_normal, log1p_, log_, magnitude, sign,
                                           times, wide)

cdef struct PoissonDeviance:
    double unused

cdef struct GammaDeviance:
    double unused

cdef struct PowerDeviance:
    double power
    double second        # 1 for the second form of phi, 0 for the first
    double inner         # a and b in the first form, b and a in the second
    double outer

cdef struct SquaredLog:
    double unused

cdef struct AbsolutePercentage:
    double eps

ctypedef fused high:
    double
    long double

ctypedef fused RelativeLoss:
    PoissonDeviance
    GammaDeviance
    PowerDeviance
    SquaredLog
    AbsolutePercentage


# Deviances cancel where y and p are close. With v = (y - p) / (y + p), ln(y / p) is
# 2 v + v T(v^2) for v^2 <= 0.1, and the terms of first order drop out on paper.

cdef inline void poisson_deviance(const PoissonDeviance *c, wide y, wide p,
                                  wide *f, wide *g, wide *h) noexcept nogil:
    cdef wide zero = 0
    cdef wide one = 1
    cdef wide two = 2
    cdef wide near = <wide>0.1
    cdef wide q = p + zero               # -0 is 0
    cdef wide v = (y - q) / (y + q)
    cdef wide close = (y - q) * v + y * v * artanh_tail(v * v)
    cdef wide ratio = y / q
    cdef wide apart = times(y, log_(ratio)) - (y - q)
    cdef wide slope = (q - y) / q
    cdef wide curvature = ratio / q
    slope = one if y == zero else slope
    curvature = zero if y == zero else curvature
    f[0] = keep_nan(y, p, two * (close if v * v < near else apart))
    g[0] = keep_nan(y, p, two * slope)
    h[0] = keep_nan(y, p, two * curvature)


cdef inline void gamma_deviance(const GammaDeviance *c, wide y, wide p,
                                wide *f, wide *g, wide *h) noexcept nogil:
    cdef wide zero = 0
    cdef wide one = 1
    cdef wide two = 2
    cdef wide inf = INFINITY
    cdef wide nan = NAN
    cdef wide near = <wide>0.1
    cdef wide q = p + zero               # -0 is 0
    cdef wide v = (y - q) / (y + q)
    cdef wide excess = (y - q) / q
    cdef wide close = v * excess - v * artanh_tail(v * v)
    cdef wide ratio = y / q
    cdef wide apart = (ratio - one) - log_(ratio)
    apart = ratio if ratio == inf else apart
    apart = nan if (ratio < least_normal(one)) & (ratio > zero) else apart
    f[0] = keep_nan(y, p, two * (close if v * v < near else apart))
    g[0] = keep_nan(y, p, -two * (excess / q))
    h[0] = keep_nan(y, p, two * ((two * y - q) / q / q / q))


cdef inline high log_rest(high x, high log) noexcept nogil:
    """What the logarithm of x lacks."""
    return fl_log_rest(x, log) if high is double else 0


cdef inline high quadratic_rest(high x) noexcept nogil:
    """(e^x - 1 - x) / x^2."""
    cdef high least = 1
    cdef high close = fl_exp_rest(<double>x)
    cdef high apart = ((exp_(x) - least) - x) / (x * x)
    return close if x * x < least else apart


cdef inline void high_deviance(const PowerDeviance *c, high y, high p,
                               high *f, high *g, high *h) noexcept nogil:
    # With a = 2 - power, b = a - 1, r = y / p and x = ln r, half
    # the deviance is p^a phi, with phi = ((r^a - 1) / a - (r - 1)) / b or, for b close to 0, where
    # that cancels, phi = (r (r^b - 1) / b - (r - 1)) / a. In these (r^k - 1) / k is
    # x + k x^2 R(k x), R(x) = (e^x - 1 - x) / x^2, and where y and p are close, the terms of first
    # order drop out on paper. Powers are exponentials of logarithms of twice the digits.
    cdef high zero = 0
    cdef high one = 1
    cdef high two = 2
    cdef high half = 0.5
    cdef high near = 0.1
    cdef high inf = INFINITY
    cdef high nan = NAN
    cdef high least = DBL_MIN
    cdef high a = two - c.power
    cdef high b = one - c.power
    cdef high k = c.inner
    cdef high of_second = c.second
    cdef high of_first = one - of_second
    cdef high mean = p + zero                     # -0 is 0
    cdef high target = y
    cdef high base = half * (target + magnitude(target))
    cdef high log_mean = log_(mean)
    cdef high log_base = log_(base)
    cdef high mean_rest = log_rest(mean, log_mean)
    cdef high mean_a = exp_product(a, log_mean, a * mean_rest)
    cdef high mean_b = exp_product(b, log_mean, b * mean_rest)
    cdef high base_a = exp_product(a, log_base, a * log_rest(base, log_base))
    cdef high r = target / mean
    cdef high v = (target - mean) / (target + mean)
    cdef high x_close = two * v + v * artanh_tail(v * v)
    cdef high x_apart = log_(r)
    cdef high x = x_close if v * v < near else x_apart
    cdef high rest = quadratic_rest(x)
    cdef high rest_k = quadratic_rest(k * x)
    cdef high second_close = (one + (x - one) * rest) + b * r * rest_k
    cdef high first_close = a * rest_k - rest
    cdef high bend = of_second * second_close + of_first * first_close
    cdef high close = times(x * x * bend / c.outer, mean_a)
    cdef high growth = x + k * x * x * rest_k
    cdef high less = mean_a * (((of_first + of_second * r) * growth - (r - one)) / c.outer)
    cdef high apart = base_a / (a * b) - times(target, mean_b) / b + mean_a / a
    cdef high largest = (base_a + mean_a) + times(target, mean_b)
    cdef high slope = two * exp_product(-c.power, log_mean, -c.power * mean_rest)
    # squares: the compiler would branch on the comparison that `quadratic_rest` makes
    apart = inf if largest == inf else apart        # else inf - inf
    apart = less if (k * x) * (k * x) < one else apart
    if high is double:
        apart = nan if (r == inf) | ((r < least) & (target > zero) & (mean < inf)) else apart
        apart = nan if (mean_b < least) & (mean < inf) else apart
        slope = nan if (slope < least) & (mean < inf) else slope     # without all its digits
    f[0] = keep_nan(target, mean, two * (close if x * x < one else apart))
    g[0] = keep_nan(target, mean, times(mean - target, slope))
    h[0] = keep_nan(target, mean, slope * (one + c.power * ((target - mean) / mean)))


cdef inline void power_deviance(const PowerDeviance *c, wide y, wide p,
                                wide *f, wide *g, wide *h) noexcept nogil:
    # at least in double, whatever the input
    cdef double cost64, slope64, curvature64
    if wide is longdouble:
        high_deviance[longdouble](c, y, p, f, g, h)
    else:
        high_deviance[double](c, y, p, &cost64, &slope64, &curvature64)
        f[0] = <wide>cost64
        g[0] = <wide>slope64
        h[0] = <wide>curvature64


cdef inline void squared_log(const SquaredLog *c, wide y, wide p,
                             wide *f, wide *g, wide *h) noexcept nogil:
    # ln(1 + p) - ln(1 + y) = +- ln(1 + |p - y| / (1 + min(p, y))): nothing cancels
    cdef wide zero = 0
    cdef wide one = 1
    cdef wide two = 2
    cdef wide nan = NAN
    cdef wide e = p - y
    cdef wide least = one + (y if e > zero else p)
    cdef wide size = log1p_(magnitude(e) / (least if least >= zero else nan))
    cdef wide d = size if e >= zero else -size
    cdef wide r = one + p
    f[0] = keep_nan(y, p, d * d)
    g[0] = keep_nan(y, p, two * d / r)
    h[0] = keep_nan(y, p, two * (one - d) / r / r)


cdef inline void absolute_percentage(const AbsolutePercentage *c, wide y, wide p,
                                     wide *f, wide *g, wide *h) noexcept nogil:
    cdef wide zero = 0
    cdef wide one = 1
    cdef wide e = p - y
    cdef wide size = magnitude(y)
    size = <wide>c.eps if size < <wide>c.eps else size
    f[0] = magnitude(e) / size
    g[0] = keep_nan(y, p, sign(e) * (one / size))
    h[0] = keep_nan(y, p, zero)


cdef inline void sample_relative(const RelativeLoss *c, wide y, wide p,
                                 wide *f, wide *g, wide *h) noexcept nogil:
    if RelativeLoss is PoissonDeviance:
        poisson_deviance(c, y, p, f, g, h)
    elif RelativeLoss is GammaDeviance:
        gamma_deviance(c, y, p, f, g, h)
    elif RelativeLoss is PowerDeviance:
        power_deviance(c, y, p, f, g, h)
    elif RelativeLoss is SquaredLog:
        squared_log(c, y, p, f, g, h)
    elif RelativeLoss is AbsolutePercentage:
        absolute_percentage(c, y, p, f, g, h)
