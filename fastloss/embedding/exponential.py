"""Losses of sums of exponentials over all pairs of an anchor: softmax and its relatives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastloss._parameters import flag, number, parameter
from fastloss.embedding._common import (
    REDUCTION,
    Batch,
    EmbeddingLoss,
    LabelLoss,
    Reduction,
    Terms,
    TwoSidedLoss,
    make_batch,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

__all__ = ["CircleLoss", "InfoNCELoss", "LiftedStructureLoss", "MultiSimilarityLoss",
           "NPairsLoss", "NTXentLoss", "SupConLoss"]

# Exponentials of numbers that lie no further apart than this neither overflow nor vanish.
RANGE = {np.dtype(np.float32): 80.0, np.dtype(np.float64): 690.0}


class Anchors(NamedTuple):
    """What pairs come to, anchor by anchor; logarithms of sums are -inf where nothing is summed."""

    different: Array              # ln of the sum of e^x over pairs of another class
    same: Array                   # and of the same class
    total: Array                  # sum of v over the latter


class Slopes(NamedTuple):
    """A cost per anchor, whether it counts, and its derivatives by the fields of `Anchors`."""

    cost: Array
    counts: Array
    different: Array | float = 0.0
    same: Array | float = 0.0
    total: Array | float = 0.0


def softplus(x: Array) -> Array:
    """Return ln(1 + e^x)."""
    return np.logaddexp(0.0, x)


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + e^-x), to full accuracy for x < 0 too."""
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1.0) / (1.0 + e)


class ExponentialLoss(EmbeddingLoss):
    """Base of losses whose anchors cost a function of sums of exponentials."""

    def _exponents(self) -> tuple[float, float, float]:
        """Return the largest exponents of either class of unit rows, and the least that matters."""
        raise NotImplementedError

    def _anchor(self, anchors: Anchors, batch: Batch) -> Slopes:
        """Return costs and slopes of anchors of the first side."""
        raise NotImplementedError

    _both = False                 # whether rows of the second side are anchors too

    def _terms(self, batch: Batch, gradient: bool, others: bool) -> Terms:
        pairs = batch.pairs
        sides = [pairs.a] if batch.symmetric or not self._both else [pairs.a, pairs.b]
        shifts, each = self._shifts(batch)
        pairs.run(self._kernel, "sum", columns=self._both, shift=shifts, each=each)
        total = weight = nonzero = 0.0
        factors: list[tuple[Any, ...]] = [(0.0, 0.0, 0.0), (0.0, 0.0, 0.0)]
        for k, side in enumerate(sides):
            with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
                sums = side.sums[:, :side.n]
                logs = [np.log(sums[c]) + shifts[k][c] for c in (0, 1)]
                slopes = self._anchor(Anchors(logs[0], logs[1], sums[2]), batch)
                counts = batch.weigh(slopes.counts.astype(np.float64))
                cost = np.where(slopes.counts, slopes.cost, 0.0) * counts
                total += float(cost.sum()) / len(sides)
                weight += float(counts.sum()) / len(sides)
                nonzero += float(counts[slopes.cost != 0].sum()) / len(sides)
                counts /= len(sides)
                # a sum is 0 where there was nothing to sum
                factors[k] = (*(
                    np.where(sums[c] != 0, counts * slope * np.exp(shifts[k][c] - logs[c]), 0.0)
                    for c, slope in enumerate((slopes.different, slopes.same))
                ), np.where(slopes.counts, counts * slopes.total, 0.0))
        if gradient:
            factor = (factors[0], factors[0] if batch.symmetric else factors[1])
            pairs.run(self._kernel, "weigh", gradient=True, others=others, columns=others,
                      shift=shifts, factor=factor, each=each)
        return Terms(total, weight, nonzero)

    def _shifts(self, batch: Batch) -> tuple[Any, bool]:
        """Return what to take from exponents: a bound, or where they are too far apart, maxima."""
        largest_different, largest_same, least = self._exponents()
        pairs = batch.pairs
        most = RANGE[pairs.a.source.dtype]
        if self.normalize and max(largest_different, largest_same) - least <= most:  # type: ignore[attr-defined]
            # products of rounded unit rows may exceed 1
            bound = (largest_different * (1 + 1e-6), largest_same * (1 + 1e-6))
            return (bound, bound), False
        pairs.run(self._kernel, "largest", columns=True)
        found = []
        for side in (pairs.a, pairs.b):
            maxima = side.sums[:2, :side.n]
            maxima = np.where(np.isfinite(maxima), maxima, 0.0)
            # as the kernel will round them
            found.append(tuple(maxima.astype(side.source.dtype).astype(np.float64)))
        return tuple(found), True


class SoftmaxLoss(ExponentialLoss):
    """Base of cross entropies of softmax over the other rows against those of the same class."""

    def _scale(self) -> float:
        return 1.0 / self.temperature  # type: ignore[attr-defined, no-any-return]

    def _bind(self) -> tuple[str, str, dict[str, float]]:
        return "exponent", "Softmax", {"scale": self._scale()}

    def _exponents(self) -> tuple[float, float, float]:
        return self._scale(), self._scale(), -self._scale()

    def _anchor(self, anchors: Anchors, batch: Batch) -> Slopes:
        # of a single positive what it lacks to 1 is what the others have: nothing cancels
        scale, single = self._scale(), batch.same == 1
        both = np.logaddexp(anchors.different, anchors.same)
        others = np.exp(anchors.different - both)
        cost = np.where(single, softplus(anchors.different - anchors.same),
                        both - scale * (anchors.total / batch.same))
        return Slopes(cost, batch.same > 0, others,
                      np.where(single, 0.0, np.exp(anchors.same - both)),
                      -scale * np.where(single, others, 1.0 / batch.same))

    def _learned(self, terms: Terms, batch: Batch, scale: float, along: float) -> dict[str, float]:
        # the value depends on products divided by the temperature
        return {"temperature": -along * self._scale()}


@dataclass(frozen=True, kw_only=True)
class SupConLoss(SoftmaxLoss, LabelLoss):
    r"""Supervised contrastive loss: softmax over all other rows, against those of the same class.

    .. math:: l_i = -\frac{1}{|P(i)|} \sum_{p \in P(i)}
              \ln \frac{e^{z_i z_p / \tau}}{\sum_{a \ne i} e^{z_i z_a / \tau}}

    for rows z of unit length; P(i) are the other rows of the same class as i. The mean is over the
    anchors that have one.

    Parameters
    ----------
    temperature : float, default 0.1
        τ > 0.
    normalize : bool, default True
        Scale rows to unit length; the gradient goes through the scaling.
    reduction : {"mean", "mean_nonzero", "sum"}, default "mean"
        Over anchors that have a positive; "mean_nonzero" leaves out those that cost nothing.

    References
    ----------
    P. Khosla et al., "Supervised Contrastive Learning", arXiv:2004.11362, equation 2.
    """

    temperature: float = parameter(0.1, number(low=0, open_low=True))
    normalize: bool = parameter(True, flag)
    reduction: Reduction = parameter("mean", REDUCTION)


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
class MultiSimilarityLoss(ExponentialLoss, LabelLoss):
    r"""Multi-similarity loss.

    .. math:: l_i = \frac1\alpha \ln\Bigl(1 + \sum_{p \in P(i)} e^{-\alpha (s_{ip} - \lambda)}\Bigr)
              + \frac1\beta \ln\Bigl(1 + \sum_{n \in N(i)} e^{\beta (s_{in} - \lambda)}\Bigr)

    with the products s of rows of unit length; P(i) and N(i) are the other rows of the same class
    as i and of other classes. An empty set adds 0.

    Parameters
    ----------
    alpha, beta : float, default 2 and 50
        Weights of positives and negatives, > 0.
    base : float, default 0.5
        λ.
    normalize : bool, default True
        Scale rows to unit length; the gradient goes through the scaling.
    reduction : {"mean", "mean_nonzero", "sum"}, default "mean"
        Over all n rows.

    References
    ----------
    X. Wang et al., "Multi-Similarity Loss with General Pair Weighting for Deep Metric Learning",
    arXiv:1904.06627, equation 15, without mining.
    """

    alpha: float = parameter(2.0, number(low=0, open_low=True))
    beta: float = parameter(50.0, number(low=0, open_low=True))
    base: float = parameter(0.5, number())
    normalize: bool = parameter(True, flag)
    reduction: Reduction = parameter("mean", REDUCTION)

    def _bind(self) -> tuple[str, str, dict[str, float]]:
        return "exponent", "MultiSimilarity", {"alpha": self.alpha, "beta": self.beta,
                                               "base": self.base}

    def _exponents(self) -> tuple[float, float, float]:
        # what vanishes beside 1 does not matter
        return self.beta * (1 - self.base), self.alpha * (1 + self.base), 0.0

    def _anchor(self, anchors: Anchors, batch: Batch) -> Slopes:
        cost = softplus(anchors.same) / self.alpha + softplus(anchors.different) / self.beta
        return Slopes(cost, np.ones(cost.shape, bool), sigmoid(anchors.different) / self.beta,
                      sigmoid(anchors.same) / self.alpha)


@dataclass(frozen=True, kw_only=True)
class CircleLoss(ExponentialLoss, LabelLoss):
    r"""Circle loss.

    .. math:: l_i = \ln\Bigl(1 + \sum_{n \in N(i)} e^{\gamma \alpha_n (s_{in} - m)}
              \sum_{p \in P(i)} e^{-\gamma \alpha_p (s_{ip} - 1 + m)}\Bigr)

    with α_p = [1 + m - s_ip]₊ and α_n = [s_in + m]₊, and the products s of rows of unit length;
    P(i) and N(i) are the other rows of the same class as i and of other classes. Anchors count that
    have either.

    Parameters
    ----------
    margin : float, default 0.4
        m.
    gamma : float, default 80
        Scale γ > 0.
    detach_weights : bool, default True
        The gradient takes α_p and α_n for constants, as the paper does.
    normalize : bool, default True
        Scale rows to unit length; the gradient goes through the scaling.
    reduction : {"mean", "mean_nonzero", "sum"}, default "mean"
        Over anchors that count.

    References
    ----------
    Y. Sun et al., "Circle Loss: A Unified Perspective of Pair Similarity Optimization",
    arXiv:2002.10857.
    """

    margin: float = parameter(0.4, number())
    gamma: float = parameter(80.0, number(low=0, open_low=True))
    detach_weights: bool = parameter(True, flag)
    normalize: bool = parameter(True, flag)
    reduction: Reduction = parameter("mean", REDUCTION)

    def _bind(self) -> tuple[str, str, dict[str, float]]:
        return "exponent", "Circle", {"margin": self.margin, "gamma": self.gamma,
                                      "moving": float(not self.detach_weights)}

    def _exponents(self) -> tuple[float, float, float]:
        most = self.gamma * (2 + abs(self.margin)) ** 2
        return most, most, -most

    def _anchor(self, anchors: Anchors, batch: Batch) -> Slopes:
        both = anchors.different + anchors.same
        slope = sigmoid(both)
        return Slopes(softplus(both), (batch.same > 0) & (batch.different > 0), slope, slope)


@dataclass(frozen=True, kw_only=True)
class LiftedStructureLoss(ExponentialLoss, LabelLoss):
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
        Over pairs of one class of which a row has a negative. "sum" keeps the 1/2.

    Notes
    -----
    A pair counts with the mean of its rows' weights. With `refs`, pairs are of a row and a ref, a
    ref's negatives are rows, and the row's weight counts.

    References
    ----------
    H. O. Song et al., "Deep Metric Learning via Lifted Structured Feature Embedding",
    arXiv:1511.06452, equation 4.
    """

    margin: float = parameter(1.0, number())
    normalize: bool = parameter(False, flag)
    reduction: Reduction = parameter("mean", REDUCTION)

    _distance = True

    def _bind(self) -> tuple[str, str, dict[str, float]]:
        return "exponent", "Lifted", {"margin": self.margin}

    def _exponents(self) -> tuple[float, float, float]:
        # no distance of unit rows is more than 2
        return self.margin, self.margin, self.margin - 2.001

    def _terms(self, batch: Batch, gradient: bool, others: bool) -> Terms:
        pairs = batch.pairs
        shifts, each = self._shifts(batch)
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
        weight = float(np.sum(pairs.a.sums[2, :pairs.a.n]))
        if gradient:
            with np.errstate(over="ignore", under="ignore", invalid="ignore"):
                factor = tuple(
                    (np.where(log == absent, 0.0, side.sums[0, :side.n] * np.exp(shift[0] - log)),
                     0.0, 0.0)
                    for side, log, shift in zip((pairs.a, pairs.b), logs, shifts, strict=True))
            pairs.run(self._kernel, "weigh", gradient=True, others=others, columns=others,
                      shift=shifts, factor=factor, each=each, more=True)
        return Terms(total, weight, nonzero, 0.5 if batch.symmetric else 1.0)
