"""Base classes of the batch losses.

arrays -> Batch (packed rows, class sizes) -> passes over all pairs -> Terms -> value and gradients
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np

from fastloss._base import SAMPLE_WEIGHT, Input, Loss
from fastloss._core import batch as core
from fastloss._core.simd_level import kernels
from fastloss._labels import number_labels
from fastloss._parameters import choice, number
from fastloss.embedding._inputs import (
    read_labels,
    read_weights,
    rows_of,
    side_by_side,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[Any]

Reduction = Literal["mean", "mean_nonzero", "sum"]
Measure = Literal["product", "euclidean", "sqeuclidean", "cosine"]
Sides = Literal["one batch", "two views", "queries and keys"]
REDUCTION = choice("mean", "mean_nonzero", "sum")

# What products are multiplied by, at most: float32 holds larger numbers than this by 8 digits.
LARGEST = 1e30
FACTOR = number(low=0, open_low=True, high=LARGEST)


def check_temperature(name: str, value: Any) -> float:
    """Check for what products can be divided by."""
    x: float = number(low=0, open_low=True)(name, value)
    if x < 1 / LARGEST:
        raise ValueError(f"{name} must be a finite number > 0 and >= {1 / LARGEST:g}, as products "
                         f"are multiplied by its reciprocal, got {value!r}")
    return x


class Batch(NamedTuple):
    """Both sides of all pairs."""

    pairs: Any
    weights: Array | None         # of anchors
    same: Array                   # how many of the other rows are of each anchor's class
    different: Array
    symmetric: bool               # one batch with itself

    def weigh(self, per_row: Array) -> Array:
        """Return numbers per anchor times their weights."""
        return per_row if self.weights is None else per_row * self.weights


class Terms(NamedTuple):
    """What a pass over all pairs came to."""

    total: float                  # weighted sum of the terms
    weight: float                 # of the terms
    nonzero: float                # of those that are not 0
    per_sum: float = 1.0          # what `total` times is the sum over each term once


class BatchLoss(Loss):
    """Base of losses of all pairs of the rows of a batch, or of two batches.

    Subclasses say what the two sides are, and what they come to: `_terms`.

    Attributes
    ----------
    sides : {"one batch", "two views", "queries and keys"}
        Which rows are compared: those of a batch with each other, or with `refs`, by labels; those
        of two views of the same things with each other; those of one batch with another's, row by
        row their own.
    measure : {"product", "euclidean", "sqeuclidean", "cosine"}
        What two rows are compared by: their product, or a distance.
    unit_rows : bool
        Whether rows are scaled to unit length first.
    keys_are_anchors : bool
        Whether the rows of the second side have terms of their own, as those of the first have.
    blockwise : bool
        Whether a batch can be computed in blocks of rows, see `fastloss.embedding.blocks`.
    """

    normalize: bool
    reduction: Reduction
    sample = "anchor"
    sides: ClassVar[Sides]
    blockwise: ClassVar[bool] = False
    _kernel: bytes

    @property
    def measure(self) -> Measure:
        """What two rows are compared by."""
        return "product"

    @property
    def unit_rows(self) -> bool:
        """Whether rows are scaled to unit length first."""
        # the cosine distance is half the square of the distance of unit rows
        return self.normalize or self.measure == "cosine"

    @property
    def keys_are_anchors(self) -> bool:
        """Whether the rows of the second side have terms of their own."""
        return False

    def _pairs(
        self, x: Array, codes: Array, others: Array | None, other_codes: Array | None,
        n_threads: int | None,
    ) -> Any:
        """Return the pairs of packed rows of one or two sides."""
        return core.Pairs(x, codes, others, other_codes, distance=self.measure != "product",
                            normalize=self.unit_rows, cosine=self.measure == "cosine",
                            n_threads=n_threads)

    def _make_batch(
        self, x: Array, codes: Array, n_codes: int, others: Array | None,
        other_codes: Array | None, weights: Array | None, n_threads: int | None,
    ) -> Batch:
        """Return the pairs of one or two sides, and how many of either kind there are."""
        same, different = core.class_sizes(
            codes, codes if other_codes is None else other_codes, n_codes, others is None)
        pairs = self._pairs(x, codes, others, other_codes, n_threads)
        return Batch(pairs, weights, same, different, others is None)

    def _bind(self) -> tuple[str, str, dict[str, float]]:
        """Return the kind of the kernel, its name there, and its parameters."""
        raise NotImplementedError

    def _make_kernel(self) -> bytes:
        kind, name, parameters = self._bind()
        made: bytes = getattr(kernels, f"bind_{kind}")[name](parameters)
        return made

    def _terms(self, batch: Batch, gradient: bool, others: bool) -> Terms:
        raise NotImplementedError

    def _learned(self, pairs: Any, scale: float, along: float) -> dict[str, float]:
        """Return the derivatives of the value by parameters that can be learned.

        `along` is the sum of the derivatives by products times these.
        """
        return {}

    def _divisor(self, terms: Terms) -> float:
        if self.reduction == "sum":
            return 1.0 / terms.per_sum
        return terms.weight if self.reduction == "mean" else terms.nonzero

    def _reduce(self, terms: Terms) -> float:
        divisor = self._divisor(terms)
        return terms.total / divisor if divisor != 0 else terms.total * 0.0

    def _evaluate(
        self, batch: Batch, others: bool, parameters: bool
    ) -> tuple[Any, ...]:
        """Return value and gradients by the sides, and with `parameters` derivatives by them."""
        terms = self._terms(batch, True, others)
        divisor = self._divisor(terms)
        scale = 1.0 / divisor if divisor != 0 else 0.0
        sides = [batch.pairs.a]
        if others and not batch.symmetric:
            sides.append(batch.pairs.b)
        grads, along = zip(*(batch.pairs.gradient(side, scale) for side in sides), strict=True)
        value, grad = self._reduce(terms), self._split(list(grads))
        if not parameters:
            return value, grad
        return value, grad, self._learned(batch.pairs, scale, along[0] / (1 + batch.symmetric))

    def _partial(self, batch: Batch) -> BatchPartial:
        total, weight, nonzero, per_sum = self._terms(batch, False, False)
        return BatchPartial(self, per_sum * total, per_sum * weight, per_sum * nonzero)

    def _split(self, grads: list[Array]) -> Any:
        """Return gradients by the sides as the user gets them."""
        return grads[0] if len(grads) == 1 else tuple(grads)


@dataclass(frozen=True)
class BatchPartial:
    """Sums of a loss of all pairs over a part of its terms.

    Attributes
    ----------
    loss : loss of all pairs
        The loss that was summed; only parts of equal losses can be added.
    loss_sum : float
        Sum of the weighted terms.
    weight_sum : float
        Sum of the weights of the terms that count.
    nonzero_sum : float
        Sum of the weights of those that are not 0.
    """

    loss: BatchLoss
    loss_sum: float
    weight_sum: float
    nonzero_sum: float

    def __add__(self, other: BatchPartial) -> BatchPartial:
        if not isinstance(other, BatchPartial):
            return NotImplemented
        if self.loss != other.loss:
            raise ValueError(f"parts of different losses: {self.loss} and {other.loss}")
        return BatchPartial(self.loss, self.loss_sum + other.loss_sum,
                            self.weight_sum + other.weight_sum,
                            self.nonzero_sum + other.nonzero_sum)

    def __radd__(self, other: int) -> BatchPartial:
        return self if other == 0 else NotImplemented  # the start of sum()

    @property
    def scale(self) -> float:
        """What the gradient of the sum is multiplied by: 1 over what `result` divides by, or 0."""
        divisor = self.loss._divisor(self._terms())
        return 1.0 / divisor if divisor != 0 else 0.0

    def result(self) -> float:
        """Return the value of the loss on all parts added so far."""
        return self.loss._reduce(self._terms())

    def _terms(self) -> Terms:
        return Terms(self.loss_sum, self.weight_sum, self.nonzero_sum)


class LabelLoss(BatchLoss):
    """Base of losses of one batch with labels."""

    inputs = (Input("embeddings", "rows", gradient=True), Input("labels", "labels"), SAMPLE_WEIGHT,
              Input("refs", "rows", gradient=True, optional=True),
              Input("ref_labels", "labels", optional=True))
    sides = "one batch"

    def _batch(
        self, embeddings: Any, labels: Any, sample_weight: Any, refs: Any, ref_labels: Any,
        n_threads: int | None,
    ) -> Batch:
        x = rows_of("embeddings", embeddings)
        y = read_labels("labels", labels, "embeddings", x.shape[0])
        weights = read_weights(sample_weight, "embeddings", x.shape[0])
        if (refs is None) != (ref_labels is None):
            missing = "refs" if refs is None else "ref_labels"
            raise ValueError(f"refs and ref_labels go together, but {missing} is missing")
        others = other_codes = None
        if refs is None:
            (codes,), count = number_labels("labels", y)
        else:
            others = rows_of("refs", refs)
            x, others = side_by_side("embeddings", x, "refs", others)
            theirs = read_labels("ref_labels", ref_labels, "refs", others.shape[0])
            (codes, other_codes), count = number_labels("labels and ref_labels", y, theirs)
        return self._make_batch(x, codes, count, others, other_codes, weights, n_threads)

    def __call__(
        self, embeddings: ArrayLike, labels: ArrayLike, sample_weight: ArrayLike | None = None, *,
        refs: ArrayLike | None = None, ref_labels: ArrayLike | None = None,
        n_threads: int | None = None,
    ) -> float:
        """Return the value of the loss; see `value`."""
        return self.value(embeddings, labels, sample_weight, refs=refs, ref_labels=ref_labels,
                          n_threads=n_threads)

    def value(
        self,
        embeddings: ArrayLike,
        labels: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        refs: ArrayLike | None = None,
        ref_labels: ArrayLike | None = None,
        n_threads: int | None = None,
    ) -> float:
        """Return the value of the loss.

        Parameters
        ----------
        embeddings : array_like (n, d) of real numbers
            The rows. float32 and float16 are computed in float32, all else in float64.
        labels : array_like (n,) of integers or strings
            Classes of the rows, compared for equality.
        sample_weight : array_like (n,) of real numbers, optional
            Weights of the rows as anchors.
        refs, ref_labels : array_like (m, d) and (m,), optional
            Rows to compare with, such as those of earlier batches, in place of the batch itself.
        n_threads : int, optional
            Number of threads, at least 1; by default `fastloss.get_num_threads`.

        Returns
        -------
        float
            Summed in float64; 0 if no term counts.

        Raises
        ------
        TypeError
            If embeddings are no real numbers, or labels neither integers nor strings.
        ValueError
            If shapes do not fit, `refs` comes without `ref_labels`, or `n_threads` is less than 1.
        """
        batch = self._batch(embeddings, labels, sample_weight, refs, ref_labels, n_threads)
        return self._reduce(self._terms(batch, False, False))

    def value_and_grad(
        self,
        embeddings: ArrayLike,
        labels: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        refs: ArrayLike | None = None,
        ref_labels: ArrayLike | None = None,
        ref_grad: bool = True,
        parameters: bool = False,
        n_threads: int | None = None,
    ) -> tuple[Any, ...]:
        """Return the value and its gradient by the rows.

        Arguments and errors are those of `value`.

        Parameters
        ----------
        embeddings, labels, sample_weight, refs, ref_labels, n_threads
            See `value`.
        ref_grad : bool, default True
            Whether a gradient by `refs` is wanted too.
        parameters : bool, default False
            Whether derivatives by parameters that can be learned are wanted too.

        Returns
        -------
        value : float
        grad : ndarray (n, d), or a pair of it and one (m, d) by `refs`
            Of the type of the computation.
        learned : dict of float
            Only with `parameters`: derivatives of the value, by the names of the parameters.
        """
        batch = self._batch(embeddings, labels, sample_weight, refs, ref_labels, n_threads)
        return self._evaluate(batch, ref_grad, parameters)

    def partial(
        self,
        embeddings: ArrayLike,
        labels: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        refs: ArrayLike | None = None,
        ref_labels: ArrayLike | None = None,
        n_threads: int | None = None,
    ) -> BatchPartial:
        """Return the sums over a part of the terms, to be added to those of other parts.

        Parts are blocks of rows, each compared with all of the same `refs`; or batches that are
        compared with themselves. `fastloss.embedding.blocks` is for a batch in blocks. Arguments
        and errors are those of `value`.

        Returns
        -------
        BatchPartial
            ``(loss.partial(x1, y1) + loss.partial(x2, y2)).result()`` is the value of both parts.
        """
        return self._partial(
            self._batch(embeddings, labels, sample_weight, refs, ref_labels, n_threads))


class TwoSidedLoss(BatchLoss):
    """Base of losses of two batches whose rows belong to each other, one by one."""

    inputs = (Input("queries", "rows", gradient=True), Input("keys", "rows", gradient=True),
              SAMPLE_WEIGHT)
    sides: ClassVar[Sides] = "queries and keys"

    def _batch(self, first: Any, second: Any, sample_weight: Any, n_threads: int | None) -> Batch:
        mine, theirs = self._called("rows")
        a, b = side_by_side(mine, rows_of(mine, first), theirs, rows_of(theirs, second))
        if a.shape[0] != b.shape[0]:
            raise ValueError(f"{mine} and {theirs} must have a row for each other, got shapes "
                             f"{a.shape} and {b.shape}")
        weights = read_weights(sample_weight, mine, a.shape[0])
        return self._meet(a, b, weights, n_threads)

    def _meet(self, a: Array, b: Array, weights: Array | None, n_threads: int | None) -> Batch:
        codes = np.arange(a.shape[0], dtype=np.int32)
        return self._make_batch(a, codes, codes.size, b, codes, weights, n_threads)

    def __call__(
        self, queries: ArrayLike, keys: ArrayLike, sample_weight: ArrayLike | None = None, *,
        n_threads: int | None = None,
    ) -> float:
        """Return the value of the loss; see `value`."""
        return self.value(queries, keys, sample_weight, n_threads=n_threads)

    def value(
        self,
        queries: ArrayLike,
        keys: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        n_threads: int | None = None,
    ) -> float:
        """Return the value of the loss, as `SupConLoss.value` does.

        Parameters
        ----------
        queries, keys : array_like (n, d) of real numbers
            Rows that belong to each other, one by one. float32 and float16 are computed in
            float32, all else, and a mix with anything else, in float64.
        sample_weight : array_like (n,) of real numbers, optional
            Weights of the pairs of rows.
        n_threads : int, optional
            Number of threads, at least 1; by default `fastloss.get_num_threads`.

        Returns
        -------
        float
            Summed in float64; 0 of no rows.

        Raises
        ------
        TypeError, ValueError
            If the rows are no real numbers, or shapes do not fit.
        """
        batch = self._batch(queries, keys, sample_weight, n_threads)
        return self._reduce(self._terms(batch, False, False))

    def value_and_grad(
        self,
        queries: ArrayLike,
        keys: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        parameters: bool = False,
        n_threads: int | None = None,
    ) -> tuple[Any, ...]:
        """Return the value and its gradients by the rows of both sides.

        Arguments and errors are those of `value`.

        Parameters
        ----------
        queries, keys, sample_weight, n_threads
            See `value`.
        parameters : bool, default False
            Whether derivatives by parameters that can be learned are wanted too.

        Returns
        -------
        value : float
        grads : pair of ndarray (n, d)
            By `queries` and by `keys`, of the type of the computation.
        learned : dict of float
            Only with `parameters`: derivatives of the value, by the names of the parameters.
        """
        batch = self._batch(queries, keys, sample_weight, n_threads)
        return self._evaluate(batch, True, parameters)

    def partial(
        self,
        queries: ArrayLike,
        keys: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        n_threads: int | None = None,
    ) -> BatchPartial:
        """Return the sums over a batch, to be added to those of other batches.

        `fastloss.embedding.blocks` is for a batch in blocks. Arguments and errors are those of
        `value`.

        Returns
        -------
        BatchPartial
        """
        return self._partial(self._batch(queries, keys, sample_weight, n_threads))
