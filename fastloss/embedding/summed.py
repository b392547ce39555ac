"""Losses that are sums over all pairs of rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fastloss._parameters import choice, either, flag, number, parameter
from fastloss.embedding._common import (
    REDUCTION,
    Batch,
    EmbeddingLoss,
    LabelLoss,
    Reduction,
    Terms,
    TwoSidedLoss,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

__all__ = ["BatchContrastiveLoss", "SigLIPLoss"]


class SummedLoss(EmbeddingLoss):
    """Base of losses that are sums over pairs."""

    def _weights(self, batch: Batch) -> tuple[Any, Any]:
        """Return weights of rows; a pair has the sum of two."""
        mine: Any = 1.0 if batch.weights is None else batch.weights
        return mine, (mine if batch.symmetric else 0.0)

    def _pass(self, batch: Batch, gradient: bool, others: bool) -> tuple[float, float]:
        total, nonzero = batch.pairs.run(
            self._kernel, "weigh", gradient=gradient, others=others, columns=others,
            weight=self._weights(batch))
        return total, nonzero


@dataclass(frozen=True, kw_only=True)
class BatchContrastiveLoss(SummedLoss, LabelLoss):
    r"""Contrastive loss of all pairs of rows: similar are those of the same class.

    .. math:: l_{ij} = d_{ij}^2 \text{ (same class)}, \quad [m - d_{ij}]_+^2 \text{ (else)}

    Parameters
    ----------
    margin : float, default 1
        m >= 0.
    distance : {"euclidean", "sqeuclidean", "cosine"}, default "euclidean"
        d; "cosine" is 1 - cos.
    form : {"squared", "linear"}, default "squared"
        "linear" has d and [m - d]₊ themselves.
    pos_margin : float, optional
        Replaces d by [d - pos_margin]₊ for pairs of the same class.
    normalize : bool, default False
        Scale rows to unit length; the gradient goes through the scaling.
    reduction : {"mean", "mean_nonzero", "sum"}, default "mean"
        Over pairs i < j, or with `refs` over all pairs; "mean_nonzero" over those that cost.

    Notes
    -----
    The derivative at distance 0 is 0. With weights of anchors a pair counts with the mean of its
    rows' weights, with `refs` with that of its anchor. pytorch-metric-learning's ContrastiveLoss is
    ``form="linear", pos_margin=0``, with a mean over the pairs that cost of either kind.

    References
    ----------
    R. Hadsell, S. Chopra, Y. LeCun, "Dimensionality Reduction by Learning an Invariant Mapping",
    CVPR 2006.
    """

    margin: float = parameter(1.0, number(low=0))
    distance: Literal["euclidean", "sqeuclidean", "cosine"] = parameter(
        "euclidean", choice("euclidean", "sqeuclidean", "cosine"))
    form: Literal["squared", "linear"] = parameter("squared", choice("squared", "linear"))
    pos_margin: float | None = parameter(None, either(None, number(low=0)))
    normalize: bool = parameter(False, flag)
    reduction: Reduction = parameter("mean", REDUCTION)

    _distance = True

    def _scaled(self) -> bool:
        # the cosine distance is half the square of the distance of unit rows
        return self.normalize or self.distance == "cosine"

    def _bind(self) -> tuple[str, str, dict[str, float]]:
        return "direct", "Contrastive", {
            "margin": self.margin, "least": self.pos_margin or 0.0,
            "linear": float(self.form == "linear"),
            "euclidean": float(self.distance == "euclidean"),
            "factor": 0.5 if self.distance == "cosine" else 1.0,
        }

    def _terms(self, batch: Batch, gradient: bool, others: bool) -> Terms:
        total, nonzero = self._pass(batch, gradient, others)
        weight = float(np.sum(batch.weigh(batch.same + batch.different)))
        return Terms(total, weight, nonzero, 0.5 if batch.symmetric else 1.0)


@dataclass(frozen=True, kw_only=True)
class SigLIPLoss(SummedLoss, TwoSidedLoss):
    r"""Sigmoid loss of all pairs of queries and keys (SigLIP).

    .. math:: L = -\frac1n \sum_{i, j} \ln \sigma\bigl(\pm (t\, x_i y_j + b)\bigr),

    + for rows that belong to each other, - for all others; rows are scaled to unit length.

    Parameters
    ----------
    scale : float, default 10
        t > 0.
    bias : float, default -10
        b.
    normalize : bool, default True
        Scale rows to unit length; the gradient goes through the scaling.
    reduction : {"mean", "mean_nonzero", "sum"}, default "mean"
        "mean" divides by the n queries, "mean_nonzero" by the pairs that cost anything.

    Notes
    -----
    With ``parameters=True``, derivatives by "scale" and "bias".

    References
    ----------
    X. Zhai et al., "Sigmoid Loss for Language Image Pre-Training", arXiv:2303.15343.
    """

    scale: float = parameter(10.0, number(low=0, open_low=True))
    bias: float = parameter(-10.0, number())
    normalize: bool = parameter(True, flag)
    reduction: Reduction = parameter("mean", REDUCTION)

    def _bind(self) -> tuple[str, str, dict[str, float]]:
        return "direct", "SigLIP", {"scale": self.scale, "bias": self.bias}

    def _terms(self, batch: Batch, gradient: bool, others: bool) -> Terms:
        total, nonzero = self._pass(batch, gradient, others)
        return Terms(total, float(np.sum(batch.weigh(np.ones(batch.pairs.a.n)))), nonzero)

    def _learned(self, terms: Terms, batch: Batch, scale: float, along: float) -> dict[str, float]:
        by_bias = scale * float(np.sum(batch.pairs.weight_sums())) / self.scale
        return {"scale": along / self.scale, "bias": by_bias}
