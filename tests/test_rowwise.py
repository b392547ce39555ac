"""Cross entropy of rows: against its oracle, in every layout, by any number of threads."""

import mpmath as mp
import numpy as np
import pytest
from cases import DTYPES, REDUCTIONS, seeded, weights
from numerics import assert_same_bits, assert_sum, assert_ulp

import fastloss as fl
from fastloss import reference

CLASSES = [1, 2, 3, 5, 8, 10, 16, 17, 33, 100, 255, 256, 257, 1000, 1025]
LABELS = ["class", "soft"]


def drawn(rng, n, classes, dtype, kind="class", spread=None):
    """Return labels and logits, some rows nearly perfect and some nearly wrong."""
    spread = rng.choice([0.1, 1, 10]) if spread is None else spread
    z = (rng.normal(size=(n, classes)) * spread).astype(dtype)
    y = rng.integers(0, classes, n)
    sure = rng.random(n) < 0.3
    z[sure, y[sure]] += dtype(rng.uniform(5, 30))
    if kind == "soft":
        t = rng.random((n, classes)).astype(np.float32)
        t[rng.random(n) < 0.3] = 0
        t[np.arange(n), y] = 1
        return t, z
    return y, z


def parameters_of(rng, classes, kind="class"):
    weighted = rng.random() < 0.5
    return {
        "label_smoothing": float(rng.choice([0, 0, 0.1, 1])),
        "ignore_index": None if kind == "soft" or rng.random() < 0.5 else -100,
        "class_weight": rng.choice([0.0, 0.5, 2.0], classes) if weighted else None,
    }


def all_of_rows(loss, y, z, w=None, **options):
    """Return value, gradient and hessian, having checked that the entry points agree."""
    value = loss.value(y, z, w, **options)
    value_2, grad = loss.value_and_grad(y, z, w, **options)
    grad_2, hess = loss.grad_and_hess(y, z, w, **options)
    assert_same_bits(value_2, value, "value of value_and_grad")
    assert_same_bits(grad_2, grad, "gradient of grad_and_hess")
    assert_same_bits(loss.grad(y, z, w, **options), grad, "gradient of grad")
    assert_same_bits(loss(y, z, w), value, "value of a call")
    if loss.reduction != "none":
        partial = loss.partial(y, z, w, **options)
        assert_same_bits(partial.result(), value, "value of partial")
    return value, grad, hess


def terms(loss, y, z, w):
    """Return what rounding the terms of value, gradient and hessian of each row may cost."""
    dtype = np.float64 if z.dtype == np.float64 else np.float32
    z64 = z.astype(float)
    labels = np.where(y == loss.ignore_index, 0, y) if y.ndim == 1 else y
    t, counts, _ = loss._targets(np.asarray(labels), np.dtype(dtype), z.shape[1])
    spread = np.max(z64, axis=1, keepdims=True) - z64      # each is rounded
    s = np.exp(-spread) / np.exp(-spread).sum(axis=1, keepdims=True)
    f = (t.sum(axis=1) * (s * spread).sum(axis=1)) if z.shape[1] else np.zeros(len(z))
    total = t.sum(axis=1, keepdims=True)
    worst = np.max(np.minimum(spread, 100), axis=1, keepdims=True, initial=0) + 1
    weight = np.abs(np.ones(len(z)) if w is None else w)
    g = (total * s * worst + t * (1 - s)) * weight[:, None]
    return f * weight * counts, g * counts[:, None]


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("classes", CLASSES)
def test_close_to_the_oracle(classes, dtype, kind):
    for n in (1, 2, 15, 16, 17, 31, 33, 129, 300):
        rng = seeded("oracle", classes, dtype, kind, n)
        y, z = drawn(rng, n, classes, dtype, kind)
        parameters = parameters_of(rng, classes, kind)
        if parameters["ignore_index"] is not None:
            y = np.where(rng.random(n) < 0.2, -100, y)
        w = weights(rng, n, str(rng.choice(["none", "float64", "float32", "counts"])))
        oracle = reference.CrossEntropyLoss(**parameters, reduction="none")
        f, g, h = all_of_rows(fl.CrossEntropyLoss(**parameters, reduction="none"), y, z, w)
        f_0, g_0 = oracle.value_and_grad(y, z, w)
        _, h_0 = oracle.grad_and_hess(y, z, w)
        f_terms, g_terms = terms(oracle, y, z, w)
        assert_ulp(f, f_0, 40, terms=np.abs(f_terms) + np.abs(f_0), z=z)
        assert_ulp(g, g_0, 40, terms=g_terms)
        assert_ulp(h, h_0, 40, terms=g_terms)
        for reduction in ("mean", "sum", "sum_over_batch_size"):
            value, grad, hess = all_of_rows(
                fl.CrossEntropyLoss(**parameters, reduction=reduction), y, z, w)
            oracle = oracle.replace(reduction=reduction)
            expected, grad_0 = oracle.value_and_grad(y, z, w)
            _, hess_0 = oracle.grad_and_hess(y, z, w)
            part = oracle.partial(y, z, w)
            divisor = oracle._divisor(part.weight_sum, part.count)
            assert_sum(value, expected, np.sum(np.abs(f_0) + f_terms) / divisor, dtype)
            assert_ulp(grad, grad_0, 40, terms=g_terms / divisor)
            assert_ulp(hess, hess_0, 40, terms=g_terms / divisor)


@pytest.mark.parametrize("dtype", DTYPES)
def test_very_many_classes(dtype):
    rng = seeded("many", dtype)
    y, z = drawn(rng, 20, 40000, dtype, spread=3)
    loss, oracle = fl.CrossEntropyLoss(), reference.CrossEntropyLoss()
    value, grad, _ = all_of_rows(loss, y, z)
    expected, grad_0 = oracle.value_and_grad(y, z)
    assert_sum(value, expected, expected, dtype)
    assert_ulp(grad, grad_0, 40)


def textbook(z, t):
    """Return loss and gradient of one row in 700 digits."""
    with mp.workdps(700):
        z, t = [mp.mpf(float(x)) for x in z], [mp.mpf(float(x)) for x in t]
        total = mp.fsum(mp.e**x for x in z)
        f = mp.fsum(a * (mp.log(total) - x) for x, a in zip(z, t, strict=True) if a)
        g = [mp.fsum(t) * mp.e**x / total - a for x, a in zip(z, t, strict=True)]
        h = [mp.fsum(t) * mp.e**x / total * (1 - mp.e**x / total) for x in z]
        return float(f), [float(x) for x in g], [float(x) for x in h]


@pytest.mark.parametrize("gap", [0, 1e-3, 1, 20, 40, 80, 300, 700])
def test_textbook_of_nearly_perfect_and_wrong_rows(gap):
    for classes in (2, 3, 17, 300):
        rng = seeded("textbook", gap, classes)
        # whole multiples of 2^-6, so that differences are exact in both dtypes
        z = np.round(rng.normal(size=classes) * 64) / 64
        z[1] = np.max(z) + gap if gap != 1e-3 else np.max(z) + 2**-6
        for label in (0, 1):
            t = np.arange(classes) == label
            f, g, h = textbook(z, t)
            oracle = reference.CrossEntropyLoss()
            value, grad = oracle.value_and_grad([label], z[None])
            assert_ulp(np.array([value]), [f], 20)
            assert_ulp(grad[0], g, 20)
            assert_ulp(oracle.grad_and_hess([label], z[None])[1][0], h, 20)
            for dtype in DTYPES:
                value, grad, hess = all_of_rows(
                    fl.CrossEntropyLoss(reduction="none"), [label], z[None].astype(dtype))
                assert_ulp(value, [f], 12, gap=gap)
                assert_ulp(grad[0], g, 12)
                assert_ulp(hess[0], h, 12)
                soft = all_of_rows(fl.CrossEntropyLoss(reduction="none"), t[None].astype(dtype),
                                   z[None].astype(dtype))
                assert_ulp(soft[0], [f], 12)
                assert_ulp(soft[1][0], g, 12)


@pytest.mark.parametrize("kind", LABELS)
def test_gradient_by_differences(kind):
    rng = seeded("differences", kind)
    y, z = drawn(rng, 6, 7, np.float64, kind, spread=1)
    for from_logits in (True, False):
        p = z if from_logits else rng.uniform(0.1, 0.9, z.shape)
        loss = reference.CrossEntropyLoss(from_logits=from_logits, label_smoothing=0.1,
                                          class_weight=rng.random(7), reduction="sum")
        fast = fl.CrossEntropyLoss(**loss._parameters())
        grad, hess = fast.grad_and_hess(y, p)
        step = 1e-3

        for at in np.ndindex(*p.shape):
            here = np.zeros(p.shape)
            here[at] = step
            moved = [fast.value(y, p + k * here)
                     for k in (-2, -1, 1, 2)]
            slope = (moved[0] - 8 * moved[1] + 8 * moved[2] - moved[3]) / (12 * step)
            assert abs(slope - grad[at]) <= 1e-8 * (np.abs(grad).max())
            up, down = (fast.grad(y, p + k * here)[at]
                        for k in (1, -1))
            assert abs((up - down) / (2 * step) - hess[at]) <= 1e-3 * np.abs(hess).max()


# ---- the same bits -----------------------------------------------------------------------


def rows_apart(a):
    wide = np.zeros((2 * a.shape[0], a.shape[1] + 3), a.dtype)
    wide[::2, 1:-2] = a
    return wide[::2, 1:-2]


def strided(a):
    wide = np.zeros((a.shape[0], 3 * a.shape[1]), a.dtype)
    wide[:, 1::3] = a
    return wide[:, 1::3]


def reverse(a):
    return a[::-1, ::-1].copy()[::-1, ::-1]


def swapped(a):
    return a.astype(a.dtype.newbyteorder())


def misaligned(a):
    view = np.zeros(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
    view[...] = a
    return view


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


def columns_apart(a):
    return rows_apart(a.T.copy()).T


LAYOUTS = [np.asfortranarray, rows_apart, strided, reverse, swapped, misaligned, read_only,
           columns_apart, lambda a: swapped(np.asfortranarray(a))]


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


# ---- rows that are special ---------------------------------------------------------------


def test_extremes():
    inf, nan = np.inf, np.nan
    loss = fl.CrossEntropyLoss(reduction="none")
    for dtype in DTYPES:
        for row, label, value, grad in [
            ([1e3, -1e3, 0], 0, 0, [0, 0, 0]), ([1e3, -1e3, 0], 1, 2e3, [1, -1, 0]),
            ([1e30, -1e30, 0], 2, 1e30, [1, 0, -1]), ([0, -inf, 0], 0, np.log(2), [-0.5, 0, 0.5]),
            ([0, -inf, -inf], 0, 0, [0, 0, 0]), ([0, -inf, -inf], 1, inf, [1, -1, 0]),
            ([inf, 0, 1], 0, 0, [0, 0, 0]), ([inf, 0, 1], 1, inf, [1, -1, 0]),
            ([inf, inf, 0], 0, nan, [nan] * 3), ([-inf] * 3, 0, nan, [nan] * 3),
            ([nan, 0, 0], 1, nan, [nan] * 3), ([nan] * 3, 1, nan, [nan] * 3),
            ([inf, nan, 0], 0, nan, [nan] * 3), ([5, 5, 5], 1, np.log(3), [1 / 3, -2 / 3, 1 / 3]),
        ]:
            for classes in (3, 20, 300):
                z = np.full((40, classes), -inf, dtype)
                z[:, :3] = np.array(row, dtype)
                around = [k for k in range(40) if k != 21]
                z[around, :3] = [0, 1, 2]
                for y in (np.full(40, label), np.eye(classes)[[label] * 40]):
                    f, g, _ = all_of_rows(loss, y, z)
                    assert_ulp(f[21:22], [np.float64(dtype(value))], 4, row=row)
                    assert_ulp(g[21, :3], np.array(grad, dtype), 4, row=row)
                    assert np.isnan(g[21, 3:]).all() if nan in grad else (g[21, 3:] == 0).all()
                    assert np.isfinite(f[around]).all() or label > 2
                    assert np.isfinite(g[around]).all()


def test_ignored_rows_cost_nothing_whatever_they_hold():
    for classes in (3, 300):
        rng = seeded("ignored", classes)
        y, z = drawn(rng, 50, classes, np.float64)
        ignored = rng.random(50) < 0.5
        for index in (-100, 1, 2**40):
            for smoothing in (0, 0.1):
                y_2 = np.where(ignored, index, np.where(y == index, 0, y))
                z_2 = np.where(ignored[:, None], np.nan, z)
                loss = fl.CrossEntropyLoss(ignore_index=index, label_smoothing=smoothing)
                value, grad, hess = all_of_rows(loss, y_2, z_2)
                kept = all_of_rows(loss, y_2[~ignored], z[~ignored])
                assert abs(value - kept[0]) <= 1e-14 * kept[0]
                assert_same_bits((grad[~ignored], hess[~ignored]), kept[1:])
                assert (grad[ignored] == 0).all()
                assert (hess[ignored] == 0).all()
                assert loss.partial(y_2, z_2).count == np.count_nonzero(~ignored)
    assert np.isnan(fl.cross_entropy_loss([7, 7], np.zeros((2, 3)), ignore_index=7))
    assert fl.cross_entropy_loss([7, 7], np.zeros((2, 3)), ignore_index=7, reduction="sum") == 0


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_properties(dtype, kind):
    for classes in (2, 10, 300):
        rng = seeded("properties", dtype, kind, classes)
        y, z = drawn(rng, 64, classes, dtype, kind, spread=2)
        z = np.round(z * 64) / 64
        loss = fl.CrossEntropyLoss(reduction="none", label_smoothing=0.125)
        f, g, h = all_of_rows(loss, y, z)
        eps = np.finfo(dtype).eps
        total = 1 if kind == "class" else 0.875 * y.sum(axis=1) + 0.125     # of the targets
        assert (np.abs(g.sum(axis=1, dtype=float)) <= 4 * eps * total).all()
        assert (h >= 0).all()
        assert_same_bits(all_of_rows(loss, y, z + dtype(128)), (f, g, h), "all scores moved")
        order = rng.permutation(64)
        assert_same_bits(all_of_rows(loss, y[order], z[order]), (f[order], g[order], h[order]))
        whole = loss.replace(reduction="mean")
        parts = whole.partial(y[:20], z[:20]) + whole.partial(y[20:], z[20:])
        assert abs(parts.result() - whole(y, z)) <= 1e-14 * whole(y, z)


def test_empty():
    for kind in (np.zeros(0, int), np.zeros((0, 4))):
        value, grad, hess = all_of_rows(fl.CrossEntropyLoss(), kind, np.zeros((0, 4)))
        assert np.isnan(value)
        assert grad.shape == hess.shape == (0, 4)
        assert fl.cross_entropy_loss(kind, np.zeros((0, 4)), reduction="sum") == 0
    assert fl.cross_entropy_loss(np.zeros((5, 0)), np.zeros((5, 0))) == 0
    with pytest.raises(ValueError, match=r"^y_true .* row 0 has 0"):
        fl.cross_entropy_loss([0] * 5, np.zeros((5, 0)))


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
    for y, z, w, match in [([0, 2], [[0.0, 1.0]] * 2, None, "y_true .* row 1 has 2"),
                           ([0, 1], [[0.0, np.inf]] * 2, None, "y_pred must hold finite"),
                           ([[1, -1]], [[0.0, 1.0]], None, "y_true must hold targets"),
                           ([0], [[0.0, 1.0]], [-1], "sample_weight must hold weights")]:
        with pytest.raises(ValueError, match=match):
            loss.check(y, z, w)
    with pytest.raises(ValueError, match="probabilities"):
        loss.replace(from_logits=False).check([0], [[0.5, 1.5]])
