"""Every loss as an objective of each booster, with the library's default parameters.

From `init_score` the loss is never worse than the best constant's. Without a start predictions are
finite, and there is a warning where LightGBM learns nothing.
"""

import warnings

import numpy as np
import pandas as pd
import pytest
from boosters import losses_of_scores
from sklearn.datasets import load_diabetes

import fastloss as fl
from fastloss._base import Loss

pytest.importorskip("numba", reason="Numba is not installed, which own formulas need")

from fastloss.custom import loss as custom

ROUNDS = 50
SLACK = 1e-6        # relative: XGBoost's scores are float32


def of_size(y, p, c=1.0):
    return c**2 / 2 * np.log(1 + (abs(p - y) / c) ** 2)     # Cauchy


def welsch(y, p, c=2.0):
    return 1 - np.exp(-((p - y) / c) ** 2 / 2)


def shortage(y, p, over=1.0, under=4.0):
    return over * (p - y) if p > y else under * (y - p)


def steep(y, p):
    return 100 * abs(p - y) ** 1.5


def huber(y, p, k=50.0):
    return k * (p - y) ** 2 / 2 if abs(p - y) < 1 else k * (abs(p - y) - 0.5)


def counts(y, z):
    return np.exp(z) - y * z


FORMULAS = [of_size, welsch, shortage, steep, huber, counts]


def features(n=200):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 5))
    return x, x[:, 0] + 0.5 * x[:, 1] * x[:, 2], rng


def diabetes():
    x, y = load_diabetes(return_X_y=True)
    return x[:200], y[:200]


def skewed():
    x, signal, rng = features()
    return x, np.exp(2 + signal + 0.7 * rng.normal(size=len(x)))


def mostly_zeros():
    x, signal, rng = features()
    claims = rng.random(len(x)) < 1 / (1 + np.exp(2 - 1.2 * signal))
    return x, np.where(claims, rng.gamma(2, 2, len(x)) * np.exp(0.3 * signal), 0.0)


def whole():
    x, signal, rng = features()
    return x, rng.poisson(np.exp(0.7 + 0.6 * signal)).astype(float)


SETS = [diabetes, skewed, mostly_zeros, whole]


def data_for(loss, make):
    """Features, and labels in the loss's domain."""
    x, y = make()
    domain = loss._domains()[0]
    if domain.high == 1:
        y = np.where(y > np.median(y), 1.0, domain.low)
    elif domain.open_low:
        y = np.maximum(y, 0.01)
    return x, y


class Fitted:
    """A model of a library's defaults: its scores, and the messages of warnings."""

    def __init__(self, library, loss, x, y, start=None, n=ROUNDS, **options):
        adapter = pytest.importorskip(f"fastloss.integrations.{library}",
                                      reason=f"{library} is not installed")
        self.objective = adapter.objective(loss, **options)
        if start is True:
            start = self.objective.init_score(y)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            self.scores = getattr(self, library)(adapter, x, y, start, n)
        self.start, self.messages = start, [str(warning.message) for warning in caught]

    def xgboost(self, _, x, y, start, n):
        import xgboost as xgb
        # what XGBRegressor does too, but in less than half the time
        data, options = xgb.DMatrix(x, y, nthread=1), {"nthread": 1, "base_score": 0.0}
        if np.ndim(start):
            data.set_base_margin(np.tile(start, (len(y), 1)))
            options["num_class"] = len(start)
        elif start is not None:
            options["base_score"] = start
        model = xgb.train(options, data, n, obj=self.objective)
        return model.predict(data, output_margin=True).astype(float)

    def lightgbm(self, _, x, y, start, n):
        import lightgbm as lgb
        classes = np.size(start) if np.ndim(start) else 1
        shift = None if start is None else np.tile(start, (len(y), 1)).squeeze()
        model = lgb.train({"objective": self.objective, "verbose": -1, "num_threads": 1,
                           "num_class": classes}, lgb.Dataset(x, y, init_score=shift), n)
        return model.predict(x) + (0 if start is None else start)

    def catboost(self, adapter, x, y, start, n):
        import catboost as cb
        options = {"classes_count": np.size(start)} if np.ndim(start) else {}
        if isinstance(self.objective.loss, fl.AbsolutePercentageLoss):
            # slopes of labels 0 are 1 / eps, too far from others for its sampling by slopes
            options = {"bootstrap_type": "No"}
        kind = cb.CatBoostClassifier if np.ndim(start) else cb.CatBoostRegressor
        model = kind(iterations=n, loss_function=self.objective, verbose=False, thread_count=1,
                     eval_metric=adapter.metric(self.objective.loss), allow_writing_files=False,
                     **options)
        shift = None if start is None else np.broadcast_to(
            start, (len(y), *np.shape(start))).copy()
        model.fit(cb.Pool(x, y, baseline=shift))
        return model.predict(x, prediction_type="RawFormulaVal") + (
            0 if start is None else start)


LIBRARIES = pytest.mark.parametrize("library", ["xgboost", "lightgbm", "catboost"])
LOSSES = [*losses_of_scores(), fl.PinballLoss(quantile=0.1), fl.HuberLoss(delta=0.01),
          fl.PseudoHuberLoss(delta=0.1), fl.AbsolutePercentageLoss(eps=0.1),
          fl.ExpectileLoss(level=0.98), *FORMULAS]
CASES = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.__name__)


def made(loss):
    return loss if isinstance(loss, Loss) else custom(loss)


@LIBRARIES
@CASES
def test_never_worse_than_the_best_constant(loss, library):
    loss = made(loss)
    for make in SETS:
        x, y = data_for(loss, make)
        model = Fitted(library, loss, x, y, start=True)
        assert np.all(np.isfinite(model.scores)), make.__name__
        constant = loss(y, np.full(len(y), model.start))
        value = loss(y, model.scores)
        assert value <= constant + SLACK * abs(constant), (make.__name__, value, constant)
        assert not model.messages, make.__name__


@LIBRARIES
@CASES
def test_without_a_start_scores_are_finite(loss, library):
    loss = made(loss)
    for make in SETS:
        x, y = data_for(loss, make)
        model = Fitted(library, loss, x, y)
        assert np.all(np.isfinite(model.scores)), make.__name__
        assert np.isfinite(loss(y, model.scores)), make.__name__
        if library == "lightgbm":
            grad, hess = model.objective._float32(y, np.zeros(len(y)), None)
            # where scores stay at 0: it is the best constant, or slopes are too small for a leaf
            stays = model.objective.init_score(y) == 0 or not grad.any() or hess.sum(
                dtype=float) < 1e-3
            learned = np.ptp(model.scores) > 0 or stays
            assert learned != any("init_score" in text for text in model.messages), make.__name__


@LIBRARIES
def test_classes(library):
    loss = fl.CrossEntropyLoss()
    for make in (skewed, mostly_zeros):
        x, y = make()
        y = np.searchsorted(np.unique(np.quantile(y, [0.5, 0.9])), y).astype(float)
        shares = np.bincount(y.astype(int)) / len(y)
        cold = Fitted(library, loss, x, y, start=np.zeros(len(shares)))
        warm = Fitted(library, loss, x, y, start=True)
        assert np.all(np.isfinite(cold.scores)) and np.all(np.isfinite(warm.scores))
        assert loss(y, warm.scores) < loss(y, np.tile(np.log(shares), (len(y), 1)))
        assert loss(y, cold.scores) < np.log(len(shares))


@LIBRARIES
@pytest.mark.parametrize("scale", [1e-6, 1e3])
@pytest.mark.parametrize("loss", [
    fl.AbsoluteLoss(), fl.PinballLoss(quantile=0.9), fl.AbsolutePercentageLoss(eps=1e-9),
    fl.PseudoHuberLoss(), fl.LogCoshLoss(),
    fl.EpsilonInsensitiveLoss(epsilon=0), fl.PoissonLoss(),
    fl.TweedieLoss(), shortage, of_size],
    ids=lambda loss: loss.__name__)
def test_data_of_other_scales(loss, scale, library):
    loss = made(loss)
    for make in (skewed, mostly_zeros):
        x, y = make()
        model = Fitted(library, loss, x, scale * y, start=True)
        constant = loss(scale * y, np.full(len(y), model.start))
        value = loss(scale * y, model.scores)
        assert value <= constant + 3 * SLACK * abs(constant), (make.__name__, value, constant)


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
@pytest.mark.parametrize("loss", [fl.AbsoluteLoss(), fl.HuberLoss(), fl.PoissonLoss()],
                         ids=lambda loss: loss.__name__)
def test_containers_of_predictions(loss, library):
    adapter = pytest.importorskip(f"fastloss.integrations.{library}",
                                  reason=f"{library} is not installed")
    objective = adapter.objective(loss)
    scores, labels = [0.5, 2.0, 2.0], [0, 1, 3]
    expected = objective(np.array(labels), np.array(scores))
    for y, p in [(labels, scores), (tuple(labels), tuple(scores)),
                 (labels, pd.Series(scores, index=[7, 8, 9])),
                 (pd.Series(labels), np.array(scores, object))]:
        for ours, theirs in zip(objective(y, p), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(adapter.Objective._error, match=r"y_pred must be an array .*\(3, 1, 1\)"):
        objective(labels, np.reshape(scores, (3, 1, 1)))
    with pytest.raises(adapter.Objective._error, match="y_pred must be an array"):
        objective(0, 1.0)
