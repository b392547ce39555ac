"""Deviances of predicted means."""

from __future__ import annotations

import math
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from fastloss._parameters import shared
from fastloss.metrics._inputs import (
    check_array_like,
    check_optional,
    plain,
    refuse,
    report,
    zero_weights,
)
from fastloss.metrics._means import read, widen
from fastloss.pointwise.relative import TweedieDevianceLoss

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[Any]


def mean_tweedie_deviance(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    power: float = 0,
) -> float:
    r"""Mean Tweedie deviance of predicted means.

    .. math:: d(y, p) = 2 \left(\frac{\max(y, 0)^{2-k}}{(1-k)(2-k)}
              - \frac{y\,p^{1-k}}{1-k} + \frac{p^{2-k}}{2-k}\right)

    for the power k, with its limits (y - p)² at 0, 2 (y ln(y/p) - y + p) at 1 and
    2 (ln(p/y) + y/p - 1) at 2.

    Parameters
    ----------
    y_true, y_pred : array_like of shape (n,)
        Targets and predicted means. p > 0 unless k = 0; y >= 0 for 1 <= k < 2, y > 0 for k >= 2.
    sample_weight : array_like of shape (n,), optional
        Weights of the samples.
    power : float <= 0 or >= 1, default 0
        The power k: variance grows like the mean to the power k.

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        As scikit-learn's.

    References
    ----------
    B. Jørgensen, "Exponential Dispersion Models", J. R. Stat. Soc. B 49, 1987.

    Examples
    --------
    >>> print(f"{mean_tweedie_deviance([2, 0, 1, 4], [0.5, 0.5, 2.0, 2.0], power=1):.6f}")
    1.426015
    """
    function = "mean_tweedie_deviance"
    given: Any = power
    if not isinstance(given, Real) or not (
            -math.inf < given <= 0 or 1 <= given < math.inf):  # type: ignore[operator]
        raise refuse(function, "power", "a float in the range (-inf, 0.0] or [1.0, inf)", power)
    power = float(given)
    mean: Any = shared(TweedieDevianceLoss, power, "mean")
    y: Any = y_true
    p: Any = y_pred
    w: Any = sample_weight
    if plain(y, p, w) and _in_domain(power, y, p):
        value: float = mean(y, widen(y, p, w), w)
        if math.isfinite(value):
            return value

    check_array_like(function, y_true=y_true, y_pred=y_pred)
    check_optional(function, sample_weight=sample_weight)
    y, p, w, _ = read(y, p, w)
    if p.shape[1] > 1:
        raise ValueError("Multioutput not supported in mean_tweedie_deviance")
    if not _in_domain(power, y, p):
        domain = ("strictly positive y_pred" if power < 0 else
                  "non-negative y and strictly positive y_pred" if power < 2 else
                  "strictly positive y and y_pred")
        raise ValueError(f"Mean Tweedie deviance error with power={power:g} can only be used on "
                         f"{domain}.")
    if w is not None and w.sum(dtype=np.float64) == 0:
        raise zero_weights()
    result = float(mean(y[:, 0], p[:, 0], w))
    report(result)
    return result


def _in_domain(power: float, y: Any, p: Any) -> bool:
    """Whether the deviance of this power is defined for all y and p."""
    if power == 0:
        return True
    low: float = 0 if power < 0 else y.min()
    above = low >= 0 if power < 2 else low > 0
    return bool(above and p.min() > 0 and (power <= 2 or p.max() < math.inf))


def mean_poisson_deviance(
    y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None
) -> float:
    """Mean Poisson deviance: mean of 2 (y ln(y/p) - y + p), for y >= 0 and p > 0.

    Arguments, errors and reference as for `mean_tweedie_deviance` with ``power=1``.

    Examples
    --------
    >>> print(f"{mean_poisson_deviance([2, 0, 1, 4], [0.5, 0.5, 2.0, 2.0]):.6f}")
    1.426015
    """
    return mean_tweedie_deviance(y_true, y_pred, sample_weight=sample_weight, power=1)


def mean_gamma_deviance(
    y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None
) -> float:
    """Mean gamma deviance: mean of 2 (ln(p/y) + y/p - 1), for y > 0 and p > 0.

    Arguments, errors and reference as for `mean_tweedie_deviance` with ``power=2``.

    Examples
    --------
    >>> print(f"{mean_gamma_deviance([2, 0.5, 1, 4], [0.5, 0.5, 2.0, 2.0]):.6f}")
    1.056853
    """
    return mean_tweedie_deviance(y_true, y_pred, sample_weight=sample_weight, power=2)
