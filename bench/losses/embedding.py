"""Losses of embeddings: batch losses and paired losses."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from bench.losses import _tensors as tensors
from bench.losses._entry import Array, Embedding, RowsData, Shape
from fastloss import embedding

BATCHES = ((64, 32), (1024, 128), (4096, 128), (16_384, 128))
PAIRS = ((1_000_000, 64),)
DRAWN = 50_000  # paired rows repeat after so many
TIES = 0.01


def near(rng: np.random.Generator, centres: Array) -> Array:
    """Draw rows: their Euclidean distances are about 1, or 0.7 where they share a centre."""
    noise = rng.standard_normal(centres.shape, np.float32)
    return (centres + noise) / np.float32(2 * np.sqrt(centres.shape[1]))


def labelled(rng: np.random.Generator, shape: Shape) -> tuple[tuple[Array], tuple[Array]]:
    """Draw a batch of classes of eight."""
    y = rng.permutation(shape[0]) // 8
    centres = rng.standard_normal((y.max() + 1, shape[1]), np.float32)
    return (y,), (near(rng, centres[y]),)


def together(sides: int) -> RowsData:
    """Return a source of paired rows."""

    def data(rng: np.random.Generator, shape: Shape) -> tuple[tuple[()], tuple[Array, ...]]:
        centres = draw(rng, shape)
        return (), tuple(np.resize(near(rng, centres), shape) for _ in range(sides))

    return data


def draw(rng: np.random.Generator, shape: Shape) -> Array:
    return rng.standard_normal((min(shape[0], DRAWN), shape[1]), np.float32)


def views(rng: np.random.Generator, shape: Shape) -> tuple[tuple[()], tuple[Array, ...]]:
    """Draw two views, which are one batch."""
    return (), together(2)(rng, (shape[0] // 2, shape[1]))[1]


def pairs(least: int) -> RowsData:
    """Return a source of pairs with labels `least` or 1."""

    def data(rng: np.random.Generator, shape: Shape) -> tuple[tuple[Array], tuple[Array, ...]]:
        similar = rng.integers(0, 2, shape[0])
        return (np.where(similar, 1, least).astype(np.float32),), together(2)(rng, shape)[1]

    return data


def triplets(rng: np.random.Generator, shape: Shape) -> tuple[tuple[()], tuple[Array, ...]]:
    a, p = together(2)(rng, shape)[1]
    return (), (a, p, np.resize(near(rng, draw(rng, shape)), shape))


def batch(
    name: str, loss: Any, products: int, torch: tensors.Tensors,
    metric: tensors.Tensors | None = None, *, data: RowsData = labelled, **more: Any,
) -> Embedding:
    options: dict[str, Any] = {"shapes": BATCHES, "quick_shapes": BATCHES[:1], **more}
    return Embedding(name, loss, data, torch, metric, products, **options)


def rows(name: str, loss: Any, data: RowsData, torch: tensors.Tensors) -> Embedding:
    return Embedding(name, loss, data, torch, shapes=PAIRS, quick_shapes=((1000, 64),))


LOSSES = (
    batch("batch contrastive", embedding.BatchContrastiveLoss(), 2, tensors.contrastive),
    batch("batch contrastive, linear", embedding.BatchContrastiveLoss(form="linear"), 2,
          partial(tensors.contrastive, power=1), tensors.metric_contrastive, ambiguous=TIES),
    batch("batch triplet, hard", embedding.BatchTripletLoss(), 1, tensors.triplet_hard,
          tensors.metric_triplet_hard, ambiguous=TIES),
    batch("batch triplet, semi-hard", embedding.BatchTripletLoss(mining="semi-hard"), 1,
          tensors.triplet_semi_hard, ambiguous=TIES),
    batch("batch triplet, all", embedding.BatchTripletLoss(mining="all"), 2,
          tensors.triplet_all, tensors.metric_triplet_all),
    batch("SupCon", embedding.SupConLoss(), 3, tensors.sup_con,
          tensors.metric_labelled("SupConLoss", temperature=0.1)),
    batch("NT-Xent", embedding.NTXentLoss(), 3, tensors.nt_xent, tensors.metric_views, data=views),
    batch("InfoNCE", embedding.InfoNCELoss(), 4, tensors.info_nce, tensors.metric_keys,
          data=together(2)),
    batch("InfoNCE, symmetric", embedding.InfoNCELoss(symmetric=True), 4,
          partial(tensors.info_nce, symmetric=True), data=together(2)),
    batch("N-pairs", embedding.NPairsLoss(), 4, tensors.n_pairs, tensors.metric_n_pairs,
          data=together(2)),
    batch("multi-similarity", embedding.MultiSimilarityLoss(), 3, tensors.multi_similarity,
          tensors.metric_labelled("MultiSimilarityLoss", alpha=2, beta=50, base=0.5)),
    batch("circle", embedding.CircleLoss(), 3, tensors.circle,
          tensors.metric_labelled("CircleLoss", m=0.4, gamma=80)),
    batch("lifted structure", embedding.LiftedStructureLoss(), 3, tensors.lifted,
          tensors.metric_lifted),
    batch("SigLIP", embedding.SigLIPLoss(), 3, tensors.sig_lip, data=together(2)),
    rows("pair contrastive", embedding.PairContrastiveLoss(), pairs(0), tensors.pairs),
    rows("cosine embedding", embedding.CosineEmbeddingLoss(), pairs(-1), tensors.cosines),
    rows("triplet", embedding.TripletLoss(), triplets, tensors.triplets),
)
