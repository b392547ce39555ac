"""Columns of four numbers, the third of which is missing, as every library has them."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from numerics import assert_same_bits

from fastloss._base import Partial

VALUES = [1, 0, None, 1]
OTHER = np.array([0.25, 0.5, 0.75, 1.0])
INTEGERS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
DTYPES = [*INTEGERS, "bool", "float32", "float64"]


def _library(name):
    return pytest.importorskip(name, reason=f"{name} is not installed")


def _pandas(dtype):
    names = {"bool": "boolean", "float32": "Float32", "float64": "Float64"}
    name = names.get(dtype) or dtype.replace("u", "U", 1).replace("i", "I", 1)
    return lambda values: _library("pandas").Series(values, dtype=name)


def _of_objects(values):
    return np.array(values, object)


def _na_objects(values):
    pandas = _library("pandas")
    return pandas.Series([pandas.NA if v is None else v for v in values], dtype=object)


def _typed(values, dtype):
    return [None if v is None else bool(v) for v in values] if dtype == "bool" else values


def _polars(dtype):
    name = {"bool": "Boolean"}.get(dtype) or (
        dtype[:2].upper() + dtype[2:] if dtype[0] == "u" else dtype.capitalize())
    return lambda values: (_library("polars").Series(
        _typed(values, dtype), dtype=getattr(_library("polars"), name)))


def _arrow_type(dtype):
    return getattr(_library("pyarrow"), {"bool": "bool_"}.get(dtype, dtype))()


def _arrow(dtype):
    return lambda values: _library("pyarrow").array(_typed(values, dtype), _arrow_type(dtype))


def _chunked(values):
    return _library("pyarrow").chunked_array([values[:1], values[1:]])


def _pandas_arrow(dtype):
    def make(values):
        kind = _library("pandas").ArrowDtype(_arrow_type(dtype))
        return _library("pandas").Series(values, dtype=kind)
    return make


# What makes a column of values, and the type of the floats that it is read as.
COLUMNS = {
    "None in a list": (list, float), "None in an array": (_of_objects, float),
    "NA in an array": (_na_objects, float), "null in chunks": (_chunked, float),
}
for _name, _make in (("pandas", _pandas), ("polars", _polars), ("arrow", _arrow),
                     ("pandas with arrow", _pandas_arrow)):
    COLUMNS |= {f"{_name} {dtype}": (_make(dtype), np.float32 if dtype == "float32" else float)
                for dtype in DTYPES}


def _masked(dtype):
    hidden = math.nan if dtype is float else 0
    return lambda: np.ma.array([1, 0, hidden, 1], dtype, mask=[False, False, True, False])


def _with_nat():
    pandas = _library("pandas")
    return pandas.Series([1, 0, pandas.NaT, 1], dtype=object)


# What has elements that no float stands for.
REFUSED = {
    "masked floats": _masked(float), "masked integers": _masked(int), "masked bools": _masked(bool),
    "masked in a list": lambda: [1, 0, np.ma.masked, 1],
    "masked in an array": lambda: np.array([1, 0, np.ma.masked, 1], object), "NaT": _with_nat,
}


def beside(x, other=OTHER):
    """Return a matrix, or frame, of two columns: x and others."""
    module = type(x).__module__.split(".")[0]
    if isinstance(x, list):
        return [[a, b] for a, b in zip(x, other.tolist(), strict=True)]
    if module == "pandas":
        return _library("pandas").DataFrame({"x": x, "other": other})
    if module == "polars":
        return _library("polars").DataFrame({"x": x, "other": other})
    if module == "pyarrow":
        return _library("pyarrow").table({"x": x, "other": other})
    return (np.ma if isinstance(x, np.ma.MaskedArray) else np).column_stack([x, other])


@dataclass(frozen=True)
class Door:
    """A public call that takes a column, and what it calls its argument."""

    argument: str
    call: object
    labels: bool = False        # of classes, which are never missing
    sklearn: bool = False       # with scikit-learn's exceptions, which depend on the container

    def outcome(self, x):
        try:
            return self.call(x)
        except (TypeError, ValueError) as error:
            return error


def flat(result):
    """Return the arrays of a result."""
    if isinstance(result, (tuple, list)):
        return [array for part in result for array in flat(part)]
    if isinstance(result, Partial):
        return flat((result.loss_sum, result.weight_sum, result.count))
    return [] if result is None else [np.asarray(result)]


def assert_reads_missing_as_nan(door, name):
    """A missing number is NaN, used or refused as that is; a missing label is refused."""
    make, dtype = COLUMNS[name]
    found = door.outcome(make(VALUES))
    if door.labels:
        assert isinstance(found, ValueError), found
        assert door.argument in str(found)
        assert "index 2 is missing" in str(found)
        return
    expected = door.outcome(np.array([1, 0, math.nan, 1], dtype))
    if isinstance(expected, Exception):
        assert isinstance(found, (TypeError, ValueError) if door.sklearn else type(expected)), found
        assert door.argument in str(found)
        return
    if door.sklearn and isinstance(found, Exception):       # weights that are objects
        assert door.argument in str(found)
        return
    assert not isinstance(found, Exception), found
    assert np.isnan(np.concatenate([array.ravel() for array in flat(expected)])).any()
    for a, b in zip(flat(found), flat(expected), strict=True):
        assert_same_bits(a, b)


def assert_reads_whole_columns(door, name):
    """A column of which nothing is missing is data."""
    make, _ = COLUMNS[name]
    if door.labels and "float" in name:
        with pytest.raises(TypeError, match=rf"{door.argument} must hold integers or strings"):
            door.call(make([1, 0, 0, 1]))
        return
    plain = np.array([1, 0, 0, 1], int if door.labels else float)
    column = make([1, 0, 0, 1])
    # scikit-learn sees the precision of NumPy's arrays alone
    if name.endswith("float32") and not door.sklearn:
        plain = plain.astype(np.float32)
    found, expected = door.outcome(column), door.outcome(plain)
    assert not isinstance(expected, Exception), expected
    if door.sklearn and isinstance(found, Exception):       # labels that are objects
        assert isinstance(column, (np.ndarray, _library("pandas").Series))
        assert door.argument in str(found)
        return
    assert not isinstance(found, Exception), found
    for a, b in zip(flat(found), flat(expected), strict=True):
        assert_same_bits(a, b)


def assert_refuses(door, name):
    """What has no number, nor NaN, is refused by the argument's name."""
    found = door.outcome(REFUSED[name]())
    assert isinstance(found, (TypeError, ValueError)), found
    assert door.argument in str(found)
    if name.startswith("masked"):
        assert "masked" in str(found) or "is null" in str(found)
    for mask in (False, [False] * 4):   # nothing is masked
        plain = np.array([1, 0, 0, 1], int if door.labels else float)
        unmasked = np.ma.array(plain, mask=mask)
        for a, b in zip(flat(door.call(unmasked)), flat(door.call(plain)), strict=True):
            assert_same_bits(a, b)
