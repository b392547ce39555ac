"""Losses of relative errors: deviances, logarithms, percentages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastloss._base import (
    ABOVE_MINUS_ONE,
    AMOUNTS,
    COUNTS,
    REALS,
    REDUCTION,
    ElementLoss,
    Interval,
    Reduction,
)
from fastloss._curvature import Bound, weighted_quantile
from fastloss._functions import function_of
from fastloss._parameters import number, outside, parameter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

__all__ = [
    "AbsolutePercentageLoss",
    "SquaredLogLoss",
    "TweedieDevianceLoss",
    "absolute_percentage_loss",
    "squared_log_loss",
    "tweedie_deviance_loss",
]


@dataclass(frozen=True, kw_only=True)
class TweedieDevianceLoss(ElementLoss):
    r"""Tweedie deviance of predicted means, 0 for a perfect prediction.

    .. math:: l(y, p) = 2 \left(\frac{\max(y, 0)^{2 - k}}{(1 - k)(2 - k)}
              - \frac{y p^{1 - k}}{1 - k} + \frac{p^{2 - k}}{2 - k}\right)

    and its limits 2 (y ln(y / p) - y + p) at k = 1, the Poisson deviance, and
    2 (ln(p / y) + y / p - 1) at k = 2, the gamma deviance. At k = 0 it is the squared loss.

    Parameters
    ----------
    power : float <= 0 or >= 1, default 0.0
        The power k of the mean that the variance is proportional to.
    reduction : {"mean", "sum", "none", "sum_over_batch_size"}, default "mean"
        See `ContrastiveLoss`.

    Notes
    -----
    Derivatives: g = 2 (p - y) p^(-k), h = 2 p^(-k) (1 + k (y - p) / p). Means must be positive for
    k other than 0, targets >= 0 for 1 <= k < 2 and positive for k >= 2; elsewhere the result is
    what the formula gives, or NaN. Nothing cancels where y and p are close. Powers other than 0,
    1 and 2 are computed in float64. Rounding: l, g and h are within 14, 6 and 6 ULP, h of its
    larger term where the two cancel.

    References
    ----------
    B. Jorgensen, "Exponential Dispersion Models", J. R. Stat. Soc. B 49, 1987,
    doi:10.1111/j.2517-6161.1987.tb01685.x.

    Examples
    --------
    >>> print(f"{TweedieDevianceLoss(power=1)([0.0, 2.0], [1.0, 1.0]):.6f}")
    1.386294
    """

    power: float = parameter(0.0, outside(0, 1))
    reduction: Reduction = parameter("mean", REDUCTION)

    prediction = "rate"
    convex = False

    def _domains(self) -> tuple[Interval, Interval]:
        targets = REALS if self.power <= 0 else COUNTS if self.power < 2 else AMOUNTS
        return targets, REALS if self.power == 0 else AMOUNTS

    def _for_scores(self) -> str:
        if 1 <= self.power <= 2:
            like = {1.0: "PoissonLoss()", 2.0: "GammaLoss()"}.get(
                self.power, f"TweedieLoss(power={self.power})")
            return f"use {like}, of logarithms of means"
        return "use a formula of your own of the logarithm z of the mean, with exp(z) for it"

    def _best_constant(self, y: Array, w: Any) -> float:
        return float(np.average(y, weights=w))

    def _kernel_parameters(self) -> tuple[str, dict[str, float]]:
        named = {0.0: "Squared", 1.0: "PoissonDeviance", 2.0: "GammaDeviance"}.get(self.power)
        if named:
            return named, {"unused": 0.0}
        a, b = 2 - self.power, 1 - self.power
        second = 0.5 < a < 1
        return "PowerDeviance", {
            "power": self.power,
            "second": float(second),
            "inner": b if second else a,
            "outer": a if second else b,
        }


@dataclass(frozen=True, kw_only=True)
class SquaredLogLoss(ElementLoss):
    r"""Squared logarithmic loss: of relative errors, for targets over several orders of magnitude.

    .. math:: l(y, p) = (\ln(1 + p) - \ln(1 + y))^2

    Parameters
    ----------
    reduction : {"mean", "sum", "none", "sum_over_batch_size"}, default "mean"
        See `ContrastiveLoss`.

    Notes
    -----
    With d = ln(1 + p) - ln(1 + y), which is computed without cancellation. Derivatives:
    g = 2 d / (1 + p), h = 2 (1 - d) / (1 + p)². Numbers below -1 give NaN. Keras'
    ``MeanSquaredLogarithmicError`` clips at 1e-7 first. Rounding: l, g and h are within 6, 6 and
    6 ULP, h of its larger term where the two cancel.

    References
    ----------
    The mean squared logarithmic error of Keras and scikit-learn.

    Examples
    --------
    >>> print(f"{SquaredLogLoss()([0.0, 1.0], [1.0, 3.0]):.6f}")
    0.480453
    """

    reduction: Reduction = parameter("mean", REDUCTION)

    prediction = "number"
    convex = False

    def _domains(self) -> tuple[Interval, Interval]:
        return ABOVE_MINUS_ONE, ABOVE_MINUS_ONE

    def _for_scores(self) -> str:
        return ("use SquaredLoss() with numpy.log1p(y) for labels, and numpy.expm1 of what the "
                "model predicts")

    def _kernel_parameters(self) -> tuple[str, dict[str, float]]:
        return "SquaredLog", {"unused": 0.0}


@dataclass(frozen=True, kw_only=True)
class AbsolutePercentageLoss(ElementLoss):
    r"""Absolute error relative to the target, as a fraction: 0.1 is ten percent.

    .. math:: l(y, p) = |p - y| / \max(|y|, \epsilon)

    Parameters
    ----------
    eps : float > 0, default 2.220446049250313e-16
        Least size of the target that is divided by; the default is scikit-learn's.
    reduction : {"mean", "sum", "none", "sum_over_batch_size"}, default "mean"
        See `ContrastiveLoss`.

    Notes
    -----
    Derivatives: g = sign(p - y) / max(|y|, eps), 0 at p = y; h = 0. Keras'
    ``MeanAbsolutePercentageError`` is 100 times this with ``eps=1e-7``.

    References
    ----------
    A. de Myttenaere et al., "Mean Absolute Percentage Error for Regression Models",
    Neurocomputing 192, 2016, arXiv:1605.02541.

    Examples
    --------
    >>> AbsolutePercentageLoss()([2.0, -4.0], [1.0, -5.0])
    0.375
    """

    eps: float = parameter(2.220446049250313e-16, number(low=0, open_low=True))
    reduction: Reduction = parameter("mean", REDUCTION)

    prediction = "number"
    curvature = "flat"

    @property
    def _newton_bound(self) -> Bound:  # type: ignore[override]
        # the absolute loss of p / unit: what is near to a target depends on its size
        return Bound("half jump over residual", unit=self.eps)

    def _kernel_parameters(self) -> tuple[str, dict[str, float]]:
        return "AbsolutePercentage", {"eps": self.eps}

    def _best_constant(self, y: Array, w: Any) -> float:
        share = (1.0 if w is None else w) / np.maximum(np.abs(y), self.eps)
        return weighted_quantile(y, 0.5, share)


if TYPE_CHECKING:
    from fastloss._functions import (
        absolute_percentage_loss,
        squared_log_loss,
        tweedie_deviance_loss,
    )
else:
    tweedie_deviance_loss = function_of(
        TweedieDevianceLoss,
        "Tweedie deviance: mean of the deviance of predicted means p, of variance p^power.",
        y_true="Targets.",
        y_pred="Predicted means.",
    )
    squared_log_loss = function_of(
        SquaredLogLoss,
        "Squared logarithmic loss: mean of (ln(1 + p) - ln(1 + y))².",
        y_true="Targets > -1.",
        y_pred="Predictions > -1.",
    )
    absolute_percentage_loss = function_of(
        AbsolutePercentageLoss,
        "Absolute percentage loss: mean of |p - y| / max(|y|, eps), as a fraction.",
    )
