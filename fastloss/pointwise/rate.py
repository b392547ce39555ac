"""Likelihoods of counts and amounts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastloss._base import (
    AMOUNTS,
    COUNTS,
    REALS,
    REDUCTION,
    ElementLoss,
    Interval,
    Prediction,
    Reduction,
)
from fastloss._curvature import Bound
from fastloss._functions import function_of
from fastloss._parameters import flag, number, parameter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

__all__ = [
    "GammaLoss",
    "PoissonLoss",
    "TweedieLoss",
    "gamma_loss",
    "poisson_loss",
    "tweedie_loss",
]

# nearer than that the exact one is as good, and rounding is not divided by rounding
TOWARD_LOGARITHM = Bound("slope over distance to logarithm", least=1e-3)


class _RateLoss(ElementLoss):
    """A loss of the logarithm of a mean, which costs least at the logarithm of the target."""

    _newton_bound = TOWARD_LOGARITHM

    @property
    def prediction(self) -> Prediction:
        """The meaning of a prediction."""
        return "log-rate"

    def _best_constant(self, y: Array, w: Any) -> float:
        mean = max(float(np.average(y, weights=w)), 1e-15)
        return mean if self.prediction == "rate" else math.log(mean)


@dataclass(frozen=True, kw_only=True)
class PoissonLoss(_RateLoss):
    """Poisson negative log-likelihood of counts, without the term in y alone.

    .. math:: l(y, z) = e^z - y z

    of the logarithm z of the rate; of the rate p itself, with ``log_input=False``, p - y ln p.

    Parameters
    ----------
    log_input : {True, False}, default True
        Whether `y_pred` holds logarithms of rates, or rates >= 0.
    reduction : {"mean", "sum", "none", "sum_over_batch_size"}, default "mean"
        See `ContrastiveLoss`.

    Notes
    -----
    Derivatives: g = e^z - y, h = e^z; of the rate: g = 1 - y / p, h = y / p².
    A term with y = 0 is 0. Infinite predictions: the limit, so l = inf at z = inf. torch's
    ``PoissonNLLLoss`` adds 1e-8 to p; the Poisson deviance is 2 (l - l at p = y).

    References
    ----------
    P. McCullagh, J. A. Nelder, "Generalized Linear Models", 2nd ed., Chapman and Hall 1989.

    Examples
    --------
    >>> PoissonLoss().value_and_grad([0, 2], [0.0, 0.0])
    (1.0, array([ 0.5, -0.5]))
    """

    log_input: bool = parameter(True, flag)
    reduction: Reduction = parameter("mean", REDUCTION)

    _score_option = "log_input"

    @property
    def prediction(self) -> Prediction:
        """The meaning of a prediction."""
        return "log-rate" if self.log_input else "rate"

    def _domains(self) -> tuple[Interval, Interval]:
        return COUNTS, REALS if self.log_input else COUNTS

    def _for_scores(self) -> str:
        return "use PoissonLoss(), of logarithms of rates"

    def _kernel_parameters(self) -> tuple[str, dict[str, float]]:
        return "PoissonLogInput" if self.log_input else "Poisson", {"unused": 0.0}


@dataclass(frozen=True, kw_only=True)
class GammaLoss(_RateLoss):
    """Gamma negative log-likelihood of positive amounts, with a log link.

    .. math:: l(y, z) = z + y e^{-z}

    z is the logarithm of the predicted mean; terms in y alone are left out.

    Parameters
    ----------
    reduction : {"mean", "sum", "none", "sum_over_batch_size"}, default "mean"
        See `ContrastiveLoss`.

    Notes
    -----
    Derivatives: g = 1 - y e^(-z), h = y e^(-z). Infinite z: the limit, inf on both sides.
    XGBoost's ``reg:gamma`` and LightGBM's ``gamma`` have these derivatives.

    References
    ----------
    P. McCullagh, J. A. Nelder, "Generalized Linear Models", 2nd ed., Chapman and Hall 1989.

    Examples
    --------
    >>> GammaLoss().value_and_grad([1.0, 3.0], [0.0, 0.0])
    (2.0, array([ 0., -1.]))
    """

    reduction: Reduction = parameter("mean", REDUCTION)

    def _domains(self) -> tuple[Interval, Interval]:
        return AMOUNTS, REALS

    def _kernel_parameters(self) -> tuple[str, dict[str, float]]:
        return "Gamma", {"unused": 0.0}


@dataclass(frozen=True, kw_only=True)
class TweedieLoss(_RateLoss):
    r"""Tweedie negative log-likelihood of amounts with zeros, with a log link.

    .. math:: l(y, z) = \frac{e^{(2 - k) z}}{2 - k} - y \frac{e^{(1 - k) z}}{1 - k}

    z is the logarithm of the predicted mean; terms in y alone are left out.

    Parameters
    ----------
    power : float in (1, 2), default 1.5
        The power k of the mean that the variance is proportional to.
    reduction : {"mean", "sum", "none", "sum_over_batch_size"}, default "mean"
        See `ContrastiveLoss`.

    Notes
    -----
    Derivatives: g = e^((2 - k) z) - y e^((1 - k) z),
    h = (2 - k) e^((2 - k) z) - (1 - k) y e^((1 - k) z). They tend to those of the Poisson and the
    gamma loss as k goes to 1 and 2; the losses then differ by a term in y alone. Infinite z: the
    limit. Exponents are computed to twice the digits.

    References
    ----------
    B. Jorgensen, "Exponential Dispersion Models", J. R. Stat. Soc. B 49, 1987,
    doi:10.1111/j.2517-6161.1987.tb01685.x.

    Examples
    --------
    >>> TweedieLoss().value_and_grad([0.0, 2.0], [0.0, 0.0])
    (4.0, array([ 0.5, -0.5]))
    """

    power: float = parameter(1.5, number(low=1, high=2, open_low=True, open_high=True))
    reduction: Reduction = parameter("mean", REDUCTION)

    def _domains(self) -> tuple[Interval, Interval]:
        return COUNTS, REALS

    def _kernel_parameters(self) -> tuple[str, dict[str, float]]:
        return "Tweedie", {"rise": 2 - self.power, "fall": 1 - self.power}


if TYPE_CHECKING:
    from fastloss._functions import gamma_loss, poisson_loss, tweedie_loss
else:
    poisson_loss = function_of(
        PoissonLoss,
        "Poisson loss: mean of e^z - y z, or of p - y ln p.",
        y_true="Counts, or amounts >= 0.",
        y_pred="Logarithms of rates, or rates.",
    )
    gamma_loss = function_of(
        GammaLoss,
        "Gamma loss: mean of z + y e^(-z).",
        y_true="Positive amounts.",
        y_pred="Logarithms of predicted means.",
    )
    tweedie_loss = function_of(
        TweedieLoss,
        "Tweedie loss: mean of e^((2 - k) z) / (2 - k) - y e^((1 - k) z) / (1 - k), k the power.",
        y_true="Amounts >= 0.",
        y_pred="Logarithms of predicted means.",
    )
