"""Read the numbers and labels that users pass as NumPy arrays; no other place decides on them.

Objects of other libraries are recognised by their attributes: no library is imported here.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from decimal import Decimal
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

# The types that are computed with, by NumPy's letters for them.
NUMBERS = frozenset("?bBhHiIlLqQefd")
WANTED = "real numbers: bool, an integer type, float16, float32 or float64"


def array_of(x: Any, name: str) -> Array:
    """Return x as an array of real numbers, without a copy if x already holds one.

    Missing values (None, NA, null) become NaN; a column of integers with missing values becomes
    float64. Objects that are numbers become float64. A frame of several types is read column by
    column. Raises TypeError or ValueError, with `name`, if x does not hold real numbers.
    """
    x = _computed(x)
    if type(x) is np.ndarray:
        array: Array = x
    elif (columns := _columns(x)) is not None:
        return _side_by_side([array_of(column, f"column {label!r} of {name}")
                              for label, column in columns], len(x))
    else:
        array = _read(x, name)
    if array.dtype.char in NUMBERS:
        return array
    if array.dtype.kind in "US" and not isinstance(x, np.ndarray):
        array = np.array(x, object)     # keeps numbers that stand beside strings
    if array.dtype == object:
        # in a column of another library all elements may be missing
        return _floats(array, name, bool(array.ndim) and not isinstance(x, (np.ndarray, Sequence)))
    raise TypeError(f"{name} must hold {WANTED}, got dtype {array.dtype}")


def labels_of(x: Any, name: str) -> Array:
    """Return labels of classes as an array of integers, bools or strings (or no elements).

    Raises ValueError, with `name` and the position, if a label is missing, and TypeError for
    anything that is not a label.
    """
    x = _computed(x)
    array: Array = x if type(x) is np.ndarray else _read(x, name)
    kind = array.dtype.kind
    if kind in "biu" or not array.size:
        return array
    if kind == "f":
        if (missing := np.isnan(array)).any():
            raise _missing(name, array.shape, int(np.argmax(missing)))
    elif kind == "O" or hasattr(array.dtype, "na_object"):
        return _object_labels(array, array.astype(object), name)
    elif kind in "UST":
        # NumPy has made strings of NaN and of numbers that stand beside strings in a list
        return array if isinstance(x, np.ndarray) else _object_labels(
            array, np.array(x, object), name)
    raise TypeError(f"{name} must hold integers or strings, got dtype {array.dtype}")


def check_unmasked(x: Any, name: str) -> None:
    """Raise TypeError if x is a masked array with masked elements, or a sequence that holds one."""
    if not is_masked(x):
        return
    if isinstance(x, np.ndarray):
        rows = f", or whole rows: keep = ~{name}.mask.any(axis=1)" if x.ndim == 2 else ""
        raise TypeError(
            f"{name} is a masked array with masked elements, which have no value: leave the same "
            f"elements out of every argument: keep = ~{name}.mask, then {name}[keep], which is "
            f"{name}.compressed(), and the others' [keep]{rows}")
    raise TypeError(
        f"{name} holds masked elements, which have no value: leave the same elements out of every "
        f"argument; numpy.ma.stack({name}) makes one array of masked rows, and its mask says where")


def is_masked(x: Any) -> bool:
    """Whether x is a masked array with masked elements, or a sequence that holds one."""
    if isinstance(x, np.ndarray):
        mask = getattr(x, "mask", None)
        return isinstance(mask, (np.ndarray, np.bool_)) and mask.dtype == bool and bool(mask.any())
    if not _nests(type(x)):
        return False
    kinds = tuple(filter(_nests, set(map(type, x))))
    return bool(kinds) and any(is_masked(item) for item in x if isinstance(item, kinds))


def _nests(kind: type) -> bool:
    """Whether objects of a type may be, or hold, masked arrays."""
    return kind is not np.ndarray and issubclass(kind, (np.ndarray, Sequence)) and not issubclass(
        kind, (str, bytes, bytearray, memoryview, range))


# ---- whole objects -------------------------------------------------------------------------


def _computed(x: Any) -> Any:
    """Return the result of a Dask collection: converting it to NumPy would lose a mask."""
    return x.compute() if hasattr(x, "__dask_graph__") and hasattr(x, "compute") else x


def _read(x: Any, name: str) -> Array:
    """Return x as a plain array of any dtype."""
    check_unmasked(x, name)
    if hasattr(x, "toarray") and hasattr(x, "nnz"):
        raise TypeError(f"{name} is a sparse {type(x).__name__}; pass {name}.toarray()")
    try:
        array = _convert(x)
    except ValueError as error:
        raise ValueError(f"{name} cannot be read as an array: {error}") from error
    except Exception as error:
        raise TypeError(f"{name} cannot be read as an array: {error}") from error
    if type(array) is not np.ndarray:
        check_unmasked(array, name)     # arrays read from a file may be masked
    return np.asarray(array)


def _convert(x: Any) -> Array:
    """Return x as an array, with NaN for missing values in a column of numbers."""
    dtype = getattr(x, "dtype", None)
    inner = getattr(dtype, "numpy_dtype", None)     # of pandas' nullable types
    if isinstance(inner, np.dtype) and inner.char in NUMBERS and (
            inner.kind == "f" or x.isna().any()):
        found: Array = x.to_numpy(inner if inner.kind == "f" else float, na_value=math.nan)
        return found
    array: Array = np.asanyarray(x)
    integer = getattr(dtype, "is_integer", None)        # a method of polars' types
    if array.dtype.kind == "f" and callable(integer) and integer():
        return array.astype(np.float64, copy=False)     # small integers with nulls are float32
    return array


def _columns(x: Any) -> list[tuple[Any, Any]] | None:
    """Return labels and columns of a frame that is not of a single NumPy type, else None."""
    if hasattr(x, "iloc") and getattr(x, "ndim", 0) == 2:       # pandas
        kinds = {dtype.kind if isinstance(dtype, np.dtype) and dtype.char in NUMBERS else "O"
                 for dtype in x.dtypes}
        if "O" not in kinds and ("b" not in kinds or len(kinds) == 1):
            return None
        return [(label, x.iloc[:, k]) for k, label in enumerate(x.columns)]
    if hasattr(x, "get_columns"):                               # polars
        return list(zip(x.columns, x.get_columns(), strict=True))
    if hasattr(x, "column_names") and hasattr(x, "columns"):    # Arrow
        return list(zip(x.column_names, x.columns, strict=True))
    return None


def _side_by_side(columns: list[Array], n: int) -> Array:
    """Return a matrix of columns, in a type that holds all of them."""
    dtype = np.result_type(*columns) if columns else np.dtype(np.float64)
    matrix = np.empty((n, len(columns)), dtype, order="F")
    for k, column in enumerate(columns):
        matrix[:, k] = column
    return matrix


# ---- their elements ------------------------------------------------------------------------


def _floats(array: Array, name: str, none: bool) -> Array:
    """Return an array of objects, which are numbers or missing, as float64.

    With `none`, all of them may be missing.
    """
    elements = array.ravel().tolist()
    if not none and elements and all(map(_is_missing, elements)):
        raise TypeError(f"{name} must hold {WANTED}, got {elements[0]!r}")
    if not all(_is_number(kind) or kind is type(None) for kind in set(map(type, elements))):
        elements = [_number(element, name, array.shape, i) for i, element in enumerate(elements)]
    try:
        values = np.array(elements, np.float64)     # None is NaN
    except (ArithmeticError, ValueError):
        values = np.array([_rounded(element) for element in elements])
    for i in np.flatnonzero(np.isinf(values)).tolist():
        if elements[i] not in (math.inf, -math.inf):
            raise ValueError(f"{name} must hold numbers in the range of float64, but "
                             f"{_shown(elements[i], array.shape, i)}")
    return values.reshape(array.shape)


def _number(element: Any, name: str, shape: tuple[int, ...], i: int) -> Any:
    """Return an object as a number that NumPy converts, or None."""
    if hasattr(element, "as_py"):       # a scalar of Arrow
        element = element.as_py()
    if getattr(element, "shape", None) == () and not isinstance(element, np.generic):
        element = _read(element, f"the element at index {_index(shape, i)} of {name}")[()]
    if _is_missing(element):
        return None
    if _is_number(type(element)):
        return element
    raise TypeError(f"{name} must hold {WANTED}, but {_shown(element, shape, i)}")


def _rounded(element: Any) -> float:
    """Return a number as float64: infinity beyond its range, NaN for None."""
    try:
        return math.nan if element is None else float(element)
    except OverflowError:
        return math.inf
    except ValueError:      # a signalling NaN
        return math.nan


def _is_number(kind: type) -> bool:
    """Whether objects of a type are real numbers."""
    return issubclass(kind, (Real, np.bool_, Decimal)) and not issubclass(kind, np.timedelta64)


def _is_missing(element: Any) -> bool:
    """Whether an object stands for a missing value, None or pandas' NA."""
    return element is None or element is getattr(sys.modules.get("pandas"), "NA", None)


def _object_labels(array: Array, objects: Array, name: str) -> Array:
    """Return labels that are objects: as integers if all are, else as in `array`."""
    elements = objects.ravel().tolist()
    kinds = set(map(type, elements))
    words = any(issubclass(kind, (str, bytes)) for kind in kinds)
    if all(issubclass(kind, str) for kind in kinds):
        return array
    if all(issubclass(kind, (str, bytes)) if words else _is_integer(kind) for kind in kinds):
        integers = objects if words else np.array(elements).reshape(objects.shape)
        return integers if integers.dtype.kind in "biu" else objects    # bytes, or huge integers
    for i, element in enumerate(elements):
        if _is_missing(element) or type(element).__name__ == "NaTType" or (
                isinstance(element, (float, np.floating)) and element != element):
            raise _missing(name, objects.shape, i)
        if not (isinstance(element, (str, bytes)) if words else _is_integer(type(element))):
            break
    both = ", not both" if words else ""
    raise TypeError(f"{name} must hold integers or strings{both}, but "
                    f"{_shown(element, objects.shape, i)}")


def _is_integer(kind: type) -> bool:
    """Whether objects of a type are integers or bools."""
    return issubclass(kind, (Integral, np.bool_)) and not issubclass(kind, np.timedelta64)


def _missing(name: str, shape: tuple[int, ...], i: int) -> ValueError:
    """Return the error for a label that is missing."""
    return ValueError(f"{name} must hold a label for each row, but the label at index "
                      f"{_index(shape, i)} is missing; leave such rows out of every argument")


def _index(shape: tuple[int, ...], i: int) -> Any:
    """Return the index of element i in order: an integer, or one for each dimension."""
    where = tuple(int(k) for k in np.unravel_index(i, shape))
    return where[0] if len(where) == 1 else where


def _shown(element: Any, shape: tuple[int, ...], i: int) -> str:
    """Return the words for an element and its place."""
    try:
        value = repr(element)
    except Exception:       # an integer of thousands of digits, say
        value = "one"
    value = value if len(value) <= 60 else f"{value[:57]}..."
    where = f"the element at index {_index(shape, i)} is" if shape else "it is"
    return f"{where} {value} of type {type(element).__name__}"
