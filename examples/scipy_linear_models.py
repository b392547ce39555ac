"""Linear models of scikit-learn, and two it does not have, by scipy.optimize and fastloss.

Run with: python examples/scipy_linear_models.py
"""

import numpy as np
from scipy.optimize import minimize
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.linear_model import HuberRegressor, LogisticRegression, PoissonRegressor
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import scale

import fastloss as fl
from fastloss.integrations.scipy import objective


def fit(loss, x, y, l2=0.0):
    """Return coefficients and intercept of the linear model with the least loss."""
    f = objective(loss, x, y, l2=l2)
    found = minimize(f, f.initial(), jac=True, method="L-BFGS-B",
                     options={"maxiter": 10000, "ftol": 1e-14, "gtol": 1e-9})
    return f.coef_and_intercept(found.x)


tumours, benign = load_breast_cancer(return_X_y=True)
patients, progress = load_diabetes(return_X_y=True)
tumours, patients = scale(tumours), scale(patients)
huber = HuberRegressor(alpha=1.0, tol=1e-8, max_iter=1000).fit(patients, progress)
sigma = huber.scale_

print("largest difference of a coefficient, of the largest one")
for name, theirs, loss, x, y, l2 in (
    ("LogisticRegression(C=0.1)",
     LogisticRegression(C=0.1, tol=1e-8, max_iter=1000).fit(tumours, benign),
     fl.LogLoss(from_logits=True), tumours, benign, 1 / (0.1 * len(benign))),
    ("PoissonRegressor(alpha=1)",
     PoissonRegressor(alpha=1.0, tol=1e-8, max_iter=1000).fit(patients, progress),
     fl.PoissonLoss(), patients, progress, 1.0),
    ("HuberRegressor(alpha=1)", huber,
     fl.HuberLoss(delta=1.35 * sigma), patients, progress, sigma / len(progress)),
):
    coef, _ = fit(loss, x, y, l2)
    difference = np.abs(coef - np.ravel(theirs.coef_)).max() / np.abs(coef).max()
    print(f"  {name:26} {'below 1e-4' if difference < 1e-4 else difference}")

print("\nmean absolute error in units of the target, patients held out")
x, x_held, y, y_held = train_test_split(patients, progress, random_state=0)
for loss in (fl.SquaredLoss(), fl.LogCoshLoss(), fl.ExpectileLoss(level=0.9),
             fl.PinballLoss(quantile=0.9)):
    coef, intercept = fit(loss, x, y)       # with a kink L-BFGS ends near the minimum
    predicted = x_held @ coef + intercept
    print(f"  {loss!s:43} {fl.absolute_loss(y_held, predicted):6.2f}, "
          f"{np.mean(y_held < predicted):4.0%} of targets below the prediction")
