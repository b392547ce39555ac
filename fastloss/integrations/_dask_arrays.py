"""Dask's collections as arrays in the same blocks."""

from __future__ import annotations

import math
from typing import Any

import dask.array as da
import numpy as np


def array(name: str, x: Any) -> Any:
    """Return a Dask Array of a Dask collection."""
    if hasattr(x, "to_dask_array"):
        x = x.to_dask_array()
    if not isinstance(x, da.Array):
        raise TypeError(f"{name} must be a Dask Array, Series or DataFrame, got "
                        f"{type(x).__name__}")
    return x


def unknown(chunks: Any) -> bool:
    """Return whether sizes of blocks are unknown."""
    return any(math.isnan(size) for sizes in chunks for size in sizes)


def whole_rows(name: str, x: Any) -> Any:
    """Return a matrix whose blocks are whole rows."""
    if x.ndim != 2:
        raise ValueError(f"{name} must have two dimensions, got shape {x.shape}")
    if unknown(x.chunks[1:]):
        raise ValueError(f"{name} must have a known number of columns; call compute_chunk_sizes()")
    return x if x.numblocks[1] == 1 else x.rechunk({1: -1})


def fit(name: str, x: Any, chunks: Any, other: str) -> Any:
    """Return an array in given blocks, those of an array of another name."""
    if not hasattr(x, "to_dask_array") and not isinstance(x, da.Array):
        if unknown(chunks):
            raise ValueError(f"{name} cannot be cut into the blocks of {other}, whose sizes are "
                             f"unknown; call compute_chunk_sizes() on {other}")
        x = np.asarray(x)
        x = da.from_array(x, chunks=x.shape)
    x = array(name, x)
    count = tuple(map(len, chunks))
    if unknown(chunks) or unknown(x.chunks):
        if x.numblocks != count:
            raise ValueError(f"{name} has {x.numblocks} blocks and {other} {count}, of unknown "
                             "sizes; call compute_chunk_sizes() on both")
        return x
    shape = tuple(map(sum, chunks))
    if x.shape != shape:
        raise ValueError(f"{name} must have the shape {shape}, as {other} has, got {x.shape}")
    return x if x.chunks == chunks else x.rechunk(chunks)
