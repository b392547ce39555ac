"""Losses of embeddings as a user of torch would write them, or have them of a library.

The first argument is torch, or for those of pytorch-metric-learning that library and torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Tensors = Callable[..., Any]


def classes(torch: Any, y: Any) -> tuple[Any, Any]:
    """Return which pairs of a batch are two rows of one class, and of different ones."""
    same = y[:, None] == y
    return same & ~torch.eye(len(y), dtype=torch.bool), ~same


def products(torch: Any, x: Any) -> Any:
    unit = torch.nn.functional.normalize(x)
    return unit @ unit.T


# ---- batches ----------------------------------------------------------------------------


def contrastive(torch: Any, x: Any, y: Any, *, power: int = 2) -> Any:
    d = torch.cdist(x, x)
    cost = torch.where(y[:, None] == y, d, (1 - d).clamp(min=0)) ** power
    return cost.triu(1).sum() / (len(x) * (len(x) - 1) / 2)


def triplet_hard(torch: Any, x: Any, y: Any) -> Any:
    d, (same, different) = torch.cdist(x, x), classes(torch, y)
    farthest = d.masked_fill(~same, -torch.inf).amax(1)
    nearest = d.masked_fill(~different, torch.inf).amin(1)
    return torch.relu(farthest - nearest + 0.2).mean()


def triplet_semi_hard(torch: Any, x: Any, y: Any) -> Any:
    d, (same, different) = torch.cdist(x, x), classes(torch, y)
    ordered = d.masked_fill(~different, torch.inf).sort(1).values
    farther = torch.searchsorted(ordered.detach(), d.detach(), right=True)
    last = different.sum(1, keepdim=True) - 1
    negative = ordered.gather(1, torch.minimum(farther, last))
    return torch.relu(d - negative + 0.2)[same].mean()


def triplet_all(torch: Any, x: Any, y: Any) -> Any:
    d, (same, different) = torch.cdist(x, x), classes(torch, y)
    anchor, positive = same.nonzero(as_tuple=True)
    cost = torch.relu(d[anchor, positive][:, None] - d[anchor] + 0.2) * different[anchor]
    return cost.sum() / (cost > 0).sum()


def sup_con(torch: Any, x: Any, y: Any) -> Any:
    same, _ = classes(torch, y)
    own = torch.eye(len(x), dtype=torch.bool)
    logs = (products(torch, x) / 0.1).masked_fill(own, -torch.inf).log_softmax(1)
    return -(logs.masked_fill(~same, 0).sum(1) / same.sum(1)).mean()


def multi_similarity(torch: Any, x: Any, y: Any) -> Any:
    s, (same, different) = products(torch, x), classes(torch, y)
    near = torch.log1p((torch.exp(-2 * (s - 0.5)) * same).sum(1)) / 2
    far = torch.log1p((torch.exp(50 * (s - 0.5)) * different).sum(1)) / 50
    return (near + far).mean()


def circle(torch: Any, x: Any, y: Any) -> Any:
    s, (same, different) = products(torch, x), classes(torch, y)
    pull, push = torch.relu(1.4 - s.detach()), torch.relu(s.detach() + 0.4)
    near = (-80 * pull * (s - 0.6)).masked_fill(~same, -torch.inf).logsumexp(1)
    far = (80 * push * (s - 0.4)).masked_fill(~different, -torch.inf).logsumexp(1)
    return torch.nn.functional.softplus(near + far).mean()


def lifted(torch: Any, x: Any, y: Any) -> Any:
    d, (same, different) = torch.cdist(x, x), classes(torch, y)
    far = (1 - d).masked_fill(~different, -torch.inf).logsumexp(1)
    cost = torch.relu(torch.logaddexp(far[:, None], far) + d) ** 2 * same
    return cost.sum() / (2 * same.sum())


def info_nce(torch: Any, q: Any, k: Any, *, symmetric: bool = False) -> Any:
    functional = torch.nn.functional
    logits = functional.normalize(q) @ functional.normalize(k).T / 0.07
    own = torch.arange(len(q))
    cost = functional.cross_entropy(logits, own)
    return (cost + functional.cross_entropy(logits.T, own)) / 2 if symmetric else cost


def n_pairs(torch: Any, a: Any, p: Any) -> Any:
    return torch.nn.functional.cross_entropy(a @ p.T, torch.arange(len(a)))


def nt_xent(torch: Any, a: Any, b: Any) -> Any:
    own = torch.eye(2 * len(a), dtype=torch.bool)
    logits = (products(torch, torch.cat([a, b])) / 0.5).masked_fill(own, -torch.inf)
    other = torch.arange(2 * len(a)).roll(len(a))
    return torch.nn.functional.cross_entropy(logits, other)


def sig_lip(torch: Any, q: Any, k: Any) -> Any:
    functional = torch.nn.functional
    logits = 10 * functional.normalize(q) @ functional.normalize(k).T - 10
    signs = 2 * torch.eye(len(q), dtype=q.dtype) - 1
    return -functional.logsigmoid(signs * logits).sum() / len(q)


# ---- paired rows ------------------------------------------------------------------------
# eps=0: the number that torch adds to differences shows in float64


def pairs(torch: Any, a: Any, b: Any, y: Any) -> Any:
    d = torch.nn.functional.pairwise_distance(a, b, eps=0)
    return (y * d**2 + (1 - y) * (1 - d).clamp(min=0) ** 2).mean()


def cosines(torch: Any, a: Any, b: Any, y: Any) -> Any:
    return torch.nn.functional.cosine_embedding_loss(a, b, y)


def triplets(torch: Any, a: Any, p: Any, n: Any) -> Any:
    return torch.nn.functional.triplet_margin_loss(a, p, n, eps=0)


# ---- pytorch-metric-learning ------------------------------------------------------------


def euclidean(metric: Any) -> Any:
    return metric.distances.LpDistance(normalize_embeddings=False)


def metric_contrastive(metric: Any, torch: Any, x: Any, y: Any) -> Any:
    # sums, because its means are of either class apart; it has each pair twice
    loss = metric.losses.ContrastiveLoss(
        distance=euclidean(metric), reducer=metric.reducers.SumReducer())
    return loss(x, y) / (len(x) * (len(x) - 1))


def metric_triplet_hard(metric: Any, torch: Any, x: Any, y: Any) -> Any:
    distance = euclidean(metric)
    loss = metric.losses.TripletMarginLoss(
        margin=0.2, distance=distance, reducer=metric.reducers.MeanReducer())
    return loss(x, y, metric.miners.BatchHardMiner(distance=distance)(x, y))


def metric_triplet_all(metric: Any, torch: Any, x: Any, y: Any) -> Any:
    return metric.losses.TripletMarginLoss(margin=0.2, distance=euclidean(metric))(x, y)


def metric_lifted(metric: Any, torch: Any, x: Any, y: Any) -> Any:
    return metric.losses.LiftedStructureLoss(distance=euclidean(metric))(x, y)


def metric_labelled(name: str, **parameters: Any) -> Tensors:
    """Return a loss of rows and labels that has the same formula."""
    return lambda metric, torch, x, y: getattr(metric.losses, name)(**parameters)(x, y)


def metric_views(metric: Any, torch: Any, a: Any, b: Any) -> Any:
    y = torch.arange(len(a)).repeat(2)
    return metric.losses.NTXentLoss(temperature=0.5)(torch.cat([a, b]), y)


def metric_keys(metric: Any, torch: Any, q: Any, k: Any) -> Any:
    # by pairs of one batch of both sides: to ref_emb it gives no gradient
    n, own = len(q), torch.arange(len(q))
    anchor, other = (~torch.eye(n, dtype=torch.bool)).nonzero(as_tuple=True)
    return metric.losses.NTXentLoss(temperature=0.07)(
        torch.cat([q, k]), indices_tuple=(own, own + n, anchor, other + n))


def metric_n_pairs(metric: Any, torch: Any, a: Any, p: Any) -> Any:
    distance = metric.distances.DotProductSimilarity(normalize_embeddings=False)
    y = torch.arange(len(a)).repeat(2)
    return metric.losses.NPairsLoss(distance=distance)(torch.cat([a, p]), y)
