"""Batch losses of distances: between all pairs of rows, with labels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fastloss._core import batch as core
from fastloss._functions import function_of
from fastloss._parameters import choice, either, flag, number, parameter
from fastloss.embedding._anchors import ExponentLoss, SummedLoss
from fastloss.embedding._batch import REDUCTION, Batch, LabelLoss, Reduction, Terms
from fastloss.embedding._paired_base import DISTANCE, Distance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

__all__ = [
    "BatchContrastiveLoss",
    "BatchTripletLoss",
    "LiftedStructureLoss",
    "batch_contrastive_loss",
    "batch_triplet_loss",
    "lifted_structure_loss",
]


@dataclass(frozen=True, kw_only=True)
class BatchContrastiveLoss(SummedLoss, LabelLoss):
    r"""Contrastive loss of all pairs of rows; rows of the same class are similar.

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
    The derivative at distance 0 is 0. Whether a distance is within a margin is decided in twice the
    precision of float64 if rounding could decide it otherwise. With weights of anchors a pair
    counts with the mean weight of its rows; with `refs`, with the weight of its anchor.
    pytorch-metric-learning's ContrastiveLoss is ``form="linear", pos_margin=0``, with one mean over
    the positive pairs that cost and one over the negative pairs that cost.

    References
    ----------
    R. Hadsell, S. Chopra, Y. LeCun, "Dimensionality Reduction by Learning an Invariant Mapping",
    CVPR 2006.

    Examples
    --------
    >>> x, labels = [[0.0, 0.0], [3.0, 4.0], [0.0, 0.5]], [0, 0, 1]
    >>> value, grad = BatchContrastiveLoss(reduction="sum").value_and_grad(x, labels)
    >>> value, grad.tolist()
    (25.25, [[-6.0, -7.0], [6.0, 8.0], [0.0, -1.0]])
    """

    margin: float = parameter(1.0, number(low=0))
    distance: Distance = parameter("euclidean", DISTANCE)
    form: Literal["squared", "linear"] = parameter("squared", choice("squared", "linear"))
    pos_margin: float | None = parameter(None, either(None, number(low=0)))
    normalize: bool = parameter(False, flag)
    reduction: Reduction = parameter("mean", REDUCTION)

    @property
    def measure(self) -> Distance:
        """The distance of two rows."""
        return self.distance

    def _bind(self) -> tuple[str, str, dict[str, float]]:
        return "direct", "Contrastive", {
            "margin": self.margin, "least": self.pos_margin or 0.0,
            "linear": float(self.form == "linear"),
            "euclidean": float(self.distance == "euclidean"),
            "factor": 0.5 if self.distance == "cosine" else 1.0,
        }

    @cached_property
    def _thresholds(self) -> dict[str, Any]:
        factor = {"euclidean": 0.0, "sqeuclidean": 1.0, "cosine": 0.5}[self.distance]
        limits = {self.margin, self.pos_margin or 0.0} - {0.0}
        return {"thresholds": tuple(sorted(limits)), "of_square": factor}

    def _weight(self, same: Array, different: Array) -> Array:
        return same + different


@dataclass(frozen=True, kw_only=True)
class BatchTripletLoss(LabelLoss):
    r"""Triplet loss of a batch, mined anchor by anchor.

    .. math:: l = [d_{ap} - d_{an} + m]_+

    of distances d of an anchor a to a positive p, another row of its class, and to a negative n, a
    row of another class.

    Parameters
    ----------
    margin : float, default 0.2
        m.
    mining : {"hard", "semi-hard", "all"}, default "hard"
        "hard": of each anchor the farthest positive and the closest negative. "semi-hard": of each
        anchor and positive, the closest of the negatives that are farther than the positive, or if
        none is, the farthest negative (FaceNet, as TensorFlow Addons does). "all": all triplets.
        If several are equal, the row of the lowest index.
    distance : {"euclidean", "sqeuclidean", "cosine"}, default "euclidean"
        d; "cosine" is 1 - cos.
    soft_margin : bool, default False
        ln(1 + e^(d_ap - d_an)) in place of the hinge, without a margin.
    normalize : bool, default False
        Scale rows to unit length; the gradient goes through the scaling.
    reduction : {"mean", "mean_nonzero", "sum"}, default "mean"
        Over anchors that have a positive and a negative ("hard"), over pairs of them and their
        positives ("semi-hard"), or over triplets that cost anything ("all"); "mean_nonzero" over
        the terms that cost.

    Notes
    -----
    The derivative at distance 0 is 0, and so is the derivative of the hinge at its kink. The
    gradient takes the mined rows as fixed. If rounding could decide which of two distances is
    larger, or whether a triplet costs anything, distances are computed again, in twice the
    precision of float64: equal distances are equal, wherever the rows lie and on every processor.

    References
    ----------
    F. Schroff, D. Kalenichenko, J. Philbin, "FaceNet", arXiv:1503.03832; A. Hermans, L. Beyer,
    B. Leibe, "In Defense of the Triplet Loss for Person Re-Identification", arXiv:1703.07737.

    Examples
    --------
    >>> x, labels = [[0.0, 0.0], [3.0, 4.0], [1.0, 1.0], [2.0, 1.0]], ["a", "a", "b", "b"]
    >>> value, grad = BatchTripletLoss(mining="hard").value_and_grad(x, labels)
    >>> print(f"{value:.6f}", grad.round(3).tolist())
    1.455877 [[-0.123, -0.223], [0.221, 0.163], [-0.177, -0.177], [0.079, 0.237]]
    """

    margin: float = parameter(0.2, number())
    mining: Literal["hard", "semi-hard", "all"] = parameter(
        "hard", choice("hard", "semi-hard", "all"))
    distance: Distance = parameter("euclidean", DISTANCE)
    soft_margin: bool = parameter(False, flag)
    normalize: bool = parameter(False, flag)
    reduction: Reduction = parameter("mean", REDUCTION)

    @property
    def measure(self) -> Distance:
        """The distance of two rows."""
        return self.distance

    def _make_kernel(self) -> bytes:
        return b""

    def _terms(self, batch: Batch, gradient: bool, others: bool) -> Terms:
        weight = 1.0 if batch.weights is None else batch.weights
        return Terms(*batch.pairs.triplets(
            self.mining, self.margin, self.soft_margin, self.distance, gradient=gradient,
            others=others, weight=weight))


@dataclass(frozen=True, kw_only=True)
class LiftedStructureLoss(ExponentLoss, LabelLoss):
    r"""Lifted structured loss.

    .. math:: L = \frac{1}{2 |P|} \sum_{(i, j) \in P} \Bigl[\ln\Bigl(
              \sum_{k \in N(i)} e^{m - d_{ik}} + \sum_{l \in N(j)} e^{m - d_{jl}}\Bigr)
              + d_{ij}\Bigr]_+^2

    of Euclidean distances d; P are the pairs i < j of one class, N(i) the rows of other classes.

    Parameters
    ----------
    margin : float, default 1
        m.
    normalize : bool, default False
        Scale rows to unit length; the gradient goes through the scaling.
    reduction : {"mean", "mean_nonzero", "sum"}, default "mean"
        Over pairs of one class with a negative of one of their rows. "sum" keeps the 1/2.

    Notes
    -----
    A pair counts with the mean weight of its rows. With `refs`, a pair is a row and a ref, the
    negatives of a ref are rows, and the weight of the row counts; so the `partial` of a block of
    rows is not a part of the whole.

    References
    ----------
    H. O. Song et al., "Deep Metric Learning via Lifted Structured Feature Embedding",
    arXiv:1511.06452, equation 4.

    Examples
    --------
    >>> x, labels = [[0.0, 0.0], [3.0, 4.0], [0.0, 2.0]], [0, 0, 1]
    >>> value, grad = LiftedStructureLoss().value_and_grad(x, labels)
    >>> print(f"{value:.6f}", grad.round(3).tolist())
    8.748621 [[-2.51, 0.137], [1.928, 2.958], [0.582, -3.096]]
    """

    margin: float = parameter(1.0, number())
    normalize: bool = parameter(False, flag)
    reduction: Reduction = parameter("mean", REDUCTION)

    measure = "euclidean"
    blockwise = False

    def _bind(self) -> tuple[str, str, dict[str, float]]:
        return "exponent", "Lifted", {"margin": self.margin}

    def _exponents(self) -> tuple[float, float, float]:
        # no distance of unit rows is more than 2
        return self.margin, self.margin, self.margin - 2.001

    def _terms(self, batch: Batch, gradient: bool, others: bool) -> Terms:
        pairs = batch.pairs
        shifts, each = self._shifts(batch.pairs)
        mine: Any = 1.0 if batch.weights is None else batch.weights
        pairs.run(self._kernel, "sum", columns=True, shift=shifts, each=each)
        logs, absent = [], -1e30
        with np.errstate(divide="ignore", invalid="ignore"):
            for side, shift in zip((pairs.a, pairs.b), shifts, strict=True):
                log = np.log(side.sums[0, :side.n]) + shift[0]
                logs.append(np.where(log == -np.inf, absent, log))
        total, nonzero = pairs.run(
            self._kernel, "lift", gradient=gradient, others=others, columns=True,
            weight=(mine, mine if batch.symmetric else 0.0),
            factor=tuple((log, 0.0, 0.0) for log in logs))
        weight = core.total(pairs.a.sums[2, :pairs.a.n])
        if gradient:
            with np.errstate(over="ignore", under="ignore", invalid="ignore"):
                factor = tuple(
                    (np.where(log == absent, 0.0, side.sums[0, :side.n] * np.exp(shift[0] - log)),
                     0.0, 0.0)
                    for side, log, shift in zip((pairs.a, pairs.b), logs, shifts, strict=True))
            pairs.run(self._kernel, "weigh", gradient=True, others=others, columns=others,
                      shift=shifts, factor=factor, each=each, more=True)
        return Terms(total, weight, nonzero, 0.5 if batch.symmetric else 1.0)


if TYPE_CHECKING:
    from fastloss._functions import (
        batch_contrastive_loss,
        batch_triplet_loss,
        lifted_structure_loss,
    )
else:
    batch_contrastive_loss = function_of(
        BatchContrastiveLoss,
        "Contrastive loss of a batch: "
        "mean over pairs of d² in one class, max(margin - d, 0)² else.",
    )
    batch_triplet_loss = function_of(
        BatchTripletLoss,
        "Triplet loss of a batch: mean over mined triplets of max(d(a, p) - d(a, n) + margin, 0).",
    )
    lifted_structure_loss = function_of(
        LiftedStructureLoss,
        "Lifted structured loss: "
        "mean over pairs of a class of max(ln Σ e^(margin - d') + d, 0)² / 2.",
    )
