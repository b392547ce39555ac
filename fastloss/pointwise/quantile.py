"""Losses of the residual with an optimum other than the mean: quantiles, expectiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastloss._base import REDUCTION, ElementLoss, Reduction
from fastloss._curvature import Bound
from fastloss._functions import function_of
from fastloss._parameters import flag, number, parameter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

__all__ = [
    "EpsilonInsensitiveLoss",
    "ExpectileLoss",
    "PinballLoss",
    "epsilon_insensitive_loss",
    "expectile_loss",
    "pinball_loss",
]

KINK = Bound("half jump over residual", 0.5)      # slopes are -alpha and 1 - alpha


@dataclass(frozen=True, kw_only=True)
class PinballLoss(ElementLoss):
    r"""Pinball (quantile) loss; its best constant prediction is a quantile.

    .. math:: l(y, p) = \alpha \max(y - p, 0) + (1 - \alpha) \max(p - y, 0)

    Parameters
    ----------
    quantile : float in (0, 1), default 0.5
        The quantile alpha. At 0.5 the loss is half the absolute one.
    reduction : {"mean", "sum", "none", "sum_over_batch_size"}, default "mean"
        See `ContrastiveLoss`.

    Notes
    -----
    Derivatives: g = -alpha below y, 1 - alpha above, 0 at p = y; h = 0.

    References
    ----------
    R. Koenker, G. Bassett, "Regression Quantiles", Econometrica 46, 1978, doi:10.2307/1913643.

    Examples
    --------
    >>> PinballLoss(quantile=0.75)([1.0, 2.0], [3.0, 1.0])
    0.625
    """

    quantile: float = parameter(0.5, number(low=0, high=1, open_low=True, open_high=True))
    reduction: Reduction = parameter("mean", REDUCTION)

    prediction = "number"
    of_residual = True
    curvature = "flat"
    _newton_bound = KINK

    @property
    def _best_quantile(self) -> float:  # type: ignore[override]
        return self.quantile

    def _kernel_parameters(self) -> tuple[str, dict[str, float]]:
        return "Pinball", {"below": self.quantile, "above": 1 - self.quantile}


@dataclass(frozen=True, kw_only=True)
class ExpectileLoss(ElementLoss):
    r"""Expectile loss: the squared loss with another weight above y than below.

    .. math:: l(y, p) = |\tau - [y < p]| \, (y - p)^2

    Parameters
    ----------
    level : float in (0, 1), default 0.5
        The level tau of the expectile, which is the best constant prediction. At 0.5 it is the
        mean, and the loss half the squared one.
    reduction : {"mean", "sum", "none", "sum_over_batch_size"}, default "mean"
        See `ContrastiveLoss`.

    Notes
    -----
    Derivatives: g = 2 |tau - [y < p]| (p - y), h = 2 |tau - [y < p]|, 2 tau at p = y.

    References
    ----------
    W. K. Newey, J. L. Powell, "Asymmetric Least Squares Estimation and Testing",
    Econometrica 55, 1987, doi:10.2307/1911031.

    Examples
    --------
    >>> ExpectileLoss(level=0.75)([1.0, 2.0], [3.0, 1.0])
    0.875
    """

    level: float = parameter(0.5, number(low=0, high=1, open_low=True, open_high=True))
    reduction: Reduction = parameter("mean", REDUCTION)

    prediction = "number"
    of_residual = True

    def _kernel_parameters(self) -> tuple[str, dict[str, float]]:
        return "Expectile", {"below": self.level, "above": 1 - self.level}


@dataclass(frozen=True, kw_only=True)
class EpsilonInsensitiveLoss(ElementLoss):
    r"""Epsilon-insensitive loss of support vector regression: small residuals cost nothing.

    .. math:: l(y, p) = \max(|p - y| - \epsilon, 0)

    or its square.

    Parameters
    ----------
    epsilon : float >= 0, default 0.1
        Residual that costs nothing, in the units of the data.
    squared : {False, True}, default False
        Whether the loss is squared.
    reduction : {"mean", "sum", "none", "sum_over_batch_size"}, default "mean"
        See `ContrastiveLoss`.

    Notes
    -----
    With u = max(|e| - epsilon, 0), e = p - y. Derivatives: g = sign(e) where u > 0, else 0, and
    h = 0; squared: g = 2 u sign(e), h = 2 where u > 0, else 0.

    References
    ----------
    V. Vapnik, "The Nature of Statistical Learning Theory", Springer 1995.

    Examples
    --------
    >>> EpsilonInsensitiveLoss(epsilon=0.5)([1.0, 2.0], [3.0, 2.25])
    0.75
    """

    epsilon: float = parameter(0.1, number(low=0))
    squared: bool = parameter(False, flag)
    reduction: Reduction = parameter("mean", REDUCTION)

    prediction = "number"
    of_residual = True
    curvature = "flat in parts"

    @property
    def _newton_bound(self) -> Bound | None:  # type: ignore[override]
        return None if self.squared else Bound("half jump over residual", least=self.epsilon)

    def _kernel_parameters(self) -> tuple[str, dict[str, float]]:
        name = "SquaredEpsilonInsensitive" if self.squared else "EpsilonInsensitive"
        return name, {"epsilon": self.epsilon}


if TYPE_CHECKING:
    from fastloss._functions import epsilon_insensitive_loss, expectile_loss, pinball_loss
else:
    pinball_loss = function_of(
        PinballLoss,
        "Pinball loss: mean of quantile (y - p) below y and of (1 - quantile) (p - y) above.",
    )
    expectile_loss = function_of(
        ExpectileLoss,
        "Expectile loss: mean of (y - p)², weighed by level below y and by 1 - level above.",
    )
    epsilon_insensitive_loss = function_of(
        EpsilonInsensitiveLoss,
        "Epsilon-insensitive loss: mean of max(|p - y| - epsilon, 0), or of its square.",
    )
