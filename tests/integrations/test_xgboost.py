"""Losses as objectives and metrics of XGBoost, beside its own."""

import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from boosters import LOGITS, NEW, cancer, diabetes, digits, new_loss
from scipy.special import expit
from sklearn.base import clone

import fastloss as fl

xgb = pytest.importorskip("xgboost", reason="XGBoost is not installed")

from xgboost.core import XGBoostError  # noqa: E402

from fastloss.integrations.xgboost import metric, objective  # noqa: E402

OPTIONS = {"n_estimators": 20, "max_depth": 3, "n_jobs": 1}
NATIVE = {"max_depth": 3, "nthread": 1, "base_score": 0.0}


# each: estimator, data, its own objective's options, the loss, the options that make it equal
BUILT_IN = {
    "log loss": (xgb.XGBClassifier, cancer, {"base_score": 0.5}, LOGITS, {"base_score": 0.5}, {}),
    "half squares": (xgb.XGBRegressor, diabetes, {"base_score": 100.0}, fl.ExpectileLoss(),
                     {"base_score": 100.0}, {}),
    # its gradient and hessian are twice those of reg:squarederror
    "squares": (xgb.XGBRegressor, diabetes, {"base_score": 100.0}, fl.SquaredLoss(),
                {"base_score": 100.0, "reg_lambda": 2.0, "min_child_weight": 2.0}, {}),
    "softmax": (xgb.XGBClassifier, digits, {"base_score": 0.5}, fl.CrossEntropyLoss(),
                {"base_score": 0.5}, {"hessian": "xgboost"}),
}


def raw(model, x):
    return model.get_booster().predict(xgb.DMatrix(x), output_margin=True)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", BUILT_IN)
def test_equal_to_the_built_in_objective(name, weighted):
    kind, data, theirs, loss, ours, options = BUILT_IN[name]
    x, y, x_test, _, w = data()
    w = w if weighted else None
    built_in = kind(**OPTIONS, **theirs).fit(x, y, sample_weight=w)
    model = kind(**OPTIONS, **ours, objective=objective(loss, **options)).fit(
        x, y, sample_weight=w)
    expected, found = raw(built_in, x_test), raw(model, x_test)
    # float32: gradients may differ in the last bit
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.ptp(expected))
    if kind is xgb.XGBClassifier:
        np.testing.assert_allclose(model.predict_proba(x_test), built_in.predict_proba(x_test),
                                   atol=1e-5)
    if weighted:
        plain = kind(**OPTIONS, **ours, objective=objective(loss, **options)).fit(x, y)
        assert np.abs(raw(plain, x_test) - expected).max() > 0.01 * np.ptp(expected)


@pytest.mark.parametrize("weighted", [False, True])
def test_started_where_the_library_starts(weighted):
    x, y, x_test, _, w = cancer()
    w = w if weighted else None
    start = objective(LOGITS).init_score(y, w)
    built_in = xgb.XGBClassifier(**OPTIONS).fit(x, y, sample_weight=w)
    for options, margins in (({"base_score": expit(start)}, None),
                             ({}, np.full(len(y), start))):
        model = xgb.XGBClassifier(**OPTIONS, **options, objective=objective(LOGITS)).fit(
            x, y, sample_weight=w, base_margin=margins)
        test = xgb.DMatrix(x_test, base_margin=None if margins is None else margins[:len(x_test)])
        np.testing.assert_allclose(model.get_booster().predict(test, output_margin=True),
                                   raw(built_in, x_test), rtol=1e-4)
    x, y, x_test, _, w = diabetes()
    w = w if weighted else None
    start = objective(fl.ExpectileLoss()).init_score(y, w)
    model = xgb.XGBRegressor(**OPTIONS, base_score=start, objective=objective(fl.ExpectileLoss()))
    np.testing.assert_allclose(
        model.fit(x, y, sample_weight=w).predict(x_test),
        xgb.XGBRegressor(**OPTIONS).fit(x, y, sample_weight=w).predict(x_test), rtol=1e-4)


def test_both_interfaces_train_the_same_model():
    x, y, x_test, y_test, w = cancer()
    estimator = xgb.XGBClassifier(**OPTIONS, base_score=0.5, objective=objective(LOGITS),
                                  eval_metric=metric(LOGITS))
    estimator.fit(x, y, sample_weight=w, eval_set=[(x_test, y_test)], verbose=False)
    logs = {}
    test = xgb.DMatrix(x_test, y_test)
    booster = xgb.train(NATIVE, xgb.DMatrix(x, y, weight=w), 20, obj=objective(LOGITS),
                        custom_metric=metric(LOGITS), evals=[(test, "test")],
                        evals_result=logs, verbose_eval=False)
    margins = booster.predict(test, output_margin=True)
    np.testing.assert_array_equal(raw(estimator, x_test), margins)
    history = logs["test"]["log_loss(from_logits=True)"]
    np.testing.assert_allclose(estimator.evals_result()["validation_0"][metric(LOGITS).name],
                               history, rtol=1e-6)
    assert history[-1] == pytest.approx(LOGITS(y_test, margins), rel=1e-5)


def test_weights_of_the_metric():
    x, y, x_test, y_test, w = diabetes()
    w = w[:len(y_test)]
    loss = fl.AbsoluteLoss()
    model = xgb.XGBRegressor(**OPTIONS, eval_metric=metric(loss)).fit(
        x, y, eval_set=[(x_test, y_test)], sample_weight_eval_set=[w], verbose=False)
    last = model.evals_result()["validation_0"]["absolute_loss"][-1]
    assert last == pytest.approx(loss(y_test, model.predict(x_test), w), rel=1e-5)


def test_early_stopping_by_the_metric():
    x, y, x_test, y_test, _ = diabetes()
    loss = fl.ExpectileLoss(level=0.9)
    start = objective(loss).init_score(y)
    model = xgb.XGBRegressor(n_estimators=300, n_jobs=1, base_score=start,
                             objective=objective(loss), eval_metric=metric(loss),
                             early_stopping_rounds=5)
    model.fit(x, y, eval_set=[(x_test, y_test)], verbose=False)
    history = model.evals_result()["validation_0"]["expectile_loss(level=0.9)"]
    assert len(history) < 300
    assert model.best_iteration == int(np.argmin(history))
    assert model.best_score == pytest.approx(loss(y_test, model.predict(x_test)), rel=1e-5)


def test_pickled_and_cloned_models():
    x, y, x_test, _, _ = digits()
    model = xgb.XGBClassifier(n_estimators=3, n_jobs=1,
                              objective=objective(fl.CrossEntropyLoss(), hessian="xgboost"),
                              eval_metric=metric(fl.CrossEntropyLoss())).fit(x, y)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(x_test), model.predict_proba(x_test))
    assert again.objective == model.objective
    refitted = clone(model).fit(x, y)
    np.testing.assert_array_equal(refitted.predict_proba(x_test), model.predict_proba(x_test))


@pytest.mark.parametrize("name", NEW)
def test_losses_that_xgboost_lacks_lower_what_they_measure(name):
    loss, options, (x, y, x_test, y_test) = new_loss(name)
    start = objective(loss).init_score(y)
    model = xgb.XGBRegressor(**OPTIONS, base_score=start,
                             objective=objective(loss, **options)).fit(x, y)
    built_in = xgb.XGBRegressor(**OPTIONS).fit(x, 1 - y if name == "contrastive" else y)
    if name == "focal":
        built_in = xgb.XGBClassifier(**OPTIONS).fit(x, y)
    ours, theirs = loss(y_test, raw(model, x_test)), loss(y_test, raw(built_in, x_test))
    assert ours < 0.97 * theirs
    assert ours < 0.9 * loss(y_test, np.full(len(y_test), start))


def test_metrics_of_one_class_have_names_of_their_own():
    x, y, x_test, y_test, _ = diabetes()
    metrics = [metric(fl.PinballLoss(quantile=0.1)), metric(fl.PinballLoss(quantile=0.9)),
               metric(fl.HingeLoss(labels=(-1, 1)), name="mine")]
    names = ["pinball_loss(quantile=0.1)", "pinball_loss(quantile=0.9)", "mine"]
    for each, name in zip(metrics, names, strict=True):
        logs = {}
        xgb.train({**NATIVE, "disable_default_eval_metric": 1}, xgb.DMatrix(x, np.sign(y - 150)), 3,
                  evals=[(xgb.DMatrix(x_test, np.where(y_test > 150, 1, -1)), "test")],
                  custom_metric=each, evals_result=logs, verbose_eval=False)
        assert list(logs["test"]) == [name]
        assert len(logs["test"][name]) == 3
        assert each.__name__ == name
    with pytest.raises(ValueError, match="name must be a str without blanks and colons"):
        metric(fl.SquaredLoss(), name="my metric")


def test_refusals_come_before_the_first_tree():
    x, y, *_ = digits()
    fit = {"X": x, "y": y}
    with pytest.raises(XGBoostError, match=r"y_true must hold labels in \[0, 1\]"):
        xgb.XGBRegressor(objective=objective(LOGITS)).fit(**fit)
    with pytest.raises(XGBoostError, match="y_pred must have one column, as LogLoss"):
        xgb.XGBClassifier(objective=objective(LOGITS)).fit(**fit)
    with pytest.raises(XGBoostError, match="y_pred must have a column for each class"):
        xgb.XGBRegressor(objective=objective(fl.CrossEntropyLoss())).fit(**fit)
    with pytest.raises(XGBoostError, match="class numbers from 0 to 2"):
        xgb.train({"num_class": 3}, xgb.DMatrix(x, y), 1, obj=objective(fl.CrossEntropyLoss()))
    with pytest.raises(XGBoostError, match="y_true must hold numbers > 0"):
        xgb.train({}, xgb.DMatrix(x, y), 1, obj=objective(fl.GammaLoss()))
    with pytest.raises(XGBoostError, match="sample_weight must have a weight for each of the 3"):
        objective(LOGITS)([0, 1, 1], np.zeros(3, np.float32), [1.0])
    with pytest.raises(XGBoostError, match="y_true must hold labels"):
        objective(LOGITS).init_score(y)


def test_several_targets():
    x, y, x_test, _, _ = diabetes()
    y = np.column_stack([y, -y])
    options = {"n_estimators": 5, "n_jobs": 1, "base_score": 0.0}
    built_in = xgb.XGBRegressor(**options).fit(x, y)
    model = xgb.XGBRegressor(**options, objective=objective(fl.ExpectileLoss())).fit(x, y)
    np.testing.assert_allclose(model.predict(x_test), built_in.predict(x_test), rtol=1e-4,
                               atol=1e-3)


def test_readme_prints_what_it_says(capsys):
    text = (Path(__file__).resolve().parents[2] / "README.md").read_text()
    code, printed = re.search(
        r"^## In boosters\n\n```python\n(.*?)```\n\n```\n(.*?)```", text, re.M | re.S).groups()
    exec(code, {})
    shown, found = ([float(x) for x in out.split()] for out in (printed, capsys.readouterr().out))
    assert found == pytest.approx(shown, rel=0.02)      # of other versions of XGBoost too
    assert shown[1] < 0.7 * shown[0]
