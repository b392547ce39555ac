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

# Products are multiplied by this at most: float32 holds numbers that are larger by 8 digits.
LARGEST = 1e30
FACTOR = number(low=0, open_low=True, high=LARGEST)


def check_temperature(name: str, value: Any) -> float:
    """Return a temperature, by which products can be divided; raise ValueError for others."""
    x: float = number(low=0, open_low=True)(name, value)
    if x < 1 / LARGEST:
        raise ValueError(f"{name} must be a finite number > 0 and >= {1 / LARGEST:g}, as products "
                         f"are multiplied by its reciprocal, got {value!r}")
    return x


class Batch(NamedTuple):
    """The packed rows of both sides, the weights of anchors, and the counts of their pairs."""

    pairs: Any
    weights: Array | None         # of anchors
    same: Array                   # for each anchor, the number of other rows of its class
    different: Array              # and the number of rows of other classes
    symmetric: bool               # one batch with itself

    def weigh(self, per_row: Array) -> Array:
        """Return numbers of anchors, multiplied by their weights."""
        return per_row if self.weights is None else per_row * self.weights


class Terms(NamedTuple):
    """Sums of the terms of a batch, before they are reduced."""

    total: float                  # weighted sum of the terms
    weight: float                 # sum of the weights of the terms
    nonzero: float                # sum of the weights of terms that are not 0
    per_sum: float = 1.0          # times `total`: the sum with each term once


class BatchLoss(Loss):
    """Base of batch losses: of all pairs of the rows of a batch, or of two batches.

    Subclasses say which rows are the two sides, and sum up terms over their pairs in `_terms`.

    Attributes
    ----------
    sides : {"one batch", "two views", "queries and keys"}
        The rows that are compared: the rows of a batch with each other, or with `refs`, by labels;
        all rows of two views of the same things with each other; or each query with all keys, of
        which key i is its positive.
    measure : {"product", "euclidean", "sqeuclidean", "cosine"}
        How two rows are compared: by their product, or by a distance.
    unit_rows : bool
        Whether rows are scaled to unit length first.
    keys_are_anchors : bool
        Whether the rows of the second side have terms of their own, like the rows of the first.
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
        """How two rows are compared: by their product, or by a distance."""
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
        """Return the packed rows of one or two sides, ready for passes over their pairs."""
        return core.Pairs(x, codes, others, other_codes, distance=self.measure != "product",
                            normalize=self.unit_rows, cosine=self.measure == "cosine",
                            n_threads=n_threads)

    def _make_batch(
        self, x: Array, codes: Array, n_codes: int, others: Array | None,
        other_codes: Array | None, weights: Array | None, n_threads: int | None,
    ) -> Batch:
        """Return a batch of one or two sides, and count the pairs of each anchor."""
        same, different = core.class_sizes(
            codes, codes if other_codes is None else other_codes, n_codes, others is None)
        pairs = self._pairs(x, codes, others, other_codes, n_threads)
        return Batch(pairs, weights, same, different, others is None)

    def _bind(self) -> tuple[str, str, dict[str, float]]:
        """Return the kind of the compiled loss, its name there, and its parameters."""
        raise NotImplementedError

    def _make_kernel(self) -> bytes:
        kind, name, parameters = self._bind()
        made: bytes = getattr(kernels, f"bind_{kind}")[name](parameters)
        return made

    def _terms(self, batch: Batch, gradient: bool, others: bool) -> Terms:
        raise NotImplementedError

    def _learned(self, pairs: Any, scale: float, along: float) -> dict[str, float]:
        """Return the derivatives of the value by parameters that can be learned.

        `along` is the sum, over all pairs, of the product times the derivative by it.
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
        """Return the value, gradients by the sides and, with `parameters`, derivatives by these."""
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
        """Return the gradients in the form that the user gets."""
        return grads[0] if len(grads) == 1 else tuple(grads)


@dataclass(frozen=True)
class BatchPartial:
    """Sums of a batch loss over a part of its terms.

    Attributes
    ----------
    loss : BatchLoss
        The loss that was summed; only parts of equal losses can be added.
    loss_sum : float
        Sum of the weighted terms.
    weight_sum : float
        Sum of the weights of the terms that count.
    nonzero_sum : float
        Sum of the weights of the terms that are not 0.
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
        """The factor of the gradient of the sum: 1 over the divisor of `result`, or 0."""
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
            Rows to compare with in place of the batch itself, such as the rows of earlier batches.
        n_threads : int, optional
            Number of threads, at least 1; by default `fastloss.get_num_threads`.

        Returns
        -------
        float
            Summed in float64; 0 if no term counts.

        Raises
        ------
        TypeError
            If embeddings are not real numbers, or labels neither integers nor strings.
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

        Takes the arguments of `value`, and raises its errors.

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
        """Return the sums over a part of the terms, which can be added to other parts' sums.

        Parts are blocks of rows, each compared with all of the same `refs`; or batches that are
        compared with themselves. `fastloss.embedding.blocks` is for a batch in blocks. Takes the
        arguments of `value`, and raises its errors.

        Returns
        -------
        BatchPartial
            ``(loss.partial(x1, y1) + loss.partial(x2, y2)).result()`` is the value of both parts.
        """
        return self._partial(
            self._batch(embeddings, labels, sample_weight, refs, ref_labels, n_threads))


class TwoSidedLoss(BatchLoss):
    """Base of batch losses of two sides with paired rows: key i is the positive of query i."""

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
            Paired rows: key i is the positive of query i. float32 and float16 are computed in
            float32, all else, and a mix with anything else, in float64.
        sample_weight : array_like (n,) of real numbers, optional
            Weights of the paired rows.
        n_threads : int, optional
            Number of threads, at least 1; by default `fastloss.get_num_threads`.

        Returns
        -------
        float
            Summed in float64; 0 of no rows.

        Raises
        ------
        TypeError, ValueError
            If the rows are not real numbers, or shapes do not fit.
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

        Takes the arguments of `value`, and raises its errors.

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
        """Return the sums over a batch, which can be added to other batches' sums.

        `fastloss.embedding.blocks` is for a batch in blocks. Takes the arguments of `value`, and
        raises its errors.

        Returns
        -------
        BatchPartial
        """
        return self._partial(self._batch(queries, keys, sample_weight, n_threads))
