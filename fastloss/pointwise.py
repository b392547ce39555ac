"""The pointwise losses: one number out of each pair of target and prediction."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from fastloss._base import (
    DISTANCES,
    LABELS,
    PROBABILITIES,
    REDUCTION,
    Interval,
    Loss,
    Reduction,
    choice,
    either,
    number,
    parameter,
    shared,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@dataclass(frozen=True, kw_only=True)
class ContrastiveLoss(Loss):
    r"""Contrastive loss of labelled distances.

    .. math:: l(y, p) = y p^2 + (1 - y) \max(m - p, 0)^2

    for a pair at distance p: label 1 pulls the two together, label 0 pushes them apart until
    they are the margin m away. This is the loss of TensorFlow Addons and of the older Keras
    example. Hadsell et al. write it with 0 for similar pairs: ``similar_label=0``.

    Parameters
    ----------
    margin : float >= 0, default 1.0
        Distance beyond which a dissimilar pair costs nothing, in the units of `y_pred`.
    similar_label : {1, 0}, default 1
        The label of similar pairs.
    form : {"squared", "half", "linear"}, default "squared"
        "half" is half of it, as in Hadsell et al. and sentence-transformers; "linear" is
        y p + (1 - y) max(m - p, 0), as in torch's HingeEmbedding.
    pos_margin : float >= 0, optional
        Distance below which a similar pair costs nothing: p is replaced by
        max(p - pos_margin, 0) in the similar term. pytorch-metric-learning's contrastive loss
        is ``form="linear", pos_margin=0``.
    reduction : {"mean", "sum", "none", "sum_over_batch_size"}, default "mean"
        Sum of w l divided by the sum of the weights w, or by 1, or by the number of elements;
        "none" for the array of w l.

    Notes
    -----
    Derivatives, for "squared" (at p = m: 0):
    g = 2 y p - 2 (1 - y) max(m - p, 0), h = 2 y + 2 (1 - y) [p < m].
    Infinite p: the limit, so l = 0 for a dissimilar pair at p = inf.
    A soft label between 0 and 1 weighs the two terms.
    With ``margin=0`` dissimilar pairs cost nothing; it is not the mean squared error.

    References
    ----------
    R. Hadsell, S. Chopra, Y. LeCun, "Dimensionality Reduction by Learning an Invariant
    Mapping", CVPR 2006, doi:10.1109/CVPR.2006.100.

    Examples
    --------
    >>> loss = ContrastiveLoss(margin=1.0)
    >>> loss.value_and_grad([1, 0, 0], [0.5, 0.5, 2.0], n_threads=1)
    (0.16666666666666666, array([ 0.33333333, -0.33333333,  0.        ]))
    """

    _labels: ClassVar[Interval] = LABELS
    _predictions: ClassVar[Interval] = DISTANCES

    margin: float = parameter(1.0, number(low=0))
    similar_label: Literal[0, 1] = parameter(1, choice(0, 1))
    form: Literal["squared", "half", "linear"] = parameter(
        "squared", choice("squared", "half", "linear")
    )
    pos_margin: float | None = parameter(None, either(None, number(low=0)))
    reduction: Reduction = parameter("mean", REDUCTION)

    def _kernel_parameters(self) -> tuple[str, dict[str, float]]:
        no_floor = self.pos_margin is None
        return "ContrastiveLinear" if self.form == "linear" else "Contrastive", {
            "margin": self.margin,
            "scale": 0.5 if self.form == "half" else 1.0,
            "swap": float(self.similar_label == 0),
            "pos_margin": 0.0 if self.pos_margin is None else self.pos_margin,
            "pos_floor": math.nan if no_floor else 0.0,
        }


def contrastive_loss(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    margin: float = 1.0,
    similar_label: Literal[0, 1] = 1,
    form: Literal["squared", "half", "linear"] = "squared",
    pos_margin: float | None = None,
    sample_weight: ArrayLike | None = None,
    reduction: Reduction = "mean",
    n_threads: int | None = None,
) -> Any:
    """Contrastive loss of labelled distances: mean of y p² + (1 - y) max(margin - p, 0)².

    Shorthand for ``ContrastiveLoss(...).value(...)``.

    Parameters
    ----------
    y_true, y_pred : array_like of real numbers, of one shape
        Labels, 1 for similar pairs, and distances.
    margin, similar_label, form, pos_margin, reduction
        See `ContrastiveLoss`.
    sample_weight : array_like, optional
        Weights, of the same shape.
    n_threads : int, optional
        Number of threads.

    Returns
    -------
    float, or ndarray for ``reduction="none"``

    Raises
    ------
    TypeError, ValueError
        See `ContrastiveLoss.value`.

    Examples
    --------
    >>> contrastive_loss([1, 0, 0], [0.5, 0.5, 2.0])
    0.16666666666666666
    """
    loss = shared(ContrastiveLoss, margin, similar_label, form, pos_margin, reduction)
    return loss.value(y_true, y_pred, sample_weight, n_threads=n_threads)


@dataclass(frozen=True, kw_only=True)
class QualityLoss(ContrastiveLoss):
    r"""Quality loss: the contrastive loss with a smaller margin.

    .. math:: l(y, p) = y p^2 + (1 - y) \max(m - p, 0)^2, \quad m = 0.5

    Parameters
    ----------
    margin : float >= 0, default 0.5
        Distance beyond which a dissimilar pair costs nothing.
    similar_label, form, pos_margin, reduction
        See `ContrastiveLoss`.

    Examples
    --------
    >>> QualityLoss()([1, 0, 0], [0.5, 0.25, 2.0])
    0.10416666666666667
    """

    margin: float = parameter(0.5, number(low=0))


def quality_loss(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    margin: float = 0.5,
    similar_label: Literal[0, 1] = 1,
    form: Literal["squared", "half", "linear"] = "squared",
    pos_margin: float | None = None,
    sample_weight: ArrayLike | None = None,
    reduction: Reduction = "mean",
    n_threads: int | None = None,
) -> Any:
    """Quality loss of labelled distances: the contrastive loss with margin 0.5.

    Shorthand for ``QualityLoss(...).value(...)``.

    Parameters
    ----------
    y_true, y_pred : array_like of real numbers, of one shape
        Labels, 1 for similar pairs, and distances.
    margin, similar_label, form, pos_margin, reduction
        See `ContrastiveLoss`.
    sample_weight : array_like, optional
        Weights, of the same shape.
    n_threads : int, optional
        Number of threads.

    Returns
    -------
    float, or ndarray for ``reduction="none"``

    Raises
    ------
    TypeError, ValueError
        See `QualityLoss.value`.
    """
    loss = shared(QualityLoss, margin, similar_label, form, pos_margin, reduction)
    return loss.value(y_true, y_pred, sample_weight, n_threads=n_threads)


@dataclass(frozen=True, kw_only=True)
class LogLoss(Loss):
    r"""Log loss (binary cross entropy) of predicted probabilities, in nats.

    .. math:: l(y, p) = -y \ln q - (1 - y) \ln(1 - q),
              \quad q = \min(\max(p, \epsilon), 1 - \epsilon)

    Parameters
    ----------
    eps : float in [0, 0.5) or "auto", default 1e-7
        Where p is clipped. "auto" is the machine epsilon of the computation's dtype, as
        scikit-learn clips. 0 does not clip: infinity is a possible loss, and p outside
        [0, 1] gives NaN.
    reduction : {"mean", "sum", "none", "sum_over_batch_size"}, default "mean"
        See `ContrastiveLoss`.

    Notes
    -----
    Derivatives where eps <= p <= 1 - eps: g = (1 - y) / (1 - p) - y / p,
    h = (1 - y) / (1 - p)² + y / p². Where p is clipped, both are 0.

    The upper tail is clipped by 1 - p, so that both tails cost the same in float32 too, where
    1 - 1e-7 is not a number: l(1, 0) = l(0, 1) = 16.118. ln(1 - p) is computed as log1p(-p).
    A term with label weight 0 is 0, so with ``eps=0`` a sure and right prediction costs 0.
    scikit-learn's ``log_loss`` has another default eps, and differs at p = 0 and 1.

    References
    ----------
    I. J. Good, "Rational Decisions", J. R. Stat. Soc. B 14, 1952.

    Examples
    --------
    >>> LogLoss().value_and_grad([1, 0], [0.5, 0.5])
    (0.6931471805599453, array([-1.,  1.]))
    """

    _labels: ClassVar[Interval] = LABELS
    _predictions: ClassVar[Interval] = PROBABILITIES

    eps: float | Literal["auto"] = parameter(
        1e-7, either("auto", number(low=0, high=0.5, open_high=True))
    )
    reduction: Reduction = parameter("mean", REDUCTION)

    def _kernel_parameters(self) -> tuple[str, dict[str, float]]:
        parameters = {"clipped": math.nan if self.eps == 0 else 0.0}
        for suffix, dtype in (("", np.float64), ("32", np.float32)):
            kind = np.finfo(dtype)
            eps = float(kind.eps) if self.eps == "auto" else float(dtype(self.eps))
            if self.eps:  # an eps below the range of float32 clips at its least number
                eps = max(eps, float(kind.smallest_subnormal))
            parameters["eps" + suffix] = eps
            parameters["log_eps" + suffix] = math.log(eps) if eps else math.nan
            parameters["log1m_eps" + suffix] = math.log1p(-eps) if eps else math.nan
        return "Log", parameters


def log_loss(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    eps: float | Literal["auto"] = 1e-7,
    sample_weight: ArrayLike | None = None,
    reduction: Reduction = "mean",
    n_threads: int | None = None,
) -> Any:
    """Log loss of predicted probabilities: mean of -y ln p - (1 - y) ln(1 - p), in nats.

    Shorthand for ``LogLoss(...).value(...)``.

    Parameters
    ----------
    y_true, y_pred : array_like of real numbers, of one shape
        Labels, 0 and 1 or between, and probabilities of 1.
    eps, reduction
        See `LogLoss`. scikit-learn's clips at ``eps="auto"``.
    sample_weight : array_like, optional
        Weights, of the same shape.
    n_threads : int, optional
        Number of threads.

    Returns
    -------
    float, or ndarray for ``reduction="none"``

    Raises
    ------
    TypeError, ValueError
        See `LogLoss.value`.

    Examples
    --------
    >>> log_loss([1, 0], [0.5, 0.5])
    0.6931471805599453
    """
    loss = shared(LogLoss, eps, reduction)
    return loss.value(y_true, y_pred, sample_weight, n_threads=n_threads)


@dataclass(frozen=True, kw_only=True)
class AbsoluteLoss(Loss):
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

    def _kernel_parameters(self) -> tuple[str, dict[str, float]]:
        return "Absolute", {"unused": 0.0}


def absolute_loss(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    reduction: Reduction = "mean",
    n_threads: int | None = None,
) -> Any:
    """Absolute loss: mean of |y - p|.

    Shorthand for ``AbsoluteLoss(...).value(...)``.

    Parameters
    ----------
    y_true, y_pred : array_like of real numbers, of one shape
        Targets and predictions.
    sample_weight : array_like, optional
        Weights, of the same shape.
    reduction
        See `AbsoluteLoss`.
    n_threads : int, optional
        Number of threads.

    Returns
    -------
    float, or ndarray for ``reduction="none"``

    Raises
    ------
    TypeError, ValueError
        See `AbsoluteLoss.value`.
    """
    loss = shared(AbsoluteLoss, reduction)
    return loss.value(y_true, y_pred, sample_weight, n_threads=n_threads)


@dataclass(frozen=True, kw_only=True)
class SquaredLoss(Loss):
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

    def _kernel_parameters(self) -> tuple[str, dict[str, float]]:
        return "Squared", {"unused": 0.0}


def squared_loss(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    reduction: Reduction = "mean",
    n_threads: int | None = None,
) -> Any:
    """Squared loss: mean of (p - y)².

    Shorthand for ``SquaredLoss(...).value(...)``.

    Parameters
    ----------
    y_true, y_pred : array_like of real numbers, of one shape
        Targets and predictions.
    sample_weight : array_like, optional
        Weights, of the same shape.
    reduction
        See `SquaredLoss`.
    n_threads : int, optional
        Number of threads.

    Returns
    -------
    float, or ndarray for ``reduction="none"``

    Raises
    ------
    TypeError, ValueError
        See `SquaredLoss.value`.
    """
    loss = shared(SquaredLoss, reduction)
    return loss.value(y_true, y_pred, sample_weight, n_threads=n_threads)
