"""A robust loss of pairs of one's own: a distance learned from ratings, many of them careless.

People rate how different two images are, from 0 to 10, where 10 is "as different as can be": such
a pair may be any distance beyond 10 apart. Every fifth rating is a careless click. LightGBM learns
the distance from how much the images differ, pixel by pixel; images of the test pairs are in no
training pair. The squared error of a careless rating grows without end and draws the distances
towards the middle; a loss that levels off nearly ignores it.

Needs lightgbm, scikit-learn and numba: pip install "fastloss[lightgbm,custom]"
"""

import math

import numpy as np
from lightgbm import LGBMRegressor
from sklearn.datasets import load_digits

from fastloss import SquaredLoss
from fastloss.custom import loss
from fastloss.integrations.lightgbm import objective


def cauchy(error, scale):
    """Return half the square of a small error, a logarithm of a large one."""
    return scale**2 / 2 * math.log1p((error / scale) ** 2)


def pair_loss(rating, distance, top, scale):
    """Return the loss of a pair: nothing if it is rated as far as can be, and is."""
    if rating >= top and distance > top:
        return 0
    return cauchy(distance - rating, scale)


robust = loss(pair_loss, top=10.0, scale=0.5)

images = load_digits().data
rng = np.random.default_rng(0)
records = rng.permutation(len(images))


def pairs(records, n):
    """Return features and true ratings of n pairs of these records."""
    a, b = images[rng.choice(records, (2, n))]
    return np.abs(a - b), np.minimum(np.sqrt(((a - b) ** 2).sum(axis=1)) / 5, 10)


X, rating = pairs(records[:900], 6000)
X_test, rating_test = pairs(records[900:], 6000)
careless = rng.random(len(rating)) < 0.2
rating = np.where(careless, rng.uniform(0, 10, len(rating)), rating)

print("trained with   mean error of the distance  off by 1 or more")
options = {"n_estimators": 200, "num_leaves": 15, "n_jobs": 1, "verbose": -1}
for name, goal in (("squared loss", SquaredLoss()), ("robust loss", robust)):
    ours = objective(goal, hess_floor=0.1)      # far out the robust loss is not convex
    start = float(np.median(rating))
    model = LGBMRegressor(**options, objective=ours)
    model.fit(X, rating, init_score=np.full(len(rating), start))
    error = np.abs(np.minimum(start + model.predict(X_test), 10) - rating_test)
    print(f"{name:13}  {error.mean():26.2f}  {np.mean(error >= 1):16.1%}")
