"""What counts as an array of numbers, and what is refused, with a message that helps."""

import datetime
import decimal
import fractions
import re

import numpy as np
import pytest
from cases import CASES, DTYPES
from numerics import all_results, assert_same_bits

import fastloss as fl

every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
LOSS = fl.ContrastiveLoss()
NONE = fl.ContrastiveLoss(reduction="none")

ENTRY_POINTS = [
    lambda *a: LOSS(*a),
    lambda *a: LOSS.value(*a),
    lambda *a: LOSS.grad(*a),
    lambda *a: LOSS.value_and_grad(*a),
    lambda *a: LOSS.grad_and_hess(*a),
    lambda *a: LOSS.partial(*a),
    lambda *a: LOSS.check(*a),
    lambda y, p, w=None: fl.contrastive_loss(y, p, sample_weight=w),
]
ENTRY_NAMES = ["call", "value", "grad", "value_and_grad", "grad_and_hess", "partial", "check",
               "function"]
every_entry = pytest.mark.parametrize("entry", ENTRY_POINTS, ids=ENTRY_NAMES)


# ---- accepted --------------------------------------------------------------------------------


@every_case
def test_lists_and_scalars(case):
    loss = case.loss()
    y, p, w = [0, 1, 1], [0.25, 0.5, 0.75], [1, 2, 3]
    expected = all_results(loss, np.array(y), np.array(p), np.array(w))
    assert_same_bits(all_results(loss, y, p, w), expected)
    assert_same_bits(all_results(loss, tuple(y), tuple(p), tuple(w)), expected)
    assert_same_bits(all_results(loss, [y], [p], [w]),
                     (expected[0], expected[1][None], expected[2][None]))
    # integers and bools become float64, also a prediction
    assert loss.grad([0, 1], [1, 0]).dtype == np.float64
    assert loss.grad([True], [False]).dtype == np.float64
    assert_same_bits(loss.grad([0, 1], [True, False]), loss.grad([0.0, 1.0], [1.0, 0.0]))


BYTES = np.array([0, 1, 2, 127, 128, 254, 255, 0, 1], np.uint8)


def bools(rng, n):
    """Return bools whose true ones have any byte but 0, as masks from other languages."""
    found = rng.choice(BYTES, n).view(bool)
    assert n < 50 or found.view(np.uint8).max() > 1
    return found


def plain(a):
    return a.view(np.uint8) != 0


@every_case
@pytest.mark.parametrize("dtype", [np.float16, *DTYPES])
def test_bools_of_any_byte(case, dtype):
    rng = np.random.default_rng(3)
    for n in (9, 2000, 20_000):
        y, w, p = bools(rng, n), bools(rng, n), rng.random(n).astype(dtype)
        expected = all_results(case.loss(), plain(y), p, plain(w), n_threads=2)
        assert_same_bits(all_results(case.loss(), y, p, w, n_threads=2), expected)
        assert_same_bits(all_results(case.loss(), y[::-1], p[::-1], w[::-1]),
                         all_results(case.loss(), plain(y)[::-1], p[::-1], plain(w)[::-1]))
        # a prediction too
        assert_same_bits(all_results(case.loss(), p, y), all_results(case.loss(), p, plain(y)))


def test_bools_of_any_byte_elsewhere():
    rng = np.random.default_rng(4)
    n = 300
    labels, w, t, p = bools(rng, n), bools(rng, n), bools(rng, n * 3).reshape(n, 3), rng.random(n)
    z, x = rng.normal(size=(2, n, 3))
    loss = fl.CrossEntropyLoss(class_weight=[1, 2, 3])
    assert loss.value(labels, z, w) == loss.value(plain(labels), z, plain(w))
    assert loss.value(t, z, w) == loss.value(plain(t), z, plain(w))
    assert_same_bits(loss.grad(t.T.copy().T, t), loss.grad(plain(t), plain(t)))
    for loss in (fl.PairContrastiveLoss(), fl.PairContrastiveLoss(distance="cosine")):
        assert_same_bits(loss.value_and_grad(x, z, labels, w),
                         loss.value_and_grad(x, z, plain(labels), plain(w)))
        assert loss.value(t, z, labels) == loss.value(plain(t), z, labels)
    for loss in (fl.SupConLoss(), fl.BatchTripletLoss()):
        assert_same_bits(loss.value_and_grad(x, labels, w),
                         loss.value_and_grad(x, plain(labels), plain(w)))
        assert loss.value(t, labels) == loss.value(plain(t), plain(labels))
    fl.LogLoss().check(labels, p, w)
    fl.CrossEntropyLoss().check(t, z, w)
    assert fl.log_loss(np.array([[0, 255], [255, 0]], np.uint8).view(bool),
                       np.array([[0.1, 0.8], [0.9, 0.3]])) == pytest.approx(
        -np.log([0.9, 0.8, 0.9, 0.7]).mean(), rel=1e-14)


@every_case
@pytest.mark.parametrize("dtype", DTYPES)
def test_zero_dimensions(case, dtype):
    for reduction in ("mean", "none"):
        loss = case.loss(reduction=reduction)
        expected = all_results(loss, np.ones(1), np.full(1, 0.25, dtype))
        for y, p in [(1, dtype(0.25)), (np.array(1.0), np.array(0.25, dtype)),
                     (np.int8(1), np.full(3, 0.25, dtype)[1, ...])]:
            value, grad, hess = all_results(loss, y, p)
            for a, b in ((grad, expected[1]), (hess, expected[2])):
                assert isinstance(a, np.ndarray)
                assert a.shape == ()
                assert_same_bits(a, b[0])
            if reduction == "none":
                assert isinstance(value, np.ndarray)
                assert value.shape == ()
            assert_same_bits(np.float64(value), np.float64(np.reshape(expected[0], ())))
    assert type(case.loss()(1, 0.5)) is float


@every_case
def test_result_dtypes(case):
    loss = case.loss(reduction="none")
    for letter, expected in [("e", np.float32), ("f", np.float32), ("d", np.float64),
                             ("?", np.float64), ("b", np.float64), ("Q", np.float64)]:
        for y in (np.ones(3, "d"), np.ones(3, "f"), np.ones(3, "?")):
            for w in (None, np.ones(3, "d"), np.ones(3, "e")):
                p = np.array([0, 1, 1]).astype(letter)
                for part in all_results(loss, y, p, w):
                    assert part.dtype == expected
                    assert part.dtype.isnative
    assert type(case.loss()(np.ones(2), np.ones(2, np.float32))) is float


@every_case
def test_empty_arrays(case):
    for shape in [(0,), (0, 3), (3, 0), (2, 0, 5)]:
        for dtype in DTYPES:
            y, p = np.ones(shape, np.int8), np.ones(shape, dtype)
            for w in (None, np.ones(shape)):
                for reduction in ("mean", "sum", "sum_over_batch_size", "none"):
                    with np.errstate(all="raise"):
                        f, g, h = all_results(case.loss(reduction=reduction), y, p, w)
                    assert g.shape == h.shape == shape
                    assert g.dtype == h.dtype == dtype
                    if reduction == "none":
                        assert f.shape == shape
                    elif reduction == "sum":
                        assert f == 0.0
                    else:
                        assert np.isnan(f)
    assert np.isnan(case.loss()([], []))


@every_case
def test_weights_that_sum_to_zero(case):
    for w in ([0, 0, 0], [1, -1, 0]):
        with np.errstate(all="raise"):
            f, g, h = all_results(case.loss(), [0, 1, 1], [0.5, 0.25, 0.75], w)
        assert np.isnan(f)
        assert np.isnan(g).all()
        assert np.isnan(h).all()
        f, g, _ = all_results(case.loss(reduction="sum"), [0, 1, 1], [0.5, 0.25, 0.75], w)
        assert np.isfinite(f)
        assert np.isfinite(g).all()


def test_pandas():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    rng = np.random.default_rng(1)
    frame = pandas.DataFrame({"y": rng.integers(0, 2, 50), "p": rng.random(50),
                              "w": rng.random(50).astype(np.float32), "q": rng.random(50)})
    expected = all_results(LOSS, *(frame[c].to_numpy().copy() for c in "ypw"))
    assert_same_bits(all_results(LOSS, frame["y"], frame["p"], frame["w"]), expected)
    both = frame[["p", "q"]]
    labels = np.ones((50, 2))
    assert_same_bits(LOSS.grad(labels, both), LOSS.grad(labels, both.to_numpy().copy()))
    assert np.isnan(LOSS(pandas.Series([1, None], dtype="Int64"), [0.5, 0.5]))
    with pytest.raises(TypeError, match="y_true"):
        LOSS(pandas.Series(["a", "b"]), [0.5, 0.5])


@every_case
@pytest.mark.parametrize("dtype", ["boolean", "Int8", "UInt64", "Float32", "Float64"])
def test_nullable_columns_of_pandas(case, dtype):
    """NA counts as NaN, and what has no NA is computed in its own precision."""
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    plain = {"boolean": "bool"}.get(dtype, dtype.lower())
    y, p, w = ([1, 0, 1, 1], [0, 1, 1, 0], [1, 1, 0, 1])
    for missing in (None, pandas.NA):
        with_missing = [pandas.Series([*values[:3], missing], dtype=dtype)
                        for values in (y, p, w)]
        nan = "float32" if dtype == "Float32" else "float64"
        expected = [np.array([*values[:3], np.nan], nan) for values in (y, p, w)]
        loss = case.loss(reduction="none")
        assert_same_bits(all_results(loss, *with_missing), all_results(loss, *expected))
        for k in range(3):
            given, same = [y, p, w], [y, p, w]
            given[k], same[k] = with_missing[k], expected[k]
            assert_same_bits(all_results(case.loss(), *given), all_results(case.loss(), *same))
    whole = [pandas.Series(values, dtype=dtype) for values in (y, p, w)]
    assert_same_bits(all_results(case.loss(), *whole),
                     all_results(case.loss(), *(np.array(values, plain) for values in (y, p, w))))


@every_entry
def test_frames_and_objects_that_hold_numbers(entry):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.DataFrame({"a": [1, 0, 1], "b": [True, False, True]})
    y, p = frame.to_numpy(float), np.full((3, 2), 0.5)
    expected = repr(entry(y, p))
    for same in (frame, frame.convert_dtypes(), frame.astype(object), y.astype(object),
                 [[decimal.Decimal(int(each)) for each in row] for row in y],
                 [[fractions.Fraction(int(each)) for each in row] for row in y]):
        assert repr(entry(same, p)) == expected
    assert repr(entry(p > 1, frame * 0.5)) == repr(entry(p > 1, y * 0.5))
    assert repr(entry(y, p, frame)) == repr(entry(y, p, y))
    with pytest.raises(TypeError, match=r"column 'b' of y_true .* index 0 is 'x'"):
        entry(frame.assign(b="x"), p)
    with pytest.raises(TypeError, match=r"y_pred .* the element at index \(2, 1\) is 'x'"):
        entry(y, np.array([[1, 2], [3, 4], [5, "x"]], object))


def test_missing_numbers_are_nan():
    for values in ([1.0, None, 0.0], np.array([1, None, 0], object), [True, None, False]):
        for arguments in ((values, [0.5] * 3), ([1.0] * 3, values), ([1.0] * 3, [0.5] * 3, values)):
            nan = [np.array([np.nan if v is None else v for v in each]) for each in arguments]
            assert_same_bits(all_results(NONE, *arguments), all_results(NONE, *nan))
            assert np.isnan(LOSS(*arguments))
    big = [2**70, 1, 0]
    assert LOSS([1] * 3, big) == LOSS([1] * 3, np.array(big, float))


def test_torch_tensors():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    p = torch.linspace(0, 2, 64, dtype=torch.float32)
    y = torch.arange(64) % 2
    expected = all_results(LOSS, y.numpy().copy(), p.numpy().copy())
    assert_same_bits(all_results(LOSS, y, p), expected)
    assert_same_bits(all_results(LOSS, y.bool(), p), expected)
    assert isinstance(LOSS.grad(y, p), np.ndarray)
    with pytest.raises(TypeError, match="y_pred"):
        LOSS(y, p.clone().requires_grad_())
    with pytest.raises(TypeError, match="y_pred"):
        LOSS(y, p.to(torch.bfloat16))


@pytest.mark.parametrize("library", ["polars", "pyarrow", "jax"])
def test_arrays_of_other_libraries(library):
    module = pytest.importorskip(library, reason=f"{library} is not installed")
    y, p = np.array([0, 1, 1], np.int32), np.array([0.25, 0.5, 2.0], np.float32)
    make = {"polars": lambda a: module.Series(a), "pyarrow": lambda a: module.array(a),
            "jax": lambda a: module.numpy.asarray(a)}[library]
    assert_same_bits(all_results(LOSS, make(y), make(p)), all_results(LOSS, y, p))


# ---- refused ---------------------------------------------------------------------------------


class Breaks:
    """Something whose conversion fails."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("on the device")


def sparse():
    return pytest.importorskip("scipy.sparse", reason="SciPy is not installed")


REFUSED = {
    "complex": lambda: np.ones(3, complex),
    "complex64": lambda: np.ones(3, np.complex64),
    "object": lambda: np.array([1, 2.0, "3"], object),
    "complex object": lambda: np.array([1, 2.0, 3j], object),
    "str": lambda: np.array(["1", "2", "3"]),
    "bytes": lambda: np.array([b"1", b"2", b"3"]),
    "list of str": lambda: ["0", "1", "1"],
    "one str": lambda: "011",
    "datetime": lambda: np.array(["2020-01-01"] * 3, "M8[D]"),
    "timedelta": lambda: np.ones(3, "m8[s]"),
    "python datetime": lambda: [datetime.datetime(2020, 1, 1)] * 3,
    "long double": lambda: np.ones(3, np.longdouble),
    "record": lambda: np.ones(3, [("a", "f4"), ("b", "f4")]),
    "void": lambda: np.zeros(3, "V4"),
    "masked": lambda: np.ma.array([1.0, 0.0, 1.0], mask=[0, 1, 0]),
    "masked int": lambda: np.ma.array([1, 0, 1], mask=[1, 1, 1]),
    "csr matrix": lambda: sparse().csr_matrix(np.ones((1, 3))),
    "coo array": lambda: sparse().coo_array(np.ones((1, 3))),
    "dict": lambda: {"a": 1},
    "set": lambda: {0.0, 1.0},
    "generator": lambda: (x for x in (1, 2)),
    "function": lambda: len,
    "fails to convert": Breaks,
}
if np.dtype(np.longdouble).itemsize == 8:
    del REFUSED["long double"]      # it is float64 there


@every_entry
@pytest.mark.parametrize("what", [*REFUSED, "None"])
@pytest.mark.parametrize("position", [0, 1, 2])
def test_no_real_numbers(entry, what, position):
    bad = None if what == "None" else REFUSED[what]()
    if bad is None and position == 2:
        assert repr(entry([1.0], [0.5], None)) == repr(entry([1.0], [0.5]))     # no weights
        return
    arguments = [np.ones(3), np.full(3, 0.5), np.ones(3)]
    arguments[position] = bad
    name = ["y_true", "y_pred", "sample_weight"][position]
    with pytest.raises(TypeError, match=name):
        entry(*arguments)


def test_dtypes_are_checked_before_shapes():
    for position, name in enumerate(["y_true", "y_pred", "sample_weight"]):
        arguments = [np.ones(3), np.ones(4), np.ones(5)]
        arguments[position] = np.ones(7, complex)
        with pytest.raises(TypeError, match=name):
            LOSS(*arguments)


def test_masked_arrays_without_masked_elements():
    y, p = np.ma.array([1.0, 0.0]), np.ma.array([0.5, 0.25], mask=[False, False])
    assert_same_bits(all_results(LOSS, y, p), all_results(LOSS, y.data, p.data))
    assert type(LOSS.grad(y, p)) is np.ndarray
    hidden = np.ma.array([np.nan, 0.25], mask=[True, False])
    with pytest.raises(TypeError, match=r"masked.*keep = ~y_pred.mask, then y_pred\[keep\]"):
        LOSS(y, hidden)
    keep = ~hidden.mask
    assert LOSS(y[keep], hidden[keep]) == LOSS([0.0], [0.25])
    assert LOSS(y[keep], hidden.compressed()) == LOSS([0.0], [0.25])
    with pytest.raises(TypeError, match=r"sparse.*toarray"):
        LOSS([1.0], sparse().csr_matrix([[1.0]]))


def test_ragged_lists():
    with pytest.raises(ValueError, match="y_pred"):
        LOSS([1, 0], [[1, 0], [1]])
    with pytest.raises(ValueError, match="y_true"):
        LOSS([[1, 0], [1]], [1, 0])


@every_entry
@pytest.mark.parametrize(("shape_y", "shape_p"), [
    ((3,), (4,)), ((3, 1), (3,)), ((3,), (3, 1)), ((1,), (3,)), ((), (3,)), ((1,), ()),
    ((2, 3), (3, 2)), ((0,), (1,)), ((0, 2), (2, 0)), ((3, 1), (1, 3))])
def test_shapes_must_be_equal(entry, shape_y, shape_p):
    with pytest.raises(ValueError, match="shape") as error:
        entry(np.ones(shape_y), np.ones(shape_p))
    message = str(error.value)
    assert "y_true" in message
    assert "y_pred" in message
    assert str(shape_y) in message
    assert str(shape_p) in message
    if np.prod(shape_y) == np.prod(shape_p):
        assert re.search("ravel|reshape", message), "names the cure"
    with pytest.raises(ValueError, match="sample_weight") as error:
        entry(np.ones(shape_p), np.ones(shape_p), np.ones(shape_y))
    assert str(shape_y) in str(error.value)
    assert str(shape_p) in str(error.value)


def test_sample_weight_may_be_a_keyword_and_zero_weights_count():
    y, p, w = [1.0, 0.0], [0.5, 0.5], [2.0, 0.0]
    assert LOSS(y, p, sample_weight=w) == LOSS(y, p, w) == 0.25
    assert LOSS.replace(reduction="sum_over_batch_size")(y, p, w) == 0.25
    assert LOSS.replace(reduction="sum")(y, p, w) == 0.5


@pytest.mark.parametrize("bad", [0, -1, 1.0, 2.5, "2", True, np.float64(1), [1], np.nan])
def test_n_threads_must_be_a_count(bad):
    y, p = [1.0], [0.5]
    for function in (LOSS.value, LOSS.grad, LOSS.value_and_grad, LOSS.grad_and_hess, LOSS.partial,
                     fl.contrastive_loss):
        with pytest.raises(ValueError, match=r"n_threads must be None or an integer >= 1"):
            function(y, p, n_threads=bad)
    assert LOSS.value(y, p, n_threads=np.int8(2)) == LOSS.value(y, p, n_threads=10**6) == 0.25
