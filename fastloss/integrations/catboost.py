"""Losses as objectives and metrics of CatBoost.

CatBoost maximises, so derivatives are negated. It boosts from 0 with an objective of one's own; to
start elsewhere, give `Objective.init_score` as the `baseline` of the ``Pool``, in prediction too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from fastloss._base import Loss
from fastloss.integrations import _boosting

try:
    from catboost import CatBoostError
except ImportError as error:
    raise ImportError(
        'fastloss.integrations.catboost needs CatBoost: pip install "fastloss[catboost]"'
    ) from error

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

__all__ = ["Metric", "MulticlassObjective", "Objective", "metric", "objective"]


@dataclass(frozen=True)
class Objective(_boosting.Objective):  # noqa: D101
    __doc__ = _boosting.Objective.__doc__
    _error = CatBoostError
    no_jit = True  # otherwise CatBoost tries to compile the method with Numba

    def calc_ders_range(self, approxes: Array, targets: Array, weights: Array | None) -> Array:
        """Return the negated derivatives (n, 2) of a block of rows."""
        self._check(targets, None)  # CatBoost has checked the weights
        both = np.empty((2, len(approxes)))  # CatBoost reads any strides; contiguous is faster
        self._derivatives(targets, approxes, weights, both[0], both[1], negate=True)
        return both.T

    def calc_ders_multi(self, approx: Array, target: float, weight: float) -> None:
        """Raise CatBoostError: the loss is of one score, not of one for each class."""
        self._read([target], np.asarray(approx)[None, :], [weight])


@dataclass(frozen=True)
class MulticlassObjective(_boosting.Objective):
    """`CrossEntropyLoss` as an objective of CatBoost, which calls it for each row.

    The second derivatives are the matrix, T (diag(p) - p pᵀ), as CatBoost's own are.
    """

    _error = CatBoostError
    no_jit = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.hessian not in ("auto", "exact"):
            raise ValueError("hessian must be 'auto' or 'exact', as CatBoost gets the whole "
                             f"matrix, got {self.hessian!r}")

    def calc_ders_multi(self, approx: Array, target: float, weight: float) -> tuple[Array, Array]:
        """Return the negated gradient (K,) and second derivatives (K, K) of a row."""
        row = np.asarray(approx, float)[None, :]
        grad, hess = np.empty((2, *row.shape))
        self._derivatives(np.array([target]), row, np.array([weight]), grad, hess)
        share = np.exp(row[0] - row.max())
        share /= share.sum()
        own = share * (1 - share)
        largest = own.argmax()
        total = hess[0, largest] / own[largest] if own[largest] else 0.0
        matrix = np.multiply.outer(total * share, share)
        matrix.flat[::share.size + 1] = -hess[0]
        return -grad[0], matrix

    def calc_ders_range(self, approxes: Array, targets: Array, weights: Array | None) -> None:
        """Raise CatBoostError: the loss needs a score for each class."""
        raise CatBoostError("CrossEntropyLoss needs a score for each class, but CatBoost keeps one "
                            'for each row: set eval_metric="MultiClass"')


@dataclass(frozen=True)
class Metric(_boosting.Metric):  # noqa: D101
    __doc__ = _boosting.Metric.__doc__
    _error = CatBoostError
    no_jit = True

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(metric, self.loss, name=self.name), ()

    def is_max_optimal(self) -> bool:
        """Return False, as less is better."""
        return False

    def evaluate(
        self, approxes: tuple[Array, ...], target: Array, weight: Array | None
    ) -> tuple[float, float]:
        """Return the sums of the weighted losses and of the weights."""
        scores = approxes[0] if len(approxes) == 1 else np.array(approxes).T
        y, p, w = self._read(target, scores, weight)
        try:
            sums = self._mean.partial(y, p, w)
        except ValueError as error:
            raise self._error(str(error)) from None
        return sums.loss_sum, sums.weight_sum

    def get_final_error(self, error: float, weight: float) -> float:
        """Return the mean of the sums that `evaluate` gave."""
        return error / weight if weight else 0.0


def objective(
    loss: Loss, *, hessian: _boosting.Hessian = "auto", hess_floor: float = 1e-16
) -> Objective | MulticlassObjective:
    """Return a loss as an objective of CatBoost.

    Parameters
    ----------
    loss, hessian, hess_floor
        See `Objective`. `MulticlassObjective` has the exact matrix alone.

    Returns
    -------
    Objective, or MulticlassObjective for `CrossEntropyLoss`
        For the ``loss_function`` of ``CatBoostRegressor``, ``CatBoostClassifier`` and
        ``CatBoost``, beside an ``eval_metric``, which CatBoost then wants. Can be pickled and
        compared. Its `init_score` gives the best constant score. Labels and weights outside the
        loss's domain raise ``CatBoostError`` before the first tree.

    Raises
    ------
    TypeError
        If `loss` is not a loss of elements or of rows of scores.
    ValueError
        If it takes probabilities, positive means or other numbers of a bounded range, or a
        parameter is out of its range. The message names the loss of scores to use instead.

    Examples
    --------
    >>> from catboost import CatBoostRegressor, Pool
    >>> from sklearn.datasets import load_diabetes
    >>> from fastloss import ExpectileLoss
    >>> X, y = load_diabetes(return_X_y=True)
    >>> loss = ExpectileLoss(level=0.9)
    >>> expectile = objective(loss)
    >>> data = Pool(X, y, baseline=np.full(len(y), expectile.init_score(y)))
    >>> model = CatBoostRegressor(iterations=20, loss_function=expectile, eval_metric=metric(loss),
    ...                           learning_rate=0.3, thread_count=1, verbose=False,
    ...                           allow_writing_files=False)
    >>> predicted = model.fit(data).predict(data)
    >>> print(f"{(y < predicted).mean():.1f}")
    0.7
    """
    of_classes = isinstance(loss, Loss) and loss.sample == "row"
    return (MulticlassObjective if of_classes else Objective)(loss, hessian, hess_floor)


def metric(loss: Loss, *, name: str = "") -> Metric:
    """Return a loss as a metric of CatBoost: its mean, or weighted mean.

    Parameters
    ----------
    loss : Loss
        A loss of raw scores, which CatBoost hands to a metric beside any objective.
    name : str, optional
        The name in logs; by default the name of the loss with the parameters that differ from their
        defaults, such as "pinball_loss(quantile=0.9)".

    Returns
    -------
    Metric
        For ``eval_metric``.

    Raises
    ------
    TypeError
        If `loss` is not a loss of elements or of rows of scores.
    ValueError
        If `name` has blanks or colons.
    """
    plain = Metric(loss, name)
    return _named(plain.name)(loss, plain.name)


@lru_cache
def _named(name: str) -> type[Metric]:
    """Return a class of metrics with this name, as CatBoost logs the name of the class."""
    return type(name, (Metric,), {"__doc__": Metric.__doc__, "__qualname__": "Metric"})
