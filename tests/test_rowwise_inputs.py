"""Cross entropy of rows in every layout, by any number of threads, and what it refuses."""

import numpy as np
import pytest
from cases import DTYPES, REDUCTIONS, seeded
from layouts import MATRICES, columns_apart, swapped
from numerics import assert_same_bits, assert_sum, assert_ulp
from rows import LABELS, all_of_rows, drawn, parameters_of

import fastloss as fl
from fastloss import reference

LAYOUTS = [*MATRICES, columns_apart, lambda a: swapped(np.asfortranarray(a))]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("classes", [1, 2, 10, 17, 256, 257, 1025])
def test_layouts_give_the_same_bits(classes, layout):
    for dtype in (np.float16, *DTYPES):
        for kind in LABELS:
            for from_logits in (True, False):
                rng = seeded("layout", classes, dtype, kind, from_logits)
                n = int(rng.choice([1, 16, 37, 200]))
                y, z = drawn(rng, n, classes, dtype, kind)
                z = z if from_logits else np.abs(z) / np.abs(z).max()
                loss = fl.CrossEntropyLoss(from_logits=from_logits, **parameters_of(rng, classes),
                                           reduction=str(rng.choice(REDUCTIONS)))
                w = rng.random(n) if rng.random() < 0.5 else None
                expected = all_of_rows(loss, y, z, w)
                got = all_of_rows(loss, y, layout(z), w)
                assert_same_bits(got, expected)
                fortran = layout(z).flags.f_contiguous and not layout(z).flags.c_contiguous
                assert got[1].flags.f_contiguous if fortran else got[1].flags.c_contiguous
                if kind == "soft":
                    assert_same_bits(all_of_rows(loss, layout(y), z, w), expected)
                for out_dtype in DTYPES:
                    g, h = (layout(np.zeros(z.shape, out_dtype)) for _ in range(2))
                    if g.flags.writeable:
                        got = loss.grad_and_hess(y, layout(z), w, out=(g, h))
                        assert got[0] is g
                        assert_same_bits(g, expected[1].astype(out_dtype))
                        assert_same_bits(h, expected[2].astype(out_dtype))
                inside = layout(z)
                if dtype != np.float16 and inside.flags.writeable:
                    assert loss.grad(y, inside, w, out=inside) is inside
                    assert_same_bits(inside, expected[1], "in place")


@pytest.mark.parametrize("classes", [2, 10, 257, 5000])
def test_threads_give_the_same_bits(classes):
    for kind in LABELS:
        rng = seeded("threads", classes, kind)
        n = 60000 // classes + 1000
        y, z = drawn(rng, n, classes, np.float32, kind)
        w = rng.random(n)
        for reduction in ("mean", "none"):
            loss = fl.CrossEntropyLoss(reduction=reduction, class_weight=rng.random(classes))
            expected = all_of_rows(loss, y, z, w, n_threads=1)
            for n_threads in (2, 3, 7):
                assert_same_bits(all_of_rows(loss, y, z, w, n_threads=n_threads), expected)
                assert_same_bits(
                    all_of_rows(loss, y, np.asfortranarray(z), w, n_threads=n_threads), expected)


@pytest.mark.parametrize("dtype", ["?", "b", "B", "h", "H", "i", "I", "q", "Q", "e", "f", "d",
                                   ">i4", ">f8"])
def test_label_dtypes_give_the_same_bits(dtype):
    rng = seeded("labels", dtype)
    y, z = drawn(rng, 100, 2 if dtype == "?" else 100, np.float32)
    for loss in (fl.CrossEntropyLoss(), fl.CrossEntropyLoss(label_smoothing=0.1)):
        assert_same_bits(all_of_rows(loss, y.astype(dtype), z), all_of_rows(loss, y, z))
        assert_same_bits(all_of_rows(loss, np.repeat(y.astype(dtype), 2)[::2], z),
                         all_of_rows(loss, y, z))


# ---- errors ------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [3, -1, 2**40, -(2**62), 0.5, np.nan, np.inf, -0.25])
def test_class_numbers_out_of_range(bad):
    z = np.zeros((3000, 3), np.float32)
    y = np.zeros(3000, type(bad))
    y[[1234, 2345]] = bad
    for n_threads in (1, 2):
        for loss in (fl.CrossEntropyLoss(), fl.CrossEntropyLoss(ignore_index=-100),
                     fl.CrossEntropyLoss(label_smoothing=0.1, reduction="none")):
            g, h = np.ones((2, 3000, 3))
            message = rf"^y_true .* 0 to 2 of the 3 classes of y_pred, but row 1234 has {bad!r}$"
            for call in (loss.value, loss.grad, loss.value_and_grad):
                with pytest.raises(ValueError, match=message):
                    call(y, z, n_threads=n_threads)
            with pytest.raises(ValueError, match=message):
                loss.grad_and_hess(y, z, out=(g, h), n_threads=n_threads)
            assert (g == 1).all()
            assert (h == 1).all()
        with pytest.raises(ValueError, match=r"y_true must hold class numbers"):
            reference.CrossEntropyLoss()(y, z)


def test_shapes_and_dtypes():
    z, loss = np.zeros((4, 3)), fl.CrossEntropyLoss()
    for y, p, w, match in [
        ([0] * 4, np.zeros(4), None, r"^y_pred must have two dimensions"),
        ([0] * 3, z, None, r"^y_true must hold a class number for each row"),
        (np.zeros((4, 2)), z, None, r"^y_true and y_pred must have the same shape"),
        (np.zeros((4, 1)), z, None, r"^y_true and y_pred must have the same shape"),
        ([0] * 4, z, np.ones((4, 1)), r"^sample_weight must hold a weight for each row"),
        ([0] * 4, z, np.ones(3), r"^sample_weight must hold a weight for each row"),
    ]:
        with pytest.raises(ValueError, match=match):
            loss.value_and_grad(y, p, w)
    with pytest.raises(TypeError, match=r"^y_true must hold real numbers"):
        loss(["a"] * 4, np.zeros(4))
    with pytest.raises(ValueError, match=r"^class_weight holds 2 weights, but y_pred has 3"):
        fl.CrossEntropyLoss(class_weight=[1, 2])([0] * 4, z)
    g = np.zeros((4, 3))
    for out, match in [(np.zeros((3, 4)), "out must have the shape of y_pred"),
                       (np.broadcast_to(0.0, (4, 3)), "out is read-only"),
                       (z[::-1], "out overlaps y_pred")]:
        with pytest.raises(ValueError, match=match):
            loss.grad([0] * 4, z, out=out)
    with pytest.raises(ValueError, match=r"out\[0\] must have the shape of the rows, \(4,\)"):
        loss.replace(reduction="none").value_and_grad([0] * 4, z, out=(np.zeros((4, 3)), g))
    f = np.zeros(4)
    with pytest.raises(ValueError, match="out overlaps y_true"):
        loss.replace(reduction="none").value(f, z, out=f)
    assert loss.replace(reduction="none").value([0] * 4, z, out=f) is f
    assert_ulp(f, [np.log(3)] * 4, 2)


@pytest.mark.parametrize("name, values", [
    ("from_logits", [1, None, "yes"]), ("label_smoothing", [-0.1, 1.1, np.nan, None, True]),
    ("ignore_index", [0.5, True, "0", 2**60]),
    ("class_weight", [1.0, [[1.0]], [-1.0], [np.nan], [np.inf], "ab", ["a"]]),
    ("eps", [-1, 0.5, "max"]), ("reduction", ["rows"])])
def test_parameters_are_checked(name, values):
    for value in values:
        with pytest.raises(ValueError, match=f"^{name} must be"):
            fl.CrossEntropyLoss(**{name: value})
        with pytest.raises(ValueError, match=f"^{name} must be"):
            fl.cross_entropy_loss([0], [[0.0, 1.0]], **{name: value})


def test_parameters_make_the_loss():
    loss = fl.CrossEntropyLoss(class_weight=np.array([1, 2]), ignore_index=np.int8(-1))
    assert loss.class_weight == (1.0, 2.0)
    assert eval(repr(loss), {"CrossEntropyLoss": fl.CrossEntropyLoss}) == loss
    assert hash(loss) == hash(loss.replace(class_weight=[1, 2]))
    rng = seeded("function")
    for kind in LABELS:
        y, z = drawn(rng, 30, 2, np.float64, kind)
        for options in (parameters_of(rng, 2, kind) for _ in range(10)):
            got = fl.cross_entropy_loss(y, z, sample_weight=z[:, 0] ** 2, **options)
            assert_same_bits(got, fl.CrossEntropyLoss(**options)(y, z, z[:, 0] ** 2))
            expected = reference.cross_entropy_loss(y, z, sample_weight=z[:, 0] ** 2, **options)
            assert_sum(got, expected, abs(expected), np.float64)


def test_check():
    loss = fl.CrossEntropyLoss()
    loss.check([0, 1], [[1.0, -2.0]] * 2, [1, 2])
    for y, z, w, match in [([0, 2], [[0.0, 1.0]] * 2, None, "y_true .* first at index 1: 2.0"),
                           ([0, 1], [[0.0, np.inf]] * 2, None, "y_pred must hold finite"),
                           ([[1, -1]], [[0.0, 1.0]], None, "y_true must hold targets"),
                           ([0], [[0.0, 1.0]], [-1], "sample_weight must hold weights")]:
        with pytest.raises(ValueError, match=match):
            loss.check(y, z, w)
    with pytest.raises(ValueError, match="probabilities"):
        loss.replace(from_logits=False).check([0], [[0.5, 1.5]])
