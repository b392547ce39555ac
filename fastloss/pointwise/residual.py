"""Losses of the residual, prediction minus target, alike on both sides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastloss._base import REDUCTION, ElementLoss, Reduction
from fastloss._curvature import Bound
from fastloss._functions import function_of
from fastloss._parameters import number, parameter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

__all__ = [
    "AbsoluteLoss",
    "HuberLoss",
    "LogCoshLoss",
    "PseudoHuberLoss",
    "SquaredLoss",
    "absolute_loss",
    "huber_loss",
    "log_cosh_loss",
    "pseudo_huber_loss",
    "squared_loss",
]

# made once, as boosters ask for it a thousand rows at a time
KINK, SMOOTH = Bound("half jump over residual"), Bound("slope over residual")


@dataclass(frozen=True, kw_only=True)
class AbsoluteLoss(ElementLoss):
    """Absolute loss: |y - p|, in the units of the data.

    Parameters
    ----------
    reduction : {"mean", "sum", "none", "sum_over_batch_size"}, default "mean"
        See `ContrastiveLoss`. "mean" is the mean absolute error.

    Notes
    -----
    Derivatives: g = sign(p - y), 0 at p = y; h = 0.

    References
    ----------
    P.-S. Laplace, "Mémoire sur la probabilité des causes par les évènements", 1774.

    Examples
    --------
    >>> AbsoluteLoss().value_and_grad([1.0, 2.0], [1.5, 1.0])
    (0.75, array([ 0.5, -0.5]))
    """

    reduction: Reduction = parameter("mean", REDUCTION)

    prediction = "number"
    of_residual = True
    curvature = "flat"
    _newton_bound = KINK
    _best_quantile = 0.5
    _units = ("unit of y", "")

    def _kernel_parameters(self) -> tuple[str, dict[str, float]]:
        return "Absolute", {"unused": 0.0}


@dataclass(frozen=True, kw_only=True)
class SquaredLoss(ElementLoss):
    """Squared loss: (p - y)², without a factor 1/2, in the squared units of the data.

    Parameters
    ----------
    reduction : {"mean", "sum", "none", "sum_over_batch_size"}, default "mean"
        See `ContrastiveLoss`. "mean" is the mean squared error.

    Notes
    -----
    Derivatives: g = 2 (p - y), h = 2.

    References
    ----------
    A.-M. Legendre, "Nouvelles méthodes pour la détermination des orbites des comètes", 1805.

    Examples
    --------
    >>> SquaredLoss().value_and_grad([1.0, 2.0], [1.5, 1.0])
    (0.625, array([ 0.5, -1. ]))
    """

    reduction: Reduction = parameter("mean", REDUCTION)

    prediction = "number"
    of_residual = True
    _units = ("unit of y, squared", "unit of y")

    def _kernel_parameters(self) -> tuple[str, dict[str, float]]:
        return "Squared", {"unused": 0.0}

    def _best_constant(self, y: Array, w: Any) -> float:
        return float(np.average(y, weights=w))


@dataclass(frozen=True, kw_only=True)
class HuberLoss(ElementLoss):
    r"""Huber loss: half the squared residual, linear beyond delta.

    .. math:: l(y, p) = \begin{cases} e^2 / 2 & |e| \le \delta \\
              \delta (|e| - \delta / 2) & |e| > \delta \end{cases}, \quad e = p - y

    Parameters
    ----------
    delta : float > 0, default 1.0
        Residual from which the loss is linear, in the units of the data.
    reduction : {"mean", "sum", "none", "sum_over_batch_size"}, default "mean"
        See `ContrastiveLoss`.

    Notes
    -----
    Derivatives: g = min(max(e, -delta), delta), h = [|e| <= delta]. It is the loss of the same
    name of torch and Keras, and delta times torch's ``SmoothL1Loss(beta=delta)``.

    References
    ----------
    P. J. Huber, "Robust Estimation of a Location Parameter", Ann. Math. Statist. 35, 1964,
    doi:10.1214/aoms/1177703732.

    Examples
    --------
    >>> HuberLoss().value_and_grad([1.0, 2.0], [1.5, 5.0])
    (1.3125, array([0.25, 0.5 ]))
    """

    delta: float = parameter(1.0, number(low=0, open_low=True))
    reduction: Reduction = parameter("mean", REDUCTION)

    prediction = "number"
    of_residual = True
    curvature = "flat in parts"

    def _kernel_parameters(self) -> tuple[str, dict[str, float]]:
        return "Huber", {"delta": self.delta}


@dataclass(frozen=True, kw_only=True)
class PseudoHuberLoss(ElementLoss):
    r"""Pseudo-Huber loss: a smooth passage from half the squared residual to the absolute one.

    .. math:: l(y, p) = \delta^2 \left(\sqrt{1 + (e / \delta)^2} - 1\right), \quad e = p - y

    Computed as e² / (1 + s), s the square root, which keeps small residuals.

    Parameters
    ----------
    delta : float > 0, default 1.0
        About where the loss becomes linear, in the units of the data.
    reduction : {"mean", "sum", "none", "sum_over_batch_size"}, default "mean"
        See `ContrastiveLoss`.

    Notes
    -----
    Derivatives: g = e / s, h = 1 / s³. Infinite e: l = inf, g = ±delta, h = 0. XGBoost's
    ``reg:pseudohubererror`` has delta as ``huber_slope``. Rounding: l, g and h are within 4, 4 and
    8 ULP.

    References
    ----------
    P. Charbonnier et al., "Deterministic Edge-Preserving Regularization in Computed Imaging",
    IEEE Trans. Image Process. 6, 1997, doi:10.1109/83.551699.

    Examples
    --------
    >>> print(f"{PseudoHuberLoss(delta=3.0)([1.0], [5.0]):.6f}")
    6.000000
    """

    delta: float = parameter(1.0, number(low=0, open_low=True))
    reduction: Reduction = parameter("mean", REDUCTION)

    prediction = "number"
    of_residual = True
    _newton_bound = SMOOTH

    def _kernel_parameters(self) -> tuple[str, dict[str, float]]:
        return "PseudoHuber", {"delta": self.delta}


@dataclass(frozen=True, kw_only=True)
class LogCoshLoss(ElementLoss):
    r"""Log-cosh loss: ln cosh of the residual, half its square when small, |e| - ln 2 when large.

    .. math:: l(y, p) = \ln \cosh e = |e| + \ln(1 + e^{-2|e|}) - \ln 2, \quad e = p - y

    Small residuals are computed as log1p(2 sinh²(e / 2)), so they do not round to 0.

    Parameters
    ----------
    reduction : {"mean", "sum", "none", "sum_over_batch_size"}, default "mean"
        See `ContrastiveLoss`.

    Notes
    -----
    Derivatives: g = tanh e, h = 1 / cosh² e. Infinite e: l = inf, g = ±1, h = 0. The residual
    has no unit: scale the data. Rounding: l, g and h are within 6, 4 and 4 ULP, and h is off by
    what rounding e changes it.

    References
    ----------
    P. J. Green, "Bayesian Reconstructions From Emission Tomography Data Using a Modified EM
    Algorithm", IEEE Trans. Med. Imaging 9, 1990, doi:10.1109/42.52985.

    Examples
    --------
    >>> print(f"{LogCoshLoss()([1.0, 2.0], [1.5, 5.0]):.6f}")
    1.214722
    """

    reduction: Reduction = parameter("mean", REDUCTION)

    prediction = "number"
    of_residual = True
    _newton_bound = SMOOTH

    def _kernel_parameters(self) -> tuple[str, dict[str, float]]:
        return "LogCosh", {"unused": 0.0}


if TYPE_CHECKING:
    from fastloss._functions import (
        absolute_loss,
        huber_loss,
        log_cosh_loss,
        pseudo_huber_loss,
        squared_loss,
    )
else:
    absolute_loss = function_of(AbsoluteLoss, "Absolute loss: mean of |y - p|.")
    squared_loss = function_of(SquaredLoss, "Squared loss: mean of (p - y)².")
    huber_loss = function_of(
        HuberLoss,
        "Huber loss: mean of (p - y)² / 2, and of delta (|p - y| - delta / 2) beyond delta.",
    )
    pseudo_huber_loss = function_of(
        PseudoHuberLoss,
        "Pseudo-Huber loss: mean of delta² (sqrt(1 + ((p - y) / delta)²) - 1).",
    )
    log_cosh_loss = function_of(LogCoshLoss, "Log-cosh loss: mean of ln cosh(p - y).")
