"""Losses as objectives and metrics of XGBoost.

One object serves ``XGBRegressor(objective=...)`` and ``train(..., obj=...)``. XGBoost starts at
`base_score`, which it estimates for its own objectives only: pass `Objective.init_score`.
``XGBClassifier`` wants it as a probability, or as `base_margin` in ``fit`` and in prediction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastloss.integrations import _boosting

try:
    from xgboost import DMatrix
    from xgboost.core import XGBoostError
except ImportError as error:
    raise ImportError(
        'fastloss.integrations.xgboost needs XGBoost: pip install "fastloss[xgboost]"'
    ) from error

if TYPE_CHECKING:
    from fastloss._base import Loss

__all__ = ["Metric", "Objective", "metric", "objective"]


def _arguments(y_true: Any, y_pred: Any, sample_weight: Any) -> tuple[Any, Any, Any]:
    """Return labels, predictions and weights from a call by either interface."""
    if not isinstance(y_pred, DMatrix):
        return y_true, y_pred, sample_weight
    weights = y_pred.get_weight()
    return y_pred.get_label(), y_true, weights if weights.size else None


@dataclass(frozen=True)
class Objective(_boosting.Objective):  # noqa: D101
    __doc__ = _boosting.Objective.__doc__
    _error = XGBoostError

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> tuple[Any, Any]:
        """Return gradient and hessian, float32 of the shape of the predictions.

        Called by XGBoost as ``(y_true, y_pred, sample_weight)`` or as ``(y_pred, dmatrix)``.
        """
        return self._float32(*_arguments(y_true, y_pred, sample_weight))


@dataclass(frozen=True)
class Metric(_boosting.Metric):  # noqa: D101
    __doc__ = _boosting.Metric.__doc__
    _error = XGBoostError

    @property
    def __name__(self) -> str:
        """The name of an estimator's metric in logs."""
        return self.name

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the mean loss; if called as ``(y_pred, dmatrix)``, the pair of name and mean."""
        value = self._value(*_arguments(y_true, y_pred, sample_weight))
        return (self.name, value) if isinstance(y_pred, DMatrix) else value


def objective(
    loss: Loss, *, hessian: _boosting.Hessian = "auto", hess_floor: float = 1e-16
) -> Objective:
    """Return a loss as an objective of XGBoost.

    Parameters
    ----------
    loss, hessian, hess_floor
        See `Objective`.

    Returns
    -------
    Objective
        For ``XGBRegressor(objective=...)``, ``XGBClassifier(objective=...)``, and
        ``xgboost.train(..., obj=...)``. Can be pickled and compared. Its `init_score` gives the
        best constant score. Labels and weights outside the loss's domain raise
        ``xgboost.core.XGBoostError`` before the first tree.

    Raises
    ------
    TypeError
        If `loss` is not a loss of elements or of rows of scores.
    ValueError
        If it takes probabilities, positive means or other numbers of a bounded range, or a
        parameter is out of its range. The message names the loss of scores to use instead.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from xgboost import XGBRegressor
    >>> from fastloss import ExpectileLoss
    >>> X, y = load_diabetes(return_X_y=True)
    >>> expectile = objective(ExpectileLoss(level=0.9))
    >>> model = XGBRegressor(n_estimators=20, objective=expectile, n_jobs=1,
    ...                      base_score=expectile.init_score(y))
    >>> predicted = model.fit(X, y).predict(X)
    >>> print(f"{expectile.init_score(y):.1f} {(y < predicted).mean():.2f}")
    225.3 0.60
    """
    return Objective(loss, hessian, hess_floor)


def metric(loss: Loss, *, name: str = "") -> Metric:
    """Return a loss as a metric of XGBoost: its mean, or weighted mean.

    Parameters
    ----------
    loss : Loss
        A loss of raw scores beside an objective of this module; beside an objective of XGBoost
        itself a loss of its predictions, such as `LogLoss()` for probabilities.
    name : str, optional
        The name in logs; by default the name of the loss with the parameters that differ from their
        defaults, such as "pinball_loss(quantile=0.9)".

    Returns
    -------
    Metric
        For ``XGBRegressor(eval_metric=...)`` and ``xgboost.train(..., custom_metric=...)``. Less
        is better, and early stopping assumes this too.

    Raises
    ------
    TypeError
        If `loss` is not a loss of elements or of rows of scores.
    ValueError
        If `name` has blanks or colons.
    """
    return Metric(loss, name)
