"""Encode labels as codes: integers from 0, equal where the labels are equal.

For the classes of metrics, the labels of embeddings and the groups of streams. Each of them decides
for itself which values are labels, and which are missing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from fastloss._core.batch import small_labels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


def factorize(y: Array) -> tuple[Array, Array]:
    """Return the sorted distinct values of a 1-d array, and the code of each element among them.

    Codes are bool for two values. Raises TypeError for objects that cannot be sorted.
    """
    kind = y.dtype.kind
    if kind in "biu" and y.size:
        low, high = int(y.min()), int(y.max())
        if high - low < 4 * y.size + 1024:      # a table of these values beats sorting
            return _count(y, low, high)
    if kind == "O":
        return _sort_objects(y)
    if kind == "U" and y.size:      # one or two values need no sorting
        other = y != y[0]
        rest = y[other]
        if not rest.size:
            return y[:1], other.astype(np.intp)
        if (rest == rest[0]).all():
            return (np.array([y[0], rest[0]]), other) if y[0] < rest[0] else (
                np.array([rest[0], y[0]]), ~other)
    if kind not in "biufUSmM":
        return np.unique(y, return_inverse=True)
    values = np.unique(y)
    return values, y != values[0] if len(values) == 2 else np.searchsorted(values, y)


def _count(y: Array, low: int, high: int) -> tuple[Array, Array]:
    """Return the distinct values and the codes of integers from low to high, by a table."""
    above = y if y.dtype.kind == "u" else y.astype(np.intp, copy=False)
    if low:
        above = above - above.dtype.type(low)
    above = above.astype(np.intp, copy=False)
    seen = np.zeros(high - low + 1, dtype=bool)
    seen[above] = True
    places = np.flatnonzero(seen)
    values = np.array([low + place for place in places.tolist()], y.dtype)
    if len(values) == 2:
        return values, y == values[1]
    if len(values) == len(seen):
        return values, above
    return values, (np.cumsum(seen) - 1)[above]


def _sort_objects(y: Array) -> tuple[Array, Array]:
    """Return the sorted distinct values and the codes of an array of objects."""
    objects = y.tolist()
    try:    # hashing beats sorting
        values = sorted(set(objects))
    except TypeError:
        kinds = sorted({type(label).__name__ for label in objects})
        raise TypeError(f"labels of several types, {', '.join(kinds)}, have no order; make "
                        "them all strings or all numbers") from None
    codes = np.asarray(y == values[1]) if len(values) == 2 else number_objects(objects, values)
    return np.array(values, dtype=object), codes


def number_objects(objects: list[Any], values: Iterable[Any]) -> Array:
    """Return the codes of hashable objects among distinct values."""
    codes = {value: code for code, value in enumerate(values)}
    return np.fromiter(map(codes.__getitem__, objects), np.intp, len(objects))


def recode(codes: Array, values: list[Any], labels: list[Any]) -> Array:
    """Return codes among `values` as codes among `labels`, which contain all values.

    Codes are bool for two labels.
    """
    if values == labels:
        return codes
    table = number_objects(values, labels)
    return (table == 1 if len(labels) == 2 else table)[codes.astype(np.intp, copy=False)]


def number_labels(name: str, *sides: Array) -> tuple[list[Array], int]:
    """Return int32 codes of the labels of each side, and a bound above the codes.

    Raises TypeError, with `name`, for labels that cannot be compared with each other.
    """
    if all(side.dtype.kind in "biu" for side in sides if side.size):
        small = small_labels(sides)     # compiled: most labels are integers, and most batches small
        if small is not None:
            return small
    filled = [side for side in sides if side.size]
    kinds = {side.dtype.kind for side in filled}
    if kinds & set("biu") and kinds & set("UST"):
        raise TypeError(f"{name} must hold integers or strings that can be compared with each "
                        f"other, got dtypes {' and '.join(str(side.dtype) for side in sides)}")
    if kinds == {"i", "u"} and np.result_type(*filled).kind == "f":
        filled = [side.astype(object) for side in filled]      # no integer type holds both
    try:
        values, codes = factorize(np.concatenate(filled or sides))
    except TypeError as error:
        raise TypeError(f"{name} must hold integers or strings that can be compared with each "
                        f"other: {error}") from error
    ends = np.cumsum([side.size for side in sides])
    return np.split(codes.astype(np.int32), ends[:-1]), len(values)
