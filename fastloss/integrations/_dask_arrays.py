"""Dask's collections as arrays in the same blocks."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np

from fastloss._values import array_of

Reader = Callable[[Any, str], Any]      # array_of or labels_of


def array(
    name: str, x: Any, other_name: str = "", other: Any = None, read: Reader = array_of
) -> Any:
    """Return a Dask Array of a Dask collection, or of NumPy's array in the blocks of another."""
    if not lazy(x) and lazy(other):
        x, chunks = read(x, name), array(other_name, other).chunks
        if unknown(chunks):
            raise _unknown_cuts(name, other_name)
        # an axis of another length stays whole: a later error tells both lengths
        cuts = [sizes if sum(sizes) == n else (n,)
                for n, sizes in zip(x.shape, chunks, strict=False)]
        return da.from_array(x, (*cuts, *x.shape[len(cuts):]))
    if hasattr(x, "to_dask_array"):
        dtype = _extension(x)
        x = x.to_dask_array() if dtype is None else x.map_partitions(
            read, name, meta=np.empty((0, *x.shape[1:]), dtype))
    if not isinstance(x, da.Array):
        raise TypeError(f"{name} must be a Dask Array, Series or DataFrame, got "
                        f"{type(x).__name__}")
    return x


def lazy(x: Any) -> bool:
    """Return whether an object is a collection of Dask."""
    return isinstance(x, da.Array) or hasattr(x, "to_dask_array")


def _extension(x: Any) -> Any:
    """Return NumPy's dtype of nullable or Arrow columns of numbers, None of other columns."""
    columns = [x.dtype] if x.ndim == 1 else list(x.dtypes)
    if all(isinstance(dtype, np.dtype) for dtype in columns):
        return None
    found = [getattr(dtype, "numpy_dtype", dtype) for dtype in columns]
    numbers = all(isinstance(dtype, np.dtype) and dtype.kind in "biuf" for dtype in found)
    return np.result_type(*found) if numbers else None


def unknown(chunks: Any) -> bool:
    """Return whether sizes of blocks are unknown."""
    return any(math.isnan(size) for sizes in chunks for size in sizes)


def whole_rows(name: str, x: Any) -> Any:
    """Return a matrix with blocks of whole rows."""
    if x.ndim != 2:
        raise ValueError(f"{name} must have two dimensions, got shape {x.shape}")
    if unknown(x.chunks[1:]):
        raise ValueError(f"{name} must have a known number of columns; call compute_chunk_sizes()")
    return x if x.numblocks[1] == 1 else cut(x, (x.chunks[0], (x.shape[1],)))


def cut(x: Any, chunks: Any) -> Any:
    """Return an array in other blocks; Dask's rechunk does not change those of an empty one."""
    if x.ndim and not any(x.shape):
        return da.empty(x.shape, dtype=x.dtype, chunks=chunks)
    return x.rechunk(chunks)


def fit(name: str, x: Any, chunks: Any, other: str, read: Reader = array_of) -> Any:
    """Return an array cut into the blocks of another array, which errors name."""
    if not lazy(x):
        if unknown(chunks):
            raise _unknown_cuts(name, other)
        x = read(x, name)
        x = da.from_array(x, chunks=x.shape)
    x = array(name, x, read=read)
    count = tuple(map(len, chunks))
    if unknown(chunks) or unknown(x.chunks):
        if x.numblocks != count:
            raise ValueError(f"{name} has {x.numblocks} blocks and {other} {count}, of unknown "
                             "sizes; call compute_chunk_sizes() on both")
        return x
    shape = tuple(map(sum, chunks))
    if x.shape != shape:
        raise ValueError(f"{name} must have the shape {shape}, as {other} has, got {x.shape}")
    return x if x.chunks == chunks else cut(x, chunks)


def _unknown_cuts(name: str, other: str) -> ValueError:
    return ValueError(f"{name} cannot be cut into the blocks of {other}, whose sizes are unknown; "
                      f"call compute_chunk_sizes() on {other}")
