"""Losses as objectives and metrics of LightGBM, beside its own."""

import pickle

import numpy as np
import pytest
from boosters import LOGITS, NEW, cancer, diabetes, digits, new_loss
from sklearn.base import clone

import fastloss as fl

lgb = pytest.importorskip("lightgbm", reason="LightGBM is not installed")

from lightgbm.basic import LightGBMError  # noqa: E402

from fastloss.integrations.lightgbm import metric, objective  # noqa: E402

# the name of older versions
pytestmark = pytest.mark.filterwarnings("ignore:The argument 'eval_set' is deprecated")
OPTIONS = {"n_estimators": 20, "num_leaves": 7, "n_jobs": 1, "verbose": -1}
NATIVE = {"num_leaves": 7, "num_threads": 1, "verbose": -1}
EVERYWHERE = pytest.mark.parametrize("weighted", [False, True])

BUILT_IN = {
    "log loss": (lgb.LGBMClassifier, cancer, {}, LOGITS, {}),
    # twice the gradient and hessian of "regression", which makes no difference without a penalty
    "squares": (lgb.LGBMRegressor, diabetes, {}, fl.SquaredLoss(), {}),
    "half squares": (lgb.LGBMRegressor, diabetes, {}, fl.ExpectileLoss(), {}),
    "softmax": (lgb.LGBMClassifier, digits, {}, fl.CrossEntropyLoss(), {"hessian": "lightgbm"}),
    "Huber": (lgb.LGBMRegressor, diabetes, {"objective": "huber", "alpha": 10.0},
              fl.HuberLoss(delta=10.0), {}),
}


@EVERYWHERE
@pytest.mark.parametrize("name", BUILT_IN)
def test_equal_to_the_built_in_objective(name, weighted):
    kind, data, theirs, loss, options = BUILT_IN[name]
    x, y, x_test, _, w = data()
    w = w if weighted else None
    start = np.full(len(y), 150.0) if kind is lgb.LGBMRegressor else None
    built_in = kind(**OPTIONS, **theirs, boost_from_average=False).fit(
        x, y, sample_weight=w, init_score=start)
    model = kind(**OPTIONS, objective=objective(loss, **options)).fit(
        x, y, sample_weight=w, init_score=start)
    expected = built_in.predict(x_test, raw_score=True)
    found = model.predict(x_test, raw_score=True)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6 * np.ptp(expected))
    if weighted:
        plain = kind(**OPTIONS, objective=objective(loss, **options)).fit(
            x, y, init_score=start)
        assert np.abs(plain.predict(x_test, raw_score=True) - expected).max() > (
            0.01 * np.ptp(expected))


@EVERYWHERE
@pytest.mark.parametrize(("kind", "data", "loss"), [
    (lgb.LGBMClassifier, cancer, LOGITS), (lgb.LGBMRegressor, diabetes, fl.SquaredLoss())])
def test_started_where_the_library_starts(kind, data, loss, weighted):
    x, y, x_test, _, w = data()
    w = w if weighted else None
    start = objective(loss).init_score(y, w)
    model = kind(**OPTIONS, objective=objective(loss)).fit(
        x, y, sample_weight=w, init_score=np.full(len(y), start))
    built_in = kind(**OPTIONS).fit(x, y, sample_weight=w)
    np.testing.assert_allclose(start + model.predict(x_test, raw_score=True),
                               built_in.predict(x_test, raw_score=True), rtol=1e-5)


def test_gradients_are_not_copied():
    z = np.asfortranarray(np.zeros((5, 3)))
    for part in objective(fl.CrossEntropyLoss())(np.arange(5) % 3, z, None):
        assert part.dtype == np.float32
        assert np.shares_memory(part.ravel("F"), part)


def test_both_interfaces_train_the_same_model():
    x, y, x_test, y_test, w = cancer()
    estimator = lgb.LGBMClassifier(**OPTIONS, objective=objective(LOGITS))
    estimator.fit(x, y, sample_weight=w, eval_set=[(x_test, y_test)], eval_metric=metric(LOGITS))
    logs = {}
    data = lgb.Dataset(x, y, weight=w)
    booster = lgb.train({**NATIVE, "objective": objective(LOGITS)}, data, 20,
                        valid_sets=[lgb.Dataset(x_test, y_test, reference=data)],
                        feval=metric(LOGITS), callbacks=[lgb.record_evaluation(logs)])
    margins = booster.predict(x_test)
    np.testing.assert_array_equal(estimator.predict(x_test, raw_score=True), margins)
    history = logs["valid_0"]["log_loss(from_logits=True)"]
    np.testing.assert_allclose(estimator.evals_result_["valid_0"][metric(LOGITS).name], history,
                               rtol=1e-12)
    assert history[-1] == pytest.approx(LOGITS(y_test, margins), rel=1e-12)


def test_weights_of_the_metric():
    x, y, x_test, y_test, w = diabetes()
    w = w[:len(y_test)].astype(np.float32)
    loss = fl.AbsoluteLoss()
    model = lgb.LGBMRegressor(**OPTIONS).fit(x, y, eval_set=[(x_test, y_test)],
                                             eval_sample_weight=[w], eval_metric=metric(loss))
    last = model.evals_result_["valid_0"]["absolute_loss"][-1]
    assert last == pytest.approx(loss(y_test, model.predict(x_test), w), rel=1e-12)


def test_early_stopping_by_the_metric():
    x, y, x_test, y_test, _ = diabetes()
    loss = fl.ExpectileLoss(level=0.9)
    start = objective(loss).init_score(y)
    model = lgb.LGBMRegressor(n_estimators=300, n_jobs=1, verbose=-1, objective=objective(loss),
                              metric="none")
    model.fit(x, y, init_score=np.full(len(y), start), eval_set=[(x_test, y_test)],
              eval_init_score=[np.full(len(y_test), start)], eval_metric=metric(loss),
              callbacks=[lgb.early_stopping(5, verbose=False)])
    history = model.evals_result_["valid_0"]["expectile_loss(level=0.9)"]
    assert len(history) < 300
    assert model.best_iteration_ == int(np.argmin(history)) + 1
    best = loss(y_test, start + model.predict(x_test))
    assert model.best_score_["valid_0"][metric(loss).name] == pytest.approx(best, rel=1e-12)


def test_pickled_and_cloned_models():
    x, y, x_test, _, _ = digits()
    model = lgb.LGBMClassifier(n_estimators=3, n_jobs=1, verbose=-1,
                               objective=objective(fl.CrossEntropyLoss())).fit(x, y)
    again = pickle.loads(pickle.dumps(model))
    scores = model.predict(x_test, raw_score=True)
    assert scores.shape == (len(x_test), 10)
    np.testing.assert_array_equal(again.predict(x_test, raw_score=True), scores)
    assert again.objective == model.objective
    refitted = clone(model).fit(x, y)
    np.testing.assert_array_equal(refitted.predict(x_test, raw_score=True), scores)


@pytest.mark.parametrize("name", NEW)
def test_losses_that_lightgbm_lacks_lower_what_they_measure(name):
    loss, options, (x, y, x_test, y_test) = new_loss(name)
    start = objective(loss).init_score(y)
    model = lgb.LGBMRegressor(**OPTIONS, objective=objective(loss, **options)).fit(
        x, y, init_score=np.full(len(y), start))
    if name == "focal":
        built_in = lgb.LGBMClassifier(**OPTIONS).fit(x, y)
    else:
        built_in = lgb.LGBMRegressor(**OPTIONS).fit(x, 1 - y if name == "contrastive" else y)
    ours = loss(y_test, start + model.predict(x_test))
    assert ours < 0.97 * loss(y_test, built_in.predict(x_test, raw_score=True))
    assert ours < 0.9 * loss(y_test, np.full(len(y_test), start))


def test_metrics_of_one_class_have_names_of_their_own():
    x, y, x_test, y_test, _ = diabetes()
    low, high = (metric(fl.PinballLoss(quantile=level)) for level in (0.1, 0.9))
    model = lgb.LGBMRegressor(n_estimators=6, n_jobs=1, verbose=-1).fit(
        x, y, eval_set=[(x_test, y_test)], eval_metric=[low, high],
        callbacks=[lgb.early_stopping(3, verbose=False)])
    history = model.evals_result_["valid_0"]
    assert {len(history[f"pinball_loss(quantile={level})"]) for level in (0.1, 0.9)} == {6}
    cv = lgb.cv({**NATIVE, "objective": "l2"}, lgb.Dataset(x, y), 3, nfold=2, stratified=False,
                feval=[low, metric(fl.PinballLoss(quantile=0.1), name="again"), high])
    for name in ("pinball_loss(quantile=0.1)", "again", "pinball_loss(quantile=0.9)"):
        assert len(cv[f"valid {name}-mean"]) == 3
    assert cv["valid again-mean"] == cv["valid pinball_loss(quantile=0.1)-mean"]


@pytest.mark.parametrize("loss", [fl.HuberLoss(delta=0.1), fl.ContrastiveLoss(pos_margin=0.25)])
def test_a_start_without_a_split_is_warned_of(loss):
    x, y, *_ = diabetes()
    y = y if isinstance(loss, fl.HuberLoss) else (y > 150).astype(float)
    for w in (None, np.linspace(0.5, 2, len(y))):
        with pytest.warns(UserWarning, match=r"finds no split.*objective\.init_score\(y\)"):
            model = lgb.LGBMRegressor(**OPTIONS, objective=objective(loss)).fit(
                x, y, sample_weight=w)
        assert np.ptp(model.predict(x)) == 0
        start = np.full(len(y), objective(loss).init_score(y, w))
        model = lgb.LGBMRegressor(**OPTIONS, objective=objective(loss)).fit(
            x, y, sample_weight=w, init_score=start)
        assert np.ptp(model.predict(x)) > 0


def test_refusals_come_before_the_first_tree():
    x, y, *_ = digits()
    with pytest.raises(LightGBMError, match=r"y_true must hold labels in \[0, 1\]"):
        lgb.LGBMRegressor(**OPTIONS, objective=objective(LOGITS)).fit(x, y)
    with pytest.raises(LightGBMError, match="y_pred must have one column, as LogLoss"):
        lgb.LGBMClassifier(**OPTIONS, objective=objective(LOGITS)).fit(x, y)
    with pytest.raises(LightGBMError, match="y_pred must have a column for each class"):
        lgb.LGBMRegressor(**OPTIONS, objective=objective(fl.CrossEntropyLoss())).fit(x, y)
    with pytest.raises(LightGBMError, match="class numbers from 0 to 2"):
        lgb.train({**NATIVE, "num_class": 3, "objective": objective(fl.CrossEntropyLoss())},
                  lgb.Dataset(x, y), 1)
    with pytest.raises(LightGBMError, match="y_true must hold numbers > 0"):
        lgb.train({**NATIVE, "objective": objective(fl.GammaLoss())}, lgb.Dataset(x, y), 1)
    with pytest.raises(LightGBMError, match="sample_weight must have a weight for each of the 3"):
        objective(LOGITS)([0, 1, 1], np.zeros(3), [1.0])
    with pytest.raises(LightGBMError, match="y_true must hold labels"):
        objective(LOGITS).init_score(y)
