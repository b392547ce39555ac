"""Losses of two batches whose rows belong to each other, one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastloss._parameters import flag, number, parameter
from fastloss.embedding._common import (
    REDUCTION,
    Batch,
    Reduction,
    Terms,
    TwoSidedLoss,
    make_batch,
)
from fastloss.embedding._sums import SoftmaxLoss, SummedLoss

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

__all__ = ["InfoNCELoss", "NPairsLoss", "NTXentLoss", "SigLIPLoss"]


@dataclass(frozen=True, kw_only=True)
class InfoNCELoss(SoftmaxLoss, TwoSidedLoss):
    r"""Cross entropy of the softmax of a query's products with all keys, against its own key.

    .. math:: l_i = -\ln \frac{e^{q_i k_i / \tau}}{\sum_j e^{q_i k_j / \tau}}

    for rows q and k of unit length.

    Parameters
    ----------
    temperature : float, default 0.07
        τ > 0. Multiple-negatives ranking with scale s is τ = 1 / s.
    symmetric : bool, default False
        The mean of the loss and of that with queries and keys exchanged (CLIP).
    normalize : bool, default True
        Scale rows to unit length; the gradient goes through the scaling.
    reduction : {"mean", "mean_nonzero", "sum"}, default "mean"
        Over the n queries.

    References
    ----------
    A. van den Oord et al., "Representation Learning with Contrastive Predictive Coding",
    arXiv:1807.03748; A. Radford et al., arXiv:2103.00020 (symmetric).
    """

    temperature: float = parameter(0.07, number(low=0, open_low=True))
    symmetric: bool = parameter(False, flag)
    normalize: bool = parameter(True, flag)
    reduction: Reduction = parameter("mean", REDUCTION)

    @property
    def _both(self) -> bool:  # type: ignore[override]
        return self.symmetric


@dataclass(frozen=True, kw_only=True)
class NTXentLoss(SoftmaxLoss, TwoSidedLoss):
    r"""Normalised temperature-scaled cross entropy of two views (SimCLR).

    .. math:: l_i = -\ln \frac{e^{z_i z_j / \tau}}{\sum_{k \ne i} e^{z_i z_k / \tau}}

    over all 2n rows of both views, scaled to unit length, where j is the other view of i.

    Parameters
    ----------
    temperature : float, default 0.5
        τ > 0.
    normalize : bool, default True
        Scale rows to unit length; the gradient goes through the scaling.
    reduction : {"mean", "mean_nonzero", "sum"}, default "mean"
        Over the 2n rows.

    Notes
    -----
    `sample_weight` holds a weight for each pair of views. The label form of the loss in some
    libraries leaves the other rows of a class out of the denominator; for pairs of views there are
    none, and it is this loss.

    References
    ----------
    T. Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations",
    arXiv:2002.05709.
    """

    temperature: float = parameter(0.5, number(low=0, open_low=True))
    normalize: bool = parameter(True, flag)
    reduction: Reduction = parameter("mean", REDUCTION)

    def _meet(self, a: Array, b: Array, weights: Array | None, n_threads: int | None) -> Batch:
        codes = np.tile(np.arange(a.shape[0], dtype=np.int32), 2)
        return make_batch(np.concatenate([a, b]), codes, a.shape[0], None, None,
                          None if weights is None else np.tile(weights, 2), distance=False,
                          normalize=self.normalize, n_threads=n_threads)

    def _split(self, grads: list[Array]) -> tuple[Array, ...]:
        n = grads[0].shape[0] // 2
        return grads[0][:n], grads[0][n:]


@dataclass(frozen=True, kw_only=True)
class NPairsLoss(SoftmaxLoss, TwoSidedLoss):
    r"""N-pairs loss: softmax of plain products of anchors with all positives, against their own.

    .. math:: l_i = \ln\Bigl(1 + \sum_{j \ne i} e^{a_i p_j - a_i p_i}\Bigr)

    Parameters
    ----------
    normalize : bool, default False
        Scale rows to unit length; the gradient goes through the scaling.
    reduction : {"mean", "mean_nonzero", "sum"}, default "mean"
        Over the n anchors.

    References
    ----------
    K. Sohn, "Improved Deep Metric Learning with Multi-class N-pair Loss Objective", NIPS 2016.
    """

    normalize: bool = parameter(False, flag)
    reduction: Reduction = parameter("mean", REDUCTION)

    _names = ("anchors", "positives")

    def _scale(self) -> float:
        return 1.0

    def _learned(self, terms: Terms, batch: Batch, scale: float, along: float) -> dict[str, float]:
        return {}


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
