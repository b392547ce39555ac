"""A batch in blocks of rows, for machines that each hold some of them.

A batch loss is computed from pairs of blocks in three steps, the same for every loss:

1. `Block.sums`: sums over the pairs of two blocks, for each of their rows. Add a block's sums over
   all blocks with ``+``.
2. `Block.partial`: the terms of a block's rows, from its sums. The terms of all blocks add up to
   the value.
3. `Block.grad`: the parts of the gradients that come from the pairs of two blocks, from the sums of
   both. Add a block's gradients over all blocks.

Rows, labels and gradients travel between machines; sums are five numbers a row. Blocks may be of
any sizes.
In a loss of one batch every two blocks meet once, and each meets itself; in a loss of two batches
every block of queries meets every block of keys:

>>> from itertools import combinations_with_replacement
>>> from fastloss import SupConLoss
>>> rng = np.random.default_rng(0)
>>> x, labels = rng.normal(size=(100, 8)), rng.integers(0, 5, 100)
>>> loss = SupConLoss(temperature=0.5)
>>> blocks = [Block(loss, x[i:j], labels[i:j], start=i) for i, j in ((0, 30), (30, 90), (90, 100))]
>>> meetings = list(combinations_with_replacement(range(3), 2))

>>> sums = [0, 0, 0]
>>> for i, j in meetings:
...     of_i, of_j = blocks[i].sums(blocks[j])
...     sums[i] += of_i
...     sums[j] += of_j if i != j else 0
>>> total = sum(block.partial(found) for block, found in zip(blocks, sums, strict=True))
>>> print(f"{total.result():.6f} {loss(x, labels):.6f}")
4.829125 4.829125

>>> grads = [0, 0, 0]
>>> for i, j in meetings:
...     by_i, by_j = blocks[i].grad(blocks[j], sums[i], sums[j], scale=total.scale)
...     grads[i] += by_i
...     grads[j] += by_j if i != j else 0
>>> np.allclose(np.concatenate(grads), loss.value_and_grad(x, labels)[1], atol=1e-15)
True

The results equal those of the whole batch, up to the order of sums, and are the same bits for every
number of threads. There is one exception: if a row is not finite, gradients of other blocks of its
side, which are nan for the whole batch, may stay finite. Triplets and lifted structures cannot be
computed in blocks.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastloss._core import batch as core
from fastloss._labels import number_labels
from fastloss.embedding._anchors import (
    QUIET,
    Anchors,
    ExponentLoss,
    SummedLoss,
    factors_of,
    logs_of,
)
from fastloss.embedding._batch import BatchLoss, BatchPartial
from fastloss.embedding._inputs import (
    read_labels,
    read_weights,
    rows_of,
    side_by_side,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[Any]

__all__ = ["Block", "Sums"]


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums, for the rows of a block, over their pairs with rows of other blocks.

    Attributes
    ----------
    loss : BatchLoss
        The loss that is summed.
    same, different : ndarray (n,)
        For each row, the number of rows of its class, and of other classes, that it was compared
        with.
    cost, nonzero : float
        For a loss that sums costs of pairs: the weighted sum of the costs, and the sum of the
        weights of costs that are not 0. The first of two blocks has the sums of both.
    logs : tuple of three ndarray (n,), optional
        For other losses: logarithms of sums of exponentials over pairs of different classes and of
        the same class, and sums of products over pairs of the same class.
    """

    loss: BatchLoss
    same: Array
    different: Array
    cost: float = 0.0
    nonzero: float = 0.0
    logs: Anchors | None = None

    def __add__(self, other: Sums | int) -> Sums:
        if isinstance(other, int) and other == 0:
            return self
        if not isinstance(other, Sums):
            return NotImplemented
        if self.loss != other.loss:
            raise ValueError(f"sums of different losses: {self.loss} and {other.loss}")
        if self.same.shape != other.same.shape:
            raise ValueError(f"sums of blocks of {self.same.size} and {other.same.size} rows; only "
                             "sums of the same rows can be added")
        logs = self.logs
        if logs is not None and other.logs is not None:
            with QUIET():
                logs = Anchors(np.logaddexp(logs.different, other.logs.different),
                               np.logaddexp(logs.same, other.logs.same),
                               logs.total + other.logs.total)
        return Sums(self.loss, self.same + other.same, self.different + other.different,
                    self.cost + other.cost, self.nonzero + other.nonzero, logs)

    __radd__ = __add__         # 0 is the start of sum()


class Block:
    """Consecutive rows of a batch.

    Parameters
    ----------
    loss : BatchLoss
        Any batch loss but `BatchTripletLoss` and `LiftedStructureLoss`.
    rows : array_like (n, d) of real numbers
        The rows; for a loss of queries and keys, rows of one of them; for `NTXentLoss` a pair of
        arrays, the views.
    labels : array_like (n,) of integers or strings
        Classes of the rows, for losses with labels alone.
    start : int, default 0
        Number of the first row in the whole batch. It tells whether two blocks are the same, and
        which keys belong to which queries.
    sample_weight : array_like (n,) of real numbers, optional
        Weights of the rows as anchors; for ``InfoNCELoss(symmetric=True)`` weights of keys too.

    Raises
    ------
    TypeError
        If `loss` cannot be computed in blocks, or rows or weights are not real numbers, or labels
        neither integers nor strings.
    ValueError
        If shapes do not fit, labels are missing, or are given to a loss that takes none.
    """

    def __init__(
        self,
        loss: BatchLoss,
        rows: Any,
        labels: ArrayLike | None = None,
        *,
        start: int = 0,
        sample_weight: ArrayLike | None = None,
    ) -> None:
        if not isinstance(loss, BatchLoss) or not loss.blockwise:
            raise TypeError(f"loss must be a batch loss with sums of blocks, got {loss!r}")
        self.loss = loss
        self.start = operator.index(start)
        self._views = loss.sides == "two views"
        self._one_batch = loss.sides != "queries and keys"
        if self.start < 0:
            raise ValueError(f"start must be an integer >= 0, got {start!r}")
        if self._views:
            if not isinstance(rows, (tuple, list)) or len(rows) != 2:
                raise TypeError("rows must be a pair of arrays, the rows of both views, got "
                                f"{type(rows).__name__}")
            first, second = rows_of("rows[0]", rows[0]), rows_of("rows[1]", rows[1])
            if first.shape != second.shape:
                raise ValueError(f"rows[0] and rows[1] must have the same shape, got {first.shape} "
                                 f"and {second.shape}")
            self.rows = np.concatenate(side_by_side("rows[0]", first, "rows[1]", second))
        else:
            self.rows = rows_of("rows", rows)
        n = len(self)
        weights = read_weights(sample_weight, "rows", n)
        if loss.takes("labels"):
            if labels is None:
                raise ValueError(f"labels are missing: {type(loss).__name__} compares classes")
            self.labels = read_labels("labels", labels, "rows", n)
        elif labels is not None:
            raise ValueError(f"labels are given, but {type(loss).__name__} takes none: its rows "
                             "are paired by their numbers")
        else:
            self.labels = np.arange(self.start, self.start + n)
        if self._views:
            self.labels = np.tile(self.labels, 2)
            weights = None if weights is None else np.tile(weights, 2)
        self.weights = weights

    def __len__(self) -> int:
        n: int = self.rows.shape[0]
        return n // 2 if self._views else n

    def _is(self, other: Block) -> bool:
        """Return whether another block has the same rows of the same batch."""
        if self.loss != other.loss:
            raise ValueError(f"blocks of different losses: {self.loss} and {other.loss}")
        mine, theirs = ((block.start, block.start + len(block)) for block in (self, other))
        if self._one_batch and mine != theirs and max(mine[0], theirs[0]) < min(
                mine[1], theirs[1]):
            raise ValueError("blocks must have the same rows or none in common, got rows "
                             f"{mine[0]} to {mine[1] - 1} and {theirs[0]} to {theirs[1] - 1}")
        # empty blocks have no rows in common, wherever they start
        return self._one_batch and mine == theirs and (other is self or len(self) > 0)

    def _meet(self, other: Block, n_threads: int | None) -> tuple[Any, list[tuple[Array, Array]]]:
        """Return the pairs of two blocks, and the counts of each row's pairs of each kind."""
        one = self._is(other)
        if one:
            x, z = self.rows, None
            codes, count = number_labels("labels", self.labels)
        else:
            x, z = side_by_side("a block", self.rows, "another", other.rows)
            codes, count = number_labels("labels", self.labels, other.labels)
        pairs = self.loss._pairs(x, codes[0], z, None if one else codes[1], n_threads)
        counts = []
        for mine, theirs in zip(codes, reversed(codes), strict=True):
            counts.append(core.class_sizes(mine, theirs, count, one))
        return pairs, counts

    def _is_anchor(self, second: bool) -> bool:
        """Return whether the rows of the first or the second side of a meeting are anchors."""
        return not second or self._one_batch or self.loss.keys_are_anchors

    def _pair_weights(self, other: Block) -> tuple[Any, Any]:
        """Return the parts of the weights of pairs that come from the rows of each side."""
        mine, theirs = (1.0 if block.weights is None else block.weights
                        for block in (self, other))
        return mine, theirs if self._one_batch else 0.0

    def sums(
        self, other: Block, *, n_threads: int | None = None
    ) -> tuple[Sums, Sums | None]:
        """Return the sums of this block's rows over pairs with another block, and of the other's.

        Parameters
        ----------
        other : Block
            A block of keys if this one is of queries; for a loss of one batch, this block itself or
            one without a row in common.
        n_threads : int, optional
            Number of threads, at least 1; by default `fastloss.get_num_threads`.

        Returns
        -------
        mine, theirs : Sums
            The second is None if `other` is this block, or has no anchors, like the keys of a loss
            that is not symmetric.

        Raises
        ------
        ValueError
            If blocks are of different losses or have some rows in common, their rows are not
            equally long, or `n_threads` is less than 1.
        """
        loss = self.loss
        pairs, counts = self._meet(other, n_threads)
        both = len(counts) == 2 and self._is_anchor(second=True)
        if isinstance(loss, ExponentLoss):
            shifts, each = loss._shifts(pairs)
            pairs.run(loss._kernel, "sum", columns=both, shift=shifts, each=each)
            with QUIET():
                sums = [Sums(loss, *count, logs=logs_of(side, shift))
                        for count, side, shift in zip(counts, (pairs.a, pairs.b), shifts,
                                                      strict=False)]
        else:
            assert isinstance(loss, SummedLoss)
            cost, nonzero = pairs.run(loss._kernel, "weigh", gradient=False, others=False,
                                      columns=False, weight=self._pair_weights(other),
                                      **loss._thresholds)
            sums = [Sums(loss, *counts[0], cost, nonzero), *(Sums(loss, *c) for c in counts[1:])]
        return sums[0], sums[1] if both else None

    def partial(self, sums: Sums) -> BatchPartial:
        """Return the terms of this block's rows, which can be added to other blocks' terms.

        Parameters
        ----------
        sums : Sums
            The sums of this block over all blocks.

        Returns
        -------
        BatchPartial
            Added over all blocks, of keys too if they have sums, it gives the value of the loss by
            ``result()``, and the ``scale`` of the gradients.
        """
        loss = self.loss
        self._check(sums, "sums")
        if isinstance(loss, ExponentLoss):
            with QUIET():
                total, weight, nonzero, _ = self._terms(sums)[0]
            return BatchPartial(loss, total, weight, nonzero)
        assert isinstance(loss, SummedLoss)
        weights = loss._weight(sums.same, sums.different)
        weight = float(np.sum(weights if self.weights is None else weights * self.weights))
        share = 0.5 if self._one_batch else 1.0      # a pair is of two rows
        return BatchPartial(loss, share * sums.cost, share * weight, share * sums.nonzero)

    def _terms(self, sums: Sums) -> tuple[Any, ...]:
        loss = self.loss
        assert isinstance(loss, ExponentLoss)
        share = 0.5 if loss.keys_are_anchors else 1.0
        terms: tuple[Any, ...] = loss._weighted(sums.logs, sums.same, sums.different,  # type: ignore[arg-type]
                                                self.weights, share)
        return terms

    def _check(self, sums: Any, name: str) -> None:
        if not isinstance(sums, Sums):
            raise TypeError(f"{name} must be the Sums of a block, got {type(sums).__name__}")
        if sums.loss != self.loss or sums.same.shape != self.labels.shape:
            raise ValueError(f"{name} are not of this block: {sums.loss} of {sums.same.size} rows, "
                             f"not {self.loss} of {self.labels.size}")

    def grad(
        self,
        other: Block,
        sums: Sums,
        other_sums: Sums | None = None,
        *,
        scale: float = 1.0,
        parameters: bool = False,
        n_threads: int | None = None,
    ) -> tuple[Any, ...]:
        """Return the parts of the gradients by both blocks' rows that come from their pairs.

        Parameters
        ----------
        other, n_threads
            See `sums`.
        sums, other_sums : Sums
            The sums of each block over all blocks; None for a block that has no sums.
        scale : float, default 1
            Factor of the derivatives of the sum of all terms: the ``scale`` of the sum of all
            partials.
        parameters : bool, default False
            Whether derivatives by parameters that can be learned are wanted too. Add them over all
            meetings.

        Returns
        -------
        mine, theirs : ndarray (n, d)
            The second is None if `other` is this block. For `NTXentLoss`, pairs of arrays.
        learned : dict of float
            Only with `parameters`: derivatives by the names of the parameters.

        Raises
        ------
        TypeError, ValueError
            As `sums` does, and if `sums` or `other_sums` are missing or belong to other blocks.
        """
        loss, one = self.loss, self._is(other)
        self._check(sums, "sums")
        if not one and self._is_anchor(second=True):
            other._check(other_sums, "other_sums")
        pairs, _ = self._meet(other, n_threads)
        if isinstance(loss, ExponentLoss):
            with QUIET():
                shifts, factors, each = self._exponentials(
                    pairs, other, sums, sums if one else other_sums)
            pairs.run(loss._kernel, "weigh", gradient=True, shift=shifts, factor=factors, each=each)
        else:
            assert isinstance(loss, SummedLoss)
            pairs.run(loss._kernel, "weigh", gradient=True, weight=self._pair_weights(other),
                      **loss._thresholds)
            scale *= 0.5 if self._one_batch else 1.0
        grads, along = zip(*(pairs.gradient(side, scale)
                             for side in ((pairs.a,) if one else (pairs.a, pairs.b))), strict=True)
        split = [tuple(np.split(grad, 2)) if self._views else grad for grad in grads]
        both = split[0], None if one else split[1]
        return (*both, loss._learned(pairs, scale, along[0] / (1 + one))) if parameters else both

    def _exponentials(
        self, pairs: Any, other: Block, sums: Sums, other_sums: Sums | None
    ) -> tuple[tuple[Any, ...], tuple[Any, ...], bool]:
        """Return the shifts of exponents and the factors of exponentials of both sides."""
        loss, dtype = self.loss, pairs.a.dtype
        assert isinstance(loss, ExponentLoss)
        common = loss._bound(dtype)
        shifts: list[Any] = []
        factors: list[Any] = []
        for block, own in ((self, sums), (other, other_sums)):
            if own is None:
                # no exponent exceeds the logarithm of a sum that its exponential is part of
                shifts.append(common or tuple(np.max(shift, initial=0.0) for shift in shifts[0]))
                factors.append((0.0, 0.0, 0.0))
                continue
            _, logs, slopes = block._terms(own)
            shift = common or tuple(
                np.where(np.isfinite(log), log, 0.0).astype(dtype).astype(np.float64)
                for log in logs[:2])
            shifts.append(shift)
            factors.append(factors_of(logs, slopes, shift))
        return tuple(shifts), tuple(factors), common is None
