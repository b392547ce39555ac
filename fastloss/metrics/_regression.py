"""Errors of predicted numbers, one or several for each sample."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from fastloss._parameters import shared
from fastloss.metrics._inputs import refuse
from fastloss.metrics._means import mean_error
from fastloss.pointwise.quantile import PinballLoss
from fastloss.pointwise.relative import AbsolutePercentageLoss, SquaredLogLoss
from fastloss.pointwise.residual import AbsoluteLoss, SquaredLoss

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[Any]

F = TypeVar("F", bound=Callable[..., Any])

MEAN_ABSOLUTE = AbsoluteLoss()
MEAN_SQUARED = SquaredLoss()
MEAN_SQUARED_LOG = SquaredLogLoss()
MEAN_PERCENTAGE = AbsolutePercentageLoss()

ARGUMENTS = """\
Parameters
----------
y_true, y_pred : array_like of shape (n,) or (n, n_outputs)
    Targets and predictions.
sample_weight : array_like of shape (n,), optional
    Weights of the samples.
{more}multioutput : {{"raw_values", "uniform_average"}} or array_like of shape (n_outputs,)
    Whether to return the errors of all outputs, their mean, or their mean with these weights.

Returns
-------
float, or ndarray for ``multioutput="raw_values"``

Raises
------
ValueError, TypeError
    As scikit-learn's.

"""


def documented(more: str = "") -> Callable[[F], F]:
    """Return a decorator that puts the text on arguments and results before the references.

    `more` is the text on the function's own parameters.
    """
    def document(function: F) -> F:
        if function.__doc__:    # Python started with -OO has none
            summary, heading, rest = inspect.cleandoc(function.__doc__).partition("References\n")
            function.__doc__ = summary + ARGUMENTS.format(more=more) + heading + rest
        return function

    return document


@documented()
def mean_absolute_error(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    multioutput: Any = "uniform_average",
) -> Any:
    """Mean absolute error: mean of |y - p|.

    References
    ----------
    P.-S. Laplace, "Mémoire sur la probabilité des causes par les évènements", 1774.

    Examples
    --------
    >>> mean_absolute_error([3, -0.5, 2, 7], [2.5, 0.0, 2, 8])
    0.5
    >>> mean_absolute_error([[0.5, 1], [-1, 1]], [[0, 2], [-1, 2]], multioutput="raw_values")
    array([0.25, 1.  ])
    """
    return mean_error("mean_absolute_error", MEAN_ABSOLUTE, y_true, y_pred,
                      sample_weight, multioutput)


@documented()
def mean_squared_error(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    multioutput: Any = "uniform_average",
) -> Any:
    """Mean squared error: mean of (y - p)².

    References
    ----------
    A.-M. Legendre, "Nouvelles méthodes pour la détermination des orbites des comètes", 1805.

    Examples
    --------
    >>> mean_squared_error([3, -0.5, 2, 7], [2.5, 0.0, 2, 8])
    0.375
    """
    return mean_error("mean_squared_error", MEAN_SQUARED, y_true, y_pred,
                      sample_weight, multioutput)


@documented()
def root_mean_squared_error(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    multioutput: Any = "uniform_average",
) -> Any:
    """Root mean squared error: √ of the mean of (y - p)², of each output by itself.

    References
    ----------
    See `mean_squared_error`.

    Examples
    --------
    >>> root_mean_squared_error([3, -0.5, 2, 7], [2.5, 0.0, 2, 7.5])
    0.4330127018922193
    """
    return mean_error("root_mean_squared_error", MEAN_SQUARED, y_true, y_pred,
                      sample_weight, multioutput, root=True)


def _log_targets(name: str) -> Callable[[Array, Array], None]:
    def check(y: Array, p: Array) -> None:
        if y.min() <= -1 or p.min() <= -1:
            raise ValueError(f"{name} cannot be used when targets contain values less than or "
                             "equal to -1.")
    return check


@documented()
def mean_squared_log_error(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    multioutput: Any = "uniform_average",
) -> Any:
    """Mean squared logarithmic error: mean of (ln(1 + y) - ln(1 + p))².

    All y and p must be greater than -1.

    References
    ----------
    See `mean_squared_error`.

    Examples
    --------
    >>> print(f"{mean_squared_log_error([3, 5, 2.5, 7], [2.5, 5, 4, 8]):.6f}")
    0.039730
    """
    return mean_error("mean_squared_log_error", MEAN_SQUARED_LOG, y_true, y_pred,
                      sample_weight, multioutput,
                      check=_log_targets("Mean Squared Logarithmic Error"))


@documented()
def root_mean_squared_log_error(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    multioutput: Any = "uniform_average",
) -> Any:
    """Root mean squared logarithmic error, of each output by itself.

    √ of the mean of (ln(1 + y) - ln(1 + p))². All y and p must be greater than -1.

    References
    ----------
    See `mean_squared_error`.

    Examples
    --------
    >>> print(f"{root_mean_squared_log_error([3, 5, 2.5, 7], [2.5, 5, 4, 8]):.6f}")
    0.199324
    """
    return mean_error("root_mean_squared_log_error", MEAN_SQUARED_LOG, y_true, y_pred,
                      sample_weight, multioutput, root=True,
                      check=_log_targets("Root Mean Squared Logarithmic Error"))


@documented()
def mean_absolute_percentage_error(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    multioutput: Any = "uniform_average",
) -> Any:
    """Mean absolute percentage error: mean of |y - p| / max(|y|, ε).

    ε is float64's machine epsilon, 2.2e-16. 1 stands for 100 %.

    References
    ----------
    A. de Myttenaere et al., "Mean Absolute Percentage Error for regression models",
    Neurocomputing 192, 2016, doi:10.1016/j.neucom.2015.12.114.

    Examples
    --------
    >>> mean_absolute_percentage_error([2.0, 4.0], [1.0, 5.0])
    0.375
    """
    return mean_error("mean_absolute_percentage_error", MEAN_PERCENTAGE, y_true, y_pred,
                      sample_weight, multioutput)


@documented("alpha : float in [0, 1], default 0.5\n    The quantile.\n")
def mean_pinball_loss(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    alpha: float = 0.5,
    multioutput: Any = "uniform_average",
) -> Any:
    """Mean pinball loss: mean of α max(y - p, 0) + (1 - α) max(p - y, 0).

    Least for the α-quantile.

    References
    ----------
    R. Koenker, G. Bassett, "Regression Quantiles", Econometrica 46, 1978,
    doi:10.2307/1913643.

    Examples
    --------
    >>> mean_pinball_loss([1.0, 2.0], [2.0, 0.0], alpha=0.5)
    0.75
    """
    level: Any = alpha
    if not isinstance(level, Real) or not 0 <= level <= 1:  # type: ignore[operator]
        raise refuse("mean_pinball_loss", "alpha", "a float in the range [0.0, 1.0]", alpha)

    quantile = float(level)
    if quantile in (0, 1):  # one side costs nothing, the other the distance
        def one_sided(y: Array, p: Array) -> Array:
            return np.maximum(y, p) if quantile else np.minimum(y, p)

        return mean_error("mean_pinball_loss", MEAN_ABSOLUTE, y_true, y_pred, sample_weight,
                          multioutput, replace=one_sided)
    return mean_error("mean_pinball_loss", shared(PinballLoss, quantile, "mean"), y_true, y_pred,
                      sample_weight, multioutput)
