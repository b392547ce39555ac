"""Batch losses of similarities: products of all pairs of rows, with labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastloss._functions import function_of
from fastloss._parameters import flag, number, parameter
from fastloss.embedding._anchors import (
    Anchors,
    ExponentLoss,
    Slopes,
    SoftmaxLoss,
    sigmoid,
    softplus,
)
from fastloss.embedding._batch import FACTOR, REDUCTION, LabelLoss, Reduction, check_temperature

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

__all__ = [
    "CircleLoss",
    "MultiSimilarityLoss",
    "SupConLoss",
    "circle_loss",
    "multi_similarity_loss",
    "sup_con_loss",
]


@dataclass(frozen=True, kw_only=True)
class SupConLoss(SoftmaxLoss, LabelLoss):
    r"""Supervised contrastive loss: softmax over all other rows, against the rows of the class.

    .. math:: l_i = -\frac{1}{|P(i)|} \sum_{p \in P(i)}
              \ln \frac{e^{z_i z_p / \tau}}{\sum_{a \ne i} e^{z_i z_a / \tau}}

    for rows z of unit length; P(i) are the other rows of the same class as i. The mean is over the
    anchors that have one.

    Parameters
    ----------
    temperature : float, default 0.1
        τ >= 1e-30.
    normalize : bool, default True
        Scale rows to unit length; the gradient goes through the scaling.
    reduction : {"mean", "mean_nonzero", "sum"}, default "mean"
        Over anchors that have a positive; "mean_nonzero" leaves out anchors that are compared with
        their positive alone, as these cost nothing.

    References
    ----------
    P. Khosla et al., "Supervised Contrastive Learning", arXiv:2004.11362, equation 2.

    Examples
    --------
    >>> x, labels = [[1.0, 0.0], [3.0, 4.0], [0.0, 1.0]], [0, 0, 1]
    >>> value, grad = SupConLoss(temperature=1).value_and_grad(x, labels)
    >>> print(f"{value:.6f}", grad.round(3).tolist())
    0.617813 [[0.0, -0.184], [-0.084, 0.063], [0.342, 0.0]]
    """

    temperature: float = parameter(0.1, check_temperature)
    normalize: bool = parameter(True, flag)
    reduction: Reduction = parameter("mean", REDUCTION)


@dataclass(frozen=True, kw_only=True)
class MultiSimilarityLoss(ExponentLoss, LabelLoss):
    r"""Multi-similarity loss.

    .. math:: l_i = \frac1\alpha \ln\Bigl(1 + \sum_{p \in P(i)} e^{-\alpha (s_{ip} - \lambda)}\Bigr)
              + \frac1\beta \ln\Bigl(1 + \sum_{n \in N(i)} e^{\beta (s_{in} - \lambda)}\Bigr)

    with the products s of rows of unit length; P(i) and N(i) are the other rows of the same class
    as i and of other classes. An empty set adds 0, so a row without a positive costs as much as its
    negatives.

    Parameters
    ----------
    alpha, beta : float, default 2 and 50
        Weights of positives and negatives, > 0.
    base : float, default 0.5
        λ.
    normalize : bool, default True
        Scale rows to unit length; the gradient goes through the scaling.
    reduction : {"mean", "mean_nonzero", "sum"}, default "mean"
        Over all n rows; "mean_nonzero" over those that are compared with any.

    References
    ----------
    X. Wang et al., "Multi-Similarity Loss with General Pair Weighting for Deep Metric Learning",
    arXiv:1904.06627, equation 15, without mining.

    Examples
    --------
    >>> x, labels = [[1.0, 0.0], [3.0, 4.0], [0.0, 1.0]], [0, 0, 1]
    >>> value, grad = MultiSimilarityLoss(beta=10).value_and_grad(x, labels)
    >>> print(f"{value:.6f}", grad.round(3).tolist())
    0.402853 [[0.0, -0.238], [-0.099, 0.075], [0.383, 0.0]]
    """

    alpha: float = parameter(2.0, FACTOR)
    beta: float = parameter(50.0, FACTOR)
    base: float = parameter(0.5, number())
    normalize: bool = parameter(True, flag)
    reduction: Reduction = parameter("mean", REDUCTION)

    def _bind(self) -> tuple[str, str, dict[str, float]]:
        return "exponent", "MultiSimilarity", {"alpha": self.alpha, "beta": self.beta,
                                               "base": self.base}

    def _exponents(self) -> tuple[float, float, float]:
        # an exponential that vanishes beside 1 does not matter
        return self.beta * (1 - self.base), self.alpha * (1 + self.base), 0.0

    def _anchor(self, anchors: Anchors, same: Array, different: Array) -> Slopes:
        cost = softplus(anchors.same) / self.alpha + softplus(anchors.different) / self.beta
        return Slopes(cost, np.ones(cost.shape, bool), sigmoid(anchors.different) / self.beta,
                      sigmoid(anchors.same) / self.alpha)


@dataclass(frozen=True, kw_only=True)
class CircleLoss(ExponentLoss, LabelLoss):
    r"""Circle loss.

    .. math:: l_i = \ln\Bigl(1 + \sum_{n \in N(i)} e^{\gamma \alpha_n (s_{in} - m)}
              \sum_{p \in P(i)} e^{-\gamma \alpha_p (s_{ip} - 1 + m)}\Bigr)

    with α_p = [1 + m - s_ip]₊ and α_n = [s_in + m]₊, and the products s of rows of unit length;
    P(i) and N(i) are the other rows of the same class as i and of other classes. Anchors count if
    neither is empty.

    Parameters
    ----------
    margin : float, default 0.4
        m.
    gamma : float, default 80
        Scale γ > 0.
    detach_weights : bool, default True
        Whether the gradient takes α_p and α_n for constants, as the paper does.
    normalize : bool, default True
        Scale rows to unit length; the gradient goes through the scaling.
    reduction : {"mean", "mean_nonzero", "sum"}, default "mean"
        Over anchors that count.

    References
    ----------
    Y. Sun et al., "Circle Loss: A Unified Perspective of Pair Similarity Optimization",
    arXiv:2002.10857.

    Examples
    --------
    >>> x, labels = [[1.0, 0.0], [3.0, 4.0], [0.0, 1.0]], [0, 0, 1]
    >>> value, grad = CircleLoss(gamma=2).value_and_grad(x, labels)
    >>> print(f"{value:.6f}", grad.round(3).tolist())
    0.915035 [[0.0, -0.564], [-0.2, 0.15], [0.689, 0.0]]
    """

    margin: float = parameter(0.4, number())
    gamma: float = parameter(80.0, FACTOR)
    detach_weights: bool = parameter(True, flag)
    normalize: bool = parameter(True, flag)
    reduction: Reduction = parameter("mean", REDUCTION)

    def _bind(self) -> tuple[str, str, dict[str, float]]:
        return "exponent", "Circle", {"margin": self.margin, "gamma": self.gamma,
                                      "moving": float(not self.detach_weights)}

    def _exponents(self) -> tuple[float, float, float]:
        most = self.gamma * (2 + abs(self.margin)) ** 2
        return most, most, -most

    def _anchor(self, anchors: Anchors, same: Array, different: Array) -> Slopes:
        both = anchors.different + anchors.same
        slope = sigmoid(both)
        return Slopes(softplus(both), (same > 0) & (different > 0), slope, slope)


if TYPE_CHECKING:
    from fastloss._functions import circle_loss, multi_similarity_loss, sup_con_loss
else:
    sup_con_loss = function_of(
        SupConLoss,
        "Supervised contrastive loss: "
        "mean of -ln softmax(x xᵀ / temperature) of rows of the class.",
    )
    multi_similarity_loss = function_of(
        MultiSimilarityLoss,
        "Multi-similarity: "
        "mean of ln(1 + Σ_P e^(-alpha t)) / alpha + ln(1 + Σ_N e^(beta t)) / beta.",
    )
    circle_loss = function_of(
        CircleLoss,
        "Circle loss: "
        "mean of ln(1 + Σ_N e^(gamma w (s - margin)) Σ_P e^(gamma w (1 - margin - s))).",
    )
