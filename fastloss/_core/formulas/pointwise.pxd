# cython: language_level=3
"""Every pointwise loss at one sample, written once, one file per family.

A loss is three things in the file of its family, and nothing else in the compiled code:

1. a struct of its parameters, all double, filled by name from Python;
2. an inline function of (parameters, y, p) that gives the element loss f, its
   derivative g = df/dp and second derivative h. A caller that wants fewer of
   the three ignores the rest, and the compiler drops their computation;
3. its line in the family's list of losses and in the family's `sample`.

Rules for the functions:

* `wide` is float, double or long double. Next to it, Cython writes any bare literal, 2 as well
  as 0.5, as a C double, which turns float arithmetic into double. Constants are typed:
  `cdef wide two = 2`, also the 0 in a comparison.
* What passes the range of the type on its way to a result that does not, comes out infinite or
  NaN, and the loss is in the list `Overflowing`: the kernels then compute that result again in a
  type of a larger range. Where it would come out as a number, merely a wrong one, the function
  makes it NaN.
* No early return and no `if` around assignments: `a if c else b` on values, so that
  the loop vectorises. What takes more than an operation or two is computed first and
  chosen by name: the compiler makes branches of long alternatives, and of those it can
  simplify, such as a division of a number that is 0 on that side.
* A NaN in y or p comes out as NaN, from f, g and h alike. `b if x < b else x` keeps
  a NaN x; what does not depend on y or p arithmetically goes through `keep_nan`.
* A term whose label weight is exactly 0 contributes 0, also where the rest of the
  term is infinite: `times`, because 0 * inf is NaN.
"""
from fastloss._core.jobs cimport Bound
from fastloss._core.formulas.math cimport any_special, real, wide
from fastloss._core.formulas.distance cimport DistanceLoss, sample_distance
from fastloss._core.formulas.margin cimport Exponential, MarginLoss, sample_margin
from fastloss._core.formulas.probability cimport KLDivergence, ProbabilityLoss, sample_probability
from fastloss._core.formulas.quantile cimport QuantileLoss, sample_quantile
from fastloss._core.formulas.rate cimport Gamma, RateLoss, Tweedie, sample_rate
from fastloss._core.formulas.relative cimport RelativeLoss, sample_relative
from fastloss._core.formulas.residual cimport ResidualLoss, sample_residual

ctypedef fused Loss:
    DistanceLoss
    MarginLoss
    ProbabilityLoss
    QuantileLoss
    RateLoss
    RelativeLoss
    ResidualLoss

# Losses whose results may pass the range on the way though the exact ones do not.
ctypedef fused Overflowing:
    Exponential
    KLDivergence
    Gamma
    Tweedie
    RelativeLoss


cdef inline void sample(const Loss *c, wide y, wide p, wide *f, wide *g, wide *h) noexcept nogil:
    """Element loss, first and second derivative of the chosen loss."""
    if Loss in DistanceLoss:
        sample_distance[Loss, wide](c, y, p, f, g, h)
    elif Loss in MarginLoss:
        sample_margin[Loss, wide](c, y, p, f, g, h)
    elif Loss in ProbabilityLoss:
        sample_probability[Loss, wide](c, y, p, f, g, h)
    elif Loss in QuantileLoss:
        sample_quantile[Loss, wide](c, y, p, f, g, h)
    elif Loss in RateLoss:
        sample_rate[Loss, wide](c, y, p, f, g, h)
    elif Loss in RelativeLoss:
        sample_relative[Loss, wide](c, y, p, f, g, h)
    elif Loss in ResidualLoss:
        sample_residual[Loss, wide](c, y, p, f, g, h)


cdef inline void mend_values(const Bound *loss, Py_ssize_t n, const real *y, const real *p,
                             real *f) noexcept nogil:
    """Compute those values again that are infinite or NaN, if the loss may overflow on the way."""
    if real is float:
        if loss.mend32 != NULL and any_special(n, f):
            loss.mend32(loss.parameters, 1, n, y, p, f, NULL, NULL, 0)
    else:
        if loss.mend64 != NULL and any_special(n, f):
            loss.mend64(loss.parameters, 1, n, y, p, f, NULL, NULL, 0)
