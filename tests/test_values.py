"""What is read as numbers and as labels, and how all else is refused."""

import decimal
import fractions
import math
import subprocess
import sys

import numpy as np
import pytest

from fastloss._values import array_of, check_unmasked, labels_of

NAN = math.nan


def assert_reads(x, expected, dtype=np.float64):
    found = array_of(x, "y_true")
    assert type(found) is np.ndarray
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, np.array(expected, dtype))


# ---- numbers -------------------------------------------------------------------------------


def test_arrays_of_numbers_are_returned_as_they_are():
    for letter in "?bBhHiIlLqQefd":
        for array in (np.ones((2, 3), letter), np.ones(3, np.dtype(letter).newbyteorder())):
            assert array_of(array, "y_true") is array


NUMBERS = {
    "integers and floats": ([1, 2.5, np.float32(0.5)], [1.0, 2.5, 0.5]),
    "bools": ([True, np.False_, 3], [1.0, 0.0, 3.0]),
    "None": ([1, None, 2.5], [1.0, NAN, 2.5]),
    "Decimal": ([decimal.Decimal("0.1"), None, decimal.Decimal("NaN")], [0.1, NAN, NAN]),
    "Fraction": ([fractions.Fraction(1, 3), 1], [1 / 3, 1.0]),
    "signalling NaN": ([decimal.Decimal("sNaN"), 1], [NAN, 1.0]),
    "infinity": ([decimal.Decimal("-Infinity"), math.inf, None], [-math.inf, math.inf, NAN]),
    "long integers": ([2**70, -(2**64) - 1], [2.0**70, -(2.0**64)]),
    "scalars of all types": ([np.int8(-1), np.uint64(2**64 - 1), np.float16(0.5), np.array(2)],
                             [-1.0, 2.0**64, 0.5, 2.0]),
    "two dimensions": ([[1, None], [decimal.Decimal(2), True]], [[1.0, NAN], [2.0, 1.0]]),
    "nothing": (np.empty((0, 3), object), np.empty((0, 3))),
    "one number": (decimal.Decimal("0.5"), 0.5),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_objects_that_are_numbers_are_read_as_float64(name):
    given, expected = NUMBERS[name]
    assert_reads(given if isinstance(given, decimal.Decimal) else np.array(given, object),
                 expected)
    if name in ("None", "Decimal", "Fraction", "two dimensions"):
        assert_reads(given, expected)
        assert_reads(tuple(given), expected)


A_LIST = np.array([None, None], object)
A_LIST[1] = [2]


@pytest.mark.parametrize(("given", "index", "value"), [
    (np.array([1, "x", "y"], object), "1", "'x'"),
    ([1.5, "x"], "1", "'x'"),
    (["x"], "0", "'x'"),
    (A_LIST, "1", r"\[2\]"),
    (np.array([[1, 2], [1j, "x"]], object), r"\(1, 0\)", "1j"),
    (np.array([1, np.datetime64("2020-01-01")], object), "1", "2020"),
    (np.array([1.5, np.timedelta64(1, "s")], object), "1", "timedelta64"),
], ids=str)
def test_an_element_that_is_no_number_is_named(given, index, value):
    with pytest.raises(TypeError, match=rf"y_true must hold real.*at index {index} is.*{value}"):
        array_of(given, "y_true")


@pytest.mark.parametrize("value", [10**400, -(10**5000), decimal.Decimal("1e400")],
                         ids=["int", "of many digits", "Decimal"])
def test_a_number_beyond_float64_is_named(value):
    expected = r"y_true must hold numbers in the range of float64.* index 2 is"
    with pytest.raises(ValueError, match=expected):
        array_of([1.0, math.inf, value], "y_true")


@pytest.mark.parametrize("given", [
    None, [None, None], np.array([None], object), np.array(None, object), {"a": 1}, {1.0},
    (x for x in (1, 2)), len, "01", b"01", np.ones(2, complex), np.ones(2, "V4"), np.array(["1"]),
    [1j], np.ones(2, "m8[s]"), np.ones(2, [("a", "f4")]), np.ma.ones(2, [("a", "f4")])],
    ids=lambda given: type(given).__name__)
def test_what_holds_no_numbers_is_refused(given):
    with pytest.raises(TypeError, match=r"^y_true must hold real numbers"):
        array_of(given, "y_true")


class Tensor:
    """A tensor of a library whose types have properties where polars' have methods."""

    class dtype:
        is_integer = False
        numpy_dtype = "float32"

    def __init__(self, values, shape=(2,)):
        self.values, self.shape = values, shape

    def __array__(self, dtype=None, copy=None):
        if self.values is None:
            raise RuntimeError("it is on the device")
        return np.reshape(self.values, self.shape)


def test_objects_that_convert_themselves():
    assert_reads(Tensor([1.0, 2.0]), [1.0, 2.0])
    elements = np.empty(2, object)
    elements[:] = [Tensor([2.0], ()), 1]
    assert_reads(elements, [2.0, 1.0])
    elements[1] = Tensor(None, ())
    for bad, where in ((elements, "the element at index 1 of y_true"), (Tensor(None), "^y_true")):
        with pytest.raises(TypeError, match=rf"{where} cannot be read .*: it is on the device"):
            array_of(bad, "y_true")


def test_ragged_lists():
    with pytest.raises(ValueError, match="y_true cannot be read"):
        array_of([[1, 2], [3]], "y_true")


# ---- masks ---------------------------------------------------------------------------------


class File:
    """A variable of a file that hands out masked arrays."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array


MASKED = np.ma.array([1.0, NAN, 3.0], mask=[False, True, False])
HOLD_MASKED = {
    "float": MASKED, "integers": np.ma.array([1, 2], mask=[True, True]),
    "constant": np.ma.masked, "list with the constant": [1.0, np.ma.masked],
    "rows": [MASKED, MASKED], "tuple in a list": [(1.0, 2.0), (1.0, np.ma.masked)],
    "matrix": np.ma.array([[1.0, 2.0]], mask=[[False, True]]),
    "objects": np.ma.array([1, None], object, mask=[False, True]),
    "strings": np.ma.array(["a", "b"], mask=[False, True]),
    "file": File(MASKED),
}


@pytest.mark.parametrize("read", [array_of, labels_of])
@pytest.mark.parametrize("name", HOLD_MASKED)
def test_masked_elements_are_refused(read, name):
    with pytest.raises(TypeError, match=r"y_true (is a masked array with|holds) masked elem"):
        read(HOLD_MASKED[name], "y_true")


def test_a_masked_element_of_objects_is_refused():
    with pytest.raises(TypeError, match=r"index 1 of y_true is a masked array"):
        array_of(np.array([1.0, np.ma.masked, None], object), "y_true")


def test_the_cure_for_masked_elements_works():
    y_true, y_pred = MASKED, np.array([1.0, 2.0, 5.0])
    with pytest.raises(TypeError, match=r"keep = ~y_true.mask, then y_true\[keep\], which is "
                                        r"y_true.compressed\(\), and the others' \[keep\]"):
        array_of(y_true, "y_true")
    keep = ~y_true.mask
    assert_reads(y_true[keep], [1.0, 3.0])
    assert_reads(y_true.compressed(), [1.0, 3.0])
    assert y_pred[keep].tolist() == [1.0, 5.0]
    x = np.ma.array([[1.0, 2.0], [3.0, 4.0]], mask=[[False, True], [False, False]])
    with pytest.raises(TypeError, match=r"whole rows: keep = ~X\.mask\.any\(axis=1\)"):
        array_of(x, "X")
    assert_reads(x[~x.mask.any(axis=1)], [[3.0, 4.0]])
    rows = [MASKED, MASKED]
    with pytest.raises(TypeError, match=r"holds masked elements.* numpy\.ma\.stack\(X\) makes one"):
        array_of(rows, "X")
    x = np.ma.stack(rows)
    assert_reads(x[~x.mask], [1.0, 3.0, 1.0, 3.0])


def test_masked_arrays_without_masked_elements_are_data():
    for mask in (False, [False] * 3):
        array = np.ma.array([1.0, 2.0, 3.0], mask=mask)
        found = array_of(array, "y_true")
        assert type(found) is np.ndarray
        assert np.shares_memory(found, array)
        assert_reads([array, array], [[1.0, 2.0, 3.0]] * 2)
        assert labels_of(array.astype(int), "labels").tolist() == [1, 2, 3]
        check_unmasked(array, "out")
    assert_reads(File(np.ma.array([1.0])), [1.0])


def test_sparse_matrices_are_refused():
    sparse = pytest.importorskip("scipy.sparse", reason="SciPy is not installed")
    for read in (array_of, labels_of):
        with pytest.raises(TypeError, match=r"y_true is a sparse csr_array.*y_true.toarray\(\)"):
            read(sparse.csr_array(np.eye(2)), "y_true")


# ---- pandas --------------------------------------------------------------------------------


NULLABLE = [f"{sign}{bits}" for sign in ("Int", "UInt") for bits in (8, 16, 32, 64)]


@pytest.mark.parametrize("dtype", [*NULLABLE, "boolean", "Float32", "Float64"])
def test_nullable_columns_of_pandas(dtype):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    for make in (pandas.Series, pandas.array, pandas.Index):
        plain = {"boolean": bool}.get(dtype, dtype.lower())
        assert_reads(make([1, 0], dtype=dtype), [1, 0], plain)
        wide = np.float32 if dtype == "Float32" else np.float64
        assert_reads(make([1, None, 0], dtype=dtype), [1.0, NAN, 0.0], wide)
    whole = pandas.array([1, 0, 1], dtype=dtype)
    assert np.shares_memory(array_of(whole, "y_true"), np.asarray(whole)), "not copied"


def test_columns_of_objects_of_pandas():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    assert_reads(pandas.Series([1, pandas.NA, 2.5, None, decimal.Decimal(3)], dtype=object),
                 [1.0, NAN, 2.5, NAN, 3.0])
    for bad in (pandas.NaT, pandas.Timestamp(0), pandas.Timedelta(1), "x"):
        with pytest.raises(TypeError, match=r"y_true must hold real .* at index 1 is"):
            array_of(pandas.Series([1, bad], dtype=object), "y_true")
    assert_reads(pandas.Series([None, None], dtype=object), [NAN, NAN])
    with pytest.raises(TypeError, match=r"y_true must hold real numbers.*NA"):
        array_of(pandas.NA, "y_true")


def test_frames_of_pandas():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.DataFrame({"i": [1, 2], "b": [True, False], "f": [0.5, None]})
    assert_reads(frame, [[1.0, 1.0, 0.5], [2.0, 0.0, NAN]])
    assert_reads(frame.convert_dtypes(), [[1.0, 1.0, 0.5], [2.0, 0.0, NAN]])
    assert_reads(frame[["i", "b"]], [[1, 1], [2, 0]], np.int64)
    assert_reads(frame[["f"]].astype("Float32"), [[0.5], [NAN]], np.float32)
    assert_reads(frame[["b", "b"]], [[True, True], [False, False]], bool)
    assert_reads(frame.astype(object), [[1.0, 1.0, 0.5], [2.0, 0.0, NAN]])
    twice = pandas.concat([frame[["i"]], frame[["b"]].rename(columns={"b": "i"})], axis=1)
    assert_reads(twice, [[1, 1], [2, 0]], np.int64)
    assert_reads(frame[[]], np.empty((2, 0)))
    floats = pandas.DataFrame(np.ones((3, 2)))
    assert np.shares_memory(array_of(floats, "X"), floats.to_numpy())
    for bad in ("x", pandas.Timestamp(0)):
        with pytest.raises(TypeError, match=r"column 'f' of X must hold real numbers"):
            array_of(frame.assign(f=bad), "X")


# ---- labels --------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", [
    [0, 1, 1], [True, False], ["a", "b"], np.array([b"a", b"b"]), np.array([3], np.uint8),
    np.array(["a"]), np.array(["a"], "T"), [[0, 1], [1, 0]]], ids=str)
def test_labels_are_kept(labels):
    found = labels_of(labels, "labels")
    assert type(found) is np.ndarray
    assert found.dtype == np.asarray(labels).dtype
    assert found.tolist() == np.asarray(labels).tolist()


def test_labels_that_are_objects():
    assert labels_of(np.array([1, True, np.int8(2)], object), "labels").dtype == np.int64
    assert labels_of(np.array([1, 2**70], object), "labels").tolist() == [1, 2**70]
    assert labels_of(np.array(["b", "a"], object), "labels").tolist() == ["b", "a"]
    assert labels_of([b"b", b"a"], "labels").tolist() == [b"b", b"a"]
    assert labels_of([], "labels").size == 0
    # NumPy would make one string of both
    assert labels_of([b"a", "a"], "labels").tolist() == [b"a", "a"]


MISSING = {
    "None": [0, 1, None], "beside strings": ["a", "b", None], "NaN": [0.0, 1.0, NAN],
    "NaN beside strings": ["a", "b", NAN],
    "objects": np.array([0, 1, NAN], object), "bools": np.array([True, False, None], object),
    "string type": np.array(["a", "b", None], np.dtypes.StringDType(na_object=None)),
}


@pytest.mark.parametrize("name", MISSING)
def test_a_missing_label_is_named(name):
    with pytest.raises(ValueError, match=r"labels must.* label at index 2 is missing"):
        labels_of(MISSING[name], "labels")


@pytest.mark.parametrize("dtype", [*NULLABLE, "boolean", "str", "category", "object"])
def test_a_missing_label_of_pandas_is_named(dtype):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    values = ["a", "b"] if dtype == "str" else [1, 0]
    assert labels_of(pandas.Series(values, dtype=dtype), "labels").tolist() == values
    for missing in (None, pandas.NA, *([pandas.NaT] if dtype == "object" else [])):
        with pytest.raises(ValueError, match=r"labels must.* label at index 2 is missing"):
            labels_of(pandas.Series([*values, missing], dtype=dtype), "labels")


@pytest.mark.parametrize(("labels", "what"), [
    ([0.0, 1.0], "got dtype float64"), (np.ones(2, complex), "got dtype complex128"),
    (np.array(["2020"], "M8[Y]"), "got dtype datetime64"), ([1, "a"], "not both.* index 0 is 1"),
    (["a", 1], "not both.* index 1 is 1"), (np.array([1, 1.5], object), "index 1 is 1.5"),
], ids=str)
def test_what_is_no_label_is_named(labels, what):
    with pytest.raises(TypeError, match=f"^labels must hold integers or strings.*{what}"):
        labels_of(labels, "labels")


def test_nothing_of_other_libraries_is_imported():
    code = ("import sys, fastloss; from fastloss._values import array_of, labels_of\n"
            "array_of([1, None], 'y'), labels_of(['a'], 'y')\n"
            "print({'pandas', 'polars', 'pyarrow', 'numpy.ma'} & set(sys.modules))")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          check=True).stdout.strip() == "set()"
