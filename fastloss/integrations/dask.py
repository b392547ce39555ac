"""Losses of Dask arrays and of columns of Dask DataFrames, computed lazily.

Losses of elements and of rows: every block gives its sums, with counts, and the sums are added, so
blocks may be of any sizes. The gradient is computed block by block with the divisor of all blocks.

>>> import dask.array as da
>>> from fastloss import LogLoss
>>> y, p = da.from_array([0, 1, 1, 0, 1], chunks=3), da.from_array([0.2, 0.9, 0.6, 0.4, 0.7], 2)
>>> loss, grad = value_and_grad(LogLoss(), y, p)
>>> print(f"{loss.compute():.6f}", grad.chunks)
0.341366 ((2, 2, 1),)

Batch losses: every block of rows meets every other block, see `fastloss.embedding.blocks`.

Gradients of a 1-d array have the bits of one machine if its blocks begin at multiples of 8192
elements, and so has the value unless its sum lies within some 10⁻¹⁰ units of the last place (an
estimate) of where its rounding changes: sums are kept in two floats. For `CrossEntropyLoss` of C
classes, C a power of two up to 512, blocks begin at multiples of 8192 / C rows. Other blocks,
and batch losses, agree to rounding, with one exception: a row of nan or inf in one of two batches
(InfoNCE, N-pairs, SigLIP) makes all gradients nan on one machine, but here the gradients of that
batch's other blocks may stay finite; the value is nan in both.
"""

from __future__ import annotations

import math
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any

import numpy as np

from fastloss._base import Loss, Partial
from fastloss._core import elements

try:
    import dask.array as da
except ImportError as error:
    raise ImportError(
        'fastloss.integrations.dask needs Dask: pip install "fastloss[dask]"'
    ) from error

from fastloss.integrations import _dask_pairs
from fastloss.integrations._dask_arrays import array, fit, lazy, whole_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

__all__ = ["value", "value_and_grad"]


def value(
    loss: Any, first: Any, second: Any, sample_weight: Any = None, *, n_threads: int | None = 1
) -> Any:
    """Return the value of a loss as a lazy Dask array.

    Parameters
    ----------
    loss : loss
        A loss of elements or of rows, or a batch loss but those of triplets and lifted structures.
    first, second : dask Array or Series
        The first two arguments of the loss's own methods: `y_true` and `y_pred`, embeddings and
        labels, queries and keys. The scores of `CrossEntropyLoss` may be a DataFrame. One of the
        two, and the weights, may be NumPy arrays or lists. The blocks of the predictions or of the
        embeddings, if these are of Dask, decide: other arrays but keys are cut into the same
        blocks, if their sizes are known. If sizes are unknown, as in a DataFrame, the numbers of
        blocks must be equal. Nulls are treated as in the loss's own methods: nan in numbers and
        booleans, an error in labels.
    sample_weight : dask Array or Series, optional
        Weights.
    n_threads : int, optional
        Number of threads of each task, 1 by default as workers run tasks in threads; None for
        `fastloss.get_num_threads`.

    Returns
    -------
    dask Array
        A float64 array without dimensions; for ``reduction="none"`` the loss of each element.

    Raises
    ------
    TypeError
        If `loss` is none of these, or no argument is of Dask.
    ValueError
        If shapes, sizes or numbers of blocks do not fit. Values in blocks are checked when the
        blocks are computed.
    """
    if isinstance(loss, Loss) and loss.sample == "anchor":
        return _dask_pairs.value_and_grad(loss, first, second, sample_weight, n_threads, False)[0]
    blocks = _Blocks(loss, first, second, sample_weight, n_threads)
    if loss.reduction == "none":
        return blocks.each(_value, blocks.dtype)
    return _total(blocks.sums(_partial), _result)


def value_and_grad(
    loss: Any, first: Any, second: Any, sample_weight: Any = None, *, n_threads: int | None = 1
) -> tuple[Any, Any]:
    """Return the value and the gradient of a loss as lazy Dask arrays.

    Takes the arguments of `value`, and raises its errors.

    Returns
    -------
    value : dask Array
        See `value`.
    grad : dask Array, or pair of them
        The gradient of the loss's own `value_and_grad`, in the blocks of the predictions.
        ``dask.compute(value, grad)`` takes one pass over the data for both; if weights or class
        numbers decide the divisor of a mean, it takes a pass over them first.
    """
    if isinstance(loss, Loss) and loss.sample == "anchor":
        return _dask_pairs.value_and_grad(loss, first, second, sample_weight, n_threads, True)
    blocks = _Blocks(loss, first, second, sample_weight, n_threads)
    if loss.reduction == "none":
        pairs = blocks.sums(_value_and_grad)
        return blocks.pick(pairs, "value", rows=True), blocks.pick(pairs, "grad")
    pairs = blocks.sums(_partial_and_grad, blocks.scale())
    parts = pairs.map_blocks(_part, dtype=object, meta=np.empty((0,) * pairs.ndim, object))
    return _total(parts, _result), blocks.pick(pairs, "grad")


# ---- graphs -----------------------------------------------------------------------------


class _Blocks:
    """Predictions with targets and weights in the same blocks, and graphs over the blocks."""

    def __init__(self, loss: Any, y: Any, p: Any, w: Any, n_threads: int | None) -> None:
        if not (isinstance(loss, Loss) and loss.takes("prediction")):
            raise TypeError("loss must be a loss of elements or of rows, or a batch loss, as "
                            f"LogLoss(), got {loss!r}")
        self.loss, self.n_threads, self.rows = loss, n_threads, loss.sample == "row"
        self.p = array("y_pred", p, "y_true", y)
        if self.rows:
            self.p = whole_rows("y_pred", self.p)
        leading = self.p.chunks[:1] if self.rows else self.p.chunks
        matrix = self.rows and getattr(y, "ndim", 1) == 2
        if matrix and lazy(y):
            y = whole_rows("y_true", array("y_true", y))
        self.y = fit("y_true", y, self.p.chunks if matrix else leading, "y_pred")
        self.w = None if w is None else fit("sample_weight", w, leading, "y_pred")
        self.axes = tuple(range(len(leading)))   # of targets, weights and losses
        self.dtype = np.dtype(np.float32 if self.p.dtype in (np.float16, np.float32) else float)

    def _blockwise(
        self, function: Any, axes: tuple[int, ...], arguments: tuple[Any, ...],
        chunks: tuple[Any, ...], dtype: Any, **options: Any,
    ) -> Any:
        """Return an array of a function of blocks; arguments that are not arrays pass unchanged."""
        indexed: list[Any] = []
        for each in arguments:
            lazy = isinstance(each, da.Array)
            indexed += [each, tuple(range(each.ndim)) if lazy else None]
        return da.blockwise(
            function, axes, *indexed, adjust_chunks=dict(zip(axes, chunks, strict=False)),
            dtype=dtype, meta=np.empty((0,) * len(axes), dtype), concatenate=True,
            align_arrays=False, **options)

    def sums(self, function: Any, *more: Any) -> Any:
        """Return an array with one object per block: the result of a function."""
        arguments = (self.y, self.p, self.w, self.loss, self.n_threads, *more)
        return self._blockwise(function, self.axes, arguments, (1,) * len(self.axes), object)

    def each(self, function: Any, dtype: Any) -> Any:
        """Return an array of a function of each element."""
        arguments = (self.y, self.p, self.w, self.loss, self.n_threads)
        return self._blockwise(function, self.axes, arguments, self.p.chunks, dtype)

    def pick(self, pairs: Any, key: str, rows: bool = False) -> Any:
        """Return an array from its blocks in dicts, the objects of `sums`."""
        axes = self.axes if rows else tuple(range(self.p.ndim))
        new = {axis: self.p.shape[axis] for axis in axes if axis not in self.axes}
        return self._blockwise(_pick, axes, (pairs, key), self.p.chunks[:len(self.axes)],
                               self.dtype, new_axes=new)

    def scale(self) -> Any:
        """Return the factor from the gradient of the sum to the gradient of the value."""
        loss: Any = self.loss
        if loss.reduction == "sum":
            return 1.0
        some = self.y.ndim == 1 and loss._targets_weigh
        if some or (self.w is not None and loss.reduction == "mean"):
            shape = tuple(self.p.shape[1:]) if self.rows else ()
            arguments = (self.y if some else None, self.w, loss, self.n_threads, self.p.dtype,
                         shape, self.y.ndim)
            parts = self._blockwise(_weigh, self.axes, arguments, (1,) * len(self.axes), object)
            return _total(parts, _scale)
        sizes = [sum(self.p.chunks[axis]) for axis in self.axes]
        if not any(map(math.isnan, sizes)):
            return 1.0 / math.prod(sizes) if all(sizes) else math.nan
        return _total(self._blockwise(_count, self.axes, (self.p, loss, len(self.axes)),
                                      (1,) * len(self.axes), object), _scale)


def _total(parts: Any, finish: Any) -> Any:
    """Return a function of the sum of parts, which are in a block each."""
    if not parts.ndim:
        return parts.map_blocks(finish, dtype=float, meta=np.empty((), float))
    return da.reduction(parts, chunk=_merge, combine=_merge, aggregate=finish, dtype=float,
                        meta=np.empty((), float), concatenate=True, split_every=8)


# ---- tasks ------------------------------------------------------------------------------


def _box(item: Any, ndim: int) -> Array:
    """Return an array of one object."""
    box = np.empty((1,) * ndim, object)
    box[(0,) * ndim] = item
    return box


def _partial(y: Any, p: Any, w: Any, loss: Loss, n_threads: int | None) -> Array:
    return _box(loss.partial(y, p, w, n_threads=n_threads), _axes(loss, p))


def _partial_and_grad(
    y: Any, p: Any, w: Any, loss: Loss, n_threads: int | None, scale: Any
) -> Array:
    sums, grad = elements.partial_sums_and_grad(loss._kernel, y, p, w, float(scale), n_threads)
    return _box({"part": Partial(loss, *sums), "grad": grad}, _axes(loss, p))


def _value(y: Any, p: Any, w: Any, loss: Loss, n_threads: int | None) -> Any:
    return loss.value(y, p, w, n_threads=n_threads)


def _value_and_grad(y: Any, p: Any, w: Any, loss: Loss, n_threads: int | None) -> Array:
    value, grad = loss.value_and_grad(y, p, w, n_threads=n_threads)
    return _box({"value": value, "grad": grad}, _axes(loss, p))


def _axes(loss: Loss, p: Any) -> int:
    return 1 if loss.sample == "row" else np.ndim(p)


def _weigh(
    y: Any, w: Any, loss: Loss, n_threads: int | None, dtype: Any, classes: tuple[int, ...],
    y_ndim: int,
) -> Array:
    """Return sums of weights, rounded as with predictions, from predictions of 0."""
    shape = np.shape(y if w is None else w)
    zeros = np.broadcast_to(np.zeros((), dtype), (*shape, *classes))
    if y is None:
        y = zeros if y_ndim == zeros.ndim else zeros[:, 0]
    return _box(loss.partial(y, zeros, w, n_threads=n_threads), len(shape))


def _count(p: Any, loss: Loss, ndim: int) -> Array:
    count = math.prod(p.shape[:ndim])
    return _box(Partial(loss, 0.0, float(count), count), ndim)


def _part(pairs: Array) -> Array:
    return _box(pairs.item()["part"], pairs.ndim)


def _pick(pairs: Array, key: str) -> Any:
    return pairs.item()[key]


def _merge(parts: Array, axis: Any = None, keepdims: bool = True) -> Array:
    return _box(_sum(parts), parts.ndim)


def _result(parts: Array, axis: Any = None, keepdims: bool = False) -> Array:
    return np.asarray(_sum(parts).result())


def _scale(parts: Array, axis: Any = None, keepdims: bool = False) -> Array:
    total = _sum(parts)
    divisor = total.weight_sum if total.loss.reduction == "mean" else total.count
    return np.asarray(1.0 / divisor if divisor else math.nan)


def _sum(parts: Array) -> Partial:
    return reduce(add, parts.ravel().tolist())
