"""Read and check the arguments of metrics, as scikit-learn does.

There are two ways. `plain` recognises arrays that the kernels take unchanged; a scan, or a finite
result, is their check. Everything else is read and checked step by step, and raises the error.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from fastloss._values import check_unmasked

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


class InvalidParameterError(ValueError, TypeError):
    """An argument of a type or value that the function does not take."""


class InputError(ValueError, TypeError):
    """An argument holds values that the metric cannot take.

    scikit-learn raises either of the two errors, depending on where its computation fails.
    """


def sklearn_class(module: str, name: str, otherwise: type) -> type:
    """Return scikit-learn's own exception class if scikit-learn is in use.

    Code that catches it by name has imported it; for other code its builtin base will do.
    """
    return getattr(sys.modules.get(f"sklearn.{module}"), name, otherwise)


def refuse(function: str, name: str, wanted: str, value: Any) -> Exception:
    """Return the error for a parameter that is not what it must be."""
    kind = sklearn_class("utils._param_validation", "InvalidParameterError", InvalidParameterError)
    error: Exception = kind(
        f"The {name!r} parameter of {function} must be {wanted}. Got {value!r} instead.")
    return error


def is_sparse(x: Any) -> bool:
    """Whether x looks like SciPy's sparse arrays."""
    return hasattr(x, "nnz") and hasattr(x, "toarray")


def check_array_like(function: str, **arguments: Any) -> None:
    """Raise unless each argument is some kind of array or sequence; strings are neither."""
    for name, value in arguments.items():
        sized = any(hasattr(value, it) for it in ("__len__", "shape", "__array__"))
        if not sized or np.isscalar(value) or is_sparse(value):
            raise refuse(function, name, "an array-like", value)


def check_optional(function: str, **arguments: Any) -> None:
    """Raise unless each argument is None or some kind of array or sequence."""
    check_array_like(function, **{k: v for k, v in arguments.items() if v is not None})


# ---- the fast way ------------------------------------------------------------------------


def is_plain(x: Any, n: int) -> bool:
    """Whether x is a 1-d array of n numbers that the kernels take."""
    return (type(x) is np.ndarray and x.shape == (n,) and x.dtype.kind in "fiub"
            and x.dtype.itemsize <= 8)


def plain(y_true: Any, y_pred: Any, sample_weight: Any) -> bool:
    """Whether all are 1-d arrays of one length, not 0, that the kernels take as they are."""
    if type(y_pred) is not np.ndarray or y_pred.ndim != 1 or not y_pred.size:
        return False
    n = y_pred.size
    return (is_plain(y_pred, n) and is_plain(y_true, n)
            and (sample_weight is None or is_plain(sample_weight, n)))


# ---- the careful way ---------------------------------------------------------------------


def length(x: Any) -> int:
    """Return the number of samples of an array-like."""
    if hasattr(x, "fit") and callable(x.fit):
        raise TypeError(f"Expected sequence or array-like, got {type(x)}")
    shape = getattr(x, "shape", None)
    if shape is not None:
        if len(shape) == 0:
            raise TypeError(f"Input should have at least 1 dimension, got scalar {x!r}")
        return int(shape[0])
    try:
        return len(x if hasattr(x, "__len__") else np.asarray(x))
    except TypeError as error:
        raise TypeError(f"Expected sequence or array-like, got {type(x)}") from error


def check_lengths(*arrays: Any) -> None:
    """Raise if arrays, other than None, have different numbers of samples."""
    lengths = [length(x) for x in arrays if x is not None]
    if len(set(lengths)) > 1:
        raise ValueError(f"Found input variables with inconsistent numbers of samples: {lengths}")


def dense(x: Any, name: str) -> Array:
    """Return x as an array of its own dtype.

    Refuses matrices, masked elements, complex numbers and records.
    """
    if isinstance(x, np.matrix):
        raise TypeError(f"{name} is an np.matrix, which is not supported; pass np.asarray of it")
    try:
        check_unmasked(x, name)
    except TypeError as error:  # scikit-learn takes hidden elements for values, or fails
        raise InputError(str(error)) from None
    array = np.asarray(x)
    if array.dtype.kind == "c":
        raise ValueError(f"Complex data not supported, got {name} of dtype {array.dtype}")
    if array.dtype.kind == "V":
        raise InputError(f"{name} of dtype {array.dtype} holds records; pass one field of them")
    return array


def is_extension(x: Any) -> bool:
    """Whether x, or a column of it, has an extension type, such as pandas' Int64."""
    dtypes = [x.dtype] if hasattr(x, "dtype") else list(getattr(x, "dtypes", ()))
    return any(not isinstance(dtype, np.dtype) for dtype in dtypes)


def _is_missing(value: Any) -> bool:
    """Whether an object stands for a missing value: None, pandas' NA or NaT, NaN."""
    return (value is None or type(value).__name__ in ("NAType", "NaTType", "MaskedConstant")
            or (isinstance(value, (float, np.inexact, np.datetime64, np.timedelta64))
                and bool(value != value)))


def check_present(array: Array, name: str, given: Any, *, labels: bool = False) -> None:
    """Raise if elements are missing in an array of labels or of objects, made of `given`."""
    kind = array.dtype.kind
    if kind in "mM":
        missing = np.isnat(array)
    elif kind == "O" or hasattr(array.dtype, "na_object"):
        values = array.astype(object, copy=False).ravel().tolist()
        if all(issubclass(each, (str, bytes, int)) for each in set(map(type, values))):
            return
        missing = np.fromiter(map(_is_missing, values), bool, array.size)
    else:
        return
    if missing.any():
        at = int(np.argmax(missing))
        value = array.flat[at]
        words = kind == "O" and any(isinstance(each, str) for each in array.flat)
        # scikit-learn sorts labels, but strings and None have no order; in columns of numbers it
        # finds NaN
        if words and labels and type(value).__name__ != "NaTType":
            error: type[Exception] = TypeError
        else:
            error = ValueError if is_extension(given) and not words else InputError
        raise error(f"Input {name} contains NaN: {value!r} at index {at} stands for a "
                    "missing value; fill it, or leave it out of all arguments")


def check_finite(array: Array, name: str) -> None:
    """Raise if a float array holds NaN or infinity."""
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return
    if np.isnan(array).any():
        raise ValueError(f"Input {name} contains NaN.")
    raise ValueError(f"Input {name} contains infinity or a value too large for {array.dtype!r}.")


def floats(array: Array, name: str, given: Any) -> Array:
    """Return objects, long doubles, times or strings, read from `given`, as float64."""
    if array.dtype != object or not all(map(_is_float, array.flat)):
        check_present(array, name, given)
    with np.errstate(over="ignore"):  # a long double that is too large becomes inf, refused later
        return array.astype(np.float64)


def _is_float(value: Any) -> bool:
    """Whether NumPy takes an object for a float: a number, or None for NaN."""
    return value is None or isinstance(value, (float, int))


def numbers(x: Any, name: str, *, parse: bool = True) -> Array:
    """Return x as an array of finite numbers of one or two dimensions, not empty.

    Objects, long doubles and, with `parse`, strings and times are read as float64.
    """
    array = dense(x, name)
    kind = array.dtype.kind
    if kind in "USTmM" and not parse:
        error = ValueError if kind in "US" else TypeError
        raise error(f"{name} of dtype {array.dtype} holds no numbers; convert it to numbers")
    if kind not in "fiub" or array.dtype.itemsize > 8:
        array = floats(array, name, x)
    if array.ndim > 2:
        raise ValueError(f"Found array {name} with dim {array.ndim}, while dim <= 2 is required.")
    if array.ndim == 0:
        raise TypeError(f"{name} should have at least 1 dimension, got scalar {x!r}")
    check_finite(array, name)
    if not array.shape[0]:
        raise ValueError(f"Found array {name} with 0 sample(s) (shape={array.shape}) while a "
                         "minimum of 1 is required.")
    if array.ndim == 2 and not array.shape[1]:
        raise ValueError(f"Found array {name} with 0 feature(s) (shape={array.shape}) while a "
                         "minimum of 1 is required.")
    return array


def weights(sample_weight: Any, n: int, *, parse: bool = True) -> Array:
    """Return sample weights as an array of n finite numbers, not all of them 0."""
    if not parse:  # scikit-learn's multiply them
        array = dense(sample_weight, "sample_weight")
        if array.dtype.kind in "USTmM":
            raise TypeError(f"sample_weight of dtype {array.dtype} holds no numbers")
        if array.dtype == object:
            check_present(array, "sample_weight", sample_weight)
    w = numbers(sample_weight, "sample_weight")
    if w.ndim != 1:
        raise ValueError(f"Sample weights must be 1D array or scalar, got {w.ndim}D array.")
    if w.shape != (n,):
        raise ValueError(f"sample_weight.shape == {w.shape}, expected {(n,)}!")
    if not w.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    return w


def column(x: Any, name: str) -> Array:
    """Return x as a 1-d array; a single column is raveled."""
    array = dense(x, name)
    if array.ndim == 1 or (array.ndim == 2 and array.shape[1] == 1):
        return array.reshape(-1)
    raise ValueError(f"{name} should be a 1d array, got an array of shape {array.shape} instead.")


def precision(*arrays: Any) -> np.dtype[Any]:
    """Return the dtype scikit-learn computes in: of the widest float array, or float64.

    Only arguments with a dtype count: lists and data frames do not.
    """
    dtypes = [np.asarray(x).dtype for x in arrays if hasattr(x, "dtype")]
    found = [dtype for dtype in dtypes if dtype.kind == "f"]
    return np.result_type(*found) if found else np.dtype(np.float64)


# ---- results -----------------------------------------------------------------------------


def zero_weights() -> ZeroDivisionError:
    """Return the error for a mean with weights that sum to 0."""
    return ZeroDivisionError("Weights sum to zero, can't be normalized")


_HUGE, _INFINITE = np.full(1, np.finfo(np.float64).max), np.full(1, np.inf)


def report(result: Any) -> None:
    """Warn of a result of finite numbers that is not finite, or raise, as `np.errstate` says."""
    if np.isfinite(result).all():
        return
    if np.isinf(result).any():
        np.multiply(_HUGE, _HUGE)
    if np.isnan(result).any():
        np.subtract(_INFINITE, _INFINITE)
