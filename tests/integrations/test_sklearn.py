"""Scorers of our metrics in scikit-learn's model selection."""

import copy

import numpy as np
import pytest
import sklearn
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor, Ridge
from sklearn.metrics import (
    brier_score_loss,
    get_scorer,
    hinge_loss,
    make_scorer,
    mean_pinball_loss,
)
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

import fastloss as fl
from fastloss import metrics
from fastloss.integrations.sklearn import scorer

SCORINGS = {
    "log_loss": "neg_log_loss",
    "brier_score_loss": "neg_brier_score",
    "mean_absolute_error": "neg_mean_absolute_error",
    "mean_squared_error": "neg_mean_squared_error",
    "root_mean_squared_error": "neg_root_mean_squared_error",
    "mean_squared_log_error": "neg_mean_squared_log_error",
    "root_mean_squared_log_error": "neg_root_mean_squared_log_error",
    "mean_absolute_percentage_error": "neg_mean_absolute_percentage_error",
    "mean_poisson_deviance": "neg_mean_poisson_deviance",
    "mean_gamma_deviance": "neg_mean_gamma_deviance",
    "d2_log_loss_score": "d2_log_loss_score",
}


@pytest.fixture(scope="module")
def models():
    """A fitted model and test data for two classes, ten classes and a positive number."""
    fitted = {}
    for name, load, model in (
        ("two", load_breast_cancer, make_pipeline(StandardScaler(), LogisticRegression())),
        ("ten", load_digits, make_pipeline(StandardScaler(), LogisticRegression())),
        ("number", load_diabetes, PoissonRegressor(max_iter=1000)),
    ):
        x, y = load(return_X_y=True)
        fitted[name] = model.fit(x[::2], y[::2]), x[1::2], y[1::2]
    return fitted


@pytest.mark.parametrize("name", SCORINGS)
def test_scorers_score_like_scikit_learns(name, models):
    data = ["two", "ten"] if name in (
        "log_loss", "brier_score_loss", "d2_log_loss_score") else ["number"]
    for key in data:
        model, x, y = models[key]
        theirs = get_scorer(SCORINGS[name])
        w = np.linspace(0, 1, len(y))
        for ours in (scorer(name), scorer(SCORINGS[name])):
            # a rounded 1 - p is what the logarithm of theirs sees
            assert ours(model, x, y) == pytest.approx(theirs(model, x, y), rel=1e-11)
            assert ours(model, x, y, sample_weight=w) == pytest.approx(
                theirs(model, x, y, sample_weight=w), rel=1e-11)


@pytest.mark.parametrize("name", metrics.__all__)
def test_every_metric_has_a_scorer(name, models):
    key = "two" if name in ("log_loss", "brier_score_loss", "hinge_loss",
                            "d2_log_loss_score") else "number"
    model, x, y = models[key]
    value = scorer(name)(model, x, y)
    is_score = name == "d2_log_loss_score"
    assert (value > 0) == is_score
    assert scorer("neg_" + name)(model, x, y) == (-value if is_score else value)


@pytest.mark.parametrize(("loss", "name"), [
    (fl.PinballLoss(quantile=0.9), "pinball_loss(quantile=0.9)"), (fl.HuberLoss(), "huber_loss"),
    (fl.SupConLoss(temperature=0.5), "sup_con_loss(temperature=0.5)"),
    (fl.LogLoss(eps="auto", from_logits=True), "log_loss(eps='auto',from_logits=True)"),
    (fl.HingeLoss(labels=(-1, 1)), "hinge_loss(labels=(-1,1))")])
def test_losses_have_names(loss, name):
    assert loss.__name__ == name
    assert type(loss).__name__ in repr(loss)


def test_a_loss_is_a_score_function(models):
    model, x, y = models["number"]
    loss = fl.PinballLoss(quantile=0.9)
    made = make_scorer(loss, greater_is_better=False)
    assert "pinball_loss(quantile=0.9)" in repr(made)
    assert made(model, x, y) == -loss(y, model.predict(x))
    assert copy.deepcopy(loss) is loss


def test_parameters_reach_the_metric(models):
    model, x, y = models["number"]
    predicted = model.predict(x)
    assert scorer("mean_pinball_loss", alpha=0.9)(model, x, y) == -metrics.mean_pinball_loss(
        y, predicted, alpha=0.9)


def test_cross_validation_and_grid_search():
    x, y = load_breast_cancer(return_X_y=True)
    model = make_pipeline(StandardScaler(), LogisticRegression())
    ours, theirs = (cross_val_score(model, x, y, scoring=s) for s in (
        scorer("log_loss"), "neg_log_loss"))
    np.testing.assert_allclose(ours, theirs, rtol=1e-11)
    grid = {"logisticregression__C": [0.01, 1.0]}
    searches = [GridSearchCV(model, grid, scoring=s, cv=3).fit(x, y) for s in (
        scorer("neg_brier_score"), "neg_brier_score")]
    assert searches[0].best_params_ == searches[1].best_params_
    assert searches[0].best_score_ == pytest.approx(searches[1].best_score_, rel=1e-12)


def test_sample_weights_are_routed():
    x, y = load_diabetes(return_X_y=True)
    w = np.linspace(0, 1, len(y))
    with sklearn.config_context(enable_metadata_routing=True):
        results = [
            cross_validate(LinearRegression().set_fit_request(sample_weight=False), x, y,
                           scoring=s.set_score_request(sample_weight=True),
                           params={"sample_weight": w})["test_score"]
            for s in (scorer("mean_squared_error"), get_scorer("neg_mean_squared_error"))]
    np.testing.assert_allclose(*results, rtol=1e-12)
    assert not np.allclose(results[0], cross_val_score(
        LinearRegression(), x, y, scoring=scorer("mean_squared_error")))


def words(y):
    return np.array(["benign", "dubious", "malignant"])[y % 3]


# estimator, grid, data, what is made of the target, metric and its parameters, other scoring
ROUTED = {
    "two classes": (LogisticRegression, {"C": [1e-3, 1.0]}, load_breast_cancer, None,
                    "log_loss", {}, "neg_log_loss"),
    "two words": (LogisticRegression, {"C": [1e-3, 1.0]}, load_breast_cancer, words,
                  "brier_score_loss", {"pos_label": "dubious"},
                  make_scorer(brier_score_loss, response_method="predict_proba",
                              greater_is_better=False, pos_label="dubious")),
    "ten classes": (LogisticRegression, {"C": [1e-3, 1.0]}, load_digits, None,
                    "d2_log_loss_score", {}, "d2_log_loss_score"),
    "three words": (LogisticRegression, {"C": [1e-3, 1.0]}, load_digits, words,
                    "log_loss", {}, "neg_log_loss"),
    "decisions": (LinearSVC, {"C": [1e-3, 1.0]}, load_breast_cancer, words, "hinge_loss", {},
                  make_scorer(hinge_loss, response_method="decision_function",
                              greater_is_better=False)),
    "numbers": (Ridge, {"alpha": [1e-3, 1.0]}, load_diabetes, None,
                "mean_absolute_error", {}, "neg_mean_absolute_error"),
    "quantile": (Ridge, {"alpha": [1e-3, 1.0]}, load_diabetes, None,
                 "mean_pinball_loss", {"alpha": 0.9},
                 make_scorer(mean_pinball_loss, greater_is_better=False, alpha=0.9)),
}


def weighted(scoring):
    scoring = get_scorer(scoring) if isinstance(scoring, str) else copy.deepcopy(scoring)
    return scoring.set_score_request(sample_weight=True)


@pytest.mark.parametrize("fitted_with_weights", [False, True])
@pytest.mark.parametrize("name", ROUTED)
def test_weights_reach_scorer_and_fit_alike(name, fitted_with_weights):
    kind, grid, load, target, metric, options, theirs = ROUTED[name]
    x, y = load(return_X_y=True)
    x, y = x[::3], y[::3]
    x = (x - x.mean(0)) / np.maximum(x.std(0), 1e-3)
    y = y if target is None else target(y)
    w = np.random.default_rng(0).uniform(0, 3, len(y))
    model = kind(**({"random_state": 0} if kind is LinearSVC else {}))
    with sklearn.config_context(enable_metadata_routing=True):
        ours, theirs = weighted(scorer(metric, **options)), weighted(theirs)
        model.set_fit_request(sample_weight=fitted_with_weights)
        scores = [cross_val_score(model, x, y, scoring=s, cv=3, params={"sample_weight": w})
                  for s in (ours, theirs)]
        found = [GridSearchCV(model, grid, scoring=s, cv=3).fit(x, y, sample_weight=w)
                 for s in (ours, theirs)]
        final = [each.score(x, y, sample_weight=w) for each in found]
        # the weights arrive: without them the scores are others
        model.set_fit_request(sample_weight=False)
        plain = cross_val_score(model, x, y, scoring=scorer(metric, **options), cv=3)
    np.testing.assert_allclose(*scores, rtol=1e-11)
    assert (scores[0] != plain).all()
    for key in ("mean_test_score", "split0_test_score"):
        np.testing.assert_allclose(*(each.cv_results_[key] for each in found), rtol=1e-11)
    assert len(set(found[0].cv_results_["mean_test_score"])) == 2
    assert found[0].best_params_ == found[1].best_params_
    assert final[0] == pytest.approx(final[1], rel=1e-11)


def test_wrong_uses_are_the_errors_of_scikit_learn():
    x, y = load_breast_cancer(return_X_y=True)
    w, model = np.ones(len(y)), make_pipeline(StandardScaler(), LogisticRegression())

    def cross(model, scoring, **params):
        return cross_val_score(model, x, y, scoring=scoring, cv=3, error_score="raise", **params)

    with sklearn.config_context(enable_metadata_routing=True):
        for scoring in (scorer("log_loss"), get_scorer("neg_log_loss")):
            with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
                cross(Ridge().set_fit_request(sample_weight=True), scoring,
                      params={"sample_weight": w})
    for scoring in (scorer("log_loss"), get_scorer("neg_log_loss")):
        with pytest.raises(RuntimeError, match="metadata routing is enabled"):
            scoring.set_score_request(sample_weight=True)       # routing is off
        with pytest.raises(AttributeError, match="predict_proba"):
            cross(LinearSVC(), scoring)
        # a fold without one of the classes
        with pytest.raises(ValueError, match="labels"):
            scoring(model.fit(x, y), x[y == 0], np.full((y == 0).sum(), 2))
    for scoring in (scorer("brier_score_loss"), get_scorer("neg_brier_score")):
        with pytest.raises(ValueError, match="pos_label is not specified"):
            scoring(model.fit(x, words(y)), x, words(y))
    with pytest.raises(ValueError, match="alpha"):
        cross(LinearRegression(), scorer("mean_pinball_loss", alpha=2.0))
    with pytest.raises(TypeError, match="quantile"):
        cross(LinearRegression(), scorer("mean_pinball_loss", quantile=0.9))


@pytest.mark.parametrize("name", ["accuracy", "neg_", "", None, "d2_brier_score", ["log_loss"]])
def test_unknown_metric(name):
    with pytest.raises(ValueError, match="no metric"):
        scorer(name)
