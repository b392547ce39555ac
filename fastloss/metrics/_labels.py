"""Class labels of any kind as the numbers of classes."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastloss.metrics._inputs import check_finite, dense

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

_TABLE = 1 << 16  # widest range of integer labels that is counted instead of sorted


class Target(NamedTuple):
    """Labels, 1-d or an indicator matrix, what kind they are, and the sorted classes."""

    y: Array
    kind: str
    found: Array


class Classes(NamedTuple):
    """Sorted classes, and for each sample the number of its class.

    `codes` is bool for two classes; of a label indicator matrix it is None and `indicator` the
    matrix.
    """

    labels: Array
    codes: Any
    indicator: Array | None = None


def two_values(y: Array) -> tuple[Any, Any] | None:
    """Return the least and the greatest of numbers if y has just those two."""
    if y.dtype.kind == "b":
        return (False, True) if y.any() and not y.all() else None
    low, high = y.min(), y.max()
    if not low < high:
        return None
    if (y.dtype.kind == "f" or int(high) - int(low) > 1) and not ((y == low) | (y == high)).all():
        return None
    return low, high


def unique(y: Array) -> Array:
    """Return the sorted distinct values of a 1-d array."""
    if y.dtype.kind in "iub" and y.size:
        low, high = int(y.min()), int(y.max())
        if high - low < _TABLE:
            seen = np.zeros(high - low + 1, dtype=bool)
            seen[_above(y, low)] = True
            return (np.flatnonzero(seen) + low).astype(y.dtype)
    if y.dtype == object:  # of strings; hashing them beats sorting
        return np.array(sorted(set(y.tolist())), dtype=object)
    if y.dtype.kind == "U" and y.size:  # one or two values need no sorting
        rest = np.flatnonzero(y != y[0])
        if not rest.size:
            return y[:1]
        other = y[rest[0]]
        if (y[rest] == other).all():
            return np.sort(np.array([y[0], other]))
    return np.unique(y)


def _above(y: Array, low: int) -> Array:
    """Return the integers y - low as indices."""
    return y.astype(np.intp, copy=False) - low if low else y.astype(np.intp, copy=False)


def encode(y: Array, labels: Array) -> Array:
    """Return the number of each label among the sorted labels, all of which are there."""
    if len(labels) == 2:
        return np.asarray(y == labels[1])
    if y.dtype == object:
        number = {label: i for i, label in enumerate(labels.tolist())}
        return np.fromiter(map(number.__getitem__, y.tolist()), np.intp, y.size)
    if labels.dtype.kind in "iu" and y.dtype.kind in "iu":
        low, high = int(labels[0]), int(labels[-1])
        if high - low + 1 == len(labels):
            return _above(y, low)
    return np.searchsorted(labels, y)


def read_labels(y_true: Any, name: str = "y_true") -> Array:
    """Return labels as an array."""
    y = dense(y_true, name)
    if y.dtype.kind == "O" and y.size and not isinstance(y.flat[0], str):
        kinds = {type(value) for value in y.flat}
        if hasattr(y_true, "dtype") and not isinstance(y_true.dtype, np.dtype) and kinds <= {
                bool, int, float, np.bool_, np.int64, np.float64}:
            return np.array(y.tolist())  # an extension array, such as pandas' Int64
    return y


def read_target(y_true: Any, name: str = "y_true") -> Target:
    """Return labels with their kind: "binary", "multiclass" or "multilabel-indicator".

    Raises for what holds no class labels.
    """
    y = read_labels(y_true, name)
    unknown = (f"Unknown label type: {name} of dtype {y.dtype} and shape {y.shape} does not hold "
               "class labels")
    first = y.flat[0] if y.size else None
    if isinstance(first, bytes):
        raise TypeError(f"{name} has labels represented as bytes, which is not supported; convert "
                        "them to strings or integers")
    if y.ndim not in (1, 2) or not y.size or (y.dtype == object and not isinstance(first, str)):
        raise ValueError(unknown)
    if y.dtype.kind == "f":
        check_finite(y, name)
        if (y != np.trunc(y)).any():
            raise ValueError(f"{unknown} but continuous values")
    if y.ndim == 2 and y.shape[1] > 1:
        if y.dtype.kind in "fiub" and len(np.unique(y)) < 3:
            return Target(y, "multilabel-indicator", np.arange(y.shape[1]))
        raise ValueError(f"Multioutput target data is not supported: {name} has shape {y.shape}")
    y = y.reshape(-1)
    found = unique(y)
    return Target(y, "binary" if len(found) <= 2 else "multiclass", found)


def classify(y_true: Any, labels: Any) -> Classes:
    """Return the classes of the targets; `labels` says which there are, else the targets do.

    Raises and warns as scikit-learn's log loss does.
    """
    y, kind, present = read_target(y_true)
    found = present
    if labels is not None:
        given = read_target(labels, "labels")
        found = given.found
        if not np.all(found == given.y):
            warnings.warn(
                f"Labels passed were {labels}. But this function assumes labels are ordered "
                f"lexicographically. Pass the ordered labels={found.tolist()} and ensure that the "
                "columns of y_prob correspond to this ordering.", UserWarning, stacklevel=5)
        strange = set(present.tolist()) - set(found.tolist())
        if strange:
            raise ValueError(f"y_true contains values {strange} not belonging to the passed "
                             f"labels {labels}.")
    if len(found) == 1:
        if labels is None:
            raise ValueError(f"y_true contains only one label ({found[0]}). Please provide the "
                             "list of all expected class labels explicitly through the labels "
                             "argument.")
        raise ValueError(f"The labels array needs to contain at least two labels, got {found}.")
    if kind == "multilabel-indicator":
        return Classes(found, None, y != 0)
    return Classes(found, encode(y, found))
