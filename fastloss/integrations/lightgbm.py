"""Losses as objectives and metrics of LightGBM.

One object serves ``LGBMRegressor(objective=...)`` and ``train({"objective": ...}, ...)``. LightGBM
boosts from 0 with an objective of one's own; to start elsewhere, give `init_score` filled with
`Objective.init_score` to ``fit`` or to the ``Dataset`` and add it to what the model predicts. From
0 it finds no split where all samples ask for the same step, as with `HuberLoss` of a small delta:
a warning says so.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastloss.integrations import _boosting

try:
    from lightgbm import Dataset
    from lightgbm.basic import LightGBMError
except (ImportError, OSError) as error:  # OSError: installed without its libgomp
    raise ImportError(
        'fastloss.integrations.lightgbm needs LightGBM: pip install "fastloss[lightgbm]"'
    ) from error

if TYPE_CHECKING:
    from fastloss._base import Loss

__all__ = ["Metric", "Objective", "metric", "objective"]


def _arguments(y_true: Any, y_pred: Any, weight: Any) -> tuple[Any, Any, Any]:
    """Return labels, predictions and weights from a call by either interface."""
    if not isinstance(y_pred, Dataset):
        return y_true, y_pred, weight
    return y_pred.get_label(), y_true, y_pred.get_weight()


def _same_step(p: Any, grad: Any, hess: Any) -> bool:
    """Whether all scores are equal, and all samples with a slope ask for the same step."""
    if p.ndim != 1 or not len(p) or p[0] != p[-1] or np.any(p != p[0]):
        return False
    asks = grad != 0
    step = grad[asks] / hess[asks]
    # float32: equal steps differ in the last digits
    return bool(step.size and step[0] and np.ptp(step) <= 1e-6 * abs(step[0])
                and np.all(hess[~asks] <= 1e-6 * hess[asks].max()))


@dataclass(frozen=True)
class Objective(_boosting.Objective):  # noqa: D101
    __doc__ = _boosting.Objective.__doc__
    _error = LightGBMError

    # LightGBM counts these parameters: with three, it hands over the weights
    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> tuple[Any, Any]:
        """Return gradient and hessian, float32 in the Fortran order that LightGBM reads.

        Called by LightGBM as ``(y_true, y_pred, weight)`` or as ``(y_pred, dataset)``.
        """
        y, p, w = _arguments(y_true, y_pred, sample_weight)
        grad, hess = self._float32(y, p, w)
        if _same_step(np.asarray(p), grad, hess):
            warnings.warn(
                f"all samples ask for the same step with {self.loss.__name__}, so that LightGBM "
                "finds no split and learns nothing: start from the best constant, "
                "init_score=numpy.full(len(y), objective.init_score(y)) in fit or in the Dataset, "
                "and add it to what the model predicts", stacklevel=2)
        return grad, hess


@dataclass(frozen=True)
class Metric(_boosting.Metric):  # noqa: D101
    __doc__ = _boosting.Metric.__doc__
    _error = LightGBMError

    def __call__(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> tuple[str, float, bool]:
        """Return name, mean loss, and that more is not better."""
        return self.name, self._value(*_arguments(y_true, y_pred, sample_weight)), False


def objective(
    loss: Loss, *, hessian: _boosting.Hessian = "auto", hess_floor: float = 1e-16
) -> Objective:
    """Return a loss as an objective of LightGBM.

    Parameters
    ----------
    loss, hessian, hess_floor
        See `Objective`.

    Returns
    -------
    Objective
        For ``LGBMRegressor(objective=...)``, ``LGBMClassifier(objective=...)``, and
        ``lightgbm.train({"objective": ...}, ...)``. Can be pickled and compared. Its `init_score`
        gives the best constant score. Labels and weights outside the loss's domain raise
        ``lightgbm.basic.LightGBMError`` before the first tree.

    Raises
    ------
    TypeError
        If `loss` is not a loss of elements or of rows of scores.
    ValueError
        If it takes probabilities, positive means or other numbers of a bounded range, or a
        parameter is out of its range. The message names the loss of scores to use instead.

    Examples
    --------
    >>> from lightgbm import LGBMRegressor
    >>> from sklearn.datasets import load_diabetes
    >>> from fastloss import ExpectileLoss
    >>> X, y = load_diabetes(return_X_y=True)
    >>> expectile = objective(ExpectileLoss(level=0.9))
    >>> start = expectile.init_score(y)
    >>> model = LGBMRegressor(n_estimators=20, objective=expectile, n_jobs=1, verbose=-1)
    >>> predicted = start + model.fit(X, y, init_score=np.full(len(y), start)).predict(X)
    >>> print(f"{start:.1f} {(y < predicted).mean():.2f}")
    225.3 0.74
    """
    return Objective(loss, hessian, hess_floor)


def metric(loss: Loss, *, name: str = "") -> Metric:
    """Return a loss as a metric of LightGBM: its mean, or weighted mean.

    Parameters
    ----------
    loss : Loss
        A loss of raw scores beside an objective of this module; beside an objective of LightGBM
        itself a loss of its predictions, such as `LogLoss()` for probabilities.
    name : str, optional
        The name in logs; by default the name of the loss with the parameters that differ from their
        defaults, such as "pinball_loss(quantile=0.9)".

    Returns
    -------
    Metric
        For ``fit(..., eval_metric=...)`` and ``lightgbm.train(..., feval=...)``.

    Raises
    ------
    TypeError
        If `loss` is not a loss of elements or of rows of scores.
    ValueError
        If `name` has blanks or colons.
    """
    return Metric(loss, name)
