"""Robust regression in CatBoost with log-cosh: a tenth of the labels is wrong.

Needs catboost and scikit-learn: pip install "fastloss[catboost]" scikit-learn
"""

import numpy as np
from catboost import CatBoostRegressor, Pool
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

from fastloss import LogCoshLoss
from fastloss.integrations.catboost import metric, objective

X, y = load_diabetes(return_X_y=True)
y = (y - y.mean()) / y.std()
X, X_test, y, y_test = train_test_split(X, y, random_state=0)
y = np.where(np.random.default_rng(0).random(len(y)) < 0.1, y + 20, y)
options = {"iterations": 60, "depth": 4, "learning_rate": 0.1, "thread_count": 1,
           "verbose": False, "allow_writing_files": False}

loss = LogCoshLoss()
# far from a label log-cosh is nearly straight, and Newton's steps there would be far too long
log_cosh = objective(loss, hess_floor=0.1)
start = log_cosh.init_score(y)
robust = CatBoostRegressor(**options, loss_function=log_cosh, eval_metric=metric(loss))
robust.fit(Pool(X, y, baseline=np.full(len(y), start)))
squares = CatBoostRegressor(**options).fit(X, y)

print("trained with   mean absolute error of the held-out labels, in standard deviations")
for name, predicted in (("squared error", squares.predict(X_test)),
                        ("log-cosh", start + robust.predict(X_test))):
    print(f"{name:13}  {np.abs(y_test - predicted).mean():.2f}")
