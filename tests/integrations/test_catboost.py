"""Losses as objectives and metrics of CatBoost, beside its own."""

import copy
import pickle

import numpy as np
import pytest
from boosters import LOGITS, NEW, cancer, diabetes, digits, new_loss
from sklearn.base import clone

import fastloss as fl

cb = pytest.importorskip("catboost", reason="CatBoost is not installed")

from catboost import CatBoostError  # noqa: E402

from fastloss.integrations.catboost import MulticlassObjective, metric, objective  # noqa: E402

# bootstrap: that of an objective of one's own is another than that of CatBoost's
OPTIONS = {"iterations": 20, "depth": 4, "learning_rate": 0.3, "bootstrap_type": "No",
           "verbose": False, "thread_count": 1, "allow_writing_files": False}
NEWTON = {"leaf_estimation_method": "Newton", "leaf_estimation_iterations": 1,
          "boost_from_average": False}

BUILT_IN = {
    "log loss": (cb.CatBoostClassifier, cancer, {"loss_function": "Logloss", **NEWTON}, LOGITS,
                 {"leaf_estimation_iterations": 1}),
    "half squares": (cb.CatBoostRegressor, diabetes, {"loss_function": "RMSE", **NEWTON},
                     fl.ExpectileLoss(), {}),
    "Poisson": (cb.CatBoostRegressor, lambda: scaled(diabetes()),
                {"loss_function": "Poisson", **NEWTON}, fl.PoissonLoss(), {"hessian": "exact"}),
    "softmax": (cb.CatBoostClassifier, digits, {"loss_function": "MultiClass"},
                fl.CrossEntropyLoss(), {"classes_count": 10}),
}


def scaled(data):
    x, y, x_test, y_test, w = data
    return x, y / 50, x_test, y_test / 50, w


def custom(loss, hessian="auto", **options):
    return {**OPTIONS, "loss_function": objective(loss, hessian=hessian),
            "eval_metric": metric(loss), **options}


def raw(model, x):
    return model.predict(x, prediction_type="RawFormulaVal")


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", BUILT_IN)
def test_equal_to_the_built_in_objective(name, weighted):
    kind, data, theirs, loss, ours = BUILT_IN[name]
    x, y, x_test, y_test, w = data()
    w = w if weighted else None
    built_in = kind(**OPTIONS, **theirs).fit(x, y, sample_weight=w)
    model = kind(**custom(loss, **ours)).fit(x, y, sample_weight=w,
                                             eval_set=(x_test, y_test), use_best_model=False)
    np.testing.assert_allclose(raw(model, x_test), raw(built_in, x_test), rtol=1e-9,
                               atol=1e-9 * np.ptp(raw(built_in, x_test)))
    history = model.get_evals_result()
    assert history["validation"][metric(loss).name][-1] == pytest.approx(
        loss(y_test, raw(model, x_test)), rel=1e-6)
    assert history["learn"][metric(loss).name][-1] == pytest.approx(
        loss(y, raw(model, x), w), rel=1e-6)


def test_more_than_one_block_of_rows():
    x, y, x_test, _, _ = cancer()
    x, y = np.tile(x, (6, 1)), np.tile(y, 6)
    built_in = cb.CatBoostClassifier(**OPTIONS, loss_function="Logloss", **NEWTON).fit(x, y)
    model = cb.CatBoostClassifier(**custom(LOGITS, leaf_estimation_iterations=1)).fit(x, y)
    np.testing.assert_allclose(raw(model, x_test), raw(built_in, x_test), rtol=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
def test_started_where_the_library_starts(weighted):
    x, y, x_test, _, w = diabetes()
    w = w if weighted else None
    loss = fl.ExpectileLoss()
    start = objective(loss).init_score(y, w)
    data = cb.Pool(x, y, weight=w, baseline=np.full(len(y), start))
    model = cb.CatBoostRegressor(**custom(loss)).fit(data)
    built_in = cb.CatBoostRegressor(**OPTIONS, loss_function="RMSE").fit(x, y, sample_weight=w)
    # CatBoost's start is rounded to float32
    np.testing.assert_allclose(start + model.predict(x_test), built_in.predict(x_test), rtol=1e-6)


def test_derivatives_of_a_block():
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=1000), (rng.random(1000) < 0.5).astype(np.float32)
    w = rng.uniform(0.5, 2, 1000).astype(np.float32)
    grad, hess = LOGITS.replace(reduction="none").grad_and_hess(y, z, w)
    ders = objective(LOGITS).calc_ders_range(z, y, w)
    assert ders.shape == (1000, 2)
    np.testing.assert_array_equal(ders, -np.column_stack([grad, hess]))


@pytest.mark.parametrize("loss", [
    fl.CrossEntropyLoss(),
    fl.CrossEntropyLoss(label_smoothing=0.1, class_weight=[1.0, 2.0, 0.5, 1.0])])
def test_derivatives_of_a_row_of_classes(loss):
    z, step = np.array([0.3, -1.0, 2.0, 0.0]), 1e-5
    grad, matrix = objective(loss).calc_ders_multi(z, 2.0, 1.5)
    one = loss.replace(reduction="sum")
    np.testing.assert_allclose(grad, -1.5 * one.grad([2], z[None])[0], rtol=1e-14)
    numeric = [(one.grad([2], (z + d)[None]) - one.grad([2], (z - d)[None]))[0] / (2 * step)
               for d in step * np.eye(4)]
    np.testing.assert_allclose(matrix, -1.5 * np.array(numeric), rtol=1e-7)
    _, matrix = objective(loss).calc_ders_multi(np.array([900.0, 0, 0, 0]), 2.0, 1.0)
    np.testing.assert_allclose(matrix, -1e-16 * np.eye(4))       # the floor


def test_the_other_interface_trains_the_same_model():
    x, y, x_test, _, w = cancer()
    estimator = cb.CatBoostClassifier(**custom(LOGITS)).fit(x, y, sample_weight=w)
    model = cb.train(cb.Pool(x, y, weight=w), custom(LOGITS))
    np.testing.assert_array_equal(raw(model, x_test), raw(estimator, x_test))


def test_early_stopping_by_the_metric():
    x, y, x_test, y_test, w = diabetes()
    loss = fl.ExpectileLoss(level=0.9)
    model = cb.CatBoostRegressor(**custom(loss, iterations=300, early_stopping_rounds=5))
    model.fit(x, y, eval_set=cb.Pool(x_test, y_test, weight=w[:len(y_test)]))
    history = model.get_evals_result()["validation"]["expectile_loss(level=0.9)"]
    assert len(history) < 300
    assert model.get_best_iteration() == int(np.argmin(history))
    assert min(history) == pytest.approx(
        loss(y_test, model.predict(x_test), w[:len(y_test)]), rel=1e-6)


def test_pickles():
    for loss in (LOGITS, fl.CrossEntropyLoss()):
        thing = objective(loss, hess_floor=0.5)
        assert pickle.loads(pickle.dumps(thing)) == thing
        assert isinstance(thing, MulticlassObjective) == (loss is not LOGITS)
        assert thing.no_jit and metric(loss).no_jit     # nothing for Numba to compile
    assert pickle.loads(pickle.dumps(metric(LOGITS))) == metric(LOGITS)
    x, y, x_test, _, _ = cancer()
    model = cb.CatBoostClassifier(**custom(LOGITS)).fit(x, y)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(raw(again, x_test), raw(model, x_test))


def test_clones_of_estimators_and_names_of_metrics():
    x, y, x_test, _, _ = diabetes()
    loss = fl.PinballLoss(quantile=0.9)
    for named in (metric(loss), metric(loss, name="mine")):
        model = cb.CatBoostRegressor(**{**OPTIONS, "loss_function": objective(loss),
                                        "eval_metric": named})
        again = clone(model).fit(x, y)
        assert again.get_params()["loss_function"] is model.get_params()["loss_function"]
        np.testing.assert_array_equal(again.predict(x_test), model.fit(x, y).predict(x_test))
        name = "mine" if named.name == "mine" else "pinball_loss(quantile=0.9)"
        assert named.name == name and name in again.get_evals_result()["learn"]
        assert pickle.loads(pickle.dumps(named)) == named
        assert copy.deepcopy(named) is named
    assert metric(loss) != metric(loss, name="mine")


@pytest.mark.parametrize("name", NEW)
def test_losses_that_catboost_lacks_lower_what_they_measure(name):
    loss, options, (x, y, x_test, y_test) = new_loss(name)
    ours = objective(loss, **options)
    start = ours.init_score(y)
    model = cb.CatBoostRegressor(**{**custom(loss), "loss_function": ours}).fit(
        cb.Pool(x, y, baseline=np.full(len(y), start)))
    if name == "focal":
        built_in = cb.CatBoostClassifier(**OPTIONS).fit(x, y)
    else:
        built_in = cb.CatBoostRegressor(**OPTIONS).fit(x, 1 - y if name == "contrastive" else y)
    value = loss(y_test, start + raw(model, x_test))
    assert value < 0.97 * loss(y_test, raw(built_in, x_test))
    assert value < 0.9 * loss(y_test, np.full(len(y_test), start))


def test_refusals_come_before_the_first_tree():
    x, y, *_ = digits()
    with pytest.raises(CatBoostError, match=r"y_true must hold labels in \[0, 1\]"):
        cb.CatBoostRegressor(**custom(LOGITS)).fit(x, y)
    with pytest.raises(CatBoostError, match="y_true must hold numbers > 0"):
        cb.CatBoostRegressor(**custom(fl.GammaLoss())).fit(x, y)
    with pytest.raises(CatBoostError, match="needs a score for each class"):
        cb.CatBoostRegressor(**custom(fl.CrossEntropyLoss(), eval_metric="RMSE")).fit(x, y)
    with pytest.raises(CatBoostError, match="y_pred must have one column, as LogLoss"):
        cb.CatBoostClassifier(**custom(LOGITS, eval_metric="MultiClass")).fit(x, y)
    with pytest.raises(CatBoostError, match="y_pred must have a column for each class"):
        metric(fl.CrossEntropyLoss()).evaluate((np.zeros(3),), np.zeros(3), None)
    with pytest.raises(CatBoostError, match="class numbers from 0 to 2"):
        metric(fl.CrossEntropyLoss()).evaluate((np.zeros(3),) * 3, np.full(3, 5.0), None)
    with pytest.raises(CatBoostError, match=r"y_true must hold labels.*index 2"):
        objective(LOGITS).calc_ders_range(np.zeros(3), np.array([0.0, 1.0, 2.0]), None)
    with pytest.raises(CatBoostError, match="sample_weight"):
        objective(LOGITS).calc_ders_range(np.zeros(3), np.zeros(3), np.ones(2))
    with pytest.raises(CatBoostError, match="y_true must hold labels"):
        objective(LOGITS).init_score(y)
