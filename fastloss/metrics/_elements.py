"""Which loss computes which metric; each function makes it for a reduction, once."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Literal

from fastloss._base import Loss, Reduction
from fastloss.pointwise.margin import HingeLoss
from fastloss.pointwise.probability import LogLoss
from fastloss.pointwise.quantile import PinballLoss
from fastloss.pointwise.relative import AbsolutePercentageLoss, SquaredLogLoss, TweedieDevianceLoss
from fastloss.pointwise.residual import AbsoluteLoss, SquaredLoss


@cache
def log(reduction: Reduction, eps: float | Literal["auto"] = "auto") -> Loss:
    """Return the log loss."""
    return LogLoss(eps=eps, reduction=reduction)


@cache
def absolute(reduction: Reduction) -> Loss:
    """Return the absolute loss."""
    return AbsoluteLoss(reduction=reduction)


@cache
def squared(reduction: Reduction) -> Loss:
    """Return the squared loss."""
    return SquaredLoss(reduction=reduction)


@cache
def squared_log(reduction: Reduction) -> Loss:
    """Return the squared logarithmic loss."""
    return SquaredLogLoss(reduction=reduction)


@cache
def percentage(reduction: Reduction) -> Loss:
    """Return the absolute percentage loss."""
    return AbsolutePercentageLoss(eps=2.220446049250313e-16, reduction=reduction)


@lru_cache
def pinball(reduction: Reduction, quantile: float) -> Loss:
    """Return the pinball loss."""
    return PinballLoss(quantile=quantile, reduction=reduction)


@cache
def hinge(reduction: Reduction) -> Loss:
    """Return the hinge loss of labels 0 and 1."""
    return HingeLoss(labels=(0, 1), reduction=reduction)


@lru_cache
def tweedie(reduction: Reduction, power: float) -> Loss:
    """Return the Tweedie deviance."""
    return TweedieDevianceLoss(power=power, reduction=reduction)
