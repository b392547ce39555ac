"""Batch losses of two views: row i of one batch is the positive of row i of the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastloss._base import SAMPLE_WEIGHT, Input
from fastloss._core import batch as core
from fastloss._functions import function_of
from fastloss._parameters import flag, number, parameter
from fastloss.embedding._anchors import OwnSoftmaxLoss, SummedLoss
from fastloss.embedding._batch import (
    FACTOR,
    REDUCTION,
    Batch,
    Reduction,
    TwoSidedLoss,
    check_temperature,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

__all__ = [
    "InfoNCELoss",
    "NPairsLoss",
    "NTXentLoss",
    "SigLIPLoss",
    "info_nce_loss",
    "n_pairs_loss",
    "nt_xent_loss",
    "siglip_loss",
]


@dataclass(frozen=True, kw_only=True)
class InfoNCELoss(OwnSoftmaxLoss, TwoSidedLoss):
    r"""Cross entropy of the softmax of a query's products with all keys, against its own key.

    .. math:: l_i = -\ln \frac{e^{q_i k_i / \tau}}{\sum_j e^{q_i k_j / \tau}}

    for rows q and k of unit length.

    Parameters
    ----------
    temperature : float, default 0.07
        τ >= 1e-30. Multiple-negatives ranking with scale s is τ = 1 / s.
    symmetric : bool, default False
        The mean of the loss and of the loss with queries and keys exchanged (CLIP).
    normalize : bool, default True
        Scale rows to unit length; the gradient goes through the scaling.
    reduction : {"mean", "mean_nonzero", "sum"}, default "mean"
        Over the n queries.

    References
    ----------
    A. van den Oord et al., "Representation Learning with Contrastive Predictive Coding",
    arXiv:1807.03748; A. Radford et al., arXiv:2103.00020 (symmetric).

    Examples
    --------
    >>> queries, keys = [[1.0, 0.0], [0.0, 1.0]], [[3.0, 4.0], [0.0, 1.0]]
    >>> loss = InfoNCELoss(temperature=1)
    >>> value, (by_queries, by_keys) = loss.value_and_grad(queries, keys)
    >>> print(f"{value:.6f}", by_queries.round(3).tolist(), by_keys.round(3).tolist())
    0.517813 [[0.0, 0.035], [0.135, 0.0]] [[-0.044, 0.033], [0.177, 0.0]]
    """

    temperature: float = parameter(0.07, check_temperature)
    symmetric: bool = parameter(False, flag)
    normalize: bool = parameter(True, flag)
    reduction: Reduction = parameter("mean", REDUCTION)

    @property
    def keys_are_anchors(self) -> bool:
        """Whether keys have terms of their own."""
        return self.symmetric


@dataclass(frozen=True, kw_only=True)
class NTXentLoss(OwnSoftmaxLoss, TwoSidedLoss):
    r"""Normalised temperature-scaled cross entropy of two views (SimCLR).

    .. math:: l_i = -\ln \frac{e^{z_i z_j / \tau}}{\sum_{k \ne i} e^{z_i z_k / \tau}}

    over all 2n rows of both views, scaled to unit length, where j is the other view of i.

    Parameters
    ----------
    temperature : float, default 0.5
        τ >= 1e-30.
    normalize : bool, default True
        Scale rows to unit length; the gradient goes through the scaling.
    reduction : {"mean", "mean_nonzero", "sum"}, default "mean"
        Over the 2n rows.

    Notes
    -----
    `sample_weight` holds a weight for each pair of views. Some libraries have a form of the loss
    with labels, which leaves the other rows of a class out of the denominator; with pairs of views
    there are no others, and both forms agree.

    References
    ----------
    T. Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations",
    arXiv:2002.05709.

    Examples
    --------
    >>> a, b = [[1.0, 0.0], [0.0, 1.0]], [[3.0, 4.0], [0.0, 1.0]]
    >>> value, (by_a, by_b) = NTXentLoss(temperature=1).value_and_grad(a, b)
    >>> print(f"{value:.6f}", by_a.round(3).tolist(), by_b.round(3).tolist())
    0.885449 [[0.0, -0.032], [0.217, 0.0]] [[-0.074, 0.056], [0.217, 0.0]]
    """

    temperature: float = parameter(0.5, check_temperature)
    normalize: bool = parameter(True, flag)
    reduction: Reduction = parameter("mean", REDUCTION)

    sides = "two views"

    def _meet(self, a: Array, b: Array, weights: Array | None, n_threads: int | None) -> Batch:
        codes = np.tile(np.arange(a.shape[0], dtype=np.int32), 2)
        return self._make_batch(np.concatenate([a, b]), codes, a.shape[0], None, None,
                                None if weights is None else np.tile(weights, 2), n_threads)

    def _split(self, grads: list[Array]) -> Any:
        n = grads[0].shape[0] // 2
        return grads[0][:n], grads[0][n:]


@dataclass(frozen=True, kw_only=True)
class NPairsLoss(OwnSoftmaxLoss, TwoSidedLoss):
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

    Examples
    --------
    >>> anchors, positives = [[1.0, 0.0], [0.0, 1.0]], [[3.0, 4.0], [0.0, 1.0]]
    >>> value, (by_anchors, by_positives) = NPairsLoss().value_and_grad(anchors, positives)
    >>> print(f"{value:.6f}", by_anchors.round(3).tolist(), by_positives.round(3).tolist())
    1.548587 [[-0.071, -0.071], [1.429, 1.429]] [[-0.024, 0.476], [0.024, -0.476]]
    """

    normalize: bool = parameter(False, flag)
    reduction: Reduction = parameter("mean", REDUCTION)

    inputs = (Input("queries", "rows", gradient=True, alias="anchors"),
              Input("keys", "rows", gradient=True, alias="positives"), SAMPLE_WEIGHT)

    def _scale(self) -> float:
        return 1.0

    def _learned(self, pairs: Any, scale: float, along: float) -> dict[str, float]:
        return {}


@dataclass(frozen=True, kw_only=True)
class SigLIPLoss(SummedLoss, TwoSidedLoss):
    r"""Sigmoid loss of all pairs of queries and keys (SigLIP).

    .. math:: L = -\frac1n \sum_{i, j} \ln \sigma\bigl(\pm (t\, x_i y_j + b)\bigr),

    + for paired rows (i = j), - for all others; rows are scaled to unit length.

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

    Examples
    --------
    >>> queries, keys = [[1.0, 0.0], [0.0, 1.0]], [[3.0, 4.0], [0.0, 1.0]]
    >>> loss = SigLIPLoss(scale=2, bias=-1)
    >>> value, grads, learned = loss.value_and_grad(queries, keys, parameters=True)
    >>> print(f"{value:.6f}", {name: round(slope, 3) for name, slope in learned.items()})
    1.131075 {'scale': -0.011, 'bias': 0.098}
    """

    scale: float = parameter(10.0, FACTOR)
    bias: float = parameter(-10.0, number())
    normalize: bool = parameter(True, flag)
    reduction: Reduction = parameter("mean", REDUCTION)

    def _bind(self) -> tuple[str, str, dict[str, float]]:
        return "direct", "SigLIP", {"scale": self.scale, "bias": self.bias}

    def _weight(self, same: Array, different: Array) -> Array:
        return np.ones(same.shape)

    def _learned(self, pairs: Any, scale: float, along: float) -> dict[str, float]:
        by_bias = scale * core.total(pairs.weight_sums()) / self.scale
        return {"scale": along / self.scale, "bias": by_bias}


if TYPE_CHECKING:
    from fastloss._functions import info_nce_loss, n_pairs_loss, nt_xent_loss, siglip_loss
else:
    info_nce_loss = function_of(
        InfoNCELoss,
        "InfoNCE: mean over queries of -ln softmax(q kᵀ / temperature) of the own key.",
    )
    nt_xent_loss = function_of(
        NTXentLoss,
        "NT-Xent: "
        "mean over the rows of both views of -ln softmax(x xᵀ / temperature) of the other.",
    )
    n_pairs_loss = function_of(
        NPairsLoss,
        "N-pairs loss: mean over anchors of -ln softmax(a pᵀ) of the own positive.",
    )
    siglip_loss = function_of(
        SigLIPLoss,
        "Sigmoid loss: "
        "sum over all pairs of -ln σ(±(scale q k + bias)), + for own keys, divided by n.",
        name="siglip_loss",
    )
