"""A forecast judged by money: a loss of one's own in LightGBM.

Bread is baked before it is known how much will be sold. A loaf too many costs its flour, and many
too many are a nuisance; a loaf too few costs the profit, and customers who find empty shelves
stay away. Every number is a parameter of the loss.

Needs lightgbm, scikit-learn and numba: pip install "fastloss[lightgbm,custom]"
"""

import numpy as np
from lightgbm import LGBMRegressor

from fastloss import SquaredLoss
from fastloss.custom import loss
from fastloss.integrations.lightgbm import objective


def money(demand, baked, flour, waste, profit, anger):
    """Return what a day costs, in euros."""
    if baked > demand:
        left = baked - demand
        return flour * left + waste * left**2
    missing = demand - baked
    return profit * missing + anger * missing**2


cost = loss(money, flour=1.0, waste=0.02, profit=3.0, anger=0.2)

rng = np.random.default_rng(0)
n = 6000
weekday, warmth, season = rng.integers(0, 7, n), rng.normal(size=n), rng.random(n)
mean = 60 + 40 * (weekday >= 5) + 10 * warmth + 20 * np.sin(2 * np.pi * season)
demand = np.maximum(0, mean + 0.2 * mean * rng.normal(size=n))
X = np.column_stack([weekday, warmth, season])
train, test = slice(0, 4000), slice(4000, n)

print("trained with   euros a day  days sold out")
options = {"n_estimators": 100, "learning_rate": 0.05, "num_leaves": 7, "min_child_samples": 100,
           "n_jobs": 1, "verbose": -1}
for name, goal in (("squared loss", SquaredLoss()), ("money", cost)):
    ours = objective(goal)
    start = ours.init_score(demand[train])
    model = LGBMRegressor(**options, objective=ours)
    model.fit(X[train], demand[train], init_score=np.full(4000, start))
    baked = start + model.predict(X[test])
    print(f"{name:13}  {cost(demand[test], baked):11.2f}  {np.mean(baked < demand[test]):13.1%}")
for flour in (1.0, 3.0):      # another value of a parameter: nothing is compiled anew
    best = objective(cost.replace(flour=flour)).init_score(demand[train])
    print(f"the best constant if flour costs {flour:.0f} euro: {best:.0f} loaves")
