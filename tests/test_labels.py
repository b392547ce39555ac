"""Labels as codes: `fastloss._labels` gives what `numpy.unique` and dictionaries do."""

import numpy as np
import pytest

from fastloss._labels import factorize, number_labels, number_objects, recode

LEAST, GREATEST = np.iinfo(np.int64).min, np.iinfo(np.uint64).max
LABELS = {
    "none": np.zeros(0, int),
    "one integer": np.full(3, 7),
    "two integers": np.array([5, -3, 5]),
    "integers side by side": np.array([12, 10, 11, 10], np.int16),
    "integers with gaps": np.array([300, -4, 20, 300]),
    "integers far apart": np.array([10**12, -4, 20, 10**12]),
    "least integers": LEAST + np.array([3, 0, 1, 3]),
    "greatest integers": GREATEST - np.array([3, 0, 1, 3], np.uint64),
    "all of int8": np.arange(-128, 128, dtype=np.int8)[::-1],
    "all of uint8": np.arange(256, dtype=np.uint8)[::-1],
    "bools": np.array([True, False, True]),
    "true": np.array([True, True]),
    "bytes in another order": np.array([3, 1, 2, 3], ">i4"),
    "floats": np.array([2.0, -1.5, 0.25, 2.0]),
    "two floats, one nan": np.array([np.nan, 1.0, np.nan]),
    "nan": np.array([np.nan, np.nan]),
    "floats and nan": np.array([np.nan, 1.0, np.nan, 0.5]),
    "complex nan": np.array([complex(0, np.nan), 1, complex(np.nan, 0), 2j]),
    "one string": np.array(["a", "a"]),
    "two strings": np.array(["b", "ab", "b"]),
    "two strings, the greater last": np.array(["ab", "b", "ab"]),
    "strings": np.array(["b", "c", "ab", "b"]),
    "strings in another order": np.array(["b", "c", "ab", "b"], ">U2"),
    "bytes": np.array([b"b", b"c", b"ab", b"b"]),
    "StringDType": np.array(["b", "c", "ab", "b"], np.dtypes.StringDType()),
    "days": np.array(["2026-01-02", "NaT", "2026-01-01", "NaT"], "datetime64[D]"),
    "records": np.array([(1, 2.0), (0, 3.0), (1, 2.0), (1, 0.0)], "i4,f8"),
    "one object": np.array(["a", "a"], object),
    "two objects": np.array(["b", "a", "b"], object),
    "objects": np.array([10**30, 2, -(10**30), 2], object),
}


@pytest.mark.parametrize("name", LABELS)
def test_codes_are_those_of_unique(name):
    y = LABELS[name]
    wanted, numbers = np.unique(y, return_inverse=True)
    values, codes = factorize(y)
    np.testing.assert_array_equal(values, wanted, strict=y.dtype.isnative)
    np.testing.assert_array_equal(codes.astype(int), numbers)
    assert codes.dtype.kind in ("bi" if len(values) == 2 else "i")


def test_many_integers():
    y = np.random.default_rng(3).integers(-50_000, 50_000, 40_000) * 3
    for each in (y[:100], y):
        wanted, numbers = np.unique(each, return_inverse=True)
        values, codes = factorize(each)
        np.testing.assert_array_equal(values, wanted)
        np.testing.assert_array_equal(codes, numbers)


def test_objects_without_an_order():
    with pytest.raises(TypeError, match="labels of several types, int, str, have no order"):
        factorize(np.array(["a", 1], object))
    assert number_objects(["a", 1, None, 1], ["a", 1, None]).tolist() == [0, 1, 2, 1]


def test_codes_among_other_labels():
    codes = np.array([1, 0, 1])
    assert recode(codes, ["b", "d"], ["a", "b", "c", "d"]).tolist() == [3, 1, 3]
    assert recode(codes.astype(bool), ["b", "d"], ["a", "b", "d"]).tolist() == [2, 1, 2]
    assert recode(codes, ["b", "d"], ["b", "d"]) is codes
    two = recode(np.zeros(2, int), ["d"], ["b", "d"])
    assert two.dtype == bool and two.all()


@pytest.mark.parametrize("sides", [
    ([3, 0, 3], [0, 2]), ([5, 10**9, 5], [10**9]), ([-1, 4, -1], [4, -1, 7]), ([], [3, 1]),
    ([], []), (["b", "a", "b"], ["a", "long"]), ([True, False], [1, 0, 2]),
    (np.array([-1, 2**62 + 1]), np.array([2**62, GREATEST], np.uint64)),  # equal as floats
])
def test_codes_of_two_sides_are_equal_where_labels_are(sides):
    arrays = [np.asarray(side) for side in sides]
    codes, bound = number_labels("labels", *arrays)
    assert [side.dtype for side in codes] == [np.int32, np.int32]
    assert [side.shape for side in codes] == [side.shape for side in arrays]
    labels = [label for side in arrays for label in side.tolist()]
    numbers = [code for side in codes for code in side.tolist()]
    assert all(0 <= code < bound for code in numbers)
    assert all((a == b) == (m == n) for a, m in zip(labels, numbers, strict=True)
               for b, n in zip(labels, numbers, strict=True))


@pytest.mark.parametrize("first, second", [
    (np.array([1]), np.array(["a"])), (np.array(["a"], object), np.array([b"a"], object))])
def test_sides_that_cannot_be_compared(first, second):
    with pytest.raises(TypeError, match=r"^labels must hold integers or strings that can be comp"):
        number_labels("labels", first, second)
