"""Columns and frames of polars, Arrow and pandas' Arrow types as numbers and as labels."""

import decimal
import math

import numpy as np
import pytest

import fastloss as fl
from fastloss._values import array_of, labels_of

pandas = pytest.importorskip("pandas", reason="pandas is not installed")
polars = pytest.importorskip("polars", reason="polars is not installed")
pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")

NAN = math.nan
INTEGERS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]


def of_polars(values, dtype):
    names = {"bool": "Boolean", "str": "String"}
    name = names.get(dtype) or (dtype[:2].upper() + dtype[2:] if dtype[0] == "u"
                                else dtype.capitalize())
    return polars.Series(typed(values, dtype), dtype=getattr(polars, name))


def typed(values, dtype):
    return [None if v is None else bool(v) for v in values] if dtype == "bool" else values


def arrow_type(dtype):
    return getattr(pyarrow, {"bool": "bool_", "str": "string"}.get(dtype, dtype))()


def of_arrow(values, dtype):
    return pyarrow.array(typed(values, dtype), arrow_type(dtype))


def of_chunks(values, dtype):
    return pyarrow.chunked_array([of_arrow(values[:1], dtype), of_arrow(values[1:], dtype)])


def of_pandas(values, dtype):
    return pandas.Series(values, dtype=pandas.ArrowDtype(arrow_type(dtype)))


every_library = pytest.mark.parametrize("make", [of_polars, of_arrow, of_chunks, of_pandas])


def assert_reads(x, expected, dtype):
    found = array_of(x, "y_true")
    assert type(found) is np.ndarray
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, np.array(expected, dtype))


@every_library
@pytest.mark.parametrize("dtype", [*INTEGERS, "bool", "float32", "float64"])
def test_nulls_are_nan(make, dtype):
    assert_reads(make([1, 0, 1], dtype), [1, 0, 1], dtype)
    wide = np.float32 if dtype == "float32" else np.float64
    assert_reads(make([1, None, 0], dtype), [1.0, NAN, 0.0], wide)
    assert_reads(make([None, None], dtype), [NAN, NAN], wide)
    loss = fl.SquaredLoss(reduction="none")
    for arguments, same in (((make([1, None], dtype), [0.5, 0.5]), ([1.0, NAN], [0.5, 0.5])),
                            (([1, 1], make([1, None], dtype)), ([1, 1], np.array([1, NAN], wide)))):
        np.testing.assert_array_equal(loss(*arguments), loss(*same))
        assert loss(*arguments).dtype == loss(*same).dtype


@every_library
def test_strings_are_no_numbers(make):
    with pytest.raises(TypeError, match=r"y_true must hold real numbers.* index 0 is 'a'"):
        array_of(make(["a", None], "str"), "y_true")


def test_decimals():
    values = [decimal.Decimal("0.10"), None, decimal.Decimal("2.50")]
    kind = pyarrow.decimal128(5, 2)
    for column in (polars.Series(values, dtype=polars.Decimal(5, 2)), pyarrow.array(values, kind),
                   pandas.Series(values, dtype=pandas.ArrowDtype(kind))):
        assert_reads(column, [0.1, NAN, 2.5], np.float64)


def test_frames():
    columns = {"i": [1, None], "b": [True, False], "f": [0.5, None]}
    expected = [[1.0, 1.0, 0.5], [NAN, 0.0, NAN]]
    table = pyarrow.table(columns)
    arrow = table.to_pandas(types_mapper=pandas.ArrowDtype)
    for frame in (polars.DataFrame(columns), table, table.to_batches()[0], arrow):
        assert_reads(frame, expected, np.float64)
    small = polars.DataFrame({"i": of_polars([1, None], "int8"), "b": [True, False]})
    assert_reads(small, [[1.0, 1.0], [NAN, 0.0]], np.float64)
    assert_reads(small["i"].drop_nulls().to_frame(), [[1]], np.int8)
    assert_reads(polars.DataFrame({"f": of_polars([1.0, 2.0], "float32")}), [[1.0], [2.0]],
                 np.float32)
    for frame in (polars.DataFrame(columns | {"b": ["x", None]}),
                  pyarrow.table(columns | {"b": ["x", None]})):
        with pytest.raises(TypeError, match=r"column 'b' of X must .* index 0 is 'x'"):
            array_of(frame, "X")


def test_scalars_of_arrow_in_a_list():
    assert_reads(list(pyarrow.array([1, None, 3])), [1.0, NAN, 3.0], np.float64)


@every_library
@pytest.mark.parametrize("dtype", [*INTEGERS, "bool", "str"])
def test_missing_labels(make, dtype):
    values = ["a", "b"] if dtype == "str" else [1, 0]
    assert labels_of(make(values, dtype), "labels").tolist() == values
    with pytest.raises(ValueError, match=r"labels must .* label at index 2 is missing"):
        labels_of(make([*values, None], dtype), "labels")


def test_missing_categories():
    values = ["a", "b", None]
    for labels in (polars.Series(values, dtype=polars.Categorical),
                   pyarrow.array(values).dictionary_encode(),
                   pandas.Series(values, dtype="category")):
        assert labels_of(labels[:2], "labels").tolist() == ["a", "b"]
        with pytest.raises(ValueError, match=r"labels must .* label at index 2 is missing"):
            labels_of(labels, "labels")
