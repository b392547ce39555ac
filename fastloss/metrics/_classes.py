"""Class labels as scikit-learn reads them: the classes, and which of them each sample has."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastloss._labels import factorize, recode
from fastloss.metrics._inputs import (
    InputError,
    check_finite,
    check_present,
    dense,
    is_extension,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


class Target(NamedTuple):
    """Labels, 1-d or an indicator matrix, what kind they are, the sorted classes, and codes.

    `codes` has the number of each label's class, as bool if there are two; of a label indicator
    matrix it is None.
    """

    y: Array
    kind: str
    found: Array
    codes: Array | None


class Classes(NamedTuple):
    """Sorted classes, and for each sample the number of its class.

    `codes` is bool for two classes; of a label indicator matrix it is None and `indicator` the
    matrix, whose numbers count as they are.
    """

    labels: Array
    codes: Any
    indicator: Array | None = None


def two_values(y: Array) -> tuple[Any, Any] | None:
    """Return the least and the greatest of whole numbers if y has just those two."""
    if y.dtype.kind == "b":
        return (False, True) if y.any() and not y.all() else None
    low, high = y.min(), y.max()
    if not low < high:
        return None
    if y.dtype.kind == "f" and not (float(low).is_integer() and float(high).is_integer()
                                    and max(-low, high) < np.float64(2**63)):
        return None
    if (y.dtype.kind == "f" or int(high) - int(low) > 1) and not ((y == low) | (y == high)).all():
        return None
    return low, high


def _whole(y: Array) -> bool:
    """Whether floats are whole numbers, of at most 64 bits, as labels are."""
    return bool((np.abs(y) < np.float64(2**63)).all() and (y == np.trunc(y)).all())


def read_labels(y_true: Any, name: str = "y_true") -> Array:
    """Return labels, none of which is missing, as an array."""
    y = dense(y_true, name)
    if not y.ndim:
        raise InputError(f"{name} should be a sequence of labels, got {y_true!r}")
    check_present(y, name, y_true, labels=True)
    if y.dtype.kind == "T":
        return y.astype(object)
    if y.dtype == object and is_extension(y_true):
        return np.array(y.tolist())
    return y


def check_labels(y: Array, name: str = "y_true") -> None:
    """Raise for an array that does not hold labels of classes."""
    first = y.flat[0] if y.size else None
    if isinstance(first, bytes):
        raise TypeError(f"{name} has labels represented as bytes, which is not supported; convert "
                         "them to strings or integers")
    if y.ndim not in (1, 2) or not y.size or (y.dtype == object and not isinstance(first, str)):
        raise ValueError(f"Unknown label type: {name} of dtype {y.dtype} and shape {y.shape} does "
                         "not hold class labels")
    if y.dtype.kind == "f":
        check_finite(y, name)
        if not _whole(y):
            raise ValueError(f"Unknown label type: {name} of dtype {y.dtype} has continuous values")


def read_target(y_true: Any, name: str = "y_true") -> Target:
    """Return labels with their kind: "binary", "multiclass" or "multilabel-indicator".

    Raises for what holds no class labels.
    """
    y = read_labels(y_true, name)
    check_labels(y, name)
    if y.dtype.kind == "U" and isinstance(y_true, (list, tuple)):
        labels = y_true if y.ndim == 1 else np.array(y_true, object).ravel().tolist()
        if not all(issubclass(kind, str) for kind in set(map(type, labels))):
            raise ValueError(f"{name} is a mix of strings and numbers; make them all the one or "
                             "the other")
    if y.ndim == 2 and y.shape[1] > 1:
        if y.dtype.kind in "fiub" and len(np.unique(y)) < 3:
            return Target(y, "multilabel-indicator", np.arange(y.shape[1]), None)
        raise ValueError(f"Multioutput target data is not supported: {name} has shape {y.shape}")
    y = y.reshape(-1)
    found, codes = factorize(y)
    return Target(y, "binary" if len(found) <= 2 else "multiclass", found, codes)


def check_known(found: Array, labels: Array, given: Any,
                error: type[Exception] = ValueError) -> None:
    """Raise an error if values of the targets are not among the labels."""
    strange = set(found.tolist()) - set(labels.tolist())
    if strange:
        raise error(f"y_true contains values {strange} not belonging to the passed labels {given}.")


def classify(y_true: Any, labels: Any) -> Classes:
    """Return the classes of the targets; `labels` says which there are, else the targets do.

    Raises and warns as scikit-learn's log loss does.
    """
    y, kind, present, codes = read_target(y_true)
    found, fitted = present, kind
    if labels is not None:
        _, fitted, found, _ = read_target(labels, "labels")
        if not np.all(found == dense(labels, "labels")):
            warnings.warn(
                f"Labels passed were {labels}. But this function assumes labels are ordered "
                f"lexicographically. Pass the ordered labels={found.tolist()} and ensure that the "
                "columns of y_prob correspond to this ordering.", UserWarning, stacklevel=4)
        given = read_labels(labels)
        error = ValueError if y.ndim == given.ndim == 1 else InputError
        check_known(np.unique(y) if codes is None else present, given.reshape(-1), labels, error)
    if len(found) == 1:
        if labels is None:
            raise ValueError(f"y_true contains only one label ({found[0]}). Please provide the "
                             "list of all expected class labels explicitly through the labels "
                             "argument.")
        raise ValueError(f"The labels array needs to contain at least two labels, got {found}.")
    if codes is None:
        if fitted != kind:
            raise ValueError("y_true is a label indicator matrix, whose columns are the classes: "
                             "leave out labels, or pass labels of class numbers as y_true")
        if len(found) != y.shape[1]:
            raise ValueError(f"y_true has {y.shape[1]} columns, labels {len(found)}")
        return Classes(found, None, y)
    if fitted == "multilabel-indicator":    # its columns are the classes
        check_known(present, found, labels)
    return Classes(found, recode(codes, present.tolist(), found.tolist()))
