"""Base classes of the batch losses in the reference: matrices of all pairs."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastloss.embedding._batch import BatchLoss, BatchPartial, LabelLoss, TwoSidedLoss
from fastloss.embedding._inputs import read_labels, read_weights, rows_of, side_by_side
from fastloss.reference._base import Array

# Distances are computed in the widest type there is; what differs by its roundings is equal.
WIDE = np.longdouble
EQUAL = 16 * float(np.finfo(WIDE).eps)
PARALLEL = 1e-30        # squares of distances of unit rows of one direction


def settled(excess: Array, size: Any) -> Array:
    """Return differences of numbers of some size, 0 where they are but what was rounded."""
    return np.where(np.abs(excess) <= EQUAL * size, excess * 0, excess)


class Pairs(NamedTuple):
    """All pairs (i, j) of n anchors and m rows that they are compared with."""

    v: Array               # (n, m): products, or squares of distances, in the widest type
    same: Any              # (n, m) bool: of the same class, and not a row with itself
    other: Any             # (n, m) bool: of another class
    w: Array               # (n,): weights of anchors
    symmetric: bool        # the anchors are compared with each other

    @property
    def upper(self) -> Any:
        """Which pairs are a pair of its own: those with i < j in a batch with itself."""
        return np.triu(np.ones(self.v.shape, bool), 1) if self.symmetric else np.True_

    @property
    def weights(self) -> Array:
        """Weights of pairs: the mean of those of its rows that are anchors."""
        w = np.broadcast_to(self.w[:, None], self.v.shape)
        return (w + w.T) / 2 if self.symmetric else w


class Sums(NamedTuple):
    """What a loss comes to before it is divided."""

    total: float           # weighted sum of the terms
    weight: float          # of the terms
    nonzero: float         # of those that are not 0
    slope: Array           # (n, m): derivatives of the total by v


def log_sum(x: Array, mask: Any) -> Array:
    """Return ln of the sum of e^x of each row over `mask`, -inf over nothing."""
    x = np.where(mask, x, -np.inf)
    largest = np.max(x, axis=1, keepdims=True, initial=-np.inf)
    shift = np.where(np.isneginf(largest), 0.0, largest)
    total: Array = np.log(np.sum(np.exp(x - shift), axis=1)) + shift[:, 0]
    return total


def softplus(x: Array) -> Array:
    """Return ln(1 + e^x)."""
    return np.logaddexp(0.0, x)


def root(v: Array) -> tuple[Array, Array]:
    """Return distances and their derivatives by their squares, 0 at distance 0."""
    d = np.sqrt(v)
    return d, np.where(d == 0, 0.0, 0.5 / d)


def _square_distances(x: Array, z: Array) -> Any:
    return np.array([np.sum((row - z) ** 2, axis=1) for row in x.astype(WIDE)],
                    WIDE).reshape(len(x), len(z))


def _square_turns(x: Array, z: Array) -> Any:
    """Return the squares of the distances of rows once they are of unit length.

    2 - 2 cos, or 2 (1 - cos^2) / (1 + cos) where rows are near; 0 where their directions are the
    same but for what a double rounds. The distance to a row of zeros is the other's length, 1 or 0.
    """
    x, z = x.astype(WIDE), z.astype(WIDE)
    squares = np.sum(z * z, axis=1)
    found = []
    for row in x:
        own, product = np.sum(row * row), z @ row
        cosine = product / np.sqrt(own * squares)
        across = np.sum((row * squares[:, None] - z * product[:, None]) ** 2, axis=1)
        near = 2 * across / (own * squares * squares) / (1 + cosine)
        near = np.where(near <= PARALLEL, 0, near)
        v = np.where(cosine > 0.75, near, 2 - 2 * cosine)
        found.append(np.where((own == 0) | (squares == 0), (own + squares) * 0
                              + (own != 0) + (squares != 0), v))
    return np.array(found, WIDE).reshape(len(x), len(z))


def lifted(x: Array) -> tuple[Array, Array]:
    """Return rows times powers of two that make their largest element about 1, and those."""
    largest = np.max(np.abs(x), axis=1, keepdims=True, initial=0.0)
    exponent = np.where(np.isfinite(largest) & (largest > 0), -np.frexp(largest)[1], 0)
    power = np.ldexp(1.0, np.minimum(exponent, 1000))
    return x * power, power


def _pull(slope: Array, x: Array, z: Array) -> Array:
    """Return the sums over j of slope_ij (z_j - x_i)."""
    return np.array([s @ (z - row) for s, row in zip(slope, x, strict=True)]).reshape(x.shape)


class _Side(NamedTuple):
    source: Array          # times powers of two, if they are scaled
    rows: Array            # as they are compared
    norm: Array | None     # what the source was divided by
    power: Array | float = 1.0


def _side(x: Array, scaled: bool) -> _Side:
    """Return rows of unit length if they are to be scaled; a zero row stays what it is."""
    if not scaled:
        return _Side(x, x, None)
    x, power = lifted(x)
    norm = np.sqrt(np.sum(x * x, axis=1, keepdims=True))
    return _Side(x, np.where(norm == 0, 0.0, x / norm), norm, power)


def _gradient(slope: Array, side: _Side, theirs: _Side, distance: bool) -> Array:
    """Turn derivatives by v into those by the rows of a side that are the rows of `slope`.

    The square of a distance has the derivative 2 (x - z). A product of unit rows falls as the half
    square of their distance rises, so that the derivative is z - x, of which only the part across x
    moves the direction of a row; differences keep the digits of rows that are nearly the same.
    """
    if distance:
        g = -2 * _pull(slope, side.rows, theirs.rows)
    elif side.norm is not None:
        g = _pull(slope, side.rows, theirs.rows)
    else:
        g = slope @ theirs.rows
    if side.norm is None:
        return g
    along = np.sum(g * side.rows, axis=1, keepdims=True)
    return np.where(side.norm == 0, 0.0, (g - along * side.rows) / side.norm * side.power)


class PairsReference(BatchLoss):
    """The methods, by matrices of all pairs in float64; `n_threads` is taken and not used."""

    def _sums(self, pairs: Pairs) -> Sums:
        """Return the sum of the terms, and its derivatives by v."""
        raise TypeError(f"{type(self).__name__} has no formula")

    def _by_parameters(self, pairs: Pairs, slope: Array) -> dict[str, float]:
        """Return derivatives of the total by parameters that can be learned."""
        return {}

    def _divide(self, sums: Sums) -> float:
        """Return what the total is multiplied by."""
        divisor = {"mean": sums.weight, "mean_nonzero": sums.nonzero}.get(self.reduction, 1.0)
        return 1.0 / divisor if divisor != 0 else 0.0

    def _results(
        self, x: Any, codes: Any, z: Any, ref_codes: Any, w: Any, parameters: bool
    ) -> tuple[Any, ...]:
        """Return sums, gradients by both sides (or one), and derivatives by parameters."""
        symmetric = z is None
        with np.errstate(all="ignore"):
            a, b = (_side(rows.astype(np.float64), self.unit_rows)
                    for rows in (x, x if symmetric else z))
            distance = self.measure != "product"
            if not distance:
                v = a.rows @ b.rows.T
            elif self.unit_rows:
                v = _square_turns(a.source, b.source)
            else:
                v = _square_distances(a.rows, b.rows)
            if self.measure == "cosine":
                # the cosine to a row without a direction is 0, and half of v is 1 - it
                v += np.add.outer(*(1.0 - np.any(side.rows, axis=1) for side in (a, b)))
            same = codes[:, None] == (codes if symmetric else ref_codes)
            other = ~same
            if symmetric:
                same = same & ~np.eye(len(x), dtype=bool)
            weights = np.ones(len(x)) if w is None else w
            pairs = Pairs(v, same, other, weights, symmetric)
            sums = self._sums(pairs)
            scale = self._divide(sums)
            grads = [_gradient(sums.slope, a, b, distance),
                     _gradient(sums.slope.T, b, a, distance)]
            if symmetric:
                grads = [grads[0] + grads[1]]
            learned = self._by_parameters(pairs, sums.slope) if parameters else {}
            return (sums, [scale * g for g in grads],
                    {name: float(scale * slope) for name, slope in learned.items()})

    def _value(self, sums: Sums) -> float:
        return float(sums.total * self._divide(sums))

    def _part(self, sums: Sums) -> BatchPartial:
        return BatchPartial(self, *sums[:3])


class LabelReference(PairsReference, LabelLoss):
    """Base of losses of one batch with labels, compared with itself or with refs."""

    def _labelled(
        self, embeddings: Any, labels: Any, sample_weight: Any, refs: Any, ref_labels: Any,
        parameters: bool = False,
    ) -> tuple[Any, ...]:
        x = rows_of("embeddings", embeddings)
        labels = read_labels("labels", labels, "embeddings", len(x))
        w = read_weights(sample_weight, "embeddings", len(x))
        if (refs is None) != (ref_labels is None):
            raise ValueError("refs and ref_labels go together")
        if refs is None:
            return self._results(x, labels, None, None, w, parameters)
        x, z = side_by_side("embeddings", x, "refs", rows_of("refs", refs))
        ref_labels = read_labels("ref_labels", ref_labels, "refs", len(z))
        return self._results(x, labels, z, ref_labels, w, parameters)

    def value(
        self, embeddings: Any, labels: Any, sample_weight: Any = None, *,
        refs: Any = None, ref_labels: Any = None, n_threads: int | None = None,
    ) -> float:
        """Return the value."""
        return self._value(
            self._labelled(embeddings, labels, sample_weight, refs, ref_labels)[0])

    def value_and_grad(
        self, embeddings: Any, labels: Any, sample_weight: Any = None, *,
        refs: Any = None, ref_labels: Any = None, ref_grad: bool = True,
        parameters: bool = False, n_threads: int | None = None,
    ) -> tuple[Any, ...]:
        """Return the value and its gradients by the rows."""
        sums, grads, learned = self._labelled(embeddings, labels, sample_weight, refs, ref_labels,
                                              parameters)
        value, grad = self._value(sums), tuple(grads) if len(grads) == 2 and ref_grad else grads[0]
        return (value, grad, learned) if parameters else (value, grad)

    def partial(
        self, embeddings: Any, labels: Any, sample_weight: Any = None, *,
        refs: Any = None, ref_labels: Any = None, n_threads: int | None = None,
    ) -> BatchPartial:
        """Return the sums over a part of the terms."""
        return self._part(
            self._labelled(embeddings, labels, sample_weight, refs, ref_labels)[0])


class TwoSidedReference(PairsReference, TwoSidedLoss):
    """Base of batch losses of two sides with paired rows."""

    def _sided(
        self, first: Any, second: Any, sample_weight: Any, parameters: bool = False
    ) -> tuple[Any, ...]:
        mine, theirs = self._called("rows")
        x, z = side_by_side(mine, rows_of(mine, first), theirs, rows_of(theirs, second))
        if x.shape != z.shape:
            raise ValueError(f"{mine} and {theirs} must have the same shape")
        w = read_weights(sample_weight, mine, len(x))
        return self._of_both(x, z, w, parameters)

    def _of_both(self, x: Any, z: Any, w: Any, parameters: bool) -> tuple[Any, ...]:
        numbers = np.arange(len(x))
        return self._results(x, numbers, z, numbers, w, parameters)

    def value(
        self, queries: Any, keys: Any, sample_weight: Any = None, *, n_threads: int | None = None
    ) -> float:
        """Return the value."""
        return self._value(self._sided(queries, keys, sample_weight)[0])

    def value_and_grad(
        self, queries: Any, keys: Any, sample_weight: Any = None, *,
        parameters: bool = False, n_threads: int | None = None,
    ) -> tuple[Any, ...]:
        """Return the value and its gradients by the rows of both sides."""
        sums, grads, learned = self._sided(queries, keys, sample_weight, parameters)
        value, both = self._value(sums), tuple(grads)
        return (value, both, learned) if parameters else (value, both)

    def partial(
        self, queries: Any, keys: Any, sample_weight: Any = None, *, n_threads: int | None = None
    ) -> BatchPartial:
        """Return the sums over a batch."""
        return self._part(self._sided(queries, keys, sample_weight)[0])
