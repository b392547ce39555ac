"""Losses of labelled distances of pairs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from fastloss._base import (
    DISTANCES,
    LABELS,
    REDUCTION,
    SIGNS,
    ElementLoss,
    Interval,
    Reduction,
)
from fastloss._functions import function_of
from fastloss._parameters import choice, either, number, parameter

__all__ = [
    "ContrastiveLoss",
    "HingeEmbeddingLoss",
    "QualityLoss",
    "contrastive_loss",
    "hinge_embedding_loss",
    "quality_loss",
]


@dataclass(frozen=True, kw_only=True)
class ContrastiveLoss(ElementLoss):
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

    margin: float = parameter(1.0, number(low=0))
    similar_label: Literal[0, 1] = parameter(1, choice(0, 1))
    form: Literal["squared", "half", "linear"] = parameter(
        "squared", choice("squared", "half", "linear")
    )
    pos_margin: float | None = parameter(None, either(None, number(low=0)))
    reduction: Reduction = parameter("mean", REDUCTION)

    prediction = "distance"
    curvature = "flat in parts"

    @property
    def bounded_below(self) -> bool:
        """Whether the loss has a least value over all numbers."""
        # without a margin the distance itself is a term, which has no least value
        return self.form != "linear" or self.pos_margin is not None

    @property
    def _label_names(self) -> Mapping[float, str]:  # type: ignore[override]
        return {self.similar_label: "similar", 1 - self.similar_label: "dissimilar"}

    @property
    def _units(self) -> tuple[str, str]:  # type: ignore[override]
        return ("distance", "") if self.form == "linear" else ("distance²", "distance")

    def _domains(self) -> tuple[Interval, Interval]:
        return LABELS, DISTANCES

    def _kernel_parameters(self) -> tuple[str, dict[str, float]]:
        no_floor = self.pos_margin is None
        return "ContrastiveLinear" if self.form == "linear" else "Contrastive", {
            "margin": self.margin,
            "scale": 0.5 if self.form == "half" else 1.0,
            "near_at_0": float(self.similar_label == 0),
            "near_slope": 1.0 if self.similar_label == 1 else -1.0,
            "pos_margin": 0.0 if self.pos_margin is None else self.pos_margin,
            "pos_floor": math.nan if no_floor else 0.0,
        }


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


@dataclass(frozen=True, kw_only=True)
class HingeEmbeddingLoss(ElementLoss):
    r"""Hinge embedding loss of distances, of labels 1 for similar and -1 for dissimilar pairs.

    .. math:: l(y, p) = \begin{cases} p & y = 1 \\ \max(m - p, 0) & y = -1 \end{cases}

    Between the two, y weighs both: (1 + y) / 2 of the first and (1 - y) / 2 of the second. It is
    ``ContrastiveLoss(form="linear")`` with these labels, and torch's ``HingeEmbeddingLoss``.

    Parameters
    ----------
    margin : float >= 0, default 1.0
        Distance beyond which a dissimilar pair costs nothing, in the units of `y_pred`.
    reduction : {"mean", "sum", "none", "sum_over_batch_size"}, default "mean"
        See `ContrastiveLoss`.

    Notes
    -----
    Derivatives: g = (1 + y) / 2 - (1 - y) / 2 [p < m], h = 0. Infinite p: the limit.

    References
    ----------
    H. Mobahi, R. Collobert, J. Weston, "Deep Learning from Temporal Coherence in Video",
    ICML 2009, doi:10.1145/1553374.1553469.

    Examples
    --------
    >>> HingeEmbeddingLoss()([1, -1, -1], [0.5, 0.25, 2.0])
    0.4166666666666667
    """

    margin: float = parameter(1.0, number(low=0))
    reduction: Reduction = parameter("mean", REDUCTION)

    prediction = "distance"
    curvature = "flat in parts"
    bounded_below = False
    _units = ("distance", "")

    def _domains(self) -> tuple[Interval, Interval]:
        return SIGNS, DISTANCES

    def _kernel_parameters(self) -> tuple[str, dict[str, float]]:
        return "ContrastiveLinear", {
            "margin": self.margin,
            "scale": 1.0,
            "near_at_0": 0.5,
            "near_slope": 0.5,
            "pos_margin": 0.0,
            "pos_floor": math.nan,
        }


if TYPE_CHECKING:
    from fastloss._functions import contrastive_loss, hinge_embedding_loss, quality_loss
else:
    contrastive_loss = function_of(
        ContrastiveLoss,
        "Contrastive loss of labelled distances: mean of y p² + (1 - y) max(margin - p, 0)².",
        y_true="Labels, 1 for similar pairs.",
        y_pred="Distances.",
    )
    quality_loss = function_of(
        QualityLoss,
        "Quality loss of labelled distances: the contrastive loss with margin 0.5.",
        y_true="Labels, 1 for similar pairs.",
        y_pred="Distances.",
    )
    hinge_embedding_loss = function_of(
        HingeEmbeddingLoss,
        "Hinge embedding loss: mean of p where y is 1, of max(margin - p, 0) where y is -1.",
        y_true="Labels, 1 for similar and -1 for dissimilar pairs.",
        y_pred="Distances.",
    )
