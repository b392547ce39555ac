"""Our losses in scikit-learn's histogram gradient boosting, beside its own."""

import pickle

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import roc_auc_score

import fastloss as fl
from fastloss.integrations import sklearn as adapter
from fastloss.integrations.sklearn import hist_gradient_boosting_loss

pytestmark = pytest.mark.skipif(
    not sklearn.__version__.startswith(tuple(f"{version}." for version in adapter._BOOSTING)),
    reason="the private interface is known of other versions of scikit-learn only")

LOGITS = fl.LogLoss(from_logits=True)


@pytest.fixture(scope="module")
def patients():
    return load_diabetes(return_X_y=True)


def weights(n):
    return np.random.default_rng(0).uniform(0.5, 2, n)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("theirs", "loss"), [
    ("squared_error", fl.SquaredLoss()), ("poisson", fl.PoissonLoss()), ("gamma", fl.GammaLoss()),
    ("absolute_error", fl.AbsoluteLoss()), ("quantile", fl.PinballLoss(quantile=0.8)),
])
def test_regressors_like_scikit_learns(theirs, loss, weighted, patients):
    x, y = patients
    w = weights(len(y)) if weighted else None
    options = {"max_iter": 30, "random_state": 0}
    more = {"quantile": 0.8} if theirs == "quantile" else {}
    ours = HistGradientBoostingRegressor(
        loss=hist_gradient_boosting_loss(loss), **options).fit(x, y, w)
    expected = HistGradientBoostingRegressor(loss=theirs, **more, **options).fit(x, y, w)
    np.testing.assert_allclose(ours.predict(x), expected.predict(x), rtol=1e-5)


@pytest.mark.parametrize("level", [0.1, 0.5, 0.9])
def test_quantiles_of_whole_numbers_like_scikit_learns(level):
    # many targets are met exactly, where the slope is a matter of definition
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 4))
    y = rng.poisson(np.exp(1 + 0.5 * x[:, 0])).astype(float)
    for w in (None, weights(len(y))):
        ours, theirs = (HistGradientBoostingRegressor(
            loss=loss, max_iter=30, **more).fit(x, y, w).predict(x) for loss, more in (
            (hist_gradient_boosting_loss(fl.PinballLoss(quantile=level)), {}),
            ("quantile", {"quantile": level})))
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("weighted", [False, True])
def test_classifier_like_scikit_learns(weighted):
    x, y = load_breast_cancer(return_X_y=True)
    w = weights(len(y)) if weighted else None
    labels = np.array(["malignant", "benign"])[y]
    options = {"max_iter": 30, "early_stopping": True, "random_state": 0}
    ours = HistGradientBoostingClassifier(
        loss=hist_gradient_boosting_loss(LOGITS), **options).fit(x, labels, w)
    theirs = HistGradientBoostingClassifier(**options).fit(x, labels, w)
    np.testing.assert_allclose(ours.predict_proba(x), theirs.predict_proba(x), rtol=1e-4)
    assert (ours.predict(x) == theirs.predict(x)).all()


def test_focal_loss_separates():
    x, y = load_breast_cancer(return_X_y=True)
    model = HistGradientBoostingClassifier(
        loss=hist_gradient_boosting_loss(fl.FocalLoss()), max_iter=50)
    model.fit(x[::2], y[::2])
    assert roc_auc_score(y[1::2], model.predict_proba(x[1::2])[:, 1]) > 0.97


@pytest.mark.parametrize("loss", [
    fl.HuberLoss(delta=20.0), fl.PseudoHuberLoss(delta=20.0), fl.LogCoshLoss(),
    fl.EpsilonInsensitiveLoss(epsilon=5.0), fl.ExpectileLoss(level=0.9), fl.TweedieLoss(),
], ids=repr)
def test_losses_that_scikit_learn_does_not_have(loss, patients):
    x, y = patients
    model = HistGradientBoostingRegressor(loss=hist_gradient_boosting_loss(loss), max_iter=60)
    model.fit(x[::2], y[::2])
    start = model._baseline_prediction.ravel()[0]
    held = y[1::2]
    score = np.asarray(model._raw_predict(x[1::2])).ravel()
    # the Tweedie loss has a constant part
    part = 1.0 if isinstance(loss, fl.TweedieLoss) else 0.9
    assert loss(held, score) < part * loss(held, np.full(len(held), start))
    if part < 1:        # the start is the best constant
        near = [loss(y[::2], np.full(len(y[::2]), start + step)) for step in (-0.01, 0, 0.01)]
        assert near[1] <= min(near) * (1 + 1e-12)


def test_methods_write_where_they_are_told():
    loss = hist_gradient_boosting_loss(fl.HuberLoss())
    y, z, w = np.array([1.0, 2.0, 9.0]), np.array([[1.5], [2.0], [1.0]]), np.array([1.0, 2.0, 3.0])
    value, grad, hess = np.empty(3), np.empty((3, 1), np.float32), np.empty((3, 1), np.float32)
    loss.gradient_hessian(y, z, w, grad, hess)
    assert grad.ravel().tolist() == [0.5, 0.0, -3.0]
    assert hess.ravel().tolist() == [1.0, 2.0, 3.0]
    grad[:] = 0
    loss.loss_gradient(y, z, w, value, grad)
    assert value.tolist() == [0.125, 0.0, 22.5]
    assert grad.ravel().tolist() == [0.5, 0.0, -3.0]
    assert loss.loss(y, z, w).tolist() == value.tolist()
    assert loss.gradient(y, z, w).tolist() == grad.ravel().tolist()
    assert loss.gradient_hessian(y, z)[1].tolist() == [1.0, 1.0, 1.0]
    focal = hist_gradient_boosting_loss(fl.FocalLoss())
    assert (focal.gradient_hessian(np.ones(50), np.linspace(-6, 6, 50))[1] >= 0).all()
    assert (fl.FocalLoss().grad_and_hess(
        np.ones(50), np.linspace(-6, 6, 50))[1] < 0).any()


def test_it_is_cloned_and_pickled(patients):
    x, y = patients
    model = HistGradientBoostingRegressor(
        loss=hist_gradient_boosting_loss(fl.LogCoshLoss()), max_iter=5)
    first, second = clone(model).fit(x, y), pickle.loads(pickle.dumps(model.fit(x, y)))
    np.testing.assert_array_equal(first.predict(x), second.predict(x))
    assert "LogCoshLoss" in repr(second.loss)


@pytest.mark.parametrize(("loss", "error", "match"), [
    (fl.ContrastiveLoss(), TypeError, "loss must be one of .*PoissonLoss"),
    (fl.CrossEntropyLoss(), TypeError, "loss must be one of"),
    ("squared", TypeError, "loss must be one of"),
    (fl.LogLoss(), ValueError, "with from_logits=True"),
    (fl.PoissonLoss(log_input=False), ValueError, "with log_input=True"),
])
def test_losses_that_do_not_fit(loss, error, match):
    with pytest.raises(error, match=match):
        hist_gradient_boosting_loss(loss)


def test_targets_that_do_not_fit(patients):
    x, y = patients
    with pytest.raises(ValueError, match="y must hold numbers >= 0, but 442 of 442 values do not"):
        HistGradientBoostingRegressor(loss=hist_gradient_boosting_loss(fl.PoissonLoss())).fit(x, -y)


def test_early_stopping_and_scores_of_losses(patients):
    x, y = patients
    model = HistGradientBoostingRegressor(
        loss=hist_gradient_boosting_loss(fl.HuberLoss(delta=20.0)), scoring="loss",
        early_stopping=True, n_iter_no_change=3, random_state=0).fit(x, y)
    assert 3 < model.n_iter_ < 100
    assert model.train_score_[-1] > model.train_score_[0]


def test_other_versions(monkeypatch):
    monkeypatch.setattr(sklearn, "__version__", "1.90.0")
    with pytest.raises(NotImplementedError, match=r"tested with 1\.9 only; this is 1\.90\.0"):
        hist_gradient_boosting_loss(fl.SquaredLoss())
