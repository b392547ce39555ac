"""Adapt losses to scikit-learn's histogram gradient boosting: its private `BaseLoss`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn._loss.link import IdentityLink, LogitLink, LogLink
from sklearn._loss.loss import AbsoluteError, BaseLoss
from sklearn._loss.loss import PinballLoss as Quantile

from fastloss._base import Loss, check_values
from fastloss._catalog import losses

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

LINKS: dict[Any, Any] = {"log-rate": LogLink, "logit": LogitLink, "number": IdentityLink}
STEPS = 64      # of a bisection: to the last bits of a float64


class BoostingLoss(BaseLoss):  # type: ignore[misc]
    """A loss of fastloss as scikit-learn's `BaseLoss`, with the methods of that class."""

    def __init__(self, loss: Loss) -> None:
        classes = loss.prediction == "logit"
        super().__init__(closs=None, link=LINKS[loss.prediction](),
                         n_classes=2 if classes else None)
        self.fastloss = loss.replace(reduction="none")
        # Without curvature, or next to none, far from the target a Newton step goes anywhere:
        # scikit-learn then has leaves fitted anew, by `fit_intercept_only` of residuals.
        self.differentiable = not loss.of_residual or (
            loss.curvature == "curved" and loss._newton_bound is None)
        self.approx_hessian = not (self.differentiable and loss.convex)
        # Any number between two targets may be the best constant: scikit-learn's code chooses one.
        level = loss._best_quantile
        self._quantile = (None if level is None else AbsoluteError() if level == 0.5
                          else Quantile(quantile=level))
        if classes:     # how scikit-learn knows a loss for classifiers
            self.predict_proba = self._probabilities

    def __repr__(self) -> str:
        return f"hist_gradient_boosting_loss({self.fastloss!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return BoostingLoss, (self.fastloss,)

    def loss(
        self, y_true: Array, raw_prediction: Array, sample_weight: Array | None = None,
        loss_out: Array | None = None, n_threads: int = 1,
    ) -> Array:
        """Return the weighted loss of each sample."""
        value: Array = self.fastloss.value(y_true, _column(raw_prediction), sample_weight,
                                           out=loss_out, n_threads=_threads(n_threads))
        return value

    def gradient(
        self, y_true: Array, raw_prediction: Array, sample_weight: Array | None = None,
        gradient_out: Array | None = None, n_threads: int = 1,
    ) -> Array:
        """Return the weighted derivative of each sample."""
        grad: Array = self.fastloss.grad(y_true, _column(raw_prediction), sample_weight,
                                         out=_column(gradient_out), n_threads=_threads(n_threads))
        return grad

    def loss_gradient(
        self, y_true: Array, raw_prediction: Array, sample_weight: Array | None = None,
        loss_out: Array | None = None, gradient_out: Array | None = None, n_threads: int = 1,
    ) -> tuple[Array, Array]:
        """Return loss and derivative of each sample."""
        z = _column(raw_prediction)
        out: Any = (loss_out, _column(gradient_out))
        value, grad = self.fastloss.value_and_grad(y_true, z, sample_weight, out=out,
                                                   n_threads=_threads(n_threads))
        return value, grad

    def gradient_hessian(
        self, y_true: Array, raw_prediction: Array, sample_weight: Array | None = None,
        gradient_out: Array | None = None, hessian_out: Array | None = None, n_threads: int = 1,
    ) -> tuple[Array, Array]:
        """Return the derivative and the second derivative, or its substitute, of each sample."""
        z = _column(raw_prediction)
        out: Any = (_column(gradient_out), _column(hessian_out))
        if self.differentiable:
            grad, hess = self.fastloss.grad_and_hess(y_true, z, sample_weight, out=out,
                                                     n_threads=_threads(n_threads))
            if self.approx_hessian:     # focal: not convex
                np.abs(hess, out=hess)
            return grad, hess
        if self._quantile is not None:
            # At p = y take the slope below, as scikit-learn does. With slope 0, targets that are
            # met exactly, and integers often are, would not influence where to split.
            z = np.nextafter(z, -np.inf)
        grad = self.fastloss.grad(y_true, z, sample_weight, out=out[0],
                                  n_threads=_threads(n_threads))
        hess = np.empty_like(grad) if out[1] is None else out[1]
        hess[...] = 1.0 if sample_weight is None else sample_weight
        return grad, hess

    def fit_intercept_only(self, y_true: Array, sample_weight: Array | None = None) -> Any:
        """Return the best constant score, or the score of the mean where scores are logarithms."""
        # scikit-learn calls this method first, with all targets
        check_values("y", y_true, self.fastloss._domains()[0])
        if self._quantile is not None:
            return self._quantile.fit_intercept_only(y_true, sample_weight)
        if not self.fastloss.of_residual:
            return super().fit_intercept_only(y_true, sample_weight)
        y = np.asarray(y_true, np.float64)
        low, high = y.min(), y.max()
        for _ in range(STEPS):      # the derivative rises, through 0, between the ends
            middle = low + (high - low) / 2
            slope = self.fastloss.grad(y, np.broadcast_to(middle, y.shape), sample_weight).sum()
            if slope == 0 or not low < middle < high:
                break
            low, high = (low, middle) if slope > 0 else (middle, high)
        return middle

    def _probabilities(self, raw_prediction: Array) -> Array:
        """Return probabilities of both classes, (n, 2)."""
        likely: Array = self.link.inverse(_column(raw_prediction))
        return np.column_stack([1 - likely, likely])


def _column(x: Any) -> Any:
    """Return the one column of a matrix, as a view."""
    return x[:, 0] if x is not None and x.ndim == 2 and x.shape[1] == 1 else x


def _threads(n_threads: int) -> int | None:
    # scikit-learn passes the number of threads of its trees; more than 1 permits all threads here
    return 1 if n_threads == 1 else None


def boosting_loss(loss: Any) -> BoostingLoss:
    """Check a loss and return it for scikit-learn's histogram gradient boosting."""
    of_scores = _of_scores(loss)
    if of_scores is None:
        known = [kind.__name__ for kind in losses().values() if _of_scores(kind())]
        raise TypeError(f"loss must be one of {', '.join(known)}, got {loss!r}")
    if not loss.takes_scores:
        raise ValueError("loss must take any real number for a prediction, with "
                         f"{loss._score_option}=True, but {loss} takes {loss._domains()[1].what}")
    return BoostingLoss(loss)


def _of_scores(loss: Any) -> Loss | None:
    """Return a loss as one of raw scores, or None if its scores have no link here."""
    if not (isinstance(loss, Loss) and loss.sample == "element"):
        return None
    if loss._score_option:
        loss = loss.replace(**{loss._score_option: True})
    fits = loss.prediction in LINKS and (loss.prediction != "number" or loss.of_residual)
    return loss if fits else None
