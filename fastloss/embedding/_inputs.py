"""Read the arguments of batch losses: rows, labels and weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastloss._core import batch as core
from fastloss._values import labels_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


def rows_of(name: str, value: Any) -> Array:
    """Return rows of numbers as a contiguous array of float32 or float64."""
    array: Array = core.read_numbers(value, name)
    if array.ndim != 2:
        raise ValueError(
            f"{name} must have two dimensions, rows and components, got shape {array.shape}")
    single = array.dtype.kind == "f" and array.dtype.itemsize <= 4
    return np.ascontiguousarray(array, np.float32 if single else np.float64)


def side_by_side(first: str, x: Array, second: str, z: Array) -> tuple[Array, Array]:
    """Return the rows of two sides in the wider type of both; raise if their lengths differ."""
    if x.shape[1] != z.shape[1]:
        raise ValueError(f"rows of {first} and {second} must be equally long, got shapes "
                         f"{x.shape} and {z.shape}")
    dtype = np.result_type(x, z)
    return x.astype(dtype, copy=False), z.astype(dtype, copy=False)


def read_labels(name: str, value: Any, rows_name: str, n: int) -> Array:
    """Return labels, an integer or string for each row."""
    labels = labels_of(value, name)
    if labels.ndim != 1 or labels.shape[0] != n:
        raise ValueError(f"{name} must hold one label for each row of {rows_name}, shape ({n},), "
                         f"got {labels.shape}")
    return labels


def read_weights(value: Any, rows_name: str, n: int) -> Array | None:
    """Return the weights of anchors in float64, or None."""
    if value is None:
        return None
    weights: Array = core.read_numbers(value, "sample_weight")
    if weights.shape != (n,):
        raise ValueError(f"sample_weight must hold a weight for each row of {rows_name}, shape "
                         f"({n},), got {weights.shape}")
    return weights.astype(np.float64)
