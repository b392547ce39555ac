"""Derivatives that each booster gets, against the reference and the bounds written out once more.

Losses, parameters, labels, scores, weights, types and layouts are drawn. A failure names seed and
case: `one(seed, case)` replays it.
"""

import numpy as np
import pytest

import fastloss as fl
from fastloss import reference

pytest.importorskip("xgboost", reason="XGBoost is not installed")
pytest.importorskip("lightgbm", reason="LightGBM is not installed")
pytest.importorskip("catboost", reason="CatBoost is not installed")

from lightgbm import Dataset
from xgboost import DMatrix

from fastloss.integrations import catboost, lightgbm, xgboost

FLOOR = 1e-16
# rightly: drawn data may be one sample
pytestmark = pytest.mark.filterwarnings("ignore:all samples ask for the same step")


def drawn_loss(rng):
    """A loss of scores with drawn parameters, and what labels it takes."""
    size = float(10 ** rng.uniform(-2, 2))
    share = float(rng.uniform(0.02, 0.98))
    labels = [(0, 1), (-1, 1)][rng.integers(2)]
    options = [
        (fl.SquaredLoss(), "real"), (fl.AbsoluteLoss(), "real"), (fl.LogCoshLoss(), "real"),
        (fl.HuberLoss(delta=size), "real"), (fl.PseudoHuberLoss(delta=size), "real"),
        (fl.PinballLoss(quantile=share), "real"), (fl.ExpectileLoss(level=share), "real"),
        (fl.EpsilonInsensitiveLoss(epsilon=size * rng.integers(2)), "real"),
        (fl.EpsilonInsensitiveLoss(epsilon=size, squared=True), "real"),
        (fl.AbsolutePercentageLoss(eps=size), "real"), (fl.TweedieDevianceLoss(), "real"),
        (fl.PoissonLoss(), "count"), (fl.GammaLoss(), "amount"),
        (fl.TweedieLoss(power=1 + share), "count"),
        (fl.LogLoss(from_logits=True, pos_weight=size, label_smoothing=share / 2), "binary"),
        (fl.FocalLoss(gamma=float(rng.uniform(0, 5)), alpha=share), "binary"),
        (fl.HingeLoss(labels=labels), labels), (fl.SquaredHingeLoss(labels=labels), labels),
        (fl.ModifiedHuberLoss(labels=labels), labels),
        (fl.ExponentialLoss(labels=labels), labels),
        (fl.ContrastiveLoss(margin=size, pos_margin=share), "binary"),
        (fl.ContrastiveLoss(margin=size, form="linear", pos_margin=share), "binary"),
    ]
    return options[rng.integers(len(options))]


def drawn_labels(rng, kind, n):
    if kind == "binary":
        return rng.integers(0, 2, n).astype(float)
    if isinstance(kind, tuple):
        return rng.choice(np.array(kind, float), n)
    scale = float(10 ** rng.uniform(-6, 6))
    y = [rng.normal(0, scale, n), np.round(rng.normal(0, 3, n)), rng.choice([0.0, scale], n),
         np.where(rng.random(n) < 0.8, 0.0, rng.gamma(2, scale, n))][rng.integers(4)]
    if kind == "real":
        return y
    return np.abs(y) if kind == "count" else np.abs(y) + scale * 1e-3


def drawn_scores(rng, kind, y):
    if kind in ("count", "amount"):
        return rng.uniform(-8, 8, y.shape)
    if kind == "real":
        spread = max(np.abs(y).max(), 1e-6)
        p = y + rng.normal(0, spread, y.shape) * 10 ** rng.uniform(-3, 1)
        return np.where(rng.random(y.shape) < 0.2, y, p)    # met exactly
    return rng.normal(0, 3, y.shape)


def typical(far, w):
    w = np.ones(far.shape) if w is None else w
    return ((far ** 0.125 * w).sum() / w.sum()) ** 8 if w.sum() else 0.0


def bound(loss, y, p, w, grad):
    """What second derivatives are to be at least, by the formulas of the manual."""
    one = np.ones(y.shape) if w is None else w
    e = p - y
    if isinstance(loss, (fl.AbsoluteLoss, fl.PinballLoss, fl.AbsolutePercentageLoss)) or (
            isinstance(loss, fl.EpsilonInsensitiveLoss) and not loss.squared):
        unit = (np.maximum(np.abs(y), loss.eps) if isinstance(loss, fl.AbsolutePercentageLoss)
                else np.ones(y.shape))
        far = np.abs(p / unit - y / unit)
        near = max(0.1 * typical(far, w), getattr(loss, "epsilon", 0.0))
        sharp = (unit == loss.eps) if hasattr(loss, "eps") else np.zeros(y.shape, bool)
        far = np.where(sharp, far, np.maximum(far, near))
        far = np.where(far > 0, far, np.where(sharp, 1e-38, 1.0))
        return np.minimum((0.5 if isinstance(loss, fl.PinballLoss) else 1) * one / far / unit**2,
                          1e38)
    if isinstance(loss, fl.PseudoHuberLoss):
        return one / np.hypot(1, e / loss.delta)
    if isinstance(loss, fl.LogCoshLoss):
        return one * np.divide(np.tanh(e), e, out=np.ones(e.shape), where=e != 0)
    if isinstance(loss, (fl.PoissonLoss, fl.GammaLoss, fl.TweedieLoss)):
        k = {fl.PoissonLoss: 1.0, fl.GammaLoss: 2.0}.get(type(loss)) or loss.power
        d = p - np.log(y)
        return np.where(np.abs(d) > 1e-3, one * np.exp((2 - k) * p) * -np.expm1(-d) / d, 0.0)
    if isinstance(loss, fl.FocalLoss):
        return (1 + loss.gamma) * np.abs(grad) / (1 + np.exp(-(2 * y - 1) * p))
    return np.zeros(y.shape)


def expected(loss, y, p, w, hessian):
    """Gradient and curvature as they should arrive, in float64, and the terms they are made of."""
    oracle = getattr(reference, type(loss).__name__)(**loss._parameters()).replace(reduction="sum")
    with np.errstate(all="ignore"):
        grad, hess = oracle.grad_and_hess(y, p, w)
        one = np.ones(y.shape) if w is None else w
        if hessian == "auto":
            hess = np.maximum(hess, bound(loss, y, p, w, grad))
        elif loss.curvature == "flat":
            hess = one
        if loss.curvature != "curved":
            hess = np.where((hess == 0) & (grad != 0), one, hess)
        if isinstance(loss, (fl.PoissonLoss, fl.GammaLoss, fl.TweedieLoss)):
            k = {fl.PoissonLoss: 1.0, fl.GammaLoss: 2.0}.get(type(loss)) or loss.power
            terms = one * (np.exp((2 - k) * p) + y * np.exp((1 - k) * p)) * (1 + np.abs(p))
        elif isinstance(loss, fl.TweedieDevianceLoss) or loss._domains()[0].high > 1:
            terms = np.abs(hess) * (np.abs(y) + np.abs(p))      # y and p are rounded
        else:
            # focal loss: the larger of two terms that cancel
            terms = one * (1 + np.abs(p)) * (1 + getattr(loss, "gamma", 0.0)) ** 2
    return grad, np.maximum(hess, FLOOR), terms


def close(found, wanted, terms, eps):
    return np.all(np.abs(found - wanted) <= 32 * eps * np.abs(wanted) + 16 * eps * terms)


def one(seed, case):
    rng = np.random.default_rng([seed, case])
    loss, kind = drawn_loss(rng)
    hessian = ["auto", "exact"][rng.integers(2)]
    n = int(rng.integers(1, 60))
    # numbers that float32 has, as XGBoost's labels and scores and LightGBM's labels are
    y = drawn_labels(rng, kind, n).astype(np.float32).astype(float)
    y = np.maximum(y, 1e-30) if kind == "amount" else y
    p = drawn_scores(rng, kind, y).astype(np.float32).astype(float)
    w = None if rng.integers(2) else rng.choice([0.0, 0.5, 1.0, 3.25], n)
    where = f"seed {seed}, case {case}: {loss}, hessian {hessian}"
    grad, hess, terms = expected(loss, y, p, w, hessian)
    rounded = np.finfo(np.float32)
    if not np.all(np.isfinite(grad) & np.isfinite(hess) & (hess < rounded.max)):
        return

    made = catboost.objective(loss, hessian=hessian)
    g, h = -made.calc_ders_range(p, y.astype(rng.choice([np.float32, np.float64])), w).T
    eps = np.finfo(float).eps
    assert close(g, grad, terms, 8 * eps), where
    assert close(h, hess, terms if hessian == "exact" else terms + np.abs(grad), 1e4 * eps), where
    assert np.all(h >= FLOOR), where

    made = lightgbm.objective(loss, hessian=hessian)
    strided = np.repeat(p, 2)[::2] if rng.integers(2) else p
    for each in (made(y.astype(np.float32), strided, w),
                 made(strided, Labelled(Dataset, y, w)) if rng.integers(2) else ()):
        for found, wanted in zip(each, (g, h), strict=False):
            assert found.dtype == np.float32 and found.shape == (n,), where
            np.testing.assert_allclose(found, wanted, rtol=4 * rounded.eps,
                                       atol=2 * float(rounded.smallest_subnormal), err_msg=where)

    made = xgboost.objective(loss, hessian=hessian)
    single = p.astype(np.float32)
    calls = [made(y.astype(np.float32), single, w), made(y, single[:, None], w)]
    if rng.integers(2):
        calls.append(made(single, Labelled(DMatrix, y, w)))
    for each, shape in zip(calls, [(n,), (n, 1), (n,)], strict=False):
        assert each[0].shape == each[1].shape == shape, where
        assert each[0].dtype == each[1].dtype == np.float32, where
        assert close(each[0].ravel(), grad, terms, rounded.eps), where
        assert np.all(np.isfinite(each[1])) and np.all(each[1] >= np.float32(FLOOR)), where
    for each in calls[1:]:
        np.testing.assert_array_equal(each[0].ravel(), calls[0][0], err_msg=where)
        np.testing.assert_array_equal(each[1].ravel(), calls[0][1], err_msg=where)


def Labelled(kind, y, w):
    """Labels and weights as a library's data set hands them out."""
    held = object.__new__(type("Held", (kind,), {
        "__del__": lambda self: None,
        "get_label": lambda self: y.astype(np.float32),
        "get_weight": lambda self: (np.empty(0, np.float32) if w is None and kind is DMatrix
                                    else None if w is None else w.astype(np.float32))}))
    return held


@pytest.mark.parametrize("seed", range(2))
def test_derivatives_that_boosters_get(seed):
    for case in range(1000):
        one(seed, case)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 12))
def test_derivatives_that_boosters_get_many(seed):
    for case in range(10_000):
        one(seed, case)
