"""Cross entropy of rows: against its oracle, and on rows that are special."""

import mpmath as mp
import numpy as np
import pytest
from cases import DTYPES, seeded, weights
from numerics import assert_same_bits, assert_sum, assert_ulp
from rows import LABELS, all_of_rows, drawn, parameters_of, terms

import fastloss as fl
from fastloss import reference

CLASSES = [1, 2, 3, 5, 8, 10, 16, 17, 33, 100, 255, 256, 257, 1000, 1025]


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
