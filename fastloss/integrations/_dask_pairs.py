"""Batch losses on Dask: every block of rows meets every other one."""

from __future__ import annotations

from functools import reduce
from itertools import accumulate, combinations_with_replacement, product
from operator import add
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
from dask.delayed import delayed

from fastloss._values import labels_of
from fastloss.embedding.blocks import Block, Sums
from fastloss.integrations._dask_arrays import array, cut, fit, unknown, whole_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]

TOGETHER = 8  # terms of a sum that one task adds


def value_and_grad(
    loss: Any, first: Any, second: Any, weight: Any, n_threads: int | None,
    gradient: bool,
) -> tuple[Any, Any]:
    """Return value and gradient, or None for a gradient that is not wanted."""
    if not loss.blockwise:
        raise TypeError(f"loss must be a batch loss with sums of blocks, got {loss!r}")
    names = [each.called for each in loss.inputs[:2]]
    rows, chunks = _matrix(names[0], first, names[1], second)
    weights = None if weight is None else fit("sample_weight", weight, rows.chunks[:1], names[0])
    views = loss.sides == "two views"
    keys, key_chunks, sides = None, chunks, [rows]
    if loss.takes("labels"):
        labels = fit("labels", second, rows.chunks[:1], names[0], labels_of)
        mine = _blocks(loss, (rows,), labels, weights)
    elif views:
        sides.append(fit(names[1], second, rows.chunks, names[0]))
        mine = _blocks(loss, sides, None, weights)
    else:
        keys, key_chunks = _matrix(names[1], second, names[0], first)
        if keys.shape != rows.shape:
            raise ValueError(f"{names[1]} must have the shape of {names[0]}, {rows.shape}, got "
                             f"{keys.shape}")
        sides.append(keys)
        mine = _blocks(loss, (rows,), None, weights)
    # a weight is given for each query, and counts for its key too
    theirs = mine if keys is None else _blocks(
        loss, (keys,), None, None if weights is None else cut(weights, keys.chunks[:1]))
    one = keys is None
    meetings = list(combinations_with_replacement(range(len(mine)), 2) if one
                    else product(range(len(mine)), range(len(theirs))))
    both = one or loss.keys_are_anchors

    def gather(found: dict[tuple[int, int], Any], wanted: bool) -> tuple[list[Any], list[Any]]:
        """Return the sums of each block over its meetings, for both sides."""
        here: list[list[Any]] = [[] for _ in mine]
        there = here if one else [[] for _ in theirs]
        for (i, j), (of_i, of_j) in found.items():
            here[i].append(of_i)
            if wanted and not (one and i == j):
                there[j].append(of_j)
        sums = [_add(each) for each in here]
        return sums, sums if one else [_add(each) if each else None for each in there]

    sums, other_sums = gather({(i, j): delayed(_sums, nout=2, pure=True)(
        mine[i], theirs[j], n_threads) for i, j in meetings}, both)
    parts = [delayed(_partial, pure=True)(*each) for each in zip(mine, sums, strict=True)]
    if both and not one:
        parts += [delayed(_partial, pure=True)(*each)
                  for each in zip(theirs, other_sums, strict=True)]
    total = _add(parts)
    value = da.from_delayed(delayed(_result, pure=True)(total), (), float)
    if not gradient:
        return value, None
    grads, other_grads = gather({(i, j): delayed(_grads, nout=2, pure=True)(
        mine[i], theirs[j], sums[i], other_sums[j], total, n_threads) for i, j in meetings}, True)
    dtype, width = np.result_type(*map(_dtype, sides)), rows.shape[1]
    if views:
        both_views = da.concatenate([
            da.from_delayed(grad, (2, size, width), dtype)
            for grad, size in zip(grads, rows.chunks[0], strict=True)], axis=1)
        return value, (cut(both_views[0], chunks), cut(both_views[1], chunks))

    def joined(side: list[Any], like: Any, wanted: Any) -> Any:
        return cut(da.concatenate([da.from_delayed(grad, (size, width), dtype) for grad, size
                                   in zip(side, like.chunks[0], strict=True)]), wanted)

    mine_joined = joined(grads, rows, chunks)
    return value, mine_joined if one else (mine_joined, joined(other_grads, keys, key_chunks))


def _matrix(name: str, x: Any, other_name: str, other: Any) -> tuple[Any, Any]:
    """Return a matrix without its empty blocks, and the sizes of its blocks before."""
    found = whole_rows(name, array(name, x, other_name, other))
    if unknown(found.chunks):
        raise ValueError(f"{name} must have blocks of known sizes, as rows are known by their "
                         "numbers; call compute_chunk_sizes()")
    some = tuple(size for size in found.chunks[0] if size) or (0,)
    return cut(found, (some, found.chunks[1])), found.chunks


def _dtype(x: Any) -> Any:
    single = x.dtype.kind == "f" and x.dtype.itemsize <= 4
    return np.dtype(np.float32 if single else np.float64)


def _blocks(loss: Any, sides: Sequence[Any], labels: Any, weights: Any) -> list[Any]:
    """Return tasks that make the blocks of rows."""
    rows = [[part for (part,) in side.to_delayed()] for side in sides]
    starts = accumulate(sides[0].chunks[0], initial=0)
    columns = [[None] * len(rows[0]) if each is None else each.to_delayed().tolist()
               for each in (labels, weights)]
    return [delayed(_block, pure=True)(loss, list(part), label, weight, start)
            for part, label, weight, start in zip(zip(*rows, strict=True), *columns, starts,
                                                  strict=False)]


def _add(terms: list[Any]) -> Any:
    """Return the task of a sum in steps, so that memory need not hold all terms."""
    while len(terms) > 1:
        terms = [delayed(_sum, pure=True)(terms[i:i + TOGETHER])
                 for i in range(0, len(terms), TOGETHER)]
    return terms[0]


# ---- tasks ------------------------------------------------------------------------------


def _block(loss: Any, rows: list[Any], labels: Any, weights: Any, start: int) -> Block:
    return Block(loss, rows[0] if len(rows) == 1 else tuple(rows), labels, start=start,
                 sample_weight=weights)


def _sums(block: Block, other: Block, n_threads: int | None) -> tuple[Sums, Sums | None]:
    return block.sums(other, n_threads=n_threads)


def _partial(block: Block, sums: Sums) -> Any:
    return block.partial(sums)


def _grads(
    block: Block, other: Block, sums: Sums, other_sums: Sums | None, total: Any,
    n_threads: int | None,
) -> tuple[Array, Array | None]:
    mine, theirs = block.grad(other, sums, other_sums, scale=total.scale, n_threads=n_threads)
    # the two views' side by side
    return np.asarray(mine), None if theirs is None else np.asarray(theirs)


def _sum(terms: list[Any]) -> Any:
    return reduce(add, terms)


def _result(total: Any) -> Array:
    return np.asarray(total.result())
