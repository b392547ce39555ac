"""What the boosters' adapters share: derivatives and the best constant, without a library."""

import pickle
import sys

import numpy as np
import pytest
from boosters import LOGITS, labels_of, losses_of_scores
from scipy.special import expit, softmax

import fastloss as fl
from fastloss.integrations._boosting import Metric, Objective, _root

LOSSES = losses_of_scores()


def ids(loss):
    return repr(loss)[:60]


def test_there_are_all_losses():
    assert len(LOSSES) >= 28
    assert len({type(loss) for loss in LOSSES}) >= 21


@pytest.mark.parametrize("loss", LOSSES, ids=ids)
def test_derivatives_are_the_losses_with_a_floor_and_ones(loss):
    y = labels_of(loss, 2000)
    rng = np.random.default_rng(1)
    p = rng.uniform(-4, 4, y.shape)
    w = rng.uniform(0.5, 2, y.shape)
    floor = 1e-3
    grad, hess = loss.replace(reduction="sum").grad_and_hess(y, p, w)
    for dtype in (np.float64, np.float32):
        ours, second = np.empty(y.shape, dtype), np.empty(y.shape, dtype)
        Objective(loss, "exact", hess_floor=floor)._derivatives(y, p, w, ours, second)
        np.testing.assert_array_equal(ours, grad.astype(dtype))
        if isinstance(loss, (fl.AbsoluteLoss, fl.PinballLoss, fl.AbsolutePercentageLoss)):
            expected = w
        else:
            expected = np.where((hess == 0) & (grad != 0), w, np.maximum(hess, floor))
        np.testing.assert_allclose(second, expected, rtol=2e-7)
    straight = loss.curvature != "curved"
    assert straight or not np.any((hess == 0) & (grad != 0)), "straight, but it does not say so"


def slope(loss, y, w, c):
    return loss.replace(reduction="sum").grad(y, np.full(y.shape, c), w).sum()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", LOSSES, ids=ids)
def test_init_score_is_the_best_constant(loss, weighted):
    y = labels_of(loss)
    w = np.random.default_rng(2).uniform(0.1, 2, y.shape) if weighted else None
    c = Objective(loss).init_score(y, w)
    assert isinstance(c, float)
    step = 1e-7 * max(abs(c), 1.0)
    # the slope changes its sign there, or is 0 around it
    assert slope(loss, y, w, c - step) <= 0 <= slope(loss, y, w, c + step)
    reduced = loss.replace(reduction="sum")
    assert all(reduced(y, np.full(y.shape, c), w)
               <= reduced(y, np.full(y.shape, other), w) * (1 + 1e-12) + 1e-12
               for other in (c - 0.1, c + 0.1))


def test_init_score_in_closed_form():
    y, w = np.array([0, 0, 1.0, 1, 1]), np.array([1, 2, 1, 1, 1.0])
    assert Objective(LOGITS).init_score(y) == pytest.approx(np.log(1.5), rel=1e-12)
    assert Objective(LOGITS).init_score(y, w) == 0
    assert Objective(fl.SquaredLoss()).init_score(y, w) == 0.5
    assert Objective(fl.PinballLoss(quantile=0.8)).init_score(np.arange(10)) == 7
    assert Objective(fl.PoissonLoss()).init_score(y) == pytest.approx(np.log(0.6), rel=1e-12)


@pytest.mark.parametrize("loss", [LOGITS, fl.FocalLoss(), fl.ExponentialLoss()])
def test_init_score_of_one_class_is_finite(loss):
    high, low = (Objective(loss).init_score(np.full(5, label)) for label in (1.0, 0.0))
    assert 15 < high < 80
    assert -80 < low < -15


class Counting:
    """A loss that counts its calls, or one that falls without end."""

    def __init__(self, loss=None):
        self.loss, self.calls = loss, 0

    def grad_and_hess(self, y, p, w):
        self.calls += 1
        if self.loss is None:
            return np.full(y.shape, -1.0), np.zeros(y.shape)
        return self.loss.grad_and_hess(y, p, w)


def test_the_best_constant_takes_newtons_steps_and_ends():
    loss = Counting(LOGITS.replace(reduction="sum"))
    assert _root(loss, labels_of(LOGITS), None) == Objective(LOGITS).init_score(labels_of(LOGITS))
    assert loss.calls < 15
    assert _root(Counting(), np.zeros(3), None) > 1e300


@pytest.mark.parametrize("hessian", ["exact", "xgboost", "lightgbm"])
def test_init_score_of_classes(hessian):
    y, w = np.array([0, 1, 1, 2, 2, 2, 0]), np.arange(1.0, 8)
    objective = Objective(fl.CrossEntropyLoss(), hessian=hessian)
    shares = np.bincount(y, w) / w.sum()
    np.testing.assert_allclose(softmax(objective.init_score(y, w)), shares, rtol=1e-12)
    np.testing.assert_allclose(objective.init_score(np.eye(3)[y], w), np.log(shares), rtol=1e-12)
    absent = objective.init_score(np.array([0, 2, 2]))
    assert absent.shape == (3,)
    assert np.exp(absent[1]) == pytest.approx(1e-15, rel=1e-6)
    ignoring = Objective(fl.CrossEntropyLoss(ignore_index=99), hessian=hessian)
    np.testing.assert_allclose(ignoring.init_score(np.append(y, 99), np.append(w, 3.0)),
                               np.log(shares), rtol=1e-12)


def test_init_score_of_classes_with_parameters():
    y = np.array([0, 1, 1, 2, 2, 2, 0])
    loss = fl.CrossEntropyLoss(label_smoothing=0.2, class_weight=[1, 2, 3], reduction="sum")
    z = Objective(loss).init_score(y)
    grad = loss.grad(y, np.tile(z, (len(y), 1)))
    assert np.all(np.abs(grad.sum(axis=0)) < 1e-12 * np.abs(grad).sum())


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("hessian", ["exact", "xgboost", "lightgbm"])
def test_hessians_of_classes(hessian, order):
    rng = np.random.default_rng(0)
    z = np.asarray(rng.normal(size=(70000, 5)), order=order)     # two blocks
    y, w = rng.integers(0, 5, len(z)), rng.uniform(0.5, 2, len(z)).astype(np.float32)
    p = softmax(z, axis=1)
    factor = {"exact": 1, "xgboost": 2, "lightgbm": 5 / 4}[hessian]
    grad, hess = Objective(fl.CrossEntropyLoss(), hessian=hessian)._float32(y, z, w)
    assert grad.dtype == hess.dtype == np.float32
    assert grad.flags[f"{order}_CONTIGUOUS"] and hess.flags[f"{order}_CONTIGUOUS"]
    np.testing.assert_allclose(hess, factor * w[:, None] * p * (1 - p), rtol=3e-7)
    np.testing.assert_allclose(grad, w[:, None] * (p - np.eye(5)[y]), rtol=3e-7, atol=1e-7)
    y[-1] = 5
    with pytest.raises(ValueError, match="row 69999 has 5"):
        Objective(fl.CrossEntropyLoss(), hessian=hessian)._float32(y, z, w)


def test_objects():
    objective, metric = Objective(LOGITS, hess_floor=0.5), Metric(fl.CrossEntropyLoss())
    for thing in (objective, metric):
        assert pickle.loads(pickle.dumps(thing)) == thing
        assert hash(pickle.loads(pickle.dumps(thing))) == hash(thing)
    assert objective != Objective(LOGITS)
    assert "hess_floor=0.5" in repr(objective)
    assert metric.name == "cross_entropy_loss"
    assert all(hasattr(fl, Metric(type(loss)()).name) for loss in [*LOSSES, fl.KLDivergenceLoss()])
    p = np.array([-1.0, 0.5, 2.0])
    assert Metric(LOGITS.replace(reduction="sum"))._value([0, 1, 1], p, None) == pytest.approx(
        -np.log([expit(1.0), expit(0.5), expit(2.0)]).mean(), rel=1e-14)


@pytest.mark.parametrize(("loss", "options", "kind", "message"), [
    (fl.SupConLoss(), {}, TypeError, "loss must be a loss of elements"),
    ("log_loss", {}, TypeError, "loss must be a loss of elements"),
    (fl.LogLoss(), {}, ValueError, "from_logits=True"),
    (fl.KLDivergenceLoss(), {}, ValueError, r"probabilities .*: use LogLoss\(from_logits=True\)"),
    (fl.PoissonLoss(log_input=False), {}, ValueError, r"takes numbers >= 0: use PoissonLoss\(\)"),
    (fl.TweedieDevianceLoss(power=1), {}, ValueError, r"use PoissonLoss\(\)"),
    (fl.TweedieDevianceLoss(power=2), {}, ValueError, r"takes numbers > 0: use GammaLoss\(\)"),
    (fl.TweedieDevianceLoss(power=1.5), {}, ValueError, r"use TweedieLoss\(power=1.5\)"),
    (fl.TweedieDevianceLoss(power=3), {}, ValueError, r"use a formula of your own .*exp\(z\)"),
    (fl.SquaredLogLoss(), {}, ValueError, r"use SquaredLoss\(\) with numpy.log1p\(y\)"),
    (fl.CrossEntropyLoss(from_logits=False), {}, ValueError, "from_logits=True"),
    (fl.HingeEmbeddingLoss(), {}, ValueError, "loss must have a least value"),
    (fl.ContrastiveLoss(form="linear"), {}, ValueError, "loss must have a least value"),
    (LOGITS, {"hessian": "xgboost"}, ValueError, "hessian must be 'auto' or 'exact', except for"),
    (fl.CrossEntropyLoss(), {"hessian": "full"}, ValueError, "hessian must be 'auto', 'exact', 'x"),
    (LOGITS, {"hess_floor": 0}, ValueError, "hess_floor"),
    (LOGITS, {"hess_floor": np.nan}, ValueError, "hess_floor"),
])
def test_refused_parameters(loss, options, kind, message):
    with pytest.raises(kind, match=message):
        Objective(loss, **options)


ROWS = np.array([0.0, 1.0, 1.0])
SCORES = np.zeros(3)


@pytest.mark.parametrize(("loss", "y", "p", "w", "message"), [
    (LOGITS, [0, 1, 2], SCORES, None, r"y_true must hold labels in \[0, 1\].*index 2: 2.0"),
    (LOGITS, [0, 1, np.nan], SCORES, None, "y_true must hold labels.*index 2: nan"),
    (fl.SquaredLoss(), [0, np.inf, 0], SCORES, None, "y_true must hold finite.*index 1: inf"),
    (fl.GammaLoss(), [0, 1, 1], SCORES, None, "y_true must hold numbers > 0"),
    (fl.PoissonLoss(), [-1, 1, 1], SCORES, None, "y_true must hold numbers >= 0"),
    (fl.HingeLoss(labels=(-1, 1)), ROWS, SCORES, None, "y_true must hold labels -1 and 1"),
    (LOGITS, ROWS, SCORES, [1.0, 1.0], r"sample_weight must have a weight for each of the 3"),
    (LOGITS, ROWS, SCORES, [1.0, -1.0, 1.0], "sample_weight must hold weights >= 0.*index 1"),
    (LOGITS, ROWS[:2], SCORES, None, "y_true must have a label for each of the 3 rows"),
    (LOGITS, ROWS, np.zeros((3, 4)), None, "y_pred must have one column, as LogLoss"),
    (fl.CrossEntropyLoss(), ROWS, SCORES, None, "y_pred must have a column for each class"),
    (fl.CrossEntropyLoss(), ROWS, np.zeros((3, 1)), None, "y_pred must have a column for each"),
    (fl.CrossEntropyLoss(), [0, 1, 4], np.zeros((3, 4)), None, "row 2 has 4"),
    (fl.CrossEntropyLoss(), ROWS, np.zeros((3, 4)), [1.0, 1, np.nan], "sample_weight must hold"),
])
def test_refused_data(loss, y, p, w, message):
    with pytest.raises(ValueError, match=message):
        Objective(loss)._float32(y, p, w)
    with pytest.raises(ValueError, match=message):
        Metric(loss)._value(y, p, w)


def test_refused_labels_of_init_score():
    for loss in (LOGITS, fl.CrossEntropyLoss()):
        with pytest.raises(ValueError, match="y_true must hold labels, got none"):
            Objective(loss).init_score([])
    with pytest.raises(ValueError, match="y_true must hold labels in"):
        Objective(LOGITS).init_score([0, 3])
    with pytest.raises(ValueError, match="sample_weight must have"):
        Objective(LOGITS).init_score([0, 1], [1.0])


@pytest.mark.parametrize(("loss", "y", "w", "message"), [
    (fl.SquaredLoss(), ["a", "b"], None, "y_true must hold real numbers.*'a'"),
    (LOGITS, ["a", "b"], None, r"numpy.unique\(y_true, return_inverse=True\)"),
    (fl.SquaredLoss(), [1.0, np.nan], None, "y_true must hold finite numbers.*index 1: nan"),
    (fl.SquaredLoss(), [1.0, None], None, "y_true must hold finite numbers.*index 1: nan"),
    (fl.SquaredLoss(), np.ma.array([1.0, 2.0], mask=[0, 1]), None, "y_true is a masked array"),
    (fl.SquaredLoss(), 1.0, None, r"y_true must be an array \(n,\)"),
    (fl.SquaredLoss(), np.ones((2, 2, 2)), None, r"y_true must be an array \(n,\)"),
    (fl.SquaredLoss(), [1.0, 2.0], [0, 0], "sample_weight must have a positive sum"),
    (fl.PinballLoss(), [[1.0], [2.0]], [0, 0], "sample_weight must have a positive sum"),
    (fl.SquaredLoss(), [1.0, 2.0], [1, np.nan], "sample_weight must hold weights >= 0"),
    (fl.SquaredLoss(), [1.0, 2.0], ["1", "2"], "sample_weight must hold real numbers"),
    (fl.CrossEntropyLoss(), ["a", "b"], None, r"numpy.unique\(y_true, return_inverse=True\)"),
    (fl.CrossEntropyLoss(), [0, np.nan], None, "must hold class numbers.*index 1: nan"),
    (fl.CrossEntropyLoss(), [0.5, 1], None, "must hold class numbers.*index 0: 0.5"),
    (fl.CrossEntropyLoss(), [0, 1, -1], None, "must hold class numbers.*index 2: -1"),
    (fl.CrossEntropyLoss(ignore_index=7), [7, 7], None, "but all of them are ignored"),
    (fl.CrossEntropyLoss(), [0, 1], [0, 0], "sample_weight must have a positive sum"),
])
def test_init_score_says_what_is_wrong(loss, y, w, message):
    class OwnError(Exception):
        """A library's exception."""

    class Own(Objective):
        _error = OwnError

    with pytest.raises(OwnError, match=message):
        Own(loss).init_score(y, w)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", [fl.SquaredLoss(), fl.AbsoluteLoss(), fl.LogCoshLoss(), LOGITS,
                                  fl.PoissonLoss()])
def test_init_score_of_several_outputs(loss, weighted):
    rng = np.random.default_rng(0)
    y = np.column_stack([labels_of(loss, seed=seed) for seed in range(3)])
    y *= 1 if loss is LOGITS else [1, 10, 100]
    w = rng.uniform(0.5, 2, len(y)) if weighted else None
    found = Objective(loss).init_score(y, w)
    assert found.shape == (3,)
    assert found.tolist() == [Objective(loss).init_score(column, w) for column in y.T]


def test_several_targets_and_a_single_column():
    rng = np.random.default_rng(0)
    y, p, w = rng.normal(size=(6, 2)), rng.normal(size=(6, 2)), rng.uniform(1, 2, 6)
    grad, hess = Objective(fl.SquaredLoss())._float32(y, p, w)
    np.testing.assert_allclose(grad, 2 * w[:, None] * (p - y), rtol=1e-6)
    np.testing.assert_allclose(hess, np.repeat(2 * w[:, None], 2, axis=1), rtol=1e-6)
    grad, _ = Objective(fl.SquaredLoss())._float32(y[:, 0], p[:, :1], w)
    assert grad.shape == (6, 1)
    np.testing.assert_allclose(grad[:, 0], 2 * w * (p - y)[:, 0], rtol=1e-6)


@pytest.mark.parametrize(("module", "library"), [
    ("xgboost", "XGBoost"), ("lightgbm", "LightGBM"), ("catboost", "CatBoost")])
def test_a_missing_library_is_named(module, library, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, f"fastloss.integrations.{module}", raising=False)
    with pytest.raises(ImportError, match=rf'needs {library}: pip install "fastloss\[{module}\]"'):
        __import__(f"fastloss.integrations.{module}")
