"""Read columns of batches: numbers without nulls, and groups."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastloss._labels import factorize, number_objects
from fastloss._values import _is_missing, array_of, is_masked

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

ROWS_ARE = "rows are counted from 0"
Place = Callable[[int | None], str]  # says where a row of a batch is, or the batch


@contextmanager
def naming(place: Place) -> Iterator[None]:
    """Name the batch in errors that are raised inside."""
    try:
        yield
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{place(None)}: {error}") from error


class Columns(NamedTuple):
    """Names of columns."""

    y_true: str
    y_pred: str | Sequence[str]
    sample_weight: str | None = None
    by: str | Sequence[str] | None = None

    def scores(self) -> list[str]:
        """Return the names of the columns of predictions."""
        return [self.y_pred] if isinstance(self.y_pred, str) else list(self.y_pred)

    def numbers(self) -> list[str]:
        """Return the names of the columns that hold numbers."""
        weights = [] if self.sample_weight is None else [self.sample_weight]
        return list(dict.fromkeys([self.y_true, *self.scores(), *weights]))

    def groups(self) -> list[str]:
        """Return the names of the columns that hold groups."""
        if self.by is None or isinstance(self.by, str):
            return [] if self.by is None else [self.by]
        return list(dict.fromkeys(self.by))


def _column(batch: Any, name: str, place: Place) -> Any:
    """Return a column; a column of Arrow in one piece."""
    try:
        column = batch[name]
    except Exception as error:  # each library has its own, as polars' ColumnNotFoundError
        raise ValueError(f"{place(None)}: there is no column {name!r}") from error
    return column.combine_chunks() if hasattr(column, "combine_chunks") else column


def _nulls(found: Any) -> Array | None:
    """Return which elements of a column are null, or None if none is; nan is a number."""
    count = getattr(found, "null_count", 0)
    if count() if callable(count) else count:  # of polars, of Arrow
        return np.asarray(found.is_null())
    if isinstance(found, np.ma.MaskedArray):
        return np.ma.getmaskarray(found)
    dtype: Any = getattr(found, "dtype", None)
    if hasattr(dtype, "na_value") and not (dtype.kind == "f" and isinstance(dtype.na_value, float)):
        return np.asarray(found.isna())  # of pandas' own types
    if isinstance(found, (list, tuple)):
        if is_masked(found):
            return np.array([is_masked(each) for each in found])
        try:
            found = np.asarray(found)
        except ValueError:  # lists of several lengths
            return None
        dtype = found.dtype
    missing: Array
    kind = getattr(dtype, "kind", "")
    if kind in ("m", "M"):
        missing = np.isnat(np.asarray(found))
        return missing
    if kind == "O":
        array = np.asarray(found)
        missing = np.array([_is_missing(each) for each in array.ravel().tolist()], bool)
        return missing.reshape(array.shape)
    return None


def numbers_of(batch: Any, name: str, place: Place) -> Array:
    """Return a column without nulls as an array; a column of lists has two dimensions."""
    found = _column(batch, name, place)
    nulls = _nulls(found)
    if nulls is not None and nulls.any():
        # a row of a matrix counts if any of its numbers is null
        without = np.asarray(nulls.reshape(nulls.shape[0] if nulls.ndim else 1, -1).any(axis=1))
        raise ValueError(f"{place(int(np.argmax(without)))}: column {name!r} is null, as it is in "
                         f"{np.count_nonzero(without)} of {len(without)} rows here; leave out "
                         "those rows, or fill them")
    if not hasattr(getattr(found, "type", None), "value_field"):
        return _array(found, name, place)
    lengths = np.asarray(found.value_lengths())
    if lengths.size and lengths.min() != lengths.max():
        row = int(np.argmax(lengths != lengths[0]))
        raise ValueError(f"{place(row)}: column {name!r} has a list of {lengths[row]} numbers, "
                         f"other rows one of {lengths[0]}; each needs a score for each class")
    values = found.flatten()
    if values.null_count:
        row = int(np.argmax(np.asarray(values.is_null()))) * len(found) // len(values)
        raise ValueError(f"{place(row)}: a list of column {name!r} holds a null")
    return _array(values, name, place).reshape(len(found), lengths[0] if lengths.size else 0)


def _array(found: Any, name: str, place: Place) -> Array:
    with naming(place):
        return array_of(found, f"column {name!r}")


def groups_of(
    batch: Any, columns: Columns, rows: int, place: Place
) -> tuple[Array, list[Any]]:
    """Return the codes of rows' groups, and the groups: tuples if there are several columns."""
    codes: Array = np.zeros(rows, np.intp)
    keys: list[Any] = [()]
    for name in columns.groups():
        more, values = _groups_of_one(batch, name, place)
        if more.shape != (rows,):
            raise ValueError(f"{place(None)}: column {name!r} must have a group for each row "
                             f"of y_pred, shape {(rows,)}, got {more.shape}")
        together, codes = factorize(codes * len(values) + more)
        keys = [(*keys[number // len(values)], values[number % len(values)])
                for number in together.tolist()]
    return codes, [key[0] for key in keys] if isinstance(columns.by, str) else keys


def _groups_of_one(batch: Any, name: str, place: Place) -> tuple[Array, list[Any]]:
    """Return the codes of a column's groups, and the groups: None for nulls."""
    found = _column(batch, name, place)
    nulls = _nulls(found)
    if hasattr(found, "dictionary_encode"):
        try:
            found = found.dictionary_encode()
        except NotImplementedError as error:  # of lists, say
            raise ValueError(f"{place(None)}: column {name!r} of {found.type} has no groups that "
                             "can be told apart") from error
        codes, keys = np.asarray(found.indices.fill_null(0)), found.dictionary.to_pylist()
    elif (array := _objects(found)).dtype != object:
        values, codes = factorize(array.reshape(-1))
        codes, keys = codes.reshape(array.shape), values.tolist()
        if values.dtype.kind in "mM" and any(isinstance(key, int) for key in keys):
            keys = list(values)  # of nanoseconds, which Python's dates and times cannot hold
    else:
        try:
            objects = [None if _is_no_value(key) else key for key in array.tolist()]
            keys = list(dict.fromkeys(objects))
        except TypeError as error:  # lists, say
            raise ValueError(f"{place(None)}: column {name!r} has no groups that can be told "
                             f"apart: {error}") from error
        codes = number_objects(objects, keys)
    if nulls is not None and nulls.any():
        codes = np.where(nulls, len(keys), codes)
        keys.append(None)
    return codes, [math.nan if isinstance(key, float) and math.isnan(key) else key for key in keys]


def _objects(found: Any) -> Array:
    """Return a column as an array; one of polars with nulls as objects, to keep integers."""
    if callable(getattr(found, "null_count", None)) and found.null_count():
        return np.fromiter(found.to_list(), object)
    return np.asarray(found)


def _is_no_value(key: Any) -> bool:
    """Return whether an object is None, nan, NaT or pandas' NA."""
    return _is_missing(key) or bool(key != key)
