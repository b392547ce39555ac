"""Batch losses: sums over matrices of all pairs of rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastloss import embedding
from fastloss.reference._base import Array, function_of_rows
from fastloss.reference._pairs import (
    EQUAL,
    LabelReference,
    Pairs,
    Sums,
    TwoSidedReference,
    log_sum,
    root,
    settled,
    softplus,
)

__all__ = [
    "BatchContrastiveLoss",
    "BatchTripletLoss",
    "CircleLoss",
    "InfoNCELoss",
    "LiftedStructureLoss",
    "MultiSimilarityLoss",
    "NPairsLoss",
    "NTXentLoss",
    "SigLIPLoss",
    "SupConLoss",
    "batch_contrastive_loss",
    "batch_triplet_loss",
    "circle_loss",
    "info_nce_loss",
    "lifted_structure_loss",
    "multi_similarity_loss",
    "n_pairs_loss",
    "nt_xent_loss",
    "siglip_loss",
    "sup_con_loss",
]


def add_up(cost: Array, weight: Any, counts: Any, slope: Array, costs: Any = None) -> Sums:
    """Sum up terms: costs, their weights, which of them count, and which of those cost anything."""
    weight = np.where(counts, weight, 0.0)
    cost = np.where(counts, cost, 0.0)
    costs = cost != 0 if costs is None else costs
    return Sums(float(np.sum(weight * cost)), float(np.sum(weight)),
                float(np.sum(np.where(costs, weight, 0.0))), slope.astype(np.float64))


# ---- sums over pairs ---------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class BatchContrastiveLoss(LabelReference, embedding.BatchContrastiveLoss):
    r"""Contrastive loss of all pairs i < j of rows.

    .. math:: l_{ij} = d_{ij}^2 \text{ (same class)}, \quad [m - d_{ij}]_+^2 \text{ (else)}

    d is the distance, its square, or 1 - cos. With a pos_margin, it is [d - pos_margin]₊ in the
    first term; ``form="linear"`` has no squares. With refs, all pairs of a row and a ref.
    """

    def _sums(self, pairs: Pairs) -> Sums:
        if self.distance == "euclidean":
            d, by_v = root(pairs.v)
        else:
            factor = 0.5 if self.distance == "cosine" else 1.0
            d, by_v = factor * pairs.v, np.full(pairs.v.shape, factor)
        limit = np.where(pairs.same, self.pos_margin or 0.0, self.margin)
        excess = np.maximum(np.where(pairs.same, 1, -1) * settled(d - limit, d + limit), 0)
        cost = excess if self.form == "linear" else excess**2
        slope = np.where(excess > 0, 1.0, 0.0) if self.form == "linear" else 2 * excess
        slope *= np.where(pairs.same, by_v, -by_v)
        counts = (pairs.same | pairs.other) & pairs.upper
        return add_up(cost, pairs.weights, counts, np.where(counts, pairs.weights * slope, 0.0),
                      excess > 0)


@dataclass(frozen=True, kw_only=True)
class SigLIPLoss(TwoSidedReference, embedding.SigLIPLoss):
    r"""Sigmoid loss of all pairs of queries x and keys y.

    .. math:: L = -\frac1n \sum_{i, j} \ln \sigma\bigl(\pm (t\, x_i y_j + b)\bigr),

    + for paired rows (i = j), - for all others: the sum of ln(1 + e^∓(t x y + b)). The
    mean is over the n queries, not over the pairs.
    """

    def _sums(self, pairs: Pairs) -> Sums:
        sign = np.where(pairs.same, -1.0, 1.0)
        z = sign * (self.scale * pairs.v + self.bias)
        cost = softplus(z)
        w = pairs.weights
        sums = add_up(cost, w, np.True_, w * sign * self.scale * np.exp(z - cost), np.True_)
        return sums._replace(weight=float(np.sum(pairs.w)))

    def _by_parameters(self, pairs: Pairs, slope: Array) -> dict[str, float]:
        return {"scale": np.sum(slope * pairs.v) / self.scale, "bias": np.sum(slope) / self.scale}


# ---- cross entropies of softmax ----------------------------------------------------------------


def softmax_terms(pairs: Pairs, temperature: float) -> Sums:
    """Cross entropy of each anchor's softmax over all pairs, against those of the same class.

    Of a single positive p it is ln(1 + sum of e^(x_k - x_p)), which is exact however small.
    """
    x = pairs.v / temperature
    positives = pairs.same.sum(axis=1)
    counts, single = positives > 0, positives == 1
    share = pairs.same / np.maximum(positives, 1)[:, None]
    mean = np.sum(np.where(pairs.same, x, 0.0), axis=1) / np.maximum(positives, 1)
    rest = log_sum(x, pairs.other)
    total = log_sum(x, pairs.same | pairs.other)
    cost = np.where(single, softplus(rest - mean), total - mean)
    softmax = np.where(pairs.same | pairs.other, np.exp(x - total[:, None]), 0.0)
    lacking = np.where(pairs.same & single[:, None], -np.exp(rest - total)[:, None],
                       softmax - share)
    weights = np.where(counts, pairs.w, 0.0)[:, None]
    slope = np.where(weights == 0, 0.0, weights * lacking / temperature)
    # softmax over one row alone is 1; all else costs something, if only by rounding nothing
    return add_up(cost, pairs.w, counts, slope,
                  np.sum(pairs.same | pairs.other, axis=1) > 1)


@dataclass(frozen=True, kw_only=True)
class SupConLoss(LabelReference, embedding.SupConLoss):
    r"""Supervised contrastive loss.

    .. math:: l_i = -\frac{1}{|P(i)|} \sum_{p \in P(i)}
              \ln \frac{e^{z_i z_p / \tau}}{\sum_{a \ne i} e^{z_i z_a / \tau}}

    P(i) are the other rows of the same class as i; anchors count that have one.
    """

    def _sums(self, pairs: Pairs) -> Sums:
        return softmax_terms(pairs, self.temperature)

    def _by_parameters(self, pairs: Pairs, slope: Array) -> dict[str, float]:
        return {"temperature": -np.sum(slope * pairs.v) / self.temperature}


@dataclass(frozen=True, kw_only=True)
class NTXentLoss(TwoSidedReference, embedding.NTXentLoss):
    r"""Cross entropy of two views, over all 2n rows of both.

    .. math:: l_i = -\ln \frac{e^{z_i z_j / \tau}}{\sum_{k \ne i} e^{z_i z_k / \tau}},

    j is the other view of i. A weight is that of both views.
    """

    def _of_both(self, x: Any, z: Any, w: Any, parameters: bool) -> tuple[Any, ...]:
        numbers = np.arange(len(x))
        sums, (grad,), learned = self._results(
            np.concatenate([x, z]), np.concatenate([numbers, numbers]), None, None,
            None if w is None else np.concatenate([w, w]), parameters)
        return sums, [grad[:len(x)], grad[len(x):]], learned

    def _sums(self, pairs: Pairs) -> Sums:
        return softmax_terms(pairs, self.temperature)

    def _by_parameters(self, pairs: Pairs, slope: Array) -> dict[str, float]:
        return {"temperature": -np.sum(slope * pairs.v) / self.temperature}


@dataclass(frozen=True, kw_only=True)
class InfoNCELoss(TwoSidedReference, embedding.InfoNCELoss):
    r"""Cross entropy of queries q with all keys k.

    .. math:: l_i = -\ln \frac{e^{q_i k_i / \tau}}{\sum_j e^{q_i k_j / \tau}}

    ``symmetric=True``: the mean of it and of :math:`-\ln (e^{q_i k_i / \tau} / \sum_j e^{q_j k_i /
    \tau})`.
    """

    def _sums(self, pairs: Pairs) -> Sums:
        rows = softmax_terms(pairs, self.temperature)
        if not self.symmetric:
            return rows
        turned = pairs._replace(v=pairs.v.T, same=pairs.same.T, other=pairs.other.T)
        columns = softmax_terms(turned, self.temperature)
        return Sums((rows.total + columns.total) / 2, (rows.weight + columns.weight) / 2,
                    (rows.nonzero + columns.nonzero) / 2, (rows.slope + columns.slope.T) / 2)

    def _by_parameters(self, pairs: Pairs, slope: Array) -> dict[str, float]:
        return {"temperature": -np.sum(slope * pairs.v) / self.temperature}


@dataclass(frozen=True, kw_only=True)
class NPairsLoss(TwoSidedReference, embedding.NPairsLoss):
    r"""N-pairs loss of anchors a and positives p.

    .. math:: l_i = \ln\Bigl(1 + \sum_{j \ne i} e^{a_i p_j - a_i p_i}\Bigr)
    """

    def _sums(self, pairs: Pairs) -> Sums:
        return softmax_terms(pairs, 1.0)


# ---- other functions of sums of exponentials ---------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class MultiSimilarityLoss(LabelReference, embedding.MultiSimilarityLoss):
    r"""Multi-similarity loss.

    .. math:: l_i = \frac1\alpha \ln\Bigl(1 + \sum_{p \in P(i)} e^{-\alpha (s_{ip} - \lambda)}\Bigr)
              + \frac1\beta \ln\Bigl(1 + \sum_{n \in N(i)} e^{\beta (s_{in} - \lambda)}\Bigr)

    Every row counts; an empty set adds 0.
    """

    def _sums(self, pairs: Pairs) -> Sums:
        near = -self.alpha * (pairs.v - self.base)
        far = self.beta * (pairs.v - self.base)
        a, b = softplus(log_sum(near, pairs.same)), softplus(log_sum(far, pairs.other))
        slope = (np.where(pairs.other, np.exp(far - b[:, None]), 0.0)
                 - np.where(pairs.same, np.exp(near - a[:, None]), 0.0))
        return add_up(a / self.alpha + b / self.beta, pairs.w, np.True_, pairs.w[:, None] * slope,
                      np.any(pairs.same | pairs.other, axis=1))


@dataclass(frozen=True, kw_only=True)
class CircleLoss(LabelReference, embedding.CircleLoss):
    r"""Circle loss.

    .. math:: l_i = \ln\Bigl(1 + \sum_{n \in N(i)} e^{\gamma \alpha_n (s_{in} - m)}
              \sum_{p \in P(i)} e^{-\gamma \alpha_p (s_{ip} - 1 + m)}\Bigr)

    with α_p = [1 + m - s_ip]₊ and α_n = [s_in + m]₊, constants in the gradient if detached. Anchors
    count that have pairs of both kinds.
    """

    def _sums(self, pairs: Pairs) -> Sums:
        s, m, gamma = pairs.v, self.margin, self.gamma
        pull, push = np.maximum(1 + m - s, 0), np.maximum(s + m, 0)
        near, far = -gamma * pull * (s - 1 + m), gamma * push * (s - m)
        by_near, by_far = -gamma * pull, gamma * push
        if not self.detach_weights:
            by_near = by_near + gamma * (pull > 0) * (s - 1 + m)
            by_far = by_far + gamma * (push > 0) * (s - m)
        a, b = log_sum(near, pairs.same), log_sum(far, pairs.other)
        counts = pairs.same.any(axis=1) & pairs.other.any(axis=1)
        cost = softplus(a + b)
        rate = np.exp(a + b - cost)
        slope = (np.where(pairs.same, by_near * np.exp(near - a[:, None]), 0.0)
                 + np.where(pairs.other, by_far * np.exp(far - b[:, None]), 0.0))
        weight = np.where(counts, pairs.w * rate, 0.0)[:, None]
        return add_up(cost, pairs.w, counts, np.where(counts[:, None], weight * slope, 0.0),
                      np.True_)


@dataclass(frozen=True, kw_only=True)
class LiftedStructureLoss(LabelReference, embedding.LiftedStructureLoss):
    r"""Lifted structured loss of all pairs i < j of the same class, P in number.

    .. math:: L = \frac{1}{2 |P|} \sum_{(i, j) \in P} \Bigl[\ln\Bigl(\sum_{k \in N(i)} e^{m -
              d_{ik}} + \sum_{l \in N(j)} e^{m - d_{jl}}\Bigr) + d_{ij}\Bigr]_+^2

    Pairs of which neither row has one of another class cost nothing and do not count. With refs,
    all pairs of a row i and a ref j; the others of i are refs, those of j are rows.
    """

    def _sums(self, pairs: Pairs) -> Sums:
        d, by_v = root(pairs.v)
        x = self.margin - d
        a, b = log_sum(x, pairs.other)[:, None], log_sum(x.T, pairs.other.T)[None, :]
        both = np.logaddexp(a, b)
        counts = pairs.same & pairs.upper & ~np.isneginf(both)
        excess = np.where(counts, np.maximum(both + d, 0), 0.0)
        c = np.where(counts, pairs.weights * excess, 0.0)
        of_row = np.sum(np.where(counts, c * np.exp(a - both), 0.0), axis=1, keepdims=True)
        of_column = np.sum(np.where(counts, c * np.exp(b - both), 0.0), axis=0, keepdims=True)
        pushed = of_row * np.exp(x - a) + of_column * np.exp(x - b)
        slope = (c - np.where(pairs.other, pushed, 0.0)) * by_v
        return add_up(excess**2 / 2, pairs.weights, counts, slope)


# ---- triplets ----------------------------------------------------------------------------------


def largest(x: Array) -> Any:
    """Return the index of the first of the largest numbers."""
    best = np.max(x)
    return np.argmax((x == best) | (x >= best - 2 * EQUAL * np.abs(best)))


@dataclass(frozen=True, kw_only=True)
class BatchTripletLoss(LabelReference, embedding.BatchTripletLoss):
    r"""Triplet loss of rows i, others p of the same class and n of other classes.

    .. math:: l_{ipn} = [d_{ip} - d_{in} + m]_+, \quad \ln(1 + e^{d_{ip} - d_{in}})
              \text{ with soft_margin}

    "hard": for each i the farthest p and the nearest n. "semi-hard": for each i and p the nearest n
    that is farther than p or, where none is, the farthest n. "all": all triplets, of which a mean
    counts those that cost anything. Of equals it is the first.
    """

    def _triplets(self, d: Array, near: Any, far: Any) -> tuple[Any, Any]:
        """Return the positives and negatives of an anchor's triplets, by number."""
        if self.mining == "hard":
            return near[[largest(d[near])]], far[[largest(-d[far])]]
        if self.mining == "all":
            return np.repeat(near, len(far)), np.tile(far, len(near))
        apart = settled(d[far] - d[near][:, None], d[far] + d[near][:, None])
        farther = np.where(apart > 0, d[far], np.inf)
        nearest = [largest(-each) if np.isfinite(each).any() else largest(d[far])
                   for each in farther]
        return near, far[nearest]

    def _sums(self, pairs: Pairs) -> Sums:
        if self.distance == "euclidean":
            d, by_v = root(pairs.v)
        else:
            factor = 0.5 if self.distance == "cosine" else 1.0
            d, by_v = factor * pairs.v, np.full(pairs.v.shape, factor)
        if np.isnan(d).any():     # no order of distances is known
            return Sums(np.nan, 1.0, 1.0, np.full(d.shape, np.nan))
        total = weight = nonzero = 0.0
        slope = np.zeros(d.shape)
        for i, w in enumerate(pairs.w):
            near, far = np.flatnonzero(pairs.same[i]), np.flatnonzero(pairs.other[i])
            if not (near.size and far.size):
                continue
            p, n = self._triplets(d[i], near, far)
            size = d[i, p] + d[i, n]
            t = settled(d[i, p] - d[i, n], size)
            if self.soft_margin:
                cost = softplus(t)
                rate = np.exp(t - cost)
                costs: Any = cost.size     # each, if only by rounding nothing
            else:
                cost = np.maximum(settled(t + self.margin, size + abs(self.margin)), 0)
                rate = np.where(cost > 0, 1.0, cost)
                costs = np.count_nonzero(cost)
            np.add.at(slope[i], p, w * rate)
            np.add.at(slope[i], n, -w * rate)
            total += float(w * cost.sum())
            weight += float(w * cost.size)
            nonzero += float(w * costs)
        if self.mining == "all":
            weight = nonzero
        return Sums(total, weight, nonzero, (slope * by_v).astype(np.float64))


batch_contrastive_loss = function_of_rows(BatchContrastiveLoss)
batch_triplet_loss = function_of_rows(BatchTripletLoss)
circle_loss = function_of_rows(CircleLoss)
info_nce_loss = function_of_rows(InfoNCELoss)
lifted_structure_loss = function_of_rows(LiftedStructureLoss)
multi_similarity_loss = function_of_rows(MultiSimilarityLoss)
n_pairs_loss = function_of_rows(NPairsLoss)
nt_xent_loss = function_of_rows(NTXentLoss)
siglip_loss = function_of_rows(SigLIPLoss)
sup_con_loss = function_of_rows(SupConLoss)
