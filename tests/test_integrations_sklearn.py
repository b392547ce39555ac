"""Scorers of our metrics in scikit-learn's model selection."""

import numpy as np
import pytest
import sklearn
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor
from sklearn.metrics import get_scorer
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

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
    assert (value > 0) == (name == "d2_log_loss_score")
    assert scorer("neg_" + name)(model, x, y) == value


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


@pytest.mark.parametrize("name", ["accuracy", "neg_", "", None, "d2_brier_score", ["log_loss"]])
def test_unknown_metric(name):
    with pytest.raises(ValueError, match="no metric"):
        scorer(name)
