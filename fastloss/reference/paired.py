"""Paired losses in the reference: pairs and triplets of rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastloss import embedding
from fastloss._base import Partial
from fastloss._core.paired import read_column, read_rows
from fastloss.embedding._paired_base import PairedLoss
from fastloss.reference._base import Array, function_of_rows, term
from fastloss.reference._pairs import PARALLEL, WIDE, lifted, settled

__all__ = [
    "CosineEmbeddingLoss",
    "PairContrastiveLoss",
    "TripletLoss",
    "cosine_embedding_loss",
    "pair_contrastive_loss",
    "triplet_loss",
]


@np.errstate(all="ignore")
def distances(kind: str, a: Array, b: Array) -> tuple[Array, Array, Array]:
    r"""Return distances of rows, and their gradients by either side.

    .. math::
        |a - b|:& \quad (a - b) / |a - b|, \text{ 0 at distance 0} \\
        |a - b|^2:& \quad 2 (a - b) \\
        1 - \cos(a, b) = |u - v|^2 / 2:& \quad (\cos(a, b)\, u - v) / |a|

    for unit rows u and v of a and b; the cosine with a row of zeros is 0, and its gradient.
    """
    a, b = a.astype(WIDE), b.astype(WIDE)
    if kind == "cosine":
        (a, lift_a), (b, lift_b) = lifted(a), lifted(b)
        aa, bb, ab = (np.sum(x * y, axis=1, keepdims=True) for x, y in ((a, a), (b, b), (a, b)))
        zero = (aa == 0) | (bb == 0)
        of_a, of_b = (np.where(zero, 0.0, 1 / np.sqrt(square)) for square in (aa, bb))
        cosine = np.where(zero, (aa + bb) * 0, ab / np.sqrt(aa * bb))
        # of rows that are nearly parallel by what is across; 0 of those that are but for roundings
        across = np.sum((a * bb - b * ab) ** 2, axis=1, keepdims=True)
        near = across / (aa * bb * bb) / (1 + cosine)
        d = np.where(cosine > 0.75, np.where(2 * near <= PARALLEL, 0, near), 1 - cosine)
        u, v = a * of_a, b * of_b
        # cos u - v without 1 - d
        return (d[:, 0], of_a * ((u - v) - d * u) * lift_a,
                of_b * ((v - u) - d * v) * lift_b)
    difference = a - b
    square = np.sum(difference * difference, axis=1)
    if kind == "sqeuclidean":
        return square, 2 * difference, -2 * difference
    d = np.sqrt(square)
    unit = difference / np.where(d == 0, 1.0, d)[:, None]
    return d, unit, -unit


class PairReference(PairedLoss):
    """The method set, in NumPy. `n_threads` and `out` are taken and not used."""

    def _make_kernel(self) -> Any:
        return None

    def _losses(self, rows: list[Array], y: Array) -> tuple[Array, list[Array]]:
        """Return the loss of each pair and its gradients by the rows."""
        raise NotImplementedError

    def _weighted(
        self, rows: tuple[Any, ...], y: Any, sample_weight: Any
    ) -> tuple[Array, Array, list[Array]]:
        arrays = read_rows(self._called("rows"), rows)
        single = all(x.dtype.kind == "f" and x.dtype.itemsize <= 4 for x in arrays)
        dtype = np.float32 if single else np.float64
        # labels and weights are rounded to the computation's dtype, as the kernels do
        n = len(arrays[0])
        columns = [np.ones(n) if value is None
                   else read_column(value, name, "number", arrays[0]).astype(dtype).astype(float)
                   for name, value in (("y", y), ("sample_weight", sample_weight))]
        with np.errstate(all="ignore"):
            f, grads = self._losses([x.astype(float) for x in arrays], columns[0])
            w = columns[1]
            return w, (w * f).astype(float), [(w[:, None] * g).astype(float) for g in grads]

    def __call__(self, *arguments: Any, n_threads: int | None = None) -> Any:
        return self.value(*arguments)

    def value(self, *arguments: Any, out: Any = None, n_threads: int | None = None) -> Any:
        return self.value_and_grad(*arguments)[0]

    def value_and_grad(
        self, *arguments: Any, out: Any = None, n_threads: int | None = None
    ) -> tuple[Any, tuple[Array, ...]]:
        w, f, grads = self._weighted(*self._split(*arguments))
        if self.reduction == "none":
            return f, tuple(grads)
        divisor = (float(w.sum()) or np.nan) if self.reduction == "mean" else 1.0
        with np.errstate(all="ignore"):
            return float(f.sum() / divisor), tuple(g / divisor for g in grads)

    def partial(self, *arguments: Any, n_threads: int | None = None) -> Partial:
        w, f, _ = self._weighted(*self._split(*arguments))
        return Partial(self, float(f.sum()), float(w.sum()), w.size)

    def _split(self, *arguments: Any) -> tuple[tuple[Any, ...], Any, Any]:
        if not self.takes("labels"):
            return arguments[:3], None, arguments[3] if len(arguments) > 3 else None
        return arguments[:2], arguments[2], arguments[3] if len(arguments) > 3 else None


def chained(slope: Array, *grads: Array) -> list[Array]:
    """Return gradients by rows times derivatives by distances; nothing of a derivative 0."""
    return [np.where(slope[:, None] == 0, 0.0, slope[:, None] * g) for g in grads]


@dataclass(frozen=True, kw_only=True)
class PairContrastiveLoss(PairReference, embedding.PairContrastiveLoss):  # type: ignore[misc]
    r"""Contrastive loss of distances d of pairs.

    .. math::
        l &= y d^2 + (1 - y) \max(m - d, 0)^2 \\
        \partial l / \partial d &= 2 y d - 2 (1 - y) \max(m - d, 0)

    ``form="linear"`` has no squares. With a pos_margin, d is max(d - pos_margin, 0) in the similar
    term. ``similar_label=0`` swaps y and 1 - y.
    """

    def _losses(self, rows: list[Array], y: Array) -> tuple[Array, list[Array]]:
        d, by_a, by_b = distances(self.distance, *rows)
        near, far = (1 - y, y) if self.similar_label == 0 else (y, 1 - y)
        v = np.maximum(settled(self.margin - d, self.margin + d), 0)
        u = d
        pulls = np.ones_like(d)
        if self.pos_margin is not None:
            u = np.maximum(settled(d - self.pos_margin, d + self.pos_margin), 0)
            pulls = (u > 0).astype(float)
        if self.form == "linear":
            f = term(near, u) + term(far, v)
            slope = near * pulls - far * (v > 0)
        else:
            f = term(near, u * u) + term(far, v * v)
            slope = 2 * (term(near, u) - term(far, v))
        return f, chained(np.where(np.isnan(d), np.nan, slope), by_a, by_b)


@dataclass(frozen=True, kw_only=True)
class CosineEmbeddingLoss(PairReference, embedding.CosineEmbeddingLoss):  # type: ignore[misc]
    r"""Cosine embedding loss.

    .. math:: l = 1 - \cos(a, b) \text{ for } y = 1, \quad \max(\cos(a, b) - m, 0) \text{ else}
    """

    def _losses(self, rows: list[Array], y: Array) -> tuple[Array, list[Array]]:
        d, by_a, by_b = distances("cosine", *rows)
        near = (1 + y) / 2 if self.labels == (-1, 1) else y
        above = settled((1 - d) - self.margin, 1.0)
        f = term(near, d) + term(1 - near, np.maximum(above, 0))
        slope = near - (1 - near) * (above > 0)
        return f, chained(np.where(np.isnan(d), np.nan, slope), by_a, by_b)


@dataclass(frozen=True, kw_only=True)
class TripletLoss(PairReference, embedding.TripletLoss):  # type: ignore[misc]
    r"""Triplet loss, with z the distance to the positive minus that to the negative.

    .. math:: l = \max(z + m, 0), \quad \text{or } \ln(1 + e^z) \text{ for soft\_margin}
    """

    def _losses(self, rows: list[Array], y: Array) -> tuple[Array, list[Array]]:
        near, near_by_a, by_p = distances(self.distance, rows[0], rows[1])
        far, far_by_a, by_n = distances(self.distance, rows[0], rows[2])
        size = near + far
        z = settled(near - far, size)
        if self.soft_margin:
            f = np.logaddexp(0.0, z)
            slope = np.where(z < 0, np.exp(-np.abs(z)), 1.0) / (1 + np.exp(-np.abs(z)))
        else:
            f = np.maximum(settled(z + self.margin, size + abs(self.margin)), 0)
            slope = np.where(np.isnan(z), np.nan, (f > 0).astype(float))
        return f, chained(slope, near_by_a - far_by_a, by_p, -by_n)


cosine_embedding_loss = function_of_rows(CosineEmbeddingLoss)
pair_contrastive_loss = function_of_rows(PairContrastiveLoss)
triplet_loss = function_of_rows(TripletLoss)
