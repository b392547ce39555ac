"""Losses of labelled distances of pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import fastloss
from fastloss._parameters import number, parameter
from fastloss.reference._base import Array, Reference, function_of, term

__all__ = [
    "ContrastiveLoss",
    "HingeEmbeddingLoss",
    "QualityLoss",
    "contrastive_loss",
    "hinge_embedding_loss",
    "quality_loss",
]


@dataclass(frozen=True, kw_only=True)
class ContrastiveLoss(Reference, fastloss.ContrastiveLoss):
    r"""Contrastive loss of the distance p of a pair, y = 1 if similar.

    .. math::
        l &= y p^2 + (1 - y) \max(m - p, 0)^2 \\
        \partial l / \partial p &= 2 y p - 2 (1 - y) \max(m - p, 0) \\
        \partial^2 l / \partial p^2 &= 2 y + 2 (1 - y) [p < m]

    ``form="half"`` is half of it, ``form="linear"`` has no squares. With a pos_margin, p is
    max(p - pos_margin, 0) in the similar term. ``similar_label=0`` swaps y and 1 - y.
    """

    def _elements(self, y: Array, p: Array, dtype: np.dtype[Any]) -> tuple[Array, Array, Array]:
        near, far = (1 - y, y) if self.similar_label == 0 else (y, 1 - y)
        v = np.maximum(self.margin - p, 0)
        pushes = (p < self.margin).astype(float)
        if self.pos_margin is None:
            u, pulls = p, np.ones_like(p)
        else:
            u = np.maximum(p - self.pos_margin, 0)
            pulls = (p > self.pos_margin).astype(float)
        if self.form == "linear":
            return (term(near, u) + term(far, v), term(near, pulls) - term(far, pushes),
                    np.zeros_like(p))
        scale = 0.5 if self.form == "half" else 1.0
        return (scale * (term(near, u * u) + term(far, v * v)),
                2 * scale * (term(near, u) - term(far, v)),
                2 * scale * (term(near, pulls) + term(far, pushes)))


@dataclass(frozen=True, kw_only=True)
class QualityLoss(ContrastiveLoss):
    r"""The contrastive loss with margin m = 0.5.

    .. math:: l = y p^2 + (1 - y) \max(m - p, 0)^2
    """

    margin: float = parameter(0.5, number(low=0))


@dataclass(frozen=True, kw_only=True)
class HingeEmbeddingLoss(Reference, fastloss.HingeEmbeddingLoss):
    r"""Hinge embedding loss of the distance p of a pair, y = 1 if similar, -1 if not.

    .. math::
        l &= (1 + y) / 2 \; p + (1 - y) / 2 \; \max(m - p, 0) \\
        \partial l / \partial p &= (1 + y) / 2 - (1 - y) / 2 \; [p < m], \quad
        \partial^2 l / \partial p^2 = 0
    """

    def _elements(self, y: Array, p: Array, dtype: np.dtype[Any]) -> tuple[Array, Array, Array]:
        near, far = (1 + y) / 2, (1 - y) / 2
        return (term(near, p) + term(far, np.maximum(self.margin - p, 0)),
                near - far * (p < self.margin), np.zeros_like(p))


contrastive_loss = function_of(ContrastiveLoss)
quality_loss = function_of(QualityLoss)
hinge_embedding_loss = function_of(HingeEmbeddingLoss)
