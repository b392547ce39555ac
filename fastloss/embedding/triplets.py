"""Losses of triplets: an anchor, a row of its class, and one of another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fastloss._parameters import choice, flag, number, parameter
from fastloss.embedding._common import REDUCTION, Batch, LabelLoss, Reduction, Terms

__all__ = ["BatchTripletLoss"]


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
        Of equals, the row of the lowest index.
    distance : {"euclidean", "sqeuclidean", "cosine"}, default "euclidean"
        d; "cosine" is 1 - cos.
    soft_margin : bool, default False
        ln(1 + e^(d_ap - d_an)) in place of the hinge; there is no margin.
    normalize : bool, default False
        Scale rows to unit length; the gradient goes through the scaling.
    reduction : {"mean", "mean_nonzero", "sum"}, default "mean"
        Over anchors that have a positive and a negative ("hard"), over pairs of them and their
        positives ("semi-hard"), or over triplets that cost anything ("all"); "mean_nonzero" over
        the terms that cost.

    Notes
    -----
    The derivative at distance 0 is 0, and so is that of the hinge at its kink. Mining is constant
    to the gradient.

    References
    ----------
    F. Schroff, D. Kalenichenko, J. Philbin, "FaceNet", arXiv:1503.03832; A. Hermans, L. Beyer,
    B. Leibe, "In Defense of the Triplet Loss for Person Re-Identification", arXiv:1703.07737.
    """

    margin: float = parameter(0.2, number())
    mining: Literal["hard", "semi-hard", "all"] = parameter(
        "hard", choice("hard", "semi-hard", "all"))
    distance: Literal["euclidean", "sqeuclidean", "cosine"] = parameter(
        "euclidean", choice("euclidean", "sqeuclidean", "cosine"))
    soft_margin: bool = parameter(False, flag)
    normalize: bool = parameter(False, flag)
    reduction: Reduction = parameter("mean", REDUCTION)

    _distance = True

    def _make_kernel(self) -> bytes:
        return b""

    def _scaled(self) -> bool:
        return self.normalize or self.distance == "cosine"

    def _terms(self, batch: Batch, gradient: bool, others: bool) -> Terms:
        weight = 1.0 if batch.weights is None else batch.weights
        return Terms(*batch.pairs.triplets(
            self.mining, self.margin, self.soft_margin, self.distance, gradient=gradient,
            others=others, weight=weight))
