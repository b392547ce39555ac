"""Online regression in one function compiled by Numba: predict a patient, see the target, learn.

A fortieth of the targets that are learned from is ten times too large. Each loss is an argument
of the same compiled function.

Run with: python examples/numba_online_regression.py
"""

import numba
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import scale

import fastloss as fl
from fastloss import compiled


@numba.njit
def learn(loss, x, y, rate, epochs):
    """Return coefficients and intercept after steps along the gradient of one sample each."""
    coef, intercept = np.zeros(x.shape[1]), 0.0
    for epoch in range(epochs):
        for i in range(len(y)):
            _, grad, _ = compiled.sample(loss, y[i], x[i] @ coef + intercept)
            step = rate / (1 + epoch) * grad
            coef -= step * x[i]
            intercept -= step
    return coef, intercept


x, y = load_diabetes(return_X_y=True)
x, x_held, y, y_held = train_test_split(scale(x), y / 100, random_state=0)
y[::40] *= 10

print("mean absolute error on held-out patients")
for loss, rate in (
    (fl.SquaredLoss(), 0.01),
    (fl.HuberLoss(delta=0.5), 0.04),
    (fl.LogCoshLoss(), 0.02),
    (fl.AbsoluteLoss(), 0.02),
):
    coef, intercept = learn(loss, x, y, rate, 30)
    error = fl.absolute_loss(y_held, x_held @ coef + intercept)
    print(f"  {type(loss).__name__:14} {100 * error:6.1f}")
print(f"compiled for {len(learn.signatures)} set of argument types")
