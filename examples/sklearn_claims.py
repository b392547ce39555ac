"""Claims of insurance in scikit-learn: weighted scores in a grid search, losses in boosting.

The target is what a policy cost in a year; four of five cost nothing. A policy insured for half a
year counts half: weights go to the fit and to the score, by metadata routing.

Needs scikit-learn 1.9: pip install "fastloss[sklearn]"
"""

import numpy as np
import sklearn
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.metrics import get_scorer
from sklearn.model_selection import GridSearchCV

import fastloss as fl
from fastloss.integrations.sklearn import hist_gradient_boosting_loss, scorer
from fastloss.metrics import mean_tweedie_deviance

rng = np.random.default_rng(0)
x, years = rng.uniform(-1, 1, (12000, 4)), rng.uniform(0.1, 1, 12000)
claims = rng.poisson(0.3 * years * np.exp(x @ [1.5, 1.0, 0.8, 0.0]))
cost = rng.gamma(2.0 * claims, 0.5 * np.exp(0.8 * x[:, 3])) / years
x, x_test, years, years_test, cost, cost_test = (
    part for whole in (x, years, cost) for part in (whole[:6000], whole[6000:]))
options = {"max_iter": 60, "max_leaf_nodes": 8, "random_state": 0}

with sklearn.config_context(enable_metadata_routing=True):
    model = HistGradientBoostingRegressor(loss="poisson", **options)
    model.set_fit_request(sample_weight=True)
    searches = [
        GridSearchCV(model, {"learning_rate": [0.01, 0.1]}, cv=3,
                     scoring=each.set_score_request(sample_weight=True))
        .fit(x, cost, sample_weight=years)
        for each in (scorer("mean_poisson_deviance"), get_scorer("neg_mean_poisson_deviance"))]
ours, theirs = (search.cv_results_["mean_test_score"] for search in searches)
print("Poisson deviance by learning rate:", *(f"{-score:.3f}" for score in ours))
print("difference from scikit-learn's scorer:",
      "below 1e-12" if np.allclose(ours, theirs, rtol=1e-12, atol=0) else ours - theirs)

print("\ntrained with  predicted of what was paid  mean absolute error  "
      "cost <= 0 predicted  Tweedie deviance")
predicted = {}
for loss in fl.SquaredLoss(), fl.PoissonLoss(), fl.TweedieLoss(power=1.5), fl.AbsoluteLoss():
    name = type(loss).__name__.removesuffix("Loss")
    p = predicted[name] = HistGradientBoostingRegressor(
        loss=hist_gradient_boosting_loss(loss), learning_rate=0.1, **options,
    ).fit(x, cost, years).predict(x_test)
    deviance = "none" if (p <= 0).any() else (
        f"{mean_tweedie_deviance(cost_test, p, sample_weight=years_test, power=1.5):.2f}")
    print(f"{name:12}  {years_test @ p / (years_test @ cost_test):26.0%}  "
          f"{fl.absolute_loss(cost_test, p, sample_weight=years_test):19.3f}  "
          f"{np.mean(p <= 0):19.1%}  {deviance:>16}")
